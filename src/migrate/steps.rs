//! What to do, in order: derived once, when all is known.

use std::fmt;

use serde::{Serialize, Serializer};

use super::drop_in::DropIn;
use super::hosts::HostsFile;
use super::{Options, Target};
use crate::k0s::{self, DropInName, FileName, Regime};
use crate::shown::printable;

/// What is to be done on the node. Its `Display` is a sentence or two.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Nothing: k0s manages its `containerd.toml` already.
    NothingAsManaged,
    /// Nothing: the drop-ins are as the target wants them.
    NothingAsGood,
    /// Upgrade k0s to a release that reads drop-ins first, and migrate for that.
    UpgradeFirst,
    /// Settle the findings of error level, and migrate again.
    Settle,
    /// Settle the findings of error level, as without that settings are lost.
    SettleLosses,
    /// Settle the findings of error level in the drop-ins themselves, which this k0s
    /// release reads as they are.
    SettleInPlace(String),
    /// Settle what containerd refuses.
    SettleRefusals,
    /// Remove drop-ins whose settings are in the new ones.
    RemoveOld(Vec<DropInName>),
    /// No drop-in is needed.
    NoDropIn,
    /// Write the `hosts.toml` files into this directory.
    PutHostsFiles(String),
    /// Let only root read these `hosts.toml` files.
    ProtectHostsFiles(Vec<String>),
    /// Write the drop-ins.
    PutDropIns,
    /// Write the drop-ins over the old ones.
    ReplaceDropIns,
    /// Keep drop-ins with a folder in their name in that folder.
    KeepFolders,
    /// Let only root read the drop-ins with what is not shown.
    ProtectDropIns,
    /// Carry over drop-ins that are there already, at which this k0s release exits.
    CarryOverOthers(k0s::Release),
    /// Remove the `containerd.toml` that an earlier k0s wrote, before this one starts,
    /// which does not recognise it.
    RemoveMainFirst(k0s::Release),
    /// Remove the `containerd.toml` that this k0s release would take for the user's.
    RemoveMain(String),
    /// Move the legacy `containerd.toml` away.
    MoveMainAway,
    /// Migrate the `containerd.toml` as well.
    MigrateMain,
    /// Stop k0s on the node.
    Stop,
    /// Remove drop-ins of which nothing is left.
    Remove(Vec<FileName>),
    /// Upgrade k0s to this release.
    Upgrade(String),
    /// Restart k0s on the node, which then writes its marker on this line of its
    /// `containerd.toml`.
    Restart {
        /// The number of the line.
        line: usize,
    },
    /// Check that the node works.
    Check,
    /// Change nothing, as the drop-ins are not proven.
    ChangeNothing,
}

