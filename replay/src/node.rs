//! A node: containerd as k0s runs it, in a file system and network of its own,
//! and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cri::SandboxSecurity;
use crate::cri::{Cri, ImageSpec, LinuxSandbox, Metadata, NODE, Namespaces, POD, SandboxConfig};
use crate::image::Image;
use crate::registry::{self, Asked, Certificates, Declared, Log};

/// What a node is made of and what is tried on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Job {
    /// Files by absolute path.
    pub(crate) files: BTreeMap<String, String>,
    /// Paths at which there is a runc that leaves a trace.
    pub(crate) binaries: Vec<String>,
    /// Directories with CNI plugins, beside those of k0s and Debian.
    pub(crate) networks: Vec<String>,
    /// Images that are there from the start.
    pub(crate) images: Vec<String>,
    pub(crate) registries: Vec<Declared>,
    pub(crate) pods: Vec<Pod>,
    /// The cgroup below which pods go.
    pub(crate) cgroup: String,
    /// The real runc.
    pub(crate) runc: PathBuf,
    pub(crate) busybox: PathBuf,
    /// Whether the machine lets containers have a lower OOM score.
    pub(crate) lowers_oom_scores: bool,
}

/// A pod to start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// The runtime handler; the default one if nothing is said.
    #[serde(default)]
    pub(crate) handler: String,
    #[serde(default)]
    pub(crate) annotations: HashMap<String, String>,
    #[serde(default)]
    pub(crate) privileged: bool,
    /// It has a network of its own, not the node's.
    #[serde(default)]
    pub(crate) networked: bool,
    /// The image of its container, pulled first; none if nothing is said.
    pub(crate) pulls: Option<String>,
}

/// What was seen of a node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Seen {
    /// By what they are about, to be compared.
    pub(crate) facts: BTreeMap<String, String>,
    /// The OCI specs of pods and their containers: each leaf by its path.
    pub(crate) specs: BTreeMap<String, BTreeMap<String, String>>,
    /// What tells each fact: a line of a log, and which log.
    pub(crate) told: BTreeMap<String, String>,
    /// containerd's log.
    pub(crate) log: String,
}

impl Seen {
    fn say(&mut self, about: impl Into<String>, fact: impl Into<String>, told: impl Into<String>) {
        let about = about.into();
        self.told.insert(about.clone(), plain(&told.into()));
        self.facts.insert(about, fact.into());
    }
}

const SOCKET: &str = "/run/k0s/containerd.sock";
const ROOT: &str = "/var/lib/k0s/containerd";
const LOG: &str = "/run/replay/log";
const CALLS: &str = "/run/replay/calls";
const NETWORKS: &str = "/run/replay/networks";
/// Where k0s's containerd looks for CNI plugins, and where Debian's does.
const K0S_CNI: &str = "/opt/cni/bin";
pub(crate) const DEBIAN_CNI: &str = "/usr/lib/cni";
/// The authorities that the machine knows.
const KNOWN: &str = "/etc/replay/known.pem";
/// Where k0s has its binaries.
const BIN: &str = "/var/lib/k0s/bin";
const TOOLS: &str = "/usr/local/lib/replay/containerd";

/// Runs the job that comes from stdin, and prints what is seen.
pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job: Job = serde_json::from_reader(io::stdin())?;
    let seen = run(&job)?;
    serde_json::to_writer(io::stdout(), &seen)?;
    Ok(())
}

fn run(job: &Job) -> Result<Seen, Box<dyn std::error::Error>> {
    let busybox = fs::read(&job.busybox)?;
    fs::create_dir_all("/run/replay")?;
    fs::create_dir_all("/run/k0s")?;
    install_binaries(job)?;
    install_networks(job)?;
    let asked = serve_images(job, &busybox)?;
    for (path, text) in &job.files {
        write(path, text)?;
    }
    let mut seen = Seen::default();
    let mut daemon = run_containerd()?;
    let cri = start(&mut daemon, &mut seen)?;
    if seen.facts.get("daemon").is_some_and(|fact| fact == "runs") {
        sockets(&mut seen)?;
        ignored(&mut seen)?;
        failed_plugins(&mut seen)?;
        let path = format!("/proc/{}/oom_score_adj", daemon.id());
        let score = fs::read_to_string(&path)?;
        seen.say("oom score", score.trim(), path);
    }
    if let Some(cri) = cri {
        import(job, &busybox, &cri)?;
        for pod in &job.pods {
            asked.lock().map_err(|_| "a registry failed")?.clear();
            try_pod(job, pod, &cri, &asked, &mut seen)?;
            if cri.status().is_err() && died(&mut daemon)? {
                let line = last_line(&fs::read_to_string(LOG)?, |line| line.contains("panic"));
                let fact = format!("dies of pod {}: {}", pod.name, plain(&line));
                seen.say("daemon", fact, line);
                break;
            }
        }
    }
    seen.log = fs::read_to_string(LOG)?;
    Ok(seen)
}

