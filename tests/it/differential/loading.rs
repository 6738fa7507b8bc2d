//! What is in effect by the library, and by `config dump`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use containerd_dropins::Document;
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::{Effective, default_config};
use containerd_dropins::containerd::refusal::Refuses;
use containerd_dropins::k0s::{AssembleError, assemble};
use containerd_dropins::strategies::{DropInFiles, DropInSets, Edit, LegacyFile, LegacyFiles};
use containerd_dropins::value::{Table, Value};
use proptest::prelude::*;

use super::{
    Containerd, Found, all_agree, at, cases, compare, containerds, dump, is_carried, is_of_build,
    is_of_dump, keys, knows, leaf_paths, prints, put_together, same, shown, target,
};
use crate::support::{self, TempDir};

/// How a main file has others loaded.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// One after the other by name.
    List,
    /// The other way round.
    Reversed,
    /// By a pattern.
    Pattern,
    /// Each imports the next.
    Chain,
    /// The main file imports the first and the last, and the first the others.
    Fork,
}

const LAYOUTS: &[Layout] = &[
    Layout::List,
    Layout::Reversed,
    Layout::Pattern,
    Layout::Chain,
    Layout::Fork,
];

/// A main file, and what it has loaded beside it.
#[derive(Clone)]
struct Case {
    main: LegacyFile,
    imported: Option<(DropInFiles, Layout)>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.main)?;
        match &self.imported {
            None => Ok(()),
            Some((set, layout)) => write!(f, "\nimports ({layout:?}) {set:?}"),
        }
    }
}

/// A file, what it imports, and its text.
struct File<'a> {
    name: String,
    imports: Vec<String>,
    text: &'a str,
}

impl Case {
    /// The files in the order in which containerd loads them: the main file, then
    /// what it imports, then what that does.
    fn files(&self) -> Vec<File<'_>> {
        let file = |name: &str, text| File {
            name: name.to_owned(),
            imports: Vec::new(),
            text,
        };
        let mut main = file("config.toml", self.main.text.as_str());
        let Some((set, layout)) = &self.imported else {
            return vec![main];
        };
        let set = set.files.iter();
        let mut files: Vec<File<'_>> = set
            .map(|(name, text)| file(&format!("conf.d/{name}"), text))
            .collect();
        let names = |files: &[File<'_>]| -> Vec<String> {
            files.iter().map(|file| file.name.clone()).collect()
        };
        match layout {
            Layout::List => main.imports = names(&files),
            Layout::Reversed => {
                files.reverse();
                main.imports = names(&files);
            }
            Layout::Pattern => main.imports = vec!["conf.d/*.toml".to_owned()],
            Layout::Chain => {
                let next = names(&files);
                main.imports = next[..1].to_vec();
                for (file, next) in files.iter_mut().zip(&next[1..]) {
                    file.imports = vec![next.clone()];
                }
            }
            Layout::Fork => {
                let middle = match files.len() {
                    0..3 => Vec::new(),
                    len => files.drain(1..len - 1).collect(),
                };
                main.imports = names(&files);
                files[0].imports = names(&middle);
                files.extend(middle);
            }
        }
        files.insert(0, main);
        files
    }

    fn edits(&self) -> impl Iterator<Item = &Edit> {
        let imported = self.imported.iter();
        let imported = imported.flat_map(|(set, _)| set.edits.values().flatten());
        self.main.edits.iter().chain(imported)
    }
}

/// The text of a file with imports, which a dump has already.
fn with_imports(text: &str, imports: &[String]) -> String {
    if imports.is_empty() {
        return text.to_owned();
    }
    let rest = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("imports = "));
    format!("imports = {imports:?}\n{}", rest.collect::<String>())
}

/// Files of one kind: as they are, and with others that they import.
fn files(release: Release) -> impl Strategy<Value = Case> {
    let versions: &[i64] = match release.config_version() {
        ..=2 => &[2, 1, 3],
        _ => &[3, 2, 1, 4],
    };
    let main = prop_oneof![
        LegacyFiles::new().versions(versions).strategy(),
        LegacyFiles::new().versions(versions).any_text().strategy(),
    ];
    let set = |version| {
        let sets = DropInSets::of_version(version).with_conversions();
        prop_oneof![sets.clone().strategy(), sets.any_text().strategy()]
    };
    let sets = prop_oneof![set(2), set(3), set(1)];
    let imported = (sets, prop::sample::select(LAYOUTS));
    (main, prop::option::of(imported)).prop_map(|(main, imported)| Case { main, imported })
}

/// Whether the library says that containerd exits.
fn exits(effective: &Effective) -> bool {
    let refusals = effective.refusals();
    let mut refuses = refusals.iter().map(|refusal| refusal.refuses);
    refuses.any(|refuses| refuses == Refuses::Daemon)
}

/// What a containerd makes of a file without settings, and what it is by the
/// library: a build may have defaults of its own.
struct Base {
    release: Release,
    dumped: Table,
    effective: Effective,
}

