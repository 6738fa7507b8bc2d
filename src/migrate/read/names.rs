//! Which setting a key of the input is.

use std::ops::Range;

use toml_edit::TableLike;

use super::Reader;
use crate::config::address::{self, Step};
use crate::config::nearest;
use crate::containerd::load::{NoPlugin, Why};
use crate::containerd::plugin;
use crate::diagnostic::{Code, Finding};
use crate::migrate::tree::{Id, Node, ROOT};
use crate::shown;
use crate::value::Value;

impl Reader<'_> {
    /// The node that is to have a setting below it, and the setting's key in it.
    pub(super) fn home<'k>(&mut self, parent: Id, step: Step<'k>) -> (Id, &'k str) {
        match step {
            Step::Below(name, _) => (parent, name),
            Step::Moved(path, _) => match path.split_last() {
                Some((name, tables)) => (self.input.tree.make(ROOT, tables), name),
                None => (ROOT, ""),
            },
            Step::Aside(_) => (parent, ""),
        }
    }

    /// What is said of a key that containerd does not read.
    pub(super) fn ignored(&self, stands_in: Id, key: &str, why: Why) -> (Code, String) {
        match why {
            Why::NoPlugin(why) => {
                let is_text = matches!(why, NoPlugin::Unquoted | NoPlugin::NotUri);
                let refused = self.stays.is_some() && self.reading.version() == 2 && is_text;
                let code = match refused {
                    true => Code::ContainerdRefuses,
                    false => Code::PluginIdIgnored,
                };
                (code, self.no_plugin(key, why, false))
            }
            Why::Elsewhere => (Code::Misplaced, self.misplaced(stands_in, key)),
            Why::Beside | Why::Case => {
                let lower = key.to_lowercase();
                let lower = shown::name(&lower);
                let why = match why {
                    Why::Beside => format!("`{lower}` stands beside it and is the one that is read"),
                    _ => format!("containerd 1.5 to 1.7 read `{lower}` in lower or upper case only"),
                };
                (Code::KeyCaseIgnored, why)
            }
            Why::Removed => (
                Code::WithoutEffect,
                "containerd 2.0 removed this setting, and no older one reads a file of this version"
                    .to_owned(),
            ),
        }
    }

    /// Says that a table or key stands where another config version has it.
    pub(super) fn say_other_place(&mut self, stands_in: Id, key: &str, at: &Range<usize>) {
        let (code, why) = match self.reading.version() {
            ..=2 => (
                Code::LaterPlace,
                "config version 3 has it here, earlier ones do not: containerd 1.x ignored it, 2.x reads it",
            ),
            _ => (
                Code::OtherPlace,
                "this is its place in another config version; containerd 2.3 understands it, mostly in files that have nothing of it in its own, 2.0 to 2.2 do not",
            ),
        };
        self.finding(code, stands_in, key, at, why.to_owned());
    }

    /// Says that containerd 2.3, which looks for `sched_core` in files of version
    /// 3 still, replaces the shim manager's section for it.
    pub(super) fn say_replaced(
        &mut self,
        table: &dyn TableLike,
        parent: Id,
        key: &str,
        at: &Range<usize>,
    ) {
        let is_manager = self.reading.version() == 3 && key == plugin::SHIM_MANAGER;
        if is_manager
            && table.contains_key(plugin::TASK)
            && self.input.tree.path(parent) == ["plugins"]
        {
            let why = format!(
                "containerd 2.3 reads this section only in files that have none of {}; 2.0 to 2.2 read both",
                plugin::TASK
            );
            self.finding(Code::OtherPlace, parent, key, at, why);
        }
    }

    /// A key whose setting this config version has elsewhere, or not at all.
    fn misplaced(&self, stands_in: Id, key: &str) -> String {
        let tree = &self.input.tree;
        let mut path = match tree.is_setting(stands_in) {
            true => tree.path(stands_in),
            false => tree.spelled_path(stands_in),
        };
        path.push(key);
        let version = self.reading.version();
        let address = address::of(version, &path);
        match address::exists_in(version, &path) && address != path {
            true => format!(
                "config version {version} has this setting at {}",
                shown::path(&address)
            ),
            false => format!("config version {version} has no such setting"),
        }
    }

    /// Why an id, of a section or in a list, means no plugin.
    fn no_plugin(&self, id: &str, why: NoPlugin, in_list: bool) -> String {
        let shown = shown::name(id);
        let likely = || match address::by_short_name(id) {
            // Nobody is told how to disable CRI.
            Some(plugin::CRI) if in_list => String::new(),
            _ => self.likely(id),
        };
        let version = self.reading.version();
        match why {
            NoPlugin::Unquoted => {
                let then = match version {
                    2 => "refuses the file",
                    _ => "ignores it",
                };
                format!(
                    "the URI is not in quotes, so that TOML reads tables inside of tables, and containerd {then}: [plugins.\"io.containerd…\"] is meant"
                )
            }
            NoPlugin::NotUri => {
                let then = match (version, in_list) {
                    (2, _) => "containerd 1.3 to 1.7 refuse a version 2 file with it",
                    (_, true) => "containerd 2.x refuses the file",
                    (_, false) => "containerd 2.x ignores such a section",
                };
                format!("{shown:?} is no plugin URI; {then}{}", likely())
            }
            NoPlugin::LaterPlace => format!(
                "{shown:?} is a plugin of config version 3 and later, of which version 2 knows nothing"
            ),
            NoPlugin::UriInVersion1 => format!(
                "{shown:?} is a version 2 plugin URI, which containerd ignores in a version 1 file"
            ),
            NoPlugin::NoShortName => {
                let names = match in_list {
                    true => ", which is what a version 1 file names",
                    false => "",
                };
                format!(
                    "no plugin of containerd 1.3 to 1.7 is called {shown:?}{names}{}",
                    likely()
                )
            }
            NoPlugin::EarlierId => format!(
                "{shown:?} is the plugin's name up to version 2; containerd 2.x does not know it"
            ),
        }
    }

    /// The ids that one which is no id may stand for, to be put behind what is said.
    fn likely(&self, id: &str) -> String {
        let version = self.reading.version();
        let meant: Vec<&str> = match address::by_short_name(id) {
            _ if version == 1 => nearest::plugin(version, id).into_iter().collect(),
            Some(plugin::CRI) if version >= 3 => vec![plugin::CRI_IMAGES, plugin::CRI_RUNTIME],
            Some(uri) => vec![address::plugin_id(version, uri)],
            None => nearest::plugin(version, id).into_iter().collect(),
        };
        match meant.is_empty() {
            true => String::new(),
            false => format!("; {} may be meant", meant.join(" or ")),
        }
    }

    /// The names in `disabled_plugins` and `required_plugins` as URIs.
    pub(super) fn plugin_list(&mut self, node: &Node, value: &Value) -> Option<Value> {
        let is_list = node.parent == ROOT && plugin::LISTS.contains(&node.key.as_str());
        let items = value.as_array().filter(|_| is_list)?;
        if items.iter().any(|item| item.as_str().is_none()) {
            return None;
        }
        let mut uris = Vec::new();
        for item in items {
            let name = item.as_str().unwrap_or_default();
            match self.reading.named(name) {
                Ok(named) => {
                    uris.extend(named.into_iter().map(|uri| Value::String(uri.to_owned())));
                }
                Err(why) => self.say_list(node, self.no_plugin(name, why, true)),
            }
        }
        Some(Value::Array(uris))
    }

    pub(super) fn say_list(&mut self, node: &Node, why: String) {
        if self.stays.is_some() {
            // Said of the result, as a refusal.
            return;
        }
        if let Some(source) = node.sources.first() {
            let finding = Finding::new(Code::PluginIdIgnored, why);
            self.input
                .findings
                .push(finding.at(node.key.clone(), self.span(source)));
        }
    }
}
