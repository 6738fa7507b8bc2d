//! containerd releases.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// An exact containerd release, for instance `1.7.24` or `2.4.0-beta.0`. A
/// pre-release comes before the release that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u16,
    minor: u16,
    patch: u16,
    stage: Stage,
}

/// How far a release is on its way, the earliest first, with the number of the
/// pre-release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    Alpha(u16),
    Beta(u16),
    Rc(u16),
    Final,
}

/// The last known release of each line, oldest first.
pub(crate) const LAST_OF_LINES: &[Release] = &[
    Release::new(1, 2, 14),
    Release::new(1, 3, 10),
    Release::new(1, 4, 13),
    Release::new(1, 5, 18),
    Release::new(1, 6, 39),
    Release::new(1, 7, 34),
    Release::new(2, 0, 11),
    Release::new(2, 1, 9),
    Release::new(2, 2, 7),
    Release::new(2, 3, 4),
    Release::beta(2, 4, 0, 0),
];

impl Release {
    /// The release `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Release {
            major,
            minor,
            patch,
            stage: Stage::Final,
        }
    }

    /// The pre-release `major.minor.patch-beta.number`.
    pub(crate) const fn beta(major: u16, minor: u16, patch: u16, number: u16) -> Self {
        Release {
            stage: Stage::Beta(number),
            ..Release::new(major, minor, patch)
        }
    }

    /// The newest release of which the settings are known.
    pub(crate) fn newest() -> Self {
        let last = LAST_OF_LINES.last();
        last.copied().unwrap_or(Release::beta(2, 4, 0, 0))
    }

    /// Whether what is known of containerd's settings holds for the release: its
    /// line is known, as are all from 1.2 to 2.4, and it does not come before
    /// the first of the line.
    ///
    /// ```
    /// use containerd_dropins::containerd::Release;
    ///
    /// assert!("2.3.4".parse::<Release>()?.is_known());
    /// assert!("2.4.0-beta.0".parse::<Release>()?.is_known());
    /// assert!(!"2.5.0".parse::<Release>()?.is_known());
    /// # Ok::<(), containerd_dropins::containerd::ReleaseError>(())
    /// ```
    pub fn is_known(self) -> bool {
        let last = LAST_OF_LINES.iter().find(|last| last.line() == self.line());
        // Of pre-releases only what the declarations were compared with counts.
        last.is_some_and(|last| self.stage == Stage::Final || self >= *last)
    }

    /// Whether it comes before another: the order of `<`, for use at compile time.
    pub(crate) const fn precedes(self, other: Self) -> bool {
        self.number() < other.number()
    }

    /// A number by which releases are in order.
    const fn number(self) -> u128 {
        let (stage, nth) = match self.stage {
            Stage::Alpha(number) => (0, number),
            Stage::Beta(number) => (1, number),
            Stage::Rc(number) => (2, number),
            Stage::Final => (3, 0),
        };
        let mut number = 0;
        let parts = [self.major, self.minor, self.patch, stage, nth];
        let mut at = 0;
        while at < parts.len() {
            #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
            let part = parts[at] as u128;
            number = number << 16 | part;
            at += 1;
        }
        number
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
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match self.stage {
            Stage::Alpha(number) => write!(f, "-alpha.{number}"),
            Stage::Beta(number) => write!(f, "-beta.{number}"),
            Stage::Rc(number) => write!(f, "-rc.{number}"),
            Stage::Final => Ok(()),
        }
    }
}

impl Serialize for Release {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no containerd release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a containerd release such as 1.7.24 or 2.4.0-beta.0")]
pub struct ReleaseError {
    text: String,
}

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `1.7.24`, `v1.7.24` or `2.4.0-beta.0`; `1.7` stands for its first
    /// patch release.
    ///
    /// # Errors
    /// If the text is neither.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ReleaseError {
            text: text.to_owned(),
        };
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_number.then(|| text.parse::<u16>().ok()).flatten();
            number.ok_or_else(error)
        };
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, stage) = match text.split_once('-') {
            Some((numbers, stage)) => (numbers, Some(stage)),
            None => (text, None),
        };
        let numbers: Vec<&str> = numbers.split('.').collect();
        let release = match (numbers.as_slice(), stage) {
            ([major, minor], None) => Release::new(number(major)?, number(minor)?, 0),
            ([major, minor, patch], _) => {
                Release::new(number(major)?, number(minor)?, number(patch)?)
            }
            _ => return Err(error()),
        };
        let stage = match stage.map(|stage| stage.split_once('.').unwrap_or((stage, ""))) {
            None => Stage::Final,
            Some(("alpha", n)) => Stage::Alpha(number(n)?),
            Some(("beta", n)) => Stage::Beta(number(n)?),
            Some(("rc", n)) => Stage::Rc(number(n)?),
            Some(_) => return Err(error()),
        };
        Ok(Release { stage, ..release })
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
        for text in ["", "1", "1.7.x", "1.7.2.3", "containerd", "1.-7", "1.+7"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    /// In the order of containerd's own tags.
    #[test]
    fn pre_releases_come_before_what_they_lead_to() {
        let tags = [
            "2.3.4",
            "2.4.0-alpha.0",
            "2.4.0-beta.0",
            "2.4.0-beta.1",
            "2.4.0-beta.10",
            "2.4.0-rc.0",
            "2.4.0",
            "2.4.1",
        ];
        let releases: Vec<Release> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        assert!(releases.is_sorted_by(|a, b| a < b && a.precedes(*b) && !b.precedes(*a)));
        for (tag, release) in tags.iter().zip(&releases) {
            assert_eq!(release.to_string(), *tag);
            assert_eq!(release.config_version(), 4);
        }
        for text in [
            "2.4-beta.0",
            "2.4.0-beta",
            "2.4.0-beta.",
            "2.4.0-beta.x",
            "2.4.0-beta.0.1",
            "2.4.0-dev.1",
            "2.4.0-",
            "2.4.0-beta.70000",
        ] {
            assert!(text.parse::<Release>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_known_ends_with_the_last_line() {
        let is_known = |text: &str| text.parse::<Release>().unwrap().is_known();
        for text in [
            "1.2.0",
            "1.7.40",
            "2.3.9",
            "2.4.0-beta.0",
            "2.4.0-rc.1",
            "2.4.0",
        ] {
            assert!(is_known(text), "{text}");
        }
        for text in ["1.1.0", "2.3.0-rc.1", "2.4.0-alpha.0", "2.5.0", "3.0.0"] {
            assert!(!is_known(text), "{text}");
        }
        assert!(LAST_OF_LINES.is_sorted());
        assert_eq!(Release::newest().to_string(), "2.4.0-beta.0");
    }
}
