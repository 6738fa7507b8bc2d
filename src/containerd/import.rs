//! The entries of `imports`, and the order in which they have files loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::ops::Bound;

use crate::Document;
use crate::shown;

/// One entry of `imports`, resolved against the file that holds it.
///
/// An entry with a `*` is a pattern of Go's `filepath.Match`; any other names
/// one file. Relative entries start from the directory of the file.
///
/// ```
/// use containerd_dropins::containerd::Import;
///
/// let import = Import::new("/etc/containerd/config.toml", "conf.d/*.toml");
/// assert_eq!(import.directory(), Some("/etc/containerd/conf.d"));
/// assert!(import.matches("/etc/containerd/conf.d/a.toml"));
/// assert!(!import.matches("/etc/containerd/conf.d/sub/a.toml"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Import {
    path: String,
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown::text(&self.path);
        f.debug_struct("Import").field("path", &path).finish()
    }
}

impl Import {
    /// The import `entry` of the file at `importer`.
    pub fn new(importer: &str, entry: &str) -> Self {
        let directory = importer
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let path = match (entry.starts_with('/'), directory.is_empty()) {
            (true, _) => clean(entry),
            (false, true) if !importer.starts_with('/') => clean(entry),
            (false, _) => clean(&format!("{directory}/{entry}")),
        };
        Import { path }
    }

    /// The imports of a document, whose name is taken for its path.
    pub fn of(document: &Document) -> Vec<Import> {
        let entries = document.imports();
        entries
            .iter()
            .map(|entry| Import::new(document.name(), entry))
            .collect()
    }

    /// The path or pattern.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether this is a pattern, which may match nothing.
    pub fn is_pattern(&self) -> bool {
        self.path.contains('*')
    }

    /// The directory to look into for what a pattern matches, if it is one
    /// and only its last part is a pattern.
    pub fn directory(&self) -> Option<&str> {
        let directory = match self.path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((directory, _)) => directory,
            None => ".",
        };
        (self.is_pattern() && !directory.contains(['*', '?', '[', '\\'])).then_some(directory)
    }

    /// Whether this imports the file at `path`.
    pub fn matches(&self, path: &str) -> bool {
        let path = clean(path);
        match self.is_pattern() {
            true => Pattern::of(&self.path).matches(&path),
            false => self.path == path,
        }
    }
}

/// A pattern, taken apart.
struct Pattern {
    parts: Vec<Vec<char>>,
}

impl Pattern {
    fn of(path: &str) -> Self {
        let parts = path.split('/').map(|part| part.chars().collect());
        Pattern {
            parts: parts.collect(),
        }
    }

    /// Whether it matches a path that is clean.
    fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let mut part_chars: Vec<char> = Vec::new();
        let all = self.parts.iter().all(|pattern| {
            let Some(part) = parts.next() else {
                return false;
            };
            part_chars.clear();
            part_chars.extend(part.chars());
            matches_part(pattern, &part_chars)
        });
        all && parts.next().is_none()
    }
}

/// Files by path, for finding those that an import leads to.
pub(crate) struct Paths {
    /// Their numbers.
    by_path: BTreeMap<String, Vec<usize>>,
}

impl Paths {
    pub(crate) fn of<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut by_path: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, path) in paths.into_iter().enumerate() {
            by_path.entry(clean(path)).or_default().push(at);
        }
        Paths { by_path }
    }

    /// The files that an import leads to, by path. Only those are looked at that
    /// begin as a pattern does.
    pub(crate) fn reached(&self, import: &Import) -> impl Iterator<Item = usize> {
        let path = import.path();
        let (start, pattern) = match import.is_pattern() {
            true => {
                let signs = path.find(['*', '?', '[', '\\']);
                let start = signs.and_then(|at| path.get(..at)).unwrap_or(path);
                (start, Some(Pattern::of(path)))
            }
            false => (path, None),
        };
        let is_reached = move |other: &str| match &pattern {
            Some(pattern) => pattern.matches(other),
            None => other == path,
        };
        let from_here = (Bound::Included(start), Bound::Unbounded);
        self.by_path
            .range::<str, _>(from_here)
            .take_while(move |(other, _)| other.starts_with(start))
            // Without a pattern it is the first or none.
            .take(match import.is_pattern() {
                true => usize::MAX,
                false => 1,
            })
            .filter(move |(other, _)| is_reached(other))
            .flat_map(|(_, at)| at.iter().copied())
    }
}

