//! Drop-ins that k0s 1.27.5 – 1.35 read as they are: what is wrong with them, by
//! the word of containerd 1.7. With `CONTAINERD_DIR` each set is put together as
//! k0s does and given to a daemon; `RECORD=1` writes what became of it to
//! `tests/recorded/in-place`, for machines without containerd.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{Fate, Plan, Step};
use containerd_dropins::value::{Table, Value};

use crate::daemon::{Run, in_parallel};
use crate::support;
use crate::version_3::long;

/// One k0s release of each kind that reads drop-ins of version 2: with the
/// first containerd 1.7 of all, with one of the middle, with the last.
const TARGETS: [&str; 3] = ["v1.28.15+k0s.0", "v1.30.4+k0s.0", "v1.35.7+k0s.0"];

struct Case {
    name: &'static str,
    /// By name in the directory, or by path on the node.
    files: &'static [(&'static str, &'static str)],
    /// What containerd makes of it: `exits`, `no-cri`, or the sandbox image.
    answer: &'static str,
    /// What is said at error level: code, file and line.
    errors: &'static [(Code, &'static str, usize)],
}

const NVIDIA: &str = "/etc/containerd/conf.d/99-nvidia.toml";
const IMPORT: &str = "version = 2\nimports = [\"/etc/containerd/conf.d/99-nvidia.toml\"]\n";
const GLOB: &str = "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n";

/// What the toolkit writes where it finds no file to go by.
const HANDLERS: &str = "version = 2
[plugins]
  [CRI]
    [CRI.containerd]
      default_runtime_name = \"runc\"
      [CRI.containerd.runtimes]
        [CRI.containerd.runtimes.nvidia]
          privileged_without_host_devices = false
          runtime_engine = \"\"
          runtime_root = \"\"
          runtime_type = \"io.containerd.runc.v2\"
          [CRI.containerd.runtimes.nvidia.options]
            BinaryName = \"/usr/local/nvidia/toolkit/nvidia-container-runtime\"
";

/// k0s's image in these tests, and containerd 1.7's own.
const K0S: &str = "registry.k8s.io/pause:3.9";
const BUILT_IN: &str = "registry.k8s.io/pause:3.8";

