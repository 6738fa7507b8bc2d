//! Input files become one tree of settings, by the rules by which they were
//! loaded.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::tree::{Content, Dropped, Files, Id, Node, ROOT, Source, Tree, Verdict};
use crate::Document;
use crate::config::address::{self, Cursor, OWN, Step};
use crate::containerd::place::{is_secret_name, is_secret_value};
use crate::containerd::releases::V2_0;
use crate::containerd::setting::{Kind, Merge, Presence};
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding, Span};
use crate::document::Comments;
use crate::value::{self, Value};
use crate::write::dotted;

/// By whose rules several files became one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// containerd 1.3 – 1.7: a plugin's section is replaced as a whole, and
    /// the last file that states a version decides for all.
    Containerd1,
    /// k0s 1.27.5 – 1.35: drop-ins with CRI settings are merged key by key and
    /// loaded after the others.
    K0sMerge,
    /// containerd 2.x: plugin sections are merged, each file has its version.
    Containerd2,
}

impl Rules {
    /// The rules for a legacy file and its imports.
    pub(super) fn of(files: &[&Document]) -> Rules {
        let later = |file: &&&Document| version_of(file).is_some_and(|version| version >= 3);
        match files.iter().find(later) {
            Some(_) => Rules::Containerd2,
            None => Rules::Containerd1,
        }
    }
}

/// Whether k0s 1.27.5 – 1.35 take a drop-in for one with CRI settings.
pub(super) fn has_cri(file: &Document) -> bool {
    let plugins = file.root().get("plugins").and_then(Item::as_table_like);
    plugins.is_some_and(|plugins| plugins.contains_key(plugin::CRI))
}

/// The config version that a file states or speaks.
pub(super) fn version_of(file: &Document) -> Option<i64> {
    file.version().or_else(|| address::meant(file.plugin_ids()))
}

/// What was read.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) tree: Tree,
    /// Leaves that had no effect where they stand, so that they have no place
    /// in the tree: `(path, source, value, secret, why)`.
    pub(super) without_effect: Vec<Ignored>,
    pub(super) findings: Vec<Finding>,
    /// The config version by which the files are read.
    pub(super) version: i64,
    /// No version is stated and the files speak version 2, which containerd
    /// 1.x never noticed.
    pub(super) version_meant: bool,
}

/// A leaf that had no effect.
#[derive(Debug)]
pub(super) struct Ignored {
    pub(super) key: String,
    pub(super) source: Source,
    pub(super) value: Value,
    pub(super) secret: bool,
    pub(super) why: String,
}

/// Reads files in the order in which containerd loads them, the main file
/// first, for a target with this containerd. With `apart`, lists that are
/// appended stay with their files.
pub(super) fn read(files: &[&Document], rules: Rules, apart: bool, target: Release) -> Input {
    let stated = match rules {
        // The last file that states a version decides for all (containerd 1.3 – 1.7).
        Rules::Containerd1 => files.iter().filter_map(|file| file.version()).next_back(),
        Rules::K0sMerge => Some(2),
        Rules::Containerd2 => files.iter().find_map(|file| file.version()),
    };
    let meant = match stated {
        None => address::meant(files.iter().flat_map(|file| file.plugin_ids())),
        Some(_) => None,
    };
    let mut reader = Reader {
        input: Input {
            tree: Tree::new(),
            without_effect: Vec::new(),
            findings: Vec::new(),
            version: stated.or(meant).unwrap_or(1),
            version_meant: meant.is_some(),
        },
        files,
        file: 0,
        version: 1,
        rules,
        apart,
        on_2: target.is_2(),
        shadowed: BTreeMap::new(),
        hidden: BTreeMap::new(),
    };
    if let Some(meant) = meant {
        reader.say_version_meant(meant);
    }
    for (number, file) in files.iter().enumerate() {
        reader.file = number;
        reader.version = match rules {
            Rules::Containerd1 => reader.input.version,
            _ => own_version(file, reader.input.version),
        };
        // containerd 2.3 understands the places of other versions.
        let lenient = match reader.version {
            2 => reader.on_2,
            version => version == 3,
        };
        let cursor = Cursor::root(reader.version, lenient);
        reader.file(file.root(), cursor);
    }
    reader.say_shadowed();
    let mut input = reader.input;
    // containerd 2.x, which alone has version 3, reads TOML 1.1.
    let of_1_x = files
        .iter()
        .filter(|file| version_of(file).is_none_or(|version| version < 3));
    for file in of_1_x {
        input.findings.extend(file.toml_1_1().map(|(span, what)| {
            let mut finding =
                Finding::new(Code::NotReadByContainerd, format!("{what} is TOML 1.1"));
            finding.span = Some(span);
            finding
        }));
    }
    input
}

