//! The ledger: what becomes of every key of the input.

use std::collections::HashMap;

use serde::Serialize;

use super::read::Ignored;
use super::split::Concern;
use super::tree::{Content, Dropped, Files, Id, ROOT, Source, Tree, Verdict, Why};
use crate::diagnostic::Span;
use crate::k0s::FileName;
use crate::shown::{self, Behind, Redacted};
use crate::value::{Table, Value};

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// The user's choice, kept.
    Kept {
        /// The drop-in that holds it.
        drop_in: FileName,
    },
    /// Deprecated, and kept under other keys.
    Converted {
        /// The keys that hold it now, by their paths in the target's config
        /// version.
        to: Vec<String>,
        /// The drop-in that holds them; none where the target has the same by
        /// itself.
        drop_in: Option<FileName>,
    },
    /// Kept in `hosts.toml` files, which containerd reads by way of
    /// `config_path`.
    MovedToHostsToml {
        /// Their paths on the node.
        files: Vec<String>,
    },
    /// No containerd release knows it; carried over as it is.
    CarriedOver {
        /// The drop-in that holds it.
        drop_in: FileName,
    },
    /// The target has the same by itself.
    EqualsTargetDefault,
    /// Nobody's choice: the default of the release that wrote the file.
    StaleDefault,
    /// k0s decides it.
    OwnedByK0s,
    /// containerd did not act on it before.
    NoEffect,
    /// The target's containerd has no such setting any more.
    Obsolete,
    /// It cannot be kept; an error-level finding says why.
    NotExpressible,
    /// It stands in a file of another tool that a drop-in imports, and stays
    /// there.
    LeftInPlace,
}

impl Fate {
    /// The drop-in that holds the key, if one does.
    pub fn drop_in(&self) -> Option<&FileName> {
        match self {
            Fate::Kept { drop_in } | Fate::CarriedOver { drop_in } => Some(drop_in),
            Fate::Converted { drop_in, .. } => drop_in.as_ref(),
            _ => None,
        }
    }
}

/// What becomes of one key of the input, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The key's path, as the input spells it. For a name in it that does not look
    /// like one `<hidden>` stands there, and its length.
    pub key: String,
    /// The whole of the path, where that is not all of it.
    #[serde(skip)]
    whole_key: Behind,
    /// The same of the keys that hold it now.
    #[serde(skip)]
    whole_to: Vec<Behind>,
    /// Its value in the input.
    pub value: Redacted,
    /// Where it stands.
    pub span: Span,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// Why.
    pub reason: String,
}

impl LedgerEntry {
    /// Shows all of it from now on.
    pub(super) fn reveal(&mut self) {
        self.value.reveal();
        self.whole_key.reveal(&mut self.key);
        if let Fate::Converted { to, .. } = &mut self.fate {
            for (whole, key) in self.whole_to.iter_mut().zip(to) {
                whole.reveal(key);
            }
        }
    }
}

