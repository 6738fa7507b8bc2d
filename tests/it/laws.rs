//! The laws of the product, each a property of its own: for every way in which k0s
//! treats drop-ins, and for legacy files and existing drop-ins where it speaks of
//! both.
//!
//! `LAW_CASES=10000 cargo test --release --features proptest1 --test it -- law_` runs
//! each with so many cases.
//!
//! The fuzz targets look at the same laws, over inputs that a fuzzer makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::LazyLock;

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::{Effective, default_config};
use containerd_dropins::containerd::pull::{BUILT_IN_CONFIG_PATH, ImagePull};
use containerd_dropins::containerd::refusal::{Refuses, Rule};
use containerd_dropins::diagnostic::{Code, Finding, Severity};
use containerd_dropins::k0s::{self, Regime, assemble};
use containerd_dropins::migrate::{
    Companion, Fate, LedgerEntry, Options, Plan, Redacted, Target, plan, plan_drop_ins,
};
#[cfg(test)]
use containerd_dropins::registry::{Capability, CertsD, Endpoint, HostsToml};
use containerd_dropins::strategies::{
    DropInFiles, DropInSets, LegacyFile, LegacyFiles, hostile_bytes, options, targets_of,
};
#[cfg(test)]
use containerd_dropins::strategies::{certs_ds, containerd_releases, hosts_tomls};
use containerd_dropins::value::{Table, Value};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use crate::support;

/// Checks a property of as many inputs as `LAW_CASES` says, or of a few.
#[track_caller]
pub fn holds<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    holds_in(1, strategy, check);
}

/// The same, and so many times as many if `LAW_CASES` says nothing: for properties
/// that cost less.
#[track_caller]
pub fn holds_in<S: Strategy>(
    times: u32,
    strategy: S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let cases = many();
    // The few are always the same, the many never.
    let rng_seed = match cases {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(1),
    };
    let config = ProptestConfig {
        cases: cases.unwrap_or(QUICK * times),
        rng_seed,
        max_shrink_iters: 4096,
        max_local_rejects: u32::MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    match TestRunner::new(config).run(&strategy, check) {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\n{input:#?}"),
        Err(other) => panic!("{other}"),
    }
}

const QUICK: u32 = 24;

/// How many cases `LAW_CASES` says.
pub fn many() -> Option<u32> {
    let cases = std::env::var("LAW_CASES").ok()?;
    Some(cases.parse().expect("LAW_CASES is a number"))
}

/// Whether many cases are asked for: then other tests, too, do all that they can.
pub fn is_long() -> bool {
    many().is_some()
}

const DIRECTORY: &str = "/etc/k0s/containerd.d";

type Law = Result<(), TestCaseError>;

/// A legacy file, what it is migrated for, and what must be in effect there.
#[derive(Clone)]
pub struct Case {
    text: String,
    pub file: LegacyFile,
    pub target: Target,
    version: i64,
    /// By path in the version that the target's containerd writes; nothing else may be.
    effect: BTreeMap<Vec<String>, Value>,
}

impl Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {:?}", self.target.release, self.file)
    }
}

impl Case {
    fn of(file: LegacyFile, target: Target) -> Case {
        let version = target.containerd().config_version();
        let edits = file.edits.iter();
        let effect = edits.map(|edit| {
            (
                edit.address(version).unwrap_or_default(),
                edit.value.clone(),
            )
        });
        Case {
            text: file.text.clone(),
            version: file.version,
            effect: effect.collect(),
            file,
            target,
        }
    }

    pub fn plan(&self) -> Plan {
        plan(
            &self.file.document(),
            &[],
            &self.target,
            &Options::default(),
        )
        .exposed()
    }
}

/// The releases of containerd that k0s carries where it treats drop-ins in one way.
fn carried(regime: Regime) -> Vec<Release> {
    let all = k0s::Release::all().filter(|release| release.regime == regime);
    let all: BTreeSet<Release> = all.map(|release| release.containerd).collect();
    all.into_iter().collect()
}

/// Settings that are judged or have effect by rules of their own, of which the tests of edits, conversions
/// and findings tell.
fn is_plain(path: &[&str]) -> bool {
    const SPECIAL: &[&str] = &[
        "sandbox_image",
        "disabled_plugins",
        "required_plugins",
        "env",
        "runtime_platforms",
        "ttrpc",
        "io.containerd.runtime.v1.linux",
    ];
    let own_snapshotter = path.contains(&"runtimes") && path.ends_with(&["snapshotter"]);
    !own_snapshotter && !path.iter().any(|key| SPECIAL.contains(key))
}

/// Files of settings that the target has as they are.
pub fn plain(regime: Regime) -> impl Strategy<Value = Case> {
    let files = || {
        let files = LegacyFiles::new().without_conversions().only(is_plain);
        files.read_by(&carried(regime))
    };
    let files = prop_oneof![files().strategy(), files().any_text().strategy()];
    (files, targets_of(regime)).prop_map(|(file, target)| Case::of(file, target))
}

/// Files of any settings.
pub fn any(regime: Regime) -> impl Strategy<Value = Case> {
    let files = prop_oneof![
        LegacyFiles::new().strategy(),
        LegacyFiles::new().any_text().strategy(),
    ];
    (files, targets_of(regime)).prop_map(|(file, target)| Case::of(file, target))
}

/// Drop-ins that a node has, and what it gets.
#[derive(Clone)]
pub struct Existing {
    pub set: DropInFiles,
    pub target: Target,
}

impl Debug for Existing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {:?}", self.target.release, self.set)
    }
}

impl Existing {
    pub fn plan(&self) -> Plan {
        carried_over(&self.set.documents(), &self.target)
    }
}

fn carried_over(documents: &[Document], target: &Target) -> Plan {
    let existing = support::existing(DIRECTORY, documents, &[]);
    plan_drop_ins(&existing, target, &Options::default()).exposed()
}

/// Drop-ins of the version that k0s up to 1.35 reads, or that later ones do.
pub fn sets(regime: Regime, any_settings: bool) -> impl Strategy<Value = Existing> {
    let sets = move |version| {
        let sets = DropInSets::of_version(version);
        let sets = match any_settings {
            true => sets.with_conversions(),
            false => sets.only(is_plain).read_by(&carried(regime)),
        };
        prop_oneof![sets.clone().strategy(), sets.any_text().strategy()]
    };
    let sets = prop_oneof![sets(2), sets(3)];
    (sets, targets_of(regime)).prop_map(|(set, target)| Existing { set, target })
}

