//! What the library is given.

use std::path::{Path, PathBuf};

use containerd_dropins::k0s::{CONFIG_FILE, DROP_IN_DIR};

use crate::digest::Digest;
use crate::files::{self, entries, name_of, read};
use crate::frames::{self, Frame};

/// A legacy file or drop-ins, with all that they import.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    /// By which it is told from the others: a path, without the file's extension.
    pub(crate) name: String,
    pub(crate) front: Front,
    /// Path on the node and text, those of the front first.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) breadth: Breadth,
}

/// Which way into the library it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// The first file is a legacy file, the others are imported.
    Legacy,
    /// Drop-ins, perhaps with the main file beside them.
    DropIns,
}

impl Front {
    fn as_str(self) -> &'static str {
        match self {
            Front::Legacy => "legacy",
            Front::DropIns => "drop-ins",
        }
    }
}

/// How much is asked of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// Every combination of release and options, what the program prints, and a
    /// readable file.
    All,
    /// Some of the combinations, and a readable file.
    Some,
    /// Some of the combinations.
    Digest,
}

impl Input {
    fn new(name: String, front: Front, files: Vec<(String, Vec<u8>)>, breadth: Breadth) -> Self {
        Input {
            name,
            front,
            files,
            breadth,
        }
    }

    /// Of everything that is the input's.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        digest.add(self.front.as_str().as_bytes());
        for (path, text) in &self.files {
            digest.add(path.as_bytes());
            digest.add(text);
        }
        digest
    }

    /// To be stored.
    #[cfg(any(test, feature = "generate"))]
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> {
        self.files.iter().map(|(path, text)| Frame {
            name: format!("{} {} {path}", self.name, self.front.as_str()),
            body: text.clone(),
        })
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the generated inputs are.
pub(crate) fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("generated.gz")
}

/// All inputs, in the order of their names.
pub(crate) fn all() -> Result<Vec<Input>, String> {
    let mut all = Vec::new();
    all.extend(cases()?);
    all.extend(sets()?);
    all.extend(examples()?);
    all.extend(dumps()?);
    all.extend(recorded_sets()?);
    all.extend(refusals()?);
    all.extend(seeds()?);
    all.extend(own()?);
    all.extend(made()?);
    all.extend(generated()?);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for (a, b) in all.iter().zip(all.iter().skip(1)) {
        if a.name == b.name {
            return Err(format!("two inputs are called {}", a.name));
        }
    }
    Ok(all)
}

/// The files below a folder as if they were below another on the node.
fn below(folder: &Path, on_node: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let files = files::below(folder, on_node)?.into_iter();
    files.map(|(name, path)| Ok((name, read(&path)?))).collect()
}

fn stem_of(path: &Path) -> String {
    let name = name_of(path);
    name.strip_suffix(".toml").unwrap_or(&name).to_owned()
}

fn legacy(text: Vec<u8>) -> (String, Vec<u8>) {
    (CONFIG_FILE.to_owned(), text)
}

fn cases() -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for case in entries(&root().join("tests/cases"))? {
        let mut files = vec![legacy(read(&case.join("legacy.toml"))?)];
        files.extend(below(&case.join("imports"), "/etc/containerd")?);
        let name = format!("cases/{}", name_of(&case));
        inputs.push(Input::new(name, Front::Legacy, files, Breadth::All));
    }
    Ok(inputs)
}

fn sets() -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for set in entries(&root().join("tests/sets"))? {
        let mut files = below(&set.join("drop-ins"), DROP_IN_DIR)?;
        files.extend(below(&set.join("imported"), "/etc/containerd/conf.d")?);
        let name = format!("sets/{}", name_of(&set));
        inputs.push(Input::new(name, Front::DropIns, files, Breadth::All));
    }
    Ok(inputs)
}

fn examples() -> Result<Vec<Input>, String> {
    legacy_files("examples", &root().join("examples"))
}

/// The files of a folder, but not of the folders in it.
fn legacy_files(family: &str, folder: &Path) -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for path in entries(folder)? {
        if path.is_file() {
            let name = format!("{family}/{}", stem_of(&path));
            let files = vec![legacy(read(&path)?)];
            inputs.push(Input::new(name, Front::Legacy, files, Breadth::All));
        }
    }
    Ok(inputs)
}

