//! Findings that lead to the cure: each with the smallest file that has it, and
//! with what looks like it and is not.

use containerd_dropins::Document;
use containerd_dropins::containerd::refusal::Rule;
use containerd_dropins::diagnostic::{Code, Finding, Severity};
use containerd_dropins::migrate::{ExistingDropIns, Options, Plan, Target, check, plan_drop_ins};

use crate::support;
use crate::version_3::{NEW, OLD, long};

fn migrate(text: &str, k0s: &str) -> Plan {
    support::migrate(&long(text), k0s)
}

fn found(plan: &Plan, code: Code) -> Vec<&Finding> {
    let findings = plan.findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

/// What is said with a code, behind the semicolon.
#[track_caller]
fn hints(text: &str, k0s: &str, code: Code, expected: &[&str]) {
    let plan = migrate(text, k0s);
    let hint = |finding: &&Finding| {
        let hint = finding.message.split_once("; ");
        hint.map_or("", |(_, hint)| hint).to_owned()
    };
    let hints: Vec<String> = found(&plan, code).iter().map(hint).collect();
    let expected: Vec<String> = expected.iter().map(|hint| long(hint)).collect();
    assert_eq!(hints, expected, "{text}");
}

#[test]
fn unknown_keys_lead_to_known_ones() {
    let here = |key: &str| format!("the nearest that it reads there is `{key}`");
    for (text, expected) in [
        ("[CRI]\nsandbox_imge = 1\n", here("sandbox_image")),
        (
            "[CRI]\ntolerate_missing_hugepages_controller = true\n",
            here("tolerate_missing_hugetlb_controller"),
        ),
        (
            "[CRI.registry.mirrors.h]\nendpoints = []\n",
            here("endpoint"),
        ),
        // A table that is misspelled is said once, whatever is in it.
        (
            "[CRI.registry.mirror.h]\nendpoint = []\n[CRI.registry.mirror.i]\nx = 1\n",
            here("mirrors"),
        ),
        (
            "[plugin.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n",
            here("plugins"),
        ),
        (
            "[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nSystemdCgroup = true\n",
            "it reads `SystemdCgroup` in [CRI.containerd.runtimes.runc.options]".to_owned(),
        ),
        (
            "[CRI]\noom_score = 1\n",
            "it reads `oom_score` at the top of the file".to_owned(),
        ),
        // Nothing is near.
        ("[CRI]\nenable_unprivileged_udp = true\n", String::new()),
        ("whatever = 1\n", String::new()),
    ] {
        let text = format!("version = 2\n{text}");
        hints(&text, OLD, Code::UnknownKey, &[&expected]);
    }
    hints(
        "version = 3\n[RUNTIME]\nenable_selinx = true\n",
        NEW,
        Code::UnknownKey,
        &[&here("enable_selinux")],
    );
    // A name in a table of names is none, nor is an option of a shim.
    let names = "version = 2\n[timeouts]\n\"x\" = \"1s\"\n[CRI.containerd.runtimes.rnuc]\nruntime_type = \"io.containerd.runc.v2\"\n[CRI.containerd.runtimes.rnuc.options]\nSystemdCgroups = true\n";
    hints(names, OLD, Code::UnknownKey, &[]);
}

#[test]
fn keys_of_nri_at_the_top_lead_to_its_section() {
    let at = |key: &str| format!("it reads `{key}` in [plugins.\"io.containerd.nri.v1.nri\"]");
    hints(
        "version = 2\ndisable = false\nplugin_path = \"/x\"\n",
        OLD,
        Code::UnknownKey,
        &[&at("disable"), &at("plugin_path")],
    );
    // By itself it may be anything.
    hints(
        "version = 2\ndisable = false\n",
        OLD,
        Code::UnknownKey,
        &[""],
    );
}

#[test]
fn ids_of_plugins_lead_to_those_that_are_there() {
    let nearest = |id: &str| format!("the nearest that has some is {id:?}");
    hints(
        "version = 2\n[plugins.\"io.containerd.grpc.v1.crii\"]\nx = 1\n",
        OLD,
        Code::UnknownPlugin,
        &[&nearest(support::CRI)],
    );
    // The plugin is there, or another's.
    for id in [
        "io.containerd.grpc.v1.version",
        "io.containerd.snapshotter.v1.stargz",
    ] {
        let text = format!("version = 2\n[plugins.\"{id}\"]\nx = 1\ny = 2\n");
        hints(&text, OLD, Code::UnknownPlugin, &[""]);
    }
    for (text, hint) in [
        (
            "version = 2\n[plugins.cri]\nx = 1\n",
            "io.containerd.grpc.v1.cri may be meant",
        ),
        ("version = 2\n[plugins.nothing]\nx = 1\n", ""),
        ("[plugins.devmaper]\nx = 1\n", "devmapper may be meant"),
        (
            "disabled_plugins = [\"devmaper\"]\n",
            "devmapper may be meant",
        ),
    ] {
        let plan = migrate(text, OLD);
        let found = found(&plan, Code::PluginIdIgnored);
        assert_eq!(found.len(), 1, "{text}");
        let last = found[0].message.rsplit("; ").next().unwrap();
        assert_eq!(last.contains("may be meant"), !hint.is_empty(), "{text}");
        assert!(found[0].message.ends_with(hint), "{}", found[0].message);
    }
    // Nobody is told how to disable CRI.
    let plan = migrate("version = 2\ndisabled_plugins = [\"cri\"]\n", OLD);
    let found = found(&plan, Code::PluginIdIgnored);
    assert!(!found[0].message.contains("may be meant"));
}

#[test]
fn the_text_of_a_hosts_toml_is_known() {
    let lines = "server = \"https://registry.example\"\n[host.\"https://m.example\"]\ncapabilities = [\"pull\"]\nskip_verify = true\n";
    for (text, count) in [
        (format!("version = 2\n{lines}"), 1),
        ("version = 2\n[CRI.registry]\nconfig_path = \"\"\n[CRI.registry.host.\"m.example:5000\"]\nca = \"/x\"\n".to_owned(), 1),
        ("version = 2\n[CRI.registry.mirrors.h]\nserver = \"http://m\"\nendpoint = [\"http://n\"]\n".to_owned(), 1),
        // Something else is called so.
        ("version = 2\nserver = \"db.example\"\n".to_owned(), 0),
        ("version = 2\n[host]\nname = \"x\"\n".to_owned(), 0),
        ("version = 2\n[host.here]\nname = \"x\"\n".to_owned(), 0),
        ("version = 2\n[proxy_plugins.host]\ntype = \"snapshot\"\n".to_owned(), 0),
    ] {
        let plan = migrate(&text, OLD);
        let found = found(&plan, Code::HostsTomlText);
        assert_eq!(found.len(), count, "{text}");
        assert!(found.iter().all(|finding| finding.severity == Severity::Warning));
        if count == 1 {
            let codes: Vec<Code> = plan.findings.iter().map(|f| f.code).collect();
            assert!(!codes.contains(&Code::UnknownKey), "{text}: {codes:?}");
        }
    }
}

#[test]
fn a_file_of_which_nothing_is_read_is_a_warning() {
    for (text, is_said) in [
        ("[crio.runtime]\ndefault_runtime = \"runc\"\n", true),
        (
            "version = 2\n[plugin.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n",
            true,
        ),
        (
            "version = 2\n[plugins.\"io.containerd.snapshotter.v1.stargz\"]\nroot_path = \"/x\"\n",
            true,
        ),
        ("version = 2\nwhatever = 1\noom_score = 1\n", false),
        ("version = 2\n", false),
        ("", false),
        ("# k0s_managed=true\nversion = 2\nwhatever = 1\n", false),
    ] {
        for k0s in [OLD, NEW] {
            let plan = migrate(text, k0s);
            let found = found(&plan, Code::NothingRead);
            assert_eq!(!found.is_empty(), is_said, "{text}");
            assert!(
                found
                    .iter()
                    .all(|finding| finding.severity == Severity::Warning)
            );
        }
    }
    // Of several drop-ins the one is named.
    let files = [
        ("a.toml", "oom_score = 1\n"),
        ("b.toml", "[crio.runtime]\nx = 1\n"),
    ];
    let documents = files.map(|(name, text)| {
        Document::parse(format!("/etc/k0s/containerd.d/{name}"), text.as_bytes()).unwrap()
    });
    let existing = ExistingDropIns::new("/etc/k0s/containerd.d", &documents).unwrap();
    let plan = plan_drop_ins(&existing, &Target::find(OLD).unwrap(), &Options::default());
    let found = found(&plan, Code::NothingRead);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.ends_with("b.toml"), "{}", found[0].message);
}

