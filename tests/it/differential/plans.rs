//! What a legacy file was to the containerd that it is for, and what the drop-ins of
//! its plan are to the target's: both by `config dump`. So it is the verifier that is
//! judged here, by nothing that the library computes.
//!
//! - What the plan keeps is in effect as it was, at the place where the target has it,
//!   and so is what it calls the target's default.
//! - What it says to have had no effect had none.
//! - Nothing else differs from a node without drop-ins, but for the keys that the plan
//!   says to add.
//! - What is in effect otherwise than before is among the plan's changes, and what
//!   they list is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use containerd_dropins::Config;
use containerd_dropins::containerd::Release;
use containerd_dropins::k0s;
use containerd_dropins::migrate::{Change, Fate, LedgerEntry, Options, Plan, Target, plan};
use containerd_dropins::strategies::{LegacyFile, LegacyFiles};
use containerd_dropins::value::{Table, Value};
use proptest::prelude::*;

use super::{
    Containerd, Found, all_agree, at, cases, compare, containerds, dump, is_carried, is_of_build,
    is_of_dump, keys, leaf_paths, prints, put_together, same, shown, target,
};
use crate::support::{self, TempDir};

type Path = Vec<String>;

/// A containerd, and what it prints where nothing is set.
struct Judge {
    containerd: Containerd,
    bare: Table,
}

impl Judge {
    fn line(&self) -> (u64, u64) {
        line(self.containerd.release)
    }
}

fn line(release: Release) -> (u64, u64) {
    let text = release.to_string();
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[derive(Clone)]
struct Case {
    file: LegacyFile,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.file)
    }
}

/// Files for the containerds at hand.
fn files(old: &[Judge], target: &Target) -> impl Strategy<Value = Case> + use<> {
    let versions: &[i64] = match target.release.config_version() {
        2 => &[2, 1],
        _ => &[2, 1, 3],
    };
    let lines: BTreeSet<(u64, u64)> = old.iter().map(Judge::line).collect();
    let files = prop_oneof![
        LegacyFiles::new().versions(versions).strategy(),
        LegacyFiles::new().versions(versions).any_text().strategy(),
    ];
    files
        .prop_filter("a containerd for it is there", move |file| {
            lines.contains(&line(file.containerd))
        })
        .prop_map(|file| Case { file })
}

/// The keys of a printed path.
fn parsed(key: &str) -> Path {
    let keys = toml_edit::Key::parse(key).unwrap_or_else(|error| panic!("{key}: {error}"));
    keys.iter().map(|key| key.get().to_owned()).collect()
}

/// Whether a key that is told is that at a path: `<hidden>` stands for names in it.
fn is_at(told: &[String], path: &[String]) -> bool {
    let is = |told: &String, key: &String| told == key || told.starts_with("<hidden>");
    told.len() == path.len() && told.iter().zip(path).all(|(told, key)| is(told, key))
}

fn is_explained(explained: &BTreeSet<Path>, path: Option<&[String]>) -> bool {
    path.is_some_and(|path| explained.iter().any(|other| is_at(other, path)))
}

