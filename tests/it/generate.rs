//! Legacy files made of edits that are known: on top of real default dumps, or
//! by themselves, in every config version.

use std::collections::BTreeMap;

use containerd_dropins::Config;
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::containerd::plugin::short_name;
use containerd_dropins::containerd::setting::{Kind, Presence, Section, State};
use containerd_dropins::k0s;
use containerd_dropins::value::{Table, Value};
use proptest::prelude::*;

use crate::support;

/// Settings that go to successors, whose effect is elsewhere; the cases and
/// the tests of conversions have them.
const DEPRECATED: &[&str] = &[
    "systemd_cgroup",
    "no_pivot",
    "runtime_engine",
    "runtime_root",
    "default_runtime",
    "untrusted_workload_runtime",
    "auths",
    "io.containerd.runtime.v1.linux",
];

/// Settings with rules of their own.
const SPECIAL: &[&str] = &[
    "version",
    "imports",
    "root",
    "state",
    "sandbox_image",
    "disabled_plugins",
    "required_plugins",
    "exports",
    // Other forms in other versions; the tests of conversions have them.
    "bin_dir",
    "bin_dirs",
    "sched_core",
    "env",
    "runtime_platforms",
    "pinned_images",
];

/// A leaf that an edit can set: its path, `*` for names, and its kind.
#[derive(Clone, Debug)]
pub struct Leaf {
    path: Vec<&'static str>,
    kind: Kind,
    /// The first release that has it, and the one that removed it.
    life: (Release, Option<Release>),
}

impl Leaf {
    /// Whether files of a config version can set it.
    fn is_in(&self, version: i64) -> bool {
        let first = match version {
            1 | 2 => Release::new(1, 2, 0),
            _ => Release::new(2, 0, 0),
        };
        let has_place = Config::address(version, &self.path).is_some();
        has_place && self.life.1.is_none_or(|gone| gone > first)
    }

    /// Whether the target has it, or will have after an upgrade.
    fn is_for(&self, release: Release) -> bool {
        let (since, gone) = self.life;
        let later = since.line().0 > release.line().0;
        !later && gone.is_none_or(|gone| gone > release)
    }
}

type Life = (Release, Option<Release>);

fn life(history: &[(Release, State)], (since, gone): Life) -> Life {
    let first = history.first().map_or(since, |(release, _)| *release);
    let last = match history.last() {
        Some((release, State::Absent)) => Some(*release),
        _ => None,
    };
    (since.max(first), gone.or(last))
}

fn collect(
    section: &'static Section,
    path: &mut Vec<&'static str>,
    above: Life,
    leaves: &mut Vec<Leaf>,
) {
    for setting in section.settings {
        if DEPRECATED.contains(&setting.key)
            || SPECIAL.contains(&setting.key)
            || setting.owned.is_some()
        {
            continue;
        }
        // Without an address they have no effect.
        if path.as_slice() == ["ttrpc"] {
            continue;
        }
        // Needed twice from 2.0 on.
        if setting.key == "snapshotter" && path.contains(&"runtimes") {
            continue;
        }
        path.push(setting.key);
        collect_kind(&setting.kind, path, life(setting.history, above), leaves);
        path.pop();
    }
}

fn collect_kind(kind: &Kind, path: &mut Vec<&'static str>, life: Life, leaves: &mut Vec<Leaf>) {
    match kind {
        Kind::Section(section) if section.presence == Presence::Free => {
            for key in ["BinaryName", "SystemdCgroup", "IoUid"] {
                path.push(key);
                collect_kind(&section.get(key).unwrap().kind, path, life, leaves);
                path.pop();
            }
        }
        Kind::Section(section) => collect(section, path, life, leaves),
        Kind::Map(kind) => {
            path.push("*");
            collect_kind(kind, path, life, leaves);
            path.pop();
        }
        Kind::Tables(_) => {}
        kind => leaves.push(Leaf {
            path: path.clone(),
            kind: *kind,
            life,
        }),
    }
}

fn value(kind: &Kind, default: Option<&Value>, seed: u32, may_be_zero: bool) -> Value {
    let zero = may_be_zero && seed.is_multiple_of(5);
    match kind {
        Kind::Bool => Value::Boolean(!matches!(default, Some(Value::Boolean(true)))),
        Kind::Int if zero => Value::Integer(0),
        Kind::Int => Value::Integer(i64::from(seed % 1000) + 20_000),
        Kind::Float => Value::Float(f64::from(seed % 1000) + 0.25),
        Kind::Str if zero => Value::String(String::new()),
        Kind::Str => Value::String(format!("edited \"{seed}\" \\ é\t#")),
        Kind::Duration => Value::String(format!("{}m1s", seed % 1000 + 100)),
        Kind::Strs if zero => Value::Array(Vec::new()),
        Kind::Strs => Value::Array(
            (0..seed % 3 + 1)
                .map(|n| Value::String(format!("item-{seed}-{n}")))
                .collect(),
        ),
        _ => Value::Array(vec![Value::Integer(7)]),
    }
}

