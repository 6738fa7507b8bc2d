//! Drop-ins: their text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Serialize, Serializer};

use super::ledger::REDACTED;
use super::split::Concern;
use super::tree::{Content, Files, Id, ROOT, Tree};
use crate::Document;
use crate::config::address;
use crate::containerd::place::{has_user, is_secret_name, without_user};
use crate::value::{Value, table_of};
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

/// How the drop-ins are to be written.
#[derive(Debug)]
pub(super) struct Style<'a> {
    /// What the settings come from.
    pub(super) origin: &'a str,
    /// k0s pastes drop-ins with CRI settings behind other text: a key at their
    /// top would not be one.
    pub(super) pasted: bool,
    /// Existing drop-ins, which keep what is said about them as a whole.
    pub(super) existing: &'a [Existing<'a>],
}

/// An existing drop-in.
#[derive(Debug)]
pub(super) struct Existing<'a> {
    pub(super) name: String,
    pub(super) document: &'a Document,
}

/// Writes the parts of the tree, a file for each concern.
pub(super) fn write(
    tree: &Tree,
    files: Files<'_>,
    parts: &[(Concern, Id)],
    style: &Style<'_>,
) -> Vec<DropIn> {
    let mut by_concern: BTreeMap<Concern, Vec<Id>> = BTreeMap::new();
    for (concern, id) in parts {
        match by_concern.get_mut(concern) {
            Some(ids) => ids.push(*id),
            None => drop(by_concern.insert(concern.clone(), vec![*id])),
        }
    }
    // What imports a file may have nothing else to say.
    let mut imports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for concern in by_concern.keys() {
        if let Some(importer) = concern.importer() {
            imports.entry(importer).or_default().push(concern.import());
        }
    }
    for importer in imports.keys() {
        by_concern
            .entry(Concern::File(importer.clone()))
            .or_default();
    }
    // A table's comments go to the first drop-in that has a key of it.
    let mut used = BTreeSet::new();
    let mut drop_ins = Vec::new();
    for (concern, ids) in &by_concern {
        let name = concern.file_name();
        let sheet = Sheet {
            tree,
            files,
            style,
            concern,
            ids,
            imports: imports.get(&name).map_or(&[], Vec::as_slice),
            existing: style.existing.iter().find(|existing| existing.name == name),
        };
        let used_before = used.clone();
        let text = sheet.text(&mut used, false);
        let text = sheet.unchanged(&text).unwrap_or(text);
        let sensitive = sheet.is_sensitive(&text);
        let mut used_shown = used_before;
        drop_ins.push(DropIn {
            about: sheet.about(),
            sensitive,
            redacted: sensitive.then(|| sheet.text(&mut used_shown, true)),
            text,
            name,
        });
    }
    drop_ins.sort_by(|a, b| {
        a.name
            .contains('/')
            .cmp(&b.name.contains('/'))
            .then_with(|| a.name.cmp(&b.name))
    });
    drop_ins
}

/// All that is to be known for one text.
struct Sheet<'a> {
    tree: &'a Tree,
    files: Files<'a>,
    style: &'a Style<'a>,
    concern: &'a Concern,
    ids: &'a [Id],
    imports: &'a [String],
    existing: Option<&'a Existing<'a>>,
}

impl<'a> Sheet<'a> {
    fn about(&self) -> String {
        match (self.concern, self.existing, self.imports) {
            (Concern::File(_), Some(_), _) => "carried over".to_owned(),
            (Concern::File(_), None, [nested, ..]) => format!("imports {nested}"),
            (concern, ..) => concern.to_string(),
        }
    }

    /// Whether a value, a name or a comment in the text is a credential.
    fn is_sensitive(&self, text: &str) -> bool {
        let named = |id: Id| self.tree.path(id).into_iter().any(has_user);
        let secret = |id: &Id| self.tree.is_secret(*id) || named(*id);
        let comments = text.lines().filter_map(|line| line.split_once('#'));
        self.ids.iter().any(secret)
            || comments
                .map(|(_, comment)| comment)
                .any(|comment| is_secret_comment(comment) || has_user(comment))
    }

