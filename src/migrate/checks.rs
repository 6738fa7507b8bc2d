//! What there is to say about the plan as a whole, and what cannot be written.

use std::collections::BTreeMap;

use super::Target;
use super::changes::{self, Changes};
use super::running::Running;
use super::sandbox;
use super::split::Concern;
use super::tree::{Content, Dropped, Files, ROOT, Tree, Verdict};
use crate::Document;
use crate::containerd::handler::{BUILT_IN, RUNTIMES};
use crate::containerd::{load, plugin};
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Regime};
use crate::value::Value;
use crate::write;

/// A legacy file without a sandbox image makes containerd fall back to its own
/// default where k0s would inject another: the known cause of nodes on which
/// no pod starts (v1.30.4+k0s.0 with an airgap bundle).
pub(super) fn sandbox_cause(
    legacy: &Document,
    changes: &Changes,
    running: &Running,
    target: &Target,
) -> Option<Finding> {
    let before = running.effective.as_ref()?;
    if !changes.has(&sandbox::PATH) || before.set_value(&sandbox::PATH).is_some() {
        return None;
    }
    let image = before.value(&sandbox::PATH)?;
    let (image, containerd) = (image.as_str()?, running.target.containerd());
    let message = format!(
        "the file sets no sandbox image, so containerd {containerd} falls back to its built-in {image}; k0s {} would inject {} and its airgap bundle holds only that one: where {image} cannot be pulled, no pod starts",
        target.release,
        target.pause_image(),
    );
    let mut finding = Finding::new(Code::SandboxImageCause, message).about(legacy);
    finding.key = Some(changes::key_at(target, &sandbox::PATH));
    Some(finding)
}

pub(super) fn runc_appears(changes: &Changes, target: &Target) -> Option<Finding> {
    let mut path = RUNTIMES.to_vec();
    path.push(BUILT_IN);
    if !changes.has(&path) {
        return None;
    }
    let mut finding = Finding::new(
        Code::RuncAppears,
        "the file names runtime handlers without runc, so there was none; with k0s there is",
    );
    finding.key = Some(changes::key_at(target, &path));
    Some(finding)
}

