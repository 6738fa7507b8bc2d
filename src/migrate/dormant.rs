//! Settings that the node's containerd takes no notice of, and because of which
//! the target's would run fewer pods, or none: they are left out, so that the
//! node goes on as it does.

use super::running::{self, Running};
use super::tree::{Dropped, Files, Id, Tree, Verdict};
use super::{Target, refusals};
use crate::containerd::behaviour;
use crate::containerd::load::Effective;
use crate::containerd::refusal::Refuses;
use crate::diagnostic::{Code, Finding};

/// Takes such settings out of what will be in effect.
pub(super) fn leave_out(
    tree: &mut Tree,
    files: Files<'_>,
    expected: &mut Effective,
    running: &Running,
    target: &Target,
    pristine: &Effective,
) -> Vec<Finding> {
    let now = running.target.containerd();
    let mut findings = Vec::new();
    for refusal in expected.refusals() {
        let path: Vec<&str> = refusal.setting.iter().map(String::as_str).collect();
        let costs_pods = refusal.refuses >= Refuses::Sandbox;
        if !costs_pods || behaviour::acts_on(&path, now) {
            continue;
        }
        let Some(id) = leaf_at(tree, &path) else {
            continue;
        };
        let said = refusals::message(&refusal, target.containerd());
        let message = format!("containerd {now} takes no notice of it, and {said}: it is left out");
        findings.push(files.finding(tree, id, Code::WithoutEffect, message.clone()));
        tree.judge(id, Verdict::Drop(Dropped::NoEffect, message));
    }
    if !findings.is_empty() {
        *expected = running::expected(tree, target, pristine);
    }
    findings
}

/// The leaf of the input at a path, if it is kept, and its entry with it: one in
/// which nothing else is kept would go.
fn leaf_at(tree: &mut Tree, path: &[&str]) -> Option<Id> {
    let id = tree.find(path)?;
    let parent = tree.node(id).parent;
    let is_entry = tree
        .node(parent)
        .place()
        .is_some_and(|place| place.is_entry());
    let others = tree.leaves(parent).into_iter().filter(|other| *other != id);
    let stays = !is_entry || others.into_iter().any(|other| tree.is_kept(other));
    (stays && tree.is_kept(id) && !tree.node(id).is_made).then_some(id)
}