/// A legacy file, and what it must have for effect.
#[derive(Clone, Debug)]
pub struct Case {
    pub text: String,
    pub k0s: &'static str,
    /// The config version.
    pub version: i64,
    /// By path in the version that the target's containerd writes, what must
    /// be in effect; nothing else may be.
    pub effect: BTreeMap<Vec<String>, Value>,
}

const TARGETS: &[&str] = &[
    "v1.27.5+k0s.0",
    "v1.30.4+k0s.0",
    "v1.32.4+k0s.0",
    "v1.35.7+k0s.0",
    "v1.36.1+k0s.0",
    "v1.36.3+k0s.2",
];

const NAMES: &[&str] = &[
    "nvidia",
    "kata-qemu",
    "Weird Name",
    "registry.example:5000",
    "*",
    "é",
    "a.b",
];

/// A name for an entry of a map: those of registries are hosts, as what is no
/// host is told, and dropped where it changes pulls.
fn name_for(path: &[&str], name: &'static str) -> &'static str {
    let is_registry = path.contains(&"registry");
    let is_host = name.contains('.') || name == "*" && path.contains(&"mirrors");
    if is_registry && !is_host { "a.b" } else { name }
}

/// The dumps to edit with their config versions, and none in each version. Of
/// the releases only 1.2 writes version 1, and its dump is not recorded.
fn bases() -> Vec<(Option<String>, i64)> {
    let dumps = support::files("recorded/default").into_iter().map(|path| {
        let text = support::read(&path);
        let Some(Value::Integer(version)) = support::parse(&text).get("version").cloned() else {
            panic!("{}", path.display())
        };
        (Some(text), version)
    });
    let none = (1..=4).map(|version| (None, version));
    none.chain(dumps).collect()
}

pub fn cases() -> impl Strategy<Value = Case> {
    let mut leaves = Vec::new();
    let always = (Release::new(1, 2, 0), None);
    collect(Config::SETTINGS, &mut Vec::new(), always, &mut leaves);
    assert!(leaves.len() > 150, "{}", leaves.len());
    let bases = bases();
    let edits = prop::collection::vec((0..leaves.len(), any::<u32>(), 0..NAMES.len()), 0..12);
    (0..bases.len(), 0..TARGETS.len(), edits, any::<bool>()).prop_map(
        move |(base, target, seeds, boilerplate)| {
            let chosen = seeds
                .iter()
                .map(|(leaf, seed, name)| (&leaves[*leaf], *seed, NAMES[*name]));
            let (dump, version) = &bases[base];
            let version = *version;
            make(
                dump.as_deref(),
                TARGETS[target],
                chosen,
                version,
                boilerplate,
            )
        },
    )
}

fn make<'a>(
    base: Option<&str>,
    k0s: &'static str,
    edits: impl Iterator<Item = (&'a Leaf, u32, &'static str)>,
    version: i64,
    boilerplate: bool,
) -> Case {
    let containerd = k0s::Release::find(k0s).unwrap().0.containerd;
    let defaults = default_config(containerd);
    let dump = base.map(support::parse).unwrap_or_default();
    let mut table = dump.clone();
    let mut effect = BTreeMap::new();
    // Version 1 has short names in the end.
    let spelled = version.max(2);
    for (leaf, seed, name) in edits {
        if !leaf.is_in(version) || !leaf.is_for(containerd) {
            continue;
        }
        let name = name_for(&leaf.path, name);
        let keys: Vec<&str> = leaf
            .path
            .iter()
            .map(|key| if *key == "*" { name } else { *key })
            .collect();
        let after = Config::address(containerd.config_version(), &keys).unwrap();
        let default = at(&defaults, &after);
        let in_plugin = keys[0] == "plugins";
        let in_entry = leaf.path.contains(&"*");
        // An empty name is the default to containerd 1.x.
        let is_name = leaf.path.ends_with(&["containerd", "snapshotter"]);
        let zero_matters =
            in_plugin && !in_entry && !is_name && default.is_some_and(|value| !value.is_zero());
        let value = value(&leaf.kind, default, seed, zero_matters);
        let here = Config::address(spelled, &keys).unwrap();
        set(&mut table, &here, value.clone());
        // What the dump says already is no edit, nor is an edit taken back.
        if at(&dump, &here) == Some(&value) {
            effect.remove(&after);
            continue;
        }
        effect.insert(after, value);
        if keys[0] == "proxy_plugins" {
            let kind = ["proxy_plugins", keys[1], "type"].map(str::to_owned);
            set(&mut table, &kind, Value::String("snapshot".into()));
            effect.insert(kind.to_vec(), Value::String("snapshot".into()));
        }
    }
    if boilerplate {
        let owned = [
            (&["root"][..], "/var/lib/k0s/containerd"),
            (&["state"], "/run/k0s/containerd"),
            (&["grpc", "address"], "/run/k0s/containerd.sock"),
        ];
        for (path, value) in owned {
            let here = Config::address(spelled, path).unwrap();
            set(&mut table, &here, Value::String(value.into()));
        }
    }
    match version {
        1 => {
            table.remove("version");
            if let Some(Value::Table(plugins)) = table.get_mut("plugins") {
                *plugins = std::mem::take(plugins)
                    .into_iter()
                    .map(|(uri, section)| (short_name(&uri).unwrap().to_owned(), section))
                    .collect();
            }
        }
        version => drop(table.insert("version".into(), Value::Integer(version))),
    }
    let text = format!(
        "# legacy\n{}",
        containerd_dropins::Exposed::table(&table).to_toml()
    );
    Case {
        text,
        k0s,
        version,
        effect,
    }
}

