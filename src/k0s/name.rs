//! What files go by: drop-ins, and files that drop-ins import.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DROP_IN_DIR;
use crate::containerd::import::clean;

/// The ending of drop-ins.
const ENDING: &str = ".toml";

/// The longest name of a file on Linux, in bytes.
const LONGEST: usize = 255;

/// The name of a drop-in: of a file that k0s finds as
/// `/etc/k0s/containerd.d/*.toml`.
///
/// k0s matches with Go's `filepath.Glob`: hidden files are drop-ins, and so is
/// `.toml`; folders are not entered, and only lower case will do. It is made of
/// the bare name or of the path on the node.
///
/// ```
/// use containerd_dropins::k0s::DropInName;
///
/// let name: DropInName = "/etc/k0s/containerd.d/nvidia.toml".parse()?;
/// assert_eq!(name, DropInName::try_from("nvidia.toml")?);
/// assert_eq!(name.as_str(), "nvidia.toml");
/// assert_eq!(name.path(), "/etc/k0s/containerd.d/nvidia.toml");
///
/// let other = "/etc/containerd/conf.d/nvidia.toml".parse::<DropInName>();
/// assert!(other.unwrap_err().to_string().ends_with("k0s reads drop-ins from /etc/k0s/containerd.d only"));
/// # Ok::<(), containerd_dropins::k0s::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DropInName(String);

impl DropInName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path on the node.
    pub fn path(&self) -> String {
        path_of(&self.0)
    }
}

/// The name of a file that takes part in a set of drop-ins: a drop-in, or what
/// drop-ins import.
///
/// A file below `/etc/k0s/containerd.d` goes by its path from there
/// (`20-cri.toml`, `nested/streaming.toml`), one elsewhere on the node by its
/// whole path. Names sort by bytes, as k0s and containerd have them.
///
/// ```
/// use containerd_dropins::k0s::FileName;
///
/// let nested: FileName = "/etc/k0s/containerd.d/nested/streaming.toml".parse()?;
/// assert_eq!(nested, "nested/streaming.toml");
/// assert_eq!(nested.drop_in(), None);
///
/// let elsewhere: FileName = "/etc/containerd/conf.d/a.toml".parse()?;
/// assert_eq!(elsewhere.path(), "/etc/containerd/conf.d/a.toml");
/// # Ok::<(), containerd_dropins::k0s::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

impl FileName {
    /// One that is made of parts that are known to be fine.
    pub(crate) fn of_parts(name: String) -> Self {
        FileName(name)
    }

    /// The path from the directory of drop-ins, or the whole one of a file that
    /// is elsewhere.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path on the node.
    pub fn path(&self) -> String {
        path_of(&self.0)
    }

    /// The drop-in that it names; `None` for a file that k0s does not look at.
    pub fn drop_in(&self) -> Option<DropInName> {
        self.is_drop_in().then(|| DropInName(self.0.clone()))
    }

    /// Whether k0s reads the file as a drop-in.
    pub fn is_drop_in(&self) -> bool {
        fault_of_drop_in(&self.0).is_none()
    }

    /// Whether the file is below the directory of drop-ins, in whatever folder.
    pub fn is_below(&self) -> bool {
        !self.0.starts_with('/')
    }
}

fn path_of(name: &str) -> String {
    match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("{DROP_IN_DIR}/{name}"),
    }
}

/// The text is not the name of such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} {fault}")]
pub struct NameError {
    name: String,
    fault: NameFault,
}

impl NameError {
    pub(crate) fn new(name: impl Into<String>, fault: NameFault) -> Self {
        let name = name.into();
        NameError { name, fault }
    }

    /// The text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it.
    pub fn fault(&self) -> NameFault {
        self.fault
    }
}

impl From<Infallible> for NameError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What keeps a text from being the name of a drop-in, or of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// There is nothing.
    #[error("is empty, and no file's name")]
    Empty,
    /// No file can be called that.
    #[error("has a NUL byte in it, which no file's name has")]
    Nul,
    /// No file can be called that.
    #[error("has a name of more than 255 bytes, which no file has")]
    TooLong,
    /// It ends in a slash, or there is nothing but the directory.
    #[error("names a directory, not a file")]
    Directory,
    /// Where it leads to depends on where it starts from.
    #[error("is relative; either the bare name or the whole path is wanted")]
    Relative,
    /// It is somewhere else on the node.
    #[error("is no drop-in: k0s reads drop-ins from {DROP_IN_DIR} only")]
    Elsewhere,
    /// It is in a folder of the directory.
    #[error(
        "is no drop-in: k0s enters no folders of {DROP_IN_DIR}; what is in them counts if a drop-in imports it"
    )]
    InFolder,
    /// k0s looks for lower case.
    #[error("is no drop-in: k0s reads *.toml, in lower case")]
    UpperCase,
    /// It has another ending.
    #[error("is no drop-in: k0s reads *.toml, and this ends otherwise")]
    Ending,
    /// The same file is in the set already.
    #[error("is given twice")]
    Twice,
}

