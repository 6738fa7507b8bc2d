//! What is kept of the outputs: a line of digests for each input, and readable
//! files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::combinations::MAIN;
use crate::digest::Digest;
use crate::files;
use crate::inputs::{Breadth, Input};
use crate::outputs::{Kind, Output};

/// The digests of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) input: String,
    /// Of all outputs.
    pub(crate) all: String,
    /// Of each kind, short: they tell where a difference is, not whether there is
    /// one.
    pub(crate) kinds: Vec<String>,
}

/// Hexadecimal digits of a digest that decides.
const LONG: usize = 24;

/// Of one that is looked at when another decided.
const SHORT: usize = 4;

impl Line {
    pub(crate) fn new(input: &Input, outputs: &[Output]) -> Line {
        let mut all = Digest::default();
        let mut kinds = Vec::new();
        for kind in Kind::ALL {
            let mut digest = Digest::default();
            for output in outputs.iter().filter(|output| output.kind == kind) {
                digest.add(output.of.as_bytes());
                digest.add(output.text.as_bytes());
            }
            all.add(digest.hex(64).as_bytes());
            kinds.push(digest.hex(SHORT));
        }
        Line {
            input: input.digest().hex(LONG / 2),
            all: all.hex(LONG),
            kinds,
        }
    }

    /// Which kinds differ; none if nothing does.
    pub(crate) fn differing(&self, other: &Line) -> Vec<Kind> {
        if self.all == other.all {
            return Vec::new();
        }
        let pairs = self.kinds.iter().zip(&other.kinds);
        let pairs = Kind::ALL.into_iter().zip(pairs);
        let differing = pairs.filter(|(_, (a, b))| a != b);
        differing.map(|(kind, _)| kind).collect()
    }
}

/// The lines by input.
pub(crate) type Lines = BTreeMap<String, Line>;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn digests() -> PathBuf {
    folder().join("digests.txt")
}

/// What stands above the lines.
fn head() -> String {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    format!(
        "# Written by `freeze record`: a name, the digest of the input, of all that comes of\n\
         # it, and of each kind of output:\n\
         # {}\n",
        kinds.join(" ")
    )
}

pub(crate) fn to_text(lines: &Lines) -> String {
    let mut text = head();
    for (name, line) in lines {
        let kinds = line.kinds.join(" ");
        text.push_str(&format!("{name} {} {} {kinds}\n", line.input, line.all));
    }
    text
}

fn of_text(text: &str) -> Option<Lines> {
    let text = text.strip_prefix(&head())?;
    let mut lines = Lines::new();
    for line in text.lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let (name, input, all) = (words.next()?, words.next()?, words.next()?);
        let kinds: Vec<String> = words.collect();
        if kinds.len() != Kind::ALL.len() {
            return None;
        }
        lines.insert(name, Line { input, all, kinds });
    }
    Some(lines)
}

/// The lines that are kept; none if nothing was recorded yet.
pub(crate) fn load() -> Result<Lines, String> {
    let path = digests();
    if !path.exists() {
        return Ok(Lines::new());
    }
    let fails = |error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(fails)?;
    of_text(&text).ok_or_else(|| {
        let path = path.display();
        format!("{path}: not as this program writes it; record anew")
    })
}

/// The readable files by the names of their inputs.
pub(crate) type Readable = BTreeMap<String, String>;

/// What is readable of an input: the plan for the two main releases, and the files.
pub(crate) fn readable(input: &Input, outputs: &[Output]) -> Option<String> {
    if input.breadth == Breadth::Digest {
        return None;
    }
    let mut text = String::new();
    for output in outputs {
        let head = match output.kind {
            Kind::Text | Kind::DropIns | Kind::HostsFiles => {
                MAIN.contains(&output.of.as_str()) && !output.text.is_empty()
            }
            // Of a file that cannot be read there is nothing else.
            Kind::Document => !outputs.iter().any(|other| other.kind == Kind::Text),
            _ => false,
        };
        if head {
            text.push_str(&output.with_head());
        }
    }
    Some(text)
}

fn readable_folder() -> PathBuf {
    folder().join("readable")
}

/// The readable files that are kept.
pub(crate) fn load_readable() -> Result<Readable, String> {
    let mut files = Readable::new();
    for (name, path) in files::all_in(&readable_folder())? {
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let name = name.strip_suffix(".txt").unwrap_or(&name);
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

/// Writes both, and removes readable files of inputs that are not there.
pub(crate) fn save(lines: &Lines, readable: &Readable) -> Result<(), String> {
    let fails = |path: &Path, error| format!("{}: {error}", path.display());
    let path = digests();
    fs::write(&path, to_text(lines)).map_err(|error| fails(&path, error))?;
    let root = readable_folder();
    for name in load_readable()?.keys() {
        if !readable.contains_key(name) {
            let path = root.join(format!("{name}.txt"));
            fs::remove_file(&path).map_err(|error| fails(&path, error))?;
        }
    }
    for (name, text) in readable {
        let path = root.join(format!("{name}.txt"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| fails(folder, error))?;
        }
        fs::write(&path, text).map_err(|error| fails(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Front;

    fn input() -> Input {
        Input {
            name: "a/b".to_owned(),
            front: Front::Legacy,
            files: vec![("/x".to_owned(), b"text".to_vec())],
            breadth: Breadth::All,
        }
    }

    fn outputs(step: &str) -> [Output; 2] {
        [
            Output::new(Kind::Text, MAIN[0], "plan\n".to_owned()),
            Output::new(Kind::Steps, MAIN[0], step.to_owned()),
        ]
    }

    #[test]
    fn a_kind_that_differs_is_named() {
        let line = Line::new(&input(), &outputs("a"));
        let other = Line::new(&input(), &outputs("b"));
        assert_eq!(line.differing(&other), [Kind::Steps]);
        assert!(line.differing(&line).is_empty());
        // Under which option a text comes is part of it.
        let mut moved = outputs("a");
        moved[1].of = "v1.30.4+k0s.0, limits".to_owned();
        let moved = Line::new(&input(), &moved);
        assert_eq!(line.differing(&moved), [Kind::Steps]);
    }

    #[test]
    fn lines_are_read_as_written() {
        let line = Line::new(&input(), &outputs("a"));
        let lines = Lines::from([("a/b".to_owned(), line)]);
        assert_eq!(of_text(&to_text(&lines)).unwrap(), lines);
        assert_eq!(of_text("# other kinds\n"), None);
        assert_eq!(of_text(&format!("{}a/b 12 34 56\n", head())), None);
    }

    #[test]
    fn what_is_readable() {
        let text = readable(&input(), &outputs("a"));
        let expected = format!("######## text: {}\nplan\n", MAIN[0]);
        assert_eq!(text.unwrap(), expected);
        let mut digest = input();
        digest.breadth = Breadth::Digest;
        assert_eq!(readable(&digest, &outputs("a")), None);
    }
}
