//! k0s releases and what follows from them.

use std::fmt;

use semver::{BuildMetadata, Version};
use serde::Serialize;

use super::releases::RELEASES;
use crate::containerd;

/// How a k0s release configures its containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regime {
    /// Up to 1.26: `/etc/k0s/containerd.toml` is the user's, there are no
    /// drop-ins.
    Monolith,
    /// 1.27.1 – 1.27.4: drop-ins with CRI settings are appended as text to
    /// the generated defaults.
    CriAppend,
    /// 1.27.5 – 1.35: drop-ins with CRI settings are merged into the generated
    /// defaults, the others are imported by containerd 1.7.
    CriMerge,
    /// From 1.36 on: containerd 2.x imports and merges version 3 drop-ins.
    ImportsV3,
}

impl Regime {
    /// The boundaries, by first release.
    fn of(version: &Version) -> Regime {
        match (version.major, version.minor, version.patch) {
            (0, ..) | (1, ..27, _) => Regime::Monolith,
            (1, 27, ..5) => Regime::CriAppend,
            (1, ..36, _) => Regime::CriMerge,
            _ => Regime::ImportsV3,
        }
    }
}

/// A k0s release, with the facts that decide about containerd's configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Release {
    /// The version, for instance `1.30.4+k0s.0`.
    #[serde(serialize_with = "tag")]
    pub version: Version,
    /// The containerd that it runs.
    pub containerd: containerd::Release,
    /// The pause image that it was built with: what it injects as sandbox
    /// image from 1.27.1 on, unless `spec.images.pause` says otherwise, and
    /// what its airgap bundle holds.
    pub pause_image: &'static str,
    /// How it configures containerd.
    pub regime: Regime,
}

fn tag<S: serde::Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("v{version}"))
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.version)
    }
}

/// How well a look-up fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// The release asked for is known.
    Exact,
    /// It is newer than any known one; the newest stands in.
    Newer,
    /// It is not known; the nearest earlier one stands in, or the oldest.
    Nearest,
}

/// The text is no k0s release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a k0s release such as v1.30.4+k0s.0")]
pub struct ReleaseError {
    text: String,
}

impl Release {
    /// Looks a release up. `v` in front and `+k0s.N` behind may be missing;
    /// without the latter the last build of the version is meant.
    ///
    /// ```
    /// use containerd_dropins::k0s::{Match, Release};
    ///
    /// let (release, fit) = Release::find("v1.30.4+k0s.0")?;
    /// assert_eq!(fit, Match::Exact);
    /// assert_eq!(release.containerd.to_string(), "1.7.20");
    /// assert_eq!(release.pause_image, "registry.k8s.io/pause:3.9");
    /// # Ok::<(), containerd_dropins::k0s::ReleaseError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is not a version of three numbers.
    pub fn find(text: &str) -> Result<(Release, Match), ReleaseError> {
        let error = || ReleaseError {
            text: text.to_owned(),
        };
        let trimmed = text.trim();
        let mut wanted =
            Version::parse(trimmed.strip_prefix('v').unwrap_or(trimmed)).map_err(|_| error())?;
        let any_build = wanted.build.is_empty();
        if any_build {
            // Sorts behind every `k0s.N`.
            wanted.build = BuildMetadata::new("k0s.x").map_err(|_| error())?;
        }
        let later = RELEASES.partition_point(|(tag, ..)| {
            Version::parse(tag).is_ok_and(|version| version <= wanted)
        });
        let at = later.saturating_sub(1);
        let mut release = RELEASES
            .get(at)
            .and_then(Release::from_row)
            .ok_or_else(error)?;
        // A stand-in does not make the release work another way.
        release.regime = Regime::of(&wanted);
        let same = if any_build {
            release.version.cmp_precedence(&wanted).is_eq()
        } else {
            release.version == wanted
        };
        let fit = match same {
            true => Match::Exact,
            false if later == RELEASES.len() => Match::Newer,
            false => Match::Nearest,
        };
        Ok((release, fit))
    }

    /// The config version of its drop-ins.
    pub fn config_version(&self) -> i64 {
        match self.regime {
            Regime::ImportsV3 => 3,
            _ => 2,
        }
    }

    /// The line of `containerd.toml` on which it writes its marker: up to 1.29
    /// the file begins with an empty line.
    pub fn marker_line(&self) -> usize {
        if self.version.minor < 30 { 2 } else { 1 }
    }

