//! The plugins and their settings, by URI.

use super::cri::Cri;
use super::declare::{Duration, sections};
use crate::containerd::Release;
use crate::containerd::releases::*;
use crate::containerd::setting::State::{self, *};

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
        pub cri ["io.containerd.grpc.v1.cri"]: Cri = [V1_2 => Hidden];
        /// Garbage collection.
        pub gc_scheduler ["io.containerd.gc.v1.scheduler"]: GcScheduler = [V1_2 => Hidden];
        /// Optional binaries.
        pub opt ["io.containerd.internal.v1.opt"]: Opt = [V1_2 => Hidden];
        /// Restarting containers.
        pub restart ["io.containerd.internal.v1.restart"]: Restart = [V1_2 => Hidden];
        /// Traces.
        pub tracing ["io.containerd.internal.v1.tracing"]: Tracing = [V1_6 => Hidden];
        /// The metadata store.
        pub bolt ["io.containerd.metadata.v1.bolt"]: Bolt = [V1_3 => Hidden];
        /// cgroup metrics.
        pub cgroups ["io.containerd.monitor.v1.cgroups"]: CgroupsMonitor = [V1_2 => Hidden];
        /// The Node Resource Interface.
        pub nri ["io.containerd.nri.v1.nri"]: Nri = [V1_7 => Hidden];
        /// Deprecated: the first shim.
        pub linux ["io.containerd.runtime.v1.linux"]: LinuxRuntime = [V1_2 => Hidden];
        /// Tasks.
        pub task ["io.containerd.runtime.v2.task"]: TaskManager = [V1_3 => Hidden];
        /// The diff service.
        pub diff_service ["io.containerd.service.v1.diff-service"]: DiffService = [V1_2 => Hidden];
        /// The tasks service.
        pub tasks_service ["io.containerd.service.v1.tasks-service"]: TasksService = [V1_6 => Hidden];
        /// Deprecated: the aufs snapshotter.
        pub aufs ["io.containerd.snapshotter.v1.aufs"]: Snapshotter = [V1_5 => Hidden];
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
        ];
        /// Name under which traces are sent.
        pub service_name: Option<String> = [
            V1_6 => Str("containerd"),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str("containerd"),
            Release::new(1, 7, 16) => Hidden,
        ];
    }

    /// The metadata store.
    pub struct Bolt: Plain {
        /// `shared` or `isolated` content between namespaces.
        pub content_sharing_policy: Option<String> = [V1_3 => Str("shared")];
    }

    /// cgroup metrics.
    pub struct CgroupsMonitor: Plain {
        /// Do not export metrics.
        pub no_prometheus: Option<bool> = [V1_2 => Bool(false)];
    }

    /// The Node Resource Interface.
    pub struct Nri: Plain {
        /// Switch it off.
        pub disable: Option<bool> = [V1_7 => Bool(true)];
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
    }

    /// Deprecated: the first shim, `io.containerd.runtime.v1.linux`.
    pub struct LinuxRuntime: Plain {
        /// The shim's binary.
        pub shim: Option<String> = [V1_2 => Str("containerd-shim")];
        /// The runtime's binary.
        pub runtime: Option<String> = [V1_2 => Str("runc")];
        /// The runtime's state directory.
        pub runtime_root: Option<String> = [V1_2 => Str("")];
        /// Do without a shim.
        pub no_shim: Option<bool> = [V1_2 => Bool(false)];
        /// Let the shim log debug messages.
        pub shim_debug: Option<bool> = [V1_2 => Bool(false)];
    }

    /// Tasks.
    pub struct TaskManager: Plain {
        /// Platforms whose images run here.
        pub platforms: Option<Vec<String>> = [V1_3 => Strs(&["linux/amd64"])];
        /// Use core scheduling.
        pub sched_core: Option<bool> = [V1_6 => Bool(false)];
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
        pub fs_options: Option<String> = [V1_6 => Str("")];
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
    }

    /// Deprecated: where traces are sent.
    pub struct Otlp: Plain {
        /// URL of the collector.
        pub endpoint: Option<String> = [
            V1_6 => Str(""),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str(""),
            Release::new(1, 7, 16) => Hidden,
        ];
        /// `http/protobuf` or `grpc`.
        pub protocol: Option<String> = [
            V1_6 => Str(""),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Str(""),
            Release::new(1, 7, 16) => Hidden,
        ];
        /// Send without TLS.
        pub insecure: Option<bool> = [
            V1_6 => Bool(false),
            Release::new(1, 6, 32) => Hidden,
            V1_7 => Bool(false),
            Release::new(1, 7, 16) => Hidden,
        ];
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
        ];
    }

    /// What unpacks a platform.
    pub struct UnpackConfig: Plain {
        /// The differ.
        pub differ: Option<String> = [Release::new(1, 7, 1) => Str("")];
        /// The platform.
        pub platform: Option<String> = [Release::new(1, 7, 1) => Str("")];
        /// The snapshotter.
        pub snapshotter: Option<String> = [Release::new(1, 7, 1) => Str("")];
    }
}