/// containerd with its shims where k0s has them, and what leaves traces in the
/// place of runc.
fn install_binaries(job: &Job) -> io::Result<()> {
    for entry in fs::read_dir(TOOLS)? {
        let entry = entry?;
        let path = Path::new(BIN).join(entry.file_name());
        fs::create_dir_all(BIN)?;
        symlink(entry.path(), path)?;
    }
    if job.lowers_oom_scores {
        fs::write("/run/replay/keep-oom-score", "")?;
    }
    fs::write(CALLS, "")?;
    let wrapper = include_str!("runc.sh").replace("RUNC", &job.runc.display().to_string());
    let own = [format!("{BIN}/runc")];
    for path in job.binaries.iter().chain(&own) {
        write_executable(path, &wrapper)?;
    }
    Ok(())
}

fn install_networks(job: &Job) -> io::Result<()> {
    fs::write(NETWORKS, "")?;
    write("/etc/cni/net.d/10-replay.conf", &network("replay"))?;
    let own = [K0S_CNI, DEBIAN_CNI].map(str::to_owned);
    for folder in job.networks.iter().chain(&own) {
        write_executable(&format!("{folder}/replay"), include_str!("cni.sh"))?;
        if folder != DEBIAN_CNI {
            symlink(
                format!("{DEBIAN_CNI}/loopback"),
                format!("{folder}/loopback"),
            )?;
        }
    }
    Ok(())
}

/// Starts the registries, and lets the node find them.
fn serve_images(job: &Job, busybox: &[u8]) -> Result<Log, Box<dyn std::error::Error>> {
    let names = job.registries.iter().map(|one| one.name().to_owned());
    let names: Vec<String> = names.collect();
    let known = Certificates::new(names.clone())?;
    write(KNOWN, &known.authority)?;
    let own = Certificates::new(names)?;
    write("/etc/replay/ca.pem", &own.authority)?;
    write("/etc/replay/client.pem", &own.client)?;
    write("/etc/replay/client.key", &own.client_key)?;
    let asked = Log::default();
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for (at, declared) in job.registries.iter().enumerate() {
        let address = format!("127.0.1.{}", at + 1);
        hosts.push_str(&format!("{address} {}\n", declared.name()));
        let certificates = if declared.known { &known } else { &own };
        registry::serve(declared, &address, busybox, certificates, &asked)?;
    }
    write("/etc/hosts", &hosts)?;
    // Which is nowhere: nobody waits for an answer.
    write("/etc/resolv.conf", "nameserver 192.0.2.1\n")?;
    Ok(asked)
}

