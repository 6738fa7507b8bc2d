//! Plans the migration of a legacy k0s containerd.toml, or of drop-ins to a
//! k0s release that wants another config version, and writes the drop-ins
//! where it is told to.
//!
//! Exit status: 0 done, 1 error-level findings, 2 bad usage or unreadable or
//! unparsable input.

mod input;
#[cfg(unix)]
mod out;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use containerd_dropins::Limits;
use containerd_dropins::airgap::{self, AirgapReport, ImageList};
use containerd_dropins::containerd;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::k0s::{Match, Release};
use containerd_dropins::migrate::{
    CONFIG_PATH, Options, Plan, RegistryPolicy, SandboxImage, Target,
};
use input::{Files, from_dropins, from_legacy, read_text};
#[cfg(unix)]
use out::{OutFile, Outcome};

/// Turns a legacy k0s containerd.toml into drop-ins, or carries drop-ins over
/// to k0s 1.36 and later.
#[derive(Parser)]
#[command(name = "migrate")]
struct Arguments {
    /// The legacy file, usually /etc/k0s/containerd.toml.
    #[arg(
        required_unless_present = "from_dropins",
        conflicts_with = "from_dropins"
    )]
    legacy: Option<PathBuf>,
    /// Carry over the drop-ins of this directory, usually
    /// /etc/k0s/containerd.d. The containerd.toml beside it is looked at too.
    #[arg(long, value_name = "DIR")]
    from_dropins: Option<PathBuf>,
    /// The k0s release that the node runs or will run, such as v1.30.4+k0s.0.
    #[arg(long)]
    k0s: String,
    /// The k0s release that the node runs now: what changes is told from there.
    /// If not given, it is the target, or the last 1.35 for 1.36 and later.
    #[arg(long, value_name = "RELEASE")]
    running: Option<String>,
    /// The containerd that the k0s release carries, such as 2.3.4, for a release
    /// that is not known.
    #[arg(long, value_name = "RELEASE", value_parser = exact_release)]
    containerd: Option<containerd::Release>,
    /// The pause image that k0s injects, for a release that is not known, or for
    /// a k0s configuration with spec.images.pause or spec.images.repository.
    #[arg(long, value_name = "IMAGE")]
    pause_image: Option<String>,
    /// Write the drop-ins into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
    /// Show all values, names and comments. If not given, only values of settings
    /// that hold no credentials are shown.
    #[arg(long)]
    show_values: bool,
    /// Write although error-level findings say that something is lost.
    #[arg(long)]
    allow_loss: bool,
    /// Check the sandbox image against this list of an airgap bundle's images,
    /// as `k0s airgap list-images` prints it.
    #[arg(long, value_name = "FILE")]
    airgap_images: Option<PathBuf>,
    /// Take the file for a dump of this containerd release, such as 1.6.20.
    #[arg(long, value_name = "RELEASE")]
    origin: Option<containerd::Release>,
    /// What to do about the sandbox image that the file sets.
    #[arg(long, value_enum, default_value_t = Policy::Auto)]
    sandbox_image: Policy,
    /// What to do about mirrors and TLS settings of registries.
    #[arg(long, value_enum, default_value_t = Registry::Auto)]
    registry: Registry,
    /// The directory on the node for hosts.toml files.
    #[arg(long, value_name = "DIR", default_value = CONFIG_PATH)]
    config_path: String,
    /// Read up to so many MiB in all, and keys and values in proportion.
    #[arg(long, value_name = "MIB", default_value_t = MIB)]
    max_size: u16,
}

/// What is read if nothing else is said.
const MIB: u16 = 32;

/// How much is read. For as many times the usual size, it is as many times the
/// usual number of keys and values.
fn limits(max_size: u16) -> Limits {
    let usual = Limits::default();
    let in_proportion =
        |most: usize| (most / usize::from(MIB)).saturating_mul(usize::from(max_size));
    usual
        .with_bytes(in_proportion(usual.bytes()))
        .with_keys_and_values(in_proportion(usual.keys_and_values()))
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Registry {
    /// Convert them to hosts.toml files if the target does not honour them in
    /// full.
    Auto,
    /// Keep them in the drop-ins.
    Keep,
    /// Convert them to hosts.toml files.
    Convert,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Policy {
    /// Drop it if it was ever a default.
    Auto,
    /// Keep it.
    Keep,
    /// Drop it.
    Drop,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(2)
        }
    }
}

