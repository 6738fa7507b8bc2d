//! Law 11: what is called a default is what some `config default` prints at that
//! very key. Every key of every recorded dump is edited by itself, and so is
//! every declared setting that a dump does not print.

use std::collections::{BTreeMap, BTreeSet};

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::containerd::setting::Kind;
use containerd_dropins::migrate::{Fate, Options, Origin, Plan, Target, plan};
use containerd_dropins::value::{Table, Value};
use containerd_dropins::{Config, Document};

use crate::laws::is_long;
use crate::support::{self, CRI};
use crate::version_3::long;
use crate::versions;

const TARGETS: [&str; 2] = ["v1.30.4+k0s.0", "v1.36.3+k0s.2"];

/// Where the values of one release's defaults may differ without anybody's
/// doing: the shifts that builds are known to have, told once more.
fn is_shift(path: &[&str], value: &Value, release: Release) -> bool {
    let strings = |items: &[&str]| {
        let items = items.iter().map(|item| Value::String((*item).to_owned()));
        Value::Array(items.collect())
    };
    match path {
        // What Debian's 1.7.24 prints.
        ["plugins", CRI, "cni", "bin_dir"] => {
            let packaged = Release::new(1, 7, 0) <= release && release < Release::new(2, 1, 0);
            packaged && value.as_str() == Some("/usr/lib/cni")
        }
        // What its 2.1.9 prints.
        ["plugins", CRI, "cni", "bin_dirs"] => {
            release >= Release::new(2, 1, 0) && *value == strings(&["/usr/lib/cni", "/opt/cni/bin"])
        }
        ["plugins", "io.containerd.runtime.v2.task", "platforms"] => {
            *value == strings(&["linux/arm64/v8"])
        }
        _ => false,
    }
}

/// Whether builds shift the default, be it in other releases.
fn may_shift(path: &[&str]) -> bool {
    matches!(path.last(), Some(&("bin_dir" | "bin_dirs" | "platforms")))
}

fn candidates(now: Option<&Value>, kind: &Kind, history: &[Value]) -> Vec<Value> {
    let text = |text: &str| Value::String(text.to_owned());
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| text(item)).collect());
    let mut values = match (now, kind) {
        (Some(Value::String(_)), _) | (None, Kind::Str | Kind::Duration) => {
            ["/usr/lib/cni", "7m", ""].map(text).to_vec()
        }
        (Some(Value::Boolean(_)), _) | (None, Kind::Bool) => {
            [true, false].map(Value::Boolean).to_vec()
        }
        (Some(Value::Integer(_)), _) | (None, Kind::Int) => [0, 7].map(Value::Integer).to_vec(),
        (Some(Value::Float(_)), _) | (None, Kind::Float) => vec![Value::Float(0.5)],
        (_, Kind::Tables(_)) => Vec::new(),
        (Some(Value::Array(_)), _) | (None, Kind::Strs) => vec![
            list(&["linux/arm64/v8"]),
            list(&["/usr/lib/cni", "/opt/cni/bin"]),
            list(&[]),
        ],
        _ => Vec::new(),
    };
    values.extend(history.iter().cloned());
    let mut different: Vec<Value> = Vec::new();
    for value in values {
        if Some(&value) != now && !different.contains(&value) {
            different.push(value);
        }
    }
    different
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table
        .entry(first.clone())
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(inner) = inner else {
        panic!("{path:?}")
    };
    set(inner, rest, value);
}

fn paths(table: &Table, above: &[String], paths: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        let path = [above, std::slice::from_ref(key)].concat();
        match value {
            Value::Table(inner) => self::paths(inner, &path, paths),
            _ => paths.push(path),
        }
    }
}

/// One setting of a dump: its path in config version 2 where it is declared
/// outside of maps, and where the dump has it.
struct Spot {
    path: Option<Vec<&'static str>>,
    here: Vec<String>,
    kind: Kind,
    history: Vec<Value>,
}

fn decided_otherwise(path: &[String]) -> bool {
    *path == ["version"]
        || matches!(
            path.last().map(String::as_str),
            Some("sandbox_image" | "sandbox")
        )
}

