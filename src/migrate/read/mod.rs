//! Input files become one tree of settings, by the rules by which they were
//! loaded.

mod merge;
mod names;

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::tree::{Content, Files, Id, Node, ROOT, ReadAs, Source, Tree, Verdict};
use crate::Document;
use crate::config::address::{self, Cursor, OWN, Step};
pub(super) use crate::containerd::load::Rules;
use crate::containerd::load::{Known, Names, Reading};
use crate::containerd::place::Place;
use crate::containerd::setting::Kind;
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding, Span};
use crate::document::Comments;
use crate::k0s::{self, FileName};
use crate::shown::{self, Behind};
use crate::value::{self, Value};

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
    /// in the tree: `(path, source, value, place, why)`.
    pub(super) without_effect: Vec<Ignored>,
    pub(super) findings: Vec<Finding>,
    /// The config version by which the files are read.
    pub(super) version: i64,
}

/// A leaf that had no effect.
#[derive(Debug)]
pub(super) struct Ignored {
    pub(super) key: String,
    /// The whole of the path, if not all of it is shown.
    pub(super) whole_key: Behind,
    pub(super) source: Source,
    pub(super) value: Value,
    /// The declaration, if it stands where one is.
    pub(super) place: Option<Place>,
    pub(super) why: String,
}

/// Reads files in the order in which containerd loads them, the main file
/// first, for a target with this containerd. Drop-ins by themselves have
/// `names` below their directory; lists that are appended stay with them.
pub(super) fn read(
    files: &[&Document],
    rules: Rules,
    names: &[FileName],
    target: Release,
) -> Input {
    let is_drop_in = |at: usize, file: &Document| match names.get(at) {
        Some(name) => name.is_drop_in(),
        None => k0s::drop_in_at(file.name()).is_some(),
    };
    let merged = files.iter().enumerate();
    let merged = merged.map(|(at, file)| is_drop_in(at, file) && has_cri(file));
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
        },
        files,
        file: 0,
        reading: Reading::plain(1),
        rules,
        apart: !names.is_empty(),
        merged: merged.collect(),
        stays: (!names.is_empty() && rules == Rules::K0sMerge && !target.is_2()).then_some(target),
        shadowed: BTreeMap::new(),
        hidden: BTreeMap::new(),
        appended: BTreeMap::new(),
        replaced: BTreeMap::new(),
    };
    reader.input.tree.read_as(reader.input.version);
    if rules == Rules::K0sMerge {
        reader.input.tree.join_defaults();
    }
    if let Some(meant) = meant {
        reader.say_version_meant(meant);
    }
    for (number, file) in files.iter().enumerate() {
        reader.file = number;
        let version = match rules {
            Rules::Containerd1 => reader.input.version,
            _ => own_version(file, reader.input.version),
        };
        reader.input.tree.file_read_as(ReadAs {
            version,
            is_meant: file.version().is_none(),
        });
        reader.reading = Reading::by_any(version, target.is_2());
        reader.file(file.root());
    }
    reader.settle_appended();
    reader.say_shadowed();
    let stays = reader.stays.is_some();
    let mut input = reader.input;
    // containerd 2.x, which alone has version 3, reads TOML 1.1.
    let of_1_x = files
        .iter()
        .filter(|file| version_of(file).is_none_or(|version| version < 3));
    for file in of_1_x {
        let code = match stays {
            // k0s reads it first.
            true => Code::K0sRefuses,
            false => Code::NotReadByContainerd,
        };
        input.findings.extend(file.toml_1_1().map(|(span, what)| {
            let mut finding = Finding::new(code, format!("{what} is TOML 1.1"));
            finding.span = Some(span);
            finding
        }));
    }
    input
}

