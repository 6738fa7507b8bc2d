//! A whole config from one version's paths to another's.

use super::cursor::{Cursor, Step};
use super::{Dialect, by_short_name_on_2, meant, of, plugin_id, plugin_of};
use crate::config::known::VERSION;
use crate::containerd::load::{NoPlugin, Reading};
use crate::containerd::plugin;
use crate::containerd::setting::Section;
use crate::value::{Table, Value, merge, put, put_at};

/// The path of the setting that stands at an address of a dialect.
pub(crate) fn setting_at(dialect: Dialect, address: &[&str]) -> Vec<String> {
    let mut cursor = Cursor::root(dialect, false);
    let mut path: Vec<String> = Vec::new();
    for key in address {
        let step = cursor.child(key);
        match step {
            Step::Below(key, _) if !is_mark(key) => path.push(key.to_owned()),
            Step::Moved(to, _) => path = to.iter().map(|key| (*key).to_owned()).collect(),
            Step::Below(..) | Step::Aside(_) => path.push(aside(dialect.version, key)),
        }
        cursor = step.cursor();
    }
    path
}

fn is_config(section: &'static Section) -> bool {
    section.get("plugins").is_some()
}

/// The version that a file states; 0 is none.
pub(crate) fn stated_version(file: &Table) -> Option<i64> {
    version_at(file, VERSION.key())
}

/// The version under a key.
pub(crate) fn version_at(file: &Table, key: &str) -> Option<i64> {
    match file.get(key) {
        Some(Value::Integer(version)) if *version != 0 => Some(*version),
        _ => None,
    }
}

/// The key under which a config keeps the version that its file was meant to be
/// of, where it states none.
const MEANT: &str = "version that is meant";

/// Brings a whole config file into the paths of version 2, by the version that
/// it states or was meant to be.
///
/// What that version ignores and another would not is kept under keys that are
/// nobody's, so that [`leave`] writes the file as it was.
pub(crate) fn enter(section: &'static Section, table: &mut Table) {
    if !is_config(section) {
        return;
    }
    let stated = stated_version(table);
    let meant = match stated {
        Some(_) => None,
        None => meant(plugin_ids(table)),
    };
    let version = stated.or(meant).unwrap_or(1);
    let ignored = plugin::LISTS.map(|key| (key, take_ignored(table, key, version)));
    *table = read_with_ids(std::mem::take(table), version);
    if let Some(version) = meant {
        table.insert(MEANT.to_owned(), Value::Integer(version));
    }
    for (key, ids) in ignored {
        if !ids.is_empty() {
            table.insert(aside(version, key), Value::Array(ids));
        }
    }
}

/// Brings a whole config file into the paths of the version that it states, or
/// was meant to be of.
pub(crate) fn leave(section: &'static Section, table: &mut Table) {
    if !is_config(section) {
        return;
    }
    let meant = match table.remove(MEANT) {
        Some(Value::Integer(version)) => Some(version),
        _ => None,
    };
    let version = stated_version(table).or(meant).unwrap_or(1);
    let ignored = plugin::LISTS.map(|key| (key, table.remove(&aside(version, key))));
    *table = write(std::mem::take(table), version);
    for (key, ids) in ignored {
        put_ignored(table, key, ids);
    }
}

/// The plugin ids that a file names, in sections and in lists.
fn plugin_ids(table: &Table) -> impl Iterator<Item = &str> {
    let sections = table.get("plugins").and_then(Value::as_table);
    let sections = sections.into_iter().flat_map(Table::keys);
    let lists = plugin::LISTS.into_iter();
    let listed = lists.filter_map(|key| table.get(key)?.as_array()).flatten();
    let listed = listed.filter_map(Value::as_str);
    sections.map(String::as_str).chain(listed)
}

/// Takes ids that would be others if they were written again out of a list of
/// plugins: they are of another config version, in which they mean something.
/// Each has its place in the list in front.
fn take_ignored(table: &mut Table, key: &str, version: i64) -> Vec<Value> {
    let Some(Value::Array(items)) = table.get_mut(key) else {
        return Vec::new();
    };
    let is_ignored = |item: &Value| {
        let id = item.as_str();
        id.is_some_and(|id| plugin_id(version, plugin_of(version, id)) != id)
    };
    let mut ignored = Vec::new();
    let mut left = Vec::with_capacity(items.len());
    for (at, item) in std::mem::take(items).into_iter().enumerate() {
        match is_ignored(&item) {
            true => {
                let at = i64::try_from(at).unwrap_or(i64::MAX);
                ignored.push(Value::Array(vec![Value::Integer(at), item]));
            }
            false => left.push(item),
        }
    }
    *items = left;
    ignored
}

