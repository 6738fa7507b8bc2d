//! Where a setting stands in a file of a given config version.
//!
//! Inside of the crate a setting has one path, that of config version 2. Its
//! declaration says where later versions have it ([`Move`]); version 1 has
//! short names in place of plugin URIs. From these the two directions follow:
//! [`of`] gives the path in a version, and a [`Cursor`], walking down a file,
//! tells of every key which setting it is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::Config;
use super::declare::Declared;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::releases::V2_0;
use crate::containerd::setting::{Kind, Move, MovedTo, Section, Setting};
use crate::document::MAX_CONFIG_VERSION;
use crate::value::{Table, Value};

/// The declarations of the plugins.
pub(crate) fn plugins() -> &'static [Setting] {
    match Config::SECTION.get("plugins").map(|setting| setting.kind) {
        Some(Kind::Section(section)) => section.settings,
        _ => &[],
    }
}

/// The declared plugin of containerd 1.x with this short name.
pub(crate) fn by_short_name(name: &str) -> Option<&'static str> {
    let known = plugins().iter().filter(|setting| is_of_1_x(setting));
    let mut uris = known.map(|setting| setting.key);
    uris.find(|uri| plugin::short_name(uri) == Some(name))
}

fn is_of_1_x(setting: &Setting) -> bool {
    setting
        .history
        .first()
        .is_some_and(|(from, _)| *from < V2_0)
}

/// Whether a move counts in a config version.
fn applies(moved: &Move, version: i64) -> bool {
    moved.version <= version
}

/// The path of a setting in a config version. What no declaration knows keeps
/// its key below its table's.
pub(crate) fn of<'k>(version: i64, path: &[&'k str]) -> Vec<&'k str> {
    let mut place = Some(Config::place());
    let mut address: Vec<&'k str> = Vec::new();
    for key in path {
        let child = place.and_then(|place| place.child(key));
        let moved = child.and_then(|child| child.moved);
        let in_plugins = address == ["plugins"];
        match moved.filter(|moved| applies(moved, version)) {
            Some(moved) => match moved.to {
                MovedTo::Path(path) => address = path.to_vec(),
                MovedTo::Into(table) => {
                    address = table.to_vec();
                    address.push(key);
                }
                MovedTo::Key(key) => address.push(key),
            },
            None if version == 1 && in_plugins => address.push(short(key)),
            None => address.push(key),
        }
        place = child;
    }
    address
}

/// The name of a plugin in a version 1 file.
fn short(uri: &str) -> &str {
    match plugin::short_name(uri) {
        Some(name) if by_short_name(name) == Some(uri) || plugin::known(uri).is_some() => name,
        _ => uri,
    }
}

/// Whether files of a config version have a place for a setting.
pub(crate) fn exists_in(version: i64, path: &[&str]) -> bool {
    // Short names are those of containerd 1.x.
    if let (1, ["plugins", plugin, ..]) = (version, path)
        && is_new_in_3(plugin)
    {
        return false;
    }
    let mut place = Config::place();
    for key in path {
        let Some(child) = place.child(key) else {
            return true;
        };
        let new = child.moved.filter(|moved| moved.is_new);
        if new.is_some_and(|moved| !applies(&moved, version)) {
            return false;
        }
        place = child;
    }
    true
}

/// The id of a plugin in a config version, as `disabled_plugins` has it.
pub(crate) fn plugin_id(version: i64, uri: &str) -> &str {
    match of(version, &["plugins", uri]).as_slice() {
        // What is a whole plugin in version 2, and only that, has one id.
        ["plugins", id] if uri != plugin::CRI => id,
        _ => uri,
    }
}

/// The plugin that an id in `disabled_plugins` of a config version means.
pub(crate) fn plugin_of(version: i64, id: &str) -> &str {
    if matches!(id, plugin::CRI_IMAGES | plugin::CRI_RUNTIME) {
        return id;
    }
    let root = Cursor::root(version, false).child("plugins");
    match root.and_then(|plugins| plugins.child(id)) {
        Step::Moved(["plugins", uri], _) => uri,
        _ => id,
    }
}

