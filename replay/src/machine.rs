//! What this machine has, and a node on it that leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use containerd_dropins::containerd::Release;

use crate::node::{DEBIAN_CNI, Job, Seen};

/// A machine on which nodes can be run.
pub(crate) struct Machine {
    runc: PathBuf,
    busybox: PathBuf,
    /// The folders with containerd, ctr and shims, by release.
    containerds: BTreeMap<Release, PathBuf>,
    lowers_oom_scores: bool,
}

/// The variable that names the folder that `.ci/fetch-containerd` fills.
pub(crate) const CONTAINERD_DIR: &str = "CONTAINERD_DIR";

fn in_path(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let also = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(also);
    let found = folders.find_map(|folder| {
        let path = folder.join(name);
        path.is_file().then_some(path)
    });
    found.ok_or_else(|| format!("{name} is not there"))
}

/// Whether an ELF file for 64 bits asks for no loader, which no image would have.
fn is_static(path: &Path) -> Result<bool, String> {
    const INTERPRETER: [u8; 4] = 3u32.to_le_bytes();
    let file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let bytes = |at: usize, count: usize| file.get(at..at.checked_add(count)?);
    let number = |at: usize, count: usize| {
        let bytes = bytes(at, count)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let segments = || {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut starts = (0..count).map(|at| table.checked_add(at * size));
        Some(starts.any(|at| at.and_then(|at| bytes(at, 4)) == Some(&INTERPRETER)))
    };
    Ok(bytes(0, 5) == Some(b"\x7fELF\x02") && segments() == Some(false))
}

impl Machine {
    /// This machine, or what it lacks.
    pub(crate) fn find() -> Result<Machine, String> {
        let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().split_whitespace().next()
        };
        if field("Uid:") != Some("0") {
            return Err("not root".to_owned());
        }
        for tool in ["unshare", "setpriv", "mount", "umount", "pivot_root"] {
            in_path(tool)?;
        }
        let loopback = Path::new(DEBIAN_CNI).join("loopback");
        if !loopback.is_file() {
            return Err(format!("{} is not there", loopback.display()));
        }
        let busybox = in_path("busybox")?;
        if !is_static(&busybox)? {
            return Err(format!("{} is not a static one", busybox.display()));
        }
        let dir = std::env::var_os(CONTAINERD_DIR)
            .ok_or_else(|| format!("{CONTAINERD_DIR} is not set"))?;
        let shown = Path::new(&dir).display();
        let entries = fs::read_dir(&dir).map_err(|error| format!("{shown}: {error}"))?;
        let mut containerds = BTreeMap::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let release = name.to_str().and_then(|name| name.parse().ok());
            let Some(release) = release else { continue };
            let path = entry.path();
            let has = |name: &str| path.join(name).is_file();
            if ["containerd", "ctr", "containerd-shim-runc-v2"]
                .iter()
                .all(|name| has(name))
            {
                let path = fs::canonicalize(path).map_err(|error| error.to_string())?;
                containerds.insert(release, path);
            }
        }
        sweep();
        let capabilities = field("CapBnd:").unwrap_or_default();
        let capabilities = u64::from_str_radix(capabilities, 16).unwrap_or_default();
        const CAP_SYS_RESOURCE: u32 = 24;
        let machine = Machine {
            runc: in_path("runc")?,
            busybox,
            containerds,
            lowers_oom_scores: capabilities >> CAP_SYS_RESOURCE & 1 == 1,
        };
        // Root in a container may be nobody. A node on which nothing runs tells.
        let empty = machine.containerds.values().next();
        let empty = empty.ok_or_else(|| format!("no containerd with its shims in {shown}"))?;
        machine.node("true", &in_path("true")?, empty, &[])?;
        Ok(machine)
    }

    /// The containerd that stands for a release: the newest of its line, or of
    /// its major version.
    pub(crate) fn containerd(&self, release: Release) -> Result<(Release, &Path), String> {
        let newest = |is: &dyn Fn(Release) -> bool| {
            let mut all = self.containerds.iter().rev();
            let found = all.find(|(release, _)| is(**release));
            found.map(|(release, path)| (*release, path.as_path()))
        };
        newest(&|one| one.line() == release.line())
            .or_else(|| newest(&|one| one.line().0 == release.line().0 && one.line().0 > 1))
            .ok_or_else(|| {
                format!("{CONTAINERD_DIR} has no containerd for {release}, with its shims")
            })
    }

    /// Runs a node.
    pub(crate) fn run(&self, containerd: &Path, job: &Job) -> Result<Seen, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let mut job = job.clone();
        job.cgroup = format!("/{}", name(&count));
        job.runc = self.runc.clone();
        job.busybox = self.busybox.clone();
        job.lowers_oom_scores = self.lowers_oom_scores;
        let executable = std::env::current_exe().map_err(|error| error.to_string())?;
        let job = serde_json::to_vec(&job).map_err(|error| error.to_string())?;
        let seen = self.node(&count, &executable, containerd, &job)?;
        serde_json::from_str(&seen).map_err(|error| format!("the node's answer: {error}"))
    }

    /// What an executable on a node prints.
    fn node(
        &self,
        count: &str,
        executable: &Path,
        containerd: &Path,
        input: &[u8],
    ) -> Result<String, String> {
        let name = name(count);
        let scratch = std::env::temp_dir().join(&name);
        fs::create_dir(&scratch).map_err(|error| error.to_string())?;
        let printed = spawn(executable, containerd, &scratch, input);
        // Mounts, processes and files went with the node's namespaces.
        let swept = remove_cgroups(&name).and_then(|()| fs::remove_dir(&scratch));
        let printed = printed?;
        swept.map_err(|error| format!("the node left something behind: {error}"))?;
        Ok(printed)
    }
}

