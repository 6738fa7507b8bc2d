//! Handlers of the first shim, `io.containerd.runtime.v1.linux`, become handlers
//! of runc's that run the same binary, with the same state directory and flags.
//!
//! What counts is what containerd 1.3 – 1.7 made of them (1.7.24:
//! `pkg/cri/server/helpers.go`, `generateRuntimeOptions`; `runtime/v1/linux`):
//!
//! - The table `options` holds `RuncOptions` and not the options of runc. What
//!   stands there beside those four was never read.
//! - Without such a table `runtime_engine`, `runtime_root` and `systemd_cgroup`
//!   count. An empty one switches them off too.
//! - What neither says, the plugin's own `runtime` and `runtime_root` say.
//! - `no_pivot` counts for each of them.
//!
//! Pods ran all the while without what was not read, so it is not carried over:
//! they would go on in another way, and nobody asked for that now. (Where
//! containerd refused CRI for a setting, nothing ran without it: there
//! [`successors`](super::successors) carry it, and say so.)

use super::successors::{Steps, handler_options};
use super::tree::{Dropped, Id, Tree, Verdict};
use crate::config::known;
use crate::containerd::handler::{BUILT_IN, LINUX_V1, RUNC_OPTIONS, spellings};
use crate::diagnostic::Code;
use crate::value::Value;

/// A setting that the first shim reads in one of three places.
struct Carried {
    /// In `options`.
    option: &'static str,
    /// Beside them.
    handler: &'static str,
    /// In the plugin's section.
    plugin: &'static str,
    /// The option of runc.
    successor: &'static str,
}

const CARRIED: [Carried; 2] = [
    Carried {
        option: "Runtime",
        handler: "runtime_engine",
        plugin: "runtime",
        successor: "BinaryName",
    },
    Carried {
        option: "RuntimeRoot",
        handler: "runtime_root",
        plugin: "runtime_root",
        successor: "Root",
    },
];

const OPTIONS_DECIDE: &str = "containerd 1.x does not look at it where the handler has a table `options`, which may be empty, so it had no effect";

/// A handler of the first shim.
struct Handler {
    id: Id,
    /// Its table `options`, if it has one.
    options: Option<Id>,
}

/// A leaf that says something: text that is not empty.
fn says(tree: &Tree, id: Id) -> bool {
    let text = tree.value(id).and_then(Value::as_str);
    text.is_some_and(|text| !text.is_empty())
}

