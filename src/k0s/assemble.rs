//! What k0s 1.27.5 – 1.35 generate from a directory of drop-ins.

use std::collections::BTreeMap;

use super::merge_patch::{self, MergeError};
use super::{MARKER, Release};
use crate::containerd::load::{self, Effective};
use crate::containerd::plugin;
use crate::value::{Table, Value};
use crate::write;

/// Why k0s would not start containerd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {source}")]
#[non_exhaustive]
pub struct AssembleError {
    /// The drop-in.
    pub file: String,
    /// What is wrong with it.
    pub source: MergeError,
}

/// The files that containerd loads: the main one, the imported drop-ins, and
/// the merged CRI settings.
#[derive(Clone, Debug)]
pub struct Assembled<'a> {
    cri: Table,
    imported: BTreeMap<&'a str, Table>,
    release: &'a Release,
}

/// Classifies and merges drop-ins, given by file name, as k0s 1.27.5 – 1.35
/// do on Linux.
///
/// A drop-in with a `plugins."io.containerd.grpc.v1.cri"` is laid over
/// containerd's defaults as a whole, in the order of the names; any other is
/// imported. `pause_image` is what k0s injects as sandbox image.
///
/// # Errors
/// If a drop-in holds a value that k0s's merge cannot carry.
pub fn assemble<'a>(
    release: &'a Release,
    pause_image: &str,
    drop_ins: impl IntoIterator<Item = (&'a str, Table)>,
) -> Result<Assembled<'a>, AssembleError> {
    let mut section = load::default_cri(release.containerd);
    section.insert(
        "sandbox_image".to_owned(),
        Value::String(pause_image.to_owned()),
    );
    let plugins = Table::from([(plugin::CRI.to_owned(), Value::Table(section))]);
    let mut cri = Table::from([
        ("version".to_owned(), Value::Integer(2)),
        ("plugins".to_owned(), Value::Table(plugins)),
    ]);
    let mut imported = BTreeMap::new();
    let by_name: BTreeMap<_, _> = drop_ins.into_iter().collect();
    for (name, table) in by_name {
        if has_cri(&table) {
            merge_patch::merge(&mut cri, table).map_err(|source| AssembleError {
                file: name.to_owned(),
                source,
            })?;
        } else {
            imported.insert(name, table);
        }
    }
    Ok(Assembled {
        cri,
        imported,
        release,
    })
}

/// k0s's test for a CRI drop-in: the path exists.
fn has_cri(table: &Table) -> bool {
    let plugins = table.get("plugins").and_then(Value::as_table);
    plugins.is_some_and(|plugins| plugins.contains_key(plugin::CRI))
}

impl Assembled<'_> {
    /// What containerd makes of it: the main file, the imported drop-ins, and
    /// last the merged CRI settings.
    pub fn effective(self) -> Effective {
        let main = Table::from([("version".to_owned(), Value::Integer(2))]);
        let files = std::iter::once(main)
            .chain(self.imported.into_values())
            .chain(std::iter::once(self.cri));
        Effective::load(self.release.containerd, files)
    }

    /// The text of the merged CRI settings, `containerd-cri.toml`.
    pub fn cri_toml(&self) -> String {
        write::document(&self.cri)
    }

    /// The text of the main file, with the drop-ins under `drop_in_dir` and
    /// the CRI settings at `cri_path`.
    pub fn main_toml(&self, drop_in_dir: &str, cri_path: &str) -> String {
        let paths = self
            .imported
            .keys()
            .map(|name| format!("{drop_in_dir}/{name}"));
        let imports = paths.chain(std::iter::once(cri_path.to_owned()));
        let table = Table::from([
            ("version".to_owned(), Value::Integer(2)),
            (
                "imports".to_owned(),
                Value::Array(imports.map(Value::String).collect()),
            ),
        ]);
        let above = "\n".repeat(self.release.marker_line() - 1);
        format!("{above}{MARKER}\n{}", write::document(&table))
    }
}
