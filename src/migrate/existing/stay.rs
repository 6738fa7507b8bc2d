//! Drop-ins that a target before 1.36 reads as they are: judged as strictly as a
//! legacy file, and not rewritten.

use super::set::Set;
use crate::containerd::load::Effective;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, AssembleError, DropInSet, Regime};
use crate::migrate::tree::{Dropped, Files, ROOT, Tree, Verdict};
use crate::migrate::{Options, Target, checks, edits};

/// What is wrong with the drop-ins.
pub(super) fn judge(
    tree: &mut Tree,
    files: Files<'_>,
    set: &Set<'_>,
    target: &Target,
    options: &Options,
) -> Vec<Finding> {
    let release = &target.release;
    let why = format!("k0s {release} reads drop-ins of version 2 as they are");
    let mut findings = vec![Finding::new(Code::DropInsStay, why)];
    findings.extend(set.order.iter().filter_map(|file| {
        let (span, what) = file.unreadable()?;
        let message = format!("{what} is TOML that k0s {release} does not read");
        let mut finding = Finding::new(Code::K0sRefuses, message);
        finding.span = Some(span);
        Some(finding)
    }));
    // k0s 1.27.1 – 1.27.4 paste texts, which changes nothing in them, and their
    // version is none.
    let merges = release.regime == Regime::CriMerge;
    let merged = if merges { set.merged.as_slice() } else { &[] };
    findings.extend(edits::judge_in_place(tree, files, target, options, merged));
    findings.extend(checks::portable_in_place(tree, files, merged));
    findings.extend(set.version_1().filter(|_| merges).map(|file| {
        let span = file.span_of(&["version"]).map(|(key, _)| key);
        let message = format!(
            "containerd {} reads all files as of version 1 because of it, and ignores the CRI settings of all drop-ins and the sandbox image {} that k0s injects",
            target.containerd(),
            target.pause_image(),
        );
        Finding::new(Code::CriIgnored, message).at("version", span)
    }));
    findings.into_iter().map(Finding::in_place).collect()
}

/// What is in effect with the drop-ins, if k0s gets so far. `failed` says that
/// what is wrong with them is said already.
pub(super) fn effective(
    set: &Set<'_>,
    target: &Target,
    failed: bool,
    findings: &mut Vec<Finding>,
) -> Option<Effective> {
    let files = DropInSet::default().importing(set.texts());
    let assembled =
        files.map(|files| k0s::assemble_all(&target.release, target.pause_image(), &files));
    let Ok(assembled) = assembled else {
        // A set has each file once.
        return None;
    };
    match assembled {
        Ok(assembled) => Some(assembled.effective()),
        Err(error) => {
            let code = match error {
                AssembleError::Append { .. } => Code::ContainerdRefuses,
                _ => Code::K0sRefuses,
            };
            findings.extend((!failed).then(|| Finding::new(code, error.to_string())));
            None
        }
    }
}

/// The target takes nothing of the drop-ins.
pub(super) fn drop_all(tree: &mut Tree, why: &str) {
    for id in tree.leaves(ROOT) {
        tree.judge(id, Verdict::Drop(Dropped::NotExpressible, why.to_owned()));
    }
}