const CASES: &[Case] = &[
    Case {
        name: "good",
        files: &[
            (
                "10.toml",
                "version = 2\n[CRI]\nmax_concurrent_downloads = 10\n",
            ),
            ("20.toml", "version = 2\n[debug]\nformat = \"json\"\n"),
        ],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "string-for-int",
        files: &[(
            "10.toml",
            "version = 2\n[CRI]\nmax_concurrent_downloads = \"10\"\n",
        )],
        answer: "exits",
        errors: &[(Code::WrongType, "10.toml", 3)],
    },
    Case {
        name: "int-for-string",
        files: &[("10.toml", "[metrics]\naddress = 1338\n")],
        answer: "exits",
        errors: &[(Code::WrongType, "10.toml", 2)],
    },
    // containerd decodes the daemon's settings of each file.
    Case {
        name: "int-for-string-beside-a-right-one",
        files: &[
            ("10.toml", "[metrics]\naddress = 1338\n"),
            ("20.toml", "[metrics]\naddress = \"127.0.0.1:0\"\n[CRI]\n"),
        ],
        answer: "exits",
        errors: &[(Code::WrongType, "10.toml", 2)],
    },
    // k0s merges first, and the later one counts.
    Case {
        name: "string-for-int-merged-away",
        files: &[
            ("10.toml", "[CRI]\nmax_concurrent_downloads = \"10\"\n"),
            ("20.toml", "[CRI]\nmax_concurrent_downloads = 10\n"),
        ],
        answer: K0S,
        errors: &[],
    },
    // The section of a plugin counts as the last file has it.
    Case {
        name: "wrong-type-in-a-replaced-section",
        files: &[
            ("10.toml", "[SCHEDULER]\npause_threshold = \"x\"\n"),
            ("20.toml", "[SCHEDULER]\npause_threshold = 0.03\n"),
        ],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "int-for-timeout",
        files: &[(
            "10.toml",
            "[timeouts]\n\"io.containerd.timeout.task.state\" = 5\n",
        )],
        answer: "exits",
        errors: &[(Code::WrongType, "10.toml", 2)],
    },
    Case {
        name: "float-in-a-merged-file",
        files: &[("10.toml", "[CRI]\n[SCHEDULER]\npause_threshold = 1.0\n")],
        answer: "exits",
        errors: &[(Code::NotMergeable, "10.toml", 3)],
    },
    Case {
        name: "float-in-another-file",
        files: &[("10.toml", "[SCHEDULER]\npause_threshold = 1.0\n")],
        answer: K0S,
        errors: &[],
    },
    // The merge makes it right.
    Case {
        name: "float-for-int-in-a-merged-file",
        files: &[("10.toml", "[CRI]\nmax_concurrent_downloads = 10.0\n")],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "broken-float-for-int-in-a-merged-file",
        files: &[("10.toml", "[CRI]\nmax_concurrent_downloads = 1.5\n")],
        answer: "exits",
        errors: &[(Code::WrongType, "10.toml", 2)],
    },
    // k0s's own key counts beside it.
    Case {
        name: "version-1-in-capitals-merged",
        files: &[("10.toml", "VERSION = 1\n[CRI]\n")],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "unknown-float-in-a-merged-file",
        files: &[("10.toml", "[CRI]\n[SCHEDULER]\nwhatever = 1.0\n")],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "short-name",
        files: &[(
            "10.toml",
            "version = 2\n[plugins.cri]\nsandbox_image = \"x\"\n",
        )],
        answer: "exits",
        errors: &[(Code::ContainerdRefuses, "10.toml", 2)],
    },
    Case {
        name: "uri-without-quotes",
        files: &[(
            "10.toml",
            "[plugins.io.containerd.gc.v1.scheduler]\nx = 1\n",
        )],
        answer: "exits",
        errors: &[(Code::ContainerdRefuses, "10.toml", 1)],
    },
    Case {
        name: "version-1-merged",
        files: &[(
            "10.toml",
            "version = 1\n[CRI]\nmax_concurrent_downloads = 10\n",
        )],
        answer: BUILT_IN,
        errors: &[(Code::CriIgnored, "10.toml", 1)],
    },
    // A later drop-in states it anew.
    Case {
        name: "version-1-merged-away",
        files: &[
            (
                "10.toml",
                "version = 1\n[CRI]\nmax_concurrent_downloads = 10\n",
            ),
            ("20.toml", "version = 2\n[CRI]\n"),
        ],
        answer: K0S,
        errors: &[],
    },
    // k0s's merged file states 2 behind it.
    Case {
        name: "version-1-imported",
        files: &[("10.toml", "version = 1\n[debug]\nformat = \"json\"\n")],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "cri-disabled",
        files: &[(
            "10.toml",
            "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
        )],
        answer: "no-cri",
        errors: &[(Code::CriRefuses, "10.toml", 2)],
    },
    Case {
        name: "cri-disabled-by-its-short-name",
        files: &[("10.toml", "version = 2\ndisabled_plugins = [\"cri\"]\n")],
        answer: "exits",
        errors: &[(Code::ContainerdRefuses, "10.toml", 2)],
    },
    Case {
        name: "proxy-without-type",
        files: &[("10.toml", "[proxy_plugins.x]\naddress = \"/x\"\n")],
        answer: "exits",
        errors: &[(Code::ContainerdRefuses, "10.toml", 1)],
    },
    Case {
        name: "mirrors-in-one-file-and-config-path-in-another",
        files: &[
            ("10.toml", "[CRI.registry]\nconfig_path = \"/x\"\n"),
            (
                "20.toml",
                "[CRI.registry.mirrors.x]\nendpoint = [\"https://m\"]\n",
            ),
        ],
        answer: "no-cri",
        errors: &[(Code::CriRefuses, "20.toml", 1)],
    },
    Case {
        name: "default-runtime-of-nobody",
        files: &[(
            "10.toml",
            "[CRI.containerd]\ndefault_runtime_name = \"nvidia\"\n",
        )],
        answer: "no-cri",
        errors: &[(Code::CriRefuses, "10.toml", 2)],
    },
    Case {
        name: "toolkit-without-runc",
        files: &[
            ("10.toml", "[CRI]\nmax_concurrent_downloads = 10\n"),
            ("nvidia.toml", IMPORT),
            (NVIDIA, HANDLERS),
        ],
        answer: "no-cri",
        errors: &[
            (Code::ImportReplaces, NVIDIA, 3),
            (Code::CriRefuses, NVIDIA, 5),
        ],
    },
    Case {
        name: "toolkit-by-pattern",
        files: &[("nvidia.toml", GLOB), (NVIDIA, HANDLERS)],
        answer: "no-cri",
        errors: &[
            (Code::ImportReplaces, NVIDIA, 3),
            (Code::CriRefuses, NVIDIA, 5),
        ],
    },
    // CRI loads, and k0s's image is gone.
    Case {
        name: "handlers-with-runc",
        files: &[
            ("nvidia.toml", IMPORT),
            (
                NVIDIA,
                "[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n",
            ),
        ],
        answer: BUILT_IN,
        errors: &[(Code::ImportReplaces, NVIDIA, 1)],
    },
    // Of two sections the last one counts.
    Case {
        name: "two-imports-with-sections",
        files: &[
            ("nvidia.toml", GLOB),
            (NVIDIA, HANDLERS),
            (
                "/etc/containerd/conf.d/zz.toml",
                "[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n",
            ),
        ],
        answer: BUILT_IN,
        errors: &[(Code::ImportReplaces, "/etc/containerd/conf.d/zz.toml", 1)],
    },
    // k0s's image gives way to one that is the user's own.
    Case {
        name: "imported-image",
        files: &[
            ("nvidia.toml", IMPORT),
            (
                NVIDIA,
                "[CRI]\nsandbox_image = \"registry.example.com/pause:1\"\n",
            ),
        ],
        answer: "registry.example.com/pause:1",
        errors: &[],
    },
    Case {
        name: "import-that-is-not-there",
        files: &[("nvidia.toml", IMPORT)],
        answer: "exits",
        errors: &[(Code::ImportMissing, "nvidia.toml", 2)],
    },
    Case {
        name: "pattern-that-nothing-matches",
        files: &[("nvidia.toml", GLOB)],
        answer: K0S,
        errors: &[],
    },
    Case {
        name: "import-of-version-1",
        files: &[
            ("nvidia.toml", IMPORT),
            (NVIDIA, "version = 1\noom_score = -5\n"),
        ],
        answer: BUILT_IN,
        errors: &[(Code::CriIgnored, NVIDIA, 1)],
    },
    Case {
        name: "wrong-type-in-an-import",
        files: &[
            ("nvidia.toml", IMPORT),
            (NVIDIA, "# x\n[CRI]\nenable_selinux = 1\n"),
        ],
        answer: "exits",
        errors: &[
            (Code::WrongType, NVIDIA, 3),
            (Code::ImportReplaces, NVIDIA, 2),
        ],
    },
    Case {
        name: "short-name-in-an-import",
        files: &[("nvidia.toml", IMPORT), (NVIDIA, "[plugins.cri]\nx = 1\n")],
        answer: "exits",
        errors: &[(Code::ContainerdRefuses, NVIDIA, 1)],
    },
    Case {
        name: "import-of-an-import",
        files: &[
            ("nvidia.toml", IMPORT),
            (NVIDIA, "imports = [\"more/x.toml\"]\n"),
            (
                "/etc/containerd/conf.d/more/x.toml",
                "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
            ),
        ],
        answer: "no-cri",
        errors: &[(Code::CriRefuses, "/etc/containerd/conf.d/more/x.toml", 1)],
    },
];