/// containerd takes an empty name of CRI's snapshotter (1.x) and of a handler's
/// sandbox controller for its default.
fn is_empty_for_default(path: &[String], before: Option<&Value>, after: Option<&Value>) -> bool {
    let default = match keys(path)[..] {
        ["plugins", support::CRI, "containerd", "snapshotter"] => "overlayfs",
        ["plugins", _, "containerd", .., "sandbox_mode" | "sandboxer"] => "podsandbox",
        _ => return false,
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let is_empty = |value| text(value).is_none_or(|text| text.is_empty());
    let is_default = |value| text(value).as_deref() == Some(default);
    is_empty(before) && is_default(after) || is_default(before) && is_empty(after)
}

/// What dumps show and containerd does not act on: tables that it reads only beside a
/// type, the plugin of a runtime that no handler has, options of other shims, half a
/// key pair. What plans say of them the tests of findings and refusals tell, and the
/// nodes that `replay` runs.
fn is_in_effect_in_vain(path: &[String]) -> bool {
    match keys(path)[..] {
        ["plugins", "io.containerd.runtime.v1.linux", ..] => true,
        // A server without an address, and ids of another config version.
        ["ttrpc", "uid" | "gid"] | ["disabled_plugins" | "required_plugins"] => true,
        // Of a handler that nothing defines, and the name that another key gives.
        ["plugins", support::CRI, "systemd_cgroup"] => true,
        ["plugins", support::CRI, "containerd", key, ..] => matches!(
            key,
            "default_runtime"
                | "untrusted_workload_runtime"
                | "runtimes"
                | "no_pivot"
                | "default_runtime_name"
        ),
        ["plugins", support::CRI, "registry", "configs", _, "tls", _] => true,
        // A name with a port is a URL of no host.
        ["plugins", _, "registry", "auths", name, _] => name.contains(':') && !name.contains("://"),
        _ => false,
    }
}

/// What is compared of one case.
struct Comparison<'a> {
    plan: &'a Plan,
    /// The containerd before.
    release: Release,
    /// Whether the containerd before and after have settings at the same places.
    is_same_version: bool,
    /// The config version of the target.
    version: i64,
    before: &'a Table,
    before_bare: &'a Table,
    after: &'a Table,
    after_bare: &'a Table,
}

impl Comparison<'_> {
    /// Where the target's containerd has what stands at a path before.
    fn address(&self, path: &[String]) -> Option<Path> {
        match self.is_same_version {
            true => Some(path.to_vec()),
            false => Config::address(self.version, &keys(path)),
        }
    }

    /// Judges the fate of every key.
    fn fates(&self, file_version: i64, found: &mut Found) -> BTreeSet<Path> {
        let mut explained = BTreeSet::new();
        let mut fates = Vec::new();
        // Version 1 has other names in the file than in the dump.
        let mut spelled: BTreeMap<Path, Path> = BTreeMap::new();
        if file_version == 1 {
            for path in leaf_paths(self.before) {
                if let Some(in_file) = Config::address(1, &keys(&path)) {
                    spelled.insert(in_file, path);
                }
            }
        }
        for entry in &self.plan.ledger {
            let key = parsed(&entry.key);
            let key = spelled.get(&key).cloned().unwrap_or(key);
            if let Fate::Converted { to, .. } = &entry.fate {
                explained.extend(to.iter().map(|key| parsed(key)));
            }
            let address = self.address(&key);
            if matches!(entry.fate, Fate::Kept { .. } | Fate::CarriedOver { .. }) {
                explained.extend(address.clone());
            }
            fates.push((entry, key, address));
        }
        let companions = self.plan.companions.iter();
        explained.extend(companions.map(|companion| parsed(&companion.key)));
        for (entry, key, address) in fates {
            self.fate(entry, &key, address.as_deref(), &explained, found);
        }
        explained
    }

    fn fate(
        &self,
        entry: &LedgerEntry,
        key: &[String],
        address: Option<&[String]>,
        explained: &BTreeSet<Path>,
        found: &mut Found,
    ) {
        let before = at(self.before, key);
        match &entry.fate {
            _ if !prints(self.before, self.before_bare, key) || is_of_dump(self.release, key) => {
                found.count("keys that are not printed", 1);
            }
            Fate::EqualsTargetDefault if is_of_build(key) => {}
            // The plan says itself that another key decides.
            Fate::EqualsTargetDefault if is_explained(explained, address) => {}
            Fate::Kept { .. } | Fate::EqualsTargetDefault => {
                let after = address.and_then(|address| at(self.after, address));
                found.count("keys kept", 1);
                if !same(before, after) && !is_empty_for_default(key, before, after) {
                    found.disagree(
                        format!("kept {key:?}"),
                        format!(
                            "{key:?} was {}, is {} at {address:?}, and the plan says {:?}",
                            shown(before),
                            shown(after),
                            entry.fate
                        ),
                    );
                }
            }
            Fate::NoEffect if is_in_effect_in_vain(key) || self.has_auths_for(key) => {
                found.count("keys in effect that are not acted on", 1);
            }
            Fate::NoEffect => {
                found.count("keys without effect", 1);
                if !same(before, at(self.before_bare, key)) {
                    found.disagree(
                        format!("no effect of {key:?}"),
                        format!("{key:?} was {}: {}", shown(before), entry.reason),
                    );
                }
            }
            _ => found.count("keys with another fate", 1),
        }
    }

    /// Whether the credentials of a registry host are replaced at start by those that
    /// `auths` has for it, under its name or a URL.
    fn has_auths_for(&self, path: &[String]) -> bool {
        let Some((host, registry)) = (match keys(path)[..] {
            ["plugins", _, "registry", "configs", host, "auth", _] => Some((host, &path[..3])),
            _ => None,
        }) else {
            return false;
        };
        let mut auths = registry.to_vec();
        auths.push("auths".to_owned());
        let auths = at(self.before, &auths).and_then(Value::as_table);
        let mut names = auths.into_iter().flat_map(Table::keys);
        names.any(|name| match name.split_once("://") {
            Some((_, rest)) => rest.split('/').next() == Some(host),
            // A name with a port is a URL of no host.
            None => name == host && !name.contains(':'),
        })
    }

    /// Nothing differs that the plan does not explain.
    fn differences(&self, explained: &BTreeSet<Path>, found: &mut Found) {
        let mut paths = leaf_paths(self.after);
        paths.extend(leaf_paths(self.after_bare));
        for path in paths {
            found.count("keys after", 1);
            let (after, bare) = (at(self.after, &path), at(self.after_bare, &path));
            let is_explained = is_explained(explained, Some(&path));
            let is_of_dump = is_of_dump(self.plan.target.containerd(), &path);
            if !same(after, bare) && !is_of_dump && !is_explained {
                found.disagree(
                    format!("differs {path:?}"),
                    format!(
                        "{path:?} is {} with the drop-ins and {} without, and nobody wanted it",
                        shown(after),
                        shown(bare)
                    ),
                );
            }
        }
    }
}