/// Texts that nobody would write on purpose.
fn hostile(regime: Regime) -> impl Strategy<Value = (Vec<u8>, Target, Options)> {
    (hostile_bytes(), targets_of(regime), options())
}

/// What is in effect with drop-ins, whose text is read anew.
fn effective(target: &Target, drop_ins: &BTreeMap<String, Table>) -> Effective {
    let texts: BTreeMap<String, String> = drop_ins
        .iter()
        .map(|(name, table)| {
            let text = containerd_dropins::Exposed::table(table).to_toml();
            (name.clone(), text)
        })
        .collect();
    assemble(&target.release, target.pause_image(), &support::set(&texts))
        .unwrap()
        .effective()
}

fn parsed(plan: &Plan) -> BTreeMap<String, Table> {
    let files = support::drop_ins(plan).into_iter();
    files
        .map(|(name, text)| (name, support::parse(&text)))
        .collect()
}

fn paths(without: &Effective, with: &Effective) -> BTreeSet<Vec<String>> {
    without
        .differences(with)
        .into_iter()
        .map(|difference| difference.path)
        .collect()
}

/// Whether an edit is accounted for as one that did nothing.
fn had_no_effect(plan: &Plan, path: &[String]) -> bool {
    let last = path.last().unwrap();
    let idle = plan
        .ledger
        .iter()
        .filter(|entry| entry.fate == Fate::NoEffect);
    let mut keys = idle.map(|entry| entry.key.rsplit('.').next().unwrap());
    keys.any(|key| key == last || key == "sandbox_mode" && last == "sandboxer")
}

/// Law 2: what differs is what was edited.
fn changes_nothing_else(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let with = effective(&case.target, &parsed(plan));
    let without = effective(&case.target, &BTreeMap::new());
    differs_in(
        plan,
        &paths(&without, &with),
        &case.effect.keys().cloned().collect(),
    )
}

/// What is different is edited, or owed to what is.
fn differs_in(
    plan: &Plan,
    different: &BTreeSet<Vec<String>>,
    edits: &BTreeSet<Vec<String>>,
) -> Result<(), TestCaseError> {
    for path in different {
        // A new entry of a map is reported as a whole.
        let mut edited = edits.iter().any(|edit| edit.starts_with(path));
        // The mirror of old dumps stays where that of all hosts would count.
        let any = |edit: &Vec<String>| {
            edit.contains(&"mirrors".to_owned()) && edit.contains(&"*".to_owned())
        };
        edited |= path.contains(&"docker.io".to_owned()) && edits.iter().any(any);
        // What containerd 1.2 starts pods with by default is none of its handlers,
        // so that an edit of that called runc must not reach them.
        let runc = |edit: &Vec<String>| {
            edit.contains(&"runtimes".to_owned()) && edit.contains(&"runc".to_owned())
        };
        edited |= path.contains(&"runtimes".to_owned())
            && path.last().is_some_and(|key| key == "default")
            && edits.iter().any(runc);
        let owed =
            |companion: &Companion| companion.key.replace('"', "").starts_with(&path.join("."));
        edited |= plan.companions.iter().any(owed);
        prop_assert!(edited, "{path:?} is in effect, and nobody edited it");
    }
    Ok(())
}

/// Law 3: without any one key, something else is in effect.
fn has_no_superfluous_key(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let files = parsed(plan);
    let with = effective(&case.target, &files);
    for name in files.keys() {
        for key in leaf_paths(&files[name]) {
            if key == ["version"] {
                continue;
            }
            let mut fewer = files.clone();
            remove(fewer.get_mut(name).unwrap(), &key);
            let less = effective(&case.target, &fewer);
            prop_assert!(
                !with.differences(&less).is_empty(),
                "{name}: {key:?} is superfluous"
            );
        }
    }
    Ok(())
}

/// Law 10, as far as pulls go, and law 3 for companions: with them the node pulls
/// from where it did, without any one of them it does not.
fn pulls_as_before(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let files = parsed(plan);
    let is_said = plan.findings.iter().any(support::is_refusal);
    let fails = |effective: &Effective, is_said: bool| {
        let refusals = effective.refusals();
        let of_pulls = |rule| {
            matches!(
                rule,
                Rule::NoUnpackPlatform | Rule::ConfigPathList | Rule::Unpack
            )
        };
        // A snapshotter that is not loaded is found first; what is said of it is
        // the user's to mend.
        let hides = |rule| {
            effective.image_pull() == ImagePull::TransferService
                && matches!(rule, Rule::Snapshotter | Rule::RuntimeSnapshotter)
                && !is_said
        };
        refusals
            .iter()
            .any(|refusal| of_pulls(refusal.rule) || hides(refusal.rule))
    };
    let wakes = |effective: &Effective| {
        let built_in: Vec<&str> = BUILT_IN_CONFIG_PATH.split(':').collect();
        effective.image_pull() == ImagePull::Local && effective.hosts_directories() == built_in
    };
    let of_1_x = case.version < 3;
    let with = effective(&case.target, &files);
    prop_assert!(
        !(fails(&with, is_said) || of_1_x && wakes(&with)),
        "{:?} {:?}",
        with.refusals(),
        plan.companions
    );
    // A plugin that keeps CRI from loading is all that is found then.
    let is_down = with
        .refusals()
        .iter()
        .any(|refusal| matches!(refusal.refuses, Refuses::Cri | Refuses::Daemon));
    if is_down {
        prop_assert!(is_said, "{:?}", with.refusals());
        return Ok(());
    }
    for companion in &plan.companions {
        let mut fewer = files.clone();
        let table = fewer.get_mut(companion.drop_in.as_str()).unwrap();
        let key = leaf_paths(table).into_iter().find(|path| {
            let shown = path.join(".");
            shown == companion.key.replace('"', "")
        });
        remove(table, &key.unwrap());
        let less = effective(&case.target, &fewer);
        prop_assert!(
            fails(&less, false) || wakes(&less) || differs_in_handlers(&companion.key),
            "{companion:?} is superfluous"
        );
    }
    Ok(())
}

