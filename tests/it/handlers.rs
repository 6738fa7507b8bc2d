//! Runtime handlers of the first shim, `io.containerd.runtime.v1.linux`, and the
//! tables that were handlers before there was a map of them. What is right is
//! what containerd 1.7.24 ran: which binary a pod was created with, with which
//! root and flags (`runc --root … [--systemd-cgroup] create [--no-pivot]`).

use containerd_dropins::config::Config;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::migrate::{Fate, Plan};
use containerd_dropins::{Document, value::Value};

use crate::support;

const OLD: &str = "v1.30.4+k0s.0";
const NEW: &str = "v1.36.3+k0s.2";

/// What stands in the texts of this file, in config version 1 and in version 2.
const NAMES: &[(&str, &str, &str)] = &[
    (
        "CRI",
        "plugins.cri",
        "plugins.\"io.containerd.grpc.v1.cri\"",
    ),
    (
        "LINUX",
        "plugins.linux",
        "plugins.\"io.containerd.runtime.v1.linux\"",
    ),
    (
        "FIRST",
        "\"io.containerd.runtime.v1.linux\"",
        "\"io.containerd.runtime.v1.linux\"",
    ),
    (
        "RUNC_V2",
        "\"io.containerd.runc.v2\"",
        "\"io.containerd.runc.v2\"",
    ),
];

fn in_version(version: i64, text: &str) -> String {
    let head = match version {
        1 => String::new(),
        version => format!("version = {version}\n"),
    };
    let spell = |text: String, (short, v1, v2): &(&str, &str, &str)| {
        text.replace(short, if version == 1 { v1 } else { v2 })
    };
    NAMES.iter().fold(format!("{head}{text}"), spell)
}

/// All that drop-ins set of `containerd` in the CRI plugin, and all else in full.
fn settings(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for text in support::drop_ins(plan).values() {
        for (key, value) in support::leaves(&support::parse(text)) {
            if key == "\"version\"" {
                continue;
            }
            let mut key = key.replace("\"containerd\".\"runtimes\".", "");
            for plugin in ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"] {
                key = key.replace(&format!("\"plugins\".\"{plugin}\"."), "");
            }
            let value = value.exposed().to_string();
            lines.push(format!("{} = {value}", key.replace('"', "")));
        }
    }
    lines.sort();
    lines
}

/// Migrates a text in version 1 and 2, for a target of each kind.
fn migrated(text: &str) -> Vec<(String, Plan)> {
    let mut plans = Vec::new();
    for version in [1, 2] {
        for k0s in [OLD, NEW] {
            let plan = support::migrate(&in_version(version, text), k0s);
            assert!(plan.is_sound(), "{:?}", plan.findings);
            plans.push((format!("version {version}, {k0s}"), plan));
        }
    }
    plans
}

#[track_caller]
fn check(text: &str, expected: &[&str]) -> Vec<(String, Plan)> {
    let plans = migrated(text);
    for (name, plan) in &plans {
        assert_eq!(settings(plan), expected, "{name}");
    }
    plans
}

/// What became of the key that ends so.
#[track_caller]
fn fate<'p>(plan: &'p Plan, key: &str) -> &'p Fate {
    let mut entries = plan.ledger.iter().filter(|entry| entry.key.ends_with(key));
    let entry = entries.next().unwrap();
    assert!(entries.next().is_none(), "{key} is not alone");
    &entry.fate
}

fn says(plan: &Plan, code: Code, key: &str) -> bool {
    let is = |key_of: &str| key_of.ends_with(key);
    let mut findings = plan.findings.iter();
    findings.any(|f| f.code == code && f.key.as_deref().is_some_and(is))
}