/// The path of the setting that stands at an address of a config version.
pub(crate) fn setting_at(version: i64, address: &[&str]) -> Vec<String> {
    let mut cursor = Cursor::root(version, false);
    let mut path: Vec<String> = Vec::new();
    for key in address {
        let step = cursor.child(key);
        match step {
            Step::Below(key, _) => path.push(key.to_owned()),
            Step::Moved(to, _) => path = to.iter().map(|key| (*key).to_owned()).collect(),
            Step::Aside(_) => path.push(aside(version, key)),
        }
        cursor = step.cursor();
    }
    path
}

/// Moved settings by where a config version has them.
#[derive(Debug, Default)]
struct Trie {
    setting: Option<Vec<&'static str>>,
    /// The setting has its path here.
    is_home: bool,
    below: BTreeMap<&'static str, Trie>,
}

impl Trie {
    /// The moves of a config version; with `lenient` also those that later
    /// versions made, which containerd 2.x reads in files of version 2 too, and
    /// 2.3 in those of version 3.
    fn known(version: i64, lenient: bool) -> &'static Trie {
        static KNOWN: OnceLock<BTreeMap<(i64, bool), Trie>> = OnceLock::new();
        static NONE: OnceLock<Trie> = OnceLock::new();
        let known = KNOWN.get_or_init(|| {
            let each = (1..=MAX_CONFIG_VERSION).flat_map(|v| [(v, false), (v, true)]);
            each.map(|(version, lenient)| {
                let mut trie = Trie::default();
                let until = match lenient && version >= 2 {
                    true => MAX_CONFIG_VERSION,
                    false => version,
                };
                trie.collect(Config::SECTION, &mut Vec::new(), until);
                ((version, lenient), trie)
            })
            .collect()
        });
        known
            .get(&(version, lenient))
            .unwrap_or_else(|| NONE.get_or_init(Trie::default))
    }

    fn collect(&mut self, section: &'static Section, at: &mut Vec<&'static str>, version: i64) {
        for setting in section.settings {
            at.push(setting.key);
            if let Some(moved) = setting.moved.filter(|moved| applies(moved, version)) {
                let (path, last) = match moved.to {
                    MovedTo::Path(path) => (path, None),
                    MovedTo::Into(table) => (table, Some(setting.key)),
                    MovedTo::Key(_) => (&[][..], None),
                };
                if !path.is_empty() {
                    let keys = path.iter().copied().chain(last);
                    let is_home = keys.clone().eq(at.iter().copied());
                    let node =
                        keys.fold(&mut *self, |node, key| node.below.entry(key).or_default());
                    node.setting = Some(at.clone());
                    node.is_home = is_home;
                }
            }
            if let Kind::Section(section) = setting.kind {
                self.collect(section, at, version);
            }
            at.pop();
        }
    }
}

/// A table of a config file, as one walks down from the top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    version: i64,
    lenient: bool,
    trie: Option<&'static Trie>,
    /// The declaration of the setting that the table is.
    pub(crate) place: Option<Place>,
    /// The table stands where its setting has its path.
    is_at_home: bool,
    is_plugins: bool,
    /// No setting is here, but places of some may be below.
    is_aside: bool,
    /// Where a file has a setting twice, in the places of two versions, the
    /// higher rank counts.
    pub(crate) rank: u8,
    /// The rank of what is in the table and has no place of its own.
    inside: u8,
}

/// The rank of a key in its own version's place.
pub(crate) const OWN: u8 = 1;

/// The rank of a key in another version's place, by the order in which
/// containerd 2.x merges them: what it migrates prevails in the images plugin
/// and gives way in all others.
fn rank(version: i64, moved: &Move) -> u8 {
    let in_images = match moved.to {
        MovedTo::Path(path) | MovedTo::Into(path) => path.get(1) == Some(&plugin::CRI_IMAGES),
        MovedTo::Key(_) => false,
    };
    let is_old = applies(moved, version);
    match is_old == in_images {
        true => OWN + 1,
        false => OWN - 1,
    }
}

