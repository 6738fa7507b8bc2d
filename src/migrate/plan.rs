//! The plan: drop-ins, ledger and findings, as plain data.

use serde::Serialize;

use super::changes::{self, Change};
use super::drop_in::{self, DropIn};
use super::ledger::{self, LedgerEntry};
use super::origin::{self, Origin};
use super::read::{self, Input};
use super::split::Concern;
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict};
use super::{Options, Target, checks, edits, imports, split, successors};
use crate::Document;
use crate::diagnostic::{Code, Finding, Severity};
use crate::k0s::{self, Regime};
use crate::verify::{self, Wanted};

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
    /// The legacy file.
    pub file: String,
    /// The config version by which it is read.
    pub config_version: i64,
    /// Whether the target takes the file for its own. Nothing is to be done
    /// then.
    pub k0s_managed: bool,
    /// Where its text came from.
    pub origin: Origin,
    /// The files to put into `/etc/k0s/containerd.d`.
    pub drop_ins: Vec<DropIn>,
    /// What becomes of every key of the input, in its order.
    pub ledger: Vec<LedgerEntry>,
    /// What changes on a node that runs the target's containerd with the
    /// legacy file now: what the file held back from k0s and containerd.
    pub changes: Vec<Change>,
    /// What there is to say, the gravest first.
    pub findings: Vec<Finding>,
    /// What to do, in order.
    pub steps: Vec<String>,
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
    let managed = legacy.marker().is_managed_for(&target.release);
    let (order, mut findings) = match managed && imported.is_empty() {
        true => (vec![legacy], Vec::new()),
        false => imports::in_load_order(legacy, imported),
    };
    if managed {
        findings.retain(|finding| !matches!(finding.code, Code::ImportMissing | Code::ImportEmpty));
    }
    let files = Files(&order);
    let Input {
        mut tree,
        without_effect,
        findings: read,
        version,
        version_meant,
    } = read::read(files.0, managed);
    findings.extend(target.findings());
    findings.extend(read);
    findings.extend(checks::byte_order_mark(legacy));
    let origin = match options.origin {
        Some(release) => Origin::Forced { release },
        None => origin::find(&tree),
    };
    let writable = target.release.regime == Regime::CriMerge;
    let mut parts = Vec::new();
    let mut changes = Vec::new();
    if managed && imported.is_empty() {
        findings.push(leave_to_k0s(&mut tree, files));
    } else if !writable {
        let why = format!(
            "k0s {} reads no drop-ins that could hold it",
            target.release
        );
        drop_all(&mut tree, Dropped::NotExpressible, &why);
    } else {
        findings.extend(edits::judge(&mut tree, files, &origin, target, options));
        findings.extend(successors::convert(
            &mut tree,
            files,
            &origin,
            target.containerd(),
        ));
        findings.extend(checks::proxy_plugins(&mut tree, files));
        findings.extend(checks::portable(&mut tree, files));
        findings.extend(checks::foreign(&findings));
        parts = split::split(&mut tree, target.containerd());
        if !managed {
            changes = changes::find(&mut tree, target, &origin, version_meant);
            findings.extend(checks::sandbox_cause(legacy, &changes, &mut tree, target));
            findings.extend(checks::runc_appears(&changes));
        }
    }
    let drop_ins = drop_in::write(&tree, files, &parts);
    let mut verified = false;
    if writable && !options.unverified {
        match verify::verify(target, &drop_ins, &wanted(&tree, &parts)) {
            Ok(()) => verified = true,
            Err(error) => findings.push(Finding::new(Code::Internal, error.to_string())),
        }
    }
    let ledger = ledger::ledger(&tree, files, &parts, without_effect);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Plan {
        schema: SCHEMA,
        target: target.clone(),
        file: legacy.name().to_owned(),
        config_version: version,
        k0s_managed: managed,
        origin,
        steps: steps(target, managed, writable, &drop_ins),
        drop_ins,
        ledger,
        changes,
        findings,
        verified,
    }
}

/// What the drop-ins are to bring about.
fn wanted<'t>(tree: &'t Tree, parts: &[(Concern, Id)]) -> Vec<Wanted<'t>> {
    let wanted = |(_, id): &(Concern, Id)| (tree.path(*id), tree.value(*id));
    parts.iter().map(wanted).collect()
}

/// k0s rewrites the file whatever is in it.
fn leave_to_k0s(tree: &mut Tree, files: Files<'_>) -> Finding {
    let own = |id: &usize| {
        matches!(
            tree.path(*id).as_slice(),
            ["version" | "Version" | "imports"]
        )
    };
    let leaves = tree.leaves(ROOT);
    let other = leaves.iter().find(|id| !own(id));
    let finding = match other {
        Some(id) => files.finding(
            tree,
            *id,
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

fn steps(target: &Target, managed: bool, writable: bool, drop_ins: &[DropIn]) -> Vec<String> {
    let (dir, file) = (k0s::DROP_IN_DIR, k0s::CONFIG_FILE);
    if managed {
        return vec![format!("Nothing: k0s manages {file} already.")];
    }
    if !writable {
        let step = match target.release.regime {
            Regime::ImportsV3 => "Migrate for the last 1.35 release before the upgrade to 1.36.",
            _ => "Upgrade k0s to 1.27.5 or later first, and migrate for that release.",
        };
        return vec![step.to_owned()];
    }
    let write = match drop_ins {
        [] => "No drop-in is needed: nothing in the file is yours to keep.".to_owned(),
        _ => format!("Put the drop-ins into {dir}."),
    };
    let mut steps = vec![write];
    if drop_ins.iter().any(|drop_in| drop_in.sensitive) {
        steps.push("Let only root read those that hold credentials: chmod 0600.".to_owned());
    }
    steps.push(format!("Move {file} away, for instance to {file}.legacy: as long as it is there, k0s ignores drop-ins."));
    let (line, marker) = (target.release.marker_line(), k0s::MARKER);
    steps.push(format!("Restart k0s on the node. It writes its own containerd.toml, with `{marker}` on line {line}."));
    steps.push("Check that the node is Ready and that a new pod starts.".to_owned());
    steps
}
