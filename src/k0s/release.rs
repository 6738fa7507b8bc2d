//! k0s releases and what follows from them.

use std::borrow::Cow;
use std::fmt;

use semver::{BuildMetadata, Prerelease, Version};
use serde::Serialize;

use super::releases::RELEASES;
use crate::containerd;
use crate::containerd::releases::V1_7;

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
    /// The boundaries, by first release, pre-releases included: 1.27.1-rc.0
    /// appends, 1.27.5-rc.0 does still, 1.27.5-rc.1 merges, 1.36.1-rc.0 imports.
    /// There are no tags of 1.27.0 and 1.36.0; they are taken to be what the
    /// first tags of their minor release are.
    fn of(version: &Version) -> Regime {
        match (version.major, version.minor, version.patch) {
            (0, ..) | (1, ..27, _) => Regime::Monolith,
            (1, 27, ..5) => Regime::CriAppend,
            // A version that is no pre-release has the greatest of all.
            (1, 27, 5) if Prerelease::new("rc.1").is_ok_and(|rc| version.pre < rc) => {
                Regime::CriAppend
            }
            (1, ..36, _) => Regime::CriMerge,
            _ => Regime::ImportsV3,
        }
    }

    /// Whether k0s releases that work this way carry the release of containerd.
    pub(crate) fn carries(self, containerd: containerd::Release) -> bool {
        match self {
            Regime::Monolith => containerd < V1_7,
            Regime::CriAppend | Regime::CriMerge => containerd.line() == V1_7.line(),
            Regime::ImportsV3 => containerd.is_2(),
        }
    }

    /// The same in words.
    pub(crate) fn carried(self) -> &'static str {
        match self {
            Regime::Monolith => "k0s up to 1.26 carries containerd 1.4 to 1.6",
            Regime::CriAppend | Regime::CriMerge => "k0s 1.27 to 1.35 carries containerd 1.7",
            Regime::ImportsV3 => "k0s 1.36 and later carries containerd 2.x",
        }
    }
}

/// A k0s release, with the facts that decide about containerd's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Release {
    /// The version, for instance `1.30.4+k0s.0`.
    #[serde(serialize_with = "tag")]
    pub version: Version,
    /// The containerd that it runs.
    pub containerd: containerd::Release,
    /// The pause image that it was built with: what it injects as sandbox
    /// image from 1.27.1 on, unless `spec.images.pause` says otherwise, and
    /// what its airgap bundle holds. In a [`Target`](crate::migrate::Target) it
    /// may be one that the caller stated.
    pub pause_image: Cow<'static, str>,
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
    /// It is not known; the nearest one stands in that configures its containerd
    /// in the same way, of two that are equally near the earlier.
    Nearest,
    /// It is not known, but all that matters about it was stated.
    Stated,
}

/// The text is no k0s release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a k0s release: {wanted}")]
pub struct ReleaseError {
    text: String,
    /// What is wanted in its place.
    wanted: String,
}

/// How many characters of a text go into a message.
const LONGEST_SHOWN: usize = 60;

impl ReleaseError {
    fn new(text: &str) -> ReleaseError {
        let trimmed = text.trim();
        let numbers = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let minor: Option<Vec<u64>> = numbers.split('.').map(|n| n.parse().ok()).collect();
        let minor = minor.filter(|minor| minor.len() < 3);
        // The newest of the minor release that is meant, or of all.
        let of_minor = |release: &Release| match minor.as_deref() {
            Some([major, minor]) => {
                [release.version.major, release.version.minor] == [*major, *minor]
            }
            _ => false,
        };
        let all: Vec<Release> = Release::all().collect();
        let example = all.iter().rev().find(|r| of_minor(r)).or(all.last());
        let example = example.map(Release::to_string).unwrap_or_default();
        let wanted = match minor {
            Some(_) => {
                format!("all three numbers of the version are wanted, for instance {example}")
            }
            None => format!(
                "a version is wanted, for instance {example}; `k0s version` prints that of a node"
            ),
        };
        ReleaseError {
            text: text.chars().take(LONGEST_SHOWN).collect(),
            wanted,
        }
    }
}

/// A version as it may be written, and whether it leaves the build open.
///
/// Image tags have a dash where a version has a plus, which they may not have:
/// `v1.30.4-k0s.0`.
fn version_of(text: &str) -> Option<(Version, bool)> {
    let text = text.trim();
    let mut version = Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
    let as_tag = match version.pre.as_str() {
        pre if is_build(pre) => Some(("", pre)),
        pre => pre.rsplit_once('-').filter(|(_, build)| is_build(build)),
    };
    if let Some((pre, build)) = as_tag.filter(|_| version.build.is_empty()) {
        let pre = Prerelease::new(pre).ok()?;
        version.build = BuildMetadata::new(build).ok()?;
        version.pre = pre;
    }
    let any_build = matches!(version.build.as_str(), "" | "k0s");
    if any_build {
        version.build = BuildMetadata::EMPTY;
    }
    Some((version, any_build))
}

