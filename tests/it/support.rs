//! Helpers that several test files share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Finding, Severity};
use containerd_dropins::k0s::DropInSet;
use containerd_dropins::migrate::{ExistingDropIns, Options, Plan, Target, plan, plan_drop_ins};
use containerd_dropins::value::{Table, Value};

/// A path inside of `tests`.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(relative)
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder, by name.
pub fn files(relative: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path(relative))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{relative} is empty");
    files
}

pub fn parse(text: &str) -> Table {
    toml_edit::de::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Every leaf of a table by its path.
pub fn leaves(table: &Table) -> BTreeMap<String, Value> {
    fn walk(path: &str, table: &Table, leaves: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let path = if path.is_empty() {
                format!("{key:?}")
            } else {
                format!("{path}.{key:?}")
            };
            match value {
                Value::Table(inner) => walk(&path, inner, leaves),
                value => drop(leaves.insert(path, value.clone())),
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", table, &mut leaves);
    leaves
}

/// RFC 7396 for tables, written anew so that it can judge the library's.
pub fn merge(base: &mut Table, patch: &Table) {
    for (key, value) in patch {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(patch)) => merge(base, patch),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

pub fn at<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    match rest {
        [] => table.get(*first),
        rest => at(table.get(*first)?.as_table()?, rest),
    }
}

pub const CRI: &str = "io.containerd.grpc.v1.cri";

/// Short names of sections, in tests that have many of them.
pub const NAMES: &[(&str, &str)] = &[
    ("CRI", "plugins.\"io.containerd.grpc.v1.cri\""),
    ("IMAGES", "plugins.\"io.containerd.cri.v1.images\""),
    ("RUNTIME", "plugins.\"io.containerd.cri.v1.runtime\""),
];

/// A text with the long names for the short ones.
pub fn long(text: &str) -> String {
    let text = text.to_owned();
    NAMES
        .iter()
        .fold(text, |text, (short, long)| text.replace(short, long))
}

/// What k0s 1.27.5 – 1.35 generate, written anew from its description: the CRI
/// defaults are those that containerd 1.7.24 printed, with the CNI directory
/// that Debian's build changes put right. Gives the merged CRI file and the
/// names of the files that are imported as they are.
pub fn assemble(pause: &str, drop_ins: &BTreeMap<String, String>) -> (Table, Vec<String>) {
    let printed = parse(&read(&path("recorded/default/1.7.24-debian.toml")));
    let mut cri = at(&printed, &["plugins", CRI])
        .unwrap()
        .as_table()
        .unwrap()
        .clone();
    cri.insert("sandbox_image".into(), Value::String(pause.into()));
    let Some(Value::Table(cni)) = cri.get_mut("cni") else {
        panic!("no cni")
    };
    cni.insert("bin_dir".into(), Value::String("/opt/cni/bin".into()));
    let plugins = Table::from([(CRI.to_owned(), Value::Table(cri))]);
    let mut merged = Table::from([
        ("version".to_owned(), Value::Integer(2)),
        ("plugins".to_owned(), Value::Table(plugins)),
    ]);
    let mut imported = Vec::new();
    for (name, text) in drop_ins {
        let table = parse(text);
        match at(&table, &["plugins", CRI]) {
            Some(_) => merge(&mut merged, &table),
            None => imported.push(name.clone()),
        }
    }
    (merged, imported)
}

/// A folder of its own for one test, removed at the end.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(temporary(name));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with the folders that it is in, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The path of a test's folder.
pub fn temporary(name: &str) -> String {
    let name = format!("containerd-dropins-{}-{name}", std::process::id());
    std::env::temp_dir().join(name).display().to_string()
}

/// The containerd binaries that `.ci/fetch-containerd` put into the folder
/// `CONTAINERD_DIR`, by the version they state themselves.
pub fn containerds() -> BTreeMap<String, PathBuf> {
    let Some(dir) = std::env::var_os("CONTAINERD_DIR") else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for entry in
        std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
    {
        let binary = entry.unwrap().path().join("containerd");
        let output = std::process::Command::new(&binary)
            .arg("--version")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // Upstream's builds say v2.1.9, Debian's 2.1.9~ds1.
        let words = text.split_whitespace();
        let mut words = words.map(|word| word.strip_prefix('v').unwrap_or(word));
        let version = words.find(|word| {
            word.split('.').count() == 3 && word.starts_with(|c: char| c.is_ascii_digit())
        });
        let version = version.unwrap_or_else(|| panic!("no version in {text:?}"));
        let plain = version.split(['~', '-', '+']).next().unwrap();
        found.insert(plain.to_owned(), binary);
    }
    assert!(!found.is_empty(), "no containerd in {}", dir.display());
    found
}

/// The binary of a release line of containerd, whichever patch release is at
/// hand.
pub fn containerd(line: &str) -> Option<PathBuf> {
    let all = containerds();
    let is = |version: &String| version.starts_with(&format!("{line}."));
    assert!(
        all.is_empty() || all.keys().any(is),
        "CONTAINERD_DIR holds no containerd {line}"
    );
    all.into_iter()
        .find(|(version, _)| is(version))
        .map(|(_, binary)| binary)
}

/// What containerd makes of drop-ins as k0s puts them together: the leaves of
/// `config dump`. The list of imports is in random order there and left out.
pub fn dump(
    containerd: &Path,
    name: &str,
    pause: &str,
    drop_ins: &BTreeMap<String, String>,
) -> BTreeMap<String, Value> {
    let dir = TempDir::new(name);
    config_dump(containerd, &put_together(&dir, pause, drop_ins))
}

/// Writes drop-ins as k0s 1.27.5 – 1.35 put them together, and gives the path of the
/// main file.
pub fn put_together(dir: &TempDir, pause: &str, drop_ins: &BTreeMap<String, String>) -> String {
    let (cri, imported) = assemble(pause, drop_ins);
    let mut imports: Vec<String> = imported
        .iter()
        .map(|name| dir.write(name, &drop_ins[name]))
        .collect();
    imports.push(dir.write(
        "containerd-cri.toml.generated",
        &containerd_dropins::Exposed::table(&cri).to_toml(),
    ));
    let main = format!("version = 2\nimports = {imports:?}\n");
    dir.write("containerd.toml.generated", &main)
}

/// What containerd makes of drop-ins as k0s 1.36 and later have it import
/// them: the text of `config dump`.
pub fn dump_of_version_3(
    containerd: &Path,
    name: &str,
    pause: &str,
    drop_ins: &BTreeMap<String, String>,
) -> String {
    let dir = TempDir::new(name);
    dump_text(
        containerd,
        &put_together_in_version_3(&dir, pause, drop_ins),
    )
}

/// Writes drop-ins where k0s 1.36 and later have containerd import them, and a main
/// file, written anew from its description, of which it gives the path. A name that
/// begins with `/etc/containerd/conf.d` is that of a file elsewhere.
pub fn put_together_in_version_3(
    dir: &TempDir,
    pause: &str,
    drop_ins: &BTreeMap<String, String>,
) -> String {
    // Files from elsewhere, by their path on the node.
    let elsewhere = format!("\"{}/etc/containerd/conf.d/", dir.path().display());
    for (name, text) in drop_ins {
        let text = text.replace("\"/etc/containerd/conf.d/", &elsewhere);
        match name.strip_prefix('/') {
            Some(below) => dir.write(below, &text),
            None => dir.write(&format!("containerd.d/{name}"), &text),
        };
    }
    let main = format!(
        "imports = [\"{}/containerd.d/*.toml\"]\nversion = 3\n\n[plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = \"{pause}\"\n\n[plugins.\"io.containerd.cri.v1.runtime\"]\n",
        dir.path().display()
    );
    dir.write("containerd.toml", &main)
}

/// The leaves of `containerd config dump` for a file.
pub fn config_dump(containerd: &Path, config: &str) -> BTreeMap<String, Value> {
    let mut leaves = leaves(&parse(&dump_text(containerd, config)));
    leaves.remove("\"imports\"");
    leaves
}

/// What `containerd config dump` prints for a file, or what it says against it.
pub fn tried_dump(containerd: &Path, config: &str) -> Result<String, String> {
    let output = std::process::Command::new(containerd)
        .args(["--config", config, "config", "dump"])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn dump_text(containerd: &Path, config: &str) -> String {
    let text = tried_dump(containerd, config);
    text.unwrap_or_else(|why| panic!("containerd refuses {config}: {why}"))
}

/// Migrates a legacy text for a target, without imports.
pub fn migrate(legacy: &str, k0s: &str) -> Plan {
    let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes())
        .unwrap_or_else(|error| panic!("{error}\n{legacy}"));
    plan(
        &document,
        &[],
        &Target::find(k0s).unwrap(),
        &Options::default(),
    )
}

/// Existing drop-ins that were read from a directory, and what they import: from
/// folders of it among them, from elsewhere besides.
pub fn existing<'a>(
    directory: &'a str,
    files: &'a [Document],
    imported: &'a [Document],
) -> ExistingDropIns<'a> {
    let is_drop_in = |file: &&Document| {
        let below = file.name().strip_prefix(directory).unwrap();
        !below.trim_start_matches('/').contains('/')
    };
    let (drop_ins, nested): (Vec<&Document>, Vec<&Document>) = files.iter().partition(is_drop_in);
    let existing = ExistingDropIns::new(directory, drop_ins).unwrap();
    existing
        .importing(nested.into_iter().chain(imported))
        .unwrap()
}

/// Files by name, of which those without a folder are drop-ins.
pub fn set(files: &BTreeMap<String, String>) -> DropInSet<'_> {
    let files = files.iter().map(|(name, text)| (name, text.as_str()));
    let (nested, drop_ins): (Vec<_>, Vec<_>) = files.partition(|(name, _)| name.contains('/'));
    DropInSet::new(drop_ins).unwrap().importing(nested).unwrap()
}

