//! Existing drop-ins, carried over to a release that wants another config
//! version: file by file, with the precedence that they had.

use std::collections::{BTreeSet, VecDeque};

use super::changes::{self, Before};
use super::drop_in::{self, Existing, Style};
use super::origin;
use super::plan::{Draft, Plan, judge};
use super::read::{self, Rules};
use super::split::{self, Concern};
use super::steps::{self, Main};
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict, Why};
use super::{Options, Target, checks};
use crate::Document;
use crate::containerd::Import;
use crate::diagnostic::{Code, Finding, Severity};
use crate::k0s::{self, Regime};
use crate::value::Value;

/// The drop-ins of a node, and the main file beside them.
#[derive(Clone, Copy, Debug)]
pub struct ExistingDropIns<'a> {
    /// The directory that holds them, `/etc/k0s/containerd.d` on a node. The
    /// names of the drop-ins begin with it.
    pub directory: &'a str,
    /// The drop-ins, and what they import from folders of the directory.
    pub drop_ins: &'a [Document],
    /// `containerd.toml`, if there is one.
    pub main: Option<&'a Document>,
}

/// Plans how existing drop-ins of k0s 1.27.5 and later are carried to 1.36 and
/// later.
///
/// Names, comments and the division into files stay. Where several drop-ins
/// set the same key, the one that prevailed keeps it: up to k0s 1.35 a drop-in
/// with CRI settings prevails over one without, and a later name over an
/// earlier one. A file that k0s accepts as it is stays as it is, to the byte.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::migrate::{ExistingDropIns, Options, Target, plan_drop_ins};
///
/// let nvidia = r#"
/// version = 2
/// [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
///   runtime_type = "io.containerd.runc.v2"
/// "#;
/// let directory = "/etc/k0s/containerd.d";
/// let drop_ins = [Document::parse(format!("{directory}/nvidia.toml"), nvidia.as_bytes())?];
/// let existing = ExistingDropIns { directory, drop_ins: &drop_ins, main: None };
/// let plan = plan_drop_ins(&existing, &Target::find("v1.36.3+k0s.2")?, &Options::default());
///
/// assert!(plan.is_sound());
/// assert_eq!(plan.drop_ins[0].name, "nvidia.toml");
/// assert!(plan.drop_ins[0].text().ends_with(r#"
/// version = 3
///
/// [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
/// runtime_type = "io.containerd.runc.v2"
/// "#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_drop_ins(existing: &ExistingDropIns<'_>, target: &Target, options: &Options) -> Plan {
    let mut findings = target.findings();
    let set = Set::of(existing, &mut findings);
    let files = Files(&set.order);
    let mut input = read::read(files.0, set.rules, true, target.containerd());
    findings.append(&mut input.findings);
    let tree = &mut input.tree;
    tree.write_as(target.release.config_version());
    let origin = origin::of(tree, options.origin);
    let mut parts = Vec::new();
    let mut emptied = Vec::new();
    let mut changes = Vec::new();
    if target.release.regime == Regime::ImportsV3 {
        findings.extend(judge(tree, files, &origin, target, options));
        parts = set.split(tree, target);
        emptied = set.emptied(&parts);
        findings.extend(emptied.iter().map(|(name, document)| {
            let message = format!("nothing is left of {name}");
            let mut finding = Finding::new(Code::DropInEmpty, message);
            finding.span = Some(document.span(0..0));
            finding
        }));
        findings.extend(checks::nested(tree, files, &parts));
        let before = Before {
            ignored: false,
            merged: true,
            injected: true,
        };
        changes = changes::find(tree, target, &origin, before);
    } else {
        let why = format!(
            "existing drop-ins are carried to k0s 1.36 and later; k0s {} reads those of version 2 as they are",
            target.release
        );
        if target.release.regime != Regime::Monolith {
            findings.push(Finding::new(Code::TargetUnsupported, why.clone()));
        }
        for id in tree.leaves(ROOT) {
            tree.judge(id, Verdict::Drop(Dropped::NotExpressible, why.clone()));
        }
    }
    let beside = beside(existing, target);
    let main = match beside.as_ref().map(|finding| finding.code) {
        Some(Code::DropInsIgnored) => Main::Yours,
        Some(_) => Main::Trap,
        None => Main::Fine,
    };
    findings.extend(beside);
    let documents: Vec<Existing<'_>> = set
        .names
        .iter()
        .zip(&set.order)
        .map(|(name, document)| Existing {
            name: name.clone(),
            document,
        })
        .collect();
    let style = Style {
        origin: k0s::DROP_IN_DIR,
        pasted: false,
        existing: &documents,
    };
    let drop_ins = drop_in::write(&input.tree, files, &parts, &style);
    let names: Vec<String> = emptied.into_iter().map(|(name, _)| name).collect();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    let unchanged = names.is_empty()
        && drop_ins.len() == documents.len()
        && documents.iter().all(|document| {
            drop_ins.iter().any(|drop_in| {
                drop_in.name == document.name && drop_in.text() == document.document.text()
            })
        });
    if unchanged {
        // Said when the drop-in was made.
        findings.retain(|finding| finding.code != Code::SandboxImageCustom);
    }
    let steps = match unchanged && main == Main::Fine && !failed {
        true => vec!["Nothing: the drop-ins are as the target wants them.".to_owned()],
        false => steps::for_drop_ins(target, main, failed, &drop_ins, &names),
    };
    Draft {
        target,
        file: existing.directory.to_owned(),
        k0s_managed: false,
        origin,
        files,
        input,
        parts,
        drop_ins,
        changes,
        findings,
        steps,
    }
    .finish(options)
}