/// Why k0s does not take a file below its directory for a drop-in.
fn fault_of_drop_in(name: &str) -> Option<NameFault> {
    if name.starts_with('/') {
        return Some(NameFault::Elsewhere);
    }
    if name.contains('/') {
        return Some(NameFault::InFolder);
    }
    if name.ends_with(ENDING) {
        return None;
    }
    match name.to_ascii_lowercase().ends_with(ENDING) {
        true => Some(NameFault::UpperCase),
        false => Some(NameFault::Ending),
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fails = |fault| Err(NameError::new(text, fault));
        let is_odd = |part: &str| matches!(part, "" | "." | "..");
        if text.is_empty() {
            return fails(NameFault::Empty);
        }
        if text.contains('\0') {
            return fails(NameFault::Nul);
        }
        if text.ends_with('/') || matches!(text.rsplit('/').next(), Some("." | "..")) {
            return fails(NameFault::Directory);
        }
        if !text.starts_with('/') && text.split('/').any(is_odd) {
            return fails(NameFault::Relative);
        }
        if text.split('/').any(|part| part.len() > LONGEST) {
            return fails(NameFault::TooLong);
        }
        let path = match text.starts_with('/') {
            true => clean(text),
            false => text.to_owned(),
        };
        if path == DROP_IN_DIR {
            return fails(NameFault::Directory);
        }
        let below = path.strip_prefix(DROP_IN_DIR);
        let below = below.and_then(|name| name.strip_prefix('/'));
        Ok(FileName(below.unwrap_or(&path).to_owned()))
    }
}

impl FromStr for DropInName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name: FileName = text.parse()?;
        match fault_of_drop_in(&name.0) {
            Some(fault) => Err(NameError::new(text, fault)),
            None => Ok(DropInName(name.0)),
        }
    }
}

impl TryFrom<FileName> for DropInName {
    type Error = NameError;

    fn try_from(name: FileName) -> Result<Self, NameError> {
        match fault_of_drop_in(&name.0) {
            Some(fault) => Err(NameError::new(name.0, fault)),
            None => Ok(DropInName(name.0)),
        }
    }
}

