//! Compares a node before and after.

use std::collections::BTreeSet;

use crate::case::{Case, Policy, Wanted, is_as_said};
use crate::recorded::{AGAIN, Recorded};
use crate::sides::Side;

/// What a case comes to.
pub(crate) struct Verdict {
    pub(crate) report: String,
    pub(crate) holds: bool,
}

/// What stands for a fact that there is not.
pub(crate) const NOTHING: &str = "nothing";

impl Wanted {
    /// What tells a target from the others of a case.
    pub(crate) fn name(&self) -> String {
        let how = match self.registry {
            None => "",
            Some(Policy::Keep) => "-keep",
            Some(Policy::Convert) => "-convert",
        };
        format!("{}{how}", self.k0s)
    }
}

impl Verdict {
    /// The side before: is the case about what it says it is?
    pub(crate) fn new(case: &Case, was: &Recorded) -> Verdict {
        let mut verdict = Verdict {
            report: String::new(),
            holds: true,
        };
        for (about, said) in &case.said.before {
            let found = fact(was, about);
            if !is_as_said(said, found) {
                verdict.fail(&format!("before, {about}: {found}\n    should be: {said}"));
            }
        }
        if !verdict.holds {
            verdict.log("before", was);
        }
        verdict
    }

    /// What was recorded of the same containerd has to be what is seen.
    pub(crate) fn compare(&mut self, seen: &Recorded, recorded: Result<Recorded, String>) {
        match recorded {
            Ok(recorded) if recorded.containerd != seen.containerd => {}
            Ok(recorded) => {
                for about in recorded.differs(seen) {
                    self.fail(&format!("{about} is recorded otherwise; {AGAIN}"));
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, why: &str) {
        self.holds = false;
        self.line(&format!("  FAILED: {why}"));
    }

    fn line(&mut self, line: &str) {
        self.report.push_str(line);
        self.report.push('\n');
    }

    fn log(&mut self, when: &str, recorded: &Recorded) {
        for line in recorded.log.lines() {
            if [
                "level=warning",
                "level=error",
                "level=fatal",
                "containerd: ",
            ]
            .iter()
            .any(|mark| line.contains(mark))
            {
                self.line(&format!("    log {when}: {line}"));
            }
        }
    }
}

fn fact<'r>(recorded: &'r Recorded, about: &str) -> &'r str {
    recorded.facts.get(about).map_or(NOTHING, String::as_str)
}

/// The side after, beside the one before.
pub(crate) fn judge(
    verdict: &mut Verdict,
    wanted: &Wanted,
    side: &Side,
    was: &Recorded,
    is: &Recorded,
) {
    let held = std::mem::replace(&mut verdict.holds, true);
    verdict.line(&format!(
        "  {}: containerd {} before, {} after",
        wanted.name(),
        was.containerd,
        is.containerd
    ));
    let all: BTreeSet<&String> = was.facts.keys().chain(is.facts.keys()).collect();
    for about in all {
        let (before, after) = (fact(was, about), fact(is, about));
        let holds = match wanted.after.get(about) {
            Some(said) => is_as_said(said, after),
            None if about == "sockets" && was.containerd != is.containerd => {
                let after = after.split("; ").filter(|one| *one != SOCKET_OF_RELEASE);
                before.split("; ").eq(after)
            }
            None => after == before,
        };
        show(verdict, about, before, after, was, is);
        if !holds {
            let said = wanted.after.get(about);
            let should = said.map_or("as before", String::as_str);
            verdict.fail(&format!("{about} should be: {should}"));
        }
    }
    for about in wanted.after.keys() {
        if !is.facts.contains_key(about) && !was.facts.contains_key(about) {
            verdict.fail(&format!("{about}: nobody saw it"));
        }
    }
    let is_other_release = was.containerd != is.containerd;
    for (of, changes) in &is.changes {
        let of_release = |path: &String| OF_RELEASE.iter().any(|one| path.starts_with(one));
        let ours = changes
            .iter()
            .filter(|(path, _)| !is_other_release || !of_release(path));
        for (path, change) in ours {
            verdict.fail(&format!("the OCI spec of {of}, {path}: {change}"));
        }
    }
    if side.errors != wanted.errors {
        let (found, said) = (side.errors.join(", "), wanted.errors.join(", "));
        verdict.fail(&format!("the plan's errors are [{found}], not [{said}]"));
    }
    for code in &wanted.warnings {
        if !side.warnings.contains(code) {
            let found = side.warnings.join(", ");
            verdict.fail(&format!(
                "the plan's warnings are [{found}], without {code}"
            ));
        }
    }
    if !verdict.holds {
        if let Ok(files) = &side.files {
            for (path, text) in files {
                if !path.starts_with("/run/") {
                    verdict.line(&format!("    file {path}:"));
                    let text: String = text.lines().map(|line| format!("      {line}\n")).collect();
                    verdict.report.push_str(&text);
                }
            }
        }
        verdict.log("after", is);
    }
    verdict.holds &= held;
}

/// A fact on both sides, and the lines that tell it.
fn show(
    verdict: &mut Verdict,
    about: &str,
    before: &str,
    after: &str,
    was: &Recorded,
    is: &Recorded,
) {
    let told = |recorded: &Recorded| {
        let line = recorded.told.get(about).map(|line| line.trim());
        let line = line.filter(|line| !line.is_empty());
        line.map_or_else(String::new, |line| format!("\n        by: {line}"))
    };
    match before == after {
        true => verdict.line(&format!("    {about}: {after}{}", told(is))),
        false => {
            verdict.line(&format!("    {about}"));
            verdict.line(&format!("      before: {before}{}", told(was)));
            verdict.line(&format!("      after:  {after}{}", told(is)));
        }
    }
}

/// What containerd 2.x makes of any pod, as the case `pristine` shows.
const OF_RELEASE: &[&str] = &[
    ".annotations.io.kubernetes.cri.podsandbox.image-name",
    ".linux.sysctl.net.ipv4.ip_unprivileged_port_start",
    ".linux.sysctl.net.ipv4.ping_group_range",
    ".mounts[/sys].options",
    ".ociVersion",
];

/// A socket that containerd 2.x makes of itself.
const SOCKET_OF_RELEASE: &str = "/run/nri/nri.sock 0755 0:0";