/// Starts containerd with the flags that k0s gives it.
fn run_containerd() -> io::Result<Child> {
    let log = fs::File::options().create(true).append(true).open(LOG)?;
    Command::new(format!("{BIN}/containerd"))
        .args(["--root", ROOT, "--state", "/run/k0s/containerd"])
        .args(["--address", SOCKET, "--log-level", "info"])
        .args(["--config", "/etc/k0s/containerd.toml"])
        .env("PATH", format!("{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .env("SSL_CERT_FILE", KNOWN)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The configuration of a network of the plugin `replay`.
fn network(name: &str) -> String {
    format!("{{\"cniVersion\":\"0.4.0\",\"name\":\"{name}\",\"type\":\"replay\"}}")
}

fn write(path: &str, text: &str) -> io::Result<()> {
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

fn write_executable(path: &str, text: &str) -> io::Result<()> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// The last line of a log that is about something; nothing if none is.
fn last_line(log: &str, is_about: impl Fn(&str) -> bool) -> String {
    log.lines()
        .rev()
        .find(|line| is_about(line))
        .unwrap_or_default()
        .to_owned()
}

/// Whether containerd is gone, for which it may take a moment.
fn died(daemon: &mut Child) -> io::Result<bool> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if daemon.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Waits until containerd and its CRI have started, or have not.
fn start(daemon: &mut Child, seen: &mut Seen) -> Result<Option<Cri>, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let mut cri = None;
    loop {
        let log = fs::read_to_string(LOG)?;
        if daemon.try_wait()?.is_some() {
            let line = last_line(&log, |line| !line.trim().is_empty());
            seen.say("daemon", format!("exits: {}", message(&line)), line);
            return Ok(None);
        }
        if began.elapsed() > Duration::from_secs(90) {
            return Err(format!("containerd is not ready after 90 seconds:\n{log}").into());
        }
        if log.contains("containerd successfully booted") {
            let cri = cri.get_or_insert(Cri::new(SOCKET)?);
            let failed = last_line(&log, |line| {
                line.contains("failed to load plugin") && line.contains("io.containerd.grpc.v1.cri")
            });
            let booted = last_line(&log, |line| line.contains("successfully booted"));
            match cri.status() {
                Ok(()) => {
                    seen.say("daemon", "runs", booted.clone());
                    seen.say("cri", "loaded", booted);
                    break;
                }
                Err(_) if !failed.is_empty() => {
                    seen.say("daemon", "runs", booted);
                    seen.say("cri", format!("not loaded: {}", message(&failed)), failed);
                    return Ok(None);
                }
                Err(status) if status.code() == tonic::Code::Unimplemented => {
                    seen.say("daemon", "runs", booted.clone());
                    let line = last_line(&log, |line| line.contains("io.containerd.grpc.v1.cri"));
                    seen.say("cri", "not loaded", line);
                    return Ok(None);
                }
                Err(_) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(cri)
}

/// The error that a line of containerd's log tells, without what differs from
/// run to run.
fn message(line: &str) -> String {
    let error = line.split_once(" error=").map(|(_, error)| error);
    let fatal = || line.split_once("containerd: ").map(|(_, error)| error);
    let text = error.or_else(fatal).unwrap_or(line);
    plain(text.trim_matches('"'))
}

/// A text without ids.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut word = String::new();
    let end = |word: &mut String, plain: &mut String| {
        let is_id = word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit());
        plain.push_str(if is_id { "ID" } else { word });
        word.clear();
    };
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c);
        } else {
            end(&mut word, &mut plain);
            plain.push(c);
        }
    }
    end(&mut word, &mut plain);
    plain.replace("\\\"", "\"")
}

/// The keys of which containerd 2.x says that it does not know them.
fn ignored(seen: &mut Seen) -> io::Result<()> {
    let log = fs::read_to_string(LOG)?;
    let key = |line: &str| {
        let (_, behind) = line
            .split_once("gnoring unknown key in TOML")?
            .1
            .split_once(" key=")?;
        let (key, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_once(' ')?,
        };
        let plugin = behind
            .split_once("plugin=")
            .map_or("", |(_, plugin)| plugin);
        Some((format!("{} {key}", plugin.trim()), line.to_owned()))
    };
    let ignored: BTreeMap<String, String> = log.lines().filter_map(key).collect();
    if let Some(line) = ignored.values().next() {
        let keys: Vec<&str> = ignored.keys().map(String::as_str).collect();
        seen.say("ignored", keys.join("; "), line);
    }
    Ok(())
}

/// The plugins that did not load, but for CRI, which is told by itself.
fn failed_plugins(seen: &mut Seen) -> io::Result<()> {
    let log = fs::read_to_string(LOG)?;
    let lines = log
        .lines()
        .filter(|line| line.contains("failed to load plugin"));
    let of = |line: &str| {
        let words = line.split([' ', '"', '\\', ',']);
        let mut ids = words.map(|word| word.trim_start_matches("id="));
        let id = ids.find(|word| word.starts_with("io.containerd."))?;
        (id != "io.containerd.grpc.v1.cri").then(|| (id.to_owned(), line.to_owned()))
    };
    let failed: BTreeMap<String, String> = lines.filter_map(of).collect();
    if let Some(line) = failed.values().next() {
        let ids: Vec<&str> = failed.keys().map(String::as_str).collect();
        seen.say("failed plugins", ids.join("; "), line);
    }
    Ok(())
}

/// Who can talk to containerd: sockets with mode and owner, and TCP addresses
/// with a port that somebody chose.
fn sockets(seen: &mut Seen) -> io::Result<()> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from("/run"), PathBuf::from("/var/lib/k0s")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.file_type().is_socket() {
                let mode = metadata.mode() & 0o777;
                let (uid, gid) = (metadata.uid(), metadata.gid());
                found.insert(format!("{} {mode:04o} {uid}:{gid}", path.display()));
            }
        }
    }
    for family in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/net/{family}"))?;
        for line in table.lines().skip(1) {
            let mut words = line.split_whitespace().skip(1);
            let (Some(local), Some(_), Some(state)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let (address, port) = local.split_once(':').unwrap_or((local, ""));
            let port = u16::from_str_radix(port, 16).unwrap_or_default();
            // The registries have 127.0.1.x; a port of the kernel's choice is
            // nobody's.
            let is_registry = address.ends_with("01007F") && address.len() == 8;
            if state == "0A" && port < 32768 && !is_registry {
                found.insert(format!("{family} {} {port}", addressed(address)));
            }
        }
    }
    let found: Vec<String> = found.into_iter().collect();
    seen.say("sockets", found.join("; "), "/run and /proc/net");
    Ok(())
}

