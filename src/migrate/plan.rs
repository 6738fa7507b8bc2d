//! The plan: drop-ins, ledger and findings, as plain data.

use serde::Serialize;

use super::changes::{Change, Changes};
use super::companions::{self, Companion, Pulls};
use super::drop_in::Style;
use super::drop_in::{self, DropIn};
use super::hosts::{self, HostsFile, Moved};
use super::ledger::{self, LedgerEntry};
use super::origin::{self, Origin};
use super::outside::{self, Outside};
use super::read::{self, Input, Rules};
use super::running::{self, Running};
use super::sandbox::SandboxImages;
use super::split::Concern;
use super::steps::{self, Outcome, Situation, Step, Written};
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict};
use super::{
    Options, Target, behaviour, checks, dormant, edits, imports, refusals, servers, snapshotters,
    split, successors, unknown, windows,
};
use crate::config::known;
use crate::containerd::load::Effective;
use crate::diagnostic::{self, Code, Finding, Severity};
use crate::k0s::{self, DropInSet, FileName, NameError, Regime};
use crate::verify::{self, Wanted};
use crate::{Document, Size};

/// The version of the plan's JSON form. It grows when a field goes or changes
/// its meaning, not when one is added.
const SCHEMA: u32 = 1;

/// What a migration would do, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct Plan {
    /// The version of this structure's JSON form.
    pub schema: u32,
    /// What the plan is for.
    pub target: Target,
    /// The legacy file, or the directory of existing drop-ins.
    pub file: String,
    /// The config version by which it is read.
    pub config_version: i64,
    /// Whether the target takes the file for its own. Nothing is to be done
    /// then.
    pub k0s_managed: bool,
    /// Where its text came from.
    pub origin: Origin,
    /// The files to put into `/etc/k0s/containerd.d`. One with a folder in its
    /// name is imported by another.
    pub drop_ins: Vec<DropIn>,
    /// The `hosts.toml` files to put where the drop-ins' `config_path` says.
    pub hosts_files: Vec<HostsFile>,
    /// Existing drop-ins of which nothing is left, by name: to be removed, as
    /// k0s 1.36 and later exit at start on one of version 2.
    pub removed: Vec<FileName>,
    /// What becomes of every key of the input, in its order.
    pub ledger: Vec<LedgerEntry>,
    /// Keys of drop-ins that no key of the input stands for, as one of the input
    /// would not do without them what it did.
    pub companions: Vec<Companion>,
    /// The k0s release that the node is taken to run now, see
    /// [`Options::running`].
    pub running: k0s::Release,
    /// What else changes on the node with the migration: what is in effect now
    /// compared with what will be. A setting that only has another form is no
    /// change.
    pub changes: Vec<Change>,
    /// What changes with the release, whatever the input says: other defaults of
    /// its containerd, another image that its k0s injects.
    pub release_changes: Vec<Change>,
    /// The sandbox image before and after.
    pub sandbox: SandboxImages,
    /// What there is to say, the gravest first; of the same severity what is about
    /// no place comes first, the rest in the order of the files.
    pub findings: Vec<Finding>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Whether the effective configuration with the drop-ins was computed from
    /// their text and is what it should be.
    pub verified: bool,
}

impl Plan {
    /// The gravest severity among the findings.
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Whether the drop-ins keep all that is the user's, and are proven to.
    pub fn is_sound(&self) -> bool {
        self.verified && self.severity() < Some(Severity::Error)
    }

