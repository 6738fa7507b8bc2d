//! What a migration is for: a k0s release, or the facts about one.

use semver::Version;
use serde::Serialize;

use crate::airgap::{ImageReference, ImageReferenceError};
use crate::config::address::Dialect;
use crate::containerd;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Match, Regime};

/// What the migration is for: a k0s release, the containerd that it carries,
/// and the sandbox image that it injects.
///
/// For a known release the version is enough. The rest may be stated, for a
/// release that is not known, and for a cluster whose k0s configuration has a
/// pause image of its own:
///
/// ```
/// use containerd_dropins::k0s::Match;
/// use containerd_dropins::migrate::Target;
///
/// let target = Target::find("v1.36.9+k0s.0")?
///     .with_containerd("2.3.4".parse()?)?
///     .with_pause_image("registry.example.com/pause:3.10.2")?;
/// assert_eq!(target.fit, Match::Stated);
/// assert_eq!(target.containerd().to_string(), "2.3.4");
/// assert_eq!(target.pause_image(), "registry.example.com/pause:3.10.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Target {
    /// The release as the caller spelled it.
    pub requested: String,
    /// The facts that the plan goes by: those of the known release that stands
    /// for the one that was asked for, and in their place what was stated. If
    /// all was stated, it has the version that was asked for.
    pub release: k0s::Release,
    /// How well it does.
    pub fit: Match,
    /// Which of the facts the caller stated.
    pub stated: Stated,
    /// The version that was asked for.
    #[serde(skip)]
    version: Version,
}

/// Which facts about a target its caller stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stated {
    /// [`Target::with_containerd`] was called.
    pub containerd: bool,
    /// [`Target::with_pause_image`] was called.
    pub pause_image: bool,
}

/// A stated fact cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The containerd release is of another kind than those that such a k0s
    /// release carries: its drop-ins would be written for the wrong one.
    #[error(
        "containerd {containerd} is not what k0s {k0s} carries: {carried}, and its drop-ins are written for that"
    )]
    Containerd {
        /// The containerd release.
        containerd: containerd::Release,
        /// The k0s release as the caller spelled it.
        k0s: String,
        /// What such k0s releases carry.
        carried: &'static str,
    },
    /// The pause image is no image reference.
    #[error("{image:?} is not the name of an image: {reason}")]
    PauseImage {
        /// The text.
        image: String,
        /// What is wrong with it.
        reason: ImageReferenceError,
    },
    /// k0s up to 1.26 injects no pause image.
    #[error("k0s {k0s} injects no pause image: containerd.toml decides up to k0s 1.26")]
    NothingInjected {
        /// The k0s release as the caller spelled it.
        k0s: String,
    },
}

impl Target {
    /// The target for a k0s release such as `v1.30.4+k0s.0`; see
    /// [`k0s::Release::find`].
    ///
    /// # Errors
    /// If the text is not a k0s release.
    pub fn find(release: &str) -> Result<Target, k0s::ReleaseError> {
        let (found, fit, version) = k0s::Release::look_up(release)?;
        Ok(Target {
            requested: release.trim().to_owned(),
            release: found,
            fit,
            stated: Stated::default(),
            version,
        })
    }

    /// A known release.
    pub(crate) fn of(release: k0s::Release) -> Target {
        Target {
            requested: release.to_string(),
            version: release.version.clone(),
            release,
            fit: Match::Exact,
            stated: Stated::default(),
        }
    }

    /// States the containerd that the release carries, whatever is known: the
    /// branch of k0s 1.36 has had 2.3.4 since 1.36.3 was made of it, for instance,
    /// so that the next release will not carry what the newest known one does.
    ///
    /// How k0s configures it still follows from the k0s release.
    ///
    /// # Errors
    /// If no k0s release that configures its containerd in this way carries such
    /// a one: k0s 1.27 to 1.35 carry 1.7, later ones 2.x.
    pub fn with_containerd(mut self, release: containerd::Release) -> Result<Self, TargetError> {
        let regime = self.release.regime;
        if !regime.carries(release) {
            return Err(TargetError::Containerd {
                containerd: release,
                k0s: self.requested,
                carried: regime.carried(),
            });
        }
        self.release.containerd = release;
        self.stated.containerd = true;
        Ok(self.settled())
    }

