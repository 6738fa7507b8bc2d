//! The sandbox image: the setting whose stale defaults break nodes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;

use super::Target;
use super::running::Running;
use super::tree::{Dropped, Files, Id, Tree, Verdict, Why};
use crate::config::known::SANDBOX_IMAGE;
use crate::containerd::Release;
use crate::containerd::load::Effective;
use crate::containerd::setting::State;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Regime};
use crate::shown;
use crate::value::Value;

/// The sandbox image in effect before and after the migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SandboxImages {
    /// On the node as it is, with the release that it runs now. It may be
    /// empty, if the input empties it.
    ///
    /// `None` where k0s or containerd does not start on the input, as the value
    /// is not a string or the config version is later than it reads.
    pub before: Option<String>,
    /// Who decides it.
    pub before_by: DecidedBy,
    /// With the plan's drop-ins in place of the input, as far as k0s injects
    /// the target's pause image. `None` where the target reads no
    /// drop-ins and `before` is `None`: then everything stays as it is.
    pub after: Option<String>,
    /// Who decides it.
    pub after_by: DecidedBy,
}

/// Who decides the sandbox image of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// A file: the legacy file, a drop-in, or what they import.
    Input,
    /// k0s injects it.
    K0s,
    /// Nobody, so that containerd falls back to its built-in one.
    Containerd,
}

/// Says that an image of the user's own is kept in place of the target's.
pub(super) fn custom(tree: &mut Tree, files: Files<'_>, target: &Target) -> Option<Finding> {
    let leaf = tree.find(&SANDBOX_IMAGE)?;
    let is_own = matches!(tree.verdict(leaf), Some(Verdict::Keep(Why::Edit(_))));
    let image = tree.value(leaf)?.as_str().filter(|_| is_own)?;
    let message = format!(
        "the sandbox image {} is kept in place of {}, which k0s {} injects",
        shown::text(image),
        target.pause_image(),
        target.release
    );
    Some(files.finding(tree, leaf, Code::SandboxImageCustom, message))
}

impl SandboxImages {
    /// Once all is judged.
    pub(super) fn of(tree: &mut Tree, target: &Target, running: &Running) -> SandboxImages {
        let leaf = tree.find(&SANDBOX_IMAGE);
        let as_text = |value: &Value| value.as_str().map(|text| shown::text(text).into_owned());
        let effective = running.effective.as_ref();
        let before = effective.and_then(|effective| as_text(&effective.value(&SANDBOX_IMAGE)?));
        let before_by = match effective {
            Some(effective) if effective.set_value(&SANDBOX_IMAGE).is_none() => {
                DecidedBy::Containerd
            }
            // What k0s generates sets the image, too; another one is that of a file
            // from elsewhere.
            Some(effective) if running.managed => {
                let injected = Value::String(running.target.pause_image().to_owned());
                let own = effective.set_value(&SANDBOX_IMAGE) == Some(&injected);
                match own && !leaf.is_some_and(|leaf| is_of_input(tree, leaf)) {
                    true => DecidedBy::K0s,
                    false => DecidedBy::Input,
                }
            }
            _ => DecidedBy::Input,
        };
        let (after, after_by) = match leaf.filter(|leaf| tree.is_kept(*leaf)) {
            Some(leaf) => (tree.value(leaf).and_then(as_text), DecidedBy::Input),
            None if target.release.regime == Regime::Monolith => (before.clone(), before_by),
            None => (Some(target.pause_image().to_owned()), DecidedBy::K0s),
        };
        SandboxImages {
            before,
            before_by,
            after,
            after_by,
        }
    }

    /// What is in effect decides, with files that the plan does not write.
    pub(super) fn in_effect(mut self, effective: &Effective, target: &Target) -> Self {
        let injected = target.pause_image();
        let (image, by) = match effective.set_value(&SANDBOX_IMAGE) {
            None => (built_in(target.containerd()), DecidedBy::Containerd),
            Some(value) => {
                let by = match self.after_by == DecidedBy::K0s && value.as_str() == Some(injected) {
                    true => DecidedBy::K0s,
                    false => DecidedBy::Input,
                };
                (value.as_str(), by)
            }
        };
        (self.after, self.after_by) = (image.map(|image| shown::text(image).into_owned()), by);
        self
    }
}