fn spots(dump: &Table, version: i64, release: Release) -> Vec<Spot> {
    let mut spots = BTreeMap::new();
    for leaf in versions::leaves() {
        let first = leaf.setting.history.first().map(|(from, _)| *from);
        let known = first.is_some_and(|from| from <= release)
            && leaf.removed.is_none_or(|removed| release < removed);
        let Some(here) = Config::address(version, &leaf.path).filter(|_| known) else {
            continue;
        };
        // With another version it is another file, and the sandbox image has a rule
        // of its own.
        if leaf.path.contains(&"*") || decided_otherwise(&here) {
            continue;
        }
        let states = leaf.setting.history.iter();
        let spot = Spot {
            path: Some(leaf.path),
            here: here.clone(),
            kind: leaf.setting.kind,
            history: states.filter_map(|(_, state)| state.printed()).collect(),
        };
        spots.insert(here, spot);
    }
    let mut printed = Vec::new();
    paths(dump, &[], &mut printed);
    printed.retain(|path| !decided_otherwise(path));
    for here in printed {
        let spot = Spot {
            path: None,
            here: here.clone(),
            kind: Kind::Any,
            history: Vec::new(),
        };
        spots.entry(here).or_insert(spot);
    }
    spots.into_values().collect()
}

fn shown(path: &[String]) -> String {
    let bare = |key: &str| {
        key.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let keys = path.iter().map(|key| {
        if bare(key) {
            key.clone()
        } else {
            format!("{key:?}")
        }
    });
    keys.collect::<Vec<_>>().join(".")
}

fn planned(table: &Table, target: &Target) -> Plan {
    let text = containerd_dropins::Exposed::table(table).to_toml();
    let document = Document::parse("/etc/k0s/containerd.toml", text.as_bytes()).unwrap();
    plan(
        &document,
        &[],
        target,
        &Options::default().without_verification(),
    )
}

/// Whether leaving the key out is the same: an empty timeout is filled with the
/// default, and what is zero in an entry that is kept or made whole is not said.
fn is_as_left_out(path: &[String], value: &Value) -> bool {
    let whole = path
        .iter()
        .any(|key| ["timeouts", "stream_processors", "mirrors"].contains(&key.as_str()));
    // CRI of containerd 1.x takes an empty name for its default.
    let snapshotter = path.ends_with(&["containerd".to_owned(), "snapshotter".to_owned()]);
    (whole || snapshotter) && value.is_zero()
}

#[test]
fn an_edited_key_of_a_dump_is_no_default_unless_it_is_one_there() {
    let targets = TARGETS.map(|target| Target::find(target).unwrap());
    let mut wrong = BTreeSet::new();
    let (mut seen, mut dumps) = (0, 0);
    for file in support::files("recorded/default") {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let bare = name.strip_suffix("-debian").unwrap_or(&name);
        let release: Release = bare.parse().unwrap();
        let dump = support::parse(&support::read(&file));
        let version = release.config_version();
        let upstream = default_config(release);
        dumps += 1;
        for spot in spots(&dump, version, release) {
            let keys: Vec<&str> = spot.here.iter().map(String::as_str).collect();
            let now = support::at(&dump, &keys);
            let key = shown(&spot.here);
            let values = candidates(now, &spot.kind, &spot.history);
            for (at, value) in values.into_iter().enumerate() {
                // A few: what hangs on the release is tried in every dump, any other
                // value in every third, so that each key has each of them.
                let path = spot.path.as_deref().unwrap_or_default();
                let by_release = spot.history.contains(&value) || may_shift(path);
                if !is_long() && !by_release && (at + dumps) % 3 != 0 {
                    continue;
                }
                // What another build of the release prints there.
                if support::at(&upstream, &keys) == Some(&value) {
                    continue;
                }
                seen += 1;
                let target = &targets[seen % 2];
                let mut edited = dump.clone();
                set(&mut edited, &spot.here, value.clone());
                let plan = planned(&edited, target);
                let entry = plan.ledger.iter().find(|entry| entry.key == key);
                let fate = entry.map(|entry| &entry.fate);
                let is_it = match fate {
                    Some(Fate::StaleDefault) => is_shift(path, &value, release),
                    Some(Fate::EqualsTargetDefault) => {
                        is_in_target(path, &value, target.containerd())
                            || is_as_left_out(&spot.here, &value)
                    }
                    Some(_) => true,
                    None => false,
                };
                let is_found = matches!(&plan.origin, Origin::Dump(found) if found.first <= release && release <= found.last);
                if !is_it || !is_found {
                    wrong.insert(format!(
                        "{name} for {}: {key} = {value:?}, not {now:?}: {fate:?}; {:?}",
                        target.containerd(),
                        plan.origin,
                    ));
                }
            }
        }
    }
    let list: Vec<_> = wrong.iter().map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} of {seen}:\n{}",
        list.len(),
        list.join("\n")
    );
    assert!(seen > if is_long() { 3000 } else { 1000 }, "{seen}");
}