fn text(short: &str) -> String {
    long(short).replace("SCHEDULER", "plugins.\"io.containerd.gc.v1.scheduler\"")
}

fn plan(case: &Case, k0s: &str) -> Plan {
    let texts: Vec<String> = case.files.iter().map(|(_, short)| text(short)).collect();
    let names = case.files.iter().map(|(name, _)| *name);
    let files: Vec<(&str, &str)> = names.zip(texts.iter().map(String::as_str)).collect();
    support::carried_over(&files, k0s)
}

fn errors(plan: &Plan) -> Vec<(Code, String, usize)> {
    let directory = "/etc/k0s/containerd.d/";
    let errors = plan.findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    errors
        .map(|finding| {
            let span = finding.span.clone().unwrap_or_default();
            let file = span.file.strip_prefix(directory).unwrap_or(&span.file);
            (finding.code, file.to_owned(), span.line)
        })
        .collect()
}

/// What is said, and that the plan calls the drop-ins good only where containerd
/// gets along with them and k0s's settings count.
#[test]
fn what_is_wrong_is_said_where_it_stands() {
    for case in CASES {
        for k0s in TARGETS {
            let name = format!("{} for {k0s}", case.name);
            let plan = plan(case, k0s);
            let mut expected: Vec<_> = case
                .errors
                .iter()
                .map(|(code, file, line)| (*code, (*file).to_owned(), *line))
                .collect();
            // k0s 1.27 and 1.28 inject what containerd 1.7 has built in: without
            // settings in other drop-ins nothing is taken away.
            let alone = !case.files.iter().any(|(name, _)| *name == "10.toml");
            if k0s.starts_with("v1.28") && alone {
                expected.retain(|(code, ..)| *code != Code::ImportReplaces);
            }
            let mut found = errors(&plan);
            found.sort_by_key(|(code, ..)| code.as_str());
            expected.sort_by_key(|(code, ..)| code.as_str());
            assert_eq!(found, expected, "{name}");
            let good = plan.steps == [Step::NothingAsGood];
            assert_eq!(good, expected.is_empty(), "{name}: {:?}", plan.steps);
            assert_eq!(plan.is_sound(), expected.is_empty(), "{name}");
            assert!(
                plan.drop_ins.is_empty() && plan.removed.is_empty(),
                "{name}"
            );
        }
    }
}

