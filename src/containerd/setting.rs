//! What is known of a setting: one declaration each, which the typed model,
//! the defaults, the origin match and the verification all read.
//!
//! The declarations themselves stand in [`config`](crate::config), beside the
//! Rust fields they describe.

use std::fmt;

use super::Release;
use crate::config::known::PLUGINS;
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
    /// Its name, which is that of the type in [`config`](crate::config).
    pub name: &'static str,
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

/// From when on something is true of config files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The first config version.
    pub version: i64,
    /// The first release among those that know that version; all of them if there
    /// is none.
    pub release: Option<Release>,
}

/// From a config version on, whichever release reads it.
pub(crate) const fn version(version: i64) -> Since {
    Since {
        version,
        release: None,
    }
}

/// Where a setting stands from a config version on, or from a release on within
/// it, if not where its key in its table's address leads.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// From when on.
    pub since: Since,
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

impl MovedTo {
    /// Whether it is in a plugin's section.
    pub(crate) fn is_in_plugin(self) -> bool {
        match self {
            MovedTo::Path(path) | MovedTo::Into(path) => path.first() == Some(&PLUGINS.key()),
            MovedTo::Key(_) => false,
        }
    }
}

/// What builds for a distribution or an architecture print at a setting, in
/// place of the default that is declared, which is upstream's on amd64.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shift {
    /// What a distribution's packages print, through the releases;
    /// [`State::Absent`] where that is upstream's default.
    Packaged(History),
    /// The machine's own platform, alone in a list: `["linux/arm64/v8"]`.
    Platform,
    /// One way to unpack, for the machine's own platform.
    UnpackPlatform,
}

/// What `platforms.DefaultString` gives on the architectures that containerd
/// is built for; arm has its variant with it.
const PLATFORMS: &[&str] = &[
    "linux/386",
    "linux/amd64",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64/v8",
    "linux/mips64le",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
];

impl Shift {
    /// Whether some build of a release prints `value`, if the release prints the
    /// setting at all.
    pub(crate) fn has(self, value: &Value, release: Release) -> bool {
        match self {
            Shift::Packaged(history) => state_at(history, release).is_default(value),
            Shift::Platform | Shift::UnpackPlatform => self.is_of_host(value),
        }
    }

    /// Whether a value names the machine's own platform and nothing else, which
    /// no migration changes.
    pub(crate) fn is_of_host(self, value: &Value) -> bool {
        match (self, value.as_array()) {
            (Shift::Platform, Some([Value::String(platform)])) => {
                PLATFORMS.contains(&platform.as_str())
            }
            (Shift::UnpackPlatform, Some([Value::Table(unpack)])) => unpacks_for_host(unpack),
            _ => false,
        }
    }
}

/// Late 1.7 builds name the differ that is used anyway, on amd64 as well.
fn unpacks_for_host(unpack: &Table) -> bool {
    let text = |key: &str| unpack.get(key).map_or(Some(""), Value::as_str);
    let keys = ["differ", "platform", "snapshotter"];
    unpack.keys().all(|key| keys.contains(&key.as_str()))
        && text("platform").is_some_and(|platform| PLATFORMS.contains(&platform))
        && text("snapshotter") == Some("overlayfs")
        && matches!(text("differ"), Some("" | "walking"))
}

/// What took the place of a setting that is deprecated or gone, from a
/// containerd release on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The release that has it.
    pub since: Release,
    /// What it is.
    pub by: SucceededBy,
}

/// The successor of a setting. Its `Display` is what the documentation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SucceededBy {
    /// The same value at this path, from the table of the setting on.
    Path(&'static [&'static str]),
    /// A list at this key of the same table, of which the value is one item.
    List(&'static str),
    /// A runtime handler of this name that the table becomes.
    Handler(&'static str),
    /// The same, and the handler is that of pods that name none.
    DefaultHandler(&'static str),
    /// An option of the default runtime handler.
    DefaultHandlerOption(&'static str),
    /// An item of the list of variables in the environment of shims.
    ShimVariable(&'static str),
    /// A `hosts.toml` file of a registry host.
    HostsToml,
}

impl fmt::Display for SucceededBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SucceededBy::Path(path) => write!(f, "`{}`", path.join(".")),
            SucceededBy::List(key) => write!(f, "the list `{key}`"),
            SucceededBy::Handler(name) => write!(f, "`runtimes.{name}`"),
            SucceededBy::DefaultHandler(name) => {
                write!(f, "`runtimes.{name}` and `default_runtime_name`")
            }
            SucceededBy::DefaultHandlerOption(key) => {
                write!(f, "`{key}` in the options of the default runtime handler")
            }
            SucceededBy::ShimVariable(item) => write!(f, "`{item}` in the shim manager's `env`"),
            SucceededBy::HostsToml => f.write_str("a `hosts.toml`"),
        }
    }
}

/// What a drop-in is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concern {
    /// The daemon.
    Daemon,
    /// A plugin: the entry of the table.
    Plugin,
    /// The CRI plugin.
    Cri,
    /// Pod networks.
    Cni,
    /// Registries: where images come from, and who fetches them.
    Registry,
    /// The snapshotter.
    Snapshotter,
    /// The runtime handler that is the entry of the map.
    Handler,
    /// What images of a runtime handler, the entry of the map, are unpacked with.
    HandlersImages,
    /// The runtime handler that the value names.
    NamedHandler,
    /// Proxy plugins.
    ProxyPlugins,
    /// Stream processors.
    StreamProcessors,
}

