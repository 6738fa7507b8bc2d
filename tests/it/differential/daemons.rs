//! What daemons do at start, and what the library says that they refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use containerd_dropins::Document;
use containerd_dropins::containerd::load::Effective;
use containerd_dropins::strategies::{DropInSets, LegacyFiles};
use proptest::prelude::*;

use super::{Found, all_agree, cases, compare, containerds, tell};
use crate::refusals::{Daemon, IMPORTED, at_start, word};
use crate::strategies::depends_on_machine;

/// What a daemon is started with: a file, and perhaps one that it imports.
#[derive(Clone)]
struct Case {
    text: String,
    imported: Option<String>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "---\n{}---", self.text)?;
        match &self.imported {
            None => Ok(()),
            Some(text) => write!(f, " imported.toml\n{text}---"),
        }
    }
}

/// What the files decide by themselves. The name of a port is the machine's.
fn is_judged(path: &[&str]) -> bool {
    path == ["debug", "format"] || !depends_on_machine(path)
}

/// Settings that forbid or need each other.
fn meet(path: &[&str]) -> bool {
    const TOGETHER: &[&str] = &[
        "registry",
        "runtimes",
        "default_runtime_name",
        "default_runtime",
        "snapshotter",
        "proxy_plugins",
        "io.containerd.service.v1.diff-service",
        "io.containerd.transfer.v1.local",
        "cni",
    ];
    is_judged(path) && path.iter().any(|key| TOGETHER.contains(key))
}

/// Not every text is an address that can be dialled.
fn is_judged_by_text(path: &[&str]) -> bool {
    is_judged(path) && path[0] != "proxy_plugins"
}

fn meet_by_text(path: &[&str]) -> bool {
    meet(path) && path[0] != "proxy_plugins"
}

/// The config version of the files that a daemon is started with.
fn version_for(daemon: &Daemon) -> i64 {
    if daemon.release.starts_with("2.") {
        3
    } else {
        2
    }
}

fn cases_for(daemon: &Daemon) -> impl Strategy<Value = Case> + use<> {
    let version = version_for(daemon);
    let files = || LegacyFiles::new().versions(&[version]).sparse();
    let valid = |path: &[&str]| !depends_on_machine(path);
    let main = prop_oneof![
        files().only(valid).strategy(),
        files()
            .only(is_judged_by_text)
            .any_text()
            .at_most(2)
            .strategy(),
        files().only(meet_by_text).any_text().at_most(4).strategy(),
    ];
    let sets = DropInSets::of_version(version).with_conversions();
    let imported = prop_oneof![
        sets.clone().only(valid).strategy(),
        sets.clone().only(meet).strategy(),
        sets.only(meet_by_text).any_text().strategy(),
    ];
    let imported = imported.prop_map(|set| set.files.into_values().next());
    let imported = prop::option::weighted(0.3, imported);
    let few = |of: &BTreeSet<String>, chance| {
        let all: Vec<String> = of.iter().cloned().collect();
        prop::option::weighted(chance, prop::sample::subsequence(all, 1..=3))
    };
    let disabled = few(&daemon.plugins, 0.25);
    // Others are not loaded here, for want of a file system.
    let required = few(&daemon.loaded, 0.15);
    (main, imported, disabled, required).prop_map(|(file, imported, disabled, required)| {
        let imported = imported.flatten();
        let mut text = String::new();
        if let Some(ids) = disabled {
            text.push_str(&format!("disabled_plugins = {ids:?}\n"));
        }
        if let Some(ids) = required {
            text.push_str(&format!("required_plugins = {ids:?}\n"));
        }
        if imported.is_some() {
            text.push_str("imports = [\"imported.toml\"]\n");
        }
        text.push_str(&file.text);
        Case { text, imported }
    })
}

fn check(case: &Case, number: usize, daemon: &Daemon) -> Found {
    let mut found = Found::default();
    let parse = |text: &String| Document::parse("t", text.as_bytes()).unwrap().to_table();
    let files = [Some(&case.text), case.imported.as_ref()];
    let release = daemon.release.parse().unwrap();
    let effective = Effective::load(release, files.into_iter().flatten().map(parse));
    let refusals = effective.refusals();
    let worst = refusals.iter().map(|refusal| refusal.refuses).max();
    let mut said: Vec<_> = refusals.iter().map(|refusal| refusal.refuses).collect();
    said.sort_unstable();
    // Of pods and pulls nothing shows at start, but of plugins beside them.
    let shows = |word: &&str| at_start(word) != "none";
    let expected = said
        .into_iter()
        .rev()
        .map(word)
        .find(shows)
        .unwrap_or("none");
    let imported = case.imported.as_deref().unwrap_or_default();
    let text = format!("{}{IMPORTED}{imported}", case.text);
    let name = format!("differential-{number}");
    let answer = daemon.answer(&name, &text, expected == "daemon");
    found.count(answer_of(answer), 1);
    // What a required plugin needs of other plugins is not known.
    let is_missed = answer == "daemon"
        && matches!(expected, "cri" | "plugin")
        && case.text.contains("required_plugins = ");
    if is_missed {
        found.count("exits for a plugin that a required one needs", 1);
    } else if answer != expected {
        let rules: Vec<_> = refusals.iter().map(|refusal| refusal.rule).collect();
        found.disagree(
            format!("{answer}, not {expected}: {rules:?}"),
            format!(
                "containerd {}: {answer}, and the library says {worst:?}: {refusals:#?}",
                daemon.release
            ),
        );
    }
    found
}

/// What is counted.
fn answer_of(answer: &str) -> &'static str {
    match answer {
        "daemon" => "exits",
        "cri" => "without CRI",
        "plugin" => "without another plugin",
        _ => "well",
    }
}

#[test]
fn differential_what_daemons_refuse() {
    if containerds("daemons").is_empty() {
        return;
    }
    let mut wrong: Vec<BTreeMap<String, String>> = Vec::new();
    for daemon in Daemon::all("differential") {
        let bare = format!("version = {}\n{IMPORTED}", version_for(&daemon));
        if daemon.answer("differential-bare", &bare, false) != "none" {
            tell(&format!(
                "SKIPPED: containerd {} does not do with its defaults here",
                daemon.release
            ));
            continue;
        }
        let what = format!("daemons, containerd {}", daemon.release);
        wrong.push(compare(&what, cases(6), cases_for(&daemon), |case, at| {
            check(case, at, &daemon)
        }));
    }
    all_agree(wrong);
}