/// The sandbox image that the plan names is the one that containerd has.
#[test]
fn the_sandbox_image_in_effect_is_told() {
    for case in CASES.iter().filter(|case| case.answer.contains(':')) {
        let plan = plan(case, "v1.30.4+k0s.0");
        let images = [&plan.sandbox.before, &plan.sandbox.after];
        for image in images {
            assert_eq!(image.as_deref(), Some(case.answer), "{}", case.name);
        }
    }
}

/// Every key of a file from elsewhere has its line in the ledger.
#[test]
fn keys_from_elsewhere_are_accounted_for() {
    let case = CASES
        .iter()
        .find(|case| case.name == "toolkit-without-runc")
        .unwrap();
    for k0s in ["v1.30.4+k0s.0", "v1.36.3+k0s.2"] {
        let plan = plan(case, k0s);
        let left: Vec<_> = plan
            .ledger
            .iter()
            .filter(|entry| entry.span.file == NVIDIA)
            .collect();
        assert_eq!(
            left.len(),
            support::leaves(&support::parse(&long(HANDLERS))).len()
        );
        let fates = left.iter().filter(|entry| entry.key != "version");
        assert!(
            fates.clone().all(|entry| entry.fate == Fate::LeftInPlace),
            "{left:?}"
        );
    }
}

/// What is the user's to know and breaks nothing: k0s's image gives way to a
/// default of its time, a key is in nobody's place.
#[test]
fn warnings_and_notes_say_what_to_do_in_place() {
    let plan = support::carried_over(
        &[(
            "10.toml",
            "version = 2\nroot = \"/elsewhere\"\n[CRI]\nsandbox_image = \"registry.k8s.io/pause:3.8\"\nwhatever = 1\n",
        )],
        "v1.30.4+k0s.0",
    );
    let said: Vec<(Code, usize)> = plan
        .findings
        .iter()
        .filter_map(|finding| Some((finding.code, finding.span.clone()?.line)))
        .collect();
    for expected in [
        (Code::OwnedByK0sOther, 2),
        (Code::SandboxImageStale, 4),
        (Code::UnknownKey, 5),
    ] {
        assert!(said.contains(&expected), "{expected:?}: {said:?}");
    }
    assert!(plan.is_sound());
    // Nothing is carried over or left out.
    for finding in &plan.findings {
        assert!(!finding.help.contains("not carried over"), "{finding:?}");
        assert!(!finding.help.contains("migrate again"), "{finding:?}");
    }
}

/// k0s 1.27.1 – 1.27.4 paste the text behind their own.
#[test]
fn what_cannot_be_pasted_ends_containerd() {
    let twice = [("10.toml", "[CRI]\nenable_selinux = true\n")];
    let plan = support::carried_over(&twice, "v1.27.3+k0s.0");
    assert_eq!(errors(&plan)[0].0, Code::ContainerdRefuses);
    assert!(!plan.verified);
    let handler = [(
        "10.toml",
        "[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\n[SCHEDULER]\npause_threshold = 1.0\n",
    )];
    let texts = handler.map(|(name, short)| (name, text(short)));
    let files = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
    let plan = support::carried_over(&files, "v1.27.3+k0s.0");
    assert!(errors(&plan).is_empty(), "{:?}", plan.findings);
}

