//! The plan: drop-ins, ledger and findings, as plain data.

use serde::Serialize;

use super::changes::Change;
use super::companions::Companion;
use super::drop_in::DropIn;
use super::hosts::HostsFile;
use super::ledger::LedgerEntry;
use super::origin::{self, Origin};
use super::running::Running;
use super::sandbox::SandboxImages;
use super::steps::{self, Step};
use super::tree::Tree;
use super::{Options, Target};
use crate::diagnostic::{self, Code, Finding, Severity};
use crate::k0s::{self, DropInSet, FileName, NameError};
use crate::{Document, Size};

/// The version of the plan's JSON form. It grows when a field goes or changes
/// its meaning, not when one is added.
pub(super) const SCHEMA: u32 = 1;

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
