//! Real containerd daemons at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::refusals::IMPORTED;
use crate::support::{self, TempDir};

/// A plugin that is not loaded, and why.
pub type Failed = BTreeSet<(String, String)>;

/// How one run of a daemon went.
pub struct Run {
    pub exited: bool,
    pub log: String,
}

impl Run {
    /// Starts a daemon in directories of its own; `patience` is how long it may
    /// go on before it counts as started.
    pub fn new(binary: &Path, name: &str, text: &str, patience: Duration) -> Run {
        Run::working(binary, name, text, patience, |_, _| {})
    }

    /// The same with something to do once it has started: it is given the path
    /// of the socket, and what reads the log.
    pub fn working(
        binary: &Path,
        name: &str,
        text: &str,
        patience: Duration,
        work: impl FnOnce(&str, &dyn Fn() -> String),
    ) -> Run {
        // Nothing leaves the machine, not even the question for a name.
        Run::behind("http://127.0.0.1:1", binary, name, text, patience, work)
    }

    /// The same behind a proxy.
    pub fn behind(
        proxy: &str,
        binary: &Path,
        name: &str,
        text: &str,
        patience: Duration,
        work: impl FnOnce(&str, &dyn Fn() -> String),
    ) -> Run {
        let dir = TempDir::new(name);
        let at = |name: &str| dir.path().join(name).display().to_string();
        let opt = format!(
            "\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{}\"\n[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n",
            at("opt")
        );
        let (main, imported) = text.split_once(IMPORTED).unwrap_or((text, ""));
        std::fs::write(at("config.toml"), format!("{main}{opt}")).unwrap();
        std::fs::write(at("imported.toml"), imported).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        // What a file names by a relative path is made there, too.
        let mut child = Command::new(binary.canonicalize().unwrap())
            .current_dir(dir.path())
            .args(["--config", &at("config.toml"), "--root", &at("root")])
            .args(["--state", &at("state"), "--address", &at("sock")])
            .args(["--log-level", "debug"])
            .envs(["HTTP_PROXY", "HTTPS_PROXY"].map(|key| (key, proxy)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let read = || String::from_utf8_lossy(&std::fs::read(at("log")).unwrap()).into_owned();
        let began = Instant::now();
        let mut booted = None;
        let exited = loop {
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            if booted.is_none() && read().contains("containerd successfully booted") {
                booted = Some(Instant::now());
            }
            if booted.is_some_and(|at| at.elapsed() > patience) {
                break false;
            }
            assert!(began.elapsed().as_secs() < 60, "{name}: {}", read());
            std::thread::sleep(Duration::from_millis(10));
        };
        if !exited {
            work(&at("sock"), &read);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let log = read().replace(&dir.path().display().to_string(), "DIR");
        Run { exited, log }
    }

    /// The plugin that a line of the log is about: 2.x has a field for it, 1.x
    /// names it in the message, which stands before the error.
    fn plugin(line: &str) -> Option<&str> {
        let behind = |mark: &str| line.find(mark).map(|at| at + mark.len());
        let in_message = || {
            let quoted = behind("plugin \\\"");
            let bare = behind("plugin ");
            quoted
                .filter(|at| Some(*at) <= bare.map(|at| at + 2))
                .or(bare)
        };
        let at = behind(" id=").or_else(in_message)?;
        line[at..].split([' ', '"', '\\', ',']).next()
    }

    /// Plugins by the message that tells of them.
    pub fn told<'a>(&'a self, message: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.log.lines().filter(move |line| line.contains(message));
        lines.filter_map(|line| Some((Self::plugin(line)?, line)))
    }

    pub fn failed(&self) -> Failed {
        let failed = self.told("failed to load plugin");
        let why = |line: &str| {
            let error = line.split_once("error=").map_or("", |(_, error)| error);
            error.to_owned()
        };
        failed
            .map(|(plugin, line)| (plugin.to_owned(), why(line)))
            .collect()
    }

    /// The plugins that are loaded.
    pub fn loaded(&self) -> BTreeSet<String> {
        let tried = self.told("loading plugin");
        let mut loaded: BTreeSet<String> = tried.map(|(plugin, _)| plugin.to_owned()).collect();
        let missing = self.told("skip loading plugin");
        for (plugin, _) in missing.chain(self.told("failed to load plugin")) {
            loaded.remove(plugin);
        }
        loaded
    }

    pub fn loads_cri(&self) -> bool {
        let tried = self.told("loading plugin");
        let mut tried = tried.filter(|(_, line)| !line.contains("skip loading"));
        let is_cri = |plugin: &str| plugin == support::CRI;
        let failed = self.failed();
        tried.any(|(plugin, _)| is_cri(plugin)) && !failed.iter().any(|(plugin, _)| is_cri(plugin))
    }
}

/// Does jobs on a few threads at a time, and gives what they give in order.
pub fn in_parallel<T: Send>(jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = Mutex::new(0..jobs);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(at) = next.lock().unwrap().next() else {
                        return;
                    };
                    let result = job(at);
                    done.lock().unwrap().insert(at, result);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}
