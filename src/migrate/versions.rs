//! Settings whose form differs between containerd 1.x and 2.x: where the other
//! place alone, which every setting's declaration tells, would not do.

use super::successors::Steps;
use super::tree::{Dropped, Id, Tree, Verdict, Why};
use crate::containerd::handler::RUNTIMES;
use crate::containerd::plugin;
use crate::containerd::releases::V2_1;
use crate::diagnostic::Code;
use crate::value::Value;

const TASK: [&str; 2] = ["plugins", plugin::TASK];
const SHIM_MANAGER: [&str; 2] = ["plugins", plugin::SHIM_MANAGER];
const RUNTIME_PLATFORMS: [&str; 3] = ["plugins", plugin::CRI, "runtime_platforms"];

/// What `sched_core = true` is to the shims of containerd 2.x.
const SCHED_CORE: &str = "SCHED_CORE=1";

impl Steps<'_> {
    /// Runs all conversions that the target asks for.
    pub(super) fn other_forms(&mut self) {
        self.empty_snapshotter();
        self.cni_bin_dirs();
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
        let containerd = self.tree.find(&["plugins", plugin::CRI, "containerd"]);
        let snapshotter = self.kept(containerd, "snapshotter");
        if let Some(id) = snapshotter.filter(|id| self.text(*id).is_empty()) {
            let why = "containerd 1.x takes an empty name for its default, which the target has";
            self.tree
                .judge(id, Verdict::Drop(Dropped::TargetDefault, why.to_owned()));
        }
    }

    /// containerd 2.1 made a list of `cni.bin_dir`.
    fn cni_bin_dirs(&mut self) {
        let cni = self.tree.find(&["plugins", plugin::CRI, "cni"]);
        let Some(cni) = cni else {
            return;
        };
        let dirs = self.tree.child(cni, "bin_dirs");
        let is_empty = |tree: &Tree, id: &Id| tree.value(*id).is_some_and(Value::is_zero);
        if let Some(id) = dirs.filter(|id| is_empty(self.tree, id)) {
            self.empty_bin_dirs(cni, id);
        }
        let (dir, dirs) = (
            self.kept(Some(cni), "bin_dir"),
            self.kept(Some(cni), "bin_dirs"),
        );
        match (dir, dirs) {
            (Some(_), Some(dirs)) if self.tree.is_of_1_x() => {
                let why = "containerd 1.x reads bin_dir only, and 2.x migrates it over bin_dirs";
                self.ignore(dirs, Code::Contradiction, why);
                self.cni_bin_dirs();
            }
            (Some(dir), Some(_)) if self.target >= V2_1 => {
                let why = "bin_dirs is set as well; containerd 2.1 and later refuse CRI with both";
                self.ignore(dir, Code::Contradiction, why);
            }
            (Some(dir), None) if self.target >= V2_1 => {
                let list = Value::Array(vec![Value::String(self.text(dir))]);
                let why = "containerd 2.1 made a list of it";
                self.replace(dir, cni, "bin_dirs", list, why);
            }
            (None, Some(dirs)) if self.target < V2_1 => {
                let items = self.tree.value(dirs).and_then(Value::as_array);
                if let Some([Value::String(only)]) = items {
                    let only = Value::String(only.clone());
                    let why = "containerd before 2.1 has one directory";
                    self.replace(dirs, cni, "bin_dir", only, why);
                }
            }
            _ => {}
        }
    }

    /// An empty list gives way to `bin_dir` in containerd 2.1 and later.
    fn empty_bin_dirs(&mut self, cni: Id, dirs: Id) {
        let dir = self.tree.child(cni, "bin_dir");
        let Some(dir) = dir.filter(|dir| !self.text(*dir).is_empty()) else {
            return;
        };
        let why = "bin_dirs is empty, so bin_dir is what counts";
        self.tree
            .judge(dirs, Verdict::Drop(Dropped::NoEffect, why.to_owned()));
        let differs = "differs from the target's default";
        if !self.tree.is_kept(dir) {
            self.tree
                .judge(dir, Verdict::Keep(Why::Edit(differs.to_owned())));
        }
    }

    /// containerd 2.0 made a variable of the shims' environment of
    /// `sched_core`.
    fn sched_core(&mut self) {
        let task = self.tree.find(&TASK);
        let manager = self.tree.find(&SHIM_MANAGER);
        if self.target.is_2() {
            let Some(id) = self.kept(task, "sched_core") else {
                return;
            };
            let manager = self.tree.make(super::tree::ROOT, &SHIM_MANAGER);
            let why = "containerd 2.0 made it part of the shims' environment";
            let old = self.tree.child(manager, "env");
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
                None => self.replace(id, manager, "env", Value::Array(vec![entry]), why),
            }
            return;
        }
        let Some(id) = self.kept(manager, "env") else {
            return;
        };
        let only = self.tree.value(id).and_then(Value::as_array);
        if matches!(only, Some([Value::String(only)]) if only == SCHED_CORE) {
            let task = self.tree.make(super::tree::ROOT, &TASK);
            let why = "before containerd 2.0 this is an option of its own";
            self.replace(id, task, "sched_core", Value::Boolean(true), why);
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
            let Some(id) = self.kept(Some(runtime), "snapshotter") else {
                continue;
            };
            let name = self.tree.node(runtime).key.clone();
            let platforms = self.tree.make(super::tree::ROOT, &RUNTIME_PLATFORMS);
            let platform = self.tree.make(platforms, &[&name]);
            if self.tree.child(platform, "snapshotter").is_some() {
                continue;
            }
            let value = Value::String(self.text(id));
            let why = "images for the handler are unpacked with it";
            self.tree.owe(platform, "snapshotter", value, id, why);
            let message = "containerd 2.x needs it twice: it also goes to runtime_platforms, by which images are unpacked";
            self.say(id, Code::NeededTwice, message);
        }
    }

    fn runtime_platforms_of_1_x(&mut self) {
        let Some(platforms) = self.tree.find(&RUNTIME_PLATFORMS) else {
            return;
        };
        for platform in self.tree.children(platforms).to_vec() {
            let Some(id) = self.kept(Some(platform), "snapshotter") else {
                continue;
            };
            let name = self.tree.node(platform).key.clone();
            let runtimes = self.tree.find(&RUNTIMES);
            let runtime = runtimes.and_then(|runtimes| self.tree.child(runtimes, &name));
            let own = runtime.and_then(|runtime| self.tree.child(runtime, "snapshotter"));
            let why = "containerd 1.7 unpacks with the handler's own snapshotter";
            match (runtime, own) {
                (_, Some(own)) if self.tree.value(own) == self.tree.value(id) => {
                    self.converted(id, own, why);
                }
                (Some(runtime), None) => {
                    let value = Value::String(self.text(id));
                    self.replace(id, runtime, "snapshotter", value, why);
                }
                _ => {}
            }
        }
    }

    /// `CriuPath` is gone from the options of runc in 2.0; other runtimes may
    /// have one of their own.
    fn criu_path(&mut self) {
        if !self.target.is_2() {
            return;
        }
        for runtime in self.runtimes() {
            let is_runc = self.is_runc(runtime);
            let options = self.tree.child(runtime, "options");
            if let Some(id) = self.kept(options, "CriuPath").filter(|_| !is_runc) {
                let place = options.and_then(|options| self.tree.node(options).place);
                // What the declaration says is about runc's.
                self.tree.node_mut(id).place = place.map(|place| place.any());
            }
        }
    }
}
