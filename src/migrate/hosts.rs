//! Registry settings that go to `hosts.toml` files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Serialize, Serializer};

use super::checks;
use super::split;
use super::tree::{Dropped, Files, Id, Tree, Verdict};
use super::{Options, RegistryPolicy, Target};
use crate::config::known::{CONFIG_PATH, CONFIGS, REGISTRY};
use crate::config::{Auth, Mirror, Registry, Secret, Tls};
use crate::containerd::Release;
use crate::containerd::releases::V1_7;
use crate::diagnostic::{Code, Finding};
use crate::k0s::Regime;
use crate::registry::{
    CertsD, Conversion, ConvertedFile, Remark, RemarkKind, convert, diagnose, unneeded_mirrors,
};
use crate::shown;
use crate::shown::Text;
use crate::value::Value;

/// A `hosts.toml` to write.
#[derive(Clone)]
#[non_exhaustive]
pub struct HostsFile {
    /// Its path below the directory that `config_path` names, for instance
    /// `docker.io/hosts.toml`.
    pub name: String,
    /// Its path on the node.
    pub path: String,
    /// The registry host; `_default` for all that have no file.
    pub host: String,
    /// Whether something in it is not shown, so that it should be readable by
    /// root only.
    pub sensitive: bool,
    text: Text,
}

impl HostsFile {
    /// The text to write.
    pub fn text(&self) -> &str {
        &self.text.full
    }

    /// The text to show.
    pub fn redacted_text(&self) -> &str {
        self.text.shown()
    }

    /// Shows all of it from now on.
    pub(super) fn reveal(&mut self) {
        self.text.redacted = None;
    }
}

impl fmt::Debug for HostsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostsFile")
            .field("path", &self.path)
            .field("sensitive", &self.sensitive)
            .field("text", &self.redacted_text())
            .finish()
    }
}

impl Serialize for HostsFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut shown = serializer.serialize_struct("HostsFile", 5)?;
        shown.serialize_field("name", &self.name)?;
        shown.serialize_field("path", &self.path)?;
        shown.serialize_field("host", &self.host)?;
        shown.serialize_field("sensitive", &self.sensitive)?;
        shown.serialize_field("text", self.redacted_text())?;
        shown.end()
    }
}

/// What went to `hosts.toml` files.
#[derive(Debug)]
pub(super) struct Moved {
    conversion: Conversion,
    /// The nodes of the settings, by their paths below `registry`.
    nodes: BTreeMap<Vec<String>, Id>,
}

/// Settings of registries, by their paths below `registry`.
type Nodes = BTreeMap<Vec<String>, Id>;

