//! Reads what is to be migrated, and what that imports.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use containerd_dropins::containerd::Import;
use containerd_dropins::k0s::DROP_IN_DIR;
use containerd_dropins::migrate::{ExistingDropIns, Options, Plan, Target, plan, plan_drop_ins};
use containerd_dropins::{Document, Limits, ParseError, Size};

/// Files, and how much of them is read in all.
pub(crate) struct Files {
    limits: Limits,
    size: Size,
}

impl Files {
    pub(crate) fn within(limits: Limits) -> Self {
        let size = Size::default();
        Files { limits, size }
    }

    fn load(&mut self, path: &Path) -> Result<Document, String> {
        let bytes = read(path, self.limits)?;
        let explain =
            |error: ParseError| format!("{error}\n  [{}] {}", error.kind().as_str(), error.help());
        let name = path.display().to_string();
        let document = Document::parse_within(name, &bytes, self.limits).map_err(explain)?;
        self.size = self.size + document.size();
        let fits = self.limits.check(self.size);
        fits.map_err(|exceeded| {
            let path = path.display();
            format!("{path}: with those before it the files have {exceeded}{RAISE}")
        })?;
        Ok(document)
    }
}

/// How the limit is raised.
const RAISE: &str = "; --max-size raises it";

pub(crate) fn from_legacy(
    path: &Path,
    target: &Target,
    options: &Options,
    files: &mut Files,
) -> Result<Plan, String> {
    let legacy = files.load(path)?;
    // What k0s itself wrote imports drop-ins, which are not part of it.
    let marker = legacy.marker();
    let written = marker.is_managed_for_k0s_1_27() || marker.is_managed_for(&target.release);
    let imported = match written {
        true => Vec::new(),
        false => load_imports(&legacy, files)?,
    };
    Ok(plan(&legacy, &imported, target, options))
}

pub(crate) fn from_dropins(
    directory: &Path,
    target: &Target,
    options: &Options,
    files: &mut Files,
) -> Result<Plan, String> {
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
        drop_ins.push(files.load(path)?);
    }
    let mut imported = Vec::new();
    let mut seen: BTreeSet<String> = drop_ins.iter().map(|file| file.name().to_owned()).collect();
    loop {
        let existing = existing(&shown, &drop_ins, &imported)?;
        let mut new = Vec::new();
        for import in &existing.imports() {
            let below = Path::new(import.path()).strip_prefix(DROP_IN_DIR).ok();
            let here = below.map(|below| Import::new("", &directory.join(below).to_string_lossy()));
            let paths = matching(here.as_ref().unwrap_or(import))?;
            new.extend(paths.into_iter().filter(|path| seen.insert(path.clone())));
        }
        if new.is_empty() {
            break;
        }
        for path in new {
            imported.push(files.load(Path::new(&path))?);
        }
    }
    let beside = directory
        .parent()
        .map(|parent| parent.join("containerd.toml"));
    let main = match beside.filter(|path| path.is_file()) {
        Some(path) => Some(files.load(&path)?),
        None => None,
    };
    let existing = existing(&shown, &drop_ins, &imported)?.with_main(main.as_ref());
    Ok(plan_drop_ins(&existing, target, options))
}

/// The drop-ins of a directory, and what they import: from folders of it what is
/// carried over as well, from elsewhere on the node what is only read.
fn existing<'a>(
    directory: &'a str,
    drop_ins: &'a [Document],
    imported: &'a [Document],
) -> Result<ExistingDropIns<'a>, String> {
    let existing = ExistingDropIns::new(directory, drop_ins);
    let existing = existing.and_then(|existing| existing.importing(imported));
    existing.map_err(|error| error.to_string())
}

/// The text of a list.
pub(crate) fn read_text(path: &Path, limits: Limits) -> Result<String, String> {
    let not_text = |error| format!("{}: not UTF-8: {error}", path.display());
    String::from_utf8(read(path, limits)?).map_err(not_text)
}

/// Reads a regular file, or what comes out of the pipe of a shell. Anything else
/// might never end, and a named pipe might never begin.
fn read(path: &Path, limits: Limits) -> Result<Vec<u8>, String> {
    let fails = |error: io::Error| format!("{}: {error}", path.display());
    // Looked at before it is opened, as some devices act on that.
    let kind = fs::metadata(path).map_err(fails)?.file_type();
    if !kind.is_file() && !is_unnamed_pipe(path) {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let file = open(path).map_err(fails)?;
    if kind.is_file() && !file.metadata().map_err(fails)?.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    let most = limits.bytes() as u64;
    let taken = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    taken.map_err(fails)?;
    if bytes.len() as u64 > most {
        let path = path.display();
        return Err(format!(
            "{path}: larger than any file that is read here, which is {most} bytes{RAISE}"
        ));
    }
    Ok(bytes)
}

/// Whether a path is that of an open file of this process that is a pipe, such as
/// `/dev/stdin` or what `<(command)` leaves.
fn is_unnamed_pipe(path: &Path) -> bool {
    // Of a pipe without a name there is the last link, and nothing behind it.
    const MOST: usize = 8;
    let mut at = path.to_owned();
    for _ in 0..MOST {
        let Ok(to) = fs::read_link(&at) else {
            return false;
        };
        if to.to_string_lossy().starts_with("pipe:[") {
            let folder = at.parent().and_then(|folder| fs::canonicalize(folder).ok());
            return folder.is_some_and(|folder| folder.starts_with("/proc"));
        }
        at = match at.parent() {
            Some(folder) => folder.join(to),
            None => to,
        };
    }
    false
}

/// Opens a file. One that was replaced by a named pipe does not block.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    if !is_unnamed_pipe(path) {
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.read(true).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

/// Everything that a legacy file imports, and what that imports in turn. A file
/// that is not there is left to the plan to report.
fn load_imports(legacy: &Document, files: &mut Files) -> Result<Vec<Document>, String> {
    let mut seen = BTreeSet::from([legacy.name().to_owned()]);
    let mut imported: Vec<Document> = Vec::new();
    let mut queue = Import::of(legacy);
    while let Some(import) = queue.pop() {
        for path in matching(&import)? {
            if seen.insert(path.clone()) {
                let document = files.load(Path::new(&path))?;
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
