//! A legacy file, and what it imports.

use super::conduct::{Done, Front, Given, Loaded, Parts, Treatment, conduct};
use super::drop_in::{DropIn, Style};
use super::imports::{self, Missing};
use super::origin::Origin;
use super::outside::Outside;
use super::plan::{Plan, too_large};
use super::read::{self, Rules};
use super::running::Running;
use super::steps::Situation;
use super::tree::{Dropped, Files, Id, ROOT, Tree};
use super::{Options, Target, checks, snapshotters, split, unknown, windows};
use crate::Document;
use crate::config::known;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Regime};

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
    let is_managed = legacy.marker().is_managed_for(&target.release);
    let trap = checks::marker_trap(legacy, target);
    // What an earlier k0s wrote leads to drop-ins, which are not part of it.
    let is_generated = trap.is_some() && legacy.holds_only(&K0S_KEYS);
    let is_alone = is_managed && imported.is_empty();
    let (order, findings, missing) = match is_alone || is_generated {
        true => (vec![legacy], Vec::new(), Vec::new()),
        false => imports::in_load_order(legacy, imported, is_managed),
    };
    let rules = match (is_managed, target.release.regime) {
        (true, Regime::CriAppend | Regime::CriMerge) => Rules::K0sMerge,
        (true, Regime::ImportsV3) => Rules::Containerd2,
        _ => Rules::of(&order),
    };
    let front = Legacy {
        main: legacy,
        order: order.clone(),
        missing,
        trap,
        is_managed,
        is_alone,
        is_generated,
    };
    let given = Given {
        name: legacy.name(),
        names: Vec::new(),
        rules,
        outside: Vec::new(),
        running: Running::with_files(&order, target, options),
        order,
        findings,
    };
    conduct(&front, given, target, options)
}

/// A legacy file.
struct Legacy<'a> {
    main: &'a Document,
    /// It, and what it imports.
    order: Vec<&'a Document>,
    missing: Vec<Missing>,
    /// What there is to say of a marker that the target does not recognise.
    trap: Option<Finding>,
    /// The target takes it for its own.
    is_managed: bool,
    /// The same, and nothing beside it was handed in.
    is_alone: bool,
    /// An earlier k0s wrote it, with nothing of the user's.
    is_generated: bool,
}

impl Front for Legacy<'_> {
    fn treatment(&self, loaded: &Loaded<'_>) -> (Treatment<'_>, Vec<Finding>) {
        let Loaded {
            tree,
            files,
            target,
            ..
        } = *loaded;
        let leave = |dropped, why: &str| Treatment::Leave(dropped, why.to_owned());
        if self.is_alone {
            let why = "k0s rewrites the file at every start";
            return (leave(Dropped::Owned, why), vec![leave_to_k0s(tree, files)]);
        }
        if self.is_generated {
            let why = "k0s wrote it, and writes it anew";
            return (leave(Dropped::Owned, why), Vec::new());
        }
        if let Some(windows) = loaded.windows.clone().filter(|_| !self.is_managed) {
            let leave = leave(Dropped::NotExpressible, windows::WHY);
            return (leave, vec![windows]);
        }
        if target.release.regime == Regime::Monolith {
            let release = &target.release;
            let why = format!("k0s {release} reads no drop-ins that could hold it");
            return (leave(Dropped::NotExpressible, &why), Vec::new());
        }
        (Treatment::Rewrite, Vec::new())
    }

    fn about_input(&self, loaded: &Loaded<'_>, origin: &Origin, _: &Treatment<'_>) -> Vec<Finding> {
        let Loaded {
            tree,
            files,
            version,
            target,
            ..
        } = *loaded;
        let mut findings: Vec<Finding> = self.trap.iter().cloned().collect();
        findings.extend(checks::byte_order_mark(self.main));
        findings.extend(checks::first_line(self.main, target));
        if self.is_managed {
            return findings;
        }
        findings.extend(imports::missing(&self.missing, self.main, origin, version));
        findings.extend(unknown::not_understood(tree, files));
        if !self.is_generated && loaded.windows.is_none() {
            findings.extend(foreign(&self.order, tree, target));
        }
        findings
    }

    fn about_outside(&self, _: &[Outside<'_>], _: &Tree, _: &Target) -> Vec<Finding> {
        Vec::new()
    }

    fn split(&self, tree: &mut Tree, target: &Target) -> Parts {
        split::split(tree, target.containerd())
    }

    fn style(&self, target: &Target) -> Style<'_> {
        Style {
            origin: k0s::CONFIG_FILE,
            pasted: target.release.regime == Regime::CriAppend,
            existing: &[],
        }
    }

    fn tells_changes(&self) -> bool {
        !self.is_managed
    }

    fn about_result(&self, done: Done<'_>) -> Vec<Finding> {
        if self.is_managed {
            return Vec::new();
        }
        let Done {
            tree,
            files,
            parts,
            running,
            changes,
            target,
            ..
        } = done;
        let sets_image = tree.find(&known::SANDBOX_IMAGE).is_some();
        let mut findings = checks::nested(tree, files, parts);
        findings.extend(checks::sandbox_cause(changes, running, sets_image, target));
        findings.extend(checks::runc_appears(changes, target));
        findings.extend(checks::removals(tree, files, parts, target));
        findings.extend(snapshotters::needs(tree, files, parts, target));
        findings
    }

    fn situation(&self, _: &Parts, _: &[DropIn], _: &Treatment<'_>) -> Situation {
        let files = self.order.iter();
        let old = files.filter_map(|file| k0s::drop_in_at(file.name()));
        Situation::Legacy {
            is_managed: self.is_managed,
            is_trapped: self.is_generated,
            old: old.collect(),
        }
    }
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

/// What k0s 1.22 – 1.35 themselves write into the main file.
const K0S_KEYS: [&str; 3] = ["version", "Version", "imports"];

/// k0s rewrites the file whatever is in it.
fn leave_to_k0s(tree: &Tree, files: Files<'_>) -> Finding {
    let own = |id: &Id| matches!(tree.path(*id).as_slice(), [key] if K0S_KEYS.contains(key));
    let other = tree.leaves(ROOT).into_iter().find(|id| !own(id));
    match other {
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
    }
}
