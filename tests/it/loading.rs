//! How containerd merges a main file and its imports, key by key: what
//! `Effective::load` says is what `config dump` printed. The answers are in
//! `recorded/loading`; `CONTAINERD_DIR=DIR RECORD=1` records them again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use containerd_dropins::Config;
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::Effective;
use containerd_dropins::value::{Table, Value};

use crate::support::{self, TempDir};
use crate::version_3::long;

/// The releases that were asked.
const RELEASES: [&str; 4] = ["1.4.13", "1.6.20", "1.7.24", "2.1.9"];
const OF_1_X: &[&str] = &["1.4.13", "1.6.20", "1.7.24"];
const OF_2_X: &[&str] = &["2.1.9"];

/// Files in the order in which containerd loads them, in short words, and the
/// settings to look at, by their paths in config version 2.
struct Case {
    name: &'static str,
    files: Vec<String>,
    paths: Vec<&'static str>,
    releases: &'static [&'static str],
}

fn case(name: &'static str, files: &[&str], paths: &[&'static str]) -> Case {
    Case {
        name,
        files: files.iter().map(|text| (*text).to_owned()).collect(),
        paths: paths.to_vec(),
        releases: &RELEASES,
    }
}

impl Case {
    fn of(self, releases: &'static [&'static str]) -> Case {
        Case { releases, ..self }
    }
}

