//! The sandbox image: the setting whose stale defaults break nodes.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::Serialize;

use super::Target;
use super::tree::{Dropped, Id, Tree, Verdict};
use crate::Document;
use crate::config::Config;
use crate::containerd::setting::State;
use crate::containerd::{Release, plugin};
use crate::k0s::{self, Regime};
use crate::secret::without_user;
use crate::value::Value;

/// How the input was in effect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// Its plugin settings had no effect at all so far.
    pub(super) ignored: bool,
    /// What containerd has by itself was there beside it: containerd 2.x
    /// loaded it, or k0s merged it.
    pub(super) merged: bool,
    /// k0s injected the sandbox image, unless the input says otherwise.
    pub(super) injected: bool,
}

/// The path of the sandbox image in config version 2.
pub(super) const PATH: [&str; 3] = ["plugins", plugin::CRI, "sandbox_image"];

/// The sandbox image in effect before and after the migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SandboxImages {
    /// On a node that runs the target's containerd with the input in place as
    /// it is. It may be empty, if the input empties it.
    ///
    /// `None` where containerd does not start on the input, as the value is not
    /// a string or the config version is later than it reads; and where a main
    /// file beside drop-ins decides, which is a migration of its own.
    pub before: Option<String>,
    /// Who decides it.
    pub before_by: DecidedBy,
    /// With the plan's drop-ins in place of the input, as far as k0s injects
    /// the image that it was built with. `None` where the target reads no
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
    pub(super) fn of(tree: &mut Tree, target: &Target, was: Before) -> SandboxImages {
        let leaf = tree.find(&PATH);
        let (value, before_by) = before(tree, leaf, target, was);
        let as_text = |value: &Value| value.as_str().map(without_user);
        let before = as_text(&value);
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

    /// Before the migration a main file decided that k0s takes for the user's,
    /// or none did as the target reads no drop-ins.
    pub(super) fn decided_by_main(self, main: Option<&Document>, target: &Target) -> Self {
        let says_nothing = main.is_none_or(|main| main.holds_only(&["version"]));
        match built_in(target.containerd()).filter(|_| says_nothing) {
            Some(image) => self.with_before(Some(image), DecidedBy::Containerd, target),
            None => self.with_before(None, DecidedBy::Input, target),
        }
    }

    /// containerd does not start on the input.
    pub(super) fn unreadable_before(self, target: &Target) -> Self {
        self.with_before(None, DecidedBy::Input, target)
    }

    fn with_before(mut self, image: Option<&str>, by: DecidedBy, target: &Target) -> Self {
        (self.before, self.before_by) = (image.map(str::to_owned), by);
        if target.release.regime == Regime::Monolith {
            (self.after, self.after_by) = (self.before.clone(), by);
        }
        self
    }
}

/// What is in effect with the input as it is.
pub(super) fn before(
    tree: &Tree,
    leaf: Option<Id>,
    target: &Target,
    was: Before,
) -> (Value, DecidedBy) {
    let owned = |leaf: &Id| matches!(tree.verdict(*leaf), Some(Verdict::Drop(Dropped::Owned, _)));
    let stated = leaf
        .filter(|leaf| !was.ignored && !owned(leaf))
        .and_then(|leaf| tree.value(leaf));
    let string = |image: &str| Value::String(image.to_owned());
    match stated {
        Some(value) => (value.clone(), DecidedBy::Input),
        None if was.injected => (string(target.pause_image()), DecidedBy::K0s),
        None => {
            let image = built_in(target.containerd()).unwrap_or_default();
            (string(image), DecidedBy::Containerd)
        }
    }
}

/// containerd's own default.
pub(super) fn built_in(containerd: Release) -> Option<&'static str> {
    match Config::place_of(&PATH)?.state(containerd) {
        State::Str(image) => Some(image),
        _ => None,
    }
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
        let k0s = k0s::Release::all().map(|release| release.pause_image);
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
