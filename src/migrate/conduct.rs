//! From the files of a node to a plan: the way is one, for a legacy file and for
//! existing drop-ins.

use super::changes::Changes;
use super::companions::{self, Pulls};
use super::drop_in::{self, DropIn, Style};
use super::existing::Stay;
use super::hosts::{self, HostsFile, Moved};
use super::ledger;
use super::origin::{self, Origin};
use super::outside::{self, Outside};
use super::plan::{Plan, SCHEMA};
use super::read::{self, Input, Rules};
use super::running::{self, Running};
use super::sandbox::{self, SandboxImages};
use super::split::Concern;
use super::steps::{self, Outcome, Situation, Written};
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict};
use super::{
    Options, Target, behaviour, checks, dormant, edits, refusals, servers, successors, windows,
};
use crate::Document;
use crate::containerd::load::Effective;
use crate::diagnostic::{self, Code, Finding};
use crate::k0s::{self, DropInSet, FileName, Regime};
use crate::verify::{self, Wanted};

/// What is to go where: a drop-in for each concern.
pub(super) type Parts = Vec<(Concern, Id)>;

/// The files of a node that a plan is about.
pub(super) struct Given<'a> {
    /// What the plan calls them.
    pub(super) name: &'a str,
    /// In the order in which they are loaded.
    pub(super) order: Vec<&'a Document>,
    /// Their names, where they are drop-ins by themselves.
    pub(super) names: Vec<FileName>,
    pub(super) rules: Rules,
    /// Files from elsewhere that drop-ins import.
    pub(super) outside: Vec<(FileName, &'a Document)>,
    pub(super) running: Running,
    /// What there is to say of how they were put in order.
    pub(super) findings: Vec<Finding>,
}

/// What becomes of the input as a whole.
pub(super) enum Treatment<'s> {
    /// What is the user's is written anew.
    Rewrite,
    /// The target reads the files as they are.
    Stay(Stay<'s>),
    /// Nothing of it goes anywhere.
    Leave(Dropped, String),
}

impl Treatment<'_> {
    /// Whether the files stay as they are.
    pub(super) fn is_stay(&self) -> bool {
        matches!(self, Treatment::Stay(_))
    }
}

/// The input, before anything is judged.
pub(super) struct Loaded<'i> {
    pub(super) tree: &'i Tree,
    pub(super) files: Files<'i>,
    /// The config version by which it is read.
    pub(super) version: i64,
    /// What tells that it is of a Windows node, if something does.
    pub(super) windows: Option<Finding>,
    pub(super) target: &'i Target,
}

/// What will be on the node.
pub(super) struct Done<'r> {
    pub(super) tree: &'r mut Tree,
    pub(super) files: Files<'r>,
    pub(super) parts: &'r Parts,
    pub(super) situation: &'r Situation,
    pub(super) running: &'r Running,
    pub(super) changes: &'r Changes,
    pub(super) target: &'r Target,
}

/// What differs between a legacy file and existing drop-ins.
pub(super) trait Front {
    /// What becomes of the input, and what there is to say of that.
    fn treatment(&self, loaded: &Loaded<'_>) -> (Treatment<'_>, Vec<Finding>);

    /// What there is to say of the input, whatever is in effect of it.
    fn about_input(
        &self,
        loaded: &Loaded<'_>,
        origin: &Origin,
        treatment: &Treatment<'_>,
    ) -> Vec<Finding>;

