//! Input that no containerd writes: the laws hold all the same. Every text is
//! the smallest of its kind.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Finding, Severity};
use containerd_dropins::migrate::{
    self, Fate, LedgerEntry, Options, Plan, Target, plan, plan_drop_ins,
};
use containerd_dropins::strategies::odd_files;
use containerd_dropins::value::Value;
use proptest::prelude::*;

use crate::laws::holds_in;
use crate::support;
use crate::version_3::long;

const ALL: [&str; 6] = [
    "v1.27.2+k0s.0",
    "v1.28.4+k0s.0",
    "v1.30.4+k0s.0",
    "v1.34.1+k0s.0",
    "v1.36.1+k0s.0",
    "v1.36.3+k0s.2",
];
const OLD: &str = "v1.30.4+k0s.0";
const NEW: &str = "v1.36.3+k0s.2";
const DIRECTORY: &str = "/etc/k0s/containerd.d";

fn found(findings: &[Finding], code: Code) -> Vec<&Finding> {
    let findings = findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

fn entry<'p>(plan: &'p Plan, end: &str) -> &'p LedgerEntry {
    let mut ledger = plan.ledger.iter();
    let entry = ledger.find(|entry| entry.key.ends_with(end));
    entry.unwrap_or_else(|| panic!("no {end} in {:?}", plan.ledger))
}

fn is_leaf(value: &Value) -> bool {
    value.as_table().is_none_or(|table| !table.is_empty())
}

/// What is wrong with a plan by the laws that need no knowledge of the input.
fn broken_laws(plan: &Plan, texts: &[String], k0s: &str) -> Vec<String> {
    let is_legacy = plan.file != DIRECTORY;
    let mut broken = Vec::new();
    let internal = |findings: &[Finding]| -> Vec<String> {
        let internal = found(findings, Code::Internal).into_iter();
        internal.map(Finding::to_string).collect()
    };
    broken.extend(internal(&plan.findings));
    // Law 4.
    let leaves = texts
        .iter()
        .map(|text| support::leaves(&support::parse(text)).len());
    let leaves: usize = leaves.sum();
    let entries = plan.ledger.iter();
    let entries = entries
        .filter(|entry| is_leaf(entry.value.expose()))
        .count();
    if leaves != entries {
        broken.push(format!("{leaves} leaves, {entries} entries"));
    }
    // What cannot be kept is an error.
    for entry in &plan.ledger {
        let mut errors = plan
            .findings
            .iter()
            .filter(|one| one.severity == Severity::Error);
        let says = |one: &Finding| {
            let same_line = one
                .span
                .as_ref()
                .is_some_and(|span| span.line == entry.span.line);
            let key = one.key.as_deref();
            key.is_none_or(|key| entry.key.starts_with(key)) || same_line
        };
        if entry.fate == Fate::NotExpressible && !errors.any(says) {
            broken.push(format!("{} is lost without a word", entry.key));
        }
    }
    // Law 6.
    let first = support::drop_ins(plan);
    let target = Target::find(k0s).unwrap();
    let version = target.release.config_version();
    let main =
        format!("# k0s_managed=true\nversion = {version}\nimports = [\"{DIRECTORY}/*.toml\"]\n");
    let main = Document::parse("/etc/k0s/containerd.toml", main.as_bytes()).unwrap();
    let files = first.iter();
    let files: Vec<Document> = files
        .map(|(name, text)| {
            Document::parse(format!("{DIRECTORY}/{name}"), text.as_bytes()).unwrap()
        })
        .collect();
    let mut again = Vec::new();
    if is_legacy {
        again.push(migrate::plan(&main, &files, &target, &Options::default()));
    }
    if version == 3 {
        let existing = support::existing(DIRECTORY, &files, &[]).with_main(&main);
        again.push(plan_drop_ins(&existing, &target, &Options::default()));
    }
    for again in again {
        broken.extend(internal(&again.findings));
        if support::drop_ins(&again) != first {
            broken.push(format!(
                "again {:?}, before {first:?}",
                support::drop_ins(&again)
            ));
        }
        let drops = again.ledger.iter().filter(|entry| {
            let is_own = entry.key == "version" || entry.key == "imports";
            !is_own && entry.fate.drop_in().is_none()
        });
        broken.extend(drops.map(|entry| format!("dropped again: {entry:?}")));
        let wrong = again.findings.iter().filter(|one| {
            matches!(
                one.code,
                Code::Misplaced
                    | Code::OtherPlace
                    | Code::LaterPlace
                    | Code::Contradiction
                    | Code::WithoutEffect
                    | Code::PluginIdIgnored
                    | Code::KeyCaseIgnored
                    | Code::Obsolete
                    | Code::NotExpressible
                    | Code::NotPortable
                    | Code::NotMergeable
                    | Code::NotAppendable
                    | Code::WrongType
            )
        });
        broken.extend(wrong.map(|one| format!("said again: {one}")));
    }
    broken
}

