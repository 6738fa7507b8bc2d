//! What was seen of a node, for machines on which none can be run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use containerd_dropins::containerd::Release;
use containerd_dropins::value::Table;
use serde::{Deserialize, Serialize};

use crate::judge::NOTHING;
use crate::node::Seen;
use crate::sides::Side;

/// A node and what was seen of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Recorded {
    /// The containerd that ran.
    pub(crate) containerd: String,
    /// The files that it was given, by path; empty if k0s did not start.
    files: BTreeMap<String, String>,
    pub(crate) facts: BTreeMap<String, String>,
    /// What is other in OCI specs than before, by pod or container and path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) changes: BTreeMap<String, BTreeMap<String, String>>,
    /// What tells the facts is not recorded: no two runs have the same log.
    #[serde(skip)]
    pub(crate) told: BTreeMap<String, String>,
    #[serde(skip)]
    specs: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(skip)]
    pub(crate) log: String,
}

impl Recorded {
    /// What was seen of a node; `before` is what was seen of it before.
    pub(crate) fn new(
        release: Release,
        side: &Side,
        seen: Seen,
        before: Option<&Recorded>,
    ) -> Recorded {
        let specs = before.map(|before| &before.specs);
        let changes = specs.into_iter().flatten().filter_map(|(of, before)| {
            let changes = changes(before, seen.specs.get(of)?);
            (!changes.is_empty()).then(|| (of.clone(), changes))
        });
        Recorded {
            changes: changes.collect(),
            containerd: release.to_string(),
            files: side.files.clone().unwrap_or_default(),
            facts: seen.facts,
            specs: seen.specs,
            told: seen.told,
            log: seen.log,
        }
    }

    /// Of facts and changes alone.
    #[cfg(test)]
    pub(crate) fn of_facts(
        containerd: &str,
        facts: BTreeMap<String, String>,
        changes: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Recorded {
        Recorded {
            containerd: containerd.to_owned(),
            files: BTreeMap::new(),
            facts,
            changes,
            told: BTreeMap::new(),
            specs: BTreeMap::new(),
            log: String::new(),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Recorded, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        let read = text.and_then(|text| {
            let read = serde_json::from_str(&text);
            read.map_err(|error| error.to_string())
        });
        read.map_err(|error| format!("{}: {error}; {AGAIN}", path.display()))
    }

    /// The containerd that ran.
    pub(crate) fn containerd(&self) -> Result<Release, String> {
        let release = self.containerd.parse();
        release.map_err(|_| format!("{} is no release; {AGAIN}", self.containerd))
    }

    /// Whether it is of the files of a side; a comment makes no difference to
    /// containerd.
    pub(crate) fn of(self, side: &Side) -> Result<Recorded, String> {
        match self.has(side.files.as_ref().unwrap_or(&BTreeMap::new())) {
            true => Ok(self),
            false => Err(format!("what was recorded is of other files; {AGAIN}")),
        }
    }

    fn has(&self, files: &BTreeMap<String, String>) -> bool {
        let is_same = |(path, text): (&String, &String)| {
            let other = self.files.get(path);
            other.is_some_and(|other| other == text || values(other) == values(text))
        };
        self.files.len() == files.len() && files.iter().all(is_same)
    }

    /// What is other in another record of the same node.
    pub(crate) fn differs(&self, other: &Recorded) -> Vec<String> {
        let facts = self.facts.keys().chain(other.facts.keys());
        let facts = facts.filter(|about| self.facts.get(*about) != other.facts.get(*about));
        let mut differs: Vec<String> = facts.cloned().collect();
        if self.changes != other.changes {
            differs.push("what is other in OCI specs".to_owned());
        }
        if !self.has(&other.files) {
            differs.push("the files".to_owned());
        }
        differs.sort();
        differs.dedup();
        differs
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let fails = |error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fails)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(fails)
    }
}

/// What to do about what does not fit any more.
pub(crate) const AGAIN: &str = "RECORD=1 records it again, where nodes can be run";

/// The leaves of an OCI spec that differ.
fn changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let value = |leaves: &BTreeMap<String, String>, path: &String| {
        leaves
            .get(path)
            .map_or(NOTHING, String::as_str)
            .trim()
            .to_owned()
    };
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let values = all
        .into_iter()
        .map(|path| (path, value(before, path), value(after, path)));
    let changed = values.filter(|(_, before, after)| before != after);
    changed
        .map(|(path, before, after)| (path.clone(), format!("{before} -> {after}")))
        .collect()
}

fn values(text: &str) -> Option<Table> {
    toml_edit::de::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_make_no_difference_values_do() {
        let mut recorded = Recorded::of_facts("2.1.9", BTreeMap::new(), BTreeMap::new());
        let files = |text: &str| BTreeMap::from([("/a".to_owned(), text.to_owned())]);
        recorded.files = files("# why\na = 1\n");
        assert!(recorded.has(&files("a = 1\n")));
        assert!(!recorded.has(&files("a = 2\n")));
        assert!(!recorded.has(&files("a = 1\nb = 1\n")));
        assert!(!recorded.has(&BTreeMap::new()));
        let more = BTreeMap::from([("/b".to_owned(), String::new())]);
        assert!(!recorded.has(&files("a = 1\n").into_iter().chain(more).collect()));
    }

    #[test]
    fn leaves_that_are_other_on_one_side_only_are_told() {
        let leaves = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect()
        };
        let found = changes(
            &leaves(&[(".a", "1"), (".b", "2"), (".c", "3")]),
            &leaves(&[(".a", "1"), (".b", "4"), (".d", "5")]),
        );
        let expected = leaves(&[
            (".b", "2 -> 4"),
            (".c", "3 -> nothing"),
            (".d", "nothing -> 5"),
        ]);
        assert_eq!(found, expected);
    }
}