/// The release of k0s that a node runs now, with the containerd before.
fn running(release: Release) -> k0s::Release {
    if is_carried(release) {
        return target(release).release;
    }
    // Up to 1.26 the legacy file is all there is.
    let mut k0s = Target::find("v1.26.15+k0s.0").unwrap().release;
    k0s.containerd = release;
    k0s
}

impl Comparison<'_> {
    /// What is in effect otherwise than before is told, and nothing else is.
    fn changes(&self, file: &LegacyFile, found: &mut Found) {
        let changes = self.plan.changes.iter().chain(&self.plan.release_changes);
        let told: Vec<(Path, &Change)> = changes
            .map(|change| (parsed(&change.key), change))
            .collect();
        let mut other_form: BTreeSet<Path> = BTreeSet::new();
        for entry in &self.plan.ledger {
            // What had no effect is judged with the fates, what is lost is an error.
            let is_other_form = matches!(
                entry.fate,
                Fate::Converted { .. }
                    | Fate::MovedToHostsToml { .. }
                    | Fate::OwnedByK0s
                    | Fate::NoEffect
                    | Fate::NotExpressible
            );
            if is_other_form {
                other_form.insert(parsed(&entry.key));
            }
            if let Fate::Converted { to, .. } = &entry.fate {
                other_form.extend(to.iter().map(|key| parsed(key)));
            }
        }
        let companions = self.plan.companions.iter();
        other_form.extend(companions.map(|companion| parsed(&companion.key)));
        let mut paths = leaf_paths(self.before);
        paths.extend(leaf_paths(self.before_bare));
        for path in paths {
            let Some(address) = self.address(&path) else {
                continue;
            };
            let is_printed = prints(self.before, self.before_bare, &path)
                && prints(self.after, self.after_bare, &address)
                && !is_of_dump(self.release, &path)
                && !is_of_build(&path);
            let in_file = match file.version {
                1 => Config::address(1, &keys(&path)),
                _ => Some(path.clone()),
            };
            let is_other_form = is_explained(&other_form, in_file.as_deref())
                || is_explained(&other_form, Some(&address));
            if !is_printed || is_other_form || self.has_auths_for(&path) {
                continue;
            }
            found.count("keys before and after", 1);
            let (before, after) = (at(self.before, &path), at(self.after, &address));
            let is_told = |(told, _): &(Path, &Change)| {
                told.len() <= address.len() && is_at(told, &address[..told.len()])
            };
            let told = told.iter().find(|told| is_told(told));
            // Where nothing is set 2.x unpacks with what 1.7 prints.
            let is_default = same(before, at(self.before_bare, &path))
                && same(after, at(self.after_bare, &address));
            if is_default && path.ends_with(&["unpack_config".to_owned()]) {
                continue;
            }
            let is_same = same(before, after);
            let acts_the_same = is_same || is_empty_for_default(&path, before, after);
            match (acts_the_same, told) {
                (false, None) => found.disagree(
                    format!("not told {path:?}"),
                    format!("{path:?} was {} and is {}", shown(before), shown(after)),
                ),
                (true, Some((told, change))) if is_same && told.len() == address.len() => found
                    .disagree(
                        format!("told {path:?}"),
                        format!("{path:?} is {} as before: {change:?}", shown(after)),
                    ),
                _ => {}
            }
        }
    }
}

