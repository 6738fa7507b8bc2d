//! The library's work, as the benches ask for it.

use containerd_dropins::migrate::{ExistingDropIns, Options, Plan, Target, plan, plan_drop_ins};
use containerd_dropins::{Document, Limits};

use crate::shapes;

/// Where drop-ins are said to be.
pub const DIRECTORY: &str = "/etc/k0s/containerd.d";

/// Whom a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// A legacy file, and the files that it imports.
    Legacy,
    /// Existing drop-ins.
    DropIns,
}

/// Parses the texts, under names that sort as they do.
pub fn parse(texts: &[String], limits: Limits) -> Vec<Document> {
    let parse = |(at, text): (usize, &String)| {
        let name = shapes::drop_in_name(DIRECTORY, at);
        Document::parse_within(name, text.as_bytes(), limits).unwrap()
    };
    texts.iter().enumerate().map(parse).collect()
}

/// Plans what becomes of the documents.
pub fn migrated(documents: &[Document], front: Front, k0s: &str, options: &Options) -> Plan {
    let target = Target::find(k0s).unwrap();
    match front {
        Front::Legacy => {
            let (legacy, imported) = documents.split_first().unwrap();
            plan(legacy, imported, &target, options)
        }
        Front::DropIns => {
            let existing = ExistingDropIns::new(DIRECTORY, documents).unwrap();
            plan_drop_ins(&existing, &target, options)
        }
    }
}