    /// The same plan, whose ledger, changes, added keys and texts of files show
    /// all that is in them from now on, in every form: as text, as JSON, in
    /// `Debug`. Findings go on to show what is known to be harmless; each says
    /// where it stands.
    ///
    /// ```
    /// use containerd_dropins::Document;
    /// use containerd_dropins::migrate::{Options, Target, plan};
    ///
    /// let text = "version = 2\n[stream_processors.s]\nargs = ['hunter2']\n";
    /// let document = Document::parse("/etc/k0s/containerd.toml", text.as_bytes())?;
    /// let plan = plan(&document, &[], &Target::find("v1.30.4+k0s.0")?, &Options::default());
    /// assert!(!plan.to_string().contains("hunter2"));
    /// assert!(plan.exposed().to_string().contains("hunter2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exposed(mut self) -> Plan {
        self.ledger.iter_mut().for_each(LedgerEntry::reveal);
        self.companions.iter_mut().for_each(Companion::reveal);
        let changes = self.changes.iter_mut().chain(&mut self.release_changes);
        changes.for_each(Change::reveal);
        self.drop_ins.iter_mut().for_each(DropIn::reveal);
        self.hosts_files.iter_mut().for_each(HostsFile::reveal);
        self
    }

    /// The drop-ins and what they import, as [`assemble`](k0s::assemble()) takes
    /// them.
    ///
    /// # Errors
    /// If somebody changed the list so that a file is there twice.
    pub fn drop_in_set(&self) -> Result<DropInSet<'_>, NameError> {
        let files = self.drop_ins.iter();
        DropInSet::default().importing(files.map(|file| (&file.name, file.text())))
    }

    /// The keys of the input that go into drop-ins, converted ones included.
    pub fn kept(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.ledger
            .iter()
            .filter(|entry| entry.fate.drop_in().is_some())
    }
}

/// Plans the migration of a legacy file and of the files that it imports,
/// which the caller hands in by the paths under which they are imported.
///
/// ```
/// use containerd_dropins::Document;
/// use containerd_dropins::migrate::{Options, Target, plan};
///
/// let legacy = r#"
/// version = 2
/// root = "/var/lib/k0s/containerd"
/// [plugins."io.containerd.grpc.v1.cri"]
///   max_concurrent_downloads = 10
/// "#;
/// let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes())?;
/// let plan = plan(&document, &[], &Target::find("v1.30.4+k0s.0")?, &Options::default());
///
/// assert!(plan.is_sound());
/// assert_eq!(plan.drop_ins.len(), 1);
/// assert_eq!(plan.drop_ins[0].name, "20-cri.toml");
/// assert!(plan.drop_ins[0].text().ends_with("
/// [plugins.\"io.containerd.grpc.v1.cri\"]
/// max_concurrent_downloads = 10
/// "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(legacy: &Document, imported: &[Document], target: &Target, options: &Options) -> Plan {
    let all = std::iter::once(legacy).chain(imported);
    if let Some(refused) = too_large(all, legacy.name(), target, options) {
        return refused;
    }
    let managed = legacy.marker().is_managed_for(&target.release);
    let trapped = checks::marker_trap(legacy, target);
    // What an earlier k0s wrote leads to drop-ins, which are not part of it.
    let generated = trapped.is_some() && legacy.holds_only(&K0S_KEYS);
    let (order, mut findings, missing) = match managed && imported.is_empty() || generated {
        true => (vec![legacy], Vec::new(), Vec::new()),
        false => imports::in_load_order(legacy, imported),
    };
    if managed {
        findings.retain(|finding| {
            let expected = [Code::ImportEmpty, Code::ImportsDropIns];
            !expected.contains(&finding.code)
        });
    }
    let files = Files(&order);
    let rules = match (managed, target.release.regime) {
        (true, Regime::CriAppend | Regime::CriMerge) => Rules::K0sMerge,
        (true, Regime::ImportsV3) => Rules::Containerd2,
        _ => Rules::of(files.0),
    };
    let mut input = read::read(files.0, rules, &[], target.containerd());
    findings.extend(target.findings());
    findings.append(&mut input.findings);
    findings.extend(checks::byte_order_mark(legacy));
    findings.extend(checks::first_line(legacy, target));
    let tree = &mut input.tree;
    tree.write_as(target.dialect());
    let origin = origin::of(tree, options.origin);
    if !managed {
        let version = input.version;
        findings.extend(imports::missing(missing, legacy, &origin, version));
    }
    let windows = windows::find(tree, files).filter(|_| !managed && !generated);
    if !managed && !generated && windows.is_none() {
        findings.extend(foreign(&order, tree, target));
    }
    findings.extend(trapped);
    if !managed {
        findings.extend(unknown::not_understood(tree, files));
    }
    let writable = target.release.regime != Regime::Monolith;
    let mut parts = Vec::new();
    let running = Running::with_files(files.0, target, options);
    let mut changes = Changes::default();
    let mut moved = None;
    if managed && imported.is_empty() {
        findings.push(leave_to_k0s(tree, files));
    } else if generated {
        drop_all(tree, Dropped::Owned, "k0s wrote it, and writes it anew");
    } else if let Some(windows) = windows {
        findings.push(windows);
        drop_all(tree, Dropped::NotExpressible, windows::WHY);
    } else if !writable {
        let why = format!(
            "k0s {} reads no drop-ins that could hold it",
            target.release
        );
        drop_all(tree, Dropped::NotExpressible, &why);
    } else {
        moved = judge(tree, files, &origin, target, options, &mut findings);
        let pulls = Pulls {
            target,
            running: &running,
            origin: &origin,
            options,
        };
        let expected = complete(tree, files, &[], &pulls, &mut findings);
        parts = split::split(tree, target.containerd());
        if !managed {
            if let Some(expected) = &expected {
                changes = Changes::between(&running, expected, tree, target);
            }
            let sets_one = tree.find(&known::SANDBOX_IMAGE).is_some();
            let cause = checks::sandbox_cause(&changes, &running, sets_one, target);
            findings.extend(cause);
            findings.extend(checks::runc_appears(&changes, target));
            findings.extend(checks::nested(tree, files, &parts));
            findings.extend(checks::removals(tree, files, &parts, target));
            findings.extend(snapshotters::needs(tree, files, &parts, target));
        }
    }
    let sandbox = SandboxImages::of(tree, target, &running);
    if managed {
        // Said when the drop-in was made.
        findings.retain(|finding| finding.code != Code::SandboxImageCustom);
    }
    let style = Style {
        origin: k0s::CONFIG_FILE,
        pasted: target.release.regime == Regime::CriAppend,
        existing: &[],
    };
    let drop_ins = drop_in::write(&input.tree, files, &parts, &style);
    let old = order.iter().filter_map(|file| k0s::drop_in_at(file.name()));
    let situation = Situation::Legacy {
        is_managed: managed,
        is_trapped: generated,
        old: old.collect(),
    };
    Draft {
        target,
        file: legacy.name().to_owned(),
        k0s_managed: managed,
        origin,
        files,
        input,
        parts,
        drop_ins,
        moved,
        settings_of: style.origin,
        removed: Vec::new(),
        untouched: false,
        effective: None,
        running,
        outside: Vec::new(),
        changes,
        sandbox,
        findings,
        situation,
    }
    .finish(options)
}

