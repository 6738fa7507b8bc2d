//! What the example program prints and writes, where that is more than the library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use containerd_dropins::k0s::{CONFIG_FILE, DROP_IN_DIR};

use crate::combinations::MAIN;
use crate::files;
use crate::inputs::{Breadth, Front, Input, root};
use crate::outputs::{Kind, Output};

/// The built program.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
}

/// Options of it, each tried for both releases. `out` is written to a folder that
/// is there or not.
const TRIED: &[&[&str]] = &[
    &[],
    &["--json"],
    &["--show-values"],
    &["--json", "--show-values"],
    &["--out", "out"],
    &["--out", "new/out", "--allow-loss"],
    &["--airgap-images", "bundle.txt"],
    &["--airgap-images", "bundle.txt", "--json"],
    &[
        "--registry",
        "convert",
        "--config-path",
        "/etc/certs",
        "--out",
        "out",
    ],
    &["--running", "v1.28.5", "--sandbox-image", "keep"],
    &["--origin", "1.6.20", "--sandbox-image", "drop"],
    &["--max-size", "0"],
];

/// Usage, good and bad, without an input.
const USED: &[&[&str]] = &[
    &["--help"],
    &[],
    &["none.toml", "--k0s", "v1.30.4+k0s.0"],
    &[".", "--k0s", "v1.30.4+k0s.0"],
    &["none.toml", "--k0s", "1.30"],
    &["none.toml", "--k0s", "v1.30.4", "--running", "x"],
    &["none.toml", "--k0s", "v1.30.4", "--running", "v1.99.0"],
    &["none.toml", "--k0s", "v1.30.4", "--origin", "1.1.0"],
    &["none.toml", "--k0s", "v1.30.4", "--origin", "1.6"],
    &["none.toml", "--k0s", "v1.30.4", "--containerd", "2.3.4"],
    &["none.toml", "--k0s", "v1.26.0", "--pause-image", "pause:1"],
    &[
        "none.toml",
        "--k0s",
        "v1.30.4",
        "--pause-image",
        "{{ pause }}",
    ],
    &["none.toml", "--k0s", "v1.30.4", "--config-path", "relative"],
    &["--from-dropins", "none", "--k0s", "v1.36.3"],
    &["none.toml", "--from-dropins", "none", "--k0s", "v1.36.3"],
];

const BUNDLE: &str = "registry.k8s.io/pause:3.9\nregistry.k8s.io/pause:3.10.2\n[info]\n";

impl Program {
    /// Builds it as this program was built.
    pub(crate) fn build() -> Result<Program, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).args([
            "build",
            "--locked",
            "--example",
            "migrate",
            "--message-format=json-render-diagnostics",
        ]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        command.stderr(std::process::Stdio::inherit());
        let built = command
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !built.status.success() {
            return Err("the example program cannot be built".to_owned());
        }
        let messages = String::from_utf8_lossy(&built.stdout);
        let messages = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut executables = messages.filter_map(|message| {
            let path = message.get("executable")?.as_str()?;
            Some(PathBuf::from(path))
        });
        let path = executables.next().ok_or("cargo names no program")?;
        Ok(Program { path })
    }

    /// What it prints for an input that is made for it: on the machine that this runs
    /// on, a file elsewhere may be there or not.
    pub(crate) fn outputs(&self, input: &Input) -> Result<Vec<Output>, String> {
        let is_here = |path: &str| path == CONFIG_FILE || path.starts_with(DROP_IN_DIR);
        let here = input.files.iter().all(|(path, _)| is_here(path));
        if input.breadth != Breadth::All || !here {
            return Ok(Vec::new());
        }
        let mut outputs = Vec::new();
        for release in MAIN {
            for tried in TRIED {
                let mut arguments = match input.front {
                    Front::Legacy => vec!["containerd.toml"],
                    Front::DropIns => vec!["--from-dropins", "containerd.d"],
                };
                arguments.extend(["--k0s", release]);
                arguments.extend(*tried);
                outputs.push(self.run(input, &arguments)?);
            }
        }
        Ok(outputs)
    }

    /// What it prints without an input.
    pub(crate) fn usage(&self) -> Result<(Input, Vec<Output>), String> {
        let input = Input {
            name: "program/usage".to_owned(),
            front: Front::Legacy,
            files: Vec::new(),
            breadth: Breadth::Digest,
        };
        let mut outputs = Vec::new();
        for arguments in USED {
            outputs.push(self.run(&input, arguments)?);
        }
        Ok((input, outputs))
    }

    fn run(&self, input: &Input, arguments: &[&str]) -> Result<Output, String> {
        let said = |error: std::io::Error| error.to_string();
        let scratch = tempfile::tempdir().map_err(said)?;
        let scratch = fs::canonicalize(scratch.path()).map(|path| (scratch, path));
        let (_scratch, folder) = scratch.map_err(said)?;
        for (path, text) in &input.files {
            let below = path.strip_prefix("/etc/k0s/").unwrap_or(path);
            let path = folder.join(below);
            if let Some(above) = path.parent() {
                fs::create_dir_all(above).map_err(said)?;
            }
            fs::write(&path, text).map_err(said)?;
        }
        fs::write(folder.join("bundle.txt"), BUNDLE).map_err(said)?;
        let ran = Command::new(&self.path)
            .current_dir(&folder)
            .args(arguments)
            .env_clear()
            .output()
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        let mut text = format!("status: {:?}\n", ran.status.code());
        for (name, bytes) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            text.push_str(&format!("== {name}\n{}", String::from_utf8_lossy(bytes)));
        }
        for out in ["out", "new"] {
            written(&folder.join(out), out, &mut text)?;
        }
        let text = text.replace(&folder.display().to_string(), "/node");
        Ok(Output::new(Kind::Program, arguments.join(" "), text))
    }
}

/// The files below a folder, their modes and texts.
fn written(folder: &Path, name: &str, text: &mut String) -> Result<(), String> {
    for (name, path) in files::below(folder, name)? {
        let said = |error: std::io::Error| format!("{}: {error}", path.display());
        let mode = mode(&fs::metadata(&path).map_err(said)?);
        let content = fs::read_to_string(&path).map_err(said)?;
        text.push_str(&format!("== {name} {mode:04o}\n{content}"));
    }
    Ok(())
}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}
