//! What a node has to have for the snapshotters that are kept.

use std::collections::BTreeSet;

use super::Target;
use super::split::Concern;
use super::tree::{Files, Id, Tree};
use crate::config::known;
use crate::containerd::{Release, plugin};
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use crate::shown;
use crate::value::Value;

/// Says of each snapshotter in the drop-ins what the node needs, as far as it is
/// not the default one.
pub(super) fn needs(
    tree: &mut Tree,
    files: Files<'_>,
    parts: &[(Concern, Id)],
    target: &Target,
) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (_, id) in parts {
        let settings = [known::SNAPSHOTTER, known::HANDLERS_SNAPSHOTTER];
        let is_one = settings.iter().any(|one| tree.is(*id, *one));
        let name = tree.value(*id).and_then(Value::as_str).filter(|_| is_one);
        let Some(name) = name.map(str::to_owned) else {
            continue;
        };
        if let Some(need) = need(tree, &name, target.containerd())
            && seen.insert(name)
        {
            findings.push(files.finding(tree, *id, Code::SnapshotterNeeds, need));
        }
    }
    findings
}

/// What a snapshotter needs, by `docs/snapshotters` of containerd and by what its
/// plugin looks for.
fn need(tree: &mut Tree, name: &str, containerd: Release) -> Option<String> {
    if tree.find(&known::PROXY_PLUGINS.with(name)).is_some() {
        let address = shown::path(&known::PROXY_ADDRESS.of(&[name]));
        return Some(format!(
            "this snapshotter is a program of its own, which k0s does not start: it has to serve the socket that {address} names"
        ));
    }
    let uri = format!("{}.{name}", plugin::SNAPSHOTTER);
    if !plugin::is_built_in(&uri, containerd) {
        return None;
    }
    let root_path = tree.find(&["plugins", &uri, "root_path"]);
    let root_path = root_path.and_then(|id| tree.value(id)?.as_str());
    let directory = match root_path {
        None | Some("") => format!("{}/{uri}", k0s::CONTAINERD_ROOT),
        Some(_) => format!("the root_path of {uri}"),
    };
    Some(match name {
        "btrfs" => format!("this snapshotter wants {directory} to be on a btrfs file system"),
        "zfs" => format!("this snapshotter wants a ZFS file system to be mounted at {directory}"),
        "devmapper" => {
            "this snapshotter wants `dmsetup` and the thin pool that pool_name names".to_owned()
        }
        "blockfile" => {
            "this snapshotter wants loop devices and the empty block file that scratch_file names"
                .to_owned()
        }
        "erofs" => {
            "this snapshotter wants the kernel module erofs, and mkfs.erofs of erofs-utils 1.7 or later"
                .to_owned()
        }
        _ => return None,
    })
}