/// A handler's own word, then the plugin's.
#[test]
fn handlers_run_the_binary_of_the_plugin_unless_they_name_their_own() {
    let plans = check(
        r#"
[LINUX]
runtime = "/bin/plugin"
runtime_root = "/run/plugin"
[CRI.containerd.runtimes.none]
runtime_type = FIRST
[CRI.containerd.runtimes.options]
runtime_type = FIRST
[CRI.containerd.runtimes.options.options]
Runtime = "/bin/own"
[CRI.containerd.runtimes.engine]
runtime_type = FIRST
runtime_engine = "/bin/engine"
runtime_root = "/run/engine"
[CRI.containerd.runtimes.later]
runtime_type = RUNC_V2
[CRI.containerd.runtimes.runc]
runtime_type = FIRST
"#,
        &[
            "engine.options.BinaryName = \"/bin/engine\"",
            "engine.options.Root = \"/run/engine\"",
            "engine.runtime_type = \"io.containerd.runc.v2\"",
            "later.runtime_type = \"io.containerd.runc.v2\"",
            "none.options.BinaryName = \"/bin/plugin\"",
            "none.options.Root = \"/run/plugin\"",
            "none.runtime_type = \"io.containerd.runc.v2\"",
            "options.options.BinaryName = \"/bin/own\"",
            "options.options.Root = \"/run/plugin\"",
            "options.runtime_type = \"io.containerd.runc.v2\"",
            "runc.options.BinaryName = \"/bin/plugin\"",
            "runc.options.Root = \"/run/plugin\"",
        ],
    );
    for (name, plan) in plans {
        let Fate::Converted { to, .. } = fate(&plan, ".runtime") else {
            panic!("{name}")
        };
        assert_eq!(to.len(), 2, "{name}: {to:?}");
    }
}

/// Of no use to handlers of other types, which never read it.
#[test]
fn a_plugin_that_no_handler_uses_goes_nowhere() {
    let text = "[LINUX]\nruntime = \"/bin/plugin\"\nshim = \"/bin/shim\"\nshim_debug = true\n[CRI.containerd.runtimes.runsc]\nruntime_type = \"io.containerd.runsc.v1\"\n";
    for (name, plan) in check(text, &["runsc.runtime_type = \"io.containerd.runsc.v1\""]) {
        let (expected, code) = match name.contains("1.30") {
            true => (Fate::NoEffect, Code::WithoutEffect),
            false => (Fate::Obsolete, Code::Obsolete),
        };
        for key in [".runtime", ".shim", ".shim_debug"] {
            assert_eq!(fate(&plan, key), &expected, "{name}: {key}");
            assert!(says(&plan, code, key), "{name}: {key}");
        }
    }
}

/// No name is runc, and no reason for an option.
#[test]
fn a_plugin_without_a_binary_runs_runc() {
    check(
        "[LINUX]\nruntime = \"\"\n[CRI.containerd.runtimes.a]\nruntime_type = FIRST\n",
        &["a.runtime_type = \"io.containerd.runc.v2\""],
    );
}

/// The shim's own settings end with it; so does a binary that no handler
/// falls back to.
#[test]
fn settings_about_the_shim_itself_end_with_it() {
    let text = "[LINUX]\nruntime = \"/bin/plugin\"\nno_shim = true\n[CRI.containerd.runtimes.a]\nruntime_type = FIRST\nruntime_engine = \"/bin/a\"\n";
    let expected = [
        "a.options.BinaryName = \"/bin/a\"",
        "a.runtime_type = \"io.containerd.runc.v2\"",
    ];
    for (name, plan) in check(text, &expected) {
        assert_eq!(fate(&plan, ".no_shim"), &Fate::Obsolete, "{name}");
        let runtime = match name.contains("1.30") {
            true => Fate::NoEffect,
            false => Fate::Obsolete,
        };
        assert_eq!(fate(&plan, ".runtime"), &runtime, "{name}");
    }
}

