//! All settings in one table, which the compiler makes of the declarations.
//!
//! Beside each declared setting the table has what is there of itself: built-in
//! entries of maps with all that is in them, and for every map one entry that
//! stands for any other name. So whoever walks down a config file has of each key
//! one row, with all that is known of it, and nothing is made at run time.

use super::Config;
use super::declare::Declared;
use super::known::PLUGINS;
use crate::containerd::Release;
use crate::containerd::place::Place;
use crate::containerd::setting::{
    Builtin, Concern, History, Kind, Merge, Presence, Section, Setting, State,
};

/// What stands for any name among the keys of a map.
pub(crate) const ANY: &str = "*";

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row(u16);

/// What is known of a key of the config.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The key in config version 2, or [`ANY`].
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// The declaration; none of the top, of entries of maps, and of items of
    /// lists.
    pub(crate) setting: Option<&'static Setting>,
    /// States that a built-in entry, or what is in it, has in place of those that
    /// are declared.
    pub(crate) built_in: History,
    /// The first release that has the setting, and the tables that it is in.
    pub(crate) since: Option<Release>,
    /// The release that removed the setting, or a table that it is in.
    pub(crate) gone: Option<Release>,
    /// How a later file's value is merged; entries of maps have it of the map.
    pub(crate) merge: Merge,
    /// The value may be or hold a credential, so that it is not shown.
    pub(crate) is_hidden: bool,
    /// In the entry of a map that is not built in.
    pub(crate) in_entry: bool,
    /// In a [`Presence::Free`] section.
    pub(crate) free: bool,
    /// The entry of a map.
    pub(crate) is_entry: bool,
    /// What a drop-in with it is about.
    pub(crate) concern: Concern,
    /// The row of the same setting where nothing is built in.
    plain: Row,
    parent: Row,
    first_below: u16,
    below: u16,
}

impl Entry {
    const TOP: Entry = Entry {
        key: "",
        kind: Kind::Section(Config::SECTION),
        setting: None,
        built_in: &[],
        since: None,
        gone: None,
        merge: Merge::NonZero,
        is_hidden: false,
        in_entry: false,
        free: false,
        is_entry: false,
        concern: Concern::Daemon,
        plain: Row::TOP,
        parent: Row::TOP,
        first_below: 0,
        below: 0,
    };
}

impl Row {
    /// The top of a config file.
    pub(crate) const TOP: Row = Row(0);

    /// The row of a number below [`LENGTH`].
    pub(super) const fn number(number: usize) -> Row {
        Row(number as u16)
    }

    pub(crate) const fn entry(self) -> &'static Entry {
        #[expect(clippy::indexing_slicing, reason = "rows are made with the table")]
        &TABLE[self.0 as usize]
    }

    pub(super) const fn is_top(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn parent(self) -> Row {
        self.entry().parent
    }

    /// The rows below, in the order of their declaration.
    pub(crate) fn below(self) -> impl DoubleEndedIterator<Item = Row> {
        let entry = self.entry();
        (entry.first_below..entry.first_below + entry.below).map(Row)
    }

    /// The row of a key in a table that has declared keys, or of an entry of a map.
    pub(crate) fn child(self, key: &str) -> Option<Row> {
        let mut below = self.below();
        match self.entry().kind {
            Kind::Section(_) => below.find(|row| row.entry().key == key),
            Kind::Map(_) => {
                let any = below.next_back();
                below.find(|row| row.entry().key == key).or(any)
            }
            _ => None,
        }
    }

    /// The row of any item of a list of tables.
    pub(crate) fn item(self) -> Option<Row> {
        let is_list = matches!(self.entry().kind, Kind::Tables(_));
        self.below().next().filter(|_| is_list)
    }

    /// The same setting where nothing is built in.
    pub(crate) fn plain(self) -> Row {
        self.entry().plain
    }

    /// It and the tables that it is in, but for the top.
    fn upwards(self) -> impl Iterator<Item = Row> {
        let rows = std::iter::successors(Some(self), |row| Some(row.parent()));
        rows.take_while(|row| !row.is_top())
    }

    /// Whether it is in this table, or is it, be it in a built-in entry.
    pub(crate) fn is_in(self, table: Row) -> bool {
        self.plain().upwards().any(|row| row == table)
    }

    /// The plugin that it is, or is in.
    pub(crate) fn plugin(self) -> Option<Row> {
        self.upwards().find(|row| row.parent() == PLUGINS.row)
    }

    /// The row that stands for any entry of the map of which this is an entry.
    pub(crate) fn any_entry(self) -> Row {
        let entry = self.entry();
        let any = entry.parent.below().next_back();
        any.filter(|_| entry.is_entry).unwrap_or(self)
    }

    /// The path in version 2.
    pub(crate) fn path(self) -> Vec<&'static str> {
        let mut path: Vec<_> = self.upwards().map(|row| row.entry().key).collect();
        path.reverse();
        path
    }

    /// All rows.
    pub(crate) fn all() -> impl Iterator<Item = Row> {
        (0..LENGTH).map(Row::number)
    }

    /// The row at a path.
    ///
    /// # Panics
    /// If nothing is declared there: at compile time, which is when it runs.
    #[expect(
        clippy::indexing_slicing,
        clippy::panic,
        reason = "it runs at compile time only"
    )]
    const fn at(path: &[&str]) -> Row {
        let mut row = 0;
        let mut depth = 0;
        while depth < path.len() {
            row = match child(&TABLE, row, path[depth]) {
                Some(row) => row,
                None => panic!("no such setting is declared"),
            };
            depth += 1;
        }
        Row(row as u16)
    }

    /// A row of the section of this name.
    ///
    /// # Panics
    /// If there is none: at compile time.
    #[expect(
        clippy::indexing_slicing,
        clippy::panic,
        reason = "it runs at compile time only"
    )]
    pub(crate) const fn of_section(name: &str) -> Row {
        let mut row = 0;
        while row < TABLE.len() {
            if let Kind::Section(section) = TABLE[row].kind
                && same(section.name, name)
            {
                return Row(row as u16);
            }
            row += 1;
        }
        panic!("no such section is declared")
    }
}

