//! How containerd loads a main file and its imports, and what is in effect
//! afterwards.

mod key;
mod merge;

use std::fmt;

pub(crate) use key::{Known, NoPlugin, Reading, Why};
pub(crate) use merge::{Meeting, Met, Names, Rules, Side};

use merge::{Lists, Merged};

use super::difference::{self, Difference, Unknown};
use super::place::Place;
use super::setting::{Kind, Merge, State};
use super::{Release, plugin};
use crate::config::Config;
use crate::config::address::{self, Dialect};
use crate::config::known::{CRI_PLUGIN, VERSION};
use crate::shown::{self, Redacted};
use crate::value::{Table, Value};

/// What containerd runs with: the merged files over its built-in defaults.
#[derive(Clone)]
pub struct Effective {
    /// By the paths of version 2.
    table: Table,
    release: Release,
    /// The files are of version 1, whose lists of plugins have short names.
    has_short_names: bool,
    versions: Versions,
    /// The names in the lists that files append to.
    lists: Lists,
}

/// Config versions of those files that state one; 0 where none does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    /// That of the main file, or of the first that states one.
    pub(crate) first: i64,
    pub(crate) highest: i64,
    /// containerd 2.x brings a file of version 1 to that of the files before it, so
    /// that it counts if it is alone.
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
    /// For 2.x this is exact where all files are of the config version that the
    /// release writes, as those of k0s 1.36 and later are for 2.0 to 2.2. Files of
    /// an earlier version it migrates, and what it loses or puts into another form
    /// in that is not lost here and keeps its form: with 2.0 to 2.2 all that stands
    /// elsewhere in version 3, of files of version 1, and of version 2 beside version
    /// 3; with any of them `cni.bin_dir`, `sched_core`, and `snapshotter`,
    /// `disable_snapshot_annotations` and `discard_unpacked_layers` without a table
    /// of runtimes; with 2.3 and later what a file says of a server without its
    /// address. Settings of a version that the release does not
    /// know are taken for what they are in that version.
    ///
    /// What only shows in `config dump` is not told: the address that containerd
    /// adds to the `exports` of a proxy plugin.
    pub fn load(release: Release, files: impl IntoIterator<Item = Table>) -> Self {
        let files: Vec<Table> = files.into_iter().collect();
        let last = files
            .iter()
            .filter_map(|file| stated(file, release))
            .next_back();
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
        let path = address::setting_at(Dialect::own(self.release), path);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let value = self.value(&path)?;
        Some(match plugin::is_list(&path) {
            true => self.with_own_ids(&value),
            false => value,
        })
    }

    /// A list of plugins by the ids by which the release has them.
    pub(crate) fn with_own_ids(&self, list: &Value) -> Value {
        match self.has_short_names {
            true => list.clone(),
            false => address::with_ids(list, |id| address::id_in_file(self.plugin_id(id))),
        }
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
        let address = address::of(Dialect::own(self.release), path);
        address.into_iter().map(str::to_owned).collect()
    }

    /// The id by which the release has a plugin.
    pub(crate) fn plugin_id<'a>(&self, uri: &'a str) -> &'a str {
        address::plugin_id(Dialect::own(self.release), uri)
    }

    /// The value in effect at a path of version 2.
    pub(crate) fn value(&self, path: &[&str]) -> Option<Value> {
        let mut place = Some(Config::place());
        let mut found: Option<&Value> = None;
        let mut table = Some(&self.table);
        for key in path {
            found = table.and_then(|table| table.get(*key));
            place = difference::child(place, self.release, table, found, key);
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
        let version = Dialect::own(other.release);
        for difference in &mut found {
            let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
            let address = address::of(version, &path);
            let address = address.into_iter().map(str::to_owned).collect();
            if plugin::is_list(&path) {
                self.spell_ids(other, difference);
            }
            difference.path = address;
        }
        found
    }

    /// Has the lists of plugins of both sides by their releases' ids.
    pub(crate) fn spell_ids(&self, other: &Effective, difference: &mut Difference) {
        let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
        let place = Config::place_of(&path);
        let sides = [
            (self, &mut difference.before),
            (other, &mut difference.after),
        ];
        for (side, value) in sides {
            if let Some(list) = value {
                *list = Redacted::new(place, side.with_own_ids(list.expose()));
            }
        }
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
                let names = self.lists.entry(key.to_owned()).or_default();
                names.append(into, from.to_vec(), Rules::of_release(self.release));
            }
            _ => {
                if parents.is_empty() {
                    self.lists.remove(key);
                }
                table.insert(key.to_owned(), value.clone());
            }
        }
    }
}