impl From<DropInName> for FileName {
    fn from(name: DropInName) -> Self {
        FileName(name.0)
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl TryFrom<&String> for $name {
            type Error = NameError;

            fn try_from(text: &String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> $name {
                name.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

text!(DropInName);
text!(FileName);

/// A set of drop-ins, and of the files that they import, by name and text.
///
/// Whatever is no drop-in is refused, so that nothing is left out unnoticed.
///
/// ```
/// use containerd_dropins::k0s::{DropInSet, NameFault};
///
/// let set = DropInSet::new([
///     ("/etc/k0s/containerd.d/nvidia.toml", "version = 2\n"),
///     ("30-gc.toml", "imports = [\"nested/gc.toml\"]\n"),
/// ])?;
/// let set = set.importing([("nested/gc.toml", "oom_score = -5\n")])?;
/// let names: Vec<&str> = set.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["30-gc.toml", "nested/gc.toml", "nvidia.toml"]);
///
/// let twice = DropInSet::new([("a.toml", ""), ("/etc/k0s/containerd.d/a.toml", "")]);
/// assert_eq!(twice.unwrap_err().fault(), NameFault::Twice);
/// let other = DropInSet::new([("nvidia.TOML", "")]);
/// assert_eq!(other.unwrap_err().fault(), NameFault::UpperCase);
/// # Ok::<(), containerd_dropins::k0s::NameError>(())
/// ```
#[derive(Clone, Default)]
pub struct DropInSet<'a> {
    files: BTreeMap<FileName, &'a str>,
}

/// The names only: texts may hold credentials.
impl fmt::Debug for DropInSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

impl<'a> DropInSet<'a> {
    /// Drop-ins by name, bare or with the path on the node, and text.
    ///
    /// # Errors
    /// If k0s reads no file of such a name as a drop-in, or one is there twice.
    pub fn new<N>(drop_ins: impl IntoIterator<Item = (N, &'a str)>) -> Result<Self, NameError>
    where
        N: TryInto<DropInName>,
        NameError: From<N::Error>,
    {
        let mut set = DropInSet::default();
        for (name, text) in drop_ins {
            set.insert(name.try_into()?.into(), text)?;
        }
        Ok(set)
    }

    /// The same set with files that drop-ins import: from a folder of the
    /// directory, by their path from there, or from elsewhere on the node, by
    /// their path. One with the name of a drop-in is one.
    ///
    /// # Errors
    /// If no file has such a name, or one is there twice.
    pub fn importing<N>(
        mut self,
        files: impl IntoIterator<Item = (N, &'a str)>,
    ) -> Result<Self, NameError>
    where
        N: TryInto<FileName>,
        NameError: From<N::Error>,
    {
        for (name, text) in files {
            self.insert(name.try_into()?, text)?;
        }
        Ok(self)
    }

    fn insert(&mut self, name: FileName, text: &'a str) -> Result<(), NameError> {
        match self.files.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(text);
                Ok(())
            }
            Entry::Occupied(entry) => Err(NameError::new(entry.key().as_str(), NameFault::Twice)),
        }
    }

    /// The files in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&FileName, &'a str)> {
        self.files.iter().map(|(name, text)| (name, *text))
    }
}

#[cfg(test)]
mod tests {
    use super::NameFault::*;
    use super::*;

    fn drop_in(text: &str) -> Result<String, NameFault> {
        let name = text.parse::<DropInName>();
        name.map(String::from).map_err(|error| error.fault())
    }

    /// What `filepath.Glob("/etc/k0s/containerd.d/*.toml")` of Go gives and does
    /// not give.
    #[test]
    fn drop_ins_are_what_the_glob_of_k0s_finds() {
        for name in [
            "a.toml",
            ".toml",
            ".hidden.toml",
            "a b.toml",
            "*.toml",
            "[a].toml",
            "a\\b.toml",
            "é.toml",
            "a\nb.toml",
            "a.toml.toml",
            "-.toml",
            "\u{202e}.toml",
        ] {
            assert_eq!(drop_in(name).as_deref(), Ok(name));
            assert_eq!(
                drop_in(&format!("{DROP_IN_DIR}/{name}")).as_deref(),
                Ok(name)
            );
        }
        for (name, fault) in [
            ("", Empty),
            ("nvidia.TOML", UpperCase),
            ("nvidia.Toml", UpperCase),
            ("nvidia.toml.bak", Ending),
            ("nvidia.toml ", Ending),
            ("nvidia", Ending),
            ("toml", Ending),
            ("a\0.toml", Nul),
            ("nested/a.toml", InFolder),
            ("/etc/k0s/containerd.d/nested/a.toml", InFolder),
            ("/etc/k0s/containerd.d/a.toml/b.toml", InFolder),
            ("/etc/k0s/containerd.d/../a.toml", Elsewhere),
            ("/etc/k0s/containerd.dx/a.toml", Elsewhere),
            ("/etc/k0s/containerd.toml", Elsewhere),
            ("/a.toml", Elsewhere),
            ("./a.toml", Relative),
            ("../a.toml", Relative),
            ("nested//a.toml", Relative),
            ("nested/../a.toml", Relative),
            ("/etc/k0s/containerd.d", Directory),
            ("/etc/k0s/containerd.d/", Directory),
            ("/etc/k0s/containerd.d/a.toml/", Directory),
            ("/etc/k0s/containerd.d/a.toml/..", Directory),
            ("/", Directory),
            ("..", Directory),
        ] {
            assert_eq!(drop_in(name), Err(fault), "{name:?}");
        }
        let long = |len: usize| format!("{}.toml", "a".repeat(len - 5));
        assert_eq!(drop_in(&long(255)).map(|name| name.len()), Ok(255));
        assert_eq!(drop_in(&long(256)), Err(TooLong));
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for path in [
            "/etc/k0s/containerd.d/a.toml",
            "//etc/k0s//containerd.d/./a.toml",
            "/etc/k0s/x/../containerd.d/a.toml",
            "/../etc/k0s/containerd.d/a.toml",
        ] {
            assert_eq!(drop_in(path).as_deref(), Ok("a.toml"), "{path}");
        }
        let file = |text: &str| text.parse::<FileName>().unwrap();
        assert_eq!(file("/etc/k0s/containerd.d/x/../y/a"), "y/a");
        assert_eq!(file("/etc/../a"), "/a");
        assert!(file("a.TOML").is_below() && !file("a.TOML").is_drop_in());
        assert!(!file("/a.toml").is_below());
    }

    #[test]
    fn names_are_texts_in_json() {
        let name: DropInName = serde_json::from_str("\"/etc/k0s/containerd.d/a.toml\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"a.toml\"");
        let refused = serde_json::from_str::<DropInName>("\"a\\u202e.txt\"");
        assert_eq!(
            refused.unwrap_err().to_string(),
            "\"a\\u{202e}.txt\" is no drop-in: k0s reads *.toml, and this ends otherwise"
        );
    }
}
