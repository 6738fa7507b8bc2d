//! Real containerd as referee, case by case.
//!
//! A case is a folder of `tests/cases`: `legacy.toml`; `target`, a k0s release;
//! `effect.toml`, written by hand, the keys that must be in effect beyond the
//! target's own and nothing else; `effect-3.toml`, the same for k0s 1.36, and
//! perhaps `lost-3`, keys that it has no place for, and `certs.d-3/`, the
//! hosts.toml files; perhaps `imports/`, files
//! that the legacy file imports. A folder of `tests/sets` has `drop-ins/` in
//! place of a legacy file, and perhaps `imported/`, what they import from
//! `/etc/containerd/conf.d`. What the library wrote and what containerd 1.7 and
//! 2.1 answered is in `recorded/` and `recorded-3/`, for machines without
//! containerd; `CONTAINERD_DIR=DIR RECORD=1` records it again.

use std::collections::BTreeMap;
use std::path::Path;

use containerd_dropins::containerd::load::default_config;
use containerd_dropins::diagnostic::Severity;
use containerd_dropins::migrate::{Options, Plan, Target, plan, plan_drop_ins};
use containerd_dropins::value::Value;
use containerd_dropins::{Config, Document};

use crate::support;

type Leaves = BTreeMap<String, Value>;

/// The leaves that are in `with` otherwise than in `without`. A new zero value
/// is what Go prints for a field that nothing sets, so it says nothing.
fn difference(without: &Leaves, with: &Leaves) -> Leaves {
    // The dump leaves out the sections of disabled plugins.
    let disabled = with["\"disabled_plugins\""].exposed().to_string();
    for key in without.keys() {
        let plugin = key.split("\".\"").nth(1).unwrap_or("none");
        assert!(
            with.contains_key(key) || disabled.contains(plugin),
            "{key} is gone"
        );
    }
    let changed = with.iter().filter(|(key, value)| match without.get(*key) {
        Some(old) => old != *value,
        None => !value.is_zero(),
    });
    changed
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn migrated(case: &Path, target: &Target) -> Plan {
    let legacy = support::read(&case.join("legacy.toml"));
    let imports: Vec<Document> = std::fs::read_dir(case.join("imports"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = format!(
                "/etc/containerd/{}",
                path.file_name().unwrap().to_str().unwrap()
            );
            Document::parse(name, support::read(&path).as_bytes()).unwrap()
        })
        .collect();
    let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes()).unwrap();
    plan(&document, &imports, target, &Options::default())
}

/// The existing drop-ins of a case, carried over.
fn carried_over(case: &Path, target: &Target) -> Plan {
    let directory = "/etc/k0s/containerd.d";
    let drop_ins: Vec<Document> = files_below(&case.join("drop-ins"))
        .into_iter()
        .map(|(name, text)| {
            Document::parse(format!("{directory}/{name}"), text.as_bytes()).unwrap()
        })
        .collect();
    let imported: Vec<Document> = imported(case)
        .into_iter()
        .map(|(path, text)| Document::parse(path, text.as_bytes()).unwrap())
        .collect();
    let existing = support::existing(directory, &drop_ins, &imported);
    plan_drop_ins(&existing, target, &Options::default())
}

/// What the drop-ins of a case import from elsewhere, by path on the node.
fn imported(case: &Path) -> BTreeMap<String, String> {
    let files = files_below(&case.join("imported")).into_iter();
    files
        .map(|(name, text)| (format!("/etc/containerd/conf.d/{name}"), text))
        .collect()
}

/// All files of a folder and the folders in it, by relative name.
fn files_below(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true => files.extend(
                files_below(&path)
                    .into_iter()
                    .map(|(inner, text)| (format!("{name}/{inner}"), text)),
            ),
            false => drop(files.insert(name, support::read(&path))),
        }
    }
    files
}

/// What containerd says to drop-ins, beside what is recorded of it.
struct Judgement<'a> {
    name: String,
    /// The leaves that must be in effect, and nothing else.
    effect: Leaves,
    written: BTreeMap<String, String>,
    recorded: &'a Path,
}

impl Judgement<'_> {
    fn check(&self, live: Option<[Leaves; 2]>) {
        let name = &self.name;
        let lines = |leaves: &Leaves| -> String {
            let line = |(key, value): (&String, &Value)| format!("{key} = {}\n", value.exposed());
            leaves.iter().map(line).collect()
        };
        if let Some([without, with]) = live {
            let found = difference(&without, &with);
            assert_eq!(found, self.effect, "{name}");
            if std::env::var_os("RECORD").is_some() {
                let _ = std::fs::remove_dir_all(self.recorded);
                for (file, text) in &self.written {
                    let path = self.recorded.join("drop-ins").join(file);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, text).unwrap();
                }
                std::fs::create_dir_all(self.recorded).unwrap();
                std::fs::write(self.recorded.join("difference"), lines(&found)).unwrap();
            }
        }
        // The recorded drop-ins are those that containerd was asked about.
        let known = files_below(&self.recorded.join("drop-ins"));
        assert_eq!(
            self.written, known,
            "{name}: record containerd's answer again"
        );
        let answer = support::read(&self.recorded.join("difference"));
        assert_eq!(answer, lines(&self.effect), "{name}");
    }
}