/// Files that are being loaded, one after the other.
pub(crate) struct Loading {
    merged: Merged,
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
            merged: Merged::new(release),
            release,
            all,
            versions: Versions {
                first: 0,
                highest: 0,
                last: 0,
            },
        }
    }

    pub(crate) fn add(&mut self, mut file: Table) {
        let release = self.release;
        if let Some(stated) = stated(&file, release) {
            let versions = &mut self.versions;
            if versions.first == 0 {
                versions.first = stated;
            }
            versions.highest = versions.highest.max(stated);
            if stated != 1 || !release.is_2() || versions.last == 0 {
                versions.last = stated;
            }
        }
        let version = match (release.is_2(), self.all) {
            (true, _) => version_on_2(&mut file, release),
            (false, None | Some(1)) => 1,
            (false, _) => 2,
        };
        if release.is_2() {
            address::with_ids_of_2_x(&mut file);
        }
        // File by file, before it merges them (`LoadConfig` of containerd 2.3).
        if plugin::of_servers(release) {
            without_zeros(&Config::place(), &mut file);
        }
        let file = address::read(file, Reading::by(release, version));
        self.merged.add(file);
    }

    pub(crate) fn finish(self) -> Effective {
        let release = self.release;
        Effective {
            table: self.merged.table,
            release,
            has_short_names: !release.is_2() && self.all.is_none_or(|version| version == 1),
            versions: self.versions,
            lists: self.merged.lists,
        }
    }
}

/// The version that a file states. containerd 1.x looks for its key as for any, see
/// [`Reading::by`].
fn stated(file: &Table, release: Release) -> Option<i64> {
    let key = VERSION.key();
    match release.is_2() || file.contains_key(key) {
        true => address::version_at(file, key),
        false => address::version_at(file, &key.to_uppercase()),
    }
}

/// The version by which containerd 2.x reads a file, once its short names are
/// none: no version is version 1, of which 2.x migrates nothing but the short
/// names, so that it understands the ids of later versions too.
fn version_on_2(file: &mut Table, release: Release) -> i64 {
    match stated(file, release) {
        Some(version) if version != 1 => version,
        _ => {
            address::without_short_names(file);
            2
        }
    }
}

/// Takes out what is zero in the daemon's own settings, which no release tells
/// from what is not set.
fn without_zeros(place: &Place, file: &mut Table) {
    file.retain(|key, value| match (place.child(key), value) {
        (Some(child), Value::Table(table)) if child.merge() == Merge::NonZero => {
            without_zeros(&child, table);
            true
        }
        (Some(child), value) => child.merge() != Merge::NonZero || !value.is_zero(),
        (None, _) => true,
    });
}

/// What `containerd config default` of a release prints, in the config version
/// that it writes; plugins have URIs even for containerd 1.2.
pub fn default_config(release: Release) -> Table {
    let table = printed(&Config::place(), release);
    address::write(table, Dialect::own(release))
}

/// The defaults of the CRI plugin, as `config default` prints them.
pub(crate) fn default_cri(release: Release) -> Table {
    printed(&CRI_PLUGIN.place(), release)
}

