//! Which drop-ins of a set count, in which order, and into which files they go.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::ExistingDropIns;
use crate::Document;
use crate::config::known::IMPORTS;
use crate::containerd::Import;
use crate::containerd::import::{Paths, load_order};
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, DropInName, FileName, NameError, NameFault, Regime};
use crate::migrate::Target;
use crate::migrate::read::{self, Rules};
use crate::migrate::split::{self, Concern};
use crate::migrate::tree::{Id, ROOT, Tree, Verdict, Why};
use crate::shown;
use crate::value::Value;

/// Drop-ins in the order in which they were loaded.
pub(super) struct Set<'a> {
    pub(super) order: Vec<&'a Document>,
    /// Their names below the directory.
    pub(super) names: Vec<FileName>,
    /// What their relative imports start from.
    importers: Vec<String>,
    pub(super) rules: Rules,
    /// Which of them k0s merges.
    pub(super) merged: Vec<bool>,
    /// Files from elsewhere that they import, in the order in which they are
    /// loaded: after the drop-ins.
    pub(super) outside: Vec<(FileName, &'a Document)>,
    /// The file whose version decides how containerd 1.x reads all of them.
    decides: Option<&'a Document>,
}

impl<'a> ExistingDropIns<'a> {
    /// The drop-ins that were read from a directory, which is
    /// `/etc/k0s/containerd.d` on a node and may be a copy elsewhere. A document's
    /// name is the drop-in's own, or begins with the directory.
    ///
    /// # Errors
    /// If k0s reads no file of such a name as a drop-in, or one is there twice.
    pub fn new(
        directory: &'a str,
        drop_ins: impl IntoIterator<Item = &'a Document>,
    ) -> Result<Self, NameError> {
        let mut existing = ExistingDropIns {
            directory,
            files: BTreeMap::new(),
            main: None,
        };
        for document in drop_ins {
            let name: DropInName = existing.name_of(document)?.try_into()?;
            existing.insert(name.into(), document)?;
        }
        Ok(existing)
    }

    /// The same with what drop-ins import. A file from a folder of the directory
    /// is carried over as they are; one from elsewhere on the node, by its path
    /// there, is another tool's: it is read and not rewritten.
    /// [`imports`](ExistingDropIns::imports) tells what to hand in.
    ///
    /// # Errors
    /// If no file has such a name, or one is there twice.
    pub fn importing(
        mut self,
        files: impl IntoIterator<Item = &'a Document>,
    ) -> Result<Self, NameError> {
        for document in files {
            let name = self.name_of(document)?;
            self.insert(name, document)?;
        }
        Ok(self)
    }

    /// The same with the `containerd.toml` that is beside the directory.
    #[must_use]
    pub fn with_main(mut self, main: impl Into<Option<&'a Document>>) -> Self {
        self.main = main.into();
        self
    }

    /// What a document goes by.
    fn name_of(&self, document: &Document) -> Result<FileName, NameError> {
        let directory = self.directory.trim_end_matches('/');
        let below = document.name().strip_prefix(directory);
        let below = below.and_then(|name| name.strip_prefix('/'));
        let below = below.filter(|_| !directory.is_empty());
        below.unwrap_or(document.name()).parse()
    }

    fn insert(&mut self, name: FileName, document: &'a Document) -> Result<(), NameError> {
        match self.files.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(document);
                Ok(())
            }
            Entry::Occupied(_) => Err(NameError::new(document.name(), NameFault::Twice)),
        }
    }

    /// Every import of the files that are handed in which counts, as containerd
    /// follows it on the node: relative paths start from
    /// `/etc/k0s/containerd.d`, or from `/run/k0s` for what k0s 1.27 – 1.35
    /// merge. Who reads files hands in what these lead to in turn, until nothing
    /// is new.
    ///
    /// ```
    /// use containerd_dropins::Document;
    /// use containerd_dropins::migrate::ExistingDropIns;
    ///
    /// let text = "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n";
    /// let directory = "/etc/k0s/containerd.d";
    /// let drop_ins = [Document::parse(format!("{directory}/nvidia.toml"), text.as_bytes())?];
    /// let existing = ExistingDropIns::new(directory, &drop_ins)?;
    /// assert_eq!(existing.imports()[0].path(), "/etc/containerd/conf.d/*.toml");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        let mut seen = BTreeSet::new();
        Given::of(self, None).load_order(|_, import, _| {
            if seen.insert(import.path().to_owned()) {
                imports.push(import.clone());
            }
        });
        imports
    }
}