/// `RuncOptions` have four keys, in the spellings that go-toml takes.
#[test]
fn options_that_the_first_shim_did_not_read_are_not_resurrected() {
    let plans = check(
        r#"
[CRI.containerd.runtimes.a]
runtime_type = FIRST
runtime_path = "/bin/shim"
[CRI.containerd.runtimes.a.options]
Runtime = "/bin/a"
BinaryName = "/bin/not-a"
Root = "/run/not-a"
NoPivotRoot = true
IoUid = 0
SystemdCgroup = true
[CRI.containerd.runtimes.b]
runtime_type = FIRST
[CRI.containerd.runtimes.b.options]
BinaryName = "/bin/not-b"
[CRI.containerd.runtimes.c]
runtime_type = FIRST
[CRI.containerd.runtimes.c.options]
runtime = "/bin/c"
runtimeRoot = "/run/c"
[CRI.containerd.runtimes.d]
runtime_type = FIRST
[CRI.containerd.runtimes.d.options]
Runtime = ""
"#,
        &[
            "a.options.BinaryName = \"/bin/a\"",
            "a.options.SystemdCgroup = true",
            "a.runtime_type = \"io.containerd.runc.v2\"",
            "b.runtime_type = \"io.containerd.runc.v2\"",
            "c.options.BinaryName = \"/bin/c\"",
            "c.options.Root = \"/run/c\"",
            "c.runtime_type = \"io.containerd.runc.v2\"",
            "d.runtime_type = \"io.containerd.runc.v2\"",
        ],
    );
    for (name, plan) in plans {
        let lost = [
            ".a.runtime_path",
            ".a.options.BinaryName",
            ".a.options.Root",
            ".a.options.NoPivotRoot",
            ".b.options.BinaryName",
        ];
        for key in lost {
            assert_eq!(fate(&plan, key), &Fate::NoEffect, "{name}: {key}");
            assert!(says(&plan, Code::WithoutEffect, key), "{name}: {key}");
        }
        // Nobody misses a zero.
        assert_eq!(fate(&plan, ".a.options.IoUid"), &Fate::NoEffect, "{name}");
        assert!(!says(&plan, Code::WithoutEffect, ".IoUid"), "{name}");
        assert!(!plan.findings.iter().any(|f| f.code == Code::FirstEffect));
    }
}

/// All dumps from 1.4 on print one.
#[test]
fn a_table_of_options_switches_the_old_keys_off() {
    let plans = check(
        r#"
[CRI]
systemd_cgroup = true
[LINUX]
runtime = "/bin/plugin"
[CRI.containerd]
default_runtime_name = "a"
[CRI.containerd.runtimes.a]
runtime_type = FIRST
runtime_engine = "/bin/a"
runtime_root = "/run/a"
[CRI.containerd.runtimes.a.options]
"#,
        &[
            "a.options.BinaryName = \"/bin/plugin\"",
            "a.runtime_type = \"io.containerd.runc.v2\"",
            "containerd.default_runtime_name = \"a\"",
        ],
    );
    for (name, plan) in plans {
        for key in ["runtime_engine", "runtime_root", "systemd_cgroup"] {
            assert_eq!(fate(&plan, key), &Fate::NoEffect, "{name}: {key}");
            assert!(says(&plan, Code::WithoutEffect, key), "{name}: {key}");
        }
    }
}

/// containerd refuses CRI with either flag unless the default handler is of
/// the first shim, and then acts on it for each handler of that shim.
#[test]
fn flags_count_for_every_handler_of_the_first_shim() {
    check(
        r#"
[CRI]
systemd_cgroup = true
[CRI.containerd]
no_pivot = true
default_runtime_name = "a"
[CRI.containerd.runtimes.a]
runtime_type = FIRST
[CRI.containerd.runtimes.b]
runtime_type = FIRST
[CRI.containerd.runtimes.b.options]
[CRI.containerd.runtimes.c]
runtime_type = RUNC_V2
"#,
        &[
            "a.options.NoPivotRoot = true",
            "a.options.SystemdCgroup = true",
            "a.runtime_type = \"io.containerd.runc.v2\"",
            "b.options.NoPivotRoot = true",
            "b.runtime_type = \"io.containerd.runc.v2\"",
            "c.runtime_type = \"io.containerd.runc.v2\"",
            "containerd.default_runtime_name = \"a\"",
        ],
    );
}