/// Says which registry settings do not do what they say; moves mirrors and TLS
/// settings to `hosts.toml` files, if the target or the caller asks for it; and
/// drops what changes nothing on containerd 2.x.
pub(super) fn convert_registry(
    tree: &mut Tree,
    files: Files<'_>,
    target: &Target,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Moved> {
    let registry = tree.find(&REGISTRY)?;
    let nodes = settings_in(tree, registry, target);
    let settings = typed(tree, &nodes);
    let own = tree.child(registry, CONFIG_PATH.key());
    let own =
        own.filter(|own| tree.is_kept(*own) && tree.value(*own).is_some_and(|v| !v.is_zero()));
    // What 2.x does not read of its own files is no setting any more.
    let from = match target.containerd().is_2() {
        true => V1_7,
        false => target.containerd(),
    };
    let remarks = diagnose(&settings);
    let idle: BTreeMap<&Vec<String>, &Remark> = remarks
        .iter()
        .filter(|remark| remark.kind.is_idle())
        .map(|remark| (&remark.path, remark))
        .collect();
    let is_tls = |path: &Vec<String>| path.last().is_some_and(|key| key == "tls");
    let mut tls = nodes.keys().filter(|path| is_tls(path));
    let needed = target.containerd().is_2() && tls.any(|path| !idle.contains_key(path));
    let conversion = Attempt {
        nodes: &nodes,
        own,
        from,
        needed,
    };
    if let Some(moved) = conversion.run(tree, registry, files, target, options, findings) {
        return Some(moved);
    }
    say(tree, files, &nodes, &remarks, findings);
    if !target.containerd().is_2() {
        return None;
    }
    for (path, remark) in idle.iter().filter(|(path, _)| is_tls(path)) {
        let leaves = nodes.get(*path).map(|node| tree.leaves(*node));
        for leaf in leaves.into_iter().flatten() {
            if tree.is_kept(leaf) && tree.is_setting(leaf) {
                let why = remark.message.clone();
                tree.judge(leaf, Verdict::Drop(Dropped::NoEffect, why));
            }
        }
    }
    // Beside config_path they keep CRI from loading, which is told by itself.
    if own.is_none() {
        let unneeded = unneeded_mirrors(&settings, from, target.containerd());
        findings.extend(drop_mirrors(tree, files, &nodes, &unneeded, &idle, target));
    }
    None
}

/// Says which registry settings do not do what they say, where nothing becomes
/// of them.
pub(super) fn diagnose_registry(
    tree: &mut Tree,
    files: Files<'_>,
    target: &Target,
    findings: &mut Vec<Finding>,
) {
    if let Some(registry) = tree.find(&REGISTRY) {
        let nodes = settings_in(tree, registry, target);
        let remarks = diagnose(&typed(tree, &nodes));
        say(tree, files, &nodes, &remarks, findings);
    }
}

/// Drops mirrors without which the target asks the same.
fn drop_mirrors(
    tree: &mut Tree,
    files: Files<'_>,
    nodes: &Nodes,
    names: &[String],
    idle: &BTreeMap<&Vec<String>, &Remark>,
    target: &Target,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut gone = BTreeSet::new();
    for name in names {
        let path = ["mirrors", name].map(str::to_owned).to_vec();
        let Some(node) = nodes.get(&path).copied() else {
            continue;
        };
        let leaves = tree.leaves(node);
        // What is not known here is carried over, and its table with it.
        let is_carried = |tree: &Tree, id: Id| tree.is_kept(id) && !tree.is_setting(id);
        for id in &leaves {
            if is_carried(tree, *id) {
                findings.extend(checks::portable_leaf(tree, files, *id));
            }
        }
        if leaves.iter().any(|id| is_carried(tree, *id)) {
            continue;
        }
        let (dropped, why) = match idle.get(&path) {
            Some(remark) => (Dropped::NoEffect, remark.message.clone()),
            None => (
                Dropped::TargetDefault,
                format!(
                    "containerd {} of the target asks the same endpoints without it",
                    target.containerd()
                ),
            ),
        };
        for leaf in leaves {
            if tree.is_setting(leaf) {
                tree.judge(leaf, Verdict::Drop(dropped, why.clone()));
            }
        }
        tree.drop_table(node, dropped, why);
        gone.insert(node);
    }
    tree.detach_all(&gone);
    findings
}

/// Says what there is to say of settings, at their places.
fn say(
    tree: &Tree,
    files: Files<'_>,
    nodes: &Nodes,
    remarks: &[Remark],
    findings: &mut Vec<Finding>,
) {
    let mut originals: Option<HashMap<Id, Id>> = None;
    for remark in remarks {
        let (Some(code), Some(node)) = (code(remark.kind), nodes.get(&remark.path)) else {
            continue;
        };
        let mut about = *node;
        if tree.node(about).sources.is_empty() {
            // Its keys were made out of others, which stand in a table.
            let originals = originals.get_or_insert_with(|| converted_from(tree));
            let leaves = tree.leaves(about);
            let original = leaves.iter().find_map(|leaf| originals.get(leaf));
            about = original.map_or(about, |id| tree.node(*id).parent);
        }
        findings.push(files.finding(tree, about, code, remark.message.clone()));
    }
}

/// What leaves were converted from, by what they became.
fn converted_from(tree: &Tree) -> HashMap<Id, Id> {
    let mut from = HashMap::new();
    for (id, _) in tree.all() {
        if let Some(Verdict::Converted(to, _)) = tree.verdict(id) {
            from.extend(to.iter().map(|to| (*to, id)));
        }
    }
    from
}

/// An attempt at a conversion.
struct Attempt<'a> {
    nodes: &'a Nodes,
    /// A `config_path` that is the user's.
    own: Option<Id>,
    /// The release that pulls are to stay those of.
    from: Release,
    /// The target would not honour all of the settings.
    needed: bool,
}

