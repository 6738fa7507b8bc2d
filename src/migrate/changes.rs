//! What else changes on a node: what the legacy file held back.

use serde::Serialize;

use super::Target;
use super::origin::Origin;
use super::sandbox::{self, Before, DecidedBy};
use super::tree::{Dropped, ROOT, Tree, Verdict, shown};
use crate::config::{Config, address};
use crate::containerd::place::Place;
use crate::containerd::releases::V2_1;
use crate::containerd::{handler::RUNTIMES, plugin};
use crate::redacted::Redacted;
use crate::value::{Table, Value};

/// A key whose effective value changes with the migration although no drop-in
/// sets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The key, by its path in the target's config version.
    pub key: String,
    /// What is in effect with the legacy file under the target's containerd;
    /// `None` is no entry.
    pub before: Option<Redacted>,
    /// What is in effect afterwards.
    pub after: Option<Redacted>,
    /// Why.
    pub reason: String,
}

/// What containerd 2.2.0 and 2.2.1 print for it; later ones print nothing, and
/// look there all the same.
const CONFIG_PATH: [&str; 4] = ["plugins", plugin::CRI, "registry", "config_path"];
const BOTH_CERTS_D: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";

const CNI: [&str; 3] = ["plugins", plugin::CRI, "cni"];

/// A setting as the target's config version has it.
pub(super) fn key_at(target: &Target, path: &[&str]) -> String {
    shown(&address::of(target.release.config_version(), path))
}

/// Lists what the file held back: stale defaults, the sandbox image, and the
/// built-in entries of maps that it replaced.
pub(super) fn find(
    tree: &mut Tree,
    target: &Target,
    origin: &Origin,
    before: Before,
) -> Vec<Change> {
    let ignored = before.ignored;
    let containerd = target.containerd();
    let mut changes = Vec::new();
    for id in tree.leaves(ROOT) {
        let Some(Verdict::Drop(Dropped::StaleDefault, why)) = tree.verdict(id) else {
            continue;
        };
        let path = tree.path(id);
        if path == sandbox::PATH || ignored && path.first() == Some(&"plugins") {
            continue;
        }
        let Some(place) = tree.node(id).place else {
            continue;
        };
        if path == CONFIG_PATH && tree.value(id).and_then(Value::as_str) == Some(BOTH_CERTS_D) {
            continue;
        }
        if let Some(change) = cni_directories(tree, id, target) {
            changes.extend(change);
            continue;
        }
        let zero = tree.value(id).is_some_and(Value::is_zero);
        let ignored = tree.is_merged_by_value(id) && zero;
        if ignored || place.is_gone(containerd) || place.is_too_new(containerd) {
            continue;
        }
        // What a distribution or an architecture has otherwise stays as it is
        // on the node, or is nothing that a release changes.
        let value = tree.value(id);
        let after = place.state(containerd).printed();
        let unset = after.is_none() && value.is_some_and(Value::is_zero);
        if unset || value.is_some_and(|value| place.is_of_host(value)) {
            continue;
        }
        changes.push(Change {
            key: tree.written(id),
            before: value.cloned().map(Redacted::plain),
            after: after.map(Redacted::plain),
            reason: why.clone(),
        });
    }
    changes.extend(sandbox_change(tree, target, before));
    // containerd 2.x merges the file's handlers with its own, as k0s does.
    let replaced = !ignored && !before.merged;
    if let Some(runtimes) = tree.find(&RUNTIMES).filter(|_| replaced) {
        changes.extend(built_in_runtimes(tree, runtimes, target, origin));
    }
    changes
}