/// Where the legacy file may go.
const LEGACY: &str = "/etc/k0s/containerd.toml.legacy";

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, file) = (k0s::DROP_IN_DIR, k0s::CONFIG_FILE);
        match self {
            Step::NothingAsManaged => write!(f, "Nothing: k0s manages {file} already."),
            Step::NothingAsGood => {
                f.write_str("Nothing: the drop-ins are as the target wants them.")
            }
            Step::UpgradeFirst => {
                f.write_str("Upgrade k0s to 1.27.5 or later first, and migrate for that release.")
            }
            Step::Settle => f.write_str("First settle the errors above, and migrate again."),
            Step::SettleLosses => f.write_str(
                "First settle the errors above: without that, settings of yours are lost.",
            ),
            Step::SettleInPlace(target) => write!(
                f,
                "First settle the errors above, in the files themselves: nothing is written for k0s {target}, which reads the drop-ins in {dir} as they are."
            ),
            Step::SettleRefusals => f.write_str(
                "First settle what containerd refuses, above: the node would not become ready.",
            ),
            Step::RemoveOld(names) => write!(
                f,
                "Remove the old drop-ins from {dir}, whose settings are in the new ones: {}.",
                listed(names)
            ),
            Step::NoDropIn => {
                f.write_str("No drop-in is needed: nothing in the file is yours to keep.")
            }
            Step::PutHostsFiles(directory) => write!(
                f,
                "Put the folders with a hosts.toml, which are written to certs.d beside the drop-ins, into {directory}. The certificates that they name stay where they are."
            ),
            Step::ProtectHostsFiles(names) => write!(
                f,
                "Let only root read {}, in which something is not shown: chmod 0600.",
                names.join(", ")
            ),
            Step::PutDropIns => write!(f, "Put the drop-ins into {dir}."),
            Step::ReplaceDropIns => {
                write!(f, "Put the new drop-ins into {dir}, over the old ones.")
            }
            Step::KeepFolders => f.write_str(
                "Keep those with a folder in their name in that folder: the others import them from there.",
            ),
            Step::ProtectDropIns => f.write_str(
                "Let only root read those with what is not shown, as it may be a credential: chmod 0600.",
            ),
            Step::CarryOverOthers(release) => write!(
                f,
                "Carry the drop-ins over that are in {dir} already: their config version is 2, and k0s {release} exits on it."
            ),
            Step::RemoveMainFirst(release) => write!(
                f,
                "Remove {file} before k0s {release} starts: it does not see that k0s wrote the file, and would ignore drop-ins."
            ),
            Step::RemoveMain(target) => write!(
                f,
                "Remove {file}: k0s {target} would take it for yours and ignore drop-ins."
            ),
            Step::MoveMainAway => write!(
                f,
                "Move {file} away, for instance to {LEGACY}: as long as it is there, k0s ignores drop-ins."
            ),
            Step::MigrateMain => write!(
                f,
                "Migrate {file} as well: its settings are what the node runs with. Look through the drop-ins before both take effect."
            ),
            Step::Stop => f.write_str("Stop k0s on the node; pods keep running."),
            Step::Remove(names) => write!(
                f,
                "Remove from {dir} what is not needed any more: {}.",
                listed(names)
            ),
            Step::Upgrade(target) => write!(f, "Upgrade k0s to {target}, if it is older."),
            Step::Restart { line } => write!(
                f,
                "Restart k0s on the node. It writes its own containerd.toml, with `{}` on line {line}.",
                k0s::MARKER
            ),
            Step::Check => f.write_str("Check that the node is Ready and that a new pod starts."),
            Step::ChangeNothing => f.write_str(
                "Change nothing on the node: the drop-ins are not proven. Report the defect above.",
            ),
        }
    }
}

/// As its text.
impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| printable(name.as_ref())).collect();
    names.join(", ")
}

/// What the files are that a plan is for.
#[derive(Debug)]
pub(super) enum Situation {
    /// A legacy file.
    Legacy {
        /// k0s takes it for its own.
        is_managed: bool,
        /// An earlier k0s wrote it, which the target does not notice.
        is_trapped: bool,
        /// Drop-ins that it imports.
        old: Vec<DropInName>,
    },
    /// Drop-ins of an earlier k0s.
    DropIns {
        main: Main,
        /// The target reads them as they are.
        in_place: bool,
        /// They are as the target wants them.
        is_unchanged: bool,
        /// Drop-ins of which nothing is left.
        emptied: Vec<FileName>,
    },
}

impl Situation {
    /// Whether k0s takes the file for its own.
    pub(super) fn is_managed(&self) -> bool {
        matches!(
            self,
            Situation::Legacy {
                is_managed: true,
                ..
            }
        )
    }

    /// Drop-ins of which nothing is left.
    pub(super) fn emptied(&self) -> &[FileName] {
        match self {
            Situation::Legacy { .. } => &[],
            Situation::DropIns { emptied, .. } => emptied,
        }
    }

    /// Whether what is kept was kept already, when the drop-ins were made.
    pub(super) fn is_settled(&self) -> bool {
        let is_unchanged = matches!(
            self,
            Situation::DropIns {
                is_unchanged: true,
                ..
            }
        );
        self.is_managed() || is_unchanged
    }
}

/// What the main file beside drop-ins is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Main {
    /// k0s's own, or not there.
    Fine,
    /// An earlier k0s's own, which the target does not recognise.
    Trap,
    /// The user's.
    Yours,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Something cannot be kept.
    pub(super) is_lossy: bool,
    /// containerd would refuse the result.
    pub(super) is_refused: bool,
    /// The drop-ins are not proven.
    pub(super) is_defect: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) drop_ins: &'a [DropIn],
    pub(super) hosts_files: &'a [HostsFile],
}

/// For files that were not looked at.
pub(super) fn for_nothing_read() -> Vec<Step> {
    vec![Step::Settle]
}

