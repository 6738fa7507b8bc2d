//! Config versions: every setting, read from one and written to another.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::setting::{Kind, Section, Setting, State, Successor};
use containerd_dropins::strategies::{Edit, LegacyFiles, files_of_mixed_versions};
use containerd_dropins::value::{Table, Value};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;

use crate::laws::holds_in;
use crate::support;

/// A declared setting that is no table: its path, `*` for names.
pub struct Leaf {
    pub path: Vec<&'static str>,
    pub setting: &'static Setting,
    /// The release that removed it, or a table that it is in.
    pub removed: Option<Release>,
    /// What took its place, or that of a table that it is in.
    successor: Option<Successor>,
}

fn removed(setting: &Setting) -> Option<Release> {
    match setting.history.last() {
        Some((release, State::Absent)) => Some(*release),
        _ => None,
    }
}

fn collect(
    section: &'static Section,
    path: &mut Vec<&'static str>,
    above: (Option<Release>, Option<Successor>),
    leaves: &mut Vec<Leaf>,
) {
    for setting in section.settings {
        path.push(setting.key);
        let gone = above.0.or(removed(setting));
        let successor = above.1.or(setting.successor);
        let mut kind = &setting.kind;
        let mut depth = 0;
        while let Kind::Map(inner) = kind {
            path.push("*");
            depth += 1;
            kind = inner;
        }
        match kind {
            Kind::Section(section) => collect(section, path, (gone, successor), leaves),
            _ => leaves.push(Leaf {
                path: path.clone(),
                setting,
                removed: gone,
                successor,
            }),
        }
        path.truncate(path.len() - depth - 1);
    }
}

pub fn leaves() -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(Config::SETTINGS, &mut Vec::new(), (None, None), &mut leaves);
    assert!(leaves.len() > 250, "{}", leaves.len());
    leaves
}

pub fn value(kind: &Kind, seed: u8) -> Value {
    match kind {
        Kind::Map(kind) => value(kind, seed),
        Kind::Bool => Value::Boolean(seed.is_multiple_of(2)),
        Kind::Int => Value::Integer(i64::from(seed)),
        Kind::Float => Value::Float(f64::from(seed) + 0.5),
        Kind::Duration => Value::String(format!("{seed}m")),
        Kind::Strs => Value::Array(vec![Value::String(format!("s{seed}"))]),
        Kind::Bytes => Value::Array(vec![Value::Integer(i64::from(seed))]),
        Kind::Tables(_) => {
            let table = Table::from([("platform".to_owned(), Value::String(format!("p{seed}")))]);
            Value::Array(vec![Value::Table(table)])
        }
        _ => Value::String(format!("text {seed}")),
    }
}

fn at_path(path: &[String], value: Value) -> Table {
    let (first, rest) = path.split_first().unwrap();
    let value = match rest {
        [] => value,
        rest => Value::Table(at_path(rest, value)),
    };
    Table::from([(first.clone(), value)])
}

fn with_version(version: i64, path: &[String], value: Value) -> Config {
    let mut table = at_path(path, value);
    table.insert("version".to_owned(), Value::Integer(version));
    serde_json::from_value(
        serde_json::to_value(containerd_dropins::Exposed::table(&table)).unwrap(),
    )
    .unwrap()
}

/// Reading a setting from version N and writing it to version M and back gives the
/// same setting, wherever both have a place for it.
#[test]
fn settings_survive_every_change_of_version() {
    for (seed, name) in [(1, "x"), (2, "*"), (199, "a.b:5000")] {
        for leaf in leaves() {
            if leaf.path != ["version"] {
                survives(&leaf, seed, name);
            }
        }
    }
}