/// The name of a node's folder and cgroups.
fn name(count: &str) -> String {
    format!("{NAME}{}-{count}", std::process::id())
}

fn spawn(
    executable: &Path,
    containerd: &Path,
    scratch: &Path,
    input: &[u8],
) -> Result<String, String> {
    let fails = |error: io::Error| error.to_string();
    let mut node = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(["unshare", "--fork", "--kill-child"])
        .args(["--mount", "--propagation", "private"])
        .args(["--pid", "--net", "--ipc", "--uts"])
        .args(["sh", "-c", include_str!("root.sh"), "root.sh"])
        .args([scratch, containerd, executable])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fails)?;
    if let Some(mut stdin) = node.stdin.take() {
        // A node that could not be made does not read it; it says why.
        let _ = stdin.write_all(input);
    }
    let reader = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_string(&mut text);
            }
            text
        })
    };
    let stdout = reader(node.stdout.take().map(|one| Box::new(one) as _));
    let stderr = reader(node.stderr.take().map(|one| Box::new(one) as _));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = node.try_wait().map_err(fails)? {
            break Some(status);
        }
        if began.elapsed() > NODE {
            node.kill().map_err(fails)?;
            node.wait().map_err(fails)?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = |reader: std::thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (stdout, stderr) = (text(stdout), text(stderr));
    match status {
        Some(status) if status.success() => Ok(stdout),
        Some(status) => Err(format!("the node: {status}: {}", stderr.trim())),
        None => Err(format!(
            "the node was not done after {NODE:?}: {}",
            stderr.trim()
        )),
    }
}

/// The longest that a node may take.
const NODE: Duration = Duration::from_secs(240);

/// What the names of a node's folder and cgroups begin with; the process and
/// the node follow.
const NAME: &str = "containerd-dropins-replay-";

const CGROUPS: &str = "/sys/fs/cgroup";

/// Removes what is left of replays that were killed: empty folders and cgroups.
fn sweep() {
    let mut folders = vec![std::env::temp_dir(), PathBuf::from(CGROUPS)];
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    folders.extend(hierarchies.map(|entry| entry.path()));
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(NAME));
            let process = rest.and_then(|rest| rest.split('-').next());
            let is_over = |process| !Path::new("/proc").join(process).exists();
            if process.is_some_and(is_over) {
                // It is nobody's loss if it cannot be removed.
                let _ = remove_tree(&entry.path());
            }
        }
    }
}

/// Removes a cgroup in every hierarchy, once its processes are gone.
fn remove_cgroups(name: &str) -> io::Result<()> {
    let base = Path::new(CGROUPS);
    let mut found = vec![base.join(name)];
    for entry in fs::read_dir(base)? {
        found.push(entry?.path().join(name));
    }
    let began = Instant::now();
    for path in found.iter().filter(|path| path.is_dir()) {
        while let Err(error) = remove_tree(path) {
            // Those that were killed take a moment to go; of two names of one
            // hierarchy the first takes all.
            if error.kind() == io::ErrorKind::NotFound {
                break;
            }
            if began.elapsed() > Duration::from_secs(20) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Removes a folder and those in it, which hold nothing else. A cgroup has files
/// that go with it.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test asks for a loader, if its target is the usual one.
    #[test]
    fn what_asks_for_a_loader_is_not_static() {
        let executable = std::env::current_exe().unwrap();
        assert_eq!(
            is_static(&executable),
            Ok(cfg!(target_feature = "crt-static"))
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runc.sh");
        assert_eq!(is_static(&script), Ok(false));
    }
}
