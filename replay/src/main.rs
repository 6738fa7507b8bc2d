//! Replays nodes: what a node did with its configuration, it has to do with
//! what the library makes of it, under the release that it is made for. See
//! README.md.
//!
//! Usage: `replay [PART OF A CASE'S NAME ...]`, with
//! - `CONTAINERD_DIR`: where `.ci/fetch-containerd` put containerd;
//! - `REPLAY=live`: to fail where nodes cannot be run here;
//! - `RECORD=1`: to write what was seen to `cases/NAME/recorded`.

mod case;
mod cri;
mod image;
mod judge;
mod machine;
mod node;
mod recorded;
mod registry;
mod sides;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use case::Case;
use containerd_dropins::containerd::Release;
use judge::{Verdict, judge};
use machine::Machine;
use node::{Job, Seen};
use recorded::Recorded;
use sides::Side;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("node") => node::main()
            .map(|()| true)
            .map_err(|error| error.to_string()),
        _ => run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "replay: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(names: &[String]) -> Result<bool, String> {
    let cases = case::all()?.into_iter();
    let is_meant = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<Case> = cases.filter(is_meant).collect();
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let machine = match Machine::find() {
        Ok(machine) => Some(machine),
        Err(lack) if is("REPLAY", "live") => return Err(format!("no node can be run: {lack}")),
        Err(lack) => {
            print(&format!(
                "SKIPPED: no node can be run here: {lack}; what was recorded is used\n"
            ));
            None
        }
    };
    let source = Source {
        machine,
        records: is("RECORD", "1"),
    };
    let next = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let case = next.lock().ok().and_then(|mut next| next.next());
                    let Some(case) = case else { return };
                    let (report, holds) = match source.replay(case) {
                        Ok(verdict) => (verdict.report, verdict.holds),
                        Err(error) => (format!("  FAILED: {error}\n"), false),
                    };
                    print(&format!("== {}: {}\n{report}", case.name, case.said.about));
                    if let (false, Ok(mut failed)) = (holds, failed.lock()) {
                        failed.push(case.name.clone());
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().map_err(|error| error.to_string())?;
    failed.sort();
    let count = cases.len();
    match failed.is_empty() {
        true => print(&format!("{count} cases hold\n")),
        false => print(&format!(
            "{} of {count} cases fail: {}\n",
            failed.len(),
            failed.join(", ")
        )),
    }
    Ok(failed.is_empty() && count > 0)
}

fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Where what is seen of nodes comes from.
struct Source {
    machine: Option<Machine>,
    records: bool,
}

impl Source {
    fn replay(&self, case: &Case) -> Result<Verdict, String> {
        let path = |name: &str| case.folder.join("recorded").join(format!("{name}.json"));
        // Where nothing can be run, what was recorded says what ran.
        let stand_in = |name: &str, release: Release| match &self.machine {
            Some(machine) => Ok(machine.containerd(release)?.0),
            None => Recorded::read(&path(name))?.containerd(),
        };
        let before = sides::before(case, &|release| stand_in("before", release))?;
        let afters = case.said.targets.iter().map(|wanted| {
            let stand_in = |release| stand_in(&wanted.name(), release);
            sides::after(case, wanted, &stand_in)
        });
        let afters = afters.collect::<Result<Vec<Side>, _>>()?;
        // What anybody may ask for is there, unless the case is about that.
        let images = match &case.said.images {
            Some(images) => images.clone(),
            None => {
                let all = afters
                    .iter()
                    .chain([&before])
                    .map(|side| side.pause.clone());
                let built_in = ["registry.k8s.io/pause:3.8", "registry.k8s.io/pause:3.10"];
                let all: BTreeSet<String> = all.chain(built_in.map(str::to_owned)).collect();
                all.into_iter().collect()
            }
        };
        let was = self.see(case, &path("before"), &before, &images, None)?;
        let mut verdict = Verdict::new(case, &was);
        let mut seen = Vec::new();
        for (wanted, side) in case.said.targets.iter().zip(&afters) {
            let path = path(&wanted.name());
            let is = self.see(case, &path, side, &images, Some(&was))?;
            judge(&mut verdict, wanted, side, &was, &is);
            seen.push((path, is));
        }
        seen.push((path("before"), was));
        // What does not hold is no answer.
        if self.machine.is_some() && verdict.holds {
            for (path, seen) in seen {
                match self.records {
                    true => seen.write(&path)?,
                    false => verdict.compare(&seen, Recorded::read(&path)),
                }
            }
        }
        Ok(verdict)
    }

    /// What is seen of a node, or was when it was recorded.
    fn see(
        &self,
        case: &Case,
        path: &Path,
        side: &Side,
        images: &[String],
        was: Option<&Recorded>,
    ) -> Result<Recorded, String> {
        let Some(machine) = &self.machine else {
            return Recorded::read(path)?.of(side);
        };
        let (release, containerd) = machine.containerd(side.containerd)?;
        let seen = match &side.files {
            Err(why) => Seen {
                facts: [("daemon".to_owned(), why.clone())].into(),
                ..Seen::default()
            },
            Ok(files) => {
                let mut all = case.files.clone();
                all.extend(files.clone());
                let job = Job {
                    files: all,
                    binaries: case.said.binaries.clone(),
                    networks: case.said.networks.clone(),
                    images: images.to_vec(),
                    registries: case.said.registries.clone(),
                    pods: case.said.pods.clone(),
                    ..Job::default()
                };
                machine.run(containerd, &job)?
            }
        };
        Ok(Recorded::new(release, side, seen, was))
    }
}