/// Puts such ids back to where they were.
fn put_ignored(table: &mut Table, key: &str, ignored: Option<Value>) {
    let Some(Value::Array(ignored)) = ignored else {
        return;
    };
    let list = table
        .entry(key.to_owned())
        .or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(list) = list else {
        return;
    };
    let mut left = std::mem::take(list).into_iter();
    for item in ignored {
        let Value::Array(pair) = item else {
            continue;
        };
        if let [Value::Integer(at), id] = pair.as_slice() {
            let before = usize::try_from(*at).unwrap_or(usize::MAX);
            let room = before.saturating_sub(list.len());
            list.extend(left.by_ref().take(room));
            list.push(id.clone());
        }
    }
    list.extend(left);
}

/// Brings the values of a config file into the paths of version 2.
///
/// What containerd does not find under its name in that version is kept under
/// a name that is nobody's.
pub(crate) fn read(mut table: Table, reading: Reading) -> Table {
    if reading.is_at_home() && !has_upper(&table) {
        return table;
    }
    let mut top = Table::new();
    bring_home(reading, reading.top(), &mut table, &mut top);
    if top.is_empty() {
        return table;
    }
    merge(&mut top, table);
    top
}

/// Whether a key is in upper case, here or in a table below.
fn has_upper(table: &Table) -> bool {
    let is_upper = |key: &str| {
        let mut letters = key.chars().filter(|c| c.is_alphabetic()).peekable();
        letters.peek().is_some() && !letters.any(char::is_lowercase)
    };
    table
        .iter()
        .any(|(key, value)| is_upper(key) || value.as_table().is_some_and(has_upper))
}

/// The same for a file that names plugins by the ids of its version.
fn read_with_ids(table: Table, version: i64) -> Table {
    let mut top = read(table, Reading::plain(version));
    rename_plugins(&mut top, |id| plugin_of(version, id).to_owned());
    top
}

/// Gives plugins of a version 1 file the ids by which containerd 2.x migrates
/// their short names.
pub(crate) fn without_short_names(table: &mut Table) {
    let uri = |name: &str| by_short_name_on_2(name).unwrap_or_else(|| name.to_owned());
    if let Some(Value::Table(plugins)) = table.get_mut("plugins") {
        let renamed = std::mem::take(plugins)
            .into_iter()
            .map(|(name, section)| (uri(&name), section));
        plugins.extend(renamed);
    }
    rename_plugins(table, uri);
}

/// Takes the ids in lists of plugins for what containerd 2.x takes them for: it
/// migrates none, and so knows those of version 3 in any file, and none that a
/// plugin had before (2.1.9 and 2.3.1).
pub(crate) fn with_ids_of_2_x(table: &mut Table) {
    let reading = Reading::by_any(3, true);
    rename_plugins(table, |id| match reading.named(id).as_deref() {
        Err(NoPlugin::EarlierId) => aside(reading.version(), id),
        Ok([plugin]) => (*plugin).to_owned(),
        _ => id.to_owned(),
    });
}

/// A list of plugins with other ids for them.
pub(crate) fn with_ids(list: &Value, rename: impl Fn(&str) -> &str) -> Value {
    let name = |item: &Value| match item {
        Value::String(id) => Value::String(rename(id).to_owned()),
        other => other.clone(),
    };
    match list {
        Value::Array(items) => Value::Array(items.iter().map(name).collect()),
        other => other.clone(),
    }
}

/// The id of a plugin as a file has it, which may mean none.
pub(crate) fn id_in_file(id: &str) -> &str {
    let rest = id
        .strip_prefix(ASIDE)
        .and_then(|rest| rest.split_once(": "));
    rest.map_or(id, |(_, id)| id)
}

/// Renames plugins in the lists that name some.
fn rename_plugins(table: &mut Table, rename: impl Fn(&str) -> String) {
    for key in plugin::LISTS {
        let Some(Value::Array(items)) = table.get_mut(key) else {
            continue;
        };
        for item in items {
            if let Value::String(id) = item {
                *id = rename(id);
            }
        }
    }
}

