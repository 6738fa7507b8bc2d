//! Writes a set of files into a directory, all of them or, as far as a machine
//! can promise that, none.
//!
//! All files are written beside their places first, under names that k0s and
//! containerd do not look for, and synced; then they are renamed. Folders are
//! opened one by one from the directory, and no symbolic link is followed, so
//! that nothing outside of it is touched. A file that is as it should be is left
//! alone: k0s watches the directory.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A file to write.
pub(crate) struct OutFile<'p> {
    /// Its path below the directory, with `/` between the parts.
    pub(crate) path: String,
    /// What is to be in it.
    pub(crate) text: &'p str,
    /// Whether only its owner may read it.
    pub(crate) sensitive: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was written.
    Written,
    /// It was as it should be.
    Unchanged,
}

/// Why not all files are in place.
#[derive(Debug)]
pub(crate) enum OutError {
    /// Something is in the way, and nothing was written: a line for each.
    InTheWay(Vec<String>),
    /// The directory is as it was.
    NotBegun { what: String },
    /// Some files are in place and others are not.
    Incomplete {
        what: String,
        in_place: Vec<PathBuf>,
        missing: Vec<PathBuf>,
    },
    /// All are in place, and may not outlive a loss of power.
    NotSynced { what: String },
}

impl fmt::Display for OutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutError::InTheWay(lines) => {
                write!(f, "{}\nnothing was written", lines.join("\n"))
            }
            OutError::NotBegun { what } => write!(f, "{what}\nnothing was written"),
            OutError::Incomplete {
                what,
                in_place,
                missing,
            } => {
                write!(f, "{what}\nthe set is INCOMPLETE; in place:")?;
                list(f, in_place)?;
                write!(f, "\nnot in place:")?;
                list(f, missing)?;
                write!(f, "\nrun it again once that is settled")
            }
            OutError::NotSynced { what } => {
                write!(
                    f,
                    "{what}\nall files are in place, but may not outlive a loss of power"
                )
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, paths: &[PathBuf]) -> fmt::Result {
    if paths.is_empty() {
        return write!(f, " none");
    }
    paths
        .iter()
        .try_for_each(|path| write!(f, "\n  {}", path.display()))
}

/// Writes the files into a directory, which is made if it is not there. What is
/// named by others, in folders, is there before them.
pub(crate) fn write(directory: &Path, files: &[OutFile<'_>]) -> Result<Vec<Outcome>, OutError> {
    let wanted = wanted(directory, files)?;
    let mut made = Vec::new();
    let root = open_root(directory, &mut made);
    let result = match root {
        Err(error) => Err(not_begun(directory, &error)),
        Ok(root) => Tree { directory, root }.write(&wanted),
    };
    if let Err(OutError::InTheWay(_) | OutError::NotBegun { .. }) = result {
        // From the innermost, and only what has nothing in it.
        for path in &made {
            let _ = fs::remove_dir(path);
        }
    }
    result
}

fn not_begun(path: &Path, error: &io::Error) -> OutError {
    OutError::NotBegun {
        what: format!("{}: {error}", path.display()),
    }
}

/// A file to write, by the parts of its path.
struct Wanted<'p> {
    folders: Vec<&'p str>,
    name: &'p str,
    text: &'p str,
    mode: Mode,
}

/// Paths that lead out of the directory, or to one place twice, are the caller's
/// mistake, and nothing comes of it.
fn wanted<'p>(directory: &Path, files: &'p [OutFile<'_>]) -> Result<Vec<Wanted<'p>>, OutError> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut folders: BTreeSet<&str> = BTreeSet::new();
    let mut odd = Vec::new();
    let mut wanted = Vec::new();
    for file in files {
        let mut parts: Vec<&str> = file.path.split('/').collect();
        let is_plain = parts.iter().all(|part| !matches!(*part, "" | "." | ".."));
        let name = parts.pop().unwrap_or_default();
        if !is_plain || !seen.insert(&file.path) {
            odd.push(format!(
                "{}: no place for a file",
                directory.join(&file.path).display()
            ));
        }
        let above = file.path.match_indices('/');
        folders.extend(above.filter_map(|(at, _)| file.path.get(..at)));
        wanted.push(Wanted {
            folders: parts,
            name,
            text: file.text,
            mode: match file.sensitive {
                true => Mode::from_raw_mode(0o600),
                false => Mode::from_raw_mode(0o644),
            },
        });
    }
    odd.extend(seen.intersection(&folders).map(|path| {
        format!(
            "{}: wanted as a file and as a folder",
            directory.join(path).display()
        )
    }));
    match odd.is_empty() {
        true => Ok(wanted),
        false => Err(OutError::InTheWay(odd)),
    }
}

