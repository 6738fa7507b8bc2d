//! Config version 3 and containerd 2.x: the rules that are no mere change of
//! address, one small file each. What is right is what containerd 2.1 makes of
//! the file (`config dump`, or the daemon's log), and the release notes.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{
    ExistingDropIns, Fate, Options, Plan, Target, plan, plan_drop_ins,
};

use crate::support;

const NAMES: &[(&str, &str)] = &[
    ("CRI", "plugins.\"io.containerd.grpc.v1.cri\""),
    ("IMAGES", "plugins.\"io.containerd.cri.v1.images\""),
    ("RUNTIME", "plugins.\"io.containerd.cri.v1.runtime\""),
];

fn long(text: &str) -> String {
    let text = text.to_owned();
    NAMES
        .iter()
        .fold(text, |text, (short, long)| text.replace(short, long))
}

/// All that drop-ins set, with short names for sections.
fn settings(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for text in support::drop_ins(plan).values() {
        for (key, value) in support::leaves(&support::parse(text)) {
            if key != "\"version\"" {
                let line = format!("{key} = {}", serde_json::to_string(&value).unwrap());
                lines.push(NAMES.iter().fold(line, |line, (short, long)| {
                    line.replace(&long.replace("plugins", "\"plugins\""), short)
                }));
            }
        }
    }
    lines.sort();
    lines
}

#[track_caller]
fn check(legacy: &str, k0s: &str, expected: &[&str], codes: &[Code]) {
    let _ = checked(legacy, k0s, expected, codes);
}

#[track_caller]
fn checked(legacy: &str, k0s: &str, expected: &[&str], codes: &[Code]) -> Plan {
    let plan = support::migrate(&long(legacy), k0s);
    assert!(plan.verified, "{:?}", plan.findings);
    assert_eq!(settings(&plan), expected);
    let found: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
    for code in codes {
        assert!(found.contains(code), "{code} is not in {found:?}");
    }
    plan
}

const OLD: &str = "v1.30.4+k0s.0";
const NEW: &str = "v1.36.3+k0s.2";

#[test]
fn bin_dir_and_bin_dirs() {
    let one = ["CRI.\"cni\".\"bin_dir\" = \"/x\""];
    let list = ["RUNTIME.\"cni\".\"bin_dirs\" = [\"/x\"]"];
    let two = ["RUNTIME.\"cni\".\"bin_dirs\" = [\"/x\",\"/y\"]"];
    check(
        "version = 2\n[CRI.cni]\nbin_dir = \"/x\"\n",
        NEW,
        &list,
        &[Code::Converted],
    );
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dirs = [\"/x\"]\n",
        OLD,
        &one,
        &[Code::Converted],
    );
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dirs = [\"/x\", \"/y\"]\n",
        NEW,
        &two,
        &[],
    );
    // containerd 1.7 has one directory.
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dirs = [\"/x\", \"/y\"]\n",
        OLD,
        &[],
        &[Code::NotExpressible],
    );
    // The default of the list is the default of the one.
    check(
        "version = 2\n[CRI.cni]\nbin_dir = \"/opt/cni/bin\"\n",
        NEW,
        &[],
        &[],
    );
    // An empty list gives way.
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dir = \"/x\"\nbin_dirs = []\n",
        NEW,
        &list,
        &[],
    );
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dir = \"/opt/cni/bin\"\nbin_dirs = []\n",
        NEW,
        &[],
        &[],
    );
    // Both keep CRI from starting.
    check(
        "version = 3\n[RUNTIME.cni]\nbin_dir = \"/z\"\nbin_dirs = [\"/x\"]\n",
        NEW,
        &list,
        &[Code::Contradiction],
    );
}