/// The k0s release that the node runs, or what stands in for it.
fn known_release(running: &str) -> Result<Release, String> {
    let (release, fit) = Release::find(running).map_err(|error| format!("--running: {error}"))?;
    if fit != Match::Exact {
        let note =
            format!("note: k0s {running} is not a known release; {release} stands in for it");
        writeln!(io::stderr(), "{note}").map_err(|error| error.to_string())?;
    }
    Ok(release)
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let target = target(arguments)?;
    let mut options = Options::default().sandbox_image(match arguments.sandbox_image {
        Policy::Auto => SandboxImage::Auto,
        Policy::Keep => SandboxImage::Keep,
        Policy::Drop => SandboxImage::Drop,
    });
    options = options.registry(match arguments.registry {
        Registry::Auto => RegistryPolicy::Auto,
        Registry::Keep => RegistryPolicy::Keep,
        Registry::Convert => RegistryPolicy::Convert,
    });
    options = options
        .config_path(&arguments.config_path)
        .map_err(|error| format!("--config-path: {error}"))?;
    if let Some(running) = &arguments.running {
        options = options.running(known_release(running)?);
    }
    if let Some(release) = arguments.origin {
        if !release.is_known() {
            return Err(format!(
                "--origin {release}: releases from 1.2 to 2.4 are known"
            ));
        }
        options = options.origin(release);
    }
    let limits = limits(arguments.max_size);
    let options = options.limits(limits);
    let mut files = Files::within(limits);
    let plan = match (&arguments.from_dropins, &arguments.legacy) {
        (Some(directory), _) => from_dropins(directory, &target, &options, &mut files)?,
        (None, Some(legacy)) => from_legacy(legacy, &target, &options, &mut files)?,
        (None, None) => return Err("a legacy file or --from-dropins is needed".to_owned()),
    };
    let plan = match arguments.show_values {
        true => plan.exposed(),
        false => plan,
    };
    let airgap = match &arguments.airgap_images {
        Some(path) => {
            let list = ImageList::parse_within(&read_text(path, limits)?, limits);
            let list = list.map_err(|exceeded| format!("{}: {exceeded}", path.display()))?;
            Some(airgap::check(&plan, &list))
        }
        None => None,
    };
    let output = Output {
        plan: &plan,
        airgap: airgap.as_ref(),
    };
    let text = match (arguments.json, &airgap) {
        (true, _) => {
            serde_json::to_string_pretty(&output).map_err(|error| error.to_string())? + "\n"
        }
        (false, Some(airgap)) => format!("{plan}\n{airgap}"),
        (false, None) => plan.to_string(),
    };
    print(&text)?;
    let severity = plan
        .severity()
        .max(airgap.and_then(|report| report.severity()));
    let failed = severity == Some(Severity::Error);
    if let Some(directory) = &arguments.out {
        let defect = plan
            .findings
            .iter()
            .any(|finding| finding.code == Code::Internal);
        if failed && (defect || !arguments.allow_loss) {
            let hint = if defect {
                ""
            } else {
                "; --allow-loss writes what can be kept"
            };
            say(&format!(
                "nothing was written, because of the errors above{hint}"
            ));
        } else {
            write_out(directory, &plan)?;
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// The target that the arguments state.
fn target(arguments: &Arguments) -> Result<Target, String> {
    let mut target = Target::find(&arguments.k0s).map_err(|error| format!("--k0s: {error}"))?;
    if let Some(release) = arguments.containerd {
        target = target
            .with_containerd(release)
            .map_err(|error| format!("--containerd: {error}"))?;
    }
    if let Some(image) = &arguments.pause_image {
        target = target
            .with_pause_image(image)
            .map_err(|error| format!("--pause-image: {error}"))?;
    }
    Ok(target)
}

/// A containerd release to the patch: it is a fact, which no other stands for.
fn exact_release(text: &str) -> Result<containerd::Release, String> {
    let release: containerd::Release = text.parse().map_err(|error| format!("{error}"))?;
    match release.to_string() == text.strip_prefix('v').unwrap_or(text) {
        true => Ok(release),
        false => Err("all three numbers are wanted, such as 2.3.4".to_owned()),
    }
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    airgap: Option<&'a AirgapReport>,
}

fn print(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn say(message: &str) {
    // A drop-in may have any name.
    let message = message.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    let _ = writeln!(io::stderr(), "{message}");
}

/// The folder for what goes to the directory of hosts.toml files on the node.
const CERTS_D: &str = "certs.d";

/// Writes the hosts.toml files and the drop-ins.
#[cfg(unix)]
fn write_out(directory: &Path, plan: &Plan) -> Result<(), String> {
    let hosts = plan.hosts_files.iter().map(|file| OutFile {
        path: format!("{CERTS_D}/{}", file.name),
        text: file.text(),
        sensitive: file.sensitive,
    });
    let drop_ins = plan.drop_ins.iter().map(|drop_in| OutFile {
        path: drop_in.name.to_string(),
        text: drop_in.text(),
        sensitive: drop_in.sensitive,
    });
    let files: Vec<OutFile<'_>> = hosts.chain(drop_ins).collect();
    let outcomes = out::write(directory, &files).map_err(|error| error.to_string())?;
    for (file, outcome) in files.iter().zip(outcomes) {
        let path = directory.join(&file.path);
        say(&match outcome {
            Outcome::Written => format!("wrote {}", path.display()),
            Outcome::Unchanged => format!("unchanged: {}", path.display()),
        });
    }
    if files.is_empty() {
        say("no drop-in is needed, so none was written");
    }
    Ok(())
}

#[cfg(not(unix))]
fn write_out(_: &Path, _: &Plan) -> Result<(), String> {
    Err("--out: files are written on Unix only".to_owned())
}
