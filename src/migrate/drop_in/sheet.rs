//! The text of one drop-in.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Existing, Style, Used};
use crate::config::known::IMPORTS;
use crate::config::{Config, address};
use crate::containerd::place::Place;
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

    /// All that is to be written.
    pub(super) fn page(&self, used: &mut Used) -> Page<'a> {
        let [top, end] = self.about_file();
        let is_pasted = self.style.pasted && self.concern.is_cri();
        let version = Value::Integer(self.tree.version());
        let tables = self.tables();
        let tables = tables.chunk_by(|a, b| a.header() == b.header());
        Page {
            header: self.header(),
            top,
            version: (!is_pasted).then_some(version),
            imports: self.imports(),
            sections: tables.map(|keys| self.section(keys, used)).collect(),
            end,
        }
    }

    fn imports(&self) -> Option<Line<'a>> {
        let imports = self.all_imports();
        if imports.is_empty() {
            return None;
        }
        let own = self.ids.iter().filter(|id| self.is_imports(**id));
        let comments = own.flat_map(|id| self.comments_of(*id));
        Some(Line::new(
            "imports",
            Cow::Owned(Value::Array(imports)),
            Config::place_of(&["imports"]),
            comments.collect(),
        ))
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
        self.tree.is(id, IMPORTS)
    }

    /// The keys to write and the tables that are merely there, sorted: tables come
    /// before those in them, and the settings alone determine the order, so that
    /// the text is the same once it has been read again. Config version 3 has in one
    /// table what is in several here, and the other way round. The keys of one of
    /// these stay as they were.
    fn tables(&self) -> Vec<Written<'a>> {
        let ids = self.ids.iter().filter(|id| !self.is_imports(**id));
        let mut tables: Vec<Written<'a>> = ids.map(|id| Written::of(self.tree, *id)).collect();
        tables.sort_by(|a, b| a.header().cmp(b.header()));
        for keys in tables.chunk_by_mut(|a, b| a.header() == b.header()) {
            let parent = |key: &Written<'_>| self.tree.node(key.id).parent;
            let mut parents = keys.iter().map(parent);
            let first = parents.next();
            if parents.any(|parent| Some(parent) != first) {
                keys.sort_by_cached_key(|key| self.tree.path(parent(key)));
            }
        }
        tables
    }

    /// The lines of a table, and the comments above them.
    fn section(&self, keys: &[Written<'a>], used: &mut Used) -> Section<'a> {
        let header = keys.first().map_or(&[][..], Written::header);
        let mut section = Section {
            header: header.to_vec(),
            above: Vec::new(),
            lines: Vec::new(),
        };
        let mut inline: HashMap<&str, usize> = HashMap::new();
        for Written { id, path, .. } in keys {
            let around = self.tables_around(*id, used);
            let comments = |ids: Vec<Id>| ids.into_iter().flat_map(|id| self.comments_of(id));
            let value = self.value(*id);
            let Some((key, below)) = path.get(header.len()..).and_then(<[_]>::split_first) else {
                section.above.extend(comments(around));
                continue;
            };
            let place = self.tree.node(*id).place();
            let value = match value {
                Some(value) if below.is_empty() => {
                    section.above.extend(comments(around));
                    let comments = self.comments_of(*id).collect();
                    section.lines.push(Line::new(key, value, place, comments));
                    continue;
                }
                Some(value) => value.into_owned(),
                None => Value::Table(Table::new()),
            };
            let is_inside = |at: &Id| self.tree.written_path(*at).len() > header.len();
            let (mut inside, outside): (Vec<Id>, Vec<Id>) = around.into_iter().partition(is_inside);
            section.above.extend(comments(outside));
            inside.extend(self.tree.value(*id).map(|_| *id));
            let at = *inline.entry(key).or_insert_with(|| {
                section.lines.push(Line::of_table(key));
                section.lines.len() - 1
            });
            if let Some(line) = section.lines.get_mut(at) {
                let inside = comments(inside).collect();
                line.add_comments(inside);
                line.put(below, value, place);
            }
        }
        section
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
    fn value(&self, id: Id) -> Option<Cow<'a, Value>> {
        let value = self.tree.value(id)?;
        let node = self.tree.node(id);
        let listed = self.plugin_ids(node.parent, &node.key, value);
        Some(listed.map_or(Cow::Borrowed(value), Cow::Owned))
    }

    /// The plugin ids in a list as the target's config version has them.
    fn plugin_ids(&self, parent: Id, key: &str, value: &Value) -> Option<Value> {
        let is_list = parent == ROOT && plugin::LISTS.contains(&key);
        let is_array = value.as_array().is_some();
        let version = self.tree.version();
        (is_list && is_array)
            .then(|| address::with_ids(value, |id| address::plugin_id(version, id)))
    }

    /// The comments of a node, without the header of an earlier migration.
    fn comments_of(&self, id: Id) -> impl Iterator<Item = &'a str> + use<'a> {
        let lines = self.files.comments(self.tree, id).into_iter();
        lines.filter(|line| !line.starts_with(HEADER))
    }
}

/// A key to write, or a table that is merely there.
struct Written<'a> {
    id: Id,
    path: Vec<&'a str>,
    /// So many names of the path are those of the table that it is written in.
    in_header: usize,
}

