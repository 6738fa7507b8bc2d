//! The example program, as an administrator runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::TempDir;

/// The example program, in the profile of the tests. A run of all tests has
/// built it already, a run of this one alone has not.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut profile = std::env::current_exe().unwrap();
        profile.pop();
        profile.pop();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "migrate"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(
            cargo
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap()
                .success()
        );
        profile
            .join("examples")
            .join(format!("migrate{}", std::env::consts::EXE_SUFFIX))
    })
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

pub fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    path.display().to_string()
}

fn write(dir: &TempDir, text: &[u8]) -> String {
    let path = dir.path().join("legacy.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_airgap_disaster_is_explained_and_nothing_is_written() {
    let output = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "v1.30.4+k0s.0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("the file sets no sandbox image: pods get registry.k8s.io/pause:3.8, not k0s's registry.k8s.io/pause:3.9"), "{text}");
    assert!(!text.contains("not-a-real-password"));
    assert!(text.contains("NEXT STEPS"));
}

/// The README begins with two commands, and shows what the first one prints.
#[test]
fn the_readme_tells_the_truth() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .take(2)
        .collect();
    assert_eq!(
        commands,
        [
            "cargo run --example migrate -- examples/airgap-v1.30.4.toml --k0s v1.30.4+k0s.0",
            "cargo test --features proptest1",
        ]
    );
    let shown = readme
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let output = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "v1.30.4+k0s.0"]);
    assert!(words(&stdout(&output)).contains(&words(shown)), "{shown}");
}

#[test]
fn a_dump_with_ten_edits_shows_ten() {
    let output = run(&[&example("dump-1.6-ten-edits.toml"), "--k0s", "1.30.4"]);
    let text = stdout(&output);
    assert!(
        text.contains("`containerd config default` of 1.6.9 to 1.6.23 with 10 edits"),
        "{text}"
    );
    assert!(text.contains("KEPT: 10 keys in 5 drop-ins"), "{text}");
}

#[test]
fn out_writes_the_drop_ins_and_a_second_run_finds_them() {
    let dir = TempDir::new("out");
    let out = dir.path().join("deep/containerd.d");
    let arguments = [
        &example("airgap-v1.30.4.toml"),
        "--k0s",
        "1.30.4",
        "--out",
        out.to_str().unwrap(),
    ];
    for _ in 0..2 {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(
            names(&out),
            ["22-cri-registry.toml", "23-cri-runtime-nvidia.toml"]
        );
    }
    let registry = out.join("22-cri-registry.toml");
    assert!(
        std::fs::read_to_string(&registry)
            .unwrap()
            .contains("password = \"not-a-real-password\"")
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&registry), 0o600);
        // A comment may say anything.
        let nvidia = out.join("23-cri-runtime-nvidia.toml");
        assert!(std::fs::read_to_string(&nvidia).unwrap().contains("\n# "));
        assert_eq!(mode(&nvidia), 0o600);
    }
    std::fs::write(&registry, "# somebody else's\n").unwrap();
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is there already, with another content"));
    assert_eq!(
        std::fs::read_to_string(&registry).unwrap(),
        "# somebody else's\n"
    );
}

#[test]
fn json_is_json_and_holds_no_secret() {
    let output = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "1.30.4", "--json"]);
    assert!(!stdout(&output).contains("not-a-real-password"));
    let plan: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["schema"], 1);
    assert_eq!(plan["verified"], true);
    assert_eq!(plan["target"]["release"]["version"], "v1.30.4+k0s.0");
    assert_eq!(plan["drop_ins"][0]["sensitive"], true);
    assert_eq!(plan["ledger"].as_array().unwrap().len(), 12);
    assert_eq!(plan["findings"][0]["code"], "sandbox-image-cause");
}

