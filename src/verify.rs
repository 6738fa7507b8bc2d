//! The laws, executable: what the drop-ins make of the target's configuration
//! is computed from their text and compared with what was wanted.
//!
//! 1. Read the emitted text again.
//! 2. Assemble it as the target's k0s does: 1.27 – 1.35 put CRI settings over
//!    the generated defaults and import the rest, 1.36 checks and imports all.
//! 3. Load it as the target's containerd does.
//! 4. Compare, key by key and defaults included, with the configuration
//!    without drop-ins in which only the wanted keys are set. Nothing may be
//!    missing (preservation), nothing else may differ (non-interference).
//! 5. Check that no two drop-ins set the same key or share what is replaced
//!    as a whole (order independence).

use std::collections::BTreeMap;

use crate::config::Config;
use crate::containerd::difference::Difference;
use crate::containerd::load::Effective;
use crate::containerd::plugin;
use crate::containerd::setting::Merge;
use crate::k0s::{self, AssembleError, DropInSet, FileName, NameError, Regime};
use crate::migrate::{DropIn, Target, split};
use crate::value::{Table, Value};
use crate::write::dotted;

/// A key that the effective configuration must hold beyond the target's own.
/// No value stands for the mere existence of a table.
pub(crate) type Wanted<'t> = (Vec<&'t str>, Option<&'t Value>);

/// How the computed configuration fails to be the wanted one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Assemble(#[from] AssembleError),
    #[error("{first} and {second} both set {key}")]
    Shared {
        first: FileName,
        second: FileName,
        key: String,
    },
    #[error("containerd 2.3 loses settings in {file} by others that stand beside them")]
    Migrated { file: FileName },
    #[error("the effective configuration differs from the wanted one at {}", keys(.0))]
    Differs(Vec<Difference>),
}

/// The paths, without the values: they could be credentials.
fn keys(differences: &[Difference]) -> String {
    let shown = differences.iter().take(10).map(|difference| {
        let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
        dotted(&path)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Gives the configuration that is in effect with the drop-ins.
pub(crate) fn verify(
    target: &Target,
    drop_ins: &[DropIn],
    wanted: &[Wanted<'_>],
) -> Result<Effective, VerifyError> {
    let files = drop_ins.iter();
    let files = files.map(|drop_in| (&drop_in.name, drop_in.text()));
    let set = DropInSet::default().importing(files)?;
    let parsed = k0s::parse_all(&set)?;
    let tables = k0s::tables_of(&parsed);
    let release = &target.release;
    if tables.len() > 1 {
        disjoint(&tables, release.regime)?;
    }
    if release.regime == Regime::ImportsV3 {
        survives_migration(&tables)?;
    }
    let image = target.pause_image();
    let after = k0s::put_together(release, image, &parsed, tables)?.effective();
    let mut expected: Effective = k0s::assemble(release, image, &DropInSet::default())?.effective();
    for (path, value) in wanted {
        expected.set(path, *value);
    }
    let differences = expected.differences(&after);
    match differences.is_empty() {
        true => Ok(after),
        false => Err(VerifyError::Differs(differences)),
    }
}

/// containerd 2.3 migrates each file once more. In doing so it replaces the
/// section of the shim manager where there is one of the task manager, and
/// leaves a server's settings behind where there is a section of its plugin.
fn survives_migration(tables: &BTreeMap<&FileName, Table>) -> Result<(), VerifyError> {
    let loses = |table: &Table| {
        let plugins = table.get("plugins").and_then(Value::as_table);
        let has = |id: &str| plugins.is_some_and(|plugins| plugins.contains_key(id));
        let mut ids = plugins.into_iter().flat_map(Table::keys);
        let server_plugin = ids.any(|id| split::is_server_plugin(&["plugins", id]));
        let server = table.iter().any(|(key, value)| {
            let inner = value.as_table().into_iter().flat_map(Table::keys);
            let mut paths = inner.map(|inner| [key.as_str(), inner.as_str()]);
            paths.any(|path| split::is_server(&path))
        });
        has(plugin::TASK) && has(plugin::SHIM_MANAGER) || server && server_plugin
    };
    match tables.iter().find(|(_, table)| loses(table)) {
        Some((file, _)) => Err(VerifyError::Migrated {
            file: (*file).clone(),
        }),
        None => Ok(()),
    }
}

/// Whether every key, and every section that containerd replaces whole, is in
/// one drop-in only.
fn disjoint(tables: &BTreeMap<&FileName, Table>, regime: Regime) -> Result<(), VerifyError> {
    let mut owners: BTreeMap<Vec<&str>, &FileName> = BTreeMap::new();
    for (file, table) in tables {
        let mut paths = Vec::new();
        let sections_merge = regime == Regime::ImportsV3;
        collect(table, sections_merge, &mut Vec::new(), &mut paths);
        paths.sort();
        paths.dedup();
        for path in paths {
            // What is not a setting, or is appended.
            let merge = |key: &str| Config::place_of(&[key]).map(|place| place.merge);
            let apart = |key: &str| key == "version" || merge(key) == Some(Merge::Append);
            if matches!(path.as_slice(), [key] if apart(key)) {
                continue;
            }
            if let Some(first) = owners.insert(path.clone(), file) {
                return Err(VerifyError::Shared {
                    first: first.clone(),
                    second: (*file).clone(),
                    key: dotted(&path),
                });
            }
        }
    }
    Ok(())
}

/// The paths of all leaves, cut off where containerd 1.x replaces whole.
fn collect<'t>(
    table: &'t Table,
    sections_merge: bool,
    at: &mut Vec<&'t str>,
    paths: &mut Vec<Vec<&'t str>>,
) {
    for (key, value) in table {
        at.push(key);
        let whole = match at.as_slice() {
            // containerd 2.3 makes plugins of the servers file by file, and
            // leaves behind what the file alone does not bear out.
            ["grpc" | "ttrpc" | "metrics"] => sections_merge,
            ["plugins", plugin::CRI] => false,
            ["plugins", _] if sections_merge => false,
            [map, _] => Config::place_of(&[map]).is_some_and(|map| map.merge == Merge::Entry),
            _ => false,
        };
        match value {
            Value::Table(inner) if !whole => collect(inner, sections_merge, at, paths),
            _ => paths.push(at.clone()),
        }
        at.pop();
    }
}
