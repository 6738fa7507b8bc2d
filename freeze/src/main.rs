//! Records everything that the library answers to many inputs, and shows what a
//! change changes of it.

mod combinations;
mod compare;
mod digest;
mod files;
mod frames;
#[cfg(feature = "generate")]
mod generate;
mod inputs;
mod outputs;
mod program;
mod record;
mod run;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records what the library answers to the repository's cases, sets, examples and
/// recorded dumps and to some thousands of generated inputs, for k0s releases of each
/// kind and all options: plans as text and as JSON, files, findings, ledger, what
/// would be in effect, what the example program prints.
///
/// Of most outputs digests are kept, freeze/digests.txt. What comes of the cases and
/// their like for k0s 1.30 and 1.36 is in freeze/readable, so that a review shows
/// what changed. The generated inputs are in freeze/generated.gz.
#[derive(Parser)]
#[command(name = "freeze")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare with what is recorded. Exit status 1 if anything differs.
    ///
    /// Where there is a readable file the difference is shown. Of anything else only
    /// digests are kept: record the full outputs of the other code with `record
    /// --full DIR` in a checkout of it, and compare `--against DIR`.
    Compare {
        /// Compare with full outputs, and show differences of any of them.
        #[arg(long, value_name = "DIR")]
        against: Option<PathBuf>,
        /// Only this input, and every difference of it.
        #[arg(long, value_name = "NAME", requires = "against")]
        only: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Record anew, and show what changed.
    Record {
        /// Write the full outputs there, a compressed file for each input, and leave
        /// what is recorded as it is.
        #[arg(long, value_name = "DIR")]
        full: Option<PathBuf>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Print an input, and all that comes of it.
    Show {
        /// Its name, such as cases/airgap or generated/files-0012.
        name: String,
        /// Only outputs of this kind, such as findings.
        #[arg(long, value_parser = kind)]
        kind: Option<outputs::Kind>,
    },
    /// Make the generated inputs anew. What comes of the old ones cannot be compared
    /// then; record once more.
    #[cfg(feature = "generate")]
    Generate,
}

#[derive(clap::Args)]
struct Shown {
    /// Show so many differences.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
}

fn kind(name: &str) -> Result<outputs::Kind, String> {
    outputs::Kind::find(name).ok_or_else(|| {
        let all: Vec<&str> = outputs::Kind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        format!("one of {}", all.join(", "))
    })
}

fn main() -> ExitCode {
    let mut text = String::new();
    let result = run(&Arguments::parse(), &mut text);
    let (status, stderr) = match result {
        Ok(same) => (u8::from(!same), String::new()),
        Err(error) => (2, format!("error: {error}\n")),
    };
    // Whoever reads may have seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    let _ = io::stderr().lock().write_all(stderr.as_bytes());
    ExitCode::from(status)
}

/// Whether all is as it was.
fn run(arguments: &Arguments, text: &mut String) -> Result<bool, String> {
    match &arguments.command {
        Command::Compare {
            against: Some(folder),
            only,
            shown,
        } => {
            let run = match only {
                Some(name) => run::against(name, folder)?,
                None => run::all(&inputs::all()?, Some(run::Beside::Against(folder)))?,
            };
            compare::with_full(&run, folder, only.as_deref(), shown.show, text)
        }
        Command::Compare { shown, .. } => {
            let old = (record::load()?, record::load_readable()?);
            let run = run::all(&inputs::all()?, None)?;
            let same = compare::with_recorded(&run, &old, shown.show, text);
            if !same {
                text.push_str(compare::ON_PURPOSE);
            }
            Ok(same)
        }
        Command::Record { full, shown } => {
            let inputs = inputs::all()?;
            if let Some(folder) = full {
                let is_there = folder
                    .read_dir()
                    .is_ok_and(|mut files| files.next().is_some());
                if is_there {
                    return Err(format!("{}: there is something in it", folder.display()));
                }
                let run = run::all(&inputs, Some(run::Beside::Write(folder)))?;
                let folder = folder.display();
                text.push_str(&format!("{}, in {folder}\n", run.counts()));
                return Ok(true);
            }
            let run = run::all(&inputs, None)?;
            // After a merge it may be in conflict.
            let lines = record::load().unwrap_or_else(|error| {
                text.push_str(&format!("{error}\n"));
                record::Lines::new()
            });
            let old = (lines, record::load_readable()?);
            compare::with_recorded(&run, &old, shown.show, text);
            record::save(&run.lines, &run.readable)?;
            text.push_str("recorded\n");
            Ok(true)
        }
        Command::Show { name, kind } => {
            let (input, outputs) = run::one(name)?;
            for (path, bytes) in &input.files {
                let bytes = String::from_utf8_lossy(bytes);
                text.push_str(&format!("######## {path}\n{bytes}"));
            }
            for output in outputs {
                if kind.is_none_or(|kind| kind == output.kind) {
                    text.push_str(&output.with_head());
                }
            }
            Ok(true)
        }
        #[cfg(feature = "generate")]
        Command::Generate => {
            let inputs = generate::all()?;
            let frames: Vec<_> = inputs.iter().flat_map(|input| input.frames()).collect();
            let path = inputs::stored();
            frames::save(&path, &frames, flate2::Compression::best())?;
            let count = inputs.len();
            text.push_str(&format!("{count} inputs, in {}\n", path.display()));
            Ok(true)
        }
    }
}
