//! Files from elsewhere on the node that drop-ins import. They are other tools'
//! own: they are read and take part in what is in effect, and stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{self, LedgerEntry};
use super::read::{self, Input, Rules};
use super::sandbox;
use super::tree::{Files, ROOT, Tree, Verdict, Why};
use super::{Target, checks, edits};
use crate::Document;
use crate::config::table::Known;
use crate::config::{address, known};
use crate::containerd::load::Effective;
use crate::containerd::setting::Merge;
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding, Span};
use crate::k0s::FileName;
use crate::shown;
use crate::value::Value;

/// A file from elsewhere.
#[derive(Debug)]
pub(super) struct Outside<'a> {
    name: &'a FileName,
    pub(super) document: &'a Document,
    input: Input,
}

/// The path of a setting and its value.
type Settings<'t> = BTreeMap<Vec<&'t str>, &'t Value>;

/// Settings that containerd 2.x migrates in files with a table of runtime handlers
/// only.
const BESIDE_HANDLERS: [Known; 3] = [
    known::SNAPSHOTTER,
    known::DISABLE_SNAPSHOT_ANNOTATIONS,
    known::DISCARD_UNPACKED_LAYERS,
];

/// What has its successor by containerd's own migration.
const CARRIED_BY_CONTAINERD: [Known; 3] = [known::SANDBOX_MODE, known::BIN_DIR, known::SCHED_CORE];

impl<'a> Outside<'a> {
    /// Reads a file as the containerd of the target does behind k0s's main
    /// file.
    pub(super) fn all(files: &'a [(FileName, &'a Document)], target: &Target) -> Vec<Self> {
        let read =
            |(name, document): &'a (FileName, &'a Document)| Outside::read(name, document, target);
        files.iter().map(read).collect()
    }

    fn read(name: &'a FileName, document: &'a Document, target: &Target) -> Self {
        let containerd = target.containerd();
        let rules = match containerd.is_2() {
            true => Rules::Containerd2,
            false => Rules::K0sMerge,
        };
        let names = [name.clone()];
        let mut input = read::read(&[document], rules, &names, containerd);
        input.tree.write_as(target.dialect());
        // Behind a main file with a version, it goes without saying.
        input
            .findings
            .retain(|finding| finding.code != Code::VersionMissing);
        Outside {
            name,
            document,
            input,
        }
    }

    fn tree(&self) -> &Tree {
        &self.input.tree
    }

    fn settings(&self) -> Settings<'_> {
        let tree = self.tree();
        let leaves = tree.leaves(ROOT).into_iter();
        leaves
            .filter_map(|id| Some((tree.path(id), tree.value(id)?)))
            .collect()
    }

    /// Lays the file over what drop-ins bring about, as containerd 2.x does.
    pub(super) fn add_to(&self, effective: &mut Effective) {
        for (path, value) in self.settings() {
            let counts = path.first() == Some(&"plugins") || !value.is_zero();
            if counts {
                effective.set(&path, Some(value));
            }
        }
    }

    /// Whether the file sets something at a path of version 2.
    fn sets(&self, path: &[&str]) -> bool {
        self.settings().contains_key(path)
    }

    /// The plugins that it has sections of.
    fn sections(&self) -> BTreeSet<&str> {
        let tree = self.tree();
        let tables = tree.children(ROOT);
        let plugins = tables.filter(|id| tree.node(*id).key == "plugins");
        let sections = plugins.flat_map(|id| tree.children(id));
        sections.map(|id| tree.node(id).key.as_str()).collect()
    }

    fn has_section(&self, id: &str) -> bool {
        self.sections().contains(id)
    }

    /// What there is to say about the file by itself.
    pub(super) fn findings(&mut self, target: &Target) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.input.findings);
        let document = [self.document];
        let files = Files(&document);
        let containerd = target.containerd();
        let tree = self.tree();
        // What the release does not have any more it does not decode.
        let is_read = |id: &usize| {
            let place = tree.node(*id).place();
            place.is_none_or(|place| !place.is_gone(containerd))
        };
        for id in tree.leaves(ROOT).into_iter().filter(is_read) {
            let wrong = edits::mismatch(tree, id, containerd);
            findings.extend(wrong.map(|(code, why)| files.wrong_value(tree, id, code, why)));
        }
        findings.extend(checks::foreign(self.document, tree));
        findings.extend(self.lost(files, containerd));
        findings.extend(self.stale_image(files, target));
        let unreadable = self.document.unreadable().filter(|_| !containerd.is_2());
        findings.extend(unreadable.map(|(span, what)| {
            let message = format!("{what} is TOML that containerd {containerd} does not read");
            let mut finding = Finding::new(Code::ContainerdRefuses, message);
            finding.span = Some(span);
            finding
        }));
        findings.into_iter().map(Finding::in_place).collect()
    }

    /// What containerd 2.x loses as it migrates a file of an earlier version.
    fn lost(&self, files: Files<'_>, containerd: Release) -> Vec<Finding> {
        let old = read::version_of(self.document).is_some_and(|version| version < 3);
        if !containerd.is_2() || !old {
            return Vec::new();
        }
        let tree = self.tree();
        let settings = self.settings();
        let names_handlers = settings
            .keys()
            .any(|path| path.starts_with(&known::RUNTIMES));
        let mut findings = Vec::new();
        for id in tree.leaves(ROOT) {
            let (Some(place), Some(value)) = (tree.node(id).place(), tree.value(id)) else {
                continue;
            };
            if place.is_last_default(value) || value.is_zero() {
                continue;
            }
            let why = match place {
                _ if !names_handlers && BESIDE_HANDLERS.iter().any(|one| place.is(*one)) => {
                    "containerd 2.x takes it over from files that have a table of runtime handlers only"
                }
                _ if place.is(known::HANDLERS_SNAPSHOTTER) => {
                    "containerd 2.x wants a handler's snapshotter in `runtime_platforms` as well, and does not put it there"
                }
                _ if CARRIED_BY_CONTAINERD.iter().any(|one| place.is(*one)) => continue,
                _ if place.is_gone(containerd) => "containerd 2.x has no such setting",
                _ => continue,
            };
            findings.push(files.finding(tree, id, Code::LostInMigration, why));
        }
        findings
    }

    fn stale_image(&self, files: Files<'_>, target: &Target) -> Option<Finding> {
        let tree = self.tree();
        let is_image = |id: &usize| tree.is(*id, known::SANDBOX_IMAGE);
        let id = tree.leaves(ROOT).into_iter().find(is_image)?;
        let image = tree.value(id)?.as_str()?;
        let injected = target.pause_image();
        let stale = sandbox::stale(image, target).filter(|_| image != injected);
        stale.map(|stale| {
            let message = format!(
                "the file pins the sandbox image {}, {stale}, over {injected}, which k0s {} injects",
                shown::text(image),
                target.release
            );
            files.finding(tree, id, Code::SandboxImageStale, message)
        })
    }

    /// What becomes of each key.
    pub(super) fn ledger(mut self) -> Vec<LedgerEntry> {
        let tree = &mut self.input.tree;
        for id in tree.leaves(ROOT) {
            let why = "the file is another tool's and stays as it is".to_owned();
            tree.judge(id, Verdict::Keep(Why::Elsewhere(why)));
        }
        let without_effect = std::mem::take(&mut self.input.without_effect);
        ledger::ledger(self.tree(), Files(&[self.document]), &[], without_effect)
    }
}

