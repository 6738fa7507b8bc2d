//! What containerd refuses about a configuration: why the daemon exits at
//! start, or goes on without a plugin that the node needs.
//!
//! ```
//! use containerd_dropins::Document;
//! use containerd_dropins::containerd::load::Effective;
//! use containerd_dropins::containerd::refusal::{Refuses, Rule};
//!
//! let text = r#"
//! version = 2
//! [plugins."io.containerd.grpc.v1.cri".containerd]
//! default_runtime_name = "nvidia"
//! "#;
//! let document = Document::parse("containerd.toml", text.as_bytes())?;
//! let effective = Effective::load("1.7.24".parse()?, [document.to_table()]);
//!
//! let refusals = effective.refusals();
//! assert_eq!(refusals[0].rule, Rule::DefaultRuntime);
//! assert_eq!(refusals[0].refuses, Refuses::Cri);
//! assert_eq!(refusals[0].path.last().unwrap(), "default_runtime_name");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules are those of containerd 1.3 – 2.3, and are seen at work on 1.6.20,
//! 1.7.24, 2.1.9, 2.2.7 and 2.3.1 – 2.3.4; what is said of other releases is read
//! from their source.
//!
//! Not known here is what depends on the node: its kernel, cgroups and addresses,
//! files that a setting names (key pairs, `base_runtime_spec`, `scratch_file`),
//! whether a shim, a thin pool or a proxy plugin's socket is there, and whether
//! the snapshotters btrfs, zfs and erofs work. Values of a wrong TOML type are
//! [`check`](crate::migrate::check)'s; `root`, `state`, `grpc.address` and
//! `debug.level` are k0s's, on the command line.

mod cri;
mod daemon;
mod plugins;
mod registry;
pub(crate) mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use self::plugins::Proxy;
use super::load::Effective;
use super::pull::ObstacleKind;
use super::releases::V2_4;
use super::{Release, plugin};
use crate::config::Config;
use crate::shown;
use crate::value::Value;

/// Something that containerd refuses about a configuration.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What becomes of it; the same rule costs more in some releases.
    pub refuses: Refuses,
    /// The setting at fault, one that a file sets, by the config version that the
    /// release writes, as [`Effective::get`] takes it. Its keys may be URLs with
    /// credentials.
    pub path: Vec<String>,
    /// One sentence about this very case, without credentials.
    pub message: String,
    /// The path in config version 2, by which the declarations are walked and
    /// a file's settings are found.
    pub(crate) setting: Vec<String>,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("rule", &self.rule)
            .field("refuses", &self.refuses)
            .field("path", &shown::names(&self.path))
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.rule, self.message, self.refuses)
    }
}

/// What containerd refuses to do, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refuses {
    /// A plugin is not loaded, and CRI does without it.
    Plugin,
    /// Images are not pulled.
    Pull,
    /// Pods do not start: all of them, or those of one runtime handler.
    Sandbox,
    /// The CRI plugin is not loaded, and the node does not become ready.
    Cri,
    /// containerd exits.
    Daemon,
}

impl fmt::Display for Refuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refuses::Sandbox => "pods do not start",
            Refuses::Pull => "images are not pulled",
            Refuses::Plugin => "a plugin is not loaded",
            Refuses::Cri => "the CRI plugin is not loaded",
            Refuses::Daemon => "containerd exits",
        })
    }
}

macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)+) => {
        /// A rule that a configuration breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$meta])* $name,)+
        }

        impl Rule {
            /// Every rule, in the order of their declaration.
            pub const ALL: &[Rule] = &[$(Rule::$name),+];

            /// The rule as it is printed, `kebab-case`.
            pub fn as_str(self) -> &'static str {
                match self { $(Rule::$name => $text,)+ }
            }
        }
    };
}