const WINDOWS: [&str; 9] = [
    "version = 2\nroot = 'C:\\ProgramData\\containerd\\root'\n",
    "version = 2\n[CRI.cni]\nbin_dir = \"c:/opt/cni/bin\"\n",
    "version = 2\n[grpc]\naddress = '\\\\.\\pipe\\containerd-containerd'\n",
    "version = 2\n[CRI.registry]\nconfig_path = 'C:\\etc\\certs.d'\n",
    "version = 2\n[CRI.containerd]\nsnapshotter = \"windows\"\n",
    "version = 2\n[CRI.containerd]\ndefault_runtime_name = \"runhcs-wcow-process\"\n[CRI.containerd.runtimes.runhcs-wcow-process]\nruntime_type = \"io.containerd.runhcs.v1\"\n",
    "version = 2\n[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = [\"windows\", \"windows-lcow\"]\n",
    "version = 2\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"windows/amd64\"]\n",
    "[plugins.cri.containerd.default_runtime]\nruntime_type = \"io.containerd.runhcs.v1\"\n",
];

/// As a Linux node may have it.
const NOT_WINDOWS: [&str; 6] = [
    // For an image that serves both.
    "version = 2\n[CRI]\nsandbox_image = \"mcr.microsoft.com/oss/kubernetes/pause:3.6\"\n",
    // containerd loads a handler whose shim it has not.
    "version = 2\n[CRI.containerd.runtimes.runhcs-wcow-process]\nruntime_type = \"io.containerd.runhcs.v1\"\n[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n",
    // Two directories, the first of one letter.
    "version = 2\n[CRI.registry]\nconfig_path = \"c:/etc/certs.d\"\n",
    "version = 2\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"linux/amd64\", \"windows/amd64\"]\n",
    "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\n[CRI.containerd.runtimes.x.options]\nRoot = \"C:/x\"\n",
    "version = 2\n[CRI.registry.mirrors.'c:\\x']\nendpoint = [\"https://m\"]\n",
];

