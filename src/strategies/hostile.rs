//! Documents that nobody would write on purpose.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::files::{LegacyFile, LegacyFiles};
use crate::containerd::plugin;

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
/// proptest!(ProptestConfig::with_cases(16), |(text in hostile_texts())| {
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
    (file, prop::collection::vec(places, 1..4)).prop_map(|(file, damages)| spoil(&file, &damages))
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
