//! The laws of the product, over generated legacy files.

use std::collections::{BTreeMap, BTreeSet};

use containerd_dropins::containerd::load::{Effective, default_config};
use containerd_dropins::containerd::pull::{BUILT_IN_CONFIG_PATH, ImagePull};
use containerd_dropins::containerd::refusal::Rule;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::k0s::{self, assemble};
use containerd_dropins::migrate::{
    Companion, Fate, LedgerEntry, Options, Plan, Redacted, Target, plan, plan_drop_ins,
};
use containerd_dropins::value::{Table, Value};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;

use crate::generate::{Case, FROM, TO, cases, drop_ins};
use crate::support;

/// What is in effect with drop-ins, whose text is read anew.
fn effective(k0s: &str, drop_ins: &BTreeMap<String, Table>) -> Effective {
    let (release, _) = k0s::Release::find(k0s).unwrap();
    let texts: BTreeMap<String, String> = drop_ins
        .iter()
        .map(|(name, table)| {
            let text = containerd_dropins::Exposed::table(table).to_toml();
            (name.clone(), text)
        })
        .collect();
    assemble(&release, &release.pause_image, &support::set(&texts))
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

/// Laws 1 and 2: what differs is what was edited, with the values of the edits.
fn keeps_the_edits_and_nothing_else(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let with = effective(case.k0s, &parsed(plan));
    let without = effective(case.k0s, &BTreeMap::new());
    for (path, value) in &case.effect {
        if had_no_effect(plan, path) {
            continue;
        }
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let found = with.get(&keys);
        prop_assert!(
            found.as_ref() == Some(value) || found.is_none() && value.is_zero(),
            "{path:?} should be {value:?}, is {found:?}"
        );
    }
    for path in paths(&without, &with) {
        // A new entry of a map is reported as a whole.
        let mut edited = case.effect.keys().any(|edit| edit.starts_with(&path));
        // The mirror of old dumps stays where that of all hosts would count.
        let any = |edit: &Vec<String>| {
            edit.contains(&"mirrors".to_owned()) && edit.contains(&"*".to_owned())
        };
        edited |= path.contains(&"docker.io".to_owned()) && case.effect.keys().any(any);
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
    let with = effective(case.k0s, &files);
    for name in files.keys() {
        for key in leaf_paths(&files[name]) {
            if key == ["version"] {
                continue;
            }
            let mut fewer = files.clone();
            remove(fewer.get_mut(name).unwrap(), &key);
            let less = effective(case.k0s, &fewer);
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
    let fails = |effective: &Effective| {
        let refusals = effective.refusals();
        let of_pulls = |rule| {
            matches!(
                rule,
                Rule::NoUnpackPlatform | Rule::ConfigPathList | Rule::Unpack
            )
        };
        // A snapshotter that is not loaded is found first.
        let hides = |rule| {
            effective.image_pull() == ImagePull::TransferService
                && matches!(rule, Rule::Snapshotter | Rule::RuntimeSnapshotter)
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
    let with = effective(case.k0s, &files);
    prop_assert!(
        !(fails(&with) || of_1_x && wakes(&with)),
        "{:?} {:?}",
        with.refusals(),
        plan.companions
    );
    for companion in &plan.companions {
        let mut fewer = files.clone();
        let table = fewer.get_mut(companion.drop_in.as_str()).unwrap();
        let key = leaf_paths(table).into_iter().find(|path| {
            let shown = path.join(".");
            shown == companion.key.replace('"', "")
        });
        remove(table, &key.unwrap());
        let less = effective(case.k0s, &fewer);
        prop_assert!(
            fails(&less) || wakes(&less) || differs_in_handlers(&companion.key),
            "{companion:?} is superfluous"
        );
    }
    Ok(())
}

/// Companions that are not about where images come from.
fn differs_in_handlers(key: &str) -> bool {
    key.contains("runtime_platforms") || key.ends_with("default_runtime_name")
}

fn leaf_paths(table: &Table) -> Vec<Vec<String>> {
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
fn accounts_for_every_key(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let leaves = support::leaves(&support::parse(&case.text)).len();
    let bare = |value: &Value| value.as_table().is_some_and(BTreeMap::is_empty);
    let entries: Vec<_> = plan
        .ledger
        .iter()
        .filter(|entry| !bare(entry.value.expose()))
        .collect();
    prop_assert_eq!(entries.len(), leaves);
    for entry in entries {
        prop_assert!(
            !entry.reason.is_empty() && entry.span.line > 0,
            "{:?}",
            entry
        );
        let line = case.text.lines().nth(entry.span.line - 1).unwrap();
        prop_assert!(
            line.contains('=') || line.contains("[["),
            "{:?} is not on {line:?}",
            entry.key
        );
        if let Some(name) = entry.fate.drop_in() {
            prop_assert!(plan.drop_ins.iter().any(|drop_in| drop_in.name == *name));
        }
    }
    Ok(())
}

/// Law 5: names do not matter, and no key is in two files.
fn does_not_depend_on_order(case: &Case, plan: &Plan) -> Result<(), TestCaseError> {
    let files = parsed(plan);
    let count = files.len();
    let renamed = files.iter().enumerate();
    let renamed = renamed
        .map(|(at, (name, table))| match name.contains('/') {
            true => (name.clone(), table.clone()),
            false => (format!("{:03}.toml", count - at), table.clone()),
        })
        .collect();
    let (one, other) = (effective(case.k0s, &files), effective(case.k0s, &renamed));
    prop_assert_eq!(paths(&one, &other), BTreeSet::new());
    let mut seen = BTreeSet::new();
    let merged_by_k0s = !case.k0s.starts_with("v1.36");
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

/// Law 6: the result, migrated again, is the same.
fn is_idempotent(case: &Case, plan_1: &Plan) -> Result<(), TestCaseError> {
    let target = Target::find(case.k0s).unwrap();
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
    let again = plan(&main, &imports, &target, &Options::default());
    prop_assert_eq!(support::drop_ins(&again), support::drop_ins(plan_1));
    let said: Vec<_> = again
        .findings
        .iter()
        .filter(|f| f.code != Code::K0sManaged && f.code != Code::NotInTarget)
        .filter(|f| !support::is_refusal(f))
        .collect();
    prop_assert!(said.is_empty(), "{said:?}");
    if target.release.config_version() == 3 {
        // As existing drop-ins they stay as they are, to the byte.
        let existing =
            support::existing("/etc/k0s/containerd.d", &imports, &[]).with_main(Some(&main));
        let again = plan_drop_ins(&existing, &target, &Options::default());
        prop_assert_eq!(support::drop_ins(&again), support::drop_ins(plan_1));
        prop_assert!(support::keeps_all(&again), "{:?}", again.findings);
    }
    Ok(())
}

/// A key without quotes, where containerd 2.3 has it by itself: a server is a plugin
/// there, which k0s's main file of version 3 knows as a table.
fn at_latest(key: &str) -> String {
    let is_server = ["grpc.", "ttrpc.", "metrics.", "debug."];
    let path: Vec<&str> = key.split('.').collect();
    let address = match is_server.iter().any(|server| key.starts_with(server)) {
        true => Config::address(4, &path),
        false => None,
    };
    address
        .map_or_else(|| key.to_owned(), |path| path.join("."))
        .replace('"', "")
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
    let after = effective(case.k0s, &parsed(plan));
    let unquoted = |path: &str| path.replace('"', "");
    let differences = before.differences(&after);
    let changes = || plan.changes.iter().chain(&plan.release_changes);
    for difference in &differences {
        let path = difference.path.join(".");
        let listed = changes().any(|change| at_latest(&change.key) == path);
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
                || had_no_effect(plan, &difference.path),
            "{path} changes: {difference:?} is not among {:?}",
            plan.changes
        );
    }
    for change in changes() {
        let key = at_latest(&change.key);
        let real = differences
            .iter()
            .any(|difference| difference.path.join(".") == key);
        prop_assert!(
            real || key.ends_with(".bin_dirs"),
            "{change:?} is no difference"
        );
        let twice = changes().filter(|other| other.key == change.key).count();
        prop_assert_eq!(twice, 1, "{:?}", change);
        prop_assert!(!change.reason.is_empty());
    }
    Ok(())
}

proptest! {
    #[test]
    fn laws_hold(case in cases()) {
        let plan = support::migrate(&case.text, case.k0s).exposed();
        prop_assert!(support::keeps_all(&plan), "{:?}", plan.findings);
        keeps_the_edits_and_nothing_else(&case, &plan)?;
        has_no_superfluous_key(&case, &plan)?;
        accounts_for_every_key(&case, &plan)?;
        does_not_depend_on_order(&case, &plan)?;
        is_idempotent(&case, &plan)?;
        lists_what_changes(&case, &plan)?;
        pulls_as_before(&case, &plan)?;
        // Law 8.
        let again = support::migrate(&case.text, case.k0s).exposed();
        prop_assert_eq!(serde_json::to_string(&plan).unwrap(), serde_json::to_string(&again).unwrap());
        prop_assert_eq!(support::drop_ins(&plan), support::drop_ins(&again));
    }

    /// Carried over, existing drop-ins mean what they meant: each key that any
    /// of them sets has the value that it had, or neither has one.
    #[test]
    fn existing_drop_ins_mean_what_they_meant(set in drop_ins()) {
        let effective = |k0s: &str, files: &BTreeMap<String, String>| {
            let release = k0s::Release::find(k0s).unwrap().0;
            assemble(&release, &release.pause_image, &support::set(files)).map(|assembled| assembled.effective())
        };
        let none = BTreeMap::new();
        let before = effective(FROM, &set.files).unwrap();
        let directory = "/etc/k0s/containerd.d";
        let documents: Vec<Document> = set.files.iter()
            .map(|(name, text)| Document::parse(format!("{directory}/{name}"), text.as_bytes()).unwrap())
            .collect();
        let existing = support::existing(directory, &documents, &[]);
        let plan = plan_drop_ins(&existing, &Target::find(TO).unwrap(), &Options::default());
        prop_assert!(support::keeps_all(&plan), "{:?}", plan.findings);
        let after = effective(TO, &support::drop_ins(&plan)).unwrap();
        let [unset_before, unset_after] = [FROM, TO].map(|k0s| effective(k0s, &none).unwrap());
        for path in &set.touched {
            if had_no_effect(&plan, path) {
                continue;
            }
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let address = Config::address(4, &path).unwrap();
            let address: Vec<&str> = address.iter().map(String::as_str).collect();
            let zero = |value: Option<Value>| value.filter(|value| !value.is_zero());
            let was = zero(before.get(&path));
            let is = zero(after.get(&address));
            let key = address.join(".");
            let owed = plan.companions.iter().any(|companion| companion.key.replace('"', "") == key);
            if owed && was.is_none() {
                continue;
            }
            let neither = was == zero(unset_before.get(&path)) && is == zero(unset_after.get(&address));
            prop_assert!(was == is || neither, "{path:?} was {was:?} and is {is:?}");
        }
        // And once more nothing is left to do.
        let documents: Vec<Document> = support::drop_ins(&plan).iter()
            .map(|(name, text)| Document::parse(format!("{directory}/{name}"), text.as_bytes()).unwrap())
            .collect();
        let existing = support::existing(directory, &documents, &[]);
        let again = plan_drop_ins(&existing, &Target::find(TO).unwrap(), &Options::default());
        prop_assert_eq!(support::drop_ins(&again), support::drop_ins(&plan));
        prop_assert_eq!(again.steps.len(), 1);
    }

    /// With a file from elsewhere, which a drop-in imports and nobody rewrites:
    /// accounts, and nothing left to do the second time.
    #[test]
    fn imports_from_elsewhere_keep_the_laws(set in drop_ins(), other in drop_ins()) {
        let (directory, path) = ("/etc/k0s/containerd.d", "/etc/containerd/conf.d/x.toml");
        let text = other.files.values().next().unwrap();
        let imported = [Document::parse(path, text.as_bytes()).unwrap()];
        let planned = |files: &BTreeMap<String, String>, k0s: &str| {
            let documents: Vec<Document> = files.iter()
                .map(|(name, text)| Document::parse(format!("{directory}/{name}"), text.as_bytes()).unwrap())
                .collect();
            let existing = support::existing(directory, &documents, &imported);
            plan_drop_ins(&existing, &Target::find(k0s).unwrap(), &Options::default())
        };
        let mut files = set.files.clone();
        files.insert("60-import.toml".to_owned(), format!("version = 2\nimports = [{path:?}]\n"));
        let leaves = |text: &String| support::leaves(&support::parse(text)).len();
        let keys = files.values().chain([text]).map(leaves).sum::<usize>();
        for k0s in [FROM, TO] {
            let plan = planned(&files, k0s);
            let defects: Vec<_> = plan.findings.iter().filter(|finding| finding.code == Code::Internal).collect();
            prop_assert!(defects.is_empty(), "{defects:?}");
            let bare = |value: &Value| value.as_table().is_some_and(BTreeMap::is_empty);
            let entries = plan.ledger.iter().filter(|entry| !bare(entry.value.expose()));
            prop_assert_eq!(entries.count(), keys);
            let left = plan.ledger.iter().filter(|entry| entry.span.file == path).count();
            prop_assert!(left >= leaves(text), "{:?}", plan.ledger);
        }
        let plan = planned(&files, TO);
        prop_assert!(plan.verified, "{:?}", plan.findings);
        prop_assert!(support::drop_ins(&plan)["60-import.toml"].contains(path));
        let again = planned(&support::drop_ins(&plan), TO);
        prop_assert_eq!(support::drop_ins(&again), support::drop_ins(&plan));
    }

    /// The typed model writes back what it read.
    #[test]
    fn the_typed_model_keeps_everything(case in cases()) {
        let document = Document::parse("t", case.text.as_bytes()).unwrap();
        let config = Config::read(&document);
        prop_assert_eq!(config.to_table(), document.to_table());
        let written = Document::parse("t", config.to_toml().as_bytes()).unwrap();
        prop_assert_eq!(written.to_table(), document.to_table());
        let json = serde_json::to_string(&containerd_dropins::Exposed::table(&config.to_table())).unwrap();
        let back: Config = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back.to_table(), config.to_table());
    }

    /// Law 7: any bytes end in a plan or an error.
    #[test]
    fn any_bytes_end_well(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(document) = Document::parse("t", &bytes) {
            let _ = plan(&document, &[], &Target::find("1.30.4").unwrap(), &Options::default());
        }
    }

    /// Law 7, for texts that parse: real files with pieces cut out or doubled.
    #[test]
    fn damaged_files_end_well(case in cases(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), double: bool) {
        let lines: Vec<&str> = case.text.lines().collect();
        let (from, to) = (from.index(lines.len()), to.index(lines.len()));
        let (from, to) = (from.min(to), from.max(to));
        let mut damaged: Vec<&str> = lines[..from].to_vec();
        if double {
            damaged.extend(&lines[from..to]);
            damaged.extend(&lines[from..]);
        } else {
            damaged.extend(&lines[to..]);
        }
        if let Ok(document) = Document::parse("t", damaged.join("\n").as_bytes()) {
            let plan = plan(&document, &[], &Target::find(case.k0s).unwrap(), &Options::default());
            let defects: Vec<_> = plan.findings.iter().filter(|finding| finding.code == Code::Internal).collect();
            prop_assert!(defects.is_empty(), "{defects:?}");
        }
    }
}
