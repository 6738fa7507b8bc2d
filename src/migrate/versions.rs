//! Settings whose form differs between containerd 1.x and 2.x: where the other
//! place alone, which every setting's declaration tells, would not do.

use super::successors::Steps;
use super::tree::{Dropped, Id, Verdict, Why};
use crate::config::known::{self, MadeList};
use crate::containerd::Release;
use crate::diagnostic::Code;
use crate::value::Value;

/// What `sched_core = true` is to the shims of containerd 2.x.
const SCHED_CORE: &str = "SCHED_CORE=1";

impl Steps<'_> {
    /// Runs all conversions that the target asks for.
    pub(super) fn other_forms(&mut self) {
        self.empty_snapshotter();
        self.lists();
        self.sched_core();
        self.runtime_snapshotters();
        self.criu_path();
    }

    /// A leaf of a table that is the user's.
    fn kept(&mut self, table: Option<Id>, key: &str) -> Option<Id> {
        let id = self.tree.child(table?, key)?;
        self.tree.is_kept(id).then_some(id)
    }

    fn text(&self, id: Id) -> String {
        let text = self.tree.value(id).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    /// Sets a leaf in place of another.
    fn replace(&mut self, from: Id, table: Id, key: &str, value: Value, why: &str) {
        let to = self.set(table, key, value, from, why);
        match self.tree.is_kept(to) {
            true => self.goes_to(from, to, why),
            false => self.converted(from, to, why),
        }
    }

    /// An empty name is the default to containerd 1.x, and to 2.x a snapshotter
    /// that is not there, without which CRI does not load.
    fn empty_snapshotter(&mut self) {
        if !self.tree.is_of_1_x() || !self.target.is_2() {
            return;
        }
        let containerd = self.tree.find(&known::CONTAINERD);
        let snapshotter = self.kept(containerd, known::SNAPSHOTTER.key());
        if let Some(id) = snapshotter.filter(|id| self.text(*id).is_empty()) {
            let why = "containerd 1.x takes an empty name for its default, which the target has";
            self.tree
                .judge(id, Verdict::Drop(Dropped::TargetDefault, why.to_owned()));
        }
    }

    /// containerd made a list of a setting of a table, as its declaration says:
    /// 2.1 of `cni.bin_dir`.
    fn lists(&mut self) {
        for made in MadeList::all() {
            if let Some(table) = self.tree.find(&made.table) {
                self.list(table, made.key, made.list, made.since);
            }
        }
    }

    fn list(&mut self, table: Id, key: &str, list: &str, since: Release) {
        let (one, many) = (self.tree.child(table, key), self.tree.child(table, list));
        if let Some(many) = many.filter(|many| self.tree.value(*many).is_some_and(Value::is_zero)) {
            self.empty_list(one, many, [key, list]);
        }
        let (one, many) = (self.kept(Some(table), key), self.kept(Some(table), list));
        let (major, minor) = since.line();
        match (one, many) {
            (Some(_), Some(many)) if self.tree.is_of_1_x() => {
                let why =
                    format!("containerd 1.x reads {key} only, and 2.x migrates it over {list}");
                self.ignore(many, Code::Contradiction, &why);
                self.list(table, key, list, since);
            }
            (Some(one), Some(_)) if self.target >= since => {
                let why = format!(
                    "{list} is set as well; containerd {major}.{minor} and later refuse CRI with both"
                );
                self.ignore(one, Code::Contradiction, &why);
            }
            (Some(one), None) if self.target >= since => {
                let items = Value::Array(vec![Value::String(self.text(one))]);
                let why = format!("containerd {major}.{minor} made a list of it");
                self.replace(one, table, list, items, &why);
            }
            // 1.x ignored it in a file of its own version, and does so still.
            (None, Some(many)) if self.target < since && !self.tree.is_of_1_x() => {
                let items = self.tree.value(many).and_then(Value::as_array);
                if let Some([Value::String(only)]) = items {
                    let only = Value::String(only.clone());
                    let why = format!("containerd before {major}.{minor} has one directory");
                    self.replace(many, table, key, only, &why);
                }
            }
            _ => {}
        }
    }

    /// An empty list gives way to the one setting that it is made of.
    fn empty_list(&mut self, one: Option<Id>, many: Id, [key, list]: [&str; 2]) {
        let Some(one) = one.filter(|one| !self.text(*one).is_empty()) else {
            return;
        };
        let why = format!("{list} is empty, so {key} is what counts");
        self.tree.judge(many, Verdict::Drop(Dropped::NoEffect, why));
        let differs = "differs from the target's default";
        if !self.tree.is_kept(one) {
            self.tree
                .judge(one, Verdict::Keep(Why::Edit(differs.to_owned())));
        }
    }

    /// containerd 2.0 made a variable of the shims' environment of
    /// `sched_core`.
    fn sched_core(&mut self) {
        let task = self.tree.find(&known::TASK_MANAGER);
        let manager = self.tree.find(&known::SHIMS);
        if self.target.is_2() {
            let Some(id) = self.kept(task, known::SCHED_CORE.key()) else {
                return;
            };
            let manager = self.tree.make(super::tree::ROOT, &known::SHIMS);
            let why = "containerd 2.0 made it part of the shims' environment";
            let old = self.tree.child(manager, known::SHIM_ENVIRONMENT.key());
            let old = old.filter(|old| !self.tree.is_out(*old));
            let items = old
                .and_then(|old| self.tree.value(old))
                .and_then(Value::as_array);
            let mut items = items.unwrap_or_default().to_vec();
            let entry = Value::String(SCHED_CORE.to_owned());
            match old {
                Some(old) => {
                    if !items.contains(&entry) {
                        items.push(entry);
                    }
                    self.tree.change(old, Value::Array(items));
                    let keep =
                        Verdict::Keep(Why::Edit("differs from the target's default".to_owned()));
                    self.tree.judge(old, keep);
                    self.goes_to(id, old, why);
                }
                None => self.replace(
                    id,
                    manager,
                    known::SHIM_ENVIRONMENT.key(),
                    Value::Array(vec![entry]),
                    why,
                ),
            }
            return;
        }
        let Some(id) = self.kept(manager, known::SHIM_ENVIRONMENT.key()) else {
            return;
        };
        let only = self.tree.value(id).and_then(Value::as_array);
        if matches!(only, Some([Value::String(only)]) if only == SCHED_CORE) {
            let task = self.tree.make(super::tree::ROOT, &known::TASK_MANAGER);
            let why = "before containerd 2.0 this is an option of its own";
            self.replace(id, task, known::SCHED_CORE.key(), Value::Boolean(true), why);
        }
    }

    /// From containerd 2.0 on the images of a runtime handler are unpacked with
    /// what `runtime_platforms` says, and its containers run with what its own
    /// `snapshotter` says: both need to say the same.
    fn runtime_snapshotters(&mut self) {
        if !self.target.is_2() {
            self.runtime_platforms_of_1_x();
            return;
        }
        for runtime in self.runtimes() {
            let Some(id) = self.kept(Some(runtime), known::HANDLERS_SNAPSHOTTER.key()) else {
                continue;
            };
            let name = self.tree.node(runtime).key.clone();
            let platforms = self.tree.make(super::tree::ROOT, &known::RUNTIME_PLATFORMS);
            let platform = self.tree.make(platforms, &[&name]);
            if self
                .tree
                .child(platform, known::HANDLERS_UNPACKED_WITH.key())
                .is_some()
            {
                continue;
            }
            let value = Value::String(self.text(id));
            let why = "images for the handler are unpacked with it";
            self.tree.owe(
                platform,
                known::HANDLERS_UNPACKED_WITH.key(),
                value,
                id,
                why,
            );
            let message = "containerd 2.x needs it twice: it also goes to runtime_platforms, by which images are unpacked";
            self.say(id, Code::NeededTwice, message);
        }
    }

    fn runtime_platforms_of_1_x(&mut self) {
        let Some(platforms) = self.tree.find(&known::RUNTIME_PLATFORMS) else {
            return;
        };
        for platform in self.tree.children(platforms).collect::<Vec<_>>() {
            let Some(id) = self.kept(Some(platform), known::HANDLERS_UNPACKED_WITH.key()) else {
                continue;
            };
            let name = self.tree.node(platform).key.clone();
            let runtimes = self.tree.find(&known::RUNTIMES);
            let runtime = runtimes.and_then(|runtimes| self.tree.child(runtimes, &name));
            let own = runtime
                .and_then(|runtime| self.tree.child(runtime, known::HANDLERS_SNAPSHOTTER.key()));
            let why = "containerd 1.7 unpacks with the handler's own snapshotter";
            match (runtime, own) {
                (_, Some(own)) if self.tree.value(own) == self.tree.value(id) => {
                    self.converted(id, own, why);
                }
                (Some(runtime), None) => {
                    let value = Value::String(self.text(id));
                    self.replace(id, runtime, known::HANDLERS_SNAPSHOTTER.key(), value, why);
                }
                _ => {}
            }
        }
    }

    /// `CriuPath` is gone from the options of runc in 2.0; other runtimes may
    /// have one of their own.
    fn criu_path(&mut self) {
        let is_of_1_x = self.tree.is_of_1_x();
        if !self.target.is_2() && is_of_1_x {
            return;
        }
        for runtime in self.runtimes() {
            let is_runc = self.is_runc(runtime);
            let options = self.tree.child(runtime, known::OPTIONS.key());
            let id = options.and_then(|options| self.tree.child(options, known::CRIU_PATH.key()));
            let is_obsolete = |verdict: Option<&Verdict>| {
                matches!(verdict, Some(Verdict::Drop(Dropped::Obsolete, _)))
            };
            let Some(id) = id else {
                continue;
            };
            if !is_runc && self.target.is_2() && is_obsolete(self.tree.verdict(id)) {
                let why = "what is an option, and its default, is up to the handler's shim";
                let keep = Verdict::Keep(Why::Edit(why.to_owned()));
                self.tree.judge(id, keep);
            }
            if !self.tree.is_kept(id) {
                continue;
            }
            if is_runc && !is_of_1_x {
                let why = "containerd 2.0 removed this option of runc, and no older one reads a file of this version";
                self.ignore(id, Code::WithoutEffect, why);
            } else if !is_runc && self.target.is_2() {
                let place = options.and_then(|options| self.tree.node(options).place());
                // What the declaration says is about runc's.
                self.tree
                    .node_mut(id)
                    .set_place(place.map(|place| place.any()));
            }
        }
    }
}