/// k0s's merge writes integral floats as integers (mesosphere/toml-merge 0.2).
fn as_k0s_writes(table: &mut Table) {
    for value in table.values_mut() {
        match value {
            Value::Table(inner) => as_k0s_writes(inner),
            Value::Float(number) if number.fract() == 0.0 => {
                *value = Value::Integer(*number as i64);
            }
            _ => {}
        }
    }
}

/// What a daemon makes of a case.
fn answer(binary: &Path, case: &Case) -> String {
    let dir = support::TempDir::new(&format!("in-place-{}", case.name));
    let root = dir.path().display().to_string();
    let here =
        |short: &str| text(short).replace("/etc/containerd/", &format!("{root}/etc/containerd/"));
    let mut drop_ins = BTreeMap::new();
    for (name, short) in case.files {
        match name.strip_prefix('/') {
            Some(below) => drop(dir.write(below, &here(short))),
            None => drop(drop_ins.insert((*name).to_owned(), here(short))),
        }
    }
    let (mut cri, imported) = support::assemble(K0S, &drop_ins);
    as_k0s_writes(&mut cri);
    let mut imports: Vec<String> = imported
        .iter()
        .map(|name| dir.write(name, &drop_ins[name]))
        .collect();
    imports.push(dir.write(
        "containerd-cri.toml",
        &containerd_dropins::Exposed::table(&cri).to_toml(),
    ));
    let main = format!("version = 2\nimports = {imports:?}\n");
    let name = format!("in-place-run-{}", case.name);
    let run = Run::new(binary, &name, &main, Duration::from_millis(300));
    if run.exited {
        return "exits".to_owned();
    }
    if !run.loads_cri() {
        return "no-cri".to_owned();
    }
    let dump = support::config_dump(binary, &dir.write("main.toml", &main));
    let key = format!("\"plugins\".\"{}\".\"sandbox_image\"", support::CRI);
    dump[&key].as_str().unwrap().to_owned()
}

#[test]
fn containerd_1_7_makes_of_drop_ins_what_is_said() {
    let recorded = support::path("recorded/in-place");
    let line = |name: &str, answer: &str| format!("{name} = {answer}\n");
    if let Some(binary) = support::containerd("1.7") {
        let answers = in_parallel(CASES.len(), |at| answer(&binary, &CASES[at]));
        if answers[0] != K0S {
            eprintln!("SKIPPED: containerd does not load CRI here");
            return;
        }
        let found: String = CASES
            .iter()
            .zip(&answers)
            .map(|(case, answer)| line(case.name, answer))
            .collect();
        if std::env::var_os("RECORD").is_some() {
            std::fs::write(&recorded, &found).unwrap();
        }
    }
    let expected: String = CASES
        .iter()
        .map(|case| line(case.name, case.answer))
        .collect();
    assert_eq!(support::read(&recorded), expected);
}

/// k0s does not get so far: it parses with go-toml 1.9 and merges by way of JSON
/// and YAML.
#[test]
fn what_k0s_does_not_read_is_said() {
    for (text, line) in [
        ("[CRI]\nx = { a = 1, }\n", 2),
        ("[timeouts]\n\"a\\\"b\" = \"1s\"\n", 2),
        ("[x.\"a]b\"]\nc = 1\n", 1),
        ("[x]\nd = 1979-05-27\n", 2),
    ] {
        let plan = support::carried_over(&[("10.toml", text)], "v1.30.4+k0s.0");
        let found = errors(&plan);
        let expected = (Code::K0sRefuses, "10.toml".to_owned(), line);
        assert!(found.contains(&expected), "{text}: {found:?}");
    }
    for (text, line) in [
        ("[CRI]\n[x]\na = nan\n", 3),
        ("[CRI]\n[x]\na = \"\\u0080\"\n", 3),
        ("[CRI]\n[x.\"a[b\"]\nc = 1\n", 2),
    ] {
        let plan = support::carried_over(&[("10.toml", text)], "v1.30.4+k0s.0");
        let found = errors(&plan);
        let at = |(_, file, at): &(Code, String, usize)| file == "10.toml" && *at == line;
        assert!(found.iter().any(at), "{text}: {found:?}");
    }
    // In a file that k0s does not merge, these are read.
    let plan = support::carried_over(
        &[("10.toml", "[x]\na = nan\nb = \"\\u0080\"\n")],
        "v1.30.4+k0s.0",
    );
    assert!(errors(&plan).is_empty(), "{:?}", plan.findings);
}
