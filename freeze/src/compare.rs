//! What differs, and how it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use similar::TextDiff;

use crate::files;
use crate::frames::Frame;
use crate::outputs::Kind;
use crate::record::{Line, Lines, Readable};
use crate::run::Run;

/// What to do about differences.
pub(crate) const ON_PURPOSE: &str = "\nIf this is on purpose, record it:\n\
    \x20   cargo run --release -p containerd-dropins-freeze -- record\n";

/// How outputs of which only digests are kept are looked at.
const SEE_FULL: &str = "\nOf outputs that are not readable only digests are kept. To see what changed, in a\n\
    checkout of the code before the change:\n\
    \x20   cargo run --release -p containerd-dropins-freeze -- record --full DIR\n\
    and here `compare --against DIR`.\n";

/// What files of inputs go by in place of a kind.
pub(crate) const INPUT: &str = "input";

/// An output, or an input, that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Its kind, and of what it is.
    pub(crate) name: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Change {
    /// The first word of its name.
    fn kind(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    fn is_of_input(&self) -> bool {
        self.kind() == INPUT
    }

    fn rank(&self) -> Option<usize> {
        let kind = Kind::find(self.kind())?;
        Kind::ALL.iter().position(|other| *other == kind)
    }
}

/// What differs between the frames of one input.
pub(crate) fn changes(before: Vec<Frame>, after: Vec<Frame>) -> Vec<Change> {
    // Two outputs may have one name: their bodies are then one after the other.
    let by_name = |frames: Vec<Frame>| {
        let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for Frame { name, body } in frames {
            all.entry(name).or_default().extend(body);
        }
        all
    };
    let text = |body: &Vec<u8>| String::from_utf8_lossy(body).into_owned();
    let (before, after) = (by_name(before), by_name(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    let changes = differing.map(|name| Change {
        name: name.clone(),
        before: before.get(name).map(text),
        after: after.get(name).map(text),
    });
    let mut changes: Vec<Change> = changes.collect();
    // What a person reads first.
    changes.sort_by_key(Change::rank);
    // What comes of another input says nothing.
    if changes.iter().any(Change::is_of_input) {
        changes.retain(Change::is_of_input);
    }
    changes
}

/// How an input differs from what is recorded of it.
#[derive(Clone, Debug, PartialEq)]
enum Difference {
    New,
    Gone,
    /// It is another input now, so that its outputs say nothing.
    Input,
    /// Its outputs do, those of these kinds.
    Outputs(Vec<Kind>),
}

fn difference(before: Option<&Line>, after: Option<&Line>) -> Option<Difference> {
    match (before, after) {
        (Some(before), Some(after)) if before.input != after.input => Some(Difference::Input),
        (Some(before), Some(after)) if before.all != after.all => {
            Some(Difference::Outputs(before.differing(after)))
        }
        (Some(_), None) => Some(Difference::Gone),
        (None, Some(_)) => Some(Difference::New),
        _ => None,
    }
}

/// Compares with the digests and the readable files. Whether nothing differs.
pub(crate) fn with_recorded(
    run: &Run,
    (lines, readable): &(Lines, Readable),
    show: usize,
    text: &mut String,
) -> bool {
    let names: BTreeSet<&String> = lines.keys().chain(run.lines.keys()).collect();
    let found: Vec<(&String, Difference)> = names
        .into_iter()
        .filter_map(|name| Some((name, difference(lines.get(name), run.lines.get(name))?)))
        .collect();
    let files: BTreeSet<&String> = readable.keys().chain(run.readable.keys()).collect();
    let files: Vec<&String> = files
        .into_iter()
        .filter(|name| readable.get(*name) != run.readable.get(*name))
        .collect();
    text.push_str(&format!("{}\n", run.counts()));
    if found.is_empty() && files.is_empty() {
        text.push_str("all as recorded\n");
        return true;
    }
    let count = |is: fn(&Difference) -> bool| found.iter().filter(|(_, one)| is(one)).count();
    text.push_str(&format!(
        "inputs: {} new, {} gone, {} others than before; outputs differ of {}\n",
        count(|one| *one == Difference::New),
        count(|one| *one == Difference::Gone),
        count(|one| *one == Difference::Input),
        count(|one| matches!(one, Difference::Outputs(_))),
    ));
    for kind in Kind::ALL {
        let of_it = |(_, one): &&(&String, Difference)| match one {
            Difference::Outputs(kinds) => kinds.contains(&kind),
            _ => false,
        };
        let count = found.iter().filter(of_it).count();
        if count > 0 {
            text.push_str(&format!("  {:14} of {count}\n", kind.as_str()));
        }
    }
    for (name, one) in found.iter().take(show) {
        let what = match one {
            Difference::New => "new".to_owned(),
            Difference::Gone => "gone".to_owned(),
            Difference::Input => "another input".to_owned(),
            Difference::Outputs(kinds) => {
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                kinds.join(", ")
            }
        };
        text.push_str(&format!("{name}: {what}\n"));
    }
    more(found.len(), show, text);
    for name in files.iter().take(show) {
        let change = Change {
            name: format!("freeze/readable/{name}.txt"),
            before: readable.get(*name).cloned(),
            after: run.readable.get(*name).cloned(),
        };
        diff(&change, text);
    }
    if files.len() > show {
        text.push('\n');
    }
    more(files.len(), show, text);
    if found
        .iter()
        .any(|(name, one)| matches!(one, Difference::Outputs(_)) && !files.contains(name))
    {
        text.push_str(SEE_FULL);
    }
    false
}

fn more(count: usize, show: usize, text: &mut String) {
    if let Some(rest) = count.checked_sub(show).filter(|rest| *rest > 0) {
        text.push_str(&format!("… and {rest} more\n"));
    }
}

/// Tells what differs from full outputs. Whether nothing does.
///
/// Of each input the first text that differs is shown, or of an input that is looked
/// at by its name, `only`, each.
pub(crate) fn with_full(
    run: &Run,
    folder: &Path,
    only: Option<&str>,
    show: usize,
    text: &mut String,
) -> Result<bool, String> {
    text.push_str(&format!("{}\n", run.counts()));
    let files = files::all_in(folder)?.into_iter();
    let names = files.filter_map(|(name, _)| Some(name.strip_suffix(".gz")?.to_owned()));
    let mut gone: BTreeSet<String> = names.collect();
    if gone.is_empty() {
        return Err(format!("{}: there are no full outputs", folder.display()));
    }
    gone.retain(|name| only.is_none_or(|only| name == only) && !run.lines.contains_key(name));
    if gone.is_empty() && run.changes.is_empty() {
        text.push_str("all the same\n");
        return Ok(true);
    }
    for name in &gone {
        text.push_str(&format!("{name}: gone\n"));
    }
    let changes = run.changes.values().flatten();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    changes.for_each(|change| *kinds.entry(change.kind()).or_default() += 1);
    let (inputs, outputs) = (run.changes.len(), kinds.values().sum::<usize>());
    text.push_str(&format!("{outputs} texts differ, of {inputs} inputs\n"));
    for (kind, count) in &kinds {
        text.push_str(&format!("  {kind:14} {count}\n"));
    }
    let each = if only.is_some() { usize::MAX } else { 1 };
    let all = run.changes.iter().flat_map(|(name, changes)| {
        let changes = changes.iter().take(each);
        changes.map(move |change| (name, change))
    });
    let all: Vec<(&String, &Change)> = all.collect();
    for (name, change) in all.iter().take(show) {
        let change = Change {
            name: format!("{name}: {}", change.name),
            before: change.before.as_deref().map(spread),
            after: change.after.as_deref().map(spread),
        };
        diff(&change, text);
    }
    if all.len() > show {
        text.push('\n');
    }
    more(all.len(), show, text);
    Ok(false)
}

/// JSON line by line, in the order in which it stands there.
fn spread(text: &str) -> String {
    let mut spread = String::new();
    for line in text.lines() {
        if !line.starts_with(['{', '[']) {
            spread.push_str(line);
            spread.push('\n');
            continue;
        }
        let mut in_string = false;
        let mut is_escaped = false;
        for c in line.chars() {
            let was_escaped = std::mem::take(&mut is_escaped);
            match c {
                '"' if !was_escaped => in_string = !in_string,
                '\\' if in_string => is_escaped = !was_escaped,
                _ => {}
            }
            spread.push(c);
            if !in_string && matches!(c, ',' | '{' | '[') {
                spread.push('\n');
            }
        }
        spread.push('\n');
    }
    spread
}

/// A difference as a person reads it.
fn diff(change: &Change, text: &mut String) {
    let before = change.before.as_deref().unwrap_or_default();
    let after = change.after.as_deref().unwrap_or_default();
    let side = |is_there: bool| {
        if is_there {
            change.name.as_str()
        } else {
            "/dev/null"
        }
    };
    let lines = TextDiff::from_lines(before, after);
    let mut unified = lines.unified_diff();
    unified
        .context_radius(2)
        .header(side(change.before.is_some()), side(change.after.is_some()));
    text.push('\n');
    let shown = unified.to_string();
    for line in shown.lines().take(MOST_LINES) {
        text.push_str(line);
        text.push('\n');
    }
    more(shown.lines().count(), MOST_LINES, text);
}

/// So many lines of a difference are shown.
const MOST_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, body: &str) -> Frame {
        Frame {
            name: name.to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn frames_are_compared_by_name() {
        let before = vec![frame("text a", "1\n"), frame("steps a", "2\n")];
        let after = vec![
            frame("steps a", "2\n"),
            frame("text a", "3\n"),
            frame("json a", ""),
        ];
        let found = changes(before.clone(), after);
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["text a", "json a"]);
        assert_eq!(found[0].after.as_deref(), Some("3\n"));
        assert_eq!(found[1].before, None);
        assert!(changes(before.clone(), before).is_empty());
    }

    #[test]
    fn json_is_shown_in_lines() {
        let text = r#"{"a":["b,[",1],"c":"\"{"}"#;
        assert_eq!(
            spread(text),
            "{\n\"a\":[\n\"b,[\",\n1],\n\"c\":\"\\\"{\"}\n"
        );
        assert_eq!(spread("plain, text\n"), "plain, text\n");
    }

    fn line(input: &str, all: &str) -> Line {
        Line {
            input: input.to_owned(),
            all: all.to_owned(),
            kinds: vec!["-".to_owned(); Kind::ALL.len()],
        }
    }

    #[test]
    fn another_input_is_told_from_another_output() {
        let (a, b) = (line("1", "1"), line("2", "2"));
        assert_eq!(difference(Some(&a), Some(&b)), Some(Difference::Input));
        let b = line("1", "2");
        let outputs = Difference::Outputs(Vec::new());
        assert_eq!(difference(Some(&a), Some(&b)), Some(outputs));
        assert_eq!(difference(Some(&a), Some(&a)), None);
        assert_eq!(difference(Some(&a), None), Some(Difference::Gone));
        assert_eq!(difference(None, Some(&a)), Some(Difference::New));
    }

    #[test]
    fn of_another_input_the_outputs_are_not_compared() {
        let before = vec![frame("input /a", "1\n"), frame("text a", "1\n")];
        let after = vec![frame("input /a", "2\n"), frame("text a", "2\n")];
        let found = changes(before, after);
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["input /a"]);
    }

    /// A readable file that somebody changed is not as recorded.
    #[test]
    fn readable_files_count_by_themselves() {
        let mut run = Run::default();
        run.readable.insert("a".to_owned(), "new\n".to_owned());
        let old = Readable::from([("a".to_owned(), "old\n".to_owned())]);
        let mut text = String::new();
        assert!(!with_recorded(&run, &(Lines::new(), old), 10, &mut text));
        assert!(text.contains("-old\n+new\n"), "{text}");
        let same = (Lines::new(), run.readable.clone());
        assert!(with_recorded(&run, &same, 10, &mut text));
    }
}