/// Whether a target assumes the value where nothing is set: its default, or
/// nothing at all where it has no such setting.
fn is_in_target(path: &[&str], value: &Value, target: Release) -> bool {
    if path.is_empty() {
        return false;
    }
    let address = Config::address(target.config_version(), path);
    let defaults = default_config(target);
    let default = address.and_then(|address| {
        let keys: Vec<&str> = address.iter().map(String::as_str).collect();
        support::at(&defaults, &keys).cloned()
    });
    default.map_or(value.is_zero(), |default| default == *value)
}

/// `config default` of a release writes one config version: 1.3 – 1.7 write 2,
/// 2.0 – 2.2 write 3 and 2.3 writes 4, as the dumps say themselves.
#[test]
fn a_file_is_no_dump_of_a_release_that_writes_another_version() {
    let target = Target::find(TARGETS[0]).unwrap();
    for file in support::files("recorded/default") {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let release: Release = name.split('-').next().unwrap().parse().unwrap();
        let dump = Document::parse("t", support::read(&file).as_bytes()).unwrap();
        let own = dump.version();
        for version in 1..=4 {
            let mut config = Config::read(&dump);
            config.version = Some(version);
            let plan = planned(&config.to_table(), &target);
            let found = plan.origin.release();
            let wrote = found.map(|found| found.config_version());
            assert!(
                wrote.is_none_or(|wrote| wrote == version),
                "{name} as {version}: {found:?}"
            );
            if own == Some(version) {
                assert!(
                    found.is_some_and(|found| found.line() == release.line()),
                    "{name}: {found:?}"
                );
            }
        }
    }
}

fn fates<'p>(plan: &'p Plan, key: &str) -> Vec<&'p Fate> {
    let entries = plan.ledger.iter().filter(|entry| entry.key.ends_with(key));
    entries.map(|entry| &entry.fate).collect()
}

/// The documentation of containerd 2.x lists all settings with their defaults;
/// copied into a version 2 file they are choices where containerd 1.7 runs.
#[test]
fn later_defaults_in_a_version_2_file_are_edits() {
    let dump = support::read(&support::path("recorded/default/2.1.9-debian.toml"));
    let mut config = Config::read(&Document::parse("t", dump.as_bytes()).unwrap());
    config.version = Some(2);
    let plan = planned(&config.to_table(), &Target::find("v1.30.4+k0s.0").unwrap());
    for key in [
        "enable_cdi",
        "enable_unprivileged_ports",
        "enable_unprivileged_icmp",
    ] {
        let fates = fates(&plan, &format!(".{key}"));
        assert!(matches!(fates[..], [Fate::Kept { .. }]), "{key}: {fates:?}");
    }
    let plan = planned(&config.to_table(), &Target::find("v1.36.3+k0s.2").unwrap());
    assert_eq!(fates(&plan, ".enable_cdi"), [&Fate::EqualsTargetDefault]);
}

