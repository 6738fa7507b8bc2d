//! The plan as text, for a tired administrator.

use std::collections::BTreeMap;
use std::fmt;

use super::changes::Change;
use super::ledger::{Fate, LedgerEntry};
use super::origin::Origin;
use super::plan::Plan;
use crate::diagnostic::Finding;
use crate::k0s::FileName;
use crate::shown::{plural, printable};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(self, f)?;
        kept(self, f)?;
        companions(self, f)?;
        moved(self, f)?;
        dropped(self, f)?;
        left(self, f)?;
        changes(&self.changes, "WHAT CHANGES ON THE NODE", f)?;
        let title = format!("WHAT CHANGES WITH THE RELEASE, FROM k0s {}", self.running);
        changes(&self.release_changes, &title, f)?;
        if !self.findings.is_empty() {
            writeln!(f, "\nFINDINGS")?;
            findings(&self.findings, f)?;
        }
        writeln!(f, "\nNEXT STEPS")?;
        steps(&self.steps, f)
    }
}

/// Said behind a fact that the caller stated.
fn stated(is_stated: bool) -> &'static str {
    if is_stated { " (as stated)" } else { "" }
}

fn head(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let target = &plan.target;
    let release = &target.release;
    writeln!(
        f,
        "Migration of {} for k0s {}",
        printable(&plan.file),
        plan.target.requested
    )?;
    writeln!(f)?;
    writeln!(
        f,
        "  target   k0s {release} with containerd {}{}, sandbox image {}{}",
        target.containerd(),
        stated(target.stated.containerd),
        target.pause_image(),
        stated(target.stated.pause_image)
    )?;
    writeln!(
        f,
        "  file     config version {}, {}",
        plan.config_version,
        plural(plan.ledger.len(), "key")
    )?;
    match &plan.origin {
        Origin::Sparse => writeln!(f, "  origin   written by hand: each key counts as a choice")?,
        Origin::Forced { release } => writeln!(
            f,
            "  origin   taken for a dump of containerd {release}, as asked"
        )?,
        Origin::Dump(dump) => {
            let range = match dump.first == dump.last {
                true => dump.first.to_string(),
                false => format!("{} to {}", dump.first, dump.last),
            };
            let part = if dump.cri_only {
                ", CRI section only"
            } else {
                ""
            };
            let edits = plan.kept().count();
            writeln!(
                f,
                "  origin   `containerd config default` of {range}{part} with {}",
                plural(edits, "edit")
            )?;
            writeln!(
                f,
                "           {} of the {} keys it prints are there unchanged",
                dump.matching, dump.printed
            )?;
            if !dump.decided_by.is_empty() {
                writeln!(f, "           told by {}", dump.decided_by.join(", "))?;
            }
        }
    }
    let verified = match plan.verified {
        true => "yes: the configuration with the drop-ins was computed and compared, key by key",
        false => "no",
    };
    writeln!(f, "  verified {verified}")
}

fn kept(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if plan.drop_ins.is_empty() {
        return Ok(());
    }
    let keys = plan.kept().count();
    writeln!(
        f,
        "\nKEPT: {} in {}",
        plural(keys, "key"),
        plural(plan.drop_ins.len(), "drop-in")
    )?;
    let mut by_file: BTreeMap<Option<&FileName>, Vec<&LedgerEntry>> = BTreeMap::new();
    for entry in plan.kept() {
        by_file.entry(entry.fate.drop_in()).or_default().push(entry);
    }
    for drop_in in &plan.drop_ins {
        let mode = if drop_in.sensitive {
            ", holds what is not shown: mode 0600"
        } else {
            ""
        };
        let name = printable(drop_in.name.as_str());
        writeln!(f, "\n  {name} ({}{mode})", drop_in.about)?;
        let entries = by_file
            .get(&Some(&drop_in.name))
            .map(Vec::as_slice)
            .unwrap_or_default();
        for entry in entries.iter().take(MOST_LISTED) {
            line(plan, entry, f)?;
            match &entry.fate {
                Fate::Converted { to, .. } => {
                    writeln!(f, "      now {}: {}", to.join(", "), entry.reason)?
                }
                Fate::CarriedOver { .. } => writeln!(f, "      {}", entry.reason)?,
                _ => {}
            }
        }
        more(f, entries.len())?;
        if entries.len() <= MOST_LISTED {
            writeln!(f)?;
            for line in drop_in.redacted_text().lines() {
                writeln!(f, "    | {}", printable(line))?;
            }
        }
    }
    Ok(())
}

/// What no key of the input stands for.
fn companions(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if plan.companions.is_empty() {
        return Ok(());
    }
    let keys = plural(plan.companions.len(), "key");
    writeln!(f, "\nADDED: {keys} that yours need on the target")?;
    for companion in plan.companions.iter().take(MOST_LISTED) {
        let drop_in = printable(companion.drop_in.as_str());
        writeln!(f, "    {drop_in}: {} = {}", companion.key, companion.value)?;
        let line = companion.span.as_ref();
        let line = line.map_or_else(String::new, |span| format!(", line {}", span.line));
        writeln!(
            f,
            "      for {}{line}: {}",
            companion.owed_to, companion.reason
        )?;
    }
    more(f, plan.companions.len())
}