/// A declared setting that the code knows by name, see [`known`](super::known), by
/// its path in version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) row: Row,
    pub(crate) path: &'static [&'static str],
}

impl Known {
    /// The setting at a path, in which [`ANY`] stands for a name.
    ///
    /// # Panics
    /// If nothing is declared there: at compile time.
    pub(super) const fn at(path: &'static [&'static str]) -> Self {
        Known {
            row: Row::at(path),
            path,
        }
    }

    /// What is known of it.
    pub(crate) fn place(self) -> Place {
        Place::of(self.row)
    }

    /// The key in its table.
    pub(crate) fn key(self) -> &'static str {
        self.path.last().copied().unwrap_or_default()
    }

    /// The path of what is in it by this key.
    pub(crate) fn with(self, key: &str) -> Vec<&str> {
        self.path.iter().copied().chain([key]).collect()
    }

    /// The path with names in place of each [`ANY`].
    pub(crate) fn of<'k>(self, names: &[&'k str]) -> Vec<&'k str> {
        let mut names = names.iter().copied();
        let key = |key: &&'static str| match *key {
            ANY => names.next().unwrap_or(ANY),
            key => key,
        };
        self.path.iter().map(key).collect()
    }
}

impl std::ops::Deref for Known {
    type Target = [&'static str];

    fn deref(&self) -> &Self::Target {
        self.path
    }
}

/// More rows than there are.
const ROOM: usize = 1024;

pub(super) const LENGTH: usize = made::<ROOM>().1;

/// All rows, each behind the one that it is below; those below one are together.
static TABLE: [Entry; LENGTH] = made::<LENGTH>().0;

/// The rows, and how many there are.
const fn made<const N: usize>() -> ([Entry; N], usize) {
    let mut made = Made {
        table: [Entry::TOP; N],
        // What of a map, or a section, is built in.
        builtins: [&[]; N],
        length: 1,
    };
    let mut row = 0;
    while row < made.length {
        made.below(row);
        row += 1;
    }
    let mut row = 1;
    while row < made.length {
        made.find_plain(row);
        row += 1;
    }
    (made.table, made.length)
}

struct Made<const N: usize> {
    table: [Entry; N],
    builtins: [&'static [Builtin]; N],
    length: usize,
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "it runs at compile time only"
)]
impl<const N: usize> Made<N> {
    /// Adds the rows below one.
    const fn below(&mut self, row: usize) {
        self.table[row].first_below = self.length as u16;
        match self.table[row].kind {
            Kind::Section(section) => {
                let mut at = 0;
                while at < section.settings.len() {
                    self.setting(row, section, &section.settings[at]);
                    at += 1;
                }
            }
            Kind::Map(kind) => {
                let builtins = self.builtins[row];
                let mut at = 0;
                while at < builtins.len() {
                    self.entry(row, *kind, Some(&builtins[at]));
                    at += 1;
                }
                self.entry(row, *kind, None);
            }
            Kind::Tables(section) => {
                let item = Entry {
                    key: ANY,
                    kind: Kind::Section(section),
                    parent: Row(row as u16),
                    ..Entry::TOP
                };
                self.push(item, &[]);
            }
            _ => {}
        }
        self.table[row].below = self.length as u16 - self.table[row].first_below;
    }

    const fn setting(&mut self, above: usize, section: &Section, setting: &'static Setting) {
        let parent = self.table[above];
        let builtin = find(self.builtins[above], setting.key);
        let entry = Entry {
            key: setting.key,
            kind: setting.kind,
            setting: Some(setting),
            built_in: match builtin {
                Some(builtin) => builtin.history,
                None => &[],
            },
            since: later(parent.since, first(setting.history)),
            gone: match parent.gone {
                Some(gone) => Some(gone),
                None => removed(setting.history),
            },
            merge: setting.merge,
            is_hidden: setting.is_hidden,
            in_entry: parent.in_entry,
            free: parent.free || matches!(section.presence, Presence::Free),
            concern: match setting.concern {
                Some(concern) => concern,
                None => parent.concern,
            },
            parent: Row(above as u16),
            ..Entry::TOP
        };
        let builtins = match builtin {
            Some(builtin) => builtin.inside,
            None => setting.builtins,
        };
        self.push(entry, builtins);
    }

