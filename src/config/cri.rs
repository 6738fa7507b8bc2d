//! The CRI plugin: `io.containerd.grpc.v1.cri` up to config version 2; from
//! version 3 on that is the stream server, and what it shared a section with
//! is `io.containerd.cri.v1.images` and `io.containerd.cri.v1.runtime`.

use super::declare::{Map, Secret, sections};
use super::runtime::{RUNC, Runtime};
use crate::containerd::Release;
use crate::containerd::plugin::{CRI, CRI_IMAGES, CRI_RUNTIME};
use crate::containerd::releases::*;
use crate::containerd::setting::{Builtin, Concern, Shift, State::*, SucceededBy, version};

/// What config version 3 splits the plugin into, beside
/// `io.containerd.cri.v1.runtime`.
const IMAGES: &[&str] = &["plugins", CRI_IMAGES];
const STREAM_SERVER: &[&str] = &["plugins", CRI];

/// The mirror that containerd 1.3 and 1.4 bring along.
const DOCKER_IO: Builtin = Builtin {
    key: "docker.io",
    history: &[(V1_2, Hidden), (V1_5, Absent)],
    inside: &[Builtin {
        key: "endpoint",
        history: &[
            (V1_2, Strs(&["https://registry-1.docker.io"])),
            (V1_5, Absent),
        ],
        inside: &[],
    }],
};

/// What takes the place of credentials: `RELEASES.md` of containerd names the
/// first for `auths`, and a `hosts.toml`, which has no place for them, for
/// `configs`.
const NO_CREDENTIALS: &str =
    "image pull secrets of Kubernetes, or a credential provider of the kubelet, take its place";

/// In containerd 1.2 `default_runtime` is the default runtime handler.
const DEFAULT_RUNTIME: Builtin = Builtin {
    key: "runtime_type",
    history: &[
        (V1_2, Str("io.containerd.runtime.v1.linux")),
        (V1_3, Str("")),
    ],
    inside: &[],
};

/// Where Debian puts CNI plugins: what its 1.7.24 and 2.1.9 print, while its
/// 1.4.13 and 1.6.20 print upstream's directory.
const DEBIAN_BIN_DIR: Shift = Shift::Packaged(&[(V1_7, Str("/usr/lib/cni")), (V2_1, Absent)]);
const DEBIAN_BIN_DIRS: Shift = Shift::Packaged(&[(V2_1, Strs(&["/usr/lib/cni", "/opt/cni/bin"]))]);