/// The plan for more files than are read: to do nothing.
pub(super) fn too_large<'d>(
    files: impl Iterator<Item = &'d Document>,
    file: &str,
    target: &Target,
    options: &Options,
) -> Option<Plan> {
    let size = files.fold(Size::default(), |size, file| size + file.size());
    let exceeded = options.limits.check(size).err()?;
    let mut tree = Tree::new();
    let running = Running::with_files(&[], target, options);
    let sandbox = SandboxImages::of(&mut tree, target, &running);
    let mut findings = target.findings();
    let message = format!("the files have {exceeded}");
    findings.push(Finding::new(Code::InputTooLarge, message));
    diagnostic::in_order(&mut findings, std::iter::empty());
    Some(Plan {
        schema: SCHEMA,
        target: target.clone(),
        file: file.to_owned(),
        config_version: tree.version(),
        k0s_managed: false,
        origin: origin::of(&tree, options.origin),
        drop_ins: Vec::new(),
        hosts_files: Vec::new(),
        removed: Vec::new(),
        ledger: Vec::new(),
        companions: Vec::new(),
        running: running.target.release,
        changes: Vec::new(),
        release_changes: Vec::new(),
        sandbox,
        findings,
        steps: steps::for_nothing_read(),
        verified: false,
    })
}