    /// States the pause image that k0s injects as sandbox image: the one that it
    /// was built with, or, from 1.28.2 on, the one that `spec.images.pause` or
    /// `spec.images.repository` of the k0s configuration leads to. k0s writes it
    /// as it is, so the spelling matters.
    ///
    /// # Errors
    /// If containerd would not take the text for the name of an image, or if the
    /// release injects none.
    pub fn with_pause_image(mut self, image: &str) -> Result<Self, TargetError> {
        if self.release.regime == Regime::Monolith {
            let k0s = self.requested;
            return Err(TargetError::NothingInjected { k0s });
        }
        let image = image.trim();
        if let Err(reason) = image.parse::<ImageReference>() {
            let shown = without_credentials(image);
            // The reason quotes as well.
            let reason = match shown.parse::<ImageReference>() {
                Err(reason) => reason,
                Ok(_) => reason,
            };
            let image = shown.chars().take(LONGEST_SHOWN).collect();
            return Err(TargetError::PauseImage { image, reason });
        }
        self.release.pause_image = image.to_owned().into();
        self.stated.pause_image = true;
        Ok(self.settled())
    }

    /// When all is stated about a release, nothing about it is a stand-in's.
    fn settled(mut self) -> Self {
        let all = self.stated.containerd && self.stated.pause_image;
        if all && self.fit != Match::Exact {
            self.fit = Match::Stated;
            self.release.version = self.version.clone();
        }
        self
    }

    /// The containerd of the target.
    pub fn containerd(&self) -> containerd::Release {
        self.release.containerd
    }

    /// How drop-ins for the target spell settings.
    pub(super) fn dialect(&self) -> Dialect {
        Dialect::of(self.release.config_version(), self.containerd())
    }

    /// The sandbox image that the target injects.
    pub fn pause_image(&self) -> &str {
        &self.release.pause_image
    }

    /// What there is to say about the choice.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let release = &self.release;
        let fit = match self.fit {
            Match::Exact | Match::Stated => None,
            Match::Newer => Some(Finding::new(
                Code::ReleaseNewer,
                format!(
                    "k0s {} is newer than {release}, the newest known release{}",
                    self.requested,
                    self.assumed()
                ),
            )),
            Match::Nearest => Some(Finding::new(
                Code::ReleaseUnknown,
                format!(
                    "k0s {} is not a known release; {release} stands in for it{}",
                    self.requested,
                    self.assumed()
                ),
            )),
        };
        let containerd = self.containerd();
        let unknown = (!containerd.is_known()).then(|| {
            let message = format!(
                "containerd {containerd} is not a known release; what is known of others, up to {}, stands in for it",
                containerd::Release::newest()
            );
            Finding::new(Code::ContainerdUnknown, message)
        });
        let unsupported = match release.regime {
            Regime::CriMerge | Regime::ImportsV3 => None,
            Regime::Monolith => Some(Finding::new(
                Code::TargetUnsupported,
                format!(
                    "k0s {release} reads no drop-ins; they exist from 1.27.1 on and can be relied upon from 1.27.5 on"
                ),
            )),
            Regime::CriAppend => Some(Finding::new(
                Code::TargetAppends,
                format!(
                    "k0s {release} pastes drop-ins with CRI settings behind its generated ones, where only new tables can be expressed; 1.27.5 and later merge them"
                ),
            )),
        };
        fit.into_iter().chain(unknown).chain(unsupported).collect()
    }

    /// What is still taken from the release that stands in, if not all.
    fn assumed(&self) -> String {
        match (self.stated.containerd, self.stated.pause_image) {
            (true, false) => format!("; its pause image, {}, is assumed", self.pause_image()),
            (false, true) => format!("; its containerd, {}, is assumed", self.containerd()),
            _ => String::new(),
        }
    }
}

/// A text that is no image reference, without what stands for a user before a
/// host.
fn without_credentials(image: &str) -> String {
    let mut hosts = image.rsplit('@').scan(image.len(), |end, part| {
        let rest = image.get(end.saturating_sub(part.len())..);
        *end = end.saturating_sub(part.len() + 1);
        rest
    });
    match hosts.find(|rest| rest.contains('/')) {
        Some(rest) if rest.len() < image.len() => format!("…@{rest}"),
        _ => image.to_owned(),
    }
}