fn survives(leaf: &Leaf, seed: u8, name: &str) {
    let key = |key: &&'static str| {
        if *key == "*" {
            name.to_owned()
        } else {
            (*key).to_owned()
        }
    };
    let path: Vec<String> = leaf.path.iter().map(key).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let value = value(&leaf.setting.kind, seed);
    for from in 1..=4 {
        let Some(address) = Config::address(from, &path) else {
            continue;
        };
        let config = with_version(from, &address, value.clone());
        for to in 1..=4 {
            let Some(target) = Config::address(to, &path) else {
                continue;
            };
            let mut there = config.clone();
            there.version = Some(to);
            let table = there.to_table();
            let keys: Vec<&str> = target.iter().map(String::as_str).collect();
            assert_eq!(
                support::at(&table, &keys),
                Some(&value),
                "{path:?} from {from} to {to}"
            );
            // Nothing else is written.
            assert_eq!(support::leaves(&table).len(), 2);
            let json = serde_json::to_value(containerd_dropins::Exposed::table(&table));
            let mut back: Config = serde_json::from_value(json.unwrap()).unwrap();
            back.version = Some(from);
            assert_eq!(back.to_table(), config.to_table());
            let own = with_version(from, &address, value.clone());
            assert_eq!(back.to_table(), own.to_table());
        }
    }
}

/// The same for whole files, as far as both versions have a place for what is in them:
/// what comes back is what was there.
#[test]
fn files_survive_every_change_of_version() {
    let files = LegacyFiles::new().sparse().without_conversions().any_text();
    holds_in(5, (files.strategy(), 1i64..=4), |(file, via)| {
        let has_place = |edit: &Edit| edit.address(via).is_some();
        prop_assume!(file.edits.iter().all(has_place));
        let config = Config::read(&file.document());
        let mut there = config.clone();
        there.version = Some(via);
        let text = there.to_toml();
        let document = Document::parse("t", text.as_bytes()).unwrap();
        let mut back = Config::read(&document);
        back.version = config.version;
        prop_assert_eq!(back.to_table(), config.to_table(), "{}", text);
        Ok(())
    });
}

/// Addresses are distinct: in no version two settings share one.
#[test]
fn no_two_settings_share_an_address() {
    for version in 1..=4 {
        let mut seen = BTreeMap::new();
        for leaf in leaves() {
            let Some(address) = Config::address(version, &leaf.path) else {
                continue;
            };
            if let Some(other) = seen.insert(address, leaf.path.clone()) {
                panic!("version {version}: {other:?} and {:?}", leaf.path);
            }
        }
    }
}

fn shown(path: &[String]) -> String {
    let bare = |key: &String| {
        !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let keys = path.iter().map(|key| match key.as_str() {
        "*" => "*".to_owned(),
        _ if bare(key) => key.clone(),
        _ => format!("\"{key}\""),
    });
    keys.collect::<Vec<_>>().join(".")
}

/// The table of all settings that have another address or form in another
/// version, for the documentation. `RECORD=1` writes it.
#[test]
fn the_table_of_address_changes_is_current() {
    let mut text = String::from(
        "| setting (version 2) | version 1 | version 3 | version 4 |\n|---|---|---|---|\n",
    );
    for leaf in leaves() {
        let own: Vec<String> = leaf.path.iter().map(|key| (*key).to_owned()).collect();
        // Version 1 differs in the name of the plugin only.
        let address = |version| Config::address(version, &leaf.path);
        let gone = leaf.removed.filter(|gone| *gone >= Release::new(2, 0, 0));
        let successor = leaf.successor;
        let (two, three, four) = (address(2), address(3), address(4));
        let same = two.as_ref() == Some(&own) && three == two && four == two;
        if same && gone.is_none() && successor.is_none() {
            continue;
        }
        let cell =
            |address: Option<Vec<String>>, above: Option<&Vec<String>>| match (address, above) {
                (None, _) => "–".to_owned(),
                (Some(address), Some(above)) if address == *above => "the same".to_owned(),
                (Some(address), _) => format!("`{}`", shown(&address)),
            };
        let first = cell(two.clone(), None);
        let one = cell(address(1), None);
        let (third, fourth) = match (gone, successor) {
            // Releases that read version 3, or 4, have it.
            (Some(gone), None) if gone > Release::new(2, 0, 0) => (
                format!(
                    "`{}`, removed in containerd {gone}",
                    shown(three.as_deref().unwrap_or_default())
                ),
                match gone > Release::new(2, 3, 0) {
                    true => cell(four, three.as_ref()),
                    false => "–".to_owned(),
                },
            ),
            (Some(gone), None) => (format!("removed in containerd {gone}"), "–".to_owned()),
            (Some(gone), Some(successor)) => (
                format!("removed in containerd {gone}; {}", successor.by),
                "–".to_owned(),
            ),
            (None, Some(successor)) => (
                format!(
                    "`{}`; from containerd {} on {}",
                    shown(three.as_deref().unwrap_or_default()),
                    successor.since,
                    successor.by
                ),
                cell(four, three.as_ref()),
            ),
            (None, None) => (
                cell(three.clone(), two.as_ref()),
                cell(four, three.as_ref()),
            ),
        };
        let _ = writeln!(text, "| {first} | {one} | {third} | {fourth} |");
    }
    let path = support::path("../src/config/addresses.md");
    if std::env::var_os("RECORD").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        support::read(&path),
        text,
        "RECORD=1 cargo test --test it address_changes writes it"
    );
}