/// Whether an item is a setting, or a table with one in it.
fn holds_setting(cursor: Cursor, item: &Item) -> bool {
    let mut items = vec![(cursor, item)];
    while let Some((cursor, item)) = items.pop() {
        if cursor.place.is_some() {
            return true;
        }
        let keys = item.as_table_like().into_iter().flat_map(TableLike::iter);
        items.extend(keys.map(|(key, item)| (cursor.child(key).cursor(), item)));
    }
    false
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
    reading: Reading,
    rules: Rules,
    apart: bool,
    /// Which files k0s 1.27.5 – 1.35 merge.
    merged: Vec<bool>,
    /// The files stay as they are, for this containerd 1.7 to read.
    stays: Option<Release>,
    /// Settings of one file that another replaces, by the two.
    shadowed: BTreeMap<(usize, usize), Vec<Id>>,
    /// What a setting of k0s's merge hides, by the setting.
    hidden: BTreeMap<Id, Id>,
    /// The earlier files' lists in one that has all of them, and its names.
    appended: BTreeMap<Id, (Vec<Id>, Names)>,
    /// Tables that a later file replaced, and by which.
    replaced: BTreeMap<Id, Id>,
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

impl Reader<'_> {
    /// Reads a file, table by table rather than by recursion, which deep
    /// nesting would make deep.
    fn file(&mut self, root: &dyn TableLike) {
        let mut pending = vec![Pending {
            table: root,
            parent: ROOT,
            cursor: self.reading.top(),
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
        // What moved there from another place of the file goes on to count.
        let parent = self.replaced.get(&parent).copied().unwrap_or(parent);
        for (key, item) in table.iter() {
            let Some(toml_key) = table.key(key) else {
                continue;
            };
            let at = toml_key.span().unwrap_or_default();
            let text = self.files.get(self.file).map_or("", |file| file.text());
            let comments = Comments::of(toml_key, item, text);
            let stands_in = shell.unwrap_or(parent);
            let has = |key: &str| table.contains_key(key);
            let known = self.reading.key(cursor, key, item.is_table_like(), has);
            match known {
                Known::Setting(step) => {
                    let at_key = step.cursor();
                    let is_moved = matches!(step, Step::Moved(..));
                    let (target, name) = self.home(parent, step);
                    if at_key.rank != OWN && cursor.rank == OWN && holds_setting(at_key, item) {
                        self.say_other_place(stands_in, key, &at);
                    }
                    self.say_replaced(table, parent, key, &at);
                    let shell = if is_moved { Some(stands_in) } else { shell };
                    let mut node = Node {
                        spelled: (name != key).then(|| key.into()),
                        key: name.to_owned(),
                        shell,
                        rank: at_key.rank,
                        sources: vec![Source {
                            file: self.file,
                            at,
                        }],
                        is_empty: item.as_table_like().is_some_and(TableLike::is_empty),
                        ..Node::table(target)
                    };
                    node.set_place(at_key.place);
                    node.set_comments(self.file, comments, text);
                    tables.extend(self.item(item, node, at_key, is_moved));
                }
                Known::Shell(cursor) => {
                    let Some(table) = item.as_table_like() else {
                        continue;
                    };
                    let mut node = Node {
                        key: key.to_owned(),
                        shell,
                        ..Node::table(parent)
                    };
                    node.set_comments(self.file, comments, text);
                    let shell = self.input.tree.push_shell(node);
                    tables.push(Pending {
                        table,
                        parent,
                        cursor,
                        shell: Some(shell),
                    });
                }
                Known::Ignored(why, _) => {
                    let (code, why) = self.ignored(stands_in, key, why);
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
        let place = node.place();
        let is_table_kind = place.is_none_or(|place| {
            matches!(place.kind(), Kind::Section(_) | Kind::Map(_) | Kind::Any)
        });
        match item.as_table_like().filter(|_| is_table_kind) {
            Some(table) if is_moved => {
                let (parent, key) = (node.parent, node.key.clone());
                node.spelled.get_or_insert_with(|| key.as_str().into());
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
                node.original = original.map(Box::new);
                node.content = Content::Leaf {
                    value,
                    verdict: Verdict::Pending,
                };
                self.leaf_node(node);
                None
            }
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
                key: shown::path(&path),
                whole_key: Behind(shown::hidden_path(&path)),
                source: Source {
                    file: self.file,
                    at,
                },
                place: None,
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
        let finding = Finding::new(code, why).at(shown::path(&path), self.span(&source));
        self.input.findings.push(finding);
    }

    fn say_version_meant(&mut self, meant: i64) {
        let message = match meant {
            2 => "the file states no `version`, so containerd 1.x reads it as version 1 and ignores its plugin settings; it is read as version 2, which it speaks".to_owned(),
            _ => format!("the file states no `version`; it is read as version {meant}, which it speaks, as containerd 2.x does"),
        };
        let start = self.files.first().map(|file| file.span(0..0));
        let finding = Finding::new(Code::VersionMissing, message).at("version", start);
        self.input.findings.push(finding);
    }

    fn span(&self, source: &Source) -> Option<Span> {
        Files(self.files).span(source)
    }
}