/// containerd's own default.
pub(super) fn built_in(containerd: Release) -> Option<&'static str> {
    match SANDBOX_IMAGE.place().state(containerd) {
        State::Str(image) => Some(image),
        _ => None,
    }
}

/// Whether a leaf stands in the input, in a file that is not k0s's own.
fn is_of_input(tree: &Tree, leaf: Id) -> bool {
    let owned = matches!(tree.verdict(leaf), Some(Verdict::Drop(Dropped::Owned, _)));
    !tree.node(leaf).is_made && !owned
}

/// What the names of the Kubernetes project's images begin with today.
const REGISTRY: &str = "registry.k8s.io/";

/// Architectures for which the pause image had a name of its own.
const ARCHITECTURES: &[&str] = &["amd64", "arm", "arm64", "ppc64le", "s390x"];

/// Names under which the Kubernetes project's images were served through the
/// years.
const COMMUNITY_REGISTRIES: &[&str] = &[
    REGISTRY,
    "k8s.gcr.io/",
    "gcr.io/google_containers/",
    "gcr.io/google-containers/",
];

/// Images that k0s used on Windows.
const WINDOWS: &[&str] = &[
    "mcr.microsoft.com/oss/kubernetes/pause:1.4.1",
    "registry.k8s.io/pause:3.10.1",
];

/// Why a sandbox image in a file is nobody's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// A containerd or k0s release had it as its default.
    Default,
    /// The Kubernetes project's own pause image, of a tag that is not later than
    /// that of the image which the target injects. kubeadm and kind wrote some
    /// that no containerd had.
    Earlier,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stale::Default => "a default of its time",
            Stale::Earlier => "the Kubernetes project's own in a tag that is not later",
        })
    }
}

/// Whether the image is one that nobody chose.
pub(super) fn stale(image: &str, target: &Target) -> Option<Stale> {
    if was_ever_default(image) {
        return Some(Stale::Default);
    }
    // A stated image may have no tag that compares.
    let built_in = k0s::Release::find(&target.requested).ok();
    let built_in = built_in.as_ref().map(|(release, _)| &*release.pause_image);
    let injected = [target.pause_image(), built_in.unwrap_or_default()];
    is_no_later(image, &injected).then_some(Stale::Earlier)
}

/// Whether an image is the Kubernetes project's own pause image, in a tag that is
/// not later than that of the first of others that have a tag which compares: an
/// image of the cluster's own may have none, and then what the k0s release was
/// built with tells how old the file's is.
fn is_no_later(image: &str, others: &[&str]) -> bool {
    let canonical = canonical(image);
    let tag = canonical.strip_prefix(REGISTRY).and_then(pause_tag);
    let bound = others.iter().find_map(|image| {
        let name = image.rsplit('/').next()?;
        pause_tag(name.split('@').next()?)
    });
    tag.zip(bound).is_some_and(|(tag, bound)| tag <= bound)
}

/// The tag of `pause:TAG`, or of `pause-ARCHITECTURE:TAG` as it was up to 3.1, as
/// a version: its numbers, and the one behind a dash, which counts k0s's builds
/// of an image. `None` for any other image, one with a digest included, and for
/// tags that are no version.
fn pause_tag(name: &str) -> Option<(Vec<u32>, u32)> {
    let (name, tag) = name.split_once(':')?;
    let architecture = name.strip_prefix("pause-");
    if name != "pause" && !architecture.is_some_and(|name| ARCHITECTURES.contains(&name)) {
        return None;
    }
    let (numbers, build) = tag.split_once('-').unwrap_or((tag, "0"));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let numbers: Option<Vec<u32>> = numbers.split('.').map(number).collect();
    Some((numbers?, number(build)?))
}

/// Whether any containerd or k0s release ever had the image as its default,
/// under whatever name of its registry.
fn was_ever_default(image: &str) -> bool {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let declared = SANDBOX_IMAGE.place().printed_states().iter();
        let declared = declared.filter_map(|(_, state)| match state {
            State::Str(image) => Some(*image),
            _ => None,
        });
        let k0s = k0s::pause_images();
        let all = declared.chain(k0s).chain(WINDOWS.iter().copied());
        all.map(canonical).collect()
    });
    known.contains(&canonical(image))
}