/// Drop-ins of version 2 that get in each other's way: by name, and the paths
/// that any of them sets.
#[derive(Clone, Debug)]
pub struct DropIns {
    pub files: BTreeMap<String, String>,
    pub touched: Vec<Vec<String>>,
}

/// The releases between which drop-ins are carried.
pub const FROM: &str = "v1.30.4+k0s.0";
pub const TO: &str = "v1.36.3+k0s.2";

pub fn drop_ins() -> impl Strategy<Value = DropIns> {
    let containerd = |k0s| k0s::Release::find(k0s).unwrap().0.containerd;
    let mut leaves = Vec::new();
    let always = (Release::new(1, 2, 0), None);
    collect(Config::SETTINGS, &mut Vec::new(), always, &mut leaves);
    leaves.retain(|leaf| {
        leaf.is_in(2) && leaf.is_for(containerd(FROM)) && leaf.is_for(containerd(TO))
    });
    // Few settings, so that files meet; all of the daemon's among them.
    let daemon = leaves
        .iter()
        .position(|leaf| leaf.path[0] == "plugins")
        .unwrap();
    let settings = prop_oneof![0..daemon, 0..leaves.len()];
    let edit = (settings, any::<u32>(), 0..NAMES.len());
    let file = prop::collection::vec(edit, 1..8);
    let pool = prop::collection::vec(file, 2..5);
    (
        pool,
        prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..8),
    )
        .prop_map(move |(mut pool, again)| {
            // Settings of one file again in another, with other values.
            for (index, seed) in again {
                let from = index.index(pool.len());
                let to = (from + 1) % pool.len();
                let (leaf, _, name) = pool[from][0];
                pool[to].push((leaf, seed, name));
            }
            let mut files = BTreeMap::new();
            let mut touched = Vec::new();
            for (number, edits) in pool.iter().enumerate() {
                let mut table = Table::from([("version".to_owned(), Value::Integer(2))]);
                for (leaf, seed, name) in edits {
                    let leaf = &leaves[*leaf];
                    let name = name_for(&leaf.path, NAMES[*name]);
                    let key = |key: &&str| if *key == "*" { name } else { key }.to_owned();
                    let path: Vec<String> = leaf.path.iter().map(key).collect();
                    let may_be_zero = !leaf.path.ends_with(&["containerd", "snapshotter"]);
                    set(
                        &mut table,
                        &path,
                        value(&leaf.kind, None, *seed, may_be_zero),
                    );
                    if path[0] == "proxy_plugins" {
                        let kind = [path[0].clone(), path[1].clone(), "type".to_owned()];
                        set(&mut table, &kind, Value::String("snapshot".into()));
                    }
                    touched.push(path);
                }
                let text = containerd_dropins::Exposed::table(&table).to_toml();
                files.insert(
                    format!("{}{number}.toml", ["b", "a", "d", "c"][number]),
                    text,
                );
            }
            DropIns { files, touched }
        })
}

fn at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    support::at(table, &path)
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let child = table
        .entry(first.clone())
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(child) = child else {
        panic!("{path:?}")
    };
    set(child, rest, value);
}