/// It decides over `default_runtime_name`, whatever its type is.
#[test]
fn a_written_default_runtime_decides() {
    for (kind, after) in [
        ("io.containerd.runtime.v1.linux", "io.containerd.runc.v2"),
        ("io.containerd.runc.v1", "io.containerd.runc.v2"),
        ("io.containerd.runc.v2", "io.containerd.runc.v2"),
        ("io.containerd.runsc.v1", "io.containerd.runsc.v1"),
    ] {
        let text = format!(
            "[CRI.containerd]\ndefault_runtime_name = \"nvidia\"\n[CRI.containerd.default_runtime]\nruntime_type = \"{kind}\"\n[CRI.containerd.runtimes.default]\nruntime_type = \"io.containerd.kata.v2\"\n[CRI.containerd.runtimes.nvidia]\nruntime_type = RUNC_V2\n[CRI.containerd.runtimes.nvidia.options]\nBinaryName = \"/bin/nvidia\"\n"
        );
        let plans = check(
            &text,
            &[
                "containerd.default_runtime_name = \"default\"",
                &format!("default.runtime_type = \"{after}\""),
                "nvidia.options.BinaryName = \"/bin/nvidia\"",
                "nvidia.runtime_type = \"io.containerd.runc.v2\"",
            ],
        );
        for (name, plan) in plans {
            let key = ".default_runtime_name";
            assert_eq!(fate(&plan, key), &Fate::NoEffect, "{name}");
            assert!(says(&plan, Code::Contradiction, key), "{name}");
        }
    }
}

/// The two old tables are handlers like the others.
#[test]
fn the_old_tables_run_the_binary_of_the_plugin_too() {
    check(
        r#"
[LINUX]
runtime = "/bin/plugin"
[CRI.containerd.default_runtime]
runtime_type = FIRST
runtime_engine = "/bin/default"
[CRI.containerd.default_runtime.options]
[CRI.containerd.untrusted_workload_runtime]
runtime_type = FIRST
runtime_root = "/run/untrusted"
"#,
        &[
            "containerd.default_runtime_name = \"default\"",
            "default.options.BinaryName = \"/bin/plugin\"",
            "default.runtime_type = \"io.containerd.runc.v2\"",
            "untrusted.options.BinaryName = \"/bin/plugin\"",
            "untrusted.options.Root = \"/run/untrusted\"",
            "untrusted.runtime_type = \"io.containerd.runc.v2\"",
        ],
    );
}

/// What `containerd config default` of 1.2 prints.
fn dump_of_1_2() -> String {
    let table = default_config("1.2.14".parse().unwrap());
    let text = containerd_dropins::Exposed::table(&table).to_toml();
    let mut config = Config::read(&Document::parse("t", text.as_bytes()).unwrap());
    config.version = Some(1);
    let text = config.to_toml().replace("version = 1\n", "");
    // It is nothing that 1.2 prints: a pointer that is nil.
    let empty = ["default_runtime", "untrusted_workload_runtime"]
        .map(|table| format!("[plugins.cri.containerd.{table}.options]\n"));
    let text = empty
        .iter()
        .fold(text, |text, table| text.replace(table, ""));
    assert!(!text.contains("options"), "{text}");
    assert!(text.contains("runtime_type = \"io.containerd.runtime.v1.linux\""));
    text
}

