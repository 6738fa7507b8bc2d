//! How a config version is spelt, as containerd releases have it.

use crate::containerd::Release;
use crate::containerd::place::Place;
use crate::containerd::setting::Move;

/// A config version, and the containerd release that reads or writes it: within a
/// version, a release may call a setting otherwise than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) version: i64,
    /// None is any: all names that the version ever had are read, and the newest
    /// written.
    release: Option<Release>,
}

impl From<i64> for Dialect {
    fn from(version: i64) -> Self {
        Dialect {
            version,
            release: None,
        }
    }
}

impl Dialect {
    /// That of files of a config version for a release.
    pub(crate) fn of(version: i64, release: Release) -> Self {
        Dialect {
            version,
            release: Some(release),
        }
    }

    /// That in which a release writes its own config; plugins have URIs even for
    /// containerd 1.2.
    pub(crate) fn own(release: Release) -> Self {
        Dialect::of(release.config_version().max(2), release)
    }

    /// Whether all releases that know the version are meant.
    pub(super) fn is_any(self) -> bool {
        self.release.is_none()
    }

    /// The same release's dialect of another version.
    pub(super) fn until(self, version: i64) -> Self {
        Dialect { version, ..self }
    }

    /// Whether a setting has moved so far.
    pub(super) fn has(self, moved: &Move) -> bool {
        let is_there = |since: Release| self.release.is_none_or(|release| since <= release);
        moved.since.version < self.version
            || moved.since.version == self.version && moved.since.release.is_none_or(is_there)
    }

    /// Where a setting is, if it has moved.
    pub(crate) fn place_of(self, setting: &Place) -> Option<Move> {
        setting.moves().rev().find(|moved| self.has(moved))
    }

    /// Whether a setting is not there yet: its first place comes later.
    pub(super) fn is_before(self, setting: &Place) -> bool {
        let mut moves = setting.moves();
        moves
            .next()
            .is_some_and(|first| first.is_new && !self.has(&first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::setting::{MovedTo, Since, version};

    #[test]
    fn moves_within_a_config_version_are_those_of_releases() {
        let has = |dialect: Dialect, since: Since| {
            let to = MovedTo::Key("x");
            let is_new = false;
            dialect.has(&Move { since, to, is_new })
        };
        let release = |text: &str| text.parse().unwrap();
        let since = Since {
            version: 4,
            release: Some(release("2.4.0")),
        };
        assert!(!has(Dialect::own(release("2.3.4")), since));
        assert!(has(Dialect::own(release("2.4.0")), since));
        // Files of any release have all names of their version.
        assert!(has(4.into(), since));
        assert!(!has(3.into(), since));
        // A later release migrates files of earlier versions to the newest names.
        assert!(!has(Dialect::of(3, release("2.4.0")), since));
        for (of, is_there) in [(2, false), (3, true), (4, true)] {
            assert_eq!(has(of.into(), version(3)), is_there);
            assert_eq!(has(Dialect::of(of, release("2.3.0")), version(3)), is_there);
        }
    }
}
