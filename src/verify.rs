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

use crate::config::Config;
use crate::containerd::difference::Difference;
use crate::containerd::load::Effective;
use crate::containerd::plugin;
use crate::containerd::setting::Merge;
use crate::k0s::{self, AssembleError, DropInSet, FileName, NameError, Regime};
use crate::migrate::{DropIn, Target, split};
use crate::shown;
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
        shown::path(&path)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Gives the configuration that is in effect with the drop-ins; `pristine` is the
/// one without any.
pub(crate) fn verify<'t>(
    target: &Target,
    drop_ins: &[DropIn],
    wanted: impl Iterator<Item = Wanted<'t>>,
    pristine: &Effective,
) -> Result<Effective, VerifyError> {
    let files = drop_ins.iter();
    let files = files.map(|drop_in| (&drop_in.name, drop_in.text()));
    let set = DropInSet::default().importing(files)?;
    let release = &target.release;
    let mut owners = Owners::default();
    let mut migrated = None;
    let parsed = k0s::parse_all(&set).inspect(|parsed| {
        let Ok((file, parsed)) = parsed else {
            return;
        };
        if drop_ins.len() > 1 {
            owners.add(file, &parsed.table, release.regime);
        }
        if release.regime == Regime::ImportsV3 && loses_in_migration(&parsed.table) {
            migrated.get_or_insert_with(|| (*file).clone());
        }
    });
    let image = target.pause_image();
    let after = k0s::effective(release, image, parsed)?;
    owners.each_alone()?;
    if let Some(file) = migrated {
        return Err(VerifyError::Migrated { file });
    }
    let mut expected = pristine.clone();
    for (path, value) in wanted {
        expected.set(&path, value);
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
fn loses_in_migration(table: &Table) -> bool {
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
}

/// Every key, and every section that containerd replaces whole, with the drop-in
/// that has it.
#[derive(Default)]
struct Owners<'a> {
    keys: Vec<(String, &'a FileName)>,
}

impl<'a> Owners<'a> {
    fn add(&mut self, file: &'a FileName, table: &Table, regime: Regime) {
        let mut paths = Vec::new();
        let sections_merge = regime == Regime::ImportsV3;
        collect(table, sections_merge, &mut Vec::new(), &mut paths);
        paths.sort();
        paths.dedup();
        // What is not a setting, or is appended.
        let merge = |key: &str| Config::place_of(&[key]).map(|place| place.merge());
        let apart = |key: &str| key == "version" || merge(key) == Some(Merge::Append);
        paths.retain(|path| !matches!(path.as_slice(), [key] if apart(key)));
        let keys = paths.iter().map(|path| (dotted(path), file));
        self.keys.extend(keys);
    }

    /// Whether each is in one drop-in only.
    fn each_alone(mut self) -> Result<(), VerifyError> {
        self.keys.sort();
        let pairs = self.keys.iter().zip(self.keys.iter().skip(1));
        let shared = pairs.into_iter().find(|((a, _), (b, _))| a == b);
        match shared {
            Some(((key, first), (_, second))) => Err(VerifyError::Shared {
                first: (*first).clone(),
                second: (*second).clone(),
                key: key.clone(),
            }),
            None => Ok(()),
        }
    }
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
            [_] => sections_merge && Config::place_of(at).is_some_and(|place| place.is_of_server()),
            ["plugins", plugin::CRI] => false,
            ["plugins", _] if sections_merge => false,
            [map, _] => Config::place_of(&[map]).is_some_and(|map| map.merge() == Merge::Entry),
            _ => false,
        };
        match value {
            Value::Table(inner) if !whole => collect(inner, sections_merge, at, paths),
            _ => paths.push(at.clone()),
        }
        at.pop();
    }
}
