//! Settings that the code knows by name, each once. One that is not declared does
//! not compile.

use super::table::{ANY, Known, Row};
use crate::containerd::Release;
use crate::containerd::handler::LINUX_V1;
use crate::containerd::plugin::{
    BLOCKFILE, BOLT, CRI, DEVMAPPER, DIFF_SERVICE, OTLP, SHIM_MANAGER, TASK, TRACING, TRANSFER,
};
use crate::containerd::setting::SucceededBy;

/// The setting at a path of version 2, in which [`ANY`] stands for a name.
macro_rules! setting {
    ($($key:expr),+) => {
        Known::at(&[$($key),+])
    };
}

/// A setting of CRI.
macro_rules! cri {
    ($($key:expr),+) => {
        setting!["plugins", CRI, $($key),+]
    };
}

/// A setting of any runtime handler.
macro_rules! handler {
    ($($key:expr),+) => {
        cri!["containerd", "runtimes", ANY, $($key),+]
    };
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $setting:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: Known = $setting;)+
    };
}

settings! {
    VERSION = setting!["version"];
    IMPORTS = setting!["imports"];
    DISABLED_PLUGINS = setting!["disabled_plugins"];
    REQUIRED_PLUGINS = setting!["required_plugins"];
    TIMEOUTS = setting!["timeouts"];
    PLUGINS = setting!["plugins"];
    PROXY_PLUGINS = setting!["proxy_plugins"];
    PROXY_TYPE = setting!["proxy_plugins", ANY, "type"];
    PROXY_ADDRESS = setting!["proxy_plugins", ANY, "address"];
    STREAM_PROCESSORS = setting!["stream_processors"];
    LOG_FORMAT = setting!["debug", "format"];

    GRPC = setting!["grpc"];
    GRPC_ADDRESS = setting!["grpc", "address"];
    TCP_ADDRESS = setting!["grpc", "tcp_address"];
    TCP_TLS_CERT = setting!["grpc", "tcp_tls_cert"];
    TCP_TLS_KEY = setting!["grpc", "tcp_tls_key"];
    TTRPC = setting!["ttrpc"];
    TTRPC_ADDRESS = setting!["ttrpc", "address"];
    DEBUG_ADDRESS = setting!["debug", "address"];
    METRICS_ADDRESS = setting!["metrics", "address"];

    CRI_PLUGIN = setting!["plugins", CRI];
    SANDBOX_IMAGE = cri!["sandbox_image"];
    SYSTEMD_CGROUP = cri!["systemd_cgroup"];
    DISABLE_CGROUP = cri!["disable_cgroup"];
    STATS_COLLECT_PERIOD = cri!["stats_collect_period"];
    RUNTIME_STATS_COLLECT_PERIOD = cri!["runtime_stats_collect_period"];
    DISABLE_TCP_SERVICE = cri!["disable_tcp_service"];
    STREAM_SERVER_PORT = cri!["stream_server_port"];
    ENABLE_TLS_STREAMING = cri!["enable_tls_streaming"];
    STREAM_CERT = cri!["x509_key_pair_streaming", "tls_cert_file"];
    STREAM_KEY = cri!["x509_key_pair_streaming", "tls_key_file"];

    /// It leaves pulling to CRI.
    USE_LOCAL_IMAGE_PULL = cri!["use_local_image_pull"];
    IMAGE_PULL_WITH_SYNC_FS = cri!["image_pull_with_sync_fs"];
    IMAGE_PULL_PROGRESS_TIMEOUT = cri!["image_pull_progress_timeout"];
    MAX_CONCURRENT_DOWNLOADS = cri!["max_concurrent_downloads"];
    RUNTIME_PLATFORMS = cri!["runtime_platforms"];
    HANDLERS_PLATFORM = cri!["runtime_platforms", ANY, "platform"];
    HANDLERS_UNPACKED_WITH = cri!["runtime_platforms", ANY, "snapshotter"];

    REGISTRY = cri!["registry"];
    /// Where `hosts.toml` files are looked for.
    CONFIG_PATH = cri!["registry", "config_path"];
    MIRRORS = cri!["registry", "mirrors"];
    CONFIGS = cri!["registry", "configs"];
    AUTHS = cri!["registry", "auths"];
    AUTHS_ENTRY = cri!["registry", "auths", ANY];
    HOSTS_AUTH = cri!["registry", "configs", ANY, "auth"];
    HOSTS_TLS = cri!["registry", "configs", ANY, "tls"];
    HOSTS_CERT = cri!["registry", "configs", ANY, "tls", "cert_file"];
    HOSTS_KEY = cri!["registry", "configs", ANY, "tls", "key_file"];

    BIN_DIR = cri!["cni", "bin_dir"];
    BIN_DIRS = cri!["cni", "bin_dirs"];
    IP_PREF = cri!["cni", "ip_pref"];

    CONTAINERD = cri!["containerd"];
    SNAPSHOTTER = cri!["containerd", "snapshotter"];
    DISABLE_SNAPSHOT_ANNOTATIONS = cri!["containerd", "disable_snapshot_annotations"];
    DISCARD_UNPACKED_LAYERS = cri!["containerd", "discard_unpacked_layers"];
    NO_PIVOT = cri!["containerd", "no_pivot"];
    DEFAULT_RUNTIME_NAME = cri!["containerd", "default_runtime_name"];
    DEFAULT_RUNTIME = cri!["containerd", "default_runtime"];
    DEFAULT_RUNTIME_TYPE = cri!["containerd", "default_runtime", "runtime_type"];
    UNTRUSTED_WORKLOAD_RUNTIME = cri!["containerd", "untrusted_workload_runtime"];

    /// The runtime handlers.
    RUNTIMES = cri!["containerd", "runtimes"];
    HANDLER = cri!["containerd", "runtimes", ANY];
    RUNTIME_TYPE = handler!["runtime_type"];
    RUNTIME_ENGINE = handler!["runtime_engine"];
    RUNTIME_PATH = handler!["runtime_path"];
    RUNTIME_ROOT = handler!["runtime_root"];
    OPTIONS = handler!["options"];
    CRIU_PATH = handler!["options", "CriuPath"];
    HANDLERS_SNAPSHOTTER = handler!["snapshotter"];
    SANDBOX_MODE = handler!["sandbox_mode"];
    IO_TYPE = handler!["io_type"];
    CGROUP_WRITABLE = handler!["cgroup_writable"];
    WITHOUT_HOST_DEVICES = handler!["privileged_without_host_devices"];
    ALL_DEVICES_ALLOWED = handler!["privileged_without_host_devices_all_devices_allowed"];

    /// The plugin of the first shim.
    LINUX = setting!["plugins", LINUX_V1];
    CONTENT_SHARING_POLICY = setting!["plugins", BOLT, "content_sharing_policy"];
    POOL_NAME = setting!["plugins", DEVMAPPER, "pool_name"];
    BASE_IMAGE_SIZE = setting!["plugins", DEVMAPPER, "base_image_size"];
    FS_TYPE = setting!["plugins", DEVMAPPER, "fs_type"];
    SCRATCH_FILE = setting!["plugins", BLOCKFILE, "scratch_file"];
    DIFFERS = setting!["plugins", DIFF_SERVICE, "default"];
    TASK_MANAGER = setting!["plugins", TASK];
    TASK_PLATFORMS = setting!["plugins", TASK, "platforms"];
    SCHED_CORE = setting!["plugins", TASK, "sched_core"];
    SHIMS = setting!["plugins", SHIM_MANAGER];
    SHIM_ENVIRONMENT = setting!["plugins", SHIM_MANAGER, "env"];
    SHIM_SOCKET_DIR = setting!["plugins", SHIM_MANAGER, "socket_dir"];
    /// What the transfer service unpacks with.
    UNPACK_CONFIG = setting!["plugins", TRANSFER, "unpack_config"];
    CHECK_PLATFORM_SUPPORTED = setting!["plugins", TRANSFER, "check_platform_supported"];
    TRACE_ENDPOINT = setting!["plugins", OTLP, "endpoint"];
    TRACE_PROTOCOL = setting!["plugins", OTLP, "protocol"];
    TRACE_INSECURE = setting!["plugins", OTLP, "insecure"];
    TRACE_SAMPLING_RATIO = setting!["plugins", TRACING, "sampling_ratio"];
    TRACE_SERVICE_NAME = setting!["plugins", TRACING, "service_name"];
}