/// The plan for a legacy file in short words, which keeps the laws.
#[track_caller]
fn migrated(text: &str, k0s: &str) -> Plan {
    let text = long(text);
    let plan = support::migrate(&text, k0s);
    let broken = broken_laws(&plan, &[text], k0s);
    assert!(broken.is_empty(), "{k0s}: {broken:#?}");
    plan
}

/// The plan for drop-ins, which keeps the laws.
#[track_caller]
fn carried(files: &[(&str, &str)], k0s: &str) -> Plan {
    let plan = support::carried_over(files, k0s);
    let texts: Vec<String> = files.iter().map(|(_, text)| long(text)).collect();
    let broken = broken_laws(&plan, &texts, k0s);
    assert!(broken.is_empty(), "{k0s}: {broken:#?}");
    plan
}

/// k0s 1.27.1 – 1.27.4 paste drop-ins behind the text of the defaults. A name with
/// brackets is written inside of the table above, which may be open there; so is
/// that of an entry which says something by being there only.
#[test]
fn an_entry_that_is_only_there_cannot_be_pasted_into_an_open_table() {
    for table in ["configs.\"[::1]:5000\".tls", "mirrors.\"[::1]:5000\""] {
        let text = format!("version = 2\n[CRI.registry.{table}]\ninsecure_skip_verify = false\n");
        let text = text.replace(
            "mirrors.\"[::1]:5000\"]\ninsecure_skip_verify = false",
            "mirrors.\"[::1]:5000\"]",
        );
        let plan = migrated(&text, "v1.27.2+k0s.0");
        assert_eq!(
            found(&plan.findings, Code::NotAppendable).len(),
            1,
            "{table}"
        );
        assert!(plan.drop_ins.is_empty(), "{:?}", plan.drop_ins);
    }
    // A table of its own is none that is there.
    let text = "version = 2\n[CRI.registry.configs.h.tls]\ninsecure_skip_verify = false\n";
    let plan = migrated(text, "v1.27.2+k0s.0");
    assert!(plan.drop_ins[0].text().contains(".registry.configs.h.tls]"));
}

/// No containerd 1.x has a plugin that first came with config version 3 or 4, and
/// it refuses a version 2 file with an id that is no URI.
#[test]
fn a_key_of_no_plugin_of_1_x_goes_into_no_drop_in() {
    let sections = [
        (3, "io.containerd.cri.v1.images"),
        (4, "io.containerd.server.v1.grpc-tcp"),
        (3, "io.containerd.metrics.v1.grpc-prometheus"),
        (3, "a.b"),
    ];
    for (version, id) in sections {
        // Names that k0s's merge could not write, and a setting beside them.
        for name in ["foo", "\"a\\u0001\"", "'a\"b'", "'a\\b'", "\"[a]\""] {
            let text = format!(
                "version = {version}\n[plugins.\"{id}\"]\n{name} = true\n[RUNTIME]\nmax_container_log_line_size = 1\n"
            );
            for k0s in ALL.iter().filter(|k0s| !k0s.starts_with("v1.36")) {
                let plan = migrated(&text, k0s);
                let entry = plan
                    .ledger
                    .iter()
                    .find(|entry| entry.key.contains(id))
                    .unwrap();
                assert_eq!(entry.fate, Fate::NoEffect, "{entry:?}");
                let said = found(&plan.findings, Code::WithoutEffect);
                assert_eq!(said.len(), 1, "{:?}", plan.findings);
                assert_eq!(said[0].key.as_deref(), Some(entry.key.as_str()));
                let texts = support::drop_ins(&plan).into_values();
                assert!(texts.into_iter().all(|text| !text.contains(id)));
            }
        }
    }
    // containerd 2.x has the plugin, and the key stays in it.
    let text = "version = 3\n[IMAGES]\nfoo = true\n";
    assert!(
        migrated(text, NEW).drop_ins[0]
            .text()
            .contains("foo = true")
    );
}

