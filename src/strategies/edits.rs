//! How numbers become edits.

use std::mem::discriminant;

use proptest::prelude::*;

use super::plainest::below;
use super::settings::{Edit, Leaf};
use super::shrink::{each, smaller, without};
use super::values;
use crate::containerd::Release;
use crate::containerd::handler::spellings;
use crate::containerd::load::default_config;
use crate::containerd::plugin;
use crate::containerd::setting::Kind;
use crate::value::{Table, Value};

/// One edit, as numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    leaf: usize,
    content: Content,
    name: usize,
    spelling: usize,
    /// Without what the setting does not do without.
    alone: bool,
}

/// What a setting is set to.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// A value of its type, by a number.
    Plain(usize),
    /// The zero value of its type.
    Zero,
    /// What the release has by default, as somebody copies it from a dump.
    Default,
}

/// Edits of settings. Those that decide from where images are pulled come more often
/// than others: there are few of them, and much depends on them.
pub(super) fn choices(leaves: &[&Leaf]) -> impl Strategy<Value = Choice> + use<> {
    let count = leaves.len();
    let decides = |leaf: &Leaf| ["mirrors", "tls"].iter().any(|key| leaf.path.contains(key));
    let all = leaves.iter().enumerate();
    let of_pulls = all.filter(|(_, leaf)| decides(leaf)).map(|(at, _)| at);
    let of_pulls: Vec<usize> = of_pulls.collect();
    let more = if of_pulls.is_empty() { 0 } else { count / 8 };
    let content = (below(10, 1), below(1000, 4)).prop_map(|(kind, number)| match kind {
        8 => Content::Zero,
        9 => Content::Default,
        _ => Content::Plain(number),
    });
    // A few of them in another spelling, and a few alone. No unions here: each costs
    // half of the numbers that a fuzzer gives.
    (below(count + more, 1), content, below(8, 8), below(24, 1)).prop_map(
        move |(leaf, content, name, spelling)| {
            let again = leaf.saturating_sub(count);
            let again = of_pulls.get(again % of_pulls.len().max(1));
            Choice {
                leaf: again.copied().filter(|_| leaf >= count).unwrap_or(leaf),
                content,
                name,
                spelling: spelling.saturating_sub(20),
                alone: spelling == 19,
            }
        },
    )
}

impl Choice {
    /// A setting with a plain value.
    pub(super) fn plain(leaf: usize) -> Choice {
        Choice {
            leaf,
            content: Content::Plain(0),
            name: 0,
            spelling: 0,
            alone: false,
        }
    }

    /// Simpler ones: the first setting that is there, or of the same table, a plain
    /// value, a plain name, and nothing beside it.
    pub(super) fn simpler(
        &self,
        leaves: &[&Leaf],
        is_there: impl Fn(&Leaf) -> bool,
    ) -> Vec<Choice> {
        let mut all = Vec::new();
        if let Some(own) = self.leaf(leaves) {
            let mut firsts: Vec<usize> = Vec::new();
            let mut add = |is_like: &dyn Fn(&Leaf) -> bool| {
                let mut before = leaves.iter().take(self.leaf);
                let first = before.position(|leaf| is_there(leaf) && is_like(leaf));
                firsts.extend(first.filter(|first| !firsts.contains(first)));
            };
            add(&|_| true);
            add(&|leaf| discriminant(&leaf.kind) == discriminant(&own.kind));
            for depth in 1..own.path.len() {
                add(&|leaf| leaf.path.get(..depth) == own.path.get(..depth));
            }
            // The same of another table, and the table of the same name elsewhere.
            let end = |leaf: &Leaf, at: usize| leaf.path.iter().rev().nth(at).copied();
            add(&|leaf| end(leaf, 0) == end(own, 0));
            add(&|leaf| end(leaf, 1) == end(own, 1));
            all.extend(firsts.into_iter().map(|leaf| Choice { leaf, ..*self }));
        }
        if !self.alone {
            let alone = true;
            all.push(Choice { alone, ..*self });
        }
        let contents = match self.content {
            Content::Plain(number) => smaller(number),
            _ => vec![0],
        };
        let content = |number| Choice {
            content: Content::Plain(number),
            ..*self
        };
        all.extend(contents.into_iter().map(content));
        all.extend((0..self.name).map(|name| Choice { name, ..*self }));
        all.extend((0..self.spelling).map(|spelling| Choice { spelling, ..*self }));
        all
    }

    /// Whether another is of another setting.
    pub(super) fn is_moved(&self, to: &Choice) -> bool {
        (self.leaf, self.name) != (to.leaf, to.name)
    }

    /// The same setting as another, if it is of the one that the other was.
    pub(super) fn moved(self, from: &Choice, to: &Choice) -> Choice {
        let is_of_it = (self.leaf, self.name) == (from.leaf, from.name);
        let (leaf, name) = match is_of_it {
            true => (to.leaf, to.name),
            false => (self.leaf, self.name),
        };
        Choice { leaf, name, ..self }
    }

    /// The handler that there is without being set.
    pub(super) fn runc(leaves: &[&Leaf]) -> Option<Choice> {
        let is_type = |leaf: &&Leaf| leaf.path.ends_with(&["runtimes", "*", "runtime_type"]);
        let leaf = leaves.iter().position(is_type)?;
        let name = values::HANDLERS.iter().position(|name| *name == "runc")?;
        Some(Choice {
            name,
            ..Choice::plain(leaf)
        })
    }

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
            // One half of a pair has every pull from the host fail.
            [.., "tls", "cert_file"] => edits.push(text(&path, 6, "key_file", "/path/0")),
            [.., "tls", "key_file"] => edits.push(text(&path, 6, "cert_file", "/path/0")),
            _ => {}
        }
        edits.retain(|edit: &Edit| edit.path != path && !choice.alone);
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

/// Fewer notes, and plainer ones in earlier lines.
pub(super) fn simpler_notes(notes: &[Note]) -> Vec<Vec<Note>> {
    let simpler = |(at, kind): &Note| {
        let at_first = smaller(*at).into_iter().map(|at| (at, *kind));
        at_first.chain((0..*kind).map(|kind| (*at, kind))).collect()
    };
    let mut all = without(notes);
    all.extend(each(notes, simpler));
    all
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
