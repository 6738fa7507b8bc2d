//! What changes on the node: what is in effect before and after, compared.
//!
//! Before is the input as the release that the node runs has it, after is the
//! plan's result under the target. Both are compared in one space, by setting
//! rather than by where a config version has it. A setting that was converted
//! says the same in another form, which is no change; the ledger and the
//! companions tell of it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Target;
use super::running::Running;
use super::tree::{Content, Dropped, Id, Tree, Verdict, Why};
use crate::config::known::{MadeList, RUNTIMES, SANDBOX_IMAGE, SANDBOX_MODE, TTRPC_ADDRESS};
use crate::config::{Config, address};
use crate::containerd::difference::Difference;
use crate::containerd::load::Effective;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::shown::{self, Behind, Redacted};
use crate::value::Value;

/// A key that is in effect with another value after the migration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The key, by its path in the target's config version.
    pub key: String,
    /// The whole of the path, where that is not all of it.
    #[serde(skip)]
    whole_key: Behind,
    /// What is in effect on the node as it is; `None` is no value or no entry.
    pub before: Option<Redacted>,
    /// What is in effect afterwards.
    pub after: Option<Redacted>,
    /// Why.
    pub reason: String,
}

impl Change {
    /// Shows all of it from now on.
    pub(super) fn reveal(&mut self) {
        self.whole_key.reveal(&mut self.key);
        let values = self.before.iter_mut().chain(&mut self.after);
        values.for_each(Redacted::reveal);
    }
}

/// All changes, in two groups.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What the migration brings about.
    pub(super) by_migration: Vec<Change>,
    /// What the change of releases brings about, whatever the input says.
    pub(super) by_release: Vec<Change>,
    /// Settings among the former, by their paths in config version 2.
    found: BTreeSet<Vec<String>>,
}

/// A setting as the target's config version has it.
pub(super) fn key_at(target: &Target, path: &[&str]) -> String {
    shown::path(&address::of(target.dialect(), path))
}

impl Changes {
    /// Whether the migration changes a setting, given by its path in config
    /// version 2.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.found.contains(&path)
    }

    /// Compares a node with what it will be. There is nothing to compare where
    /// it does not start now. `pristine` is what the target has by itself.
    pub(super) fn between(
        running: &Running,
        after: &Effective,
        tree: &mut Tree,
        target: &Target,
        pristine: Option<&Effective>,
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(before) = &running.effective else {
            return changes;
        };
        let by_release = ByRelease::of(running, target, pristine);
        let mut differences = before.setting_differences(after);
        one_form_of_lists(&mut differences, [before, after], target);
        let nodes: Vec<Option<Id>> = differences
            .iter()
            .map(|difference| {
                let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
                tree.find(&path)
            })
            .collect();
        let tree = &*tree;
        let input = Input::new(tree);
        for (difference, node) in differences.into_iter().zip(nodes) {
            let whole_path = difference.path;
            let path: Vec<&str> = whole_path.iter().map(String::as_str).collect();
            let compare = Compare {
                node,
                running,
                before,
                after,
                tree,
                target,
                input: &input,
                path: &path,
            };
            let sides = [difference.before, difference.after];
            let Some(sides) = compare.real(sides) else {
                continue;
            };
            let is_of_release = by_release.brings(&whole_path, &sides);
            let address = address::of(target.dialect(), &path);
            let (key, whole_key) = shown::path_and_behind(&address);
            let change = |reason| {
                let [before, after] = sides;
                Change {
                    key,
                    whole_key,
                    before,
                    after,
                    reason,
                }
            };
            if is_of_release {
                let reason = by_release.reason(&path);
                changes.by_release.push(change(reason));
            } else if let Some(reason) = compare.reason() {
                changes.by_migration.push(change(reason));
                changes.found.insert(whole_path);
            }
        }
        changes
    }
}

/// What differs between the two releases with nothing of the user's.
struct ByRelease<'a> {
    differences: BTreeMap<Vec<String>, Difference>,
    running: &'a Target,
    target: &'a Target,
}