/// The image under the present name of its registry.
fn canonical(image: &str) -> String {
    let name = COMMUNITY_REGISTRIES
        .iter()
        .find_map(|registry| image.strip_prefix(registry));
    name.map_or_else(|| image.to_owned(), |name| format!("{REGISTRY}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_all_times_are_known_under_all_names() {
        for image in [
            "k8s.gcr.io/pause:3.1",
            "registry.k8s.io/pause:3.1",
            "registry.k8s.io/pause:3.8",
            "k8s.gcr.io/pause:3.9",
            "quay.io/k0sproject/pause:3.10.1",
            "quay.io/k0sproject/pause:3.10.2-0",
            "registry.k8s.io/pause:3.10",
            "mcr.microsoft.com/oss/kubernetes/pause:1.4.1",
        ] {
            assert!(was_ever_default(image), "{image}");
        }
        for image in [
            "",
            "registry.k8s.io/pause:3.7",
            "registry.k8s.io/pause:latest",
            "registry.example.com/pause:3.8",
            "quay.io/k0sproject/pause:3.9",
            "registry.k8s.io/pause:3.8@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "pause:3.8",
        ] {
            assert!(!was_ever_default(image), "{image}");
        }
    }

    #[track_caller]
    fn check(injected: &[&str], stale: &[&str], chosen: &[&str]) {
        for image in stale {
            assert!(is_no_later(image, injected), "{image} {injected:?}");
        }
        for image in chosen {
            assert!(!is_no_later(image, injected), "{image} {injected:?}");
        }
    }

    #[test]
    fn the_projects_own_pause_image_is_stale_up_to_the_targets_tag() {
        // k0s 1.30 has 3.9; kubeadm 1.24 and kind wrote 3.7.
        check(
            &["registry.k8s.io/pause:3.9"],
            &[
                "registry.k8s.io/pause:3.7",
                "k8s.gcr.io/pause:3.7",
                "k8s.gcr.io/pause:3.4.1",
                "gcr.io/google_containers/pause-amd64:3.0",
                "k8s.gcr.io/pause-arm64:3.1",
                "gcr.io/google-containers/pause:2.0",
            ],
            &[
                // Numbers, not digits.
                "registry.k8s.io/pause:3.11",
                "registry.k8s.io/pause:3.9.1",
                "registry.k8s.io/pause:4",
                // Somebody else's registry, name or choice.
                "registry.example.com/pause:3.7",
                "registry.k8s.io:5000/pause:3.7",
                "registry.k8s.io/mine/pause:3.7",
                "registry.k8s.io/pause-mine:3.7",
                "registry.k8s.io/pauses:3.7",
                "registry.k8s.io/kube-proxy:3.7",
                "registry.k8s.io/pause@sha256:3",
                "registry.k8s.io/pause:3.7@sha256:3",
                "registry.k8s.io/pause",
                "registry.k8s.io/pause:",
                "registry.k8s.io/pause:3.",
                "registry.k8s.io/pause:3.x",
                "registry.k8s.io/pause:+3.7",
                "registry.k8s.io/pause:latest",
                "registry.k8s.io/pause:99999999999.1",
            ],
        );
    }

    #[test]
    fn builds_and_registries_of_the_injected_image_do_not_count() {
        let newest = "registry.k8s.io/pause:3.10.3";
        let older = ["registry.k8s.io/pause:3.7", "k8s.gcr.io/pause:3.4.1"];
        for image in [
            "quay.io/k0sproject/pause:3.10.2-0",
            "registry.example.com:5000/mine/pause:3.10.2",
            "registry.example.com/pause:3.10.2@sha256:3",
        ] {
            check(&[image], &older, &[newest]);
        }
    }

    #[test]
    fn an_image_of_the_clusters_own_bounds_by_its_tag_if_it_has_one() {
        let built_in = "quay.io/k0sproject/pause:3.10.1";
        let [old, newer] = ["registry.k8s.io/pause:3.4.1", "registry.k8s.io/pause:3.7"];
        check(
            &["registry.example.com/pause:3.6", built_in],
            &[old],
            &[newer],
        );
        for own in [
            "registry.example.com/pause@sha256:3",
            "registry.example.com/pause:latest",
            "registry.example.com/sandbox:1.0",
        ] {
            let newest = "registry.k8s.io/pause:3.10.3";
            check(&[own, built_in], &[old, newer], &[newest]);
        }
        check(&[], &[], &[old]);
    }
}