/// Where a setting of version 2's path stands in files from elsewhere: its key
/// as the file spells it, and the place. containerd 1.x has of a plugin what the
/// last file with its section says.
pub(super) fn place(
    outside: &[Outside<'_>],
    path: &[&str],
    release: Release,
) -> Option<(String, Span)> {
    let by_section = !release.is_2() && path.first() == Some(&"plugins");
    let least = match by_section {
        true => path.len().min(2),
        false => path.len(),
    };
    outside.iter().rev().find_map(|file| {
        let version = read::version_of(file.document).unwrap_or(2);
        let spelled = address::of(version, path);
        let shorter = (least..=spelled.len()).rev();
        shorter
            .filter_map(|length| spelled.get(..length))
            .find_map(|path| {
                let (key, _) = file.document.span_of(path)?;
                Some((shown::path(path), key))
            })
    })
}

/// The last of the files that sets the sandbox image, or on containerd 1.x has a
/// section of CRI.
pub(super) fn decides_sandbox_image(outside: &[Outside<'_>], release: Release) -> bool {
    outside.iter().any(|file| match release.is_2() {
        true => file.sets(&known::SANDBOX_IMAGE),
        false => file.has_section(plugin::CRI),
    })
}

/// What files from elsewhere, which are loaded last, take out of effect of the
/// drop-ins. `replaced` says that containerd 1.x loaded the drop-ins so far.
pub(super) fn overrides(
    outside: &[Outside<'_>],
    tree: &Tree,
    target: &Target,
    replaced: bool,
) -> Vec<Finding> {
    let containerd = target.containerd();
    let mut findings = Vec::new();
    for (at, file) in outside.iter().enumerate() {
        let (settings, mut sections) = (file.settings(), file.sections());
        // Of several sections of a plugin the last one counts.
        let later = outside.get(at + 1..).unwrap_or_default();
        let later: BTreeSet<&str> = later.iter().flat_map(Outside::sections).collect();
        sections.retain(|section| !later.contains(section));
        let mut decided = Vec::new();
        let mut lost: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for id in tree.leaves(ROOT).into_iter().filter(|id| tree.is_kept(*id)) {
            let path = tree.path(id);
            match (settings.get(&path), path.as_slice()) {
                (Some(theirs), _)
                    if prevails(tree, id, theirs) && tree.value(id) != Some(*theirs) =>
                {
                    decided.push(tree.shown(id));
                }
                (None, ["plugins", section, _, ..]) if replaced && sections.contains(section) => {
                    lost.entry(section).or_default().push(tree.shown(id));
                }
                _ => {}
            }
        }
        let name = file.document.name();
        if let Some(keys) = some_of(&decided) {
            let message = format!(
                "{} is loaded later and decides {keys}",
                shown::printable(name)
            );
            findings.push(Finding::new(Code::Shadowed, message).about(file.document));
        }
        let image = file.image_replaced(target, replaced && sections.contains(plugin::CRI));
        if image.is_some() {
            lost.entry(plugin::CRI).or_default();
        }
        for (section, keys) in lost {
            let mut parts: Vec<String> = Vec::new();
            if section == plugin::CRI {
                parts.extend(image.clone());
            }
            let keys = some_of(&keys);
            let (code, message) = match containerd.is_2() {
                true => {
                    parts.extend(keys.map(|keys| format!("{keys} of the drop-ins")));
                    let message = format!(
                        "up to k0s 1.35 its section {} replaced that of k0s and of drop-ins as a whole; containerd 2.x merges them, so that this takes effect for the first time: {}",
                        shown::name(section),
                        parts.join(", ")
                    );
                    (Code::FirstEffect, message)
                }
                false => {
                    parts.extend(keys.map(|keys| format!("{keys} of the drop-ins")));
                    let message = format!(
                        "its section {} replaces that of k0s and of drop-ins as a whole; out of effect: {}",
                        shown::name(section),
                        parts.join(", ")
                    );
                    (Code::ImportReplaces, message)
                }
            };
            let place = self::place(
                std::slice::from_ref(file),
                &["plugins", section],
                containerd,
            );
            let (key, span) = place.unzip();
            findings.push(Finding::new(code, message).at(key.unwrap_or_default(), span));
        }
    }
    findings
}

impl Outside<'_> {
    /// The sandbox image that k0s injects, where the file takes it away.
    fn image_replaced(&self, target: &Target, replaced: bool) -> Option<String> {
        let injected = target.pause_image();
        let built_in = sandbox::built_in(target.containerd())?;
        let taken = replaced
            && !self.sets(&known::SANDBOX_IMAGE)
            && (built_in != injected || target.containerd().is_2());
        taken.then(|| match target.containerd().is_2() {
            true => format!("the sandbox image {injected} that k0s injects"),
            false => format!(
                "the sandbox image {injected} that k0s injects, in place of which containerd has its built-in {built_in}"
            ),
        })
    }
}

/// Whether a later file's value of a setting prevails.
fn prevails(tree: &Tree, id: usize, later: &Value) -> bool {
    let is_list = tree
        .node(id)
        .place()
        .is_some_and(|place| place.merge() == Merge::Append || place.owned().is_some());
    let hidden = tree.is_merged_by_value(tree.node(id)) && later.is_zero();
    !is_list && !hidden
}

/// The first of many keys.
fn some_of(keys: &[String]) -> Option<String> {
    const MOST: usize = 5;
    let named = keys.iter().take(MOST).map(String::as_str);
    let named: Vec<&str> = named.collect();
    let more = match keys.len().checked_sub(MOST) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

/// What is in effect with drop-ins and files from elsewhere.
pub(super) fn texts<'o>(
    outside: &'o [Outside<'_>],
) -> impl Iterator<Item = (&'o FileName, &'o str)> {
    outside.iter().map(|file| (file.name, file.document.text()))
}