rules! {
    /// The default runtime handler is empty or none of the handlers (1.3+).
    DefaultRuntime = "default-runtime";
    /// `privileged_without_host_devices_all_devices_allowed` needs
    /// `privileged_without_host_devices` (1.7+).
    AllDevices = "all-devices";
    /// `systemd_cgroup`, `no_pivot`, `runtime_engine` and `runtime_root` are for
    /// `io.containerd.runtime.v1.linux` only (1.3 – 1.7).
    OnlyLinuxV1 = "only-linux-v1";
    /// `untrusted_workload_runtime` beside `runtimes.untrusted` (1.3 – 1.7).
    UntrustedRuntime = "untrusted-runtime";
    /// A runtime handler has no `runtime_type` (1.3+), or one whose shim is no
    /// more (2.0+).
    RuntimeType = "runtime-type";
    /// The options of a runtime handler do not have the types that its shim's
    /// options have (1.3+).
    RuntimeOptions = "runtime-options";
    /// `sandboxer` names no sandbox controller, or `shim` where the shim is
    /// runc's and makes no sandboxes (2.0+).
    Sandboxer = "sandboxer";
    /// `io_type` is nothing, `fifo` or `streaming` (2.0+; the error says
    /// `named_pipe`, which is refused). runc's shim does no `streaming`.
    IoType = "io-type";
    /// `cni.bin_dir` beside `bin_dirs` that are not the default (2.1+).
    BinDirs = "bin-dirs";
    /// The stream server's key pair comes in two and with
    /// `enable_tls_streaming`.
    StreamKeyPair = "stream-key-pair";
    /// The stream server's port is none: containerd exits a moment after it
    /// started.
    StreamPort = "stream-port";
    /// No Go duration (`stream_idle_timeout` 1.3+, `image_pull_progress_timeout`
    /// 1.7+, `drain_exec_sync_io_timeout` 1.6.29+, stats of 2.3).
    CriDuration = "cri-duration";
    /// An empty `image_pull_progress_timeout` passes and fails each pull (1.7+).
    PullTimeout = "pull-timeout";
    /// `stats_collect_period` is not positive: containerd panics. That of images
    /// up to 2.2, that of containers from 2.3 on.
    StatsPeriod = "stats-period";
    /// There is no sandbox image (1.x), or it cannot be found under the name that
    /// the file gives it (2.3.0 – 2.3.3).
    SandboxImage = "sandbox-image";
    /// The name of the sandbox image is no reference of an image.
    ImageReference = "image-reference";
    /// Mirrors beside `config_path` (1.5+).
    MirrorsAndConfigPath = "mirrors-and-config-path";
    /// TLS settings of a registry beside `config_path` (1.5 – 1.7).
    TlsAndConfigPath = "tls-and-config-path";
    /// A registry's client certificate without its key, or the other way round
    /// (1.3 – 1.7).
    RegistryKeyPair = "registry-key-pair";
    /// A key of `registry.auths` that Go cannot parse as a URL (1.4+).
    AuthsUrl = "auths-url";
    /// CRI's snapshotter is not loaded (1.x takes an empty name for the
    /// default).
    Snapshotter = "snapshotter";
    /// A runtime handler's own snapshotter is not loaded (1.7+): CRI is, and the
    /// handler's pods do not start.
    RuntimeSnapshotter = "runtime-snapshotter";
    /// The platform of `runtime_platforms` cannot be parsed (2.0+).
    RuntimePlatform = "runtime-platform";
    /// A platform of the task manager cannot be parsed (1.3+).
    TaskPlatform = "task-platform";
    /// A certificate of the TCP server without a key (1.3+; from 2.3 on beside an
    /// address).
    ServerKeyPair = "server-key-pair";
    /// An address of a TCP server without a port, or with one that is none. The
    /// debug server may have the absolute path of a socket. 2.3 looks at
    /// `grpc.tcp_address` only if CRI is served by TCP.
    ServerAddress = "server-address";
    /// The directory of shims' sockets is not absolute, or too long (2.3+).
    ShimSockets = "shim-sockets";
    /// The last file that states a config version states one that the release does
    /// not read (1.7.17+), or an imported file one that is later than the main
    /// file's (2.3.0 – 2.3.4, 2.4.0-beta.0).
    ConfigVersion = "config-version";
    /// An entry of `timeouts` that is no Go duration, or empty (1.3+).
    Timeout = "timeout";
    /// `debug.format` is nothing, `text` or `json` (1.5+).
    LogFormat = "log-format";
    /// A plugin's id in a list has another form (1.3+).
    PluginId = "plugin-id";
    /// A required plugin is disabled, not there, or not loaded (1.3+).
    RequiredPlugin = "required-plugin";
    /// CRI, or another plugin, does not load without a plugin that is disabled.
    DisabledPlugin = "disabled-plugin";
    /// A proxy plugin without a type that the release knows: containerd panics.
    ProxyPluginType = "proxy-plugin-type";
    /// A proxy plugin with the name of a built-in one, disabled or not, or none:
    /// containerd panics.
    ProxyPluginName = "proxy-plugin-name";
    /// More than one content store (2.x).
    ContentStores = "content-stores";
    /// `content_sharing_policy` is nothing, `shared` or `isolated` (1.3+).
    SharingPolicy = "sharing-policy";
    /// The diff service names a differ that is not loaded.
    Differ = "differ";
    /// The devmapper snapshotter has a pool and lacks a size, or has a file
    /// system it does not know; from 2.0 on this takes the metadata store along.
    Devmapper = "devmapper";
    /// The transfer service unpacks for a platform that cannot be parsed, or
    /// with a snapshotter or differ that is not loaded (1.7+). CRI needs the
    /// service from 2.1 on.
    Unpack = "unpack";
    /// The transfer service unpacks nothing with CRI's snapshotter, or with that
    /// of a runtime handler (2.1+).
    NoUnpackPlatform = "no-unpack-platform";
    /// The transfer service takes several directories in `config_path` for one
    /// (2.1+).
    ConfigPathList = "config-path-list";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Effective {
    /// What the release refuses about the configuration, as far as the files
    /// tell; see the [module](self) for what they do not.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut check = Check {
            effective: self,
            release: self.release(),
            found: Vec::new(),
            disabled: BTreeSet::new(),
            proxies: Vec::new(),
            proxy_uris: BTreeSet::new(),
        };
        check.index();
        check.daemon();
        check.plugins();
        check.cri();
        check.registry();
        check.pulls();
        check.required_plugins();
        check.found
    }
}

