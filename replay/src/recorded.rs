//! What was seen of a node, for machines on which none can be run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use containerd_dropins::value::Table;
use serde::{Deserialize, Serialize};

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
    pub(crate) specs: BTreeMap<String, BTreeMap<String, String>>,
    /// Not recorded: no two runs have the same.
    #[serde(skip)]
    pub(crate) told: BTreeMap<String, String>,
    #[serde(skip)]
    pub(crate) log: String,
}

impl Recorded {
    pub(crate) fn new(
        release: containerd_dropins::containerd::Release,
        side: &Side,
        seen: Seen,
    ) -> Recorded {
        Recorded {
            containerd: release.to_string(),
            files: side.files.clone().unwrap_or_default(),
            facts: seen.facts,
            specs: seen.specs,
            told: seen.told,
            log: seen.log,
        }
    }

    /// Reads what was recorded of the same files; a comment makes no difference
    /// to containerd.
    pub(crate) fn read(path: &Path, side: &Side) -> Result<Recorded, String> {
        let again = format!("{}: RECORD=1 records it again", path.display());
        let text = fs::read_to_string(path).map_err(|error| format!("{error}; {again}"))?;
        let recorded: Recorded =
            serde_json::from_str(&text).map_err(|error| format!("{error}; {again}"))?;
        let files = side.files.clone().unwrap_or_default();
        let is_same = |(path, text): (&String, &String)| {
            let other = recorded.files.get(path);
            other.is_some_and(|other| other == text || values(other) == values(text))
        };
        match recorded.files.len() == files.len() && files.iter().all(is_same) {
            true => Ok(recorded),
            false => Err(format!("recorded of other files; {again}")),
        }
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

fn values(text: &str) -> Option<Table> {
    toml_edit::de::from_str(text).ok()
}
