//! What `--out` does to a directory, and what reading does with what is no file.
//!
//! Failures of single system calls are had from `strace`; where it is missing,
//! or may not trace, those cases are skipped.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{program, stderr, stdout};
use crate::support::TempDir;

/// Drop-ins, one of them with a credential; a file in a folder, which one of them
/// imports; and a hosts.toml.
const LEGACY: &str = "version = 2
[plugins.\"io.containerd.grpc.v1.cri\"]
stream_server_address = \"127.0.0.5\"
max_concurrent_downloads = 7
[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]
endpoint = [\"https://mirror.example\"]
[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"mirror.example\".auth]
username = \"robot\"
password = \"hunter2\"
";

/// What comes of it, in the order in which it is put in place.
const FILES: [&str; 5] = [
    "certs.d/docker.io/hosts.toml",
    "nested/streaming.toml",
    "20-cri.toml",
    "22-cri-registry.toml",
    "25-cri-streaming.toml",
];

struct Node {
    dir: TempDir,
}

impl Node {
    fn new(name: &str) -> Self {
        let dir = TempDir::new(&format!("writing-{name}"));
        fs::write(dir.path().join("legacy.toml"), LEGACY).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        Node { dir }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Somewhere that nothing is to be written to.
    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// The arguments that write.
    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let legacy = path("legacy.toml");
        let out = path("out");
        let all = [
            &legacy,
            "--k0s",
            "1.36.3",
            "--registry",
            "convert",
            "--out",
            &out,
        ];
        all.map(str::to_owned).to_vec()
    }

    fn write(&self) -> Output {
        within(Command::new(program()).args(self.arguments()))
    }

    /// The same by a shell that first does something; `$0` is the directory.
    fn write_after(&self, script: &str) -> Output {
        let script = format!("{script}\nexec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(self.out()).arg(program());
        within(shell.args(self.arguments()))
    }

    /// What is in the directory, by path: files, and whatever else.
    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        below(&self.out(), &self.out(), &mut found);
        found.sort();
        found
    }

    fn is_whole(&self) {
        let mut files = FILES.map(str::to_owned);
        files.sort();
        assert_eq!(self.found(), files);
    }

    /// That the run did not write anything, and says so.
    #[track_caller]
    fn wrote_nothing(&self, output: &Output, before: &[String]) {
        let said = stderr(output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.ends_with("nothing was written\n"), "{said}");
        assert!(!said.contains("wrote"), "{said}");
        assert_eq!(self.found(), before, "{said}");
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 0);
    }
}

/// Everything that is no folder, and empty folders.
fn below(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let is_folder = fs::symlink_metadata(&path).unwrap().is_dir();
        if is_folder && fs::read_dir(&path).unwrap().count() > 0 {
            below(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Runs a command that must come to an end.
fn within(command: &mut Command) -> Output {
    let began = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn make_pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn what_is_in_the_way_is_named_before_anything_is_written() {
    type Make = fn(&Path, &Path);
    let kinds: [(&str, Make); 6] = [
        ("a named pipe", |place, _| make_pipe(place)),
        ("a symbolic link", |place, _| {
            symlink("/dev/zero", place).unwrap()
        }),
        ("a symbolic link", |place, outside| {
            symlink(outside.join("new"), place).unwrap()
        }),
        ("a directory", |place, _| fs::create_dir(place).unwrap()),
        ("a socket", |place, _| {
            drop(UnixListener::bind(place).unwrap())
        }),
        ("with another content", |place, _| {
            fs::write(place, "oom_score = 1\n").unwrap()
        }),
    ];
    for (at, (kind, make)) in kinds.into_iter().enumerate() {
        for file in FILES {
            // The path of a socket is short.
            let node = Node::new(&format!("way{at}"));
            let place = node.out().join(file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            make(&place, &node.outside());
            let before = node.found();
            let output = node.write();
            node.wrote_nothing(&output, &before);
            let said = stderr(&output);
            assert!(said.contains(&place.display().to_string()), "{said}");
            assert!(said.contains(kind), "{said}");
        }
    }
}

#[test]
fn all_that_is_in_the_way_is_named_at_once() {
    let node = Node::new("both");
    fs::create_dir_all(node.out().join("20-cri.toml")).unwrap();
    make_pipe(&node.out().join("nested"));
    let output = node.write();
    node.wrote_nothing(&output, &["20-cri.toml".to_owned(), "nested".to_owned()]);
    let said = stderr(&output);
    assert!(
        said.contains("20-cri.toml is a directory, where a file is wanted"),
        "{said}"
    );
    assert!(
        said.contains("nested is a named pipe, where a folder is wanted"),
        "{said}"
    );
}

#[test]
fn no_folder_leads_out_of_the_directory() {
    for folder in ["certs.d", "nested", "certs.d/docker.io"] {
        let node = Node::new("leads");
        let place = node.out().join(folder);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(node.outside(), &place).unwrap();
        let before = node.found();
        let output = node.write();
        node.wrote_nothing(&output, &before);
        let said = stderr(&output);
        let named = format!("{} is a symbolic link", place.display());
        assert!(said.contains(&named), "{said}");
    }
    // The directory itself is what the user says, and may be a link.
    let node = Node::new("link");
    let real = node.dir.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, node.out()).unwrap();
    assert_eq!(node.write().status.code(), Some(0));
    assert!(real.join(FILES[0]).is_file());
}

#[test]
fn files_that_are_as_they_should_be_are_left_alone() {
    let node = Node::new("again");
    let output = node.write_after("umask 0");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    node.is_whole();
    let facts = || {
        FILES.map(|file| {
            let found = fs::metadata(node.out().join(file)).unwrap();
            let changed = (found.ctime(), found.ctime_nsec());
            (file, found.ino(), found.mode() & 0o7777, changed)
        })
    };
    let first = facts();
    for (file, _, mode, _) in first {
        let is_secret = file == "22-cri-registry.toml";
        assert_eq!(mode, if is_secret { 0o600 } else { 0o644 }, "{file}");
    }
    let output = node.write();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(facts(), first);
    let said = stderr(&output);
    assert_eq!(said.matches("unchanged: ").count(), FILES.len(), "{said}");
    assert!(!said.contains("wrote"), "{said}");
    node.is_whole();
    // One that others may read is replaced, one that fewer may read is not.
    let mode = |file: &str, mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(node.out().join(file), permissions).unwrap();
    };
    mode("22-cri-registry.toml", 0o640);
    mode("20-cri.toml", 0o600);
    let output = node.write();
    let said = stderr(&output);
    assert_eq!(said.matches("wrote").count(), 1, "{said}");
    let now = facts();
    assert_eq!((now[2].1, now[2].2), (first[2].1, 0o600));
    assert_eq!(now[3].2, 0o600);
    assert_ne!(now[3].1, first[3].1);
    node.is_whole();
}

/// The name of a file beside its place is taken, by what another run left or by
/// somebody who would have something else written to.
#[test]
fn what_an_earlier_run_left_does_no_harm() {
    let node = Node::new("left");
    let victim = node.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let script = "mkdir -p \"$0\"; for at in 0 1 2; do ln -s ../victim \"$0/.containerd-dropins.$$.$at.new\"; done; mkfifo \"$0/.containerd-dropins.$$.3.new\"";
    let output = node.write_after(script);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let found = node.found();
    assert_eq!(found.len(), FILES.len() + 4, "{found:?}");
    let left = found.iter().filter(|name| name.ends_with(".new"));
    for name in left {
        let kind = fs::symlink_metadata(node.out().join(name))
            .unwrap()
            .file_type();
        assert!(kind.is_symlink() || kind.is_fifo());
    }
}

/// A limit on the size of files stands for a full disk.
#[test]
fn a_full_disk_leaves_the_directory_as_it_was() {
    // Nothing fits, or all but the last drop-in, which comments make larger.
    for (blocks, comment) in [(0, 0), (4, 8000)] {
        let node = Node::new("full");
        let text = format!("{LEGACY}# {}\nmax_concurrent = 1\n", "x".repeat(comment));
        fs::write(node.dir.path().join("legacy.toml"), text).unwrap();
        let script = format!("trap '' XFSZ; ulimit -f {blocks}");
        let output = node.write_after(&script);
        node.wrote_nothing(&output, &[]);
        assert!(
            stderr(&output).contains("File too large"),
            "{}",
            stderr(&output)
        );
        assert!(!node.out().exists());
        // What was there already stays.
        fs::create_dir_all(node.out().join("certs.d")).unwrap();
        let output = node.write_after(&script);
        node.wrote_nothing(&output, &["certs.d".to_owned()]);
    }
}

/// Root may write everywhere, so it goes as nobody.
#[test]
fn a_directory_that_cannot_be_written_to_stays_as_it_is() {
    let node = Node::new("locked");
    let copy = node.dir.path().join("migrate");
    fs::copy(program(), &copy).unwrap();
    for path in [node.dir.path(), &node.dir.path().join("legacy.toml"), &copy] {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, open).unwrap();
    }
    fs::create_dir_all(node.out().join("certs.d")).unwrap();
    for path in ["", "certs.d"] {
        let locked = fs::Permissions::from_mode(0o555);
        fs::set_permissions(node.out().join(path), locked).unwrap();
    }
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = match is_root {
        true => {
            let mut command = Command::new("setpriv");
            let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
            command.args(nobody).arg(&copy);
            command
        }
        false => Command::new(&copy),
    };
    let output = within(command.args(node.arguments()));
    node.wrote_nothing(&output, &["certs.d".to_owned()]);
    assert!(
        stderr(&output).contains("Permission denied"),
        "{}",
        stderr(&output)
    );
}

/// Runs it with strace, which fails the calls that it is told to; gives what it
/// saw. `None` where nothing can be traced.
fn traced(node: &Node, inject: &[&str]) -> Option<(Output, String)> {
    let log = node.dir.path().join("calls");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-y",
        "-e",
        "trace=openat,fsync,renameat,mkdirat,unlinkat",
    ]);
    for inject in inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    strace
        .arg("-o")
        .arg(&log)
        .arg(program())
        .args(node.arguments());
    let can_trace = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !can_trace.is_ok_and(|status| status.success()) {
        let told = writeln!(std::io::stderr(), "SKIPPED: strace cannot be used here");
        told.unwrap();
        return None;
    }
    let output = within(&mut strace);
    Some((output, fs::read_to_string(log).unwrap()))
}

/// All is written and synced before anything is renamed; what is named by others
/// comes first, and is synced before them.
#[test]
fn files_are_synced_before_they_are_put_in_place() {
    let node = Node::new("order");
    let Some((output, calls)) = traced(&node, &[]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let of = |call: &str| {
        let lines = calls.lines().enumerate();
        let call = format!(" {call}(");
        let lines = lines.filter(move |(_, line)| line.contains(&call));
        lines.collect::<Vec<_>>()
    };
    let renamed: Vec<(usize, &str)> = of("renameat")
        .into_iter()
        .map(|(at, line)| (at, line.rsplit('"').nth(1).unwrap()))
        .collect();
    let names = renamed.iter().map(|(_, name)| *name).collect::<Vec<_>>();
    let last = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(names, FILES.map(last));
    let synced: Vec<(usize, &str)> = of("fsync")
        .into_iter()
        .map(|(at, line)| {
            let path = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            (at, path.unwrap().0)
        })
        .collect();
    let files = synced.iter().filter(|(_, path)| path.ends_with(".new"));
    assert_eq!(files.clone().count(), FILES.len());
    assert!(files.clone().all(|(at, _)| *at < renamed[0].0));
    let out = node.out().display().to_string();
    let between = |folder: &str, from: usize, to: usize| {
        let path = format!("{out}{folder}");
        synced
            .iter()
            .any(|(at, synced)| *synced == path && (from..to).contains(at))
    };
    // The folders that it made are synced where they are named.
    let made: Vec<usize> = of("mkdirat").into_iter().map(|(at, _)| at).collect();
    assert_eq!(made.len(), 3);
    assert!(between("", made[0], made[1]));
    assert!(between("/certs.d", made[1], made[2]));
    assert!(between("", made[2], renamed[0].0));
    assert!(between("/certs.d/docker.io", renamed[0].0, renamed[1].0));
    assert!(between("/nested", renamed[1].0, renamed[2].0));
    assert!(between("", renamed[4].0, usize::MAX));
    let above = node.dir.path().display().to_string();
    assert!(synced.iter().any(|(_, path)| *path == above));
    // A second run has nothing to put in place.
    let (_, calls) = traced(&node, &[]).unwrap();
    assert!(
        !calls.contains(".new") && !calls.contains(" renameat("),
        "{calls}"
    );
}

#[test]
fn an_incomplete_set_is_called_that() {
    for failing in 1..=FILES.len() {
        let node = Node::new("incomplete");
        let inject = format!("renameat:error=EIO:when={failing}");
        let Some((output, _)) = traced(&node, &[&inject]) else {
            return;
        };
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let (done, missing) = FILES.split_at(failing - 1);
        let place = |file: &str| node.out().join(file).display().to_string();
        if done.is_empty() {
            node.wrote_nothing(&output, &[]);
        } else {
            let (_, said) = said
                .split_once("the set is INCOMPLETE; in place:\n")
                .unwrap();
            let (here, there) = said.split_once("\nnot in place:\n").unwrap();
            assert!(
                done.iter().all(|file| here.contains(&place(file))),
                "{said}"
            );
            assert!(
                missing.iter().all(|file| there.contains(&place(file))),
                "{said}"
            );
            assert_eq!(said.matches("\n  ").count() + 1, FILES.len(), "{said}");
        }
        let mut done = done.to_vec();
        done.sort_unstable();
        assert_eq!(node.found(), done, "{said}");
        // The next run makes it whole.
        assert_eq!(node.write().status.code(), Some(0));
        node.is_whole();
    }
}

/// Whatever call fails, the files are there, or are said to be missing.
#[test]
fn no_failure_goes_unsaid() {
    for call in ["fsync", "mkdirat"] {
        for failing in 1.. {
            let node = Node::new("failures");
            let inject = format!("{call}:error=ENOSPC:when={failing}");
            let Some((output, calls)) = traced(&node, &[&inject]) else {
                return;
            };
            if !calls.contains("(INJECTED)") {
                assert!(failing > 3, "{calls}");
                break;
            }
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{call} {failing}: {said}");
            assert!(said.contains("No space left on device"), "{said}");
            let found = node.found();
            let left = found.iter().filter(|name| name.ends_with(".new"));
            assert_eq!(left.count(), 0, "{call} {failing}: {found:?}");
            let whole = found.len() == FILES.len();
            assert_eq!(
                said.ends_with("nothing was written\n"),
                found.is_empty(),
                "{said}"
            );
            assert_eq!(
                said.contains("not outlive a loss of power"),
                whole,
                "{said}"
            );
            assert_eq!(
                said.contains("INCOMPLETE"),
                !whole && !found.is_empty(),
                "{said}"
            );
        }
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    let dir = TempDir::new("writing-read");
    let path = |name: &str| dir.path().join(name);
    make_pipe(&path("pipe"));
    symlink("/dev/zero", path("zero")).unwrap();
    symlink("pipe", path("link")).unwrap();
    let refused = |arguments: &[&Path]| {
        let mut command = Command::new(program());
        let output = within(command.args(arguments).args(["--k0s", "1.36.3"]));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("not a regular file"), "{said}");
    };
    let list = Path::new("--airgap-images");
    fs::write(path("legacy.toml"), "version = 2\n").unwrap();
    for name in ["pipe", "zero", "link", "."] {
        refused(&[&path(name)]);
        refused(&[&path("legacy.toml"), list, &path(name)]);
    }
    // As a drop-in, beside the drop-ins, and where one imports it from.
    let drop_ins = path("containerd.d");
    fs::create_dir(&drop_ins).unwrap();
    let from = Path::new("--from-dropins");
    for target in ["../pipe", "/dev/zero"] {
        symlink(target, drop_ins.join("a.toml")).unwrap();
        refused(&[from, &drop_ins]);
        fs::remove_file(drop_ins.join("a.toml")).unwrap();
    }
    let import = format!("imports = [{:?}]\n", path("zero"));
    fs::write(drop_ins.join("a.toml"), import).unwrap();
    refused(&[from, &drop_ins]);
}

#[test]
fn what_comes_out_of_a_shells_pipe_is_read_up_to_a_bound() {
    let dir = TempDir::new("writing-pipe");
    let legacy = dir.path().join("legacy.toml");
    fs::write(&legacy, "version = 2\noom_score = -5\n").unwrap();
    let shell = |script: &str| {
        let script = format!("{script} | \"$0\" /dev/stdin --k0s 1.36.3");
        let mut shell = Command::new("sh");
        within(shell.args(["-c", &script]).arg(program()).arg(&legacy))
    };
    let output = shell("(sleep 0.2; cat \"$1\")");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("oom_score = -5"));
    let output = shell("cat /dev/zero");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("larger than any file"),
        "{}",
        stderr(&output)
    );
    let mut command = Command::new(program());
    let file = fs::File::open(&legacy).unwrap();
    let output = within(command.args(["/dev/stdin", "--k0s", "1.36.3"]).stdin(file));
    assert!(stdout(&output).contains("oom_score = -5"));
}