/// The version by which one of several files is read. k0s 1.27 – 1.35 state
/// version 2 for all drop-ins, whatever these say.
fn own_version(file: &Document, all: i64) -> i64 {
    match version_of(file) {
        Some(version @ 3..) => version,
        Some(1) | None if file.plugin_ids().any(|id| !id.contains('.')) && all >= 3 => 1,
        Some(version) if all >= 3 => version.max(2),
        _ => all,
    }
}

struct Reader<'a> {
    input: Input,
    files: &'a [&'a Document],
    file: usize,
    /// The version by which the file is read.
    version: i64,
    rules: Rules,
    apart: bool,
    /// containerd 2.x is to read the settings.
    on_2: bool,
    /// Settings of one file that another replaces, by the two, and where the
    /// first of them stands.
    shadowed: BTreeMap<(usize, usize), (Option<Span>, Vec<String>)>,
    /// What a setting of k0s's merge hides, by the setting.
    hidden: BTreeMap<Id, Id>,
}

/// A table that is yet to be read.
struct Pending<'d> {
    table: &'d dyn TableLike,
    /// The table that its settings are in.
    parent: Id,
    cursor: Cursor,
    /// What it is in the input, where that is another node.
    shell: Option<Id>,
}

fn node_value(node: &Node) -> Option<&Value> {
    match &node.content {
        Content::Leaf { value, .. } => Some(value),
        Content::Table(_) => None,
    }
}

/// Whether a setting of the daemon is merged by its value.
fn daemon_scalar(tree: &Tree, node: &Node) -> bool {
    let by_value = node
        .place
        .is_some_and(|place| place.merge == Merge::NonZero);
    by_value && !tree.path(node.parent).contains(&"plugins")
}

/// What a key of the input is.
enum Known {
    /// The setting with this key below this node.
    As {
        parent: Id,
        name: String,
        cursor: Cursor,
        /// The table that the key stands in is not that of its setting.
        is_moved: bool,
    },
    /// A table that is no setting; what is in it may be.
    Shell(Cursor),
    /// A key that containerd does not read, and why.
    Ignored(Code, String),
}

