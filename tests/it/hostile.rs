//! Inputs that nobody would write: large, deep, odd. On a thread with 512 KiB
//! of stack, as embedders may have.

use std::time::{Duration, Instant};

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Finding};
use containerd_dropins::migrate::{Options, Target, plan, plan_drop_ins};

use crate::support;

/// The time that this thread had of a processor, where Linux tells it: what else
/// the machine does is none of the text's doing.
fn worked(start: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Whether it parsed; the plan must then come in bounded time, without a
/// defect.
#[track_caller]
fn survives(text: String) -> bool {
    survives_within(Duration::from_secs(120), text)
}

#[track_caller]
fn survives_within(time: Duration, text: String) -> bool {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    let work = move || {
        let start = Instant::now();
        let Ok(document) = Document::parse("t.toml", text.as_bytes()) else {
            return false;
        };
        let [old, new] = ["1.30.4", "1.36.3"].map(|k0s| Target::find(k0s).unwrap());
        let options = Options::default();
        let existing = support::existing("", std::slice::from_ref(&document), &[]);
        let plans = [
            plan(&document, &[], &old, &options),
            plan(&document, &[], &new, &options),
            plan_drop_ins(&existing, &new, &options),
        ];
        for plan in plans {
            let defect = |f: &&Finding| f.code == Code::Internal;
            assert_eq!(plan.findings.iter().find(defect), None);
        }
        let worked = worked(start);
        assert!(worked < time, "{worked:?}");
        true
    };
    thread.spawn(work).unwrap().join().unwrap()
}

const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";

#[test]
fn nesting_as_deep_as_the_parser_allows() {
    let mut deepest = 0;
    for depth in (10..200).step_by(5) {
        let dots = "a.".repeat(depth);
        let inline = format!("{}1{}", "{ b = ".repeat(depth / 2), " }".repeat(depth / 2));
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let header = survives(format!("version = 2\n[{dots}a]\nx = {inline}\n"));
        let cri = survives(format!("version = 2\n[{CRI}.{dots}a]\nx = {inline}\n"));
        let array = survives(format!("version = 2\n[{CRI}]\nx = {arrays}\n"));
        if header && cri && array {
            deepest = depth;
        }
    }
    assert!((50..100).contains(&deepest), "{deepest}");
    assert!(!survives(format!("[{}a]\n", "a.".repeat(200_000))));
    assert!(!survives(format!("a = {}\n", "[".repeat(200_000))));
    assert!(!survives(format!("a = {}\n", "{a=".repeat(200_000))));
}

#[test]
fn many_of_everything() {
    let many = |line: &dyn Fn(usize) -> String| (0..3000).map(line).collect::<String>();
    let v2 = "version = 2\n";
    assert!(survives(format!(
        "{v2}{}",
        many(&|n| format!("[{CRI}.containerd.runtimes.r{n}]\nruntime_type = \"t\"\n"))
    )));
    assert!(survives(format!(
        "{v2}{}",
        many(&|n| format!("[plugins.\"io.containerd.x.v1.p{n}\"]\na = {n}\n"))
    )));
    assert!(survives(format!(
        "{v2}{}",
        many(&|n| format!("k{n} = {n}\n"))
    )));
    assert!(survives(format!(
        "{v2}{}",
        many(&|n| format!("[proxy_plugins.p{n}]\ntype = \"snapshot\"\n"))
    )));
    assert!(survives(format!(
        "{v2}{}",
        many(&|n| format!("[[{CRI}.x]]\ny = {n}\n"))
    )));
    assert!(survives(many(&|n| format!("[plugins.p{n}]\na = {n}\n"))));
    assert!(survives(format!(
        "{v2}disabled_plugins = [{}]\n",
        many(&|n| format!("\"io.containerd.x.v1.p{n}\","))
    )));
}

/// Half a minute of this would be a look-up per pair of entries.
#[test]
fn long_lists_take_no_square_of_time() {
    let ids: String = (0..100_000)
        .map(|n| format!("\"io.containerd.x.v1.p{n}\","))
        .collect();
    let text = format!("version = 2\ndisabled_plugins = [{ids}]\n");
    assert!(survives_within(Duration::from_secs(30), text));
}

/// Lists that name what is in other lists.
#[test]
fn crossed_lists_take_no_product_of_time() {
    const MANY: usize = 2_000;
    let all = |entry: &dyn Fn(usize) -> String| (0..MANY).map(entry).collect::<String>();
    let list = |entry: &dyn Fn(usize) -> String| {
        let entries: Vec<String> = (0..MANY).map(|at| format!("{:?}", entry(at))).collect();
        format!("[{}]\n", entries.join(", "))
    };
    let id = |at| format!("io.containerd.snapshotter.v1.p{at}");
    let proxies = all(&|at| format!("[proxy_plugins.p{at}]\ntype = \"snapshot\"\n"));
    let handlers = all(&|at| {
        format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.r{at}]\nsnapshotter = \"p{at}\"\n"
        )
    });
    let mirrors = list(&|at| format!("https://m{at}.example"));
    let tls = all(&|at| {
        format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"m{at}.example\".tls]\ninsecure_skip_verify = true\n"
        )
    });
    for text in [
        format!("required_plugins = {}{proxies}", list(&id)),
        format!("disabled_plugins = {}{handlers}", list(&id)),
        format!("{proxies}{handlers}"),
        format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"*\"]\nendpoint = {mirrors}{tls}"
        ),
    ] {
        assert!(survives(format!("version = 2\n{text}")));
    }
}

