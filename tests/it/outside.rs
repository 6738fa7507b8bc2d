//! Files that drop-ins import from elsewhere on the node: what they do to k0s
//! 1.36, by the word of containerd 2.x, and files of other containerds. What they
//! do up to k0s 1.35 is in `in_place`.

use std::collections::BTreeMap;

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{Fate, Options, Plan, Target, plan};

use crate::support;
use crate::version_3::{NEW, OLD, long, says, settings};

const PATH: &str = "/etc/containerd/conf.d/x.toml";
const IMPORT: &str = "version = 3\nimports = [\"/etc/containerd/conf.d/x.toml\"]\n";

fn carried(import: &str, outside: &str) -> Plan {
    support::carried_over(&[("50.toml", import), (PATH, outside)], NEW)
}

fn found(plan: &Plan, code: Code) -> Vec<(String, usize)> {
    let all = plan.findings.iter().filter(|finding| finding.code == code);
    all.map(|finding| {
        let span = finding.span.clone().unwrap_or_default();
        (span.file, span.line)
    })
    .collect()
}

/// What containerd 2.x loses of a version 2 file that a version 3 one imports, and
/// what comes through: the key in config version 3, the value that the dump has.
const MIGRATED: &[(&str, Option<usize>, &str, &str)] = &[
    (
        "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n",
        Some(3),
        "IMAGES.\"snapshotter\"",
        "\"overlayfs\"",
    ),
    (
        "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\n",
        None,
        "IMAGES.\"snapshotter\"",
        "\"native\"",
    ),
    (
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"native\"\n",
        Some(4),
        "IMAGES.\"runtime_platforms\".\"x\".\"snapshotter\"",
        "",
    ),
    (
        "version = 2\n[CRI]\nsystemd_cgroup = true\n",
        Some(3),
        "RUNTIME.\"systemd_cgroup\"",
        "",
    ),
    (
        "version = 2\n[CRI.registry.configs.h.tls]\nca_file = \"/ca\"\n",
        Some(3),
        "IMAGES.\"registry\".\"configs\".\"h\".\"tls\".\"ca_file\"",
        "",
    ),
    (
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_engine = \"/x\"\n",
        Some(4),
        "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"options\".\"BinaryName\"",
        "",
    ),
    (
        "version = 2\n[CRI.cni]\nbin_dir = \"/x\"\n",
        None,
        "RUNTIME.\"cni\".\"bin_dirs\"",
        "[\"/x\"]",
    ),
    (
        "version = 2\n[CRI]\nsandbox_image = \"registry.example.com/pause:1\"\n",
        None,
        "IMAGES.\"pinned_images\".\"sandbox\"",
        "\"registry.example.com/pause:1\"",
    ),
    (
        "version = 2\n[plugins.\"io.containerd.internal.v1.restart\"]\ninterval = \"7s\"\n",
        None,
        "\"plugins\".\"io.containerd.monitor.container.v1.restart\".\"interval\"",
        "\"7s\"",
    ),
];

#[test]
fn what_containerd_loses_in_migration_is_said() {
    for (text, line, ..) in MIGRATED {
        let plan = carried(IMPORT, text);
        let expected: Vec<_> = line.iter().map(|line| (PATH.to_owned(), *line)).collect();
        assert_eq!(found(&plan, Code::LostInMigration), expected, "{text}");
        // A file of version 3 is not migrated.
        let newer = carried(IMPORT, "version = 3\n[IMAGES]\nsnapshotter = \"native\"\n");
        assert!(found(&newer, Code::LostInMigration).is_empty());
    }
}

