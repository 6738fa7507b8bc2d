//! Keys that no containerd release reads: what may have been meant by them.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Content, Files, Id, ROOT, Tree};
use crate::config::address;
use crate::config::nearest::{self, Meant, Stray};
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding};
use crate::registry::is_host_setting;
use crate::shown;
use crate::value::Value;

/// What there is to say of a key without a declaration.
pub(super) const UNKNOWN_KEY: &str = "no containerd release from 1.2 to 2.4 reads this key";

/// What was said of unknown keys so far.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    /// Nodes that have their finding.
    said: BTreeSet<Id>,
    /// The tables that were looked at, and whether they hold the text of a
    /// `hosts.toml`.
    hosts: BTreeMap<Id, bool>,
}

impl Unknown {
    /// What there is to say of a leaf that no declaration knows: for all of a table
    /// that none knows, once.
    pub(super) fn say(
        &mut self,
        tree: &Tree,
        files: Files<'_>,
        id: Id,
        release: Release,
    ) -> Option<Finding> {
        let top = top(tree, id);
        let table = tree.node(top).parent;
        let is_hosts = *self
            .hosts
            .entry(table)
            .or_insert_with(|| holds_hosts_toml(tree, table));
        if is_hosts && is_of_hosts_toml(tree, top) {
            let is_first = self.said.insert(table);
            let message =
                "this is the text of a hosts.toml file, which containerd does not read here";
            return is_first.then(|| files.finding(tree, top, Code::HostsTomlText, message));
        }
        if !self.said.insert(top) {
            return None;
        }
        let hint = hint(tree, top, release).unwrap_or_default();
        let (code, message) = match plugin_of(tree, top).map(shown::name) {
            Some(plugin) => (
                Code::UnknownPlugin,
                format!("containerd 1.2 to 2.4 have no settings for the plugin {plugin:?}{hint}"),
            ),
            None => (Code::UnknownKey, format!("{UNKNOWN_KEY}{hint}")),
        };
        Some(files.finding(tree, top, code, message))
    }
}

/// The outermost table around a leaf that no declaration knows, or the leaf itself.
/// The plugins of later config versions have settings, whose declarations are those
/// of version 2.
fn top(tree: &Tree, id: Id) -> Id {
    let is_later = |id: Id| match tree.path(id).as_slice() {
        ["plugins", plugin] => address::is_later_place(plugin),
        _ => false,
    };
    let unknown = tree.upwards(id);
    let unknown = unknown.take_while(|id| tree.node(*id).place().is_none() && !is_later(*id));
    unknown.last().unwrap_or(id)
}

/// The plugin that an unknown table is the section of.
fn plugin_of(tree: &Tree, top: Id) -> Option<&str> {
    match tree.path(top).as_slice() {
        ["plugins", plugin] => Some(*plugin),
        _ => None,
    }
}

/// What may have been meant, to be put behind what is said.
fn hint(tree: &Tree, top: Id, release: Release) -> Option<String> {
    let file = tree.file_of(top)?;
    let version = tree.files_read_as().get(file)?.version;
    let path = tree.spelled_path(top);
    let (key, table) = path.split_last()?;
    if let Some(plugin) = plugin_of(tree, top) {
        // The others are there, and have no settings.
        let is_misspelled = version == 1 || !plugin::is_listed(plugin);
        let near = nearest::plugin(version, key).filter(|_| is_misspelled);
        return near.map(|near| format!("; the nearest that has some is {near:?}"));
    }
    let parent = tree.node(top).parent;
    let stray = Stray {
        version,
        table,
        key,
        is_table: matches!(tree.node(top).content, Content::Table(_)),
        others: &|see| {
            let others = tree.children(parent).map(|id| tree.node(id));
            let others = others.filter(|node| node.place().is_none());
            others.for_each(|node| see(&node.key));
        },
        release,
    };
    Some(match nearest::meant(&stray)? {
        Meant::Key(near) => format!("; the nearest that it reads there is `{near}`"),
        Meant::In(table, key) if table.is_empty() => {
            format!("; it reads `{key}` at the top of the file")
        }
        Meant::In(table, key) => format!("; it reads `{key}` in [{}]", shown::path(&table)),
    })
}

/// Whether some keys of a table are those of a `hosts.toml`, which has the URL of a
/// registry, or tables of hosts by their URL.
fn holds_hosts_toml(tree: &Tree, table: Id) -> bool {
    let is_url = |text: &str| ["http://", "https://"].iter().any(|s| text.starts_with(s));
    let unknown = tree.children(table);
    let mut unknown = unknown.filter(|id| tree.node(*id).place().is_none());
    unknown.any(|id| match tree.node(id).key.as_str() {
        "server" => tree.value(id).and_then(Value::as_str).is_some_and(is_url),
        "host" => tree.children(id).any(|host| {
            let mut keys = tree.children(host);
            is_url(&tree.node(host).key) || keys.any(|key| is_host_setting(&tree.node(key).key))
        }),
        _ => false,
    })
}

fn is_of_hosts_toml(tree: &Tree, id: Id) -> bool {
    let key = &tree.node(id).key;
    matches!(key.as_str(), "server" | "host") || is_host_setting(key)
}

/// The files of whose settings no release reads any. What is said of each by itself
/// is a note.
pub(super) fn not_understood(tree: &Tree, files: Files<'_>) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for (_, node) in tree.all() {
        let is_version = node.key.eq_ignore_ascii_case("version") && node.parent == ROOT;
        let is_leaf = matches!(node.content, Content::Leaf { .. });
        if !is_leaf || node.is_made || is_version {
            continue;
        }
        for source in &node.sources {
            match node.place() {
                Some(_) => known.insert(source.file),
                None => unknown.insert(source.file),
            };
        }
    }
    unknown
        .difference(&known)
        .filter_map(|file| files.0.get(*file))
        .map(|file| {
            let message = format!(
                "containerd reads none of the settings in {}",
                shown::printable(file.name())
            );
            Finding::new(Code::NothingRead, message).about(file)
        })
        .collect()
}