fn is_build(text: &str) -> bool {
    let number = text.strip_prefix("k0s");
    number.is_some_and(|number| number.is_empty() || number.starts_with('.'))
}

impl Release {
    /// Looks a release up. `v` in front and `+k0s.N` behind may be missing;
    /// without the latter, or without its number, the last build of the version
    /// is meant. Tags of images are read as well, `v1.30.4-k0s.0`.
    ///
    /// What is not known has a stand-in that configures its containerd in the
    /// same way: the nearest release, minor release by minor release, or the
    /// newest for one that is newer than all.
    ///
    /// ```
    /// use containerd_dropins::k0s::{Match, Release};
    ///
    /// let (release, fit) = Release::find("v1.30.4+k0s.0")?;
    /// assert_eq!(fit, Match::Exact);
    /// assert_eq!(release.containerd.to_string(), "1.7.20");
    /// assert_eq!(release.pause_image, "registry.k8s.io/pause:3.9");
    ///
    /// // There is no 1.36.0, and 1.35.7 works in another way.
    /// let (release, fit) = Release::find("v1.36.0")?;
    /// assert_eq!((release.to_string().as_str(), fit), ("v1.36.1+k0s.0", Match::Nearest));
    /// # Ok::<(), containerd_dropins::k0s::ReleaseError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is not a version of three numbers.
    pub fn find(text: &str) -> Result<(Release, Match), ReleaseError> {
        let (release, fit, _) = Release::look_up(text)?;
        Ok((release, fit))
    }

    /// The same, and the version that was asked for.
    pub(crate) fn look_up(text: &str) -> Result<(Release, Match, Version), ReleaseError> {
        let error = || ReleaseError::new(text);
        let (version, any_build) = version_of(text).ok_or_else(error)?;
        let mut wanted = version.clone();
        if any_build {
            // Sorts behind every `k0s.N`.
            wanted.build = BuildMetadata::new("k0s.x").map_err(|_| error())?;
        }
        let later = RELEASES.partition_point(|(tag, ..)| {
            Version::parse(tag).is_ok_and(|version| version <= wanted)
        });
        // Releases of one regime follow one another.
        let regime = Regime::of(&wanted);
        let row = |at: usize| RELEASES.get(at).and_then(Release::from_row);
        let same_regime = |at: usize| row(at).filter(|release| release.regime == regime);
        let before = later.checked_sub(1).and_then(same_regime);
        let release = match (before, same_regime(later)) {
            (Some(before), Some(after)) => {
                let is_nearer =
                    distance(&wanted, &after.version) < distance(&wanted, &before.version);
                if is_nearer { after } else { before }
            }
            (before, after) => before.or(after).ok_or_else(error)?,
        };
        let same = match any_build {
            true => release.version.cmp_precedence(&wanted).is_eq(),
            false => release.version == wanted,
        };
        let fit = match same {
            true => Match::Exact,
            false if later == RELEASES.len() => Match::Newer,
            false => Match::Nearest,
        };
        Ok((release, fit, version))
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
    pub fn all() -> impl DoubleEndedIterator<Item = Release> {
        RELEASES.iter().filter_map(Release::from_row)
    }

    fn from_row((tag, containerd, pause_image): &(&str, &str, &'static str)) -> Option<Release> {
        let version = Version::parse(tag).ok()?;
        Some(Release {
            containerd: containerd.parse().ok()?,
            pause_image: Cow::Borrowed(pause_image),
            regime: Regime::of(&version),
            version,
        })
    }
}

/// How far two versions are from each other, the number that counts most
/// first.
fn distance(a: &Version, b: &Version) -> [u64; 3] {
    [
        a.major.abs_diff(b.major),
        a.minor.abs_diff(b.minor),
        a.patch.abs_diff(b.patch),
    ]
}

/// The pause images that k0s releases were built with, oldest first.
pub(crate) fn pause_images() -> impl Iterator<Item = &'static str> {
    RELEASES.iter().map(|(_, _, image)| *image)
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
        check("v1.30.4+k0s", "v1.30.4+k0s.0", Match::Exact);
        check("v1.36.3+k0s", "v1.36.3+k0s.2", Match::Exact);
        check("v1.30.4-k0s.0", "v1.30.4+k0s.0", Match::Exact);
        check("v1.36.3-k0s.1", "v1.36.3+k0s.1", Match::Exact);
        check("1.36.3-k0s", "v1.36.3+k0s.2", Match::Exact);
        check("1.40.0", "v1.36.3+k0s.2", Match::Newer);
        check("1.36.4", "v1.36.3+k0s.2", Match::Newer);
        check("v1.36.3+k0s.3", "v1.36.3+k0s.2", Match::Newer);
        check("v1.37.0-alpha.1+k0s.0", "v1.36.3+k0s.2", Match::Newer);
        check("v1.37.0-alpha.1-k0s.0", "v1.36.3+k0s.2", Match::Newer);
        check("2.0.0", "v1.36.3+k0s.2", Match::Newer);
    }