/// Companions that are not about where images come from.
fn differs_in_handlers(key: &str) -> bool {
    key.contains("runtime_platforms") || key.ends_with("default_runtime_name")
}

/// The paths of all values in a table that are no tables with something in them.
pub fn leaf_paths(table: &Table) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                paths.extend(leaf_paths(inner).into_iter().map(|mut path| {
                    path.insert(0, key.clone());
                    path
                }));
            }
            _ => paths.push(vec![key.clone()]),
        }
    }
    paths
}

/// Removes a key, and the tables that are empty without it.
fn remove(table: &mut Table, path: &[String]) {
    let (first, rest) = path.split_first().unwrap();
    if let Some(Value::Table(inner)) = table.get_mut(first).filter(|_| !rest.is_empty()) {
        remove(inner, rest);
        if !inner.is_empty() {
            return;
        }
    }
    table.remove(first);
}

/// Law 4: every leaf of the input has one fate, with a reason and a place.
fn accounts_for_every_key(case: &Case, plan: &Plan) -> Law {
    accounts([&case.file.document()], plan)?;
    for entry in &plan.ledger {
        let line = case.text.lines().nth(entry.span.line - 1).unwrap();
        prop_assert!(
            entry.value.expose().as_table().is_some() || line.contains('=') || line.contains("[["),
            "{:?} is not on {line:?}",
            entry.key
        );
    }
    Ok(())
}

/// Law 4 for any input: the leaves of the files are the keys of the ledger, each as
/// often in the one as in the other, with its value. A table without keys may be
/// among them.
pub fn accounts<'d>(files: impl IntoIterator<Item = &'d Document>, plan: &Plan) -> Law {
    let files: Vec<&Document> = files.into_iter().collect();
    let mut expected = Vec::new();
    for file in &files {
        let mut tables = vec![(Vec::new(), file.to_table())];
        while let Some((path, table)) = tables.pop() {
            for (key, value) in table {
                let path: Vec<String> = path.iter().cloned().chain([key]).collect();
                match value {
                    Value::Table(inner) => tables.push((path, inner)),
                    value => expected.push((file.name().to_owned(), path, shown(&value))),
                }
            }
        }
    }
    let mut entries = Vec::new();
    for entry in plan.clone().exposed().ledger {
        prop_assert!(!entry.reason.is_empty() && entry.span.line > 0, "{entry:?}");
        if let Some(name) = entry.fate.drop_in() {
            let is_there = plan.drop_ins.iter().any(|drop_in| drop_in.name == *name);
            let stays = files.iter().any(|file| file.name() == name.path());
            prop_assert!(is_there || stays, "{entry:?}");
        }
        let value = entry.value.expose();
        if !value.as_table().is_some_and(BTreeMap::is_empty) {
            entries.push((entry.span.file.clone(), keys_of(&entry), shown(value)));
        }
    }
    expected.sort();
    entries.sort();
    prop_assert_eq!(entries, expected);
    Ok(())
}

fn shown(value: &Value) -> String {
    value.exposed().to_string()
}

/// Law 5: names do not matter, and no key is in two files.
pub fn does_not_depend_on_order(target: &Target, plan: &Plan) -> Law {
    let files = parsed(plan);
    let count = files.len();
    let renamed = files.iter().enumerate();
    let renamed = renamed
        .map(|(at, (name, table))| match name.contains('/') {
            true => (name.clone(), table.clone()),
            false => (format!("{:03}.toml", count - at), table.clone()),
        })
        .collect();
    let (one, other) = (effective(target, &files), effective(target, &renamed));
    prop_assert_eq!(paths(&one, &other), BTreeSet::new());
    let mut seen = BTreeSet::new();
    let merged_by_k0s = target.release.regime != Regime::ImportsV3;
    for table in files.values() {
        let cri = support::at(table, &["plugins", support::CRI]).is_some();
        for path in leaf_paths(table) {
            prop_assert!(
                !merged_by_k0s
                    || cri
                        == (path.starts_with(&["plugins".to_owned(), support::CRI.to_owned()])
                            || path == ["version"] && cri)
            );
            prop_assert!(
                matches!(path[0].as_str(), "version" | "imports") || seen.insert(path.clone()),
                "{path:?} is in two files"
            );
        }
    }
    Ok(())
}

/// Law 6: the result, migrated again, is the same; and what it is migrated with.
pub fn is_same_again(
    target: &Target,
    plan_1: &Plan,
) -> Result<(Plan, Document, Vec<Document>), TestCaseError> {
    let main = format!(
        "# k0s_managed=true\nversion = {}\nimports = [\"/etc/k0s/containerd.d/*.toml\"]\n",
        target.release.config_version()
    );
    let main = Document::parse("/etc/k0s/containerd.toml", main.as_bytes()).unwrap();
    let imports: Vec<Document> = support::drop_ins(plan_1)
        .into_iter()
        .map(|(name, text)| {
            Document::parse(format!("/etc/k0s/containerd.d/{name}"), text.as_bytes()).unwrap()
        })
        .collect();
    let again = plan(&main, &imports, target, &Options::default());
    prop_assert_eq!(support::drop_ins(&again), support::drop_ins(plan_1));
    Ok((again, main, imports))
}

/// Law 6: the result, migrated again, is the same, and there is nothing to say.
fn is_idempotent(case: &Case, plan_1: &Plan) -> Law {
    let target = &case.target;
    let (again, main, imports) = is_same_again(target, plan_1)?;
    let said: Vec<_> = again
        .findings
        .iter()
        .filter(|f| {
            !matches!(
                f.code,
                Code::K0sManaged | Code::NotInTarget | Code::TargetAppends
            )
        })
        // What is wrong with a registry stays so.
        .filter(|f| {
            let is_same = |one: &Finding| one.code == f.code;
            !(f.code.as_str().starts_with("registry-") && plan_1.findings.iter().any(is_same))
        })
        .filter(|f| !support::is_refusal(f))
        // A zero value of a server counts in that of version 4 only.
        .filter(|f| {
            let is_server = |key: &String| key.starts_with("plugins.\"io.containerd.server.v1.");
            !(f.code == Code::OtherPlace && f.key.as_ref().is_some_and(is_server))
        })
        .collect();
    prop_assert!(said.is_empty(), "{said:?}");
    if target.release.config_version() == 3 {
        // As existing drop-ins they stay as they are, to the byte.
        let existing =
            support::existing("/etc/k0s/containerd.d", &imports, &[]).with_main(Some(&main));
        let again = plan_drop_ins(&existing, target, &Options::default());
        prop_assert_eq!(support::drop_ins(&again), support::drop_ins(plan_1));
        // What could not be kept is gone by now.
        prop_assert!(
            support::keeps_all(&again) || !support::keeps_all(plan_1),
            "{:?}",
            again.findings
        );
    }
    Ok(())
}

