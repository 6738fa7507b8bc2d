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
//! whether a shim, a thin pool or a proxy plugin's socket is there and its address
//! one that can be dialled, whether the snapshotters btrfs, zfs and erofs work, and
//! whether the environment names a collector of traces. A required plugin is missed
//! where it is disabled, not there, or kept from loading by a setting of its own, and
//! CRI wherever it does not load; not where another plugin that it needs is missing.
//! Of 1.4 it is not told that an empty `cni.conf_dir` keeps CRI from loading. Values of a wrong TOML type are
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
use super::Release;
use super::load::Effective;
use super::pull::ObstacleKind;
use super::releases::V2_4;
use crate::config::table::Known;
use crate::config::{Config, known};
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
    ($($(#[$meta:meta])* $name:ident = $text:literal, $help:literal;)+) => {
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

            /// What to write instead.
            pub fn help(self) -> &'static str {
                match self { $(Rule::$name => $help,)+ }
            }
        }
    };
}

rules! {
    /// The default runtime handler is empty or none of the handlers (1.3+).
    DefaultRuntime = "default-runtime",
        "Write the name of a table below containerd.runtimes as default_runtime_name, such as \"runc\", or add the table that it names.";
    /// `privileged_without_host_devices_all_devices_allowed` needs
    /// `privileged_without_host_devices` (1.7+).
    AllDevices = "all-devices",
        "Set privileged_without_host_devices = true beside it, or remove it.";
    /// `systemd_cgroup`, `no_pivot`, `runtime_engine` and `runtime_root` are for
    /// `io.containerd.runtime.v1.linux` only (1.3 – 1.7).
    OnlyLinuxV1 = "only-linux-v1",
        "Remove it. What it stands for is an option of the handler's io.containerd.runc.v2 shim: SystemdCgroup, NoPivotRoot, BinaryName or Root in its table `options`.";
    /// `untrusted_workload_runtime` beside `runtimes.untrusted` (1.3 – 1.7).
    UntrustedRuntime = "untrusted-runtime",
        "Keep one of the two: move what is wanted into the table runtimes.untrusted, and remove untrusted_workload_runtime.";
    /// A runtime handler has no `runtime_type` (1.3+), or one whose shim is no
    /// more (2.0+).
    RuntimeType = "runtime-type",
        "Write the type of the handler's shim into its table: runtime_type = \"io.containerd.runc.v2\" for runc and what works like it, \"io.containerd.kata.v2\" or \"io.containerd.runsc.v1\" for these.";
    /// The options of a runtime handler do not have the types that its shim's
    /// options have (1.3+).
    RuntimeOptions = "runtime-options",
        "Write the option with the type that it has: flags without quotes, names and paths in quotes.";
    /// `sandboxer` names no sandbox controller, or `shim` where the shim is
    /// runc's and makes no sandboxes (2.0+).
    Sandboxer = "sandboxer",
        "Write \"podsandbox\", remove the key, or add the proxy plugin of the type \"sandbox\" that it names.";
    /// `io_type` is nothing, `fifo` or `streaming` (2.0+; the error says
    /// `named_pipe`, which is refused). runc's shim does no `streaming`.
    IoType = "io-type",
        "Write \"fifo\", or remove the key. \"streaming\" is for shims that have streams of their own.";
    /// `cni.bin_dir` beside `bin_dirs` that are not the default (2.1+).
    BinDirs = "bin-dirs",
        "Move the directory into the list bin_dirs, and remove bin_dir.";
    /// The stream server's key pair comes in two and with
    /// `enable_tls_streaming`.
    StreamKeyPair = "stream-key-pair",
        "Set enable_tls_streaming = true and both tls_cert_file and tls_key_file, or none of the three.";
    /// The stream server's port is none: containerd exits a moment after it
    /// started.
    StreamPort = "stream-port",
        "Write a number from 0 to 65535 in quotes; \"0\" picks a free port.";
    /// No Go duration (`stream_idle_timeout` 1.3+, `image_pull_progress_timeout`
    /// 1.7+, `drain_exec_sync_io_timeout` 1.6.29+, stats of 2.3).
    CriDuration = "cri-duration",
        "Write a number with its unit, such as \"10s\", \"5m0s\" or \"4h\".";
    /// An empty `image_pull_progress_timeout` passes and fails each pull (1.7+).
    PullTimeout = "pull-timeout",
        "Write \"0s\" for no limit, another duration such as \"5m0s\", or remove the key.";
    /// `stats_collect_period` is not positive: containerd panics. That of images
    /// up to 2.2, that of containers from 2.3 on.
    StatsPeriod = "stats-period",
        "Write a period that is longer than nothing, or remove the key: containerd then has its own, 10 seconds for images.";
    /// There is no sandbox image (1.x), or it cannot be found under the name that
    /// the file gives it (2.3.0 – 2.3.3).
    SandboxImage = "sandbox-image",
        "Name the image in full: registry, repository, and either a tag or a digest. Better remove the key, and k0s injects the image that fits its release.";
    /// The name of the sandbox image is no reference of an image.
    ImageReference = "image-reference",
        "Name an image, such as registry.k8s.io/pause:3.10, or remove the key: k0s injects the image that fits its release.";
    /// Mirrors beside `config_path` (1.5+).
    MirrorsAndConfigPath = "mirrors-and-config-path",
        "Keep one of the two: remove config_path, or write a hosts.toml for each mirror into its directory and remove the mirrors.";
    /// TLS settings of a registry beside `config_path` (1.5 – 1.7).
    TlsAndConfigPath = "tls-and-config-path",
        "Keep one of the two: remove config_path, or write ca, client and skip_verify into a hosts.toml for the host in its directory and remove the table `tls`.";
    /// A registry's client certificate without its key, or the other way round
    /// (1.3 – 1.7).
    RegistryKeyPair = "registry-key-pair",
        "Set both cert_file and key_file, or neither.";
    /// A key of `registry.auths` that Go cannot parse as a URL (1.4+).
    AuthsUrl = "auths-url",
        "Name the registry by a URL, such as https://registry.example:5000. Better move the credentials to configs.\"registry.example:5000\".auth.";
    /// CRI's snapshotter is not loaded (1.x takes an empty name for the
    /// default).
    Snapshotter = "snapshotter",
        "Name a snapshotter that is loaded, such as \"overlayfs\", or give the one that is named what it lacks: [proxy_plugins.NAME] with type = \"snapshot\" and its socket as address, the settings of a built-in one, no entry in disabled_plugins.";
    /// A runtime handler's own snapshotter is not loaded (1.7+): CRI is, and the
    /// handler's pods do not start.
    RuntimeSnapshotter = "runtime-snapshotter",
        "Name a snapshotter that is loaded, or remove the key: the handler then has that of all others. One that runs by itself needs [proxy_plugins.NAME] with type = \"snapshot\" and its socket as address.";
    /// The platform of `runtime_platforms` cannot be parsed (2.0+).
    RuntimePlatform = "runtime-platform",
        "Write operating system and architecture, such as \"linux/amd64\".";
    /// A platform of the task manager cannot be parsed (1.3+).
    TaskPlatform = "task-platform",
        "Write operating system and architecture, such as \"linux/amd64\".";
    /// A certificate of the TCP server without a key (1.3+; from 2.3 on beside an
    /// address).
    ServerKeyPair = "server-key-pair",
        "Set tcp_tls_key as well, or remove tcp_tls_cert.";
    /// An address of a TCP server without a port, or with one that is none. The
    /// debug server may have the absolute path of a socket. 2.3 looks at
    /// `grpc.tcp_address` only if CRI is served by TCP.
    ServerAddress = "server-address",
        "Write host and port, such as \"127.0.0.1:1338\"; a socket of the debug server by its absolute path. Or remove the key.";
    /// The directory of shims' sockets is not absolute, or too long (2.3+).
    ShimSockets = "shim-sockets",
        "Write an absolute path of up to 42 bytes, such as \"/run/k0s/s\", or remove the key.";
    /// The last file that states a config version states one that the release does
    /// not read (1.7.17+), or an imported file one that is later than the main
    /// file's (2.3.0 – 2.3.4, 2.4.0-beta.0).
    ConfigVersion = "config-version",
        "State the version that k0s writes its own file in: 2 up to k0s 1.35, 3 from 1.36 on; and write the file's settings in it.";
    /// An entry of `timeouts` that is no Go duration, or empty (1.3+).
    Timeout = "timeout",
        "Write a number with its unit, such as \"10s\".";
    /// `debug.format` is nothing, `text` or `json` (1.5+).
    LogFormat = "log-format",
        "Write \"text\" or \"json\".";
    /// A plugin's id in a list has another form (1.3+), or that of a section (1.3 –
    /// 1.7).
    PluginId = "plugin-id",
        "Write the whole id, such as \"io.containerd.snapshotter.v1.zfs\".";
    /// A required plugin is disabled, not there, or not loaded (1.3+).
    RequiredPlugin = "required-plugin",
        "Remove it from required_plugins, or mend what keeps the plugin from loading.";
    /// CRI, or another plugin, does not load without a plugin that is disabled.
    DisabledPlugin = "disabled-plugin",
        "Remove the plugin's id from disabled_plugins.";
    /// A proxy plugin without a type that the release knows: containerd panics.
    ProxyPluginType = "proxy-plugin-type",
        "Write type = \"snapshot\", \"content\" or \"diff\", from containerd 2.0 on also \"sandbox\", or remove the entry.";
    /// A proxy plugin with the name of a built-in one, disabled or not, or none:
    /// containerd panics.
    ProxyPluginName = "proxy-plugin-name",
        "Give the entry another name, and write that wherever it is named.";
    /// More than one content store (2.x).
    ContentStores = "content-stores",
        "Keep one of them: remove the other entry, or add \"io.containerd.content.v1.content\" to disabled_plugins if the proxy is to be it.";
    /// `content_sharing_policy` is nothing, `shared` or `isolated` (1.3+).
    SharingPolicy = "sharing-policy",
        "Write \"shared\" or \"isolated\".";
    /// The diff service names a differ that is not loaded.
    Differ = "differ",
        "Name a differ that is loaded, such as \"walking\"; one that runs by itself needs [proxy_plugins.NAME] with type = \"diff\" and its socket as address.";
    /// The devmapper snapshotter has a pool and lacks a size, or has a file
    /// system it does not know; from 2.0 on this takes the metadata store along.
    Devmapper = "devmapper",
        "Give the section pool_name, base_image_size, such as \"10GB\", and \"ext4\" or \"xfs\" as fs_type; or remove pool_name if devmapper is not used.";
    /// The transfer service unpacks for a platform that cannot be parsed, or
    /// with a snapshotter or differ that is not loaded (1.7+). CRI needs the
    /// service from 2.1 on.
    Unpack = "unpack",
        "In unpack_config name a platform such as \"linux/amd64\", a snapshotter and a differ that are loaded, or remove the entry.";
    /// The transfer service unpacks nothing with CRI's snapshotter, or with that
    /// of a runtime handler (2.1+).
    NoUnpackPlatform = "no-unpack-platform",
        "Set use_local_image_pull = true in the images plugin, or add an entry for the snapshotter to unpack_config of the transfer service.";
    /// The transfer service takes several directories in `config_path` for one
    /// (2.1+).
    ConfigPathList = "config-path-list",
        "Name one directory as config_path, or set use_local_image_pull = true in the images plugin.";
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
    fn naming(&self, setting: Known) -> Known {
        match self.is_set(&setting) {
            true => setting,
            false => known::DISABLED_PLUGINS,
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
