//! Drop-ins that a target before 1.36 reads as they are: judged as strictly as a
//! legacy file, and not rewritten.

use super::set::Set;
use crate::containerd::load::Effective;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, AssembleError, DropInSet, Regime};
use crate::migrate::conduct::Parts;
use crate::migrate::tree::{Files, Tree};
use crate::migrate::{Options, Target, checks, edits, split};

/// Drop-ins that stay as they are.
pub(in crate::migrate) struct Stay<'s>(pub(super) &'s Set<'s>);

impl Stay<'_> {
    /// What is wrong with the drop-ins.
    pub(in crate::migrate) fn judge(
        &self,
        tree: &mut Tree,
        files: Files<'_>,
        target: &Target,
        options: &Options,
    ) -> Vec<Finding> {
        let set = self.0;
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

    /// Where each setting stands.
    pub(in crate::migrate) fn split(&self, tree: &Tree, target: &Target) -> Parts {
        split::split_by_file(tree, target.containerd(), &self.0.names)
    }

    /// What is in effect with the drop-ins, if k0s gets so far. `failed` says that
    /// what is wrong with them is said already.
    pub(in crate::migrate) fn effective(
        &self,
        target: &Target,
        failed: bool,
        findings: &mut Vec<Finding>,
    ) -> Option<Effective> {
        let files = DropInSet::default().importing(self.0.texts());
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
}