#[test]
fn ten_megabytes() {
    let hosts = (0..10_000).map(|n| {
        let endpoint = "e".repeat(900);
        format!("[{CRI}.registry.mirrors.\"h{n}.example\"]\nendpoint = [\"https://{endpoint}\"]\n")
    });
    let text = format!("version = 2\n{}", hosts.collect::<String>());
    assert!(text.len() > 9_000_000);
    assert!(survives(text));
    assert!(survives(format!(
        "version = 2\nx = \"{}\"\n",
        "y".repeat(10_000_000)
    )));
    assert!(survives("#\n".repeat(5_000_000)));
}

#[test]
fn odd_values_in_odd_places() {
    for text in [
        "plugins = 3\n",
        "[[plugins]]\na = 1\n",
        "version = 2\nplugins = [1]\n",
        "version = 2\n[plugins]\n\"io.containerd.grpc.v1.cri\" = true\n",
        "version = 2\n[[plugins.\"io.containerd.grpc.v1.cri\"]]\n",
        "version = 2\n[plugins.\"\"]\na = 1\n",
        "version = 2\nimports = 5\ndisabled_plugins = [1, [\"cri\"]]\n",
        "version = 2\nimports = [\"\", \"[*\", \"*\", \"/\"]\n",
        "proxy_plugins = 1\nstream_processors = []\ntimeouts = \"x\"\n",
        "[proxy_plugins]\na = 1\n",
        "[proxy_plugins.a]\ntype = 5\n",
        "[stream_processors.\"io.containerd.ocicrypt.decoder.v1.tar\"]\nargs = 1\n",
        "root = { a = 1 }\ngrpc = 1\n[debug.level]\na = 1\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n\"a]b\" = { endpoint = [\"x\"] }\n\"c\\nd\" = {}\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nx = nan\ny = 1979-05-27\nz = \"\\u007f\"\nw = 1.0\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime = 1\nruntimes = []\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.default_runtime]\nruntime_type = 1\noptions = 2\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.auths.\"://\"]\nusername = \"x\"\n",
        "version = 3\n[plugins]\n\"io.containerd.cri.v1.images\" = 1\n\"io.containerd.cri.v1.runtime\" = []\n",
        "version = 3\n[plugins.\"io.containerd.cri.v1.images\"]\npinned_images = 1\nregistry = \"x\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\nregistry = 2\nsandbox_image = []\n",
        "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".cni]\nbin_dir = 1\nbin_dirs = 2\n[plugins.\"io.containerd.shim.v1.manager\"]\nenv = 3\n[plugins.\"io.containerd.runtime.v2.task\"]\nsched_core = \"x\"\n",
        "version = 4\ngrpc = 1\n[plugins.\"io.containerd.server.v1.grpc\"]\naddress = 5\n[plugins.\"io.containerd.grpc.v1.cri\"]\nstream_server_port = 5\n",
        "version = 3\nVersion = 2\nVERSION = \"x\"\n[Plugins]\n",
        "imports = [\"nested/a.toml\", 5]\ndisabled_plugins = 1\n",
    ] {
        assert!(survives(text.to_owned()), "{text}");
    }
}
