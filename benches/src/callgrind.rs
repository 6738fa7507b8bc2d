//! Instructions, counted by callgrind part by part of one process.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

/// The function that parts begin with, whatever stands around its name in a binary.
const BEGIN: &str = "begin_counted_part";

/// Runs `program CASE` under callgrind and tells the instructions of its parts by
/// their names, the sum where several parts have the same.
///
/// # Errors
///
/// Valgrind is not installed, it fails, or what it writes is not understood.
pub fn instructions(program: &Path, case: &str) -> Result<BTreeMap<String, u64>, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let profile = directory.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--command-line-only=yes", "--tool=callgrind"])
        .args(["--cache-sim=no", "--branch-sim=no", "--combine-dumps=yes"])
        .arg(format!("--dump-before=*{BEGIN}*"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args([program.as_os_str(), case.as_ref()])
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "valgrind counts the instructions, and is not installed: \
                                    `apt-get install valgrind`, or whatever your system has"
                .to_owned(),
            _ => format!("valgrind: {error}"),
        })?;
    let names = names(&output).map_err(|error| format!("{case}: {error}"))?;
    let profile = std::fs::read_to_string(&profile).map_err(|error| format!("{case}: {error}"))?;
    by_name(&names, &parts(&profile)?).map_err(|error| format!("{case}: {error}"))
}

fn names(output: &Output) -> Result<Vec<String>, String> {
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}\n{said}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}

/// The instructions of each part of a profile. What is in front of the first begin
/// is a part, and what is behind the last one too.
fn parts(profile: &str) -> Result<Vec<u64>, String> {
    let mut parts = Vec::new();
    for line in profile.lines() {
        if let Some(events) = line.strip_prefix("events: ")
            && events.trim() != "Ir"
        {
            return Err(format!("callgrind counted something else: {events:?}"));
        }
        if let Some(total) = line.strip_prefix("totals: ") {
            let total = total.trim().parse();
            parts.push(total.map_err(|_| format!("not a number of instructions: {line:?}"))?);
        }
    }
    Ok(parts)
}

/// Each name begins a part; what is in front of the first has none.
fn by_name(names: &[String], parts: &[u64]) -> Result<BTreeMap<String, u64>, String> {
    if parts.len() != names.len() + 1 {
        let (found, begun) = (parts.len(), names.len());
        return Err(format!(
            "{begun} parts were begun, and callgrind tells of {found} with what is in front"
        ));
    }
    let mut sums = BTreeMap::new();
    for (name, part) in names.iter().zip(parts.iter().skip(1)) {
        *sums.entry(name.clone()).or_insert(0) += part;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What callgrind 3.19 wrote of a program that began three parts, less most of its lines.
    const PROFILE: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
part: 1
desc: Trigger: --dump-before=a::begin_counted_part

positions: line
events: Ir
summary: 294871

fl=(1) a.rs
fn=(1) totals
12 294871

totals: 294871

part: 2
desc: Trigger: --dump-before=a::begin_counted_part
events: Ir
summary: 163073
totals: 163073
part: 3
events: Ir
summary: 20
totals: 20
part: 4
desc: Trigger: Program termination
events: Ir
summary: 5842
totals: 5842
";

    fn named(names: &[&str]) -> Result<BTreeMap<String, u64>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        by_name(&names, &parts(PROFILE)?)
    }

    #[test]
    fn parts_are_told_by_the_names_that_began_them() {
        let expected = [("a", 163_073), ("b", 20), ("", 5_842)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(named(&["a", "b", ""]), Ok(expected.into()));
    }

    #[test]
    fn parts_of_one_name_are_one() {
        let expected = [("a", 163_073 + 5_842), ("b", 20)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(named(&["a", "b", "a"]), Ok(expected.into()));
    }

    /// As where a compiler has put the function that begins parts into its callers.
    #[test]
    fn a_begin_that_callgrind_has_not_seen_is_an_error() {
        let error = named(&["a", "b", "c", ""]).unwrap_err();
        assert!(error.starts_with("4 parts were begun, and callgrind tells of 4"));
        assert!(named(&["a"]).is_err());
    }

    #[test]
    fn what_is_no_count_of_instructions_is_an_error() {
        let odd = PROFILE.replace("totals: 20", "totals: many");
        assert!(parts(&odd).unwrap_err().contains("totals: many"));
        let others = PROFILE.replace("events: Ir", "events: Dr");
        assert!(parts(&others).is_err());
    }
}
