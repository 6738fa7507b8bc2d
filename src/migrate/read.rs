//! Input files become one tree of settings, by the rules by which containerd
//! 1.3 – 1.7 load them.

use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::tree::{Content, Dropped, Files, Id, Node, ROOT, Source, Tree, Verdict};
use crate::Document;
use crate::config::spelling;
use crate::containerd::place::{Place, is_secret_name, is_secret_value};
use crate::containerd::plugin;
use crate::containerd::setting::{Kind, Merge, Presence};
use crate::diagnostic::{Code, Finding, Span};
use crate::document::Comments;
use crate::value::{self, Value};
use crate::write::dotted;

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
    /// never noticed.
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
/// first. Where the files are k0s's own and its drop-ins, `k0s_merges` the CRI
/// plugin's section of all of them.
pub(super) fn read(files: &[&Document], k0s_merges: bool) -> Input {
    // The last file that states a version decides for all (containerd 1.3 – 1.7).
    let stated = files.iter().filter_map(|file| file.version()).next_back();
    let meant =
        stated.is_none() && spelling::means_version_2(files.iter().flat_map(|f| plugin_ids(f)));
    let mut reader = Reader {
        input: Input {
            tree: Tree::new(),
            without_effect: Vec::new(),
            findings: Vec::new(),
            version: stated.unwrap_or(if meant { 2 } else { 1 }),
            version_meant: meant,
        },
        files,
        file: 0,
        k0s_merges,
    };
    if meant {
        reader.say_version_meant();
    }
    for (number, file) in files.iter().enumerate() {
        reader.file = number;
        reader.table(file.root(), ROOT);
    }
    let mut input = reader.input;
    for file in files {
        input.findings.extend(file.toml_1_1().map(|(span, what)| {
            let mut finding =
                Finding::new(Code::NotReadByContainerd, format!("{what} is TOML 1.1"));
            finding.span = Some(span);
            finding
        }));
    }
    input
}

/// The plugin ids that a file names, in sections and in lists.
fn plugin_ids(file: &Document) -> Vec<&str> {
    let root = file.root();
    let sections = root.get("plugins").and_then(Item::as_table_like);
    let lists = ["disabled_plugins", "required_plugins"].into_iter();
    let listed = lists
        .filter_map(|key| root.get(key)?.as_array())
        .flat_map(|list| list.iter().filter_map(|id| id.as_str()));
    sections
        .into_iter()
        .flat_map(|table| table.iter().map(|(id, _)| id))
        .chain(listed)
        .collect()
}

struct Reader<'a> {
    input: Input,
    files: &'a [&'a Document],
    file: usize,
    k0s_merges: bool,
}

/// What a key of the input is.
enum Known {
    /// The key under this name, as declared or unknown.
    As(String, Option<Place>),
    /// A key that containerd does not read, and why.
    Ignored(Code, String),
}

