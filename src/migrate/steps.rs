//! What to do, in order.

use super::drop_in::DropIn;
use super::hosts::HostsFile;
use super::{Options, Target};
use crate::k0s::{self, DropInName, FileName, Regime};
use crate::shown::printable;

/// How the first step begins where there are errors.
const SETTLE: &str = "First settle the errors above";

/// How the only step begins where there is nothing to do.
const NOTHING: &str = "Nothing: ";

/// How the steps begin that bring files to the node.
const PUT: &str = "Put the ";

const LEGACY: &str = "/etc/k0s/containerd.toml.legacy";

/// For a legacy file. `trapped` says that an earlier k0s wrote it, which the
/// target does not notice; `failed` that something cannot be kept; `old` are
/// drop-ins that the file imports.
pub(super) fn for_legacy_file(
    target: &Target,
    managed: bool,
    trapped: bool,
    failed: bool,
    old: &[DropInName],
    drop_ins: &[DropIn],
) -> Vec<String> {
    let (dir, file) = (k0s::DROP_IN_DIR, k0s::CONFIG_FILE);
    if managed {
        return vec![format!("{NOTHING}k0s manages {file} already.")];
    }
    if target.release.regime == Regime::Monolith {
        return vec![
            "Upgrade k0s to 1.27.5 or later first, and migrate for that release.".to_owned(),
        ];
    }
    let mut steps = unless_resolved(failed);
    if !old.is_empty() {
        steps.push(format!(
            "Remove the old drop-ins from {dir}, whose settings are in the new ones: {}.",
            listed(old)
        ));
    }
    match drop_ins {
        [] if failed => {}
        [] => steps.push("No drop-in is needed: nothing in the file is yours to keep.".to_owned()),
        _ => steps.extend(write(drop_ins, &format!("{PUT}drop-ins into {dir}."))),
    }
    if trapped {
        steps.push(format!("Carry the drop-ins over that are in {dir} already: their config version is 2, and k0s {} exits on it.", target.release));
        steps.push(format!("Remove {file} before k0s {} starts: it does not see that k0s wrote the file, and would ignore drop-ins.", target.release));
    } else {
        steps.push(move_away());
    }
    restart(target, &mut steps);
    steps
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

/// For files that were not looked at.
pub(super) fn for_nothing_read() -> Vec<String> {
    vec![format!("{SETTLE}, and migrate again.")]
}

/// For drop-ins that may stay as they are.
pub(super) fn for_good_drop_ins() -> Vec<String> {
    vec![format!(
        "{NOTHING}the drop-ins are as the target wants them."
    )]
}

/// For drop-ins that may stay, were they right.
pub(super) fn for_bad_drop_ins(target: &Target) -> Vec<String> {
    let dir = k0s::DROP_IN_DIR;
    let mut steps = vec![format!(
        "{SETTLE}, in the files themselves: nothing is written for k0s {}, which reads the drop-ins in {dir} as they are.",
        target.requested
    )];
    restart(target, &mut steps);
    steps
}

/// For drop-ins of an earlier k0s.
pub(super) fn for_drop_ins(
    target: &Target,
    main: Main,
    failed: bool,
    drop_ins: &[DropIn],
    emptied: &[FileName],
) -> Vec<String> {
    let (dir, file) = (k0s::DROP_IN_DIR, k0s::CONFIG_FILE);
    let mut steps = unless_resolved(failed);
    if main == Main::Yours {
        steps.push(format!("Migrate {file} as well: its settings are what the node runs with. Look through the drop-ins before both take effect."));
    }
    steps.push("Stop k0s on the node; pods keep running.".to_owned());
    if !drop_ins.is_empty() {
        let put = format!("{PUT}new drop-ins into {dir}, over the old ones.");
        steps.extend(write(drop_ins, &put));
    }
    if !emptied.is_empty() {
        steps.push(format!(
            "Remove from {dir} what is not needed any more: {}.",
            listed(emptied)
        ));
    }
    match main {
        Main::Fine => {}
        Main::Trap => steps.push(format!(
            "Remove {file}: k0s {} would take it for yours and ignore drop-ins.",
            target.requested
        )),
        Main::Yours => steps.push(move_away()),
    }
    steps.push(format!(
        "Upgrade k0s to {}, if it is older.",
        target.requested
    ));
    restart(target, &mut steps);
    steps
}

/// The `hosts.toml` files go in place before the drop-ins that name their
/// directory.
pub(super) fn add_hosts_files(steps: &mut Vec<String>, files: &[HostsFile], options: &Options) {
    if files.is_empty() {
        return;
    }
    let directory = &options.config_path;
    let at = steps.iter().position(|step| step.starts_with(PUT));
    let put = format!(
        "{PUT}folders with a hosts.toml, which are written to certs.d beside the drop-ins, into {directory}. The certificates that they name stay where they are."
    );
    steps.insert(at.unwrap_or(0), put);
    let secret: Vec<&str> = files
        .iter()
        .filter(|file| file.sensitive)
        .map(|file| file.name.as_str())
        .collect();
    if !secret.is_empty() {
        let protect = format!(
            "Let only root read {}, in which something is not shown: chmod 0600.",
            secret.join(", ")
        );
        steps.insert(at.unwrap_or(0) + 1, protect);
    }
}

/// When containerd would refuse the result.
pub(super) fn settle_refusals(steps: &mut Vec<String>) {
    let first = "First settle what containerd refuses, above: the node would not become ready.";
    steps.retain(|step| !step.starts_with(NOTHING));
    if steps.first().is_some_and(|step| step.starts_with(SETTLE)) {
        return;
    }
    steps.insert(0, first.to_owned());
}

/// When the drop-ins are not proven.
pub(super) fn after_a_defect() -> Vec<String> {
    vec![
        "Change nothing on the node: the drop-ins are not proven. Report the defect above."
            .to_owned(),
    ]
}

fn unless_resolved(failed: bool) -> Vec<String> {
    let first = format!("{SETTLE}: without that, settings of yours are lost.");
    failed.then_some(first).into_iter().collect()
}

fn write(drop_ins: &[DropIn], put: &str) -> Vec<String> {
    let mut steps = vec![put.to_owned()];
    if drop_ins
        .iter()
        .any(|drop_in| drop_in.name.as_str().contains('/'))
    {
        steps.push("Keep those with a folder in their name in that folder: the others import them from there.".to_owned());
    }
    if drop_ins.iter().any(|drop_in| drop_in.sensitive) {
        steps.push("Let only root read those with what is not shown, as it may be a credential: chmod 0600.".to_owned());
    }
    steps
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| printable(name.as_ref())).collect();
    names.join(", ")
}

fn move_away() -> String {
    let file = k0s::CONFIG_FILE;
    format!(
        "Move {file} away, for instance to {LEGACY}: as long as it is there, k0s ignores drop-ins."
    )
}

fn restart(target: &Target, steps: &mut Vec<String>) {
    let (line, marker) = (target.release.marker_line(), k0s::MARKER);
    steps.push(format!("Restart k0s on the node. It writes its own containerd.toml, with `{marker}` on line {line}."));
    steps.push("Check that the node is Ready and that a new pod starts.".to_owned());
}