/// Which setting a key of a table is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'k> {
    /// That of this key below the setting of the table.
    Below(&'k str, Cursor),
    /// The one with this path.
    Moved(&'static [&'static str], Cursor),
    /// None: in this config version the setting of that name has its place
    /// elsewhere, or is not there yet.
    Aside(Cursor),
}

impl Step<'_> {
    /// Whether the key is a declared setting.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, Step::Aside(_)) && self.cursor().place.is_some()
    }

    /// The declaration of the setting.
    pub(crate) fn place(self) -> Option<Place> {
        self.cursor().place
    }

    fn cursor(self) -> Cursor {
        match self {
            Step::Below(_, cursor) | Step::Moved(_, cursor) | Step::Aside(cursor) => cursor,
        }
    }

    fn and_then<'k>(self, next: impl FnOnce(Cursor) -> Step<'k>) -> Step<'k> {
        next(self.cursor())
    }
}

impl Cursor {
    /// The top of a file of a config version. With `lenient`, the places of
    /// other versions are understood in files of version 2 and 3, as containerd
    /// 2.3 does, which migrates each file.
    pub(crate) fn root(version: i64, lenient: bool) -> Cursor {
        Cursor {
            version,
            lenient,
            trie: Some(Trie::known(version, lenient)),
            place: Some(Config::place()),
            is_at_home: true,
            is_plugins: false,
            is_aside: false,
            rank: OWN,
            inside: OWN,
        }
    }

    /// Whether no setting is in this table but those that moved here.
    pub(crate) fn is_aside(&self) -> bool {
        self.is_aside
    }

    /// Whether a setting may have its place below.
    pub(crate) fn has_places(&self) -> bool {
        self.trie.is_some_and(|trie| !trie.below.is_empty())
    }

    /// Which setting `key` is.
    pub(crate) fn child<'k>(&self, key: &'k str) -> Step<'k> {
        let trie = self.trie.and_then(|trie| trie.below.get(key));
        let below = Cursor {
            trie,
            rank: self.inside,
            is_plugins: self.is_at_home && key == "plugins" && self.is_root(),
            ..*self
        };
        let is_home = |trie: &Trie| trie.is_home && self.is_at_home && !self.is_aside;
        if let Some(path) = trie
            .filter(|trie| !is_home(trie))
            .and_then(|trie| trie.setting.as_deref())
        {
            let place = path
                .iter()
                .try_fold(Config::place(), |place, key| place.child(key));
            let moved = place.and_then(|place| place.moved);
            let later = moved.filter(|moved| !applies(moved, self.version));
            let rank = later.map_or(OWN, |moved| rank(self.version, &moved));
            let cursor = Cursor {
                place,
                is_at_home: false,
                is_aside: false,
                rank,
                inside: rank,
                ..below
            };
            return Step::Moved(path, cursor);
        }
        if self.is_plugins && self.version == 1 {
            return self.plugin_of_version_1(key, below);
        }
        let Some(place) = self.place else {
            return Step::Below(key, below);
        };
        let Some(child) = place.child(key) else {
            let renamed = self.renamed(place, key);
            let place = renamed.and_then(|key| place.child(key));
            let is_later = renamed.is_some() && self.version < 3
                || self.is_plugins && self.is_of_later_version(key);
            let rank = if is_later { OWN + 1 } else { self.inside };
            let below = Cursor {
                place,
                rank,
                inside: rank,
                ..below
            };
            return Step::Below(renamed.unwrap_or(key), below);
        };
        let here = Cursor {
            place: Some(child),
            ..below
        };
        let aside = Cursor {
            place: None,
            is_at_home: false,
            is_aside: true,
            ..below
        };
        if trie.is_some_and(is_home) {
            let own = Cursor {
                rank: OWN,
                inside: OWN,
                ..here
            };
            return Step::Below(key, own);
        }
        match child.moved {
            Some(moved) if !applies(&moved, self.version) && moved.is_new => Step::Aside(aside),
            Some(moved) if applies(&moved, self.version) => {
                // containerd 2.3 migrates a file of version 3 once more.
                let migrated = self.lenient && self.is_at_home && !moved.is_new;
                match migrated && !matches!(moved.to, MovedTo::Key(_)) {
                    true => {
                        let old = rank(self.version, &moved);
                        // The version has places of its own in the table.
                        let shared = trie.is_some_and(|trie| !trie.below.is_empty());
                        let here = Cursor {
                            rank: if shared { self.inside } else { old },
                            inside: old,
                            ..here
                        };
                        Step::Below(key, here)
                    }
                    false => Step::Aside(aside),
                }
            }
            _ => Step::Below(key, here),
        }
    }

    /// Whether this is the table of the plugins.
    pub(crate) fn is_plugins(&self) -> bool {
        self.is_plugins
    }

    fn is_root(&self) -> bool {
        matches!(self.place.map(|place| place.kind), Some(Kind::Section(section)) if is_config(section))
    }

    /// Whether a plugin has places of a later config version only.
    fn is_of_later_version(&self, id: &str) -> bool {
        let has = |lenient| {
            let plugins = Trie::known(self.version, lenient).below.get("plugins");
            plugins.is_some_and(|plugins| plugins.below.contains_key(id))
        };
        self.lenient && has(true) && !has(false)
    }

    /// The setting in a table that has this key in the config version.
    fn renamed(&self, place: Place, key: &str) -> Option<&'static str> {
        let Kind::Section(section) = place.kind else {
            return None;
        };
        // A later version's key is one to containerd 2.x.
        let version = match self.lenient {
            true => MAX_CONFIG_VERSION,
            false => self.version,
        };
        let is = |moved: &Move| {
            applies(moved, version) && matches!(moved.to, MovedTo::Key(new) if new == key)
        };
        let mut settings = section.settings.iter();
        settings
            .find(|setting| setting.moved.as_ref().is_some_and(is))
            .map(|setting| setting.key)
    }

    fn plugin_of_version_1<'k>(&self, name: &'k str, below: Cursor) -> Step<'k> {
        let place = |uri: &str| self.place.and_then(|place| place.child(uri));
        let at = |place: Option<Place>| Cursor { place, ..below };
        match by_short_name(name) {
            Some(uri) => Step::Below(uri, at(place(uri))),
            None if plugin::short_name(name).is_some() => Step::Aside(at(None)),
            None => match plugin::with_short_name(name).next() {
                Some(uri) => Step::Below(uri, at(None)),
                None => Step::Below(name, at(None)),
            },
        }
    }
}

