//! Files and folders.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The files and folders of a folder, which must be there.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fails = |error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fails)? {
        paths.push(entry.map_err(fails)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The files of a folder and of the folders in it, by their names as if they were
/// below another; none if it is not there.
pub(crate) fn below(folder: &Path, other: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for path in entries(folder)? {
        let name = format!("{other}/{}", name_of(&path));
        match path.is_dir() {
            true => files.extend(below(&path, &name)?),
            false => files.push((name, path)),
        }
    }
    Ok(files)
}

/// The same by their names in the folder.
pub(crate) fn all_in(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let mut files = below(folder, "")?;
    for (name, _) in &mut files {
        name.remove(0);
    }
    Ok(files)
}

pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