#[test]
fn bad_input_has_a_place_and_status_2_and_writes_nothing() {
    let dir = TempDir::new("bad");
    let out = dir.path().join("out");
    let legacy = write(&dir, b"version = 2\n[grpc\n");
    let output = run(&[&legacy, "--k0s", "1.30.4", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("legacy.toml:2:6: not valid TOML"),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists());
    assert_eq!(stdout(&output), "");
    let missing = run(&["/no/such/file", "--k0s", "1.30.4"]);
    assert_eq!(missing.status.code(), Some(2));
    let release = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "latest"]);
    assert_eq!(release.status.code(), Some(2));
    assert!(
        stderr(&release)
            .contains("error: --k0s: \"latest\" is not a k0s release: a version is wanted")
    );
    assert_eq!(run(&["--nonsense"]).status.code(), Some(2));
}

#[test]
fn errors_keep_files_from_being_written_unless_loss_is_allowed() {
    let dir = TempDir::new("loss");
    let out = dir.path().join("out");
    let legacy = write(
        &dir,
        b"version = 2\noom_score = \"high\"\n[debug]\nformat = \"json\"\n",
    );
    let arguments = [
        legacy.as_str(),
        "--k0s",
        "1.30.4",
        "--out",
        out.to_str().unwrap(),
    ];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("an integer is expected here, not a string"));
    assert!(!out.exists());
    let output = run(&[&arguments[..], &["--allow-loss"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(names(&out), ["10-daemon.toml"]);
}

#[test]
fn imports_are_read_from_disk() {
    let dir = TempDir::new("imports");
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(
        dir.path().join("conf.d/a.toml"),
        "oom_score = -5\nimports = [\"../b.toml\"]\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("b.toml"), "[debug]\nformat = \"json\"\n").unwrap();
    let legacy = write(
        &dir,
        b"version = 2\nimports = [\"conf.d/*.toml\"]\noom_score = -1\n",
    );
    let output = run(&[&legacy, "--k0s", "1.30.4"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("    | oom_score = -5\n") && text.contains("    | format = \"json\"\n"),
        "{text}"
    );
    let legacy = write(&dir, b"version = 2\nimports = [\"gone.toml\"]\n");
    let output = run(&[&legacy, "--k0s", "1.30.4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("error[import-missing]"));
}

/// A pattern without a directory looks beside the file.
#[test]
fn a_bare_pattern_is_looked_up_in_the_working_directory() {
    let dir = TempDir::new("bare");
    std::fs::write(dir.path().join("z.inc"), "oom_score = -7\n").unwrap();
    std::fs::write(
        dir.path().join("c.toml"),
        "version = 2\nimports = [\"*.inc\"]\n",
    )
    .unwrap();
    let mut program = Command::new(program());
    let output = program
        .current_dir(dir.path())
        .args(["c.toml", "--k0s", "1.30.4"])
        .output()
        .unwrap();
    assert!(
        stdout(&output).contains("    | oom_score = -7\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn odd_files_and_origins_are_refused() {
    let dir = TempDir::new("odd");
    let output = run(&[dir.path().to_str().unwrap(), "--k0s", "1.30.4"]);
    assert!(stderr(&output).contains("not a regular file"));
    let output = run(&[
        &example("airgap-v1.30.4.toml"),
        "--k0s",
        "1.30.4",
        "--origin",
        "9.9.9",
    ]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_managed_file_is_left_alone() {
    let dir = TempDir::new("managed");
    let legacy = write(
        &dir,
        b"# k0s_managed=true\nversion = 2\nimports = [\"/run/k0s/containerd-cri.toml\"]\n",
    );
    let output = run(&[&legacy, "--k0s", "1.30.4"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("note[k0s-managed]"));
    assert!(stdout(&output).contains("1. Nothing: k0s manages"));
}

#[test]
fn targets_without_drop_ins_are_refused() {
    let output = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "1.26.15"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("error[target-unsupported]"), "{text}");
    assert!(text.contains("from 1.27.5 on"), "{text}");
}

/// k0s 1.27.1 – 1.27.4 can take new tables, and nothing else of CRI.
#[test]
fn a_target_that_pastes_drop_ins_takes_new_tables() {
    let output = run(&[&example("airgap-v1.30.4.toml"), "--k0s", "1.27.2"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning[target-appends]"), "{text}");
    // The version would end up in whatever table stands last.
    assert!(!text.contains("| version"), "{text}");

    let dir = TempDir::new("pasted");
    let legacy = write(
        &dir,
        b"version = 2\noom_score = -5\n[plugins.\"io.containerd.grpc.v1.cri\"]\nenable_selinux = true\n",
    );
    let output = run(&[&legacy, "--k0s", "1.27.2"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[not-appendable]"), "{text}");
    assert!(text.contains("| oom_score = -5"), "{text}");
}

const V2: &[u8] = b"# the team's\nversion = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nstream_server_port = \"10010\"\nenable_selinux = true # yes\n";

/// A directory of drop-ins with the main file of some k0s beside it.
fn node(name: &str, main: &str) -> (TempDir, String) {
    let dir = TempDir::new(name);
    let drop_ins = dir.path().join("containerd.d");
    std::fs::create_dir_all(&drop_ins).unwrap();
    std::fs::write(drop_ins.join("50-team.toml"), V2).unwrap();
    std::fs::write(drop_ins.join("notes.txt"), "not = [toml").unwrap();
    std::fs::write(dir.path().join("containerd.toml"), main).unwrap();
    let path = drop_ins.display().to_string();
    (dir, path)
}

#[test]
fn existing_drop_ins_are_carried_over_and_a_second_time_nothing_is_left_to_do() {
    let (dir, drop_ins) = node("carried", "# k0s_managed=true\nversion = 2\n");
    let out = dir.path().join("new");
    let out = out.to_str().unwrap();
    let output = run(&[
        "--from-dropins",
        &drop_ins,
        "--k0s",
        "v1.36.3+k0s.2",
        "--out",
        out,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("note[nested-import]"), "{text}");
    assert!(!text.contains("marker-not-recognised"), "{text}");
    assert_eq!(names(Path::new(out)), ["50-team.toml", "nested"]);
    let read = |name: &str| std::fs::read_to_string(Path::new(out).join(name)).unwrap();
    assert_eq!(
        read("50-team.toml"),
        "# Written by containerd-dropins: /etc/k0s/containerd.d/50-team.toml in config version 3.\n# the team's\n\nversion = 3\nimports = [\"nested/50-team.toml\"]\n\n[plugins.\"io.containerd.cri.v1.runtime\"]\n# yes\nenable_selinux = true\n"
    );
    assert!(read("nested/50-team.toml").ends_with("stream_server_port = \"10010\"\n"));

    let again = dir.path().join("again");
    let again = again.to_str().unwrap();
    let output = run(&[
        "--from-dropins",
        out,
        "--k0s",
        "v1.36.3+k0s.2",
        "--out",
        again,
    ]);
    assert!(
        stdout(&output).contains("1. Nothing: the drop-ins"),
        "{}",
        stdout(&output)
    );
    for name in ["50-team.toml", "nested/50-team.toml"] {
        assert_eq!(
            std::fs::read_to_string(Path::new(again).join(name)).unwrap(),
            read(name)
        );
    }
}

/// k0s 1.27 – 1.29 wrote the marker on line 2, where 1.36 does not see it.
#[test]
fn the_marker_trap_is_found_beside_drop_ins_and_in_the_file_itself() {
    let main =
        "\n# k0s_managed=true\nversion = 2\nimports = [\n\t\"/run/k0s/containerd-cri.toml\",\n]\n";
    let (dir, drop_ins) = node("trap", main);
    let remove = "Remove /etc/k0s/containerd.toml";
    let output = run(&["--from-dropins", &drop_ins, "--k0s", "1.36.3"]);
    let text = stdout(&output);
    assert!(text.contains("warning[marker-not-recognised]"), "{text}");
    assert!(text.contains(remove), "{text}");
    let main = dir.path().join("containerd.toml").display().to_string();
    let output = run(&[&main, "--k0s", "1.36.3"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning[marker-not-recognised]"), "{text}");
    assert!(text.contains(remove), "{text}");
    // Up to 1.35 it is k0s's own.
    assert!(stdout(&run(&[&main, "--k0s", "1.35.7"])).contains("note[k0s-managed]"));
    // A file that merely mentions the marker is the user's.
    std::fs::write(
        &main,
        "# without # k0s_managed=true\nversion = 2\noom_score = -5\n",
    )
    .unwrap();
    let text = stdout(&run(&[&main, "--k0s", "1.36.3"]));
    assert!(!text.contains("marker-not-recognised"), "{text}");
    assert!(text.contains("| oom_score = -5"), "{text}");
}

#[test]
fn a_main_file_of_the_user_is_why_drop_ins_never_took_effect() {
    let (_dir, drop_ins) = node("ignored", "version = 2\noom_score = -5\n");
    let output = run(&["--from-dropins", &drop_ins, "--k0s", "1.36.3"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning[drop-ins-ignored]"), "{text}");
    assert!(
        text.contains("1. Migrate /etc/k0s/containerd.toml as well"),
        "{text}"
    );
}

/// Up to 1.35 k0s reads drop-ins of version 2 as they are.
#[test]
fn drop_ins_are_carried_to_1_36_and_later() {
    let (dir, drop_ins) = node("older", "# k0s_managed=true\n");
    let output = run(&["--from-dropins", &drop_ins, "--k0s", "1.35.7"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("note[drop-ins-stay]"), "{text}");
    assert!(text.contains("1. Nothing"), "{text}");
    std::fs::write(
        dir.path().join("containerd.d/60-new.toml"),
        "version = 3\noom_score = -5\n",
    )
    .unwrap();
    let output = run(&["--from-dropins", &drop_ins, "--k0s", "1.35.7"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("error[no-way-back]"));
    let output = run(&["--k0s", "1.36.3"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["--from-dropins", "/no/such", "--k0s", "1.36.3"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A copy of a node's drop-ins, by a path with `..`, with imports that say
/// where they are on the node.
#[test]
fn a_copy_of_a_nodes_drop_ins_is_as_good() {
    let (dir, drop_ins) = node("copy", "# k0s_managed=true\n");
    let nested = dir.path().join("containerd.d/sub");
    std::fs::create_dir_all(&nested).unwrap();
    std::fs::write(nested.join("a.toml"), "version = 2\noom_score = -5\n").unwrap();
    std::fs::write(
        nested.join("b.toml"),
        "version = 2\n[debug]\nformat = \"json\"\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("containerd.d/60-imports.toml"),
        "imports = [\"/etc/k0s/containerd.d/sub/a.toml\", \"sub/b.toml\"]\n",
    )
    .unwrap();
    let odd = format!("{drop_ins}/../containerd.d");
    let output = run(&["--from-dropins", &odd, "--k0s", "1.36.3"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("import-outside"), "{text}");
    for name in ["sub/a.toml", "sub/b.toml"] {
        assert!(
            text.contains(&format!("\n  {name} (carried over)")),
            "{name}: {text}"
        );
    }
}

/// Files from elsewhere are read: by pattern, by name, relative to the importer, and
/// what they import in turn.
#[test]
fn imports_from_elsewhere_are_read() {
    let (dir, drop_ins) = node("outside", "# k0s_managed=true\n");
    let conf = dir.path().join("conf.d");
    std::fs::create_dir_all(conf.join("more")).unwrap();
    let cri = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"gpu\"\n";
    let put = |name: &str, text: &str| std::fs::write(conf.join(name), text).unwrap();
    put("a.toml", "version = 2\nimports = [\"more/*.toml\"]\n");
    put("more/b.toml", cri);
    let import = |entry: &str| {
        let text = format!("version = 2\nimports = [\"{}/{entry}\"]\n", conf.display());
        std::fs::write(dir.path().join("containerd.d/60-import.toml"), text).unwrap();
        let output = run(&["--from-dropins", &drop_ins, "--k0s", "1.30.4"]);
        (output.status.code(), stdout(&output))
    };
    let at_fault = format!("{}:3:1", conf.join("more/b.toml").display());
    for entry in ["*.toml", "a.toml", "more/../a.toml"] {
        let (status, text) = import(entry);
        assert_eq!(status, Some(1), "{entry}: {text}");
        assert!(text.contains("error[cri-refuses]"), "{entry}: {text}");
        assert!(text.contains(&at_fault), "{entry}: {text}");
        assert!(text.contains("LEFT IN PLACE"), "{entry}: {text}");
    }
    // A pattern may match nothing, a name may not.
    let (status, text) = import("none*.toml");
    assert_eq!(status, Some(0), "{text}");
    let (status, text) = import("none.toml");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("error[import-missing]"), "{text}");
    assert!(!text.contains("1. Nothing"), "{text}");
}

#[test]
fn registry_settings_are_converted_where_asked() {
    let dir = TempDir::new("registry");
    let out = dir.path().join("out");
    let legacy = write(
        &dir,
        b"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"m.example\".auth]\npassword = \"hunter2\"\n",
    );
    let arguments = [
        &legacy,
        "--k0s",
        "1.30.4",
        "--registry",
        "convert",
        "--config-path",
        "/etc/certs.d/",
        "--out",
        out.to_str().unwrap(),
    ];
    for _ in 0..2 {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let shown = stdout(&output);
        assert!(
            shown.contains("MOVED: 1 key to 1 hosts.toml file"),
            "{shown}"
        );
        assert!(shown.contains("into /etc/certs.d. The"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let hosts = std::fs::read_to_string(out.join("certs.d/docker.io/hosts.toml")).unwrap();
    assert!(hosts.contains("[host.\"https://m.example\"]\n"), "{hosts}");
    let drop_in = std::fs::read_to_string(out.join("22-cri-registry.toml")).unwrap();
    assert!(
        drop_in.contains("config_path = \"/etc/certs.d\"\n"),
        "{drop_in}"
    );
    assert!(
        drop_in.contains("hunter2") && !drop_in.contains("mirrors"),
        "{drop_in}"
    );
    let wrong = run(&[&legacy, "--k0s", "1.30.4", "--config-path", "certs.d"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("is not an absolute path"),
        "{}",
        stderr(&wrong)
    );
}

/// A release that is not known, and a pause image of the cluster's own.
#[test]
fn a_target_can_be_stated() {
    let dir = TempDir::new("stated");
    let legacy = write(
        &dir,
        br#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.example.com/pause:3.10"
max_concurrent_downloads = 2
"#,
    );
    let json = |more: &[&str]| -> serde_json::Value {
        let output = run(&[&[&legacy, "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let codes = |plan: &serde_json::Value| -> Vec<String> {
        let findings = plan["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let facts = [
        "--containerd",
        "2.3.4",
        "--pause-image",
        "registry.example.com/pause:3.10",
    ];
    let plan = json(&[&["--k0s", "v1.36.9-k0s.0"], facts.as_slice()].concat());
    assert_eq!(codes(&plan), [""; 0]);
    assert_eq!(
        plan["target"],
        serde_json::json!({
            "requested": "v1.36.9-k0s.0",
            "release": {
                "version": "v1.36.9+k0s.0",
                "containerd": "2.3.4",
                "pause_image": "registry.example.com/pause:3.10",
                "regime": "imports-v3",
            },
            "fit": "stated",
            "stated": { "containerd": true, "pause_image": true },
        })
    );
    // What the file says is what k0s injects.
    assert_eq!(plan["sandbox"]["after"], "registry.example.com/pause:3.10");
    assert_eq!(plan["sandbox"]["after_by"], "k0s");
    let text = plan["drop_ins"][0]["text"].as_str().unwrap();
    assert!(!text.contains("sandbox"), "{text}");
    assert_eq!(plan["verified"], true);

    // Without the facts it is the user's own, and the release a stand-in's.
    let plan = json(&["--k0s", "v1.36.9-k0s.0"]);
    assert_eq!(codes(&plan), ["release-newer", "sandbox-image-custom"]);
    assert_eq!(plan["target"]["release"]["version"], "v1.36.3+k0s.2");
    assert_eq!(plan["target"]["stated"]["containerd"], false);
    let output = run(&[&[&legacy, "--k0s", "1.36.9"], facts.as_slice()].concat());
    let text = stdout(&output);
    assert!(text.contains("target   k0s v1.36.9 with containerd 2.3.4 (as stated), sandbox image registry.example.com/pause:3.10 (as stated)"), "{text}");
}

/// k0s injects what it is told; containerd 2.3.0 to 2.3.3 do not find an image by
/// a tag and a digest.
#[test]
fn a_stated_pause_image_is_what_containerd_is_told() {
    const SUM: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";
    let dir = TempDir::new("stated-digest");
    let legacy = write(
        &dir,
        b"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nmax_concurrent_downloads = 2\n",
    );
    let run = |image: &str| {
        run(&[
            &legacy,
            "--k0s",
            "v1.36.3",
            "--containerd",
            "2.3.3",
            "--pause-image",
            image,
        ])
    };
    let both = format!("registry.example.com/pause:3.10@sha256:{SUM}");
    let output = run(&both);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("error[sandbox-image-not-found]"));
    let digest = format!("registry.example.com/pause@sha256:{SUM}");
    let output = run(&digest);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn facts_that_cannot_be_are_refused() {
    let legacy = example("airgap-v1.30.4.toml");
    for (arguments, message) in [
        (
            &["--k0s", "1.36"][..],
            "error: --k0s: \"1.36\" is not a k0s release: all three numbers of the version are wanted, for instance v1.36.3+k0s.2\n",
        ),
        (
            &["--k0s", "latest"],
            "error: --k0s: \"latest\" is not a k0s release: a version is wanted, for instance v1.36.3+k0s.2; `k0s version` prints that of a node\n",
        ),
        (
            &["--k0s", "1.36.3", "--containerd", "1.7.34"],
            "error: --containerd: containerd 1.7.34 is not what k0s 1.36.3 carries: k0s 1.36 and later carries containerd 2.x, and its drop-ins are written for that\n",
        ),
        (
            &["--k0s", "1.35.7", "--containerd", "2.3.4"],
            "error: --containerd: containerd 2.3.4 is not what k0s 1.35.7 carries: k0s 1.27 to 1.35 carries containerd 1.7, and its drop-ins are written for that\n",
        ),
        (
            &["--k0s", "1.36.3", "--containerd", "2.3"],
            "all three numbers are wanted, such as 2.3.4",
        ),
        (
            &["--k0s", "1.36.3", "--pause-image", "${REGISTRY}/pause:3.9"],
            "error: --pause-image: \"${REGISTRY}/pause:3.9\" is not the name of an image: ",
        ),
        (
            &["--k0s", "1.26.15", "--pause-image", "pause:3.9"],
            "error: --pause-image: k0s 1.26.15 injects no pause image",
        ),
    ] {
        let output = run(&[&[legacy.as_str()], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&output).contains(message),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(stdout(&output).is_empty());
    }
}

/// The next of 1.36 carries containerd 2.3.4, and a cluster may run a build of
/// what is to come.
#[test]
fn any_containerd_of_the_kind_can_be_stated() {
    let legacy = example("airgap-v1.30.4.toml");
    for release in ["2.1.9", "2.3.4", "2.4.0-beta.0", "2.9.0"] {
        let output = run(&[
            &legacy,
            "--k0s",
            "1.36.4",
            "--containerd",
            release,
            "--pause-image",
            "quay.io/k0sproject/pause:3.10.2-0",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let text = stdout(&output);
        assert!(text.contains("verified yes"), "{text}");
        let head = format!("target   k0s v1.36.4 with containerd {release} (as stated)");
        assert!(text.contains(&head), "{text}");
        assert_eq!(
            text.contains("warning[containerd-unknown]"),
            release == "2.9.0"
        );
        assert!(!text.contains("release-newer"), "{text}");
    }
}

/// The limit is that of all files, and one that is raised lets them pass.
#[test]
fn files_together_are_read_up_to_a_limit() {
    let dir = TempDir::new("limits");
    for name in ["a", "b"] {
        let value = "x".repeat(600 << 10);
        let id = format!("io.containerd.x.v1.{name}");
        let text = format!("version = 3\n[plugins.\"{id}\"]\nkey = \"{value}\"\n");
        std::fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
    }
    let directory = dir.path().display().to_string();
    let from = ["--from-dropins", &directory, "--k0s", "1.36.3"];
    let output = run(&[&from[..], &["--max-size", "1"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("b.toml: with those before it the files have 122"),
        "{said}"
    );
    assert!(said.contains("no more than 1048576 are read"), "{said}");
    assert!(said.contains("--max-size raises it"), "{said}");
    for max in [&["--max-size", "2"][..], &[]] {
        let output = run(&[&from[..], max].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}
