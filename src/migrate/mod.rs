//! From a legacy file, or existing drop-ins, to a plan: what the user changed,
//! and the drop-ins that keep it.
//!
//! `legacy`, with `imports`, and `existing`, for drop-ins, put the files in order and
//! say what is particular to them. From there on the way is one, `conduct`, in the
//! order in which the data passes: `read` makes one tree of settings of the files,
//! `origin` finds the release that wrote them, `edits` tells the user's settings from
//! the rest, `successors` converts what is deprecated (`old_runtimes` and `first_shim`
//! what concerns runtime handlers), `versions` what has another form in the target's
//! containerd, `hosts` registries, `servers` takes out what has no effect for want of
//! an address, `dormant` what 1.x took no notice of and 2.x fails over, `companions`
//! adds what kept settings need, `split` sorts what is kept into drop-ins, `drop_in`
//! writes them, `verify` proves the result, `refusals` and `behaviour` tell what the
//! target's containerd makes of it, and `ledger`, `changes` and `steps` account for it.

mod behaviour;
mod changes;
mod checks;
mod companions;
mod conduct;
mod dormant;
mod drop_in;
mod edits;
mod existing;
mod first_shim;
mod hosts;
mod imports;
mod ledger;
mod legacy;
mod old_runtimes;
mod origin;
mod outside;
mod plan;
mod read;
mod refusals;
pub(crate) mod report;
mod running;
mod sandbox;
mod servers;
mod snapshotters;
pub(crate) mod split;
mod steps;
mod successors;
mod target;
mod tree;
mod unknown;
mod versions;
mod windows;
mod written;

pub use changes::Change;
pub use companions::Companion;
pub use drop_in::DropIn;
pub use existing::{ExistingDropIns, plan_drop_ins};
pub use hosts::HostsFile;
pub use ledger::{Fate, LedgerEntry};
pub use legacy::plan;
pub use origin::{Dump, Origin};
pub use plan::Plan;
pub use sandbox::{DecidedBy, SandboxImages};
pub use steps::Step;
pub use target::{Stated, Target, TargetError};

pub use crate::shown::Redacted;

use crate::Document;
use crate::Limits;
use crate::containerd;
use crate::containerd::releases::{V1_7, V2_0};
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use read::Rules;
use tree::{Files, ROOT};
use unknown::Unknown;

/// What to do about the sandbox image that the file sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxImage {
    /// Drop it if any containerd or k0s release ever had it as its default, or
    /// if it is the Kubernetes project's own pause image in a tag that is not
    /// later than that of the image which the target injects
    /// (`registry.k8s.io/pause:3.7`, `k8s.gcr.io/pause-amd64:3.0`); keep any
    /// other. Tags compare as versions: 3.9 comes before 3.10. Where the
    /// injected image is no `pause:VERSION`, the tag of the image that the k0s
    /// release was built with counts. An image by digest is a choice.
    #[default]
    Auto,
    /// Keep it, whatever it is.
    Keep,
    /// Drop it, whatever it is, and let k0s inject its own.
    Drop,
}

/// What to do about mirrors and TLS settings of registries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryPolicy {
    /// Convert them if the target does not honour them in full: containerd 2.x
    /// reads no TLS settings. Keep them else.
    #[default]
    Auto,
    /// Keep them in the drop-ins.
    Keep,
    /// Convert them to `hosts.toml` files.
    Convert,
}

/// Where `hosts.toml` files go, if nothing else is said: the directory of k0s's
/// own documentation. k0s looks for drop-ins beside it, not in it.
pub const CONFIG_PATH: &str = "/etc/k0s/containerd.d/certs.d";

/// The path cannot be a `config_path`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not an absolute path without colons and control characters")]
pub struct ConfigPathError {
    path: String,
}

/// Choices that the input leaves open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    pub(crate) origin: Option<containerd::Release>,
    pub(crate) sandbox_image: SandboxImage,
    pub(crate) registry: RegistryPolicy,
    pub(crate) config_path: String,
    pub(crate) running: Option<k0s::Release>,
    pub(crate) unverified: bool,
    pub(crate) limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            origin: None,
            sandbox_image: SandboxImage::default(),
            registry: RegistryPolicy::default(),
            config_path: CONFIG_PATH.to_owned(),
            running: None,
            unverified: false,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Takes the file for a dump of this containerd release, whatever it looks
    /// like and whatever its config version.
    #[must_use]
    pub fn origin(mut self, release: containerd::Release) -> Self {
        self.origin = Some(release);
        self
    }

    /// What to do about the sandbox image.
    #[must_use]
    pub fn sandbox_image(mut self, policy: SandboxImage) -> Self {
        self.sandbox_image = policy;
        self
    }

    /// What to do about mirrors and TLS settings of registries.
    #[must_use]
    pub fn registry(mut self, policy: RegistryPolicy) -> Self {
        self.registry = policy;
        self
    }

    /// The directory on the node for `hosts.toml` files; [`CONFIG_PATH`] if
    /// nothing is said.
    ///
    /// # Errors
    /// If the path is not absolute, or has a colon in it: containerd would take
    /// it for two.
    pub fn config_path(mut self, path: &str) -> Result<Self, ConfigPathError> {
        let trimmed = path.trim_end_matches('/');
        let is_plain = !trimmed.contains(|c: char| c == ':' || c.is_control());
        if !trimmed.starts_with('/') || !is_plain {
            let path = path.to_owned();
            return Err(ConfigPathError { path });
        }
        self.config_path = trimmed.to_owned();
        Ok(self)
    }

    /// The k0s release that the node runs now, with which the plan compares what
    /// will be in effect.
    ///
    /// If nothing is said, it is the target for targets before 1.36. For later
    /// ones it is the newest known 1.35, whose containerd is the last of 1.x;
    /// where the input is of config version 3, which only containerd 2.x reads,
    /// it is the target.
    #[must_use]
    pub fn running(mut self, release: k0s::Release) -> Self {
        self.running = Some(release);
        self
    }

    /// The path on the node of a file below the directory for `hosts.toml`
    /// files.
    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.config_path)
    }

    /// How large the input may be, all files together. A plan for more does
    /// nothing and says so: [`Code::InputTooLarge`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Leaves the verification out, and with it the look at what containerd would
    /// refuse; [`Plan::verified`] is `false` then. For callers that verify later
    /// or elsewhere.
    #[must_use]
    pub fn without_verification(mut self) -> Self {
        self.unverified = true;
        self
    }
}

/// Looks for unknown keys and plugins, and for values of the wrong type,
/// without regard to any target.
pub fn check(document: &Document) -> Vec<Finding> {
    let files = [document];
    let rules = Rules::of(&files);
    // Whose parser reads it: go-toml 1.9 or 2.
    let release = match rules {
        Rules::Containerd2 => V2_0,
        _ => V1_7,
    };
    let input = read::read(&files, rules, &[], release);
    let (tree, files) = (&input.tree, Files(&files));
    let mut findings = input.findings;
    findings.extend(unknown::not_understood(tree, files));
    let mut unknown = Unknown::default();
    for id in tree.leaves(ROOT) {
        let value = tree.value(id);
        let Some(place) = tree.node(id).place() else {
            findings.extend(unknown.say(tree, files, id, release));
            continue;
        };
        let code = match place.free() {
            true => Code::OptionType,
            false => Code::WrongType,
        };
        let wrong = value.and_then(|value| place.mismatch(value, release));
        findings.extend(wrong.map(|why| files.wrong_value(tree, id, code, why)));
    }
    findings
}
