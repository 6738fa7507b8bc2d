//! Values and names: such as a person would write, or any.

use proptest::prelude::*;
use proptest::sample::select;

use super::plainest::one_of;
use crate::containerd::plugin;
use crate::containerd::setting::Kind;
use crate::value::Value;

/// Texts for settings of which containerd takes some only, by the ends of their
/// paths; the longest that fits counts.
const TEXTS: &[(&[&str], &[&str])] = &[
    (
        &["sandbox_image"],
        &[
            "registry.example/pause:3.9",
            "registry.example:5000/team/pause:1",
            "registry.k8s.io/pause:3.8",
            "registry.example/pause@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097",
        ],
    ),
    (&["snapshotter"], &["native", "overlayfs"]),
    (&["default_runtime_name"], &["runc"]),
    (&["runtime_type"], &["io.containerd.runc.v2"]),
    (&["sandbox_mode"], &["podsandbox"]),
    (&["io_type"], &["fifo"]),
    (&["ip_pref"], &["ipv6", "cni"]),
    (&["key_model"], &["", "node"]),
    (&["content_sharing_policy"], &["isolated", "shared"]),
    (&["debug", "format"], &["json", "text"]),
    (
        &["debug", "address"],
        &["/run/debug.sock", "127.0.0.1:1338"],
    ),
    (&["metrics", "address"], &["127.0.0.1:1338", "[::1]:1338"]),
    (&["tcp_address"], &["127.0.0.1:1339"]),
    (&["stream_server_address"], &["10.0.0.1", "::1"]),
    (&["stream_server_port"], &["10010"]),
    (&["stream_idle_timeout"], &["1h0m0s", "30m"]),
    (&["image_pull_progress_timeout"], &["9m0s", "1m"]),
    (&["drain_exec_sync_io_timeout"], &["10s"]),
    (&["runtime_stats_collect_period"], &["20s"]),
    (&["stats_retention_period"], &["1m"]),
    (&["platform"], &["linux/amd64", "linux/arm64"]),
    (&["platforms"], &["linux/amd64", "linux/arm64"]),
    (
        &["endpoint"],
        &["https://mirror.example", "http://10.0.0.1:5000"],
    ),
    (&["protocol"], &["grpc"]),
    (&["proxy_plugins", "*", "type"], &["snapshot"]),
    (&["proxy_plugins", "*", "address"], &["/run/proxy.sock"]),
    (&["auth", "auth"], &["bWU6aHVudGVyMg=="]),
    (&["default"], &["walking"]),
    (&["disabled_plugins"], &["io.containerd.snapshotter.v1.zfs"]),
    (&["required_plugins"], &[plugin::CRI]),
    (&["fs_type"], &["ext4", "xfs"]),
    (&["base_image_size"], &["10GB"]),
    (&["default_size"], &["1GB"]),
    (&["dmverity_mode"], &["auto"]),
    (&["socket_dir"], &["/run/shims"]),
];

/// The texts that containerd takes for a setting, if it does not take all.
fn texts(path: &[&str]) -> Option<&'static [&'static str]> {
    let fits = |(end, _): &&(&[&str], &[&str])| path.ends_with(end);
    let fitting = TEXTS.iter().filter(fits);
    fitting
        .max_by_key(|(end, _)| end.len())
        .map(|(_, texts)| *texts)
}

/// A value of a setting, by a number: the lower it is, the plainer the value.
/// With `any_text` all texts but the first two have what has to be escaped.
pub(super) fn value(path: &[&str], kind: Kind, number: usize, any_text: bool) -> Value {
    let text = |number: usize| match texts(path) {
        _ if any_text => odd(number),
        Some(known) => known
            .get(number % known.len().max(1))
            .map_or_else(String::new, |text| (*text).to_owned()),
        None => format!("/path/{number}"),
    };
    let int = |number: usize| i64::try_from(number).unwrap_or_default();
    match kind {
        Kind::Bool => Value::Boolean(number.is_multiple_of(2)),
        Kind::Int => Value::Integer(int(number % 1000) + 1),
        Kind::Float => {
            let tenth = u32::try_from(number % 10 + 1).unwrap_or_default();
            Value::Float(f64::from(tenth) / 20.0)
        }
        Kind::Duration => Value::String(format!("{}m1s", number % 1000 + 1)),
        Kind::Strs => {
            let count = number % 3 + 1;
            let mut items: Vec<String> = (0..count).map(|at| text(number + at)).collect();
            items.dedup();
            Value::Array(items.into_iter().map(Value::String).collect())
        }
        Kind::Bytes => Value::Array(vec![Value::Integer(int(number % 256))]),
        _ => Value::String(text(number)),
    }
}