fn check(case: &Case, number: usize, old: &[Judge], new: &Judge) -> Found {
    let mut found = Found::default();
    let old = old
        .iter()
        .find(|old| old.line() == line(case.file.containerd));
    let old = old.expect("there is one");
    let target = target(new.containerd.release);
    let options = Options::default().running(running(old.containerd.release));
    let plan = plan(&case.file.document(), &[], &target, &options).exposed();
    if !plan.verified {
        found.count("not verified", 1);
        return found;
    }
    let dir = TempDir::new(&format!("differential-plan-{}-{number}", target.release));
    let legacy = dir.path().join("legacy.toml").display().to_string();
    std::fs::write(&legacy, &case.file.text).unwrap();
    let Ok(before) = dump(&old.containerd.binary, &legacy) else {
        found.count("refused before", 1);
        return found;
    };
    let files = support::drop_ins(&plan);
    let after = match dump(&new.containerd.binary, &put_together(&dir, &target, &files)) {
        Ok(after) => after,
        Err(_) if plan.findings.iter().any(support::is_refusal) => {
            found.count("refused as the plan says", 1);
            return found;
        }
        Err(why) => {
            found.disagree("refused", format!("{why}\n{files:#?}"));
            return found;
        }
    };
    found.count("verified", 1);
    let comparison = Comparison {
        plan: &plan,
        release: old.containerd.release,
        is_same_version: old.containerd.release.config_version().max(2)
            == target.release.config_version(),
        version: target.release.config_version(),
        before: &before,
        before_bare: &old.bare,
        after: &after,
        after_bare: &new.bare,
    };
    let explained = comparison.fates(case.file.version, &mut found);
    comparison.differences(&explained, &mut found);
    comparison.changes(&case.file, &mut found);
    for how in found.disagreements.values_mut() {
        how.push_str(&format!("\n{files:#?}"));
    }
    found
}

#[test]
fn differential_what_plans_keep() {
    let all = containerds("plans");
    let judges = || {
        let judges = all.iter().map(|containerd| {
            let dir = TempDir::new(&format!("differential-bare-{}", containerd.release));
            let path = dir.path().join("config.toml").display().to_string();
            let version = containerd.release.config_version().max(2);
            std::fs::write(&path, format!("version = {version}\n")).unwrap();
            Judge {
                containerd: containerd.clone(),
                bare: dump(&containerd.binary, &path).unwrap(),
            }
        });
        judges.collect::<Vec<_>>()
    };
    let old = judges();
    let carried = all
        .iter()
        .filter(|containerd| is_carried(containerd.release));
    let wrong = carried.map(|containerd| {
        let target = target(containerd.release);
        let dir = TempDir::new(&format!("differential-none-{}", target.release));
        let nothing = put_together(&dir, &target, &BTreeMap::new());
        let new = Judge {
            containerd: containerd.clone(),
            bare: dump(&containerd.binary, &nothing).unwrap(),
        };
        let what = format!(
            "plans for {}, containerd {}",
            target.release, containerd.release
        );
        compare(&what, cases(16), files(&old, &target), |case, at| {
            check(case, at, &old, &new)
        })
    });
    all_agree(wrong.collect());
}
