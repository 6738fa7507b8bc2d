//! Which drop-ins of a set count, in which order, and into which files they go.

use std::collections::BTreeSet;

use super::ExistingDropIns;
use crate::Document;
use crate::containerd::Import;
use crate::containerd::import::load_order;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Regime};
use crate::migrate::Target;
use crate::migrate::read::{self, Rules};
use crate::migrate::split::{self, Concern};
use crate::migrate::tree::{Dropped, Id, ROOT, Tree, Verdict, Why};
use crate::value::Value;

/// Drop-ins in the order in which they were loaded.
pub(super) struct Set<'a> {
    pub(super) order: Vec<&'a Document>,
    /// Their names below the directory.
    pub(super) names: Vec<String>,
    /// What their relative imports start from.
    importers: Vec<String>,
    pub(super) rules: Rules,
}

impl ExistingDropIns<'_> {
    /// The name of a drop-in below the directory.
    fn name_of(&self, document: &Document) -> String {
        let directory = self.directory.trim_end_matches('/');
        let below = document.name().strip_prefix(directory);
        let below = below.and_then(|name| name.strip_prefix('/'));
        below.unwrap_or(document.name()).to_owned()
    }
}

impl<'a> Set<'a> {
    pub(super) fn of(existing: &ExistingDropIns<'a>, findings: &mut Vec<Finding>) -> Self {
        let mut all: Vec<(String, &Document)> = existing
            .drop_ins
            .iter()
            .map(|document| (existing.name_of(document), document))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.dedup_by(|(again, document), (name, _)| {
            let twice = again == name;
            if twice {
                let message = format!(
                    "{} is given twice; the second is not carried over",
                    document.name()
                );
                findings.push(Finding::new(Code::ImportUnused, message));
            }
            twice
        });
        let file = |at: &usize| all.get(*at).map(|(_, document)| *document);
        let name = |at: &usize| all.get(*at).map_or("", |(name, _)| name.as_str());
        let mut first: Vec<usize> = (0..all.len())
            .filter(|at| k0s::is_drop_in(name(at)))
            .collect();
        let rules = rules(first.iter().filter_map(file));
        let has_cri = |at: &usize| file(at).is_some_and(read::has_cri);
        let is_merged = |at: &usize| rules == Rules::K0sMerge && has_cri(at);
        let merged: BTreeSet<usize> = first.iter().copied().filter(is_merged).collect();
        // k0s 1.27 – 1.35 have containerd load the merged CRI settings last.
        first.sort_by_key(|at| merged.contains(at));
        findings.extend(merged.iter().filter_map(file).filter_map(states_version_1));
        // Of what is merged, the last list of imports replaces the others.
        let has_imports =
            |at: &&usize| file(at).is_some_and(|file| file.span_of(&["imports"]).is_some());
        let imports_last = merged.iter().rev().find(has_imports);
        let paths: Vec<String> = (0..all.len()).map(|at| k0s::path_of(name(&at))).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let importer = |at: &usize| match merged.contains(at) {
            true => format!("{}/{}", k0s::RUN_DIR, k0s::CRI_FILE),
            false => k0s::path_of(name(at)),
        };
        let imports = |at: usize| {
            let counts = !merged.contains(&at) || imports_last == Some(&at);
            let entries = file(&at).filter(|_| counts).map(Document::imports);
            let importer = importer(&at);
            let import = |entry: &String| Import::new(&importer, entry);
            entries.iter().flatten().map(import).collect()
        };
        let order = load_order(&paths, first, imports, |at, import, reached| {
            if let (Some(file), []) = (file(&at), reached) {
                findings.extend(unresolved(file, import));
            }
        });
        let loaded: BTreeSet<usize> = order.iter().copied().collect();
        for (_, (_, document)) in all
            .iter()
            .enumerate()
            .filter(|(at, _)| !loaded.contains(at))
        {
            let message = format!(
                "{} is neither a drop-in nor imported by one; it is not carried over",
                document.name()
            );
            findings.push(Finding::new(Code::ImportUnused, message));
        }
        Set {
            importers: order.iter().map(importer).collect(),
            names: order.iter().map(|at| name(at).to_owned()).collect(),
            order: order.iter().filter_map(file).collect(),
            rules,
        }
    }

    /// For a target before 1.36: its drop-ins are of version 2, and may stay as
    /// they are. Gives whether they do.
    pub(super) fn leave(
        &self,
        tree: &mut Tree,
        target: &Target,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let later = self
            .order
            .iter()
            .find(|file| read::version_of(file).is_some_and(|version| version >= 3));
        let release = &target.release;
        let (may_stay, why) = match later {
            _ if release.regime == Regime::Monolith => {
                (false, format!("k0s {release} reads no drop-ins"))
            }
            Some(file) => (
                false,
                format!(
                    "{} is of config version 3, and k0s {release} wants version 2",
                    file.name()
                ),
            ),
            None => (
                true,
                format!("k0s {release} reads drop-ins of version 2 as they are"),
            ),
        };
        for id in tree.leaves(ROOT) {
            let verdict = match may_stay {
                true => Verdict::Keep(Why::Edit("stays as it is".to_owned())),
                false => Verdict::Drop(Dropped::NotExpressible, why.clone()),
            };
            tree.judge(id, verdict);
        }
        if may_stay {
            findings.push(Finding::new(Code::DropInsStay, why));
        } else if release.regime != Regime::Monolith {
            findings.push(Finding::new(Code::NoWayBack, why));
        }
        may_stay
    }

