//! Settings that containerd 2.x reads as 1.x does, or takes over from it, and by
//! which it does something else.
//!
//! What a release refuses altogether is in [`refusal`](super::refusal). Seen on
//! 1.7.24, 2.1.9, 2.2.7 and 2.3.1 – 2.3.4.

use super::handler::RUNTIMES;
use super::refusal::syntax::{is_full_name, is_no_image};
use super::releases::*;
use super::{Release, plugin};
use crate::config::Config;
use crate::diagnostic::Code;
use crate::value::Value;

/// Any key of a map.
const ANY: &str = "*";

/// A setting by which later releases do something else than 1.x.
#[derive(Debug)]
pub(crate) struct Behaviour {
    /// Its path in config version 2.
    path: &'static [&'static str],
    /// From which release on, and the first that no longer does.
    releases: &'static [(Release, Option<Release>)],
    /// The values that make a difference.
    differs: fn(&Value) -> bool,
    /// What is said of it.
    pub(crate) code: Code,
    /// What the release does, behind "containerd 2.3.3".
    does: &'static str,
}

impl Behaviour {
    /// Whether it is about a setting with this value.
    fn is_about(&self, path: &[&str], value: &Value, release: Release) -> bool {
        let same = |(own, key): (&&str, &&str)| *own == ANY || own == key;
        let counts = |(since, until): &(Release, Option<Release>)| {
            *since <= release && until.is_none_or(|until| release < until)
        };
        self.path.len() == path.len()
            && self.path.iter().zip(path).all(same)
            && self.releases.iter().any(counts)
            && (self.differs)(value)
    }

    /// What there is to say of a release.
    pub(crate) fn message(&self, release: Release) -> String {
        format!("containerd {release} {}", self.does)
    }
}

/// What a release does otherwise because of a setting than 1.x does.
pub(crate) fn of(path: &[&str], value: &Value, release: Release) -> Option<&'static Behaviour> {
    let mut all = BEHAVIOURS.iter();
    all.find(|behaviour| behaviour.is_about(path, value, release))
}

/// Whether a release acts on a setting, given by its path in config version 2.
/// 1.7 has `sandbox_mode`, and goes by it only with `ENABLE_CRI_SANDBOXES` in its
/// environment, which k0s does not set.
pub(crate) fn acts_on(path: &[&str], release: Release) -> bool {
    let is_known = Config::place_of(path).is_none_or(|place| place.known_in(release));
    let is_mode = matches!(path, [runtimes @ .., _, "sandbox_mode"] if runtimes == RUNTIMES);
    is_known && (release.is_2() || !is_mode)
}

const FROM_2_0: &[(Release, Option<Release>)] = &[(V2_0, None)];
const FROM_2_1: &[(Release, Option<Release>)] = &[(V2_1, None)];

/// All but those that do not find such an image in the first place.
const FINDS_IMAGE: &[(Release, Option<Release>)] =
    &[(V2_0, Some(V2_3)), (Release::new(2, 3, 4), None)];

const OTLP: &str = "io.containerd.tracing.processor.v1.otlp";
const TRACING: &str = "io.containerd.internal.v1.tracing";

const NOT_READ: &str = "does not read it: OTEL_* variables of its environment decide, and without OTEL_EXPORTER_OTLP_ENDPOINT among them there are no traces";

const fn tracing(path: &'static [&'static str]) -> Behaviour {
    Behaviour {
        path,
        releases: FROM_2_0,
        differs: is_set,
        code: Code::TracingEnvironment,
        does: NOT_READ,
    }
}

const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        path: &["plugins", plugin::CRI, "sandbox_image"],
        releases: FINDS_IMAGE,
        differs: |value| {
            let image = value.as_str().unwrap_or_default();
            !is_full_name(image) && !is_no_image(image)
        },
        code: Code::SandboxImageUnpinned,
        does: "does not mark a sandbox image as pinned whose name is not in full: registry, repository, and either a tag or a digest",
    },
    Behaviour {
        path: &["plugins", plugin::CRI, "disable_cgroup"],
        releases: FROM_2_0,
        differs: is_true,
        code: Code::CgroupLimits,
        does: "has no such setting and applies cgroup limits: where it may not make cgroups, no pod starts",
    },
    Behaviour {
        path: &["plugins", plugin::CRI, "cni", "ip_pref"],
        releases: FROM_2_0,
        differs: |value| value.as_str() == Some("ipv6"),
        code: Code::IpPreference,
        does: "makes the IPv6 address the first of a pod that has both; 1.x took whichever CNI named first",
    },
    Behaviour {
        path: &[
            "plugins",
            plugin::CRI,
            "containerd",
            "runtimes",
            ANY,
            "sandbox_mode",
        ],
        releases: FROM_2_0,
        differs: |value| !matches!(value.as_str(), Some("" | "podsandbox")),
        code: Code::FirstEffect,
        does: "has this make the sandboxes of the handler, which 1.7 ignored",
    },
    Behaviour {
        path: &[
            "plugins",
            plugin::CRI,
            "containerd",
            "runtimes",
            ANY,
            "cgroup_writable",
        ],
        releases: FROM_2_1,
        differs: is_true,
        code: Code::CgroupWritable,
        does: "loads CRI with it only on nodes with cgroup 2",
    },
    Behaviour {
        path: &["plugins", plugin::DEVMAPPER, "pool_name"],
        releases: FROM_2_0,
        differs: is_set,
        code: Code::DevmapperPool,
        does: "starts nothing that needs the metadata store, CRI included, if the pool cannot be used; 1.x left the snapshotter out",
    },
    tracing(&["plugins", OTLP, "endpoint"]),
    tracing(&["plugins", OTLP, "protocol"]),
    tracing(&["plugins", OTLP, "insecure"]),
    tracing(&["plugins", TRACING, "sampling_ratio"]),
    tracing(&["plugins", TRACING, "service_name"]),
];

fn is_true(value: &Value) -> bool {
    *value == Value::Boolean(true)
}

fn is_set(value: &Value) -> bool {
    !value.is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn paths_are_those_of_settings() {
        for behaviour in BEHAVIOURS {
            let place = Config::place_of(behaviour.path);
            assert!(
                place.is_some_and(|place| !place.free),
                "{:?}",
                behaviour.path
            );
        }
    }

    /// As ListImages of the daemons says of images with these names.
    #[test]
    fn images_that_are_not_pinned() {
        const DIGEST: &str =
            "sha256:278fb9dbcca9518083ad1e11276933a2e96f23de604a3a08cc3c80002767d24c";
        let unpinned = |image: &str, release: &str| {
            let path = ["plugins", plugin::CRI, "sandbox_image"];
            let value = Value::String(image.to_owned());
            of(&path, &value, release.parse().unwrap()).is_some()
        };
        for release in ["2.1.9", "2.2.7", "2.3.4"] {
            for image in [
                format!("r.example/pause:3.9@{DIGEST}"),
                "r.example/pause".to_owned(),
                "pause:3.9".to_owned(),
                format!("pause@{DIGEST}"),
            ] {
                assert!(unpinned(&image, release), "{image} on {release}");
                assert!(!unpinned(&image, "1.7.24"), "{image}");
                // They do not find it at all.
                assert!(!unpinned(&image, "2.3.3"), "{image}");
            }
            for image in [
                "r.example/pause:3.9".to_owned(),
                format!("r.example/pause@{DIGEST}"),
                "{{ repo }}:{{ tag }}".to_owned(),
            ] {
                assert!(!unpinned(&image, release), "{image} on {release}");
            }
        }
    }
}