/// Opens the directory, which the caller names and may be a link. `made` are the
/// directories that were not there, the innermost first.
fn open_root(directory: &Path, made: &mut Vec<PathBuf>) -> io::Result<OwnedFd> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let missing = directory.ancestors().take_while(|path| {
        let is_there = path.as_os_str().is_empty() || fs::symlink_metadata(path).is_ok();
        !is_there
    });
    made.extend(missing.map(Path::to_path_buf));
    fs::create_dir_all(directory)?;
    for path in made.iter() {
        let above = match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        sync(&File::open(above)?.into())?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory, flags, Mode::empty())?)
}

/// Some file systems have nothing to sync of a directory.
fn sync(directory: &OwnedFd) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Err(error) if error != Errno::INVAL => Err(error.into()),
        _ => Ok(()),
    }
}

/// A file beside its place.
struct Staged<'w> {
    wanted: &'w Wanted<'w>,
    temporary: String,
}

/// The directory.
struct Tree<'d> {
    directory: &'d Path,
    root: OwnedFd,
}

/// What is at the place of a file.
enum There {
    Nothing,
    /// The same text, and no more may read it than should.
    Same,
    /// The same text, and others may read it.
    TooOpen,
}

impl Tree<'_> {
    fn write(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Outcome>, OutError> {
        let mut in_the_way = Vec::new();
        let mut outcomes = Vec::new();
        for file in wanted {
            outcomes.push(match self.look(file) {
                Ok(There::Same) => Outcome::Unchanged,
                Ok(There::Nothing | There::TooOpen) => Outcome::Written,
                Err(what) => {
                    in_the_way.push(what);
                    Outcome::Unchanged
                }
            });
        }
        if !in_the_way.is_empty() {
            in_the_way.sort();
            in_the_way.dedup();
            return Err(OutError::InTheWay(in_the_way));
        }
        let missing = wanted.iter().zip(&outcomes);
        let missing = missing.filter(|(_, outcome)| **outcome == Outcome::Written);
        let mut missing: Vec<&Wanted<'_>> = missing.map(|(file, _)| file).collect();
        // Drop-ins last, and each folder at one go.
        missing.sort_by_key(|file| (file.folders.is_empty(), &file.folders));
        let mut staged = Vec::new();
        let mut made = Vec::new();
        let result = self.stage(&missing, &mut staged, &mut made);
        let (done, result) = match result {
            Err(what) => (0, Err(what)),
            Ok(()) => self.put_in_place(&staged),
        };
        let Err(what) = result else {
            return Ok(outcomes);
        };
        for left in staged.get(done..).unwrap_or_default() {
            if let Ok(folder) = self.open(&left.wanted.folders) {
                let _ = rustix::fs::unlinkat(&folder, &left.temporary, AtFlags::empty());
            }
        }
        // From the innermost, and only what has nothing in it.
        for folder in made.iter().rev() {
            if let Some((name, above)) = folder.split_last()
                && let Ok(above) = self.open(above)
            {
                let _ = rustix::fs::unlinkat(&above, *name, AtFlags::REMOVEDIR);
            }
        }
        if done == 0 {
            return Err(OutError::NotBegun { what });
        }
        if done == staged.len() {
            return Err(OutError::NotSynced { what });
        }
        let is_missing = |file: &&Wanted<'_>| {
            let left = staged.get(done..).unwrap_or_default();
            left.iter().any(|left| std::ptr::eq(left.wanted, *file))
        };
        let (missing, in_place): (Vec<_>, Vec<_>) = wanted.iter().partition(is_missing);
        let paths = |files: Vec<&Wanted<'_>>| files.iter().map(|file| self.path(file)).collect();
        Err(OutError::Incomplete {
            what,
            in_place: paths(in_place),
            missing: paths(missing),
        })
    }

    fn path(&self, file: &Wanted<'_>) -> PathBuf {
        self.folder_path(&file.folders).join(file.name)
    }

    fn folder_path(&self, folders: &[&str]) -> PathBuf {
        self.directory.join(folders.join("/"))
    }

    /// Opens a folder without following a link.
    fn open(&self, folders: &[&str]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.root, ".", flags, Mode::empty())?;
        for name in folders {
            folder = rustix::fs::openat(&folder, *name, flags, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Looks at the place of a file.
    ///
    /// # Errors
    /// If something else is there, or on the way.
    fn look(&self, file: &Wanted<'_>) -> Result<There, String> {
        for depth in 1..=file.folders.len() {
            let (folders, _) = file.folders.split_at(depth);
            let Some((name, above)) = folders.split_last() else {
                continue;
            };
            let fails = |error: Errno| {
                format!(
                    "{}: {}",
                    self.folder_path(folders).display(),
                    io::Error::from(error)
                )
            };
            let above = self.open(above).map_err(fails)?;
            match rustix::fs::statat(&above, *name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Ok(There::Nothing),
                Err(error) => return Err(fails(error)),
                Ok(found) => match FileType::from_raw_mode(found.st_mode) {
                    FileType::Directory => {}
                    kind => {
                        let path = self.folder_path(folders);
                        return Err(format!(
                            "{} is {}, where a folder is wanted",
                            path.display(),
                            name_of(kind)
                        ));
                    }
                },
            }
        }
        let path = self.path(file);
        let fails = |error: io::Error| format!("{}: {error}", path.display());
        let folder = self
            .open(&file.folders)
            .map_err(|error| fails(error.into()))?;
        let found = match rustix::fs::statat(&folder, file.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(There::Nothing),
            found => found.map_err(|error| fails(error.into()))?,
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind != FileType::RegularFile {
            return Err(format!(
                "{} is {}, where a file is wanted",
                path.display(),
                name_of(kind)
            ));
        }
        let differs = || format!("{} is there already, with another content", path.display());
        if u64::try_from(found.st_size).ok() != u64::try_from(file.text.len()).ok() {
            return Err(differs());
        }
        // What is looked at may have been replaced, by a pipe for instance.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&folder, file.name, flags, Mode::empty());
        let opened = File::from(opened.map_err(|error| fails(error.into()))?);
        if !opened.metadata().map_err(fails)?.is_file() {
            return Err(differs());
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(file.text.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        opened.take(most).read_to_end(&mut bytes).map_err(fails)?;
        if bytes != file.text.as_bytes() {
            return Err(differs());
        }
        let more = Mode::from_raw_mode(found.st_mode).difference(file.mode);
        Ok(match more.is_empty() {
            true => There::Same,
            false => There::TooOpen,
        })
    }

    /// Writes files beside their places. `made` are the folders that were not
    /// there.
    fn stage<'w>(
        &self,
        files: &[&'w Wanted<'w>],
        staged: &mut Vec<Staged<'w>>,
        made: &mut Vec<Vec<&'w str>>,
    ) -> Result<(), String> {
        for file in files {
            let folder = self.make(&file.folders, made)?;
            let path = self.path(file);
            let fails = |error: io::Error| format!("{}: {error}", path.display());
            let (temporary, mut opened) =
                create(&folder, file.mode, staged.len()).map_err(fails)?;
            staged.push(Staged {
                wanted: file,
                temporary,
            });
            let written = opened.write_all(file.text.as_bytes());
            written.and_then(|()| opened.sync_all()).map_err(fails)?;
        }
        Ok(())
    }

    /// Opens a folder, which is made if it is not there.
    fn make<'w>(
        &self,
        folders: &[&'w str],
        made: &mut Vec<Vec<&'w str>>,
    ) -> Result<OwnedFd, String> {
        let fails = |depth: usize, error: io::Error| {
            let (folders, _) = folders.split_at(depth);
            format!("{}: {error}", self.folder_path(folders).display())
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = self.open(&[]).map_err(|error| fails(0, error.into()))?;
        for (at, name) in folders.iter().enumerate() {
            let fails = |error: Errno| fails(at + 1, error.into());
            match rustix::fs::mkdirat(&folder, *name, Mode::from_raw_mode(0o755)) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(fails(error)),
                Ok(()) => {
                    made.extend(folders.get(..=at).map(<[&str]>::to_vec));
                    sync(&folder)
                        .map_err(|error| format!("{}: {error}", self.directory.display()))?;
                }
            }
            folder = rustix::fs::openat(&folder, *name, flags, Mode::empty()).map_err(fails)?;
        }
        Ok(folder)
    }

    /// Renames files to their places, and syncs each folder before the next.
    /// Gives how many are in place, and what went wrong.
    fn put_in_place(&self, staged: &[Staged<'_>]) -> (usize, Result<(), String>) {
        let mut done = 0;
        for group in staged.chunk_by(|a, b| a.wanted.folders == b.wanted.folders) {
            let folders = group.first().map_or(&[][..], |file| &file.wanted.folders);
            let fails =
                |error: io::Error| format!("{}: {error}", self.folder_path(folders).display());
            let folder = match self.open(folders) {
                Ok(folder) => folder,
                Err(error) => return (done, Err(fails(error.into()))),
            };
            for file in group {
                let name = file.wanted.name;
                if let Err(error) = rustix::fs::renameat(&folder, &file.temporary, &folder, name) {
                    let path = self.path(file.wanted);
                    let what = format!("{}: {}", path.display(), io::Error::from(error));
                    return (done, Err(what));
                }
                done += 1;
            }
            if let Err(error) = sync(&folder) {
                return (done, Err(fails(error)));
            }
        }
        (done, Ok(()))
    }
}

/// Makes a file that nobody else has, whatever an earlier run left.
fn create(folder: &OwnedFd, mode: Mode, first: usize) -> io::Result<(String, File)> {
    const MOST: usize = 10_000;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for number in first..first.saturating_add(MOST) {
        let name = format!(".containerd-dropins.{}.{number}.new", std::process::id());
        match rustix::fs::openat(folder, &name, flags, mode) {
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
            Ok(file) => return Ok((name, file.into())),
        }
    }
    Err(Errno::EXIST.into())
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something else",
    }
}