#[test]
fn core_scheduling_both_ways() {
    let task = "plugins.\"io.containerd.runtime.v2.task\"";
    let shims = "plugins.\"io.containerd.shim.v1.manager\"";
    let env = ["\"plugins\".\"io.containerd.shim.v1.manager\".\"env\" = [\"SCHED_CORE=1\"]"];
    check(
        &format!("version = 2\n[{task}]\nsched_core = true\n"),
        NEW,
        &env,
        &[Code::Converted],
    );
    let own = ["\"plugins\".\"io.containerd.runtime.v2.task\".\"sched_core\" = true"];
    check(
        &format!("version = 3\n[{shims}]\nenv = [\"SCHED_CORE=1\"]\n"),
        OLD,
        &own,
        &[Code::Converted],
    );
    check(
        &format!("version = 3\n[{shims}]\nenv = [\"SCHED_CORE=1\", \"A=1\"]\n"),
        OLD,
        &[],
        &[Code::NotExpressible],
    );
}

#[test]
fn sandboxer_both_ways() {
    let handler = "[RUNTIME.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsandboxer = \"shim\"\n";
    let old = [
        "CRI.\"containerd\".\"runtimes\".\"x\".\"runtime_type\" = \"io.containerd.x.v2\"",
        "CRI.\"containerd\".\"runtimes\".\"x\".\"sandbox_mode\" = \"shim\"",
    ];
    check(&format!("version = 3\n{handler}"), OLD, &old, &[]);
    // containerd 2.1 reads the new key in a version 2 file too.
    let new = [
        "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"runtime_type\" = \"io.containerd.x.v2\"",
        "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"sandboxer\" = \"shim\"",
    ];
    let handler = handler.replace("RUNTIME", "CRI");
    check(&format!("version = 2\n{handler}"), NEW, &new, &[]);
}

#[test]
fn settings_of_2_x_cannot_go_to_1_7() {
    let plan = checked(
        "version = 3\n[IMAGES]\nuse_local_image_pull = true\n[RUNTIME]\nenable_selinux = true\n",
        OLD,
        &["CRI.\"enable_selinux\" = true"],
        &[Code::NotExpressible],
    );
    assert_eq!(plan.severity(), Some(Severity::Error));
    assert_eq!(plan.ledger[1].fate, Fate::NotExpressible);
}

#[test]
fn settings_that_2_0_removed_are_obsolete() {
    let plan = checked(
        "version = 2\n[CRI]\ndisable_cgroup = true\n[plugins.\"io.containerd.runtime.v1.linux\"]\nshim_debug = true\n[plugins.\"io.containerd.snapshotter.v1.aufs\"]\nroot_path = \"/a\"\n",
        NEW,
        &[],
        &[Code::Obsolete],
    );
    assert!(plan.is_sound());
    assert!(
        plan.ledger[1..]
            .iter()
            .all(|entry| entry.fate == Fate::Obsolete),
        "{:?}",
        plan.ledger
    );
}

/// containerd 2.x ignores it, and 1.x refuses the file.
#[test]
fn a_removed_setting_in_a_version_3_file_is_not_resurrected() {
    for k0s in [OLD, NEW] {
        check(
            "version = 3\n[RUNTIME]\nsystemd_cgroup = true\n",
            k0s,
            &[],
            &[Code::WithoutEffect],
        );
    }
}

/// k0s's own tests have it in the wrong section.
#[test]
fn a_setting_in_the_wrong_section_has_no_effect() {
    let plan = checked(
        "version = 3\n[RUNTIME]\nsandbox_image = \"x/y:1\"\n",
        NEW,
        &[],
        &[Code::Misplaced],
    );
    let said = plan
        .findings
        .iter()
        .find(|f| f.code == Code::Misplaced)
        .unwrap();
    assert!(
        said.message.contains("pinned_images.sandbox"),
        "{}",
        said.message
    );
}

