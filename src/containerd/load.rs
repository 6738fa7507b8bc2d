//! How containerd loads a main file and its imports, and what is in effect
//! afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::difference::{self, Difference, Unknown};
use super::place::Place;
use super::setting::{Kind, Merge, Presence, State};
use super::{Release, plugin};
use crate::config::Config;
use crate::config::address::{self, stated_version};
use crate::shown;
use crate::value::{self, Table, Value};

/// What containerd runs with: the merged files over its built-in defaults.
#[derive(Clone)]
pub struct Effective {
    /// By the paths of version 2.
    table: Table,
    release: Release,
    /// The files are of version 1, whose lists of plugins have short names.
    has_short_names: bool,
    versions: Versions,
}

/// Config versions of those files that state one; 0 where none does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    /// That of the main file, or of the first that states one.
    pub(crate) first: i64,
    pub(crate) highest: i64,
    pub(crate) last: i64,
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = shown::table(Some(Config::place()), &self.table);
        f.debug_struct("Effective")
            .field("release", &self.release)
            .field("table", &shown)
            .finish()
    }
}

impl Effective {
    /// Merges files in the order in which containerd loads them, the main
    /// file first.
    ///
    /// Outside of `plugins`, files are merged by key (`mergo` with override):
    /// zero values never override, lists of plugins are appended, and entries
    /// of `proxy_plugins`, `stream_processors` and `timeouts` are replaced one
    /// by one. containerd 1.3 – 1.7 replace a plugin's section as a whole, and
    /// the last file that states a version decides how all are read; 2.x
    /// merges sections key by key, zero values included, and reads each file
    /// by its own version.
    ///
    /// What containerd 2.x loses in migrating files of version 1 and 2 is not
    /// lost here: drop-ins of k0s 1.36 and later are of version 3.
    pub fn load(release: Release, files: impl IntoIterator<Item = Table>) -> Self {
        let mut files: Vec<Table> = files.into_iter().collect();
        if !release.is_2() {
            files
                .iter_mut()
                .for_each(|file| in_lower_case(&Config::place(), file));
        }
        let last = files.iter().filter_map(stated_version).next_back();
        let mut loading = Loading::by(release, last);
        files.into_iter().for_each(|file| loading.add(file));
        loading.finish()
    }
    /// The value in effect at a path, for instance
    /// `["plugins", "io.containerd.grpc.v1.cri", "sandbox_image"]`; `None`
    /// where it is the zero value that nothing sets, or unknown. The path is
    /// that of the config version that the release writes, see
    /// [`Release::config_version`].
    pub fn get(&self, path: &[&str]) -> Option<Value> {
        let path = address::setting_at(paths_of(self.release), path);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.value(&path)
    }

    pub(crate) fn release(&self) -> Release {
        self.release
    }

    /// The config versions that the files state.
    pub(crate) fn versions(&self) -> Versions {
        self.versions
    }

    pub(crate) fn has_short_names(&self) -> bool {
        self.has_short_names
    }

    /// What the files set at a path of version 2.
    pub(crate) fn set_value(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let value = self.table.get(*first)?;
        rest.iter()
            .try_fold(value, |value, key| value.as_table()?.get(*key))
    }

    /// The entries of the map at a path of version 2, built-in ones included.
    pub(crate) fn entries(&self, path: &[&str]) -> Vec<String> {
        let place = Config::place_of(path);
        let table = self.set_value(path).and_then(Value::as_table);
        let mut entries: Vec<String> = table.into_iter().flat_map(Table::keys).cloned().collect();
        let is_kept = |place: &Place| table.is_none() || place.keeps_builtin_entries(self.release);
        if let Some(place) = place.filter(is_kept) {
            let built_in = place.builtin_entries(self.release).map(str::to_owned);
            let more: Vec<String> = built_in.filter(|key| !entries.contains(key)).collect();
            entries.extend(more);
        }
        entries
    }

    /// The path by which the release has a setting.
    pub(crate) fn address(&self, path: &[&str]) -> Vec<String> {
        let address = address::of(paths_of(self.release), path);
        address.into_iter().map(str::to_owned).collect()
    }

