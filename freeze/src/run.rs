//! Asks the library about all inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;

use crate::combinations::Combinations;
use crate::compare::{Change, INPUT, changes};
use crate::frames::{self, Frame};
use crate::inputs::{self, Input};
use crate::outputs::{self, Kind, Output};
use crate::program::Program;
use crate::record::{Line, Lines, Readable, readable};

/// What is done with the outputs beside making digests of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside<'a> {
    /// They are written to a folder.
    Write(&'a Path),
    /// They are compared with those in a folder.
    Against(&'a Path),
}

/// What came of all inputs.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) lines: Lines,
    pub(crate) readable: Readable,
    /// How many plans were made.
    pub(crate) plans: usize,
    /// How many outputs there are.
    pub(crate) outputs: usize,
    /// What differs from full outputs, by input.
    pub(crate) changes: BTreeMap<String, Vec<Change>>,
}

impl Run {
    pub(crate) fn counts(&self) -> String {
        let Run { plans, outputs, .. } = self;
        let inputs = self.lines.len();
        format!("{inputs} inputs, {plans} plans, {outputs} outputs")
    }

    fn add(
        &mut self,
        input: &Input,
        outputs: &[Output],
        beside: Option<Beside<'_>>,
    ) -> Result<(), String> {
        let name = &input.name;
        self.lines.insert(name.clone(), Line::new(input, outputs));
        let text = readable(input, outputs).map(|text| (name.clone(), text));
        self.readable.extend(text);
        let is_plan = |output: &&Output| output.kind == Kind::Json;
        self.plans += outputs.iter().filter(is_plan).count();
        self.outputs += outputs.len();
        match beside {
            None => {}
            Some(Beside::Write(folder)) => {
                let file = full(folder, name);
                frames::save(&file, &to_frames(input, outputs), Compression::fast())?;
            }
            Some(Beside::Against(folder)) => {
                let file = full(folder, name);
                let old = match file.exists() {
                    true => frames::load(&file)?,
                    false => Vec::new(),
                };
                let found = changes(old, to_frames(input, outputs));
                if !found.is_empty() {
                    self.changes.insert(name.clone(), found);
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, mut other: Run) {
        self.lines.append(&mut other.lines);
        self.readable.append(&mut other.readable);
        self.changes.append(&mut other.changes);
        self.plans += other.plans;
        self.outputs += other.outputs;
    }
}

/// The file of an input's full outputs.
pub(crate) fn full(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.gz"))
}

fn to_frames(input: &Input, outputs: &[Output]) -> Vec<Frame> {
    let files = input.files.iter().map(|(path, text)| Frame {
        name: format!("{INPUT} {path}"),
        body: text.clone(),
    });
    let outputs = outputs.iter().map(|output| Frame {
        name: format!("{} {}", output.kind.as_str(), output.of),
        body: output.text.clone().into_bytes(),
    });
    files.chain(outputs).collect()
}

/// Everything that comes of one input.
fn answers(
    input: &Input,
    combinations: &Combinations,
    program: &Program,
) -> Result<Vec<Output>, String> {
    let asked = combinations.of(input.breadth, input.digest().number());
    let outputs = outputs::of(input, &asked);
    let mut outputs = outputs.map_err(|error| format!("{}: {error}", input.name))?;
    let printed = program.outputs(input);
    outputs.extend(printed.map_err(|error| format!("{}: {error}", input.name))?);
    Ok(outputs)
}

/// Asks about all of them and about the program's usage, on all processors.
pub(crate) fn all(inputs: &[Input], beside: Option<Beside<'_>>) -> Result<Run, String> {
    let program = Program::build()?;
    let mut run = asked(inputs, &program, beside)?;
    let (input, outputs) = program.usage()?;
    run.add(&input, &outputs, beside)?;
    Ok(run)
}

fn asked(inputs: &[Input], program: &Program, beside: Option<Beside<'_>>) -> Result<Run, String> {
    let combinations = Combinations::new()?;
    let next = AtomicUsize::new(0);
    let result = Mutex::new(Ok(Run::default()));
    let work = || -> Result<Run, String> {
        let mut run = Run::default();
        while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outputs = answers(input, &combinations, program)?;
            run.add(input, &outputs, beside)?;
        }
        Ok(run)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let run = work();
                if let Ok(mut result) = result.lock() {
                    match (&mut *result, run) {
                        (Ok(all), Ok(run)) => all.append(run),
                        (Ok(_), Err(error)) => *result = Err(error),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    let result = result.into_inner();
    result.map_err(|_| "a thread came to grief".to_owned())?
}

/// Asks about one, and compares it.
pub(crate) fn against(name: &str, folder: &Path) -> Result<Run, String> {
    let (input, outputs) = one(name)?;
    let mut run = Run::default();
    run.add(&input, &outputs, Some(Beside::Against(folder)))?;
    Ok(run)
}

/// Asks about one.
pub(crate) fn one(name: &str) -> Result<(Input, Vec<Output>), String> {
    let program = Program::build()?;
    let (usage, outputs) = program.usage()?;
    if usage.name == name {
        return Ok((usage, outputs));
    }
    let all = inputs::all()?;
    let input = all.into_iter().find(|input| input.name == name);
    let input = input.ok_or_else(|| format!("{name}: there is no such input"))?;
    let outputs = answers(&input, &Combinations::new()?, &program)?;
    Ok((input, outputs))
}
