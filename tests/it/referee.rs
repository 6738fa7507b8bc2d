//! Real containerd as referee, case by case.
//!
//! A case is a folder of `tests/cases`: `legacy.toml`; `target`, a k0s release;
//! `effect.toml`, written by hand, the keys that must be in effect beyond the
//! target's own and nothing else; perhaps `imports/`, files that the legacy
//! file imports. What the library wrote and what containerd 1.7 answered is in
//! `recorded/`, for machines without containerd; `CONTAINERD_DIR=DIR RECORD=1`
//! records it again.

use std::collections::BTreeMap;
use std::path::Path;

use containerd_dropins::containerd::load::default_config;
use containerd_dropins::diagnostic::Severity;
use containerd_dropins::migrate::{Options, Plan, Target, plan};
use containerd_dropins::value::Value;
use containerd_dropins::{Config, Document};

use crate::support;

type Leaves = BTreeMap<String, Value>;

/// The leaves that are in `with` otherwise than in `without`. A new zero value
/// is what Go prints for a field that nothing sets, so it says nothing.
fn difference(without: &Leaves, with: &Leaves) -> Leaves {
    // The dump leaves out the sections of disabled plugins.
    let disabled = format!("{:?}", with["\"disabled_plugins\""]);
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

fn migrated(case: &Path) -> (Plan, String) {
    let legacy = support::read(&case.join("legacy.toml"));
    let target = Target::find(support::read(&case.join("target")).trim()).unwrap();
    let pause = target.pause_image().to_owned();
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
    (
        plan(&document, &imports, &target, &Options::default()),
        pause,
    )
}

#[test]
fn containerd_sees_the_edits_and_nothing_else() {
    let containerd = support::containerd_1_7();
    let record = std::env::var_os("RECORD").is_some();
    for case in support::files("cases") {
        let name = case.file_name().unwrap().to_str().unwrap();
        let (plan, pause) = migrated(&case);
        assert!(plan.verified, "{name}: {:?}", plan.findings);
        assert_ne!(
            plan.severity(),
            Some(Severity::Error),
            "{name}: {:?}",
            plan.findings
        );
        let effect = support::leaves(&support::parse(&support::read(&case.join("effect.toml"))));
        let written = support::drop_ins(&plan);
        let recorded = case.join("recorded");
        if let Some(containerd) = &containerd {
            let without = support::dump(
                containerd,
                &format!("{name}-without"),
                &pause,
                &BTreeMap::new(),
            );
            let with = support::dump(containerd, name, &pause, &written);
            let found = difference(&without, &with);
            assert_eq!(found, effect, "{name}");
            if record {
                let _ = std::fs::remove_dir_all(&recorded);
                std::fs::create_dir_all(recorded.join("drop-ins")).unwrap();
                for (file, text) in &written {
                    std::fs::write(recorded.join("drop-ins").join(file), text).unwrap();
                }
                let text: String = found
                    .iter()
                    .map(|(key, value)| format!("{key} = {value:?}\n"))
                    .collect();
                std::fs::write(recorded.join("difference"), text).unwrap();
            }
        }
        // The recorded drop-ins are those that containerd was asked about.
        let known: BTreeMap<String, String> = std::fs::read_dir(recorded.join("drop-ins"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    support::read(&path),
                )
            })
            .collect();
        assert_eq!(written, known, "{name}: record containerd's answer again");
        let answer: String = effect
            .iter()
            .map(|(key, value)| format!("{key} = {value:?}\n"))
            .collect();
        assert_eq!(
            support::read(&recorded.join("difference")),
            answer,
            "{name}"
        );
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
            &Document::parse("t", toml_edit::ser::to_string(&table).unwrap().as_bytes()).unwrap(),
        );
        if release.starts_with("1.2.") {
            config.version = None;
            assert!(config.to_toml().contains("[plugins.cri]"));
        }
        yields_nothing(&config.to_toml(), release);
        yields_nothing(&with_boilerplate(&config.to_toml()), release);
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
            containerd_dropins::k0s::assemble(&release, release.pause_image, []).unwrap();
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