    /// The id by which the release has a plugin.
    pub(crate) fn plugin_id<'a>(&self, uri: &'a str) -> &'a str {
        address::plugin_id(paths_of(self.release), uri)
    }

    /// The value in effect at a path of version 2.
    pub(crate) fn value(&self, path: &[&str]) -> Option<Value> {
        let mut place = Some(Config::place());
        let mut found: Option<&Value> = None;
        let mut table = Some(&self.table);
        for key in path {
            found = table.and_then(|table| table.get(*key));
            let explicit = found.is_some();
            place = place.and_then(|place| place.child(key)).map(|place| {
                if explicit {
                    place.named_in_file(self.release)
                } else {
                    place
                }
            });
            table = found.and_then(Value::as_table);
        }
        found
            .cloned()
            .or_else(|| place?.state(self.release).printed())
    }

    /// Every key that is in effect with another value in `other`, which may be
    /// of another release: then what a release does not know is as if nothing set
    /// it. The paths are those of `other`'s release.
    pub fn differences(&self, other: &Effective) -> Vec<Difference> {
        let unknown = match self.release == other.release {
            true => Unknown::Compared,
            false => Unknown::Ignored,
        };
        let mut found = self.compared(other, unknown);
        let version = paths_of(other.release);
        for difference in &mut found {
            let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
            let address = address::of(version, &path);
            difference.path = address.into_iter().map(str::to_owned).collect();
        }
        found
    }

    /// Every setting that the two releases act on otherwise, by the paths of
    /// version 2, whose names may hold credentials.
    pub(crate) fn setting_differences(&self, other: &Effective) -> Vec<Difference> {
        self.compared(other, Unknown::Ignored)
    }

    fn compared(&self, other: &Effective, unknown: Unknown) -> Vec<Difference> {
        let releases = [self.release, other.release];
        difference::between(&self.table, &other.table, releases, unknown)
    }

    /// Sets a value, or makes a table, with all tables above it.
    pub(crate) fn set(&mut self, path: &[&str], value: Option<&Value>) {
        let (last, parents) = match (value, path.split_last()) {
            (Some(value), Some((last, parents))) => (Some((*last, value)), parents),
            _ => (None, path),
        };
        let mut table = &mut self.table;
        for key in parents {
            // An owned key only where there is none.
            if !matches!(table.get(*key), Some(Value::Table(_))) {
                table.insert((*key).to_owned(), Value::Table(Table::new()));
            }
            match table.get_mut(*key) {
                Some(Value::Table(child)) => table = child,
                _ => return,
            }
        }
        let Some((key, value)) = last else {
            return;
        };
        match (table.get_mut(key), value) {
            // Lists of plugins that several files have.
            (Some(Value::Array(into)), Value::Array(from)) if parents.is_empty() => {
                into.extend(from.iter().cloned());
            }
            _ => drop(table.insert(key.to_owned(), value.clone())),
        }
    }
}

/// Files that are being loaded, one after the other.
pub(crate) struct Loading {
    table: Table,
    lists: Lists,
    release: Release,
    /// The version by which containerd 1.x reads all files: that which the last
    /// of them states.
    all: Option<i64>,
    versions: Versions,
}

impl Loading {
    /// For containerd 2.x, which reads each file by its own version.
    pub(crate) fn new(release: Release) -> Self {
        Self::by(release, None)
    }

    fn by(release: Release, all: Option<i64>) -> Self {
        Loading {
            table: Table::new(),
            lists: Lists::new(),
            release,
            all,
            versions: Versions {
                first: 0,
                highest: 0,
                last: 0,
            },
        }
    }

    pub(crate) fn add(&mut self, file: Table) {
        let release = self.release;
        if let Some(stated) = stated_version(&file) {
            let versions = &mut self.versions;
            if versions.first == 0 {
                versions.first = stated;
            }
            versions.highest = versions.highest.max(stated);
            versions.last = stated;
        }
        let (version, lenient) = match release.is_2() {
            true => (version_on_2(&file), true),
            false => (
                if self.all.is_none_or(|v| v == 1) {
                    1
                } else {
                    2
                },
                false,
            ),
        };
        let lenient = lenient && matches!(version, 2 | 3);
        // The paths of version 2 are the settings' own.
        let mut file = match (version, lenient) {
            (2, false) => file,
            _ => address::read(file, version, lenient),
        };
        // Plugins of version 1 have other names up to here.
        if version == 1 && !release.is_2() {
            in_lower_case(&Config::place(), &mut file);
        }
        merge(
            &Config::place(),
            &mut self.table,
            &mut self.lists,
            file,
            release,
        );
    }

    pub(crate) fn finish(self) -> Effective {
        let release = self.release;
        Effective {
            table: self.table,
            release,
            has_short_names: !release.is_2() && self.all.is_none_or(|version| version == 1),
            versions: self.versions,
        }
    }
}

/// The config version whose paths a release goes by; plugins have URIs even for
/// containerd 1.2.
fn paths_of(release: Release) -> i64 {
    release.config_version().max(2)
}

/// The names in a list that more and more files append to.
#[derive(Debug, Default)]
pub(crate) struct Names(Option<BTreeSet<String>>);

impl Names {
    /// Appends a list of names, from containerd 2.0 on each once. `into` is the
    /// same list each time.
    pub(crate) fn append(&mut self, into: &mut Vec<Value>, from: Vec<Value>, once: bool) {
        if !once {
            into.extend(from);
            return;
        }
        let name = |item: &Value| item.as_str().map(str::to_owned);
        let seen = self
            .0
            .get_or_insert_with(|| into.iter().filter_map(name).collect());
        let is_first = |item: &Value| name(item).is_none_or(|name| seen.insert(name));
        into.extend(from.into_iter().filter(is_first));
    }
}

/// The names in the lists of a table, by key.
type Lists = BTreeMap<String, Names>;

