//! The sandbox image: the setting whose stale defaults break nodes.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::config::Config;
use crate::containerd::plugin;
use crate::containerd::setting::State;
use crate::k0s;

/// The path of the sandbox image in config version 2.
pub(super) const PATH: [&str; 3] = ["plugins", plugin::CRI, "sandbox_image"];

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
