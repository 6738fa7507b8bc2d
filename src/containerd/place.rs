//! The declarations seen from a config tree: what is known of a node that one
//! arrives at by its keys.

use super::Release;
use super::duration;
use super::releases::{V1_5, V2_2};
use super::setting::{
    Concern, History, Kind, Merge, Move, Presence, Setting, Shift, State, state_at,
};
use crate::config::known::PLUGINS;
use crate::config::table::{ANY, Entry, Known, Row};
use crate::value::Value;

/// What is known of one node of a config tree: found by walking the
/// declarations along with the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    row: Row,
    /// In something that is handed on as it is: the row is that of the table that
    /// it is in, and only what goes for all that is in that counts.
    is_any: bool,
}

impl Place {
    /// What a row of the table tells.
    pub(crate) fn of(row: Row) -> Self {
        Place { row, is_any: false }
    }

    fn entry(&self) -> &'static Entry {
        self.row.entry()
    }

    /// The declaration, if there is one of just this key.
    fn setting(&self) -> Option<&'static Setting> {
        self.entry().setting.filter(|_| !self.is_any)
    }

    /// Its key in config version 2, if it is declared.
    pub(crate) fn key(&self) -> &'static str {
        self.entry().key
    }

    /// Whether it is this setting, be it in a built-in entry.
    pub(crate) fn is(&self, known: Known) -> bool {
        !self.is_any && self.row.plain() == known.row
    }

    /// Whether it is in this table, or is it.
    pub(crate) fn is_in(&self, table: Known) -> bool {
        self.row.is_in(table.row)
    }

    /// The plugin that it is in, by its URI; empty for the daemon.
    pub(crate) fn plugin(&self) -> &'static str {
        self.row.plugin().map_or("", |plugin| plugin.entry().key)
    }

    /// The type of its value.
    pub(crate) fn kind(&self) -> Kind {
        match self.is_any {
            true => Kind::Any,
            false => self.entry().kind,
        }
    }

    /// Declared states; none for the entries of a map.
    fn history(&self) -> History {
        self.setting().map_or(&[], |setting| setting.history)
    }

    /// States that a built-in entry has instead, while it is built in.
    fn built_in(&self) -> History {
        match self.is_any {
            true => &[],
            false => self.entry().built_in,
        }
    }

    /// Where later config versions have it, in their order.
    pub(crate) fn moves(&self) -> impl DoubleEndedIterator<Item = Move> + use<> {
        let setting = self.setting();
        setting
            .into_iter()
            .flat_map(|setting| setting.moves)
            .flatten()
    }

    /// Why a file cannot decide it under k0s.
    pub(crate) fn owned(&self) -> Option<&'static str> {
        self.entry().setting?.owned
    }

    /// Whether the value may be or hold a credential, so that it is not shown.
    pub(crate) fn is_hidden(&self) -> bool {
        self.entry().is_hidden
    }

    /// How a later file's value is merged.
    pub(crate) fn merge(&self) -> Merge {
        self.entry().merge
    }

    /// What a drop-in with it is about.
    pub(crate) fn concern(&self) -> Concern {
        self.entry().concern
    }

    /// Whether config version 4 makes a plugin of it: it is a server of the daemon,
    /// with nothing in it that does not go there, or a setting of one.
    pub(crate) fn is_of_server(&self) -> bool {
        let goes = |setting: &Setting| {
            let mut moves = setting.moves.iter().flatten();
            moves.any(|moved| moved.to.is_in_plugin())
        };
        if self.is_any || self.is_in(PLUGINS) {
            return false;
        }
        let mut settings = self.settings().peekable();
        self.setting().is_some_and(goes)
            || self.setting().is_some() && settings.peek().is_some() && settings.all(goes)
    }

    /// What builds other than upstream's on amd64 print.
    fn shift(&self) -> Option<Shift> {
        self.setting()?.shift
    }

    /// The release from which on an empty list is a value.
    fn empty_since(&self) -> Option<Release> {
        self.entry().setting?.empty_since
    }

    /// Whether it is in the entry of a map that is not built in: it has the zero
    /// value, then.
    pub(crate) fn in_entry(&self) -> bool {
        self.entry().in_entry
    }

    /// Whether it is in a [`Presence::Free`] section.
    pub(crate) fn free(&self) -> bool {
        self.is_any || self.entry().free
    }

    /// Whether it is the entry of a map.
    pub(crate) fn is_entry(&self) -> bool {
        !self.is_any && self.entry().is_entry
    }

    /// What is to take the place of a setting that upstream plans to remove; of
    /// the setting itself, not of what is in it.
    pub(crate) fn removal(&self) -> Option<&'static str> {
        self.setting()?.removal
    }

    /// The node under `key`, or `None` where no declaration knows it.
    pub(crate) fn child(&self, key: &str) -> Option<Place> {
        match self.kind() {
            Kind::Section(section) => {
                let free = section.presence == Presence::Free;
                let declared = self.row.child(key).map(Place::of);
                declared.or_else(|| free.then(|| self.any()))
            }
            Kind::Map(_) => self.row.child(key).map(Place::of),
            Kind::Any => Some(self.any()),
            _ => None,
        }
    }

    /// The declared keys of a table.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        let settings = match self.kind() {
            Kind::Section(section) => section.settings,
            _ => &[],
        };
        settings.iter()
    }

    /// Any item of a list of tables.
    pub(crate) fn item(&self) -> Option<Place> {
        let row = self.row.item().filter(|_| !self.is_any);
        row.map(Place::of)
    }

    /// What is handed on as it is, whatever it is called.
    pub(crate) fn any(&self) -> Place {
        Place {
            is_any: true,
            ..*self
        }
    }

    /// The same node where a file names it as the entry of a map: containerd
    /// 1.3 – 1.7 then start from zero, built in or not; 2.x does outside of
    /// plugins.
    pub(crate) fn named_in_file(self, release: Release) -> Self {
        match self.is_entry() && (!release.is_2() || self.merge() == Merge::Entry) {
            true => Place::of(self.row.any_entry()),
            false => self,
        }
    }

    /// The entries that a map has of itself in a release.
    pub(crate) fn builtin_entries(
        &self,
        release: Release,
    ) -> impl Iterator<Item = &'static str> + use<> {
        let is_map = matches!(self.kind(), Kind::Map(_));
        let alive = move |entry: &&Entry| {
            is_map && !entry.in_entry && state_at(entry.built_in, release) != State::Absent
        };
        let below = self.row.below().map(Row::entry);
        below.filter(alive).map(|entry| entry.key)
    }

    /// Whether a map keeps the entries that it has of itself where a file has the
    /// map too: containerd 1.5 – 1.7 replace it inside of plugins.
    pub(crate) fn keeps_builtin_entries(&self, release: Release) -> bool {
        self.merge() == Merge::Entry || release < V1_5 || release.is_2()
    }

    /// The state of a leaf in a release. Leaves of map entries that are not
    /// built in are never printed.
    pub(crate) fn state(&self, release: Release) -> State {
        if self.is_gone(release) {
            return State::Absent;
        }
        let built_in = state_at(self.built_in(), release);
        if built_in != State::Absent {
            return built_in;
        }
        match state_at(self.history(), release) {
            State::Absent if self.is_entry() => State::Hidden,
            state if state.is_printed() && !self.has_own_default() => State::Hidden,
            state => state,
        }
    }

    /// The states through all releases that `config default` could print.
    pub(crate) fn printed_states(&self) -> History {
        if !self.built_in().is_empty() {
            self.built_in()
        } else if self.has_own_default() {
            self.history()
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
        let shift = self.shift().filter(|_| self.has_own_default());
        shift.is_some_and(|shift| shift.has(value, release))
    }

    /// The releases at which what a distribution prints changes.
    pub(crate) fn packaged_states(&self) -> History {
        match self.shift() {
            Some(Shift::Packaged(history)) if self.has_own_default() => history,
            _ => &[],
        }
    }

    /// Whether a value here names the machine's own platform and nothing else.
    pub(crate) fn is_of_host(&self, value: &Value) -> bool {
        self.shift().is_some_and(|shift| shift.is_of_host(value))
    }

    /// The release that removed the setting.
    pub(crate) fn removed(&self) -> Option<Release> {
        self.entry().gone
    }

    /// Whether a release no longer has the setting.
    pub(crate) fn is_gone(&self, release: Release) -> bool {
        self.entry().gone.is_some_and(|gone| gone <= release)
    }

    /// Whether the setting came with containerd 2.x, and the release is of 1.x.
    pub(crate) fn is_too_new(&self, release: Release) -> bool {
        !release.is_2() && self.since().is_some_and(Release::is_2)
    }

    /// Whether a value is the default in the last releases that know the setting.
    /// What an earlier one had is no longer what happens where nothing is set.
    pub(crate) fn is_last_default(&self, value: &Value) -> bool {
        let states = match self.built_in() {
            [] => self.history(),
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
        self.entry().since
    }

    /// Whether the declared states hold here: not inside an entry that is not,
    /// or no longer, built in.
    fn has_own_default(&self) -> bool {
        !self.in_entry() && self.built_in().is_empty()
    }

    /// Calls `f` for every declared key and every built-in entry below.
    pub(crate) fn each_declared(&self, f: &mut dyn FnMut(&'static str, Place)) {
        let is_declared = |row: &Row| row.entry().key != ANY;
        if self.is_table() {
            for row in self.row.below().filter(is_declared) {
                f(row.entry().key, Place::of(row));
            }
        }
    }

    /// Whether a release knows the key.
    pub(crate) fn known_in(&self, release: Release) -> bool {
        matches!(self.kind(), Kind::Any) || self.state(release) != State::Absent
    }

    /// The value assumed in `release` when no file sets the leaf; `None` where
    /// that is "no value".
    pub(crate) fn is_default(&self, value: &Value, release: Release) -> bool {
        if self.is_said_by_empty(value, release) {
            return false;
        }
        let state = self.state(release);
        match (self.kind(), state, value) {
            // containerd fills a timeout that is empty, and keeps the others as they are written.
            (Kind::Duration, _, Value::String(text)) if self.is_entry() && text.is_empty() => {
                return true;
            }
            (Kind::Duration, State::Str(default), Value::Integer(0)) if !self.is_entry() => {
                return duration::equal(default, "0s");
            }
            (Kind::Duration, State::Str(default), Value::String(text)) if !self.is_entry() => {
                return duration::equal(default, text);
            }
            _ => {}
        }
        if self.free() || (self.is_entry() && !state.is_printed()) {
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
        is_empty && self.empty_since().is_some_and(|since| since <= release)
    }

    /// Whether a value is a duration of no length.
    pub(super) fn is_zero_duration(&self, value: &Value) -> bool {
        matches!(self.kind(), Kind::Duration)
            && value
                .as_str()
                .is_some_and(|text| duration::equal("0s", text))
    }

    /// Whether the default is the zero value, for want of a built-in one.
    pub(crate) fn is_zero_of_entry(&self, release: Release) -> bool {
        self.in_entry() && !self.state(release).is_printed()
    }

    /// What an empty table here means.
    pub(crate) fn presence(&self) -> Presence {
        match self.kind() {
            Kind::Section(section) => section.presence,
            _ => Presence::Plain,
        }
    }

    /// Whether it is a map of tables each of which a file replaces as a whole.
    pub(crate) fn has_whole_entries(&self) -> bool {
        let is_map_of_tables = matches!(self.kind(), Kind::Map(Kind::Section(_)));
        is_map_of_tables && self.merge() == Merge::Entry
    }

    /// Whether it is a table of settings, or of entries.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind(), Kind::Section(_) | Kind::Map(_))
    }

    /// Whether a table here says something by being there.
    pub(crate) fn presence_matters(&self) -> bool {
        self.is_table() && (self.is_entry() || self.presence() == Presence::Pointer)
    }

    /// What is wrong with the type of `value`, if something is.
    pub(crate) fn mismatch(&self, value: &Value, release: Release) -> Option<String> {
        let all = |items: &[Value], ok: fn(&Value) -> bool| items.iter().all(ok);
        let (fits, expected) = match (self.kind(), value) {
            (Kind::Any, _) => (true, "anything"),
            (Kind::Bool, v) => (matches!(v, Value::Boolean(_)), "a boolean"),
            (Kind::Int, v) => (matches!(v, Value::Integer(_)), "an integer"),
            // go-toml 2 (containerd 2.x) converts integers.
            (Kind::Float, Value::Integer(_)) if release.is_2() => (true, "a float"),
            (Kind::Float, v) => (matches!(v, Value::Float(_)), "a float"),
            (Kind::Str, v) => (matches!(v, Value::String(_)), "a string"),
            (Kind::Duration, Value::String(text)) => (
                self.is_entry() && text.is_empty() || duration::parse(text).is_some(),
                "a duration such as \"10s\"",
            ),
            // 2.0 and 2.1 take it for nanoseconds (2.1.9 does; 2.2.7 and 2.3.3
            // exit for want of a unit).
            (Kind::Duration, Value::Integer(_))
                if release.is_2() && release < V2_2 && !self.is_entry() =>
            {
                (true, "a duration")
            }
            // Not a string, but read as "0s".
            (Kind::Duration, Value::Integer(0)) if !self.is_entry() => (true, "a duration"),
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
            (Kind::Tables(_), Value::Array(items)) => (
                items.iter().all(|item| self.fits_item(item, release)),
                "a list of tables",
            ),
            (Kind::Tables(_), _) => (false, "a list of tables"),
            (Kind::Section(_) | Kind::Map(_), v) => (matches!(v, Value::Table(_)), "a table"),
        };
        if let (Kind::Duration, Value::String(_)) = (self.kind(), value) {
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

    fn fits_item(&self, value: &Value, release: Release) -> bool {
        let (Some(item), Some(table)) = (self.item(), value.as_table()) else {
            return false;
        };
        table.iter().all(|(key, value)| {
            let child = item.child(key);
            child.is_none_or(|child| child.mismatch(value, release).is_none())
        })
    }
}
