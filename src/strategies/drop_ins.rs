//! Sets of drop-ins that get in each other's way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;

use super::edits::{Choice, Maker, Note, add, choices, notes, simpler_notes, with_notes};
use super::plainest::below;
use super::settings::{self, Edit, Leaf};
use super::shrink::{each, shrinking, smaller, without};
use super::values::otherwise;
use crate::containerd::{Release, plugin};
use crate::k0s;
use crate::value::{Exposed, Table, Value};
use crate::{Config, Document};

/// A set of drop-ins, and what is known of it. `Debug` shows the texts.
#[derive(Clone)]
#[non_exhaustive]
pub struct DropInFiles {
    /// The texts by name.
    pub files: BTreeMap<String, String>,
    /// Their config version.
    pub version: i64,
    /// What each of them sets, by name.
    pub edits: BTreeMap<String, Vec<Edit>>,
}

impl fmt::Debug for DropInFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.files.len();
        write!(f, "{count} drop-ins of version {}", self.version)?;
        for (name, text) in &self.files {
            write!(f, "\n--- {}/{name}\n{text}---", k0s::DROP_IN_DIR)?;
        }
        Ok(())
    }
}

impl DropInFiles {
    /// Of the edits of each setting the one that counts where the last file does,
    /// with the file's name; k0s up to 1.35 has those of CRI prevail over others. What
    /// is empty or zero is left out by containerd where it merges files.
    ///
    /// ```
    /// use containerd_dropins::strategies::DropInSets;
    /// use proptest::prelude::*;
    ///
    /// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
    /// proptest!(config, |(drop_ins in DropInSets::of_version(3).strategy())| {
    ///     for (name, edit) in drop_ins.winners() {
    ///         let later = drop_ins.edits.range(name.to_owned()..).skip(1);
    ///         let mut others = later.flat_map(|(_, edits)| edits);
    ///         prop_assert!(others.all(|other| other.path != edit.path));
    ///     }
    /// });
    /// ```
    pub fn winners(&self) -> Vec<(&str, &Edit)> {
        let mut last: BTreeMap<&[String], (&str, &Edit)> = BTreeMap::new();
        for (name, edits) in &self.edits {
            let edits = edits.iter();
            last.extend(edits.map(|edit| (edit.path.as_slice(), (name.as_str(), edit))));
        }
        last.into_values().collect()
    }

    /// The files as k0s has them, by name.
    ///
    /// # Panics
    /// If somebody changed a text so that it is no TOML: what is made parses.
    #[expect(
        clippy::expect_used,
        reason = "the texts are written by this crate, for tests"
    )]
    pub fn documents(&self) -> Vec<Document> {
        let parse = |(name, text): (&String, &String)| {
            let path = format!("{}/{name}", k0s::DROP_IN_DIR);
            Document::parse(path, text.as_bytes()).expect("a written file parses")
        };
        self.files.iter().map(parse).collect()
    }

    /// The files as [`assemble`](k0s::assemble()) and [`preflight`](k0s::preflight())
    /// take them.
    ///
    /// # Panics
    /// If somebody added a name that is none of a drop-in.
    #[expect(
        clippy::expect_used,
        reason = "the names are made by this crate, for tests"
    )]
    pub fn set(&self) -> k0s::DropInSet<'_> {
        let files = self.files.iter();
        let files = files.map(|(name, text)| (name, text.as_str()));
        k0s::DropInSet::new(files).expect("the names are those of drop-ins")
    }
}