    /// What there is to say of files from elsewhere beside what is kept.
    fn about_outside(&self, outside: &[Outside<'_>], tree: &Tree, target: &Target) -> Vec<Finding>;

    /// What goes where, of what is kept.
    fn split(&self, tree: &mut Tree, target: &Target) -> Parts;

    /// How drop-ins are written.
    fn style(&self, target: &Target) -> Style<'_>;

    /// Whether the plan tells what changes on the node.
    fn tells_changes(&self) -> bool;

    /// What there is to say of the result, where something is written anew.
    fn about_result(&self, done: Done<'_>) -> Vec<Finding>;

    /// What the files are, now that it is known what is written.
    fn situation(&self, parts: &Parts, drop_ins: &[DropIn], treatment: &Treatment<'_>)
    -> Situation;
}

/// Makes the plan.
pub(super) fn conduct(
    front: &impl Front,
    given: Given<'_>,
    target: &Target,
    options: &Options,
) -> Plan {
    let files = Files(&given.order);
    let mut input = read::read(files.0, given.rules, &given.names, target.containerd());
    input.tree.write_as(target.dialect());
    let origin = origin::of(&input.tree, options.origin);
    let loaded = Loaded {
        tree: &input.tree,
        files,
        version: input.version,
        windows: windows::find(&input.tree, files),
        target,
    };
    let mut findings = given.findings;
    findings.extend(target.findings());
    let (treatment, said) = front.treatment(&loaded);
    findings.extend(said);
    findings.extend(front.about_input(&loaded, &origin, &treatment));
    let said = input.findings.drain(..);
    findings.extend(said.map(|finding| match treatment.is_stay() {
        true => finding.in_place(),
        false => finding,
    }));
    let running = given.running;
    let mut outside = Outside::all(&given.outside, target);
    for file in &mut outside {
        findings.extend(file.findings(target));
    }
    let pristine = running::pristine(target);
    let pulls = Pulls {
        target,
        pristine: pristine.as_ref(),
        running: &running,
        origin: &origin,
        options,
    };
    let tree = &mut input.tree;
    let Judged {
        moved,
        parts,
        mut expected,
    } = judge(
        front,
        tree,
        files,
        &outside,
        &treatment,
        &pulls,
        &mut findings,
    );
    findings.extend(front.about_outside(&outside, tree, target));
    let style = front.style(target);
    let drop_ins = match treatment.is_stay() {
        true => Vec::new(),
        false => drop_in::write(tree, files, &parts, &style),
    };
    let loaded = match &treatment {
        Treatment::Stay(stay) => {
            let failed = findings.iter().any(Finding::is_error);
            stay.effective(target, failed, &mut findings)
        }
        _ if outside.is_empty() => None,
        _ => with_outside(target, &drop_ins, &outside),
    };
    expected = loaded.clone().or(expected);
    let changes = match expected.filter(|_| front.tells_changes()) {
        Some(expected) => Changes::between(&running, &expected, tree, target, pristine.as_ref()),
        None => Changes::default(),
    };
    let situation = front.situation(&parts, &drop_ins, &treatment);
    if matches!(treatment, Treatment::Rewrite) {
        if !situation.is_settled() {
            findings.extend(sandbox::custom(tree, files, target));
        }
        findings.extend(front.about_result(Done {
            tree,
            files,
            parts: &parts,
            situation: &situation,
            running: &running,
            changes: &changes,
            target,
        }));
    }
    let sandbox = SandboxImages::of(tree, target, &running);
    let hosts_files = moved.as_ref().map_or_else(Vec::new, |moved| {
        moved.files(tree, files, target, options, style.origin)
    });
    let proof = Proof {
        pristine: pristine.as_ref(),
        input: &input,
        parts: &parts,
        drop_ins: &drop_ins,
        moved: moved.as_ref(),
        hosts_files: &hosts_files,
        outside: &outside,
        target,
        options,
    };
    let mut outcome = Outcome {
        is_lossy: findings.iter().any(Finding::is_error),
        is_refused: false,
        is_defect: false,
    };
    let (verified, effective) = match &treatment {
        // Of what stays there is nothing to compare; it must be right itself.
        Treatment::Stay(_) => (loaded.is_some() && !outcome.is_lossy, loaded),
        _ if target.release.regime == Regime::Monolith || options.unverified => (false, None),
        _ => match proof.hold() {
            Ok(effective) => (true, effective),
            Err(error) => {
                findings.push(Finding::new(Code::Internal, error));
                outcome.is_defect = true;
                (false, None)
            }
        },
    };
    let containerd = target.containerd();
    let other = behaviour::find(&input.tree, files, containerd, effective.as_ref());
    findings.extend(other);
    let is_elsewhere = || outside::decides_sandbox_image(&outside, containerd);
    let sandbox = match &effective {
        Some(effective) if treatment.is_stay() || is_elsewhere() => {
            sandbox.in_effect(effective, target)
        }
        _ => sandbox,
    };
    if let Some(effective) = &effective {
        let refused = refusals::find(&mut input.tree, files, &outside, &running, effective);
        outcome.is_refused = refused.iter().any(Finding::is_error);
        findings.extend(refused);
    }
    let names = files.0.iter().copied();
    let names = names.chain(outside.iter().map(|file| file.document));
    diagnostic::in_order(&mut findings, names.map(Document::name));
    let written = Written {
        drop_ins: &drop_ins,
        hosts_files: &hosts_files,
    };
    let steps = steps::of(&situation, outcome, written, target, options);
    let companions = companions::list(&input.tree, files, &parts);
    let mut ledger = ledger::ledger(&input.tree, files, &parts, input.without_effect);
    ledger.extend(outside.into_iter().flat_map(Outside::ledger));
    Plan {
        schema: SCHEMA,
        target: target.clone(),
        file: given.name.to_owned(),
        config_version: input.version,
        k0s_managed: situation.is_managed(),
        origin,
        drop_ins,
        hosts_files,
        removed: situation.emptied().to_vec(),
        ledger,
        companions,
        running: running.target.release,
        changes: changes.by_migration,
        release_changes: changes.by_release,
        sandbox,
        findings,
        steps,
        verified,
    }
}

/// What is kept, and what will be in effect then, if that is known.
struct Judged {
    moved: Option<Moved>,
    parts: Parts,
    expected: Option<Effective>,
}

/// Tells the user's settings from the rest, and converts them for the target.
fn judge(
    front: &impl Front,
    tree: &mut Tree,
    files: Files<'_>,
    outside: &[Outside<'_>],
    treatment: &Treatment<'_>,
    pulls: &Pulls<'_>,
    findings: &mut Vec<Finding>,
) -> Judged {
    let Pulls {
        target, options, ..
    } = *pulls;
    match treatment {
        Treatment::Rewrite => {
            let moved = convert(tree, files, pulls, findings);
            let expected = complete(tree, files, outside, pulls, findings);
            Judged {
                moved,
                parts: front.split(tree, target),
                expected,
            }
        }
        Treatment::Stay(stay) => {
            findings.extend(stay.judge(tree, files, target, options));
            hosts::diagnose_registry(tree, files, target, findings);
            Judged {
                moved: None,
                parts: stay.split(tree, target),
                expected: None,
            }
        }
        Treatment::Leave(dropped, why) => {
            for id in tree.leaves(ROOT) {
                tree.judge(id, Verdict::Drop(*dropped, why.clone()));
            }
            Judged {
                moved: None,
                parts: Vec::new(),
                expected: None,
            }
        }
    }
}

/// Judges each setting, and converts what has another form in the target; gives
/// what went to `hosts.toml` files.
fn convert(
    tree: &mut Tree,
    files: Files<'_>,
    pulls: &Pulls<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Moved> {
    let Pulls {
        target,
        origin,
        options,
        ..
    } = *pulls;
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
fn complete(
    tree: &mut Tree,
    files: Files<'_>,
    outside: &[Outside<'_>],
    pulls: &Pulls<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Effective> {
    let (target, pristine) = (pulls.target, pulls.pristine?);
    let mut expected = running::expected(tree, target, pristine);
    let left_out = dormant::leave_out(tree, files, &mut expected, pulls.running, target, pristine);
    findings.extend(left_out);
    outside.iter().for_each(|file| file.add_to(&mut expected));
    pulls.add(tree, &mut expected);
    Some(expected)
}

/// What is to be proven, and by what.
struct Proof<'a> {
    pristine: Option<&'a Effective>,
    input: &'a Input,
    parts: &'a Parts,
    drop_ins: &'a [DropIn],
    moved: Option<&'a Moved>,
    hosts_files: &'a [HostsFile],
    outside: &'a [Outside<'a>],
    target: &'a Target,
    options: &'a Options,
}

impl Proof<'_> {
    /// Reads what is written again, and compares it with what was wanted. Gives what
    /// is in effect with it.
    fn hold(&self) -> Result<Option<Effective>, String> {
        let wanted = wanted(&self.input.tree, self.parts);
        let pristine = self.pristine.ok_or("the target reads no drop-ins")?;
        let proven = verify::verify(self.target, self.drop_ins, wanted, pristine);
        let after = proven.map_err(|error| error.to_string())?;
        if let Some(moved) = self.moved {
            moved.check(self.hosts_files, self.target, self.options)?;
        }
        Ok(match self.outside {
            [] => Some(after),
            outside => with_outside(self.target, self.drop_ins, outside),
        })
    }
}

/// What the drop-ins are to bring about.
fn wanted<'t>(tree: &'t Tree, parts: &'t Parts) -> impl Iterator<Item = Wanted<'t>> {
    let wanted = |(_, id): &(Concern, Id)| (tree.path(*id), tree.value(*id));
    parts.iter().map(wanted)
}

/// What is in effect with the drop-ins and what they import from elsewhere.
fn with_outside(
    target: &Target,
    drop_ins: &[DropIn],
    outside: &[Outside<'_>],
) -> Option<Effective> {
    let texts = drop_ins.iter().map(|file| (&file.name, file.text()));
    let set = DropInSet::default().importing(texts.chain(outside::texts(outside)));
    let assembled = k0s::assemble_all(&target.release, target.pause_image(), &set.ok()?);
    assembled.ok().map(k0s::Assembled::effective)
}
