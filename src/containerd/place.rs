//! The declarations seen from a config tree: what is known of a node that one
//! arrives at by its keys.

use super::Release;
use super::duration;
use super::releases::{V1_5, V2_2};
use super::setting::{
    Builtin, History, Kind, Merge, Move, Presence, Section, Shift, State, SucceededBy, Successor,
    state_at,
};
use crate::value::Value;

/// What is known of one node of a config tree: found by walking the
/// declarations along with the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// Declared states; empty for the entries of a map.
    history: History,
    /// States that a built-in entry has instead, while it is built in.
    built_in: History,
    builtins: &'static [Builtin],
    /// The first release that has the setting, and the tables that it is in.
    since: Option<Release>,
    /// The release that removed the setting, or a table that it is in.
    gone: Option<Release>,
    /// Where later config versions have it.
    pub(crate) moved: Option<Move>,
    pub(crate) owned: Option<&'static str>,
    /// The value may be or hold a credential, so that it is not shown.
    pub(crate) is_hidden: bool,
    pub(crate) merge: Merge,
    /// What builds other than upstream's on amd64 print.
    shift: Option<Shift>,
    empty_since: Option<Release>,
    /// Below the entry of a map, or in a section that departs from nothing:
    /// what is not built in has the zero value.
    pub(crate) in_entry: bool,
    /// Inside of a [`Presence::Free`] section.
    pub(crate) free: bool,
    /// The node is the entry of a map.
    pub(crate) is_entry: bool,
    /// What is to take the place of a setting that upstream plans to remove; of
    /// the setting itself, not of what is in it.
    pub(crate) removal: Option<&'static str>,
}

impl Place {
    /// The top of a config file.
    pub(crate) fn root(section: &'static Section) -> Self {
        Place {
            kind: Kind::Section(section),
            history: &[],
            built_in: &[],
            builtins: &[],
            since: None,
            gone: None,
            moved: None,
            owned: None,
            is_hidden: false,
            merge: Merge::NonZero,
            shift: None,
            empty_since: None,
            in_entry: false,
            free: false,
            is_entry: false,
            removal: None,
        }
    }

    /// The node under `key`, or `None` where no declaration knows it.
    pub(crate) fn child(&self, key: &str) -> Option<Place> {
        let builtin = self.builtins.iter().find(|b| b.key == key);
        match self.kind {
            Kind::Section(section) => {
                let free = section.presence == Presence::Free;
                let Some(setting) = section.get(key) else {
                    return free.then(|| self.any());
                };
                Some(Place {
                    kind: setting.kind,
                    history: setting.history,
                    built_in: builtin.map_or(&[], |b| b.history),
                    builtins: builtin.map_or(setting.builtins, |b| b.inside),
                    since: self
                        .since
                        .max(setting.history.first().map(|(release, _)| *release)),
                    gone: self.gone.or(removed(setting.history)),
                    moved: setting.moved,
                    owned: setting.owned,
                    is_hidden: setting.is_hidden,
                    merge: setting.merge,
                    shift: setting.shift,
                    empty_since: setting.empty_since,
                    in_entry: self.in_entry,
                    free: self.free || free,
                    is_entry: false,
                    removal: setting.removal,
                })
            }
            Kind::Map(kind) => Some(Place {
                kind: *kind,
                history: &[],
                built_in: builtin.map_or(&[], |b| b.history),
                builtins: builtin.map_or(&[], |b| b.inside),
                since: self.since,
                gone: self.gone,
                moved: None,
                owned: None,
                is_hidden: self.is_hidden,
                merge: self.merge,
                shift: None,
                empty_since: None,
                in_entry: builtin.is_none(),
                free: self.free,
                is_entry: true,
                removal: None,
            }),
            Kind::Any => Some(self.any()),
            _ => None,
        }
    }

    /// What is handed on as it is, whatever it is called.
    pub(crate) fn any(&self) -> Place {
        Place {
            kind: Kind::Any,
            history: &[],
            built_in: &[],
            builtins: &[],
            moved: None,
            shift: None,
            free: true,
            is_entry: false,
            removal: None,
            ..*self
        }
    }

    /// The same node where a file names it as the entry of a map: containerd
    /// 1.3 – 1.7 then start from zero, built in or not; 2.x does outside of
    /// plugins.
    pub(crate) fn named_in_file(mut self, release: Release) -> Self {
        if self.is_entry && (!release.is_2() || self.merge == Merge::Entry) {
            self.in_entry = true;
            self.built_in = &[];
            self.builtins = &[];
        }
        self
    }