/// No setting moves more often.
pub const MOST_MOVES: usize = 2;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The key as config version 2 spells it. Plugins have their URI here;
    /// their version 1 name follows from it, see
    /// [`plugin::short_name`](super::plugin::short_name).
    pub key: &'static str,
    /// Where later config versions have it, in their order.
    pub moves: [Option<Move>; MOST_MOVES],
    /// The TOML type.
    pub kind: Kind,
    /// Defaults and life span.
    pub history: History,
    /// Built-in entries of a map, or defaults that depart from the section's.
    pub builtins: &'static [Builtin],
    /// Why a file cannot decide this key under k0s.
    pub owned: Option<&'static str>,
    /// Whether the value may be or hold a credential, so that it is not shown.
    pub is_hidden: bool,
    /// Whether the text is a duration, although the TOML type is a string: who uses
    /// it refuses another.
    pub is_duration: bool,
    /// How a later file's value is merged, outside of `plugins`.
    pub merge: Merge,
    /// What is to take its place, in a sentence, if upstream plans to remove it:
    /// it is in the table of `RELEASES.md` of containerd, and no release is
    /// without it yet.
    pub removal: Option<&'static str>,
    /// What builds other than upstream's on amd64 print.
    pub shift: Option<Shift>,
    /// What took its place, or that of a whole table.
    pub successor: Option<Successor>,
    /// The release from which on an empty list is a value, and not the same as
    /// none.
    pub empty_since: Option<Release>,
    /// The key of the same table, a server's address, without which it has no
    /// effect.
    pub beside: Option<&'static str>,
    /// What a drop-in with it, or with what is in it, is about; if nothing is said,
    /// the same as one with the table that it is in.
    pub concern: Option<Concern>,
}

impl Setting {
    /// A setting with nothing special about it.
    pub(crate) const fn new(key: &'static str, kind: Kind, history: History) -> Self {
        Setting {
            key,
            moves: [None; MOST_MOVES],
            kind,
            history,
            builtins: &[],
            owned: None,
            is_hidden: false,
            is_duration: false,
            merge: Merge::NonZero,
            removal: None,
            shift: None,
            successor: None,
            empty_since: None,
            beside: None,
            concern: None,
        }
    }

    /// Stands elsewhere from then on.
    pub(crate) const fn moved(self, since: Since, path: &'static [&'static str]) -> Self {
        self.placed(since, MovedTo::Path(path), false)
    }

    /// Stands in another table from then on.
    pub(crate) const fn moved_into(self, since: Since, table: &'static [&'static str]) -> Self {
        self.placed(since, MovedTo::Into(table), false)
    }

    /// Has another key from then on.
    pub(crate) const fn renamed(self, since: Since, key: &'static str) -> Self {
        self.placed(since, MovedTo::Key(key), false)
    }

    /// Exists from then on, at this path.
    pub(crate) const fn only_at(self, since: Since, path: &'static [&'static str]) -> Self {
        self.placed(since, MovedTo::Path(path), true)
    }

    /// Exists from then on, in this table.
    pub(crate) const fn only_in(self, since: Since, table: &'static [&'static str]) -> Self {
        self.placed(since, MovedTo::Into(table), true)
    }

    const fn placed(mut self, since: Since, to: MovedTo, is_new: bool) -> Self {
        let mut free = 0;
        #[expect(
            clippy::indexing_slicing,
            reason = "one move too many does not compile"
        )]
        while self.moves[free].is_some() {
            free += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "the same")]
        let last = &mut self.moves[free];
        *last = Some(Move { since, to, is_new });
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

    /// It may be or hold a credential.
    pub(crate) const fn hidden(mut self, is_hidden: bool) -> Self {
        self.is_hidden |= is_hidden;
        self
    }

    /// Its text is a duration.
    pub(crate) const fn duration(mut self) -> Self {
        self.is_duration = true;
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

    /// An empty list is a value of its own from a release on.
    pub(crate) const fn empty_since(mut self, since: Release) -> Self {
        self.empty_since = Some(since);
        self
    }

    /// Builds other than upstream's on amd64 print this.
    pub(crate) const fn shifted(mut self, shift: Shift) -> Self {
        self.shift = Some(shift);
        self
    }

    /// Has an effect only beside this key of the same table.
    pub(crate) const fn beside(mut self, address: &'static str) -> Self {
        self.beside = Some(address);
        self
    }

    /// Goes into a drop-in about this.
    pub(crate) const fn about(mut self, concern: Concern) -> Self {
        self.concern = Some(concern);
        self
    }

    /// Has a successor from a release on.
    pub(crate) const fn succeeded(mut self, since: Release, by: SucceededBy) -> Self {
        self.successor = Some(Successor { since, by });
        self
    }
}
