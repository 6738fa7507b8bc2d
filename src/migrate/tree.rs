//! The settings of the input in one tree: plugins by URI, whatever the config
//! version, with the declaration and the source of each.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;

use crate::Document;
use crate::config::Config;
use crate::config::address::{self, Dialect};
use crate::config::table::Known;
use crate::containerd::Release;
use crate::containerd::place::Place;
use crate::containerd::setting::Merge;
use crate::diagnostic::{Code, Finding, Span};
use crate::document::Comments;
use crate::shown::{self, Redacted};
use crate::value::{Table, Value};

/// A node of a [`Tree`].
pub(super) type Id = usize;

/// The node at the top.
pub(super) const ROOT: Id = 0;

/// Where something stands: the number of the input file, and the place in it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: usize,
    /// The bytes of the key.
    pub(super) at: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: Id,
    pub(super) key: String,
    /// The key as the input spells it, where that differs.
    pub(super) spelled: Option<Box<str>>,
    /// The declaration; `None` for what no containerd release knows.
    pub(super) place: Option<Place>,
    pub(super) content: Content,
    /// Where it stands, or where what it was made from stands.
    pub(super) sources: Vec<Source>,
    /// The value in the input, where the migration changed it.
    pub(super) original: Option<Box<Value>>,
    /// The table that the key stands in, where that is not the one of its
    /// setting: config version 3 moved it.
    pub(super) shell: Option<Id>,
    /// Its place among the children of its parent; none of one that was taken
    /// out.
    pub(super) slot: Option<usize>,
    /// Which of two keys of a file that are the same setting counts.
    pub(super) rank: u8,
    /// A table without a single key in the input.
    pub(super) is_empty: bool,
    /// The migration made it; the ledger lists what it was made from.
    pub(super) is_made: bool,
    pub(super) comments: Option<Box<(usize, Comments)>>,
}

#[derive(Debug)]
pub(super) enum Content {
    Table(Vec<Id>),
    Leaf { value: Value, verdict: Verdict },
}

impl Node {
    /// A node that the migration makes.
    fn made(parent: Id, key: String, place: Option<Place>, content: Content) -> Self {
        Node {
            key,
            place,
            content,
            is_made: true,
            ..Node::table(parent)
        }
    }

    /// An empty table without a name.
    pub(super) fn table(parent: Id) -> Self {
        Node {
            parent,
            key: String::new(),
            spelled: None,
            place: None,
            content: Content::Table(Vec::new()),
            sources: Vec::new(),
            original: None,
            shell: None,
            slot: None,
            rank: address::OWN,
            is_empty: false,
            is_made: false,
            comments: None,
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    pub(super) fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// The comments of a file's key, if there are any.
    pub(super) fn set_comments(&mut self, file: usize, comments: Comments, text: &str) {
        let say_anything = comments.say_anything(text);
        self.comments = say_anything.then(|| Box::new((file, comments)));
    }

    /// Whether it is a value in the place of a table of settings.
    pub(super) fn is_misfit(&self) -> bool {
        let is_leaf = matches!(self.content, Content::Leaf { .. });
        is_leaf && self.place().is_some_and(|place| place.is_table())
    }

    /// What the node stands in, in the input.
    pub(super) fn above(&self) -> Id {
        self.shell.unwrap_or(self.parent)
    }
}

/// What becomes of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Not decided yet.
    Pending,
    /// Goes into a drop-in.
    Keep(Why),
    /// Does not, for the reason given.
    Drop(Dropped, String),
    /// Went to other keys.
    Converted(Vec<Id>, String),
    /// Went to `hosts.toml` files, by their paths on the node.
    Moved(Vec<String>),
}

/// Why a leaf is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// The user chose it.
    Edit(String),
    /// The user chose it, and it has a successor's value now.
    Converted(String),
    /// containerd does not know it.
    Unknown(String),
    /// Nobody wrote it: the migration owes it to a node of the input.
    Companion { owed_to: Id, why: String },
    /// It stands in a file that is not rewritten.
    Elsewhere(String),
}