impl Steps<'_> {
    /// Runs the step. No containerd that reads config version 3 has the shim; an
    /// import of an earlier version may name the plugin all the same.
    pub(super) fn first_shim(&mut self) {
        let handlers = self.handlers_of_first_shim();
        if !self.tree.is_of_1_x() {
            if !self.target.is_2() {
                self.rest_of_plugin(!handlers.is_empty());
            }
            return;
        }
        for handler in &handlers {
            self.not_read(handler);
        }
        self.flags_of_first_shim(&handlers);
        for carried in &CARRIED {
            let mut by_plugin = Vec::new();
            for handler in &handlers {
                if self.carry(handler, carried) {
                    by_plugin.push(handler.id);
                }
            }
            self.carry_from_plugin(carried, &by_plugin);
        }
        // Where the target has no such plugin, that is the reason.
        if !self.target.is_2() {
            self.rest_of_plugin(!handlers.is_empty());
        }
    }

    fn handlers_of_first_shim(&mut self) -> Vec<Handler> {
        let mut handlers = Vec::new();
        for id in self.runtimes() {
            if self.runtime_type(id).as_deref() != Some(LINUX_V1) {
                continue;
            }
            if self.tree.joins_defaults() && self.tree.node(id).key == BUILT_IN {
                self.tree.make(id, &[known::OPTIONS.key()]);
            }
            let options = self.tree.child(id, known::OPTIONS.key());
            handlers.push(Handler { id, options });
        }
        handlers
    }

    /// Whether the settings of the plugin are the user's and say how handlers
    /// run that do not.
    pub(super) fn first_shim_is_changed(&mut self) -> bool {
        let Some(plugin) = self.tree.find(&known::LINUX) else {
            return false;
        };
        CARRIED.iter().any(|carried| {
            let leaf = self.tree.child(plugin, carried.plugin);
            leaf.is_some_and(|leaf| self.tree.is_kept(leaf) && says(self.tree, leaf))
        })
    }

    /// Drops what the shim does not read of a handler.
    fn not_read(&mut self, handler: &Handler) {
        let path = self.tree.child(handler.id, known::RUNTIME_PATH.key());
        if let Some(id) = path.filter(|id| self.tree.is_kept(*id)) {
            let why = format!("handlers of type {LINUX_V1} do not look at it, so it had no effect");
            self.ignore(id, Code::WithoutEffect, &why);
        }
        let Some(options) = handler.options else {
            return;
        };
        for setting in [known::RUNTIME_ENGINE, known::RUNTIME_ROOT] {
            let id = self.tree.child(handler.id, setting.key());
            if let Some(id) = id.filter(|id| self.tree.is_kept(*id)) {
                self.ignore(id, Code::WithoutEffect, OPTIONS_DECIDE);
            }
        }
        let read: Vec<String> = RUNC_OPTIONS.iter().flat_map(|key| spellings(key)).collect();
        for option in self.tree.children(options).collect::<Vec<_>>() {
            if read.contains(&self.tree.node(option).key) {
                continue;
            }
            for id in self.tree.leaves(option) {
                if !self.tree.is_kept(id) {
                    continue;
                }
                let why = format!(
                    "handlers of type {LINUX_V1} have no such option, so it had no effect; carried over, it would act for the first time"
                );
                // Nobody misses a zero.
                match self.tree.value(id).is_some_and(Value::is_zero) {
                    true => self.tree.judge(id, Verdict::Drop(Dropped::NoEffect, why)),
                    false => self.ignore(id, Code::WithoutEffect, &why),
                }
            }
        }
    }

    /// `systemd_cgroup` and `no_pivot` count for all handlers of the shim, if
    /// it is that of the default one; else containerd refuses CRI.
    fn flags_of_first_shim(&mut self, handlers: &[Handler]) {
        let default = self.default_runtime_name();
        let names = |handler: &Handler| self.tree.node(handler.id).key == default;
        if !handlers.iter().any(names) {
            return;
        }
        for (setting, new) in handler_options() {
            let old = setting.entry().key;
            // An empty table of options switches this one off, too.
            let is_switched_off = setting == known::SYSTEMD_CGROUP.row;
            let id = self.tree.find(&setting.path());
            let Some(id) = id.filter(|id| self.tree.is_kept(*id)) else {
                continue;
            };
            let counts = |handler: &&Handler| !is_switched_off || handler.options.is_none();
            let counts: Vec<Id> = handlers.iter().filter(counts).map(|h| h.id).collect();
            match counts.is_empty() {
                true => self.ignore(id, Code::WithoutEffect, OPTIONS_DECIDE),
                false => self.set_option(id, &counts, new, Value::Boolean(true), old),
            }
        }
    }

    /// Carries what a handler says by itself. Whether it says nothing.
    fn carry(&mut self, handler: &Handler, carried: &Carried) -> bool {
        let mut said: Vec<Id> = Vec::new();
        match handler.options {
            Some(options) => {
                for key in spellings(carried.option) {
                    let id = self.tree.child(options, &key);
                    said.extend(id.filter(|id| !said.contains(id)));
                }
            }
            None => said.extend(self.tree.child(handler.id, carried.handler)),
        }
        let mut said = said.into_iter();
        let first = said.next();
        for id in said {
            let why = format!(
                "{} is there in another spelling, which decides",
                carried.option
            );
            self.ignore(id, Code::Contradiction, &why);
        }
        let Some(id) = first else {
            return true;
        };
        if !says(self.tree, id) {
            if self.tree.is_kept(id) {
                let is_zero = self.tree.value(id).is_some_and(Value::is_zero);
                let (dropped, why) = match is_zero {
                    true => (Dropped::TargetDefault, "the same as leaving it out"),
                    // The wrong type has its finding.
                    false => (
                        Dropped::NoEffect,
                        "no pod of the handler could start with it",
                    ),
                };
                self.tree.judge(id, Verdict::Drop(dropped, why.to_owned()));
            }
            return true;
        }
        let value = self.value(id);
        let old = self.tree.node(id).key.clone();
        self.set_option(id, &[handler.id], carried.successor, value, &old);
        false
    }

    /// Carries what the plugin says to the handlers that do not.
    fn carry_from_plugin(&mut self, carried: &Carried, handlers: &[Id]) {
        let leaf = self.tree.find(&known::LINUX.with(carried.plugin));
        let Some(leaf) = leaf.filter(|id| self.tree.is_kept(*id) && !handlers.is_empty()) else {
            return;
        };
        if !says(self.tree, leaf) {
            let why = "no name at all, so that it is runc's".to_owned();
            let drop = Verdict::Drop(Dropped::TargetDefault, why);
            self.tree.judge(leaf, drop);
            return;
        }
        let (value, old) = (self.value(leaf), carried.plugin);
        self.set_option(leaf, handlers, carried.successor, value, old);
    }

    /// Drops the plugin's settings that no handler of the result asks for.
    fn rest_of_plugin(&mut self, any: bool) {
        let Some(plugin) = self.tree.find(&known::LINUX) else {
            return;
        };
        for id in self.tree.children(plugin).collect::<Vec<_>>() {
            if !self.tree.is_kept(id) || !self.tree.is_setting(id) {
                continue;
            }
            let key = &self.tree.node(id).key;
            let is_carried = CARRIED.iter().any(|carried| carried.plugin == key);
            let why = match (any, is_carried) {
                (false, _) => {
                    format!("no runtime handler is of type {LINUX_V1}, whose plugin this is about")
                }
                (true, true) => format!("each runtime handler of type {LINUX_V1} names its own"),
                (true, false) => {
                    let why = "it is about the first shim, by which no runtime handler runs then";
                    self.say(id, Code::Obsolete, why);
                    let drop = Verdict::Drop(Dropped::Obsolete, why.to_owned());
                    self.tree.judge(id, drop);
                    continue;
                }
            };
            self.ignore(id, Code::WithoutEffect, &why);
        }
    }

    /// Sets an option of runc for handlers, in place of the setting `from`.
    fn set_option(&mut self, from: Id, handlers: &[Id], key: &str, value: Value, old: &str) {
        let why = format!("{old} is of {LINUX_V1}, this is its successor");
        let mut made = Vec::new();
        for handler in handlers {
            let options = self.tree.make(*handler, &[known::OPTIONS.key()]);
            let new = self.set(
                options,
                key,
                value.clone(),
                from,
                &format!("the successor of {old}"),
            );
            if !made.is_empty() {
                // Once is enough.
                self.tree.node_mut(new).comments = None;
            }
            made.push(new);
        }
        let places: Vec<String> = made.iter().map(|id| self.tree.written(*id)).collect();
        self.say(
            from,
            Code::Converted,
            format!("goes to {}", places.join(", ")),
        );
        self.tree.judge(from, Verdict::Converted(made, why));
    }
}
