//! Deprecated settings go to their successors, as the kept settings show them
//! after [`edits`](super::edits).
//!
//! Each step is one deprecation; they run in the order in which containerd
//! itself applies them.

use super::origin::Origin;
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict, Why};
use crate::config::known;
use crate::config::table::{Known, Row};
use crate::containerd::Release;
use crate::containerd::handler::{BUILT_IN, LINUX_V1, OLD_TYPES, RUNC_V2};
use crate::containerd::setting::{SucceededBy, Successor};
use crate::containerd::url::Url;
use crate::diagnostic::{Code, Finding};
use crate::shown;
use crate::value::Value;

/// Runs all steps.
pub(super) fn convert(
    tree: &mut Tree,
    files: Files<'_>,
    origin: &Origin,
    target: Release,
) -> Vec<Finding> {
    let mut steps = Steps {
        tree,
        files,
        origin,
        target,
        findings: Vec::new(),
    };
    steps.default_runtime();
    steps.untrusted_workload_runtime();
    steps.first_shim();
    steps.runtime_options();
    steps.daemon_options();
    steps.runtime_types();
    steps.auths();
    steps.other_forms();
    steps.findings
}

/// Settings of a table that became options of a runtime handler, and those.
fn renamed(table: Known) -> impl Iterator<Item = (&'static str, &'static str)> {
    table
        .place()
        .settings()
        .filter_map(|setting| match setting.successor?.by {
            SucceededBy::Path(path) => Some((setting.key, *path.last()?)),
            _ => None,
        })
}

/// Settings that became options of the default runtime handler, and those.
pub(super) fn handler_options() -> impl Iterator<Item = (Row, &'static str)> {
    Row::all().filter_map(|row| match row.entry().setting?.successor {
        Some(Successor {
            by: SucceededBy::DefaultHandlerOption(option),
            ..
        }) => Some((row, option)),
        _ => None,
    })
}

/// What the conversions work on.
pub(super) struct Steps<'a> {
    pub(super) tree: &'a mut Tree,
    files: Files<'a>,
    pub(super) origin: &'a Origin,
    pub(super) target: Release,
    findings: Vec<Finding>,
}