sections! {
    /// Settings of the CRI plugin.
    pub struct Cri: Plain {
        /// The image of the container that holds a pod's namespaces.
        pub sandbox_image: Option<String> = [
            V1_2 => Str("k8s.gcr.io/pause:3.1"),
            V1_4 => Str("k8s.gcr.io/pause:3.2"),
            V1_5 => Str("k8s.gcr.io/pause:3.5"),
            Release::new(1, 5, 14) => Str("registry.k8s.io/pause:3.5"),
            V1_6 => Str("k8s.gcr.io/pause:3.6"),
            Release::new(1, 6, 9) => Str("registry.k8s.io/pause:3.6"),
            V1_7 => Str("registry.k8s.io/pause:3.8"),
            V2_0 => Str("registry.k8s.io/pause:3.10"),
            V2_2 => Str("registry.k8s.io/pause:3.10.1"),
            V2_3 => Str("registry.k8s.io/pause:3.10.2"),
        ], .moved(version(3), &["plugins", CRI_IMAGES, "pinned_images", "sandbox"]);
        /// More images that are never removed, by name. From config version 3
        /// on `sandbox` among them is the sandbox image.
        pub pinned_images: Map<String> = [V2_0 => Hidden], .only_in(version(3), IMAGES);
        /// Do not serve CRI over TCP.
        pub disable_tcp_service: Option<bool> = [V1_3 => Bool(true)], .moved_into(version(3), STREAM_SERVER);
        /// Address of the stream server.
        pub stream_server_address: Option<String> = [V1_2 => Str("127.0.0.1")], .moved_into(version(3), STREAM_SERVER);
        /// Port of the stream server, in a string; `"0"` picks a free one.
        pub stream_server_port: Option<String> = [V1_2 => Str("0")], .moved_into(version(3), STREAM_SERVER);
        /// How long an idle stream is kept, as a Go duration.
        pub stream_idle_timeout: Option<String> = [V1_3 => Str("4h0m0s")], .moved_into(version(3), STREAM_SERVER).duration();
        /// Serve streams over TLS.
        pub enable_tls_streaming: Option<bool> = [V1_2 => Bool(false)], .moved_into(version(3), STREAM_SERVER);
        /// Key pair of the stream server.
        pub x509_key_pair_streaming: X509KeyPair = [V1_2 => Hidden], .moved_into(version(3), STREAM_SERVER);
        /// Label containers for SELinux.
        pub enable_selinux: Option<bool> = [V1_2 => Bool(false)];
        /// Upper bound of SELinux categories.
        pub selinux_category_range: Option<i64> = [V1_4 => Int(1024)];
        /// Seconds between two rounds of collecting snapshot stats.
        pub stats_collect_period: Option<i64> = [V1_2 => Int(10)], .moved_into(version(3), IMAGES);
        /// Deprecated. Successor: `SystemdCgroup` in the options of the
        /// default runtime handler.
        pub systemd_cgroup: Option<bool> = [V1_2 => Bool(false), V2_0 => Absent], .succeeded(V1_3, SucceededBy::DefaultHandlerOption("SystemdCgroup"));
        /// Bytes after which a line of a container's log is broken.
        pub max_container_log_line_size: Option<i64> = [V1_2 => Int(16384)];
        /// Leave cgroups alone, for rootless use.
        pub disable_cgroup: Option<bool> = [V1_3 => Bool(false), V2_0 => Absent];
        /// Leave AppArmor alone.
        pub disable_apparmor: Option<bool> = [V1_3 => Bool(false)];
        /// Keep a container's OOM score at or above containerd's own.
        pub restrict_oom_score_adj: Option<bool> = [V1_3 => Bool(false)];
        /// Layers of one image that are downloaded at a time.
        pub max_concurrent_downloads: Option<i64> = [V1_3 => Int(3)], .moved_into(version(3), IMAGES);
        /// Do not mask paths in `/proc`.
        pub disable_proc_mount: Option<bool> = [Release::new(1, 2, 8) => Bool(false)];
        /// The seccomp profile of containers that ask for none.
        pub unset_seccomp_profile: Option<String> = [V1_4 => Str("")];
        /// Start containers with huge page limits where the controller is missing.
        pub tolerate_missing_hugetlb_controller: Option<bool> = [V1_4 => Bool(true)];
        /// Leave the huge page controller alone.
        pub disable_hugetlb_controller: Option<bool> = [V1_4 => Bool(true)];
        /// Do not create the volumes that images declare.
        pub ignore_image_defined_volumes: Option<bool> = [V1_4 => Bool(false)];
        /// Keep network namespaces under `state`.
        pub netns_mounts_under_state_dir: Option<bool> = [V1_5 => Bool(false)];
        /// Give devices the owner that the security context names.
        pub device_ownership_from_security_context: Option<bool> = [V1_6 => Bool(false)];
        /// Let all containers bind ports below 1024.
        pub enable_unprivileged_ports: Option<bool> = [V1_6 => Bool(false), V2_0 => Bool(true)];
        /// Let all containers send ICMP echo requests.
        pub enable_unprivileged_icmp: Option<bool> = [V1_6 => Bool(false), V2_0 => Bool(true)];
        /// Deprecation warnings not to show.
        pub ignore_deprecation_warnings: Option<Vec<String>> = [
            Release::new(1, 6, 29) => Strs(&[]),
            V1_7 => Absent,
            Release::new(1, 7, 14) => Strs(&[]),
        ];
        /// How long to wait for the output of an exec, as a Go duration.
        pub drain_exec_sync_io_timeout: Option<String> = [
            Release::new(1, 6, 29) => Str("0s"),
        ], .duration();
        /// Support the Container Device Interface.
        pub enable_cdi: Option<bool> = [V1_7 => Bool(false), V2_0 => Bool(true)], .removal_planned("CDI will be on, whatever is set");
        /// Directories of CDI specs.
        pub cdi_spec_dirs: Option<Vec<String>> = [V1_7 => Strs(&["/etc/cdi", "/var/run/cdi"])];
        /// How long a pull may stand still, as a Go duration.
        pub image_pull_progress_timeout: Option<String> = [
            V1_7 => Str("1m0s"),
            Release::new(1, 7, 10) => Str("5m0s"),
        ], .moved_into(version(3), IMAGES).duration();
        /// Sync the file system after a pull.
        pub image_pull_with_sync_fs: Option<bool> = [Release::new(1, 7, 14) => Bool(false)], .moved_into(version(3), IMAGES);
        /// Let the CRI plugin pull images by itself rather than have the
        /// transfer service do it.
        pub use_local_image_pull: Option<bool> = [V2_1 => Bool(false)], .only_in(version(3), IMAGES).about(Concern::Registry);
        /// Bytes of a layer that one of several connections fetches; 0 is one
        /// connection.
        pub concurrent_layer_fetch_buffer: Option<i64> = [V2_1 => Int(0)], .only_in(version(3), IMAGES);
        /// What a runtime handler's images are unpacked for and with.
        pub runtime_platforms: Map<RuntimePlatform> = [V2_0 => Hidden], .only_in(version(3), IMAGES).about(Concern::HandlersImages);
        /// How often the stats of containers are collected, as a Go duration.
        pub runtime_stats_collect_period: Option<String> = [V2_3 => Str("")], .only_at(version(3), &["plugins", CRI_RUNTIME, "stats_collect_period"]).duration();
        /// How long they are kept, as a Go duration.
        pub stats_retention_period: Option<String> = [V2_3 => Str("")], .duration();
        /// Allow checkpoints with CRIU.
        pub enable_criu: Option<bool> = [
            Release::new(2, 2, 7) => Bool(true),
            V2_3 => Absent,
            Release::new(2, 3, 4) => Bool(true),
        ];
        /// Deprecated: restore a checkpoint by creating a container of it.
        pub enable_experimental_restore_via_create: Option<bool> = [
            Release::new(2, 2, 7) => Bool(false),
            V2_3 => Absent,
            Release::new(2, 3, 4) => Bool(false),
            V2_4 => Absent,
        ];
        /// Runtime handlers and snapshots.
        pub containerd: Containerd = [V1_2 => Hidden];
        /// Pod networks.
        pub cni: Cni = [V1_2 => Hidden], .about(Concern::Cni);
        /// Image registries.
        pub registry: Registry = [V1_2 => Hidden], .moved_into(version(3), IMAGES).about(Concern::Registry);
        /// Encrypted images.
        pub image_decryption: ImageDecryption = [V1_4 => Hidden], .moved_into(version(3), IMAGES);
    }

    /// Runtime handlers and snapshots.
    pub struct Containerd: Plain {
        /// Where images are unpacked.
        pub snapshotter: Option<String> = [V1_2 => Str("overlayfs")], .moved_into(version(3), IMAGES).about(Concern::Snapshotter);
        /// The handler of pods that name none.
        pub default_runtime_name: Option<String> = [V1_3 => Str("runc")], .about(Concern::NamedHandler);
        /// Deprecated. Successor: `runtimes.default`.
        pub default_runtime: Runtime = [V1_2 => Hidden, V2_0 => Absent], .builtins(&[DEFAULT_RUNTIME]).succeeded(V1_3, SucceededBy::DefaultHandler("default"));
        /// Deprecated. Successor: `runtimes.untrusted`.
        pub untrusted_workload_runtime: Runtime = [V1_2 => Hidden, V2_0 => Absent], .succeeded(V1_3, SucceededBy::Handler("untrusted"));
        /// The runtime handlers by name.
        pub runtimes: Map<Runtime> = [V1_2 => Hidden], .builtins(&[RUNC]).about(Concern::Handler);
        /// Deprecated. Successor: `NoPivotRoot` in the options of the default
        /// runtime handler.
        pub no_pivot: Option<bool> = [V1_2 => Bool(false), V2_0 => Absent], .succeeded(V1_3, SucceededBy::DefaultHandlerOption("NoPivotRoot"));
        /// Do not pass image annotations to the snapshotter.
        pub disable_snapshot_annotations: Option<bool> = [
            V1_4 => Bool(false),
            Release::new(1, 4, 2) => Bool(true),
        ], .moved_into(version(3), IMAGES).about(Concern::Snapshotter);
        /// Drop compressed layers once they are unpacked.
        pub discard_unpacked_layers: Option<bool> = [V1_4 => Bool(false)], .moved_into(version(3), IMAGES).about(Concern::Snapshotter);
        /// Start containers although RDT is not enabled.
        pub ignore_rdt_not_enabled_errors: Option<bool> = [V1_6 => Bool(false)];
        /// Start containers although block IO is not enabled.
        pub ignore_blockio_not_enabled_errors: Option<bool> = [V1_7 => Bool(false)];
    }

    /// What a runtime handler's images are unpacked for and with.
    pub struct RuntimePlatform: Plain {
        /// The platform, for instance `linux/amd64`.
        pub platform: Option<String> = [V2_0 => Str("")];
        /// The snapshotter.
        pub snapshotter: Option<String> = [V2_0 => Str("")];
    }

    /// Pod networks.
    pub struct Cni: Plain {
        /// Directory of CNI plugins. Deprecated in containerd 2.1 for `bin_dirs`.
        pub bin_dir: Option<String> = [V1_2 => Str("/opt/cni/bin"), V2_1 => Str("")], .shifted(DEBIAN_BIN_DIR).succeeded(V2_1, SucceededBy::List("bin_dirs")).removal_planned("bin_dirs takes its place");
        /// Directories of CNI plugins.
        pub bin_dirs: Option<Vec<String>> = [V2_1 => Strs(&["/opt/cni/bin"])], .shifted(DEBIAN_BIN_DIRS);
        /// Directory of CNI configuration files.
        pub conf_dir: Option<String> = [V1_2 => Str("/etc/cni/net.d")];
        /// How many of them are used; 0 is all.
        pub max_conf_num: Option<i64> = [V1_3 => Int(1)];
        /// Template that makes a CNI configuration of the pod CIDR.
        pub conf_template: Option<String> = [V1_2 => Str("")];
        /// Preferred IP family of a pod's main address.
        pub ip_pref: Option<String> = [V1_6 => Str("")];
        /// Set up networks one after the other.
        pub setup_serially: Option<bool> = [V1_7 => Bool(false)];
        /// Let containerd itself bring the loopback interface up.
        pub use_internal_loopback: Option<bool> = [V2_0 => Bool(false)];
    }

    /// Image registries.
    pub struct Registry: Plain {
        /// Directories of `hosts.toml` files, parted by `:`.
        pub config_path: Option<String> = [
            V1_5 => Str(""),
            V2_2 => Str("/etc/containerd/certs.d:/etc/docker/certs.d"),
            Release::new(2, 2, 2) => Str(""),
        ];
        /// Deprecated: endpoints by registry host; `*` is any other.
        pub mirrors: Map<Mirror> = [V1_2 => Hidden], .builtins(&[DOCKER_IO]).removal_planned("a hosts.toml for each registry takes its place, in the directory that config_path names");
        /// Deprecated: credentials by URL. Successor: `configs`.
        pub auths: Map<Auth> = [V1_2 => Hidden], .succeeded(V1_3, SucceededBy::Path(&["configs", "*", "auth"])).removal_planned(NO_CREDENTIALS);
        /// Credentials and TLS by registry host.
        pub configs: Map<RegistryHost> = [V1_3 => Hidden], .removal_planned(NO_CREDENTIALS);
        /// HTTP headers that are sent to every registry. They may hold
        /// credentials, whatever they are called.
        pub headers: Map<Vec<Secret>> = [V1_4 => Hidden];
    }

    /// Endpoints of a registry host.
    pub struct Mirror: Plain {
        /// URLs in the order in which they are tried.
        pub endpoint: Option<Vec<String>> = [V1_2 => Strs(&[])];
    }

    /// Credentials and TLS of a registry host.
    pub struct RegistryHost: Plain {
        /// Credentials.
        pub auth: Auth = [V1_3 => Hidden];
        /// TLS. containerd 2.0 removed it; successor: a `hosts.toml`.
        pub tls: Tls = [V1_3 => Hidden, V2_0 => Absent], .succeeded(V1_5, SucceededBy::HostsToml);
    }

    /// Credentials of a registry host.
    pub struct Auth: Pointer {
        /// User name.
        pub username: Option<Secret> = [V1_2 => Str("")];
        /// Password.
        pub password: Option<Secret> = [V1_2 => Str("")];
        /// `user:password` in base64.
        pub auth: Option<Secret> = [V1_2 => Str("")];
        /// Token that is exchanged for an access token.
        pub identitytoken: Option<Secret> = [V1_2 => Str("")];
    }

    /// TLS of a registry host.
    pub struct Tls: Pointer {
        /// Do not check the server's certificate.
        pub insecure_skip_verify: Option<bool> = [Release::new(1, 3, 2) => Bool(false)];
        /// CA certificates to trust.
        pub ca_file: Option<String> = [V1_3 => Str("")];
        /// Client certificate.
        pub cert_file: Option<String> = [V1_3 => Str("")];
        /// Key of the client certificate.
        pub key_file: Option<String> = [V1_3 => Str("")];
    }

    /// Encrypted images.
    pub struct ImageDecryption: Plain {
        /// Where keys are looked for: `node`, or nothing.
        pub key_model: Option<String> = [V1_4 => Str(""), V1_5 => Str("node")];
    }

    /// A certificate and its key.
    pub struct X509KeyPair: Plain {
        /// Certificate file.
        pub tls_cert_file: Option<String> = [V1_2 => Str("")];
        /// Key file.
        pub tls_key_file: Option<String> = [V1_2 => Str("")];
    }
}
