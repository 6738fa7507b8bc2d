//! What is measured, each an input together with the release that it is planned for.

use std::fmt;

use containerd_dropins::migrate::{Options, Plan, RegistryPolicy};
use containerd_dropins::{Document, Limits};

use crate::shapes::SHAPES;
use crate::work::{self, Front};

/// Where an input is from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A file of the repository.
    File(&'static str),
    /// So many of a kind of [`SHAPES`].
    Many(usize, &'static str),
}

/// What of a case instructions are counted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each step by itself.
    Steps,
    /// The parse and the verified plan.
    Whole,
    /// Nothing: it would take too long.
    Nothing,
}

/// An input and what it is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The name of the input.
    pub input: &'static str,
    /// Where the input is from.
    pub source: Source,
    /// The target.
    pub k0s: &'static str,
    /// What a plan is made from.
    pub front: Front,
    /// What becomes of mirrors and TLS settings.
    pub registry: RegistryPolicy,
    /// What instructions are counted of.
    pub counted: Counted,
    /// Whether the peak of the heap is measured.
    pub heap: bool,
}

/// The bare parse of the same bytes: the unit of all others.
pub const PARSE: &str = "parse";
/// [`Document::parse`].
pub const DOCUMENT: &str = "Document::parse";
/// From text to plan, without verification.
pub const PLAN: &str = "plan";
/// From text to verified plan.
pub const VERIFIED: &str = "plan + verify";
/// The first verified plan in a process, which makes what a process makes once. The
/// table tells what it takes more than a warm one.
pub const FIRST: &str = "first plan over a warm one";
/// A verified plan as JSON.
pub const JSON: &str = "JSON";
/// A verified plan as text.
pub const TEXT: &str = "text";

/// The last line of k0s releases that asks for version 2.
const K0S_1_30: &str = "v1.30.4+k0s.0";
/// A k0s release that asks for version 3.
const K0S_1_36: &str = "v1.36.3+k0s.2";

const DUMP: &str = include_str!("../../examples/dump-1.6-ten-edits.toml");
const SPARSE: &str = include_str!("../../examples/airgap-v1.30.4.toml");

/// All cases, in the order of the table.
pub fn cases() -> Vec<Case> {
    use Counted::{Nothing, Steps, Whole};
    use Source::{File, Many};
    let case = |input, source, counted| {
        move |k0s| Case {
            input,
            source,
            k0s,
            front: Front::Legacy,
            registry: RegistryPolicy::Auto,
            counted,
            heap: counted != Whole,
        }
    };
    let for_both = [
        case("dump", File(DUMP), Steps),
        case("sparse file", File(SPARSE), Steps),
        case("200 hosts", Many(200, "mirrors"), Steps),
        case("20,000 hosts", Many(20_000, "mirrors"), Steps),
        case("100,000 hosts", Many(100_000, "mirrors"), Nothing),
    ];
    let both = for_both
        .into_iter()
        .flat_map(|case| [case(K0S_1_30), case(K0S_1_36)]);
    let grown = [
        case("500 handlers", Many(500, "handlers"), Whole),
        case("2,000 handlers", Many(2_000, "handlers"), Whole),
        case("500 drop-ins", Many(500, "drop-ins"), Whole),
        case("2,000 drop-ins", Many(2_000, "drop-ins"), Whole),
        case("500 TLS hosts", Many(500, "mirrors, tls, auth"), Whole),
        case("2,000 TLS hosts", Many(2_000, "mirrors, tls, auth"), Whole),
        case(
            "2,000 TLS endpoints of *",
            Many(2_000, "endpoints of * with tls"),
            Whole,
        ),
    ];
    let grown = grown.into_iter().map(|case| {
        let case = case(K0S_1_36);
        let front = match case.source {
            Many(_, "drop-ins") => Front::DropIns,
            _ => Front::Legacy,
        };
        Case {
            front,
            registry: RegistryPolicy::Convert,
            ..case
        }
    });
    both.chain(grown).collect()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, k0s {}", self.input, self.k0s)
    }
}

impl Case {
    /// The texts of the input.
    pub fn texts(&self) -> Vec<String> {
        match self.source {
            Source::File(text) => vec![text.to_owned()],
            Source::Many(count, shape) => made(shape, count),
        }
    }

    /// What is planned before anything is counted, so that what a process makes
    /// once is not: the same file, or one of what there is many of.
    pub fn warm_up(&self) -> Vec<String> {
        match self.source {
            Source::File(_) => self.texts(),
            Source::Many(_, shape) => made(shape, 1),
        }
    }

    /// How many times each step is done, of which the mean counts. What the allocator
    /// does now and then is a tenth of what a small file takes.
    pub fn rounds(&self) -> u64 {
        match self.source {
            Source::File(_) => 20,
            Source::Many(..=200, _) => 5,
            Source::Many(..) => 1,
        }
    }

    /// Whether the warm-up is the first plan of the same text.
    pub fn tells_of_first(&self) -> bool {
        self.input == "dump"
    }

    /// Parses the texts as the library does.
    pub fn parse(&self, texts: &[String]) -> Vec<Document> {
        work::parse(texts, Limits::default())
    }

    /// Plans without verification.
    pub fn plan(&self, documents: &[Document]) -> Plan {
        self.planned(documents, Options::default().without_verification())
    }

    /// Plans with verification.
    pub fn verified(&self, documents: &[Document]) -> Plan {
        self.planned(documents, Options::default())
    }

    fn planned(&self, documents: &[Document], options: Options) -> Plan {
        let options = options.registry(self.registry);
        work::migrated(documents, self.front, self.k0s, &options)
    }
}

fn made(shape: &str, count: usize) -> Vec<String> {
    let shape = SHAPES.iter().find(|one| one.name == shape).unwrap();
    (shape.make)(count)
}