pub(super) fn byte_order_mark(legacy: &Document) -> Option<Finding> {
    legacy.has_byte_order_mark().then(|| {
        let message = "the file begins with a UTF-8 byte order mark";
        Finding::new(Code::ByteOrderMark, message).about(legacy)
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

/// k0s 1.36 and later read the first line of the file into a buffer of this
/// size, line end included, and exit where it does not fit.
const LONGEST_FIRST_LINE: usize = 64 * 1024;

pub(super) fn first_line(main: &Document, target: &Target) -> Option<Finding> {
    let release = &target.release;
    let start = main.text().as_bytes().get(..LONGEST_FIRST_LINE)?;
    let is_too_long = release.regime == Regime::ImportsV3 && !start.contains(&b'\n');
    is_too_long.then(|| {
        let message = format!(
            "k0s {release} exits at start as long as {} is there, whose first line is longer than 64 KiB",
            main.name()
        );
        Finding::new(Code::FirstLineTooLong, message).about(main)
    })
}

/// Whether an earlier k0s wrote the file, by its rules, and the target takes it
/// for the user's.
pub(super) fn marker_trap(main: &Document, target: &Target) -> Option<Finding> {
    let marker = main.marker();
    let release = &target.release;
    // 1.27 – 1.29 were content with less, but what they wrote has the line.
    let was_managed = marker.is_managed_for_k0s_1_30();
    let trapped =
        release.regime == Regime::ImportsV3 && was_managed && !marker.is_managed_for(release);
    trapped.then(|| {
        let written = match marker.is_pristine {
            true => "k0s 1.22 to 1.26 wrote it",
            false => "its marker is not the first line",
        };
        let message = format!(
            "k0s up to 1.35 takes {} for its own, and k0s {release} takes it for yours: {written}",
            main.name()
        );
        Finding::new(Code::MarkerNotRecognised, message).about(main)
    })
}

/// Says which settings go to files that drop-ins import.
pub(super) fn nested(tree: &Tree, files: Files<'_>, parts: &[(Concern, usize)]) -> Vec<Finding> {
    let mut by_concern: BTreeMap<&Concern, Vec<usize>> = BTreeMap::new();
    for (concern, id) in parts {
        if concern.importer().is_some() {
            by_concern.entry(concern).or_default().push(*id);
        }
    }
    let say = |(concern, ids): (&Concern, Vec<usize>)| {
        let keys: Vec<String> = ids.iter().map(|id| tree.shown(*id)).collect();
        let message = format!(
            "these settings cannot stay in a drop-in and go to {}, which {} imports: {}",
            concern.file_name(),
            concern.importer().unwrap_or_default(),
            keys.join(", ")
        );
        let first = ids.first()?;
        Some(files.finding(tree, *first, Code::NestedImport, message))
    };
    by_concern.into_iter().filter_map(say).collect()
}

/// Takes out what k0s 1.27.1 – 1.27.4 cannot have pasted behind the text of the
/// defaults: a table that is in it already may not be opened again.
pub(super) fn pasted(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let defaults = Value::Table(load::default_cri(target.containerd()));
    for id in tree.leaves(ROOT) {
        if !tree.is_kept(id) {
            continue;
        }
        let path = tree.path(id);
        let ["plugins", plugin::CRI, tables @ .., _] = path.as_slice() else {
            continue;
        };
        // A name that no header can have is written inside of the table above.
        let in_header = |key: &&&str| write::is_portable_in_header(key);
        let there = tables
            .iter()
            .take_while(in_header)
            .try_fold(&defaults, |value, key| value.as_table()?.get(*key));
        if there.is_none() {
            continue;
        }
        let message = format!(
            "k0s {} writes the table of this key itself, and a drop-in cannot open it again",
            target.release
        );
        findings.push(files.finding(tree, id, Code::NotAppendable, message.clone()));
        tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message));
    }
    findings
}

/// A proxy plugin without a known type makes containerd panic, so it cannot be
/// written.
pub(super) fn proxy_plugins(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(map) = tree.find(&["proxy_plugins"]) else {
        return findings;
    };
    for entry in tree.children(map).to_vec() {
        let kind = tree.child(entry, "type");
        let kind = kind
            .and_then(|kind| tree.value(kind))
            .and_then(Value::as_str);
        let containerd = target.containerd();
        if kind.is_some_and(|kind| plugin::proxy_type(kind, containerd).is_some()) {
            continue;
        }
        let message = match kind {
            Some(_) => {
                format!("the proxy plugin has a type that containerd {containerd} does not know")
            }
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
pub(super) fn portable(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in tree.walk(ROOT) {
        let node = tree.node(id);
        let is_table = matches!(node.content, Content::Table(_));
        let bare =
            is_table && !node.is_made && node.place.is_some_and(|place| place.presence_matters());
        if !is_table && !tree.is_kept(id) {
            continue;
        }
        let Some((code, message)) = obstacle(tree, id, target.release.regime) else {
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
pub(super) const DEEPEST: usize = 64;

fn obstacle(tree: &Tree, id: usize, regime: Regime) -> Option<(Code, String)> {
    let node = tree.node(id);
    let is_table = matches!(node.content, Content::Table(_));
    if !write::is_portable_key(&node.key) {
        return Some((
            Code::NotPortable,
            "the name cannot be written so that all parsers read it".to_owned(),
        ));
    }
    let path = tree.path(id);
    let is_merged = regime == Regime::CriMerge && path.get(1) == Some(&plugin::CRI);
    if is_merged && is_table && !write::is_portable_in_header(&node.key) {
        return Some((
            Code::NotPortable,
            "k0s's merge writes the name in a header, where containerd 1.7 cannot read it"
                .to_owned(),
        ));
    }
    if path.len() > DEEPEST {
        return Some((
            Code::NotPortable,
            format!("nested more than {DEEPEST} levels deep"),
        ));
    }
    if !is_merged {
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