/// What containerd printed, by itself and with drop-ins.
fn dumps() -> Result<Vec<Input>, String> {
    let recorded = root().join("tests/recorded");
    let mut inputs = legacy_files("dumps", &recorded.join("default"))?;
    for (line, folder) in sets_of_lines(&recorded)? {
        for path in entries(&folder)? {
            let stem = stem_of(&path);
            if stem.starts_with("dump-") {
                let name = format!("dumps/{line}-{}-{stem}", name_of(&folder));
                let files = vec![legacy(read(&path)?)];
                inputs.push(Input::new(name, Front::Legacy, files, Breadth::Digest));
            }
        }
    }
    Ok(inputs)
}

/// The drop-ins with which containerd printed them.
fn recorded_sets() -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for (line, folder) in sets_of_lines(&root().join("tests/recorded"))? {
        let files = below(&folder.join("drop-ins"), DROP_IN_DIR)?;
        if !files.is_empty() {
            let name = format!("recorded-sets/{line}-{}", name_of(&folder));
            inputs.push(Input::new(name, Front::DropIns, files, Breadth::Some));
        }
    }
    Ok(inputs)
}

/// The folders of what was recorded of k0s, and the release line.
fn sets_of_lines(recorded: &Path) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let mut folders = Vec::new();
    for line in ["k0s-1.30", "k0s-1.36"] {
        let paths = entries(&recorded.join(line))?.into_iter();
        folders.extend(paths.filter(|path| path.is_dir()).map(|path| (line, path)));
    }
    Ok(folders)
}

/// What containerd refuses, in each config version and as a drop-in.
fn refusals() -> Result<Vec<Input>, String> {
    let path = root().join("tests/recorded/refusals/cases");
    let text = read(&path)?;
    let text = String::from_utf8(text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("#=")) {
        match (line.strip_prefix("# "), cases.last_mut()) {
            (Some(name), _) => cases.push((name.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => return Err(format!("{}: {line:?} is of no case", path.display())),
        }
    }
    let mut inputs = Vec::new();
    for (name, text) in cases {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        for version in [2, 3] {
            let (main, imported) = spelled(&text, version);
            let mut files = vec![legacy(main.clone())];
            files.extend(imported.clone());
            let input = |front: &str, kind, files| {
                let name = format!("refusals/{front}-{version}-{name}");
                let breadth = match (kind, version) {
                    (Front::Legacy, 3) => Breadth::Some,
                    _ => Breadth::Digest,
                };
                Input::new(name, kind, files, breadth)
            };
            inputs.push(input("legacy", Front::Legacy, files));
            let mut files = vec![(format!("{DROP_IN_DIR}/50-x.toml"), main)];
            files.extend(imported);
            inputs.push(input("drop-in", Front::DropIns, files));
        }
    }
    Ok(inputs)
}

/// What separates a file from one that it imports, among the recorded refusals.
const IMPORTED: &str = "#IMPORTED\n";

/// A file that is recorded in short words, and what it imports.
fn spelled(text: &str, version: i64) -> (Vec<u8>, Option<(String, Vec<u8>)>) {
    const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";
    let (images, runtime, snapshots, sandbox) = match version {
        3 => (
            "plugins.\"io.containerd.cri.v1.images\"",
            "plugins.\"io.containerd.cri.v1.runtime\"",
            "[IMAGES]",
            "[IMAGES.pinned_images]\nsandbox",
        ),
        _ => (CRI, CRI, "[RUNTIME.containerd]", "[RUNTIME]\nsandbox_image"),
    };
    let (main, imported) = match text.split_once(IMPORTED) {
        Some((main, imported)) => (main, Some(imported)),
        None => (text, None),
    };
    let long = |text: &str| {
        text.replace("[SNAPSHOTS]", snapshots)
            .replace("[SANDBOX]", sandbox)
            .replace("[IMAGES", &format!("[{images}"))
            .replace("[RUNTIME", &format!("[{runtime}"))
            .replace("[STREAMS", &format!("[{CRI}"))
    };
    let main = match imported {
        Some(_) => format!(
            "version = {version}\nimports = [\"{ELSEWHERE}\"]\n{}",
            long(main)
        ),
        None => format!("version = {version}\n{}", long(main)),
    };
    let imported = imported.map(|text| (ELSEWHERE.to_owned(), long(text).into_bytes()));
    (main.into_bytes(), imported)
}

/// A file that belongs to nobody.
const ELSEWHERE: &str = "/etc/containerd/imported.toml";

/// The fuzz target's documents, without the byte that chooses a release.
fn seeds() -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for path in entries(&root().join("fuzz/seeds/legacy"))? {
        let mut text = read(&path)?;
        text.drain(..text.len().min(1));
        let name = format!("seeds/{}", name_of(&path));
        let files = vec![legacy(text)];
        inputs.push(Input::new(name, Front::Legacy, files, Breadth::Digest));
    }
    Ok(inputs)
}

/// What nothing else makes the library say: a legacy file, or a folder of files by
/// their paths on the node.
fn own() -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    let folder = root().join("freeze/inputs");
    for path in entries(&folder.join("legacy"))? {
        let mut files = match path.is_dir() {
            true => below(&path, "")?,
            false => vec![legacy(read(&path)?)],
        };
        // The main file comes first.
        files.sort_by_key(|(path, _)| path != CONFIG_FILE);
        let name = format!("own/{}", stem_of(&path));
        inputs.push(Input::new(name, Front::Legacy, files, Breadth::All));
    }
    for path in entries(&folder.join("drop-ins"))? {
        let files = below(&path, "")?;
        let name = format!("own/drop-ins-{}", name_of(&path));
        inputs.push(Input::new(name, Front::DropIns, files, Breadth::All));
    }
    Ok(inputs)
}