/// What the main file beside the drop-ins means for them.
fn beside(existing: &ExistingDropIns<'_>, target: &Target) -> Option<Finding> {
    let main = existing.main?;
    if let Some(trap) = checks::marker_trap(main, target) {
        return Some(trap);
    }
    if main.marker().is_managed_for(&target.release) {
        return None;
    }
    let message = format!(
        "{} has no marker of k0s, so k0s takes it for yours and has ignored these drop-ins: what they set takes effect for the first time once that file is gone",
        main.name()
    );
    let mut finding = Finding::new(Code::DropInsIgnored, message);
    finding.span = Some(main.span(0..0));
    Some(finding)
}

/// Drop-ins in the order in which they were loaded.
struct Set<'a> {
    order: Vec<&'a Document>,
    /// Their names below the directory.
    names: Vec<String>,
    rules: Rules,
}

impl<'a> Set<'a> {
    fn of(existing: &ExistingDropIns<'a>, findings: &mut Vec<Finding>) -> Self {
        let directory = existing.directory.trim_end_matches('/');
        let name = |document: &Document| {
            let below = document.name().strip_prefix(directory);
            let below = below.map(|name| name.trim_start_matches('/'));
            below.unwrap_or(document.name()).to_owned()
        };
        let mut all: Vec<(String, &Document)> = existing
            .drop_ins
            .iter()
            .map(|document| (name(document), document))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        let in_directory = |name: &str| !name.contains('/') && name.ends_with(".toml");
        let mut first: Vec<(String, &Document)> = all.clone();
        first.retain(|(name, _)| in_directory(name));
        let old = first
            .iter()
            .any(|(_, document)| read::version_of(document).is_some_and(|version| version <= 2));
        let rules = match old {
            true => Rules::K0sMerge,
            false => Rules::Containerd2,
        };
        if rules == Rules::K0sMerge {
            // k0s 1.27 – 1.35 have containerd load the merged CRI settings last.
            first.sort_by_key(|(_, document)| read::has_cri(document));
            findings.extend(first.iter().filter_map(|(_, file)| states_version_1(file)));
        }
        let mut set = Set {
            order: Vec::new(),
            names: Vec::new(),
            rules,
        };
        let mut queue = VecDeque::from(first);
        let mut loaded = BTreeSet::new();
        while let Some((name, document)) = queue.pop_front() {
            if !loaded.insert(name.clone()) {
                continue;
            }
            for import in Import::of(document) {
                let matching = all.iter().filter(|(_, file)| import.matches(file.name()));
                let matching: Vec<_> = matching.cloned().collect();
                if matching.is_empty() {
                    findings.extend(unresolved(document, &import, directory));
                }
                queue.extend(matching);
            }
            set.names.push(name);
            set.order.push(document);
        }
        for (name, document) in &all {
            if !loaded.contains(name) {
                let message = format!("{} is no drop-in, and none imports it", document.name());
                findings.push(Finding::new(Code::ImportUnused, message));
            }
        }
        set
    }