/// The files that are handed in, by name, and what k0s makes of them.
struct Given<'a> {
    files: Vec<(FileName, &'a Document)>,
    /// What is loaded first, in this order.
    first: Vec<usize>,
    /// Which of it k0s merges.
    merged: BTreeSet<usize>,
    /// Of what is merged, the last list of imports replaces the others.
    imports_last: Option<usize>,
    rules: Rules,
}

impl<'a> Given<'a> {
    /// By the rules of the k0s that is asked about, or of the one that takes the
    /// version that the files state.
    fn of(existing: &ExistingDropIns<'a>, known: Option<Rules>) -> Self {
        // The merged CRI settings are k0s's own, whoever imports them again.
        let generated = known.map(|_| k0s::cri_path());
        let files = existing.files.iter();
        let files = files.filter(|(name, _)| Some(name.as_str()) != generated.as_deref());
        let files: Vec<(FileName, &Document)> = files
            .map(|(name, document)| (name.clone(), *document))
            .collect();
        let mut given = Given {
            first: Vec::new(),
            merged: BTreeSet::new(),
            imports_last: None,
            rules: Rules::Containerd2,
            files,
        };
        let mut first: Vec<usize> = (0..given.files.len())
            .filter(|at| given.name(*at).is_some_and(FileName::is_drop_in))
            .collect();
        given.rules = known.unwrap_or_else(|| rules(first.iter().filter_map(|at| given.file(*at))));
        let has_cri = |at: &usize| given.file(*at).is_some_and(read::has_cri);
        let is_merged = |at: &usize| given.rules == Rules::K0sMerge && has_cri(at);
        let merged: BTreeSet<usize> = first.iter().copied().filter(is_merged).collect();
        // k0s 1.27 – 1.35 have containerd load the merged CRI settings last.
        first.sort_by_key(|at| merged.contains(at));
        let has_imports = |at: &&usize| {
            let file = given.file(**at);
            file.is_some_and(|file| file.span_of(&["imports"]).is_some())
        };
        given.imports_last = merged.iter().rev().find(has_imports).copied();
        given.first = first;
        given.merged = merged;
        given
    }

    fn file(&self, at: usize) -> Option<&'a Document> {
        self.files.get(at).map(|(_, document)| *document)
    }

    fn name(&self, at: usize) -> Option<&FileName> {
        self.files.get(at).map(|(name, _)| name)
    }

    fn path(&self, at: usize) -> String {
        self.name(at).map(FileName::path).unwrap_or_default()
    }

    /// Whether a file is one of the directory, or of a folder in it.
    fn is_inside(&self, at: usize) -> bool {
        self.name(at).is_some_and(FileName::is_below)
    }

    /// What the relative imports of a file start from.
    fn importer(&self, at: usize) -> String {
        match self.merged.contains(&at) {
            true => k0s::cri_path(),
            false => self.path(at),
        }
    }

    fn imports(&self, at: usize) -> Vec<Import> {
        let counts = !self.merged.contains(&at) || self.imports_last == Some(at);
        let entries = self.file(at).filter(|_| counts).map(Document::imports);
        let importer = self.importer(at);
        let import = |entry: &String| Import::new(&importer, entry);
        entries.iter().flatten().map(import).collect()
    }

    /// The files in the order in which they are loaded; `met` is told of every
    /// import that counts.
    fn load_order(&self, met: impl FnMut(usize, &Import, &[usize])) -> Vec<usize> {
        let paths: Vec<String> = (0..self.files.len()).map(|at| self.path(at)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let first = self.first.iter().copied();
        load_order(&paths, first, |at| self.imports(at), met)
    }

    /// The file whose version decides how containerd 1.x reads all of them: the
    /// last that states one, k0s's own 2 aside.
    fn decides_version(&self, order: &[usize]) -> Option<&'a Document> {
        let states = |at: &usize| self.file(*at).filter(|file| file.version().is_some());
        let further = order.get(self.first.len()..).unwrap_or_default();
        let last = further.iter().rev().find_map(states);
        // Beside k0s's own, the merge takes `VERSION` for another key.
        let in_merge = |at: &usize| states(at).filter(|file| file.root().contains_key("version"));
        last.or_else(|| self.merged.iter().rev().find_map(in_merge))
    }
}

