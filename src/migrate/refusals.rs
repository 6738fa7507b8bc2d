//! What containerd would refuse about the result, with its place in the input.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::outside::{self, Outside};
use super::running::Running;
use super::tree::{Files, Id, ROOT, Tree};
use crate::Document;
use crate::containerd::load::Effective;
use crate::containerd::refusal::{Refusal, Refuses, Rule};
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding, Span};
use crate::shown;

const DISABLED: &str = "disabled_plugins";

/// Looks for refusals in what is in effect with the drop-ins, and with files
/// from elsewhere that they import. Pods that the node runs now, and will not,
/// are lost.
pub(super) fn find(
    tree: &mut Tree,
    files: Files<'_>,
    outside: &[Outside<'_>],
    running: &Running,
    effective: &Effective,
) -> Vec<Finding> {
    let refusals = effective.refusals();
    if refusals.is_empty() {
        return Vec::new();
    }
    let before = running.effective.as_ref();
    let refused = before.map(Effective::refusals).unwrap_or_default();
    let mut refused_at: BTreeMap<Rule, BTreeSet<&[String]>> = BTreeMap::new();
    for was in &refused {
        let settings = refused_at.entry(was.rule).or_default();
        settings.insert(&was.setting);
    }
    let is_lost = |refusal: &Refusal| {
        let path: Vec<&str> = refusal.setting.iter().map(String::as_str).collect();
        let table = path.split_last().map_or(&[][..], |(_, table)| table);
        let was_there = before.is_some_and(|before| before.set_value(table).is_some());
        // The one may be at the key, the other at the table that lacks it.
        let was_refused = refused_at.get(&refusal.rule).is_some_and(|settings| {
            let at = refusal.setting.as_slice();
            let mut above = (0..at.len()).filter_map(|length| at.get(..length));
            // The first that is not in front of it has it at its start if any has.
            let from_here = (Bound::Included(at), Bound::Unbounded);
            let below = settings.range::<[String], _>(from_here).next();
            below.is_some_and(|below| below.starts_with(at))
                || above.any(|above| settings.contains(above))
        });
        was_there && !was_refused
    };
    let mut finding = |refusal: &Refusal| {
        let code = match code(refusal) {
            Code::PodsRefused | Code::OptionType if is_lost(refusal) => Code::PodsLost,
            code => code,
        };
        let message = message(refusal, effective.release());
        let path: Vec<&str> = refusal.setting.iter().map(String::as_str).collect();
        if path == [DISABLED]
            && let Some(span) = disabled(files, outside)
        {
            return Finding::new(code, message).at(DISABLED, Some(span));
        }
        if let Some((key, span)) = outside::place(outside, &path, effective.release()) {
            return Finding::new(code, message).at(key, Some(span));
        }
        match place(tree, &path) {
            Some(id) if refusal.rule == Rule::RuntimeOptions && tree.value(id).is_some() => {
                files.wrong_value(tree, id, code, message)
            }
            Some(id) => files.finding(tree, id, code, message),
            None => {
                let path: Vec<&str> = refusal.path.iter().map(String::as_str).collect();
                Finding::new(code, message).at(shown::path(&path), None)
            }
        }
    };
    let with_cure = |refusal: &Refusal| Finding {
        help: refusal.rule.help(),
        ..finding(refusal)
    };
    // Sections under what is no id are told where they are read.
    let is_section = |refusal: &&Refusal| {
        refusal.rule == Rule::PluginId
            && refusal.setting.first().is_some_and(|key| key == "plugins")
    };
    let others = refusals.iter().filter(|refusal| !is_section(refusal));
    others.map(with_cure).collect()
}

/// Where CRI is disabled: of all lists, that which names it.
fn disabled(files: Files<'_>, outside: &[Outside<'_>]) -> Option<Span> {
    let names_cri = |file: &&Document| {
        let list = file.root().get(DISABLED).and_then(|item| item.as_array());
        let mut ids = list.into_iter().flatten().filter_map(|id| id.as_str());
        ids.any(|id| id == plugin::CRI || plugin::short_name(plugin::CRI) == Some(id))
    };
    let all = files.0.iter().copied();
    let mut all = all.chain(outside.iter().map(|file| file.document));
    let (key, _) = all.find(names_cri)?.span_of(&[DISABLED])?;
    Some(key)
}

/// The node nearest to a setting that stands somewhere.
pub(super) fn place(tree: &mut Tree, path: &[&str]) -> Option<Id> {
    let mut nearest = None;
    let mut at = ROOT;
    for key in path {
        let Some(id) = tree.child(at, key) else {
            break;
        };
        nearest = Some(id)
            .filter(|id| !tree.node(*id).sources.is_empty())
            .or(nearest);
        at = id;
    }
    nearest
}

fn code(refusal: &Refusal) -> Code {
    match (refusal.rule, refusal.refuses) {
        (Rule::SandboxImage, _) => Code::SandboxImageNotFound,
        (Rule::NoUnpackPlatform | Rule::ConfigPathList | Rule::PullTimeout, _) => Code::PullsFail,
        (Rule::ImageReference, _) => Code::SandboxImageNoReference,
        (Rule::RuntimeOptions, _) => Code::OptionType,
        (_, Refuses::Daemon) => Code::ContainerdRefuses,
        (_, Refuses::Cri) => Code::CriRefuses,
        (_, Refuses::Sandbox) => Code::PodsRefused,
        (_, Refuses::Pull) => Code::PullsRefused,
        (_, Refuses::Plugin) => Code::PluginRefused,
    }
}

pub(super) fn message(refusal: &Refusal, release: Release) -> String {
    let why = &refusal.message;
    match refusal.refuses {
        Refuses::Daemon => format!("containerd {release} exits at start: {why}"),
        Refuses::Cri => format!("containerd {release} does not load CRI: {why}"),
        Refuses::Sandbox => format!("containerd {release} starts no such pod: {why}"),
        Refuses::Pull => format!("containerd {release} pulls no such image: {why}"),
        Refuses::Plugin => format!("containerd {release} does not load a plugin: {why}"),
    }
}