    /// What goes where: into the file where it was. Imports stay, but for
    /// those of files of which nothing is left.
    fn split(&self, tree: &mut Tree, target: &Target) -> Vec<(Concern, Id)> {
        let mut parts = split::split_by_file(tree, target.containerd(), &self.names);
        let imports: Vec<Id> = tree
            .leaves(ROOT)
            .into_iter()
            .filter(|id| tree.path(*id) == ["imports"])
            .collect();
        // What is imported last is settled first.
        for id in imports.into_iter().rev() {
            let left = self.imports_left(tree, id, &parts);
            if left.is_empty() {
                continue;
            }
            tree.change(id, Value::Array(left));
            let why = "the drop-in goes on to import it";
            tree.judge(id, Verdict::Keep(Why::Edit(why.to_owned())));
            let source = tree.node(id).sources.first();
            let name = source.and_then(|source| self.names.get(source.file));
            parts.push((Concern::File(name.cloned().unwrap_or_default()), id));
        }
        parts
    }

    /// The imports of a drop-in that lead anywhere.
    fn imports_left(&self, tree: &Tree, id: Id, parts: &[(Concern, Id)]) -> Vec<Value> {
        let source = tree.node(id).sources.first();
        let importer = source.and_then(|source| self.order.get(source.file));
        let Some(importer) = importer else {
            return Vec::new();
        };
        let entries = tree.value(id).and_then(Value::as_array).unwrap_or_default();
        let leads_on = |entry: &&Value| {
            let Some(entry) = entry.as_str() else {
                return false;
            };
            let import = Import::new(importer.name(), entry);
            let mut reached = self
                .names
                .iter()
                .zip(&self.order)
                .filter(|(_, file)| import.matches(file.name()))
                .peekable();
            reached.peek().is_none()
                || reached.any(|(name, _)| {
                    parts
                        .iter()
                        .any(|(concern, _)| concern.file_name() == *name)
                })
        };
        entries.iter().filter(leads_on).cloned().collect()
    }

    /// Files of which nothing is left.
    fn emptied(&self, parts: &[(Concern, Id)]) -> Vec<(String, &'a Document)> {
        let written: BTreeSet<String> = parts
            .iter()
            .flat_map(|(concern, _)| {
                let importer = concern.importer();
                std::iter::once(concern.file_name()).chain(importer)
            })
            .collect();
        let files = self.names.iter().cloned().zip(self.order.iter().copied());
        files.filter(|(name, _)| !written.contains(name)).collect()
    }
}

/// An import that no file which was handed in answers to.
fn unresolved(file: &Document, import: &Import, directory: &str) -> Option<Finding> {
    let span = file.span_of(&["imports"]).map(|(key, _)| key);
    let inside = import.path().starts_with(&format!("{directory}/"));
    let finding = match (inside, import.is_pattern()) {
        (true, true) => return None,
        (true, false) => Finding::new(
            Code::ImportMissing,
            format!("the imported file {} is missing", import.path()),
        ),
        (false, _) => Finding::new(
            Code::ImportOutside,
            format!("{} is imported from outside of {directory}", import.path()),
        ),
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