impl<'a> Set<'a> {
    pub(super) fn of(
        existing: &ExistingDropIns<'a>,
        target: &Target,
        findings: &mut Vec<Finding>,
    ) -> Self {
        // A target before 1.36 has them as they are.
        let known = match target.release.regime {
            Regime::CriAppend | Regime::CriMerge => Some(Rules::K0sMerge),
            Regime::Monolith | Regime::ImportsV3 => None,
        };
        let given = Given::of(existing, known);
        let mut said = BTreeSet::new();
        let order = given.load_order(|at, import, reached| {
            let Some(file) = given.file(at) else {
                return;
            };
            let generated = known.is_some() && import.path() == k0s::cri_path();
            if reached.is_empty() && !generated {
                findings.extend(unresolved(file, import));
            }
            for other in reached.iter().filter(|other| !given.is_inside(**other)) {
                let document = given.file(*other).filter(|_| said.insert(*other));
                findings.extend(document.map(|document| from_outside(file, document, target)));
            }
        });
        let loaded: BTreeSet<usize> = order.iter().copied().collect();
        let unused = (0..given.files.len()).filter(|at| !loaded.contains(at));
        findings.extend(unused.filter_map(|at| given.file(at)).map(|document| {
            let message = format!(
                "{} is neither a drop-in nor imported by one; it is not carried over",
                shown::printable(document.name())
            );
            Finding::new(Code::ImportUnused, message)
        }));
        let decides = given.decides_version(&order);
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|at| given.is_inside(*at));
        let inside_of = || inside.iter().copied();
        Set {
            importers: inside_of().map(|at| given.importer(at)).collect(),
            names: inside_of()
                .filter_map(|at| given.name(at).cloned())
                .collect(),
            merged: inside_of().map(|at| given.merged.contains(&at)).collect(),
            order: inside_of().filter_map(|at| given.file(at)).collect(),
            outside: outside
                .into_iter()
                .filter_map(|at| given.files.get(at).cloned())
                .collect(),
            rules: given.rules,
            decides,
        }
    }

    /// Every file that is loaded, by name and text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&FileName, &str)> {
        let inside = self.names.iter().zip(&self.order);
        let inside = inside.map(|(name, file)| (name, file.text()));
        inside.chain(self.outside.iter().map(|(name, file)| (name, file.text())))
    }

    /// Why a target before 1.36 does not read the drop-ins as they are, if it
    /// does not: its own are of version 2.
    pub(super) fn obstacle(&self, target: &Target) -> Option<(String, Option<Finding>)> {
        let release = &target.release;
        let is_later =
            |file: &&&Document| read::version_of(file).is_some_and(|version| version >= 3);
        if release.regime == Regime::Monolith {
            // The target has its finding.
            return Some((format!("k0s {release} reads no drop-ins"), None));
        }
        let file = self.order.iter().find(is_later)?;
        let why = format!(
            "{} is of config version 3, and k0s {release} wants version 2",
            shown::printable(file.name())
        );
        let finding = Finding::new(Code::NoWayBack, why.clone()).about(file);
        Some((why, Some(finding)))
    }

    /// The file by which containerd 1.x reads all CRI settings as of version 1,
    /// and so ignores them.
    pub(super) fn version_1(&self) -> Option<&'a Document> {
        self.decides
            .filter(|file| self.rules == Rules::K0sMerge && file.version() == Some(1))
    }

    /// What goes where: into the file where it was. Imports stay, but for
    /// those of files of which nothing is left.
    pub(super) fn split(&self, tree: &mut Tree, target: &Target) -> Vec<(Concern, Id)> {
        let mut parts = split::split_by_file(tree, target.containerd(), &self.names);
        let imports: Vec<Id> = tree
            .leaves(ROOT)
            .into_iter()
            .filter(|id| tree.is(*id, IMPORTS))
            .collect();
        let mut written: BTreeSet<FileName> = parts.iter().map(|(c, _)| c.file_name()).collect();
        let paths: Vec<String> = self.names.iter().map(FileName::path).collect();
        let paths = Paths::of(paths.iter().map(String::as_str));
        // What is imported last is settled first.
        for id in imports.into_iter().rev() {
            let Some(file) = tree.node(id).sources.first().map(|source| source.file) else {
                continue;
            };
            let (Some(name), Some(importer)) = (self.names.get(file), self.importers.get(file))
            else {
                continue;
            };
            let left = self.imports_left(tree, id, [importer, &name.path()], &paths, &written);
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
        paths: &Paths,
        written: &BTreeSet<FileName>,
    ) -> Vec<Value> {
        let entries = tree.value(id).and_then(Value::as_array).unwrap_or_default();
        let left = entries.iter().filter_map(|entry| {
            let text = entry.as_str()?;
            let import = Import::new(before, text);
            let reached = paths.reached(&import);
            let mut reached = reached.filter_map(|at| self.names.get(at)).peekable();
            let leads_on = reached.peek().is_none() || reached.any(|name| written.contains(name));
            let moves = import != Import::new(now, text);
            leads_on.then(|| match moves {
                true => Value::String(import.path().to_owned()),
                false => entry.clone(),
            })
        });
        left.collect()
    }

    /// The files in which something stands that cannot be written.
    pub(super) fn names_of_lost(&self, tree: &Tree) -> BTreeSet<&FileName> {
        let lost = tree.all().filter(|(id, _)| tree.is_out(*id));
        let sources = lost.flat_map(|(_, node)| &node.sources);
        let files: BTreeSet<usize> = sources.map(|source| source.file).collect();
        let names = files.iter().filter_map(|file| self.names.get(*file));
        names.collect()
    }

    /// Files of which nothing is left. One that says nothing to begin with, in
    /// a way that the target takes, may stay.
    pub(super) fn emptied(&self, parts: &[(Concern, Id)]) -> Vec<(FileName, &'a Document)> {
        let written: BTreeSet<FileName> = parts
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
    let (code, mut message) = match (inside, import.is_pattern()) {
        (true, true) => return None,
        (false, true) => (
            Code::ImportEmpty,
            format!("no file matches the import {}", shown::text(import.path())),
        ),
        (_, false) => (
            Code::ImportMissing,
            format!(
                "the imported file {} is missing",
                shown::text(import.path())
            ),
        ),
    };
    if import.path().starts_with(k0s::RUN_DIR) {
        message.push_str("; k0s 1.27 to 1.35 copy what drop-ins with CRI settings import into a file there, from which relative paths start");
    }
    Some(Finding::new(code, message).at("imports", span))
}

/// A file from elsewhere that is read, and stays as it is.
fn from_outside(importer: &Document, document: &Document, target: &Target) -> Finding {
    let span = importer.span_of(&["imports"]).map(|(key, _)| key);
    let mut message = format!(
        "{} is imported from outside of {}",
        shown::printable(document.name()),
        k0s::DROP_IN_DIR
    );
    let containerd = target.containerd();
    let old = read::version_of(document).filter(|version| *version < 3 && containerd.is_2());
    if let Some(version) = old {
        message.push_str(&format!(
            "; it is of config version {version}, from which containerd {containerd} migrates it at every start"
        ));
    }
    Finding::new(Code::ImportOutside, message).at("imports", span)
}