/// Existing drop-ins, by name and text in short words, carried over. A name that
/// begins with `/` is the path of a file from elsewhere.
pub fn carried_over(files: &[(&str, &str)], k0s: &str) -> Plan {
    let directory = "/etc/k0s/containerd.d";
    let parse = |(name, text): &(&str, &str)| {
        let path = match name.starts_with('/') {
            true => (*name).to_owned(),
            false => format!("{directory}/{name}"),
        };
        Document::parse(path, long(text).as_bytes()).unwrap()
    };
    let is_outside = |(name, _): &&(&str, &str)| name.starts_with('/');
    let drop_ins: Vec<Document> = files
        .iter()
        .filter(|file| !is_outside(file))
        .map(parse)
        .collect();
    let imported: Vec<Document> = files.iter().filter(is_outside).map(parse).collect();
    let existing = existing(directory, &drop_ins, &imported);
    plan_drop_ins(&existing, &Target::find(k0s).unwrap(), &Options::default())
}

/// Whether a finding is about what containerd refuses, however well it is kept.
pub fn is_refusal(finding: &Finding) -> bool {
    matches!(
        finding.code,
        Code::ContainerdRefuses
            | Code::CriRefuses
            | Code::SandboxImageNotFound
            | Code::SandboxImageNoReference
            | Code::PodsRefused
            | Code::PodsLost
            | Code::OptionType
            | Code::PullsRefused
            | Code::PullsFail
            | Code::PluginRefused
    )
}

/// Whether a plan keeps all that is the user's, be it good or not.
pub fn keeps_all(plan: &Plan) -> bool {
    let mut errors = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    plan.verified && errors.all(is_refusal)
}

/// The drop-ins of a plan, by name.
pub fn drop_ins(plan: &Plan) -> BTreeMap<String, String> {
    let files = plan.drop_ins.iter();
    files
        .map(|drop_in| (drop_in.name.to_string(), drop_in.text().to_owned()))
        .collect()
}