    /// What goes where: into the file where it was. Imports stay, but for
    /// those of files of which nothing is left.
    pub(super) fn split(&self, tree: &mut Tree, target: &Target) -> Vec<(Concern, Id)> {
        let mut parts = split::split_by_file(tree, target.containerd(), &self.names);
        let imports: Vec<Id> = tree
            .leaves(ROOT)
            .into_iter()
            .filter(|id| tree.path(*id) == ["imports"])
            .collect();
        let mut written: BTreeSet<String> = parts.iter().map(|(c, _)| c.file_name()).collect();
        // What is imported last is settled first.
        for id in imports.into_iter().rev() {
            let Some(file) = tree.node(id).sources.first().map(|source| source.file) else {
                continue;
            };
            let (Some(name), Some(importer)) = (self.names.get(file), self.importers.get(file))
            else {
                continue;
            };
            let left = self.imports_left(tree, id, [importer, &k0s::path_of(name)], &written);
            if left.is_empty() {
                continue;
            }
            tree.change(id, Value::Array(left));
            let why = "the drop-in goes on to import it";
            tree.judge(id, Verdict::Keep(Why::Edit(why.to_owned())));
            written.insert(name.clone());
            parts.push((Concern::File(name.clone()), id));
        }
        parts
    }

    /// The imports of a drop-in that lead anywhere, from where they started and
    /// now start.
    fn imports_left(
        &self,
        tree: &Tree,
        id: Id,
        [before, now]: [&str; 2],
        written: &BTreeSet<String>,
    ) -> Vec<Value> {
        let entries = tree.value(id).and_then(Value::as_array).unwrap_or_default();
        let left = entries.iter().filter_map(|entry| {
            let text = entry.as_str()?;
            let import = Import::new(before, text);
            let mut reached = self
                .names
                .iter()
                .filter(|name| import.matches(&k0s::path_of(name)))
                .peekable();
            let leads_on = reached.peek().is_none() || reached.any(|name| written.contains(name));
            let moves = import != Import::new(now, text);
            leads_on.then(|| match moves {
                true => Value::String(import.path().to_owned()),
                false => entry.clone(),
            })
        });
        left.collect()
    }

    /// Files of which nothing is left. One that says nothing to begin with, in
    /// a way that the target takes, may stay.
    pub(super) fn emptied(&self, parts: &[(Concern, Id)]) -> Vec<(String, &'a Document)> {
        let written: BTreeSet<String> = parts
            .iter()
            .flat_map(|(concern, _)| {
                let importer = concern.importer();
                std::iter::once(concern.file_name()).chain(importer)
            })
            .collect();
        let says_nothing = |file: &Document| {
            file.holds_only(&["version"]) && file.version().is_none_or(|version| version == 3)
        };
        let files = self.names.iter().cloned().zip(self.order.iter().copied());
        files
            .filter(|(name, file)| !written.contains(name) && !says_nothing(file))
            .collect()
    }
}

/// By whose rules drop-ins were put together: those of the k0s that takes the
/// version that they state; what they speak tells where none states one.
fn rules<'d>(files: impl Iterator<Item = &'d Document> + Clone) -> Rules {
    let any = |of: &dyn Fn(&Document) -> Option<i64>, is: &dyn Fn(i64) -> bool| {
        files.clone().any(|file| of(file).is_some_and(is))
    };
    let old = |of: &dyn Fn(&Document) -> Option<i64>| any(of, &|version| version <= 2);
    let new = any(&Document::version, &|version| version >= 3);
    match old(&Document::version) || !new && old(&read::version_of) {
        true => Rules::K0sMerge,
        false => Rules::Containerd2,
    }
}

/// An import that no file which was handed in answers to.
fn unresolved(file: &Document, import: &Import) -> Option<Finding> {
    let directory = k0s::DROP_IN_DIR;
    let span = file.span_of(&["imports"]).map(|(key, _)| key);
    let inside = import.path().starts_with(&format!("{directory}/"));
    let finding = match (inside, import.is_pattern()) {
        (true, true) => return None,
        (true, false) => Finding::new(
            Code::ImportMissing,
            format!("the imported file {} is missing", import.path()),
        ),
        (false, _) => {
            let mut message = format!("{} is imported from outside of {directory}", import.path());
            if import.path().starts_with(k0s::RUN_DIR) {
                message.push_str("; k0s 1.27 to 1.35 copy what drop-ins with CRI settings import into a file there, from which relative paths start");
            }
            Finding::new(Code::ImportOutside, message)
        }
    };
    Some(finding.at("imports", span))
}

/// A drop-in with CRI settings that says `version = 1` took them all out of
/// effect with containerd 1.7.
fn states_version_1(file: &Document) -> Option<Finding> {
    let states = file.version() == Some(1) && read::has_cri(file);
    states.then(|| {
        let message = "it states version 1, by which k0s 1.27 to 1.35 made containerd ignore the CRI settings of all drop-ins";
        let span = file.span_of(&["version"]).map(|(key, _)| key);
        Finding::new(Code::DropInVersion, message).at("version", span)
    })
}
