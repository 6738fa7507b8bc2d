//! What there is to say about the plan as a whole, and what cannot be written.

use serde::Serialize;

use super::origin::{self, Origin};
use super::sandbox;
use super::tree::{Content, Dropped, Files, ROOT, Tree, Verdict};
use super::{Target, ledger::Redacted};
use crate::Document;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::setting::State;
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use crate::value::{Table, Value};
use crate::write;
use crate::write::dotted;

/// A key whose effective value changes with the migration although no drop-in
/// sets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The key, by config version 2 path.
    pub key: String,
    /// What is in effect with the legacy file under the target's containerd;
    /// `None` is no entry.
    pub before: Option<Redacted>,
    /// What is in effect afterwards.
    pub after: Option<Redacted>,
    /// Why.
    pub reason: String,
}

const RUNTIMES: [&str; 4] = ["plugins", plugin::CRI, "containerd", "runtimes"];

/// Lists what the file held back: stale defaults, the sandbox image, and the
/// built-in entries of maps that it replaced. `ignored` says that the plugin
/// settings of the file had no effect at all so far.
pub(super) fn changes(
    tree: &mut Tree,
    target: &Target,
    origin: &Origin,
    ignored: bool,
) -> Vec<Change> {
    let containerd = target.containerd();
    let mut changes = Vec::new();
    for id in tree.leaves(ROOT) {
        let Some(Verdict::Drop(Dropped::StaleDefault, why)) = tree.verdict(id) else {
            continue;
        };
        let (node, path) = (tree.node(id), tree.path(id));
        if path == sandbox::PATH || ignored && path.first() == Some(&"plugins") {
            continue;
        }
        let Some(place) = node.place else {
            continue;
        };
        // What a distribution or an architecture has otherwise stays as it is
        // on the node, or is nothing that a release changes.
        let value = tree.value(id);
        let after = place.state(containerd).printed();
        let unset = after.is_none() && value.is_some_and(Value::is_zero);
        if unset || value.is_some_and(|value| origin::is_platform(&node.key, value)) {
            continue;
        }
        changes.push(Change {
            key: dotted(&path),
            before: value.cloned().map(Redacted::plain),
            after: after.map(Redacted::plain),
            reason: why.clone(),
        });
    }
    changes.extend(sandbox_change(tree, target, ignored));
    if let Some(runtimes) = tree.find(&RUNTIMES).filter(|_| !ignored) {
        changes.extend(built_in_runtimes(tree, runtimes, target, origin));
    }
    changes
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
                key: dotted(&path),
                before: None,
                after: Some(Redacted::plain(Value::Table(Table::new()))),
                reason: "containerd's own entry is there again beside yours".to_owned(),
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
                    key: dotted(&path),
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
fn sandbox_change(tree: &mut Tree, target: &Target, ignored: bool) -> Option<Change> {
    let leaf = tree.find(&sandbox::PATH);
    if leaf.is_some_and(|leaf| tree.is_kept(leaf)) {
        return None;
    }
    let stated = leaf
        .and_then(|leaf| tree.value(leaf))
        .filter(|_| !ignored)
        .cloned();
    let place = sandbox::PATH
        .iter()
        .try_fold(crate::Config::place(), |place, key| place.child(key))?;
    let built_in = match place.state(target.containerd()) {
        State::Str(image) => Value::String(image.to_owned()),
        _ => return None,
    };
    let injected = Value::String(target.pause_image().to_owned());
    let reason = match &stated {
        Some(Value::String(image)) if image.is_empty() => "the file empties it",
        Some(_) => "the file pins a default of another time",
        None => "the file sets none, so containerd falls back to its built-in one",
    };
    let before = stated.unwrap_or(built_in);
    (before != injected).then(|| Change {
        key: dotted(&sandbox::PATH),
        before: Some(Redacted::plain(before)),
        after: Some(Redacted::plain(injected)),
        reason: reason.to_owned(),
    })
}

/// A legacy file without a sandbox image makes containerd fall back to its own
/// default where k0s would inject another: the known cause of nodes on which
/// no pod starts (v1.30.4+k0s.0 with an airgap bundle).
pub(super) fn sandbox_cause(
    legacy: &Document,
    changes: &[Change],
    tree: &mut Tree,
    target: &Target,
) -> Option<Finding> {
    if tree.find(&sandbox::PATH).is_some() {
        return None;
    }
    let key = dotted(&sandbox::PATH);
    let change = changes.iter().find(|change| change.key == key)?;
    let before = change.before.as_ref()?.expose().as_str()?;
    let (release, containerd) = (&target.release, target.containerd());
    let message = format!(
        "the file sets no sandbox image, so containerd {containerd} falls back to its built-in {before}; k0s {release} would inject {} and its airgap bundle holds only that one: where {before} cannot be pulled, no pod starts",
        target.pause_image(),
    );
    let mut finding = Finding::new(Code::SandboxImageCause, message);
    finding.key = Some(key);
    finding.span = Some(legacy.span(0..0));
    Some(finding)
}

pub(super) fn runc_appears(changes: &[Change]) -> Option<Finding> {
    let mut path = RUNTIMES.to_vec();
    path.push("runc");
    let key = dotted(&path);
    let change = changes.iter().find(|change| change.key == key)?;
    let mut finding = Finding::new(
        Code::RuncAppears,
        "the file names runtime handlers without runc, so there was none; with k0s there is",
    );
    finding.key = Some(change.key.clone());
    Some(finding)
}

pub(super) fn byte_order_mark(legacy: &Document) -> Option<Finding> {
    legacy.has_byte_order_mark().then(|| {
        let mut finding = Finding::new(
            Code::ByteOrderMark,
            "the file begins with a UTF-8 byte order mark",
        );
        finding.span = Some(legacy.span(0..0));
        finding
    })
}

/// A file that switches CRI off or imports itself, and says where a containerd
/// other than k0s's keeps things, is the dump of that other containerd.
pub(super) fn foreign(findings: &[Finding]) -> Option<Finding> {
    let any = |code: Code| findings.iter().any(|finding| finding.code == code);
    let elsewhere = findings.iter().any(|finding| {
        let key = finding.key.as_deref().unwrap_or_default();
        finding.code == Code::OwnedByK0sOther && matches!(key, "root" | "state" | "grpc.address")
    });
    let is_foreign = !any(Code::ForeignContainerd) && any(Code::CriDisabled) && elsewhere;
    is_foreign.then(|| {
        Finding::new(
            Code::ForeignContainerd,
            "the file switches CRI off and names directories or a socket that are not k0s's",
        )
    })
}

/// Types of proxy plugins that containerd 1.7 knows; any other makes it panic.
const PROXY_TYPES: &[&str] = &[
    "snapshot",
    "io.containerd.snapshotter.v1",
    "content",
    "io.containerd.content.v1",
    "diff",
    "io.containerd.differ.v1",
];

/// A proxy plugin without a known type makes containerd panic, so it cannot be
/// written.
pub(super) fn proxy_plugins(tree: &mut Tree, files: Files<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(map) = tree.find(&["proxy_plugins"]) else {
        return findings;
    };
    for entry in tree.children(map).to_vec() {
        let kind = tree.child(entry, "type");
        let kind = kind
            .and_then(|kind| tree.value(kind))
            .and_then(Value::as_str);
        if kind.is_some_and(|kind| PROXY_TYPES.contains(&kind)) {
            continue;
        }
        let message = match kind {
            Some(kind) => format!("the proxy plugin has the unknown type {kind:?}"),
            None => "the proxy plugin has no type".to_owned(),
        };
        findings.push(files.finding(tree, entry, Code::ProxyPluginType, message.clone()));
        for id in tree.leaves(entry) {
            tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message.clone()));
        }
    }
    findings
}