#[test]
fn a_windows_node_is_answered_with_linux_only() {
    for k0s in [OLD, NEW, "v1.26.0+k0s.0"] {
        for text in WINDOWS {
            let plan = migrate(text, k0s);
            let found = found(&plan, Code::WindowsNode);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].help.starts_with("Linux nodes only"));
            assert_eq!(found[0].severity, Severity::Error);
            assert!(plan.drop_ins.is_empty() && plan.hosts_files.is_empty());
            // Nothing else is wrong with it.
            let is_other = |f: &&Finding| {
                f.severity == Severity::Error
                    && !matches!(f.code, Code::WindowsNode | Code::TargetUnsupported)
            };
            assert_eq!(plan.findings.iter().find(is_other), None, "{text}");
            if !text.starts_with("version") {
                // k0s states version 2 for drop-ins.
                continue;
            }
            let document =
                Document::parse("/etc/k0s/containerd.d/a.toml", long(text).as_bytes()).unwrap();
            let existing =
                ExistingDropIns::new("/etc/k0s/containerd.d", std::slice::from_ref(&document))
                    .unwrap();
            let plan = plan_drop_ins(&existing, &Target::find(k0s).unwrap(), &Options::default());
            assert_eq!(plan.findings.iter().find(is_other), None, "{text}");
            assert_eq!(
                plan.findings
                    .iter()
                    .filter(|f| f.code == Code::WindowsNode)
                    .count(),
                1
            );
            assert!(plan.drop_ins.is_empty());
        }
        for text in NOT_WINDOWS {
            let plan = migrate(text, k0s);
            assert_eq!(found(&plan, Code::WindowsNode).len(), 0, "{text}");
        }
    }
}