impl Base {
    fn of(containerd: &Containerd) -> Base {
        let version = containerd.release.config_version().max(2);
        let dir = TempDir::new(&format!("differential-base-{}", containerd.release));
        let path = dir.path().join("config.toml").display().to_string();
        std::fs::write(&path, format!("version = {version}\n")).unwrap();
        let base = Base {
            release: containerd.release,
            dumped: dump(&containerd.binary, &path).unwrap(),
            effective: Effective::load(
                containerd.release,
                [support::parse(&format!("version = {version}\n"))],
            ),
        };
        base.has_only_known_shifts();
        base
    }

    fn has_only_known_shifts(&self) {
        for path in leaf_paths(&self.dumped) {
            let effective = self.effective.get(&keys(&path));
            let dumped = at(&self.dumped, &path);
            assert!(
                is_of_build(&path) || same(effective.as_ref(), dumped),
                "{path:?} is {}, and by the library {}",
                shown(dumped),
                shown(effective.as_ref())
            );
        }
    }

    fn is_default(
        &self,
        path: &[String],
        effective: Option<&Value>,
        dumped: Option<&Value>,
    ) -> bool {
        effective == self.effective.get(&keys(path)).as_ref() && dumped == at(&self.dumped, path)
    }

    /// Compares all that containerd prints, all that has a default, and all that was
    /// edited.
    fn compare(
        &self,
        found: &mut Found,
        effective: &Effective,
        dumped: &Table,
        edits: &[&Edit],
        exactness: Exactness,
    ) {
        let release = self.release;
        let version = release.config_version().max(2);
        let edited = edits.iter().filter(|edit| knows(release, &edit.path));
        let edited = edited.filter_map(|edit| edit.address(version));
        let mut paths: BTreeSet<Vec<String>> = leaf_paths(dumped);
        let defaults = default_config(release);
        let is_setting = |path: &Vec<String>| !matches!(keys(path)[..], ["version" | "imports"]);
        paths.extend(leaf_paths(&defaults).into_iter().filter(is_setting));
        paths.extend(edited);
        for path in paths
            .iter()
            .filter(|path| prints(dumped, &self.dumped, path))
        {
            if exactness.leaves_out(release, path) {
                found.count("keys left out", 1);
                continue;
            }
            found.count("keys", 1);
            let (effective, dumped) = (effective.get(&keys(path)), at(dumped, path));
            let agrees = same(effective.as_ref(), dumped)
                || self.is_default(path, effective.as_ref(), dumped);
            if !agrees {
                let how = format!(
                    "{path:?} is {} to containerd {release}, and {} to the library",
                    shown(dumped),
                    shown(effective.as_ref())
                );
                found.disagree(format!("{path:?}"), how);
            }
        }
    }
}

/// How much of what containerd makes of files is what the documentation of
/// [`Effective::load`] promises.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exactness {
    /// All of it.
    All,
    /// All but what containerd 2.x loses in migrating files of version 2.
    Migrated,
    /// All but what containerd 2.3 puts into another form in migrating each file by
    /// itself.
    Each,
    /// What has its place in every config version: containerd 2.x loses the rest in
    /// files of version 1, and in those of version 2 beside others.
    Mixed,
}

/// Nothing is promised where there is a file of a version that the release does not
/// know.
fn exactness(release: Release, versions: &[i64]) -> Option<Exactness> {
    Some(match release.config_version() {
        ..=2 => Exactness::All,
        known if versions.iter().any(|version| *version > known) => return None,
        known if versions.iter().all(|version| *version == known) => Exactness::All,
        4.. => Exactness::Each,
        _ if versions.iter().all(|version| *version == 2) => Exactness::Migrated,
        _ => Exactness::Mixed,
    })
}

fn version_of(file: &Table) -> i64 {
    match file.get("version") {
        Some(Value::Integer(version)) => *version,
        _ => 0,
    }
}

impl Exactness {
    /// Whether a key is not compared.
    fn leaves_out(self, release: Release, path: &[String]) -> bool {
        match keys(path)[..] {
            _ if is_of_dump(release, path) => true,
            ["grpc" | "ttrpc" | "debug" | "metrics", ..] => self == Exactness::Each,
            ["plugins", id, ..] if id.starts_with("io.containerd.server.v1.") => {
                self == Exactness::Each
            }
            ["plugins", id, ..] if self == Exactness::Mixed => MOVED.contains(&id),
            [
                "plugins",
                "io.containerd.cri.v1.runtime",
                "cni",
                "bin_dir" | "bin_dirs",
            ]
            | ["plugins", "io.containerd.shim.v1.manager", "env"]
            | [
                "plugins",
                "io.containerd.cri.v1.images",
                "snapshotter" | "disable_snapshot_annotations" | "discard_unpacked_layers",
            ] => matches!(self, Exactness::Migrated | Exactness::Each),
            _ => false,
        }
    }
}

/// Plugins of containerd 2.x whose settings were others' in config version 2.
const MOVED: &[&str] = &[
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.monitor.task.v1.cgroups",
    "io.containerd.monitor.container.v1.restart",
    "io.containerd.shim.v1.manager",
];

