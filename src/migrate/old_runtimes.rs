//! The two tables that were runtime handlers before there was a map of them:
//! `default_runtime` and `untrusted_workload_runtime`.
//!
//! containerd 1.3 – 1.7 copy them into the map, if they have a type (1.7.24:
//! `pkg/cri/config/config.go`, `ValidatePluginConfig`); 2.0 removed them.

use super::successors::{Steps, handler_options};
use super::tree::{Dropped, Id, Verdict};
use crate::config::known::{
    CONTAINERD, DEFAULT_RUNTIME, DEFAULT_RUNTIME_NAME, OPTIONS, RUNTIME_TYPE, RUNTIMES,
    UNTRUSTED_WORKLOAD_RUNTIME,
};
use crate::config::table::Known;
use crate::containerd::handler::BUILT_IN;
use crate::containerd::place::Place;
use crate::diagnostic::Code;
use crate::value::Value;

impl Steps<'_> {
    /// `default_runtime` with a type becomes `runtimes.default` (containerd
    /// 1.3 – 1.7 copy it there and force `default_runtime_name`), whatever the
    /// type is.
    pub(super) fn default_runtime(&mut self) {
        let Some((containerd, old)) = self.old_runtime(DEFAULT_RUNTIME) else {
            return;
        };
        let Some(type_leaf) = self.type_in_force(old) else {
            return;
        };
        let why =
            "containerd sets default_runtime_name to \"default\" where there is a default_runtime";
        let default = Value::String("default".to_owned());
        let name = self.tree.child(containerd, DEFAULT_RUNTIME_NAME.key());
        let name = name.filter(|name| self.tree.is_kept(*name));
        let other = name.filter(|name| self.tree.value(*name) != Some(&default));
        if let Some(other) = other {
            self.ignore(other, Code::Contradiction, why);
        }
        let is_named = name.is_some() && other.is_none();
        if !is_named && !self.default_runtime_is_own(containerd, old, type_leaf) {
            return;
        }
        self.move_runtime(containerd, old, "default");
        if !is_named {
            self.tree.owe(
                containerd,
                DEFAULT_RUNTIME_NAME.key(),
                default,
                type_leaf,
                why,
            );
        }
    }

    /// Whether the table says or changes anything for somebody. It does not where
    /// it is what containerd 1.2 prints and all that it could hide or run
    /// otherwise is nobody's choice either: the target's own default handler runs
    /// pods the same way.
    fn default_runtime_is_own(&mut self, containerd: Id, old: Id, type_leaf: Id) -> bool {
        let (node, value) = (self.tree.node(type_leaf), self.tree.value(type_leaf));
        let is_printed = self
            .origin
            .of_node(self.tree, type_leaf)
            .is_some_and(|release| {
                let printed = |(place, value): (Place, _)| place.prints(value, release);
                node.place().zip(value).is_some_and(printed)
            });
        let mut leaves = self.tree.leaves(old);
        leaves.retain(|id| *id != type_leaf);
        let runtimes = self.tree.child(containerd, RUNTIMES.key());
        if let Some(runtimes) = runtimes {
            if self.tree.child(runtimes, "default").is_some() {
                return true;
            }
            let built_in = self.tree.child(runtimes, BUILT_IN);
            leaves.extend(built_in.into_iter().flat_map(|id| self.tree.leaves(id)));
        }
        leaves.extend(handler_options().filter_map(|(setting, _)| self.tree.find(&setting.path())));
        let is_own = leaves.into_iter().any(|id| self.tree.is_kept(id));
        !is_printed || is_own || self.first_shim_is_changed()
    }

    /// `untrusted_workload_runtime` with a type becomes `runtimes.untrusted`.
    pub(super) fn untrusted_workload_runtime(&mut self) {
        if let Some((containerd, old)) = self.old_runtime(UNTRUSTED_WORKLOAD_RUNTIME)
            && self.type_in_force(old).is_some()
        {
            self.move_runtime(containerd, old, "untrusted");
        }
    }

    /// One of the two old tables.
    fn old_runtime(&mut self, old: Known) -> Option<(Id, Id)> {
        let containerd = self.tree.find(&CONTAINERD)?;
        let old = self.tree.child(containerd, old.key())?;
        Some((containerd, old))
    }

    /// The leaf with the type of an old table. Without one the table does
    /// nothing.
    fn type_in_force(&mut self, old: Id) -> Option<Id> {
        let leaf = self.tree.child(old, RUNTIME_TYPE.key());
        let stated = leaf
            .and_then(|id| self.tree.value(id))
            .and_then(Value::as_str);
        if stated.is_some_and(|text| !text.is_empty()) {
            return leaf;
        }
        let why = "containerd 1.3 to 1.7 read this table only if it has a runtime_type";
        for id in self.tree.leaves(old) {
            if self.tree.is_kept(id) {
                self.ignore(id, Code::WithoutEffect, why);
            }
        }
        None
    }

    /// Moves an old table to `runtimes.NAME`.
    fn move_runtime(&mut self, containerd: Id, old: Id, name: &str) {
        let runtimes = self.tree.make(containerd, &[RUNTIMES.key()]);
        if let Some(existing) = self.tree.child(runtimes, name) {
            let why = format!("the table that becomes runtimes.{name} takes its place");
            self.say(existing, Code::Contradiction, why.clone());
            self.give_up(existing, &why);
        }
        let new = self.tree.make(runtimes, &[name]);
        // That it is there counts, even if nothing is in it.
        if self.tree.child(old, OPTIONS.key()).is_some() || self.tree.joins_defaults() {
            self.tree.make(new, &[OPTIONS.key()]);
        }
        self.tree.node_mut(new).comments = self.tree.node(old).comments.clone();
        self.say(old, Code::Converted, format!("becomes runtimes.{name}"));
        let depth = self.tree.path(old).len();
        for id in self.tree.leaves(old) {
            let zero = self.tree.value(id).is_some_and(Value::is_zero);
            let free = self.tree.node(id).place().is_some_and(|place| place.free());
            let lost = matches!(
                self.tree.verdict(id),
                Some(Verdict::Drop(Dropped::NotExpressible, _))
            );
            if lost || zero && !free && !self.tree.is_kept(id) {
                continue;
            }
            let path = self.tree.path(id);
            let below = path.iter().skip(depth);
            let path: Vec<String> = below.map(|key| (*key).to_owned()).collect();
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            let Some((key, tables)) = keys.split_last() else {
                continue;
            };
            let table = self.tree.make(new, tables);
            let value = self.value(id);
            let moved = self.set(table, key, value, id, "moved from a deprecated table");
            let why = format!("its successor is runtimes.{name}");
            self.converted(id, moved, &why);
        }
    }
}