/// Any text, by a number.
fn odd(number: usize) -> String {
    match number {
        0 => "a".to_owned(),
        1 => "b".to_owned(),
        number => format!("text \"{number}\" \\ é\t#"),
    }
}

fn is_odd(text: &str) -> bool {
    text.contains('\t') || text == odd(0) || text == odd(1)
}

/// Another value of the same type, by a number: the lower it is, the plainer.
pub(super) fn otherwise(value: &Value, number: usize) -> Value {
    let int = |number: usize| i64::try_from(number).unwrap_or_default() + 1;
    let of = |number: usize| match value {
        Value::Boolean(flag) => Value::Boolean(!flag),
        Value::Integer(_) => Value::Integer(int(number)),
        Value::String(text) if text.starts_with("/path/") => {
            Value::String(format!("/path/{number}"))
        }
        Value::String(text) if is_odd(text) => Value::String(odd(number)),
        other => other.clone(),
    };
    let made = of(number);
    if made == *value { of(number + 1) } else { made }
}

/// Names for entries of maps: the plain ones first.
const NAMES: &[&str] = &[
    "nvidia",
    "kata-qemu",
    "a.b",
    "x_1",
    "é",
    "Odd Name",
    "quoted \"name\"",
];

/// Names of runtime handlers; there is one called runc without being set.
pub(super) const HANDLERS: &[&str] = &["nvidia", "runc", "kata-qemu", "a.b"];

/// Names of registry hosts.
const HOSTS: &[&str] = &[
    "registry.example",
    "docker.io",
    "registry.example:5000",
    "quay.io",
    "10.0.0.1:5000",
    "localhost:5000",
    "mirror.example",
];

/// What mirrors stand under: `*` is for all hosts that have none.
const MIRRORED: &[&str] = &[
    "registry.example",
    "docker.io",
    "registry.example:5000",
    "*",
];

/// A name for an entry of the map that a path leads through, by a number.
pub(super) fn name(path: &[&str], number: usize, any_text: bool) -> &'static str {
    let is_in = |table: &str| path.contains(&table);
    let names = match any_text {
        _ if is_in("mirrors") => MIRRORED,
        _ if is_in("registry") => HOSTS,
        true => NAMES,
        false if is_in("runtimes") => HANDLERS,
        false => NAMES.get(..4).unwrap_or(NAMES),
    };
    names
        .get(number % names.len().max(1))
        .copied()
        .unwrap_or("x")
}

/// Registry hosts.
pub(super) fn hosts() -> impl Strategy<Value = String> {
    one_of(HOSTS.to_vec()).prop_map(str::to_owned)
}

/// The same, and a name for what is no host.
pub(super) fn hosts_and(other: &'static str) -> impl Strategy<Value = String> {
    let all = HOSTS.iter().copied().chain([other]).collect();
    one_of(all).prop_map(str::to_owned)
}

/// URLs of endpoints.
pub(super) fn urls() -> impl Strategy<Value = String> {
    let scheme = select(&["https", "http"][..]);
    let mut hosts = vec![
        "mirror.example",
        "10.0.0.1:5000",
        "cache.example:8443",
        "[fd00::1]:5000",
        "mirror.example:5000",
        "10.0.0.2",
    ];
    hosts.extend(HOSTS.iter().take(3));
    let host = one_of(hosts);
    let path = select(&["", "/v2/proxy", "/team"][..]);
    (scheme, host, path).prop_map(|(scheme, host, path)| format!("{scheme}://{host}{path}"))
}
