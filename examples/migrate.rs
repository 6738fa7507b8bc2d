//! Plans the migration of a legacy k0s containerd.toml, or of drop-ins to a
//! k0s release that wants another config version, and writes the drop-ins
//! where it is told to.
//!
//! Exit status: 0 done, 1 error-level findings, 2 bad usage or unreadable or
//! unparsable input.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use containerd_dropins::airgap::{self, AirgapReport, ImageList};
use containerd_dropins::containerd::{self, Import};
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::k0s::{DROP_IN_DIR, Match, Release};
use containerd_dropins::migrate::{
    CONFIG_PATH, ExistingDropIns, Options, Plan, RegistryPolicy, SandboxImage, Target, plan,
    plan_drop_ins,
};
use containerd_dropins::{Document, ParseError};

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
    let plan = match (&arguments.from_dropins, &arguments.legacy) {
        (Some(directory), _) => from_dropins(directory, &target, &options)?,
        (None, Some(legacy)) => from_legacy(legacy, &target, &options)?,
        (None, None) => return Err("a legacy file or --from-dropins is needed".to_owned()),
    };
    let plan = match arguments.show_values {
        true => plan.exposed(),
        false => plan,
    };
    let airgap = match &arguments.airgap_images {
        Some(path) => Some(airgap::check(&plan, &ImageList::parse(&read_text(path)?))),
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

fn from_legacy(path: &Path, target: &Target, options: &Options) -> Result<Plan, String> {
    let legacy = load(path)?;
    // What k0s itself wrote imports drop-ins, which are not part of it.
    let marker = legacy.marker();
    let written = marker.is_managed_for_k0s_1_27() || marker.is_managed_for(&target.release);
    let imported = match written {
        true => Vec::new(),
        false => load_imports(&legacy)?,
    };
    Ok(plan(&legacy, &imported, target, options))
}

fn from_dropins(directory: &Path, target: &Target, options: &Options) -> Result<Plan, String> {
    let directory = &fs::canonicalize(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    if directory.to_str().is_none() {
        return Err(format!("{}: the name is not UTF-8", directory.display()));
    }
    let shown = directory.display().to_string();
    let entries = fs::read_dir(directory).map_err(|error| format!("{shown}: {error}"))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{shown}: {error}"))?.path();
        // As k0s matches them: `.toml` alone is one, too.
        let name = path.file_name().unwrap_or_default();
        if !name.as_encoded_bytes().ends_with(b".toml") {
            continue;
        }
        if name.to_str().is_none() {
            return Err(format!("{}: the name is not UTF-8", path.display()));
        }
        paths.push(path);
    }
    paths.sort();
    let mut drop_ins = Vec::new();
    for path in &paths {
        drop_ins.push(load(path)?);
    }
    // What they import from folders of the directory is carried over as well;
    // what they import from elsewhere on the node is read only.
    let mut imported = Vec::new();
    let mut seen: BTreeSet<String> = drop_ins.iter().map(|file| file.name().to_owned()).collect();
    loop {
        let existing = ExistingDropIns {
            directory: &shown,
            drop_ins: &drop_ins,
            imported: &imported,
            main: None,
        };
        let mut new = Vec::new();
        for import in &existing.imports() {
            let below = Path::new(import.path()).strip_prefix(DROP_IN_DIR).ok();
            let here = below.map(|below| Import::new("", &directory.join(below).to_string_lossy()));
            let paths = matching(here.as_ref().unwrap_or(import))?;
            let paths = paths.into_iter().filter(|path| seen.insert(path.clone()));
            new.extend(paths.map(|path| (below.is_some(), path)));
        }
        if new.is_empty() {
            break;
        }
        for (inside, path) in new {
            let document = load(Path::new(&path))?;
            match inside {
                true => drop_ins.push(document),
                false => imported.push(document),
            }
        }
    }
    let beside = directory
        .parent()
        .map(|parent| parent.join("containerd.toml"));
    let main = match beside.filter(|path| path.is_file()) {
        Some(path) => Some(load(&path)?),
        None => None,
    };
    let existing = ExistingDropIns {
        directory: &shown,
        drop_ins: &drop_ins,
        imported: &imported,
        main: main.as_ref(),
    };
    Ok(plan_drop_ins(&existing, target, options))
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

/// In bytes.
const LARGEST_FILE: u64 = 64 << 20;

fn load(path: &Path) -> Result<Document, String> {
    let bytes = read(path)?;
    let explain =
        |error: ParseError| format!("{error}\n  [{}] {}", error.kind().as_str(), error.help());
    Document::parse(path.display().to_string(), &bytes).map_err(explain)
}

/// The text of a list, which may come out of a pipe.
fn read_text(path: &Path) -> Result<String, String> {
    let fails = |error: io::Error| format!("{}: {error}", path.display());
    let file = fs::File::open(path).map_err(fails)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(fails)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large(path));
    }
    let not_text = |error| format!("{}: not UTF-8: {error}", path.display());
    String::from_utf8(bytes).map_err(not_text)
}