/// containerd 2.x does not ask for the case of a key, so that one in upper case is
/// not another: config version 3 has this setting elsewhere.
#[test]
fn a_setting_of_another_place_is_not_woken_by_its_case() {
    let plan = migrated(
        "version = 3\n[RUNTIME]\nSANDBOX_IMAGE = \"x.example/pause:1\"\n",
        OLD,
    );
    assert_eq!(found(&plan.findings, Code::Misplaced).len(), 1);
    assert_eq!(entry(&plan, "SANDBOX_IMAGE").fate, Fate::NoEffect);
    assert!(plan.drop_ins.is_empty());
}

/// A value in the place of a table of settings is wrong by itself; settings of that
/// table may stand elsewhere.
#[test]
fn a_value_for_a_table_hides_no_other_settings() {
    let credentials = "[IMAGES.registry.configs.h.auth]\npassword = \"not-a-real-one\"\n";
    for (wrong, key) in [
        (
            "[plugins]\n'io.containerd.cri.v1.runtime' = 0\n",
            "'io.containerd.cri.v1.runtime'",
        ),
        (
            "[plugins]\n'io.containerd.cri.v1.runtime' = [{}]\n",
            "'io.containerd.cri.v1.runtime'",
        ),
        ("[CRI]\nregistry = ''\n", "registry"),
        ("[CRI.registry]\nconfigs = [1]\n", "configs"),
    ] {
        for k0s in [OLD, NEW] {
            let plan = migrated(&format!("version = 3\n{wrong}{credentials}"), k0s);
            let said = found(&plan.findings, Code::WrongType);
            assert_eq!(said.len(), 1, "{:?}", plan.findings);
            let key = key.replace('\'', "\"");
            assert!(said[0].key.as_ref().unwrap().ends_with(&key), "{said:?}");
            let kept = entry(&plan, "auth.password").fate.drop_in().unwrap();
            assert!(support::drop_ins(&plan)[kept.as_str()].contains("not-a-real-one"));
        }
        let files = [("a.toml", credentials), ("b.toml", wrong)]
            .map(|(name, text)| (name, format!("version = 3\n{text}")));
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        let plan = carried(&files, NEW);
        assert_eq!(plan.removed, ["b.toml"], "{wrong}");
        assert!(support::drop_ins(&plan)["a.toml"].contains("not-a-real-one"));
    }
}

/// The same for a server, which config versions 3 and 4 have in different places.
#[test]
fn a_value_for_a_server_hides_no_other_settings() {
    let text = "version = 3\n[plugins]\n'io.containerd.server.v1.grpc' = 'x'\n[grpc]\nmax_recv_message_size = 1\n";
    for k0s in [OLD, NEW] {
        let plan = migrated(text, k0s);
        assert!(
            entry(&plan, "max_recv_message_size")
                .fate
                .drop_in()
                .is_some()
        );
    }
}