    /// Whether `spec.images.pause` and `spec.images.repository` of the k0s
    /// configuration change the image that it injects (from 1.28.2 on).
    pub fn pause_image_is_configurable(&self) -> bool {
        self.version.minor >= 28
    }

    /// Whether `k0s airgap list-images` names the image that it was built with
    /// even where the k0s configuration has another one injected. Mended in
    /// 1.29.14, 1.30.10, 1.31.6 and 1.32.2.
    pub fn lists_built_in_pause_image(&self) -> bool {
        matches!(
            (self.version.minor, self.version.patch),
            (28, _) | (29, ..=13) | (30, ..=9) | (31, ..=5) | (32, ..=1)
        )
    }

    /// Every known release, oldest first.
    pub fn all() -> impl Iterator<Item = Release> {
        RELEASES.iter().filter_map(Release::from_row)
    }

    fn from_row((tag, containerd, pause_image): &(&str, &str, &'static str)) -> Option<Release> {
        let version = Version::parse(tag).ok()?;
        Some(Release {
            containerd: containerd.parse().ok()?,
            pause_image,
            regime: Regime::of(&version),
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tag: &str, fit: Match) {
        let (release, found) = Release::find(text).unwrap();
        assert_eq!((release.to_string().as_str(), found), (tag, fit), "{text}");
    }

    #[test]
    fn every_row_is_read_and_they_are_in_order() {
        let all: Vec<_> = Release::all().collect();
        assert_eq!(all.len(), RELEASES.len());
        assert_eq!(all.len(), 239);
        assert!(all.is_sorted_by(|a, b| a.version < b.version));
        for release in &all {
            assert_eq!(Release::find(&release.to_string()).unwrap().0, *release);
        }
    }

    #[test]
    fn look_ups_are_lenient_in_form_and_tell_how_well_they_fit() {
        check("v1.30.4+k0s.0", "v1.30.4+k0s.0", Match::Exact);
        check("1.30.4+k0s.0", "v1.30.4+k0s.0", Match::Exact);
        check("1.30.4", "v1.30.4+k0s.0", Match::Exact);
        check("1.36.3", "v1.36.3+k0s.2", Match::Exact);
        check("v1.22.1+k0s.0", "v1.22.1+k0s.0", Match::Exact);
        check("v1.22.1", "v1.22.1+k0s.1", Match::Exact);
        check("v1.30.4+k0s.7", "v1.30.4+k0s.0", Match::Nearest);
        check("1.29.0", "v1.28.15+k0s.0", Match::Nearest);
        check("1.31.1-rc.0", "v1.30.14+k0s.0", Match::Nearest);
        check("1.40.0", "v1.36.3+k0s.2", Match::Newer);
        check("1.2.3", "v1.20.6+k0s.0", Match::Nearest);
        check("1.36.0", "v1.35.7+k0s.0", Match::Nearest);
        for text in ["", "latest", "1.30", "v1.30.x", "1.30.4.5"] {
            assert!(Release::find(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_configured_pause_image_is_injected_first_and_listed_later() {
        let of = |tag: &str| {
            let release = Release::find(tag).unwrap().0;
            [
                release.pause_image_is_configurable(),
                release.lists_built_in_pause_image(),
            ]
        };
        assert_eq!(of("1.27.16"), [false, false]);
        for tag in ["1.28.2", "1.28.15", "1.29.13", "1.30.9", "1.31.5", "1.32.1"] {
            assert_eq!(of(tag), [true, true], "{tag}");
        }
        for tag in ["1.29.14", "1.30.10", "1.31.6", "1.32.2", "1.33.1", "1.36.3"] {
            assert_eq!(of(tag), [true, false], "{tag}");
        }
    }

    #[test]
    fn regimes_have_their_first_and_last_release() {
        let of = |tag: &str| Release::find(tag).unwrap().0.regime;
        assert_eq!(of("1.26.15"), Regime::Monolith);
        assert_eq!(of("1.27.1"), Regime::CriAppend);
        assert_eq!(of("1.27.4"), Regime::CriAppend);
        assert_eq!(of("1.27.5"), Regime::CriMerge);
        assert_eq!(of("1.35.7"), Regime::CriMerge);
        assert_eq!(of("1.36.1"), Regime::ImportsV3);
        // Whatever stands in for them.
        assert_eq!(of("1.36.0"), Regime::ImportsV3);
        assert_eq!(of("1.36.0-rc.1"), Regime::ImportsV3);
        assert_eq!(of("1.27.0"), Regime::CriAppend);
        assert_eq!(of("1.29.0"), Regime::CriMerge);
    }
}
