//! What there is to say of registry settings.

use std::fmt;

use crate::shown;

/// Something about a setting that its owner should know: that it does not do
/// what it says, by [`diagnose`](super::diagnose()), or what a
/// [conversion](super::convert()) makes of it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Remark {
    /// The setting, by its path below `registry`.
    pub path: Vec<String>,
    /// Its nature.
    pub kind: RemarkKind,
    /// Where the setting would do what it says, by its path below `registry`,
    /// if that is known.
    pub cure: Option<Vec<String>>,
    /// One sentence, without credentials.
    pub message: String,
}

impl Remark {
    pub(super) fn new(path: Vec<String>, kind: RemarkKind, message: impl Into<String>) -> Self {
        Remark {
            path,
            kind,
            cure: None,
            message: message.into(),
        }
    }
}

impl fmt::Debug for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remark")
            .field("path", &shown::names(&self.path))
            .field("kind", &self.kind)
            .field("cure", &self.cure.as_ref().map(|path| shown::names(path)))
            .field("message", &self.message)
            .finish()
    }
}

/// The nature of a [`Remark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RemarkKind {
    /// containerd never looks for the entry by this name, so that it does
    /// nothing.
    NeverLookedUp,
    /// The entry counts for this spelling of a host only, where another is the
    /// usual one, or the one that is asked.
    OtherSpelling,
    /// An endpoint is not one URL: containerd refuses every pull because of it,
    /// or asks something else than is meant.
    NotOneUrl,
    /// An endpoint at which every try fails.
    NeverAsked,
    /// An endpoint with a slash for its path, which is asked without `/v2`.
    Slash,
    /// An endpoint with a path without `v2`, to which containerd adds none.
    PathWithoutV2,
    /// The user, query or fragment of an endpoint, which containerd leaves out.
    PartLeftOut,
    /// TLS settings of a host that is asked over plain HTTP only.
    PlainHttp,
    /// The containerd that is converted from does not read the setting. It is
    /// left out of the conversion.
    WithoutEffect,
    /// It kept pulls from working, which they do with the conversion.
    FirstEffect,
    /// The path of a file had to be made absolute.
    RelativePath,
    /// containerd asks the same without it.
    Redundant,
    /// It cannot be converted. It is left out of the conversion.
    NotConvertible,
}

impl RemarkKind {
    /// Whether the setting as a whole does nothing.
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, RemarkKind::NeverLookedUp | RemarkKind::PlainHttp)
    }
}

/// The path of a mirror below `registry`.
pub(super) fn mirror_of(name: &str) -> Vec<String> {
    ["mirrors", name].map(str::to_owned).to_vec()
}

/// The path of credentials below `registry`.
pub(super) fn auth_of(host: &str) -> Vec<String> {
    ["configs", host, "auth"].map(str::to_owned).to_vec()
}

/// The path of TLS settings below `registry`.
pub(super) fn tls_of(host: &str) -> Vec<String> {
    ["configs", host, "tls"].map(str::to_owned).to_vec()
}
