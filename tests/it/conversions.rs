//! Deprecated settings and the other special rules, one small file each. What
//! is right is what containerd 1.3 – 1.7 make of the old setting.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::migrate::{Fate, Options, Plan, Target, plan};
use containerd_dropins::value::{Table, Value};

use crate::support;
use crate::version_3::long;

const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";

/// Migrates a version 2 file in which `CRI` stands for the plugin's path.
fn migrate(text: &str) -> Plan {
    let plan = support::migrate(
        &format!("version = 2\n{}", text.replace("CRI", CRI)),
        "v1.30.4+k0s.0",
    );
    assert!(plan.verified, "{:?}", plan.findings);
    plan
}

/// All that the drop-ins of a plan set, but for `version`.
fn settings(plan: &Plan) -> String {
    let mut keys = String::new();
    for text in support::drop_ins(plan).values() {
        for (key, value) in support::leaves(&support::parse(text)) {
            if key != "\"version\"" {
                let path = key
                    .replace("\"plugins\".\"io.containerd.grpc.v1.cri\"", "CRI")
                    .replace('"', "");
                keys.push_str(&format!("{path} = {}\n", show(&value)));
            }
        }
    }
    keys
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn check(text: &str, expected: &str, codes: &[Code]) {
    let _ = checked(text, expected, codes);
}

#[track_caller]
fn checked(text: &str, expected: &str, codes: &[Code]) -> Plan {
    let plan = migrate(text);
    assert_eq!(settings(&plan), expected);
    let found: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
    for code in codes {
        assert!(found.contains(code), "{code} is not in {found:?}");
    }
    plan
}

/// `io.containerd.runtime.v1.linux` had options of its own (RuncOptions).
#[test]
fn options_of_the_first_shim_become_those_of_runc() {
    check(
        "[CRI.containerd.runtimes.old]\nruntime_type = \"io.containerd.runtime.v1.linux\"\n[CRI.containerd.runtimes.old.options]\nRuntime = \"/usr/bin/custom\"\nRuntimeRoot = \"/run/custom\"\n",
        "CRI.containerd.runtimes.old.options.BinaryName = /usr/bin/custom\nCRI.containerd.runtimes.old.options.Root = /run/custom\nCRI.containerd.runtimes.old.runtime_type = io.containerd.runc.v2\n",
        &[Code::Converted, Code::RuntimeTypeConverted],
    );
}

/// containerd 1.3 – 1.7 do not look at the name then. The default that the file
/// states is then not what the target has.
#[test]
fn the_name_beside_a_default_runtime_is_accounted_for_by_the_one_in_its_place() {
    let plan = checked(
        "[CRI.containerd]\ndefault_runtime_name = \"runc\"\n[CRI.containerd.default_runtime]\nruntime_type = \"io.containerd.kata.v2\"\n[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n",
        "CRI.containerd.default_runtime_name = default\nCRI.containerd.runtimes.default.runtime_type = io.containerd.kata.v2\n",
        &[],
    );
    let name = |key: &str| key.ends_with(".default_runtime_name");
    let entry = plan.ledger.iter().find(|entry| name(&entry.key)).unwrap();
    let Fate::Converted { to, drop_in } = &entry.fate else {
        panic!("{entry:?}");
    };
    assert!(
        to.len() == 1 && name(&to[0]) && drop_in.is_some(),
        "{entry:?}"
    );
}

/// containerd looks at `runtime_engine` only where there are no options.
#[test]
fn an_option_beats_the_deprecated_key() {
    check(
        "[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_engine = \"/old\"\n[CRI.containerd.runtimes.x.options]\nBinaryName = \"/new\"\n",
        "CRI.containerd.runtimes.x.options.BinaryName = /new\nCRI.containerd.runtimes.x.runtime_type = io.containerd.runc.v2\n",
        &[Code::Contradiction],
    );
}

/// containerd 1.3 – 1.7 refuse CRI with it on any shim but the first.
#[test]
fn systemd_cgroup_on_a_later_shim_takes_effect_for_the_first_time() {
    check(
        "[CRI]\nsystemd_cgroup = true\n",
        "CRI.containerd.runtimes.runc.options.SystemdCgroup = true\n",
        &[Code::FirstEffect, Code::Converted],
    );
    let plan = migrate(
        "[CRI]\nsystemd_cgroup = true\n[CRI.containerd]\ndefault_runtime_name = \"a\"\n[CRI.containerd.runtimes.a]\nruntime_type = \"io.containerd.runtime.v1.linux\"\n",
    );
    assert!(
        plan.findings
            .iter()
            .all(|finding| finding.code != Code::FirstEffect)
    );
    assert!(settings(&plan).contains("runtimes.a.options.SystemdCgroup = true"));
}

#[test]
fn systemd_cgroup_goes_to_no_handler_that_cannot_take_it() {
    let kata = "[CRI]\nsystemd_cgroup = true\n[CRI.containerd]\ndefault_runtime_name = \"k\"\n[CRI.containerd.runtimes.k]\nruntime_type = \"io.containerd.kata.v2\"\n";
    let plan = checked(
        kata,
        "CRI.containerd.default_runtime_name = k\nCRI.containerd.runtimes.k.runtime_type = io.containerd.kata.v2\n",
        &[Code::WithoutEffect],
    );
    assert_eq!(plan.ledger[1].fate, Fate::NoEffect);
}

/// In a dump, `SystemdCgroup = false` is the default, not a choice.
#[test]
fn systemd_cgroup_in_a_dump_beats_the_default_option() {
    let dump = support::read(&support::path("recorded/default/1.6.20-debian.toml"));
    let text = dump.replace("systemd_cgroup = false", "systemd_cgroup = true");
    let plan = support::migrate(&text, "1.30.4");
    assert_eq!(
        settings(&plan),
        "CRI.containerd.runtimes.runc.options.SystemdCgroup = true\n"
    );
    assert_eq!(plan.kept().count(), 1);
}

/// A name that is only the default is overwritten without a contradiction.
#[test]
fn default_runtime_brings_its_name() {
    let plan = checked(
        "[CRI.containerd]\ndefault_runtime_name = \"runc\"\n# the old way\n[CRI.containerd.default_runtime]\n# gVisor\nruntime_type = \"io.containerd.runsc.v1\"\n[CRI.containerd.default_runtime.options]\nDebug = false\n",
        "CRI.containerd.default_runtime_name = default\nCRI.containerd.runtimes.default.options.Debug = false\nCRI.containerd.runtimes.default.runtime_type = io.containerd.runsc.v1\n",
        &[Code::Converted],
    );
    assert!(plan.findings.iter().all(|finding| finding.code != Code::Contradiction && finding.code != Code::RuncAppears));
    let text = plan.drop_ins[0].text();
    assert_eq!(text.matches("# gVisor").count(), 1, "{text}");
    assert!(
        text.contains(
            "# the old way\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.default]"
        ),
        "{text}"
    );
}

/// containerd 1.3 – 1.7 read the old tables only if they have a type.
#[test]
fn an_old_table_without_a_type_does_nothing() {
    let plan = checked(
        "[CRI.containerd.default_runtime]\nruntime_engine = \"/x\"\n[CRI.containerd.untrusted_workload_runtime]\nruntime_type = \"\"\n",
        "",
        &[Code::WithoutEffect],
    );
    assert!(plan.drop_ins.is_empty());
}

#[test]
fn auths_replace_configs_and_empty_ones_vanish() {
    check(
        "[CRI.registry.auths.\"https://a.example/v2\"]\nusername = \"new\"\n[CRI.registry.auths.\"https://b.example\"]\nauth = \"\"\n[CRI.registry.configs.\"a.example\".auth]\nusername = \"old\"\npassword = \"old\"\n",
        "CRI.registry.configs.a.example.auth.username = new\n",
        &[Code::Converted, Code::Contradiction],
    );
}

/// `registry.configs.auths` is a common mistake, and holds credentials.
#[test]
fn credentials_in_the_wrong_place_are_not_shown() {
    let plan = migrate(
        "[CRI.registry.configs.auths.\"https://x\"]\nauth = \"c2VjcmV0\"\n[CRI.registry.mirrors.x]\nendpoint = [\"https://u:hunter2@m.example\"]\n[plugins.short]\npassword = \"hunter2\"\n",
    );
    assert!(plan.drop_ins[0].sensitive);
    assert!(plan.drop_ins[0].text().contains("c2VjcmV0"));
    for shown in [
        plan.to_string(),
        format!("{plan:?}"),
        serde_json::to_string(&plan).unwrap(),
    ] {
        assert!(
            !shown.contains("c2VjcmV0") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

/// What stands where no setting is may be anything.
#[test]
fn ignored_keys_show_what_they_have() {
    let plan = migrate("[plugins.cri]\nsandbox_image = \"x\"\n");
    assert_eq!(plan.ledger[1].fate, Fate::NoEffect);
    let shown = plan.ledger[1].value.to_string();
    assert_eq!(shown, "\"<hidden> (string, 1 character)\"");
    assert_eq!(plan.exposed().ledger[1].value.to_string(), "\"x\"");
}

/// The ledger quotes the file, not what became of it.
#[test]
fn the_ledger_shows_the_input() {
    let plan = support::migrate(
        "disabled_plugins = [\"cri\", \"aufs\"]\n[plugins.cri.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v1\"\n",
        "1.30.4",
    );
    assert_eq!(plan.ledger[0].value.to_string(), "[\"cri\", \"aufs\"]");
    assert_eq!(
        plan.ledger[1].value.to_string(),
        "\"io.containerd.runc.v1\""
    );
    assert!(matches!(
        &plan.ledger[1].fate,
        Fate::Converted { drop_in: None, .. }
    ));
}

/// Each key of each file has one fate, also where a later file replaces it.
#[test]
fn shadowed_keys_are_counted_once() {
    let parse = |name: &str, text: &str| Document::parse(name, text.as_bytes()).unwrap();
    let main = parse(
        "/etc/c/main.toml",
        "version = 2\nimports = [\"x.toml\"]\noom_score = 1\n[plugins.\"io.containerd.gc.v1.scheduler\"]\ndeletion_threshold = 1\nmutation_threshold = 2\n",
    );
    let import = parse(
        "/etc/c/x.toml",
        "version = 2\noom_score = 2\n[plugins.\"io.containerd.gc.v1.scheduler\"]\ndeletion_threshold = 3\n[grpc]\nuid = 0\n",
    );
    let plan = plan(
        &main,
        &[import],
        &Target::find("1.30.4").unwrap(),
        &Options::default(),
    );
    assert_eq!(plan.ledger.len(), 9, "{:#?}", plan.ledger);
    let no_effect = plan
        .ledger
        .iter()
        .filter(|entry| entry.fate == Fate::NoEffect)
        .count();
    assert_eq!(no_effect, 3);
    assert_eq!(
        settings(&plan),
        "oom_score = 2\nplugins.io.containerd.gc.v1.scheduler.deletion_threshold = 3\n"
    );
}

/// Upstream builds print the tracing plugins up to 1.6.31 and 1.7.15.
#[test]
fn a_dump_with_tracing_and_arm64_has_no_edit() {
    let dump = support::read(&support::path("recorded/default/1.7.27.toml"))
        .replace("[plugins.\"io.containerd.internal.v1.tracing\"]\n", "[plugins.\"io.containerd.internal.v1.tracing\"]\n    sampling_ratio = 1.0\n    service_name = \"containerd\"\n")
        .replace("platforms = [\"linux/amd64\"]", "platforms = [\"linux/arm64/v8\"]")
        .replace("differ = \"\"\n      platform = \"linux/amd64\"", "differ = \"walking\"\n      platform = \"linux/arm64/v8\"");
    // The release that prints both is older than the one that was changed.
    let dump = dump
        .replace("    ignore_deprecation_warnings = []\n", "")
        .replace("    image_pull_with_sync_fs = false\n", "")
        .replace("    sync_fs = false\n", "");
    let plan = support::migrate(&dump, "v1.30.4+k0s.0");
    assert!(plan.drop_ins.is_empty(), "{:?}", plan.drop_ins);
    assert!(
        plan.changes
            .iter()
            .all(|change| !change.key.contains("platform")),
        "{:?}",
        plan.changes
    );
}

#[test]
fn a_file_without_a_version_is_read_as_the_one_it_speaks() {
    let text = "[plugins.\"io.containerd.server.v1.grpc\"]\ngid = 7\n";
    let plan = support::migrate(text, "1.36.3");
    assert!(plan.findings.iter().any(|f| f.code == Code::VersionMissing));
    assert_eq!(settings(&plan), "grpc.gid = 7\n");
}

/// RFC 7396 has no way to remove; a bare entry is kept as one.
#[test]
fn entries_that_are_merely_there_are_kept() {
    let plan = migrate(
        "[CRI.registry.mirrors.\"a.example\"]\nendpoint = []\n[CRI.registry.configs.b.tls]\n",
    );
    let table: Table = support::parse(plan.drop_ins[0].text());
    let registry = ["plugins", support::CRI, "registry"];
    let at = |path: &[&str]| support::at(&table, &[&registry, path].concat()).cloned();
    assert_eq!(
        at(&["mirrors", "a.example"]),
        Some(Value::Table(Table::new()))
    );
    assert_eq!(
        at(&["configs", "b", "tls"]),
        Some(Value::Table(Table::new()))
    );
}

#[test]
fn a_uri_without_quotes_is_explained() {
    let plan = migrate("[plugins.io.containerd.grpc.v1.cri]\nsandbox_image = \"x\"\n");
    assert!(
        plan.findings
            .iter()
            .any(|f| f.message.contains("not in quotes")),
        "{:?}",
        plan.findings
    );
    assert!(plan.drop_ins.is_empty());
}

/// Docker's package switches CRI off; k0s must not.
#[test]
fn the_file_of_another_containerd_is_recognised() {
    check(
        "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nroot = \"/data/containerd\"\n[debug]\nformat = \"json\"\n",
        "debug.format = json\n",
        &[Code::CriDisabled, Code::ForeignContainerd],
    );
    let plan = support::migrate("disabled_plugins = [\"cri\"]\n", "1.30.4");
    assert!(plan.is_sound() && plan.drop_ins.is_empty());
    assert_eq!(plan.ledger[0].fate, Fate::OwnedByK0s);
}

/// k0s writes the merged CRI file with escapes that containerd's parser does
/// not undo in names.
#[test]
fn names_with_quotes_cannot_pass_through_the_merge() {
    let plan = migrate(
        "[CRI.registry.mirrors.'a\"b']\nendpoint = [\"https://m\"]\n[proxy_plugins.'a\"b']\ntype = \"snapshot\"\n",
    );
    assert!(
        plan.findings.iter().any(|f| f.code == Code::NotMergeable),
        "{:?}",
        plan.findings
    );
    assert_eq!(plan.drop_ins.len(), 1);
    assert!(plan.drop_ins[0].text().contains("[proxy_plugins.'a\"b']"));
}

#[track_caller]
fn refuses(text: &str, code: Code) {
    let plan = migrate(text);
    assert!(plan.drop_ins.is_empty(), "{:?}", plan.drop_ins);
    assert!(
        plan.findings.iter().any(|f| f.code == code),
        "{:?}",
        plan.findings
    );
    assert!(
        plan.ledger
            .iter()
            .any(|entry| entry.fate == Fate::NotExpressible)
    );
}

/// What containerd 1.7 does not load, in a file or in a drop-in.
#[test]
fn what_containerd_refuses_is_not_written() {
    refuses(
        "[CRI.registry.mirrors.\"[::1]:5000\"]\nendpoint = [\"http://x\"]\n",
        Code::NotPortable,
    );
    refuses(
        "[plugins]\n\"io.containerd.foo.v1.x\" = 1\n",
        Code::WrongType,
    );
    refuses(
        "[plugins.\"io.containerd.transfer.v1.local\"]\nunpack_config = []\n",
        Code::WrongType,
    );
    refuses("imports = \"b.toml\"\n", Code::WrongType);
    refuses(
        "[proxy_plugins.a]\naddress = \"/x\"\n",
        Code::ProxyPluginType,
    );
    refuses(
        "[plugins.\"io.containerd.internal.v1.restart\"]\ninterval = 5\n",
        Code::WrongType,
    );
}

/// A key, unlike a table, may hold brackets.
#[test]
fn brackets_in_a_plain_key_pass() {
    check("[timeouts]\n\"a]b\" = \"5s\"\n", "timeouts.a]b = 5s\n", &[]);
}

/// containerd 1.4 – 1.7 read the integer 0 as "0s".
#[test]
fn zero_is_a_duration() {
    check(
        "[plugins.\"io.containerd.gc.v1.scheduler\"]\nschedule_delay = 0\n",
        "",
        &[],
    );
    check(
        "[plugins.\"io.containerd.internal.v1.restart\"]\ninterval = 0\n",
        "plugins.io.containerd.internal.v1.restart.interval = 0\n",
        &[],
    );
}

/// An import replaces a built-in entry by what it says, be it nothing.
#[test]
fn an_emptied_built_in_entry_stays_empty() {
    let key = "stream_processors.\"io.containerd.ocicrypt.decoder.v1.tar\"";
    let plan = migrate(&format!("[{key}]\npath = \"\"\n"));
    assert!(
        plan.drop_ins[0].text().ends_with(&format!("\n[{key}]\n")),
        "{:?}",
        plan.drop_ins
    );
}

#[test]
fn dates_are_text_in_json() {
    let plan = migrate("[x]\na = 1979-05-27\nb = nan\n").exposed();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["ledger"][1]["value"], "1979-05-27");
    assert_eq!(json["ledger"][2]["value"], "NaN");
    assert!(
        plan.drop_ins[0]
            .text()
            .contains("[x]\na = 1979-05-27 \nb = nan\n")
    );
}

/// A file that k0s wrote, and somebody took the marker out of.
#[test]
fn the_import_of_what_k0s_generates_is_not_missed() {
    let plan = support::migrate(
        "version = 2\nimports = [\"/run/k0s/containerd-cri.toml\"]\n",
        "1.30.4",
    );
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert!(plan.drop_ins.is_empty());
}

/// Comments go with their key, those inside of its value too.
#[test]
fn comments_travel_with_their_keys() {
    let plan = migrate(
        "\n# about the file\n\n# about the daemon\noom_score = -1 # low\n[CRI.registry.mirrors.x]\n# tried in order\nendpoint = [\n  # near\n  \"https://a#b\", # first\n  \"https://c\",\n  # no more\n]\n[plugins.\"io.containerd.transfer.v1.local\"]\n# one\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\" # here\n# two\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nsnapshotter = \"zfs\"\n",
    );
    let text = |name: &str| {
        plan.drop_ins
            .iter()
            .find(|d| d.name.as_str().contains(name))
            .unwrap()
            .text()
            .to_owned()
    };
    assert!(
        text("daemon").ends_with(
            "version = 2\n# about the file\n# about the daemon\n# low\noom_score = -1\n"
        ),
        "{}",
        text("daemon")
    );
    assert!(text("registry").contains("# tried in order\n# near\n# first\n# no more\nendpoint = [\"https://a#b\", \"https://c\"]\n"), "{}", text("registry"));
    assert!(
        text("transfer").contains("# one\n# here\n# two\nunpack_config = ["),
        "{}",
        text("transfer")
    );
}

/// A key that the dump's release does not print was written by somebody, even
/// with the value that the release assumes.
#[test]
fn a_key_that_a_dump_does_not_print_is_an_edit() {
    let dump = support::read(&support::path("recorded/default/1.6.20-debian.toml"));
    let text =
        format!("{dump}\n[plugins.\"io.containerd.internal.v1.tracing\"]\nservice_name = \"\"\n");
    let plan = support::migrate(&text, "v1.27.5+k0s.0");
    assert_eq!(
        settings(&plan),
        "plugins.io.containerd.internal.v1.tracing.service_name = \n"
    );
}

/// Wherever a credential stands, and whatever it looks like.
#[test]
fn no_output_shows_a_credential() {
    let texts = [
        "[CRI.registry.configs.\"x.io\"]\nauth = \"S3CRET\"\n",
        "[CRI.registry.auths]\n\"y.io\" = \"a\"\n[CRI.registry.auths.\"https://u:S3CRET@z.io\"]\nusername = \"u\"\n",
        "[CRI.containerd.runtimes.k]\nruntime_type = \"k\"\n[CRI.containerd.runtimes.k.options]\npassword = \"S3CRET\"\n",
        "[[plugins.\"io.containerd.foo.v1.bar\".creds]]\npassword = \"S3CRET\"\n",
        "[plugins.cri.registry.mirrors.a]\nendpoint = [\"https://u:S3CRET@h\"]\n",
        "[grpc]\nTcp_Address = \"https://S3CRET@h\"\n",
        "[CRI.registry.headers]\nX-Auth = [\"S3CRET\"]\n",
        "[plugins.\"io.containerd.foo.v1.bar\"]\napi_token = \"S3CRET\"\n",
        "[CRI.cni]\n# password = \"S3CRET\"\nconf_dir = \"/c\"\n",
        "[CRI.cni]\n# password: S3CRET\nconf_dir = \"/c\"\n",
        "[CRI.cni]\n# Authorization: Bearer S3CRET\nconf_dir = \"/c\"\n",
        "[stream_processors.a]\nenv = [\"DB_PASSWORD=S3CRET\"]\npath = \"/a\"\n",
        "[stream_processors.a]\nargs = [\"--token=S3CRET\"]\npath = \"/a\"\n",
    ];
    for text in texts {
        let plan = support::migrate(
            &format!("version = 2\n{}", text.replace("CRI", CRI)),
            "1.30.4",
        );
        for shown in [
            plan.to_string(),
            format!("{plan:?}"),
            serde_json::to_string(&plan).unwrap(),
        ] {
            assert!(!shown.contains("S3CRET"), "{text}\n{shown}");
        }
        for drop_in in &plan.drop_ins {
            let is_open = drop_in.text() == drop_in.redacted_text();
            assert_eq!(drop_in.sensitive, !is_open, "{text}");
        }
    }
}

/// A conversion whose result gives way to another is a loss, and says so.
#[test]
fn what_a_later_conversion_overwrites_had_no_effect() {
    let plan = checked(
        "[CRI.registry.auths.\"https://gcr.io\"]\nusername = \"a\"\n[CRI.registry.auths.\"http://gcr.io\"]\nusername = \"b\"\n",
        "CRI.registry.configs.gcr.io.auth.username = b\n",
        &[Code::Contradiction],
    );
    assert_eq!(plan.ledger[1].fate, Fate::NoEffect);
    assert!(matches!(plan.ledger[2].fate, Fate::Converted { .. }));
}

/// Each file's line shows that file's value.
#[test]
fn lists_of_several_files_are_appended() {
    let parse = |name: &str, text: &str| Document::parse(name, text.as_bytes()).unwrap();
    let main = parse(
        "/c/main.toml",
        "imports = [\"x.toml\"]\nroot = \"/var/lib/k0s/containerd\"\ndisabled_plugins = [\"btrfs\"]\n",
    );
    let import = parse(
        "/c/x.toml",
        "root = \"/other\"\ndisabled_plugins = [\"zfs\"]\n",
    );
    let plan = plan(
        &main,
        &[import],
        &Target::find("1.30.4").unwrap(),
        &Options::default(),
    );
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let shown: Vec<String> = plan
        .ledger
        .iter()
        .map(|entry| entry.value.to_string())
        .collect();
    assert_eq!(
        shown,
        [
            "[\"x.toml\"]",
            "\"/var/lib/k0s/containerd\"",
            "[\"btrfs\"]",
            "\"/other\"",
            "[\"zfs\"]"
        ]
    );
    assert_eq!(plan.kept().count(), 2);
    assert!(
        plan.findings
            .iter()
            .any(|f| f.code == Code::OwnedByK0sOther)
    );
    assert!(
        plan.drop_ins[0]
            .text()
            .contains("snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.zfs\"]")
    );
}

/// containerd takes `registry.example` for a scheme, and goes on with the
/// credentials of `configs` (1.7.24).
#[test]
fn auths_that_never_counted_displace_nothing() {
    let configs = "[CRI.registry.configs.\"registry.example:5000\".auth]\nauth = \"b\"\n";
    for entry in ["identitytoken = \"a\"", "identitytoken = \"\""] {
        let text = format!("[CRI.registry.auths.\"registry.example:5000\"]\n{entry}\n{configs}");
        let plan = checked(
            &text,
            "CRI.registry.configs.registry.example:5000.auth.auth = b\n",
            &[],
        );
        let fate = |key: &str| {
            let mut entries = plan.ledger.iter();
            let entry = entries.find(|entry| entry.key.ends_with(key)).unwrap();
            entry.fate.clone()
        };
        assert!(matches!(fate(".auth.auth"), Fate::Kept { .. }));
        assert!(!matches!(fate("identitytoken"), Fate::Converted { .. }));
    }
    let text = format!("[CRI.registry.auths.\"registry.example:5000\"]\nauth = \"a\"\n{configs}");
    check(
        &text,
        "CRI.registry.configs.registry.example:5000.auth.auth = b\n",
        &[Code::Contradiction],
    );
}

/// containerd lets an empty entry of `auths` win as well.
#[test]
fn an_empty_auths_entry_over_credentials_is_told() {
    check(
        "[CRI.registry.auths.\"https://gcr.io\"]\nusername = \"\"\n[CRI.registry.configs.\"gcr.io\".auth]\nusername = \"a\"\n",
        "CRI.registry.configs.gcr.io.auth.username = a\n",
        &[Code::Contradiction],
    );
}

/// Pasted behind the defaults, a name with brackets opens their table again.
#[test]
fn a_mirror_by_address_cannot_be_pasted() {
    let text = long(
        "version = 2\n[CRI.registry.mirrors.\"[::1]:5\"]\nendpoint = [\"https://m.example\"]\n",
    );
    let plan = support::migrate(&text, "v1.27.2+k0s.0");
    let codes: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&Code::NotAppendable), "{codes:?}");
    assert!(!codes.contains(&Code::Internal), "{codes:?}");
}