const PAUSE: &str = "plugins|io.containerd.gc.v1.scheduler|pause_threshold";
const RUNTIMES: &str = "plugins|io.containerd.grpc.v1.cri|containerd|runtimes";

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "the last of three versions counts for all",
            &[
                "version = 2\n[GC]\npause_threshold = 0.03\n",
                "version = 1\n[plugins.scheduler]\npause_threshold = 0.04\n",
                "oom_score = 5\n",
            ],
            &[PAUSE, "oom_score"],
        ),
        case(
            "the first of three versions does not",
            &[
                "version = 1\n[plugins.scheduler]\npause_threshold = 0.04\n",
                "[CRI]\nenable_selinux = true\n",
                "version = 2\n[CRI]\nmax_container_log_line_size = 7\n",
            ],
            &["plugins|io.containerd.grpc.v1.cri|max_container_log_line_size"],
        )
        .of(OF_2_X),
        case(
            "version 0 is none",
            &[
                "version = 0\n[plugins.scheduler]\npause_threshold = 0.04\n",
                "version = 0\n[plugins.scheduler]\ndeletion_threshold = 4\n",
            ],
            &[PAUSE, "plugins|io.containerd.gc.v1.scheduler|deletion_threshold"],
        ),
        case(
            "version 0 changes nothing",
            &["version = 2\n[GC]\npause_threshold = 0.03\n", "version = 0\noom_score = 5\n"],
            &[PAUSE, "oom_score"],
        ),
        case(
            "version 1 on 1.x has short names only",
            &["version = 1\n[GC]\npause_threshold = 0.03\n[CRI]\nsandbox_image = \"a\"\n"],
            &[PAUSE, "plugins|io.containerd.grpc.v1.cri|sandbox_image"],
        )
        .of(OF_1_X),
        case(
            "no version on 1.x has short names only",
            &["[GC]\npause_threshold = 0.03\n[plugins.cri]\nsandbox_image = \"a\"\n"],
            &[PAUSE, "plugins|io.containerd.grpc.v1.cri|sandbox_image"],
        )
        .of(OF_1_X),
        case(
            "files of version 1 and none on 2.x have ids of all versions",
            &[
                "version = 1\n[GC]\npause_threshold = 0.03\n[plugins.opt]\npath = \"/a\"\n",
                "[IMAGES.pinned_images]\nsandbox = \"a\"\n[GC]\ndeletion_threshold = 4\n",
                "[plugins.tracing]\nservice_name = \"s\"\n[RUNTIME]\nenable_selinux = true\n",
            ],
            &[
                PAUSE,
                "plugins|io.containerd.gc.v1.scheduler|deletion_threshold",
                "plugins|io.containerd.internal.v1.opt|path",
                "plugins|io.containerd.grpc.v1.cri|sandbox_image",
                "plugins|io.containerd.grpc.v1.cri|enable_selinux",
                "plugins|io.containerd.internal.v1.tracing|service_name",
            ],
        )
        .of(OF_2_X),
        case(
            "lists of files of version 1 and none on 2.x",
            &[
                "version = 1\ndisabled_plugins = [\"restart\", \"restart\", \"nri\"]\n[plugins.nri]\nsocket_path = \"/n\"\n[plugins.cgroups]\nno_prometheus = true\n",
                "disabled_plugins = [\"a.b\", \"cri\", \"tasks-service\"]\nrequired_plugins = [\"opt\"]\n",
            ],
            &[
                "disabled_plugins",
                "required_plugins",
                "plugins|io.containerd.nri.v1.nri|socket_path",
            ],
        )
        .of(OF_2_X),
        case(
            "outside of plugins zero values override nothing",
            &[
                "version = 2\nroot = \"/main\"\noom_score = 5\n[grpc]\nuid = 7\naddress = \"/main.sock\"\n[debug]\nlevel = \"info\"\n[metrics]\ngrpc_histogram = true\n",
                "version = 2\nroot = \"/import\"\noom_score = 0\n[grpc]\nuid = 0\ngid = 3\naddress = \"\"\n[debug]\nlevel = \"\"\naddress = \"/dbg\"\n[metrics]\ngrpc_histogram = false\n",
                "version = 2\n[grpc]\ngid = 0\n",
            ],
            &[
                "root",
                "oom_score",
                "grpc|uid",
                "grpc|gid",
                "grpc|address",
                "debug|level",
                "debug|address",
                "metrics|grpc_histogram",
                "state",
            ],
        ),
        case(
            "timeouts override one by one, empty ones too",
            &[
                "version = 2\n[timeouts]\na = \"1s\"\nb = \"1s\"\nc = \"3s\"\n",
                "version = 2\n[timeouts]\nb = \"2s\"\nc = \"\"\n",
            ],
            &["timeouts|a", "timeouts|b", "timeouts|c", "timeouts|io.containerd.timeout.shim.load"],
        ),
        case(
            "entries outside of plugins are replaced whole",
            &[
                "version = 2\n[proxy_plugins.p1]\ntype = \"snapshot\"\naddress = \"/p1\"\n[proxy_plugins.p2]\ntype = \"snapshot\"\naddress = \"/p2\"\n[stream_processors.s1]\naccepts = [\"a\"]\nreturns = \"b\"\npath = \"p\"\nargs = [\"1\"]\n",
                "version = 2\n[proxy_plugins.p1]\ntype = \"content\"\n[stream_processors.s1]\npath = \"p10\"\n[stream_processors.\"io.containerd.ocicrypt.decoder.v1.tar\"]\npath = \"P\"\n",
            ],
            &[
                "proxy_plugins|p1|type",
                "proxy_plugins|p1|address",
                "proxy_plugins|p2|address",
                "stream_processors|s1|accepts",
                "stream_processors|s1|returns",
                "stream_processors|s1|path",
                "stream_processors|s1|args",
                "stream_processors|io.containerd.ocicrypt.decoder.v1.tar|path",
                "stream_processors|io.containerd.ocicrypt.decoder.v1.tar|args",
                "stream_processors|io.containerd.ocicrypt.decoder.v1.tar.gzip|path",
                "stream_processors|io.containerd.ocicrypt.decoder.v1.tar.gzip|args",
            ],
        ),
        case(
            "sections of plugins",
            &[
                "version = 2\n[DEVMAPPER]\nroot_path = \"/dm\"\npool_name = \"main\"\nasync_remove = true\n[OPT]\npath = \"/c\"\n[GC]\npause_threshold = 0.03\n",
                "version = 2\n[DEVMAPPER]\npool_name = \"import\"\nasync_remove = false\n[OPT]\n",
            ],
            &[
                "plugins|io.containerd.snapshotter.v1.devmapper|root_path",
                "plugins|io.containerd.snapshotter.v1.devmapper|pool_name",
                "plugins|io.containerd.snapshotter.v1.devmapper|async_remove",
                "plugins|io.containerd.internal.v1.opt|path",
                PAUSE,
            ],
        ),
        case(
            "values in CRI",
            &[
                "version = 3\n[RUNTIME]\nenable_selinux = true\nmax_container_log_line_size = 7\ncdi_spec_dirs = [\"/a\"]\n[RUNTIME.cni]\nconf_dir = \"/cni\"\nmax_conf_num = 9\n[IMAGES.pinned_images]\nsandbox = \"a\"\n",
                "version = 3\n[RUNTIME]\nenable_selinux = false\nmax_container_log_line_size = 0\ncdi_spec_dirs = [\"/b\"]\n[RUNTIME.cni]\nmax_conf_num = 0\n[IMAGES.pinned_images]\nother = \"b\"\n",
                "version = 3\n[RUNTIME]\ncdi_spec_dirs = []\n[IMAGES.pinned_images]\nsandbox = \"\"\n",
            ],
            &[
                "plugins|io.containerd.grpc.v1.cri|enable_selinux",
                "plugins|io.containerd.grpc.v1.cri|max_container_log_line_size",
                "plugins|io.containerd.grpc.v1.cri|cdi_spec_dirs",
                "plugins|io.containerd.grpc.v1.cri|cni|conf_dir",
                "plugins|io.containerd.grpc.v1.cri|cni|max_conf_num",
                "plugins|io.containerd.grpc.v1.cri|sandbox_image",
            ],
        )
        .of(OF_2_X),
        case(
            "what stands in a plugin that nobody knows",
            &[
                "version = 3\n[plugins.\"x.y\"]\nb = [1, 2]\nc = 5\nd = {p = 1, q = {r = 1}}\ne = [{n = 1}, {n = 2}]\nf = [1]\ng = {z = 1}\na = {k = 1}\n",
                "version = 3\n[plugins.\"x.y\"]\na = 7\nb = {m = 1}\nc = [9]\nd = {q = {s = 2}}\ne = [{n = 3}]\nf = []\ng = {}\nh = false\n",
            ],
            &[
                "plugins|x.y|a",
                "plugins|x.y|b|m",
                "plugins|x.y|c",
                "plugins|x.y|d|p",
                "plugins|x.y|d|q|r",
                "plugins|x.y|d|q|s",
                "plugins|x.y|e",
                "plugins|x.y|f",
                "plugins|x.y|g|z",
                "plugins|x.y|h",
            ],
        )
        .of(OF_2_X),
        case(
            "lists of plugins",
            &[
                "version = 2\ndisabled_plugins = [\"io.containerd.a.v1.x\", \"io.containerd.a.v1.y\", \"io.containerd.a.v1.x\"]\n",
                "version = 2\ndisabled_plugins = [\"io.containerd.a.v1.y\", \"io.containerd.a.v1.z\"]\nrequired_plugins = [\"io.containerd.gc.v1.scheduler\"]\n",
                "version = 2\ndisabled_plugins = []\nrequired_plugins = [\"io.containerd.gc.v1.scheduler\"]\n",
            ],
            &["disabled_plugins", "required_plugins"],
        ),
        case(
            "a list of plugins with a name twice, alone",
            &["version = 2\ndisabled_plugins = [\"io.containerd.a.v1.x\", \"io.containerd.a.v1.y\", \"io.containerd.a.v1.x\"]\n"],
            &["disabled_plugins"],
        ),
    ];
    // One handler a file, and what is built in.
    let handler = |section: &str, name: &str, rest: &str| {
        format!("[{section}.containerd.runtimes.{name}]\n{rest}")
    };
    for (version, section, releases) in [(2, "CRI", OF_1_X), (3, "RUNTIME", OF_2_X)] {
        let file = |text: String| format!("version = {version}\n{text}");
        let paths = [
            "a|runtime_type",
            "a|snapshotter",
            "b|runtime_type",
            "runc|runtime_type",
            "runc|base_runtime_spec",
            "runc|privileged_without_host_devices",
        ];
        let paths: Vec<&'static str> = paths
            .iter()
            .map(|path| &*format!("{RUNTIMES}|{path}").leak())
            .collect();
        for (name, files) in [
            (
                "a handler in each file",
                vec![
                    file(handler(
                        section,
                        "a",
                        "runtime_type = \"x\"\nsnapshotter = \"s\"\n",
                    )),
                    file(handler(section, "b", "runtime_type = \"y\"\n")),
                ],
            ),
            (
                "a handler in two files",
                vec![
                    file(handler(
                        section,
                        "a",
                        "runtime_type = \"x\"\nsnapshotter = \"s\"\n",
                    )),
                    file(handler(section, "a", "runtime_type = \"y\"\n")),
                ],
            ),
            (
                "an option of runc",
                vec![file(handler(
                    section,
                    "runc.options",
                    "BinaryName = \"/crun\"\n",
                ))],
            ),
            (
                "runc by name",
                vec![file(handler(
                    section,
                    "runc",
                    "base_runtime_spec = \"/spec\"\n",
                ))],
            ),
            (
                "no handler",
                vec![file(format!("[{section}.containerd]\n"))],
            ),
        ] {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            cases.push(case(name, &files, &paths).of(releases));
        }
        // 1.4 reads options, and does not print them.
        let releases = match version {
            2 => &["1.6.20", "1.7.24"],
            _ => OF_2_X,
        };
        let options = file(handler(section, "runc.options", "BinaryName = \"/crun\"\n"));
        let path = format!("{RUNTIMES}|runc|options|BinaryName").leak();
        cases.push(case("an option of runc alone", &[&options], &[path]).of(releases));
    }
    // Each version beside each, every file in the names of its own.
    let name = |version: Option<i64>| version.map_or("none".to_owned(), |v| v.to_string());
    let file = |version: Option<i64>, pause: &str| {
        let section = match version {
            None | Some(0 | 1) => "[plugins.scheduler]",
            Some(_) => "[GC]",
        };
        let version = version.map_or(String::new(), |version| format!("version = {version}\n"));
        format!("{version}{section}\npause_threshold = {pause}\n")
    };
    let versions = [None, Some(1), Some(2), Some(3)];
    for main in versions {
        for import in versions {
            let label = format!("version {} and {}", name(main), name(import));
            let files = [file(main, "0.03"), file(import, "0.04")];
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            cases.push(case(label.leak(), &files, &[PAUSE]));
        }
    }
    cases
}