impl Steps<'_> {
    pub(super) fn say(&mut self, id: Id, code: Code, message: impl Into<String>) {
        self.findings
            .push(self.files.finding(self.tree, id, code, message));
    }

    /// `runtime_engine` and `runtime_root` become options of their handler. So
    /// do the options that only the first shim had, in files that no containerd
    /// with that shim reads.
    fn runtime_options(&mut self) {
        for runtime in self.runtimes() {
            let is_linux = self.runtime_type(runtime).as_deref() == Some(LINUX_V1);
            let options = self
                .tree
                .child(runtime, known::OPTIONS.key())
                .filter(|_| is_linux);
            let own = renamed(known::HANDLER).map(|keys| (Some(runtime), keys));
            let of_options = renamed(known::OPTIONS).map(|keys| (options, keys));
            for (table, (old, new)) in own.chain(of_options) {
                let id = table.and_then(|table| self.tree.child(table, old));
                let Some(id) = id.filter(|id| self.tree.is_kept(*id)) else {
                    continue;
                };
                let value = self.value(id);
                self.option(runtime, new, value, id, old);
                if !is_linux {
                    self.say_first_effect(id, old);
                }
            }
        }
    }

    /// containerd 1.3 – 1.7 refuse to start CRI with some settings, unless the
    /// runtime handler in question is that of the first shim.
    fn say_first_effect(&mut self, id: Id, key: &str) {
        if !matches!(self.tree.verdict(id), Some(Verdict::Converted(..))) {
            return;
        }
        let mut message = format!(
            "containerd 1.3 to 1.7 start CRI with {key} only for handlers of type {LINUX_V1}, which this one is not: what it asks for takes effect for the first time"
        );
        if key == known::SYSTEMD_CGROUP.key() {
            message.push_str(
                "; the cgroup driver must be that of the kubelet, and a change of it restarts pods",
            );
        }
        self.say(id, Code::FirstEffect, message);
    }

    pub(super) fn value(&self, id: Id) -> Value {
        self.tree
            .value(id)
            .cloned()
            .unwrap_or(Value::Boolean(false))
    }

    /// `systemd_cgroup` and `no_pivot` become options of the default handler.
    fn daemon_options(&mut self) {
        for (setting, new) in handler_options() {
            let old = setting.entry().key;
            let id = self.tree.find(&setting.path());
            let Some(id) = id.filter(|id| self.tree.is_kept(*id)) else {
                continue;
            };
            let name = self.default_runtime_name();
            let runtimes = self.tree.find(&known::RUNTIMES);
            let known = runtimes.and_then(|runtimes| self.tree.child(runtimes, &name));
            let kind = known.and_then(|runtime| self.runtime_type(runtime));
            let is_runc = known.is_none_or(|runtime| self.is_runc(runtime));
            let shown = shown::name(&name).into_owned();
            if !is_runc || known.is_none() && name != BUILT_IN {
                let why = match known {
                    Some(_) => format!(
                        "the default runtime handler {shown:?} is not runc's and has no such option"
                    ),
                    None => format!("nothing defines the default runtime handler {shown:?}"),
                };
                self.ignore(id, Code::WithoutEffect, &why);
                continue;
            }
            let runtime = self.tree.make(ROOT, &known::HANDLER.of(&[&name]));
            self.option(runtime, new, Value::Boolean(true), id, old);
            if kind.as_deref() != Some(LINUX_V1) {
                self.say_first_effect(id, old);
            }
        }
    }

    pub(super) fn default_runtime_name(&mut self) -> String {
        let stated = self.tree.find(&known::DEFAULT_RUNTIME_NAME);
        let stated = stated
            .and_then(|id| self.tree.value(id))
            .and_then(Value::as_str);
        stated
            .filter(|name| !name.is_empty())
            .unwrap_or(BUILT_IN)
            .to_owned()
    }

    /// Whether a handler runs runc, by whichever shim.
    pub(super) fn is_runc(&mut self, runtime: Id) -> bool {
        let kind = self.runtime_type(runtime);
        kind.is_none_or(|kind| kind == RUNC_V2 || OLD_TYPES.contains(&kind.as_str()))
    }

    pub(super) fn runtime_type(&mut self, runtime: Id) -> Option<String> {
        let leaf = self.tree.child(runtime, known::RUNTIME_TYPE.key())?;
        let kind = self.tree.value(leaf)?.as_str()?;
        (!kind.is_empty()).then(|| kind.to_owned())
    }

    /// Sets an option of a runtime handler in place of the deprecated key
    /// `name`. An option that is set already decides, as it does in containerd.
    fn option(&mut self, runtime: Id, key: &str, value: Value, from: Id, name: &str) {
        let options = self.tree.make(runtime, &[known::OPTIONS.key()]);
        if let Some(old) = self.tree.child(options, key) {
            if self.tree.value(old) == Some(&value) {
                let why =
                    format!("{name} is deprecated, and its successor is set to the same already");
                self.converted(from, old, &why);
                return;
            }
            let empty = self.tree.value(old).and_then(Value::as_str) == Some("");
            let is_chosen = self.tree.is_kept(old) || matches!(self.origin, Origin::Sparse);
            if is_chosen && !empty {
                let why = format!("the option {key} says otherwise, and decides");
                self.ignore(from, Code::Contradiction, &why);
                return;
            }
        }
        let new = self.set(
            options,
            key,
            value,
            from,
            &format!("the successor of {name}"),
        );
        let why = format!("{name} is deprecated, this is its successor");
        self.goes_to(from, new, &why);
    }

    /// Old shims become `io.containerd.runc.v2`.
    fn runtime_types(&mut self) {
        for runtime in self.runtimes() {
            let Some(id) = self
                .tree
                .child(runtime, known::RUNTIME_TYPE.key())
                .filter(|id| self.tree.is_kept(*id))
            else {
                continue;
            };
            let Some(old) = self
                .tree
                .value(id)
                .and_then(Value::as_str)
                .filter(|kind| OLD_TYPES.contains(kind))
                .map(str::to_owned)
            else {
                continue;
            };
            let message = format!("{old} becomes {RUNC_V2}");
            self.say(id, Code::RuntimeTypeConverted, message.clone());
            let value = Value::String(RUNC_V2.to_owned());
            let is_default = self
                .tree
                .node(id)
                .place()
                .is_some_and(|place| place.is_default(&value, self.target));
            self.tree.change(id, value);
            let verdict = match is_default {
                true => Verdict::Drop(
                    Dropped::SuccessorDefault,
                    format!("{message}, the target's default"),
                ),
                false => Verdict::Keep(Why::Converted(message)),
            };
            self.tree.judge(id, verdict);
        }
    }

    /// `registry.auths.URL` becomes `registry.configs.HOST.auth`; containerd
    /// overwrites what is there.
    fn auths(&mut self) {
        let Some(registry) = self.tree.find(&known::REGISTRY) else {
            return;
        };
        let Some(auths) = self.tree.child(registry, known::AUTHS.key()) else {
            return;
        };
        for entry in self.tree.children(auths).collect::<Vec<_>>() {
            let url = self.tree.node(entry).key.clone();
            let leaves = self.tree.leaves(entry);
            let (host, why_not) = host_of(&url);
            if !leaves.iter().any(|id| self.tree.is_kept(*id)) {
                let path = [known::CONFIGS.key(), &host, known::HOSTS_AUTH.key()];
                let replaced = path
                    .iter()
                    .try_fold(registry, |id, key| self.tree.child(id, key));
                if replaced.is_some() && why_not.is_none() {
                    let why = "it is empty, and containerd lets it take the place of the credentials in registry.configs: they take effect for the first time";
                    self.say(entry, Code::Contradiction, why);
                }
                self.tree.detach(entry);
                continue;
            }
            let config = self.tree.make(registry, &[known::CONFIGS.key(), &host]);
            let existing = self.tree.child(config, known::HOSTS_AUTH.key());
            if let Some(why) = why_not
                && existing.is_some_and(|existing| self.tree.has_kept(existing))
            {
                let why = format!("{why}; those under registry.configs stay");
                self.say(entry, Code::Contradiction, why.clone());
                self.give_up(entry, &why);
                continue;
            }
            if let Some(existing) = existing {
                let why =
                    "the credentials under registry.auths take its place, as containerd has it"
                        .to_owned();
                self.say(existing, Code::Contradiction, why.clone());
                self.give_up(existing, &why);
            }
            let auth = self.tree.make(config, &[known::HOSTS_AUTH.key()]);
            self.say(
                entry,
                Code::Converted,
                format!("goes to registry.configs.{:?}.auth", shown::name(&host)),
            );
            if let Some(why) = why_not {
                let message = format!("{why}: they take effect for the first time");
                self.say(entry, Code::FirstEffect, message);
            }
            for id in leaves {
                if !self.tree.is_kept(id) {
                    continue;
                }
                let key = self.tree.node(id).key.clone();
                let value = self.value(id);
                let new = self.set(auth, &key, value, id, "the successor of registry.auths");
                self.converted(id, new, "auths is deprecated, this is its successor");
            }
        }
    }

    pub(super) fn runtimes(&mut self) -> Vec<Id> {
        let runtimes = self.tree.find(&known::RUNTIMES);
        runtimes
            .map(|id| self.tree.children(id).collect::<Vec<_>>())
            .unwrap_or_default()
    }

    /// Drops a setting that containerd did not act on, and says so.
    pub(super) fn ignore(&mut self, id: Id, code: Code, why: &str) {
        self.say(id, code, why);
        self.tree
            .judge(id, Verdict::Drop(Dropped::NoEffect, why.to_owned()));
    }

    /// Says that a setting goes to another, for the reason given.
    pub(super) fn goes_to(&mut self, from: Id, to: Id, why: &str) {
        let message = format!("goes to {}", self.tree.written(to));
        self.say(from, Code::Converted, message);
        self.converted(from, to, why);
    }

    /// Leaves it to the ledger to tell what became of a setting.
    pub(super) fn converted(&mut self, from: Id, to: Id, why: &str) {
        self.tree
            .judge(from, Verdict::Converted(vec![to], why.to_owned()));
    }

    /// Takes a table out of the tree, and leaves it to the ledger.
    pub(super) fn give_up(&mut self, table: Id, why: &str) {
        for id in self.tree.leaves(table) {
            self.tree
                .judge(id, Verdict::Drop(Dropped::NoEffect, why.to_owned()));
        }
        self.tree.detach(table);
    }

    /// A kept leaf that the migration makes, unless it is the target's default.
    pub(super) fn set(&mut self, table: Id, key: &str, value: Value, from: Id, why: &str) -> Id {
        let id = self.tree.set(table, key, value, from, why);
        let node = self.tree.node(id);
        let is_default = match (node.place(), self.tree.value(id)) {
            (Some(place), Some(value)) => place.is_default(value, self.target),
            _ => false,
        };
        if is_default {
            let why = format!("{why}, and the target's default");
            self.tree
                .judge(id, Verdict::Drop(Dropped::TargetDefault, why));
        }
        id
    }
}

