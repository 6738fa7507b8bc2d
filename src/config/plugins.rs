//! The plugins and their settings, by URI.

use super::cri::Cri;
use super::declare::{Duration, Secret, sections};
use crate::containerd::Release;
use crate::containerd::plugin::CRI_RUNTIME;
use crate::containerd::releases::*;
use crate::containerd::setting::{
    Concern, Shift,
    State::{self, *},
    SucceededBy, version,
};

const UNPACK_LINUX_AMD64: &[(&str, State)] = &[
    ("differ", Str("")),
    ("platform", Str("linux/amd64")),
    ("snapshotter", Str("overlayfs")),
];

sections! {
    /// Settings by plugin. Sections of plugins that are not built in are in
    /// `other`.
    pub struct Plugins: Plain {
        /// Kubernetes' runtime interface.
        pub cri ["io.containerd.grpc.v1.cri"]: Cri = [V1_2 => Hidden], .moved(version(3), &["plugins", CRI_RUNTIME]).about(Concern::Cri);
        /// Garbage collection.
        pub gc_scheduler ["io.containerd.gc.v1.scheduler"]: GcScheduler = [V1_2 => Hidden];
        /// Optional binaries.
        pub opt ["io.containerd.internal.v1.opt"]: Opt = [V1_2 => Hidden];
        /// Restarting containers.
        pub restart ["io.containerd.internal.v1.restart"]: Restart = [V1_2 => Hidden], .moved(version(3), &["plugins", "io.containerd.monitor.container.v1.restart"]);
        /// Traces.
        pub tracing ["io.containerd.internal.v1.tracing"]: Tracing = [V1_6 => Hidden];
        /// The metadata store.
        pub bolt ["io.containerd.metadata.v1.bolt"]: Bolt = [V1_3 => Hidden];
        /// cgroup metrics.
        pub cgroups ["io.containerd.monitor.v1.cgroups"]: CgroupsMonitor = [V1_2 => Hidden], .moved(version(3), &["plugins", "io.containerd.monitor.task.v1.cgroups"]);
        /// The Node Resource Interface.
        pub nri ["io.containerd.nri.v1.nri"]: Nri = [V1_7 => Hidden];
        /// Deprecated: the first shim.
        pub linux ["io.containerd.runtime.v1.linux"]: LinuxRuntime = [V1_2 => Hidden, V2_0 => Absent];
        /// Tasks.
        pub task ["io.containerd.runtime.v2.task"]: TaskManager = [V1_3 => Hidden];
        /// The diff service.
        pub diff_service ["io.containerd.service.v1.diff-service"]: DiffService = [V1_2 => Hidden];
        /// The tasks service.
        pub tasks_service ["io.containerd.service.v1.tasks-service"]: TasksService = [V1_6 => Hidden];
        /// Deprecated: the aufs snapshotter.
        pub aufs ["io.containerd.snapshotter.v1.aufs"]: Snapshotter = [V1_5 => Hidden, V2_0 => Absent];
        /// The blockfile snapshotter.
        pub blockfile ["io.containerd.snapshotter.v1.blockfile"]: Blockfile = [Release::new(1, 7, 4) => Hidden];
        /// The btrfs snapshotter.
        pub btrfs ["io.containerd.snapshotter.v1.btrfs"]: Snapshotter = [V1_5 => Hidden];
        /// The devmapper snapshotter.
        pub devmapper ["io.containerd.snapshotter.v1.devmapper"]: Devmapper = [V1_3 => Hidden];
        /// The native snapshotter.
        pub native ["io.containerd.snapshotter.v1.native"]: Snapshotter = [V1_5 => Hidden];
        /// The overlayfs snapshotter.
        pub overlayfs ["io.containerd.snapshotter.v1.overlayfs"]: Overlayfs = [V1_5 => Hidden];
        /// The zfs snapshotter.
        pub zfs ["io.containerd.snapshotter.v1.zfs"]: Snapshotter = [V1_5 => Hidden];
        /// Deprecated: where traces are sent.
        pub otlp ["io.containerd.tracing.processor.v1.otlp"]: Otlp = [V1_6 => Hidden];
        /// The transfer service.
        pub transfer ["io.containerd.transfer.v1.local"]: Transfer = [V1_7 => Hidden];
        /// Programs that judge images before they are pulled.
        pub image_verifier ["io.containerd.image-verifier.v1.bindir"]: ImageVerifier = [V2_0 => Hidden];
        /// Shims.
        pub shim_manager ["io.containerd.shim.v1.manager"]: ShimManager = [V2_0 => Hidden];
        /// The EROFS snapshotter.
        pub erofs ["io.containerd.snapshotter.v1.erofs"]: Erofs = [V2_1 => Hidden];
        /// The EROFS differ.
        pub erofs_differ ["io.containerd.differ.v1.erofs"]: ErofsDiffer = [V2_1 => Hidden];
    }

    /// Garbage collection.
    pub struct GcScheduler: Plain {
        /// Share of time that collecting may take.
        pub pause_threshold: Option<f64> = [V1_2 => Float(0.02)];
        /// Deletions that start a collection.
        pub deletion_threshold: Option<i64> = [V1_2 => Int(0)];
        /// Changes that let a collection start.
        pub mutation_threshold: Option<i64> = [V1_2 => Int(100)];
        /// Delay between its cause and a collection.
        pub schedule_delay: Option<Duration> = [V1_2 => Str("0s")];
        /// Delay of the first collection.
        pub startup_delay: Option<Duration> = [V1_2 => Str("100ms")];
    }

    /// Optional binaries.
    pub struct Opt: Plain {
        /// Where they are installed.
        pub path: Option<String> = [V1_2 => Str("/opt/containerd")];
    }

    /// Restarting containers.
    pub struct Restart: Plain {
        /// Time between two looks.
        pub interval: Option<Duration> = [V1_2 => Str("10s")];
    }

    /// Traces.
    pub struct Tracing: Plain {
        /// Share of traces that are kept.
        pub sampling_ratio: Option<f64> = [
            V1_6 => Float(1.0),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Float(1.0),
            Release::new(1, 7, 16) => Hidden,
        ], .removal_planned("the environment variable OTEL_TRACES_SAMPLER_ARG of containerd takes its place");
        /// Name under which traces are sent.
        pub service_name: Option<String> = [
            V1_6 => Str("containerd"),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str("containerd"),
            Release::new(1, 7, 16) => Hidden,
        ], .removal_planned("the environment variable OTEL_SERVICE_NAME of containerd takes its place");
    }

    /// The metadata store.
    pub struct Bolt: Plain {
        /// `shared` or `isolated` content between namespaces.
        pub content_sharing_policy: Option<String> = [V1_3 => Str("shared")];
        /// Do not wait for the disk; a crash may cost data.
        pub no_sync: Option<bool> = [V2_1 => Bool(false)];
    }

    /// cgroup metrics.
    pub struct CgroupsMonitor: Plain {
        /// Do not export metrics.
        pub no_prometheus: Option<bool> = [V1_2 => Bool(false)];
    }

    /// The Node Resource Interface.
    pub struct Nri: Plain {
        /// Switch it off.
        pub disable: Option<bool> = [V1_7 => Bool(true), V2_0 => Bool(false)];
        /// Do not let plugins connect by themselves.
        pub disable_connections: Option<bool> = [V1_7 => Bool(false)];
        /// Directory of plugin configuration.
        pub plugin_config_path: Option<String> = [V1_7 => Str("/etc/nri/conf.d")];
        /// Directory of plugins.
        pub plugin_path: Option<String> = [V1_7 => Str("/opt/nri/plugins")];
        /// Time a plugin has to register.
        pub plugin_registration_timeout: Option<Duration> = [V1_7 => Str("5s")];
        /// Time a plugin has to answer.
        pub plugin_request_timeout: Option<Duration> = [V1_7 => Str("2s")];
        /// Socket that plugins connect to.
        pub socket_path: Option<String> = [V1_7 => Str("/var/run/nri/nri.sock")];
        /// What plugins may not change.
        pub default_validator: NriValidator = [V2_2 => Hidden];
    }

    /// What NRI plugins may not change.
    pub struct NriValidator: Plain {
        /// Switch the validator on.
        pub enable: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse OCI hooks.
        pub reject_oci_hook_adjustment: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse changes of the runtime's own seccomp profile.
        pub reject_runtime_default_seccomp_adjustment: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse changes of the unconfined seccomp profile.
        pub reject_unconfined_seccomp_adjustment: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse changes of a pod's own seccomp profile.
        pub reject_custom_seccomp_adjustment: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse changes of namespaces.
        pub reject_namespace_adjustment: Option<bool> = [V2_2 => Bool(false)];
        /// Refuse changes of sysctls.
        pub reject_sysctl_adjustment: Option<bool> = [Release::new(2, 2, 1) => Bool(false)];
        /// NRI plugins without which no container is made.
        pub required_plugins: Option<Vec<String>> = [V2_2 => Strs(&[])];
        /// Pod annotation that does without them.
        pub tolerate_missing_plugins_annotation: Option<String> = [V2_2 => Str("")];
    }

    /// Deprecated: the first shim, `io.containerd.runtime.v1.linux`.
    pub struct LinuxRuntime: Plain {
        /// The shim's binary.
        pub shim: Option<String> = [V1_2 => Str("containerd-shim")];
        /// The binary that handlers of the type run which name none. Successor:
        /// their `options.BinaryName`.
        pub runtime: Option<String> = [V1_2 => Str("runc")];
        /// The state directory of those that name none. Successor: their
        /// `options.Root`.
        pub runtime_root: Option<String> = [V1_2 => Str("")];
        /// Do without a shim.
        pub no_shim: Option<bool> = [V1_2 => Bool(false)];
        /// Let the shim log debug messages.
        pub shim_debug: Option<bool> = [V1_2 => Bool(false)];
    }

    /// Tasks.
    pub struct TaskManager: Plain {
        /// Platforms whose images run here.
        pub platforms: Option<Vec<String>> = [V1_3 => Strs(&["linux/amd64"])], .shifted(Shift::Platform);
        /// Use core scheduling. containerd 2.0 removed it; successor:
        /// `SCHED_CORE=1` in the shim manager's `env`.
        pub sched_core: Option<bool> = [V1_6 => Bool(false), V2_0 => Absent], .succeeded(V2_0, SucceededBy::ShimVariable("SCHED_CORE=1"));
    }

    /// The diff service.
    pub struct DiffService: Plain {
        /// Differs in the order in which they are tried.
        pub default: Option<Vec<String>> = [V1_2 => Strs(&["walking"])];
        /// Sync the file system after a layer is applied.
        pub sync_fs: Option<bool> = [Release::new(1, 7, 26) => Bool(false)];
    }

    /// The tasks service.
    pub struct TasksService: Plain {
        /// Block IO configuration file.
        pub blockio_config_file: Option<String> = [V1_7 => Str("")];
        /// RDT configuration file.
        pub rdt_config_file: Option<String> = [V1_6 => Str("")];
    }

    /// A snapshotter with nothing but a directory.
    pub struct Snapshotter: Plain {
        /// Its directory.
        pub root_path: Option<String> = [V1_5 => Str("")];
    }

    /// The blockfile snapshotter.
    pub struct Blockfile: Plain {
        /// File system of the block files.
        pub fs_type: Option<String> = [Release::new(1, 7, 4) => Str("")];
        /// Options of their mounts.
        pub mount_options: Option<Vec<String>> = [Release::new(1, 7, 4) => Strs(&[])];
        /// Its directory.
        pub root_path: Option<String> = [Release::new(1, 7, 4) => Str("")];
        /// The empty block file to copy.
        pub scratch_file: Option<String> = [Release::new(1, 7, 4) => Str("")];
        /// Make the empty block file anew at each start.
        pub recreate_scratch: Option<bool> = [V2_0 => Bool(false)];
    }

    /// The devmapper snapshotter.
    pub struct Devmapper: Plain {
        /// Its directory.
        pub root_path: Option<String> = [V1_3 => Str("")];
        /// The thin pool.
        pub pool_name: Option<String> = [V1_3 => Str("")];
        /// Size of the base device.
        pub base_image_size: Option<String> = [V1_3 => Str("")];
        /// Remove devices in the background.
        pub async_remove: Option<bool> = [V1_4 => Bool(false)];
        /// Discard blocks when a device is removed.
        pub discard_blocks: Option<bool> = [V1_6 => Bool(false)];
        /// File system of the devices.
        pub fs_type: Option<String> = [V1_6 => Str("")];
        /// Options for making it.
        pub fs_options: Option<Secret> = [V1_6 => Str("")];
    }

    /// The overlayfs snapshotter.
    pub struct Overlayfs: Plain {
        /// Its directory.
        pub root_path: Option<String> = [V1_5 => Str("")];
        /// Note the upper directory in a label.
        pub upperdir_label: Option<bool> = [V1_6 => Bool(false)];
        /// Remove snapshots in the foreground.
        pub sync_remove: Option<bool> = [
            Release::new(1, 6, 24) => Bool(false),
            V1_7 => Absent,
            Release::new(1, 7, 4) => Bool(false),
        ];
        /// More options of the mounts.
        pub mount_options: Option<Vec<String>> = [
            Release::new(1, 6, 24) => Strs(&[]),
            V1_7 => Absent,
            Release::new(1, 7, 4) => Strs(&[]),
        ];
        /// Change owners file by file, where the kernel cannot map them.
        pub slow_chown: Option<bool> = [V2_0 => Bool(false)];
    }

    /// Deprecated: where traces are sent.
    pub struct Otlp: Plain {
        /// URL of the collector.
        pub endpoint: Option<String> = [
            V1_6 => Str(""),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str(""),
            Release::new(1, 7, 16) => Hidden,
        ], .removal_planned("the environment variable OTEL_EXPORTER_OTLP_ENDPOINT of containerd takes its place");
        /// `http/protobuf` or `grpc`.
        pub protocol: Option<String> = [
            V1_6 => Str(""),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str(""),
            Release::new(1, 7, 16) => Hidden,
        ], .removal_planned("the environment variable OTEL_EXPORTER_OTLP_PROTOCOL of containerd takes its place");
        /// Send without TLS.
        pub insecure: Option<bool> = [
            V1_6 => Bool(false),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Bool(false),
            Release::new(1, 7, 16) => Hidden,
        ], .removal_planned("the environment variable OTEL_EXPORTER_OTLP_INSECURE of containerd takes its place");
    }

    /// The transfer service.
    pub struct Transfer: Plain {
        /// Directories of `hosts.toml` files.
        pub config_path: Option<String> = [V1_7 => Str("")];
        /// Layers that are downloaded at a time.
        pub max_concurrent_downloads: Option<i64> = [V1_7 => Int(3)];
        /// Layers that are uploaded at a time.
        pub max_concurrent_uploaded_layers: Option<i64> = [V1_7 => Int(3)];
        /// What unpacks which platform.
        pub unpack_config: Option<Vec<UnpackConfig>> = [
            V1_7 => Hidden,
            Release::new(1, 7, 1) => Tables(&[UNPACK_LINUX_AMD64]),
            V2_0 => Hidden,
        ], .shifted(Shift::UnpackPlatform).empty_since(V2_1);
        /// Bytes of a layer that one of several connections fetches; 0 is one
        /// connection.
        pub concurrent_layer_fetch_buffer: Option<i64> = [V2_1 => Int(0)];
        /// Refuse images for platforms that cannot be unpacked.
        pub check_platform_supported: Option<bool> = [V2_1 => Bool(false)];
        /// Layers that are unpacked at a time.
        pub max_concurrent_unpacks: Option<i64> = [V2_2 => Int(1)];
    }

    /// What unpacks a platform.
    pub struct UnpackConfig: Plain {
        /// The differ.
        pub differ: Option<String> = [Release::new(1, 7, 1) => Str("")];
        /// The platform.
        pub platform: Option<String> = [Release::new(1, 7, 1) => Str("")];
        /// The snapshotter.
        pub snapshotter: Option<String> = [Release::new(1, 7, 1) => Str("")];
        /// Media type of the configuration of the images it is for.
        pub config_type: Option<String> = [V2_1 => Str("")];
        /// Media types of the layers it is for.
        pub layer_types: Option<Vec<String>> = [V2_1 => Strs(&[])];
        /// Do without it where its snapshotter or differ is missing.
        pub optional: Option<bool> = [V2_3 => Bool(false)];
    }

    /// Programs that judge images before they are pulled.
    pub struct ImageVerifier: Plain {
        /// Their directory.
        pub bin_dir: Option<String> = [V2_0 => Str("/opt/containerd/image-verifier/bin")];
        /// How many are run.
        pub max_verifiers: Option<i64> = [V2_0 => Int(10)];
        /// Time that each has.
        pub per_verifier_timeout: Option<Duration> = [V2_0 => Str("10s")];
    }

    /// Shims.
    pub struct ShimManager: Plain {
        /// Their environment, `NAME=value`.
        pub env: Option<Vec<Secret>> = [V2_0 => Strs(&[])];
        /// Directory of their sockets.
        pub socket_dir: Option<String> = [V2_3 => Str("")];
    }

    /// The EROFS snapshotter.
    pub struct Erofs: Plain {
        /// Its directory.
        pub root_path: Option<String> = [V2_1 => Str("")];
        /// Options of its overlay mounts.
        pub ovl_mount_options: Option<Vec<String>> = [V2_1 => Strs(&[])];
        /// Protect layers with fs-verity.
        pub enable_fsverity: Option<bool> = [V2_1 => Bool(false)];
        /// Make layers immutable files.
        pub set_immutable: Option<bool> = [Release::new(2, 1, 4) => Bool(false)];
        /// Size of a container's writable layer.
        pub default_size: Option<String> = [V2_2 => Str("")];
        /// Whether layers are checked with dm-verity.
        pub dmverity_mode: Option<String> = [V2_3 => Str("")];
        /// Directories in which the content of layers may be found.
        pub layer_content_caches: Option<Vec<String>> = [V2_4 => Strs(&[])];
    }

    /// The EROFS differ.
    pub struct ErofsDiffer: Plain {
        /// Options of `mkfs.erofs`.
        pub mkfs_options: Option<Vec<Secret>> = [V2_1 => Strs(&[])];
        /// Index the tar file rather than convert it.
        pub enable_tar_index: Option<bool> = [V2_2 => Bool(false)];
        /// Add dm-verity data to layers.
        pub enable_dmverity: Option<bool> = [V2_3 => Bool(false)];
    }
}
