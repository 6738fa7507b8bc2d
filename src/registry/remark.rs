//! What a conversion says of the settings.

use std::fmt;

use crate::secret::without_user;

/// What a conversion changes, or cannot keep.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Remark {
    /// The setting, by its path below `registry`.
    pub path: Vec<String>,
    /// Its nature.
    pub kind: RemarkKind,
    /// One sentence.
    pub message: String,
}

impl fmt::Debug for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<String> = self.path.iter().map(|key| without_user(key)).collect();
        f.debug_struct("Remark")
            .field("path", &path)
            .field("kind", &self.kind)
            .field("message", &self.message)
            .finish()
    }
}

/// The nature of a [`Remark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemarkKind {
    /// containerd never looks at the setting. It is left out.
    WithoutEffect,
    /// It kept pulls from working, which they do from now on.
    FirstEffect,
    /// The path of a file had to be made absolute.
    RelativePath,
    /// containerd asks the same without it.
    Redundant,
    /// It cannot be converted. It is left out.
    NotConvertible,
}

/// The path of TLS settings below `registry`.
pub(super) fn tls_of(host: &str) -> Vec<String> {
    ["configs", host, "tls"].map(str::to_owned).to_vec()
}
