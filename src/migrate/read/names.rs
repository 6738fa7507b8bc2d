//! Which setting a key of the input is.

use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::Reader;
use crate::config::address::{self, Cursor, Step};
use crate::config::nearest;
use crate::containerd::plugin;
use crate::containerd::releases::V2_0;
use crate::containerd::setting::{Kind, Presence};
use crate::diagnostic::{Code, Finding};
use crate::migrate::tree::{Id, Node, ROOT};
use crate::shown;
use crate::value::Value;

/// What a key of the input is.
pub(super) enum Known {
    /// The setting with this key below this node.
    As {
        parent: Id,
        name: String,
        cursor: Cursor,
        /// The table that the key stands in is not that of its setting.
        is_moved: bool,
    },
    /// A table that is no setting; what is in it may be.
    Shell(Cursor),
    /// A key that containerd does not read, and why.
    Ignored(Code, String),
}

impl Reader<'_> {
    /// Which setting a key is, if containerd reads it at all.
    pub(super) fn identify(
        &mut self,
        table: &dyn TableLike,
        item: &Item,
        cursor: Cursor,
        stands_in: Id,
        parent: Id,
        key: &str,
    ) -> Known {
        if cursor.is_plugins()
            && let Some(why) = self.ignored_plugin(key)
        {
            let refused = self.stays.is_some() && self.version == 2 && !plugin::is_uri(key);
            let code = match refused {
                true => Code::ContainerdRefuses,
                false => Code::PluginIdIgnored,
            };
            return Known::Ignored(code, why);
        }
        let step = cursor.child(key);
        match step {
            Step::Aside(at) if item.is_table_like() && at.has_places() => return Known::Shell(at),
            Step::Aside(_) => return self.misplaced(stands_in, key),
            Step::Below(..) if cursor.is_aside() => return self.misplaced(stands_in, key),
            _ if cursor.is_plugins() => return self.known(parent, step),
            _ => {}
        }
        let declared = cursor.place.is_some_and(|place| {
            matches!(place.kind(), Kind::Section(_)) && place.presence() != Presence::Free
        });
        if !declared || step.is_known() {
            return self.known(parent, step);
        }
        let lower = key.to_lowercase();
        if lower == key {
            return self.known(parent, step);
        }
        let lower_step = cursor.child(&lower);
        // containerd 2.x takes it for that key, which this version has elsewhere.
        if self.version >= 3 && matches!(lower_step, Step::Aside(_)) {
            return self.misplaced(stands_in, key);
        }
        if !lower_step.is_known() {
            return self.known(parent, step);
        }
        let upper = key.chars().all(|c| !c.is_lowercase());
        let is_read = self.version >= 3 || upper;
        if is_read && !table.contains_key(&lower) {
            return self.known(parent, cursor.child(&lower));
        }
        let lower = shown::name(&lower);
        let why = match is_read {
            true => format!("`{lower}` stands beside it and is the one that is read"),
            false => format!("containerd 1.5 to 1.7 read `{lower}` in lower or upper case only"),
        };
        Known::Ignored(Code::KeyCaseIgnored, why)
    }

    pub(super) fn known(&mut self, parent: Id, step: Step<'_>) -> Known {
        // Whose options are in a table is up to the handler, not to its declaration.
        let declared = step.place().filter(|place| !place.free());
        let removed = declared.and_then(|place| place.removed());
        // containerd 2.3 looks for it in files of version 3 still.
        let migrated = self.version == 3 && matches!(step, Step::Below("sched_core", _));
        if self.version >= 3 && !migrated && removed.is_some_and(|removed| removed <= V2_0) {
            let why = "containerd 2.0 removed this setting, and no older one reads a file of this version";
            return Known::Ignored(Code::WithoutEffect, why.to_owned());
        }
        match step {
            Step::Aside(cursor) => Known::Shell(cursor),
            Step::Below(name, cursor) => Known::As {
                parent,
                name: name.to_owned(),
                cursor,
                is_moved: false,
            },
            Step::Moved(path, cursor) => {
                let (name, tables) = match path.split_last() {
                    Some((name, tables)) => ((*name).to_owned(), tables),
                    None => (String::new(), &[][..]),
                };
                Known::As {
                    parent: self.input.tree.make(ROOT, tables),
                    name,
                    cursor,
                    is_moved: true,
                }
            }
        }
    }

    /// Says that a table or key stands where another config version has it.
    pub(super) fn say_other_place(&mut self, stands_in: Id, key: &str, at: &Range<usize>) {
        let (code, why) = match self.version {
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
        let is_manager = self.version == 3 && key == plugin::SHIM_MANAGER;
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
    pub(super) fn misplaced(&self, stands_in: Id, key: &str) -> Known {
        let tree = &self.input.tree;
        let mut path = match tree.is_setting(stands_in) {
            true => tree.path(stands_in),
            false => tree.spelled_path(stands_in),
        };
        path.push(key);
        let version = self.version;
        let address = address::of(version, &path);
        let why = match address::exists_in(version, &path) && address != path {
            true => format!(
                "config version {version} has this setting at {}",
                shown::path(&address)
            ),
            false => format!("config version {version} has no such setting"),
        };
        Known::Ignored(Code::Misplaced, why)
    }

    /// Why a key below `plugins` is none that containerd reads.
    pub(super) fn ignored_plugin(&self, id: &str) -> Option<String> {
        if id == "io" {
            let then = match self.version {
                2 => "refuses the file",
                _ => "ignores it",
            };
            return Some(format!(
                "the URI is not in quotes, so that TOML reads tables inside of tables, and containerd {then}: [plugins.\"io.containerd…\"] is meant"
            ));
        }
        let is_uri = plugin::is_uri(id);
        let shown = shown::name(id);
        match self.version {
            3.. if !id.contains('.') => Some(format!(
                "{shown:?} is no plugin URI; containerd 2.x ignores such a section{}",
                self.likely(id)
            )),
            2 if !is_uri => Some(format!(
                "{shown:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it{}",
                self.likely(id)
            )),
            2 if !self.on_2 && address::is_later_place(id) => Some(format!(
                "{shown:?} is a plugin of config version 3 and later, of which version 2 knows nothing"
            )),
            1 if is_uri => Some(format!(
                "{shown:?} is a version 2 plugin URI, which containerd ignores in a version 1 file"
            )),
            1 if plugin::with_short_name(id).next().is_none() => Some(format!(
                "no plugin of containerd 1.3 to 1.7 is called {shown:?}{}",
                self.likely(id)
            )),
            _ => None,
        }
    }

    /// The ids that one which is no id may stand for, to be put behind what is said.
    fn likely(&self, id: &str) -> String {
        let version = self.version;
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
            match self.named(item.as_str().unwrap_or_default()) {
                Ok(named) => {
                    uris.extend(named.into_iter().map(|uri| Value::String(uri.to_owned())));
                }
                Err(why) => self.say_list(node, why),
            }
        }
        Some(Value::Array(uris))
    }

    /// The plugins that a name in such a list means, or why it means none.
    fn named<'n>(&self, name: &'n str) -> Result<Vec<&'n str>, String> {
        let version = self.version;
        let shown = shown::name(name);
        // Nobody is told how to disable CRI.
        let likely = || match address::by_short_name(name) {
            Some(plugin::CRI) => String::new(),
            _ => self.likely(name),
        };
        match version {
            1 => {
                let known: Vec<_> = plugin::with_short_name(name).collect();
                match known.is_empty() {
                    true => Err(format!(
                        "no plugin of containerd 1.3 to 1.7 is called {shown:?}, which is what a version 1 file names{}",
                        likely()
                    )),
                    false => Ok(known),
                }
            }
            3.. if !name.contains('.') => Err(format!(
                "{shown:?} is no plugin URI; containerd 2.x refuses the file{}",
                likely()
            )),
            2 if !plugin::is_uri(name) => Err(format!(
                "{shown:?} is no plugin URI; containerd 1.3 to 1.7 refuse a version 2 file with it{}",
                likely()
            )),
            3.. if address::plugin_id(3, name) != name => Err(format!(
                "{shown:?} is the plugin's name up to version 2; containerd 2.x does not know it"
            )),
            _ => {
                // containerd 2.x knows the later name in any file.
                let version = if self.on_2 { version.max(3) } else { version };
                Ok(vec![address::plugin_of(version, name)])
            }
        }
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