/// Takes out what no drop-in can hold: names that go-toml 1.9 misreads, and
/// values in CRI drop-ins that k0s's merge changes or stumbles over.
pub(super) fn portable(tree: &mut Tree, files: Files<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in tree.walk(ROOT) {
        let node = tree.node(id);
        let is_table = matches!(node.content, Content::Table(_));
        let bare =
            is_table && !node.is_made && node.place.is_some_and(|place| place.presence_matters());
        if !is_table && !tree.is_kept(id) {
            continue;
        }
        let Some((code, message)) = obstacle(tree, id) else {
            continue;
        };
        let mut kept = tree.leaves(id);
        kept.retain(|id| tree.is_kept(*id));
        if kept.is_empty() && !bare {
            continue;
        }
        findings.push(files.finding(tree, id, code, message.clone()));
        for id in kept {
            tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message.clone()));
        }
        if is_table {
            tree.detach(id);
        }
    }
    findings
}

/// Deeper headers are not read again by every parser; no setting comes near.
const DEEPEST: usize = 64;

fn obstacle(tree: &Tree, id: usize) -> Option<(Code, String)> {
    let node = tree.node(id);
    let is_table = matches!(node.content, Content::Table(_));
    if !write::is_portable_key(&node.key) || is_table && !write::is_portable_in_header(&node.key) {
        return Some((
            Code::NotPortable,
            "the name cannot be written so that all parsers read it".to_owned(),
        ));
    }
    let path = tree.path(id);
    if path.len() > DEEPEST {
        return Some((
            Code::NotPortable,
            format!("nested more than {DEEPEST} levels deep"),
        ));
    }
    if path.get(1) != Some(&plugin::CRI) {
        return None;
    }
    let survives = match tree.value(id) {
        Some(value) => k0s::check_key(&node.key).and_then(|()| k0s::survives(value)),
        None => k0s::check_key(&node.key).map(|()| true),
    };
    match (survives, tree.value(id)) {
        (Err(error), _) => return Some((Code::NotMergeable, error.to_string())),
        (Ok(false), Some(value)) => {
            let message = format!("k0s's merge would change this {}", value.type_name());
            return Some((Code::NotMergeable, message));
        }
        _ => {}
    }
    None
}