fn is_config(section: &'static Section) -> bool {
    section.get("plugins").is_some()
}

/// Brings a whole config file into the paths of version 2, by the version that
/// it states or was meant to be.
pub(crate) fn enter(section: &'static Section, table: &mut Table) {
    if !is_config(section) {
        return;
    }
    let version = match table.get("version") {
        Some(Value::Integer(version)) if *version != 0 => *version,
        _ => {
            let plugins = table.get("plugins").and_then(Value::as_table);
            let ids = plugins.into_iter().flat_map(Table::keys);
            let meant = meant(ids.map(String::as_str));
            if let Some(version) = meant {
                table.insert("version".to_owned(), Value::Integer(version));
            }
            meant.unwrap_or(1)
        }
    };
    *table = read(std::mem::take(table), version, false);
}

/// Brings a whole config file into the paths of the version that it states.
pub(crate) fn leave(section: &'static Section, table: &mut Table) {
    if is_config(section) {
        let version = match table.get("version") {
            Some(Value::Integer(version)) if *version != 0 => *version,
            _ => 1,
        };
        *table = write(std::mem::take(table), version);
    }
}

/// Brings the values of a config file of any version into the paths of
/// version 2.
///
/// What containerd does not find under its name in that version is kept under
/// a name that is nobody's.
pub(crate) fn read(table: Table, version: i64, lenient: bool) -> Table {
    let mut top = Table::new();
    let rest = read_table(Cursor::root(version, lenient), table, &mut top);
    merge(&mut top, rest);
    rename_plugins(&mut top, |id| plugin_of(version, id));
    top
}

/// Renames plugins in the lists that name some.
fn rename_plugins(table: &mut Table, rename: impl Fn(&str) -> &str) {
    for key in ["disabled_plugins", "required_plugins"] {
        let Some(Value::Array(items)) = table.get_mut(key) else {
            continue;
        };
        for item in items {
            if let Value::String(id) = item {
                *id = rename(id).to_owned();
            }
        }
    }
}