/// The table above, as containerd 2.1 has it.
#[test]
fn containerd_2_migrates_imports_as_is_said() {
    let Some(containerd) = support::containerd("2") else {
        return;
    };
    for (at, (text, _, key, expected)) in MIGRATED.iter().enumerate() {
        let files = [("50.toml", IMPORT), (PATH, *text)];
        let files: BTreeMap<String, String> = files
            .map(|(name, text)| (name.to_owned(), long(text)))
            .into();
        let name = format!("outside-migrated-{at}");
        let dump = support::dump_of_version_3(&containerd, &name, "pause:k0s", &files);
        let leaves = support::leaves(&support::parse(&dump));
        let key = long(key).replace("plugins.", "\"plugins\".");
        let found = leaves.get(&key).filter(|value| !value.is_zero());
        let found = found.map(|value| value.exposed().to_string());
        assert_eq!(found.as_deref().unwrap_or_default(), *expected, "{text}");
    }
}

/// What counted for nothing on containerd 1.7, where the import replaced the
/// section, counts on 2.x; and once it is carried over, nothing is left to do.
#[test]
fn an_import_that_replaced_the_section_no_longer_does() {
    let import = "version = 2\nimports = [\"/etc/containerd/conf.d/x.toml\"]\n";
    let outside =
        "version = 2\n[CRI.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n";
    let files = [
        ("10.toml", "version = 2\n[CRI]\nenable_selinux = true\n"),
        ("50.toml", import),
        (PATH, outside),
    ];
    let plan = support::carried_over(&files, NEW);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(found(&plan, Code::FirstEffect), [(PATH.to_owned(), 2)]);
    assert_eq!(
        settings(&plan),
        [
            "\"imports\" = [\"/etc/containerd/conf.d/x.toml\"]",
            "RUNTIME.\"enable_selinux\" = true",
        ]
    );
    let written = support::drop_ins(&plan);
    let mut again: Vec<(&str, &str)> = written
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    again.push((PATH, outside));
    let again = support::carried_over(&again, NEW);
    assert_eq!(support::drop_ins(&again), written);
    assert!(
        again.is_sound() && again.steps.len() == 1,
        "{:?}",
        again.steps
    );
    assert!(found(&again, Code::FirstEffect).is_empty());
    let gravest = again.severity();
    assert_eq!(gravest, Some(Severity::Note), "{:?}", again.findings);
}

/// containerd up to 2.3.4 exits on a file of a version above the main one's:
/// 2.1.9 and 2.3.1 – 2.3.4 did.
#[test]
fn an_import_of_version_4_ends_containerd() {
    let plan = carried(IMPORT, "# dump\nversion = 4\noom_score = -5\n");
    assert_eq!(
        found(&plan, Code::ContainerdRefuses),
        [(PATH.to_owned(), 2)]
    );
    let Some(containerd) = support::containerd("2") else {
        return;
    };
    let dir = support::TempDir::new("outside-version-4");
    let imported = dir.path().join("x.toml");
    std::fs::write(&imported, "version = 4\n").unwrap();
    let main = dir.path().join("main.toml");
    std::fs::write(&main, format!("version = 3\nimports = [{imported:?}]\n")).unwrap();
    let output = std::process::Command::new(containerd)
        .arg("--config")
        .arg(&main)
        .args(["config", "dump"])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
}

/// An option that the handler's shim does not take is said once, one that it does
/// not have not at all.
#[test]
fn options_of_an_import_are_said_once() {
    let handler = |kind: &str| {
        format!(
            "version = 3\n[RUNTIME.containerd.runtimes.x]\nruntime_type = \"{kind}\"\n[RUNTIME.containerd.runtimes.x.options]\nSystemdCgroup = \"true\"\n"
        )
    };
    let plan = carried(IMPORT, &handler("io.containerd.runc.v2"));
    assert_eq!(found(&plan, Code::OptionType), [(PATH.to_owned(), 5)]);
    let plan = carried(IMPORT, &handler("io.containerd.kata.v2"));
    assert_eq!(found(&plan, Code::OptionType), []);
}