/// In what order tables are written is up to the settings: config version 3 has in
/// several tables what is in one here.
#[test]
fn the_order_of_tables_is_that_of_their_names() {
    let head = "version = 2\n";
    let tables = [
        "[CRI]\nsandbox_image = 'x.example/pause:1'\nstats_collect_period = 30\n",
        "[CRI.containerd]\nsnapshotter = 'native'\n",
        "[CRI.cni]\nmax_conf_num = 2\n",
        "[CRI.registry.mirrors.'a.example']\nendpoint = ['https://b.example']\n",
        "[CRI.registry.configs.'b.example'.auth]\nusername = 'u'\n",
        "[timeouts]\nx = '1s'\n",
        "[debug]\nformat = 'json'\n['[::1]:5000']\nx = 1\n",
    ];
    let mut reversed = tables;
    reversed.reverse();
    for k0s in ALL.iter().filter(|k0s| !k0s.starts_with("v1.27")) {
        let plan = migrated(&format!("{head}{}", tables.concat()), k0s);
        let other = migrated(&format!("{head}{}", reversed.concat()), k0s);
        assert_eq!(support::drop_ins(&plan), support::drop_ins(&other), "{k0s}");
    }
    let text = format!("{head}{}", tables[0]);
    let plan = migrated(&text, NEW);
    let text = plan.drop_ins[0].text();
    let at = |header: &str| text.find(&long(header)).unwrap();
    assert!(at("[IMAGES]") < at("[IMAGES.pinned_images]"), "{text}");
}

/// Which options a handler has is up to its shim: what runc has no more, another may
/// have.
#[test]
fn options_are_obsolete_where_their_handler_is_runc() {
    for value in ["'/x'", "[{}]", "{ a = 1, b = { c = 2 } }", "false"] {
        let text = |version: i64, section: &str, kind: &str| {
            format!(
                "version = {version}\n[{section}.containerd.runtimes.x]\nruntime_type = '{kind}'\n[{section}.containerd.runtimes.x.options]\nCriuPath = {value}\n"
            )
        };
        let fates = |version: i64, section: &str, kind: &str| -> Vec<Fate> {
            let plan = migrated(&text(version, section, kind), NEW);
            let ledger = plan.ledger.iter();
            let entries = ledger.filter(|entry| entry.key.contains("CriuPath"));
            entries.map(|entry| entry.fate.clone()).collect()
        };
        for (version, section) in [(2, "CRI"), (3, "RUNTIME")] {
            let kata = fates(version, section, "io.containerd.kata.v2");
            assert!(
                kata.iter().all(|fate| fate.drop_in().is_some()),
                "{value} {kata:?}"
            );
            let runc = fates(version, section, "io.containerd.runc.v2");
            let gone = |fate: &Fate| matches!(fate, Fate::Obsolete | Fate::NoEffect);
            assert!(runc.iter().all(gone), "{value} {runc:?}");
        }
    }
}

/// A table in the place of another value is one mistake, and all that is in it has
/// its entry, each on its own line.
#[test]
fn a_table_for_a_value_has_an_entry_for_each_leaf() {
    let text = "version = 2\n[CRI.cni]\nbin_dir = 1\n[CRI.cni.conf_dir]\na = 1\n[CRI.cni.conf_dir.b]\npassword = 'x'\n[debug.level]\nc = {}\n";
    for k0s in ALL {
        let plan = migrated(text, k0s);
        let entries: Vec<(&str, usize)> = plan
            .ledger
            .iter()
            .filter(|entry| entry.fate == Fate::NotExpressible)
            .map(|entry| (entry.key.rsplit("cni.").next().unwrap(), entry.span.line))
            .collect();
        let of_cni = [
            ("bin_dir", 3),
            ("conf_dir.a", 5),
            ("conf_dir.b.password", 7),
        ];
        assert_eq!(entries[..3], of_cni, "{k0s}");
        assert_eq!(found(&plan.findings, Code::WrongType).len(), 3, "{k0s}");
        assert!(!format!("{plan:?}").contains("\"x\""));
        let list = "version = 2\n[proxy_plugins.x]\ntype = 'snapshot'\n[proxy_plugins.x.address]\na = [1]\nb = true\n";
        assert_eq!(migrated(list, k0s).ledger.len(), 4);
    }
}