fn read_table(cursor: Cursor, table: Table, top: &mut Table) -> Table {
    let mut here = Table::new();
    for (key, value) in table {
        let step = cursor.child(&key);
        let value = match value {
            Value::Table(table) if !table.is_empty() => {
                let table = read_table(step.cursor(), table, top);
                // All that was in it has its place elsewhere.
                if table.is_empty() {
                    continue;
                }
                Value::Table(table)
            }
            value => value,
        };
        match step {
            Step::Below(name, _) => put(&mut here, name, value),
            Step::Aside(_) => put(&mut here, &aside(cursor.version, &key), value),
            Step::Moved(path, _) => {
                // An empty table leaves no trace in one that it shares.
                if value == Value::Table(Table::new()) {
                    put(&mut here, &aside(cursor.version, &key), value.clone());
                }
                put_at(top, path, value);
            }
        }
    }
    here
}

/// Brings a config in the paths of version 2 into those of another version.
pub(crate) fn write(table: Table, version: i64) -> Table {
    let mut top = Table::new();
    write_table(&mut Vec::new(), table, version, &mut top);
    rename_plugins(&mut top, |id| plugin_id(version, id));
    top
}

/// The recursion is as deep as the table, which no parser in use lets grow
/// beyond 80 levels a notation.
fn write_table(at: &mut Vec<String>, table: Table, version: i64, top: &mut Table) {
    for (key, value) in table {
        at.push(key);
        match value {
            Value::Table(table) if !table.is_empty() => write_table(at, table, version, top),
            value => {
                if let Some(path) = written(at, version) {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    put_at(top, &path, value);
                }
            }
        }
        at.pop();
    }
}

/// The path in a config version; `None` for what another version ignored.
fn written(path: &[String], version: i64) -> Option<Vec<String>> {
    let mut keys: Vec<&str> = Vec::new();
    for (at, key) in path.iter().enumerate() {
        match key.strip_prefix(ASIDE) {
            None => keys.push(key),
            Some(rest) => {
                let (of_version, key) = rest.split_once(": ")?;
                if of_version != version.to_string() {
                    return None;
                }
                let mut address = of(version, &keys);
                address.push(key);
                address.extend(path.iter().skip(at + 1).map(String::as_str));
                return Some(address.into_iter().map(str::to_owned).collect());
            }
        }
    }
    Some(of(version, &keys).into_iter().map(str::to_owned).collect())
}

/// Marks what a config version ignores under a name that means something in
/// another.
const ASIDE: &str = "ignored in version ";

fn aside(version: i64, key: &str) -> String {
    format!("{ASIDE}{version}: {key}")
}

/// Puts a value into a table; a table goes into the one that is there.
fn put(table: &mut Table, key: &str, value: Value) {
    match (table.get_mut(key), value) {
        (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
        (_, value) => drop(table.insert(key.to_owned(), value)),
    }
}

/// Adds the keys of a table to another, in tables that both have too; what is
/// no table replaces.
pub(crate) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        put(into, &key, value);
    }
}

fn put_at(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => put(table, key, value),
        [key, rest @ ..] => {
            let mut inner = Table::new();
            put_at(&mut inner, rest, value);
            put(table, key, Value::Table(inner));
        }
    }
}

/// Whether a plugin has settings of its own under this id.
pub(crate) fn is_declared_plugin(id: &str) -> bool {
    plugins().iter().any(|setting| setting.key == id)
}

/// Whether a plugin id first occurs in config version 3, or 4.
pub(crate) fn is_new_in_3(id: &str) -> bool {
    match plugins().iter().find(|setting| setting.key == id) {
        Some(declared) => !is_of_1_x(declared),
        None => {
            let later = Trie::known(MAX_CONFIG_VERSION, false);
            let plugins = later.below.get("plugins");
            plugins.is_some_and(|plugins| plugins.below.contains_key(id))
        }
    }
}

