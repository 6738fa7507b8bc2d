//! Legacy files whose edits are known.

use proptest::prelude::*;
use proptest::sample::select;

use super::settings::{self, Edit, Leaf};
use super::values;
use crate::config::Config;
use crate::config::declare::Declared;
use crate::containerd::Release;
use crate::containerd::load::{Effective, default_config};
use crate::containerd::refusal::Refuses;
use crate::document::Document;
use crate::k0s;
use crate::value::{Exposed, Table, Value};

/// A legacy file, and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LegacyFile {
    /// Its text.
    pub text: String,
    /// Its config version.
    pub version: i64,
    /// The release of containerd that it is for.
    pub containerd: Release,
    /// Whether it is the release's default dump with edits.
    pub is_dump: bool,
    /// What it sets beside a dump, each setting once.
    pub edits: Vec<Edit>,
}

impl LegacyFile {
    /// The file as k0s has it.
    ///
    /// # Panics
    /// Never: a file that is made parses.
    #[expect(
        clippy::expect_used,
        reason = "the text is written by this crate, for tests"
    )]
    pub fn document(&self) -> Document {
        Document::parse(k0s::CONFIG_FILE, self.text.as_bytes()).expect("a written file parses")
    }
}

/// Which legacy files are made.
///
/// ```
/// use containerd_dropins::strategies::LegacyFiles;
/// use proptest::prelude::*;
///
/// let files = LegacyFiles::new().versions(&[3]).sparse().strategy();
/// proptest!(ProptestConfig::with_cases(16), |(file in files)| {
///     prop_assert_eq!(file.document().version(), Some(3));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct LegacyFiles {
    versions: Vec<i64>,
    dumps: bool,
    conversions: bool,
    any_text: bool,
    valid: bool,
    most: usize,
}

impl Default for LegacyFiles {
    fn default() -> Self {
        LegacyFiles::new()
    }
}

impl LegacyFiles {
    /// Files of all config versions, sparse ones and dumps, that containerd
    /// starts with.
    pub fn new() -> Self {
        LegacyFiles {
            versions: vec![2, 1, 3, 4],
            dumps: true,
            conversions: true,
            any_text: false,
            valid: true,
            most: 8,
        }
    }