impl<'a> ByRelease<'a> {
    /// `pristine` is what the target has by itself, if k0s has drop-ins there.
    fn of(running: &'a Running, target: &'a Target, pristine: Option<&Effective>) -> Self {
        let is_other = running.target.release != target.release;
        let differences = pristine
            .filter(|_| is_other)
            .map_or_else(Vec::new, |after| {
                let before = running.pristine();
                let mut differences = before.setting_differences(after);
                one_form_of_lists(&mut differences, [&before, after], target);
                differences
            });
        let by_path = differences.into_iter();
        ByRelease {
            differences: by_path.map(|found| (found.path.clone(), found)).collect(),
            running: &running.target,
            target,
        }
    }

    /// Whether a difference is there whatever the input says.
    fn brings(&self, path: &[String], sides: &[Option<Redacted>; 2]) -> bool {
        let same = |(a, b): (Option<&Value>, Option<&Value>)| {
            let is_zero = |side: Option<&Value>| side.is_none_or(Value::is_zero);
            a == b || is_zero(a) && is_zero(b)
        };
        self.differences.get(path).is_some_and(|own| {
            let own = [&own.before, &own.after].map(value);
            own.into_iter().zip(sides.each_ref().map(value)).all(same)
        })
    }

    fn reason(&self, path: &[&str]) -> String {
        let (running, target) = (self.running, self.target);
        if path == &*SANDBOX_IMAGE {
            return format!("k0s {} injects another image", target.release);
        }
        format!(
            "the default of containerd {} in place of that of {}",
            target.containerd(),
            running.containerd()
        )
    }
}

/// The leaves of the input, and what became of them. Indices over all of them
/// are made when the first is asked for.
struct Input<'t> {
    tree: &'t Tree,
    /// By path, and then as they are in the tree.
    leaves: OnceCell<Vec<(Vec<&'t str>, Id)>>,
    sources: OnceCell<BTreeMap<Id, Id>>,
}

impl<'t> Input<'t> {
    fn new(tree: &'t Tree) -> Self {
        Input {
            tree,
            leaves: OnceCell::new(),
            sources: OnceCell::new(),
        }
    }

    /// The leaves of the input at a path, or below it, those among them that the
    /// migration took out of the tree.
    fn below(&self, path: &[&str]) -> Vec<Id> {
        let leaves = self.leaves.get_or_init(|| {
            let leaves = self
                .tree
                .all()
                .filter(|(_, node)| matches!(node.content, Content::Leaf { .. }) && !node.is_made);
            let mut leaves: Vec<(Vec<&str>, Id)> =
                leaves.map(|(id, _)| (self.tree.path(id), id)).collect();
            leaves.sort();
            leaves
        });
        let from = leaves.partition_point(|(at, _)| at.as_slice() < path);
        let from = leaves.get(from..).unwrap_or_default().iter();
        let below = from.take_while(|(at, _)| at.starts_with(path));
        below.map(|(_, id)| *id).collect()
    }

    /// The leaf of the input that a leaf was made of.
    fn source(&self, id: Id) -> Id {
        let sources = self.sources.get_or_init(|| {
            let mut sources = BTreeMap::new();
            for (id, _) in self.tree.all() {
                if let Some(Verdict::Converted(to, _)) = self.tree.verdict(id) {
                    sources.extend(to.iter().map(|made| (*made, id)));
                }
            }
            sources
        });
        let mut at = id;
        // A chain of successors is short; the bound is against a defect.
        for _ in 0..8 {
            match sources.get(&at) {
                Some(from) if *from != at => at = *from,
                _ => break,
            }
        }
        at
    }
}

/// One difference, seen with all that is known of its setting.
struct Compare<'a, 't> {
    /// The node of the setting, if it hangs in the tree.
    node: Option<Id>,
    running: &'a Running,
    before: &'a Effective,
    after: &'a Effective,
    tree: &'a Tree,
    target: &'a Target,
    input: &'a Input<'t>,
    path: &'a [&'a str],
}

