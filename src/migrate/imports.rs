//! Which files a config file imports, in the order in which containerd loads
//! them.

use std::collections::BTreeSet;

use crate::Document;
use crate::containerd::Import;
use crate::containerd::import::load_order;
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use crate::shown;

/// The files in load order, the main one first.
pub(super) fn in_load_order<'a>(
    main: &'a Document,
    imports: &'a [Document],
) -> (Vec<&'a Document>, Vec<Finding>) {
    const MAIN: usize = 0;
    let files: Vec<&Document> = std::iter::once(main).chain(imports).collect();
    let paths: Vec<&str> = files.iter().map(|file| file.name()).collect();
    let mut findings = Vec::new();
    let of = |at: usize| files.get(at).copied().map(Import::of).unwrap_or_default();
    let order = load_order(&paths, [MAIN], of, |file, import, reached| {
        let imports = files.get(file).and_then(|file| file.span_of(&["imports"]));
        let mut say = |code, message: String| {
            let span = imports.clone().map(|(key, _)| key);
            findings.push(Finding::new(code, message).at("imports", span));
        };
        // What k0s generates anew at every start holds nothing to keep.
        let generated = import.path().rsplit('/').next() == Some(k0s::CRI_FILE);
        match (reached.is_empty(), import.is_pattern()) {
            (true, false) if !generated => {
                let message = format!(
                    "the imported file {} is missing",
                    shown::text(import.path())
                );
                say(Code::ImportMissing, message);
            }
            (true, true) => {
                let message = format!("no file matches the import {}", shown::text(import.path()));
                say(Code::ImportEmpty, message);
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
        if let Some(name) = k0s::drop_in_at(file.name()) {
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
    (order.collect(), findings)
}