/// Why a leaf is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    TargetDefault,
    /// Converted to what the target has by itself.
    SuccessorDefault,
    StaleDefault,
    Owned,
    NoEffect,
    /// The target's containerd has it no more.
    Obsolete,
    NotExpressible,
}

/// All settings of the input.
#[derive(Debug)]
pub(super) struct Tree {
    #[expect(clippy::vec_box, reason = "it grows without moving the nodes")]
    nodes: Vec<Box<Node>>,
    /// Children by name, of the nodes that were searched.
    index: HashMap<Id, HashMap<String, Id>>,
    /// Tables that went to `hosts.toml` files.
    moved: HashMap<Id, Vec<String>>,
    /// Tables that are not written, although their existence says something.
    dropped: HashMap<Id, (Dropped, String)>,
    /// How it is to be written.
    dialect: Dialect,
    /// The config version by which it was read.
    read_as: i64,
    /// The same of each of its files.
    files_read_as: Vec<ReadAs>,
    /// k0s merged it into containerd's defaults.
    joins_defaults: bool,
}

/// The config version by which a file was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAs {
    pub(super) version: i64,
    /// The file states no version, and this is the first that it can be of.
    pub(super) is_meant: bool,
}

impl ReadAs {
    /// Whether `config default` of a release prints files of this version: each
    /// writes the highest that it reads.
    pub(super) fn is_written_by(self, release: Release) -> bool {
        let written = release.config_version();
        written == self.version || self.is_meant && self.version >= 3 && written > self.version
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree {
            nodes: vec![Box::new(Node::made(
                ROOT,
                String::new(),
                Some(Config::place()),
                Content::Table(Vec::new()),
            ))],
            index: HashMap::new(),
            moved: HashMap::new(),
            dropped: HashMap::new(),
            dialect: Dialect::from(2),
            read_as: 2,
            files_read_as: Vec::new(),
            joins_defaults: false,
        }
    }

    /// Notes the config version by which the next file is read.
    pub(super) fn file_read_as(&mut self, read_as: ReadAs) {
        self.files_read_as.push(read_as);
    }

    /// The config versions by which the files were read.
    pub(super) fn files_read_as(&self) -> &[ReadAs] {
        &self.files_read_as
    }

    /// The number of the file that a node stands in.
    pub(super) fn file_of(&self, id: Id) -> Option<usize> {
        self.node(id).sources.first().map(|source| source.file)
    }

    /// Whether `config default` of a release could have written the file that a
    /// node stands in.
    pub(super) fn is_written_by(&self, id: Id, release: Release) -> bool {
        let file = self.file_of(id);
        let read_as = file.and_then(|file| self.files_read_as.get(file));
        read_as.is_some_and(|read_as| read_as.is_written_by(release))
    }

    /// Notes the config version by which it was read.
    pub(super) fn read_as(&mut self, version: i64) {
        self.read_as = version;
    }

    /// Notes that k0s 1.27.5 – 1.35 merged it into containerd's defaults, so
    /// that a handler has what the defaults say beside what the input says.
    pub(super) fn join_defaults(&mut self) {
        self.joins_defaults = true;
    }

    /// Whether k0s merged it into containerd's defaults.
    pub(super) fn joins_defaults(&self) -> bool {
        self.joins_defaults
    }

    /// Whether containerd 1.x could read the input.
    pub(super) fn is_of_1_x(&self) -> bool {
        self.read_as < 3
    }

    /// Whether containerd 1.x could read the file that a node stands in.
    pub(super) fn is_in_file_of_1_x(&self, id: Id) -> bool {
        let file = self.file_of(id);
        let read_as = file.and_then(|file| self.files_read_as.get(file));
        read_as.map_or(self.is_of_1_x(), |read_as| read_as.version < 3)
    }

