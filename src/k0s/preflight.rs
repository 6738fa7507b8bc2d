//! What k0s 1.36 and later demand of drop-ins before they start.

use super::{DropInName, DropInSet, FileName};
use crate::containerd::plugin;
use crate::shown::printable;
use crate::{Exceeded, Limits, Size};

/// Why k0s 1.36 and later exit at start because of a drop-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", printable(file.as_str()))]
#[non_exhaustive]
pub struct Rejection {
    /// The drop-in.
    pub file: DropInName,
    /// What is wrong with it.
    pub reason: RejectionReason,
}

/// What is wrong with a drop-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The file is not TOML.
    #[error("not TOML that k0s can parse: {0}")]
    Unparsable(String),
    /// The drop-ins up to here are together more than the default
    /// [`Limits`] let pass, so that it was not looked at.
    #[error("not looked at: the drop-ins have {0}")]
    TooLarge(Exceeded),
    /// `version` is there and not 3.
    #[error("config version {0}, and k0s takes 3 or none")]
    Version(i64),
    /// `version` is there and no integer.
    #[error("`version` is a {0}, not an integer")]
    VersionType(&'static str),
    /// The section that config version 3 split.
    #[error(
        "there is a section {}, which config version 3 has for the stream server only and k0s refuses in any case",
        plugin::CRI
    )]
    CriSection,
}

/// Judges drop-ins as the pre-flight check of k0s 1.36
/// and later does (`k0s sysinfo` reports the same). An empty result means that
/// k0s starts.
///
/// k0s looks at every `*.toml` in its drop-in directory and at nothing below
/// it: each must be TOML, its `version` must be 3 where there is one, and there
/// must be no section `plugins."io.containerd.grpc.v1.cri"`. Other keys, and
/// files that a drop-in imports, are not looked at.
///
/// k0s parses with go-toml 1.9. A text of TOML 1.1 counts as unparsable here
/// too; some texts that are no TOML at all pass in k0s and do not here.
///
/// ```
/// use containerd_dropins::k0s::{DropInSet, RejectionReason, preflight};
///
/// let nvidia = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n";
/// let set = DropInSet::new([("/etc/k0s/containerd.d/nvidia.toml", nvidia)])?;
/// let found = preflight(&set);
/// let reasons: Vec<_> = found.into_iter().map(|rejection| rejection.reason).collect();
/// assert_eq!(reasons, [RejectionReason::Version(2), RejectionReason::CriSection]);
/// # Ok::<(), containerd_dropins::k0s::NameError>(())
/// ```
pub fn preflight(set: &DropInSet<'_>) -> Vec<Rejection> {
    let drop_ins = set
        .iter()
        .filter_map(|(name, text)| Some((name.drop_in()?, text)));
    let mut size = Size::default();
    let mut reasons = |text| match Limits::default().admit_more(&mut size, text) {
        Ok(()) => reasons(text),
        Err(exceeded) => vec![RejectionReason::TooLarge(exceeded)],
    };
    drop_ins
        .flat_map(|(file, text)| rejections(file, reasons(text)))
        .collect()
}

/// Judges one file that is parsed already.
pub(super) fn judge(
    file: &FileName,
    parsed: &toml_edit::Document<&str>,
) -> impl Iterator<Item = Rejection> {
    let drop_in = file.drop_in().into_iter();
    drop_in.flat_map(|file| rejections(file, reasons_in(parsed)))
}

fn rejections(file: DropInName, reasons: Vec<RejectionReason>) -> impl Iterator<Item = Rejection> {
    reasons.into_iter().map(move |reason| Rejection {
        file: file.clone(),
        reason,
    })
}

fn reasons(text: &str) -> Vec<RejectionReason> {
    // go-toml 1.9 skips a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match toml_edit::Document::parse(text) {
        Ok(parsed) => reasons_in(&parsed),
        Err(error) => vec![RejectionReason::Unparsable(error.message().to_owned())],
    }
}

fn reasons_in(parsed: &toml_edit::Document<&str>) -> Vec<RejectionReason> {
    if let Some((_, what)) = crate::document::toml_1_1(parsed.as_table(), parsed.raw()) {
        return vec![RejectionReason::Unparsable(format!("{what} is TOML 1.1"))];
    }
    let mut reasons = Vec::new();
    if let Some(version) = parsed.get("version") {
        match version.as_integer() {
            Some(3) => {}
            Some(other) => reasons.push(RejectionReason::Version(other)),
            None => reasons.push(RejectionReason::VersionType(version.type_name())),
        }
    }
    let plugins = parsed.get("plugins");
    // Of an array of tables, go-toml looks into the last.
    let plugins = plugins.and_then(|item| match item.as_array_of_tables() {
        Some(tables) => tables
            .iter()
            .last()
            .map(|table| table as &dyn toml_edit::TableLike),
        None => item.as_table_like(),
    });
    if plugins.is_some_and(|plugins| plugins.contains_key(plugin::CRI)) {
        reasons.push(RejectionReason::CriSection);
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[RejectionReason]) {
        assert_eq!(reasons(text), expected, "{text}");
    }

    /// The cases of k0s's own test of the rule, and the ones beside them.
    #[test]
    fn the_rules_of_k0s_1_36() {
        use RejectionReason::*;
        check("", &[]);
        check("version = 3\n", &[]);
        check(
            "[plugins.\"io.containerd.cri.v1.runtime\"]\nenable_selinux = true\n",
            &[],
        );
        check("version = 0\n", &[Version(0)]);
        check("version = 4\n", &[Version(4)]);
        check("version = \"3\"\n", &[VersionType("string")]);
        check("version = 3.0\n", &[VersionType("float")]);
        check("Version = 2\n", &[]);
        check("[plugins.\"io.containerd.grpc.v1.cri\"]\n", &[CriSection]);
        check(
            "[plugins.'io.containerd.grpc.v1.cri'.registry]\n",
            &[CriSection],
        );
        check(
            "plugins = { \"io.containerd.grpc.v1.cri\" = 1 }\n",
            &[CriSection],
        );
        check(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n",
            &[Version(2), CriSection],
        );
        // Not checked by k0s.
        check("[plugins.cri]\nsandbox_image = \"x\"\n", &[]);
        check("[plugins.io.containerd.grpc.v1.cri]\nx = 1\n", &[]);
        check("plugins = 1\n", &[]);
        assert!(matches!(reasons("a = \n").as_slice(), [Unparsable(_)]));
        assert!(matches!(
            reasons("a = \"\\e\"\n").as_slice(),
            [Unparsable(_)]
        ));
    }

    #[test]
    fn only_drop_ins_are_looked_at() {
        let bad = "version = 2\n";
        let set =
            DropInSet::new([("/etc/k0s/containerd.d/a.toml", bad), (".b.toml", bad)]).unwrap();
        let others = [
            ("nested/a.toml", bad),
            ("a.toml.bak", bad),
            ("/c.toml", bad),
        ];
        let found = preflight(&set.importing(others).unwrap());
        let names: Vec<&str> = found
            .iter()
            .map(|rejection| rejection.file.as_str())
            .collect();
        assert_eq!(names, [".b.toml", "a.toml"]);
    }
}