/// What becomes of `cni.bin_dir` and of the list that took its place in
/// containerd 2.1; `None` for any other setting.
fn cni_directories(tree: &Tree, id: usize, target: &Target) -> Option<Option<Change>> {
    let path = tree.path(id);
    let (cni, keys) = match path.as_slice() {
        [cni @ .., key] if cni == CNI => (cni, *key),
        _ => return None,
    };
    let new = target.containerd() >= V2_1;
    let (from, to) = match new {
        true => ("bin_dir", "bin_dirs"),
        false => ("bin_dirs", "bin_dir"),
    };
    if keys != from {
        // An empty one is none beside the other.
        let empty = keys == to && tree.value(id).is_some_and(Value::is_zero);
        return empty.then_some(None);
    }
    let to = [cni, &[to]].concat();
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        value => vec![value.clone()],
    };
    let before = list(tree.value(id)?);
    let default = Config::place_of(&to)?
        .state(target.containerd())
        .printed()?;
    Some(
        (before != list(&default)).then(|| Change {
            key: key_at(target, &to),
            before: Some(Redacted::plain(Value::Array(before))),
            after: Some(Redacted::plain(default)),
            reason: "a distribution's containerd wrote it as its default; the target has its own"
                .to_owned(),
        }),
    )
}

/// containerd 1.5 – 1.7 replace the map of runtime handlers by the file's, and
/// start every handler in it from zero; k0s merges.
fn built_in_runtimes(
    tree: &mut Tree,
    runtimes: usize,
    target: &Target,
    origin: &Origin,
) -> Vec<Change> {
    let containerd = target.containerd();
    let mut changes = Vec::new();
    let stated = |tree: &Tree, id: usize| !tree.node(id).is_made;
    let Some(map) = tree.node(runtimes).place else {
        return changes;
    };
    if !tree.children(runtimes).iter().any(|id| stated(tree, *id)) {
        return changes;
    }
    for name in map.builtin_entries(containerd) {
        let mut path: Vec<String> = tree
            .path(runtimes)
            .iter()
            .map(|key| (*key).to_owned())
            .collect();
        path.push(name.to_owned());
        let entry = tree.child(runtimes, name);
        let Some(entry) = entry.filter(|id| stated(tree, *id)) else {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            changes.push(Change {
                key: key_at(target, &path),
                before: None,
                after: Some(Redacted::plain(Value::Table(Table::new()))),
                reason: "containerd 1.5 to 1.7 leave their own entry out where a file has others; it is there again beside yours".to_owned(),
            });
            continue;
        };
        let Some(place) = map.child(name) else {
            continue;
        };
        // A dump leaves out what its release did not know.
        let knows = |child: &Place| {
            origin
                .release()
                .is_none_or(|release| child.known_in(release))
        };
        // An empty sandbox_mode is "podsandbox" to containerd.
        let same = |key: &str| key == "sandbox_mode";
        place.each_declared(&mut |key, child| {
            let default = child.state(containerd).printed().filter(|value| !value.is_zero());
            if let Some(default) = default.filter(|_| !same(key) && knows(&child) && tree.child(entry, key).is_none()) {
                let mut path: Vec<&str> = path.iter().map(String::as_str).collect();
                path.push(key);
                changes.push(Change {
                    key: key_at(target, &path),
                    before: None,
                    after: Some(Redacted::plain(default)),
                    reason: "a handler that the file names starts from zero in containerd 1.5 to 1.7; k0s keeps the default".to_owned(),
                });
            }
        });
    }
    changes
}

/// The change of the sandbox image, unless the user's own is kept.
fn sandbox_change(tree: &mut Tree, target: &Target, was: Before) -> Option<Change> {
    let leaf = tree.find(&sandbox::PATH);
    if leaf.is_some_and(|leaf| tree.is_kept(leaf)) {
        return None;
    }
    let (before, by) = sandbox::before(tree, leaf, target, was);
    let lost = leaf.and_then(|leaf| tree.verdict(leaf));
    let reason = match by {
        DecidedBy::K0s => return None,
        DecidedBy::Containerd => "the file sets none, so containerd falls back to its built-in one",
        DecidedBy::Input if matches!(lost, Some(Verdict::Drop(Dropped::NotExpressible, _))) => {
            "the target cannot hold it"
        }
        DecidedBy::Input if before.as_str() == Some("") => "the file empties it",
        DecidedBy::Input => "the file pins a default",
    };
    let injected = Value::String(target.pause_image().to_owned());
    (before != injected).then(|| Change {
        key: key_at(target, &sandbox::PATH),
        before: Some(Redacted::plain(before)),
        after: Some(Redacted::plain(injected)),
        reason: reason.to_owned(),
    })
}
