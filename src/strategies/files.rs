//! Legacy files whose edits are known.

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;

use super::dumps::{self, dump, items};
use super::edits::{Choice, Maker, Note, add, at, choices, notes, simpler_notes, with_notes};
use super::plainest::below;
use super::secrets;
use super::settings::{self, Edit, Leaf};
use super::shrink::{each, shrinking, without};
use crate::config::{Config, Registry};
use crate::containerd::Release;
use crate::containerd::load::Effective;
use crate::containerd::refusal::Refuses;
use crate::containerd::releases::V1_7;
use crate::document::Document;
use crate::k0s;
use crate::migrate::{LedgerEntry, Plan};
use crate::value::{Exposed, Table, Value, put_at};

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

    /// A file of version 2 with registry settings and nothing else, for containerd
    /// 1.7.20. It is printed as text, which a [`Registry`] is not.
    ///
    /// ```
    /// use containerd_dropins::migrate::{Options, RegistryPolicy, Target, plan};
    /// use containerd_dropins::strategies::{LegacyFile, registries};
    /// use proptest::prelude::*;
    ///
    /// let target = Target::find("v1.36.3+k0s.2")?;
    /// let convert = Options::default().registry(RegistryPolicy::Convert);
    /// let files = registries().prop_map(|settings| LegacyFile::of_registry(&settings));
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// proptest!(config, |(file in files)| {
    ///     let plan = plan(&file.document(), &[], &target, &convert);
    ///     prop_assert_eq!(plan.certs_d().errors().count(), 0, "{}", plan);
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_registry(settings: &Registry) -> LegacyFile {
        let mut config = Config {
            version: Some(2),
            ..Config::default()
        };
        config.plugins.cri.registry = settings.clone();
        LegacyFile {
            text: config.to_toml(),
            version: 2,
            containerd: Release::new(1, 7, 20),
            is_dump: false,
            edits: dumps::edits(&items(&config.to_table()), 2),
        }
    }

    /// What a plan for the file says of one of its edits.
    ///
    /// ```
    /// use containerd_dropins::migrate::{Options, plan};
    /// use containerd_dropins::strategies::{LegacyFiles, targets};
    /// use proptest::prelude::*;
    ///
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// proptest!(config, |(file in LegacyFiles::new().strategy(), target in targets())| {
    ///     let plan = plan(&file.document(), &[], &target, &Options::default());
    ///     for edit in &file.edits {
    ///         prop_assert!(file.entry(edit, &plan).is_some(), "{edit:?}");
    ///     }
    /// });
    /// ```
    pub fn entry<'p>(&self, edit: &Edit, plan: &'p Plan) -> Option<&'p LedgerEntry> {
        let address = edit.address(self.version)?;
        let address: Vec<&str> = address.iter().map(String::as_str).collect();
        let (span, _) = self.document().span_of(&address)?;
        plan.ledger.iter().find(|entry| entry.span == span)
    }

    /// What containerd makes of the file by itself, with nothing that k0s adds.
    pub fn effective(&self) -> Effective {
        Effective::load(self.containerd, [self.document().to_table()])
    }
}