impl Reader<'_> {
    /// Reads a file, table by table rather than by recursion, which deep
    /// nesting would make deep.
    fn file(&mut self, root: &dyn TableLike, cursor: Cursor) {
        let mut pending = vec![Pending {
            table: root,
            parent: ROOT,
            cursor,
            shell: None,
        }];
        while let Some(next) = pending.pop() {
            let first = pending.len();
            self.table(next, &mut pending);
            // What stands first is read first.
            if let Some(new) = pending.get_mut(first..) {
                new.reverse();
            }
        }
    }

    fn table<'d>(&mut self, pending: Pending<'d>, tables: &mut Vec<Pending<'d>>) {
        let Pending {
            table,
            parent,
            cursor,
            shell,
        } = pending;
        for (key, item) in table.iter() {
            let Some(toml_key) = table.key(key) else {
                continue;
            };
            let at = toml_key.span().unwrap_or_default();
            let text = self.files.get(self.file).map_or("", |file| file.text());
            let comments = Comments::of(toml_key, item, text);
            match self.identify(table, item, cursor, shell.unwrap_or(parent), parent, key) {
                Known::As {
                    parent: target,
                    name,
                    cursor: at_key,
                    is_moved,
                } => {
                    if at_key.rank != OWN && cursor.rank == OWN {
                        self.say_other_place(shell.unwrap_or(parent), key, &at);
                    }
                    let shell = if is_moved {
                        Some(shell.unwrap_or(parent))
                    } else {
                        shell
                    };
                    let node = Node {
                        spelled: (name != key).then(|| key.to_owned()),
                        key: name,
                        place: at_key.place,
                        shell,
                        rank: at_key.rank,
                        sources: vec![Source {
                            file: self.file,
                            at,
                        }],
                        is_empty: item.as_table_like().is_some_and(TableLike::is_empty),
                        comments: Some((self.file, comments)),
                        ..Node::table(target)
                    };
                    tables.extend(self.item(item, node, at_key, is_moved));
                }
                Known::Shell(cursor) => {
                    let Some(table) = item.as_table_like() else {
                        continue;
                    };
                    let shell = self.input.tree.push_shell(Node {
                        key: key.to_owned(),
                        shell,
                        comments: Some((self.file, comments)),
                        ..Node::table(parent)
                    });
                    tables.push(Pending {
                        table,
                        parent,
                        cursor,
                        shell: Some(shell),
                    });
                }
                Known::Ignored(code, why) => {
                    let stands_in = shell.unwrap_or(parent);
                    self.finding(code, stands_in, key, &at, why.clone());
                    let mut path = self.input.tree.spelled_path(stands_in);
                    path.push(key);
                    let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
                    self.ignore(item, path, at, &why);
                }
            }
        }
    }

    /// Adds what a key holds, and gives the table that is yet to be read.
    fn item<'d>(
        &mut self,
        item: &'d Item,
        mut node: Node,
        cursor: Cursor,
        is_moved: bool,
    ) -> Option<Pending<'d>> {
        let place = node.place;
        let is_table_kind = place
            .is_none_or(|place| matches!(place.kind, Kind::Section(_) | Kind::Map(_) | Kind::Any));
        match item.as_table_like().filter(|_| is_table_kind) {
            Some(table) if is_moved => {
                let (parent, key) = (node.parent, node.key.clone());
                node.spelled.get_or_insert_with(|| key.clone());
                let tree = &mut self.input.tree;
                let shell = tree.push_shell(node);
                Some(Pending {
                    table,
                    parent: tree.make(parent, &[&key]),
                    cursor,
                    shell: Some(shell),
                })
            }
            Some(table) => {
                let (parent, shell) = self.table_node(node);
                Some(Pending {
                    table,
                    parent,
                    cursor,
                    shell,
                })
            }
            None => {
                let value = value::value_of(item)?;
                let uris = self.plugin_list(&node, &value);
                let (value, original) = match uris {
                    Some(uris) if uris != value => (uris, Some(value)),
                    _ => (value, None),
                };
                node.original = original;
                node.content = Content::Leaf {
                    value,
                    verdict: Verdict::Pending,
                };
                self.leaf_node(node);
                None
            }
        }
    }

    /// Whether an earlier table or key may be in the way.
    fn may_collide(&self) -> bool {
        self.file > 0 || self.version >= 3 || self.on_2
    }

    /// Adds a table, or goes on in the one that is there; gives the node and
    /// what stands for it in the input.
    fn table_node(&mut self, node: Node) -> (Id, Option<Id>) {
        let parent = node.parent;
        let old = self
            .may_collide()
            .then(|| self.input.tree.child(parent, &node.key))
            .flatten();
        let Some(old) = old else {
            return (self.input.tree.push(parent, node), None);
        };
        let is_leaf = matches!(self.input.tree.node(old).content, Content::Leaf { .. });
        if is_leaf || self.replaces(parent, &node.key, old) {
            self.shadow(old, None);
            return (self.input.tree.push(parent, node), None);
        }
        let tree = &mut self.input.tree;
        if tree.node(old).is_made {
            let there = tree.node_mut(old);
            there.is_made = false;
            there.spelled = node.spelled;
            there.sources = node.sources;
            there.comments = node.comments;
            there.is_empty = node.is_empty;
            there.shell = node.shell;
            return (old, None);
        }
        tree.node_mut(old)
            .sources
            .extend(node.sources.iter().cloned());
        (old, Some(tree.push_shell(node)))
    }

    /// Whether a later file's table replaces an earlier one's as a whole:
    /// plugin sections, up to containerd 1.7, and the entries of proxy_plugins
    /// and the like.
    fn replaces(&self, parent: Id, key: &str, old: Id) -> bool {
        let tree = &self.input.tree;
        let earlier = self.file_of(old);
        if earlier.is_none_or(|earlier| earlier == self.file) {
            return false;
        }
        let merged = match self.rules {
            Rules::Containerd1 => false,
            // k0s makes one file of all that have CRI settings.
            Rules::K0sMerge => key == plugin::CRI || self.both_have_cri(earlier),
            Rules::Containerd2 => tree.node(parent).key == "plugins",
        };
        let parent = tree.node(parent);
        let is_entry_of_map = parent.place.is_some_and(|p| p.merge == Merge::Entry);
        !merged && parent.parent == ROOT && is_entry_of_map
    }

    /// The last file that names a node.
    fn file_of(&self, id: Id) -> Option<usize> {
        let sources = &self.input.tree.node(id).sources;
        sources.last().map(|source| source.file)
    }

    /// Whether k0s 1.27.5 – 1.35 merge this file and an earlier one.
    fn both_have_cri(&self, other: Option<usize>) -> bool {
        let files = [Some(self.file), other];
        self.rules == Rules::K0sMerge
            && files.iter().all(|file| {
                file.and_then(|file| self.files.get(file))
                    .is_some_and(|file| has_cri(file))
            })
    }

    fn leaf_node(&mut self, mut node: Node) {
        let parent = node.parent;
        let old = self
            .may_collide()
            .then(|| self.input.tree.child(parent, &node.key))
            .flatten();
        let Some(old) = old else {
            self.input.tree.push(parent, node);
            return;
        };
        if self.apart
            && node.place.is_some_and(|place| place.merge == Merge::Append)
            && (node.key == "imports" || !self.both_have_cri(self.file_of(old)))
        {
            self.input.tree.push(parent, node);
            return;
        }
        if let Some(why) = node.place.and_then(|place| place.owned) {
            // Neither counts; each file's line has its own fate.
            let verdict = Verdict::Drop(Dropped::Owned, why.to_owned());
            self.input.tree.judge(old, verdict);
            self.input.tree.detach(old);
            self.input.tree.push(parent, node);
            return;
        }
        let earlier = self.file_of(old);
        if earlier == Some(self.file) {
            self.same_file(old, node);
            return;
        }
        let by_key = self.both_have_cri(earlier);
        let is_zero = node_value(&node).is_some_and(Value::is_zero);
        let scalar = daemon_scalar(&self.input.tree, &node);
        if by_key && scalar && is_zero {
            // It replaces in k0s's merge, and overrides nothing in containerd.
            self.say_zero(node);
            self.shadow(old, None);
            if let Some(hidden) = self.hidden.remove(&old) {
                self.input.tree.judge(hidden, Verdict::Pending);
                self.input.tree.attach(hidden);
            }
            return;
        }
        let append = !by_key && node.place.is_some_and(|place| place.merge == Merge::Append);
        let by_value = !by_key && scalar;
        let Content::Leaf { value, .. } = &mut node.content else {
            return;
        };
        match (self.input.tree.value(old), value) {
            (Some(Value::Array(old_items)), value @ Value::Array(_)) if append => {
                let mut items = old_items.clone();
                let dedupe = self.rules == Rules::Containerd2;
                for item in value.as_array().unwrap_or_default() {
                    if !dedupe || !items.contains(item) {
                        items.push(item.clone());
                    }
                }
                let own = std::mem::replace(value, Value::Array(items));
                node.original.get_or_insert(own);
                self.input.tree.detach(old);
                let id = self.input.tree.push(parent, node);
                let why = "the lists of all files are appended".to_owned();
                self.input
                    .tree
                    .judge(old, Verdict::Converted(vec![id], why));
                return;
            }
            (_, value) if by_value && value.is_zero() => {
                self.say_zero(node);
                return;
            }
            (_, value) => {
                let value = value.clone();
                self.shadow(old, Some(&value));
            }
        }
        // Through a file of k0s's merge it stays hidden by the next one.
        let below = match by_key {
            true => self.hidden.remove(&old),
            false => Some(old),
        };
        let new = self.input.tree.push(parent, node);
        if let Some(below) = below {
            self.hidden.insert(new, below);
        }
    }

    /// Two keys of one file that are the same setting, in the places of two
    /// config versions.
    fn same_file(&mut self, old: Id, node: Node) {
        let parent = node.parent;
        let why = "the file has the setting twice, in the places of two config versions; containerd 2.3 takes the other one";
        if self.input.tree.node(old).rank <= node.rank {
            let finding =
                Files(self.files).finding(&self.input.tree, old, Code::Contradiction, why);
            self.input.findings.push(finding);
            let verdict = Verdict::Drop(Dropped::NoEffect, why.to_owned());
            self.input.tree.judge(old, verdict);
            self.input.tree.detach(old);
            self.input.tree.push(parent, node);
            return;
        }
        let id = self.input.tree.push(parent, node);
        let finding = Files(self.files).finding(&self.input.tree, id, Code::Contradiction, why);
        self.input.findings.push(finding);
        let verdict = Verdict::Drop(Dropped::NoEffect, why.to_owned());
        self.input.tree.judge(id, verdict);
        // The index shall find the one that counts.
        self.input.tree.detach(id);
        self.input.tree.reindex(old);
    }

    /// An earlier file's settings that a later file replaces, by `new` where
    /// that is one value.
    fn shadow(&mut self, old: Id, new: Option<&Value>) {
        let by = self.files.get(self.file).map_or("", |file| file.name());
        let why = format!("{by} is loaded later and replaces it");
        let tree = &self.input.tree;
        let same = new.is_some() && tree.value(old) == new;
        let source = tree.node(old).sources.first();
        if let Some(source) = source.filter(|_| !same) {
            let pair = (source.file, self.file);
            let at = self.span(source);
            let shown = tree.shown(old);
            let keys = self
                .shadowed
                .entry(pair)
                .or_insert_with(|| (at, Vec::new()));
            keys.1.push(shown);
        }
        for id in self.input.tree.leaves(old) {
            let verdict = Verdict::Drop(Dropped::NoEffect, why.clone());
            self.input.tree.judge(id, verdict);
        }
        self.input.tree.detach(old);
    }

    /// One finding for all that one file replaces of another.
    fn say_shadowed(&mut self) {
        for ((_, by), (span, keys)) in std::mem::take(&mut self.shadowed) {
            let by = self.files.get(by).map_or("", |file| file.name());
            let more = match keys.len().checked_sub(5) {
                Some(more @ 1..) => format!(" and {more} more"),
                _ => String::new(),
            };
            let named: Vec<&str> = keys.iter().take(5).map(String::as_str).collect();
            let message = format!(
                "{by} is loaded later and decides {}{more}",
                named.join(", ")
            );
            let mut finding = Finding::new(Code::Shadowed, message);
            finding.span = span;
            self.input.findings.push(finding);
        }
    }

    fn say_zero(&mut self, node: Node) {
        let why = "a zero value overrides nothing that an earlier file sets".to_owned();
        let Content::Leaf { value, .. } = node.content else {
            return;
        };
        let mut path = self.input.tree.spelled_path(node.parent);
        path.push(node.spelled.as_deref().unwrap_or(&node.key));
        let key = dotted(&path);
        for source in node.sources {
            let finding = Finding::new(Code::ZeroValueIgnored, why.clone());
            self.input
                .findings
                .push(finding.at(key.clone(), self.span(&source)));
            self.input.without_effect.push(Ignored {
                key: key.clone(),
                source,
                value: value.clone(),
                secret: false,
                why: why.clone(),
            });
        }
    }

    /// Which setting a key is, if containerd reads it at all.
    fn identify(
        &mut self,
        table: &dyn TableLike,
        item: &Item,
        cursor: Cursor,
        stands_in: Id,
        parent: Id,
        key: &str,
    ) -> Known {
        if cursor.is_plugins()
            && let Some(why) = self.ignored_plugin(key)
        {
            return Known::Ignored(Code::PluginIdIgnored, why);
        }
        let step = cursor.child(key);
        match step {
            Step::Aside(at) if item.is_table_like() && at.has_places() => return Known::Shell(at),
            Step::Aside(_) => return self.misplaced(stands_in, key),
            Step::Below(..) if cursor.is_aside() => return self.misplaced(stands_in, key),
            _ if cursor.is_plugins() => return self.known(parent, step),
            _ => {}
        }
        let declared = cursor.place.is_some_and(|place| {
            matches!(place.kind, Kind::Section(_)) && place.presence() != Presence::Free
        });
        if !declared || step.is_known() {
            return self.known(parent, step);
        }
        let lower = key.to_lowercase();
        if lower == key || !cursor.child(&lower).is_known() {
            return self.known(parent, step);
        }
        let upper = key.chars().all(|c| !c.is_lowercase());
        let is_read = self.version >= 3 || upper;
        if is_read && !table.contains_key(&lower) {
            return self.known(parent, cursor.child(&lower));
        }
        let why = match is_read {
            true => format!("`{lower}` stands beside it and is the one that is read"),
            false => format!("containerd 1.5 to 1.7 read `{lower}` in lower or upper case only"),
        };
        Known::Ignored(Code::KeyCaseIgnored, why)
    }

    fn known(&mut self, parent: Id, step: Step<'_>) -> Known {
        let removed = step.place().and_then(|place| place.removed());
        if self.version >= 3 && removed.is_some_and(|removed| removed <= V2_0) {
            let why = "containerd 2.0 removed this setting, and no older one reads a file of this version";
            return Known::Ignored(Code::WithoutEffect, why.to_owned());
        }
        match step {
            Step::Aside(cursor) => Known::Shell(cursor),
            Step::Below(name, cursor) => Known::As {
                parent,
                name: name.to_owned(),
                cursor,
                is_moved: false,
            },
            Step::Moved(path, cursor) => {
                let (name, tables) = match path.split_last() {
                    Some((name, tables)) => ((*name).to_owned(), tables),
                    None => (String::new(), &[][..]),
                };
                Known::As {
                    parent: self.input.tree.make(ROOT, tables),
                    name,
                    cursor,
                    is_moved: true,
                }
            }
        }
    }

    /// Says that a table or key stands where another config version has it.
    fn say_other_place(&mut self, stands_in: Id, key: &str, at: &Range<usize>) {
        let (code, why) = match self.version {
            2 => (
                Code::LaterPlace,
                "config version 3 has it here, version 2 does not: containerd 1.x ignored it, 2.x reads it",
            ),
            _ => (
                Code::OtherPlace,
                "this is its place in another config version; containerd 2.3 understands it, 2.0 to 2.2 do not",
            ),
        };
        self.finding(code, stands_in, key, at, why.to_owned());
    }

    /// A key whose setting this config version has elsewhere, or not at all.
    fn misplaced(&self, stands_in: Id, key: &str) -> Known {
        let tree = &self.input.tree;
        let mut path = match tree.is_setting(stands_in) {
            true => tree.path(stands_in),
            false => tree.spelled_path(stands_in),
        };
        path.push(key);
        let version = self.version;
        let address = address::of(version, &path);
        let why = match address::exists_in(version, &path) && address != path {
            true => format!(
                "config version {version} has this setting at {}",
                dotted(&address)
            ),
            false => format!("config version {version} has no such setting"),
        };
        Known::Ignored(Code::Misplaced, why)
    }

    /// Why a key below `plugins` is none that containerd reads.
    fn ignored_plugin(&self, id: &str) -> Option<String> {
        if id == "io" {
            let then = match self.version {
                2 => "refuses the file",
                _ => "ignores it",
            };
            return Some(format!(
                "the URI is not in quotes, so that TOML reads tables inside of tables, and containerd {then}: [plugins.\"io.containerd…\"] is meant"
            ));
        }
        let is_uri = plugin::is_uri(id);
        match self.version {
            3.. if !id.contains('.') => Some(format!(
                "{id:?} is no plugin URI; containerd 2.x ignores such a section"
            )),
            2 if !is_uri => Some(format!(
                "{id:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it"
            )),
            2 if !self.on_2 && address::is_new_in_3(id) && !address::is_declared_plugin(id) => {
                Some(format!(
                    "{id:?} is a plugin of config version 3 and later, of which version 2 knows nothing"
                ))
            }
            1 if is_uri => Some(format!(
                "{id:?} is a version 2 plugin URI, which containerd ignores in a version 1 file"
            )),
            1 if plugin::with_short_name(id).next().is_none() => Some(format!(
                "no plugin of containerd 1.3 to 1.7 is called {id:?}"
            )),
            _ => None,
        }
    }

    /// The names in `disabled_plugins` and `required_plugins` as URIs.
    fn plugin_list(&mut self, node: &Node, value: &Value) -> Option<Value> {
        let is_list = node.parent == ROOT
            && matches!(node.key.as_str(), "disabled_plugins" | "required_plugins");
        let items = value.as_array().filter(|_| is_list)?;
        if items.iter().any(|item| item.as_str().is_none()) {
            return None;
        }
        let mut uris = Vec::new();
        for item in items {
            let name = item.as_str().unwrap_or_default();
            match self.version {
                1 => {}
                3.. if !name.contains('.') => {
                    self.say_list(
                        node,
                        format!("{name:?} is no plugin URI; containerd 2.x refuses the file"),
                    );
                    continue;
                }
                2 if !plugin::is_uri(name) => {
                    self.say_list(node, format!("{name:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it"));
                    continue;
                }
                3.. if address::plugin_id(3, name) != name => {
                    self.say_list(node, format!("{name:?} is the plugin's name up to version 2; containerd 2.x does not know it"));
                    continue;
                }
                version => {
                    uris.push(Value::String(address::plugin_of(version, name).to_owned()));
                    continue;
                }
            }
            let mut known = plugin::with_short_name(name).peekable();
            match known.peek() {
                Some(_) => uris.extend(known.map(|uri| Value::String(uri.to_owned()))),
                None => self.say_list(node, format!("no plugin of containerd 1.3 to 1.7 is called {name:?}, which is what a version 1 file names")),
            }
        }
        Some(Value::Array(uris))
    }

    fn say_list(&mut self, node: &Node, why: String) {
        if let Some(source) = node.sources.first() {
            let finding = Finding::new(Code::PluginIdIgnored, why);
            self.input
                .findings
                .push(finding.at(node.key.clone(), self.span(source)));
        }
    }

    /// Notes every leaf of an item that containerd does not read.
    fn ignore(&mut self, item: &Item, path: Vec<String>, at: Range<usize>, why: &str) {
        if let Some(table) = item.as_table_like() {
            for (key, item) in table.iter() {
                let at = table
                    .key(key)
                    .and_then(toml_edit::Key::span)
                    .unwrap_or_default();
                let mut path = path.clone();
                path.push(key.to_owned());
                self.ignore(item, path, at, why);
            }
        } else if let Some(value) = value::value_of(item) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.input.without_effect.push(Ignored {
                key: dotted(&path),
                source: Source {
                    file: self.file,
                    at,
                },
                secret: path.last().is_some_and(|key| is_secret_name(key))
                    || is_secret_value(&value),
                value,
                why: why.to_owned(),
            });
        }
    }

    fn finding(&mut self, code: Code, parent: Id, key: &str, at: &Range<usize>, why: String) {
        let mut path = self.input.tree.spelled_path(parent);
        path.push(key);
        let source = Source {
            file: self.file,
            at: at.clone(),
        };
        let finding = Finding::new(code, why).at(dotted(&path), self.span(&source));
        self.input.findings.push(finding);
    }

    fn say_version_meant(&mut self, meant: i64) {
        let message = match meant {
            2 => "the file states no `version`, so containerd 1.x reads it as version 1 and ignores its plugin settings; it is read as version 2, which it speaks".to_owned(),
            _ => format!("the file states no `version`; it is read as version {meant}, which it speaks, as containerd 2.x does"),
        };
        let mut finding = Finding::new(Code::VersionMissing, message);
        finding.key = Some("version".to_owned());
        finding.span = self.files.first().map(|file| file.span(0..0));
        self.input.findings.push(finding);
    }

    fn span(&self, source: &Source) -> Option<Span> {
        Files(self.files).span(source)
    }
}
