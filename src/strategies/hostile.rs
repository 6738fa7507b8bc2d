//! Documents that nobody would write on purpose.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::files::{LegacyFile, LegacyFiles, settings};
use crate::containerd::plugin;
use crate::value::{Exposed, Table, Value, put_at};

/// Texts of any kind: files with lines cut out, doubled, swapped or spoiled; values
/// of wrong types; odd names; deep nesting; all notations of TOML. Most parse.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::migrate::{Options, Target, plan};
/// use containerd_dropins::strategies::hostile_texts;
/// use proptest::prelude::*;
///
/// let target = Target::find("v1.36.3+k0s.2")?;
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(text in hostile_texts())| {
///     if let Ok(document) = Document::parse("containerd.toml", text.as_bytes()) {
///         let plan = plan(&document, &[], &target, &Options::default());
///         prop_assert!(plan.ledger.iter().all(|entry| entry.span.line > 0));
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hostile_texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => lines(),
        3 => damaged(),
        3 => odd_files(),
        2 => files_of_mixed_versions(),
        1 => nested(),
        1 => ".{0,80}",
    ]
}

/// The same as bytes, and bytes that are no text.
pub fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => hostile_texts().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..120),
        1 => hostile_texts().prop_map(|text| [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        1 => hostile_texts().prop_map(|text| text.replace('\n', "\r\n").into_bytes()),
    ]
}

/// Names for tables and keys: what settings are called, and what nothing is.
const NAMES: &[&str] = &[
    "x",
    "plugins",
    plugin::CRI,
    plugin::CRI_IMAGES,
    plugin::CRI_RUNTIME,
    "io.containerd.runtime.v1.linux",
    "io.containerd.server.v1.grpc-tcp",
    "io.containerd.nobody.v1.x",
    "cri",
    "registry",
    "mirrors",
    "configs",
    "docker.io",
    "[::1]:5000",
    "*",
    "endpoint",
    "tls",
    "auth",
    "password",
    "containerd",
    "runtimes",
    "runc",
    "options",
    "SystemdCgroup",
    "CriuPath",
    "snapshotter",
    "sandbox_image",
    "grpc",
    "address",
    "debug",
    "version",
    "imports",
    "disabled_plugins",
    "proxy_plugins",
    "stream_processors",
    "timeouts",
    "Sandbox_Image",
    "a b",
    "a.b",
    "a\"b",
    "a'b",
    "a\\b",
    "",
    "é",
    "\u{1}",
    "a\nb",
    "\u{202e}",
];

/// Values in all notations.
const VALUES: &[&str] = &[
    "1",
    "true",
    "\"\"",
    "\"text\"",
    "[]",
    "{}",
    "0",
    "2",
    "3",
    "-1",
    "0.5",
    "1e3",
    "inf",
    "nan",
    "0x1f",
    "1979-05-27",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "'literal'",
    "\"\"\"\nlines\n\"\"\"",
    "'''\n'lines'\n'''",
    "\"\\u0001\\t\"",
    "[1, \"a\", true]",
    "[{}]",
    "[{ a = 1 }, { b = [] }]",
    "[[], [[]]]",
    "{ a = 1 }",
    "{ a = { b = {} } }",
    "[\"io.containerd.grpc.v1.cri\", \"x\"]",
    "[\"https://mirror.example\", \"http://u:p@h:99999/\"]",
    "\"10s\"",
    "\"io.containerd.runc.v2\"",
];

