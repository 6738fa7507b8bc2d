//! How what a later file says goes over what an earlier one says.

use super::{Ignored, Reader, Rules};
use crate::containerd::load::{Meeting, Met, Side};
use crate::containerd::setting::Merge;
use crate::diagnostic::{Code, Finding};
use crate::migrate::tree::{Content, Dropped, Files, Id, Node, ROOT, Verdict};
use crate::shown::{self, Behind};
use crate::value::Value;

fn node_value(node: &Node) -> Option<&Value> {
    match &node.content {
        Content::Leaf { value, .. } => Some(value),
        Content::Table(_) => None,
    }
}

impl Reader<'_> {
    /// The table or key that is there already; in a single file of an early
    /// version there can be none.
    fn there(&mut self, parent: Id, key: &str) -> Option<Id> {
        let reading = self.reading;
        let may_be = self.file > 0 || reading.version() >= 3 || reading.is_lenient();
        may_be.then(|| self.input.tree.child(parent, key)).flatten()
    }

    /// Adds a table, or goes on in the one that is there; gives the node and
    /// what stands for it in the input.
    pub(super) fn table_node(&mut self, node: Node) -> (Id, Option<Id>) {
        let parent = node.parent;
        let Some(old) = self.there(parent, &node.key) else {
            return (self.input.tree.push(parent, node), None);
        };
        if self.meet(old, &node, Side::Table) != Meeting::Join {
            self.shadow(old, None);
            let new = self.input.tree.push(parent, node);
            self.replaced.insert(old, new);
            return (new, None);
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

    /// What becomes of a node that is there, and of another that is the same
    /// setting.
    fn meet(&self, old: Id, new: &Node, later: Side<'_>) -> Meeting {
        let tree = &self.input.tree;
        let earlier_file = self.file_of(old);
        let parent = tree.node(new.parent);
        let map = parent.place().filter(|_| parent.parent == ROOT);
        let met = match (map.as_ref().and_then(Met::entry_of), new.place()) {
            _ if earlier_file.is_none_or(|file| file == self.file) => Met::Other,
            (Some(met), _) => met,
            (None, Some(place)) => Met::of(&place, !tree.is_merged_by_value(new)),
            (None, None) => Met::Other,
        };
        let earlier = match &tree.node(old).content {
            Content::Table(_) => Side::Table,
            Content::Leaf { value, .. } => Side::Value(value),
        };
        self.rules_beside(earlier_file)
            .meet(met, Some(earlier), later)
    }

    /// The last file that names a node.
    pub(super) fn file_of(&self, id: Id) -> Option<usize> {
        let sources = &self.input.tree.node(id).sources;
        sources.last().map(|source| source.file)
    }

    /// Whether k0s 1.27.5 – 1.35 merge this file and an earlier one.
    pub(super) fn both_have_cri(&self, other: Option<usize>) -> bool {
        self.rules_beside(other) == Rules::K0sMerge
    }

    /// By whose rules this file goes over an earlier one: k0s makes one file of
    /// all that have CRI settings, and containerd merges it with the rest.
    fn rules_beside(&self, other: Option<usize>) -> Rules {
        let is_merged = |file: usize| self.merged.get(file).copied().unwrap_or(false);
        match self.rules {
            Rules::K0sMerge if !(is_merged(self.file) && other.is_some_and(is_merged)) => {
                Rules::Containerd1
            }
            rules => rules,
        }
    }

    pub(super) fn leaf_node(&mut self, node: Node) {
        let parent = node.parent;
        // A value for a table is wrong by itself, and takes nothing's place.
        let old = self.there(parent, &node.key).filter(|_| !node.is_misfit());
        let Some(old) = old else {
            self.input.tree.push(parent, node);
            return;
        };
        let is_list = node
            .place()
            .is_some_and(|place| place.merge() == Merge::Append);
        let earlier = self.file_of(old);
        let by_key = self.both_have_cri(earlier);
        if self.apart && is_list && !by_key {
            self.input.tree.push(parent, node);
            return;
        }
        let owned = node.place().and_then(|place| place.owned());
        if let Some(why) = owned.filter(|_| !(is_list && by_key)) {
            // Neither counts; each file's line has its own fate.
            let verdict = Verdict::Drop(Dropped::Owned, why.to_owned());
            self.input.tree.judge(old, verdict);
            self.input.tree.detach(old);
            self.input.tree.push(parent, node);
            return;
        }
        if earlier == Some(self.file) {
            self.same_file(old, node);
            return;
        }
        let Some(value) = node_value(&node) else {
            return;
        };
        match self.meet(old, &node, Side::Value(value)) {
            Meeting::Append => return self.append(old, node),
            Meeting::Yield => return self.say_zero(node),
            Meeting::Cancel => {
                self.say_zero(node);
                self.shadow(old, None);
                if let Some(hidden) = self.hidden.remove(&old) {
                    self.input.tree.judge(hidden, Verdict::Pending);
                    self.input.tree.attach(hidden);
                }
                return;
            }
            Meeting::Join | Meeting::Replace => {
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

    /// Appends a list to that of earlier files.
    fn append(&mut self, old: Id, mut node: Node) {
        let (mut earlier, mut names) = self.appended.remove(&old).unwrap_or_default();
        let tree = &mut self.input.tree;
        let mut items = tree.take_list(old);
        if let Content::Leaf { value, .. } = &mut node.content {
            let more = value.as_array().unwrap_or_default().to_vec();
            names.append(&mut items, more, self.rules);
            let own = std::mem::replace(value, Value::Array(items));
            node.original.get_or_insert_with(|| Box::new(own));
        }
        tree.detach(old);
        let id = tree.push(node.parent, node);
        earlier.push(old);
        self.appended.insert(id, (earlier, names));
    }

    /// Says of the lists of all files but the last where they went.
    pub(super) fn settle_appended(&mut self) {
        let why = "the lists of all files are appended";
        for (id, (earlier, _)) in std::mem::take(&mut self.appended) {
            for old in earlier {
                let verdict = Verdict::Converted(vec![id], why.to_owned());
                self.input.tree.judge(old, verdict);
            }
        }
    }

    /// Two keys of one file that are the same setting, in the places of two
    /// config versions.
    pub(super) fn same_file(&mut self, old: Id, node: Node) {
        let why = "the file has the setting twice, in the places of two config versions; the other one counts";
        let tree = &mut self.input.tree;
        let new_counts = tree.node(old).rank <= node.rank;
        let new = tree.push(node.parent, node);
        let (counts, other) = match new_counts {
            true => (new, old),
            false => (old, new),
        };
        let finding = Files(self.files).finding(tree, other, Code::Contradiction, why);
        self.input.findings.push(finding);
        for leaf in tree.leaves(other) {
            tree.judge(leaf, Verdict::Drop(Dropped::NoEffect, why.to_owned()));
        }
        // The index shall find the one that counts.
        tree.detach(other);
        tree.reindex(counts);
    }

    /// An earlier file's settings that a later file replaces, by `new` where
    /// that is one value.
    pub(super) fn shadow(&mut self, old: Id, new: Option<&Value>) {
        self.say_mismatch(old);
        let by = self.files.get(self.file).map_or("", |file| file.name());
        let by = shown::printable(by);
        let why = format!("{by} is loaded later and replaces it");
        let tree = &self.input.tree;
        let same = new.is_some() && tree.value(old) == new;
        let source = tree.node(old).sources.first();
        if let Some(source) = source.filter(|_| !same) {
            let pair = (source.file, self.file);
            self.shadowed.entry(pair).or_default().push(old);
        }
        for id in self.input.tree.leaves(old) {
            let verdict = Verdict::Drop(Dropped::NoEffect, why.clone());
            self.input.tree.judge(id, verdict);
        }
        self.input.tree.detach(old);
    }

    /// containerd decodes the daemon's settings of each file by itself, so that a
    /// wrong type ends it where another file decides, too.
    fn say_mismatch(&mut self, old: Id) {
        let earlier = self.file_of(old);
        let by_itself = earlier != Some(self.file) && !self.both_have_cri(earlier);
        let tree = &self.input.tree;
        let is_plugin = tree.spelled_path(old).first() == Some(&"plugins");
        let Some(release) = self.stays.filter(|_| by_itself && !is_plugin) else {
            return;
        };
        let mismatch = |id: &Id| {
            let place = tree.node(*id).place()?;
            let message = place.mismatch(tree.value(*id)?, release)?;
            Some(Files(self.files).wrong_value(tree, *id, Code::WrongType, message))
        };
        let found: Vec<Finding> = tree.leaves(old).iter().filter_map(mismatch).collect();
        self.input.findings.extend(found);
    }

    /// One finding for all that one file replaces of another, but for what
    /// came to count after all.
    pub(super) fn say_shadowed(&mut self) {
        for ((_, by), mut ids) in std::mem::take(&mut self.shadowed) {
            let tree = &self.input.tree;
            ids.retain(|id| tree.verdict(*id) != Some(&Verdict::Pending));
            let Some(first) = ids.first() else {
                continue;
            };
            let by = self.files.get(by).map_or("", |file| file.name());
            let by = shown::printable(by);
            let more = match ids.len().checked_sub(5) {
                Some(more @ 1..) => format!(" and {more} more"),
                _ => String::new(),
            };
            let named: Vec<String> = ids.iter().take(5).map(|id| tree.shown(*id)).collect();
            let message = format!(
                "{by} is loaded later and decides {}{more}",
                named.join(", ")
            );
            let finding = Files(self.files).finding(tree, *first, Code::Shadowed, message);
            self.input.findings.push(finding);
        }
    }

    pub(super) fn say_zero(&mut self, node: Node) {
        let why = "a zero value overrides nothing that an earlier file sets".to_owned();
        let (above, place) = (node.above(), node.place());
        let Content::Leaf { value, .. } = node.content else {
            return;
        };
        let mut path = self.input.tree.spelled_path(above);
        path.push(node.spelled.as_deref().unwrap_or(&node.key));
        let key = shown::path(&path);
        let whole_key = Behind(shown::hidden_path(&path));
        for source in node.sources {
            let finding = Finding::new(Code::ZeroValueIgnored, why.clone());
            self.input
                .findings
                .push(finding.at(key.clone(), self.span(&source)));
            self.input.without_effect.push(Ignored {
                key: key.clone(),
                whole_key: whole_key.clone(),
                source,
                value: value.clone(),
                place,
                why: why.clone(),
            });
        }
    }
}
