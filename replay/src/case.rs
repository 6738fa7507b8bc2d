//! Cases: folders with a legacy file or a set of drop-ins, and what a node that
//! has it does before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::node::Pod;
use crate::registry::Declared;

/// A case, as its folder tells it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) input: Input,
    /// Other files of the node, by absolute path.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) said: Said,
}

/// What is to be migrated.
pub(crate) enum Input {
    /// The text of `/etc/k0s/containerd.toml`.
    Legacy(String),
    /// Drop-ins by name below `/etc/k0s/containerd.d`.
    DropIns(BTreeMap<String, String>),
}

/// `case.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    /// What it is about, in a sentence.
    pub(crate) about: String,
    /// Where the input is, if it is not in the folder itself.
    pub(crate) input: Option<PathBuf>,
    /// What the node runs before: a release of containerd with a legacy file,
    /// one of k0s with drop-ins.
    pub(crate) running: Option<String>,
    /// The images that are there from the start. If nothing is said, every
    /// pause image that may be asked for is.
    pub(crate) images: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) binaries: Vec<String>,
    /// Directories with CNI plugins, beside those of k0s and Debian.
    #[serde(default)]
    pub(crate) networks: Vec<String>,
    #[serde(default)]
    pub(crate) registries: Vec<Declared>,
    #[serde(default)]
    pub(crate) pods: Vec<Pod>,
    /// What is seen before, by what it is about.
    pub(crate) before: BTreeMap<String, String>,
    pub(crate) targets: Vec<Wanted>,
}

/// A release to migrate for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) k0s: String,
    /// Whether mirrors are to become `hosts.toml` files in any case, or not.
    pub(crate) registry: Option<Policy>,
    /// The codes of the plan's error-level findings.
    #[serde(default)]
    pub(crate) errors: Vec<String>,
    /// Codes that are among those of the plan's warnings.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// What is seen after, where it is not what is seen before.
    #[serde(default)]
    pub(crate) after: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    Keep,
    Convert,
}

/// All cases below the folder `cases`, by name.
pub(crate) fn all() -> Result<Vec<Case>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases = Vec::new();
    let mut folders: Vec<PathBuf> = entries(&folder)?;
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let case = read(&folder, &name).map_err(|error| format!("{name}: {error}"))?;
        cases.push(case);
    }
    match cases.is_empty() {
        true => Err(format!("no cases in {}", folder.display())),
        false => Ok(cases),
    }
}

fn read(folder: &Path, name: &str) -> Result<Case, String> {
    let said: Said = toml_edit::de::from_str(&text(&folder.join("case.toml"))?)
        .map_err(|error| format!("case.toml: {error}"))?;
    if said.before.is_empty() || said.targets.is_empty() {
        return Err("case.toml: nothing is said of before, or of any target".to_owned());
    }
    let input = match &said.input {
        Some(input) => folder.join(input),
        None if folder.join("drop-ins").is_dir() => folder.join("drop-ins"),
        None => folder.join("legacy.toml"),
    };
    let input = match input.is_dir() {
        true => Input::DropIns(tree(&input)?),
        false => Input::Legacy(text(&input)?),
    };
    let files = match folder.join("files") {
        files if files.is_dir() => {
            let files = tree(&files)?.into_iter();
            files
                .map(|(name, text)| (format!("/{name}"), text))
                .collect()
        }
        _ => BTreeMap::new(),
    };
    Ok(Case {
        name: name.to_owned(),
        folder: folder.to_owned(),
        input,
        files,
        said,
    })
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fails = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(fails)?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect::<Result<_, _>>().map_err(fails)
}

/// The files below a folder, by path.
fn tree(base: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![base.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(base).unwrap_or(&path);
            files.insert(name.display().to_string(), text(&path)?);
        }
    }
    Ok(files)
}

/// Whether a text is as it is said to be: `...` stands for anything.
pub(crate) fn is_as_said(said: &str, found: &str) -> bool {
    let mut pieces = said.split("...");
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_dots_stand_for_anything() {
        assert!(is_as_said("runs", "runs"));
        assert!(!is_as_said("runs", "runs by runc"));
        assert!(!is_as_said("", "runs"));
        assert!(is_as_said("runs by ...", "runs by runc"));
        assert!(is_as_said("...pause:3.8...", "no pause:3.8 here"));
        assert!(is_as_said("a...b...c", "a1b2c"));
        assert!(!is_as_said("a...b...c", "a1c2b"));
        // What is said at the end has to come behind the rest.
        assert!(!is_as_said("a...bc...c", "abc"));
        assert!(!is_as_said("...x", "runs"));
    }
}