/// Files of a few keys, each in a table where it may or may not be a setting, with
/// values of any type: what a person writes who has the wrong page of the
/// documentation open. Most parse; a table that is a value elsewhere is no TOML.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::migrate::check;
/// use containerd_dropins::strategies::odd_files;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(text in odd_files())| {
///     if let Ok(document) = Document::parse("containerd.toml", text.as_bytes()) {
///         prop_assert!(check(&document).iter().all(|finding| finding.span.is_some()));
///     }
/// });
/// ```
pub fn odd_files() -> impl Strategy<Value = String> {
    let key = (select(PLACES), select(KEYS), select(ODD_VALUES));
    (1i64..=4, prop::collection::vec(key, 1..5)).prop_map(|(version, keys)| {
        let mut tables: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (place, key, value) in keys {
            tables.entry(place).or_default().insert(key, value);
        }
        let mut text = format!("version = {version}\n");
        for (place, keys) in tables {
            if !place.is_empty() {
                text.push_str(&format!("[{place}]\n"));
            }
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    })
}

const PLACES: &[&str] = &[
    "",
    "plugins",
    "plugins.'io.containerd.cri.v1.images'",
    "plugins.'io.containerd.cri.v1.runtime'",
    "plugins.'io.containerd.cri.v1.runtime'.cni",
    "plugins.'io.containerd.grpc.v1.cri'",
    "plugins.'io.containerd.grpc.v1.cri'.registry",
    "plugins.'io.containerd.grpc.v1.cri'.registry.configs.'[::1]:5000'",
    "plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.kata",
    "plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.kata.options",
    "plugins.cri.containerd",
    "plugins.'io.containerd.server.v1.grpc-tcp'",
    "plugins.'io.containerd.snapshotter.v1.aufs'",
    "proxy_plugins.x",
    "grpc",
    "'a[b'",
];

const KEYS: &[&str] = &[
    "registry",
    "containerd",
    "cni",
    "bin_dir",
    "runtime_type",
    "options",
    "CriuPath",
    "sandbox_image",
    "SANDBOX_IMAGE",
    "stats_collect_period",
    "address",
    "uid",
    "tls",
    "'io.containerd.cri.v1.runtime'",
    "'io.containerd.cri.v1.images'",
    "'a.b'",
    "'a\"b'",
    "\"a\\u0001\"",
    "'[x]'",
    "foo",
];

const ODD_VALUES: &[&str] = &[
    "0",
    "''",
    "'x'",
    "true",
    "1.5",
    "[]",
    "[{}]",
    "['a', 1]",
    "{}",
    "{ a = 1, b = { c = 'x', d = {} } }",
    "1979-05-27",
    "'io.containerd.kata.v2'",
];

/// Files of some config version or none, in which settings stand where other
/// versions have them, some with a value of a wrong type; and lists of plugins by
/// the ids of all versions.
///
/// ```
/// use containerd_dropins::{Config, Document};
/// use containerd_dropins::strategies::files_of_mixed_versions;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(text in files_of_mixed_versions())| {
///     let document = Document::parse("containerd.toml", text.as_bytes()).unwrap();
///     prop_assert_eq!(Config::read(&document).to_table(), document.to_table());
/// });
/// ```
pub fn files_of_mixed_versions() -> impl Strategy<Value = String> {
    // Not by unions, each of which takes half of the numbers that a fuzzer has.
    let version = (0i64..10).prop_map(|number| Some(number - 5).filter(|version| *version >= 0));
    let wrong = (0u8..8).prop_map(|number| match number {
        6 => Some(Value::Integer(-1)),
        7 => Some(Value::Table(Table::new())),
        _ => None,
    });
    let entry = (settings(), 1i64..=4, wrong);
    let entries = prop::collection::vec(entry, 0..6);
    let ids = prop::collection::vec(select(IDS), 0..5);
    (version, entries, ids).prop_map(|(version, entries, ids)| {
        let mut table = Table::new();
        for (edit, at, wrong) in entries {
            if let Some(address) = edit.address(at) {
                let address: Vec<&str> = address.iter().map(String::as_str).collect();
                put_at(&mut table, &address, wrong.unwrap_or(edit.value));
            }
        }
        if !ids.is_empty() {
            let ids = ids.into_iter().map(|id| Value::String(id.to_owned()));
            table.insert("disabled_plugins".to_owned(), Value::Array(ids.collect()));
        }
        table.extend(version.map(|version| ("version".to_owned(), Value::Integer(version))));
        Exposed::table(&table).to_toml()
    })
}

/// Ids of plugins in the spellings of all versions, and one that is nobody's.
const IDS: &[&str] = &[
    "cri",
    "zfs",
    "restart",
    "io.containerd.grpc.v1.cri",
    "io.containerd.cri.v1.images",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.restart",
    "io.containerd.monitor.container.v1.restart",
    "io.containerd.monitor.task.v1.cgroups",
    "nobody's",
];

fn key() -> impl Strategy<Value = String> {
    select(NAMES).prop_map(|name| format!("{name:?}"))
}

/// Names as [`char::escape_debug`] writes them are basic strings of TOML.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(key(), 1..6).prop_map(|keys| toml_escapes(&keys.join(".")))
}