const DISABLED: &str = "disabled_plugins";

/// Whether a release exits on a file of config version 4 that is imported by one
/// of version 3.
pub(crate) fn refuses_version_4_behind_3(release: Release) -> bool {
    release.config_version() < 4 || is_bound_by_main(release)
}

/// Whether a release binds imported files to the main file's config version: 2.3.0
/// to 2.3.4 and 2.4.0-beta.0 do.
fn is_bound_by_main(release: Release) -> bool {
    match release.line() {
        (2, 3) => release <= Release::new(2, 3, 4),
        (2, 4) => release == V2_4,
        _ => false,
    }
}

/// The first release of 2.3 that looks for the sandbox image by its full name.
const FINDS_SANDBOX_IMAGE: Release = Release::new(2, 3, 4);

/// The path of a setting of CRI in config version 2.
fn in_cri<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut path = vec!["plugins", plugin::CRI];
    path.extend(keys);
    path
}

/// One look at a configuration.
struct Check<'a> {
    effective: &'a Effective,
    release: Release,
    found: Vec<Refusal>,
    /// What `disabled_plugins` names: URIs, or in version 1 short names.
    disabled: BTreeSet<String>,
    proxies: Vec<Proxy>,
    /// The URIs of the proxies that have a type.
    proxy_uris: BTreeSet<String>,
}

impl Check<'_> {
    fn refuse(&mut self, rule: Rule, refuses: Refuses, path: &[&str], message: impl Into<String>) {
        self.found.push(Refusal {
            rule,
            refuses,
            path: self.effective.address(path),
            message: message.into(),
            setting: path.iter().map(|key| (*key).to_owned()).collect(),
        });
    }

    /// Whether the release knows the setting.
    fn is_known(&self, path: &[&str]) -> bool {
        Config::place_of(path).is_some_and(|place| place.known_in(self.release))
    }

    /// The value in effect, where the release knows the setting.
    fn value(&self, path: &[&str]) -> Option<Value> {
        let known = self.is_known(path);
        known.then(|| self.effective.value(path)).flatten()
    }

    /// The text in effect; empty where nothing sets it.
    fn text(&self, path: &[&str]) -> String {
        match self.value(path) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        }
    }

    fn is_true(&self, path: &[&str]) -> bool {
        self.value(path) == Some(Value::Boolean(true))
    }

    /// The list of texts in effect.
    fn texts(&self, path: &[&str]) -> Vec<String> {
        let items = match self.value(path) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let texts = items.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    fn is_set(&self, path: &[&str]) -> bool {
        self.effective.set_value(path).is_some()
    }

    /// The setting that names a plugin which is not loaded; where nothing sets
    /// it, its default is disabled.
    fn naming<'k>(&self, path: &'k [&'k str]) -> &'k [&'k str] {
        match self.is_set(path) {
            true => path,
            false => &[DISABLED],
        }
    }

    fn is_from(&self, release: Release) -> bool {
        self.release >= release
    }

    /// What the transfer service cannot pull, where CRI gets as far as pulling.
    fn pulls(&mut self) {
        let refuses_cri = |found: &Refusal| found.refuses >= Refuses::Cri;
        if self.found.iter().any(refuses_cri) {
            return;
        }
        for obstacle in self.effective.pull_obstacles() {
            let rule = match &obstacle.kind {
                ObstacleKind::ConfigPath => Rule::ConfigPathList,
                _ => Rule::NoUnpackPlatform,
            };
            let path: Vec<&str> = obstacle.path.iter().map(String::as_str).collect();
            self.refuse(rule, Refuses::Pull, &path, obstacle.to_string());
        }
    }
}
