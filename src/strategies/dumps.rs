//! What is in a default dump, key by key.

use super::edits::Choice;
use super::settings::{self, Edit, Leaf};
use crate::config::Config;
use crate::config::declare::Declared;
use crate::containerd::Release;
use crate::containerd::load::default_config;
use crate::value::{Table, Value};

/// What `config default` of a release prints, without the version.
pub(super) fn dump(release: Release) -> Table {
    let mut table = default_config(release);
    if release.config_version() == 1 {
        // Plugins have short names there.
        table.insert("version".to_owned(), Value::Integer(2));
        let mut config = Config::from_table(table);
        config.version = Some(1);
        table = config.to_table();
    }
    table.remove("version");
    table
}

/// A key with its value, or a table with nothing in it.
pub(super) type Item = (Vec<String>, Value);

/// All of them in a table, by their paths. The tables are not deep.
pub(super) fn items(table: &Table) -> Vec<Item> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                let inner = items(inner).into_iter();
                all.extend(inner.map(|(mut path, value)| {
                    path.insert(0, key.clone());
                    (path, value)
                }));
            }
            value => all.push((vec![key.clone()], value.clone())),
        }
    }
    all
}

/// The edits that the keys of a file of a config version are, as far as they are
/// declared.
pub(super) fn edits(items: &[Item], version: i64) -> Vec<Edit> {
    let leaves = settings::all().iter();
    let leaves = leaves.filter_map(|leaf| Some((leaf, Config::address(version, &leaf.path)?)));
    let leaves: Vec<(&Leaf, Vec<String>)> = leaves.collect();
    let edit = |(address, value): &Item| {
        let of_it = |(_, place): &&(&Leaf, Vec<String>)| {
            place.len() == address.len() && leads_to(place, address)
        };
        let (leaf, place) = leaves.iter().find(of_it)?;
        let keys = place.iter().zip(address);
        let mut names = keys.filter_map(|(key, name)| (key == ANY).then_some(name));
        let named = |key: &&str| match *key {
            ANY => names.next().cloned().unwrap_or_default(),
            key => key.to_owned(),
        };
        Some(Edit {
            path: leaf.path.iter().map(named).collect(),
            value: value.clone(),
        })
    };
    items.iter().filter_map(edit).collect()
}

/// A setting instead of each item: its own, or the first in the table.
pub(super) fn instead(items: &[Item], version: i64, leaves: &[&Leaf]) -> Vec<Choice> {
    let choice = |(address, _): &Item| {
        let of_it = |leaf: &&Leaf| {
            let place = Config::address(version, &leaf.path);
            place.is_some_and(|place| leads_to(&place, address))
        };
        leaves.iter().position(of_it).map(Choice::plain)
    };
    items.iter().filter_map(choice).collect()
}

/// Stands for the names of entries in the path of a setting.
const ANY: &str = "*";

/// Whether a setting stands at an address or in the table there.
fn leads_to(place: &[String], address: &[String]) -> bool {
    let is_same = |(key, name): (&String, &String)| key == ANY || key == name;
    place.len() >= address.len() && place.iter().zip(address).all(is_same)
}