/// Rust's escapes of code points in TOML's notation.
fn toml_escapes(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap_or((part, ""));
        out.push_str(&format!("\\u{code:0>4}{rest}"));
    }
    out
}

/// Headers and keys.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => (path(), select(VALUES)).prop_map(|(path, value)| format!("{path} = {value}")),
        3 => path().prop_map(|path| format!("[{path}]")),
        1 => path().prop_map(|path| format!("[[{path}]]")),
        1 => select(&[
            "# comment",
            "",
            "version = 1",
            "version = 2",
            "version = 3",
            "version = 4",
            "[plugins.\"io.containerd.grpc.v1.cri\"]",
            "[plugins.\"io.containerd.cri.v1.images\".registry.configs.h.auth]",
        ][..]).prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

/// What happens to the lines of a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Double,
    Swap,
    /// The value of a line is another.
    Value(&'static str),
    /// The key of a line is another.
    Key(&'static str),
}

fn damaged() -> impl Strategy<Value = String> {
    let damage = prop_oneof![
        Just(Damage::Cut),
        Just(Damage::Double),
        Just(Damage::Swap),
        select(VALUES).prop_map(Damage::Value),
        select(NAMES).prop_map(Damage::Key),
    ];
    let places = (any::<Index>(), any::<Index>(), damage);
    let file = LegacyFiles::new().any_text().strategy();
    // Damage that does not matter goes first: it may be about a line that goes then.
    (prop::collection::vec(places, 1..4), file).prop_map(|(damages, file)| spoil(&file, &damages))
}

fn spoil(file: &LegacyFile, damages: &[(Index, Index, Damage)]) -> String {
    let mut lines: Vec<String> = file.text.lines().map(str::to_owned).collect();
    for (from, to, damage) in damages {
        if lines.is_empty() {
            break;
        }
        let (from, to) = (from.index(lines.len()), to.index(lines.len()));
        let line = lines.get(from).cloned().unwrap_or_default();
        match damage {
            Damage::Cut => drop(lines.remove(from)),
            Damage::Double => lines.insert(to, line),
            Damage::Swap => lines.swap(from, to),
            Damage::Value(value) => {
                if let (Some((key, _)), Some(line)) = (line.split_once(" = "), lines.get_mut(from))
                {
                    *line = format!("{key} = {value}");
                }
            }
            Damage::Key(name) => {
                if let (Some((_, value)), Some(line)) =
                    (line.split_once(" = "), lines.get_mut(from))
                {
                    *line = toml_escapes(&format!("{name:?} = {value}"));
                }
            }
        }
    }
    lines.join("\n")
}

/// Nesting up to the parser's limit and beyond.
fn nested() -> impl Strategy<Value = String> {
    (1usize..100, 0usize..4).prop_map(|(depth, notation)| match notation {
        0 => format!("a = {}{}\n", "[".repeat(depth), "]".repeat(depth)),
        1 => format!("a = {}1{}\n", "{ a = ".repeat(depth), " }".repeat(depth)),
        2 => format!("[{}]\n", vec!["a"; depth].join(".")),
        _ => format!("{} = 1\n", vec!["plugins"; depth].join(".")),
    })
}