/// Makes the ledger. Every leaf key of the input has one entry; so has a table
/// without keys whose existence says something.
pub(super) fn ledger(
    tree: &Tree,
    files: Files<'_>,
    parts: &[(Concern, Id)],
    without_effect: Vec<Ignored>,
) -> Vec<LedgerEntry> {
    let concerns: HashMap<Id, &Concern> =
        parts.iter().map(|(concern, id)| (*id, concern)).collect();
    // In one piece from the start, and sorted in place: there may be many.
    let leaves = tree.all().filter(|(_, node)| {
        let is_leaf = matches!(node.content, Content::Leaf { .. });
        is_leaf && !node.is_made
    });
    let sources = leaves.map(|(_, node)| node.sources.len()).sum::<usize>();
    let most = sources + without_effect.len();
    let mut entries: Vec<LedgerEntry> = Vec::with_capacity(most);
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(most);
    let mut push = |source: &Source, entry: LedgerEntry| {
        order.push((source.file, source.at.start));
        entries.push(entry);
    };
    let span_of = |source: &Source| files.span(source).unwrap_or_default();
    let empty = Value::Table(Table::new());
    for (id, node) in tree.all() {
        let says_something = || {
            let is_judged = tree.moved_to(id).is_some() || tree.dropped(id).is_some();
            is_judged || concerns.contains_key(&id)
        };
        let value = match &node.content {
            _ if node.is_made || id == ROOT => continue,
            Content::Leaf { value, .. } => node.original.as_deref().unwrap_or(value),
            Content::Table(_) if node.is_empty && says_something() => &empty,
            Content::Table(_) => continue,
        };
        let (decided_by, to) = settled(tree, id);
        let entry = |path: &[&str], value: Redacted, span: Span| {
            let (fate, reason) = fate(tree, decided_by, &to, &concerns);
            let (key, whole_key) = shown::path_and_behind(path);
            let whole_to = to
                .iter()
                .map(|id| Behind(shown::hidden_path(&tree.written_path(*id))));
            LedgerEntry {
                key,
                whole_key,
                whole_to: whole_to.collect(),
                value,
                span,
                fate,
                reason,
            }
        };
        let path = tree.spelled_path(id);
        for source in &node.sources {
            let table = match value {
                Value::Table(table) if !table.is_empty() => table,
                value => {
                    let value = tree.redacted(id, value.clone());
                    push(source, entry(&path, value, span_of(source)));
                    continue;
                }
            };
            // A table where a value belongs is judged as a whole, and has leaves.
            for (below, value) in leaves_of(table) {
                let path: Vec<&str> = path.iter().copied().chain(below).collect();
                let span = files.span_of(source, &path);
                let span = span.unwrap_or_else(|| span_of(source));
                let value = Redacted::new(None, value.clone());
                push(source, entry(&path, value, span));
            }
        }
    }
    for ignored in without_effect {
        let entry = LedgerEntry {
            key: ignored.key,
            whole_key: ignored.whole_key,
            whole_to: Vec::new(),
            value: Redacted::new(ignored.place, ignored.value),
            span: span_of(&ignored.source),
            fate: Fate::NoEffect,
            reason: ignored.why,
        };
        push(&ignored.source, entry);
    }
    in_order(&mut entries, order);
    entries
}

/// Puts things into the order of their keys; what has the same stays as it is.
fn in_order<T, K: Ord + Copy>(things: &mut [T], keys: Vec<K>) {
    let mut from: Vec<usize> = (0..things.len()).collect();
    from.sort_by_key(|at| keys.get(*at).copied());
    let mut to = vec![0; from.len()];
    for (place, at) in from.into_iter().enumerate() {
        if let Some(to) = to.get_mut(at) {
            *to = place;
        }
    }
    // Each swap brings one to its place.
    for at in 0..to.len() {
        while let Some(place) = to.get(at).copied().filter(|place| *place != at) {
            things.swap(at, place);
            to.swap(at, place);
        }
    }
}

/// The leaves of a value, by their paths in it; a table without any is one.
fn leaves_of(table: &Table) -> Vec<(Vec<&str>, &Value)> {
    let mut leaves = Vec::new();
    let mut tables = vec![(Vec::new(), table)];
    while let Some((path, table)) = tables.pop() {
        for (key, value) in table {
            let mut path: Vec<&str> = path.clone();
            path.push(key);
            match value {
                Value::Table(inner) if !inner.is_empty() => tables.push((path, inner)),
                value => leaves.push((path, value)),
            }
        }
    }
    leaves
}

/// What is kept has a file.
fn no_file() -> FileName {
    FileName::of_parts(String::new())
}