    /// The entries that a map has of itself in a release.
    pub(crate) fn builtin_entries(&self, release: Release) -> impl Iterator<Item = &'static str> {
        let is_map = matches!(self.kind, Kind::Map(_));
        let alive = move |b: &&Builtin| is_map && state_at(b.history, release) != State::Absent;
        self.builtins.iter().filter(alive).map(|b| b.key)
    }

    /// Whether a map keeps the entries that it has of itself where a file has the
    /// map too: containerd 1.5 – 1.7 replace it inside of plugins.
    pub(crate) fn keeps_builtin_entries(&self, release: Release) -> bool {
        self.merge == Merge::Entry || release < V1_5 || release.is_2()
    }

    /// The state of a leaf in a release. Leaves of map entries that are not
    /// built in are never printed.
    pub(crate) fn state(&self, release: Release) -> State {
        if self.is_gone(release) {
            return State::Absent;
        }
        let built_in = state_at(self.built_in, release);
        if built_in != State::Absent {
            return built_in;
        }
        match state_at(self.history, release) {
            State::Absent if self.is_entry => State::Hidden,
            state if state.is_printed() && !self.has_own_default() => State::Hidden,
            state => state,
        }
    }

    /// The states through all releases that `config default` could print.
    pub(crate) fn printed_states(&self) -> History {
        if !self.built_in.is_empty() {
            self.built_in
        } else if self.has_own_default() {
            self.history
        } else {
            &[]
        }
    }

    /// Whether some build of a release prints the value here: upstream's, a
    /// distribution's, or that for another architecture.
    pub(crate) fn prints(&self, value: &Value, release: Release) -> bool {
        self.state(release).is_printed()
            && (self.is_default(value, release) || self.is_shifted(value, release))
    }

    /// Whether a build other than upstream's on amd64 prints the value, if the
    /// release prints the setting at all.
    fn is_shifted(&self, value: &Value, release: Release) -> bool {
        let shift = self.shift.filter(|_| self.has_own_default());
        shift.is_some_and(|shift| shift.has(value, release))
    }

    /// The releases at which what a distribution prints changes.
    pub(crate) fn packaged_states(&self) -> History {
        match self.shift {
            Some(Shift::Packaged(history)) if self.has_own_default() => history,
            _ => &[],
        }
    }

    /// Whether a value here names the machine's own platform and nothing else.
    pub(crate) fn is_of_host(&self, value: &Value) -> bool {
        self.shift.is_some_and(|shift| shift.is_of_host(value))
    }

    /// The settings of a table of which a later release made a list: the key, the
    /// key of the list, and the release.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'static str, &'static str, Release)> {
        let settings = match self.kind {
            Kind::Section(section) => section.settings,
            _ => &[],
        };
        settings
            .iter()
            .filter_map(|setting| match setting.successor {
                Some(Successor {
                    since,
                    by: SucceededBy::List(list),
                }) => Some((setting.key, list, since)),
                _ => None,
            })
    }

    /// The release that removed the setting.
    pub(crate) fn removed(&self) -> Option<Release> {
        self.gone
    }

    /// Whether a release no longer has the setting.
    pub(crate) fn is_gone(&self, release: Release) -> bool {
        self.gone.is_some_and(|gone| gone <= release)
    }

    /// Whether the setting came with containerd 2.x, and the release is of 1.x.
    pub(crate) fn is_too_new(&self, release: Release) -> bool {
        !release.is_2() && self.since.is_some_and(Release::is_2)
    }

    /// Whether a value is the default in the last releases that know the setting.
    /// What an earlier one had is no longer what happens where nothing is set.
    pub(crate) fn is_last_default(&self, value: &Value) -> bool {
        let states = match self.built_in {
            [] => self.history,
            built_in => built_in,
        };
        let known =
            |(from, state): &&(Release, State)| *state != State::Absent && !self.is_gone(*from);
        let last = states.iter().rev().find(known).map(|(from, _)| *from);
        match last.filter(|from| self.state(*from).is_printed()) {
            Some(from) => self.is_default(value, from),
            None => value.is_zero() || self.is_zero_duration(value),
        }
    }

    /// The first release that knows the setting.
    pub(crate) fn since(&self) -> Option<Release> {
        self.since
    }

    /// Whether the declared states hold here: not inside an entry that is not,
    /// or no longer, built in.
    fn has_own_default(&self) -> bool {
        !self.in_entry && self.built_in.is_empty()
    }

    /// Calls `f` for every declared key and every built-in entry below.
    pub(crate) fn each_declared(&self, f: &mut dyn FnMut(&'static str, Place)) {
        let keys: Vec<&'static str> = match self.kind {
            Kind::Section(section) => section.settings.iter().map(|setting| setting.key).collect(),
            Kind::Map(_) => self.builtins.iter().map(|builtin| builtin.key).collect(),
            _ => Vec::new(),
        };
        for key in keys {
            if let Some(child) = self.child(key) {
                f(key, child);
            }
        }
    }

    /// Whether a release knows the key.
    pub(crate) fn known_in(&self, release: Release) -> bool {
        matches!(self.kind, Kind::Any) || self.state(release) != State::Absent
    }

    /// The value assumed in `release` when no file sets the leaf; `None` where
    /// that is "no value".
    pub(crate) fn is_default(&self, value: &Value, release: Release) -> bool {
        if self.is_said_by_empty(value, release) {
            return false;
        }
        let state = self.state(release);
        match (self.kind, state, value) {
            // containerd fills a timeout that is empty, and keeps the others as they are written.
            (Kind::Duration, _, Value::String(text)) if self.is_entry && text.is_empty() => {
                return true;
            }
            (Kind::Duration, State::Str(default), Value::Integer(0)) if !self.is_entry => {
                return duration::equal(default, "0s");
            }
            (Kind::Duration, State::Str(default), Value::String(text)) if !self.is_entry => {
                return duration::equal(default, text);
            }
            _ => {}
        }
        if self.free || (self.is_entry && !state.is_printed()) {
            return state.is_printed() && state.is_default(value);
        }
        match state {
            State::Hidden => value.is_zero() || self.is_zero_duration(value),
            state => state.is_default(value),
        }
    }

    /// Whether an empty list here says something to a release.
    pub(crate) fn is_said_by_empty(&self, value: &Value, release: Release) -> bool {
        let is_empty = value.as_array().is_some_and(<[Value]>::is_empty);
        is_empty && self.empty_since.is_some_and(|since| since <= release)
    }

    /// Whether a value is a duration of no length.
    pub(super) fn is_zero_duration(&self, value: &Value) -> bool {
        matches!(self.kind, Kind::Duration)
            && value
                .as_str()
                .is_some_and(|text| duration::equal("0s", text))
    }

    /// Whether the default is the zero value, for want of a built-in one.
    pub(crate) fn is_zero_of_entry(&self, release: Release) -> bool {
        self.in_entry && !self.state(release).is_printed()
    }

    /// What an empty table here means.
    pub(crate) fn presence(&self) -> Presence {
        match self.kind {
            Kind::Section(section) => section.presence,
            _ => Presence::Plain,
        }
    }

    /// Whether it is a table of settings, or of entries.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Section(_) | Kind::Map(_))
    }

    /// Whether a table here says something by being there.
    pub(crate) fn presence_matters(&self) -> bool {
        self.is_table() && (self.is_entry || self.presence() == Presence::Pointer)
    }

    /// What is wrong with the type of `value`, if something is.
    pub(crate) fn mismatch(&self, value: &Value, release: Release) -> Option<String> {
        let all = |items: &[Value], ok: fn(&Value) -> bool| items.iter().all(ok);
        let (fits, expected) = match (self.kind, value) {
            (Kind::Any, _) => (true, "anything"),
            (Kind::Bool, v) => (matches!(v, Value::Boolean(_)), "a boolean"),
            (Kind::Int, v) => (matches!(v, Value::Integer(_)), "an integer"),
            // go-toml 2 (containerd 2.x) converts integers.
            (Kind::Float, Value::Integer(_)) if release.is_2() => (true, "a float"),
            (Kind::Float, v) => (matches!(v, Value::Float(_)), "a float"),
            (Kind::Str, v) => (matches!(v, Value::String(_)), "a string"),
            (Kind::Duration, Value::String(text)) => (
                self.is_entry && text.is_empty() || duration::parse(text).is_some(),
                "a duration such as \"10s\"",
            ),
            // 2.0 and 2.1 take it for nanoseconds (2.1.9 does; 2.2.7 and 2.3.3
            // exit for want of a unit).
            (Kind::Duration, Value::Integer(_))
                if release.is_2() && release < V2_2 && !self.is_entry =>
            {
                (true, "a duration")
            }
            // Not a string, but read as "0s".
            (Kind::Duration, Value::Integer(0)) if !self.is_entry => (true, "a duration"),
            (Kind::Duration, _) => (false, "a duration such as \"10s\""),
            (Kind::Strs, Value::Array(items)) => {
                (all(items, |v| v.as_str().is_some()), "a list of strings")
            }
            (Kind::Strs, _) => (false, "a list of strings"),
            (Kind::Bytes, Value::Array(items)) => (
                all(items, |v| matches!(v, Value::Integer(0..=255))),
                "a list of bytes",
            ),
            (Kind::Bytes, _) => (false, "a list of bytes"),
            // go-toml 1.9 cannot make a list of structs of an empty array.
            (Kind::Tables(_), Value::Array(items)) if items.is_empty() && !release.is_2() => {
                (false, "a list with at least one table")
            }
            (Kind::Tables(section), Value::Array(items)) => (
                items
                    .iter()
                    .all(|item| fits_section(section, item, release)),
                "a list of tables",
            ),
            (Kind::Tables(_), _) => (false, "a list of tables"),
            (Kind::Section(_) | Kind::Map(_), v) => (matches!(v, Value::Table(_)), "a table"),
        };
        if let (Kind::Duration, Value::String(_)) = (self.kind, value) {
            return (!fits).then(|| format!("this is not {expected}"));
        }
        let found = value.type_name();
        let article = if found.starts_with(['a', 'i']) {
            "an"
        } else {
            "a"
        };
        (!fits).then(|| format!("{expected} is expected here, not {article} {found}"))
    }
}

/// The release from which on a setting is no more.
fn removed(history: History) -> Option<Release> {
    match history.last() {
        Some((release, State::Absent)) => Some(*release),
        _ => None,
    }
}

fn fits_section(section: &'static Section, value: &Value, release: Release) -> bool {
    let Some(table) = value.as_table() else {
        return false;
    };
    let place = Place::root(section);
    table.iter().all(|(key, value)| {
        place
            .child(key)
            .is_none_or(|child| child.mismatch(value, release).is_none())
    })
}