impl Reader<'_> {
    fn table(&mut self, table: &dyn TableLike, parent: Id) {
        for (key, item) in table.iter() {
            let Some(toml_key) = table.key(key) else {
                continue;
            };
            let at = toml_key.span().unwrap_or_default();
            let text = self.files.get(self.file).map_or("", |file| file.text());
            let comments = Comments::of(toml_key, item, text);
            match self.identify(table, parent, key) {
                Known::As(name, place) => {
                    let spelled = (name != key).then(|| key.to_owned());
                    self.item(item, parent, name, spelled, place, at, comments);
                }
                Known::Ignored(code, why) => {
                    self.finding(code, parent, key, &at, why.clone());
                    let mut path = self.input.tree.spelled_path(parent);
                    path.push(key);
                    let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
                    self.ignore(item, path, at, &why);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one key")]
    fn item(
        &mut self,
        item: &Item,
        parent: Id,
        key: String,
        spelled: Option<String>,
        place: Option<Place>,
        at: Range<usize>,
        comments: Comments,
    ) {
        let source = Source {
            file: self.file,
            at,
        };
        let is_table_kind = place
            .is_none_or(|place| matches!(place.kind, Kind::Section(_) | Kind::Map(_) | Kind::Any));
        let mut node = Node {
            parent,
            key,
            spelled,
            place,
            content: Content::Table(Vec::new()),
            sources: vec![source],
            original: None,
            is_empty: item.as_table_like().is_some_and(TableLike::is_empty),
            is_made: false,
            comments: Some((self.file, comments)),
        };
        match item.as_table_like().filter(|_| is_table_kind) {
            Some(table) => {
                let id = self.table_node(node);
                self.table(table, id);
            }
            None => {
                let Some(value) = value::value_of(item) else {
                    return;
                };
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
            }
        }
    }

    /// Adds a table, or goes on in the one that an earlier file made.
    fn table_node(&mut self, node: Node) -> Id {
        let parent = node.parent;
        if self.file > 0
            && let Some(old) = self.input.tree.child(parent, &node.key)
        {
            let replaces = self.replaces(parent, &node.key);
            let tree = &mut self.input.tree;
            if replaces || matches!(tree.node(old).content, Content::Leaf { .. }) {
                self.shadow(old);
            } else {
                tree.node_mut(old).sources.extend(node.sources);
                return old;
            }
        }
        self.input.tree.push(parent, node)
    }

    /// Whether a later file's table replaces an earlier one's as a whole:
    /// plugin sections and the entries of proxy_plugins and the like.
    fn replaces(&self, parent: Id, key: &str) -> bool {
        if self.k0s_merges && key == plugin::CRI {
            return false;
        }
        let parent = self.input.tree.node(parent);
        let is_entry_of_map = parent.place.is_some_and(|p| p.merge == Merge::Entry);
        parent.parent == ROOT && is_entry_of_map
    }

    fn leaf_node(&mut self, mut node: Node) {
        let parent = node.parent;
        let daemon = !self.input.tree.path(parent).contains(&"plugins");
        let by_value = daemon
            && node
                .place
                .is_some_and(|place| place.merge == Merge::NonZero);
        let old = (self.file > 0)
            .then(|| self.input.tree.child(parent, &node.key))
            .flatten();
        if let Some(old) = old {
            if let Some(why) = node.place.and_then(|place| place.owned) {
                // Neither counts; each file's line has its own fate.
                let verdict = Verdict::Drop(Dropped::Owned, why.to_owned());
                self.input.tree.judge(old, verdict);
                self.input.tree.detach(old);
                self.input.tree.push(parent, node);
                return;
            }
            let append = node.place.is_some_and(|place| place.merge == Merge::Append);
            let Content::Leaf { value, .. } = &mut node.content else {
                return;
            };
            match (self.input.tree.value(old), value) {
                (Some(Value::Array(old_items)), value @ Value::Array(_)) if append => {
                    let mut items = old_items.clone();
                    items.extend(value.as_array().unwrap_or_default().iter().cloned());
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
                _ => self.shadow(old),
            }
        }
        self.input.tree.push(parent, node);
    }

    /// An earlier file's settings that a later file replaces.
    fn shadow(&mut self, old: Id) {
        let by = self.files.get(self.file).map_or("", |file| file.name());
        let why = format!("{by} is loaded later and replaces it");
        let tree = &self.input.tree;
        let first = tree.node(old);
        let mut finding = Finding::new(Code::Shadowed, why.clone());
        if let Some(source) = first.sources.first() {
            finding = finding.at(tree.shown(old), self.span(source));
        }
        self.input.findings.push(finding);
        for id in self.input.tree.leaves(old) {
            let verdict = Verdict::Drop(Dropped::NoEffect, why.clone());
            self.input.tree.judge(id, verdict);
        }
        self.input.tree.detach(old);
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
    fn identify(&self, table: &dyn TableLike, parent: Id, key: &str) -> Known {
        let node = self.input.tree.node(parent);
        let Some(place) = node.place else {
            return Known::As(key.to_owned(), None);
        };
        if node.parent == ROOT && node.key == "plugins" {
            return self.identify_plugin(place, key);
        }
        if let Some(child) = place.child(key) {
            return Known::As(key.to_owned(), Some(child));
        }
        let struct_like =
            matches!(place.kind, Kind::Section(_)) && place.presence() != Presence::Free;
        let lower = key.to_lowercase();
        let Some(child) = place.child(&lower).filter(|_| struct_like) else {
            return Known::As(key.to_owned(), None);
        };
        let upper = key.chars().all(|c| !c.is_lowercase());
        if upper && !table.contains_key(&lower) {
            return Known::As(lower, Some(child));
        }
        let why = match upper {
            true => format!("`{lower}` stands beside it and is the one that is read"),
            false => format!("containerd 1.5 to 1.7 read `{lower}` in lower or upper case only"),
        };
        Known::Ignored(Code::KeyCaseIgnored, why)
    }

    fn identify_plugin(&self, plugins: Place, id: &str) -> Known {
        let is_uri = plugin::is_uri(id);
        if id == "io" {
            let then = match self.input.version {
                1 => "ignores it",
                _ => "refuses the file",
            };
            let why = format!(
                "the URI is not in quotes, so that TOML reads tables inside of tables, and containerd {then}: [plugins.\"io.containerd…\"] is meant"
            );
            return Known::Ignored(Code::PluginIdIgnored, why);
        }
        if self.input.version >= 2 {
            if is_uri {
                return Known::As(id.to_owned(), plugins.child(id));
            }
            let why = format!(
                "{id:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it"
            );
            return Known::Ignored(Code::PluginIdIgnored, why);
        }
        if is_uri {
            let why = format!(
                "{id:?} is a version 2 plugin URI, which containerd ignores in a version 1 file"
            );
            return Known::Ignored(Code::PluginIdIgnored, why);
        }
        if let Some(uri) = spelling::by_short_name(id) {
            return Known::As(uri.to_owned(), plugins.child(uri));
        }
        match plugin::with_short_name(id).next() {
            Some(uri) => Known::As(uri.to_owned(), None),
            None => {
                let why = format!("no plugin of containerd 1.3 to 1.7 is called {id:?}");
                Known::Ignored(Code::PluginIdIgnored, why)
            }
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
            if self.input.version >= 2 {
                match plugin::is_uri(name) {
                    true => uris.push(item.clone()),
                    false => self.say_list(node, format!("{name:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it")),
                }
                continue;
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

    fn say_version_meant(&mut self) {
        let message = "the file states no `version`, so containerd 1.x reads it as version 1 and ignores its plugin settings; it is read as version 2, which it speaks";
        let mut finding = Finding::new(Code::VersionMissing, message);
        finding.key = Some("version".to_owned());
        finding.span = self.files.first().map(|file| file.span(0..0));
        self.input.findings.push(finding);
    }

    fn span(&self, source: &Source) -> Option<Span> {
        Files(self.files).span(source)
    }
}
