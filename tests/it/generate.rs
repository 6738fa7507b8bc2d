//! Legacy files made of edits that are known: on top of real default dumps, or
//! by themselves, in both config versions.

use std::collections::BTreeMap;

use containerd_dropins::Config;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::containerd::plugin::short_name;
use containerd_dropins::containerd::setting::{Kind, Presence, Section};
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
];

/// A leaf that an edit can set: its path, `*` for names, and its kind.
#[derive(Clone, Debug)]
pub struct Leaf {
    path: Vec<&'static str>,
    kind: Kind,
}

fn collect(section: &'static Section, path: &mut Vec<&'static str>, leaves: &mut Vec<Leaf>) {
    for setting in section.settings {
        if DEPRECATED.contains(&setting.key)
            || SPECIAL.contains(&setting.key)
            || setting.owned.is_some()
        {
            continue;
        }
        path.push(setting.key);
        collect_kind(&setting.kind, path, leaves);
        path.pop();
    }
}

fn collect_kind(kind: &Kind, path: &mut Vec<&'static str>, leaves: &mut Vec<Leaf>) {
    match kind {
        Kind::Section(section) if section.presence == Presence::Free => {
            for key in ["BinaryName", "SystemdCgroup", "IoUid"] {
                path.push(key);
                collect_kind(&section.get(key).unwrap().kind, path, leaves);
                path.pop();
            }
        }
        Kind::Section(section) => collect(section, path, leaves),
        Kind::Map(kind) => {
            path.push("*");
            collect_kind(kind, path, leaves);
            path.pop();
        }
        Kind::Tables(_) => {}
        kind => leaves.push(Leaf {
            path: path.clone(),
            kind: *kind,
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
    /// By path, what must be in effect; nothing else may be.
    pub effect: BTreeMap<Vec<String>, Value>,
}

const TARGETS: &[&str] = &[
    "v1.27.5+k0s.0",
    "v1.30.4+k0s.0",
    "v1.32.4+k0s.0",
    "v1.35.7+k0s.0",
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

/// The dumps to edit; the first stands for none.
fn bases() -> Vec<Option<String>> {
    let dumps = support::files("recorded/default").into_iter();
    std::iter::once(None)
        .chain(dumps.map(|path| Some(support::read(&path))))
        .collect()
}

pub fn cases() -> impl Strategy<Value = Case> {
    let mut leaves = Vec::new();
    collect(Config::SETTINGS, &mut Vec::new(), &mut leaves);
    assert!(leaves.len() > 100, "{}", leaves.len());
    let bases = bases();
    let edits = prop::collection::vec((0..leaves.len(), any::<u32>(), 0..NAMES.len()), 0..12);
    (
        0..bases.len(),
        0..TARGETS.len(),
        edits,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(move |(base, target, seeds, version_1, boilerplate)| {
            let chosen = seeds
                .iter()
                .map(|(leaf, seed, name)| (&leaves[*leaf], *seed, NAMES[*name]));
            make(
                bases[base].as_deref(),
                TARGETS[target],
                chosen,
                version_1,
                boilerplate,
            )
        })
}

fn make<'a>(
    base: Option<&str>,
    k0s: &'static str,
    edits: impl Iterator<Item = (&'a Leaf, u32, &'static str)>,
    version_1: bool,
    boilerplate: bool,
) -> Case {
    let release = k0s::Release::find(k0s).unwrap().0;
    let defaults = default_config(release.containerd);
    let mut table = base.map(support::parse).unwrap_or_default();
    let mut effect = BTreeMap::new();
    for (leaf, seed, name) in edits {
        let mut path: Vec<String> = Vec::new();
        for key in &leaf.path {
            path.push(if *key == "*" {
                name.to_owned()
            } else {
                (*key).to_owned()
            });
        }
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let default = support::at(&defaults, &keys);
        let in_plugin = keys[0] == "plugins";
        let in_entry = leaf.path.contains(&"*");
        let zero_matters = in_plugin && !in_entry && default.is_some_and(|value| !value.is_zero());
        let value = value(&leaf.kind, default, seed, zero_matters);
        // What the dump says already is no edit.
        if support::at(&table, &keys) == Some(&value) {
            continue;
        }
        set(&mut table, &keys, value.clone());
        effect.insert(path.clone(), value);
        if keys[0] == "proxy_plugins" {
            let kind = ["proxy_plugins", keys[1], "type"];
            set(&mut table, &kind, Value::String("snapshot".into()));
            effect.insert(
                kind.map(str::to_owned).to_vec(),
                Value::String("snapshot".into()),
            );
        }
    }
    if boilerplate {
        set(
            &mut table,
            &["root"],
            Value::String("/var/lib/k0s/containerd".into()),
        );
        set(
            &mut table,
            &["state"],
            Value::String("/run/k0s/containerd".into()),
        );
        set(
            &mut table,
            &["grpc", "address"],
            Value::String("/run/k0s/containerd.sock".into()),
        );
    }
    match version_1 {
        true => {
            table.remove("version");
            if let Some(Value::Table(plugins)) = table.get_mut("plugins") {
                *plugins = std::mem::take(plugins)
                    .into_iter()
                    .map(|(uri, section)| (short_name(&uri).unwrap().to_owned(), section))
                    .collect();
            }
        }
        false => drop(table.insert("version".into(), Value::Integer(2))),
    }
    let text = format!(
        "# legacy\n{}",
        toml_edit::ser::to_string_pretty(&table).unwrap()
    );
    Case { text, k0s, effect }
}

fn set(table: &mut Table, path: &[&str], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        table.insert((*first).to_owned(), value);
        return;
    }
    let child = table
        .entry((*first).to_owned())
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(child) = child else {
        panic!("{path:?}")
    };
    set(child, rest, value);
}