    /// What is not known has the nearest release of its own regime for a
    /// stand-in.
    #[test]
    fn a_stand_in_works_like_what_it_stands_for() {
        let nearest = |text: &str, tag: &str| check(text, tag, Match::Nearest);
        nearest("v1.30.4+k0s.7", "v1.30.4+k0s.0");
        nearest("1.2.3", "v1.20.6+k0s.0");
        nearest("0.9.0", "v1.20.6+k0s.0");
        // Its own minor release is nearer than any other; of two patch releases
        // that are equally near it is the earlier.
        nearest("1.29.0", "v1.29.1+k0s.0");
        nearest("1.28.0", "v1.28.2+k0s.0");
        nearest("1.31.1-rc.0", "v1.31.1+k0s.0");
        nearest("1.30.8", "v1.30.7+k0s.0");
        nearest("1.34.11", "v1.34.10+k0s.0");
        // Monolith | append.
        nearest("1.26.16", "v1.26.15+k0s.0");
        nearest("1.26.99-alpha.0", "v1.26.15+k0s.0");
        nearest("1.27.0-alpha.1", "v1.27.1+k0s.0");
        nearest("1.27.0", "v1.27.1+k0s.0");
        nearest("1.27.1-rc.0", "v1.27.1+k0s.0");
        nearest("1.27.1-rc.1+k0s.0", "v1.27.1+k0s.0");
        // Append | merge.
        nearest("v1.27.4+k0s.1", "v1.27.4+k0s.0");
        nearest("1.27.5-alpha.1", "v1.27.4+k0s.0");
        nearest("1.27.5-rc.0", "v1.27.4+k0s.0");
        nearest("v1.27.5-rc.0-k0s.0", "v1.27.4+k0s.0");
        nearest("1.27.5-rc.1", "v1.27.5+k0s.0");
        nearest("v1.27.5-rc.1+k0s.0", "v1.27.5+k0s.0");
        // Merge | imports.
        nearest("1.35.8", "v1.35.7+k0s.0");
        nearest("1.35.99-rc.1", "v1.35.7+k0s.0");
        nearest("1.36.0-alpha.1", "v1.36.1+k0s.0");
        nearest("v1.36.0", "v1.36.1+k0s.0");
        nearest("1.36.1-rc.0", "v1.36.1+k0s.0");
        nearest("v1.36.1-rc.1-k0s.0", "v1.36.1+k0s.0");
        nearest("1.36.3-rc.1", "v1.36.3+k0s.0");
    }

    #[test]
    fn what_is_no_release_is_told_what_is_wanted() {
        for (text, wanted) in [
            (
                "1.36",
                "all three numbers of the version are wanted, for instance v1.36.3+k0s.2",
            ),
            (
                "v1.30",
                "all three numbers of the version are wanted, for instance v1.30.14+k0s.0",
            ),
            (
                "1.90",
                "all three numbers of the version are wanted, for instance v1.36.3+k0s.2",
            ),
            (
                "1",
                "all three numbers of the version are wanted, for instance v1.36.3+k0s.2",
            ),
            ("latest", "a version is wanted, for instance v1.36.3+k0s.2"),
            ("stable-1.36", "a version is wanted, "),
            ("", "a version is wanted, "),
            ("v1.30.x", "a version is wanted, "),
            ("1.30.4.5", "a version is wanted, "),
            ("v1.30.4+", "a version is wanted, "),
        ] {
            let error = Release::find(text).unwrap_err().to_string();
            let begins = format!("{text:?} is not a k0s release: {wanted}");
            assert!(error.starts_with(&begins), "{error}");
        }
        let long = Release::find(&"1.".repeat(1 << 20))
            .unwrap_err()
            .to_string();
        assert!(long.len() < 300, "{}", long.len());
    }

    #[test]
    fn each_release_carries_what_its_regime_does() {
        for release in Release::all() {
            assert!(release.regime.carries(release.containerd), "{release}");
            for other in [Regime::Monolith, Regime::CriMerge, Regime::ImportsV3] {
                let same = other == release.regime
                    || (other, release.regime) == (Regime::CriMerge, Regime::CriAppend);
                assert_eq!(
                    other.carries(release.containerd),
                    same,
                    "{release} {other:?}"
                );
            }
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
    }
}