fn check(case: &Case, number: usize, containerd: &Containerd, base: &Base) -> Found {
    let release = containerd.release;
    let mut found = Found::default();
    let dir = TempDir::new(&format!("differential-{release}-{number}"));
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::create_dir_all(path("conf.d")).unwrap();
    let files = case.files();
    let mut tables = Vec::new();
    for file in &files {
        let imports: Vec<String> = file.imports.iter().map(|name| path(name)).collect();
        let text = with_imports(file.text, &imports);
        std::fs::write(path(&file.name), &text).unwrap();
        tables.push(
            Document::parse(&file.name, text.as_bytes())
                .unwrap()
                .to_table(),
        );
    }
    let versions: Vec<i64> = tables.iter().map(version_of).collect();
    let effective = Effective::load(release, tables);
    let dumped = match dump(&containerd.binary, &path("config.toml")) {
        Ok(dumped) => dumped,
        Err(_) if exits(&effective) => {
            found.count("refused as the library says", 1);
            return found;
        }
        Err(why) => {
            let why = why.replace(&path(""), "");
            found.disagree("refused", format!("containerd {release} refuses it: {why}"));
            return found;
        }
    };
    let Some(exactness) = exactness(release, &versions) else {
        found.count("of a version that it does not read", 1);
        return found;
    };
    found.count("loaded", 1);
    let edits: Vec<&Edit> = case.edits().collect();
    base.compare(&mut found, &effective, &dumped, &edits, exactness);
    found
}

#[test]
fn differential_what_is_loaded() {
    let wrong = containerds("loading").into_iter().map(|containerd| {
        let base = Base::of(&containerd);
        let what = format!("loading, containerd {}", containerd.release);
        compare(&what, cases(24), files(containerd.release), |case, at| {
            check(case, at, &containerd, &base)
        })
    });
    all_agree(wrong.collect());
}

/// Drop-ins of k0s, of which the first may import the second from a folder.
#[derive(Clone)]
struct Set {
    drop_ins: DropInFiles,
    files: BTreeMap<String, String>,
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.files.keys().collect();
        write!(f, "{names:?}: {:?}", self.drop_ins)
    }
}

fn sets(version: i64) -> impl Strategy<Value = Set> {
    let sets = DropInSets::of_version(version).with_conversions();
    let sets = prop_oneof![sets.clone().strategy(), sets.any_text().strategy()];
    // What k0s 1.27 to 1.35 have containerd import is beside its own files.
    let nests = prop::bool::weighted(if version > 2 { 0.3 } else { 0.0 });
    (sets, nests).prop_map(|(drop_ins, nests)| {
        let mut files = drop_ins.files.clone();
        let mut names = drop_ins.files.keys();
        if let (Some(first), Some(second), true) = (names.next(), names.next(), nests)
            && let Some(text) = files.remove(second)
        {
            let nested = format!("nested/{second}");
            let importer = with_imports(&files[first], std::slice::from_ref(&nested));
            files.insert(first.clone(), importer);
            files.insert(nested, text);
        }
        Set { drop_ins, files }
    })
}

/// What a node of k0s has in effect: by the rules of k0s and containerd as the
/// library has them, and by a binary that loads what the tests put together.
fn check_set(set: &Set, number: usize, containerd: &Containerd, base: &Base) -> Found {
    let mut found = Found::default();
    let target = target(containerd.release);
    let files = support::set(&set.files);
    let assembled = match assemble(&target.release, target.pause_image(), &files) {
        Ok(assembled) => assembled,
        // k0s is not there to be asked.
        Err(AssembleError::Merge { .. }) => {
            found.count("not merged", 1);
            return found;
        }
        Err(why) => {
            found.disagree("assembled", why.to_string());
            return found;
        }
    };
    let effective = assembled.effective();
    let name = format!("differential-set-{}-{number}", containerd.release);
    let dir = TempDir::new(&name);
    let config = put_together(&dir, &target, &set.files);
    match dump(&containerd.binary, &config) {
        Ok(dumped) => {
            found.count("loaded", 1);
            let edits: Vec<&Edit> = set.drop_ins.edits.values().flatten().collect();
            let versions = [set.drop_ins.version];
            let exactness = exactness(containerd.release, &versions).unwrap();
            base.compare(&mut found, &effective, &dumped, &edits, exactness);
        }
        Err(_) if exits(&effective) => found.count("refused as the library says", 1),
        Err(why) => found.disagree("refused", why),
    }
    found
}

#[test]
fn differential_what_is_loaded_of_drop_ins() {
    let carried = containerds("drop-ins").into_iter();
    let carried = carried.filter(|containerd| is_carried(containerd.release));
    let wrong = carried.map(|containerd| {
        let base = Base::of(&containerd);
        let what = format!("drop-ins of k0s, containerd {}", containerd.release);
        let version = target(containerd.release).release.config_version();
        compare(&what, cases(24), sets(version), |set, at| {
            check_set(set, at, &containerd, &base)
        })
    });
    all_agree(wrong.collect());
}
