//! Settings that containerd 2.x reads as 1.x does, or takes over from it, and by
//! which it does something else.
//!
//! What a release refuses altogether is in [`refusal`](super::refusal). Seen on
//! 1.7.24, 2.1.9, 2.2.7 and 2.3.1 – 2.3.4.

use super::Release;
use super::place::Place;
use super::refusal::syntax::{is_full_name, is_no_image};
use super::releases::*;
use crate::config::Config;
use crate::config::known;
use crate::config::table::Known;
use crate::diagnostic::Code;
use crate::value::Value;

/// A setting by which later releases do something else than 1.x.
#[derive(Debug)]
pub(crate) struct Behaviour {
    setting: Known,
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
    fn is_about(&self, place: Place, value: &Value, release: Release) -> bool {
        let counts = |(since, until): &(Release, Option<Release>)| {
            *since <= release && until.is_none_or(|until| release < until)
        };
        place.is(self.setting) && self.releases.iter().any(counts) && (self.differs)(value)
    }

    /// What there is to say of a release.
    pub(crate) fn message(&self, release: Release) -> String {
        format!("containerd {release} {}", self.does)
    }
}

/// What a release does otherwise because of a setting than 1.x does.
pub(crate) fn of(place: Place, value: &Value, release: Release) -> Option<&'static Behaviour> {
    let mut all = BEHAVIOURS.iter();
    all.find(|behaviour| behaviour.is_about(place, value, release))
}

/// Whether a release acts on a setting, given by its path in config version 2.
/// 1.7 has `sandbox_mode`, and goes by it only with `ENABLE_CRI_SANDBOXES` in its
/// environment, which k0s does not set.
pub(crate) fn acts_on(path: &[&str], release: Release) -> bool {
    let Some(place) = Config::place_of(path) else {
        return true;
    };
    place.known_in(release) && (release.is_2() || !place.is(known::SANDBOX_MODE))
}

const FROM_2_0: &[(Release, Option<Release>)] = &[(V2_0, None)];
const FROM_2_1: &[(Release, Option<Release>)] = &[(V2_1, None)];

/// All but those that do not find such an image in the first place.
const FINDS_IMAGE: &[(Release, Option<Release>)] =
    &[(V2_0, Some(V2_3)), (Release::new(2, 3, 4), None)];

const NOT_READ: &str = "does not read it: OTEL_* variables of its environment decide, and without OTEL_EXPORTER_OTLP_ENDPOINT among them there are no traces";

const fn tracing(setting: Known) -> Behaviour {
    Behaviour {
        setting,
        releases: FROM_2_0,
        differs: is_set,
        code: Code::TracingEnvironment,
        does: NOT_READ,
    }
}

const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        setting: known::SANDBOX_IMAGE,
        releases: FINDS_IMAGE,
        differs: |value| {
            let image = value.as_str().unwrap_or_default();
            !is_full_name(image) && !is_no_image(image)
        },
        code: Code::SandboxImageUnpinned,
        does: "does not mark a sandbox image as pinned whose name is not in full: registry, repository, and either a tag or a digest",
    },
    Behaviour {
        setting: known::DISABLE_CGROUP,
        releases: FROM_2_0,
        differs: is_true,
        code: Code::CgroupLimits,
        does: "has no such setting and applies cgroup limits: where it may not make cgroups, no pod starts",
    },
    Behaviour {
        setting: known::IP_PREF,
        releases: FROM_2_0,
        differs: |value| value.as_str() == Some("ipv6"),
        code: Code::IpPreference,
        does: "makes the IPv6 address the first of a pod that has both; 1.x took whichever CNI named first",
    },
    Behaviour {
        setting: known::SANDBOX_MODE,
        releases: FROM_2_0,
        differs: |value| !matches!(value.as_str(), Some("" | "podsandbox")),
        code: Code::FirstEffect,
        does: "has this make the sandboxes of the handler, which 1.7 ignored",
    },
    Behaviour {
        setting: known::CGROUP_WRITABLE,
        releases: FROM_2_1,
        differs: is_true,
        code: Code::CgroupWritable,
        does: "loads CRI with it only on nodes with cgroup 2",
    },
    Behaviour {
        setting: known::POOL_NAME,
        releases: FROM_2_0,
        differs: is_set,
        code: Code::DevmapperPool,
        does: "starts nothing that needs the metadata store, CRI included, if the pool cannot be used; 1.x left the snapshotter out",
    },
    tracing(known::TRACE_ENDPOINT),
    tracing(known::TRACE_PROTOCOL),
    tracing(known::TRACE_INSECURE),
    tracing(known::TRACE_SAMPLING_RATIO),
    tracing(known::TRACE_SERVICE_NAME),
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

    /// As ListImages of the daemons says of images with these names.
    #[test]
    fn images_that_are_not_pinned() {
        const DIGEST: &str =
            "sha256:278fb9dbcca9518083ad1e11276933a2e96f23de604a3a08cc3c80002767d24c";
        let unpinned = |image: &str, release: &str| {
            let place = Config::place_of(&known::SANDBOX_IMAGE).unwrap();
            let value = Value::String(image.to_owned());
            of(place, &value, release.parse().unwrap()).is_some()
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