/// The path of a shown key, where containerd 2.3 has it by itself: a server is a
/// plugin there, which k0s's main file of version 3 knows as a table.
fn at_latest(key: &str) -> Vec<String> {
    let keys = toml_edit::Key::parse(key).unwrap_or_default();
    let path: Vec<&str> = keys.iter().map(toml_edit::Key::get).collect();
    let address = match path.first() {
        Some(&("grpc" | "ttrpc" | "metrics" | "debug")) => Config::address(4, &path),
        _ => None,
    };
    address.unwrap_or_else(|| path.into_iter().map(str::to_owned).collect())
}

/// Law 11: what changes on the node is listed, and nothing else. Both sides are
/// computed from the texts, each with the release that has them.
fn lists_what_changes(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let running = &plan.running;
    let mut config = Config::read(&Document::parse("t", case.text.as_bytes()).unwrap());
    // A file that the node's containerd cannot read was never in effect there.
    if case.version > running.containerd.config_version() {
        return Ok(());
    }
    // Without what containerd's command line decides.
    config.version = Some(case.version.max(2));
    config.root = None;
    config.state = None;
    config.grpc.address = None;
    let before = Effective::load(running.containerd, [config.to_table()]);
    let after = effective(&case.target, &parsed(plan));
    let unquoted = |path: &str| path.replace('"', "");
    let differences = before.differences(&after);
    let changes = || plan.changes.iter().chain(&plan.release_changes);
    for difference in &differences {
        let path = difference.path.join(".");
        let listed = changes().any(|change| at_latest(&change.key) == difference.path);
        let zero =
            |side: &Option<Redacted>| side.as_ref().is_none_or(|side| side.expose().is_zero());
        // Not known to one release is the same as zero to the other; so are options
        // of runc that are not set, which its shim takes for the default.
        let same = zero(&difference.before) && zero(&difference.after);
        let same =
            same || path.ends_with(".runc.sandbox_mode") || path.ends_with(".runc.sandboxer");
        // The platform is the machine's, and the list of directories has another
        // form from 2.1 on. The socket of ttrpc is beside that of k0s.
        let other = [".platforms", ".bin_dir", ".bin_dirs", ".unpack_config"];
        let is_old_table = |key: &String| {
            matches!(
                key.as_str(),
                "default_runtime" | "untrusted_workload_runtime"
            )
        };
        let other = other.iter().any(|key| path.ends_with(key)) || path.ends_with("ttrpc.address");
        // What is dropped, and the node's containerd does not print, it may not know.
        let keys: Vec<&str> = difference.path.iter().map(String::as_str).collect();
        let prints = support::at(&default_config(running.containerd), &keys).is_some();
        let dropped =
            |entry: &LedgerEntry| unquoted(&entry.key) == path && entry.fate == Fate::StaleDefault;
        let unknown = !prints && plan.ledger.iter().any(dropped);
        // What has another form, or is owed to it.
        let accounted = plan
            .companions
            .iter()
            .any(|companion| unquoted(&companion.key).starts_with(&path));
        let converted = plan.ledger.iter().any(|entry| match &entry.fate {
            Fate::Converted { to, .. } => to.iter().any(|to| unquoted(to).starts_with(&path)),
            Fate::MovedToHostsToml { .. } => path.contains(".registry."),
            _ => false,
        });
        prop_assert!(
            listed
                || same
                || other
                || unknown
                || accounted
                || converted
                // Tables of handlers that 1.2 printed say nothing by themselves.
                || difference.path.iter().any(is_old_table)
                || had_no_effect(plan, &difference.path),
            "{path} changes: {difference:?} is not among {:?}",
            plan.changes
        );
    }
    for change in changes() {
        let key = at_latest(&change.key);
        let real = differences.iter().any(|difference| difference.path == key);
        prop_assert!(
            real || key.last().is_some_and(|key| key == "bin_dirs"),
            "{change:?} is no difference"
        );
        let twice = changes().filter(|other| other.key == change.key).count();
        prop_assert_eq!(twice, 1, "{:?}", change);
        prop_assert!(!change.reason.is_empty());
    }
    Ok(())
}

/// The ledger's entry of an edit of the file.
fn entry<'p>(
    plan: &'p Plan,
    case: &Case,
    edit: &containerd_dropins::strategies::Edit,
) -> Option<&'p LedgerEntry> {
    let address = edit.address(case.version)?;
    plan.ledger.iter().find(|entry| keys_of(entry) == address)
}

fn keys_of(entry: &LedgerEntry) -> Vec<String> {
    let keys = toml_edit::Key::parse(&entry.key).unwrap_or_default();
    keys.iter().map(|key| key.get().to_owned()).collect()
}

fn has_error(plan: &Plan) -> bool {
    plan.severity() == Some(Severity::Error)
}

/// Law 1, and what is said where it cannot hold.
fn keeps_the_edits(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let with = effective(&case.target, &parsed(plan));
    let version = case.target.containerd().config_version();
    for edit in &case.file.edits {
        let found = entry(plan, case, edit);
        prop_assert!(found.is_some(), "{edit:?} is not in {:?}", plan.ledger);
        match found.map(|entry| &entry.fate) {
            Some(Fate::NoEffect) => continue,
            // An empty name is the default to containerd 1.x.
            _ if edit.value.is_zero() && edit.path.ends_with(&["snapshotter".to_owned()]) => {
                continue;
            }
            Some(Fate::NotExpressible) => {
                prop_assert!(has_error(plan), "{edit:?} is lost without a word");
                continue;
            }
            // The target asks the same without it, which those of `registry` hold to.
            Some(Fate::EqualsTargetDefault) if edit.path.contains(&"mirrors".to_owned()) => {
                continue;
            }
            _ => {}
        }
        let address = edit.address(version).unwrap();
        let keys: Vec<&str> = address.iter().map(String::as_str).collect();
        let is = with.get(&keys);
        let key = address.join(".");
        let mut companions = plan.companions.iter();
        let owed = companions.any(|companion| companion.key.replace('"', "") == key);
        prop_assert!(
            is.as_ref() == Some(&edit.value) || edit.value.is_zero() && (is.is_none() || owed),
            "{edit:?} is {is:?}"
        );
    }
    Ok(())
}

