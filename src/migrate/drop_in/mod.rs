//! Drop-ins: which files there are, and what of them may be shown.

mod sheet;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::split::Concern;
use super::tree::{Files, Id, Tree};
use crate::Document;
use crate::k0s::FileName;
use crate::shown::Text;
pub(super) use sheet::HEADER;
use sheet::Sheet;

/// A file for `/etc/k0s/containerd.d`.
#[derive(Clone)]
#[non_exhaustive]
pub struct DropIn {
    /// Its name; one with a folder in it is imported by another.
    pub name: FileName,
    /// What it is about.
    pub about: String,
    /// Whether something in it is not shown, so that it should be readable by root
    /// only.
    pub sensitive: bool,
    text: Text,
}

impl DropIn {
    /// The text to write, credentials included.
    pub fn text(&self) -> &str {
        &self.text.full
    }

    /// The text to show: values of settings that hold no credentials, and names
    /// that look like one; of all else, comments included, the kind and the length.
    pub fn redacted_text(&self) -> &str {
        self.text.shown()
    }

    /// Shows all of it from now on.
    pub(super) fn reveal(&mut self) {
        self.text.redacted = None;
    }
}

impl fmt::Debug for DropIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropIn")
            .field("name", &self.name)
            .field("sensitive", &self.sensitive)
            .field("text", &self.redacted_text())
            .finish()
    }
}

impl Serialize for DropIn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut shown = serializer.serialize_struct("DropIn", 4)?;
        shown.serialize_field("name", &self.name)?;
        shown.serialize_field("about", &self.about)?;
        shown.serialize_field("sensitive", &self.sensitive)?;
        shown.serialize_field("text", self.redacted_text())?;
        shown.end()
    }
}

/// How the drop-ins are to be written.
#[derive(Debug)]
pub(super) struct Style<'a> {
    /// What the settings come from.
    pub(super) origin: &'a str,
    /// k0s pastes drop-ins with CRI settings behind other text: a key at their
    /// top would not be one.
    pub(super) pasted: bool,
    /// Existing drop-ins, which keep what is said about them as a whole.
    pub(super) existing: &'a [Existing<'a>],
}

/// An existing drop-in.
#[derive(Debug)]
pub(super) struct Existing<'a> {
    pub(super) name: FileName,
    pub(super) document: &'a Document,
}

/// The tables whose comments are written.
type Used = HashSet<Id>;

/// Writes the parts of the tree, a file for each concern.
pub(super) fn write(
    tree: &Tree,
    files: Files<'_>,
    parts: &[(Concern, Id)],
    style: &Style<'_>,
) -> Vec<DropIn> {
    let mut by_concern: BTreeMap<Concern, Vec<Id>> = BTreeMap::new();
    for (concern, id) in parts {
        match by_concern.get_mut(concern) {
            Some(ids) => ids.push(*id),
            None => drop(by_concern.insert(concern.clone(), vec![*id])),
        }
    }
    // What imports a file may have nothing else to say.
    let mut imports: BTreeMap<FileName, Vec<String>> = BTreeMap::new();
    for concern in by_concern.keys() {
        if let Some(importer) = concern.importer() {
            imports.entry(importer).or_default().push(concern.import());
        }
    }
    for importer in imports.keys() {
        by_concern
            .entry(Concern::File(importer.clone()))
            .or_default();
    }
    let existing: HashMap<&str, &Existing<'_>> = style
        .existing
        .iter()
        .map(|existing| (existing.name.as_str(), existing))
        .collect();
    // A table's comments go to the first drop-in that has a key of it.
    let mut used = Used::default();
    let mut drop_ins = Vec::new();
    for (concern, ids) in &by_concern {
        let name = concern.file_name();
        let sheet = Sheet {
            tree,
            files,
            style,
            concern,
            ids,
            imports: imports.get(&name).map_or(&[], Vec::as_slice),
            existing: existing.get(name.as_str()).copied(),
        };
        let page = sheet.page(&mut used);
        let text = page.text(false);
        let shown = page.hides_anything().then(|| page.text(true));
        // What stays to the byte may be shown as it would have been written.
        let (full, shown) = match sheet.unchanged(&text) {
            Some(own) => (own, Some(shown.unwrap_or(text))),
            None => (text, shown),
        };
        let redacted = shown.filter(|shown| *shown != full);
        drop_ins.push(DropIn {
            about: sheet.about(),
            sensitive: redacted.is_some(),
            text: Text { redacted, full },
            name,
        });
    }
    drop_ins.sort_by(|a, b| {
        let is_drop_in = |drop_in: &DropIn| drop_in.name.is_drop_in();
        is_drop_in(b)
            .cmp(&is_drop_in(a))
            .then_with(|| a.name.cmp(&b.name))
    });
    drop_ins
}
