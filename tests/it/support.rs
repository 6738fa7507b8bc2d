//! Helpers that several test files share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containerd_dropins::value::{Table, Value};

/// A path inside of `tests`.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(relative)
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder, by name.
pub fn files(relative: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path(relative))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{relative} is empty");
    files
}

pub fn parse(text: &str) -> Table {
    toml_edit::de::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Every leaf of a table by its path.
pub fn leaves(table: &Table) -> BTreeMap<String, Value> {
    fn walk(path: &str, table: &Table, leaves: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let path = if path.is_empty() {
                format!("{key:?}")
            } else {
                format!("{path}.{key:?}")
            };
            match value {
                Value::Table(inner) => walk(&path, inner, leaves),
                value => drop(leaves.insert(path, value.clone())),
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", table, &mut leaves);
    leaves
}