/// `[ttrpc] address` is nothing that a release prints, so it is the user's, even if
/// it is where containerd by itself has that socket.
#[test]
fn an_address_of_ttrpc_stays() {
    let address = "address = '/run/containerd/containerd.sock.ttrpc'";
    for version in [2, 3] {
        let plan = migrated(&format!("version = {version}\n[ttrpc]\n{address}\n"), NEW);
        assert!(plan.drop_ins[0].text().contains("[ttrpc]"));
    }
    let printed = format!("version = 4\n[plugins.'io.containerd.server.v1.ttrpc']\n{address}\n");
    assert!(migrated(&printed, NEW).drop_ins.is_empty());
}

/// A key that nobody knows, in a table that is gone: nothing reads it, and that is
/// said of it, be it a credential or not.
#[test]
fn an_unknown_key_of_a_table_that_is_gone_is_named() {
    for (table, key) in [
        (
            "[CRI.registry.configs.h.tls]\npassword = 'x'\n",
            "tls.password",
        ),
        (
            "[plugins.'io.containerd.snapshotter.v1.aufs'.x]\ny = 1\n",
            "x.y",
        ),
        (
            "[plugins.'io.containerd.runtime.v1.linux'.x.y]\nz = 1\n",
            "x.y.z",
        ),
    ] {
        let plan = migrated(&format!("version = 2\n{table}"), NEW);
        assert_eq!(entry(&plan, key).fate, Fate::Obsolete);
        let said = found(&plan.findings, Code::Obsolete);
        assert!(
            said.iter()
                .any(|one| one.key.as_ref().unwrap().ends_with(key)),
            "{said:?}"
        );
    }
}

/// What has the wrong type is not written, whichever rule would have it kept; what
/// is owed takes its place.
#[test]
fn what_cannot_be_written_stays_out() {
    let text = "version = 3\n[plugins.'io.containerd.transfer.v1.local']\nunpack_config = [{ platform = 'linux', snapshotter = 'stargz' }]\n[IMAGES]\nsnapshotter = 'stargz'\nuse_local_image_pull = [1]\n";
    let plan = migrated(text, NEW);
    assert_eq!(
        entry(&plan, "use_local_image_pull").fate,
        Fate::NotExpressible
    );
    let texts: String = support::drop_ins(&plan).into_values().collect();
    assert!(!texts.contains("[1]"), "{texts}");
    let text = "version = 2\n[plugins.'io.containerd.runtime.v2.task']\nsched_core = true\n[plugins.'io.containerd.shim.v1.manager']\nenv = [{}]\n";
    let plan = migrated(text, NEW);
    assert_eq!(entry(&plan, "env").fate, Fate::NotExpressible);
    assert!(plan.drop_ins[0].text().contains("env = [\"SCHED_CORE=1\"]"));
}

/// Up to containerd 1.7 a later file's section replaces an earlier one's; what the
/// later file itself has in the places of another version goes on to count.
#[test]
fn a_section_that_replaces_another_takes_nothing_of_its_own_file_away() {
    let main =
        "version = 2\nimports = ['/etc/k0s/x.toml']\n[CRI]\nmax_container_log_line_size = 1\n";
    let import = "[RUNTIME]\nenable_cdi = true\n[CRI]\ndisable_tcp_service = false\n";
    let texts = [long(main), long(import)];
    let parse = |name: &str, text: &str| Document::parse(name, text.as_bytes()).unwrap();
    let documents = [
        parse("/etc/k0s/containerd.toml", &texts[0]),
        parse("/etc/k0s/x.toml", &texts[1]),
    ];
    for k0s in ALL {
        let target = Target::find(k0s).unwrap();
        let plan = plan(&documents[0], &documents[1..], &target, &Options::default());
        let broken = broken_laws(&plan, &texts, k0s);
        assert!(broken.is_empty(), "{k0s}: {broken:#?}");
        assert!(
            plan.ledger.iter().all(|entry| entry.reason != "not judged"),
            "{k0s}"
        );
    }
}