impl<'a> Written<'a> {
    /// A name that no header can have ends the path of the table: what has it is
    /// written on one line.
    fn of(tree: &'a Tree, id: Id) -> Self {
        let path = tree.written_path(id);
        let is_leaf = matches!(tree.node(id).content, Content::Leaf { .. });
        let tables = path.len() - usize::from(is_leaf);
        let in_header = |key: &&&str| write::is_portable_in_header(key);
        let in_header = path.iter().take(tables).take_while(in_header).count();
        Written {
            id,
            path,
            in_header,
        }
    }

    fn header(&self) -> &[&'a str] {
        self.path.get(..self.in_header).unwrap_or_default()
    }
}

/// All that a drop-in says.
pub(super) struct Page<'a> {
    header: String,
    /// Comments about the file, as are those at its end.
    top: Vec<&'a str>,
    version: Option<Value>,
    imports: Option<Line<'a>>,
    sections: Vec<Section<'a>>,
    end: Vec<&'a str>,
}

/// A table, and the comments above its header.
struct Section<'a> {
    header: Vec<&'a str>,
    above: Vec<&'a str>,
    lines: Vec<Line<'a>>,
}

/// A key of a table, with its value and comments.
struct Line<'a> {
    key: &'a str,
    value: Cow<'a, Value>,
    /// What is shown in place of the value.
    shown: Option<Value>,
    /// Those of each key that is written here, in front of all of them.
    comments: Vec<Vec<&'a str>>,
}

impl<'a> Line<'a> {
    fn new(
        key: &'a str,
        value: Cow<'a, Value>,
        place: Option<Place>,
        comments: Vec<&'a str>,
    ) -> Self {
        let mut line = Line {
            key,
            shown: shown::in_place_of(place, &value),
            value,
            comments: Vec::new(),
        };
        line.add_comments(comments);
        line
    }

    fn add_comments(&mut self, comments: Vec<&'a str>) {
        if !comments.is_empty() {
            self.comments.push(comments);
        }
    }

    /// A table on one line, with nothing in it so far.
    fn of_table(key: &'a str) -> Self {
        Line {
            key,
            value: Cow::Owned(Value::Table(Table::new())),
            shown: Some(Value::Table(Table::new())),
            comments: Vec::new(),
        }
    }

    /// Puts a value into it, if it is a table.
    fn put(&mut self, path: &[&str], value: Value, place: Option<Place>) {
        if let Some(Value::Table(shown)) = &mut self.shown {
            let names = shown::names(path);
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            put_at(shown, &names, shown::by_place(place, value.clone()));
        }
        if let Value::Table(table) = self.value.to_mut() {
            put_at(table, path, value);
        }
    }
}

impl Page<'_> {
    /// Whether not all of it is to be shown.
    pub(super) fn hides_anything(&self) -> bool {
        let is_hidden = |name: &str| matches!(shown::name(name), Cow::Owned(_));
        let in_line = |line: &Line<'_>| {
            line.shown.is_some() || !line.comments.is_empty() || is_hidden(line.key)
        };
        let in_section = |section: &Section<'_>| {
            let names = &section.header;
            !section.above.is_empty()
                || names.iter().any(|name| is_hidden(name))
                || section.lines.iter().any(in_line)
        };
        !self.top.is_empty()
            || !self.end.is_empty()
            || self.imports.iter().any(in_line)
            || self.sections.iter().any(in_section)
    }

    /// The text to write, or the one to show.
    pub(super) fn text(&self, redacted: bool) -> String {
        let mut writer = Writer::default();
        writer.comment(&self.header);
        let top = comments(&self.top, redacted);
        top.iter().for_each(|line| writer.comment(line));
        if !top.is_empty() {
            writer.blank();
        }
        if let Some(version) = &self.version {
            writer.key("version", version, &[]);
        }
        let write = |writer: &mut Writer, line: &Line<'_>| {
            let key = name(line.key, redacted);
            let value = line.shown.as_ref().filter(|_| redacted);
            let value = value.unwrap_or(&line.value);
            let each = line.comments.iter();
            let comments: Vec<_> = each.flat_map(|lines| comments(lines, redacted)).collect();
            writer.key(&key, value, &comments);
        };
        if let Some(imports) = &self.imports {
            write(&mut writer, imports);
        }
        for section in &self.sections {
            let header = section.header.iter().map(|key| name(key, redacted));
            let header: Vec<Cow<'_, str>> = header.collect();
            if !header.is_empty() {
                writer.open(&header, &comments(&section.above, redacted));
            }
            for line in &section.lines {
                write(&mut writer, line);
            }
        }
        if !self.end.is_empty() {
            writer.blank();
            for line in comments(&self.end, redacted) {
                writer.comment(&line);
            }
        }
        writer.finish()
    }
}

/// Comments to write, or what stands for them.
fn comments<'a>(lines: &[&'a str], redacted: bool) -> Vec<Cow<'a, str>> {
    let lines = lines.iter().copied();
    match redacted {
        true => shown::comment(lines).map(Cow::Owned).into_iter().collect(),
        false => lines.map(Cow::Borrowed).collect(),
    }
}

/// A name to write, or what may be shown of it.
fn name(name: &str, redacted: bool) -> Cow<'_, str> {
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