/// How many characters of a text go into a message.
const LONGEST_SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(release: &str) -> Target {
        Target::find(release).unwrap()
    }

    fn with(target: Target, containerd: &str) -> Result<Target, TargetError> {
        target.with_containerd(containerd.parse().unwrap())
    }

    fn said(target: &Target) -> Vec<(Code, String)> {
        let findings = target.findings().into_iter();
        findings
            .map(|finding| (finding.code, finding.message))
            .collect()
    }

    const IMAGE: &str = "registry.example.com/pause:3.10";

    #[test]
    fn all_facts_make_a_release_of_its_own() {
        let stated = with(target("1.36.9"), "2.3.4").unwrap();
        let stated = stated.with_pause_image(IMAGE).unwrap();
        assert_eq!(stated.fit, Match::Stated);
        assert_eq!(stated.release.to_string(), "v1.36.9");
        assert_eq!(said(&stated), []);
        // In whatever order.
        let other = target("1.36.9").with_pause_image(IMAGE).unwrap();
        assert_eq!(with(other, "2.3.4").unwrap(), stated);
        // A known release stays what it is.
        let known = with(target("1.36.3"), "2.3.4").unwrap();
        let known = known.with_pause_image(IMAGE).unwrap();
        assert_eq!((known.fit, said(&known)), (Match::Exact, vec![]));
        assert_eq!(known.release.to_string(), "v1.36.3+k0s.2");
    }

    #[test]
    fn what_is_not_stated_is_assumed_and_said() {
        let newer = "k0s 1.36.9 is newer than v1.36.3+k0s.2, the newest known release";
        let one = |text: String| vec![(Code::ReleaseNewer, text)];
        assert_eq!(said(&target("1.36.9")), one(newer.to_owned()));
        let containerd = with(target("1.36.9"), "2.3.4").unwrap();
        assert_eq!(
            said(&containerd),
            one(format!(
                "{newer}; its pause image, quay.io/k0sproject/pause:3.10.2-0, is assumed"
            ))
        );
        let image = target("1.36.9").with_pause_image(IMAGE).unwrap();
        assert_eq!(
            said(&image),
            one(format!("{newer}; its containerd, 2.3.3, is assumed"))
        );
        let nearest = with(target("1.36.0"), "2.3.0").unwrap();
        assert_eq!(
            said(&nearest),
            [(
                Code::ReleaseUnknown,
                "k0s 1.36.0 is not a known release; v1.36.1+k0s.0 stands in for it; its pause image, quay.io/k0sproject/pause:3.10.2-0, is assumed".to_owned()
            )]
        );
    }

    #[test]
    fn a_containerd_that_is_not_known_is_said_to_be() {
        let stated = with(target("1.36.9"), "2.9.0").unwrap();
        let stated = stated.with_pause_image(IMAGE).unwrap();
        assert_eq!(
            said(&stated),
            [(
                Code::ContainerdUnknown,
                "containerd 2.9.0 is not a known release; what is known of others, up to 2.4.0-beta.0, stands in for it".to_owned()
            )]
        );
    }

    #[test]
    fn a_containerd_of_another_kind_is_refused() {
        for (k0s, containerd, carried) in [
            (
                "1.36.3",
                "1.7.34",
                "k0s 1.36 and later carries containerd 2.x",
            ),
            (
                "1.36.0-alpha.1",
                "1.7.34",
                "k0s 1.36 and later carries containerd 2.x",
            ),
            ("1.35.7", "2.3.4", "k0s 1.27 to 1.35 carries containerd 1.7"),
            (
                "1.27.5-rc.0",
                "1.6.27",
                "k0s 1.27 to 1.35 carries containerd 1.7",
            ),
            (
                "1.26.15",
                "1.7.0",
                "k0s up to 1.26 carries containerd 1.4 to 1.6",
            ),
        ] {
            let error = with(target(k0s), containerd).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "containerd {containerd} is not what k0s {k0s} carries: {carried}, and its drop-ins are written for that"
                )
            );
        }
        for (k0s, containerd) in [
            ("1.36.3", "2.1.9"),
            ("1.36.3", "2.4.0-beta.0"),
            ("1.30.4", "1.7.99"),
            ("1.26.15", "1.6.39"),
        ] {
            assert!(with(target(k0s), containerd).is_ok(), "{k0s} {containerd}");
        }
    }

    #[test]
    fn a_pause_image_is_the_name_of_an_image() {
        const SUM: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";
        for image in [
            "pause",
            "localhost:5000/pause",
            &format!("registry.example.com/pause@sha256:{SUM}"),
            &format!("registry.example.com/pause:3.10@sha256:{SUM}"),
        ] {
            let stated = target("1.36.3").with_pause_image(image).unwrap();
            assert_eq!(stated.pause_image(), image);
        }
        for image in [
            "",
            "{{ repo }}:{{ tag }}",
            "Pause:3.9",
            "https://a.b/pause",
            "pause:",
        ] {
            let error = target("1.36.3").with_pause_image(image).unwrap_err();
            assert!(matches!(error, TargetError::PauseImage { .. }), "{error}");
        }
        let error = target("1.26.15").with_pause_image("pause:3.9").unwrap_err();
        assert!(
            matches!(error, TargetError::NothingInjected { .. }),
            "{error}"
        );
        const DIGEST: &str = "pause:1@sha256:1";
        for image in [
            "user:hunter2@a.b/pause:1",
            "https://user:hunter2@a.b/pause:1",
            "user:hunter/2@a.b/pause:1@sha256:1",
        ] {
            let error = target("1.36.3").with_pause_image(image).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("…@a.b/pause:1") && !error.contains("hunter"),
                "{error}"
            );
        }
        let error = target("1.36.3").with_pause_image(DIGEST).unwrap_err();
        assert!(error.to_string().contains(DIGEST), "{error}");
    }
}
