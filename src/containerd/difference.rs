//! Comparing what is in effect, key by key, with defaults filled in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use super::Release;
use super::place::Place;
use super::setting::{Kind, Merge, Presence, without_zeros};
use crate::config::Config;
use crate::shown::{self, Redacted};
use crate::value::{Table, Value};

/// A key whose effective value differs.
#[derive(Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The key's path, plugins by URI. Names in it may hold credentials, which
    /// `Debug` and serde do not show.
    #[serde(serialize_with = "shown::serialize_names")]
    pub path: Vec<String>,
    /// The value on the one side; `None` is the zero value, or no entry.
    pub before: Option<Redacted>,
    /// The value on the other side.
    pub after: Option<Redacted>,
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Difference")
            .field("path", &shown::names(&self.path))
            .field("before", &self.before)
            .field("after", &self.after)
            .finish()
    }
}

/// What counts of the keys that a release does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are compared like all others.
    Compared,
    /// A release does not act on them, so they are as if nothing set them.
    Ignored,
}

/// Compares what is set under two releases, each with its own defaults.
pub(super) fn between(
    a: &Table,
    b: &Table,
    releases: [Release; 2],
    unknown: Unknown,
) -> Vec<Difference> {
    let mut walk = Walk {
        releases,
        unknown,
        path: Vec::new(),
        found: Vec::new(),
    };
    let root = Some(Config::place());
    walk.tables([root, root], [Some(a), Some(b)]);
    walk.found
}

/// The keys of both tables, and more, in order and each once.
fn union(tables: [Option<&Table>; 2], more: impl Iterator<Item = &'static str>) -> Vec<&str> {
    let [mut first, mut second] = tables.map(|table| {
        let keys = table.into_iter().flat_map(|table| table.keys());
        keys.map(String::as_str).peekable()
    });
    let mut keys = Vec::new();
    loop {
        let next = match (first.peek(), second.peek()) {
            (Some(a), Some(b)) if a == b => {
                second.next();
                first.next()
            }
            (Some(a), Some(b)) if a < b => first.next(),
            (Some(_), None) => first.next(),
            _ => second.next(),
        };
        match next {
            Some(key) => keys.push(key),
            None => break,
        }
    }
    for key in more {
        if let Err(at) = keys.binary_search(&key) {
            keys.insert(at, key);
        }
    }
    keys
}

/// Deeper tables, of which no setting is one, are compared as a whole: the walk
/// would need much of a small stack.
const DEEPEST: usize = 24;

struct Walk<'t> {
    releases: [Release; 2],
    unknown: Unknown,
    path: Vec<&'t str>,
    found: Vec<Difference>,
}

impl<'t> Walk<'t> {
    fn tables(&mut self, places: [Option<Place>; 2], tables: [Option<&'t Table>; 2]) {
        let sides = places.iter().zip(self.releases);
        let entries = sides.flat_map(|(place, release)| {
            let place = place.iter();
            place.flat_map(move |place| place.builtin_entries(release))
        });
        // What neither side sets is the same but for the release's default.
        let mut declared = Vec::new();
        if let ([Some(place), _] | [None, Some(place)], true) =
            (places, self.releases[0] != self.releases[1])
            && matches!(place.kind(), Kind::Section(_))
        {
            place.each_declared(&mut |key, _| declared.push(key));
        }
        let keys = union(tables, entries.chain(declared));
        for key in keys {
            // Which files there are is no setting.
            if self.path.is_empty() && matches!(key, "version" | "imports") {
                continue;
            }
            let values = tables.map(|table| table.and_then(|table| table.get(key)));
            let [first, second] = places;
            let [before, after] = self.releases;
            let children = [
                child(first, before, tables[0], values[0], key),
                child(second, after, tables[1], values[1], key),
            ];
            self.path.push(key);
            self.values(children, values);
            self.path.pop();
        }
    }

    fn values(&mut self, places: [Option<Place>; 2], values: [Option<&'t Value>; 2]) {
        // To one release, what is set to the same is the same.
        let [before, after] = self.releases;
        if let ([Some(a), Some(b)], true) = (values, before == after)
            && a == b
        {
            return;
        }
        let is_table = |at: usize| -> bool {
            match (places.get(at), values.get(at)) {
                (_, Some(Some(value))) => matches!(value, Value::Table(_)),
                (Some(Some(place)), _) => matches!(place.kind(), Kind::Section(_) | Kind::Map(_)),
                _ => false,
            }
        };
        let [first, second] = places;
        let place = first.or(second);
        let ignored = self.unknown == Unknown::Ignored;
        let is_nothing = |release: Release| {
            let known = |place: &Place| !place.is_gone(release);
            let known = |place: &Place| known(place) && (!ignored || place.known_in(release));
            place.is_some_and(|place| !known(&place))
        };
        let (places, values) = match self.releases.map(is_nothing) {
            [true, true] => return,
            // What the one of them does not have is as if it was not set.
            [true, false] => ([None, second], [None, values[1]]),
            [false, true] => ([first, None], [values[0], None]),
            [false, false] => (places, values),
        };
        let [first, second] = places;
        if is_table(0) || is_table(1) {
            let matters = place.is_some_and(|place| place.presence_matters());
            let [a, b] = [
                self.exists(first, values[0]),
                self.exists(second, values[1]),
            ];
            if matters && a != b {
                let shown = |value: Option<&'t Value>, exists: bool| {
                    let built_in = || exists.then(|| Cow::Owned(Value::Table(Table::new())));
                    value.map(Cow::Borrowed).or_else(built_in)
                };
                self.differ([shown(values[0], a), shown(values[1], b)]);
                return;
            }
            if self.path.len() < DEEPEST
                && values
                    .iter()
                    .flatten()
                    .all(|value| matches!(value, Value::Table(_)))
            {
                self.tables(places, values.map(|value| value.and_then(Value::as_table)));
                return;
            }
        }
        let [before, after] = self.releases;
        let in_effect = |value: Option<&'t Value>, place: Option<Place>, release| {
            let default = || place?.state(release).printed().map(Cow::Owned);
            value.map(Cow::Borrowed).or_else(default)
        };
        let a = in_effect(values[0], first, before);
        let b = in_effect(values[1], second, after);
        if !same(place, a.as_deref(), b.as_deref(), self.releases) {
            self.differ([a, b]);
        }
    }