/// Tells the user's settings from the rest, and converts them for the target.
pub(super) fn judge(
    tree: &mut Tree,
    files: Files<'_>,
    origin: &Origin,
    target: &Target,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Moved> {
    findings.extend(edits::judge(tree, files, origin, target, options));
    findings.extend(successors::convert(
        tree,
        files,
        origin,
        target.containerd(),
    ));
    let moved = hosts::convert_registry(tree, files, target, options, findings);
    findings.extend(edits::without_place(tree, files, target));
    findings.extend(servers::without_address(tree, files));
    findings.extend(checks::proxy_plugins(tree, files, target));
    findings.extend(checks::portable(tree, files, target));
    if target.release.regime == Regime::CriAppend {
        findings.extend(checks::pasted(tree, files, target));
    }
    moved
}

/// Leaves out what the target would fail over and the node never noticed, adds the
/// companions of what is kept, and gives what will be in effect then.
pub(super) fn complete(
    tree: &mut Tree,
    files: Files<'_>,
    outside: &[Outside<'_>],
    pulls: &Pulls<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Effective> {
    let (target, running) = (pulls.target, pulls.running);
    let mut expected = running::expected(tree, target)?;
    let left_out = dormant::leave_out(tree, files, &mut expected, running, target);
    findings.extend(left_out);
    outside.iter().for_each(|file| file.add_to(&mut expected));
    pulls.add(tree, &mut expected);
    Some(expected)
}

/// A plan whose drop-ins are not proven yet.
pub(super) struct Draft<'a> {
    pub(super) target: &'a Target,
    pub(super) file: String,
    pub(super) k0s_managed: bool,
    pub(super) origin: Origin,
    pub(super) files: Files<'a>,
    pub(super) input: Input,
    pub(super) parts: Vec<(Concern, Id)>,
    pub(super) drop_ins: Vec<DropIn>,
    pub(super) moved: Option<Moved>,
    /// The file or directory that `moved` is of.
    pub(super) settings_of: &'a str,
    pub(super) removed: Vec<FileName>,
    /// The input stays as it is, so that there is nothing to prove.
    pub(super) untouched: bool,
    /// What is in effect then.
    pub(super) effective: Option<Effective>,
    pub(super) running: Running,
    /// Files from elsewhere that the drop-ins import.
    pub(super) outside: Vec<Outside<'a>>,
    pub(super) changes: Changes,
    pub(super) sandbox: SandboxImages,
    pub(super) findings: Vec<Finding>,
    pub(super) situation: Situation,
}

impl Draft<'_> {
    /// Proves the drop-ins and settles the accounts.
    pub(super) fn finish(self, options: &Options) -> Plan {
        let Draft {
            target,
            mut input,
            parts,
            drop_ins,
            moved,
            outside,
            mut sandbox,
            mut findings,
            ..
        } = self;
        let hosts_files = moved.as_ref().map_or_else(Vec::new, |moved| {
            moved.files(&input.tree, self.files, target, options, self.settings_of)
        });
        let writable = target.release.regime != Regime::Monolith;
        // Of what stays there is nothing to compare; it must be right itself.
        let mut outcome = Outcome {
            is_lossy: findings.iter().any(Finding::is_error),
            is_refused: false,
            is_defect: false,
        };
        let mut verified = self.untouched && self.effective.is_some() && !outcome.is_lossy;
        let mut effective = self.effective;
        if writable && !self.untouched && !options.unverified {
            let proven = verify::verify(target, &drop_ins, wanted(&input.tree, &parts))
                .map_err(|error| error.to_string());
            let pulls = moved
                .as_ref()
                .map_or(Ok(()), |moved| moved.check(&hosts_files, target, options));
            match proven.and_then(|after| pulls.map(|()| after)) {
                Ok(after) => {
                    verified = true;
                    effective = match outside.is_empty() {
                        true => Some(after),
                        false => with_outside(target, &drop_ins, &outside),
                    };
                }
                Err(error) => {
                    findings.push(Finding::new(Code::Internal, error));
                    outcome.is_defect = true;
                }
            }
        }
        let containerd = target.containerd();
        let other = behaviour::find(&input.tree, self.files, containerd, effective.as_ref());
        findings.extend(other);
        if let Some(effective) = effective {
            if self.untouched || outside::decides_sandbox_image(&outside, target.containerd()) {
                sandbox = sandbox.in_effect(&effective, target);
            }
            let refused = refusals::find(
                &mut input.tree,
                self.files,
                &outside,
                &self.running,
                &effective,
            );
            outcome.is_refused = refused.iter().any(Finding::is_error);
            findings.extend(refused);
        }
        let companions = companions::list(&input.tree, self.files, &parts);
        let names = self.files.0.iter().copied();
        let names = names.chain(outside.iter().map(|file| file.document));
        diagnostic::in_order(&mut findings, names.map(Document::name));
        let mut ledger = ledger::ledger(&input.tree, self.files, &parts, input.without_effect);
        ledger.extend(outside.into_iter().flat_map(Outside::ledger));
        let written = Written {
            drop_ins: &drop_ins,
            hosts_files: &hosts_files,
        };
        let steps = steps::of(&self.situation, outcome, written, target, options);
        Plan {
            schema: SCHEMA,
            target: target.clone(),
            file: self.file,
            config_version: input.version,
            k0s_managed: self.k0s_managed,
            origin: self.origin,
            drop_ins,
            hosts_files,
            removed: self.removed,
            ledger,
            companions,
            running: self.running.target.release,
            changes: self.changes.by_migration,
            release_changes: self.changes.by_release,
            sandbox,
            findings,
            steps,
            verified,
        }
    }
}

/// What is in effect with the drop-ins and what they import from elsewhere.
pub(super) fn with_outside(
    target: &Target,
    drop_ins: &[DropIn],
    outside: &[Outside<'_>],
) -> Option<Effective> {
    let texts = drop_ins.iter().map(|file| (&file.name, file.text()));
    let set = DropInSet::default().importing(texts.chain(outside::texts(outside)));
    let assembled = k0s::assemble_all(&target.release, target.pause_image(), &set.ok()?);
    assembled.ok().map(k0s::Assembled::effective)
}

/// Which of a legacy file and its imports were written for another containerd.
/// `tree` is all of them.
fn foreign(order: &[&Document], tree: &Tree, target: &Target) -> Vec<Finding> {
    let mut findings: Vec<Finding> = match order {
        [legacy] => checks::foreign(legacy, tree).into_iter().collect(),
        _ => {
            let of = |file: &&Document| {
                let file: &Document = file;
                let input = read::read(&[file], Rules::of(&[file]), &[], target.containerd());
                checks::foreign(file, &input.tree)
            };
            order.iter().filter_map(of).collect()
        }
    };
    let imported = order.iter().skip(1).copied();
    findings.extend(checks::nvidia(imported, target));
    findings
}

/// What the drop-ins are to bring about.
fn wanted<'t>(tree: &'t Tree, parts: &'t [(Concern, Id)]) -> impl Iterator<Item = Wanted<'t>> {
    let wanted = |(_, id): &(Concern, Id)| (tree.path(*id), tree.value(*id));
    parts.iter().map(wanted)
}

/// What k0s 1.22 – 1.35 themselves write into the main file.
const K0S_KEYS: [&str; 3] = ["version", "Version", "imports"];

/// k0s rewrites the file whatever is in it.
fn leave_to_k0s(tree: &mut Tree, files: Files<'_>) -> Finding {
    let own = |id: &Id| matches!(tree.path(*id).as_slice(), [key] if K0S_KEYS.contains(key));
    let other = tree.leaves(ROOT).into_iter().find(|id| !own(id));
    let finding = match other {
        Some(id) => files.finding(
            tree,
            id,
            Code::SettingsInManagedFile,
            "the file is k0s-managed, yet it holds settings",
        ),
        None => Finding::new(
            Code::K0sManaged,
            "the file is k0s-managed: there is nothing to migrate",
        ),
    };
    drop_all(tree, Dropped::Owned, "k0s rewrites the file at every start");
    finding
}

fn drop_all(tree: &mut Tree, dropped: Dropped, why: &str) {
    for id in tree.leaves(ROOT) {
        tree.judge(id, Verdict::Drop(dropped, why.to_owned()));
    }
}
