//! Existing drop-ins, carried over to a release that wants another config
//! version: file by file, with the precedence that they had.

mod set;
mod stay;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::conduct::{Done, Front, Given, Loaded, Parts, Treatment, conduct};
use super::drop_in::{DropIn, Existing, Style};
use super::origin::Origin;
use super::outside::{self, Outside};
use super::plan::{Plan, too_large};
use super::read::Rules;
use super::running::Running;
use super::steps::{Main, Situation};
use super::tree::{Dropped, Tree};
use super::{Options, Target, checks, read, unknown, windows};
use crate::Document;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, FileName, Regime};
use crate::shown;
use set::Set;
pub(super) use stay::Stay;

/// The drop-ins of a node, what they import, and the main file beside them.
#[derive(Clone, Debug)]
pub struct ExistingDropIns<'a> {
    directory: &'a str,
    /// In the order of the names.
    files: BTreeMap<FileName, &'a Document>,
    main: Option<&'a Document>,
}

/// Plans how existing drop-ins of k0s 1.27.5 and later are carried to 1.36 and
/// later. For an earlier target they stay as they are, and the plan says what of
/// them would not work there.
///
/// Names, comments and the division into files stay. Where several drop-ins
/// set the same key, the one that prevailed keeps it: up to k0s 1.35 a drop-in
/// with CRI settings prevails over one without, and a later name over an
/// earlier one. A file that k0s accepts as it is stays as it is, to the byte. So
/// does what drop-ins import from elsewhere on the node, whatever is in it: it
/// takes part in what is in effect, and what is wrong with it is said.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::migrate::{ExistingDropIns, Options, Target, plan_drop_ins};
///
/// let nvidia = r#"
/// version = 2
/// [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
///   runtime_type = "io.containerd.runc.v2"
/// "#;
/// let directory = "/etc/k0s/containerd.d";
/// let drop_ins = [Document::parse(format!("{directory}/nvidia.toml"), nvidia.as_bytes())?];
/// let existing = ExistingDropIns::new(directory, &drop_ins)?;
/// let plan = plan_drop_ins(&existing, &Target::find("v1.36.3+k0s.2")?, &Options::default());
///
/// assert!(plan.is_sound());
/// assert_eq!(plan.drop_ins[0].name, "nvidia.toml");
/// assert!(plan.drop_ins[0].text().ends_with(r#"
/// version = 3
///
/// [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
/// runtime_type = "io.containerd.runc.v2"
/// "#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_drop_ins(existing: &ExistingDropIns<'_>, target: &Target, options: &Options) -> Plan {
    let all = existing.files.values().copied().chain(existing.main);
    if let Some(refused) = too_large(all, existing.directory, target, options) {
        return refused;
    }
    let mut findings = Vec::new();
    let set = Set::of(existing, target, &mut findings);
    let inside = set.names.iter().cloned().zip(set.order.iter().copied());
    let all: Vec<(FileName, &Document)> = inside.chain(set.outside.iter().cloned()).collect();
    let given = Given {
        name: existing.directory,
        order: set.order.clone(),
        names: set.names.clone(),
        rules: set.rules,
        outside: set.outside.clone(),
        running: Running::with_drop_ins(existing.main, &all, target, options),
        findings,
    };
    let documents = set.names.iter().zip(&set.order);
    let documents = documents.map(|(name, document)| Existing {
        name: name.clone(),
        document,
    });
    let front = DropIns {
        main: existing.main,
        beside: beside(existing, target),
        documents: documents.collect(),
        set: &set,
    };
    conduct(&front, given, target, options)
}

/// Existing drop-ins.
struct DropIns<'a> {
    set: &'a Set<'a>,
    documents: Vec<Existing<'a>>,
    main: Option<&'a Document>,
    /// What the main file beside them means for them.
    beside: Option<Finding>,
}