impl Attempt<'_> {
    fn run(
        &self,
        tree: &mut Tree,
        registry: Id,
        files: Files<'_>,
        target: &Target,
        options: &Options,
        findings: &mut Vec<Finding>,
    ) -> Option<Moved> {
        let mut nodes = self.nodes.clone();
        nodes.retain(|path, _| is_converted(path));
        let asked = match options.registry {
            RegistryPolicy::Auto => self.needed,
            RegistryPolicy::Keep => false,
            RegistryPolicy::Convert => !nodes.is_empty(),
        };
        if !asked {
            return None;
        }
        let first = nodes.values().copied().min()?;
        let why = match (self.own, target.release.regime) {
            (Some(_), _) => {
                Some("config_path is set as well, to a directory whose files are not known here")
            }
            (None, Regime::CriAppend) => Some("a drop-in for the target cannot set config_path"),
            _ => None,
        };
        if let Some(why) = why {
            let about = self.own.unwrap_or(first);
            findings.push(files.finding(tree, about, Code::RegistryStays, why));
            return None;
        }
        let mut settings = typed(tree, self.nodes);
        // Their names count, whatever else is said of them.
        if let Some(configs) = tree.child(registry, CONFIGS.key()) {
            for entry in tree.children(configs) {
                let name = tree.node(entry).key.clone();
                settings.configs.entry(name).or_default();
            }
        }
        let conversion = match convert(&settings, self.from, target.containerd()) {
            Ok(conversion) => conversion,
            Err(error) => {
                let message = error.to_string();
                findings.push(files.finding(tree, first, Code::RegistryStays, message));
                return None;
            }
        };
        say(tree, files, self.nodes, &conversion.remarks, findings);
        let moved = Moved { conversion, nodes };
        moved.settle(tree, options, findings);
        if moved.conversion.files.is_empty() {
            return Some(moved);
        }
        let why = "the hosts.toml files that stand for mirrors and TLS settings are there";
        let path = Value::String(options.config_path.clone());
        let containerd = target.containerd();
        let reason = match self.needed {
            true => format!(
                "containerd {containerd} reads TLS settings from hosts.toml files only, and refuses mirrors beside config_path"
            ),
            false => "as asked".to_owned(),
        };
        let message = format!("mirrors and TLS settings go to hosts.toml files: {reason}");
        findings.push(files.finding(tree, first, Code::RegistryConverted, message));
        tree.owe(registry, CONFIG_PATH.key(), path, first, why);
        Some(moved)
    }
}

/// Whether a `hosts.toml` has a place for what stands at a path.
fn is_converted(path: &[String]) -> bool {
    match path {
        [map, _] => map == "mirrors",
        [map, _, inner] => map == "configs" && inner == "tls",
        _ => false,
    }
}

/// The mirrors, TLS settings and credentials that are the user's.
fn settings_in(tree: &mut Tree, registry: Id, target: &Target) -> Nodes {
    let mut found = BTreeMap::new();
    let mut entries = |tree: &mut Tree, map: &str, inner: Option<&str>| {
        let Some(table) = tree.child(registry, map) else {
            return;
        };
        for entry in tree.children(table).collect::<Vec<_>>() {
            let name = tree.node(entry).key.clone();
            let node = match inner {
                Some(inner) => tree.child(entry, inner),
                None => Some(entry),
            };
            let Some(node) = node else {
                continue;
            };
            let kept = tree.has_kept(node);
            if kept || split::is_bare_entry(tree, node, target.containerd()) {
                let path = [map, &name].into_iter().chain(inner);
                found.insert(path.map(str::to_owned).collect(), node);
            }
        }
    };
    entries(tree, "mirrors", None);
    entries(tree, "configs", Some("tls"));
    entries(tree, "configs", Some("auth"));
    entries(tree, "auths", None);
    found
}

/// The settings as the registry module takes them.
fn typed(tree: &mut Tree, nodes: &Nodes) -> Registry {
    let mut settings = Registry::default();
    for (path, node) in nodes {
        let mut value = |key: &str| {
            let leaf = tree.child(*node, key)?;
            tree.is_kept(leaf)
                .then(|| tree.value(leaf).cloned())
                .flatten()
        };
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        match keys.as_slice() {
            ["mirrors", name] => {
                let items = value("endpoint").map(|value| match value {
                    Value::Array(items) => items,
                    _ => Vec::new(),
                });
                let texts = items.unwrap_or_default();
                let texts = texts.iter().filter_map(Value::as_str).map(str::to_owned);
                let mirror = Mirror {
                    endpoint: Some(texts.collect()),
                    ..Mirror::default()
                };
                settings.mirrors.insert((*name).to_owned(), mirror);
            }
            ["configs", name, "tls"] => {
                let mut file = |key: &str| value(key)?.as_str().map(str::to_owned);
                let tls = Tls {
                    ca_file: file("ca_file"),
                    cert_file: file("cert_file"),
                    key_file: file("key_file"),
                    insecure_skip_verify: match value("insecure_skip_verify") {
                        Some(Value::Boolean(flag)) => Some(flag),
                        _ => None,
                    },
                    ..Tls::default()
                };
                settings.configs.entry((*name).to_owned()).or_default().tls = tls;
            }
            ["configs", name, "auth"] => {
                let config = settings.configs.entry((*name).to_owned()).or_default();
                config.auth = auth(value);
            }
            ["auths", url] => {
                settings.auths.insert((*url).to_owned(), auth(value));
            }
            _ => {}
        }
    }
    settings
}