/// Nor is a file that a dump imports part of it, if it is of another version.
#[test]
fn an_imported_file_of_another_version_is_no_part_of_a_dump() {
    let dump = support::read(&support::path("recorded/default/2.1.9-debian.toml"));
    let dump = dump
        .replace("imports = []", "imports = ['/etc/containerd/more.toml']")
        .replace("    enable_cdi = true\n", "");
    assert!(dump.contains("more.toml") && !dump.contains("enable_cdi"));
    let more = |version: i64, plugin: &str| {
        let text = format!("version = {version}\n[plugins.\"{plugin}\"]\nenable_cdi = true\n");
        let main = Document::parse("/etc/k0s/containerd.toml", dump.as_bytes()).unwrap();
        let more = Document::parse("/etc/containerd/more.toml", text.as_bytes()).unwrap();
        let target = Target::find("v1.30.4+k0s.0").unwrap();
        let plan = plan(
            &main,
            &[more],
            &target,
            &Options::default().without_verification(),
        );
        assert!(matches!(plan.origin, Origin::Dump(_)), "{:?}", plan.origin);
        fates(&plan, ".enable_cdi")
            .into_iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        more(3, "io.containerd.cri.v1.runtime"),
        [Fate::StaleDefault]
    );
    assert!(matches!(more(2, CRI)[..], [Fate::Kept { .. }]));
}

/// Debian 12 ships containerd 1.6.20, which prints upstream's directory: another
/// one in its dump is somebody's.
#[test]
fn a_distribution_shifts_a_default_in_the_releases_that_it_shifts_it_in() {
    for (name, target, key, is_default) in [
        ("1.6.20-debian", TARGETS[0], "cni.bin_dir", false),
        ("1.7.27", TARGETS[0], "cni.bin_dir", true),
        ("2.0.5", TARGETS[0], "cni.bin_dir", true),
        ("2.3.4", TARGETS[1], "bindir\".bin_dir", false),
    ] {
        let dump = support::read(&support::path(&format!("recorded/default/{name}.toml")));
        let dump = dump
            .replace("/opt/cni/bin", "/usr/lib/cni")
            .replace("/opt/containerd/image-verifier/bin", "/usr/lib/cni");
        let plan = planned(&support::parse(&dump), &Target::find(target).unwrap());
        let fates = fates(&plan, key);
        let dropped = fates == [&Fate::StaleDefault];
        assert!(
            !fates.is_empty() && dropped == is_default,
            "{name} {key}: {fates:?}"
        );
    }
}

/// A dump that nobody edited is recognised, whichever release wrote it, and
/// nothing of it is kept.
#[test]
fn every_release_is_told_by_its_own_dump() {
    let mut releases = BTreeSet::new();
    for leaf in versions::leaves() {
        releases.extend(leaf.setting.history.iter().map(|(from, _)| *from));
    }
    // It prints just what 1.4.2 prints with an edit that is in many files.
    releases.remove(&Release::new(1, 4, 0));
    assert!(releases.len() > 25, "{releases:?}");
    for release in releases {
        let mut config = default_config(release);
        if release.config_version() == 1 {
            // 1.2 has no such key yet.
            let text = containerd_dropins::Exposed::table(&config).to_toml();
            let mut read = Config::read(
                &Document::parse("t", format!("version = 2\n{text}").as_bytes()).unwrap(),
            );
            read.version = None;
            config = read.to_table();
        }
        for target in TARGETS {
            let plan = planned(&config, &Target::find(target).unwrap());
            let Origin::Dump(dump) = &plan.origin else {
                panic!("{release}: {:?}", plan.origin)
            };
            assert!(
                dump.first <= release && release <= dump.last,
                "{release}: {dump:?}"
            );
            let kept: Vec<_> = plan.kept().collect();
            assert!(kept.is_empty(), "{release} for {target}: {kept:?}");
        }
    }
}

/// containerd 1.2 had the first shim as its default runtime, 1.3 – 1.7 have none:
/// one that is written decides over `default_runtime_name`, of whatever type.
#[test]
fn what_was_a_default_of_an_earlier_release_only_is_a_choice() {
    let text = "version = 2\n[CRI.containerd]\ndefault_runtime_name = \"kata\"\n\
        [CRI.containerd.default_runtime]\nruntime_type = \"io.containerd.runtime.v1.linux\"\n\
        [CRI.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n";
    for target in TARGETS {
        let plan = support::migrate(&long(text), target);
        let texts: String = support::drop_ins(&plan).into_values().collect();
        assert!(
            texts.contains("default_runtime_name = \"default\""),
            "{target}: {texts}"
        );
    }
}