/// A dump of 1.2 has a `default_runtime` of the first shim, which decides under
/// later releases too. It matters as soon as something touches it.
#[test]
fn the_default_runtime_of_a_1_2_dump_matters_once_something_touches_it() {
    let dump = dump_of_1_2();
    let append = |text: &str| format!("{dump}\n{text}");
    let with = |table: &str, line: &str| {
        assert!(dump.contains(&format!("[{table}]\n")), "{dump}");
        dump.replace(&format!("[{table}]\n"), &format!("[{table}]\n{line}\n"))
    };
    let plugin = dump.replace("runtime = \"runc\"", "runtime = \"/bin/plugin\"");
    let flag = dump.replace("systemd_cgroup = false", "systemd_cgroup = true");
    assert!(plugin != dump && flag != dump);
    let default = "containerd.default_runtime_name = \"default\"";
    let runc_v2 = "default.runtime_type = \"io.containerd.runc.v2\"";
    let cases: [(String, &[&str]); 5] = [
        // Plain runc before and after.
        (dump.clone(), &[]),
        (
            plugin,
            &[
                default,
                "default.options.BinaryName = \"/bin/plugin\"",
                runc_v2,
            ],
        ),
        (
            flag,
            &[default, "default.options.SystemdCgroup = true", runc_v2],
        ),
        // It never took effect.
        (
            with("plugins.cri.containerd", "default_runtime_name = \"other\""),
            &[],
        ),
        // Pods of the default runtime did not run by it.
        (
            append(
                "[plugins.cri.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.cri.containerd.runtimes.runc.options]\nBinaryName = \"/bin/other\"\n",
            ),
            &[default, runc_v2, "runc.options.BinaryName = \"/bin/other\""],
        ),
    ];
    for (text, expected) in cases {
        for k0s in [OLD, NEW] {
            let plan = support::migrate(&text, k0s);
            assert!(plan.is_sound(), "{:?}", plan.findings);
            assert_eq!(settings(&plan), expected, "{k0s}\n{text}");
        }
    }
}

/// k0s merges drop-ins into containerd's defaults, in which the old tables and
/// `runc` have a table `options`.
#[test]
fn drop_ins_have_the_options_of_the_defaults() {
    let plan = support::carried_over(
        &[
            (
                "a.toml",
                &in_version(2, "[LINUX]\nruntime = \"/bin/plugin\"\n"),
            ),
            (
                "b.toml",
                &in_version(
                    2,
                    r#"
[CRI.containerd.default_runtime]
runtime_type = FIRST
runtime_engine = "/bin/default"
[CRI.containerd.runtimes.own]
runtime_type = FIRST
runtime_engine = "/bin/own"
[CRI.containerd.runtimes.runc]
runtime_type = FIRST
runtime_engine = "/bin/runc"
"#,
                ),
            ),
        ],
        NEW,
    );
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(
        settings(&plan),
        [
            "containerd.default_runtime_name = \"default\"",
            "default.options.BinaryName = \"/bin/plugin\"",
            "default.runtime_type = \"io.containerd.runc.v2\"",
            "own.options.BinaryName = \"/bin/own\"",
            "own.runtime_type = \"io.containerd.runc.v2\"",
            "runc.options.BinaryName = \"/bin/plugin\"",
        ]
    );
    for key in [".default_runtime.runtime_engine", ".runc.runtime_engine"] {
        assert_eq!(fate(&plan, key), &Fate::NoEffect, "{key}");
    }
}

/// Where a comment belongs to one setting, it stands once.
#[test]
fn a_comment_of_the_plugin_is_not_repeated() {
    let text = in_version(
        2,
        "[LINUX]\n# our fork\nruntime = \"/bin/plugin\"\n[CRI.containerd.runtimes.a]\nruntime_type = FIRST\n[CRI.containerd.runtimes.b]\nruntime_type = FIRST\n",
    );
    let plan = support::migrate(&text, OLD);
    let texts: String = support::drop_ins(&plan).into_values().collect();
    assert_eq!(texts.matches("# our fork").count(), 1, "{texts}");
    let shown = plan
        .ledger
        .iter()
        .find(|entry| entry.key.ends_with(".runtime"));
    assert_eq!(
        shown.unwrap().value.expose(),
        &Value::String("/bin/plugin".to_owned())
    );
}
