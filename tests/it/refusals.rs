//! What containerd refuses, case by case, and real daemons as referee.
//!
//! The library's answers are compared with the table here, which was written
//! from the specification and put right by the daemons; with `CONTAINERD_DIR`
//! each case is tried on a daemon of its own. `RECORD=1` writes what the daemons
//! did to `tests/recorded/refusals`, for machines without containerd.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use containerd_dropins::Document;
use containerd_dropins::containerd::load::Effective;
use containerd_dropins::containerd::refusal::Refuses;

use crate::daemon::{Failed, Run, in_parallel};
use crate::refusal_cases::{ACCEPTED, CASES, Case, LATER};
use crate::support::{self};

/// The release lines of the answers, and the release whose answers are recorded.
pub const RELEASES: [(&str, &str); 3] = [("1.6", "1.6.20"), ("1.7", "1.7.24"), ("2.1", "2.1.9")];

/// Releases with rules that none of the others has; there is no package of them,
/// and where one is in `CONTAINERD_DIR` it is asked too.
pub const LATER_RELEASES: [&str; 2] = ["2.2.7", "2.3.3"];

/// What stands between the text of a file and that of one which it imports.
pub const IMPORTED: &str = "#IMPORTED\n";

/// A file of the config version that a release writes. The parts of CRI are
/// one section in version 2; snapshots are native, which every machine can do,
/// and CRI pulls by itself, unless the case is about them.
fn config(release: &str, text: &str) -> String {
    const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";
    let is_2 = release.starts_with("2.");
    let (images, runtime, snapshots) = match is_2 {
        true => (
            "plugins.\"io.containerd.cri.v1.images\"",
            "plugins.\"io.containerd.cri.v1.runtime\"",
            "[IMAGES]",
        ),
        false => (CRI, CRI, "[RUNTIME.containerd]"),
    };
    // The transfer service of 2.1 and later would not pull for it.
    let local = if is_2 {
        "use_local_image_pull = true\n"
    } else {
        ""
    };
    let native = format!("{snapshots}\nsnapshotter = \"native\"\n{local}");
    let (text, imported) = match text.split_once(IMPORTED) {
        Some((main, imported)) => (main, Some(imported)),
        None => (text, None),
    };
    let mut text = match text {
        _ if text.contains("[SNAPSHOTS]") => text.replace("[SNAPSHOTS]", snapshots),
        _ if text.contains(snapshots) => text.replace(snapshots, native.trim_end()),
        _ => format!("{text}{native}"),
    };
    let sandbox = match is_2 {
        true => format!("[{images}.pinned_images]\nsandbox"),
        false => format!("[{CRI}]\nsandbox_image"),
    };
    text = text
        .replace("[SANDBOX]", &sandbox)
        .replace("[IMAGES", &format!("[{images}"))
        .replace("[RUNTIME", &format!("[{runtime}"))
        .replace("[STREAMS", &format!("[{CRI}"));
    let version = if is_2 { 3 } else { 2 };
    match imported {
        Some(imported) => format!(
            "version = {version}\nimports = [\"imported.toml\"]\n{text}{IMPORTED}{imported}"
        ),
        None => format!("version = {version}\n{text}"),
    }
}

/// What the library says: what becomes of it at worst, and the rules.
fn refused(release: &str, text: &str) -> String {
    let files = text.split(IMPORTED);
    let files: Vec<_> = files
        .map(|text| Document::parse("t", text.as_bytes()).unwrap().to_table())
        .collect();
    let effective = Effective::load(release.parse().unwrap(), files.clone());
    let refusals = effective.refusals();
    let Some(worst) = refusals.iter().map(|refusal| refusal.refuses).max() else {
        return String::new();
    };
    for refusal in &refusals {
        // What is at fault is in the file.
        let path: Vec<&str> = refusal.path.iter().map(String::as_str).collect();
        let mut is_there = files.iter().any(|file| support::at(file, &path).is_some());
        // Config version 4 has another place for it than the file.
        is_there |= release.starts_with("2.3") && effective.get(&path).is_some();
        assert!(is_there, "{path:?}");
        assert!(!refusal.message.contains("hunter2"), "{refusal}");
    }
    let rules: BTreeSet<&str> = refusals
        .iter()
        .map(|refusal| refusal.rule.as_str())
        .collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    format!("{} {}", word(worst), rules.join(" "))
}

