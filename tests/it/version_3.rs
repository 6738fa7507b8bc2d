//! Config version 3 and containerd 2.x: the rules that are no mere change of
//! address, one small file each. What is right is what containerd 2.1 makes of
//! the file (`config dump`, or the daemon's log), and the release notes.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{Fate, Options, Origin, Plan, Target, plan};

pub use crate::support::long;
use crate::support::{self, NAMES};

/// All that drop-ins set, with short names for sections.
pub fn settings(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for text in support::drop_ins(plan).values() {
        for (key, value) in support::leaves(&support::parse(text)) {
            if key != "\"version\"" {
                let line = format!("{key} = {}", value.exposed());
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
pub fn check(legacy: &str, k0s: &str, expected: &[&str], codes: &[Code]) {
    let _ = checked(legacy, k0s, expected, codes);
}

#[track_caller]
pub fn checked(legacy: &str, k0s: &str, expected: &[&str], codes: &[Code]) -> Plan {
    let plan = support::migrate(&long(legacy), k0s);
    assert!(plan.verified, "{:?}", plan.findings);
    assert_eq!(settings(&plan), expected);
    let found: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
    for code in codes {
        assert!(found.contains(code), "{code} is not in {found:?}");
    }
    plan
}

#[track_caller]
pub fn says(plan: &Plan, code: Code) {
    assert!(
        plan.findings.iter().any(|f| f.code == code),
        "{:?}",
        plan.findings
    );
}

pub const OLD: &str = "v1.30.4+k0s.0";
pub const NEW: &str = "v1.36.3+k0s.2";

#[test]
fn bin_dir_and_bin_dirs() {
    let one = ["CRI.\"cni\".\"bin_dir\" = \"/x\""];
    let list = ["RUNTIME.\"cni\".\"bin_dirs\" = [\"/x\"]"];
    let two = ["RUNTIME.\"cni\".\"bin_dirs\" = [\"/x\", \"/y\"]"];
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
        "version = 2\n[plugins.\"io.containerd.runtime.v1.linux\"]\nshim_debug = true\n[plugins.\"io.containerd.snapshotter.v1.aufs\"]\nroot_path = \"/a\"\n",
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

/// containerd 2.3 makes the shim manager's section anew where there is one of
/// the task manager.
#[test]
fn the_shim_manager_beside_the_task_manager() {
    let text = "version = 3\n[plugins.\"io.containerd.shim.v1.manager\"]\nenv = [\"A=1\"]\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"m\"]\n";
    check(
        text,
        NEW,
        &[
            "\"plugins\".\"io.containerd.runtime.v2.task\".\"platforms\" = [\"m\"]",
            "\"plugins\".\"io.containerd.shim.v1.manager\".\"env\" = [\"A=1\"]",
        ],
        &[Code::OtherPlace],
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
            // CRI pulls by itself, and looks where it did.
            "IMAGES.\"registry\".\"config_path\" = \"/etc/k0s/containerd.d/certs.d\"",
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

/// A zero value counts in the plugin that containerd 2.3 makes of a server, and
/// nowhere else.
#[test]
fn zero_values_of_servers() {
    let text = |table: &str| format!("version = 3\n[{table}]\nmax_send_message_size = 0\n");
    let plugin = "plugins.\"io.containerd.server.v1.grpc\"";
    let kept = "\"plugins\".\"io.containerd.server.v1.grpc\".\"max_send_message_size\" = 0";
    check(&text(plugin), NEW, &[kept], &[]);
    check(&text("grpc"), NEW, &[], &[Code::ZeroValueIgnored]);
    check(&text(plugin), OLD, &[], &[Code::NotExpressible]);
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
            // An empty list has the transfer service unpack nothing, so that CRI pulls.
            "\"plugins\".\"io.containerd.transfer.v1.local\".\"unpack_config\" = []",
            "IMAGES.\"registry\".\"config_path\" = \"/etc/k0s/containerd.d/certs.d\"",
            "IMAGES.\"use_local_image_pull\" = true",
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
    assert!(
        plan.steps[0].to_string().contains("a.toml"),
        "{:?}",
        plan.steps
    );
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
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsandboxer = \"a\"\nsandbox_mode = \"shim\"\n",
        NEW,
        &[
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"runtime_type\" = \"io.containerd.x.v2\"",
            "RUNTIME.\"containerd\".\"runtimes\".\"x\".\"sandboxer\" = \"shim\"",
        ],
        &[Code::Contradiction],
    );
}

/// A dump of containerd 2.3 or 2.4 has nothing to remark but the sandbox image,
/// and is known for what it is.
#[test]
fn a_dump_of_version_4_is_read_without_remarks() {
    for (version, first) in [("2.3.4", "2.3.4"), ("2.4.0-beta.0", "2.4.0-beta.0")] {
        let dump = support::read(&support::path(&format!("recorded/default/{version}.toml")));
        let plan = support::migrate(&dump, NEW);
        let said: Vec<Code> = plan.findings.iter().map(|f| f.code).collect();
        assert_eq!(
            said,
            [Code::SandboxImageStale, Code::ImportEmpty],
            "{:?}",
            plan.findings
        );
        let Origin::Dump(origin) = &plan.origin else {
            panic!("{version}: {:?}", plan.origin);
        };
        let found = [origin.first.to_string(), origin.last.to_string()];
        assert_eq!(found, [first, version]);
        assert_eq!(origin.matching, origin.printed, "{version}");
        assert!(plan.drop_ins.is_empty(), "{version}");
        assert!(plan.verified, "{version}");
    }
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