/// Which legacy files are made: of all config versions, sparse ones and dumps, with
/// comments and with k0s's documented boilerplate, that containerd starts with. Pulls
/// may be refused ([`Refuses::Pull`]): a key without its certificate is such a file,
/// for which plans are sound and warn.
///
/// A dump shrinks to a file with some of its keys, and then to one in which settings
/// of the same name have plain values, unless only [`dumps`](LegacyFiles::dumps) are
/// made. What a setting brings along goes where the file starts without.
///
/// ```
/// use containerd_dropins::strategies::LegacyFiles;
/// use proptest::prelude::*;
///
/// let files = LegacyFiles::new().versions(&[3]).sparse().at_most(3).strategy();
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(file in files)| {
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
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// proptest!(config, |(file in mirrors.strategy())| {
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

    /// No edits of settings that are declared to have a successor or another form in
    /// another release, and no options in another spelling: what they become has
    /// another path. What a dump has beside its edits stays, and what becomes of an
    /// edit may depend on it: to containerd 1.2 `plugins.linux.runtime` is the runtime
    /// of all handlers, and a plan for another release sets it for each.
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
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// proptest!(config, |(file in files, target in targets())| {
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
    /// When values are made, if there is no file to make: `sparse` and `dumps` at once,
    /// or no config version from 1 to 4.
    pub fn strategy(self) -> impl Strategy<Value = LegacyFile> {
        let bases = bases(&self.versions, self.sparse, self.dumps);
        let edits = prop::collection::vec(choices(&self.leaves), 0..=self.most);
        let places = secrets::places(self.secret.is_some());
        let must_start = !self.any_text && self.secret.is_none();
        let of_bases = below(bases.len(), 0);
        let parts = (edits, notes(), places, any::<bool>(), of_bases);
        let maker = Arc::new((self, bases));
        let simpler = Arc::clone(&maker);
        let recipes = parts.prop_map(|(choices, notes, places, boilerplate, base)| Recipe {
            choices,
            notes,
            places,
            boilerplate,
            base,
            part: None,
        });
        shrinking(recipes, move |recipe: &Recipe| {
            let (files, bases) = &*simpler;
            files.simpler(recipe, bases)
        })
        .prop_filter_map("there is such a base", move |recipe| {
            let (files, bases) = &*maker;
            Some(files.make(*bases.get(recipe.base)?, &recipe))
        })
        .prop_filter("containerd starts with it", move |file| {
            !must_start || is_valid(file)
        })
    }

    /// Whether an edit of a setting is one of files with a base.
    fn has(&self, base: Base, leaf: &Leaf) -> bool {
        leaf.is_read(base.version, base.containerd) && (self.conversions || !leaf.is_converted)
    }

    fn make(&self, base: Base, recipe: &Recipe) -> LegacyFile {
        let maker = Maker {
            release: base.containerd,
            any_text: self.any_text,
            spellings: self.conversions && !base.containerd.is_2(),
        };
        let mut edits: Vec<Edit> = Vec::new();
        for choice in &recipe.choices {
            let leaf = choice.leaf(&self.leaves);
            let leaf = leaf.filter(|leaf| self.has(base, leaf));
            let made = leaf.into_iter().flat_map(|leaf| maker.edits(leaf, choice));
            made.for_each(|edit| add(&mut edits, edit));
        }
        let secret = self.secret.as_deref().unwrap_or_default();
        for place in &recipe.places {
            let made = secrets::edits(*place, secret).into_iter();
            made.for_each(|edit| add(&mut edits, edit));
        }
        let mut file = base.file(edits, recipe.boilerplate, recipe.part.as_deref());
        file.text = with_notes(&file.text, &recipe.notes);
        if recipe.places.contains(&secrets::COMMENT) {
            file.text.push_str(&format!("# password = \"{secret}\"\n"));
        }
        file
    }

    /// Fewer edits, a plainer base, plainer edits.
    fn simpler(&self, recipe: &Recipe, bases: &[Base]) -> Vec<Recipe> {
        let own = || recipe.clone();
        let mut all = Vec::new();
        if let Some(base) = bases.get(recipe.base) {
            // What is nothing here would come to life with another base.
            let is_there = |choice: &&Choice| {
                let leaf = choice.leaf(&self.leaves);
                leaf.is_some_and(|leaf| self.has(*base, leaf))
            };
            let choices: Vec<Choice> = recipe.choices.iter().filter(is_there).copied().collect();
            let is_less = choices.len() < recipe.choices.len();
            all.extend(is_less.then(|| Recipe { choices, ..own() }));
        }
        let fewer = without(&recipe.choices).into_iter();
        all.extend(fewer.map(|choices| Recipe { choices, ..own() }));
        let fewer = simpler_notes(&recipe.notes).into_iter();
        all.extend(fewer.map(|notes| Recipe { notes, ..own() }));
        let mut fewer = without(&recipe.places);
        fewer.retain(|places| self.secret.is_none() || !places.is_empty());
        fewer.extend(each(&recipe.places, |place| (0..*place).collect()));
        all.extend(fewer.into_iter().map(|places| Recipe { places, ..own() }));
        if recipe.boilerplate {
            let boilerplate = false;
            all.push(Recipe {
                boilerplate,
                ..own()
            });
        }
        let plainer = (0..recipe.base).map(|base| Recipe {
            base,
            part: None,
            ..own()
        });
        all.extend(plainer);
        let Some(base) = bases.get(recipe.base) else {
            return all;
        };
        // Before containerd 2 whoever sets a handler has to set runc, too.
        let others = bases.iter().take(recipe.base).enumerate();
        let others = others.filter(|(_, other)| other.version != base.version);
        if let Some(runc) = Choice::runc(&self.leaves) {
            all.extend(others.map(|(base, _)| Recipe {
                choices: [&recipe.choices[..], &[runc]].concat(),
                base,
                part: None,
                ..own()
            }));
        }
        all.extend(self.parts(recipe, *base));
        let choice = |choice: &Choice| choice.simpler(&self.leaves, |leaf| self.has(*base, leaf));
        let plainer = each(&recipe.choices, choice).into_iter();
        all.extend(plainer.map(|choices| Recipe { choices, ..own() }));
        all
    }

    /// Parts of a dump, if files need be none, and edits that stand for the few keys
    /// of one.
    fn parts(&self, recipe: &Recipe, base: Base) -> Vec<Recipe> {
        let mut all = Vec::new();
        if !(base.is_dump && self.sparse) {
            return all;
        }
        let items = items(&dump(base.containerd));
        let kept = match &recipe.part {
            Some(part) => part.clone(),
            None => (0..items.len()).collect(),
        };
        if recipe.part.is_some() && kept.len() <= FEW {
            let items = kept.iter().filter_map(|at| items.get(*at).cloned());
            let items: Vec<dumps::Item> = items.collect();
            let instead = dumps::instead(&items, base.version, &self.leaves);
            all.push(Recipe {
                choices: [instead, recipe.choices.clone()].concat(),
                base: 0,
                part: None,
                ..recipe.clone()
            });
        }
        all.extend(without(&kept).into_iter().map(|part| Recipe {
            part: Some(part),
            ..recipe.clone()
        }));
        all
    }
}