/// Spells keys in upper case as they are declared: go-toml 1.9, the parser of
/// containerd 1.x, looks for a key in lower case and then in upper case.
fn in_lower_case(place: &Place, table: &mut Table) {
    let is_struct = matches!(place.kind, Kind::Section(_)) && place.presence() != Presence::Free;
    if is_struct {
        let is_upper = |key: &&String| !key.chars().any(char::is_lowercase);
        let upper: Vec<String> = table.keys().filter(is_upper).cloned().collect();
        for key in upper {
            let lower = key.to_lowercase();
            let is_read = place.child(&lower).is_some() && !table.contains_key(&lower);
            if lower != key
                && is_read
                && let Some(value) = table.remove(&key)
            {
                table.insert(lower, value);
            }
        }
    }
    for (key, value) in table {
        if let (Some(child), Value::Table(table)) = (place.child(key), value) {
            in_lower_case(&child, table);
        }
    }
}

/// The version by which containerd 2.3 reads a file: without one it understands
/// short names and the URIs of all versions.
fn version_on_2(file: &Table) -> i64 {
    let plugins = file.get("plugins").and_then(Value::as_table);
    let short = plugins.is_some_and(|plugins| plugins.keys().any(|id| !id.contains('.')));
    match stated_version(file) {
        Some(version) => version,
        None if short => 1,
        None => 3,
    }
}

fn merge(place: &Place, into: &mut Table, lists: &mut Lists, from: Table, release: Release) {
    for (key, value) in from {
        let Some(child) = place.child(&key) else {
            // containerd ignores it; the later file's shows.
            into.insert(key, value);
            continue;
        };
        match (child.merge, into.get_mut(&key), value) {
            (Merge::Append, Some(Value::Array(into)), Value::Array(from)) => {
                let names = lists.entry(key).or_default();
                names.append(into, from, release.is_2());
            }
            (Merge::Entry, Some(Value::Table(into)), Value::Table(from)) => {
                match release.is_2() && key == "plugins" {
                    true => value::merge(into, from),
                    false => into.extend(from),
                }
            }
            (Merge::NonZero, Some(Value::Table(into)), Value::Table(from)) => {
                merge(&child, into, &mut Lists::new(), from, release);
            }
            (Merge::NonZero, _, Value::Table(from)) => {
                let mut table = Table::new();
                merge(&child, &mut table, &mut Lists::new(), from, release);
                into.insert(key, Value::Table(table));
            }
            (Merge::NonZero, _, value) if value.is_zero() => {}
            (_, _, value) => {
                lists.remove(&key);
                into.insert(key, value);
            }
        }
    }
}

/// What `containerd config default` of a release prints, in the config version
/// that it writes; plugins have URIs even for containerd 1.2.
pub fn default_config(release: Release) -> Table {
    let table = printed(&Config::place(), release);
    address::write(table, paths_of(release))
}

/// The defaults of the CRI plugin, as `config default` prints them.
pub(crate) fn default_cri(release: Release) -> Table {
    let cri = Config::place_of(&["plugins", plugin::CRI]);
    cri.map(|cri| printed(&cri, release)).unwrap_or_default()
}

fn printed(place: &Place, release: Release) -> Table {
    let mut table = Table::new();
    place.each_declared(&mut |key, child| {
        let state = child.state(release);
        let value = match child.kind {
            _ if state == State::Absent => None,
            // Entries that are not built in have no state of their own.
            _ if child.is_entry && !place.builtin_entries(release).any(|entry| entry == key) => {
                None
            }
            Kind::Section(_) | Kind::Map(_) => Some(Value::Table(printed(&child, release))),
            _ => state.printed(),
        };
        table.extend(value.map(|value| (key.to_owned(), value)));
    });
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    /// As `config dump` of 1.7.24 has it.
    #[test]
    fn keys_in_upper_case_are_read_by_1_x() {
        let load = |text: &str| {
            let document = Document::parse("t", text.as_bytes()).unwrap();
            Effective::load("1.7.24".parse().unwrap(), [document.to_table()])
        };
        let gc = "plugins.'io.containerd.gc.v1.scheduler'";
        let text =
            format!("VERSION = 2\nOOM_SCORE = -5\nTemp = '/t'\n[{gc}]\nPAUSE_THRESHOLD = 0.5\n");
        let effective = load(&text);
        let get = |path: &[&str]| effective.get(path);
        assert_eq!(get(&["oom_score"]), Some(Value::Integer(-5)));
        assert_eq!(get(&["temp"]), Some(Value::String(String::new())));
        let pause = [
            "plugins",
            "io.containerd.gc.v1.scheduler",
            "pause_threshold",
        ];
        assert_eq!(get(&pause), Some(Value::Float(0.5)));
        // The one in lower case counts, and names of entries are names.
        let both = load("version = 2\nOOM_SCORE = -5\noom_score = -6\n[timeouts]\nA = '1s'\n");
        assert_eq!(both.get(&["oom_score"]), Some(Value::Integer(-6)));
        assert_eq!(
            both.get(&["timeouts", "A"]),
            Some(Value::String("1s".to_owned()))
        );
        let short = load("[plugins.scheduler]\nPAUSE_THRESHOLD = 0.5\n");
        assert_eq!(short.get(&pause), Some(Value::Float(0.5)));
    }
}