    /// Sets how it is to be written.
    pub(super) fn write_as(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Whether a node is this setting.
    pub(super) fn is(&self, id: Id, known: Known) -> bool {
        self.node(id).place().is_some_and(|place| place.is(known))
    }

    /// Whether a node is in this table, or is it.
    pub(super) fn is_in(&self, id: Id, table: Known) -> bool {
        self.upwards(id).any(|at| self.is(at, table))
    }

    /// Whether a node is a declared setting, or a table of some.
    pub(super) fn is_setting(&self, id: Id) -> bool {
        self.node(id).place().is_some()
    }

    /// The config version in which it is to be written.
    pub(super) fn version(&self) -> i64 {
        self.dialect.version
    }

    /// The path of a node as it is written.
    pub(super) fn written_path(&self, id: Id) -> Vec<&str> {
        let path = self.path(id);
        match self.version() {
            2 => path,
            3 if self.is_zero_of_server(id) => address::of(4, &path),
            _ => address::of(self.dialect, &path),
        }
    }

    /// The same, fit to be shown.
    pub(super) fn written(&self, id: Id) -> String {
        shown::path(&self.written_path(id))
    }

    /// Ids come from this tree, which never shrinks.
    pub(super) fn node(&self, id: Id) -> &Node {
        #[expect(clippy::indexing_slicing, reason = "ids are indices of this very tree")]
        &self.nodes[id]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        #[expect(clippy::indexing_slicing, reason = "ids are indices of this very tree")]
        &mut self.nodes[id]
    }

    /// Adds a child without asking whether it is there.
    pub(super) fn push(&mut self, parent: Id, node: Node) -> Id {
        let id = self.nodes.len();
        if let Some(index) = self.index.get_mut(&parent)
            && !node.is_misfit()
        {
            index.insert(node.key.clone(), id);
        }
        self.nodes.push(Box::new(node));
        self.put_under(parent, id);
        id
    }

    fn put_under(&mut self, parent: Id, id: Id) {
        if let Content::Table(children) = &mut self.node_mut(parent).content {
            let slot = children.len();
            children.push(id);
            self.node_mut(id).slot = Some(slot);
        }
    }

    /// Adds a table of the input that no setting is: what is in it has its
    /// place elsewhere.
    pub(super) fn push_shell(&mut self, node: Node) -> Id {
        self.nodes.push(Box::new(node));
        self.nodes.len() - 1
    }

    /// Puts a child that was taken out back into its parent.
    pub(super) fn attach(&mut self, id: Id) {
        let parent = self.node(id).parent;
        self.put_under(parent, id);
        self.reindex(id);
    }

    /// Makes the search by name find this child.
    pub(super) fn reindex(&mut self, id: Id) {
        let (parent, key) = (self.node(id).parent, self.node(id).key.clone());
        if let Some(index) = self.index.get_mut(&parent)
            && !self.nodes.get(id).is_some_and(|node| node.is_misfit())
        {
            index.insert(key, id);
        }
    }

    /// Takes a child out of its parent; its id stays good.
    pub(super) fn detach(&mut self, id: Id) {
        let (parent, key) = (self.node(id).parent, self.node(id).key.clone());
        if let Some(index) = self.index.get_mut(&parent)
            && index.get(&key) == Some(&id)
        {
            index.remove(&key);
        }
        self.node_mut(id).slot = None;
    }

    /// Takes many out, each of its parent.
    pub(super) fn detach_all(&mut self, ids: &BTreeSet<Id>) {
        let parents: BTreeSet<Id> = ids.iter().map(|id| self.node(*id).parent).collect();
        for parent in parents {
            self.index.remove(&parent);
        }
        for id in ids {
            self.node_mut(*id).slot = None;
        }
    }

    /// Notes that a table went to `hosts.toml` files.
    pub(super) fn move_table(&mut self, id: Id, files: Vec<String>) {
        self.moved.insert(id, files);
    }

    /// The `hosts.toml` files that a table went to.
    pub(super) fn moved_to(&self, id: Id) -> Option<&[String]> {
        self.moved.get(&id).map(Vec::as_slice)
    }

    /// Notes why a table is not written.
    pub(super) fn drop_table(&mut self, id: Id, dropped: Dropped, why: String) {
        self.dropped.insert(id, (dropped, why));
    }

    /// Why a table is not written.
    pub(super) fn dropped(&self, id: Id) -> Option<&(Dropped, String)> {
        self.dropped.get(&id)
    }

    /// What hangs under a node. Whoever was taken out leaves its slot behind, as
    /// closing up would take a step for each of the others.
    pub(super) fn children(&self, id: Id) -> impl DoubleEndedIterator<Item = Id> {
        let slots: &[Id] = match &self.node(id).content {
            Content::Table(children) => children,
            Content::Leaf { .. } => &[],
        };
        let slots = slots.iter().enumerate();
        slots.filter_map(|(slot, id)| (self.node(*id).slot == Some(slot)).then_some(*id))
    }

    /// The child of this name, by way of an index that is made at the first
    /// search below a node. A value that stands where a table of settings belongs
    /// is not found: those settings may stand elsewhere in the input.
    pub(super) fn child(&mut self, id: Id, key: &str) -> Option<Id> {
        if !self.index.contains_key(&id) {
            let names = self.children(id);
            let index = names
                .filter(|child| !self.node(*child).is_misfit())
                .map(|child| (self.node(child).key.clone(), child))
                .collect();
            self.index.insert(id, index);
        }
        self.index.get(&id)?.get(key).copied()
    }

    pub(super) fn find(&mut self, path: &[&str]) -> Option<Id> {
        path.iter().try_fold(ROOT, |id, key| self.child(id, key))
    }

    /// The table at `path` below `id`, made where it is missing.
    pub(super) fn make(&mut self, id: Id, path: &[&str]) -> Id {
        path.iter().fold(id, |id, key| match self.child(id, key) {
            Some(child) => child,
            None => {
                let place = self.node(id).place().and_then(|place| place.child(key));
                let content = Content::Table(Vec::new());
                self.push(id, Node::made(id, (*key).to_owned(), place, content))
            }
        })
    }

    /// Sets a leaf that the migration makes out of `from`. An older leaf
    /// there gives way.
    pub(super) fn set(&mut self, table: Id, key: &str, value: Value, from: Id, why: &str) -> Id {
        let comments = self.node(from).comments.clone();
        let id = self.put(table, key, value, from, Why::Edit(why.to_owned()));
        self.node_mut(id).comments = comments;
        id
    }

    /// Sets a leaf that the migration owes to a node of the input. The comments
    /// stay with that.
    pub(super) fn owe(&mut self, table: Id, key: &str, value: Value, to: Id, why: &str) -> Id {
        let why = why.to_owned();
        // What the target has by itself, and will have otherwise.
        let overruled = self.child(table, key).filter(|old| {
            let is_default = matches!(
                self.verdict(*old),
                Some(Verdict::Drop(
                    Dropped::TargetDefault | Dropped::StaleDefault,
                    _
                ))
            );
            is_default && self.value(*old) != Some(&value)
        });
        let owed = Why::Companion {
            owed_to: to,
            why: why.clone(),
        };
        let id = self.put(table, key, value, to, owed);
        if let Some(old) = overruled {
            self.judge(old, Verdict::Converted(vec![id], why));
        }
        id
    }

    fn put(&mut self, table: Id, key: &str, value: Value, from: Id, why: Why) -> Id {
        let sources = self.node(from).sources.clone();
        if let Some(old) = self.child(table, key) {
            self.detach(old);
        }
        let place = self.node(table).place().and_then(|place| place.child(key));
        let content = Content::Leaf {
            value,
            verdict: Verdict::Keep(why),
        };
        let node = Node {
            sources,
            ..Node::made(table, key.to_owned(), place, content)
        };
        self.push(table, node)
    }

    /// The keys from the top down to a node.
    pub(super) fn path(&self, id: Id) -> Vec<&str> {
        self.keys(id, |node| &node.key, |node| node.parent)
    }

    /// A node and the tables that it is in, but for the top.
    pub(super) fn upwards(&self, id: Id) -> impl Iterator<Item = Id> {
        let above = |id: &Id| Some(self.node(*id).parent);
        std::iter::successors(Some(id), above).take_while(|id| *id != ROOT)
    }

    /// The same as the input spells them.
    pub(super) fn spelled_path(&self, id: Id) -> Vec<&str> {
        self.keys(
            id,
            |node| node.spelled.as_deref().unwrap_or(&node.key),
            Node::above,
        )
    }

    fn keys<'t>(
        &'t self,
        id: Id,
        key: impl Fn(&'t Node) -> &'t str,
        above: impl Fn(&'t Node) -> Id,
    ) -> Vec<&'t str> {
        // Few settings are deeper.
        let mut path = Vec::with_capacity(8);
        let mut at = id;
        while at != ROOT {
            let node = self.node(at);
            path.push(key(node));
            at = above(node);
        }
        path.reverse();
        path
    }

    /// Every node below `id` that hangs in the tree, tables before what is in
    /// them, the leaves of a table before the tables in it.
    pub(super) fn walk(&self, id: Id) -> Vec<Id> {
        let mut order = Vec::new();
        let mut stack = vec![id];
        while let Some(at) = stack.pop() {
            order.push(at);
            let is_leaf = |id: &Id| matches!(self.node(*id).content, Content::Leaf { .. });
            order.extend(self.children(at).filter(is_leaf));
            stack.extend(self.children(at).rev().filter(|id| !is_leaf(id)));
        }
        order
    }

    /// Every node that ever was in the tree.
    pub(super) fn all(&self) -> impl Iterator<Item = (Id, &Node)> {
        self.nodes.iter().map(AsRef::as_ref).enumerate()
    }

    /// The leaves among [`Tree::walk`].
    pub(super) fn leaves(&self, id: Id) -> Vec<Id> {
        let mut walk = self.walk(id);
        walk.retain(|id| matches!(self.node(*id).content, Content::Leaf { .. }));
        walk
    }

    pub(super) fn value(&self, id: Id) -> Option<&Value> {
        match &self.node(id).content {
            Content::Leaf { value, .. } => Some(value),
            Content::Table(_) => None,
        }
    }

    /// Changes the value of a leaf; the ledger goes on to show the old one.
    pub(super) fn change(&mut self, id: Id, new: Value) {
        let node = self.node_mut(id);
        if let Content::Leaf { value, .. } = &mut node.content
            && *value != new
        {
            let old = std::mem::replace(value, new);
            node.original.get_or_insert_with(|| Box::new(old));
        }
    }

    /// Takes the items of a list that go into another one; the ledger goes on to
    /// show what the input has there.
    pub(super) fn take_list(&mut self, id: Id) -> Vec<Value> {
        let node = self.node_mut(id);
        let Content::Leaf {
            value: Value::Array(items),
            ..
        } = &mut node.content
        else {
            return Vec::new();
        };
        let taken = std::mem::take(items);
        node.original
            .get_or_insert_with(|| Box::new(Value::Array(taken.clone())));
        taken
    }

    pub(super) fn verdict(&self, id: Id) -> Option<&Verdict> {
        match &self.node(id).content {
            Content::Leaf { verdict, .. } => Some(verdict),
            Content::Table(_) => None,
        }
    }

    /// Decides what becomes of a leaf. What cannot be written stays out, whoever
    /// would have it kept.
    pub(super) fn judge(&mut self, id: Id, new: Verdict) {
        if self.is_out(id) && matches!(new, Verdict::Keep(_)) {
            return;
        }
        if let Content::Leaf { verdict, .. } = &mut self.node_mut(id).content {
            *verdict = new;
        }
    }

    /// A value of a node, which shows of itself what may be shown.
    pub(super) fn redacted(&self, id: Id, value: Value) -> Redacted {
        Redacted::new(self.node(id).place(), value)
    }

    /// The path of a node as the input spells it, fit to be shown.
    pub(super) fn shown(&self, id: Id) -> String {
        shown::path(&self.spelled_path(id))
    }

    /// Whether a node is one of the daemon's settings, over which a later file's
    /// zero value does not prevail. What the input has in a plugin, where config
    /// version 4 has settings of the daemon, is merged as it is.
    pub(super) fn is_merged_by_value(&self, node: &Node) -> bool {
        let place = node.place();
        let by_value = place.is_some_and(|place| place.merge() == Merge::NonZero);
        by_value && self.spelled_path(node.above()).first() != Some(&"plugins")
    }

    /// Whether a zero value of a setting of the daemon is one that counts, as
    /// the input has it in the plugin that containerd 2.3 makes of a server.
    pub(super) fn is_zero_of_server(&self, id: Id) -> bool {
        let node = self.node(id);
        self.value(id).is_some_and(Value::is_zero)
            && node
                .place()
                .is_some_and(|place| place.merge() == Merge::NonZero)
            && self.path(id).first() != Some(&"plugins")
            && !self.is_merged_by_value(node)
    }

    /// Whether a leaf cannot be written.
    pub(super) fn is_out(&self, id: Id) -> bool {
        let verdict = self.verdict(id);
        matches!(verdict, Some(Verdict::Drop(Dropped::NotExpressible, _)))
    }

    pub(super) fn is_kept(&self, id: Id) -> bool {
        matches!(self.verdict(id), Some(Verdict::Keep(_)))
    }

    /// Whether a leaf below a node is kept.
    pub(super) fn has_kept(&self, id: Id) -> bool {
        self.leaves(id).into_iter().any(|leaf| self.is_kept(leaf))
    }
}

/// More characters of a value are not shown in a sentence.
const LONGEST_VALUE: usize = 60;

/// The input files, for saying where something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a>(pub(super) &'a [&'a Document]);

impl<'a> Files<'a> {
    /// The comments of a node.
    pub(super) fn comments(self, tree: &Tree, id: Id) -> Vec<&'a str> {
        let comments = tree.node(id).comments.as_deref();
        let lines = comments.and_then(|(file, comments)| {
            let file = self.0.get(*file)?;
            Some(comments.lines(file.text()))
        });
        lines.unwrap_or_default()
    }

