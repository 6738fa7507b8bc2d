//! k0s: its releases, what it injects, and how it puts drop-ins together.

mod assemble;
mod marker;
mod merge_patch;
mod name;
mod preflight;
mod release;
mod releases;

pub use assemble::{AssembleError, Assembled, assemble, assemble_within};
pub(crate) use assemble::{assemble_all, effective, parse_all};
pub(crate) use marker::MARKER;
pub use marker::Marker;
pub use merge_patch::{MergeError, survives};
pub(crate) use merge_patch::{check_key, passed};
pub use name::{DropInName, DropInSet, FileName, NameError, NameFault};
pub use preflight::{Rejection, RejectionReason, preflight};
pub(crate) use release::pause_images;
pub use release::{Match, Regime, Release, ReleaseError};

/// Where drop-ins go.
pub const DROP_IN_DIR: &str = "/etc/k0s/containerd.d";

/// The path of the file into which k0s 1.27 – 1.35 merge the CRI settings.
pub(crate) fn cri_path() -> String {
    format!("{RUN_DIR}/{CRI_FILE}")
}

/// The name of the drop-in at a path, if it is one.
pub(crate) fn drop_in_at(path: &str) -> Option<DropInName> {
    let is_path = path.starts_with('/');
    path.parse().ok().filter(|_| is_path)
}

/// The file that k0s manages, or the user does.
pub const CONFIG_FILE: &str = "/etc/k0s/containerd.toml";

/// Where containerd of k0s keeps images and snapshots, unless k0s has another
/// directory for its data.
pub(crate) const CONTAINERD_ROOT: &str = "/var/lib/k0s/containerd";

/// The directory of the file into which k0s 1.27 – 1.35 merge the CRI settings.
pub(crate) const RUN_DIR: &str = "/run/k0s";

/// The name of that file.
pub(crate) const CRI_FILE: &str = "containerd-cri.toml";

/// Values of the keys that k0s sets on containerd's command line which are
/// nobody's choice: k0s's own, those its documentation told people to write
/// (in 1.20 – 1.23 with a wrong directory), and containerd's defaults.
const BOILERPLATE: &[(&[&str], &[&str])] = &[
    (&["root"], &[CONTAINERD_ROOT, "/var/lib/containerd", ""]),
    (
        &["state"],
        &[
            "/run/k0s/containerd",
            "/var/lib/k0s/run/containerd",
            "/run/containerd",
            "",
        ],
    ),
    (
        &["grpc", "address"],
        &[
            "/run/k0s/containerd.sock",
            "/var/lib/k0s/run/containerd.sock",
            "/run/containerd/containerd.sock",
            "",
        ],
    ),
    (&["debug", "level"], &["info", ""]),
];

/// Whose place a file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// k0s's, in whatever spelling its documentation had.
    K0s,
    /// What containerd has by default.
    Containerd,
    /// Neither.
    Elsewhere,
}

/// Whether a key says where a containerd keeps things: its directories and its
/// socket.
pub(crate) fn is_place(path: &[&str]) -> bool {
    matches!(path, ["root"] | ["state"] | ["grpc", "address"])
}

/// Whose place the value of such a key is. Nothing said is k0s's.
pub(crate) fn whose(path: &[&str], value: Option<&str>) -> Whose {
    const OF_K0S: [&str; 2] = ["/run/k0s/", "/var/lib/k0s/"];
    match value {
        None | Some("") => Whose::K0s,
        Some(value) if OF_K0S.iter().any(|of| value.starts_with(of)) => Whose::K0s,
        value if is_boilerplate(path, value) => Whose::Containerd,
        Some(_) => Whose::Elsewhere,
    }
}

/// Whether a value of a key that k0s owns is nobody's choice.
pub(crate) fn is_boilerplate(path: &[&str], value: Option<&str>) -> bool {
    let known = BOILERPLATE.iter().find(|(known, _)| *known == path);
    known.is_none_or(|(_, values)| value.is_some_and(|value| values.contains(&value)))
}
