//! Which files a config file imports, in the order in which containerd loads
//! them.

use std::collections::BTreeSet;

use super::checks::OTHER_MAIN;
use super::origin::Origin;
use crate::Document;
use crate::containerd::Import;
use crate::containerd::import::load_order;
use crate::diagnostic::{Code, Finding, Span};
use crate::k0s;
use crate::shown;

/// The number of the main file.
const MAIN: usize = 0;

/// A file that is imported and was not handed in.
#[derive(Debug)]
pub(super) struct Missing {
    path: String,
    /// The number of the file that names it.
    by: usize,
    span: Option<Span>,
}

/// What there is to say of imported files that are missing. A dump of containerd
/// 1.x lists the files that it was made of, itself included, and has all that is in
/// them (seen on 1.4.13, 1.6.20 and 1.7.24; 2.1.9 lists what it was told to import).
pub(super) fn missing(
    missing: &[Missing],
    main: &Document,
    origin: &Origin,
    version: i64,
) -> Vec<Finding> {
    let is_whole = match origin {
        Origin::Sparse => false,
        Origin::Dump(dump) => !dump.cri_only,
        Origin::Forced { .. } => true,
    };
    let imports = Import::of(main);
    let names_main = imports.iter().any(|import| import.path() == OTHER_MAIN);
    let is_resolved = !imports.iter().any(Import::is_pattern);
    let is_dump = is_whole && version < 3 && names_main && is_resolved;
    let say = |missing: &Missing| {
        let path = shown::text(&missing.path);
        let (code, message) = match is_dump && missing.by == MAIN {
            true => (
                Code::ImportOfDump,
                format!(
                    "the imported file {path} is missing, and is part of this one: `containerd config dump` of 1.x lists the files that it was made of"
                ),
            ),
            false => (
                Code::ImportMissing,
                format!("the imported file {path} is missing"),
            ),
        };
        Finding::new(code, message).at("imports", missing.span.clone())
    };
    missing.iter().map(say).collect()
}

/// The files in load order, the main one first, what there is to say of the
/// imports, and which are missing. A managed main file imports drop-ins, or a folder
/// for them.
pub(super) fn in_load_order<'a>(
    main: &'a Document,
    imports: &'a [Document],
    is_managed: bool,
) -> (Vec<&'a Document>, Vec<Finding>, Vec<Missing>) {
    let files: Vec<&Document> = std::iter::once(main).chain(imports).collect();
    let paths: Vec<&str> = files.iter().map(|file| file.name()).collect();
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    let of = |at: usize| files.get(at).copied().map(Import::of).unwrap_or_default();
    let order = load_order(&paths, [MAIN], of, |file, import, reached| {
        let imports = files.get(file).and_then(|file| file.span_of(&["imports"]));
        let span = imports.map(|(key, _)| key);
        // What k0s generates anew at every start holds nothing to keep.
        let generated = import.path().rsplit('/').next() == Some(k0s::CRI_FILE);
        match (reached.is_empty(), import.is_pattern()) {
            (true, false) if !generated => missing.push(Missing {
                path: import.path().to_owned(),
                by: file,
                span,
            }),
            (true, true) if !is_managed => {
                let message = format!("no file matches the import {}", shown::text(import.path()));
                findings.push(Finding::new(Code::ImportEmpty, message).at("imports", span));
            }
            _ => {}
        }
    });
    let loaded: BTreeSet<usize> = order.iter().copied().collect();
    let (reached, unused): (Vec<_>, Vec<_>) = files
        .iter()
        .enumerate()
        .skip(1)
        .partition(|(at, _)| loaded.contains(at));
    for (_, file) in reached {
        let drop_in = k0s::drop_in_at(file.name()).filter(|_| !is_managed);
        if let Some(name) = drop_in {
            let name = shown::printable(name.as_str());
            let message = format!("the file imports the drop-in {name}");
            findings.push(Finding::new(Code::ImportsDropIns, message));
        }
    }
    for (_, file) in unused {
        let message = format!("no imports entry reaches {}", shown::printable(file.name()));
        findings.push(Finding::new(Code::ImportUnused, message));
    }
    let order = order.into_iter().filter_map(|at| files.get(at).copied());
    (order.collect(), findings, missing)
}