fn printed(place: &Place, release: Release) -> Table {
    let mut table = Table::new();
    place.each_declared(&mut |key, child| {
        let state = child.state(release);
        let value = match child.kind() {
            _ if state == State::Absent => None,
            // Entries that are not built in have no state of their own.
            _ if child.is_entry() && !place.builtin_entries(release).any(|entry| entry == key) => {
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

    const IMAGE: [&str; 3] = ["plugins", plugin::CRI, "sandbox_image"];
    const RUNTIMES: [&str; 4] = ["plugins", plugin::CRI, "containerd", "runtimes"];

    fn load(release: &str, files: &[&str]) -> Effective {
        let tables = files.iter().map(|text| {
            let text = text
                .replace("CRI", &format!("plugins.\"{}\"", plugin::CRI))
                .replace("IMAGES", &format!("plugins.\"{}\"", plugin::CRI_IMAGES));
            Document::parse("t", text.as_bytes()).unwrap().to_table()
        });
        Effective::load(release.parse().unwrap(), tables)
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::String(text.to_owned()))
    }

    /// As `config dump` of 2.3.1 has it, 2.2 and earlier know no such plugin.
    #[test]
    fn zero_values_of_servers() {
        let server = "[plugins.'io.containerd.server.v1.grpc']\nmax_send_message_size = ";
        let old = "[grpc]\nmax_send_message_size = ";
        let sent = |files: &[(&str, i64)]| {
            let text = |(table, value): &(&str, i64)| format!("version = 3\n{table}{value}\n");
            let files: Vec<String> = files.iter().map(text).collect();
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let value = load("2.3.1", &files).value(&["grpc", "max_send_message_size"]);
            match value {
                Some(Value::Integer(value)) => Some(value),
                _ => None,
            }
        };
        assert_eq!(sent(&[(server, 0)]), Some(0));
        assert_eq!(sent(&[(server, 5), (server, 0)]), Some(0));
        assert_eq!(sent(&[(old, 5), (server, 0)]), Some(0));
        assert_eq!(sent(&[(old, 0)]), Some(16_777_216));
        assert_eq!(sent(&[(server, 5), (old, 0)]), Some(5));
        assert_eq!(sent(&[(server, 0), (old, 5)]), Some(5));
    }

    /// As 2.3.4 has it: it migrates files of versions up to 3 before it merges them,
    /// by the ids and keys of all versions, and those of version 4 no more.
    #[test]
    fn files_on_2_3_have_the_places_of_their_version_and_those_that_are_migrated() {
        let image = |file: &str| load("2.3.4", &[file]).value(&IMAGE);
        let built_in = text("registry.k8s.io/pause:3.10.2");
        let new = "[IMAGES.pinned_images]\nsandbox = \"a\"\n";
        let old = "[CRI]\nsandbox_image = \"a\"\n";
        let short = "[plugins.cri]\nsandbox_image = \"a\"\n";
        for version in [
            "",
            "version = 0\n",
            "version = 1\n",
            "version = 2\n",
            "version = 3\n",
        ] {
            assert_eq!(image(&format!("{version}{new}")), text("a"), "{version}");
            assert_eq!(image(&format!("{version}{old}")), text("a"), "{version}");
        }
        for version in ["", "version = 0\n", "version = 1\n"] {
            assert_eq!(image(&format!("{version}{short}")), text("a"), "{version}");
        }
        for version in ["version = 2\n", "version = 3\n", "version = 4\n"] {
            assert_eq!(image(&format!("{version}{short}")), built_in, "{version}");
        }
        assert_eq!(image(&format!("version = 4\n{new}")), text("a"));
        assert_eq!(image(&format!("version = 4\n{old}")), built_in);
        // The server's settings moved once more.
        let uid = |file: &str| load("2.3.4", &[file]).value(&["grpc", "uid"]);
        let old = "[grpc]\naddress = \"/a\"\nuid = 5\n";
        let new = "[plugins.\"io.containerd.server.v1.grpc\"]\naddress = \"/a\"\nuid = 5\n";
        let five = Some(Value::Integer(5));
        for version in ["", "version = 1\n", "version = 2\n", "version = 3\n"] {
            assert_eq!(uid(&format!("{version}{old}")), five, "{version}");
            assert_eq!(uid(&format!("{version}{new}")), five, "{version}");
        }
        assert_eq!(uid(&format!("version = 4\n{new}")), five);
        assert_eq!(uid(&format!("version = 4\n{old}")), Some(Value::Integer(0)));
    }

    /// A file's version is its own on 2.x, and that of all on 1.x.
    #[test]
    fn versions_of_files() {
        let files = [
            "[plugins.opt]\npath = \"/a\"\n",
            "version = 2\n",
            "version = 3\n",
            "version = 1\n",
            "[debug]\n",
        ];
        for (release, has_short_names, last) in [("1.6.20", true, 1), ("2.3.4", false, 3)] {
            let effective = load(release, &files);
            assert_eq!(effective.release(), release.parse().unwrap());
            let versions = effective.versions();
            assert_eq!(
                (versions.first, versions.highest, versions.last),
                (2, 3, last)
            );
            assert_eq!(effective.has_short_names(), has_short_names);
            let path = effective.value(&["plugins", "io.containerd.internal.v1.opt", "path"]);
            assert_eq!(path, text("/a"));
        }
        for (file, has_short_names) in [
            ("", true),
            ("version = 0\n", true),
            ("version = 2\n", false),
        ] {
            assert_eq!(
                load("1.7.24", &[file]).has_short_names(),
                has_short_names,
                "{file}"
            );
            assert!(!load("2.3.4", &[file]).has_short_names(), "{file}");
        }
        let versions = load("1.7.24", &["", "version = 0\n"]).versions();
        assert_eq!((versions.first, versions.highest, versions.last), (0, 0, 0));
    }

    /// containerd ignores them; of each the last file's shows.
    #[test]
    fn of_unknown_keys_the_last_counts() {
        for release in ["1.7.24", "2.3.4"] {
            let effective = load(
                release,
                &[
                    "version = 2\nx = 5\ny = 6\n[z]\na = 1\n[grpc]\nq = 1\nr = 2\n",
                    "version = 2\nx = 0\n[z]\nb = 0\n[grpc]\nq = 0\n",
                ],
            );
            let integer = |value| Some(Value::Integer(value));
            assert_eq!(effective.value(&["x"]), integer(0), "{release}");
            assert_eq!(effective.value(&["y"]), integer(6), "{release}");
            assert_eq!(effective.value(&["z", "a"]), integer(1), "{release}");
            assert_eq!(effective.value(&["z", "b"]), integer(0), "{release}");
            assert_eq!(effective.value(&["grpc", "q"]), integer(0), "{release}");
            assert_eq!(effective.value(&["grpc", "r"]), integer(2), "{release}");
        }
    }

    /// 1.5 – 1.7 replace the map of handlers by the files' own, the others keep
    /// what they bring along; outside of plugins all keep it.
    #[test]
    fn entries_of_maps() {
        let handler = "version = 2\n[CRI.containerd.runtimes.a]\nruntime_type = \"x\"\n";
        for (release, entries) in [
            ("1.4.13", vec!["a", "runc"]),
            ("1.5.0", vec!["a"]),
            ("1.7.24", vec!["a"]),
            ("2.0.0", vec!["a", "runc"]),
            ("2.3.4", vec!["a", "runc"]),
        ] {
            let effective = load(release, &[handler]);
            assert_eq!(effective.entries(&RUNTIMES), entries, "{release}");
            let runc = [&RUNTIMES[..], &["runc", "runtime_type"]].concat();
            let runc = effective.value(&runc).is_some();
            assert_eq!(runc, entries.contains(&"runc"), "{release}");
            assert_eq!(load(release, &[]).entries(&RUNTIMES), ["runc"], "{release}");
            let decoder = "[stream_processors.a]\npath = \"x\"\n[stream_processors.'io.containerd.ocicrypt.decoder.v1.tar']\n";
            let decoders = load(release, &[decoder]).entries(&["stream_processors"]);
            let decoders: Vec<&str> = decoders.iter().map(String::as_str).collect();
            let [tar, gzip] =
                ["", ".gzip"].map(|end| format!("io.containerd.ocicrypt.decoder.v1.tar{end}"));
            let expected = match release {
                // Built in from 1.5 on.
                "1.4.13" => vec!["a", &tar],
                _ => vec!["a", &tar, &gzip],
            };
            assert_eq!(decoders, expected, "{release}");
        }
        assert_eq!(
            load("1.7.24", &[]).entries(&["no", "map"]),
            Vec::<String>::new()
        );
    }

    /// Setting makes the tables above, adds to the lists of plugins and replaces
    /// everything else.
    #[test]
    fn settings_can_be_set() {
        let names = |names: &[&str]| {
            Value::Array(
                names
                    .iter()
                    .map(|name| Value::String((*name).to_owned()))
                    .collect(),
            )
        };
        for (release, doubled) in [("1.7.24", true), ("2.3.4", false)] {
            let mut effective = load(
                release,
                &[
                    "version = 2\nroot = \"/a\"\ndisabled_plugins = [\"a.b\"]\n[CRI]\ncdi_spec_dirs = [\"/a\"]\n",
                ],
            );
            effective.set(&["disabled_plugins"], Some(&names(&["c.d", "a.b"])));
            effective.set(&["required_plugins"], Some(&names(&["e.f"])));
            effective.set(
                &["plugins", plugin::CRI, "cdi_spec_dirs"],
                Some(&names(&["/b"])),
            );
            effective.set(&["root", "x"], Some(&Value::Integer(5)));
            effective.set(&["new", "table"], None);
            effective.set(&[], Some(&Value::Integer(5)));
            let all = match doubled {
                true => names(&["a.b", "c.d", "a.b"]),
                false => names(&["a.b", "c.d"]),
            };
            assert_eq!(
                effective.set_value(&["disabled_plugins"]),
                Some(&all),
                "{release}"
            );
            assert_eq!(
                effective.set_value(&["required_plugins"]),
                Some(&names(&["e.f"]))
            );
            let dirs = effective.set_value(&["plugins", plugin::CRI, "cdi_spec_dirs"]);
            assert_eq!(dirs, Some(&names(&["/b"])), "{release}");
            assert_eq!(
                effective.set_value(&["root", "x"]),
                Some(&Value::Integer(5))
            );
            assert_eq!(
                effective.set_value(&["new", "table"]),
                Some(&Value::Table(Table::new()))
            );
            assert_eq!(effective.set_value(&["new", "table", "x"]), None);
        }
    }

    /// The addresses are those of the config version that a release writes.
    #[test]
    fn a_release_has_settings_and_plugins_by_its_own_names() {
        let cgroups = "io.containerd.monitor.v1.cgroups";
        for (release, image, id) in [
            ("1.2.0", &IMAGE[..], cgroups),
            ("1.7.24", &IMAGE, cgroups),
            (
                "2.3.4",
                &["plugins", plugin::CRI_IMAGES, "pinned_images", "sandbox"],
                "io.containerd.monitor.task.v1.cgroups",
            ),
        ] {
            let effective = load(release, &["version = 2\n[CRI]\nsandbox_image = \"a\"\n"]);
            assert_eq!(effective.address(&IMAGE), image, "{release}");
            assert_eq!(effective.plugin_id(cgroups), id, "{release}");
            if release != "1.2.0" {
                assert_eq!(effective.get(image), text("a"), "{release}");
            }
        }
    }

    /// To one release, keys that it does not know differ too; of two, each acts on
    /// those that it knows. What differs has the names of the second.
    #[test]
    fn differences_of_one_release_and_of_two() {
        let file = "version = 2\n[CRI]\nsandbox_image = \"a\"\nstats_retention_period = \"1m\"\n";
        let paths = |from: &str, to: &str| -> Vec<String> {
            let differences = load(from, &[file]).differences(&load(to, &["version = 2\n"]));
            let mut paths: Vec<String> = differences.iter().map(|one| one.path.join("|")).collect();
            paths.retain(|path| {
                path.contains("sandbox_image")
                    || path.contains("pinned_images")
                    || path.contains("stats_retention")
            });
            paths.sort();
            paths
        };
        let of_1_7 = [
            "plugins|io.containerd.grpc.v1.cri|sandbox_image",
            "plugins|io.containerd.grpc.v1.cri|stats_retention_period",
        ];
        let of_2_3 = [
            "plugins|io.containerd.cri.v1.images|pinned_images|sandbox",
            "plugins|io.containerd.cri.v1.runtime|stats_retention_period",
        ];
        assert_eq!(paths("1.7.24", "1.7.24"), of_1_7);
        assert_eq!(paths("2.3.4", "2.3.4"), of_2_3);
        assert_eq!(paths("2.3.4", "1.7.24"), of_1_7);
        assert_eq!(paths("1.7.24", "2.3.4"), of_2_3[..1]);
    }
}