/// containerd 2.3 migrates a version 3 file once more; what it finds of the
/// images plugin prevails, what it finds of the runtime plugin gives way.
#[test]
fn old_places_in_a_version_3_file() {
    check(
        "version = 3\n[CRI]\nmax_concurrent_downloads = 9\nenable_selinux = true\n",
        NEW,
        &[
            "IMAGES.\"max_concurrent_downloads\" = 9",
            "RUNTIME.\"enable_selinux\" = true",
        ],
        &[Code::OtherPlace],
    );
    check(
        "version = 3\n[CRI]\nmax_concurrent_downloads = 9\nmax_container_log_line_size = 1\n[IMAGES]\nmax_concurrent_downloads = 5\n[RUNTIME]\nmax_container_log_line_size = 2\n",
        NEW,
        &[
            "IMAGES.\"max_concurrent_downloads\" = 9",
            "RUNTIME.\"max_container_log_line_size\" = 2",
        ],
        &[Code::Contradiction],
    );
}

/// A file for both: containerd 1.7 ignores the plugins of version 3, so that
/// its own settings are those that were in effect.
#[test]
fn plugins_of_version_3_in_a_version_2_file() {
    let text = "version = 2\n[CRI]\nmax_concurrent_downloads = 9\nmax_container_log_line_size = 5\n[IMAGES]\nmax_concurrent_downloads = 5\nsnapshotter = \"native\"\n[RUNTIME]\nenable_selinux = true\nmax_container_log_line_size = 6\n";
    check(
        text,
        NEW,
        &[
            "IMAGES.\"max_concurrent_downloads\" = 9",
            "IMAGES.\"snapshotter\" = \"native\"",
            "RUNTIME.\"enable_selinux\" = true",
            "RUNTIME.\"max_container_log_line_size\" = 5",
        ],
        &[Code::LaterPlace],
    );
    check(
        text,
        OLD,
        &[
            "CRI.\"max_concurrent_downloads\" = 9",
            "CRI.\"max_container_log_line_size\" = 5",
        ],
        &[Code::PluginIdIgnored],
    );
}

#[test]
fn servers_of_version_4() {
    let text = "version = 4\n[plugins.\"io.containerd.server.v1.grpc-tcp\"]\naddress = \"0.0.0.0:1\"\ntls_ca = \"/ca\"\nmax_recv_message_size = 5\n[plugins.\"io.containerd.server.v1.metrics\"]\naddress = \":1338\"\n[debug]\nformat = \"json\"\n";
    check(
        text,
        NEW,
        &[
            "\"debug\".\"format\" = \"json\"",
            "\"grpc\".\"tcp_address\" = \"0.0.0.0:1\"",
            "\"grpc\".\"tcp_tls_ca\" = \"/ca\"",
            "\"metrics\".\"address\" = \":1338\"",
            "\"plugins\".\"io.containerd.server.v1.grpc-tcp\".\"max_recv_message_size\" = 5",
        ],
        &[],
    );
    // Version 4 has none of these any more.
    check(
        "version = 4\n[grpc]\ngid = 5\n",
        NEW,
        &[],
        &[Code::Misplaced],
    );
}

#[test]
fn proxies_of_sandboxes_are_known_from_2_0_on() {
    let text = "version = 2\n[proxy_plugins.p]\ntype = \"sandbox\"\naddress = \"/p.sock\"\n";
    check(
        text,
        NEW,
        &[
            "\"proxy_plugins\".\"p\".\"address\" = \"/p.sock\"",
            "\"proxy_plugins\".\"p\".\"type\" = \"sandbox\"",
        ],
        &[],
    );
    check(text, OLD, &[], &[Code::ProxyPluginType]);
}

#[test]
fn lists_of_plugins() {
    check(
        "version = 3\ndisabled_plugins = [\"io.containerd.cri.v1.images\", \"io.containerd.monitor.task.v1.cgroups\"]\nrequired_plugins = [\"io.containerd.cri.v1.runtime\"]\n",
        OLD,
        &["\"disabled_plugins\" = [\"io.containerd.monitor.v1.cgroups\"]"],
        &[Code::CriDisabled, Code::PluginGone],
    );
    check(
        "disabled_plugins = [\"restart\", \"linux\"]\n",
        NEW,
        &["\"disabled_plugins\" = [\"io.containerd.monitor.container.v1.restart\"]"],
        &[Code::PluginGone],
    );
}

