//! Which plugins are loaded, and settings of those that CRI needs.

use std::collections::BTreeSet;

use super::syntax::{is_bad_platform, is_bad_size};
use super::{Check, Refusal, Refuses, Rule};
use crate::config::table::Known;
use crate::config::{address, known};
use crate::containerd::import::clean;
use crate::containerd::plugin::{self, Need};
use crate::containerd::releases::*;
use crate::shown;
use crate::value::Value;

/// Why a plugin is not loaded: another refusal tells.
const ELSEWHERE: &str = "one of its settings keeps it from loading";

/// What a proxy plugin becomes, `None` for a type that is none.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    name: String,
    kind: Option<&'static str>,
}

impl Check<'_> {
    pub(super) fn plugins(&mut self) {
        self.plugin_ids();
        self.proxies();
        self.disabled();
        self.content_stores();
        self.metadata();
        self.devmapper();
        self.differs();
        self.task_platforms();
        self.shim_sockets();
        self.unpack();
    }

    /// Sorts out once what the rules ask for again and again.
    pub(super) fn index(&mut self) {
        let ids = self.texts(&known::DISABLED_PLUGINS);
        self.disabled = match self.effective.has_short_names() {
            true => ids.into_iter().collect(),
            false => ids
                .iter()
                .map(|id| self.effective.plugin_id(id).to_owned())
                .collect(),
        };
        for name in self.effective.entries(&known::PROXY_PLUGINS) {
            let kind = self.text(&known::PROXY_TYPE.of(&[&name]));
            let kind = plugin::proxy_type(&kind, self.release);
            self.proxy_uris
                .extend(kind.map(|kind| format!("{kind}.{name}")));
            self.proxies.push(Proxy { name, kind });
        }
    }

    /// Whether `disabled_plugins` names a plugin, by the id that the release
    /// has it by.
    fn is_disabled(&self, uri: &str) -> bool {
        match self.effective.has_short_names() {
            true => plugin::split(uri).is_some_and(|(_, name)| self.disabled.contains(name)),
            false => self.disabled.contains(uri),
        }
    }

    /// Whether an entry of a list means a plugin.
    fn names(&self, id: &str, uri: &str) -> bool {
        match self.effective.has_short_names() {
            true => plugin::split(uri).is_some_and(|(_, name)| name == id),
            false => self.effective.plugin_id(id) == uri,
        }
    }

    /// Whether a plugin of a type is loaded, as far as the files tell, and if
    /// not, why.
    pub(super) fn loaded(&self, kind: &str, name: &str) -> Result<(), &'static str> {
        let uri = format!("{kind}.{name}");
        if self.is_disabled(&uri) {
            return Err("it is disabled");
        }
        let mut needed = plugin::needed_by(&uri, self.release);
        if needed.any(|uri| self.is_disabled(uri)) {
            return Err("a plugin that it needs is disabled");
        }
        if self.proxy_uris.contains(&uri) {
            return Ok(());
        }
        let lacks = |setting: Known| self.text(&setting).is_empty();
        match uri.as_str() {
            uri if !plugin::is_built_in(uri, self.release) => Err("no plugin of that name"),
            plugin::DEVMAPPER if lacks(known::POOL_NAME) => Err("it has no `pool_name`"),
            plugin::DEVMAPPER if self.devmapper_fault().is_some() => Err("its settings are wrong"),
            plugin::BLOCKFILE if lacks(known::SCRATCH_FILE) => Err("it has no `scratch_file`"),
            _ => Ok(()),
        }
    }

    /// Whether a proxy plugin is a sandbox controller of this name.
    pub(super) fn has_sandboxer(&self, name: &str) -> bool {
        let uri = format!("{}.{name}", plugin::SANDBOX_CONTROLLER);
        self.proxy_uris.contains(&uri) && !self.is_disabled(&uri)
    }

    /// containerd 1.3 – 1.6 want four parts in an id, 1.7 `io.containerd.` in
    /// front as well, 2.x a dot in those of the lists. Up to 1.4 they look at
    /// files of version 2 only, and not at those of a later one.
    fn plugin_ids(&mut self) {
        let is_looked_at = self.is_from(V1_5) || self.effective.versions().last == 2;
        if self.effective.has_short_names() || !self.is_from(V1_3) || !is_looked_at {
            return;
        }
        let sections = match self.release.is_2() {
            true => Vec::new(),
            false => self.effective.entries(&known::PLUGINS),
        };
        let lists = plugin::LISTS.into_iter();
        let ids = lists.flat_map(|list| self.texts(&[list]).into_iter().map(move |id| (list, id)));
        let ids: Vec<(&str, String)> = ids
            .chain(sections.into_iter().map(|id| ("plugins", id)))
            .collect();
        for (table, id) in ids {
            let good = match self.release.line() {
                (2.., _) => id.contains('.'),
                (1, 7..) => plugin::is_uri(&id),
                _ => id.split('.').count() >= 4,
            };
            if !good {
                let message = format!(
                    "{:?} is not a plugin's id such as {:?}",
                    shown::name(&id),
                    plugin::CRI
                );
                let path: &[&str] = match table {
                    "plugins" => &[table, &id],
                    list => &[list],
                };
                self.refuse(Rule::PluginId, Refuses::Daemon, path, message);
            }
        }
    }

    fn proxies(&mut self) {
        for Proxy { name, kind } in self.proxies.clone() {
            let path = ["proxy_plugins", name.as_str()];
            let Some(kind) = kind else {
                let message = format!(
                    "the proxy plugin {:?} has no type that is known",
                    shown::name(&name)
                );
                self.refuse(Rule::ProxyPluginType, Refuses::Daemon, &path, message);
                continue;
            };
            let uri = format!("{kind}.{name}");
            if name.is_empty() || plugin::is_built_in(&uri, self.release) {
                let message = match name.as_str() {
                    "" => "a proxy plugin has no name".to_owned(),
                    name => format!(
                        "{:?} is the name of a built-in plugin of this type",
                        shown::name(name)
                    ),
                };
                self.refuse(Rule::ProxyPluginName, Refuses::Daemon, &path, message);
            }
        }
    }

    fn disabled(&mut self) {
        let proxies = self.proxies.clone();
        for plugin in plugin::built_in(self.release) {
            let (kind, _) = plugin.uri.rsplit_once('.').unwrap_or((plugin.uri, ""));
            let is_loaded = |proxy: &Proxy| {
                proxy.kind == Some(kind) && !self.is_disabled(&format!("{kind}.{}", proxy.name))
            };
            let need = plugin.need_in(self.release);
            let is_met = need == Need::OneOfType && proxies.iter().any(is_loaded);
            if need == Need::No || is_met || !self.is_disabled(plugin.uri) {
                continue;
            }
            let (refuses, message) = match (need, plugin.uri) {
                (Need::By(others), uri) => {
                    let mut left = others.iter().copied();
                    // Whoever disables them as well does not miss them.
                    if left.all(|other| self.is_disabled(other)) {
                        continue;
                    }
                    let message = format!("without {uri} there is no {}", others.join(" and no "));
                    (Refuses::Plugin, message)
                }
                (_, plugin::CRI) => (Refuses::Cri, "the CRI plugin is disabled".to_owned()),
                (_, uri) => {
                    let message = format!("the CRI plugin does not load without {uri}");
                    (Refuses::Cri, message)
                }
            };
            self.refuse(
                Rule::DisabledPlugin,
                refuses,
                &known::DISABLED_PLUGINS,
                message,
            );
        }
    }

    /// containerd 1.x takes the first of several, 2.x wants one.
    fn content_stores(&mut self) {
        let is_loaded = |name: &str| !self.is_disabled(&format!("{}.{name}", plugin::CONTENT));
        let proxies = self.proxies.clone();
        let mut loaded = proxies
            .iter()
            .filter(|proxy| proxy.kind == Some(plugin::CONTENT) && is_loaded(&proxy.name));
        let first = loaded.next();
        let at_fault = if is_loaded("content") {
            first
        } else {
            loaded.next()
        };
        if let Some(proxy) = at_fault.filter(|_| self.release.is_2()) {
            let path = ["proxy_plugins", proxy.name.as_str()];
            let message = format!(
                "the content store {:?} is not the only one",
                shown::name(&proxy.name)
            );
            self.refuse(Rule::ContentStores, Refuses::Cri, &path, message);
        }
    }

    fn metadata(&mut self) {
        let path = known::CONTENT_SHARING_POLICY;
        if !matches!(self.text(&path).as_str(), "" | "shared" | "isolated") {
            let message = "content is either \"shared\" or \"isolated\"";
            self.refuse(Rule::SharingPolicy, Refuses::Cri, &path, message);
        }
    }

    /// The setting of the devmapper snapshotter that is wrong, if there is a
    /// pool: without one it is skipped.
    fn devmapper_fault(&self) -> Option<(Known, &'static str)> {
        let text = |setting: Known| self.text(&setting);
        if text(known::POOL_NAME).is_empty() {
            return None;
        }
        match text(known::BASE_IMAGE_SIZE).as_str() {
            "" => return Some((known::POOL_NAME, "a pool wants a `base_image_size`")),
            size if is_bad_size(size) => {
                return Some((known::BASE_IMAGE_SIZE, "a size is such as \"10GB\""));
            }
            _ => {}
        }
        match text(known::FS_TYPE).as_str() {
            "" | "ext4" | "xfs" => None,
            "ext2" if self.is_from(V1_7) => None,
            _ => Some((known::FS_TYPE, "devmapper does not know the file system")),
        }
    }

    fn devmapper(&mut self) {
        let Some((setting, message)) = self.devmapper_fault() else {
            return;
        };
        if self.is_disabled(plugin::DEVMAPPER) {
            return;
        }
        let refuses = match self.release.is_2() {
            true => Refuses::Cri,
            false => Refuses::Plugin,
        };
        self.refuse(Rule::Devmapper, refuses, &setting, message);
    }

    fn differs(&mut self) {
        let path = known::DIFFERS;
        for name in self.texts(&path) {
            if let Err(why) = self.loaded(plugin::DIFFER, &name) {
                let shown = shown::name(&name);
                let message = format!("the differ {shown:?} is not loaded: {why}");
                let path = self.naming(path);
                self.refuse(Rule::Differ, Refuses::Cri, &path, message);
            }
        }
    }

    fn task_platforms(&mut self) {
        let path = known::TASK_PLATFORMS;
        for platform in self.texts(&path) {
            if is_bad_platform(&platform) {
                let message = format!(
                    "{:?} is not a platform such as \"linux/amd64\"",
                    shown::text(&platform)
                );
                self.refuse(Rule::TaskPlatform, Refuses::Cri, &path, message);
            }
        }
    }

    /// What is left of a socket's path of 107 bytes for its directory (2.3).
    fn shim_sockets(&mut self) {
        const LONGEST: usize = 42;
        let path = known::SHIM_SOCKET_DIR;
        let dir = self.text(&path);
        let message = match dir.as_str() {
            "" => return,
            dir if !dir.starts_with('/') => "the directory of shims' sockets is not absolute",
            dir if clean(dir).len() > LONGEST => {
                "the directory of shims' sockets is longer than 42 bytes"
            }
            _ => return,
        };
        self.refuse(Rule::ShimSockets, Refuses::Cri, &path, message);
    }

    fn unpack(&mut self) {
        if self.is_disabled(plugin::TRANSFER) || !self.is_from(V1_7) {
            return;
        }
        let refuses = match self.is_from(V2_1) {
            true => Refuses::Cri,
            false => Refuses::Plugin,
        };
        let path = known::UNPACK_CONFIG;
        let faults: Vec<String> = match self.value(&path) {
            Some(Value::Array(entries)) => {
                let entries = entries.iter().filter_map(Value::as_table);
                let optional = |key: &str| key == "optional" && self.is_from(V2_3);
                let entries = entries.filter(|entry| {
                    !entry
                        .iter()
                        .any(|(key, value)| optional(key) && *value == Value::Boolean(true))
                });
                entries
                    .filter_map(|entry| {
                        let text = |key| entry.get(key).and_then(Value::as_str).unwrap_or("");
                        self.unpack_fault(text("platform"), text("snapshotter"), text("differ"))
                    })
                    .collect()
            }
            // What 2.x unpacks with where nothing is set.
            _ => {
                let differ = if self.is_from(V2_1) { "walking" } else { "" };
                let fault = self.unpack_fault("linux/amd64", "overlayfs", differ);
                fault.into_iter().collect()
            }
        };
        for message in faults {
            self.refuse(Rule::Unpack, refuses, &self.naming(path), message);
        }
    }

    fn unpack_fault(&self, platform: &str, snapshotter: &str, differ: &str) -> Option<String> {
        if is_bad_platform(platform) {
            let message = format!(
                "{:?} is not a platform such as \"linux/amd64\"",
                shown::text(platform)
            );
            return Some(message);
        }
        if let Err(why) = self.loaded(plugin::SNAPSHOTTER, snapshotter) {
            return Some(format!(
                "the snapshotter {:?} is not loaded: {why}",
                shown::name(snapshotter)
            ));
        }
        // Without a name any differ of the platform does.
        let missing = self.loaded(plugin::DIFFER, differ).err();
        let why = missing.filter(|_| !differ.is_empty())?;
        Some(format!(
            "the differ {:?} is not loaded: {why}",
            shown::name(differ)
        ))
    }

    /// After all others: what keeps CRI from loading keeps containerd from
    /// starting where CRI is required.
    pub(super) fn required_plugins(&mut self) {
        let no_cri = self.found.iter().any(|found| found.refuses == Refuses::Cri);
        let at_start = |found: &&Refusal| matches!(found.refuses, Refuses::Plugin | Refuses::Cri);
        let refused = self.found.iter().filter(at_start);
        let refused: BTreeSet<String> = refused
            .filter_map(|found| found.path.get(1).cloned())
            .collect();
        let ids: BTreeSet<String> = self.texts(&known::REQUIRED_PLUGINS).into_iter().collect();
        for id in ids {
            if let Some(why) = self.not_loaded(&id, no_cri, &refused) {
                let id = shown::name(address::id_in_file(&id));
                let message = format!("the required plugin {id} is not loaded: {why}");
                let path = known::REQUIRED_PLUGINS;
                self.refuse(Rule::RequiredPlugin, Refuses::Daemon, &path, message);
            }
        }
    }

    /// The plugins that an entry of a list means.
    fn meant(&self, id: &str) -> Vec<String> {
        if self.effective.has_short_names() {
            let built_in = plugin::built_in(self.release).map(|plugin| plugin.uri.to_owned());
            let kinds = [plugin::SNAPSHOTTER, plugin::CONTENT, plugin::DIFFER];
            let proxies = kinds.map(|kind| format!("{kind}.{id}"));
            let proxies = proxies
                .into_iter()
                .filter(|uri| self.proxy_uris.contains(uri));
            let built_in = built_in.filter(|uri| self.names(id, uri));
            return built_in.chain(proxies).collect();
        }
        let uri = self.effective.plugin_id(id);
        let is_there = plugin::is_built_in(uri, self.release) || self.proxy_uris.contains(uri);
        is_there.then(|| uri.to_owned()).into_iter().collect()
    }

    /// Why no plugin that an entry of `required_plugins` means is loaded.
    fn not_loaded(
        &self,
        id: &str,
        no_cri: bool,
        refused: &BTreeSet<String>,
    ) -> Option<&'static str> {
        if no_cri && self.names(id, plugin::CRI) {
            return Some(ELSEWHERE);
        }
        let mut why = None;
        for uri in self.meant(id) {
            let (kind, name) = plugin::split(&uri).unwrap_or((&uri, ""));
            match self.loaded(kind, name) {
                // A setting keeps the very plugin from loading.
                Ok(()) if refused.contains(&uri) => why = Some(ELSEWHERE),
                Ok(()) => return None,
                Err(reason) => why = Some(reason),
            }
        }
        // Of later releases not all plugins are known.
        let id = self.effective.plugin_id(id);
        let listed = !self.is_from(plugin::NOT_LISTED) || plugin::is_listed(id);
        why.or(listed.then_some("no plugin of that name"))
    }
}
