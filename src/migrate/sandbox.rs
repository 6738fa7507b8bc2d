//! The sandbox image: the setting whose stale defaults break nodes.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::Serialize;

use super::Target;
use super::running::Running;
use super::tree::{Dropped, Id, Tree, Verdict};
use crate::config::Config;
use crate::containerd::load::Effective;
use crate::containerd::setting::State;
use crate::containerd::{Release, plugin};
use crate::k0s::{self, Regime};
use crate::secret::without_user;
use crate::value::Value;

/// The path of the sandbox image in config version 2.
pub(super) const PATH: [&str; 3] = ["plugins", plugin::CRI, "sandbox_image"];

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

impl SandboxImages {
    /// Once all is judged.
    pub(super) fn of(tree: &mut Tree, target: &Target, running: &Running) -> SandboxImages {
        let leaf = tree.find(&PATH);
        let as_text = |value: &Value| value.as_str().map(without_user);
        let effective = running.effective.as_ref();
        let before = effective.and_then(|effective| as_text(&effective.value(&PATH)?));
        let before_by = match effective {
            Some(effective) if effective.set_value(&PATH).is_none() => DecidedBy::Containerd,
            // What k0s generates sets the image, too; another one is that of a file
            // from elsewhere.
            Some(effective) if running.managed => {
                let injected = Value::String(running.target.pause_image().to_owned());
                let own = effective.set_value(&PATH) == Some(&injected);
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
        let (image, by) = match effective.set_value(&PATH) {
            None => (built_in(target.containerd()), DecidedBy::Containerd),
            Some(value) => {
                let by = match self.after_by == DecidedBy::K0s && value.as_str() == Some(injected) {
                    true => DecidedBy::K0s,
                    false => DecidedBy::Input,
                };
                (value.as_str(), by)
            }
        };
        (self.after, self.after_by) = (image.map(without_user), by);
        self
    }
}

/// containerd's own default.
pub(super) fn built_in(containerd: Release) -> Option<&'static str> {
    match Config::place_of(&PATH)?.state(containerd) {
        State::Str(image) => Some(image),
        _ => None,
    }
}

/// Whether a leaf stands in the input, in a file that is not k0s's own.
fn is_of_input(tree: &Tree, leaf: Id) -> bool {
    let owned = matches!(tree.verdict(leaf), Some(Verdict::Drop(Dropped::Owned, _)));
    !tree.node(leaf).is_made && !owned
}

/// Names under which the Kubernetes project's images were served through the
/// years.
const COMMUNITY_REGISTRIES: &[&str] = &[
    "registry.k8s.io/",
    "k8s.gcr.io/",
    "gcr.io/google_containers/",
    "gcr.io/google-containers/",
];

/// Images that k0s used on Windows.
const WINDOWS: &[&str] = &[
    "mcr.microsoft.com/oss/kubernetes/pause:1.4.1",
    "registry.k8s.io/pause:3.10.1",
];

/// Whether any containerd or k0s release ever had the image as its default,
/// under whatever name of its registry.
pub(super) fn was_ever_default(image: &str) -> bool {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let declared = Config::place_of(&PATH)
            .map(|place| place.printed_states())
            .unwrap_or_default();
        let declared = declared.iter().filter_map(|(_, state)| match state {
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
    name.map_or_else(
        || image.to_owned(),
        |name| format!("registry.k8s.io/{name}"),
    )
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
}