/// go-toml 2 reads keys in any case, converts integers, and takes empty lists
/// of tables.
#[test]
fn the_parser_of_2_x_is_lenient() {
    check(
        "version = 3\n[RUNTIME]\nEnable_SELinux = true\n[plugins.\"io.containerd.gc.v1.scheduler\"]\npause_threshold = 1\n[plugins.\"io.containerd.transfer.v1.local\"]\nunpack_config = []\n",
        NEW,
        &[
            "\"plugins\".\"io.containerd.gc.v1.scheduler\".\"pause_threshold\" = 1",
            "RUNTIME.\"enable_selinux\" = true",
        ],
        &[],
    );
    check(
        "version = 2\n[plugins.\"io.containerd.gc.v1.scheduler\"]\npause_threshold = 1\n",
        OLD,
        &[],
        &[Code::WrongType],
    );
}

/// In containerd 1.3 and 1.4 docker.io has a mirror of its own, which keeps
/// the mirror for all other hosts away from it.
#[test]
fn the_mirror_of_docker_io_stays_where_another_would_take_its_place() {
    let dump = support::read(&support::path("recorded/default/1.4.13-debian.toml"));
    let any = format!(
        "{dump}\n[{}.registry.mirrors.\"*\"]\nendpoint = [\"https://all.example\"]\n",
        NAMES[0].1
    );
    for (k0s, section) in [(OLD, "CRI"), (NEW, "IMAGES")] {
        check(
            &any,
            k0s,
            &[
                &format!(
                    "{section}.\"registry\".\"mirrors\".\"*\".\"endpoint\" = [\"https://all.example\"]"
                ),
                &format!(
                    "{section}.\"registry\".\"mirrors\".\"docker.io\".\"endpoint\" = [\"https://registry-1.docker.io\"]"
                ),
            ],
            &[],
        );
    }
}

/// A copy of k0s's own file without the marker.
#[test]
fn drop_ins_that_a_legacy_file_imports_are_replaced() {
    let main = "version = 3\nimports = [\"/etc/k0s/containerd.d/*.toml\"]\noom_score = -5\n";
    let main = Document::parse("/etc/k0s/containerd.toml", main.as_bytes()).unwrap();
    let old = Document::parse("/etc/k0s/containerd.d/a.toml", b"oom_score = -7\n").unwrap();
    let target = Target::find(NEW).unwrap();
    let plan = plan(&main, &[old], &target, &Options::default());
    says(&plan, Code::ImportsDropIns);
    assert_eq!(settings(&plan), ["\"oom_score\" = -7"]);
    assert!(plan.steps[0].contains("a.toml"), "{:?}", plan.steps);
}

fn carried(files: &[(&str, &str)]) -> Plan {
    let directory = "/etc/k0s/containerd.d";
    let drop_ins: Vec<Document> = files
        .iter()
        .map(|(name, text)| {
            Document::parse(format!("{directory}/{name}"), long(text).as_bytes()).unwrap()
        })
        .collect();
    let existing = ExistingDropIns {
        directory,
        drop_ins: &drop_ins,
        main: None,
    };
    plan_drop_ins(&existing, &Target::find(NEW).unwrap(), &Options::default())
}

#[track_caller]
fn says(plan: &Plan, code: Code) {
    assert!(
        plan.findings.iter().any(|f| f.code == code),
        "{:?}",
        plan.findings
    );
}

/// The GPU toolkit makes such a drop-in.
#[test]
fn an_import_from_elsewhere_stays() {
    let plan = carried(&[(
        "nvidia.toml",
        "version = 2\nimports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n",
    )]);
    says(&plan, Code::ImportOutside);
    assert!(plan.is_sound());
    assert!(
        plan.drop_ins[0]
            .text()
            .ends_with("version = 3\nimports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n")
    );
}

