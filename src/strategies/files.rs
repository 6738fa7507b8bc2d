//! Legacy files whose edits are known.

use std::fmt;

use proptest::prelude::*;

use super::edits::{Choice, Maker, Note, add, at, choices, notes, with_notes};
use super::plainest::one_of;
use super::secrets;
use super::settings::{self, Edit, Leaf};
use crate::config::Config;
use crate::config::declare::Declared;
use crate::containerd::Release;
use crate::containerd::load::{Effective, default_config};
use crate::containerd::refusal::Refuses;
use crate::containerd::releases::V1_7;
use crate::document::Document;
use crate::k0s;
use crate::value::{Exposed, Table, Value};

/// A legacy file, and what is known of it. `Debug` shows the text, so that a failing
/// property prints a file that can be read.
#[derive(Clone)]
#[non_exhaustive]
pub struct LegacyFile {
    /// Its text.
    pub text: String,
    /// Its config version; files of version 1 do not state it.
    pub version: i64,
    /// The release of containerd that it is for.
    pub containerd: Release,
    /// Whether it is the release's default dump with edits.
    pub is_dump: bool,
    /// What it sets beside a dump and what k0s decides, each setting once. No
    /// edit has the value that the dump has.
    pub edits: Vec<Edit>,
}

impl fmt::Debug for LegacyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LegacyFile {
            text,
            version,
            containerd,
            is_dump,
            edits,
        } = self;
        let kind = if *is_dump { "dump" } else { "sparse file" };
        writeln!(f, "{kind} of version {version} for containerd {containerd}")?;
        writeln!(f, "edits: {edits:?}")?;
        write!(f, "--- {}\n{text}---", k0s::CONFIG_FILE)
    }
}

impl LegacyFile {
    /// The file as k0s has it.
    ///
    /// # Panics
    /// If somebody changed the text so that it is no TOML: what is made parses.
    #[expect(
        clippy::expect_used,
        reason = "the text is written by this crate, for tests"
    )]
    pub fn document(&self) -> Document {
        Document::parse(k0s::CONFIG_FILE, self.text.as_bytes()).expect("a written file parses")
    }

    /// What containerd makes of the file by itself, with nothing that k0s adds.
    pub fn effective(&self) -> Effective {
        Effective::load(self.containerd, [self.document().to_table()])
    }
}

/// Which legacy files are made: of all config versions, sparse ones and dumps, with
/// comments and with k0s's documented boilerplate, that containerd starts with.
///
/// ```
/// use containerd_dropins::strategies::LegacyFiles;
/// use proptest::prelude::*;
///
/// let files = LegacyFiles::new().versions(&[3]).sparse().at_most(3).strategy();
/// proptest!(ProptestConfig::with_cases(16), |(file in files)| {
///     prop_assert_eq!(file.document().version(), Some(3));
///     for edit in &file.edits {
///         // Its path in this very file.
///         prop_assert!(edit.address(3).is_some());
///     }
/// });
/// ```
#[derive(Clone, Debug)]
pub struct LegacyFiles {
    versions: Vec<i64>,
    dumps: bool,
    sparse: bool,
    leaves: Vec<&'static Leaf>,
    conversions: bool,
    any_text: bool,
    secret: Option<String>,
    most: usize,
}

impl Default for LegacyFiles {
    fn default() -> Self {
        LegacyFiles::new()
    }
}

impl LegacyFiles {
    /// All of them, with at most eight edits.
    pub fn new() -> Self {
        LegacyFiles {
            versions: vec![2, 1, 3, 4],
            dumps: true,
            sparse: true,
            leaves: settings::all().iter().collect(),
            conversions: true,
            any_text: false,
            secret: None,
            most: 8,
        }
    }

    /// Only files of these config versions. They shrink towards the first.
    #[must_use]
    pub fn versions(mut self, versions: &[i64]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// No dumps: files of a few keys.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        self.dumps = false;
        self
    }

    /// Only dumps, with edits.
    #[must_use]
    pub fn dumps(mut self) -> Self {
        self.sparse = false;
        self
    }