/// An address as `/proc/net` has it, in words.
fn addressed(hex: &str) -> String {
    match u32::from_str_radix(hex, 16).map(u32::to_le_bytes) {
        Ok([a, b, c, d]) if hex.len() == 8 => format!("{a}.{b}.{c}.{d}"),
        _ if hex.chars().all(|c| c == '0') => "::".to_owned(),
        _ => hex.to_owned(),
    }
}

/// Imports the images that are there from the start, as k0s does with a bundle.
fn import(job: &Job, busybox: &[u8], cri: &Cri) -> Result<(), Box<dyn std::error::Error>> {
    if job.images.is_empty() {
        return Ok(());
    }
    let archive = "/run/replay/images.tar";
    fs::write(
        archive,
        Image::new(busybox, "bundle")?.archive(&job.images)?,
    )?;
    let output = Command::new(format!("{TOOLS}/ctr"))
        .args(["--address", SOCKET, "--namespace", "k8s.io"])
        .args(["images", "import", "--no-unpack", archive])
        .output()?;
    if !output.status.success() {
        return Err(format!("ctr: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    // CRI hears of them a little later.
    let began = Instant::now();
    for image in &job.images {
        while cri.image(image)?.is_none() {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(format!("{image} does not arrive").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Starts a pod, and a container in it, and tells how it went.
fn try_pod(
    job: &Job,
    pod: &Pod,
    cri: &Cri,
    asked: &Log,
    seen: &mut Seen,
) -> Result<(), Box<dyn std::error::Error>> {
    let name = &pod.name;
    let calls = fs::read_to_string(CALLS)?.len();
    let written = fs::read_to_string(LOG)?.len();
    let networks = fs::read_to_string(NETWORKS)?.len();
    let before = snapshots()?;
    let config = SandboxConfig {
        metadata: Some(Metadata {
            name: name.clone(),
            uid: name.clone(),
            namespace: "replay".to_owned(),
        }),
        log_directory: format!("/var/log/pods/{name}"),
        annotations: pod.annotations.clone(),
        linux: Some(LinuxSandbox {
            cgroup_parent: job.cgroup.clone(),
            security: Some(SandboxSecurity {
                namespaces: Some(Namespaces {
                    network: if pod.networked { POD } else { NODE },
                }),
                privileged: pod.privileged,
            }),
        }),
    };
    let image = pod.pulls.as_ref().map(|image| ImageSpec {
        image: image.clone(),
        annotations: pod.annotations.clone(),
    });
    let started = cri.run_pod(&config, &pod.handler);
    let log = || -> io::Result<String> {
        let log = fs::read_to_string(LOG)?;
        Ok(log.get(written..).unwrap_or_default().to_owned())
    };
    let error = |log: &str, status: &tonic::Status| {
        let line = last_line(log, |line| line.contains("level=error"));
        let fact = format!("fails: {}", plain(status.message()));
        (
            fact,
            if line.is_empty() {
                "CRI's answer".to_owned()
            } else {
                line
            },
        )
    };
    let mut fact_of_pull = None;
    if let (Some(image), Ok(sandbox)) = (&image, &started) {
        // Only what the container's image brings is of interest here.
        asked.lock().map_err(|_| "a registry failed")?.clear();
        let pulled = cri.pull(image, &config);
        let run = match &pulled {
            Ok(()) => cri.run_container(sandbox, &config, image),
            Err(_) => Ok(()),
        };
        let log = log()?;
        fact_of_pull = Some(match (&pulled, &run) {
            (Err(status), _) => error(&log, status),
            (Ok(()), Err(status)) => {
                let (fact, line) = error(&log, status);
                (format!("pulled, container {fact}"), line)
            }
            (Ok(()), Ok(())) => {
                let line = last_line(&log, |line| line.contains("StartContainer for"));
                ("pulled, container starts".to_owned(), line)
            }
        });
    }
    let made = fs::read_to_string(CALLS)?;
    let made: Vec<&str> = made
        .get(calls..)
        .unwrap_or_default()
        .lines()
        .filter(|line| line.split(' ').any(|word| word == "create"))
        .collect();
    match &started {
        Err(status) => {
            let (fact, line) = error(&log()?, status);
            seen.say(format!("pod {name}"), fact, line);
        }
        Ok(_) => {
            let by: BTreeSet<String> = made.iter().map(|line| how(line)).collect();
            let by: Vec<String> = by.into_iter().collect();
            let by = if by.is_empty() {
                vec!["nobody knows what".to_owned()]
            } else {
                by
            };
            seen.say(
                format!("pod {name}"),
                format!("runs by {}", by.join(" and ")),
                made.first().copied().unwrap_or_default(),
            );
        }
    }
    if let Some((fact, line)) = fact_of_pull {
        seen.say(format!("pull {name}"), fact, line);
    }
    let networks = fs::read_to_string(NETWORKS)?.split_off(networks);
    if !networks.is_empty() {
        // The same place: each build has its own.
        let networks = networks.trim().replace(DEBIAN_CNI, K0S_CNI);
        seen.say(format!("network {name}"), networks, "calls of CNI plugins");
    }
    let asked = asked.lock().map_err(|_| "a registry failed")?.clone();
    if !asked.is_empty() {
        seen.say(
            format!("asked {name}"),
            places(&asked),
            "the registries' log",
        );
    }
    let after = snapshots()?;
    let grown = after
        .iter()
        .filter(|(name, count)| before.get(*name) < Some(*count));
    let grown: Vec<&str> = grown.map(|(name, _)| name.as_str()).collect();
    if started.is_ok() {
        let folder = format!("{ROOT}/io.containerd.snapshotter.v1.*");
        seen.say(format!("snapshots {name}"), grown.join(" "), folder);
    }
    for (what, call) in ["pod", "container"].iter().zip(&made) {
        let id = call.rsplit(' ').next().unwrap_or_default();
        let text = fs::read_to_string(format!("/run/replay/{id}.json"))?;
        let spec: serde_json::Value = serde_json::from_str(&text)?;
        let mut leaves = BTreeMap::new();
        flatten("", &spec, &mut leaves);
        for value in leaves.values_mut() {
            *value = value.replace(&job.cgroup, "/CGROUP");
        }
        seen.specs.insert(format!("{what} {name}"), leaves);
    }
    Ok(())
}

/// The binary that a call is of, and what it says about how containers run.
fn how(call: &str) -> String {
    let words: Vec<&str> = call.split(' ').collect();
    let mut how = words.first().copied().unwrap_or_default().to_owned();
    let behind = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    if let Some(root) = behind("--root") {
        how.push_str(&format!(", root {root}"));
    }
    for flag in ["--systemd-cgroup", "--no-pivot", "--no-new-keyring"] {
        if words.contains(&flag) {
            how.push_str(&format!(", {flag}"));
        }
    }
    how
}

/// Where an image was asked for: requests by tag as they came, each once, and
/// the registries that served the rest.
fn places(asked: &[Asked]) -> String {
    let by = |one: &Asked| match &one.by {
        Some(by) => format!(" as {by}"),
        None => String::new(),
    };
    let mut said: Vec<String> = Vec::new();
    for one in asked {
        let is_by_digest = one.url.contains("sha256:");
        let place = match (is_by_digest, one.status) {
            (false, status) => format!("{}{} {status}", one.url, by(one)),
            (true, 200) => match one.url.split_once("/v2/") {
                Some((host, _)) => format!("content of {host}{}", by(one)),
                None => continue,
            },
            (true, _) => continue,
        };
        if !said.contains(&place) {
            said.push(place);
        }
    }
    said.join("; ")
}

/// How many snapshots each snapshotter has.
fn snapshots() -> io::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(ROOT)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(name) = name.strip_prefix("io.containerd.snapshotter.v1.") else {
            continue;
        };
        let count = fs::read_dir(path.join("snapshots")).map_or(0, Iterator::count);
        counts.insert(name.to_owned(), count);
    }
    Ok(counts)
}

/// Whether a path is that of a namespace, which every run has another of.
fn is_by_chance(path: &str) -> bool {
    path.starts_with("/var/run/netns/") || path.starts_with("/proc/") && path.contains("/ns/")
}

/// The leaves of a JSON value by path.
fn flatten(path: &str, value: &serde_json::Value, leaves: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&format!("{path}.{key}"), value, leaves);
            }
        }
        Value::Array(values) => {
            for value in values {
                // Mounts, devices and the like are told by what they are.
                let named = ["destination", "path", "type"];
                let mut names = named.iter().filter_map(|key| value.get(key)?.as_str());
                let key = names.find(|name| !is_by_chance(name));
                let path = match key {
                    Some(key) => format!("{path}[{key}]"),
                    None => format!("{path}[]"),
                };
                match value {
                    Value::Object(_) => flatten(&path, value, leaves),
                    value => {
                        let entry = leaves.entry(path).or_default();
                        *entry = format!("{entry} {}", plain(&value.to_string()));
                    }
                }
            }
        }
        Value::String(text) if is_by_chance(text) => {
            leaves.insert(plain(path), "ID".to_owned());
        }
        value => drop(leaves.insert(plain(path), plain(&value.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_tell_binary_root_and_flags() {
        let call = "/usr/bin/crun --root /run/crun/k8s.io --log /l --systemd-cgroup create --bundle /b --no-pivot ID";
        assert_eq!(
            how(call),
            "/usr/bin/crun, root /run/crun/k8s.io, --systemd-cgroup, --no-pivot"
        );
        assert_eq!(how("/usr/bin/crun create ID"), "/usr/bin/crun");
    }

    #[test]
    fn ids_are_left_out_words_are_not() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(
            plain(&format!("/k8s.io/{id}: no {id}x")),
            format!("/k8s.io/ID: no {id}x")
        );
        assert_eq!(plain("sandbox deadbeef"), "sandbox deadbeef");
    }

    #[test]
    fn requests_by_tag_are_told_in_order_and_content_by_registry() {
        let asked = |url: &str, by: Option<&str>, status| Asked {
            url: url.to_owned(),
            by: by.map(str::to_owned),
            status,
        };
        let all = [
            asked("https://a/v2/x/manifests/1", None, 404),
            asked("https://b/v2/x/manifests/1", None, 401),
            asked("https://b/v2/x/manifests/1", Some("u:p"), 200),
            asked("https://b/v2/x/blobs/sha256:0", None, 401),
            asked("https://b/v2/x/blobs/sha256:0", Some("u:p"), 200),
            asked("https://b/v2/x/blobs/sha256:1", Some("u:p"), 200),
        ];
        assert_eq!(
            places(&all),
            "https://a/v2/x/manifests/1 404; https://b/v2/x/manifests/1 401; https://b/v2/x/manifests/1 as u:p 200; content of https://b as u:p"
        );
    }

    #[test]
    fn addresses_of_the_kernel_are_told_in_words() {
        assert_eq!(addressed("0300007F"), "127.0.0.3");
        assert_eq!(addressed(&"0".repeat(32)), "::");
    }

    #[test]
    fn leaves_are_told_apart_by_what_they_are() {
        let spec = serde_json::json!({
            "linux": {"namespaces": [{"type": "network", "path": "/var/run/netns/cni-1"}]},
            "mounts": [{"destination": "/proc", "options": ["ro", "nodev"]}],
        });
        let mut leaves = BTreeMap::new();
        flatten("", &spec, &mut leaves);
        let value = |path: &str| leaves.get(path).map(|value| value.trim());
        assert_eq!(value(".linux.namespaces[network].path"), Some("ID"));
        assert_eq!(value(".mounts[/proc].options[]"), Some("\"ro\" \"nodev\""));
    }
}