fn texts(case: &Case) -> Vec<String> {
    let texts = case.files.iter();
    texts.map(|text| expanded(text)).collect()
}

fn expanded(text: &str) -> String {
    let plugin = |id: &str| format!("[plugins.\"{id}\"]");
    let text = text
        .replace("[GC]", &plugin("io.containerd.gc.v1.scheduler"))
        .replace("[OPT]", &plugin("io.containerd.internal.v1.opt"))
        .replace(
            "[DEVMAPPER]",
            &plugin("io.containerd.snapshotter.v1.devmapper"),
        );
    long(&text)
}

/// Where a release has a setting.
fn address(release: Release, path: &str) -> Vec<String> {
    let path: Vec<&str> = path.split('|').collect();
    let version = release.config_version().max(2);
    let known = Config::address(version, &path);
    known.unwrap_or_else(|| path.iter().map(|key| (*key).to_owned()).collect())
}

fn shown(value: Option<&Value>) -> String {
    match value.filter(|value| !value.is_zero()) {
        Some(value) => value.exposed().to_string(),
        // Go prints it for what nothing sets.
        None => "zero".to_owned(),
    }
}

/// What containerd prints for files; `None` where it refuses them.
fn dump(containerd: &Path, name: &str, texts: &[String]) -> Option<Table> {
    let dir = TempDir::new(&format!("loading-{}", name.replace(' ', "-")));
    let path = |at: usize| dir.path().join(format!("{at}.toml")).display().to_string();
    for (at, text) in texts.iter().enumerate() {
        let imports: Vec<String> = (1..texts.len()).map(path).collect();
        let imports = match at {
            0 => format!("imports = {imports:?}\n"),
            _ => String::new(),
        };
        std::fs::write(path(at), format!("{imports}{text}")).unwrap();
    }
    let text = support::tried_dump(containerd, &path(0));
    text.ok().map(|text| support::parse(&text))
}