    /// Only edits of settings whose path is wanted: the path in config version 2,
    /// with `*` for the names of registries, handlers and the like. Dumps have all
    /// their keys nonetheless, and a setting brings along what it does not do
    /// without.
    ///
    /// ```
    /// use containerd_dropins::strategies::LegacyFiles;
    /// use proptest::prelude::*;
    ///
    /// let mirrors = LegacyFiles::new().only(|path| path.contains(&"mirrors"));
    /// proptest!(ProptestConfig::with_cases(16), |(file in mirrors.strategy())| {
    ///     prop_assert!(file.edits.iter().all(|edit| edit.path.ends_with(&["endpoint".into()])));
    /// });
    /// ```
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&[&str]) -> bool) -> Self {
        self.leaves.retain(|leaf| wanted(&leaf.path));
        self
    }

    /// Only settings that these releases of containerd read, too.
    #[must_use]
    pub fn read_by(mut self, releases: &[Release]) -> Self {
        let all = |leaf: &&Leaf| releases.iter().all(|release| leaf.is_read_by(*release));
        self.leaves.retain(all);
        self
    }

    /// No settings that have a successor or another form in another release, and
    /// no options in another spelling: what they become has another path.
    #[must_use]
    pub fn without_conversions(mut self) -> Self {
        self.conversions = false;
        self
    }

    /// Any texts and names, with quotes, blanks and letters that have to be
    /// escaped. containerd need not start with such a file.
    #[must_use]
    pub fn any_text(mut self) -> Self {
        self.any_text = true;
        self
    }

    /// The text of a credential in every file, in one to three of the places where
    /// people put one: registry credentials, URLs, headers, options and arguments,
    /// keys that nobody knows, comments. It is for properties that ask that nothing
    /// shows it; containerd need not start with such a file.
    ///
    /// ```
    /// use containerd_dropins::migrate::{Options, plan};
    /// use containerd_dropins::strategies::{LegacyFiles, targets};
    /// use proptest::prelude::*;
    ///
    /// let files = LegacyFiles::new().with_secret("hunter2hunter2").strategy();
    /// proptest!(ProptestConfig::with_cases(16), |(file in files, target in targets())| {
    ///     prop_assert!(file.text.contains("hunter2hunter2"));
    ///     let plan = plan(&file.document(), &[], &target, &Options::default());
    ///     prop_assert!(!plan.to_string().contains("hunter2hunter2"));
    /// });
    /// ```
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// At most so many edits, which are eight if nothing is said. What a setting
    /// does not do without is not counted.
    #[must_use]
    pub fn at_most(mut self, edits: usize) -> Self {
        self.most = edits;
        self
    }

    /// The strategy.
    ///
    /// # Panics
    /// When values are made, if neither sparse files nor dumps of the config
    /// versions are left; no release that is known prints version 1.
    pub fn strategy(self) -> impl Strategy<Value = LegacyFile> {
        let bases = one_of(bases(&self.versions, self.sparse, self.dumps));
        let edits = prop::collection::vec(choices(self.leaves.len()), 0..=self.most);
        let places = secrets::places(self.secret.is_some());
        let must_start = !self.any_text && self.secret.is_none();
        // They shrink in this order: edits that do not matter go, and what is left
        // gets a plainer base.
        (edits, notes(), places, any::<bool>(), bases)
            .prop_map(move |(choices, notes, places, boilerplate, base)| {
                self.make(base, boilerplate, &choices, &notes, &places)
            })
            .prop_filter("containerd starts with it", move |file| {
                !must_start || is_valid(file)
            })
    }

    fn make(
        &self,
        base: Base,
        boilerplate: bool,
        choices: &[Choice],
        notes: &[Note],
        places: &[usize],
    ) -> LegacyFile {
        let wanted = |leaf: &&Leaf| {
            leaf.is_read(base.version, base.containerd) && (self.conversions || !leaf.is_converted)
        };
        let maker = Maker {
            release: base.containerd,
            any_text: self.any_text,
            spellings: self.conversions && !base.containerd.is_2(),
        };
        let mut edits: Vec<Edit> = Vec::new();
        for choice in choices {
            let leaf = choice.leaf(&self.leaves).filter(wanted);
            let made = leaf.into_iter().flat_map(|leaf| maker.edits(leaf, choice));
            made.for_each(|edit| add(&mut edits, edit));
        }
        let secret = self.secret.as_deref().unwrap_or_default();
        for place in places {
            let made = secrets::edits(*place, secret).into_iter();
            made.for_each(|edit| add(&mut edits, edit));
        }
        let mut file = base.file(edits, boilerplate);
        file.text = with_notes(&file.text, notes);
        if places.contains(&secrets::COMMENT) {
            file.text.push_str(&format!("# password = \"{secret}\"\n"));
        }
        file
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
fn bases(versions: &[i64], sparse: bool, dumps: bool) -> Vec<Base> {
    let base = |version, containerd, is_dump| Base {
        version,
        containerd,
        is_dump,
    };
    let all = || {
        let of_version = |version: &i64| {
            // The plainest first.
            let readers: &[Release] = match version {
                1 => &[Release::new(1, 2, 14), Release::new(1, 7, 20)],
                2 => &[
                    Release::new(1, 7, 20),
                    Release::new(1, 6, 20),
                    Release::new(1, 4, 13),
                ],
                3 => &[Release::new(2, 1, 9), Release::new(2, 3, 4)],
                4 => &[Release::new(2, 3, 4)],
                _ => &[],
            };
            readers.to_vec()
        };
        let versions = versions.iter();
        versions.map(move |version| (*version, of_version(version)))
    };
    let bare = all().flat_map(|(version, releases): (i64, Vec<Release>)| {
        releases
            .into_iter()
            .map(move |release| base(version, release, false))
    });
    let dumped = all().flat_map(|(version, releases): (i64, Vec<Release>)| {
        let writes = move |release: &Release| release.config_version() == version;
        let releases = releases.into_iter().filter(writes);
        releases.map(move |release| base(version, release, true))
    });
    let bare = bare.filter(|_| sparse);
    bare.chain(dumped.filter(|_| dumps)).collect()
}

impl Base {
    fn file(self, mut edits: Vec<Edit>, boilerplate: bool) -> LegacyFile {
        let dump = match self.is_dump {
            true => dump(self.containerd),
            false => Table::new(),
        };
        let mut table = dump.clone();
        if self.is_dump && self.version > 1 {
            table.insert("version".to_owned(), Value::Integer(self.version));
        }
        // As k0s's documentation had it before 1.27.
        let documented = [
            (&["root"][..], "/var/lib/k0s/containerd"),
            (&["state"], "/run/k0s/containerd"),
            (&["grpc", "address"], "/run/k0s/containerd.sock"),
        ];
        for (path, text) in documented.into_iter().filter(|_| boilerplate) {
            let path = path.iter().map(|key| (*key).to_owned()).collect();
            let value = Value::String(text.to_owned());
            Edit { path, value }.put_into(&mut table, self.version);
        }
        // Of two spellings of an option of a handler, and of what a table and its
        // key would both be, the later counts.
        edits
            .iter()
            .for_each(|edit| edit.put_into(&mut table, self.version));
        edits.retain(|edit| {
            let address = edit.address(self.version);
            address.is_some_and(|address| at(&dump, &address) != Some(&edit.value))
        });
        let mut text = Exposed::table(&table).to_toml();
        if !self.is_dump && self.version > 1 {
            // Where a person writes it.
            let blank = if text.starts_with('[') { "\n" } else { "" };
            text = format!("version = {}\n{blank}{text}", self.version);
        }
        LegacyFile {
            text,
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
    let refusals = file.effective().refusals();
    !refusals
        .iter()
        .any(|refusal| refusal.refuses > Refuses::Pull)
}

/// Settings with a value, each of which some release of containerd reads.
///
/// ```
/// use containerd_dropins::Config;
/// use containerd_dropins::strategies::settings;
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(16), |(edit in settings())| {
///     let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
///     prop_assert!((1..=4).any(|version| Config::address(version, &path).is_some()));
/// });
/// ```
pub fn settings() -> impl Strategy<Value = Edit> {
    let leaves: Vec<&Leaf> = settings::all().iter().collect();
    let maker = Maker {
        release: V1_7,
        any_text: true,
        spellings: false,
    };
    choices(leaves.len()).prop_filter_map("there are settings", move |choice| {
        maker.edits(choice.leaf(&leaves)?, &choice).pop()
    })
}

/// The typed model of a file.
///
/// ```
/// use containerd_dropins::strategies::configs;
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(16), |(config in configs())| {
///     let mut other = config.clone();
///     other.version = Some(4);
///     prop_assert!(other.to_toml().contains("version = 4"));
/// });
/// ```
pub fn configs() -> impl Strategy<Value = Config> {
    LegacyFiles::new()
        .strategy()
        .prop_map(|file| Config::read(&file.document()))
}