fn is_moved(entry: &LedgerEntry) -> bool {
    matches!(entry.fate, Fate::MovedToHostsToml { .. })
}

/// What went to `hosts.toml` files.
fn moved(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let entries: Vec<_> = plan.ledger.iter().filter(|entry| is_moved(entry)).collect();
    if plan.hosts_files.is_empty() && entries.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\nMOVED: {} to {}",
        plural(entries.len(), "key"),
        plural(plan.hosts_files.len(), "hosts.toml file")
    )?;
    for entry in entries.iter().take(MOST_LISTED) {
        line(plan, entry, f)?;
    }
    more(f, entries.len())?;
    for file in plan.hosts_files.iter().take(MOST_LISTED) {
        writeln!(f, "\n  {}\n", printable(&file.path))?;
        for line in file.redacted_text().lines() {
            writeln!(f, "    | {}", printable(line))?;
        }
    }
    more(f, plan.hosts_files.len())
}

/// More entries than this are counted, not listed.
const MOST_LISTED: usize = 40;

fn more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.checked_sub(MOST_LISTED) {
        Some(rest) if rest > 0 => writeln!(f, "    … and {rest} more"),
        _ => Ok(()),
    }
}

fn line(plan: &Plan, entry: &LedgerEntry, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("    ")?;
    if entry.span.file != plan.file {
        // Drop-ins by their names.
        let name = entry.span.file.strip_prefix(&plan.file);
        let name = name.map(|name| name.trim_start_matches('/'));
        let name = name.unwrap_or(&entry.span.file);
        write!(f, "{} ", printable(name))?;
    }
    writeln!(
        f,
        "line {}: {} = {}",
        entry.span.line, entry.key, entry.value
    )
}

fn dropped(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let dropped: Vec<_> = plan
        .ledger
        .iter()
        .filter(|entry| entry.fate.drop_in().is_none() && !is_moved(entry))
        .filter(|entry| entry.fate != Fate::LeftInPlace)
        .collect();
    if dropped.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nDROPPED: {}", plural(dropped.len(), "key"))?;
    let groups = [
        ("cannot be kept", Fate::NotExpressible),
        ("gone in the target's containerd", Fate::Obsolete),
        ("had no effect before", Fate::NoEffect),
        ("stale defaults, nobody's choice", Fate::StaleDefault),
        ("decided by k0s", Fate::OwnedByK0s),
    ];
    for (title, fate) in groups {
        let entries: Vec<_> = dropped.iter().filter(|entry| entry.fate == fate).collect();
        if entries.is_empty() {
            continue;
        }
        writeln!(f, "\n  {title}:")?;
        for entry in entries.iter().take(MOST_LISTED) {
            line(plan, entry, f)?;
            writeln!(f, "      {}", entry.reason)?;
        }
        more(f, entries.len())?;
    }
    let converted: Vec<_> = dropped
        .iter()
        .filter(|entry| matches!(entry.fate, Fate::Converted { .. }))
        .collect();
    if !converted.is_empty() {
        writeln!(f, "\n  converted to what the target has by itself:")?;
        for entry in converted {
            line(plan, entry, f)?;
        }
    }
    let same = dropped
        .iter()
        .filter(|entry| entry.fate == Fate::EqualsTargetDefault)
        .count();
    if same > 0 {
        writeln!(
            f,
            "\n  the same in the target without it: {}",
            plural(same, "key")
        )?;
    }
    Ok(())
}

/// What stands in files that are not rewritten.
fn left(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut by_file: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &plan.ledger {
        if entry.fate == Fate::LeftInPlace {
            *by_file.entry(&entry.span.file).or_default() += 1;
        }
    }
    if by_file.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nLEFT IN PLACE, in files of other tools")?;
    for (file, count) in by_file {
        let file = printable(file);
        writeln!(f, "\n  {file}: {}", plural(count, "key"))?;
    }
    Ok(())
}

fn changes(changes: &[Change], title: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    let mut last = None;
    for change in changes {
        let show = |value: &Option<super::Redacted>| match value {
            Some(value) if value.expose().as_table().is_some() => "an entry".to_owned(),
            Some(value) => value.to_string(),
            None => "none".to_owned(),
        };
        if last.is_some_and(|last| last != change.reason) {
            writeln!(f, "    {}", last.unwrap_or_default())?;
        }
        last = Some(change.reason.as_str());
        let (before, after) = (show(&change.before), show(&change.after));
        writeln!(f, "  {}: {before} -> {after}", change.key)?;
    }
    writeln!(f, "    {}", last.unwrap_or_default())
}

/// The findings, under whatever title.
pub(crate) fn findings(findings: &[Finding], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for finding in findings {
        writeln!(f, "  {finding}")?;
        if let Some(key) = &finding.key {
            writeln!(f, "    key: {key}")?;
        }
        writeln!(f, "    help: {}", finding.help)?;
    }
    Ok(())
}

/// The steps, under whatever title.
pub(crate) fn steps(steps: &[impl fmt::Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (number, step) in steps.iter().enumerate() {
        writeln!(f, "  {}. {step}", number + 1)?;
    }
    Ok(())
}