/// Where a key goes that does not stay.
enum To {
    Key(String),
    Path(&'static [&'static str]),
    /// All that was in it has its place elsewhere.
    Nowhere,
}

/// Brings what is in a table to where it is in version 2: to another key of the
/// table, or to a path from the top. The recursion is as deep as the table, which
/// no parser in use lets grow beyond 80 levels a notation.
fn bring_home(reading: Reading, cursor: Cursor, table: &mut Table, top: &mut Table) {
    let with_upper = |key: &&String| key.chars().any(char::is_uppercase);
    let lower = table
        .keys()
        .filter(with_upper)
        .map(|key| key.to_lowercase());
    let beside: Vec<String> = lower.filter(|key| table.contains_key(key)).collect();
    let has = |key: &str| beside.iter().any(|beside| beside == key);
    let mut moving: Vec<(String, To)> = Vec::new();
    for (key, value) in table.iter_mut() {
        let is_table = matches!(value, Value::Table(_));
        let step = reading.key(cursor, key, is_table, has).step();
        let mut is_left = false;
        if let Value::Table(inner) = value
            && !inner.is_empty()
        {
            bring_home(reading, step.cursor(), inner, top);
            is_left = inner.is_empty();
        }
        let to = match step {
            _ if is_left => To::Nowhere,
            Step::Below(name, _) if name == key && !is_mark(key) => continue,
            Step::Below(name, _) if !is_mark(name) => To::Key(name.to_owned()),
            _ if reading.is_at_home() => continue,
            Step::Below(..) | Step::Aside(_) => To::Key(aside(reading.version(), key)),
            Step::Moved(path, _) => To::Path(path),
        };
        moving.push((key.clone(), to));
    }
    let moving = moving.into_iter();
    let moving: Vec<_> = moving
        .filter_map(|(key, to)| Some((table.remove(&key)?, key, to)))
        .collect();
    for (value, key, to) in moving {
        match to {
            To::Key(name) => put(table, &name, value),
            To::Path(path) => {
                // An empty table leaves no trace in one that it shares.
                if value == Value::Table(Table::new()) {
                    put(table, &aside(reading.version(), &key), value.clone());
                }
                put_at(top, path, value);
            }
            To::Nowhere => {}
        }
    }
}

/// Brings a config in the paths of version 2 into those of a dialect.
pub(crate) fn write(table: Table, dialect: impl Into<Dialect>) -> Table {
    let dialect = dialect.into();
    let mut top = Table::new();
    write_table(&mut Vec::new(), table, dialect, &mut top);
    rename_plugins(&mut top, |id| plugin_id(dialect, id).to_owned());
    top
}

/// The recursion is as deep as the table, which no parser in use lets grow
/// beyond 80 levels a notation.
fn write_table(at: &mut Vec<String>, table: Table, dialect: Dialect, top: &mut Table) {
    for (key, value) in table {
        at.push(key);
        match value {
            Value::Table(table) if !table.is_empty() => write_table(at, table, dialect, top),
            value => {
                if let Some(path) = written(at, dialect) {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    put_at(top, &path, value);
                }
            }
        }
        at.pop();
    }
}

/// The path in a dialect; `None` for what another version ignored. In a
/// table that was ignored, keys may have been, too.
fn written(path: &[String], dialect: Dialect) -> Option<Vec<String>> {
    let first = path.iter().position(|key| key.starts_with(ASIDE));
    let (known, ignored) = path.split_at_checked(first.unwrap_or(path.len()))?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut address = of(dialect, &known);
    for key in ignored {
        address.push(match key.strip_prefix(ASIDE) {
            None => key,
            Some(rest) => {
                let (of_version, key) = rest.split_once(": ")?;
                (of_version == dialect.version.to_string()).then_some(key)?
            }
        });
    }
    Some(address.into_iter().map(str::to_owned).collect())
}

/// Marks what a config version ignores under a name that means something in
/// another.
const ASIDE: &str = "ignored in version ";

/// Whether a key of a file is spelt like one of those that this module adds. It
/// is marked itself, so that it is not taken for one when it is written.
fn is_mark(key: &str) -> bool {
    key == MEANT || key.starts_with(ASIDE)
}

fn aside(version: i64, key: &str) -> String {
    format!("{ASIDE}{version}: {key}")
}
