//! Registry settings that go to `hosts.toml` files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::split;
use super::tree::{Dropped, Files, Id, Tree, Verdict};
use super::{Options, RegistryPolicy, Target};
use crate::config::{Mirror, Registry, RegistryHost, Tls};
use crate::containerd::plugin;
use crate::containerd::releases::V1_7;
use crate::diagnostic::{Code, Finding};
use crate::k0s::Regime;
use crate::redacted::Text;
use crate::registry::{CertsD, Conversion, ConvertedFile, Remark, RemarkKind, convert};
use crate::secret::is_secret_comment;
use crate::value::Value;

/// Where the settings stand.
const REGISTRY: [&str; 3] = ["plugins", plugin::CRI, "registry"];

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
    /// Whether a comment in it may be a credential, so that it should be
    /// readable by root only.
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

/// Moves the mirrors and TLS settings to `hosts.toml` files, if the target or
/// the caller asks for it.
pub(super) fn convert_registry(
    tree: &mut Tree,
    files: Files<'_>,
    target: &Target,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Moved> {
    let registry = tree.find(&REGISTRY)?;
    let nodes = settings_in(tree, registry, target);
    let is_tls = |path: &Vec<String>| path.first().is_some_and(|key| key == "configs");
    let needed = target.containerd().is_2() && nodes.keys().any(is_tls);
    let asked = match options.registry {
        RegistryPolicy::Auto => needed,
        RegistryPolicy::Keep => false,
        RegistryPolicy::Convert => !nodes.is_empty(),
    };
    if !asked {
        return None;
    }
    let first = nodes.values().copied().min()?;
    let own = tree.child(registry, "config_path");
    let own =
        own.filter(|own| tree.is_kept(*own) && tree.value(*own).is_some_and(|v| !v.is_zero()));
    let why = match (own, target.release.regime) {
        (Some(_), _) => {
            Some("config_path is set as well, to a directory whose files are not known here")
        }
        (None, Regime::CriAppend) => Some("a drop-in for the target cannot set config_path"),
        _ => None,
    };
    if let Some(why) = why {
        findings.push(files.finding(tree, own.unwrap_or(first), Code::RegistryStays, why));
        return None;
    }
    // What 2.x does not read of its own files is no setting any more.
    let from = if target.containerd().is_2() {
        V1_7
    } else {
        target.containerd()
    };
    let mut settings = typed(tree, &nodes);
    // Their names count, whatever else is said of them.
    if let Some(configs) = tree.child(registry, "configs") {
        for entry in tree.children(configs) {
            let name = tree.node(*entry).key.clone();
            settings.configs.entry(name).or_default();
        }
    }
    let conversion = match convert(&settings, from, target.containerd()) {
        Ok(conversion) => conversion,
        Err(error) => {
            let message = error.to_string();
            findings.push(files.finding(tree, first, Code::RegistryStays, message));
            return None;
        }
    };
    let moved = Moved { conversion, nodes };
    moved.settle(tree, files, options, findings);
    if moved.conversion.files.is_empty() {
        return Some(moved);
    }
    let why = "the hosts.toml files that stand for mirrors and TLS settings are there";
    let path = Value::String(options.config_path.clone());
    let containerd = target.containerd();
    let reason = match needed {
        true => format!(
            "containerd {containerd} reads TLS settings from hosts.toml files only, and refuses mirrors beside config_path"
        ),
        false => "as asked".to_owned(),
    };
    let message = format!("mirrors and TLS settings go to hosts.toml files: {reason}");
    findings.push(files.finding(tree, first, Code::RegistryConverted, message));
    tree.owe(registry, "config_path", path, first, why);
    Some(moved)
}

/// The mirrors and the TLS settings that are the user's, by their paths below
/// `registry`.
fn settings_in(tree: &mut Tree, registry: Id, target: &Target) -> BTreeMap<Vec<String>, Id> {
    let mut found = BTreeMap::new();
    let mut entries = |tree: &mut Tree, map: &str, inner: Option<&str>| {
        let Some(table) = tree.child(registry, map) else {
            return;
        };
        for entry in tree.children(table).to_vec() {
            let name = tree.node(entry).key.clone();
            let node = match inner {
                Some(inner) => tree.child(entry, inner),
                None => Some(entry),
            };
            let Some(node) = node else {
                continue;
            };
            let kept = tree.leaves(node).iter().any(|id| tree.is_kept(*id));
            if kept || split::is_bare_entry(tree, node, target.containerd()) {
                let path = [map, &name].into_iter().chain(inner);
                found.insert(path.map(str::to_owned).collect(), node);
            }
        }
    };
    entries(tree, "mirrors", None);
    entries(tree, "configs", Some("tls"));
    found
}

/// The settings as the registry module takes them.
fn typed(tree: &mut Tree, nodes: &BTreeMap<Vec<String>, Id>) -> Registry {
    let mut settings = Registry::default();
    for (path, node) in nodes {
        let mut value = |key: &str| {
            let leaf = tree.child(*node, key)?;
            tree.is_kept(leaf)
                .then(|| tree.value(leaf).cloned())
                .flatten()
        };
        match path.as_slice() {
            [_, name] => {
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
                settings.mirrors.insert(name.clone(), mirror);
            }
            [_, name, ..] => {
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
                let config = RegistryHost {
                    tls,
                    ..RegistryHost::default()
                };
                settings.configs.insert(name.clone(), config);
            }
            _ => {}
        }
    }
    settings
}

impl Moved {
    /// Judges every setting by what became of it, and takes it out of the tree.
    fn settle(
        &self,
        tree: &mut Tree,
        files: Files<'_>,
        options: &Options,
        findings: &mut Vec<Finding>,
    ) {
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
            for remark in remarks.get(path).into_iter().flatten() {
                let code = code(remark.kind);
                let finding =
                    code.map(|code| files.finding(tree, *node, code, remark.message.clone()));
                findings.extend(finding);
            }
            let verdict = match (places.get(path), remarks.get(path)) {
                (Some(places), _) => Verdict::Moved(places.clone()),
                (None, Some(remarks)) => lost(remarks),
                (None, None) => Verdict::Drop(Dropped::NoEffect, "it asks for nothing".to_owned()),
            };
            for leaf in tree.leaves(*node) {
                if !tree.is_kept(leaf) {
                    continue;
                }
                if tree.node(leaf).place.is_none() {
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
            let is_secret = |line: &&str| is_secret_comment(line);
            let sensitive = comments.iter().any(is_secret);
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
                    redacted: sensitive.then(|| format!("{header}{body}")),
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
        let certs_d = CertsD::new(&options.config_path, texts);
        if let Some((path, error)) = certs_d.errors().next() {
            return Err(format!("{path}: {error}"));
        }
        let checked = self.conversion.check(&certs_d, target.containerd());
        checked.map_err(|error| error.to_string())
    }
}

fn code(kind: RemarkKind) -> Option<Code> {
    Some(match kind {
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
    let refused = is(RemarkKind::NotConvertible).map(|remark| (Dropped::NotExpressible, remark));
    let redundant = is(RemarkKind::Redundant).map(|remark| (Dropped::TargetDefault, remark));
    let other = remarks.first().map(|remark| (Dropped::NoEffect, remark));
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
        let is_entry = tree.node(*id).place.is_some_and(|place| place.is_entry);
        is_entry && tree.children(*id).is_empty()
    };
    let empty: BTreeSet<Id> = parents.into_iter().filter(is_empty).collect();
    tree.detach_all(&empty);
}
