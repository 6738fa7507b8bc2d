//! How containerd 1.3 – 1.7 load a main file and its imports, and what is in
//! effect afterwards.

use super::difference::{self, Difference};
use super::place::Place;
use super::setting::{Kind, Merge, State};
use super::{Release, plugin};
use crate::config::Config;
use crate::value::{Table, Value};

/// What containerd runs with: the merged files over its built-in defaults.
#[derive(Clone, Debug)]
pub struct Effective {
    table: Table,
    release: Release,
}

impl Effective {
    /// Merges files in the order in which containerd loads them, the main
    /// file first. All of them spell plugins as URIs.
    ///
    /// Outside of `plugins`, containerd 1.3 – 1.7 merge by key (`mergo` with
    /// override): zero values never override, lists of plugins are appended,
    /// and entries of `proxy_plugins`, `stream_processors` and `timeouts` are
    /// replaced one by one. A plugin's section is replaced as a whole.
    pub fn load(release: Release, files: impl IntoIterator<Item = Table>) -> Self {
        let mut table = Table::new();
        for file in files {
            merge(&Config::place(), &mut table, file);
        }
        Effective { table, release }
    }

    /// The value in effect at a path, for instance
    /// `["plugins", "io.containerd.grpc.v1.cri", "sandbox_image"]`; `None`
    /// where it is the zero value that nothing sets, or unknown.
    pub fn get(&self, path: &[&str]) -> Option<Value> {
        let mut place = Some(Config::place());
        let mut found: Option<&Value> = None;
        let mut table = Some(&self.table);
        for key in path {
            found = table.and_then(|table| table.get(*key));
            let explicit = found.is_some();
            place = place.and_then(|place| place.child(key)).map(|place| {
                if explicit {
                    place.named_in_file()
                } else {
                    place
                }
            });
            table = found.and_then(Value::as_table);
        }
        found
            .cloned()
            .or_else(|| place?.state(self.release).printed())
    }

    /// Every key that is in effect with another value in `other`.
    pub fn differences(&self, other: &Effective) -> Vec<Difference> {
        difference::between(&self.table, &other.table, self.release)
    }

    /// Sets a value, or makes a table, with all tables above it.
    pub(crate) fn set(&mut self, path: &[&str], value: Option<&Value>) {
        let (last, parents) = match (value, path.split_last()) {
            (Some(value), Some((last, parents))) => (Some((*last, value)), parents),
            _ => (None, path),
        };
        let mut table = &mut self.table;
        for key in parents {
            // An owned key only where there is none.
            if !matches!(table.get(*key), Some(Value::Table(_))) {
                table.insert((*key).to_owned(), Value::Table(Table::new()));
            }
            match table.get_mut(*key) {
                Some(Value::Table(child)) => table = child,
                _ => return,
            }
        }
        if let Some((key, value)) = last {
            table.insert(key.to_owned(), value.clone());
        }
    }
}

fn merge(place: &Place, into: &mut Table, from: Table) {
    for (key, value) in from {
        let Some(child) = place.child(&key) else {
            // containerd ignores it; the later file's shows.
            into.insert(key, value);
            continue;
        };
        match (child.merge, into.get_mut(&key), value) {
            (Merge::Append, Some(Value::Array(into)), Value::Array(from)) => into.extend(from),
            (Merge::Entry, Some(Value::Table(into)), Value::Table(from)) => into.extend(from),
            (Merge::NonZero, Some(Value::Table(into)), Value::Table(from)) => {
                merge(&child, into, from);
            }
            (Merge::NonZero, _, Value::Table(from)) => {
                let mut table = Table::new();
                merge(&child, &mut table, from);
                into.insert(key, Value::Table(table));
            }
            (Merge::NonZero, _, value) if value.is_zero() => {}
            (_, _, value) => drop(into.insert(key, value)),
        }
    }
}

/// What `containerd config default` of a release prints.
pub fn default_config(release: Release) -> Table {
    printed(&Config::place(), release)
}

/// The defaults of the CRI plugin, as `config default` prints them.
pub(crate) fn default_cri(release: Release) -> Table {
    let plugins = Config::place().child("plugins");
    let cri = plugins.and_then(|plugins| plugins.child(plugin::CRI));
    cri.map(|cri| printed(&cri, release)).unwrap_or_default()
}

fn printed(place: &Place, release: Release) -> Table {
    let mut table = Table::new();
    place.each_declared(&mut |key, child| {
        let state = child.state(release);
        let value = match child.kind {
            _ if state == State::Absent => None,
            // Entries that are not built in have no state of their own.
            _ if child.is_entry && !place.builtin_entries(release).any(|entry| entry == key) => {
                None
            }
            Kind::Section(_) | Kind::Map(_) => Some(Value::Table(printed(&child, release))),
            _ => state.printed(),
        };
        table.extend(value.map(|value| (key.to_owned(), value)));
    });
    table
}