#[test]
fn snapshotters_say_what_the_node_needs() {
    const BELOW: &str = "/var/lib/k0s/containerd/io.containerd.snapshotter.v1.";
    let btrfs = format!("{BELOW}btrfs to be on a btrfs file system");
    let zfs = format!("a ZFS file system to be mounted at {BELOW}zfs");
    for (text, expected) in [
        ("snapshotter = \"zfs\"\n", &[&*zfs][..]),
        ("snapshotter = \"btrfs\"\n", &[&btrfs]),
        (
            "snapshotter = \"btrfs\"\n[plugins.\"io.containerd.snapshotter.v1.btrfs\"]\nroot_path = \"/data\"\n",
            &["the root_path of io.containerd.snapshotter.v1.btrfs to be on a btrfs file system"],
        ),
        (
            "snapshotter = \"stargz\"\n[proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"/run/s.sock\"\n",
            &["serve the socket that proxy_plugins.stargz.address names"],
        ),
        // Each once, and a handler's own too.
        (
            "snapshotter = \"zfs\"\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"btrfs\"\n[CRI.containerd.runtimes.y]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"btrfs\"\n",
            &[&zfs, &btrfs],
        ),
        ("snapshotter = \"native\"\n", &[]),
        ("snapshotter = \"overlayfs\"\n", &[]),
        // Of which the refusal tells.
        ("snapshotter = \"nothing\"\n", &[]),
    ] {
        for k0s in [OLD, NEW] {
            let plan = migrate(&format!("version = 2\n[CRI.containerd]\n{text}"), k0s);
            let found = found(&plan, Code::SnapshotterNeeds);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for (finding, expected) in found.iter().zip(expected) {
                assert!(finding.message.ends_with(expected), "{}", finding.message);
            }
        }
    }
}

