//! containerd releases.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// An exact containerd release, for instance `1.7.24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Release {
    /// The release `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Release {
            major,
            minor,
            patch,
        }
    }

    /// The patch release before this one.
    pub(crate) const fn before(self) -> Self {
        Release {
            patch: self.patch.saturating_sub(1),
            ..self
        }
    }

    /// The config version that `config default` of the release writes, and
    /// the highest that it reads.
    pub const fn config_version(self) -> i64 {
        match self.line() {
            (0, _) | (1, ..3) => 1,
            (1, _) => 2,
            (2, ..3) => 3,
            _ => 4,
        }
    }

    /// Whether this is containerd 2.0 or later: another way of merging files,
    /// another TOML parser.
    pub(crate) const fn is_2(self) -> bool {
        self.major >= 2
    }

    /// Major and minor number: the release line.
    pub const fn line(self) -> (u16, u16) {
        (self.major, self.minor)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for Release {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no containerd release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a containerd release such as 1.7.24")]
pub struct ReleaseError {
    text: String,
}

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `1.7.24` or `v1.7.24`; `1.7` stands for its first patch release.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ReleaseError {
            text: text.to_owned(),
        };
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || numbers.next().map(|n| n.parse().map_err(|_| error()));
        let major = number().ok_or_else(error)??;
        let minor = number().ok_or_else(error)??;
        let patch = number().unwrap_or(Ok(0))?;
        match number() {
            None => Ok(Release::new(major, minor, patch)),
            Some(_) => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_orders_releases() {
        let read = |text: &str| text.parse::<Release>();
        assert_eq!(read("v1.7.24"), Ok(Release::new(1, 7, 24)));
        assert_eq!(read("1.7"), Ok(Release::new(1, 7, 0)));
        assert!(Release::new(1, 7, 9) < Release::new(1, 7, 10));
        for text in ["", "1", "1.7.x", "1.7.2.3", "containerd", "1.-7"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