impl Compare<'_, '_> {
    /// The difference as the two releases see it; `None` where it is none.
    fn real(&self, mut sides: [Option<Redacted>; 2]) -> Option<[Option<Redacted>; 2]> {
        let place = Config::place_of(self.path)?;
        let sets = |side: &Effective| side.set_value(self.path).is_some();
        // Where nothing sets it, containerd makes it of the socket's path, which k0s
        // gives on the command line.
        let follows = self.path == &*TTRPC_ADDRESS && !sets(self.before) && !sets(self.after);
        if place.owned().is_some() || follows {
            return None;
        }
        if self.is_plugin_list() && self.before.has_short_names() {
            let [before, _] = &mut sides;
            *before = value(before).map(|names| Redacted::new(Some(place), uris(names)));
        }
        let [before, after] = sides.each_ref().map(value);
        let is_zero = |side: Option<&Value>| side.is_none_or(Value::is_zero);
        // An entry says something by being there.
        let tells = place.is_entry() && matches!(after.or(before), Some(Value::Table(_)));
        let pod_sandbox = |side: Option<&Value>| {
            let text = side.and_then(Value::as_str).unwrap_or_default();
            matches!(text, "" | "podsandbox")
        };
        let same = before == after
            || is_zero(before) && is_zero(after) && !tells
            || self.is_sandbox_mode() && pod_sandbox(before) && pod_sandbox(after)
            || self.is_plugin_list() && names(before) == names(after)
            || self.is_platform(&place, before, after);
        if same {
            return None;
        }
        if !self.is_plugin_list() {
            return Some(sides);
        }
        let [before, after] = sides;
        let path = self.path.iter().map(|key| (*key).to_owned()).collect();
        let mut difference = Difference {
            path,
            before,
            after,
        };
        self.before.spell_ids(self.after, &mut difference);
        Some([difference.before, difference.after])
    }

    fn is_plugin_list(&self) -> bool {
        plugin::is_list(self.path)
    }

    /// An empty sandboxer is that of pods, in all releases that have one.
    fn is_sandbox_mode(&self) -> bool {
        Config::place_of(self.path).is_some_and(|place| place.is(SANDBOX_MODE))
    }

    /// The machine's own platform, which a dump of it names and the declared
    /// default cannot.
    fn is_platform(&self, place: &Place, before: Option<&Value>, after: Option<&Value>) -> bool {
        let is_default = |side: Option<&Value>, release| {
            side.is_none_or(|value| place.is_of_host(value) || place.is_default(value, release))
        };
        let of_host = |value: &Value| place.is_of_host(value);
        let any = [before, after].into_iter().flatten().any(of_host);
        any && is_default(before, self.running.target.containerd())
            && is_default(after, self.target.containerd())
    }

    /// Why the migration brings it about; `None` where a setting has another form
    /// and says the same.
    fn reason(&self) -> Option<String> {
        if self.path == &*SANDBOX_IMAGE && self.node.is_none() {
            return Some(self.held_back().to_owned());
        }
        let was_in_effect = |id: Id| {
            let path = self.tree.path(id);
            path.is_empty() || self.before.set_value(&path).is_some()
        };
        let input = self.input.below(self.path);
        // Leaves of the input that say it otherwise now.
        let is_converted = |id: &Id| {
            let verdict = self.tree.verdict(*id);
            matches!(
                verdict,
                Some(
                    Verdict::Converted(..)
                        | Verdict::Moved(_)
                        | Verdict::Keep(Why::Converted(_))
                        // What containerd does not act on is nothing that the node loses.
                        | Verdict::Drop(Dropped::SuccessorDefault | Dropped::NoEffect, _)
                )
            )
        };
        if input
            .iter()
            .any(|id| is_converted(id) && was_in_effect(*id))
        {
            return None;
        }
        let acted = input.iter().filter(|id| was_in_effect(**id));
        let dropped = acted
            .into_iter()
            .find_map(|id| match self.tree.verdict(*id) {
                Some(Verdict::Drop(_, why)) => Some(why.clone()),
                _ => None,
            });
        let kept: Vec<Id> = self
            .node
            .map_or_else(Vec::new, |node| self.tree.leaves(node));
        let kept: Vec<Id> = kept
            .into_iter()
            .filter(|id| self.tree.is_kept(*id))
            .collect();
        if self.is_plugin_list() && dropped.is_none() {
            let of = |side: &Effective| side.set_value(self.path).cloned();
            let before = match of(self.before) {
                Some(names) if self.before.has_short_names() => Some(uris(&names)),
                names => names,
            };
            let is_subset = names(of(self.after).as_ref()).is_subset(&names(before.as_ref()));
            let reason = if is_subset {
                FEWER_PLUGINS
            } else {
                OTHER_PLUGINS
            };
            return Some(reason.to_owned());
        }
        // The plan has a place of its own for companions.
        let is_companion = |id: &Id| {
            matches!(
                self.tree.verdict(*id),
                Some(Verdict::Keep(Why::Companion { .. }))
            )
        };
        let is_same = |id: &Id| {
            let is_made = self.tree.node(*id).is_made;
            is_companion(id) || is_made && was_in_effect(self.input.source(*id))
        };
        if !kept.is_empty() {
            return (!kept.iter().all(is_same)).then(|| self.first_effect());
        }
        // An entry that is merely there.
        let is_bare = |node: Id| !self.tree.node(node).is_made && self.tree.value(node).is_none();
        if dropped.is_none() && self.node.is_some_and(is_bare) {
            return Some(self.first_effect());
        }
        Some(dropped.unwrap_or_else(|| self.held_back().to_owned()))
    }