    fn header(&self) -> String {
        let Style { origin, .. } = self.style;
        let header = match (self.concern, self.imports) {
            (Concern::File(name), _) if self.existing.is_some() => format!(
                "{HEADER}: {origin}/{name} in config version {}.",
                self.tree.version()
            ),
            (Concern::File(_), _) => format!("{HEADER}: imports what k0s would refuse here."),
            (Concern::Nested(name), _) => {
                format!("{HEADER}: what {origin}/{name} held about the stream server.")
            }
            (concern, _) => format!("{HEADER}: what {origin} held about {concern}."),
        };
        // Names of files and handlers may hold what no comment can.
        header.replace(char::is_control, "\u{fffd}")
    }

    /// The text of an existing drop-in, if what is to be written says the same.
    fn unchanged(&self, text: &str) -> Option<String> {
        let document = self.existing?.document;
        let own = document.text();
        let parse = |text: &str| {
            let parsed = toml_edit::Document::parse(text).ok()?;
            let mut table = table_of(parsed.as_table());
            let version = table.remove("version");
            Some((table, version))
        };
        let (is, version) = parse(own)?;
        let fits = version.is_none_or(|version| version == Value::Integer(self.tree.version()));
        (document.is_plain() && fits && is == parse(text)?.0).then(|| own.to_owned())
    }

    /// The comments about an existing drop-in as a whole: at its top, and at
    /// its end.
    fn about_file(&self) -> [Vec<&'a str>; 2] {
        let lines = self
            .existing
            .map(|existing| existing.document.comments_of_file());
        let mut lines = lines.unwrap_or_default();
        if let Some(top) = lines.first_mut() {
            top.retain(|line| !line.starts_with(HEADER));
        }
        lines
    }

    fn text(&self, used: &mut BTreeSet<Id>, redacted: bool) -> String {
        let mut writer = Writer::default();
        writer.comment(&self.header());
        let [top, end] = match redacted {
            true => [Vec::new(), Vec::new()],
            false => self.about_file(),
        };
        top.iter().for_each(|line| writer.comment(line));
        if !top.is_empty() {
            writer.blank();
        }
        if !(self.style.pasted && self.concern.is_cri()) {
            writer.key("version", &Value::Integer(self.tree.version()), &[]);
        }
        let imports = self.all_imports();
        if !imports.is_empty() {
            let own = self
                .ids
                .iter()
                .filter(|id| !redacted && self.is_imports(**id));
            let comments: Vec<&str> = own.flat_map(|id| self.comments(*id)).collect();
            writer.key("imports", &Value::Array(imports), &comments);
        }
        for (path, ids) in self.tables() {
            let mut above = Vec::new();
            for id in &ids {
                let mut at = match self.tree.value(*id) {
                    Some(_) => self.tree.node(*id).above(),
                    None => *id,
                };
                let start = above.len();
                while at != ROOT && used.insert(at) {
                    above.insert(start, at);
                    at = self.tree.node(at).above();
                }
            }
            let above = above.iter().flat_map(|id| self.comments(*id));
            let above: Vec<&str> = above.filter(|_| !redacted).collect();
            if redacted {
                let shown: Vec<String> = path.iter().map(|key| without_user(key)).collect();
                let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
                if !shown.is_empty() {
                    writer.open(&shown, &above);
                }
            } else if !path.is_empty() {
                writer.open(&path, &above);
            }
            for id in ids {
                self.key(&mut writer, id, redacted);
            }
        }
        if !end.is_empty() && !redacted {
            writer.blank();
            end.iter().for_each(|line| writer.comment(line));
        }
        writer.finish()
    }

    /// The imports that an existing drop-in has, and the new ones.
    fn all_imports(&self) -> Vec<Value> {
        let own = self.ids.iter().filter(|id| self.is_imports(**id));
        let own = own.filter_map(|id| self.tree.value(*id)?.as_array());
        let mut imports: Vec<Value> = own.flatten().cloned().collect();
        for import in self.imports {
            let import = Value::String(import.clone());
            if !imports.contains(&import) {
                imports.push(import);
            }
        }
        imports
    }