/// The answers to all cases by release, a line each.
fn recorded(release: &str) -> std::path::PathBuf {
    support::path(&format!("recorded/loading/{release}"))
}

fn answers(
    release: &str,
    ask: impl Fn(&Case, &[String]) -> Option<BTreeMap<&'static str, String>>,
) -> String {
    let mut text = String::new();
    for case in cases()
        .iter()
        .filter(|case| case.releases.contains(&release))
    {
        match ask(case, &texts(case)) {
            None => writeln!(text, "{}: refused", case.name).unwrap(),
            Some(found) => {
                for (path, value) in found {
                    writeln!(text, "{}: {path}: {value}", case.name).unwrap();
                }
            }
        }
    }
    text
}

#[test]
fn what_is_loaded_is_what_containerd_prints() {
    for release in RELEASES {
        let recorded = support::read(&recorded(release));
        let version: Release = release.parse().unwrap();
        let found = answers(release, |case, texts| {
            let refused = format!("{}: refused", case.name);
            if recorded.lines().any(|line| line == refused) {
                return None;
            }
            let effective = Effective::load(version, texts.iter().map(|text| support::parse(text)));
            let values = case.paths.iter().map(|path| {
                let address = address(version, path);
                let address: Vec<&str> = address.iter().map(String::as_str).collect();
                (*path, shown(effective.get(&address).as_ref()))
            });
            Some(values.collect())
        });
        let differ = found.lines().zip(recorded.lines());
        let differ: Vec<_> = differ
            .filter(|(found, recorded)| found != recorded)
            .collect();
        assert_eq!(differ, [], "{release}: found and recorded");
        assert_eq!(found.lines().count(), recorded.lines().count(), "{release}");
    }
}

#[test]
fn the_containerd_at_hand_loads_as_recorded() {
    for (release, containerd) in support::containerds() {
        let version: Release = release.parse().unwrap();
        let found = answers(&release, |case, texts| {
            let table = dump(&containerd, &format!("{release} {}", case.name), texts)?;
            let values = case.paths.iter().map(|path| {
                let address = address(version, path);
                let address: Vec<&str> = address.iter().map(String::as_str).collect();
                (*path, shown(support::at(&table, &address)))
            });
            Some(values.collect())
        });
        if std::env::var_os("RECORD").is_some() && RELEASES.contains(&&*release) {
            std::fs::create_dir_all(recorded(&release).parent().unwrap()).unwrap();
            std::fs::write(recorded(&release), &found).unwrap();
        }
        if RELEASES.contains(&&*release) {
            assert_eq!(found, support::read(&recorded(&release)), "{release}");
        }
    }
}