pub fn word(refuses: Refuses) -> &'static str {
    match refuses {
        Refuses::Sandbox => "sandbox",
        Refuses::Pull => "pull",
        Refuses::Plugin => "plugin",
        Refuses::Cri => "cri",
        Refuses::Daemon => "daemon",
        other => panic!("{other:?}"),
    }
}

/// What of an answer shows at start.
pub fn at_start(answer: &str) -> &str {
    match answer.split(' ').next() {
        Some(word @ ("plugin" | "cri" | "daemon")) => word,
        _ => "none",
    }
}

pub struct Daemon {
    binary: PathBuf,
    pub release: String,
    /// What fails in any case.
    always: Failed,
    /// Every plugin that it tries to load.
    pub plugins: BTreeSet<String>,
    /// Those that it does load.
    pub loaded: BTreeSet<String>,
}

impl Daemon {
    /// The daemons at hand that load CRI here: where they cannot, for want of
    /// rights or file systems, there is no referee.
    pub fn all(test: &str) -> Vec<Daemon> {
        let mut found = Vec::new();
        for (release, binary) in support::containerds() {
            let name = format!("refusals-{test}-{release}");
            let run = Run::new(&binary, &name, &config(&release, ""), Duration::ZERO);
            if run.exited || !run.loads_cri() {
                // The test passes, so what it prints is not shown.
                let mut stderr = std::io::stderr();
                let told = writeln!(
                    stderr,
                    "SKIPPED: containerd {release} does not load CRI here:\n{}",
                    run.log
                );
                told.unwrap();
                continue;
            }
            let plugins = run.told("loading plugin");
            let plugins = plugins.map(|(plugin, _)| plugin.to_owned()).collect();
            found.push(Daemon {
                always: run.failed(),
                loaded: run.loaded(),
                plugins,
                binary,
                release,
            });
        }
        found
    }

    /// Its place in the answers of the table.
    fn line(&self) -> Option<usize> {
        let is = |(line, _): &(&str, &str)| self.release.starts_with(&format!("{line}."));
        RELEASES.iter().position(is)
    }

    /// What it refuses at start. Where it is to exit it may take its time.
    pub fn answer(&self, name: &str, text: &str, exits: bool) -> &'static str {
        let patience = Duration::from_millis(if exits { 5000 } else { 100 });
        let name = format!("refusals-{}-{name}", self.release);
        let run = Run::new(&self.binary, &name, text, patience);
        match run {
            _ if run.exited => "daemon",
            _ if !run.loads_cri() => "cri",
            _ if run.failed().difference(&self.always).next().is_some() => "plugin",
            _ => "none",
        }
    }
}

/// Compares with what is recorded, or records what daemons said.
fn judge(name: &str, answers: &str, is_said: bool) {
    let path = support::path(&format!("recorded/refusals/{name}"));
    if is_said && std::env::var_os("RECORD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, answers).unwrap();
    }
    let recorded = support::read(&path);
    for (recorded, answer) in recorded.lines().zip(answers.lines()) {
        assert_eq!(answer, recorded, "{name}: record containerd's answer again");
    }
    assert_eq!(recorded.len(), answers.len(), "{name}");
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(ACCEPTED)
}

