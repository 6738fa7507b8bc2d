//! How numbers become edits.

use proptest::prelude::*;

use super::plainest::below;
use super::settings::{Edit, Leaf};
use super::values;
use crate::containerd::Release;
use crate::containerd::handler::spellings;
use crate::containerd::load::default_config;
use crate::containerd::plugin;
use crate::containerd::setting::Kind;
use crate::value::{Table, Value};

/// One edit, as numbers. It shrinks towards a plain value under a plain name, and
/// towards the first setting if any will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    leaf: usize,
    content: Content,
    name: usize,
    spelling: usize,
}

/// What a setting is set to.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// A value of its type, by a number.
    Plain(u32),
    /// The zero value of its type.
    Zero,
    /// What the release has by default, as somebody copies it from a dump.
    Default,
}

/// Edits of a number of settings.
pub(super) fn choices(settings: usize) -> impl Strategy<Value = Choice> {
    let content = (below(10, 1), below(1000, 4)).prop_map(|(kind, number)| match kind {
        8 => Content::Zero,
        9 => Content::Default,
        _ => Content::Plain(u32::try_from(number).unwrap_or_default()),
    });
    // A few of them in another spelling. No unions here: each costs half of the
    // numbers that a fuzzer gives.
    let spelling = below(24, 1).prop_map(|number: usize| number.saturating_sub(20));
    (below(settings, 1), content, below(8, 8), spelling).prop_map(
        |(leaf, content, name, spelling)| Choice {
            leaf,
            content,
            name,
            spelling,
        },
    )
}

impl Choice {
    /// The same of the first so many settings.
    pub(super) fn of_first(mut self, settings: usize) -> Self {
        self.leaf %= settings.max(1);
        self
    }

    /// The setting, of those that there are to choose from. It is the same whatever
    /// it is put into: what is no edit there is left out by the caller.
    pub(super) fn leaf<'l>(&self, leaves: &[&'l Leaf]) -> Option<&'l Leaf> {
        leaves.get(self.leaf).copied()
    }
}

/// What edits are made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    /// Whose defaults are copied.
    pub(super) release: Release,
    /// Texts and names of any letters.
    pub(super) any_text: bool,
    /// Options of handlers in the other spellings that containerd 1.x reads.
    pub(super) spellings: bool,
}

impl Maker {
    /// A setting, and before it what it does not do without.
    pub(super) fn edits(&self, leaf: &Leaf, choice: &Choice) -> Vec<Edit> {
        let name = values::name(&leaf.path, choice.name, self.any_text);
        let mut path = leaf.named(name);
        let mut value = self.value(leaf, &path, choice.content);
        let mut edits = Vec::new();
        match leaf.path.as_slice() {
            ["proxy_plugins", "*", ..] => {
                edits.push(text(&path, 2, "type", "snapshot"));
                edits.push(text(&path, 2, "address", "/run/proxy.sock"));
            }
            [
                "plugins",
                plugin::CRI,
                "containerd",
                "runtimes",
                "*",
                rest @ ..,
            ] => {
                let is_kata = name.starts_with("kata");
                let runtime_type = match is_kata {
                    true => "io.containerd.kata.v2",
                    false => "io.containerd.runc.v2",
                };
                edits.push(text(&path, 5, "runtime_type", runtime_type));
                match rest {
                    ["runtime_type"] => value = Value::String(runtime_type.to_owned()),
                    // Which options count depends on the type.
                    ["options", _] if is_kata => {
                        let option = text(&path, 6, "ConfigPath", "/etc/kata/configuration.toml");
                        (path, value) = (option.path, option.value);
                    }
                    _ => {}
                }
                if let (["options", _], Some(key), true) = (rest, path.last_mut(), self.spellings) {
                    let mut all = spellings(key).into_iter();
                    key.clone_from(&all.nth(choice.spelling).unwrap_or_default());
                }
            }
            _ => {}
        }
        edits.retain(|edit: &Edit| edit.path != path);
        edits.push(Edit { path, value });
        edits
    }

    fn value(&self, leaf: &Leaf, path: &[String], content: Content) -> Value {
        let plain = |number| values::value(&leaf.path, leaf.kind, number, self.any_text);
        match content {
            Content::Plain(number) => plain(number),
            Content::Zero => zero(leaf.kind).unwrap_or_else(|| plain(0)),
            Content::Default => self.default(path).unwrap_or_else(|| plain(0)),
        }
    }

    fn default(&self, path: &[String]) -> Option<Value> {
        let edit = Edit {
            path: path.to_vec(),
            value: Value::Boolean(false),
        };
        let address = edit.address(self.release.config_version())?;
        at(&default_config(self.release), &address).cloned()
    }
}

/// A text beside a setting, in the table that the first keys of its path lead to.
fn text(path: &[String], depth: usize, key: &str, text: &str) -> Edit {
    let table = path.iter().take(depth).cloned();
    Edit {
        path: table.chain([key.to_owned()]).collect(),
        value: Value::String(text.to_owned()),
    }
}

fn zero(kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Bool => Value::Boolean(false),
        Kind::Int => Value::Integer(0),
        Kind::Float => Value::Float(0.0),
        Kind::Str => Value::String(String::new()),
        // containerd 1.x exits on an empty one.
        Kind::Duration => Value::String("0s".to_owned()),
        Kind::Strs | Kind::Bytes => Value::Array(Vec::new()),
        _ => return None,
    })
}

/// The value at a path.
pub(super) fn at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    let (last, tables) = path.split_last()?;
    let mut table = table;
    for key in tables {
        table = table.get(key)?.as_table()?;
    }
    table.get(last)
}

/// Adds an edit; what was at its path goes.
pub(super) fn add(edits: &mut Vec<Edit>, edit: Edit) {
    edits.retain(|other| other.path != edit.path);
    edits.push(edit);
}

/// At which line a comment or a blank line goes, and what it says.
pub(super) type Note = (usize, usize);

/// Comments above and behind lines, and blank lines.
pub(super) fn notes() -> impl Strategy<Value = Vec<Note>> {
    let note = (below(300, 2), below(6, 6));
    let notes = prop::collection::vec(note, 0..4);
    (notes, below(3, 1)).prop_map(|(notes, kind)| match kind {
        2 => notes,
        _ => Vec::new(),
    })
}

/// Puts notes into a text that has one key a line.
pub(super) fn with_notes(text: &str, notes: &[Note]) -> String {
    if notes.is_empty() {
        return text.to_owned();
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, number) in notes {
        let at = (*at).min(lines.len().saturating_sub(1));
        let above = |line: &str| line.to_owned();
        match (number, lines.get_mut(at)) {
            (0, _) => lines.insert(at, above("# because of the audit")),
            (1, _) => lines.insert(at, above("  ## see \"ticket\" 12 = [é]")),
            (2, _) => lines.insert(at, above("")),
            // A setting that somebody switched off.
            (3, _) => lines.insert(at, above("#snapshotter = \"native\"")),
            (_, Some(line)) if !line.trim().is_empty() && !line.contains('#') => {
                line.push_str(" # ticket 12");
            }
            (_, _) => lines.insert(at, above("#")),
        }
    }
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}