/// The config version that plugin ids speak, where a file states none:
/// containerd 1.x takes it for version 1.
pub(crate) fn meant<'a>(ids: impl Iterator<Item = &'a str>) -> Option<i64> {
    let mut meant = None;
    for id in ids {
        match (id.contains('.'), is_new_in_3(id)) {
            (false, _) => return None,
            (true, true) => meant = Some(3),
            (true, false) => meant = meant.or(Some(2)),
        }
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_an_address_in_every_version() {
        let image = ["plugins", plugin::CRI, "sandbox_image"];
        assert_eq!(of(1, &image), ["plugins", "cri", "sandbox_image"]);
        assert_eq!(of(2, &image), image);
        assert_eq!(
            of(3, &image),
            ["plugins", plugin::CRI_IMAGES, "pinned_images", "sandbox"]
        );
        let mode = [
            "plugins",
            plugin::CRI,
            "containerd",
            "runtimes",
            "x",
            "sandbox_mode",
        ];
        assert_eq!(
            of(3, &mode),
            [
                "plugins",
                plugin::CRI_RUNTIME,
                "containerd",
                "runtimes",
                "x",
                "sandboxer"
            ]
        );
        let tls = ["grpc", "tcp_tls_ca"];
        assert_eq!(of(3, &tls), tls);
        assert_eq!(
            of(4, &tls),
            ["plugins", "io.containerd.server.v1.grpc-tcp", "tls_ca"]
        );
        assert_eq!(
            of(4, &["grpc", "uid"]),
            ["plugins", "io.containerd.server.v1.grpc", "uid"]
        );
        assert_eq!(
            of(3, &["plugins", plugin::CRI, "nobody's"]),
            ["plugins", plugin::CRI_RUNTIME, "nobody's"]
        );
    }

    #[test]
    fn what_moved_is_not_found_where_it_was() {
        let sandbox = |section: &str, key: &str| {
            let inner = Table::from([(key.to_owned(), Value::Boolean(true))]);
            let plugins = Table::from([(section.to_owned(), Value::Table(inner))]);
            Table::from([("plugins".to_owned(), Value::Table(plugins))])
        };
        let found = |table: Table| {
            let mut at = table.get("plugins").and_then(Value::as_table);
            at = at
                .and_then(|plugins| plugins.get(plugin::CRI))
                .and_then(Value::as_table);
            at.is_some_and(|cri| cri.contains_key("sandbox_image"))
        };
        let old = sandbox(plugin::CRI, "sandbox_image");
        assert!(found(read(old.clone(), 2, false)));
        assert!(!found(read(old.clone(), 3, false)));
        assert!(found(read(old.clone(), 3, true)));
        // k0s's own tests have it there.
        let wrong = sandbox(plugin::CRI_RUNTIME, "sandbox_image");
        for lenient in [false, true] {
            assert!(!found(read(wrong.clone(), 3, lenient)));
            assert_eq!(write(read(wrong.clone(), 3, lenient), 3), wrong);
        }
        assert_eq!(write(read(old.clone(), 3, false), 3), old);
        // It does not come alive in another version.
        assert_eq!(write(read(old, 3, false), 2), Table::new());
    }

    #[test]
    fn ids_of_plugins_follow_their_sections() {
        let restart = "io.containerd.internal.v1.restart";
        let moved = "io.containerd.monitor.container.v1.restart";
        assert_eq!(plugin_id(2, restart), restart);
        assert_eq!(plugin_id(3, restart), moved);
        assert_eq!(plugin_of(3, moved), restart);
        assert_eq!(plugin_of(2, moved), moved);
        assert_eq!(plugin_id(3, plugin::CRI), plugin::CRI);
    }

    #[test]
    fn the_version_that_is_meant() {
        let of = |ids: &[&str]| meant(ids.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["cri", plugin::CRI]), None);
        assert_eq!(of(&[plugin::CRI]), Some(2));
        assert_eq!(of(&[plugin::CRI, plugin::CRI_IMAGES]), Some(3));
        assert_eq!(of(&["io.containerd.server.v1.grpc"]), Some(3));
        assert_eq!(of(&["io.containerd.image-verifier.v1.bindir"]), Some(3));
    }
}
