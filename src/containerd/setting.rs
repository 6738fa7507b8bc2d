//! What is known of a setting: one declaration each, which the typed model,
//! the defaults, the origin match and the verification all read.
//!
//! The declarations themselves stand in [`config`](crate::config), beside the
//! Rust fields they describe.

use super::Release;
use crate::value::{Table, Value};

/// What a containerd release does with a setting, from one release on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// The release does not know the setting.
    Absent,
    /// Known, but `containerd config default` does not print it: the zero
    /// value is the default.
    Hidden,
    /// A boolean default.
    Bool(bool),
    /// An integer default.
    Int(i64),
    /// A float default.
    Float(f64),
    /// A string default.
    Str(&'static str),
    /// A default list of strings.
    Strs(&'static [&'static str]),
    /// A default list of tables.
    Tables(&'static [&'static [(&'static str, State)]]),
}

impl State {
    /// The value that `config default` prints, if it prints one.
    pub fn printed(self) -> Option<Value> {
        Some(match self {
            State::Absent | State::Hidden => return None,
            State::Bool(v) => Value::Boolean(v),
            State::Int(v) => Value::Integer(v),
            State::Float(v) => Value::Float(v),
            State::Str(v) => Value::String(v.to_owned()),
            State::Strs(v) => {
                Value::Array(v.iter().map(|s| Value::String((*s).to_owned())).collect())
            }
            State::Tables(v) => {
                Value::Array(v.iter().map(|t| Value::Table(state_table(t))).collect())
            }
        })
    }

    /// Whether `value` is what this release assumes when nothing sets it.
    pub fn is_default(self, value: &Value) -> bool {
        match (self, value) {
            (State::Absent, _) => false,
            (State::Hidden, value) => value.is_zero(),
            (State::Bool(a), Value::Boolean(b)) => a == *b,
            (State::Int(a), Value::Integer(b)) => a == *b,
            (State::Float(a), Value::Float(b)) => a == *b,
            (State::Str(a), Value::String(b)) => a == b,
            (State::Strs(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| b.as_str() == Some(a))
            }
            (State::Tables(a), Value::Array(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| {
                        b.as_table()
                            .is_some_and(|b| without_zeros(&state_table(a)) == without_zeros(b))
                    })
            }
            _ => false,
        }
    }

    pub(crate) fn is_printed(self) -> bool {
        !matches!(self, State::Absent | State::Hidden)
    }
}

fn state_table(fields: &[(&str, State)]) -> Table {
    let printed = |(key, state): &(&str, State)| Some(((*key).to_owned(), state.printed()?));
    fields.iter().filter_map(printed).collect()
}

/// A table without the keys that hold zero values: what Go's structs cannot
/// tell apart from keys that are missing.
pub(crate) fn without_zeros(table: &Table) -> Table {
    let set = table.iter().filter(|(_, value)| !value.is_zero());
    set.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The states of a setting through the releases, oldest first. Before the
/// first entry it is [`State::Absent`].
pub type History = &'static [(Release, State)];

/// The state in one release.
pub(crate) fn state_at(history: History, release: Release) -> State {
    let past = history.iter().take_while(|(from, _)| *from <= release);
    past.last().map_or(State::Absent, |(_, state)| *state)
}

/// The TOML type of a setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A boolean.
    Bool,
    /// An integer.
    Int,
    /// A float.
    Float,
    /// A string.
    Str,
    /// A Go duration in a string, compared by its length (`"60s"` is `"1m0s"`).
    Duration,
    /// A list of strings.
    Strs,
    /// Bytes, as a list of integers.
    Bytes,
    /// A list of tables.
    Tables(&'static Section),
    /// A table with declared keys.
    Section(&'static Section),
    /// A table whose keys are names and whose values are alike.
    Map(&'static Kind),
    /// Anything: what a shim is told beyond the options that are declared.
    Any,
}

/// When the existence of a table says something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A struct in Go: an empty table is the same as none.
    Plain,
    /// A pointer in Go: an empty table differs from none.
    Pointer,
    /// Handed on as it is (`map[string]interface{}` in Go): a key with a zero
    /// value differs from no key.
    Free,
}

/// A table with declared keys.
#[derive(Debug)]
pub struct Section {
    /// The keys, in the order of their declaration.
    pub settings: &'static [Setting],
    /// What an empty table means.
    pub presence: Presence,
}

impl Section {
    /// The declaration of a key.
    pub fn get(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}

/// A default for a key deeper inside a map or section: that of a built-in
/// entry (`runtimes.runc`), or one that departs from the section's own.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The key.
    pub key: &'static str,
    /// Its states; those of an entry only say whether it exists.
    pub history: History,
    /// The same for the keys inside.
    pub inside: &'static [Builtin],
}

/// How containerd 1.x puts a later file's value over an earlier one's, for
/// settings outside of `plugins`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// By key; zero values do not override (`mergo.WithOverride`).
    NonZero,
    /// Lists are appended.
    Append,
    /// Entries of the map are replaced one by one, each as a whole.
    Entry,
}

/// Where a setting stands from a config version on, if not where its key in
/// its table's address leads.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The first config version of which this is true.
    pub version: i64,
    /// The new place.
    pub to: MovedTo,
    /// Earlier config versions have no place for the setting at all.
    pub is_new: bool,
}

/// The new place of a setting.
#[derive(Clone, Copy, Debug)]
pub enum MovedTo {
    /// A path from the top of the file.
    Path(&'static [&'static str]),
    /// The same key in the table at this path.
    Into(&'static [&'static str]),
    /// Another key in the same table.
    Key(&'static str),
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The key as config version 2 spells it. Plugins have their URI here;
    /// their version 1 name follows from it, see
    /// [`plugin::short_name`](super::plugin::short_name).
    pub key: &'static str,
    /// Where later config versions have it.
    pub moved: Option<Move>,
    /// The TOML type.
    pub kind: Kind,
    /// Defaults and life span.
    pub history: History,
    /// Built-in entries of a map, or defaults that depart from the section's.
    pub builtins: &'static [Builtin],
    /// Why a file cannot decide this key under k0s.
    pub owned: Option<&'static str>,
    /// Whether the value is a credential.
    pub secret: bool,
    /// How a later file's value is merged, outside of `plugins`.
    pub merge: Merge,
    /// What is to take its place, in a sentence, if upstream plans to remove it:
    /// it is in the table of `RELEASES.md` of containerd, and no release is
    /// without it yet.
    pub removal: Option<&'static str>,
}

impl Setting {
    /// A setting with nothing special about it.
    pub(crate) const fn new(key: &'static str, kind: Kind, history: History) -> Self {
        Setting {
            key,
            moved: None,
            kind,
            history,
            builtins: &[],
            owned: None,
            secret: false,
            merge: Merge::NonZero,
            removal: None,
        }
    }

    /// Stands elsewhere from a config version on.
    pub(crate) const fn moved(self, version: i64, path: &'static [&'static str]) -> Self {
        self.placed(version, MovedTo::Path(path), false)
    }

    /// Stands in another table from a config version on.
    pub(crate) const fn moved_into(self, version: i64, table: &'static [&'static str]) -> Self {
        self.placed(version, MovedTo::Into(table), false)
    }

    /// Has another key from a config version on.
    pub(crate) const fn renamed(self, version: i64, key: &'static str) -> Self {
        self.placed(version, MovedTo::Key(key), false)
    }

    /// Exists from a config version on, at this path.
    pub(crate) const fn only_at(self, version: i64, path: &'static [&'static str]) -> Self {
        self.placed(version, MovedTo::Path(path), true)
    }

    /// Exists from a config version on, in this table.
    pub(crate) const fn only_in(self, version: i64, table: &'static [&'static str]) -> Self {
        self.placed(version, MovedTo::Into(table), true)
    }

    const fn placed(mut self, version: i64, to: MovedTo, is_new: bool) -> Self {
        self.moved = Some(Move {
            version,
            to,
            is_new,
        });
        self
    }

    pub(crate) const fn builtins(mut self, builtins: &'static [Builtin]) -> Self {
        self.builtins = builtins;
        self
    }

    pub(crate) const fn owned(mut self, why: &'static str) -> Self {
        self.owned = Some(why);
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    /// Upstream plans to remove it.
    pub(crate) const fn removal_planned(mut self, instead: &'static str) -> Self {
        self.removal = Some(instead);
        self
    }
}