    fn exists(&self, place: Option<Place>, value: Option<&Value>) -> bool {
        value.is_some() || place.is_some_and(|place| place.is_entry())
    }

    fn differ(&mut self, [before, after]: [Option<Cow<'_, Value>>; 2]) {
        let place = Config::place_of(&self.path);
        let redacted = |value: Cow<'_, Value>| Redacted::new(place, value.into_owned());
        self.found.push(Difference {
            path: self.path.iter().map(|key| (*key).to_owned()).collect(),
            before: before.map(redacted),
            after: after.map(redacted),
        });
    }
}

/// The place of `key` on one side: where the file names an entry of a map, it
/// starts from zero; built-in entries exist only where the map is not replaced.
pub(super) fn child(
    place: Option<Place>,
    release: Release,
    table: Option<&Table>,
    value: Option<&Value>,
    key: &str,
) -> Option<Place> {
    let place = place?;
    let is_map = matches!(place.kind(), Kind::Map(_));
    let child = place.child(key)?;
    match value {
        Some(_) if is_map => Some(child.named_in_file(release)),
        Some(_) => Some(child),
        None if !is_map => Some(child),
        None => {
            let kept = table.is_none() || place.keeps_builtin_entries(release);
            let builtin = place.builtin_entries(release).any(|entry| entry == key);
            (kept && builtin).then_some(child)
        }
    }
}

/// Whether two values of a setting are the same to containerd.
fn same(
    place: Option<Place>,
    a: Option<&Value>,
    b: Option<&Value>,
    [before, after]: [Release; 2],
) -> bool {
    let says = |value: Option<&Value>, release| {
        place
            .zip(value)
            .is_some_and(|(place, value)| place.is_said_by_empty(value, release))
    };
    if says(a, before) && b.is_none() || says(b, after) && a.is_none() {
        return false;
    }
    let told_apart = place.is_none_or(|place| {
        place.free() || place.is_entry() || matches!(place.presence(), Presence::Free)
    });
    match (a, b) {
        (None, None) => true,
        (Some(value), None) | (None, Some(value)) => {
            !told_apart
                && (value.is_zero() || place.is_some_and(|place| place.is_zero_duration(value)))
        }
        (Some(Value::String(a)), Some(Value::String(b))) => {
            let duration =
                place.is_some_and(|p| matches!(p.kind(), Kind::Duration) && !p.is_entry());
            a == b || duration && super::duration::equal(a, b)
        }
        // Not a string, but read as one.
        (Some(Value::Integer(0)), Some(text @ Value::String(_)))
        | (Some(text @ Value::String(_)), Some(Value::Integer(0)))
            if place.is_some_and(|place| place.is_zero_duration(text)) =>
        {
            true
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            // Lists of plugins are appended, in whatever order.
            if place.is_some_and(|place| place.merge() == Merge::Append) {
                let names = |items: &[Value]| -> BTreeSet<String> {
                    let names = items.iter().filter_map(Value::as_str);
                    names.map(str::to_owned).collect()
                };
                return names(a) == names(b);
            }
            let tables = place.is_some_and(|place| matches!(place.kind(), Kind::Tables(_)));
            let same_table = |a: &Value, b: &Value| match (a.as_table(), b.as_table()) {
                (Some(a), Some(b)) if tables => without_zeros(a) == without_zeros(b),
                _ => same_value(a, b),
            };
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_table(a, b))
        }
        (Some(a), Some(b)) => same_value(a, b),
    }
}

/// Equality by which `nan` is `nan`.
fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Table(a), Value::Table(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((ka, a), (kb, b))| ka == kb && same_value(a, b))
        }
        (a, b) => a == b,
    }
}