/// An import of a file that is not there keeps containerd from starting.
#[test]
fn an_import_of_what_is_emptied_goes_with_it() {
    let plan = carried(&[
        ("a.toml", "imports = [\"sub/b.toml\"]\noom_score = -5\n"),
        ("sub/b.toml", "version = 3\n[RUNTIME]\nenable_cdi = true\n"),
    ]);
    says(&plan, Code::DropInEmpty);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert!(
        !plan.drop_ins[0].text().contains("imports"),
        "{}",
        plan.drop_ins[0].text()
    );
    let plan = carried(&[("a.toml", "imports = [\"sub/none.toml\"]\n")]);
    says(&plan, Code::ImportMissing);
}

#[test]
fn a_drop_in_of_version_1_kept_cri_settings_from_taking_effect() {
    let plan = carried(&[("a.toml", "version = 1\n[CRI]\nenable_selinux = true\n")]);
    says(&plan, Code::DropInVersion);
    assert_eq!(settings(&plan), ["RUNTIME.\"enable_selinux\" = true"]);
}

#[test]
fn one_finding_for_all_that_a_later_drop_in_decides() {
    let text = |n: i64| {
        format!(
            "version = 2\n[CRI]\nmax_concurrent_downloads = {n}\nstats_collect_period = {n}\nenable_selinux = true\n"
        )
    };
    let plan = carried(&[("a.toml", &text(5)), ("b.toml", &text(6))]);
    let said: Vec<_> = plan
        .findings
        .iter()
        .filter(|f| f.code == Code::Shadowed)
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(!said[0].message.contains("enable_selinux"), "{said:?}");
    says(&plan, Code::DropInEmpty);
    assert_eq!(plan.drop_ins.len(), 1);
}