/// Credentials by the values of their keys.
fn auth(mut value: impl FnMut(&str) -> Option<Value>) -> Auth {
    let mut text = |key: &str| value(key)?.as_str().map(Secret::new);
    Auth {
        username: text("username"),
        password: text("password"),
        auth: text("auth"),
        identitytoken: text("identitytoken"),
        ..Auth::default()
    }
}

impl Moved {
    /// Judges every setting by what became of it, and takes it out of the tree.
    fn settle(&self, tree: &mut Tree, options: &Options, findings: &mut [Finding]) {
        let mut places: BTreeMap<&Vec<String>, Vec<String>> = BTreeMap::new();
        for file in &self.conversion.files {
            for source in &file.sources {
                places
                    .entry(source)
                    .or_default()
                    .push(options.path_of(&file.path));
            }
        }
        let mut remarks: BTreeMap<&Vec<String>, Vec<&Remark>> = BTreeMap::new();
        for remark in &self.conversion.remarks {
            remarks.entry(&remark.path).or_default().push(remark);
        }
        let mut unknown = BTreeSet::new();
        for (path, node) in &self.nodes {
            let verdict = match (places.get(path), remarks.get(path)) {
                (Some(places), _) => Verdict::Moved(places.clone()),
                (None, Some(remarks)) => lost(remarks),
                (None, None) => Verdict::Drop(Dropped::NoEffect, "it asks for nothing".to_owned()),
            };
            for leaf in tree.leaves(*node) {
                if !tree.is_kept(leaf) {
                    continue;
                }
                if tree.node(leaf).place().is_none() {
                    unknown.insert(tree.shown(leaf));
                    let why = "containerd does not read it, and its table has gone to a hosts.toml"
                        .to_owned();
                    tree.judge(leaf, Verdict::Drop(Dropped::NoEffect, why));
                    continue;
                }
                tree.judge(leaf, verdict.clone());
            }
            if let Verdict::Moved(places) = verdict {
                tree.move_table(*node, places);
            }
        }
        detach(tree, self.nodes.values().copied().collect());
        for finding in findings.iter_mut() {
            let is_gone = finding
                .key
                .as_ref()
                .is_some_and(|key| unknown.contains(key));
            if finding.code == Code::UnknownKey && is_gone {
                let span = finding.span.take();
                let key = finding.key.take().unwrap_or_default();
                let message = "containerd does not read this key, and its table has gone to a hosts.toml: it is left out";
                *finding = Finding::new(Code::WithoutEffect, message).at(key, span);
            }
        }
    }

    /// The files to write, for the settings of `origin`.
    pub(super) fn files(
        &self,
        tree: &Tree,
        files: Files<'_>,
        target: &Target,
        options: &Options,
        origin: &str,
    ) -> Vec<HostsFile> {
        let mut used = BTreeSet::new();
        let mut write = |file: &ConvertedFile| {
            let body = file.file.to_toml(target.containerd());
            let header = format!(
                "{}: {}, by the registry settings of {origin}.\n",
                super::drop_in::HEADER,
                match file.host.as_str() {
                    "_default" => "where images of all other registries come from".to_owned(),
                    host => format!("where images of {host} come from"),
                }
            );
            let mut comments = Vec::new();
            // Mirrors before the TLS settings of their endpoints.
            for source in file.sources.iter().rev() {
                let node = self.nodes.get(source).copied();
                let ids = node
                    .into_iter()
                    .flat_map(|node| std::iter::once(node).chain(tree.leaves(node)));
                // A comment goes to the first file that has its setting.
                let ids = ids.filter(|id| used.insert(*id));
                comments.extend(ids.flat_map(|id| files.comments(tree, id)));
            }
            let stand_in = shown::comment(comments.iter().copied());
            let stand_in = stand_in.map_or_else(String::new, |line| format!("{line}\n"));
            let shown = Some(file.file.shown()).filter(|shown| *shown != file.file);
            let sensitive = !comments.is_empty() || shown.is_some();
            let body_shown = shown.map(|shown| shown.to_toml(target.containerd()));
            let body_shown = body_shown.as_deref().unwrap_or(&body);
            let comments: String = comments
                .iter()
                .map(|line| format!("{}\n", line.trim_end()))
                .collect();
            HostsFile {
                name: file.path.clone(),
                path: options.path_of(&file.path),
                host: file.host.clone(),
                sensitive,
                text: Text {
                    redacted: sensitive.then(|| format!("{header}{stand_in}{body_shown}")),
                    full: format!("{header}{comments}{body}"),
                },
            }
        };
        // That of a host itself before those that have its setting as well.
        let (own, others): (Vec<_>, Vec<_>) = self.conversion.files.iter().partition(|file| {
            let mut names = file.sources.iter().filter_map(|source| source.get(1));
            names.any(|name| *name == file.host || name == "*" && file.host == "_default")
        });
        let mut written: Vec<HostsFile> = own.into_iter().chain(others).map(&mut write).collect();
        written.sort_by(|a, b| a.name.cmp(&b.name));
        written
    }