/// A file that is read and written again, in the version that it has or without one,
/// says what it said: the same keys, the same ids in the same order.
#[test]
fn a_files_own_version_is_written_as_it_was() {
    holds_in(10, files_of_mixed_versions(), |text| {
        let document = Document::parse("t", text.as_bytes()).unwrap();
        prop_assert_eq!(Config::read(&document).to_table(), document.to_table());
        Ok(())
    });
}

/// What a version ignores in a table that it ignores.
#[test]
fn an_empty_table_in_a_table_that_is_ignored() {
    let text = "[plugins.\"io.containerd.cri.v1.runtime\"]\nx = 1\n[plugins.\"io.containerd.grpc.v1.cri\"]\ndisable_tcp_service = {}\n";
    for version in ["", "version = 3\n"] {
        let text = format!("{version}{text}");
        let document = containerd_dropins::Document::parse("t", text.as_bytes()).unwrap();
        assert_eq!(Config::read(&document).to_table(), document.to_table());
    }
}

/// A key that is spelt like what the crate marks for itself is a key.
#[test]
fn keys_that_look_like_marks_are_keys() {
    for text in [
        "[plugins.\"ignored in version 1: x.\"]\nkey = 1\n",
        "[\"ignored in version 4: plugins\"]\nx.\"ignored in version 1: y\" = 1\n",
        "\"version that is meant\" = 3\n",
        "version = 2\n\"version that is meant\" = 3\n\"ignored in version 2: oom_score\" = 1\n",
        "\"version that is meant\" = 2\n[plugins.\"io.containerd.cri.v1.images\"]\nx = 1\n",
        "disabled_plugins = [\"cri\"]\n\"ignored in version 1: disabled_plugins\" = [[0, \"x\"]]\n",
    ] {
        let document = Document::parse("t", text.as_bytes()).unwrap();
        let config = Config::read(&document);
        assert_eq!(config.to_table(), document.to_table(), "{text}");
    }
}

/// Ids that a version ignores are not said in another.
#[test]
fn ignored_ids_do_not_come_alive() {
    let text = "version = 3\ndisabled_plugins = [\"io.containerd.internal.v1.restart\", \"io.containerd.monitor.task.v1.cgroups\"]\n";
    let document = containerd_dropins::Document::parse("t", text.as_bytes()).unwrap();
    let mut config = Config::read(&document);
    let disabled = config.disabled_plugins.as_deref();
    assert_eq!(
        disabled,
        Some(&["io.containerd.monitor.v1.cgroups".to_owned()][..])
    );
    assert_eq!(support::parse(&config.to_toml()), document.to_table());
    config.version = Some(2);
    let other = "version = 2\ndisabled_plugins = [\"io.containerd.monitor.v1.cgroups\"]\n";
    assert_eq!(support::parse(&config.to_toml()), support::parse(other));
}