#[test]
fn the_library_refuses_what_the_table_says() {
    let mut wrong = String::new();
    for case in cases() {
        for ((_, release), expected) in RELEASES.iter().zip(case.answers) {
            let found = refused(release, &config(release, case.text));
            if found != expected {
                writeln!(
                    wrong,
                    "{} on {release}: {found:?}, not {expected:?}",
                    case.name
                )
                .unwrap();
            }
        }
    }
    for case in LATER {
        for (release, expected) in LATER_RELEASES.iter().zip(case.answers) {
            let found = refused(release, &config(release, case.text));
            if found != expected {
                let name = case.name;
                writeln!(wrong, "{name} on {release}: {found:?}, not {expected:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn names_of_cases_are_unique() {
    let later = LATER.iter().map(|case| case.name);
    let names: BTreeSet<_> = cases().map(|case| case.name).chain(later).collect();
    assert_eq!(names.len(), CASES.len() + ACCEPTED.len() + LATER.len());
}

/// A file that a release printed itself.
#[test]
fn no_release_refuses_what_it_prints() {
    for path in support::files("recorded/default") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let release = name.trim_end_matches(".toml").split('-').next().unwrap();
        assert_eq!(refused(release, &support::read(&path)), "", "{name}");
    }
}

/// Every rule that shows at start has a case that breaks it.
#[test]
fn every_rule_has_a_case() {
    let answers = CASES.iter().flat_map(|case| case.answers);
    let answers = answers.chain(LATER.iter().flat_map(|case| case.answers));
    let seen: BTreeSet<&str> = answers.flat_map(|answer| answer.split(' ')).collect();
    for rule in containerd_dropins::containerd::refusal::Rule::ALL {
        assert!(seen.contains(rule.as_str()), "{rule}");
    }
}

#[test]
fn daemons_refuse_what_the_table_says() {
    let daemons = Daemon::all("cases");
    let cases: Vec<&Case> = cases().collect();
    let runs = in_parallel(cases.len() * daemons.len(), |at| {
        let (case, daemon) = (cases[at % cases.len()], &daemons[at / cases.len()]);
        let text = config(&daemon.release, case.text);
        // For other lines the library has to know it without the table.
        let expected = match daemon.line() {
            Some(line) => at_start(case.answers[line]).to_owned(),
            None => at_start(&refused(&daemon.release, &text)).to_owned(),
        };
        let found = daemon.answer(&format!("{at}"), &text, expected == "daemon");
        // A pool that is not there fails, whatever is said of it.
        let is_pool = daemon.line().is_none() && text.contains("pool_name");
        (found != expected && !is_pool).then(|| {
            let (name, release) = (case.name, &daemon.release);
            format!("{name} on {release}: {found}, not {expected}\n")
        })
    });
    let wrong: String = runs.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong}");
    later_daemons_refuse_what_the_table_says(&daemons);
    // What the daemons said is now what the table says.
    let lines = daemons.iter().filter_map(Daemon::line);
    let is_complete = lines.collect::<BTreeSet<_>>().len() == RELEASES.len();
    let mut answers = String::new();
    for case in cases {
        writeln!(answers, "# {}", case.name).unwrap();
        answers.push_str(case.text);
        for ((_, release), answer) in RELEASES.iter().zip(case.answers) {
            writeln!(answers, "#= {release}: {}", at_start(answer)).unwrap();
        }
    }
    judge("cases", &answers, is_complete);
}

fn later_daemons_refuse_what_the_table_says(daemons: &[Daemon]) {
    for (at, release) in LATER_RELEASES.iter().enumerate() {
        let daemon = daemons.iter().find(|daemon| daemon.release == *release);
        for (case, daemon) in LATER.iter().zip(daemon.into_iter().cycle()) {
            let expected = at_start(case.answers[at]);
            let text = config(release, case.text);
            let found = daemon.answer("later", &text, expected == "daemon");
            assert_eq!(found, expected, "{} on {release}", case.name);
        }
    }
}

/// Every plugin of every daemon, disabled one at a time.
#[test]
fn daemons_need_the_plugins_that_the_library_says() {
    for daemon in Daemon::all("plugins") {
        let plugins: Vec<&String> = daemon.plugins.iter().collect();
        let answers = in_parallel(plugins.len(), |at| {
            let text = disabled(&daemon.release, plugins[at]);
            daemon.answer(&format!("disabled-{at}"), &text, false)
        });
        let lines = plugins.iter().zip(answers);
        let answers: String = lines
            .map(|(plugin, answer)| format!("{plugin} {answer}\n"))
            .collect();
        if RELEASES.iter().any(|(_, known)| *known == daemon.release) {
            judge(&format!("disabled-{}", daemon.release), &answers, true);
        }
    }
    for (_, release) in RELEASES {
        let path = support::path(&format!("recorded/refusals/disabled-{release}"));
        for answer in support::read(&path).lines() {
            let (plugin, answer) = answer.split_once(' ').unwrap();
            let found = refused(release, &disabled(release, plugin));
            assert_eq!(at_start(&found), answer, "{plugin} on {release}");
        }
    }
}

fn disabled(release: &str, plugin: &str) -> String {
    config(release, &format!("disabled_plugins = [\"{plugin}\"]\n"))
}
