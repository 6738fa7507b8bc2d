//! What containerd would refuse about the result, with its place in the input.

use std::collections::BTreeSet;

use super::tree::{Files, Id, ROOT, Tree, shown};
use crate::containerd::Release;
use crate::containerd::load::Effective;
use crate::containerd::refusal::{Refusal, Refuses, Rule};
use crate::diagnostic::{Code, Finding};
use crate::k0s;

/// Looks for refusals in what is in effect with the drop-ins.
pub(super) fn find(tree: &mut Tree, files: Files<'_>, effective: &Effective) -> Vec<Finding> {
    let refusals = effective.refusals();
    let before = before(tree, effective, &refusals);
    let before: Option<BTreeSet<_>> = before.as_ref().map(|before| {
        let known = before.iter();
        known
            .map(|refusal| (refusal.rule, &refusal.setting))
            .collect()
    });
    let finding = |refusal: &Refusal| {
        let is_new = |before: &BTreeSet<_>| !before.contains(&(refusal.rule, &refusal.setting));
        let code = match code(refusal) {
            Code::PodsRefused if before.as_ref().is_some_and(is_new) => Code::PodsLost,
            code => code,
        };
        let message = message(refusal, effective.release());
        let path: Vec<&str> = refusal.setting.iter().map(String::as_str).collect();
        match place(tree, &path) {
            Some(id) => files.finding(tree, id, code, message),
            None => {
                let path: Vec<&str> = refusal.path.iter().map(String::as_str).collect();
                Finding::new(code, message).at(shown(&path), None)
            }
        }
    };
    refusals.iter().map(finding).collect()
}

/// What containerd 1.x would refuse pods for, where the input is one that ran on
/// it and the target runs 2.x: those pods do not start as it is.
fn before(tree: &Tree, effective: &Effective, refusals: &[Refusal]) -> Option<Vec<Refusal>> {
    let mut costs_pods = refusals.iter().map(|refusal| refusal.refuses);
    let matters = costs_pods.any(|refuses| refuses == Refuses::Sandbox);
    if !matters || !tree.is_of_1_x() || !effective.release().is_2() {
        return None;
    }
    let releases = k0s::Release::all().map(|release| release.containerd);
    let last = releases.filter(|release| !release.is_2()).max()?;
    Some(effective.under(last).refusals())
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

fn message(refusal: &Refusal, release: Release) -> String {
    let why = &refusal.message;
    match refusal.refuses {
        Refuses::Daemon => format!("containerd {release} exits at start: {why}"),
        Refuses::Cri => format!("containerd {release} does not load CRI: {why}"),
        Refuses::Sandbox => format!("containerd {release} starts no such pod: {why}"),
        Refuses::Pull => format!("containerd {release} pulls no such image: {why}"),
        Refuses::Plugin => format!("containerd {release} does not load a plugin: {why}"),
    }
}