fn effect(path: &Path) -> Leaves {
    support::leaves(&support::parse(&support::read(path)))
}

fn is_proven(plan: &Plan, name: &str) {
    assert!(plan.verified, "{name}: {:?}", plan.findings);
    assert_ne!(
        plan.severity(),
        Some(Severity::Error),
        "{name}: {:?}",
        plan.findings
    );
}

fn name_of(case: &Path) -> String {
    case.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn containerd_1_7_sees_the_edits_and_nothing_else() {
    let containerd = support::containerd("1.7");
    for case in support::files("cases") {
        let name = name_of(&case);
        let target = Target::find(support::read(&case.join("target")).trim()).unwrap();
        let plan = migrated(&case, &target);
        is_proven(&plan, &name);
        let written = support::drop_ins(&plan);
        let pause = target.pause_image();
        let live = containerd.as_ref().map(|containerd| {
            let without = format!("{name}-without");
            [
                support::dump(containerd, &without, pause, &BTreeMap::new()),
                support::dump(containerd, &name, pause, &written),
            ]
        });
        let judgement = Judgement {
            effect: effect(&case.join("effect.toml")),
            written,
            recorded: &case.join("recorded"),
            name,
        };
        judgement.check(live);
    }
}

/// What containerd 2.x makes of nothing, and of drop-ins.
fn live_2(name: &str, pause: &str, written: &BTreeMap<String, String>) -> Option<[Leaves; 2]> {
    let containerd = support::containerd("2")?;
    let dump = |name: &str, drop_ins: &BTreeMap<String, String>| {
        let text = support::dump_of_version_3(&containerd, name, pause, drop_ins);
        let mut leaves = support::leaves(&support::parse(&text));
        leaves.remove("\"imports\"");
        leaves
    };
    let without = dump(&format!("{name}-without-3"), &BTreeMap::new());
    Some([without, dump(&format!("{name}-3"), written)])
}

/// Has containerd 2.x judge what was planned for a case.
fn judge_2(case: &Path, plan: &Plan) {
    let judgement = Judgement {
        name: name_of(case),
        effect: effect(&case.join("effect-3.toml")),
        written: support::drop_ins(plan),
        recorded: &case.join("recorded-3"),
    };
    let pause = plan.target.pause_image();
    let mut loaded = judgement.written.clone();
    loaded.extend(imported(case));
    judgement.check(live_2(&judgement.name, pause, &loaded));
}

#[test]
fn containerd_2_sees_the_edits_and_nothing_else() {
    let target = Target::find("v1.36.3+k0s.2").unwrap();
    for case in support::files("cases") {
        let name = name_of(&case);
        let plan = migrated(&case, &target);
        assert!(plan.verified, "{name}: {:?}", plan.findings);
        // Keys that version 3 has no place for, each of them said.
        let errors = plan.findings.iter();
        let errors = errors.filter(|finding| finding.severity == Severity::Error);
        let mut lost: Vec<&str> = errors
            .filter_map(|finding| finding.key.as_deref())
            .collect();
        lost.sort_unstable();
        let known = std::fs::read_to_string(case.join("lost-3")).unwrap_or_default();
        assert_eq!(lost, known.lines().collect::<Vec<_>>(), "{name}");
        // Without the header line of each.
        let hosts: BTreeMap<String, String> = plan
            .hosts_files
            .iter()
            .map(|file| {
                (
                    file.name.clone(),
                    file.text().split_once('\n').unwrap().1.to_owned(),
                )
            })
            .collect();
        assert_eq!(hosts, files_below(&case.join("certs.d-3")), "{name}");
        judge_2(&case, &plan);
    }
}

/// Existing drop-ins: what they are to k0s 1.30, `effect.toml` says and
/// containerd 1.7 confirms; what becomes of them, `effect-3.toml` and
/// containerd 2.1.
#[test]
fn existing_drop_ins_keep_what_they_meant() {
    let target = Target::find("v1.36.3+k0s.2").unwrap();
    for case in support::files("sets") {
        let name = name_of(&case);
        let given = files_below(&case.join("drop-ins"));
        // Drop-ins of version 3 are none to k0s 1.30.
        let before = case.join("effect.toml");
        if let Some(containerd) = support::containerd("1.7").filter(|_| before.exists()) {
            let before = effect(&before);
            let pause = "registry.k8s.io/pause:3.9";
            let without = support::dump(
                &containerd,
                &format!("{name}-set-without"),
                pause,
                &BTreeMap::new(),
            );
            let with = support::dump(&containerd, &format!("{name}-set"), pause, &given);
            assert_eq!(difference(&without, &with), before, "{name}");
        }
        let plan = carried_over(&case, &target);
        is_proven(&plan, &name);
        judge_2(&case, &plan);
    }
}

/// What k0s's documentation told people to write into a dump.
fn with_boilerplate(dump: &str) -> String {
    // containerd 2.x writes single quotes.
    let dump = dump.replace('\'', "\"");
    let mut text = dump
        .replace(
            "root = \"/var/lib/containerd\"",
            "root = \"/var/lib/k0s/containerd\"",
        )
        .replace(
            "state = \"/run/containerd\"",
            "state = \"/var/lib/k0s/run/containerd\"",
        );
    text = text.replace(
        "\"/run/containerd/containerd.sock\"",
        "\"/run/k0s/containerd.sock\"",
    );
    assert_ne!(text, dump);
    text
}

#[track_caller]
fn yields_nothing(text: &str, what: &str) {
    for k0s in [
        "v1.27.5+k0s.0",
        "v1.30.4+k0s.0",
        "v1.35.7+k0s.0",
        "v1.36.1+k0s.0",
        "v1.36.3+k0s.2",
    ] {
        let plan = support::migrate(text, k0s);
        assert!(
            plan.drop_ins.is_empty(),
            "{what} for {k0s}: {:?}",
            plan.drop_ins
        );
        assert!(plan.verified, "{what} for {k0s}: {:?}", plan.findings);
        let gravest = plan.severity();
        assert!(
            gravest < Some(Severity::Error),
            "{what} for {k0s}: {:?}",
            plan.findings
        );
    }
}

#[test]
fn a_default_dump_yields_no_drop_in() {
    for path in support::files("recorded/default") {
        let text = support::read(&path);
        yields_nothing(&text, &path.display().to_string());
        yields_nothing(&with_boilerplate(&text), &path.display().to_string());
    }
}

/// Every release whose dump is not at hand, by its declared defaults; version 1
/// spelling for those that know no other.
#[test]
fn the_declared_defaults_of_every_release_yield_no_drop_in() {
    let releases = [
        "1.2.0", "1.2.8", "1.2.14", "1.3.0", "1.3.10", "1.4.2", "1.4.13", "1.5.0", "1.5.14",
        "1.6.0", "1.6.9", "1.6.24", "1.6.29", "1.6.39", "1.7.0", "1.7.1", "1.7.4", "1.7.9",
        "1.7.10", "1.7.14", "1.7.16", "1.7.26", "1.7.34", "2.0.0", "2.0.7", "2.0.11", "2.1.0",
        "2.1.5", "2.2.0", "2.2.2", "2.2.7", "2.3.0", "2.3.4",
    ];
    for release in releases {
        let table = default_config(release.parse().unwrap());
        let mut config = Config::read(
            &Document::parse(
                "t",
                containerd_dropins::Exposed::table(&table)
                    .to_toml()
                    .as_bytes(),
            )
            .unwrap(),
        );
        let mut text = config.to_toml();
        if release.starts_with("1.2.") {
            config.version = Some(1);
            text = config.to_toml().replace("version = 1\n", "");
            assert!(text.contains("[plugins.cri]"));
        }
        yields_nothing(&text, release);
        yields_nothing(&with_boilerplate(&text), release);
    }
}

#[test]
fn the_default_dump_of_a_containerd_at_hand_yields_no_drop_in() {
    for (version, binary) in support::containerds() {
        let output = std::process::Command::new(&binary)
            .args(["config", "default"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        yields_nothing(&text, &version);
        yields_nothing(&with_boilerplate(&text), &version);
    }
}

#[test]
fn what_k0s_generates_yields_no_drop_in() {
    for release in containerd_dropins::k0s::Release::all() {
        if release.regime != containerd_dropins::k0s::Regime::CriMerge {
            continue;
        }
        let assembled =
            containerd_dropins::k0s::assemble(&release, &release.pause_image, &Default::default())
                .unwrap();
        let main = assembled.main_toml("/etc/k0s/containerd.d", "/run/k0s/containerd-cri.toml");
        let cri = assembled.cri_toml().unwrap();
        for text in [main, cri.clone()] {
            let plan = support::migrate(&text, &release.to_string());
            assert!(plan.drop_ins.is_empty(), "{release}: {:?}", plan.drop_ins);
        }
        yields_nothing(&cri, &release.to_string());
    }
    let recorded = support::read(&support::path(
        "recorded/k0s-1.30/empty/containerd-cri.toml",
    ));
    yields_nothing(
        &recorded.replace("pause:BASE", "registry.k8s.io/pause:3.9"),
        "recorded",
    );
}