    /// An entry of a map: a built-in one, or that which stands for any other.
    const fn entry(&mut self, above: usize, kind: Kind, builtin: Option<&'static Builtin>) {
        let parent = self.table[above];
        let mut entry = Entry {
            key: ANY,
            kind,
            setting: None,
            built_in: &[],
            in_entry: true,
            is_entry: true,
            parent: Row(above as u16),
            first_below: 0,
            below: 0,
            ..parent
        };
        let mut builtins: &[Builtin] = &[];
        if let Some(builtin) = builtin {
            entry.key = builtin.key;
            entry.built_in = builtin.history;
            entry.in_entry = false;
            builtins = builtin.inside;
        }
        self.push(entry, builtins);
    }

    const fn push(&mut self, entry: Entry, builtins: &'static [Builtin]) {
        if self.length == N {
            panic!("there is not room enough for all settings");
        }
        self.table[self.length] = entry;
        self.builtins[self.length] = builtins;
        self.length += 1;
    }

    const fn find_plain(&mut self, row: usize) {
        let entry = self.table[row];
        let above = self.table[entry.parent.0 as usize].plain.0 as usize;
        let parent = self.table[above];
        let plain = match (entry.is_entry, child(&self.table, above, entry.key)) {
            (true, _) => (parent.first_below + parent.below) as usize - 1,
            (false, Some(plain)) => plain,
            (false, None) => row,
        };
        self.table[row].plain = Row(plain as u16);
    }
}

/// The row of a key below another row; [`ANY`] is that of any name.
#[expect(
    clippy::indexing_slicing,
    reason = "rows are those of the table, and it runs at compile time"
)]
const fn child(table: &[Entry], row: usize, key: &str) -> Option<usize> {
    let entry = &table[row];
    let mut at = entry.first_below as usize;
    let end = at + entry.below as usize;
    while at < end {
        if same(table[at].key, key) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[expect(
    clippy::indexing_slicing,
    reason = "the index is below the length, and it runs at compile time"
)]
const fn find(builtins: &'static [Builtin], key: &str) -> Option<&'static Builtin> {
    let mut at = 0;
    while at < builtins.len() {
        if same(builtins[at].key, key) {
            return Some(&builtins[at]);
        }
        at += 1;
    }
    None
}

/// Equality of texts, which `==` cannot tell at compile time yet.
#[expect(
    clippy::indexing_slicing,
    reason = "the index is below both lengths, and it runs at compile time"
)]
pub(super) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The order of texts, for the same reason.
#[expect(
    clippy::indexing_slicing,
    reason = "the index is below both lengths, and it runs at compile time"
)]
pub(super) const fn precedes(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

const fn first(history: History) -> Option<Release> {
    match history.first() {
        Some((release, _)) => Some(*release),
        None => None,
    }
}

/// The release from which on a setting is no more.
const fn removed(history: History) -> Option<Release> {
    match history.last() {
        Some((release, State::Absent)) => Some(*release),
        _ => None,
    }
}

const fn later(a: Option<Release>, b: Option<Release>) -> Option<Release> {
    match (a, b) {
        (Some(one), Some(other)) if one.precedes(other) => b,
        (Some(_), _) => a,
        (None, _) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::known;

    fn at(path: &[&str]) -> Row {
        let found = path.iter().try_fold(Row::TOP, |row, key| row.child(key));
        found.unwrap()
    }

    #[test]
    fn rows_stand_where_their_paths_lead() {
        for row in Row::all().filter(|row| !row.is_top()) {
            let path = row.path();
            let (key, tables) = path.split_last().unwrap();
            let table = row.parent();
            assert_eq!(table.path(), tables);
            // Items of lists are no children by name.
            if !matches!(table.entry().kind, Kind::Tables(_)) {
                assert_eq!(table.child(key), Some(row), "{path:?}");
            }
        }
    }

    #[test]
    fn what_is_built_in_is_the_same_setting() {
        let runtimes = known::RUNTIMES.path;
        let kind = |name| at(&[runtimes, &[name, "runtime_type"]].concat());
        assert_ne!(kind("runc"), kind("kata"));
        assert_eq!(kind("kata"), known::RUNTIME_TYPE.row);
        assert_eq!(kind("runc").plain(), known::RUNTIME_TYPE.row);
        assert!(kind("kata").entry().in_entry && !kind("runc").entry().in_entry);
        assert!(kind("runc").is_in(known::HANDLER.row));
        assert!(!kind("runc").is_in(known::REGISTRY.row));
    }

    #[test]
    fn tables_hand_down_when_they_came_and_went() {
        let tls = known::HOSTS_CERT.row.entry();
        assert_eq!(tls.gone.unwrap().to_string(), "2.0.0");
        let platform = known::HANDLERS_PLATFORM.row.entry();
        assert_eq!(platform.since.unwrap().to_string(), "2.0.0");
    }
}