    fn is_imports(&self, id: Id) -> bool {
        self.tree.path(id) == ["imports"]
    }

    /// The tables to write and what is in them, in the order in which they
    /// first occur.
    fn tables(&self) -> Vec<(Vec<&'a str>, Vec<Id>)> {
        let mut tables: Vec<(Vec<&str>, Vec<Id>)> = Vec::new();
        let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
        let mut last = None;
        for id in self.ids.iter().filter(|id| !self.is_imports(**id)) {
            let node = self.tree.node(*id);
            let is_leaf = matches!(node.content, Content::Leaf { .. });
            // The next key of the same table, most of the time.
            if let Some((parent, at)) = last
                && self.tree.version() == 2
                && is_leaf
                && parent == node.parent
                && let Some((_, ids)) = tables.get_mut(at)
            {
                let ids: &mut Vec<Id> = ids;
                ids.push(*id);
                continue;
            }
            let mut path = self.tree.written_path(*id);
            if is_leaf {
                path.pop();
            }
            let at = *places.entry(path.clone()).or_insert_with(|| {
                tables.push((path, Vec::new()));
                tables.len() - 1
            });
            if let Some((_, ids)) = tables.get_mut(at) {
                ids.push(*id);
            }
            last = is_leaf.then_some((node.parent, at));
        }
        if self.tree.version() > 2 {
            together(&mut tables);
        }
        tables
    }

    fn key(&self, writer: &mut Writer, id: Id, redacted: bool) {
        let Some(value) = self.tree.value(id) else {
            return;
        };
        let comments = match redacted {
            true => Vec::new(),
            false => self.comments(id),
        };
        let node = self.tree.node(id);
        let listed = self.plugin_ids(node.parent, &node.key, value);
        let blotted = Value::String(REDACTED.to_owned());
        let shown = match (redacted && self.tree.is_secret(id), &listed) {
            (true, _) => &blotted,
            (false, Some(listed)) => listed,
            (false, None) => value,
        };
        let path = self.tree.written_path(id);
        let key = path.last().copied().unwrap_or_default();
        match redacted {
            true => writer.key(&without_user(key), shown, &comments),
            false => writer.key(key, shown, &comments),
        }
    }

    /// The plugin ids in a list as the target's config version has them.
    fn plugin_ids(&self, parent: Id, key: &str, value: &Value) -> Option<Value> {
        let is_list = parent == ROOT && matches!(key, "disabled_plugins" | "required_plugins");
        let items = value.as_array().filter(|_| is_list)?;
        let version = self.tree.version();
        let renamed = |item: &Value| match item {
            Value::String(id) => Value::String(address::plugin_id(version, id).to_owned()),
            other => other.clone(),
        };
        Some(Value::Array(items.iter().map(renamed).collect()))
    }

    /// The comments of a node, without the header of an earlier migration.
    fn comments(&self, id: Id) -> Vec<&'a str> {
        let Some((file, comments)) = &self.tree.node(id).comments else {
            return Vec::new();
        };
        let Some(file) = self.files.0.get(*file) else {
            return Vec::new();
        };
        let mut lines = comments.lines(file.text());
        lines.retain(|line| !line.starts_with(HEADER));
        lines
    }
}

/// Brings the tables of a plugin together, so that the text is the same once it
/// has been read again.
fn together<'a>(tables: &mut [(Vec<&'a str>, Vec<Id>)]) {
    let section = |path: &[&'a str]| -> Vec<&'a str> { path.iter().take(2).copied().collect() };
    let mut order: HashMap<Vec<&str>, usize> = HashMap::new();
    for (path, _) in tables.iter() {
        let next = order.len();
        order.entry(section(path)).or_insert(next);
    }
    tables.sort_by_cached_key(|(path, _)| order.get(&section(path)).copied());
}

/// Whether a comment is a setting that was commented out and holds a credential.
fn is_secret_comment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.rsplit(['.', '#']).next().unwrap_or(key);
        is_secret_name(key.trim_matches([' ', '\t', '"', '\'']))
    })
}