macro_rules! laws {
    ($($(#[$meta:meta])* mod $law:ident { $($test:ident: $inputs:expr, $check:expr;)+ })+) => {
        $($(#[$meta])* mod $law {
            #[cfg(test)]
            use super::*;

            $(#[test]
            fn $test() {
                holds($inputs, $check);
            })+
        })+
    };
}

/// A plan for a k0s without drop-ins has none, and says that all edits are lost.
fn has_no_drop_ins(case: &Case) -> Result<(), TestCaseError> {
    let plan = case.plan();
    prop_assert!(plan.drop_ins.is_empty() && plan.hosts_files.is_empty());
    prop_assert!(has_error(&plan) && !plan.is_sound(), "{:?}", plan.findings);
    Ok(())
}

/// Law 1 for drop-ins: each key that any of them sets has the value that it had, or
/// neither has one.
fn means_what_it_meant(existing: &Existing, plan: &Plan) -> Result<(), TestCaseError> {
    let release = &existing.target.release;
    let running = &plan.running;
    let effective = |release: &k0s::Release, files: &BTreeMap<String, String>| {
        let assembled = assemble(release, &release.pause_image, &support::set(files));
        assembled.map(|assembled| assembled.effective())
    };
    // With what is no drop-in to k0s nothing was in effect.
    let Ok(before) = effective(running, &existing.set.files) else {
        return Ok(());
    };
    let after = effective(release, &support::drop_ins(plan)).unwrap();
    let none = BTreeMap::new();
    let unset_before = effective(running, &none).unwrap();
    let unset_after = effective(release, &none).unwrap();
    let get = |effective: &Effective, release: &k0s::Release, path: &[&str]| {
        let address = Config::address(release.containerd.config_version(), path)?;
        let address: Vec<&str> = address.iter().map(String::as_str).collect();
        let value = effective.get(&address).filter(|value| !value.is_zero());
        // containerd 1.x takes an empty name for its default.
        let is_default = path.ends_with(&["containerd", "snapshotter"])
            && release.containerd.config_version() < 3;
        match value {
            None if is_default => Some(Value::String("overlayfs".to_owned())),
            value => value,
        }
    };
    let lost = |path: &Option<Vec<String>>| {
        let mut entries = plan.ledger.iter();
        entries.any(|entry| entry.fate == Fate::NotExpressible && Some(keys_of(entry)) == *path)
    };
    for edit in existing.set.edits.values().flatten() {
        if had_no_effect(plan, &edit.path) {
            continue;
        }
        // The target asks the same without it, which those of `registry` hold to.
        let address = edit.address(existing.set.version);
        let is_unneeded = |entry: &LedgerEntry| {
            entry.fate == Fate::EqualsTargetDefault && Some(keys_of(entry)) == address
        };
        if edit.path.contains(&"mirrors".to_owned()) && plan.ledger.iter().any(is_unneeded) {
            continue;
        }
        if lost(&address) {
            prop_assert!(has_error(plan), "{edit:?} is lost without a word");
            continue;
        }
        let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
        let was = get(&before, running, &path);
        let is = get(&after, release, &path);
        let version = release.containerd.config_version();
        let key = edit.address(version).unwrap_or_default().join(".");
        let owed = plan
            .companions
            .iter()
            .any(|companion| companion.key.replace('"', "") == key);
        let unset =
            was == get(&unset_before, running, &path) && is == get(&unset_after, release, &path);
        prop_assert!(
            was == is || unset || owed && was.is_none(),
            "{path:?} was {was:?} and is {is:?}"
        );
    }
    Ok(())
}

/// Laws 1 and 2 for drop-ins of k0s up to 1.35: nothing is written, nothing goes.
fn stays_as_it_is(existing: &Existing, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(
        plan.drop_ins.is_empty() && plan.hosts_files.is_empty(),
        "{:?}",
        plan.drop_ins
    );
    prop_assert!(plan.removed.is_empty(), "{:?}", plan.removed);
    let files = &existing.set.files;
    let kept = |entry: &LedgerEntry| {
        entry
            .fate
            .drop_in()
            .is_some_and(|name| files.contains_key(name.as_str()))
    };
    let gone = |entry: &LedgerEntry| !kept(entry) && entry.fate.drop_in().is_some();
    prop_assert!(!plan.ledger.iter().any(gone), "{:?}", plan.ledger);
    Ok(())
}

/// Law 2 for drop-ins.
fn drop_ins_change_nothing_else(existing: &Existing, plan: &Plan) -> Result<(), TestCaseError> {
    let with = effective(&existing.target, &parsed(plan));
    let without = effective(&existing.target, &BTreeMap::new());
    let version = existing.target.containerd().config_version();
    let edits = existing.set.edits.values().flatten();
    let edits = edits.filter_map(|edit| edit.address(version)).collect();
    differs_in(plan, &paths(&without, &with), &edits)
}

/// Law 4 with a file from elsewhere, which a drop-in imports and nobody rewrites.
fn accounts_for_imports((existing, other): (Existing, DropInFiles)) -> Result<(), TestCaseError> {
    let path = "/etc/containerd/conf.d/x.toml";
    let text = other.files.values().next().unwrap();
    let imported = [Document::parse(path, text.as_bytes()).unwrap()];
    let planned = |files: &BTreeMap<String, String>| {
        let parse = |(name, text): (&String, &String)| {
            Document::parse(format!("{DIRECTORY}/{name}"), text.as_bytes()).unwrap()
        };
        let documents: Vec<Document> = files.iter().map(parse).collect();
        let existing_drop_ins = support::existing(DIRECTORY, &documents, &imported);
        plan_drop_ins(&existing_drop_ins, &existing.target, &Options::default())
    };
    let mut files = existing.set.files.clone();
    let version = existing.set.version;
    let import = format!("version = {version}\nimports = [{path:?}]\n");
    files.insert("60-import.toml".to_owned(), import);
    let plan = planned(&files);
    is_no_defect(&plan)?;
    let parse = |(name, text): (&String, &String)| {
        Document::parse(format!("{DIRECTORY}/{name}"), text.as_bytes()).unwrap()
    };
    let documents: Vec<Document> = files.iter().map(parse).collect();
    accounts(documents.iter().chain(&imported), &plan)?;
    let left = plan
        .ledger
        .iter()
        .filter(|entry| entry.span.file == path)
        .count();
    prop_assert!(
        left >= support::leaves(&support::parse(text)).len(),
        "{:?}",
        plan.ledger
    );
    if existing.target.release.regime == Regime::ImportsV3 {
        prop_assert!(plan.verified, "{:?}", plan.findings);
        let first = support::drop_ins(&plan);
        prop_assert!(first["60-import.toml"].contains(path));
        prop_assert_eq!(support::drop_ins(&planned(&first)), first);
    }
    Ok(())
}

/// Law 5 for drop-ins: it does not matter in which order they are handed in.
fn does_not_depend_on_reading_order(existing: &Existing, plan: &Plan) -> Result<(), TestCaseError> {
    let mut documents = existing.set.documents();
    documents.reverse();
    is_same(plan, &carried_over(&documents, &existing.target))
}

/// Law 6 for drop-ins: nothing is left to do.
pub fn is_done(target: &Target, plan: &Plan) -> Law {
    let files = support::drop_ins(plan);
    let parse = |(name, text): (&String, &String)| {
        Document::parse(format!("{DIRECTORY}/{name}"), text.as_bytes()).unwrap()
    };
    let documents: Vec<Document> = files.iter().map(parse).collect();
    let again = carried_over(&documents, target);
    prop_assert_eq!(support::drop_ins(&again), files);
    prop_assert!(again.removed.is_empty());
    if support::keeps_all(plan) {
        prop_assert_eq!(again.steps.len(), 1, "{:?}", again.steps);
    }
    Ok(())
}

pub fn is_no_defect(plan: &Plan) -> Law {
    let internal = |finding: &&Finding| finding.code == Code::Internal;
    let defects: Vec<_> = plan.findings.iter().filter(internal).collect();
    prop_assert!(defects.is_empty(), "{defects:?}");
    Ok(())
}

/// Law 7: any bytes end in a plan, or an error with a place.
fn ends_well((bytes, target, options): (Vec<u8>, Target, Options)) -> Result<(), TestCaseError> {
    let path = format!("{DIRECTORY}/x.toml");
    let (legacy, drop_in) = (
        Document::parse("/etc/k0s/containerd.toml", &bytes),
        Document::parse(path, &bytes),
    );
    let (Ok(legacy), Ok(drop_in)) = (legacy, drop_in) else {
        return Ok(());
    };
    let planned = plan(&legacy, &[], &target, &options);
    is_no_defect(&planned)?;
    let _ = (planned.to_string(), format!("{planned:?}"));
    let drop_ins = [drop_in];
    let existing = support::existing(DIRECTORY, &drop_ins, &[]);
    let planned = plan_drop_ins(&existing, &target, &options);
    is_no_defect(&planned)?;
    let _ = (planned.to_string(), format!("{planned:?}"));
    Ok(())
}

/// Law 8.
pub fn is_same(plan: &Plan, again: &Plan) -> Law {
    let json = |plan: &Plan| serde_json::to_string(plan).unwrap();
    prop_assert_eq!(json(plan), json(again));
    prop_assert_eq!(plan.to_string(), again.to_string());
    prop_assert_eq!(support::drop_ins(plan), support::drop_ins(again));
    Ok(())
}

/// Law 9: one key or header a line, nothing but basic strings of TOML 0.5. A file that
/// stays as it was is its owner's.
pub fn is_portable<'d>(files: impl IntoIterator<Item = &'d Document>, plan: &Plan) -> Law {
    let files: Vec<&Document> = files.into_iter().collect();
    let drop_ins = plan.drop_ins.iter().map(|file| file.text());
    let drop_ins = drop_ins.filter(|text| !files.iter().any(|file| file.text() == *text));
    let texts = drop_ins.chain(plan.hosts_files.iter().map(|file| file.text()));
    for text in texts {
        prop_assert!(
            text.ends_with('\n') && !text.contains(['\r', '\u{feff}']),
            "{text:?}"
        );
        let forbidden = |c: char| c.is_control() && c != '\n';
        prop_assert!(!text.contains(forbidden), "{text:?}");
        let table = support::parse(text);
        let (mut keys, mut seen) = (0, BTreeSet::new());
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if line.starts_with('[') {
                prop_assert!(line.ends_with(']') && seen.insert(line), "{line}");
                continue;
            }
            // A line is a file by itself, with one key that has one part.
            let own: toml_edit::DocumentMut = line.parse().unwrap();
            prop_assert_eq!(own.len(), 1, "{}", line);
            let (key, value) = own.iter().next().unwrap();
            prop_assert!(
                value.is_value()
                    && !value
                        .as_inline_table()
                        .is_some_and(|table| table.is_dotted()),
                "{line}"
            );
            prop_assert!(!key.is_empty());
            prop_assert!(
                !line.contains("\\e") && !line.contains("\\x") && !line.contains("\"\"\""),
                "{line}"
            );
            keys += 1;
        }
        prop_assert!(
            keys + seen.len() > 0 && keys <= leaf_paths(&table).len(),
            "{text}"
        );
    }
    Ok(())
}