/// A setting of which a later release made a list.
#[derive(Clone, Debug)]
pub(crate) struct MadeList {
    /// Its table, by the path in version 2.
    pub(crate) table: Vec<&'static str>,
    pub(crate) key: &'static str,
    /// The key of the list in the same table.
    pub(crate) list: &'static str,
    pub(crate) since: Release,
}

impl MadeList {
    /// All.
    pub(crate) fn all() -> impl Iterator<Item = MadeList> {
        let successors = Row::all().filter_map(|row| Some((row, row.entry().setting?.successor?)));
        successors.filter_map(|(row, successor)| {
            let SucceededBy::List(list) = successor.by else {
                return None;
            };
            let mut table = row.path();
            let key = table.pop()?;
            let since = successor.since;
            Some(MadeList {
                table,
                key,
                list,
                since,
            })
        })
    }

    /// The paths of the setting and of the list.
    pub(crate) fn paths(&self) -> [Vec<&'static str>; 2] {
        [self.key, self.list].map(|key| self.table.iter().copied().chain([key]).collect())
    }
}

/// A server's settings that have an effect only beside its address.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The path of the address in version 2.
    pub(crate) address: Vec<&'static str>,
    pub(crate) settings: Vec<Vec<&'static str>>,
}

impl Server {
    /// All, by their addresses.
    pub(crate) fn all() -> Vec<Server> {
        let mut servers: Vec<Server> = Vec::new();
        for row in Row::all() {
            let Some(key) = row.entry().setting.and_then(|setting| setting.beside) else {
                continue;
            };
            let setting = row.path();
            let mut address = setting.clone();
            if let Some(last) = address.last_mut() {
                *last = key;
            }
            match servers.iter_mut().find(|server| server.address == address) {
                Some(server) => server.settings.push(setting),
                None => servers.push(Server {
                    address,
                    settings: vec![setting],
                }),
            }
        }
        servers.sort_by(|a, b| a.address.cmp(&b.address));
        servers
    }

    /// The settings beside this address.
    pub(crate) fn beside(address: Known) -> Vec<Vec<&'static str>> {
        let is_beside = |row: &Row| {
            row.entry().setting.and_then(|setting| setting.beside) == Some(address.key())
        };
        let settings = address.row.parent().below().filter(is_beside);
        settings.map(Row::path).collect()
    }
}