/// Which sets of drop-ins are made: one to four files in which settings come again
/// with other values, so that it matters which file is read last. containerd need
/// not start with them: of what one file sets, another may be the reason that it
/// cannot be.
///
/// ```
/// use containerd_dropins::k0s::{assemble, preflight};
/// use containerd_dropins::migrate::Target;
/// use containerd_dropins::strategies::DropInSets;
/// use proptest::prelude::*;
///
/// let target = Target::find("v1.36.3+k0s.2")?;
/// let sets = DropInSets::of_version(3).strategy();
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(drop_ins in sets)| {
///     let set = drop_ins.set();
///     prop_assert!(preflight(&set).is_empty());
///     let assembled = assemble(&target.release, target.pause_image(), &set);
///     prop_assert!(assembled.is_ok());
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DropInSets {
    version: i64,
    reader: Release,
    leaves: Vec<&'static Leaf>,
    any_text: bool,
    conversions: bool,
}

impl DropInSets {
    /// Sets of a config version: 2 for k0s 1.27 to 1.35, 3 for later ones, without
    /// the settings of the stream server then, which k0s refuses in a drop-in.
    pub fn of_version(version: i64) -> Self {
        let reader = match version {
            ..=2 => Release::new(1, 7, 20),
            _ => Release::new(2, 3, 3),
        };
        let wanted = |leaf: &&Leaf| {
            let address = Config::address(version, &leaf.path).unwrap_or_default();
            let is_cri = matches!(address.as_slice(), [_, id, ..] if id == plugin::CRI);
            leaf.is_read(version, reader) && !(is_cri && version > 2)
        };
        DropInSets {
            version,
            reader,
            leaves: settings::all().iter().filter(wanted).collect(),
            any_text: false,
            conversions: false,
        }
    }

    /// Only settings whose path is wanted, see
    /// [`LegacyFiles::only`](super::LegacyFiles::only).
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

    /// Settings that have a successor or another form in another release, too, and
    /// options in other spellings.
    #[must_use]
    pub fn with_conversions(mut self) -> Self {
        self.conversions = true;
        self
    }

    /// Any texts and names, see
    /// [`LegacyFiles::any_text`](super::LegacyFiles::any_text).
    #[must_use]
    pub fn any_text(mut self) -> Self {
        self.any_text = true;
        self
    }

    /// The strategy.
    pub fn strategy(mut self) -> impl Strategy<Value = DropInFiles> {
        let conversions = self.conversions;
        self.leaves.retain(|leaf| conversions || !leaf.is_converted);
        let is_daemon = |leaf: &&&Leaf| leaf.path.first() != Some(&"plugins");
        let all = self.leaves.len();
        // They come first.
        let daemon = self.leaves.iter().filter(is_daemon).count();
        // Few settings, so that files meet; all of the daemon's among them.
        let among = if daemon == 0 { all } else { daemon };
        let edit =
            (choices(&self.leaves), below(2, 1)).prop_map(move |(choice, of_all)| match of_all {
                0 => choice.of_first(among),
                _ => choice,
            });
        let edits = prop::collection::vec(edit, 1..8);
        let again = prop::collection::vec((below(4, 4), below(1000, 1)), 0..3);
        let files = prop::collection::vec((again, edits, notes()), 1..5);
        let made = Arc::new(self);
        let simpler = Arc::clone(&made);
        shrinking(files, move |files: &Vec<File>| simpler.simpler(files))
            .prop_map(move |files| made.make(&files))
    }

    /// Fewer files, fewer settings in them, and plainer ones.
    fn simpler(&self, files: &[File]) -> Vec<Vec<File>> {
        let choice = |choice: &Choice| choice.simpler(&self.leaves, |_| true);
        let repeated = |(back, number): &(usize, usize)| {
            let nearer = (0..*back).map(|back| (back, *number));
            let numbers = smaller(*number).into_iter().map(|number| (*back, number));
            nearer.chain(numbers).collect()
        };
        let file = |(again, choices, notes): &File| {
            let of = |again: &[_], choices: &[_], notes: &[_]| {
                (again.to_vec(), choices.to_vec(), notes.to_vec())
            };
            let mut all = Vec::new();
            let fewer = without(choices).into_iter().chain(each(choices, choice));
            all.extend(fewer.map(|choices| of(again, &choices, notes)));
            let fewer = without(again).into_iter().chain(each(again, repeated));
            all.extend(fewer.map(|again| of(&again, choices, notes)));
            let fewer = simpler_notes(notes).into_iter();
            all.extend(fewer.map(|notes| of(again, choices, &notes)));
            all
        };
        let mut all = without(files);
        all.retain(|files| !files.is_empty());
        // A setting that comes again is the same elsewhere, too.
        for from in files.iter().flat_map(|(_, choices, _)| choices) {
            for to in choice(from).iter().filter(|to| from.is_moved(to)) {
                let moved = |(again, choices, notes): &File| {
                    let choices = choices.iter().map(|choice| choice.moved(from, to));
                    (again.clone(), choices.collect(), notes.clone())
                };
                all.push(files.iter().map(moved).collect());
            }
        }
        all.extend(each(files, file));
        all
    }

    fn make(&self, files: &[File]) -> DropInFiles {
        let maker = Maker {
            release: self.reader,
            any_text: self.any_text,
            spellings: self.conversions && !self.reader.is_2(),
        };
        let mut all: Vec<Vec<Edit>> = Vec::new();
        for (again, choices, _) in files {
            let mut file = Vec::new();
            for choice in choices {
                let leaf = choice.leaf(&self.leaves);
                let made = leaf.into_iter().flat_map(|leaf| maker.edits(leaf, choice));
                made.for_each(|edit| add(&mut file, edit));
            }
            // Settings of the file before with other values.
            for (back, number) in again {
                let before = all
                    .last()
                    .and_then(|file| file.get(back % file.len().max(1)));
                let edit = before.map(|edit| Edit {
                    path: edit.path.clone(),
                    value: otherwise(&edit.value, *number),
                });
                edit.into_iter().for_each(|edit| add(&mut file, edit));
            }
            all.push(file);
        }
        let names = ["b", "a", "d", "c"];
        let mut drop_ins = DropInFiles {
            files: BTreeMap::new(),
            version: self.version,
            edits: BTreeMap::new(),
        };
        for ((at, edits), (_, _, notes)) in all.into_iter().enumerate().zip(files) {
            let letter = names.get(at % 4).copied().unwrap_or("e");
            let name = format!("{letter}{at}.toml");
            let mut table = Table::from([("version".to_owned(), Value::Integer(self.version))]);
            let puts = edits.iter();
            puts.for_each(|edit| edit.put_into(&mut table, self.version));
            let text = with_notes(&Exposed::table(&table).to_toml(), notes);
            drop_ins.files.insert(name.clone(), text);
            drop_ins.edits.insert(name, edits);
        }
        drop_ins
    }
}

/// What of the file before it sets, too, and how; its own edits; comments.
type File = (Vec<(usize, usize)>, Vec<Choice>, Vec<Note>);
