//! Drop-ins: their text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::ledger::REDACTED;
use super::split::Concern;
use super::tree::{Content, Files, Id, ROOT, Tree};
use crate::containerd::place::is_secret_name;
use crate::k0s;
use crate::value::Value;
use crate::write::Writer;

/// A file for `/etc/k0s/containerd.d`.
#[derive(Clone)]
#[non_exhaustive]
pub struct DropIn {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// Whether it holds a credential and should be readable by root only.
    pub sensitive: bool,
    text: String,
    /// The text without the values of credentials.
    redacted: Option<String>,
}

impl DropIn {
    /// The text to write, credentials included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text to show: credentials are blotted out, and so are comments
    /// that might repeat them.
    pub fn redacted_text(&self) -> &str {
        self.redacted.as_deref().unwrap_or(&self.text)
    }
}

impl fmt::Debug for DropIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropIn")
            .field("name", &self.name)
            .field("sensitive", &self.sensitive)
            .field("text", &self.redacted_text())
            .finish()
    }
}

impl Serialize for DropIn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut shown = serializer.serialize_struct("DropIn", 4)?;
        shown.serialize_field("name", &self.name)?;
        shown.serialize_field("about", &self.about)?;
        shown.serialize_field("sensitive", &self.sensitive)?;
        shown.serialize_field("text", self.redacted_text())?;
        shown.end()
    }
}

/// How the header line of every drop-in begins.
const HEADER: &str = "# Written by containerd-dropins";

/// The config version of the drop-ins for k0s 1.27.5 – 1.35.
const CONFIG_VERSION: i64 = 2;

/// Writes the parts of the tree, a file for each concern.
pub(super) fn write(tree: &Tree, files: Files<'_>, parts: &[(Concern, Id)]) -> Vec<DropIn> {
    let mut by_concern: BTreeMap<&Concern, Vec<Id>> = BTreeMap::new();
    for (concern, id) in parts {
        by_concern.entry(concern).or_default().push(*id);
    }
    // A table's comments go to the first drop-in that has a key of it.
    let mut used = BTreeSet::new();
    let drop_ins = by_concern.into_iter().map(|(concern, ids)| {
        let commented = |id: &Id| {
            comments(tree, files, *id)
                .into_iter()
                .any(is_secret_comment)
        };
        let sensitive = ids
            .iter()
            .any(|id| tree.is_secret(*id) || commented(id) || commented(&tree.node(*id).parent));
        let mut used_shown = if sensitive {
            used.clone()
        } else {
            BTreeSet::new()
        };
        let text = text(tree, files, concern, &ids, &mut used, false);
        DropIn {
            name: concern.file_name(),
            about: concern.to_string(),
            sensitive,
            redacted: sensitive
                .then(|| self::text(tree, files, concern, &ids, &mut used_shown, true)),
            text,
        }
    });
    drop_ins.collect()
}

fn text(
    tree: &Tree,
    files: Files<'_>,
    concern: &Concern,
    ids: &[Id],
    used: &mut BTreeSet<Id>,
    redacted: bool,
) -> String {
    let mut writer = Writer::default();
    writer.comment(&format!(
        "{HEADER}: what {} held about {concern}.",
        k0s::CONFIG_FILE
    ));
    writer.key("version", &Value::Integer(CONFIG_VERSION), &[]);
    for id in ids {
        let node = tree.node(*id);
        let (table, key) = match &node.content {
            Content::Table(_) => (*id, None),
            Content::Leaf { value, .. } => (node.parent, Some(value)),
        };
        let mut above = Vec::new();
        let mut at = table;
        while at != ROOT && used.insert(at) {
            above.push(at);
            at = tree.node(at).parent;
        }
        let above = above.iter().rev().flat_map(|id| comments(tree, files, *id));
        let above: Vec<&str> = above.filter(|_| !redacted).collect();
        if table != ROOT {
            writer.open(&tree.path(table), &above);
        }
        if let Some(value) = key {
            let comments = match redacted {
                true => Vec::new(),
                false => comments(tree, files, *id),
            };
            let blotted = Value::String(REDACTED.to_owned());
            let shown = if redacted && tree.is_secret(*id) {
                &blotted
            } else {
                value
            };
            writer.key(&node.key, shown, &comments);
        }
    }
    writer.finish()
}

/// Whether a comment is a setting that was commented out and holds a credential.
fn is_secret_comment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.rsplit(['.', '#']).next().unwrap_or(key);
        is_secret_name(key.trim_matches([' ', '\t', '"', '\'']))
    })
}

/// The comments of a node, without the header of an earlier migration.
fn comments<'a>(tree: &Tree, files: Files<'a>, id: Id) -> Vec<&'a str> {
    let Some((file, comments)) = &tree.node(id).comments else {
        return Vec::new();
    };
    let Some(file) = files.0.get(*file) else {
        return Vec::new();
    };
    let mut lines = comments.lines(file.text());
    lines.retain(|line| !line.starts_with(HEADER));
    lines
}
