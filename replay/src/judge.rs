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
                    self.fail(&format!("recorded otherwise: {about}; {AGAIN}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(containerd: &str, facts: &[(&str, &str)], changes: &[(&str, &str)]) -> Recorded {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect()
        };
        let changes = match changes.is_empty() {
            true => [].into(),
            false => [("pod default".to_owned(), owned(changes))].into(),
        };
        Recorded::of_facts(containerd, owned(facts), changes)
    }

    fn wanted(text: &str) -> Wanted {
        toml_edit::de::from_str(&format!("k0s = \"v1.36.3\"\n{text}")).unwrap()
    }

    #[track_caller]
    fn check(said: &str, errors: &[&str], was: &Recorded, is: &Recorded, holds: bool) {
        let side = Side {
            containerd: "2.1.9".parse().unwrap(),
            files: Ok([].into()),
            pause: String::new(),
            errors: errors.iter().map(|code| (*code).to_owned()).collect(),
            warnings: vec!["pods-refused".to_owned()],
        };
        let mut verdict = Verdict {
            report: String::new(),
            holds: true,
        };
        judge(&mut verdict, &wanted(said), &side, was, is);
        assert_eq!(verdict.holds, holds, "{}", verdict.report);
        // What failed before is not forgotten.
        verdict.holds = false;
        judge(&mut verdict, &wanted(said), &side, was, is);
        assert!(!verdict.holds);
    }

    #[test]
    fn what_is_not_said_is_as_before() {
        let runs = recorded("1.7.24", &[("pod a", "runs")], &[]);
        let fails = recorded("1.7.24", &[("pod a", "fails: why")], &[]);
        let nothing = recorded("1.7.24", &[], &[]);
        check("", &[], &runs, &runs, true);
        check("", &[], &runs, &fails, false);
        check("", &[], &runs, &nothing, false);
        check("", &[], &nothing, &runs, false);
        let said = "after = {\"pod a\" = \"fails: ...\"}";
        check(said, &[], &runs, &fails, true);
        check(said, &[], &runs, &runs, false);
        check(said, &[], &nothing, &nothing, false);
    }

    #[test]
    fn findings_are_as_said() {
        let runs = recorded("1.7.24", &[("pod a", "runs")], &[]);
        check("", &["cri-refuses"], &runs, &runs, false);
        check(
            "errors = [\"cri-refuses\"]",
            &["cri-refuses"],
            &runs,
            &runs,
            true,
        );
        check("errors = [\"cri-refuses\"]", &[], &runs, &runs, false);
        check("warnings = [\"pods-refused\"]", &[], &runs, &runs, true);
        check("warnings = [\"pulls-refused\"]", &[], &runs, &runs, false);
    }

    #[test]
    fn only_another_release_excuses_what_it_brings() {
        let facts = [("sockets", "/a 0660 0:0")];
        let was = recorded("1.7.24", &facts, &[]);
        let version = [(".ociVersion", "1 -> 2")];
        check("", &[], &was, &recorded("2.1.9", &facts, &version), true);
        check("", &[], &was, &recorded("1.7.24", &facts, &version), false);
        let other = [(".process.oomScoreAdj", "1 -> 2")];
        check("", &[], &was, &recorded("2.1.9", &facts, &other), false);

        let more = [("sockets", "/a 0660 0:0; /run/nri/nri.sock 0755 0:0")];
        check("", &[], &was, &recorded("2.1.9", &more, &[]), true);
        check("", &[], &was, &recorded("1.7.24", &more, &[]), false);
        let mode = [("sockets", "/a 0666 0:0; /run/nri/nri.sock 0755 0:0")];
        check("", &[], &was, &recorded("2.1.9", &mode, &[]), false);
    }
}