/// All that is to be done.
pub(super) fn of(
    situation: &Situation,
    outcome: Outcome,
    written: Written<'_>,
    target: &Target,
    options: &Options,
) -> Vec<Step> {
    if outcome.is_defect {
        return vec![Step::ChangeNothing];
    }
    let mut steps = match situation {
        Situation::Legacy {
            is_managed,
            is_trapped,
            old,
        } => match (is_managed, target.release.regime) {
            (true, _) => vec![Step::NothingAsManaged],
            (false, Regime::Monolith) => vec![Step::UpgradeFirst],
            _ => for_legacy_file(*is_trapped, old, outcome, written, target, options),
        },
        Situation::DropIns {
            main,
            in_place,
            is_unchanged,
            emptied,
        } => match (main, outcome.is_lossy) {
            (Main::Fine, false) if *in_place || *is_unchanged => vec![Step::NothingAsGood],
            (Main::Fine, true) if *in_place => {
                let mut steps = vec![Step::SettleInPlace(target.requested.to_string())];
                steps.extend(restart(target));
                steps
            }
            _ => for_drop_ins(*main, emptied, outcome, written, target, options),
        },
    };
    if outcome.is_refused {
        steps.retain(|step| !matches!(step, Step::NothingAsManaged | Step::NothingAsGood));
        let is_settled = matches!(
            steps.first(),
            Some(Step::SettleLosses | Step::SettleInPlace(_))
        );
        if !is_settled {
            steps.insert(0, Step::SettleRefusals);
        }
    }
    steps
}

fn for_legacy_file(
    is_trapped: bool,
    old: &[DropInName],
    outcome: Outcome,
    written: Written<'_>,
    target: &Target,
    options: &Options,
) -> Vec<Step> {
    let mut steps = unless_resolved(outcome);
    if !old.is_empty() {
        steps.push(Step::RemoveOld(old.to_vec()));
    }
    let put = match (written.drop_ins, outcome.is_lossy) {
        ([], true) => None,
        ([], false) => Some(Step::NoDropIn),
        _ => Some(Step::PutDropIns),
    };
    steps.extend(write(written, put, options));
    if is_trapped {
        steps.push(Step::CarryOverOthers(target.release.clone()));
        steps.push(Step::RemoveMainFirst(target.release.clone()));
    } else {
        steps.push(Step::MoveMainAway);
    }
    steps.extend(restart(target));
    steps
}

fn for_drop_ins(
    main: Main,
    emptied: &[FileName],
    outcome: Outcome,
    written: Written<'_>,
    target: &Target,
    options: &Options,
) -> Vec<Step> {
    let mut steps = unless_resolved(outcome);
    if main == Main::Yours {
        steps.push(Step::MigrateMain);
    }
    steps.push(Step::Stop);
    let put = (!written.drop_ins.is_empty()).then_some(Step::ReplaceDropIns);
    steps.extend(write(written, put, options));
    if !emptied.is_empty() {
        steps.push(Step::Remove(emptied.to_vec()));
    }
    match main {
        Main::Fine => {}
        Main::Trap => steps.push(Step::RemoveMain(target.requested.to_string())),
        Main::Yours => steps.push(Step::MoveMainAway),
    }
    steps.push(Step::Upgrade(target.requested.to_string()));
    steps.extend(restart(target));
    steps
}

fn unless_resolved(outcome: Outcome) -> Vec<Step> {
    let first = outcome.is_lossy.then_some(Step::SettleLosses);
    first.into_iter().collect()
}

/// What is written: `hosts.toml` files first, whose directory drop-ins name.
fn write(written: Written<'_>, put: Option<Step>, options: &Options) -> Vec<Step> {
    let Written {
        drop_ins,
        hosts_files,
    } = written;
    let mut steps = Vec::new();
    if !hosts_files.is_empty() {
        steps.push(Step::PutHostsFiles(options.config_path.clone()));
    }
    let secret = hosts_files.iter().filter(|file| file.sensitive);
    let secret: Vec<String> = secret.map(|file| file.name.clone()).collect();
    if !secret.is_empty() {
        steps.push(Step::ProtectHostsFiles(secret));
    }
    steps.extend(put);
    if drop_ins
        .iter()
        .any(|drop_in| drop_in.name.as_str().contains('/'))
    {
        steps.push(Step::KeepFolders);
    }
    if drop_ins.iter().any(|drop_in| drop_in.sensitive) {
        steps.push(Step::ProtectDropIns);
    }
    steps
}

fn restart(target: &Target) -> [Step; 2] {
    let line = target.release.marker_line();
    [Step::Restart { line }, Step::Check]
}