    /// Checks that the files, read again, make the same pulls as the settings.
    pub(super) fn check(
        &self,
        files: &[HostsFile],
        target: &Target,
        options: &Options,
    ) -> Result<(), String> {
        let texts = files.iter().map(|file| (file.name.as_str(), file.text()));
        let certs_d = CertsD::of_all(&options.config_path, texts);
        if let Some((path, error)) = certs_d.errors().next() {
            return Err(format!("{path}: {error}"));
        }
        let checked = self.conversion.check(&certs_d, target.containerd());
        checked.map_err(|error| error.to_string())
    }
}

fn code(kind: RemarkKind) -> Option<Code> {
    Some(match kind {
        RemarkKind::NeverLookedUp => Code::RegistryKey,
        RemarkKind::OtherSpelling => Code::RegistryKeySpelling,
        RemarkKind::NotOneUrl => Code::RegistryEndpoint,
        RemarkKind::NeverAsked => Code::RegistryEndpointNotAsked,
        RemarkKind::Slash => Code::RegistryEndpointSlash,
        RemarkKind::PathWithoutV2 => Code::RegistryEndpointPath,
        RemarkKind::PartLeftOut => Code::RegistryEndpointPart,
        RemarkKind::PlainHttp => Code::RegistryTlsUnused,
        RemarkKind::WithoutEffect => Code::WithoutEffect,
        RemarkKind::FirstEffect => Code::FirstEffect,
        RemarkKind::RelativePath => Code::RegistryRelativePath,
        RemarkKind::NotConvertible => Code::RegistryNotConvertible,
        RemarkKind::Redundant => return None,
    })
}

/// What became of a setting that is in no file.
fn lost(remarks: &[&Remark]) -> Verdict {
    let is = |kind: RemarkKind| remarks.iter().find(|remark| remark.kind == kind);
    let refused = is(RemarkKind::NotConvertible).or_else(|| is(RemarkKind::NotOneUrl));
    let refused = refused.map(|remark| (Dropped::NotExpressible, remark));
    let redundant = is(RemarkKind::Redundant).map(|remark| (Dropped::TargetDefault, remark));
    let is_idle =
        |remark: &&&Remark| remark.kind.is_idle() || remark.kind == RemarkKind::WithoutEffect;
    let other = remarks.iter().find(is_idle).or(remarks.first());
    let other = other.map(|remark| (Dropped::NoEffect, remark));
    let (dropped, why) = refused.or(redundant).or(other).map_or_else(
        || (Dropped::NoEffect, String::new()),
        |(dropped, remark)| (dropped, remark.message.clone()),
    );
    Verdict::Drop(dropped, why)
}

/// Takes tables out, and the entries of `configs` that they were alone in.
fn detach(tree: &mut Tree, nodes: BTreeSet<Id>) {
    let parents: BTreeSet<Id> = nodes.iter().map(|node| tree.node(*node).parent).collect();
    tree.detach_all(&nodes);
    let is_empty = |id: &Id| {
        let is_entry = tree.node(*id).place().is_some_and(|place| place.is_entry());
        is_entry && tree.children(*id).next().is_none()
    };
    let empty: BTreeSet<Id> = parents.into_iter().filter(is_empty).collect();
    tree.detach_all(&empty);
}