/// The same, of which most is in another file or a blank.
fn made() -> Result<Vec<Input>, String> {
    let dump = read(&root().join("tests/recorded/default/1.6.20-debian.toml"))?;
    let dump = String::from_utf8_lossy(&dump).replace(
        "imports = []",
        "imports = [\"/etc/containerd/config.toml\"]",
    );
    let long = format!("#{}\nversion = 2\noom_score = -5\n", " ".repeat(70_000));
    let input = |name: &str, text: String| {
        let files = vec![legacy(text.into_bytes())];
        Input::new(format!("own/{name}"), Front::Legacy, files, Breadth::All)
    };
    Ok(vec![
        input("dump-that-imports-itself", dump),
        input("long-first-line", long),
    ])
}

fn generated() -> Result<Vec<Input>, String> {
    let path = stored();
    of_frames(frames::load(&path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn of_frames(frames: Vec<Frame>) -> Result<Vec<Input>, String> {
    let mut inputs: Vec<Input> = Vec::new();
    for Frame { name, body } in frames {
        let mut words = name.splitn(3, ' ');
        let (Some(name), Some(front), Some(on_node)) = (words.next(), words.next(), words.next())
        else {
            return Err(format!("{name:?} is no input"));
        };
        let front = match front {
            "legacy" => Front::Legacy,
            _ => Front::DropIns,
        };
        let file = (on_node.to_owned(), body);
        match inputs.last_mut() {
            Some(last) if last.name == name => last.files.push(file),
            _ => {
                let name = name.to_owned();
                inputs.push(Input::new(name, front, vec![file], Breadth::Digest));
            }
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sources_are_there() {
        let all = all().unwrap();
        let count = |folder: &str| {
            let of_it = |input: &&Input| input.name.starts_with(folder);
            all.iter().filter(of_it).count()
        };
        for folder in [
            "cases/",
            "sets/",
            "examples/",
            "dumps/",
            "recorded-sets/",
            "refusals/",
            "seeds/",
            "own/",
        ] {
            assert!(count(folder) > 1, "{folder}");
        }
        assert!(count("generated/") >= 3000);
        let drop_ins = all.iter().filter(|input| input.front == Front::DropIns);
        assert!(drop_ins.count() >= 500);
    }

    /// Who compares has the inputs that were recorded.
    #[test]
    fn an_input_is_stored_as_it_is() {
        let files = vec![
            ("/a b".to_owned(), b"x\r\n\xff".to_vec()),
            ("/c".to_owned(), Vec::new()),
        ];
        let input = Input::new("n".to_owned(), Front::DropIns, files, Breadth::Digest);
        let frames: Vec<Frame> = input.frames().collect();
        assert_eq!(of_frames(frames).unwrap(), [input]);
    }

    #[test]
    fn short_words_are_spelled_out() {
        let (main, imported) = spelled("[SANDBOX] = \"a\"\n#IMPORTED\n[STREAMS]\n", 3);
        let main = String::from_utf8(main).unwrap();
        let images = "[plugins.\"io.containerd.cri.v1.images\".pinned_images]";
        assert!(
            main.ends_with(&format!("{images}\nsandbox = \"a\"\n")),
            "{main}"
        );
        let (_, imported) = imported.unwrap();
        assert_eq!(imported, b"[plugins.\"io.containerd.grpc.v1.cri\"]\n");
    }
}