/// Law 10: what the node's containerd starts with, that of the target starts with.
fn node_works(case: &Case, plan: &Plan) -> Law {
    says_what_is_refused(&case.target, plan)?;
    pulls_as_before(case, plan)
}

/// Law 10 for any input: what the target's containerd refuses is said.
pub fn says_what_is_refused(target: &Target, plan: &Plan) -> Law {
    let after = effective(target, &parsed(plan)).refusals();
    let said = plan.findings.iter().any(support::is_refusal);
    prop_assert!(
        after.is_empty() || said,
        "{after:?} is not said: {:?}",
        plan.findings
    );
    Ok(())
}

/// Law 11: what is called a stale default is what some release prints there.
fn judges_by_what_is_printed(case: &Case, plan: &Plan, all: &[Table]) -> Result<(), TestCaseError> {
    for entry in plan
        .ledger
        .iter()
        .filter(|entry| entry.fate == Fate::StaleDefault)
    {
        // Images and what distributions shift are tables of their own.
        let shifted = [
            "sandbox_image",
            "sandbox",
            "bin_dir",
            "bin_dirs",
            "platforms",
            "unpack_config",
        ];
        let keys = toml_edit::Key::parse(&entry.key).unwrap();
        let last = keys.last().unwrap().get().to_owned();
        if shifted.contains(&last.as_str()) || case.version == 1 {
            continue;
        }
        let path: Vec<&str> = keys.iter().map(toml_edit::Key::get).collect();
        let mut printed = all.iter().filter_map(|table| support::at(table, &path));
        prop_assert!(
            printed.any(|value| value == entry.value.expose()),
            "{entry:?}"
        );
    }
    lists_what_changes(case, plan)
}

