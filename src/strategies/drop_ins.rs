//! Sets of drop-ins that get in each other's way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::settings::{self, Edit, Leaf};
use super::values;
use crate::Document;
use crate::containerd::Release;
use crate::k0s;
use crate::value::{Exposed, Table, Value};

/// A set of drop-ins, and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DropInSet {
    /// The texts by name.
    pub files: BTreeMap<String, String>,
    /// Their config version.
    pub version: i64,
    /// What each of them sets, by name.
    pub edits: BTreeMap<String, Vec<Edit>>,
}

impl DropInSet {
    /// The files as k0s has them.
    ///
    /// # Panics
    /// Never: a file that is made parses.
    #[expect(
        clippy::expect_used,
        reason = "the texts are written by this crate, for tests"
    )]
    pub fn documents(&self) -> Vec<Document> {
        let files = self.files.iter();
        let parsed = files.map(|(name, text)| {
            Document::parse(format!("{}/{name}", k0s::DROP_IN_DIR), text.as_bytes())
        });
        parsed
            .map(|file| file.expect("a written file parses"))
            .collect()
    }
}

/// Which sets of drop-ins are made.
///
/// ```
/// use containerd_dropins::containerd::Release;
/// use containerd_dropins::strategies::DropInSets;
/// use proptest::prelude::*;
///
/// let sets = DropInSets::of_version(2).read_by(&[Release::new(2, 3, 3)]).strategy();
/// proptest!(ProptestConfig::with_cases(16), |(set in sets)| {
///     prop_assert_eq!(set.documents().len(), set.files.len());
/// });
/// ```
#[derive(Clone, Debug)]
pub struct DropInSets {
    version: i64,
    readers: Vec<Release>,
    conversions: bool,
    any_text: bool,
}

impl DropInSets {
    /// Sets of a config version: 2 for k0s 1.27 to 1.35, 3 for later ones.
    pub fn of_version(version: i64) -> Self {
        let reader = match version {
            ..=2 => Release::new(1, 7, 20),
            _ => Release::new(2, 3, 3),
        };
        DropInSets {
            version,
            readers: vec![reader],
            conversions: false,
            any_text: false,
        }
    }

    /// Only settings that these releases read, too.
    pub fn read_by(mut self, releases: &[Release]) -> Self {
        self.readers.extend(releases);
        self
    }

    /// Settings that have a successor or another form in another release, too.
    pub fn with_conversions(mut self) -> Self {
        self.conversions = true;
        self
    }

    /// Any texts and names, see
    /// [`LegacyFiles::any_text`](super::LegacyFiles::any_text).
    pub fn any_text(mut self) -> Self {
        self.any_text = true;
        self
    }

    /// The strategy.
    pub fn strategy(self) -> impl Strategy<Value = DropInSet> {
        let edit = (any::<u16>(), any::<bool>(), 0u32..1000, 0usize..8);
        let file = prop::collection::vec(edit, 1..8);
        let again = (any::<Index>(), 0u32..1000);
        let files = prop::collection::vec(file, 1..5);
        (files, prop::collection::vec(again, 0..8))
            .prop_map(move |(files, again)| self.make(files, &again))
    }

    fn make(&self, files: Vec<Vec<Numbers>>, again: &[(Index, u32)]) -> DropInSet {
        let wanted = |leaf: &&Leaf| {
            let read = |release: &Release| leaf.is_read(self.version.max(2), *release);
            let in_all = self.readers.iter().all(|release| match release.is_2() {
                // By the path that 2.x has it at.
                true => leaf.is_read(3, *release) || read(release),
                false => read(release),
            });
            let has_place = crate::Config::address(self.version, &leaf.path).is_some();
            in_all && has_place && (self.conversions || !leaf.is_converted)
        };
        let leaves: Vec<&Leaf> = settings::all().iter().filter(wanted).collect();
        let daemon = leaves
            .iter()
            .position(|leaf| leaf.path.first() == Some(&"plugins"));
        let daemon = daemon.unwrap_or(leaves.len());
        let mut all: Vec<Vec<Edit>> = Vec::new();
        for numbers in files {
            let edits = numbers
                .into_iter()
                .flat_map(|(at, of_daemon, number, name)| {
                    // Few settings, so that files meet; all of the daemon's among them.
                    let among = if of_daemon { daemon } else { leaves.len() };
                    let leaf = leaves.get(usize::from(at) % among.max(1))?;
                    Some(self.edit(leaf, number, name))
                });
            let mut file = Vec::new();
            edits.flatten().for_each(|edit| put(&mut file, edit));
            all.push(file);
        }
        // Settings of one file again in the next, with other values.
        for (index, number) in again {
            let from = index.index(all.len());
            let to = (from + 1) % all.len();
            let edit = all.get(from).and_then(|file| file.last()).cloned();
            if let (Some(edit), Some(file)) = (edit, all.get_mut(to)) {
                put(file, otherwise(edit, *number));
            }
        }
        let names = ["b", "a", "d", "c"];
        let named = all.into_iter().enumerate().map(|(at, edits)| {
            let letter = names.get(at % 4).copied().unwrap_or("e");
            (format!("{letter}{at}.toml"), edits)
        });
        let edits: BTreeMap<String, Vec<Edit>> = named.collect();
        let text = |edits: &Vec<Edit>| {
            let mut table = Table::from([("version".to_owned(), Value::Integer(self.version))]);
            edits
                .iter()
                .for_each(|edit| edit.put_into(&mut table, self.version));
            Exposed::table(&table).to_toml()
        };
        DropInSet {
            files: edits
                .iter()
                .map(|(name, edits)| (name.clone(), text(edits)))
                .collect(),
            version: self.version,
            edits,
        }
    }

    fn edit(&self, leaf: &Leaf, number: u32, name: usize) -> Vec<Edit> {
        let name = values::name(&leaf.path, name, self.any_text);
        let path = leaf.named(name);
        let mut edits = Vec::new();
        if let ["proxy_plugins", "*", last] = leaf.path.as_slice()
            && *last != "type"
        {
            let mut path = path.clone();
            path.pop();
            path.push("type".to_owned());
            let value = Value::String("snapshot".to_owned());
            edits.push(Edit { path, value });
        }
        let value = values::value(&leaf.path, leaf.kind, number, self.any_text);
        edits.push(Edit { path, value });
        edits
    }
}

type Numbers = (u16, bool, u32, usize);

fn put(edits: &mut Vec<Edit>, edit: Edit) {
    edits.retain(|other| other.path != edit.path);
    edits.push(edit);
}

/// The same setting with another value of its type.
fn otherwise(mut edit: Edit, number: u32) -> Edit {
    edit.value = match edit.value {
        Value::Boolean(flag) => Value::Boolean(!flag),
        Value::Integer(_) => Value::Integer(i64::from(number % 1000) + 1001),
        other => other,
    };
    edit
}