/// The entry of `configs` that containerd makes of a key of `auths`: the host,
/// if it is a URL with a scheme (1.4 and later). Else the key itself; and what
/// kept the credentials from taking effect, if something did.
fn host_of(key: &str) -> (String, Option<&'static str>) {
    match Url::parse(key) {
        None => {
            let why = "the name is no URL, because of which containerd refused CRI";
            (key.to_owned(), Some(why))
        }
        Some(url) if url.scheme.is_empty() => (key.to_owned(), None),
        // `registry.example:5000`.
        Some(url) if url.host.is_empty() => {
            let why = "containerd takes what is in front of the colon for a scheme, and the credentials for those of no host";
            (key.to_owned(), Some(why))
        }
        Some(url) => (url.host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_keys_of_auths() {
        let host = |key| host_of(key).0;
        assert_eq!(host("https://gcr.io"), "gcr.io");
        assert_eq!(host("https://u:p@h:5000/v2/"), "h:5000");
        assert_eq!(host("gcr.io"), "gcr.io");
        assert_eq!(host("gcr.io:443"), "gcr.io:443");
        // As containerd 1.7.24 has it.
        for key in ["gcr.io:443", "https:///x", "10.0.0.1:5000"] {
            assert!(host_of(key).1.is_some(), "{key}");
        }
        for key in ["gcr.io", "https://10.0.0.1:5000"] {
            assert_eq!(host_of(key).1, None, "{key}");
        }
    }
}