/// So many keys of a dump may become edits.
const FEW: usize = 4;

/// What a file is made of.
#[derive(Clone, Debug)]
struct Recipe {
    choices: Vec<Choice>,
    notes: Vec<Note>,
    /// Of the secret.
    places: Vec<usize>,
    boilerplate: bool,
    /// By its place in the list.
    base: usize,
    /// What of the dump is there, by places among its items, if not all. Files shrink
    /// to it: it is no dump.
    part: Option<Vec<usize>>,
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
    fn file(self, edits: Vec<Edit>, boilerplate: bool, part: Option<&[usize]>) -> LegacyFile {
        let is_dump = self.is_dump && part.is_none();
        let all = match self.is_dump {
            true => dump(self.containerd),
            false => Table::new(),
        };
        let (dump, part) = match part {
            None => (all, Table::new()),
            Some(part) => (Table::new(), kept(&all, part)),
        };
        let mut all_edits = dumps::edits(&items(&part), self.version);
        edits.into_iter().for_each(|edit| add(&mut all_edits, edit));
        let mut edits = all_edits;
        let mut table = match is_dump {
            true => dump.clone(),
            false => part,
        };
        if is_dump && self.version > 1 {
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
        if !is_dump && self.version > 1 {
            // Where a person writes it.
            let blank = if text.starts_with('[') { "\n" } else { "" };
            text = format!("version = {}\n{blank}{text}", self.version);
        }
        LegacyFile {
            text,
            version: self.version,
            containerd: self.containerd,
            is_dump,
            edits,
        }
    }
}

/// A part of a dump.
fn kept(dump: &Table, part: &[usize]) -> Table {
    let items = items(dump);
    let mut table = Table::new();
    for (path, value) in part.iter().filter_map(|at| items.get(*at)) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        put_at(&mut table, &path, value.clone());
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
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(edit in settings())| {
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
    let all = leaves.clone();
    let simpler = move |choice: &Choice| choice.simpler(&all, |_| true);
    shrinking(choices(&leaves), simpler).prop_filter_map("there are settings", move |choice| {
        maker.edits(choice.leaf(&leaves)?, &choice).pop()
    })
}

/// The typed model of a file.
///
/// ```
/// use containerd_dropins::strategies::configs;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(config in configs())| {
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