    fn first_effect(&self) -> String {
        let release = self.running.target.containerd();
        format!(
            "it takes effect for the first time: containerd {release} on the node does not act on it where it stands"
        )
    }

    /// Why the input keeps a setting, which it does not have, from what the
    /// target has.
    fn held_back(&self) -> &'static str {
        let depth = RUNTIMES.len();
        let in_runtimes = self.path.starts_with(&RUNTIMES);
        match self.path.len() {
            _ if self.path == &*SANDBOX_IMAGE && !self.running.managed => {
                "the file sets none that counts, so containerd falls back to its built-in one"
            }
            len if in_runtimes && len == depth + 1 => {
                "containerd 1.5 to 1.7 leave their own entry out where a file has others; it is there again beside yours"
            }
            _ if in_runtimes => {
                "a handler that the file names starts from zero in containerd 1.5 to 1.7; k0s keeps the default"
            }
            _ => "the files hold it back from what the target has by itself",
        }
    }
}

const FEWER_PLUGINS: &str =
    "the names of what the target does not have, or what k0s needs, are taken out";

const OTHER_PLUGINS: &str = "the target has plugins of these ids, which the node does not have now";

/// The plugins that the short names in a list mean.
fn uris(names: &Value) -> Value {
    let names = names.as_array().unwrap_or_default();
    let names = names.iter().filter_map(Value::as_str);
    let uris = names.flat_map(plugin::with_short_name);
    Value::Array(uris.map(|uri| Value::String(uri.to_owned())).collect())
}

/// The whole value of a side.
fn value(side: &Option<Redacted>) -> Option<&Value> {
    side.as_ref().map(Redacted::expose)
}

fn names(list: Option<&Value>) -> BTreeSet<&str> {
    let items = list.and_then(Value::as_array).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}

/// A setting and the list that a release made of it are one: told of where the
/// target has it, and no difference where they say the same.
fn one_form_of_lists(found: &mut Vec<Difference>, sides: [&Effective; 2], target: &Target) {
    for made in MadeList::all() {
        let paths = made.paths();
        let is_of_it = |found: &Difference| paths.iter().any(|path| found.path == *path);
        if !found.iter().any(is_of_it) {
            continue;
        }
        let [one, many] = &paths;
        let list = |side: &Effective| match (side.value(many), side.value(one)) {
            (Some(Value::Array(items)), _) if !items.is_empty() => items,
            (_, Some(item)) if !item.is_zero() => vec![item],
            _ => Vec::new(),
        };
        let [before, after] = sides.map(list);
        found.retain(|found| !is_of_it(found));
        if before == after {
            continue;
        }
        let has_list = |place: Place| place.known_in(target.containerd());
        let (path, before, after) = match Config::place_of(many).is_some_and(has_list) {
            true => (many, Some(Value::Array(before)), Some(Value::Array(after))),
            false => (one, before.into_iter().next(), after.into_iter().next()),
        };
        let place = Config::place_of(path);
        found.push(Difference {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            before: before.map(|value| Redacted::new(place, value)),
            after: after.map(|value| Redacted::new(place, value)),
        });
    }
}