    /// Only files of these config versions.
    pub fn versions(mut self, versions: &[i64]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// No dumps.
    pub fn sparse(mut self) -> Self {
        self.dumps = false;
        self
    }

    /// No settings that have a successor or another form in another release: what
    /// they become has another path.
    pub fn without_conversions(mut self) -> Self {
        self.conversions = false;
        self
    }

    /// Any texts and names, with quotes, blanks and letters that have to be
    /// escaped. containerd need not start with such a file.
    pub fn any_text(mut self) -> Self {
        self.any_text = true;
        self.valid = false;
        self
    }

    /// At most so many edits.
    pub fn at_most(mut self, edits: usize) -> Self {
        self.most = edits;
        self
    }

    /// The strategy.
    pub fn strategy(self) -> impl Strategy<Value = LegacyFile> {
        let bases = bases(&self.versions, self.dumps);
        let edits = prop::collection::vec((any::<u16>(), 0u32..1000, 0usize..8), 0..=self.most);
        let valid = self.valid;
        (select(bases), edits)
            .prop_map(move |(base, numbers)| self.make(base, &numbers))
            .prop_filter("containerd starts with it", move |file| {
                !valid || is_valid(file)
            })
    }

    fn make(&self, base: Base, numbers: &[(u16, u32, usize)]) -> LegacyFile {
        let wanted = |leaf: &&Leaf| {
            leaf.is_read(base.version, base.containerd) && (self.conversions || !leaf.is_converted)
        };
        let leaves: Vec<&Leaf> = settings::all().iter().filter(wanted).collect();
        let mut edits: Vec<Edit> = Vec::new();
        for (at, number, name) in numbers {
            let at = usize::from(*at) % leaves.len().max(1);
            let Some(leaf) = leaves.get(at) else {
                continue;
            };
            for edit in self.edit(leaf, *number, *name) {
                edits.retain(|other| other.path != edit.path);
                edits.push(edit);
            }
        }
        base.file(edits)
    }

    /// A setting, and what it does not do without.
    fn edit(&self, leaf: &Leaf, number: u32, name: usize) -> Vec<Edit> {
        let name = values::name(&leaf.path, name, self.any_text);
        let path = leaf.named(name);
        let value = values::value(&leaf.path, leaf.kind, number, self.any_text);
        let beside = |key: &str, text: &str| {
            let mut path: Vec<String> = path.iter().take(2).cloned().collect();
            path.push(key.to_owned());
            Edit {
                path,
                value: Value::String(text.to_owned()),
            }
        };
        let mut edits = match leaf.path.as_slice() {
            ["proxy_plugins", "*", ..] => {
                vec![
                    beside("type", "snapshot"),
                    beside("address", "/run/proxy.sock"),
                ]
            }
            ["plugins", _, "containerd", "runtimes", "*", ..] => {
                let mut path: Vec<String> = path.iter().take(5).cloned().collect();
                path.push("runtime_type".to_owned());
                let value = Value::String("io.containerd.runc.v2".to_owned());
                vec![Edit { path, value }]
            }
            _ => Vec::new(),
        };
        edits.retain(|edit| edit.path != path);
        edits.push(Edit { path, value });
        edits
    }
}

/// What edits are put on.
#[derive(Clone, Copy, Debug)]
struct Base {
    version: i64,
    containerd: Release,
    is_dump: bool,
}

/// Nothing in each version, for a release that reads it, and the dumps of releases
/// that write it.
fn bases(versions: &[i64], dumps: bool) -> Vec<Base> {
    let base = |version, containerd, is_dump| Base {
        version,
        containerd,
        is_dump,
    };
    // The plainest first.
    let readers: [(i64, &[(u16, u16, u16)]); 4] = [
        (1, &[(1, 2, 14), (1, 7, 20)]),
        (2, &[(1, 7, 20), (1, 6, 20), (1, 4, 13)]),
        (3, &[(2, 1, 9), (2, 3, 4)]),
        (4, &[(2, 3, 4)]),
    ];
    let all = || {
        let of_version = |version: &i64| {
            let readers = readers.iter().filter(|(of, _)| of == version);
            let releases = readers.flat_map(|(_, releases)| releases.iter());
            releases
                .map(|(major, minor, patch)| Release::new(*major, *minor, *patch))
                .collect()
        };
        versions
            .iter()
            .map(move |version| (*version, of_version(version)))
    };
    let sparse = all().flat_map(|(version, releases): (i64, Vec<Release>)| {
        releases
            .into_iter()
            .map(move |release| base(version, release, false))
    });
    let dumped = all().flat_map(|(version, releases): (i64, Vec<Release>)| {
        let writes = move |release: &Release| release.config_version() == version;
        let releases = releases.into_iter().filter(writes);
        releases.map(move |release| base(version, release, true))
    });
    sparse.chain(dumped.filter(|_| dumps)).collect()
}

impl Base {
    fn file(self, edits: Vec<Edit>) -> LegacyFile {
        let mut table = match self.is_dump {
            true => dump(self.containerd),
            false => Table::new(),
        };
        if self.version > 1 {
            table.insert("version".to_owned(), Value::Integer(self.version));
        }
        for edit in &edits {
            edit.put_into(&mut table, self.version);
        }
        LegacyFile {
            text: Exposed::table(&table).to_toml(),
            version: self.version,
            containerd: self.containerd,
            is_dump: self.is_dump,
            edits,
        }
    }
}

/// What `config default` of a release prints.
fn dump(release: Release) -> Table {
    let mut table = default_config(release);
    if release.config_version() == 1 {
        // Plugins have short names there.
        table.insert("version".to_owned(), Value::Integer(2));
        let mut config = Config::from_table(table);
        config.version = Some(1);
        table = config.to_table();
        table.remove("version");
    }
    table
}

/// Whether containerd starts with a file, and its pods do.
fn is_valid(file: &LegacyFile) -> bool {
    let Ok(document) = Document::parse(k0s::CONFIG_FILE, file.text.as_bytes()) else {
        return false;
    };
    let effective = Effective::load(file.containerd, [document.to_table()]);
    let refusals = effective.refusals();
    !refusals
        .iter()
        .any(|refusal| refusal.refuses > Refuses::Pull)
}

/// The typed model of a file.
pub fn configs() -> impl Strategy<Value = Config> {
    LegacyFiles::new()
        .strategy()
        .prop_map(|file| Config::read(&file.document()))
}
