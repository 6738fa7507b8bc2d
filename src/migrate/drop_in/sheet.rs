//! The text of one drop-in.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Existing, Style, Used};
use crate::config::{Config, address};
use crate::containerd::plugin;
use crate::migrate::split::Concern;
use crate::migrate::tree::{Content, Files, Id, ROOT, Tree};
use crate::shown;
use crate::value::{Table, Value, put_at, table_of};
use crate::write::{self, Writer};

/// How the header line of every file that is written begins.
pub(in crate::migrate) const HEADER: &str = "# Written by containerd-dropins";

/// All that is to be known for one text.
pub(super) struct Sheet<'a> {
    pub(super) tree: &'a Tree,
    pub(super) files: Files<'a>,
    pub(super) style: &'a Style<'a>,
    pub(super) concern: &'a Concern,
    pub(super) ids: &'a [Id],
    pub(super) imports: &'a [String],
    pub(super) existing: Option<&'a Existing<'a>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn about(&self) -> String {
        match (self.concern, self.existing, self.imports) {
            (Concern::File(_), Some(_), _) => "carried over".to_owned(),
            (Concern::File(_), None, [nested, ..]) => format!("imports {nested}"),
            (concern, ..) => concern.to_string(),
        }
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
        shown::printable(&header).into_owned()
    }

    /// The text of an existing drop-in, if what is to be written says the same.
    pub(super) fn unchanged(&self, text: &str) -> Option<String> {
        let document = self.existing?.document;
        let own = document.text();
        if without_header(own) == without_header(text) {
            return Some(own.to_owned());
        }
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

    pub(super) fn text(&self, used: &mut Used, redacted: bool) -> String {
        let mut writer = Writer::default();
        writer.comment(&self.header());
        let [top, end] = self.about_file();
        let [top, end] = [top, end].map(|lines| shown_comments(lines, redacted));
        top.iter().for_each(|line| writer.comment(line));
        if !top.is_empty() {
            writer.blank();
        }
        if !(self.style.pasted && self.concern.is_cri()) {
            writer.key("version", &Value::Integer(self.tree.version()), &[]);
        }
        let imports = self.all_imports();
        if !imports.is_empty() {
            let own: Vec<Id> = self
                .ids
                .iter()
                .copied()
                .filter(|id| self.is_imports(*id))
                .collect();
            let comments = self.comments_of(&own, redacted);
            let imports = match redacted {
                true => shown::by_place(Config::place_of(&["imports"]), Value::Array(imports)),
                false => Value::Array(imports),
            };
            writer.key("imports", &imports, &comments);
        }
        for (header, ids) in self.tables() {
            let (above, lines) = self.section(&header, &ids, used, redacted);
            let header = shown_names(&header, redacted);
            let header: Vec<&str> = header.iter().map(AsRef::as_ref).collect();
            if !header.is_empty() {
                writer.open(&header, &above);
            }
            for line in lines {
                let key = shown_name(line.key, redacted);
                writer.key(&key, &line.value, &line.comments);
            }
        }
        if !end.is_empty() {
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

    /// The tables to write and what is in them, sorted. A name that no header can have ends the path of a table:
    /// what has it is written on one line.
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
            let in_header = |key: &&str| write::is_portable_in_header(key);
            path.truncate(path.iter().take_while(|key| in_header(key)).count());
            let at = *places.entry(path.clone()).or_insert_with(|| {
                tables.push((path, Vec::new()));
                tables.len() - 1
            });
            if let Some((_, ids)) = tables.get_mut(at) {
                ids.push(*id);
            }
            last = is_leaf.then_some((node.parent, at));
        }
        self.in_order(&mut tables);
        tables
    }

    /// Brings tables into an order that the settings alone determine, tables
    /// before those in them, so that the text is the same once it has been read
    /// again: config version 3 has in one table what is in several here, and the
    /// other way round. The keys of one of these stay as they were.
    fn in_order(&self, tables: &mut [(Vec<&'a str>, Vec<Id>)]) {
        tables.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, ids) in tables {
            let parent = |id: &Id| self.tree.node(*id).parent;
            let mut parents = ids.iter().map(parent);
            let first = parents.next();
            if parents.any(|parent| Some(parent) != first) {
                ids.sort_by_cached_key(|id| self.tree.path(parent(id)));
            }
        }
    }

    /// The comments above the header of a table, and the lines below it.
    fn section(
        &self,
        header: &[&str],
        ids: &[Id],
        used: &mut Used,
        redacted: bool,
    ) -> (Vec<Cow<'a, str>>, Vec<Line<'a>>) {
        let mut above = Vec::new();
        let mut lines: Vec<Line<'a>> = Vec::new();
        let mut inline: HashMap<&str, usize> = HashMap::new();
        for id in ids {
            let around = self.tables_around(*id, used);
            let path = self.tree.written_path(*id);
            let value = self.shown(*id, redacted);
            let Some((key, below)) = path.get(header.len()..).and_then(<[_]>::split_first) else {
                above.extend(around);
                continue;
            };
            let value = match value {
                Some(value) if below.is_empty() => {
                    above.extend(around);
                    let comments = self.comments_of(&[*id], redacted);
                    lines.push(Line {
                        key,
                        value,
                        comments,
                    });
                    continue;
                }
                Some(value) => value.into_owned(),
                None => Value::Table(Table::new()),
            };
            let is_inside = |at: &Id| self.tree.written_path(*at).len() > header.len();
            let (mut inside, outside): (Vec<Id>, Vec<Id>) = around.into_iter().partition(is_inside);
            above.extend(outside);
            inside.extend(self.tree.value(*id).map(|_| *id));
            let at = *inline.entry(key).or_insert_with(|| {
                lines.push(Line {
                    key,
                    value: Cow::Owned(Value::Table(Table::new())),
                    comments: Vec::new(),
                });
                lines.len() - 1
            });
            if let Some(line) = lines.get_mut(at)
                && let Value::Table(table) = line.value.to_mut()
            {
                line.comments.extend(self.comments_of(&inside, redacted));
                let below = shown_names(below, redacted);
                let below: Vec<&str> = below.iter().map(AsRef::as_ref).collect();
                put_at(table, &below, value);
            }
        }
        (self.comments_of(&above, redacted), lines)
    }

    /// The tables that a node is in, or is, outermost first: those that no
    /// drop-in has had yet.
    fn tables_around(&self, id: Id, used: &mut Used) -> Vec<Id> {
        let mut tables = Vec::new();
        let mut at = match self.tree.value(id) {
            Some(_) => self.tree.node(id).above(),
            None => id,
        };
        while at != ROOT && used.insert(at) {
            tables.push(at);
            at = self.tree.node(at).above();
        }
        tables.reverse();
        tables
    }

    /// The value to write.
    fn shown(&self, id: Id, redacted: bool) -> Option<Cow<'a, Value>> {
        let value = self.tree.value(id)?;
        let node = self.tree.node(id);
        let listed = self.plugin_ids(node.parent, &node.key, value);
        let value = listed.map_or(Cow::Borrowed(value), Cow::Owned);
        Some(match redacted {
            true => Cow::Owned(shown::by_place(node.place(), value.into_owned())),
            false => value,
        })
    }

    /// The plugin ids in a list as the target's config version has them.
    fn plugin_ids(&self, parent: Id, key: &str, value: &Value) -> Option<Value> {
        let is_list = parent == ROOT && plugin::LISTS.contains(&key);
        let is_array = value.as_array().is_some();
        let version = self.tree.version();
        (is_list && is_array)
            .then(|| address::with_ids(value, |id| address::plugin_id(version, id)))
    }

    /// The comments of nodes, without the header of an earlier migration.
    fn comments_of(&self, ids: &[Id], redacted: bool) -> Vec<Cow<'a, str>> {
        let ids = ids.iter();
        let lines = ids.flat_map(|id| self.files.comments(self.tree, *id));
        let lines = lines.filter(|line| !line.starts_with(HEADER)).collect();
        shown_comments(lines, redacted)
    }
}

/// A key of a table, with its value and comments.
struct Line<'a> {
    key: &'a str,
    value: Cow<'a, Value>,
    comments: Vec<Cow<'a, str>>,
}

/// Comments to write, or what stands for them.
fn shown_comments(lines: Vec<&str>, redacted: bool) -> Vec<Cow<'_, str>> {
    match redacted {
        true => shown::comment(lines).map(Cow::Owned).into_iter().collect(),
        false => lines.into_iter().map(Cow::Borrowed).collect(),
    }
}

/// Names to write, or what may be shown of them.
fn shown_names<'a>(names: &[&'a str], redacted: bool) -> Vec<Cow<'a, str>> {
    let names = names.iter();
    names.map(|name| shown_name(name, redacted)).collect()
}

fn shown_name(name: &str, redacted: bool) -> Cow<'_, str> {
    match redacted {
        true => shown::name(name),
        false => Cow::Borrowed(name),
    }
}

fn without_header(text: &str) -> &str {
    match text.split_once('\n') {
        Some((line, rest)) if line.starts_with(HEADER) => rest,
        _ => text,
    }
}
