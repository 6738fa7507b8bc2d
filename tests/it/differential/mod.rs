//! The library against real containerd, at scale: files made by the strategies,
//! judged by what the binaries in `CONTAINERD_DIR` do with them.
//!
//! `loading` compares what is in effect by [`Effective`] with `config dump`, key by
//! key; `plans` what a legacy file was to the containerd that it is for with what
//! the plan's drop-ins are to the target's; `daemons` what a daemon does at start
//! with [`Effective::refusals`].
//!
//! `LAW_CASES` says how many cases there are for each binary; the few that are
//! tried else take some seconds. Which ones follows from `LAW_SEED`. Without
//! `CONTAINERD_DIR` there is nobody to ask, and the tests say that they are
//! skipped: answers to files that are made up cannot be on record. The tests of
//! loading, referee and refusals have recorded answers.
//!
//! [`Effective`]: containerd_dropins::containerd::load::Effective
//! [`Effective::refusals`]: containerd_dropins::containerd::load::Effective::refusals

mod daemons;
mod loading;
mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containerd_dropins::Config;
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::setting::{Kind, Presence, State};
use containerd_dropins::migrate::Target;
use containerd_dropins::value::{Table, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::daemon::in_parallel;
use crate::laws;
use crate::support::{self, TempDir};

/// A containerd that is asked.
#[derive(Clone, Debug)]
struct Containerd {
    release: Release,
    binary: PathBuf,
}

/// Those at hand, or a word on why nothing is compared.
fn containerds(test: &str) -> Vec<Containerd> {
    let all = support::containerds().into_iter();
    let all: Vec<Containerd> = all
        .map(|(version, binary)| Containerd {
            release: version.parse().unwrap(),
            binary,
        })
        .collect();
    if all.is_empty() {
        tell(&format!(
            "SKIPPED: {test}: no CONTAINERD_DIR, so there is no containerd to compare with"
        ));
    }
    all
}

/// The test passes, so what it prints would not be shown.
fn tell(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// How many cases `LAW_CASES` says, or a few.
fn cases(few: usize) -> usize {
    laws::many().map_or(few, |cases| cases as usize)
}

fn seed() -> u64 {
    std::env::var("LAW_SEED").map_or(1, |seed| seed.parse().expect("LAW_SEED is a number"))
}

/// What a comparison found. Disagreements are by what they are about, so that each
/// kind is told once.
#[derive(Debug, Default)]
struct Found {
    /// What was compared, and how often.
    counts: BTreeMap<&'static str, usize>,
    disagreements: BTreeMap<String, String>,
}

impl Found {
    fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += times;
    }

    fn disagree(&mut self, about: impl Into<String>, how: String) {
        self.disagreements.entry(about.into()).or_insert(how);
    }
}

/// Compares so many cases, and tells the counts. Each kind of disagreement is told
/// with the smallest case that shows it.
fn compare<S: Strategy>(
    what: &str,
    cases: usize,
    strategy: S,
    check: impl Fn(&S::Value, usize) -> Found + Sync,
) -> BTreeMap<String, String>
where
    S::Value: Debug + Sync + Send,
{
    const BATCH: usize = 64;
    const KINDS: usize = 24;
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(seed()),
        max_local_rejects: u32::MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let mut disagreeing = 0;
    let mut done = 0;
    while done < cases {
        let trees: Vec<S::Tree> = (done..cases.min(done + BATCH))
            .map(|_| strategy.new_tree(&mut runner).unwrap())
            .collect();
        let inputs: Vec<S::Value> = trees.iter().map(ValueTree::current).collect();
        let found = in_parallel(inputs.len(), |at| check(&inputs[at], at));
        for (mut tree, found) in trees.into_iter().zip(found) {
            for (what, count) in &found.counts {
                *counts.entry(what).or_default() += count;
            }
            disagreeing += usize::from(!found.disagreements.is_empty());
            for about in found.disagreements.into_keys() {
                if wrong.contains_key(&about) || wrong.len() >= KINDS {
                    continue;
                }
                let smallest = smallest(&mut tree, &about, |input| check(input, 0));
                wrong.insert(about, smallest);
                break;
            }
        }
        done += BATCH;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    tell(&format!(
        "differential {what}: {cases} cases of seed {}: {}; {disagreeing} cases disagree",
        seed(),
        counts.join(", ")
    ));
    wrong
}

/// How long is looked for a smaller case.
const PATIENCE: Duration = Duration::from_secs(40);

/// The smallest input that disagrees about the same, as text.
fn smallest<T: ValueTree>(tree: &mut T, about: &str, check: impl Fn(&T::Value) -> Found) -> String
where
    T::Value: Debug,
{
    let mut told = None;
    let mut disagrees = |tree: &T| {
        let input = tree.current();
        let how = check(&input).disagreements.remove(about);
        let does = how.is_some();
        told = how.map(|how| format!("{how}\n{input:#?}")).or(told.take());
        does
    };
    disagrees(tree);
    let began = Instant::now();
    let mut goes_on = tree.simplify();
    while goes_on && began.elapsed() < PATIENCE {
        goes_on = match disagrees(tree) {
            true => tree.simplify(),
            false => tree.complicate(),
        };
    }
    told.unwrap_or_else(|| "it was seen once, and not again".to_owned())
}

fn all_agree(wrong: Vec<BTreeMap<String, String>>) {
    let wrong: Vec<String> = wrong
        .into_iter()
        .flatten()
        .map(|(about, how)| format!("== {about}\n{how}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

/// The paths of all values in a table that are no tables.
fn leaf_paths(table: &Table) -> BTreeSet<Vec<String>> {
    let mut paths = laws::leaf_paths(table);
    paths.retain(|path| !matches!(at(table, path), Some(Value::Table(_))));
    paths.into_iter().collect()
}

fn keys(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    support::at(table, &keys(path))
}

/// A value that is none to Go: what it prints where nothing sets a field.
fn or_none(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_zero())
}

/// The length of a Go duration in nanoseconds.
fn nanoseconds(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    let mut sum = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = rest.split_at(unit_end.unwrap_or(rest.len()));
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number * length;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

/// A list of tables without what is nothing to Go.
fn without_zeros(value: &Value) -> Value {
    let Value::Array(items) = value else {
        return value.clone();
    };
    let items = items.iter().map(|item| match item {
        Value::Table(table) => {
            let mut table = table.clone();
            table.retain(|_, value| !value.is_zero());
            Value::Table(table)
        }
        item => item.clone(),
    });
    Value::Array(items.collect())
}

/// Whether two values are the same to containerd, which prints durations in a form
/// of its own, and every field of a table in a list.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let duration = |value: Option<&Value>| match value {
        None => Some(0.0),
        Some(value) => value.as_str().and_then(nanoseconds),
    };
    let (a, b) = (or_none(a), or_none(b));
    let without_zeros = |value: Option<&Value>| value.map(without_zeros);
    without_zeros(a) == without_zeros(b) || duration(a).is_some_and(|a| duration(b) == Some(a))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), |value| value.exposed().to_string())
}

/// Whether a release has the setting at a path of config version 2, or one as
/// [`Config::SETTINGS`] has it; what a shim is told, it hands on.
fn knows(release: Release, path: &[String]) -> bool {
    let mut kind = Kind::Section(Config::SETTINGS);
    for key in path {
        kind = match kind {
            Kind::Map(inner) => *inner,
            Kind::Section(section) => match section.get(key) {
                Some(setting) => {
                    let past = setting.history.iter().take_while(|(at, _)| *at <= release);
                    let is_there = past
                        .last()
                        .is_some_and(|(_, state)| *state != State::Absent);
                    if !is_there && !setting.history.is_empty() {
                        return false;
                    }
                    setting.kind
                }
                None => return section.presence == Presence::Free,
            },
            _ => return true,
        };
    }
    true
}

/// What `config dump` says to a file. Which files there are is no setting.
fn dump(containerd: &Path, config: &str) -> Result<Table, String> {
    let text = support::tried_dump(containerd, config)?;
    let mut table = support::parse(&text);
    table.retain(|key, _| !matches!(key.as_str(), "version" | "imports"));
    Ok(table)
}

/// Whether a release of k0s that reads drop-ins could carry a containerd.
fn is_carried(release: Release) -> bool {
    release >= Release::new(1, 7, 0)
}

/// The way of k0s with drop-ins, with a containerd that is at hand.
fn target(containerd: Release) -> Target {
    let k0s = match containerd.config_version() {
        ..=2 => "v1.32.1+k0s.0",
        _ => "v1.36.3+k0s.2",
    };
    let target = Target::find(k0s).unwrap();
    target.with_containerd(containerd).unwrap()
}

/// Writes drop-ins and what k0s has beside them; gives the path of the main file.
fn put_together(dir: &TempDir, target: &Target, files: &BTreeMap<String, String>) -> String {
    let put = match target.release.config_version() {
        2 => support::put_together,
        _ => support::put_together_in_version_3,
    };
    put(dir, target.pause_image(), files)
}

/// Whether containerd prints the section of a plugin, if a path is in one: builds
/// leave plugins out, and so do files that disable them.
fn prints(dumped: &Table, bare: &Table, path: &[String]) -> bool {
    let is_in_plugin = path.first().is_some_and(|key| key == "plugins");
    let section = path.get(..2).unwrap_or(path);
    !is_in_plugin || at(dumped, section).is_some() && at(bare, section).is_some()
}

/// Debian's builds look for CNI plugins where Debian has them.
fn is_of_build(path: &[String]) -> bool {
    let is = |key: &str| path.iter().any(|other| other == key);
    is("cni") && (is("bin_dir") || is("bin_dirs"))
}

/// What only dumps have, or have not.
fn is_of_dump(release: Release, path: &[String]) -> bool {
    match keys(path)[..] {
        // Up to 1.4 dumps are without the options of handlers, which count.
        ["plugins", support::CRI, "containerd", .., "options", _] => {
            release < Release::new(1, 5, 0)
        }
        // containerd puts the address of the plugin into a table that is there.
        ["proxy_plugins", _, "exports", "address"] => true,
        _ => false,
    }
}
