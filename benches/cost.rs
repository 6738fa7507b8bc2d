//! What the library takes: instructions of each step in units of the parse of the
//! same bytes, the heap in units of the parsed documents, beside what was committed
//! and what is to be reached.
//!
//! `cargo bench -p containerd-dropins-benches --bench cost` prints the table, which
//! needs valgrind; `… -- of FILTER` prints the rows of the cases with FILTER in their
//! names; `… -- check` fails if a figure is worse than the committed one by more than
//! a tenth; `… -- record` writes the figures to `cost.toml`.
//!
//! A process does the steps of a case one after the other, warm, and callgrind tells
//! what it counted of each. Hash tables have random seeds, and the allocator has its
//! own times to tidy up: from run to run parses and plans differ by up to 1 %, JSON
//! by up to 4 %, and the heap not at all.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use containerd_dropins_benches::callgrind;
use containerd_dropins_benches::cases::{Case, Counted, cases};
use containerd_dropins_benches::figures::{self, Committed, Heap, Measured, Row};

/// The program that callgrind runs. It does not count allocations, as this one does.
const STEPS: &str = env!("CARGO_BIN_EXE_steps");
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cost.toml");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode, String> {
    match arguments {
        [] => print("").map(|_| ExitCode::SUCCESS),
        ["of", filter] => print(filter).map(|_| ExitCode::SUCCESS),
        ["check"] => check(),
        ["record"] => {
            let text = figures::written(&rows("")?, &made_by());
            std::fs::write(COMMITTED, text).map_err(|error| format!("{COMMITTED}: {error}"))?;
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("not understood: {other:?}")),
    }
}

fn check() -> Result<ExitCode, String> {
    let (rows, committed) = print("")?;
    let told = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            println!("\n{title}\n{}", lines.join("\n"));
        }
    };
    told(
        "Better than committed by more than a tenth, which `record` keeps:",
        &figures::gains(&rows, &committed),
    );
    let failures = figures::failures(&rows, &committed);
    told("Not as committed:", &failures);
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

fn print(filter: &str) -> Result<(Vec<Row>, Committed), String> {
    let text = std::fs::read_to_string(COMMITTED);
    let text = text.map_err(|error| format!("{COMMITTED}: {error}"))?;
    let committed = figures::read(&text).map_err(|error| format!("{COMMITTED}: {error}"))?;
    let rows = rows(filter)?;
    println!("{}", figures::table(&rows, &committed).trim_end());
    Ok((rows, committed))
}

/// Measures the cases, as many at a time as there are processors.
fn rows(filter: &str) -> Result<Vec<Row>, String> {
    let mut cases = cases();
    cases.retain(|case| case.to_string().contains(filter));
    let next = Mutex::new(cases.into_iter().enumerate());
    let measured = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, case)) = next.lock().ok().and_then(|mut next| next.next()) {
            let one = measure(case);
            if let Ok(mut measured) = measured.lock() {
                measured.push((at, one));
            }
        }
    };
    let at_a_time = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(work))));
    let mut measured = measured.into_inner().map_err(|error| error.to_string())?;
    measured.sort_by_key(|(at, _)| *at);
    let measured: Result<Vec<Measured>, String> =
        measured.into_iter().map(|(_, one)| one).collect();
    figures::rows(&measured?)
}

fn measure(case: Case) -> Result<Measured, String> {
    let instructions = match case.counted {
        Counted::Nothing => Default::default(),
        _ => callgrind::instructions(Path::new(STEPS), &case.to_string())?,
    };
    Ok(Measured {
        instructions,
        heap: case.heap.then(|| heap(&case)),
        case,
    })
}

/// The heap of a warm process: of this thread alone.
fn heap(case: &Case) -> Heap {
    drop(case.verified(&case.parse(&case.warm_up())));
    let texts = case.texts();
    let mut documents = Vec::new();
    let parsed = allocation_counter::measure(|| documents = case.parse(&texts));
    drop(documents);
    let all = allocation_counter::measure(|| {
        drop(black_box(case.verified(&case.parse(&texts))));
    });
    Heap {
        kept: u64::try_from(parsed.bytes_current).unwrap_or(0),
        peak: all.bytes_max,
    }
}

/// The compiler and the counter.
fn made_by() -> String {
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        output.map_or_else(|_| program.to_owned(), |text| text.trim().to_owned())
    };
    format!("{} and {}", version("rustc"), version("valgrind"))
}