/// The files that containerd loads, in its order, as places in `paths`: `first`,
/// then what those import, then what that imports. Each is loaded once; what a
/// pattern matches goes by path (containerd 1.3 – 2.3). `met` is told of every
/// import: by which file, and the files that it leads to, of which the first must
/// do where the same import was met before.
pub(crate) fn load_order(
    paths: &[&str],
    first: impl IntoIterator<Item = usize>,
    imports: impl Fn(usize) -> Vec<Import>,
    mut met: impl FnMut(usize, &Import, &[usize]),
) -> Vec<usize> {
    let index = Paths::of(paths.iter().copied());
    let mut known: HashMap<String, Option<usize>> = HashMap::new();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<usize> = first.into_iter().filter(|at| seen.insert(*at)).collect();
    let mut order = Vec::new();
    while let Some(file) = queue.pop_front() {
        order.push(file);
        for import in imports(file) {
            if let Some(reached) = known.get(import.path()) {
                met(file, &import, reached.as_slice());
                continue;
            }
            let reached: Vec<usize> = index.reached(&import).collect();
            met(file, &import, &reached);
            known.insert(import.path().to_owned(), reached.first().copied());
            queue.extend(reached.into_iter().filter(|at| seen.insert(*at)));
        }
    }
    order
}

/// Go's `filepath.Clean` for slash-separated paths.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `filepath.Match` for one part of a path: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
/// Goes back to the last star only, so it stays within `pattern * part` steps.
fn matches_part(pattern: &[char], part: &[char]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        if rest.is_empty() && s == part.len() {
            return true;
        }
        if rest.first() == Some(&'*') {
            star = Some((p + 1, s));
            p += 1;
            continue;
        }
        if let Some(step) = part.get(s).and_then(|c| matches_char(rest, *c)) {
            p += step;
            s += 1;
            continue;
        }
        match star {
            Some((after, from)) if from < part.len() => {
                star = Some((after, from + 1));
                (p, s) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern one character uses up, if it matches.
fn matches_char(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == c).then_some(2),
        ['[', class @ ..] => {
            let (negated, class) = match class {
                ['^', class @ ..] => (true, class),
                class => (false, class),
            };
            let end = class.iter().position(|c| *c == ']')?;
            let class = class.get(..end)?;
            let mut matched = false;
            let mut rest = class;
            while let [from, after @ ..] = rest {
                rest = match after {
                    ['-', to, after @ ..] => {
                        matched |= (*from..=*to).contains(&c);
                        after
                    }
                    after => {
                        matched |= *from == c;
                        after
                    }
                };
            }
            (matched != negated).then_some(end + 2 + usize::from(negated))
        }
        [literal, ..] => (*literal == c).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let matches =
            |pattern: &str, path: &str| Import::new("/d/main.toml", pattern).matches(path);
        assert!(matches("*.toml", "/d/a.toml"));
        assert!(matches("*.toml", "/d/.a.toml"));
        assert!(!matches("*.toml", "/d/a.toml.bak"));
        assert!(matches("/e/*z*", "/e/xzy"));
        assert!(matches("/e/[a-c]?*", "/e/bx"));
        assert!(!matches("/e/[^a-c]*", "/e/bx"));
        assert!(matches("/e/\\**", "/e/*x"));
        assert!(!matches("/e/[*", "/e/[x"));
        // Without a star, the other signs are literal.
        assert!(matches("x.tom?", "/d/x.tom?"));
        assert!(!matches("x.tom?", "/d/x.toml"));
        assert!(matches("../e/./x.toml", "/e/x.toml"));
        assert!(matches("**********b", "/d/aaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
    }

    #[test]
    fn imports_of_imports_come_last_and_files_once() {
        let files = [
            ("/d/main.toml", &["b.toml", "s/*.toml", "none.toml"][..]),
            ("/d/s/2.toml", &["../c.toml"]),
            ("/d/s/1.toml", &["../main.toml", "../b.toml"]),
            ("/d/c.toml", &[]),
            ("/d/b.toml", &["./s//../c.toml"]),
            ("/d/unused.toml", &[]),
        ];
        let paths = files.map(|(path, _)| path);
        let imports = |at: usize| {
            let (path, entries) = files[at];
            entries
                .iter()
                .map(|entry| Import::new(path, entry))
                .collect()
        };
        let mut unmet = Vec::new();
        let order = load_order(&paths, [0], imports, |file, import, reached| {
            if reached.is_empty() {
                unmet.push((file, import.path().to_owned()));
            }
        });
        assert_eq!(order, [0, 4, 2, 1, 3]);
        assert_eq!(unmet, [(0, "/d/none.toml".to_owned())]);
    }
}