/// What `containerd config dump` of 1.x prints for /etc/containerd/config.toml
/// with an import: its own list is empty in `config default`.
#[test]
fn a_dump_names_itself_among_its_imports() {
    let dump = |release: &str, imports: &str| {
        let text = support::read(&support::path(&format!("recorded/default/{release}.toml")));
        let lines = text.lines().filter(|line| !line.starts_with("imports"));
        let text: Vec<&str> = lines.collect();
        format!("imports = {imports}\n{}\n", text.join("\n"))
    };
    let own = r#"["/etc/containerd/config.toml", "/etc/containerd/conf.d/x.toml"]"#;
    for release in ["1.4.13-debian", "1.6.20-debian", "1.7.24-debian"] {
        let plan = support::migrate(&dump(release, own), OLD);
        assert_eq!(found(&plan, Code::ImportOfDump).len(), 2, "{release}");
        assert_eq!(found(&plan, Code::ImportMissing).len(), 0, "{release}");
        assert!(plan.is_sound(), "{release}: {:?}", plan.findings);
    }
    for (text, missing) in [
        // Written by hand, with the main file of another containerd.
        (format!("version = 2\nimports = {own}\noom_score = 1\n"), 2),
        // Of a default configuration somebody imports something.
        (dump("1.7.24-debian", r#"["/etc/containerd/x.toml"]"#), 1),
        // A dump has no patterns.
        (
            dump(
                "1.7.24-debian",
                r#"["/etc/containerd/config.toml", "/etc/x/*.toml"]"#,
            ),
            1,
        ),
        // 2.x lists what it was told to import.
        (dump("2.1.9-debian", own), 2),
    ] {
        let plan = support::migrate(&text, NEW);
        assert_eq!(found(&plan, Code::ImportOfDump).len(), 0);
        assert_eq!(found(&plan, Code::ImportMissing).len(), missing);
    }
}

#[test]
fn the_cause_of_the_outage_fits_in_two_lines() {
    const TWO_LINES: usize = 2 * 80;
    for k0s in [OLD, NEW] {
        let text = migrate("version = 2\noom_score = 1\n", k0s).to_string();
        let mut lines = text.lines();
        let cause = lines.find(|line| line.contains("[sandbox-image-cause]"));
        let cause = cause.unwrap();
        let help = lines.find(|line| line.trim_start().starts_with("help: "));
        for line in [cause, help.unwrap()] {
            assert!(line.chars().count() <= TWO_LINES, "{line}");
        }
        let image = Target::find(k0s).unwrap().pause_image().to_owned();
        assert!(cause.ends_with(&image), "{cause}");
    }
}

#[test]
fn a_wrong_type_is_named_where_the_value_stands() {
    let bool_for = "a boolean is expected here, not a string";
    for (text, code, key, value, why) in [
        (
            "version = 2\noom_score = \"high\"\n",
            Code::WrongType,
            "oom_score",
            "\"high\"",
            "an integer is expected here, not a string",
        ),
        (
            "version = 2\n[CRI]\n  disable_apparmor   =   'yes'   # x\n",
            Code::WrongType,
            "disable_apparmor",
            "\"yes\"",
            bool_for,
        ),
        (
            "version = 2\n[CRI]\ncni = { bin_dir = 3 }\n",
            Code::WrongType,
            "bin_dir",
            "<hidden> (integer)",
            "a string is expected here, not an integer",
        ),
        (
            "version = 2\n[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\noptions.SystemdCgroup = \"true\"\n",
            Code::OptionType,
            "SystemdCgroup",
            "\"true\"",
            bool_for,
        ),
    ] {
        let text = long(text);
        let plan = support::migrate(&text, OLD);
        let found = found(&plan, code);
        assert_eq!(found.len(), 1, "{text}: {:?}", plan.findings);
        let start = format!("{key} = ");
        assert!(found[0].message.starts_with(&start), "{}", found[0].message);
        assert!(found[0].message.ends_with(why), "{}", found[0].message);
        let span = found[0].span.as_ref().unwrap();
        let place = text.get(span.start..span.end).unwrap();
        let written: &str = &value.replace('"', "");
        assert!(
            place.trim_matches(['"', '\'']) == written
                || written.starts_with("<hidden>") && place == "3",
            "{place}"
        );
        // By the check without a target, too.
        let document = Document::parse("t", text.as_bytes()).unwrap();
        let checked = check(&document);
        let same = checked.iter().find(|finding| finding.code == code).unwrap();
        assert_eq!(same.span.as_ref().map(|span| span.start), Some(span.start));
    }
    // A credential is not shown there either.
    let secret = "version = 2\n[CRI.registry.configs.h.auth]\npassword = [\"hunter2\"]\n";
    let plan = migrate(secret, OLD);
    let found = found(&plan, Code::WrongType);
    assert!(
        !found[0].message.contains("hunter2"),
        "{}",
        found[0].message
    );
    assert!(found[0].message.starts_with("password = "));
}

#[test]
fn refusals_say_what_to_write_instead() {
    for (text, code, rule) in [
        (
            "[CRI.containerd]\ndefault_runtime_name = \"x\"\n",
            Code::CriRefuses,
            Rule::DefaultRuntime,
        ),
        (
            "[debug]\nformat = \"xml\"\n",
            Code::ContainerdRefuses,
            Rule::LogFormat,
        ),
        (
            "[CRI.containerd]\nsnapshotter = \"x\"\n",
            Code::CriRefuses,
            Rule::Snapshotter,
        ),
        (
            "[CRI]\nsandbox_image = \"{{ .Image }}\"\n",
            Code::SandboxImageNoReference,
            Rule::ImageReference,
        ),
    ] {
        let plan = migrate(&format!("version = 2\n{text}"), OLD);
        let found = found(&plan, code);
        assert_eq!(found.len(), 1, "{text}: {:?}", plan.findings);
        assert_eq!(found[0].help, rule.help());
    }
}
