//! What is kept, and makes the target's containerd do something else than it
//! made that of 1.x do.

use super::tree::{Files, ROOT, Tree};
use crate::containerd::load::Effective;
use crate::containerd::{Release, behaviour, plugin};
use crate::diagnostic::{Code, Finding};
use crate::value::Value;

/// Looks at the settings of an input that containerd 1.x could read, once all
/// is judged. One that ran on 2.x already goes on as before.
pub(super) fn find(
    tree: &Tree,
    files: Files<'_>,
    target: Release,
    effective: Option<&Effective>,
) -> Vec<Finding> {
    if !tree.is_of_1_x() || !target.is_2() {
        return Vec::new();
    }
    let is_disabled = |uri: &str| {
        let list = effective.and_then(|effective| effective.value(&["disabled_plugins"]));
        let names = list.as_ref().and_then(Value::as_array).unwrap_or_default();
        names.iter().any(|name| name.as_str() == Some(uri))
    };
    let mut findings = Vec::new();
    for id in tree.leaves(ROOT) {
        let value = tree.value(id).filter(|_| tree.is_kept(id));
        let known = tree.node(id).place().zip(value);
        let Some(found) = known.and_then(|(place, value)| behaviour::of(place, value, target))
        else {
            continue;
        };
        if found.code == Code::DevmapperPool && is_disabled(plugin::DEVMAPPER) {
            continue;
        }
        findings.push(files.finding(tree, id, found.code, found.message(target)));
    }
    findings
}
