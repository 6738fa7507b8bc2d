//! Existing drop-ins, carried over to a release that wants another config
//! version: file by file, with the precedence that they had.

use std::collections::{BTreeSet, VecDeque};

use super::changes::{self, Before};
use super::drop_in::{self, DropIn, Existing, Style};
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
    let mut input = read::read(files.0, set.rules, &set.names, target.containerd());
    findings.append(&mut input.findings);
    let tree = &mut input.tree;
    tree.write_as(target.release.config_version());
    let origin = origin::of(tree, options.origin);
    let mut parts = Vec::new();
    let mut emptied = Vec::new();
    let mut changes = Vec::new();
    let mut untouched = false;
    if target.release.regime == Regime::ImportsV3 {
        findings.extend(judge(tree, files, &origin, target, options));
        parts = set.split(tree, target);
        emptied = set.emptied(&parts);
        findings.extend(emptied.iter().map(|(name, document)| {
            let message = format!("{name} is not needed any more");
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
        untouched = set.leave(tree, target, &mut findings);
        if untouched {
            parts = split::split_by_file(tree, target.containerd(), &set.names);
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
    let drop_ins = match untouched {
        true => Vec::new(),
        false => drop_in::write(&input.tree, files, &parts, &style),
    };
    let names: Vec<String> = emptied.into_iter().map(|(name, _)| name).collect();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    let as_it_was = |drop_in: &DropIn| {
        documents.iter().any(|existing| {
            existing.name == drop_in.name && existing.document.text() == drop_in.text()
        })
    };
    let unchanged = names.is_empty() && drop_ins.iter().all(as_it_was);
    if unchanged {
        // Said when the drop-in was made.
        findings.retain(|finding| finding.code != Code::SandboxImageCustom);
    }
    let steps = match (unchanged || untouched) && main == Main::Fine && !failed {
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
        removed: names,
        untouched,
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
    fn of(existing: &ExistingDropIns<'a>, findings: &mut Vec<Finding>) -> Self {
        let mut all: Vec<(String, &Document)> = existing
            .drop_ins
            .iter()
            .map(|document| (existing.name_of(document), document))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut first: Vec<(String, &Document)> = all.clone();
        first.retain(|(name, _)| k0s::is_drop_in(name));
        let rules = rules(first.iter().map(|(_, document)| *document));
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
            for import in imports(&name, document) {
                let matching = all
                    .iter()
                    .filter(|(name, _)| import.matches(&on_node(name)));
                let matching: Vec<_> = matching.cloned().collect();
                if matching.is_empty() {
                    findings.extend(unresolved(document, &import));
                }
                queue.extend(matching);
            }
            set.names.push(name);
            set.order.push(document);
        }
        for (name, document) in &all {
            if !loaded.contains(name) {
                let message = format!(
                    "{} is neither a drop-in nor imported by one; it is not carried over",
                    document.name()
                );
                findings.push(Finding::new(Code::ImportUnused, message));
            }
        }
        set
    }

    /// For a target before 1.36: its drop-ins are of version 2, and may stay as
    /// they are. Gives whether they do.
    fn leave(&self, tree: &mut Tree, target: &Target, findings: &mut Vec<Finding>) -> bool {
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
    fn split(&self, tree: &mut Tree, target: &Target) -> Vec<(Concern, Id)> {
        let mut parts = split::split_by_file(tree, target.containerd(), &self.names);
        let imports: Vec<Id> = tree
            .leaves(ROOT)
            .into_iter()
            .filter(|id| tree.path(*id) == ["imports"])
            .collect();
        let mut written: BTreeSet<String> = parts.iter().map(|(c, _)| c.file_name()).collect();
        // What is imported last is settled first.
        for id in imports.into_iter().rev() {
            let source = tree.node(id).sources.first();
            let Some(name) = source.and_then(|source| self.names.get(source.file)) else {
                continue;
            };
            let left = self.imports_left(tree, id, name, &written);
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

    /// The imports of a drop-in that lead anywhere.
    fn imports_left(
        &self,
        tree: &Tree,
        id: Id,
        importer: &str,
        written: &BTreeSet<String>,
    ) -> Vec<Value> {
        let entries = tree.value(id).and_then(Value::as_array).unwrap_or_default();
        let leads_on = |entry: &&Value| {
            let Some(entry) = entry.as_str() else {
                return false;
            };
            let import = Import::new(&on_node(importer), entry);
            let mut reached = self
                .names
                .iter()
                .filter(|name| import.matches(&on_node(name)))
                .peekable();
            reached.peek().is_none() || reached.any(|name| written.contains(name))
        };
        entries.iter().filter(leads_on).cloned().collect()
    }

    /// Files of which nothing is left. One that says nothing to begin with, in
    /// a way that the target takes, may stay.
    fn emptied(&self, parts: &[(Concern, Id)]) -> Vec<(String, &'a Document)> {
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

/// The path of a drop-in on a node.
fn on_node(name: &str) -> String {
    format!("{}/{name}", k0s::DROP_IN_DIR)
}

/// What a drop-in imports, by the paths on a node.
fn imports(name: &str, document: &Document) -> Vec<Import> {
    let entries = document.imports();
    let import = |entry: &String| Import::new(&on_node(name), entry);
    entries.iter().map(import).collect()
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