fn too_large(path: &Path) -> String {
    let path = path.display();
    format!("{path}: larger than any file that is read here")
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fails = |error: io::Error| format!("{}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(fails)?;
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(too_large(path));
    }
    fs::read(path).map_err(fails)
}

/// Everything that a legacy file imports, and what that imports in turn. A file
/// that is not there is left to the plan to report.
fn load_imports(legacy: &Document) -> Result<Vec<Document>, String> {
    let mut seen = BTreeSet::from([legacy.name().to_owned()]);
    let mut imported: Vec<Document> = Vec::new();
    let mut queue = Import::of(legacy);
    while let Some(import) = queue.pop() {
        for path in matching(&import)? {
            if seen.insert(path.clone()) {
                let document = load(Path::new(&path))?;
                queue.extend(Import::of(&document));
                imported.push(document);
            }
        }
    }
    Ok(imported)
}

/// The files that an import reaches here.
fn matching(import: &Import) -> Result<Vec<String>, String> {
    if !import.is_pattern() {
        let exists = Path::new(import.path()).exists();
        return Ok(exists
            .then(|| import.path().to_owned())
            .into_iter()
            .collect());
    }
    let Some(directory) = import.directory() else {
        let path = import.path();
        return Err(format!(
            "imports: {path}: a pattern in the name of a directory is not searched"
        ));
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| format!("{directory}: {error}"))?,
    };
    let paths = entries
        .flatten()
        .map(|entry| entry.path().display().to_string());
    Ok(paths.filter(|path| import.matches(path)).collect())
}

/// A file to write.
struct Contents<'p> {
    text: &'p str,
    sensitive: bool,
}

/// The folder for what goes to the directory of hosts.toml files on the node.
const CERTS_D: &str = "certs.d";

/// Writes the hosts.toml files and the drop-ins, each by way of a temporary name
/// that k0s does not watch for. A file that is there and differs is not touched.
fn write_out(directory: &Path, plan: &Plan) -> Result<(), String> {
    let fails = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(|error| fails(directory, error))?;
    let hosts = plan.hosts_files.iter().map(|file| {
        let contents = Contents {
            text: file.text(),
            sensitive: file.sensitive,
        };
        (directory.join(CERTS_D).join(&file.name), contents)
    });
    let drop_ins = plan.drop_ins.iter().map(|drop_in| {
        let contents = Contents {
            text: drop_in.text(),
            sensitive: drop_in.sensitive,
        };
        (directory.join(&drop_in.name), contents)
    });
    // What is named by others is there before them.
    let (nested, others): (Vec<_>, Vec<_>) =
        drop_ins.partition(|(path, _)| path.parent() != Some(directory));
    let files: Vec<_> = hosts.chain(nested).chain(others).collect();
    for (path, contents) in &files {
        match fs::read(path) {
            Ok(bytes) if bytes == contents.text.as_bytes() => {}
            Ok(_) => {
                return Err(format!(
                    "{} is there already, with another content",
                    path.display()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fails(path, error)),
        }
    }
    for (path, contents) in &files {
        let folder = path.parent().unwrap_or(directory);
        fs::create_dir_all(folder).map_err(|error| fails(folder, error))?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        let temporary = folder.join(format!(".{name}.new"));
        write_file(&temporary, contents).map_err(|error| fails(&temporary, error))?;
        fs::rename(&temporary, path).map_err(|error| fails(path, error))?;
        say(&format!("wrote {}", path.display()));
    }
    if files.is_empty() {
        say("no drop-in is needed, so none was written");
    }
    Ok(())
}

fn write_file(path: &Path, contents: &Contents<'_>) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // What an interrupted run left behind has whatever mode it has.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if contents.sensitive { 0o600 } else { 0o644 });
    }
    let mut file = options.open(path)?;
    file.write_all(contents.text.as_bytes())?;
    file.sync_all()
}
