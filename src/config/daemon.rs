//! The daemon's own settings: everything outside of `plugins`.

use super::declare::{Duration, Map, Secret, sections};
use super::plugins::Plugins;
use crate::containerd::Release;
use crate::containerd::releases::*;
use crate::containerd::setting::{Builtin, Concern, History, Merge, State::*, version};

// The plugins that config version 4 (containerd 2.3) makes of the servers.
const SERVER_GRPC: &str = "io.containerd.server.v1.grpc";
const SERVER_GRPC_TCP: &str = "io.containerd.server.v1.grpc-tcp";
const SERVER_TTRPC: &str = "io.containerd.server.v1.ttrpc";
const SERVER_DEBUG: &str = "io.containerd.server.v1.debug";
const SERVER_METRICS: &str = "io.containerd.server.v1.metrics";
const METRICS_GRPC: &str = "io.containerd.metrics.v1.grpc-prometheus";

const fn entry(key: &'static str, history: History) -> Builtin {
    Builtin {
        key,
        history,
        inside: &[],
    }
}

const TIMEOUTS: &[Builtin] = &[
    entry("io.containerd.timeout.bolt.open", &[(V1_6, Str("0s"))]),
    entry(
        "io.containerd.timeout.cri.defercleanup",
        &[(V2_1, Str("1m0s"))],
    ),
    entry(
        "io.containerd.timeout.metrics.shimstats",
        &[(V1_7, Str("2s"))],
    ),
    entry("io.containerd.timeout.shim.cleanup", &[(V1_3, Str("5s"))]),
    entry("io.containerd.timeout.shim.load", &[(V1_3, Str("5s"))]),
    entry("io.containerd.timeout.shim.shutdown", &[(V1_3, Str("3s"))]),
    entry("io.containerd.timeout.task.state", &[(V1_3, Str("2s"))]),
];

/// The decoder of encrypted layers that containerd brings along, for one
/// media type.
macro_rules! decoder {
    ($key:literal, $accepts:literal, $returns:literal) => {
        Builtin {
            key: $key,
            history: &[(V1_5, Hidden)],
            inside: &[
                entry("accepts", &[(V1_5, Strs(&[$accepts]))]),
                entry("args", &[(V1_5, Strs(&["--decryption-keys-path", "/etc/containerd/ocicrypt/keys"]))]),
                entry("env", &[(V1_5, Strs(&["OCICRYPT_KEYPROVIDER_CONFIG=/etc/containerd/ocicrypt/ocicrypt_keyprovider.conf"]))]),
                entry("path", &[(V1_5, Str("ctd-decoder"))]),
                entry("returns", &[(V1_5, Str($returns))]),
            ],
        }
    };
}