/// A mirror that changes nothing goes on containerd 2.x; a key in it that no drop-in
/// can hold does not keep it, and is an error of its own.
#[test]
fn a_key_that_cannot_be_written_keeps_no_mirror() {
    let text = "version = 3\n[IMAGES.registry.mirrors.'docker.io']\n\"a\\u007F\" = 1\nendpoint = ['https://registry-1.docker.io']\n";
    let plan = migrated(text, NEW);
    assert_eq!(found(&plan.findings, Code::NotPortable).len(), 1);
    assert_eq!(entry(&plan, "endpoint").fate, Fate::EqualsTargetDefault);
    assert!(plan.drop_ins.is_empty());
}

/// A table that the migration makes stands nowhere in the file: what is in it is
/// named key by key.
#[test]
fn what_cannot_be_written_of_a_table_that_was_made_is_named_key_by_key() {
    let text = "version = 2\n[CRI.containerd.default_runtime]\nruntime_type = 'io.containerd.runc.v1'\n[CRI.containerd.default_runtime.\"a\\u0001\"]\nx = 1\ny = 2\n";
    let plan = migrated(text, NEW);
    let said = found(&plan.findings, Code::NotPortable);
    let lines: Vec<usize> = said
        .iter()
        .map(|one| one.span.as_ref().unwrap().line)
        .collect();
    assert_eq!(lines, [5, 6]);
}

/// Of a table that containerd does not know it takes the last file's as a whole, and
/// k0s's merge made one of both: what is in it stays together.
#[test]
fn a_table_that_nobody_knows_stays_together() {
    for table in ["x", "debug.x"] {
        let first =
            format!("version = 2\n[{table}.y]\na = 1\n[CRI]\nmax_container_log_line_size = 1\n");
        let second =
            format!("version = 2\n[{table}]\nb = 2\n[CRI]\nimage_pull_with_sync_fs = true\n");
        let plan = carried(&[("1.toml", &first), ("2.toml", &second)], NEW);
        let texts = support::drop_ins(&plan);
        assert!(!texts["1.toml"].contains("a = 1"), "{texts:?}");
        assert!(
            texts["2.toml"].contains("a = 1") && texts["2.toml"].contains("b = 2"),
            "{texts:?}"
        );
    }
}

/// A list without a name in it is wrong, and none of a Windows node.
#[test]
fn a_list_without_names_is_of_no_platform() {
    for (section, key) in [
        ("io.containerd.service.v1.diff-service", "default"),
        ("io.containerd.runtime.v2.task", "platforms"),
    ] {
        let text = format!("version = 2\n[plugins.\"{section}\"]\n{key} = [{{}}]\n");
        let plan = migrated(&text, NEW);
        assert!(found(&plan.findings, Code::WindowsNode).is_empty());
        assert_eq!(found(&plan.findings, Code::WrongType).len(), 1);
    }
}

/// A plugin's section is in another version's place if a setting is in it.
#[test]
fn an_unknown_key_has_no_other_place() {
    let section = "version = 3\n[plugins.'io.containerd.server.v1.debug']\n";
    for (key, expected) in [
        ("x = 1", 0),
        ("x = { y = { address = '' } }", 0),
        ("uid = 1", 1),
    ] {
        let plan = support::migrate(&format!("{section}{key}\n"), NEW);
        assert_eq!(
            found(&plan.findings, Code::OtherPlace).len(),
            expected,
            "{key}"
        );
    }
}

/// The laws that need no knowledge of the input, for keys where they do not belong.
#[test]
fn laws_hold_for_odd_files() {
    let targets = prop::sample::select(&ALL[..]);
    holds_in(10, (odd_files(), targets), |(text, k0s)| {
        // A table that is a value elsewhere is no TOML.
        if Document::parse("t", text.as_bytes()).is_ok() {
            let plan = support::migrate(&text, k0s);
            let broken = broken_laws(&plan, std::slice::from_ref(&text), k0s);
            prop_assert!(broken.is_empty(), "{broken:#?}\n{text}");
        }
        Ok(())
    });
}