/// What becomes of a leaf, which `to` hold now, if it is kept under other keys.
fn fate(tree: &Tree, id: Id, to: &[Id], concerns: &HashMap<Id, &Concern>) -> (Fate, String) {
    let file = |id: &Id| concerns.get(id).map(|concern| concern.file_name());
    let drop_in = |id: Id| file(&id).unwrap_or_else(no_file);
    match tree.verdict(id) {
        None => match (tree.moved_to(id), tree.dropped(id)) {
            (Some(files), _) => moved(files),
            (None, Some((dropped, why))) => (fate_of_dropped(tree, to, *dropped), why.clone()),
            (None, None) => (
                Fate::Kept {
                    drop_in: drop_in(id),
                },
                "the entry is there, if empty".to_owned(),
            ),
        },
        Some(Verdict::Moved(files)) => moved(files),
        Some(Verdict::Pending) => (Fate::NotExpressible, "not judged".to_owned()),
        Some(Verdict::Keep(why)) => match why {
            Why::Edit(why) => (
                Fate::Kept {
                    drop_in: drop_in(id),
                },
                why.clone(),
            ),
            // No entry of the ledger: it is none of the input's.
            Why::Companion { why, .. } => (
                Fate::Kept {
                    drop_in: drop_in(id),
                },
                why.clone(),
            ),
            Why::Unknown(why) => (
                Fate::CarriedOver {
                    drop_in: drop_in(id),
                },
                why.clone(),
            ),
            Why::Elsewhere(why) => (Fate::LeftInPlace, why.clone()),
            Why::Converted(why) => (
                Fate::Converted {
                    to: written(tree, to),
                    drop_in: Some(drop_in(id)),
                },
                why.clone(),
            ),
        },
        Some(Verdict::Drop(dropped, why)) => (fate_of_dropped(tree, to, *dropped), why.clone()),
        Some(Verdict::Converted(_, why)) => {
            let drop_in = to.iter().find_map(file);
            let to = written(tree, to);
            (Fate::Converted { to, drop_in }, why.clone())
        }
    }
}

/// The leaf whose verdict counts for a leaf, and what holds it now under other keys.
fn settled(tree: &Tree, id: Id) -> (Id, Vec<Id>) {
    match tree.verdict(id) {
        Some(Verdict::Keep(Why::Converted(_)) | Verdict::Drop(Dropped::SuccessorDefault, _)) => {
            (id, vec![id])
        }
        None if matches!(tree.dropped(id), Some((Dropped::SuccessorDefault, _))) => (id, vec![id]),
        Some(Verdict::Converted(to, _)) => {
            let ends: Vec<Id> = to.iter().filter_map(|id| end(tree, *id)).collect();
            match ends.iter().copied().find(|id| is_lost(tree, *id)) {
                Some(lost) => (lost, Vec::new()),
                None => (id, ends),
            }
        }
        _ => (id, Vec::new()),
    }
}

fn written(tree: &Tree, to: &[Id]) -> Vec<String> {
    to.iter().map(|id| tree.written(*id)).collect()
}

/// Whether what came of a leaf has been lost after all.
fn is_lost(tree: &Tree, id: Id) -> bool {
    matches!(
        tree.verdict(id),
        Some(Verdict::Drop(
            Dropped::NoEffect | Dropped::Obsolete | Dropped::NotExpressible,
            _
        ))
    )
}

fn fate_of_dropped(tree: &Tree, to: &[Id], dropped: Dropped) -> Fate {
    match dropped {
        Dropped::SuccessorDefault => Fate::Converted {
            to: written(tree, to),
            drop_in: None,
        },
        Dropped::TargetDefault => Fate::EqualsTargetDefault,
        Dropped::StaleDefault => Fate::StaleDefault,
        Dropped::Owned => Fate::OwnedByK0s,
        Dropped::NoEffect => Fate::NoEffect,
        Dropped::Obsolete => Fate::Obsolete,
        Dropped::NotExpressible => Fate::NotExpressible,
    }
}

fn moved(files: &[String]) -> (Fate, String) {
    let files = files.to_vec();
    let why = "containerd reads mirrors and TLS settings from hosts.toml files".to_owned();
    (Fate::MovedToHostsToml { files }, why)
}

/// Where a conversion ends, if one follows on another. A chain of successors
/// is short; the bound is against a defect.
fn end(tree: &Tree, mut id: Id) -> Option<Id> {
    for _ in 0..8 {
        match tree.verdict(id) {
            Some(Verdict::Converted(to, _)) => id = *to.first()?,
            _ => return Some(id),
        }
    }
    None
}
