//! Files of Windows nodes, of which nothing is judged: what containerd has there,
//! and what k0s makes of it, is another matter.

use super::tree::{Files, Id, ROOT, Tree};
use crate::config::known;
use crate::containerd::setting::Kind;
use crate::diagnostic::{Code, Finding};
use crate::value::Value;

/// The shim of Windows containers.
const RUNHCS: &str = "io.containerd.runhcs.v1";

/// Snapshotters, and differs, that containerd has on Windows only.
const SNAPSHOTTERS: [&str; 4] = ["windows", "windows-lcow", "cimfs", "blockcim"];

/// Why nothing of such a file is kept.
pub(super) const WHY: &str = "Linux nodes only are migrated";

/// The setting by which files are those of a Windows node, if one of them does not
/// go with a Linux node. A runtime handler for Windows beside others is no proof.
pub(super) fn find(tree: &Tree, files: Files<'_>) -> Option<Finding> {
    let leaves = tree.leaves(ROOT);
    let default = default_handler(tree, &leaves);
    let is_proof = |id: &Id| is_of_windows(tree, *id, default);
    let proof = leaves.iter().copied().find(is_proof)?;
    let why = format!("this is a setting of a Windows node; {WHY}");
    Some(files.wrong_value(tree, proof, Code::WindowsNode, why))
}

/// The name of the handler of pods that name none, if a file says it.
fn default_handler<'t>(tree: &'t Tree, leaves: &[Id]) -> Option<&'t str> {
    let is_it = |id: &&Id| tree.is(**id, known::DEFAULT_RUNTIME_NAME);
    let leaf = leaves.iter().find(is_it)?;
    tree.value(*leaf)?.as_str()
}

fn is_of_windows(tree: &Tree, id: Id, default: Option<&str>) -> bool {
    let (Some(place), Some(value)) = (tree.node(id).place(), tree.value(id)) else {
        return false;
    };
    if place.free() {
        return false;
    }
    let text = value.as_str();
    let all = |is: fn(&str) -> bool| {
        let items = value.as_array().unwrap_or_default();
        let mut texts = items.iter().map(Value::as_str);
        !items.is_empty() && texts.all(|text| text.is_some_and(is))
    };
    match () {
        () if place.is(known::SNAPSHOTTER) => text.is_some_and(|name| SNAPSHOTTERS.contains(&name)),
        () if place.is(known::DEFAULT_RUNTIME_TYPE) => text == Some(RUNHCS),
        () if place.is(known::RUNTIME_TYPE) => {
            let handler = tree.node(tree.node(id).parent);
            text == Some(RUNHCS) && default == Some(&*handler.key)
        }
        () if place.is(known::DIFFERS) => all(|name| SNAPSHOTTERS.contains(&name)),
        () if place.is(known::TASK_PLATFORMS) => all(|name| name.starts_with("windows/")),
        // A list of directories, of which one may have a name of one letter.
        () if place.is(known::CONFIG_PATH) => text.is_some_and(|path| path.contains(":\\")),
        () => matches!(place.kind(), Kind::Str) && text.is_some_and(is_windows_path),
    }
}

/// Whether a path has a drive's letter, or is that of a named pipe.
fn is_windows_path(path: &str) -> bool {
    let is_drive = match path.as_bytes() {
        [letter, b':', b'\\' | b'/', ..] => letter.is_ascii_alphabetic(),
        _ => false,
    };
    let pipes = [r"\\.\pipe\", "//./pipe/", "npipe://"];
    is_drive || pipes.iter().any(|pipe| path.starts_with(pipe))
}