    /// The place of a key.
    pub(super) fn span(self, source: &Source) -> Option<Span> {
        let file = self.0.get(source.file)?;
        Some(file.span(source.at.clone()))
    }

    /// The place of the key at a path of the file that a source is in.
    pub(super) fn span_of(self, source: &Source, path: &[&str]) -> Option<Span> {
        let file = self.0.get(source.file)?;
        file.span_of(path).map(|(key, _)| key)
    }

    /// A finding about a value that is not what its key takes, for this reason: it
    /// names both, and points at the value.
    pub(super) fn wrong_value(
        self,
        tree: &Tree,
        id: Id,
        code: Code,
        why: impl fmt::Display,
    ) -> Finding {
        let value = tree.value(id).cloned();
        let value = value.unwrap_or_else(|| Value::Table(Table::new()));
        let value = tree.redacted(id, value).to_string();
        let value = shown::shortened(value.into(), LONGEST_VALUE);
        let path = tree.spelled_path(id);
        let key = path.last().map_or(String::new(), |key| shown::path(&[key]));
        let mut finding = self.finding(tree, id, code, format!("{key} = {value}: {why}"));
        let source = tree.node(id).sources.first();
        let file = source.and_then(|source| self.0.get(source.file));
        let places = file.and_then(|file| file.span_of(&path));
        finding.span = places.map(|(_, value)| value).or(finding.span);
        finding
    }

    /// A finding about a node.
    pub(super) fn finding(
        self,
        tree: &Tree,
        id: Id,
        code: Code,
        message: impl Into<String>,
    ) -> Finding {
        let span = tree
            .node(id)
            .sources
            .first()
            .and_then(|source| self.span(source));
        Finding::new(code, message).at(tree.shown(id), span)
    }
}
