//! Which files a config file imports, in the order in which containerd loads
//! them.

use std::collections::VecDeque;

use crate::Document;
use crate::containerd::Import;
use crate::diagnostic::{Code, Finding};
use crate::k0s;

/// The files in load order, the main one first: imports are loaded after the
/// file that names them, theirs after all of those (containerd 1.3 – 1.7).
pub(super) fn in_load_order<'a>(
    main: &'a Document,
    imports: &'a [Document],
) -> (Vec<&'a Document>, Vec<Finding>) {
    let mut order = vec![main];
    let mut findings = Vec::new();
    let mut loaded = vec![false; imports.len()];
    let mut queue = VecDeque::from([main]);
    while let Some(file) = queue.pop_front() {
        for import in Import::of(file) {
            let mut matching: Vec<usize> = (0..imports.len())
                .filter(|at| {
                    imports
                        .get(*at)
                        .is_some_and(|file| import.matches(file.name()))
                })
                .collect();
            matching.sort_by_key(|at| imports.get(*at).map(Document::name));
            let is_main = import.matches(main.name());
            // What k0s generates anew at every start holds nothing to keep.
            let generated = import.path().rsplit('/').next() == Some(k0s::CRI_FILE);
            if matching.is_empty() && !is_main && !import.is_pattern() && !generated {
                let message = format!("the imported file {} is missing", import.path());
                let span = file.span_of(&["imports"]).map(|(key, _)| key);
                findings.push(Finding::new(Code::ImportMissing, message).at("imports", span));
            }
            if matching.is_empty() && !is_main && import.is_pattern() {
                let message = format!("no file matches the import {}", import.path());
                let span = file.span_of(&["imports"]).map(|(key, _)| key);
                findings.push(Finding::new(Code::ImportEmpty, message).at("imports", span));
            }
            if is_main && !import.is_pattern() {
                let message = "the file imports itself, as a dump of a running containerd does";
                let span = file.span_of(&["imports"]).map(|(key, _)| key);
                findings.push(Finding::new(Code::ForeignContainerd, message).at("imports", span));
            }
            for at in matching {
                let (Some(file), Some(loaded)) = (imports.get(at), loaded.get_mut(at)) else {
                    continue;
                };
                if !std::mem::replace(loaded, true) {
                    order.push(file);
                    queue.push_back(file);
                }
            }
        }
    }
    for (file, _) in imports.iter().zip(&loaded).filter(|(_, loaded)| **loaded) {
        if let Some(name) = k0s::drop_in_name(file.name()) {
            let message = format!("the file imports the drop-in {name}");
            findings.push(Finding::new(Code::ImportsDropIns, message));
        }
    }
    for (file, loaded) in imports.iter().zip(loaded) {
        if !loaded {
            let message = format!("no imports entry reaches {}", file.name());
            findings.push(Finding::new(Code::ImportUnused, message));
        }
    }
    (order, findings)
}
