//! The settings that a generated file can set, and where.

use std::fmt;
use std::sync::OnceLock;

use crate::config::Config;
use crate::containerd::Release;
use crate::containerd::load::Effective;
use crate::containerd::releases::V1_2;
use crate::containerd::setting::{History, Kind, Presence, Section, State, state_at};
use crate::value::{Exposed, Table, Value, put_at};
use crate::write;

/// One setting that a generated file sets. `Debug` shows its value.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::strategies::settings;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(edit in settings(), version in 1i64..=4)| {
///     if let Some(text) = edit.to_toml(version) {
///         prop_assert!(Document::parse("containerd.toml", text.as_bytes()).is_ok(), "{text}");
///     }
/// });
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Edit {
    /// Its path in config version 2, or as [`Config::SETTINGS`] has it where that
    /// version does not know it.
    pub path: Vec<String>,
    /// Its value.
    pub value: Value,
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        write!(f, "{} = {}", write::dotted(&path), self.value.exposed())
    }
}

impl Edit {
    /// Its path in a config version, if that has a place for it.
    pub fn address(&self, version: i64) -> Option<Vec<String>> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        Config::address(version, &path)
    }

    /// The text of a file of a config version that sets it and nothing else, if that
    /// version has a place for it.
    pub fn to_toml(&self, version: i64) -> Option<String> {
        let mut table = Table::from([("version".to_owned(), Value::Integer(version))]);
        self.address(version)?;
        self.put_into(&mut table, version);
        if version == 1 {
            // Files of version 1 do not state it.
            table.remove("version");
        }
        Some(Exposed::table(&table).to_toml())
    }

    /// What a release has in effect where this setting stands. The text of an
    /// assertion hides values: compare them as they are, and print
    /// [`Value::exposed`].
    ///
    /// ```
    /// use containerd_dropins::strategies::LegacyFiles;
    /// use proptest::prelude::*;
    ///
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// let files = LegacyFiles::new().versions(&[2]).without_conversions().strategy();
    /// proptest!(config, |(file in files)| {
    ///     for edit in file.edits.iter().filter(|edit| !edit.value.is_zero()) {
    ///         let value = edit.value_in(&file.effective(), file.containerd);
    ///         prop_assert!(value.is_some(), "{edit:?} in {file:?}");
    ///     }
    /// });
    /// ```
    pub fn value_in(&self, effective: &Effective, release: Release) -> Option<Value> {
        let address = self.address(release.config_version())?;
        let address: Vec<&str> = address.iter().map(String::as_str).collect();
        effective.get(&address)
    }

    /// Puts it into the table of a file of a config version.
    pub(super) fn put_into(&self, table: &mut Table, version: i64) {
        if let Some(address) = self.address(version) {
            let address: Vec<&str> = address.iter().map(String::as_str).collect();
            put_at(table, &address, self.value.clone());
        }
    }
}

/// A declared setting that is no table: its path, with `*` for the names of map
/// entries.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) path: Vec<&'static str>,
    pub(super) kind: Kind,
    /// Its own; there may be releases without it between others.
    history: History,
    since: Release,
    gone: Option<Release>,
    /// It, or a table that it is in, has a successor or another form in another
    /// release.
    pub(super) is_converted: bool,
}

/// What is known of the tables above a setting.
#[derive(Clone, Copy)]
struct Above {
    since: Release,
    gone: Option<Release>,
    is_converted: bool,
}

impl Leaf {
    /// Whether a release of containerd reads it from files of a config version.
    pub(super) fn is_read(&self, version: i64, release: Release) -> bool {
        let is_alive = self.since <= release && self.gone.is_none_or(|gone| release < gone);
        let is_there = state_at(self.history, release) != State::Absent;
        is_alive && is_there && Config::address(version, &self.path).is_some()
    }

    /// Whether a release reads it from some config version: 2.x by the place that
    /// it has in version 3 or later, or by that of version 2.
    pub(super) fn is_read_by(&self, release: Release) -> bool {
        (1..=release.config_version()).any(|version| self.is_read(version, release))
    }

    /// Its path for the entries of maps that it is in.
    pub(super) fn named(&self, name: &str) -> Vec<String> {
        let key = |key: &&str| if *key == "*" { name } else { key }.to_owned();
        self.path.iter().map(key).collect()
    }
}

/// All of them, but for what k0s decides; those of the daemon first.
pub(super) fn all() -> &'static [Leaf] {
    static ALL: OnceLock<Vec<Leaf>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut leaves = Vec::new();
        let above = Above {
            since: V1_2,
            gone: None,
            is_converted: false,
        };
        of_section(Config::SETTINGS, &mut Vec::new(), above, &mut leaves);
        leaves.sort_by_key(|leaf| leaf.path.first() == Some(&"plugins"));
        leaves
    })
}

fn removed(history: History) -> Option<Release> {
    match history.last() {
        Some((release, State::Absent)) => Some(*release),
        _ => None,
    }
}

/// The declarations are not deep.
fn of_section(
    section: &'static Section,
    path: &mut Vec<&'static str>,
    above: Above,
    leaves: &mut Vec<Leaf>,
) {
    let settings = section.settings.iter();
    for setting in settings.filter(|setting| setting.owned.is_none()) {
        let first = setting.history.first();
        let here = Above {
            since: first.map_or(above.since, |(release, _)| above.since.max(*release)),
            gone: above.gone.or(removed(setting.history)),
            is_converted: above.is_converted || setting.successor.is_some(),
        };
        path.push(setting.key);
        of_kind(&setting.kind, setting.history, path, here, leaves);
        path.pop();
    }
}

fn of_kind(
    kind: &Kind,
    history: History,
    path: &mut Vec<&'static str>,
    above: Above,
    leaves: &mut Vec<Leaf>,
) {
    match kind {
        // What counts among the options of a handler depends on its type: these are
        // of the type that is made.
        Kind::Section(section) if section.presence == Presence::Free => {
            for key in ["BinaryName", "SystemdCgroup", "IoUid"] {
                if let Some(setting) = section.get(key) {
                    path.push(key);
                    of_kind(&setting.kind, setting.history, path, above, leaves);
                    path.pop();
                }
            }
        }
        Kind::Section(section) => of_section(section, path, above, leaves),
        Kind::Map(kind) => {
            path.push("*");
            of_kind(kind, history, path, above, leaves);
            path.pop();
        }
        Kind::Tables(_) => {}
        kind => leaves.push(Leaf {
            path: path.clone(),
            kind: *kind,
            history,
            since: above.since,
            gone: above.gone,
            is_converted: above.is_converted,
        }),
    }
}