impl Front for DropIns<'_> {
    fn treatment(&self, loaded: &Loaded<'_>) -> (Treatment<'_>, Vec<Finding>) {
        let leave = |why| Treatment::Leave(Dropped::NotExpressible, why);
        let target = loaded.target;
        if let Some(windows) = loaded.windows.clone() {
            return (leave(windows::WHY.to_owned()), vec![windows]);
        }
        if target.release.regime == Regime::ImportsV3 {
            return (Treatment::Rewrite, Vec::new());
        }
        match self.set.obstacle(target) {
            Some((why, finding)) => (leave(why), finding.into_iter().collect()),
            None => (Treatment::Stay(Stay(self.set)), Vec::new()),
        }
    }

    fn about_input(
        &self,
        loaded: &Loaded<'_>,
        _: &Origin,
        treatment: &Treatment<'_>,
    ) -> Vec<Finding> {
        let target = loaded.target;
        let mut findings = unknown::not_understood(loaded.tree, loaded.files);
        findings.extend(by_itself(self.set, target));
        findings.extend(self.beside.clone());
        findings.extend(self.main.and_then(|main| checks::first_line(main, target)));
        let version_1 = self.set.version_1();
        let version_1 = version_1.filter(|_| matches!(treatment, Treatment::Rewrite));
        findings.extend(version_1.map(|file| {
            let message = "it states version 1, by which k0s 1.27 to 1.35 made containerd ignore the CRI settings of all drop-ins";
            let span = file.span_of(&["version"]).map(|(key, _)| key);
            Finding::new(Code::DropInVersion, message).at("version", span)
        }));
        findings
    }

    fn about_outside(&self, outside: &[Outside<'_>], tree: &Tree, target: &Target) -> Vec<Finding> {
        let are_read = target.release.regime != Regime::Monolith;
        if !are_read || self.set.version_1().is_some() {
            return Vec::new();
        }
        let replaced = self.set.rules == Rules::K0sMerge;
        outside::overrides(outside, tree, target, replaced)
    }

    fn split(&self, tree: &mut Tree, target: &Target) -> Parts {
        self.set.split(tree, target)
    }

    fn style(&self, _: &Target) -> Style<'_> {
        Style {
            origin: k0s::DROP_IN_DIR,
            pasted: false,
            existing: &self.documents,
        }
    }

    fn tells_changes(&self) -> bool {
        true
    }

    fn about_result(&self, done: Done<'_>) -> Vec<Finding> {
        let Done {
            tree,
            files,
            parts,
            situation,
            target,
            ..
        } = done;
        let lost = self.set.names_of_lost(tree);
        let mut findings = checks::nested(tree, files, parts);
        if !situation.is_settled() {
            findings.extend(checks::removals(tree, files, parts, target));
        }
        let emptied: HashSet<&FileName> = situation.emptied().iter().collect();
        let documents = self.documents.iter();
        let emptied = documents.filter(|file| emptied.contains(&file.name));
        findings.extend(emptied.map(|Existing { name, document }| {
            let shown = shown::printable(name.as_str());
            let message = match lost.contains(name) {
                true => format!("nothing of {shown} can be carried over"),
                false => format!("{shown} is not needed any more"),
            };
            Finding::new(Code::DropInEmpty, message).about(document)
        }));
        findings
    }

    fn situation(
        &self,
        parts: &Parts,
        drop_ins: &[DropIn],
        treatment: &Treatment<'_>,
    ) -> Situation {
        let emptied = match treatment {
            Treatment::Rewrite => self.set.emptied(parts),
            _ => Vec::new(),
        };
        let emptied: Vec<FileName> = emptied.into_iter().map(|(name, _)| name).collect();
        let main = match self.beside.as_ref().map(|finding| finding.code) {
            Some(Code::DropInsIgnored) => Main::Yours,
            Some(_) => Main::Trap,
            None => Main::Fine,
        };
        Situation::DropIns {
            main,
            in_place: treatment.is_stay(),
            is_unchanged: emptied.is_empty() && self.are_as_they_were(drop_ins),
            emptied,
        }
    }
}

impl DropIns<'_> {
    /// Whether what is written is what was there.
    fn are_as_they_were(&self, drop_ins: &[DropIn]) -> bool {
        let documents = self.documents.iter();
        let texts: HashMap<&str, &str> = documents
            .map(|existing| (existing.name.as_str(), existing.document.text()))
            .collect();
        let is_as_it_was =
            |drop_in: &DropIn| texts.get(drop_in.name.as_str()) == Some(&drop_in.text());
        drop_ins.iter().all(is_as_it_was)
    }
}

/// What there is to say about each file by itself.
fn by_itself(set: &Set<'_>, target: &Target) -> Vec<Finding> {
    let foreign = |file: &&Document| {
        let input = read::read(&[file], set.rules, &[], target.containerd());
        checks::foreign(file, &input.tree)
    };
    let mut findings: Vec<Finding> = set
        .order
        .iter()
        .copied()
        .filter_map(|file| foreign(&file))
        .collect();
    let outside = set.outside.iter().map(|(_, file)| *file);
    let all = set.order.iter().copied().chain(outside);
    findings.extend(checks::nvidia(all, target));
    findings
}

/// What the main file beside the drop-ins means for them.
fn beside(existing: &ExistingDropIns<'_>, target: &Target) -> Option<Finding> {
    let main = existing.main?;
    if let Some(trap) = checks::marker_trap(main, target) {
        return Some(trap);
    }
    if main.marker().is_managed_for(&target.release) {
        return None;
    }
    let message = format!(
        "{} has no marker of k0s, so k0s takes it for yours and has ignored these drop-ins: what they set takes effect for the first time once that file is gone",
        shown::printable(main.name())
    );
    Some(Finding::new(Code::DropInsIgnored, message).about(main))
}