fn with_plan(
    check: impl Fn(&Case, &Plan) -> Result<(), TestCaseError>,
) -> impl Fn(Case) -> Result<(), TestCaseError> {
    move |case| check(&case, &case.plan())
}

fn with_plan_of_set(
    check: impl Fn(&Existing, &Plan) -> Result<(), TestCaseError>,
) -> impl Fn(Existing) -> Result<(), TestCaseError> {
    move |existing| check(&existing, &existing.plan())
}

/// What all known releases print.
fn all_defaults() -> Vec<Table> {
    let releases: BTreeSet<Release> = k0s::Release::all()
        .map(|release| release.containerd)
        .collect();
    let bases = [(1, 4, 13), (1, 6, 20), (1, 7, 20), (2, 1, 9), (2, 3, 4)];
    let bases = bases.map(|(major, minor, patch)| Release::new(major, minor, patch));
    releases
        .into_iter()
        .chain(bases)
        .map(default_config)
        .collect()
}

#[cfg_attr(
    not(test),
    allow(unused_imports, reason = "the fuzz targets have no tests")
)]
use Regime::{CriAppend, CriMerge, ImportsV3, Monolith};

laws! {
    mod law_01_preservation {
        append: plain(CriAppend), with_plan(keeps_the_edits);
        merge: plain(CriMerge), with_plan(keeps_the_edits);
        imports: plain(ImportsV3), with_plan(keeps_the_edits);
        monolith: plain(Monolith), |case: Case| has_no_drop_ins(&case);
        drop_ins_for_append: sets(CriAppend, true), with_plan_of_set(stays_as_it_is);
        drop_ins_for_merge: sets(CriMerge, true), with_plan_of_set(stays_as_it_is);
        drop_ins_for_imports: sets(ImportsV3, false), with_plan_of_set(means_what_it_meant);
    }
    mod law_02_non_interference {
        append: plain(CriAppend), with_plan(changes_nothing_else);
        merge: plain(CriMerge), with_plan(changes_nothing_else);
        imports: plain(ImportsV3), with_plan(changes_nothing_else);
        drop_ins_for_imports: sets(ImportsV3, false), with_plan_of_set(drop_ins_change_nothing_else);
    }
    /// Of legacy files: existing drop-ins stay as they are as far as that goes.
    mod law_03_minimality {
        append: plain(CriAppend), with_plan(has_no_superfluous_key);
        merge: plain(CriMerge), with_plan(has_no_superfluous_key);
        imports: plain(ImportsV3), with_plan(has_no_superfluous_key);
    }
    mod law_04_accounting {
        append: any(CriAppend), with_plan(accounts_for_every_key);
        merge: any(CriMerge), with_plan(accounts_for_every_key);
        imports: any(ImportsV3), with_plan(accounts_for_every_key);
        monolith: any(Monolith), with_plan(accounts_for_every_key);
        drop_ins_for_append: sets(CriAppend, true), with_plan_of_set(|existing, plan| accounts(&existing.set.documents(), plan));
        drop_ins_for_merge: sets(CriMerge, true), with_plan_of_set(|existing, plan| accounts(&existing.set.documents(), plan));
        drop_ins_for_imports: sets(ImportsV3, true), with_plan_of_set(|existing, plan| accounts(&existing.set.documents(), plan));
        files_from_elsewhere_for_merge: (sets(CriMerge, false), DropInSets::of_version(2).any_text().strategy()), accounts_for_imports;
        files_from_elsewhere_for_imports: (sets(ImportsV3, false), DropInSets::of_version(2).any_text().strategy()), accounts_for_imports;
    }
    mod law_05_order_independence {
        append: plain(CriAppend), with_plan(|case, plan| does_not_depend_on_order(&case.target, plan));
        merge: plain(CriMerge), with_plan(|case, plan| does_not_depend_on_order(&case.target, plan));
        imports: plain(ImportsV3), with_plan(|case, plan| does_not_depend_on_order(&case.target, plan));
        drop_ins_for_merge: sets(CriMerge, true), with_plan_of_set(does_not_depend_on_reading_order);
        drop_ins_for_imports: sets(ImportsV3, true), with_plan_of_set(does_not_depend_on_reading_order);
    }
    mod law_06_idempotence {
        append: plain(CriAppend), with_plan(is_idempotent);
        merge: plain(CriMerge), with_plan(is_idempotent);
        imports: plain(ImportsV3), with_plan(is_idempotent);
        drop_ins_for_imports: sets(ImportsV3, true), with_plan_of_set(|existing, plan| is_done(&existing.target, plan));
    }
    /// Both fronts, each with the same bytes.
    mod law_07_totality {
        append: hostile(CriAppend), ends_well;
        merge: hostile(CriMerge), ends_well;
        imports: hostile(ImportsV3), ends_well;
        monolith: hostile(Monolith), ends_well;
    }
    mod law_08_determinism {
        append: any(CriAppend), with_plan(|case, plan| is_same(plan, &case.plan()));
        merge: any(CriMerge), with_plan(|case, plan| is_same(plan, &case.plan()));
        imports: any(ImportsV3), with_plan(|case, plan| is_same(plan, &case.plan()));
        monolith: any(Monolith), with_plan(|case, plan| is_same(plan, &case.plan()));
        drop_ins_for_merge: sets(CriMerge, true), with_plan_of_set(|existing, plan| is_same(plan, &existing.plan()));
        drop_ins_for_imports: sets(ImportsV3, true), with_plan_of_set(|existing, plan| is_same(plan, &existing.plan()));
    }
    mod law_09_portability {
        append: any(CriAppend), with_plan(|case, plan| is_portable([&case.file.document()], plan));
        merge: any(CriMerge), with_plan(|case, plan| is_portable([&case.file.document()], plan));
        imports: any(ImportsV3), with_plan(|case, plan| is_portable([&case.file.document()], plan));
        drop_ins_for_imports: sets(ImportsV3, true), with_plan_of_set(|existing, plan| is_portable(&existing.set.documents(), plan));
    }
    mod law_10_the_node_works {
        append: plain(CriAppend), with_plan(node_works);
        merge: plain(CriMerge), with_plan(node_works);
        imports: plain(ImportsV3), with_plan(node_works);
    }
    mod law_11_judgement {
        append: plain(CriAppend), { let all = all_defaults(); with_plan(move |case, plan| judges_by_what_is_printed(case, plan, &all)) };
        merge: plain(CriMerge), { let all = all_defaults(); with_plan(move |case, plan| judges_by_what_is_printed(case, plan, &all)) };
        imports: plain(ImportsV3), { let all = all_defaults(); with_plan(move |case, plan| judges_by_what_is_printed(case, plan, &all)) };
    }
}

