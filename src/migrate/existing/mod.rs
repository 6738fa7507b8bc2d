//! Existing drop-ins, carried over to a release that wants another config
//! version: file by file, with the precedence that they had.

mod set;
mod stay;

use std::collections::{BTreeMap, HashMap};

use super::changes::Changes;
use super::companions::Pulls;
use super::drop_in::{self, DropIn, Existing, Style};
use super::outside::{self, Outside};
use super::plan::{Draft, Plan, complete, judge, too_large, with_outside};
use super::read::Rules;
use super::running::Running;
use super::sandbox::SandboxImages;
use super::steps::{Main, Situation};
use super::tree::Files;
use super::{Options, Target, checks, hosts, origin, read, split, unknown, windows};
use crate::Document;
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, FileName, Regime};
use crate::shown;
use set::Set;

/// The drop-ins of a node, what they import, and the main file beside them.
#[derive(Clone, Debug)]
pub struct ExistingDropIns<'a> {
    directory: &'a str,
    /// In the order of the names.
    files: BTreeMap<FileName, &'a Document>,
    main: Option<&'a Document>,
}

/// Plans how existing drop-ins of k0s 1.27.5 and later are carried to 1.36 and
/// later. For an earlier target they stay as they are, and the plan says what of
/// them would not work there.
///
/// Names, comments and the division into files stay. Where several drop-ins
/// set the same key, the one that prevailed keeps it: up to k0s 1.35 a drop-in
/// with CRI settings prevails over one without, and a later name over an
/// earlier one. A file that k0s accepts as it is stays as it is, to the byte. So
/// does what drop-ins import from elsewhere on the node, whatever is in it: it
/// takes part in what is in effect, and what is wrong with it is said.
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
/// let existing = ExistingDropIns::new(directory, &drop_ins)?;
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
    let all = existing.files.values().copied().chain(existing.main);
    if let Some(refused) = too_large(all, existing.directory, target, options) {
        return refused;
    }
    let mut findings = target.findings();
    let set = Set::of(existing, target, &mut findings);
    let files = Files(&set.order);
    let mut input = read::read(files.0, set.rules, &set.names, target.containerd());
    let windows = windows::find(&input.tree, files);
    let obstacle = match (windows, target.release.regime) {
        (Some(windows), _) => Some(Some((windows::WHY.to_owned(), Some(windows)))),
        (None, Regime::ImportsV3) => None,
        _ => Some(set.obstacle(target)),
    };
    let untouched = matches!(obstacle, Some(None));
    let said = input.findings.drain(..);
    findings.extend(said.map(|finding| match untouched {
        true => finding.in_place(),
        false => finding,
    }));
    let tree = &mut input.tree;
    findings.extend(unknown::not_understood(tree, files));
    tree.write_as(target.dialect());
    let origin = origin::of(tree, options.origin);
    let mut parts = Vec::new();
    let mut emptied = Vec::new();
    let given: Vec<(FileName, &Document)> = set
        .names
        .iter()
        .cloned()
        .zip(set.order.iter().copied())
        .chain(set.outside.iter().cloned())
        .collect();
    let running = Running::with_drop_ins(existing.main, &given, target, options);
    let mut outside: Vec<Outside<'_>> = set
        .outside
        .iter()
        .map(|(name, document)| Outside::read(name, document, target))
        .collect();
    let mut changes = Changes::default();
    let mut moved = None;
    if obstacle.is_none() {
        moved = judge(tree, files, &origin, target, options, &mut findings);
        let pulls = Pulls {
            target,
            running: &running,
            origin: &origin,
            options,
        };
        let expected = complete(tree, files, &outside, &pulls, &mut findings);
        parts = set.split(tree, target);
        emptied = set.emptied(&parts);
        let lost = set.names_of_lost(tree);
        findings.extend(emptied.iter().map(|(name, document)| {
            let shown = shown::printable(name.as_str());
            let message = match lost.contains(name) {
                true => format!("nothing of {shown} can be carried over"),
                false => format!("{shown} is not needed any more"),
            };
            Finding::new(Code::DropInEmpty, message).about(document)
        }));
        findings.extend(checks::nested(tree, files, &parts));
        if let Some(expected) = &expected {
            changes = Changes::between(&running, expected, tree, target);
        }
        findings.extend(set.version_1().map(|file| {
            let message = "it states version 1, by which k0s 1.27 to 1.35 made containerd ignore the CRI settings of all drop-ins";
            let span = file.span_of(&["version"]).map(|(key, _)| key);
            Finding::new(Code::DropInVersion, message).at("version", span)
        }));
    }
    match obstacle {
        None => {}
        Some(Some((why, finding))) => {
            findings.extend(finding);
            stay::drop_all(tree, &why);
        }
        Some(None) => {
            findings.extend(stay::judge(tree, files, &set, target, options));
            hosts::diagnose_registry(tree, files, target, &mut findings);
            parts = split::split_by_file(tree, target.containerd(), &set.names);
        }
    }
    findings.extend(by_itself(&set, target));
    for file in &mut outside {
        findings.extend(file.findings(target));
    }
    if target.release.regime != Regime::Monolith && set.version_1().is_none() {
        let replaced = set.rules == Rules::K0sMerge;
        findings.extend(outside::overrides(&outside, tree, target, replaced));
    }
    let beside = beside(existing, target);
    let main = match beside.as_ref().map(|finding| finding.code) {
        Some(Code::DropInsIgnored) => Main::Yours,
        Some(_) => Main::Trap,
        None => Main::Fine,
    };
    findings.extend(beside);
    findings.extend(
        existing
            .main
            .and_then(|main| checks::first_line(main, target)),
    );
    let sandbox = SandboxImages::of(tree, target, &running);
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
    let names: Vec<FileName> = emptied.into_iter().map(|(name, _)| name).collect();
    let failed = findings.iter().any(Finding::is_error);
    let texts: HashMap<&str, &str> = documents
        .iter()
        .map(|existing| (existing.name.as_str(), existing.document.text()))
        .collect();
    let as_it_was = |drop_in: &DropIn| texts.get(drop_in.name.as_str()) == Some(&drop_in.text());
    let unchanged = names.is_empty() && drop_ins.iter().all(as_it_was);
    if unchanged {
        // Said when the drop-in was made.
        findings.retain(|finding| finding.code != Code::SandboxImageCustom);
    }
    if !unchanged && !untouched {
        findings.extend(checks::removals(&input.tree, files, &parts, target));
    }
    let effective = match untouched {
        true => stay::effective(&set, target, failed, &mut findings),
        false => None,
    };
    let after = match (&effective, outside.is_empty()) {
        (Some(effective), _) => Some(effective.clone()),
        (None, false) => with_outside(target, &drop_ins, &outside),
        (None, true) => None,
    };
    if let Some(after) = &after {
        changes = Changes::between(&running, after, &mut input.tree, target);
    }
    let situation = Situation::DropIns {
        main,
        in_place: untouched,
        is_unchanged: unchanged,
        emptied: names.clone(),
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
        moved,
        settings_of: style.origin,
        removed: names,
        untouched,
        effective,
        running,
        outside,
        changes,
        sandbox,
        findings,
        situation,
    }
    .finish(options)
}

/// What there is to say about each file by itself.
fn by_itself(set: &Set<'_>, target: &Target) -> Vec<Finding> {
    let foreign = |file: &&Document| {
        let input = read::read(&[file], set.rules, &[], target.containerd());
        checks::foreign(file, &input.tree)
    };
    let mut findings: Vec<Finding> = set
        .order
        .iter()
        .copied()
        .filter_map(|file| foreign(&file))
        .collect();
    let outside = set.outside.iter().map(|(_, file)| *file);
    let all = set.order.iter().copied().chain(outside);
    findings.extend(checks::nvidia(all, target));
    findings
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
        shown::printable(main.name())
    );
    Some(Finding::new(Code::DropInsIgnored, message).about(main))
}
