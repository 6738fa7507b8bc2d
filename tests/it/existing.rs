//! Drop-ins of earlier k0s releases carried over to k0s 1.36: what a file alone
//! does not show. What is right is what k0s 1.35 and containerd 1.7 made of the
//! set, and what containerd 2.1 makes of the new one.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::k0s::NameFault;
use containerd_dropins::migrate::{ExistingDropIns, Options, Plan, Target, plan_drop_ins};

use crate::support;
use crate::version_3::{NEW, long, says, settings};

fn carried(files: &[(&str, &str)]) -> Plan {
    support::carried_over(files, NEW)
}

/// The GPU toolkit makes such a drop-in. What it imports is read, and stays.
#[test]
fn an_import_from_elsewhere_stays() {
    let import = "version = 2\nimports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n";
    let handlers =
        "version = 2\n[CRI.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n";
    let plan = carried(&[
        ("nvidia.toml", import),
        ("/etc/containerd/conf.d/99-nvidia.toml", handlers),
    ]);
    says(&plan, Code::ImportOutside);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(plan.drop_ins.len(), 1);
    assert!(
        plan.drop_ins[0]
            .text()
            .ends_with("version = 3\nimports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n")
    );
    // Not handed in, it counts as missing: containerd exits then.
    let plan = carried(&[("nvidia.toml", import)]);
    says(&plan, Code::ImportMissing);
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
            "version = 2\nimports = [\"/etc/k0s/containerd.d/nested/10.toml\"]\n[CRI]\nstream_server_port = \"10010\"\n",
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

/// containerd 2.3 loses one of the two sections in one file, be it imported.
#[test]
fn what_an_imported_file_may_not_hold_is_imported_by_it() {
    let plan = carried(&[
        ("a.toml", "version = 3\nimports = [\"sub/x.toml\"]\n"),
        (
            "sub/x.toml",
            "version = 3\n[plugins.\"io.containerd.shim.v1.manager\"]\nenv = [\"A=1\"]\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"linux/arm64\"]\n",
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
            .contains("imports = [\"nested/a%5b%2a%5d.toml\"]")
    );
}

/// Two drop-ins have two nested files, whatever their names are.
#[test]
fn nested_files_of_patterns_are_not_one() {
    let plan = carried(&[
        (
            "a*.toml",
            "version = 2\n[CRI]\nstream_server_port = \"1\"\n",
        ),
        (
            "a_.toml",
            "version = 2\n[CRI]\nstream_idle_timeout = \"1h\"\n",
        ),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let files = support::drop_ins(&plan);
    let nested = ["nested/a%2a.toml", "nested/a_.toml"];
    assert!(nested.iter().all(|name| files.contains_key(*name)));
}

/// What is carried over once is left alone the second time.
#[test]
fn own_output_stays() {
    let plan = support::migrate(
        &long(
            "version = 2\n[timeouts]\n'a\"b' = \"1s\"\n[CRI.registry.mirrors.\"[::1]\"]\nendpoint = [\"http://x\"]\n",
        ),
        NEW,
    );
    assert_eq!(plan.drop_ins.len(), 2);
    for first in &plan.drop_ins {
        let again = carried(&[(first.name.as_str(), first.text())]);
        assert_eq!(again.drop_ins[0].text(), first.text());
    }
}

/// As `config dump` of containerd 2.3.1 has it.
#[test]
fn a_zero_value_of_a_server_counts() {
    let set = |table: &str, sizes: [i64; 2]| {
        let text = |size| format!("version = 3\n[{table}]\nmax_send_message_size = {size}\n");
        let plan = carried(&[("a.toml", &text(sizes[0])), ("b.toml", &text(sizes[1]))]);
        assert!(plan.is_sound(), "{:?}", plan.findings);
        support::drop_ins(&plan)
    };
    for plugin in ["grpc", "grpc-tcp"] {
        let table = format!("plugins.\"io.containerd.server.v1.{plugin}\"");
        let files = set(&table, [1001, 0]);
        assert_eq!(files.keys().collect::<Vec<_>>(), ["b.toml"]);
        assert!(
            files["b.toml"].contains(&format!("[{table}]\nmax_send_message_size = 0\n")),
            "{files:?}"
        );
    }
    let files = set("grpc", [1001, 0]);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["a.toml"]);
}

/// containerd 2.x migrates ids in lists in no file, and so knows the later one in
/// a file without a version, too.
#[test]
fn a_plugin_by_its_later_id_in_a_file_without_a_version() {
    let text = "disabled_plugins = [\"io.containerd.monitor.container.v1.restart\"]\n";
    let plan = carried(&[("a.toml", text)]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert!(support::drop_ins(&plan)["a.toml"].ends_with(text));
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

/// Nobody can say which of two is on the node, nor what a file is for that k0s
/// does not read.
#[test]
fn what_cannot_be_in_a_set_is_refused() {
    let directory = "/copy/containerd.d";
    let document = |name: &str| Document::parse(name, b"oom_score = -5\n").unwrap();
    let refused = |drop_ins: &[&str], imported: &[&str]| {
        let drop_ins: Vec<Document> = drop_ins.iter().map(|name| document(name)).collect();
        let imported: Vec<Document> = imported.iter().map(|name| document(name)).collect();
        let set = ExistingDropIns::new(directory, &drop_ins);
        let error = set.and_then(|set| set.importing(&imported).map(drop));
        error.unwrap_err().fault()
    };
    let a = "/copy/containerd.d/a.toml";
    let on_node = "/etc/k0s/containerd.d/a.toml";
    assert_eq!(refused(&[a, a], &[]), NameFault::Twice);
    assert_eq!(refused(&[a, on_node], &[]), NameFault::Twice);
    assert_eq!(refused(&["a.toml"], &[on_node]), NameFault::Twice);
    assert_eq!(
        refused(&[], &["/x/a.toml", "/x/./a.toml"]),
        NameFault::Twice
    );
    assert_eq!(
        refused(&["/copy/containerd.d/a/b.toml"], &[]),
        NameFault::InFolder
    );
    assert_eq!(
        refused(&["/copy/containerd.dx/a.toml"], &[]),
        NameFault::Elsewhere
    );
    assert_eq!(
        refused(&["/copy/containerd.d/NVIDIA.TOML"], &[]),
        NameFault::UpperCase
    );
    assert_eq!(
        refused(&["/copy/containerd.d/notes.txt"], &[]),
        NameFault::Ending
    );
    assert_eq!(refused(&["../a.toml"], &[]), NameFault::Relative);
    // The same without the mistake.
    let drop_ins = [document(a), document("b.toml")];
    let imported = [
        document("/copy/containerd.d/sub/c.toml"),
        document("/x/a.toml"),
    ];
    let set = ExistingDropIns::new("/copy/containerd.d/", &drop_ins).unwrap();
    let plan = plan_drop_ins(
        &set.importing(&imported).unwrap(),
        &Target::find(NEW).unwrap(),
        &Options::default(),
    );
    let unused = plan
        .findings
        .iter()
        .filter(|finding| finding.code == Code::ImportUnused);
    assert_eq!(unused.count(), 2);
    let names: Vec<&str> = plan
        .drop_ins
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(names, ["b.toml"]);
}

/// k0s 1.27 – 1.35 merge drop-ins with CRI settings into a file elsewhere, lists
/// of imports included: the last one counts, and starts from there.
#[test]
fn imports_of_merged_drop_ins_start_from_the_run_directory() {
    let cri = |imports: &str| format!("version = 2\n{imports}\n[CRI]\nenable_selinux = true\n");
    let before = cri("imports = [\"/etc/a.toml\"]");
    let last = cri("imports = [\"sub/*.toml\", \"/etc/k0s/containerd.d/sub/y.toml\"]");
    let plan = carried(&[
        ("10.toml", &before),
        ("20.toml", &last),
        ("sub/x.toml", "version = 2\noom_score = -5\n"),
        ("sub/y.toml", "version = 2\n[grpc]\ngid = 7\n"),
    ]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    says(&plan, Code::Shadowed);
    says(&plan, Code::ImportEmpty);
    says(&plan, Code::ImportUnused);
    assert_eq!(
        settings(&plan),
        [
            "\"grpc\".\"gid\" = 7",
            "\"imports\" = [\"/run/k0s/sub/*.toml\", \"/etc/k0s/containerd.d/sub/y.toml\"]",
            "RUNTIME.\"enable_selinux\" = true",
        ]
    );
}