const DECODERS: &[Builtin] = &[
    decoder!(
        "io.containerd.ocicrypt.decoder.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+encrypted",
        "application/vnd.oci.image.layer.v1.tar"
    ),
    decoder!(
        "io.containerd.ocicrypt.decoder.v1.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ),
];

sections! {
    /// A containerd config file.
    pub struct Config: Plain {
        /// The config version; a file without one is of version 1.
        pub version: Option<i64> = [V1_3 => Int(2), V2_0 => Int(3), V2_3 => Int(4)], .owned("k0s writes the main file, whose version counts");
        /// Files that are loaded after this one.
        pub imports: Option<Vec<String>> = [V1_3 => Hidden, V1_5 => Strs(&[]), V2_2 => Strs(&["/etc/containerd/conf.d/*.toml"])], .owned("k0s writes the list of imports itself").merge(Merge::Append);
        /// Where images and snapshots are kept.
        pub root: Option<String> = [V1_2 => Str("/var/lib/containerd")], .owned("k0s starts containerd with --root");
        /// Where the state of running containers is kept.
        pub state: Option<String> = [V1_2 => Str("/run/containerd")], .owned("k0s starts containerd with --state");
        /// Directory for temporary files.
        pub temp: Option<String> = [V1_6 => Str("")];
        /// Deprecated: directory of plugins that are loaded at start.
        pub plugin_dir: Option<String> = [V1_3 => Str(""), V2_1 => Absent];
        /// The daemon's OOM score.
        pub oom_score: Option<i64> = [V1_2 => Int(0)];
        /// Plugins that are not loaded.
        pub disabled_plugins: Option<Vec<String>> = [V1_2 => Hidden, V1_3 => Strs(&[])], .merge(Merge::Append);
        /// Plugins without which the daemon does not start.
        pub required_plugins: Option<Vec<String>> = [V1_3 => Strs(&[])], .merge(Merge::Append);
        /// The gRPC server.
        pub grpc: Grpc = [V1_2 => Hidden], .moved(version(4), &["plugins", SERVER_GRPC]);
        /// The ttrpc server.
        pub ttrpc: Ttrpc = [V1_3 => Hidden], .moved(version(4), &["plugins", SERVER_TTRPC]);
        /// Logs and the debug server.
        pub debug: Debug = [V1_2 => Hidden];
        /// The metrics server.
        pub metrics: Metrics = [V1_2 => Hidden];
        /// The daemon's cgroup.
        pub cgroup: Cgroup = [V1_2 => Hidden];
        /// Time limits by name.
        pub timeouts: Map<Duration> = [V1_3 => Hidden], .builtins(TIMEOUTS).merge(Merge::Entry);
        /// Settings by plugin.
        pub plugins: Plugins = [V1_2 => Hidden], .merge(Merge::Entry).about(Concern::Plugin);
        /// Plugins that run as processes of their own.
        pub proxy_plugins: Map<ProxyPlugin> = [V1_2 => Hidden], .merge(Merge::Entry).about(Concern::ProxyPlugins);
        /// Programs that decode layers.
        pub stream_processors: Map<StreamProcessor> = [V1_3 => Hidden], .builtins(DECODERS).merge(Merge::Entry).about(Concern::StreamProcessors);
    }

    /// The gRPC server.
    pub struct Grpc: Plain {
        /// Its socket.
        pub address: Option<String> = [V1_2 => Str("/run/containerd/containerd.sock")], .owned("k0s starts containerd with --address");
        /// Owner of the socket.
        pub uid: Option<i64> = [V1_2 => Int(0)], .beside("address");
        /// Group of the socket.
        pub gid: Option<i64> = [V1_2 => Int(0)], .beside("address");
        /// Address of the TCP server.
        pub tcp_address: Option<String> = [V1_3 => Str("")], .moved(version(4), &["plugins", SERVER_GRPC_TCP, "address"]);
        /// CA certificates of the TCP server.
        pub tcp_tls_ca: Option<String> = [V1_6 => Str("")], .moved(version(4), &["plugins", SERVER_GRPC_TCP, "tls_ca"]).beside("tcp_address");
        /// Certificate of the TCP server.
        pub tcp_tls_cert: Option<String> = [V1_3 => Str("")], .moved(version(4), &["plugins", SERVER_GRPC_TCP, "tls_cert"]).beside("tcp_address");
        /// Key of the TCP server.
        pub tcp_tls_key: Option<String> = [V1_3 => Str("")], .moved(version(4), &["plugins", SERVER_GRPC_TCP, "tls_key"]).beside("tcp_address");
        /// Largest message to receive, in bytes.
        pub max_recv_message_size: Option<i64> = [V1_2 => Int(16777216)];
        /// Largest message to send, in bytes.
        pub max_send_message_size: Option<i64> = [V1_2 => Int(16777216)];
        /// Common name that the certificate of a client of the TCP server has.
        pub tcp_tls_common_name: Option<String> = [V2_2 => Str("")], .moved(version(4), &["plugins", SERVER_GRPC_TCP, "tls_common_name"]).beside("tcp_address");
        /// Largest message for the TCP server to receive, in bytes.
        pub tcp_max_recv_message_size: Option<i64> = [V2_3 => Int(16777216)], .only_at(version(3), &["plugins", SERVER_GRPC_TCP, "max_recv_message_size"]);
        /// Largest message for the TCP server to send, in bytes.
        pub tcp_max_send_message_size: Option<i64> = [V2_3 => Int(16777216)], .only_at(version(3), &["plugins", SERVER_GRPC_TCP, "max_send_message_size"]);
    }

    /// The ttrpc server.
    pub struct Ttrpc: Plain {
        /// Its socket; `grpc.address` with `.ttrpc` behind it where empty.
        pub address: Option<String> = [V1_3 => Str(""), V2_3 => Str("/run/containerd/containerd.sock.ttrpc")];
        /// Owner of the socket.
        pub uid: Option<i64> = [V1_3 => Int(0)], .beside("address");
        /// Group of the socket.
        pub gid: Option<i64> = [V1_3 => Int(0)], .beside("address");
    }

    /// Logs and the debug server.
    pub struct Debug: Plain {
        /// Socket of the debug server.
        pub address: Option<String> = [V1_2 => Str("")], .moved_into(version(4), &["plugins", SERVER_DEBUG]);
        /// Owner of the socket.
        pub uid: Option<i64> = [V1_2 => Int(0)], .moved_into(version(4), &["plugins", SERVER_DEBUG]).beside("address");
        /// Group of the socket.
        pub gid: Option<i64> = [V1_2 => Int(0)], .moved_into(version(4), &["plugins", SERVER_DEBUG]).beside("address");
        /// Log level.
        pub level: Option<String> = [V1_2 => Str("")], .owned("k0s starts containerd with --log-level");
        /// Log format: `text` or `json`.
        pub format: Option<String> = [V1_5 => Str("")];
        /// Add the id of the trace to log lines.
        pub log_trace_id: Option<bool> = [V2_3 => Bool(false)];
    }

    /// The metrics server.
    pub struct Metrics: Plain {
        /// Its TCP address.
        pub address: Option<String> = [V1_2 => Str("")], .moved_into(version(4), &["plugins", SERVER_METRICS]);
        /// Export histograms of gRPC calls.
        pub grpc_histogram: Option<bool> = [V1_2 => Bool(false)], .moved_into(version(4), &["plugins", METRICS_GRPC]);
    }

    /// The daemon's cgroup.
    pub struct Cgroup: Plain {
        /// Its path.
        pub path: Option<String> = [V1_2 => Str("")];
    }

    /// A plugin that runs as a process of its own.
    pub struct ProxyPlugin: Plain {
        /// `snapshot` or `content`.
        pub r#type ["type"]: Option<String> = [V1_2 => Hidden];
        /// Its socket.
        pub address: Option<String> = [V1_2 => Hidden];
        /// The platform it serves.
        pub platform: Option<String> = [Release::new(1, 6, 32) => Hidden, V1_7 => Absent, Release::new(1, 7, 16) => Hidden];
        /// What it tells others of itself.
        pub exports: Map<Secret> = [Release::new(1, 6, 32) => Hidden, V1_7 => Absent, Release::new(1, 7, 16) => Hidden];
        /// What it can do.
        pub capabilities: Option<Vec<String>> = [Release::new(1, 7, 23) => Hidden];
    }

    /// A program that decodes layers.
    pub struct StreamProcessor: Plain {
        /// Media types it reads.
        pub accepts: Option<Vec<String>> = [V1_3 => Hidden];
        /// Media type it writes.
        pub returns: Option<String> = [V1_3 => Hidden];
        /// Its binary.
        pub path: Option<String> = [V1_3 => Hidden];
        /// Its arguments.
        pub args: Option<Vec<Secret>> = [V1_3 => Hidden];
        /// Its environment.
        pub env: Option<Vec<Secret>> = [V1_5 => Hidden];
    }
}