/// All laws of a legacy file of settings that the target has as they are.
pub fn all_of_plain(case: &Case, plan: &Plan) -> Law {
    static PRINTED: LazyLock<Vec<Table>> = LazyLock::new(all_defaults);
    all_of_any(case, plan)?;
    if case.target.release.regime == Monolith {
        return has_no_drop_ins(case);
    }
    keeps_the_edits(case, plan)?;
    changes_nothing_else(case, plan)?;
    has_no_superfluous_key(case, plan)?;
    does_not_depend_on_order(&case.target, plan)?;
    is_idempotent(case, plan)?;
    node_works(case, plan)?;
    judges_by_what_is_printed(case, plan, &PRINTED)
}

/// All laws of any legacy file that is made of settings.
pub fn all_of_any(case: &Case, plan: &Plan) -> Law {
    is_no_defect(plan)?;
    accounts_for_every_key(case, plan)?;
    is_same(plan, &case.plan())?;
    is_portable([&case.file.document()], plan)
}

/// All laws of drop-ins of any settings.
pub fn all_of_any_set(existing: &Existing, plan: &Plan) -> Law {
    is_no_defect(plan)?;
    accounts(&existing.set.documents(), plan)?;
    does_not_depend_on_reading_order(existing, plan)?;
    is_same(plan, &existing.plan())?;
    is_portable(&existing.set.documents(), plan)?;
    match existing.target.release.regime {
        ImportsV3 => is_done(&existing.target, plan),
        _ => stays_as_it_is(existing, plan),
    }
}

/// All laws of drop-ins of settings that the target has as they are.
pub fn all_of_plain_set(existing: &Existing, plan: &Plan) -> Law {
    all_of_any_set(existing, plan)?;
    if existing.target.release.regime != ImportsV3 {
        return Ok(());
    }
    means_what_it_meant(existing, plan)?;
    drop_ins_change_nothing_else(existing, plan)
}

/// The typed model writes back what it read.
#[test]
fn the_typed_model_keeps_everything() {
    holds(
        prop_oneof![
            LegacyFiles::new().strategy(),
            LegacyFiles::new().any_text().strategy()
        ],
        |file| {
            let document = file.document();
            let config = Config::read(&document);
            prop_assert_eq!(config.to_table(), document.to_table());
            let written = Document::parse("t", config.to_toml().as_bytes()).unwrap();
            prop_assert_eq!(written.to_table(), document.to_table());
            let json =
                serde_json::to_string(&containerd_dropins::Exposed::table(&config.to_table()));
            let back: Config = serde_json::from_str(&json.unwrap()).unwrap();
            prop_assert_eq!(back.to_table(), config.to_table());
            Ok(())
        },
    );
}

/// A `hosts.toml` is written so that each release reads it, and asks for images those
/// that the last release asks, for the same.
#[test]
fn hosts_tomls_are_read_by_the_release_that_they_are_written_for() {
    let asked = |text: &str, release: Release| {
        let tree = CertsD::new("/c", [("registry.example/hosts.toml", text)]);
        let all = tree.endpoints("registry.example", release).into_iter();
        let of_pulls = |endpoint: &Endpoint| {
            let can = |one| endpoint.capabilities.contains(&one);
            (can(Capability::Pull), can(Capability::Resolve))
        };
        // What is asked for nothing is not asked.
        all.map(|endpoint| (of_pulls(&endpoint), endpoint.to_string()))
            .filter(|(of_pulls, _)| *of_pulls != (false, false))
            .collect::<Vec<_>>()
    };
    let last = Release::new(2, 3, 4);
    let same_paths = Release::new(1, 6, 0);
    holds_in(
        4,
        (hosts_tomls(), containerd_releases()),
        |(file, release)| {
            let text = file.to_toml(release);
            let read = HostsToml::parse(&text, release);
            prop_assert_eq!(read.as_ref(), Ok(&file.for_release(release)), "{}", text);
            if release >= Release::new(2, 2, 0) {
                prop_assert_eq!(&file.for_release(release), &file);
            }
            if release >= same_paths {
                prop_assert_eq!(
                    asked(&text, release),
                    asked(&file.to_toml(last), last),
                    "{}",
                    text
                );
            }
            Ok(())
        },
    );
}

/// So are trees for a release, which stay as they are when they are written anew.
#[test]
fn trees_for_a_release_are_read_by_it() {
    let trees = containerd_releases().prop_flat_map(|release| (Just(release), certs_ds(release)));
    holds_in(4, trees, |(release, files)| {
        for (path, text) in &files {
            let file = HostsToml::parse(text, release);
            prop_assert!(file.is_ok(), "{path}: {file:?}");
            prop_assert_eq!(&file.unwrap_or_default().to_toml(release), text);
            let reads =
                |word: &str, since: &str| release >= since.parse().unwrap() || !text.contains(word);
            prop_assert!(reads("override_path", "1.6.0"), "{text}");
            prop_assert!(reads("dial_timeout", "2.0.7"), "{text}");
            prop_assert!(reads("referrers", "2.2.0"), "{text}");
        }
        Ok(())
    });
}