/// containerd 2.x replaces entries of these maps whole, k0s up to 1.35 merges
/// those of drop-ins with CRI settings.
#[test]
fn an_entry_out_of_two_drop_ins_becomes_one() {
    let plan = carried(&[
        (
            "10.toml",
            "[CRI]\nenable_selinux = true\n[stream_processors.x]\npath = \"p\"\n[proxy_plugins.y]\ntype = \"snapshot\"\naddress = \"/a\"\n",
        ),
        (
            "20.toml",
            "[CRI]\nmax_concurrent_downloads = 9\n[stream_processors.x]\nargs = [\"1\"]\n[proxy_plugins.y]\naddress = \"/b\"\n",
        ),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let text = support::drop_ins(&plan)["20.toml"].clone();
    assert!(
        text.contains("path = \"p\"") && text.contains("args = [\"1\"]"),
        "{text}"
    );
    assert!(
        text.contains("type = \"snapshot\"") && text.contains("address = \"/b\""),
        "{text}"
    );
}

/// In k0s's merge a zero replaces; in containerd it overrides nothing, so that
/// what stands below shows again.
#[test]
fn a_zero_that_wins_in_the_merge_uncovers_what_is_below() {
    let zero = |format: &str| format!("[CRI]\n[debug]\nformat = \"{format}\"\n");
    let plan = carried(&[
        ("10.toml", &zero("json")),
        ("20.toml", "[debug]\nformat = \"text\"\n"),
        ("30.toml", &zero("")),
    ]);
    assert_eq!(settings(&plan), ["\"debug\".\"format\" = \"text\""]);
    assert_eq!(plan.drop_ins[0].name, "20.toml");
}

/// containerd 2.3 makes plugins of the servers, file by file: what counts only
/// beside an address must stand beside it.
#[test]
fn settings_of_a_server_come_together() {
    let plan = carried(&[
        (
            "10.toml",
            "version = 2\n[grpc]\ntcp_address = \"0.0.0.0:1\"\n[debug]\naddress = \"/d\"\n",
        ),
        (
            "20.toml",
            "version = 2\n[grpc]\ntcp_tls_cert = \"/c\"\ntcp_tls_key = \"/k\"\n[debug]\nuid = 7\nformat = \"json\"\n",
        ),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let files = support::drop_ins(&plan);
    assert!(!files.contains_key("10.toml"), "{files:?}");
    for key in ["tcp_address", "tcp_tls_cert", "address = \"/d\"", "uid = 7"] {
        assert!(files["20.toml"].contains(key), "{key}: {files:?}");
    }
}

/// containerd 2.3 replaces the shim manager's section in a file with one of
/// the task manager.
#[test]
fn the_shim_manager_stays_clear_of_the_task_manager() {
    let plan = carried(&[(
        "10.toml",
        "version = 2\n[plugins.\"io.containerd.runtime.v2.task\"]\nsched_core = true\nplatforms = [\"linux/arm64\"]\n",
    )]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let files = support::drop_ins(&plan);
    assert!(!files["10.toml"].contains("SCHED_CORE"), "{files:?}");
    assert!(
        files["10.toml"].contains("imports = [\"nested/10.toml\"]"),
        "{files:?}"
    );
    assert!(files["nested/10.toml"].contains("SCHED_CORE"), "{files:?}");
}

/// Lists are appended, with or without the same name twice.
#[test]
fn the_same_plugin_may_be_disabled_twice() {
    let text = "version = 2\ndisabled_plugins = [\"io.containerd.snapshotter.v1.zfs\"]\n";
    let plan = carried(&[("10.toml", text), ("20.toml", text)]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(plan.drop_ins.len(), 2);
}

#[test]
fn names_of_drop_ins_may_hold_anything() {
    let plan = carried(&[
        ("a\nb\u{7f}.toml", "oom_score = -5\nversion = 2\n"),
        (".toml", "oom_score = -5\n"),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
}

/// containerd 2.x does not follow the old name.
#[test]
fn an_old_name_in_a_list_of_version_3_had_no_effect() {
    check(
        "version = 3\ndisabled_plugins = [\"io.containerd.internal.v1.restart\"]\n",
        NEW,
        &[],
        &[Code::PluginIdIgnored],
    );
}

/// containerd 1.7 reads the old key only, and the node ran it.
#[test]
fn in_a_version_2_file_its_own_keys_prevail() {
    check(
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsandboxer = \"a\"\nsandbox_mode = \"b\"\n",
        NEW,
        &[
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"runtime_type\" = \"io.containerd.x.v2\"",
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"sandboxer\" = \"b\"",
        ],
        &[Code::Contradiction],
    );
}

/// A dump of containerd 2.3 has nothing to remark but the sandbox image.
#[test]
fn a_dump_of_version_4_is_read_without_remarks() {
    let dump = support::read(&support::path("recorded/default/2.3.4.toml"));
    let plan = support::migrate(&dump, NEW);
    let said: Vec<Code> = plan.findings.iter().map(|f| f.code).collect();
    assert_eq!(
        said,
        [Code::SandboxImageStale, Code::ImportEmpty],
        "{:?}",
        plan.findings
    );
}

/// Credentials in comments of whatever is written, and users in names.
#[test]
fn no_secret_shows() {
    let secrets = ["hunter2", "hunter3", "hunter4", "hunter7"];
    let text = "version = 3 # password = \"hunter2\"\n# auth = \"hunter3\"\n[plugins]\n[IMAGES.registry.mirrors.\"https://u:hunter7@h\"]\nendpoint = [\"https://m\"]\n[IMAGES.registry.configs.\"https://u:hunter4@h\".tls]\nca_file = \"/ca\"\n";
    let legacy = support::migrate(&long(text), NEW);
    for plan in [legacy, carried(&[("a.toml", text)])] {
        let shown = format!("{plan}{plan:?}{}", serde_json::to_string(&plan).unwrap());
        for secret in secrets {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        assert!(plan.drop_ins.iter().all(|drop_in| drop_in.sensitive));
    }
}

/// What is said about a drop-in as a whole, its version and its imports stays.
#[test]
fn comments_of_a_drop_in_stay() {
    let plan = carried(&[(
        "a.toml",
        "# top\n\nversion = 2 # old\n# why\nimports = [\"/x.toml\"] # keep\noom_score = -5\n# end\n",
    )]);
    let text = plan.drop_ins[0].text();
    for comment in ["# top", "# old", "# why", "# keep", "# end"] {
        assert_eq!(text.matches(comment).count(), 1, "{comment}: {text}");
    }
}

/// A file that says nothing, in a way that k0s 1.36 takes, may stay.
#[test]
fn empty_drop_ins_are_left_alone() {
    let plan = carried(&[
        ("a.toml", "# to be filled in\n"),
        ("b.toml", "version = 3\n"),
        ("c.toml", "version = 2\n"),
    ]);
    assert_eq!(plan.removed, ["c.toml"]);
    assert!(plan.drop_ins.is_empty());
}

/// One drop-in of version 3 and one without a version are those of k0s 1.36.
#[test]
fn drop_ins_without_a_version_go_by_their_neighbours() {
    let scheduler = "[plugins.\"io.containerd.gc.v1.scheduler\"]";
    let plan = carried(&[
        (
            "10.toml",
            &format!("version = 3\n{scheduler}\nmutation_threshold = 5\n"),
        ),
        ("20.toml", &format!("{scheduler}\ndeletion_threshold = 7\n")),
    ]);
    assert_eq!(plan.drop_ins.len(), 2);
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
}

/// A nested file of the wanted name is there already.
#[test]
fn the_stream_server_joins_an_imported_file_of_its_name() {
    let plan = carried(&[
        (
            "10.toml",
            "version = 2\nimports = [\"nested/10.toml\"]\n[CRI]\nstream_server_port = \"10010\"\n",
        ),
        ("nested/10.toml", "version = 2\noom_score = -5\n"),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let text = &support::drop_ins(&plan)["nested/10.toml"];
    assert!(
        text.contains("oom_score") && text.contains("stream_server_port"),
        "{text}"
    );
}

/// k0s merges drop-ins, not what they import: there containerd 1.7 replaces.
#[test]
fn an_imported_file_replaces_the_cri_section() {
    let plan = carried(&[
        ("10.toml", "version = 2\n[CRI]\nenable_selinux = true\n"),
        ("20.toml", "version = 2\nimports = [\"sub/x.toml\"]\n"),
        (
            "sub/x.toml",
            "version = 2\n[CRI]\nmax_concurrent_downloads = 9\n",
        ),
    ]);
    says(&plan, Code::Shadowed);
    assert!(
        !settings(&plan)
            .iter()
            .any(|line| line.contains("enable_selinux"))
    );
}

/// Two names of one plugin are one.
#[test]
fn the_old_and_the_new_name_of_a_plugin() {
    let plan = checked(
        "version = 2\ndisabled_plugins = [\"io.containerd.internal.v1.restart\", \"io.containerd.monitor.container.v1.restart\"]\n",
        NEW,
        &["\"disabled_plugins\" = [\"io.containerd.monitor.container.v1.restart\"]"],
        &[],
    );
    assert!(plan.is_sound(), "{:?}", plan.findings);
    check(
        "[plugins.cri.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsandboxer = \"shim\"\n",
        NEW,
        &[
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"runtime_type\" = \"io.containerd.x.v2\"",
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"sandboxer\" = \"shim\"",
        ],
        &[Code::LaterPlace],
    );
}

/// containerd 2.3 loses one of the two sections in one file, be it imported.
#[test]
fn what_an_imported_file_may_not_hold_is_imported_by_it() {
    let plan = carried(&[
        ("a.toml", "version = 3\nimports = [\"sub/x.toml\"]\n"),
        (
            "sub/x.toml",
            "version = 3\n[plugins.\"io.containerd.shim.v1.manager\"]\nenv = [\"A=1\"]\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"m\"]\n",
        ),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let files = support::drop_ins(&plan);
    assert!(
        files["sub/x.toml"].contains("imports = [\"nested/x.toml\"]"),
        "{files:?}"
    );
    assert!(files["sub/nested/x.toml"].contains("A=1"), "{files:?}");
}

#[test]
fn a_nested_file_has_no_name_that_is_a_pattern() {
    let plan = carried(&[(
        "a[*].toml",
        "version = 2\n[CRI]\nstream_server_port = \"1\"\n",
    )]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert!(
        plan.drop_ins[0]
            .text()
            .contains("imports = [\"nested/a___.toml\"]")
    );
}

/// containerd 2.3 leaves a server's settings behind where there is a section
/// of the plugin that it makes of the server.
#[test]
fn a_server_and_its_plugin_stay_apart() {
    let tcp = "plugins.\"io.containerd.server.v1.grpc-tcp\"";
    let plan = carried(&[(
        "a.toml",
        &format!("version = 3\n[{tcp}]\naddress = \"t:1\"\nmax_recv_message_size = 7\n"),
    )]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let files = support::drop_ins(&plan);
    assert!(
        files["a.toml"].contains("tcp_address") && !files["a.toml"].contains("max_recv"),
        "{files:?}"
    );
    assert!(
        files["nested/a.toml"].contains("max_recv_message_size = 7"),
        "{files:?}"
    );
    let apart = [
        (
            "a.toml",
            "version = 3\n[grpc]\ntcp_address = \"t:1\"\n".to_owned(),
        ),
        (
            "b.toml",
            format!("version = 3\n[{tcp}]\nmax_recv_message_size = 7\n"),
        ),
    ];
    let apart = apart.each_ref().map(|(name, text)| (*name, text.as_str()));
    let plan = carried(&apart);
    assert_eq!(
        support::drop_ins(&plan),
        apart
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    );
}

/// k0s checks drop-ins with go-toml 1.9, which does not read every TOML.
#[test]
fn a_drop_in_that_k0s_could_not_read_is_written_anew() {
    for text in [
        "version = 3\ngrpc. \"gid\" = 5\n",
        "version = 3\ntemp = \"\"\"\"x\"\"\"\"\n",
    ] {
        let plan = carried(&[("a.toml", text)]);
        assert!(plan.is_sound(), "{:?}", plan.findings);
        assert_ne!(plan.drop_ins[0].text(), text);
    }
}

/// In a version 2 file the node's containerd read `bin_dir` only.
#[test]
fn bin_dir_prevails_in_a_version_2_file() {
    check(
        "version = 2\n[CRI.cni]\nbin_dir = \"/a\"\nbin_dirs = [\"/b\"]\n",
        NEW,
        &["RUNTIME.\"cni\".\"bin_dirs\" = [\"/a\"]"],
        &[Code::Contradiction],
    );
}

/// In plugin tables of containerd 2.x zeros override.
#[test]
fn a_zero_in_a_servers_plugin_overrides() {
    let metrics = "plugins.\"io.containerd.server.v1.metrics\"";
    let plan = carried(&[
        (
            "a.toml",
            &format!("version = 3\n[{metrics}]\naddress = \":1\"\n"),
        ),
        (
            "b.toml",
            &format!("version = 3\n[{metrics}]\naddress = \"\"\n"),
        ),
    ]);
    assert!(settings(&plan).is_empty(), "{:?}", settings(&plan));
}

/// containerd 2.3 migrates version 3 files once more.
#[test]
fn core_scheduling_in_a_version_3_file() {
    check(
        "version = 3\n[plugins.\"io.containerd.runtime.v2.task\"]\nsched_core = true\n",
        NEW,
        &["\"plugins\".\"io.containerd.shim.v1.manager\".\"env\" = [\"SCHED_CORE=1\"]"],
        &[Code::Converted],
    );
}

/// What containerd 1.x ignored takes effect for the first time.
#[test]
fn a_setting_of_2_x_in_a_version_2_file_is_remarked() {
    check(
        "version = 2\n[CRI.cni]\nuse_internal_loopback = true\n",
        NEW,
        &["RUNTIME.\"cni\".\"use_internal_loopback\" = true"],
        &[Code::LaterPlace],
    );
}