/// The last file that is loaded has the last word on the sandbox image.
#[test]
fn the_sandbox_image_of_an_import_prevails() {
    let plan = carried(
        IMPORT,
        "version = 3\n[IMAGES.pinned_images]\nsandbox = \"registry.k8s.io/pause:3.8\"\n",
    );
    let image = Some("registry.k8s.io/pause:3.8");
    assert_eq!(plan.sandbox.before.as_deref(), image);
    assert_eq!(plan.sandbox.after.as_deref(), image);
    assert_eq!(
        found(&plan, Code::SandboxImageStale),
        [(PATH.to_owned(), 3)]
    );
    let plan = carried(IMPORT, "version = 3\n[RUNTIME]\nenable_selinux = true\n");
    assert_eq!(
        plan.sandbox.after.as_deref(),
        Some(plan.target.pause_image())
    );
}

/// Refusals come from what drop-ins and imports make together, and point into the
/// file at fault.
#[test]
fn what_only_the_import_makes_wrong_is_found_there() {
    let config_path = "version = 3\nimports = [\"/etc/containerd/conf.d/x.toml\"]\n[IMAGES.registry]\nconfig_path = \"/x\"\n";
    let mirrors = "version = 2\n[CRI.registry.mirrors.h]\nendpoint = [\"https://m\"]\n";
    assert!(carried(config_path, "version = 3\n").is_sound());
    let plan = carried(config_path, mirrors);
    assert!(plan.verified && !plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(found(&plan, Code::CriRefuses), [(PATH.to_owned(), 2)]);
    let plan = carried(
        IMPORT,
        "version = 3\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
    );
    assert_eq!(found(&plan, Code::CriRefuses), [(PATH.to_owned(), 2)]);
    let plan = carried(IMPORT, "version = 3\n[RUNTIME]\nenable_selinux = 1\n");
    assert_eq!(found(&plan, Code::WrongType), [(PATH.to_owned(), 3)]);
}

/// containerd 2.1.9 takes a number for nanoseconds; 2.2.7, 2.3.3 and 2.3.4 exit for
/// want of a unit, and take 0.
#[test]
fn a_number_is_no_duration_from_2_2_on() {
    let scheduler = "version = 3\n[plugins.\"io.containerd.gc.v1.scheduler\"]\n";
    let five = format!("{scheduler}schedule_delay = 5\n");
    let plan = carried(IMPORT, &five);
    assert_eq!(found(&plan, Code::WrongType), [(PATH.to_owned(), 3)]);
    says(&support::migrate(&five, NEW), Code::WrongType);
    let zero = carried(IMPORT, &format!("{scheduler}schedule_delay = 0\n"));
    assert!(zero.is_sound(), "{:?}", zero.findings);
}

/// What is owed to drop-ins takes the import into account: a `config_path` beside
/// its mirrors would keep CRI from loading.
#[test]
fn no_companion_contradicts_an_import() {
    let mirrors = "version = 2\n[CRI.registry.mirrors.h]\nendpoint = [\"https://m\"]\n";
    let files = [
        (
            "10.toml",
            "version = 2\n[CRI]\nmax_concurrent_downloads = 10\n",
        ),
        ("50.toml", IMPORT),
        (PATH, mirrors),
    ];
    let plan = support::carried_over(&files, NEW);
    assert!(
        found(&plan, Code::CriRefuses).is_empty(),
        "{:?}",
        plan.findings
    );
}

/// The dump of another containerd, by the spelling of each config version.
const DUMPS: &[&str] = &[
    "disabled_plugins = [\"cri\"]\nroot = \"/data/containerd\"\n",
    "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nroot = \"/var/lib/containerd\"\nstate = \"/run/containerd\"\n[grpc]\naddress = \"/run/containerd/containerd.sock\"\n",
    // What 1.7 prints of a version 1 main file.
    "version = 2\ndisabled_plugins = [\"cri\"]\n[grpc]\naddress = \"/run/other/containerd.sock\"\n",
    "version = 3\nroot = \"/data/other\"\nstate = \"/run/other\"\n",
    "version = 4\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[plugins.\"io.containerd.server.v1.grpc\"]\naddress = \"/run/other/containerd.sock\"\n",
    "version = 2\nimports = [\"/etc/containerd/config.toml\"]\n",
];

#[test]
fn the_dump_of_another_containerd_is_recognised_wherever_it_is() {
    for dump in DUMPS {
        for k0s in [OLD, NEW] {
            let legacy = support::migrate(dump, k0s);
            says(&legacy, Code::ForeignContainerd);
            let drop_in = support::carried_over(&[("10.toml", dump)], k0s);
            says(&drop_in, Code::ForeignContainerd);
            let import = "imports = [\"/etc/containerd/conf.d/x.toml\"]\n";
            let behind = support::carried_over(&[("10.toml", import), (PATH, dump)], k0s);
            says(&behind, Code::ForeignContainerd);
            let at = found(&behind, Code::ForeignContainerd);
            assert!(at.iter().all(|(file, _)| file == PATH), "{at:?}");
        }
    }
    // What k0s's documentation told people to write, and a data directory.
    for own in [
        "version = 2\nroot = \"/var/lib/k0s/containerd\"\nstate = \"/run/k0s/containerd\"\n[grpc]\naddress = \"/run/k0s/containerd.sock\"\n",
        "version = 2\nroot = \"/var/lib/containerd\"\nstate = \"/run/containerd\"\n[grpc]\naddress = \"/run/containerd/containerd.sock\"\n",
        "version = 2\nroot = \"/data/k0s/containerd\"\nstate = \"/run/k0s/containerd\"\n",
        "disabled_plugins = [\"cri\"]\nroot = \"/var/lib/k0s/containerd\"\n",
    ] {
        let plan = support::migrate(own, OLD);
        assert!(found(&plan, Code::ForeignContainerd).is_empty(), "{own}");
    }
}

/// The toolkit is known by the names of its files and by its binaries.
#[test]
fn files_of_the_nvidia_toolkit_are_told() {
    let handler = |binary: &str| {
        format!(
            "version = 2\n[CRI.containerd.runtimes.gpu]\nruntime_type = \"io.containerd.runc.v2\"\n[CRI.containerd.runtimes.gpu.options]\nBinaryName = \"{binary}\"\n"
        )
    };
    let toolkit = handler("/usr/local/nvidia/toolkit/nvidia-container-runtime.cdi");
    let other = handler("/usr/bin/crun");
    for k0s in [OLD, NEW] {
        for (name, text, is_told) in [
            ("nvidia.toml", &other, true),
            ("10.toml", &toolkit, true),
            ("10.toml", &other, false),
        ] {
            let plan = support::carried_over(&[(name, text)], k0s);
            let told = !found(&plan, Code::NvidiaToolkit).is_empty();
            assert_eq!(told, is_told, "{name} for {k0s}");
            assert!(
                plan.severity() < Some(Severity::Error),
                "{:?}",
                plan.findings
            );
        }
    }
    let import = "imports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n";
    let parse = |path: &str, text: &str| Document::parse(path, long(text).as_bytes()).unwrap();
    let legacy = parse("/etc/k0s/containerd.toml", import);
    let imported = [parse("/etc/containerd/conf.d/99-nvidia.toml", &other)];
    let plan = plan(
        &legacy,
        &imported,
        &Target::find(OLD).unwrap(),
        &Options::default(),
    );
    says(&plan, Code::NvidiaToolkit);
}

/// Files from elsewhere may hold anything; credentials in them do not show.
#[test]
fn credentials_from_elsewhere_do_not_show() {
    let text = "version = 2\n[CRI.registry.configs.\"https://u:hunter4@h\".auth]\npassword = \"hunter2\"\n[timeouts]\n\"https://u:hunter3@h\" = 5\n";
    for k0s in [OLD, NEW] {
        let plan = support::carried_over(
            &[
                ("50.toml", "imports = [\"/etc/containerd/conf.d/x.toml\"]\n"),
                (PATH, text),
            ],
            k0s,
        );
        assert!(
            plan.ledger
                .iter()
                .any(|entry| entry.fate == Fate::LeftInPlace)
        );
        let shown = format!("{plan}{plan:?}{}", serde_json::to_string(&plan).unwrap());
        for secret in ["hunter2", "hunter3", "hunter4"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }
}
