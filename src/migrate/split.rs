//! Which drop-in a kept setting goes to: one for each concern.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::edits;
use super::tree::{Id, ROOT, Tree, Verdict};
use crate::config::Config;
use crate::config::known::{
    DEFAULT_RUNTIME_NAME, GRPC, HANDLER, PLUGINS, PROXY_PLUGINS, RUNTIME_PLATFORMS, RUNTIMES,
    SHIMS, TASK_MANAGER, TTRPC,
};
use crate::config::table::Known;
use crate::containerd::setting::Concern as About;
use crate::containerd::{Release, plugin};
use crate::k0s::FileName;
use crate::shown;
use crate::value::Value;

/// What a drop-in is about. The order is that of the file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Concern {
    Daemon,
    Cri,
    Cni,
    Registry,
    Runtime(String),
    Snapshotter,
    /// The stream server of k0s 1.36 and later, whose section no drop-in may
    /// have; what a drop-in imports may.
    StreamServer,
    Plugin(String),
    ProxyPlugins,
    StreamProcessors,
    /// What an existing drop-in is about.
    File(FileName),
    /// The stream server's part of an existing drop-in.
    Nested(FileName),
}

/// The folder below the drop-ins for files that k0s does not look at.
const NESTED: &str = "nested";

impl Concern {
    /// The name of the drop-in: digits, lower-case letters, `-`, `_` and `.`, so that it sorts alike everywhere and is nobody else's.
    pub(super) fn file_name(&self) -> FileName {
        FileName::of_parts(match self {
            Concern::Daemon => "10-daemon.toml".to_owned(),
            Concern::Cri => "20-cri.toml".to_owned(),
            Concern::Cni => "21-cri-cni.toml".to_owned(),
            Concern::Registry => "22-cri-registry.toml".to_owned(),
            Concern::Runtime(name) => format!("23-cri-runtime-{}.toml", file_part(name)),
            Concern::Snapshotter => "24-cri-snapshotter.toml".to_owned(),
            Concern::StreamServer => format!("{NESTED}/streaming.toml"),
            Concern::Plugin(id) => {
                let name = id.strip_prefix("io.containerd.").unwrap_or(id);
                format!("30-plugin-{}.toml", file_part(name))
            }
            Concern::ProxyPlugins => "40-proxy-plugins.toml".to_owned(),
            Concern::StreamProcessors => "50-stream-processors.toml".to_owned(),
            Concern::File(name) => return name.clone(),
            Concern::Nested(name) => {
                let name = name.as_str();
                let (folder, name) = name
                    .rsplit_once('/')
                    .map_or(("", name), |(folder, name)| (folder, name));
                let name = without_pattern(name);
                let parts = [folder, NESTED, &name];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                parts.collect::<Vec<_>>().join("/")
            }
        })
    }

    /// How the drop-in that imports the file names it.
    pub(super) fn import(&self) -> String {
        let name = self.file_name();
        let name = name.as_str();
        let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
        format!("{NESTED}/{name}")
    }

    /// The drop-in that imports the file, where k0s does not.
    pub(super) fn importer(&self) -> Option<FileName> {
        match self {
            Concern::StreamServer => Some(FileName::of_parts("25-cri-streaming.toml".to_owned())),
            Concern::Nested(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether k0s 1.27 – 1.35 take the drop-in for one with CRI settings.
    pub(super) fn is_cri(&self) -> bool {
        matches!(
            self,
            Concern::Cri
                | Concern::Cni
                | Concern::Registry
                | Concern::Runtime(_)
                | Concern::Snapshotter
        )
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concern::Daemon => f.write_str("the daemon"),
            Concern::Cri => f.write_str("the CRI plugin"),
            Concern::Cni => f.write_str("pod networks"),
            Concern::Registry => f.write_str("registries"),
            Concern::Runtime(name) => write!(f, "the runtime handler {:?}", shown::name(name)),
            Concern::Snapshotter => f.write_str("the snapshotter"),
            Concern::StreamServer => f.write_str("the stream server"),
            Concern::Nested(_) => f.write_str("settings that need a file of their own"),
            Concern::Plugin(id) => write!(f, "the plugin {:?}", shown::name(id)),
            Concern::ProxyPlugins => f.write_str("proxy plugins"),
            Concern::StreamProcessors => f.write_str("stream processors"),
            Concern::File(name) => f.write_str(&shown::printable(name.as_str())),
        }
    }
}

/// The longest name part that leaves room within the 255 bytes of a file name.
const LONGEST_PART: usize = 120;

/// A name in file-name characters; every other byte as `_xx`, so that no two
/// names meet. What is too long ends in a checksum; of what does not look like a
/// name, and so may hold a credential, there is nothing else.
fn file_part(name: &str) -> String {
    let mut part = String::new();
    if matches!(shown::name(name), Cow::Owned(_)) {
        return format!("_{:016x}", checksum(name));
    }
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => part.push(char::from(byte)),
            byte => part.push_str(&format!("_{byte:02x}")),
        }
    }
    if part.len() > LONGEST_PART {
        part.truncate(LONGEST_PART);
        part.push_str(&format!("_{:016x}", checksum(name)));
    }
    part
}

/// FNV-1a, which is the same everywhere and at all times.
fn checksum(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A name that makes no pattern of an entry of imports, and is no other's.
fn without_pattern(name: &str) -> String {
    const SIGNS: &str = "*?[]\\%";
    let mut out = String::new();
    for c in name.chars() {
        match SIGNS.contains(c) {
            true => out.push_str(&format!("%{:02x}", u32::from(c))),
            false => out.push(c),
        }
    }
    // Longer than a file's name can be.
    if out.len() > 255 {
        out = format!("{}.{:016x}.toml", file_part(name), checksum(name));
    }
    out
}

/// What goes where: the kept leaves, and the tables whose mere existence is
/// kept, in the order in which they are to be written.
pub(super) fn split(tree: &mut Tree, target: Release) -> Vec<(Concern, Id)> {
    let default_runtime = default_runtime(tree, target);
    let concern = |tree: &Tree, id| concern(tree, id, target, default_runtime.as_deref());
    let ids = kept(tree, target);
    ids.into_iter().map(|id| (concern(tree, id), id)).collect()
}

/// The same for existing drop-ins, called `names`, which stay apart.
pub(super) fn split_by_file(
    tree: &Tree,
    target: Release,
    names: &[FileName],
) -> Vec<(Concern, Id)> {
    let ids = kept(tree, target);
    let known: BTreeSet<&FileName> = names.iter().collect();
    let file = |id: Id| tree.node(id).sources.last().map_or(0, |source| source.file);
    // The last of the files that have a part of it holds all of it.
    let mut together: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for id in &ids {
        if let Some(whole) = whole(&tree.written_path(*id)) {
            let last = together.entry(whole).or_default();
            *last = file(*id).max(*last);
        }
    }
    let file = |id: Id| {
        let whole = whole(&tree.written_path(id));
        let last = whole.and_then(|whole| together.get(&whole));
        last.copied().unwrap_or_else(|| file(id))
    };
    let has_tasks: BTreeSet<usize> = ids
        .iter()
        .filter(|id| tree.is_in(**id, TASK_MANAGER))
        .map(|id| file(*id))
        .collect();
    let has_servers: BTreeSet<usize> = ids
        .iter()
        .filter(|id| is_server(&tree.written_path(**id)))
        .map(|id| file(*id))
        .collect();
    let concern = |id: Id| {
        let name = names.get(file(id)).cloned()?;
        let shims = tree.is_in(id, SHIMS);
        let refused = is_stream_server(tree, id) && name.is_drop_in();
        let lost = shims && has_tasks.contains(&file(id))
            || is_server_plugin(&tree.written_path(id)) && has_servers.contains(&file(id));
        if !refused && !lost {
            return Some(Concern::File(name));
        }
        let nested = Concern::Nested(name);
        // A file of that name that is imported already will do.
        let there = nested.file_name();
        Some(match known.contains(&there) {
            true => Concern::File(there),
            false => nested,
        })
    };
    let parts = ids.iter().filter_map(|id| Some((concern(*id)?, *id)));
    parts.collect()
}

/// Whether a path is that of a server's setting up to config version 3.
pub(crate) fn is_server(path: &[&str]) -> bool {
    let mut place = Some(Config::place());
    path.iter().any(|key| {
        place = place.and_then(|place| place.child(key));
        place.is_some_and(|place| place.is_of_server())
    })
}

/// Whether a path is in a plugin that config version 4 makes of a server:
/// containerd 2.3 makes none of the server's settings in a file that has one.
pub(crate) fn is_server_plugin(path: &[&str]) -> bool {
    let is_server = |id: &str| {
        let kind = plugin::split(id).map(|(kind, _)| kind);
        kind.is_some_and(|kind| plugin::SERVERS.contains(&kind))
    };
    matches!(path, ["plugins", id, ..] if is_server(id))
}

/// What containerd takes as a whole from one file: an entry of these maps, a table
/// that it does not know, or the settings of a server, which containerd 2.3 makes a
/// plugin of file by file. The two servers with sockets lean on each other.
fn whole<'t>(path: &[&'t str]) -> Option<Vec<&'t str>> {
    let first = *path.first()?;
    let top = Config::place().child(first);
    let is = |known| top.is_some_and(|top| top.is(known));
    if is(PLUGINS) {
        return None;
    }
    if path.len() > 1 && top.is_some_and(|top| top.has_whole_entries()) {
        return path.get(..2).map(<[&str]>::to_vec);
    }
    if is_server(path) {
        let server = if is(TTRPC) { GRPC.key() } else { first };
        return Some(vec![server]);
    }
    // Of a table that containerd does not know the last file's counts.
    let tables = (1..path.len()).filter_map(|length| path.get(..length));
    let unknown = tables
        .into_iter()
        .find(|path| Config::place_of(path).is_none());
    unknown.map(<[&str]>::to_vec)
}

/// The kept leaves, and the tables whose mere existence is kept.
pub(super) fn kept(tree: &Tree, target: Release) -> Vec<Id> {
    let mut ids = tree.walk(ROOT);
    ids.retain(|id| tree.is_kept(*id) || is_bare_entry(tree, *id, target));
    ids
}

/// Whether a setting is written to the section that config version 3 leaves
/// to the stream server.
pub(super) fn is_stream_server(tree: &Tree, id: Id) -> bool {
    tree.version() >= 3
        && matches!(
            tree.written_path(id).as_slice(),
            ["plugins", plugin::CRI, ..]
        )
}

/// The name of the default runtime handler, if the same migration keeps a
/// handler of that name: the two belong in one file.
fn default_runtime(tree: &mut Tree, target: Release) -> Option<String> {
    let leaf = tree.find(&DEFAULT_RUNTIME_NAME)?;
    let name = tree.value(leaf).and_then(Value::as_str)?.to_owned();
    let entry = tree.find(&HANDLER.of(&[&name]))?;
    let extra = is_extra(tree, entry, target);
    let kept = tree.has_kept(entry);
    (extra && kept).then_some(name)
}

/// Whether an entry of a map is not one that the target brings along.
fn is_extra(tree: &Tree, entry: Id, target: Release) -> bool {
    let node = tree.node(entry);
    let map = tree.node(node.parent).place();
    map.is_none_or(|map| !map.builtin_entries(target).any(|key| key == node.key))
}

/// Whether a table says something by being there, which no kept key in it
/// says as well: an entry, or a pointer in Go, that the target does not have.
pub(super) fn is_bare_entry(tree: &Tree, id: Id, target: Release) -> bool {
    let node = tree.node(id);
    let matters = node.place().is_some_and(|place| place.presence_matters());
    if !matters || node.is_made {
        return false;
    }
    // An import replaces a built-in entry by one with nothing in it.
    let is_whole = tree.node(node.parent).parent == ROOT;
    let changes = match is_whole {
        true => !edits::entry_is_built_in(tree, id, target),
        false => is_extra(tree, id, target),
    };
    // Proxy plugins without a type are not written.
    if !changes || tree.is(node.parent, PROXY_PLUGINS) {
        return false;
    }
    let inner_entry = |inner: Id| inner != id && is_bare_entry(tree, inner, target);
    let unsaid = tree.leaves(id).iter().all(|leaf| {
        matches!(
            tree.verdict(*leaf),
            Some(Verdict::Drop(super::tree::Dropped::TargetDefault, _))
        )
    });
    unsaid && !tree.children(id).any(inner_entry)
}

fn concern(tree: &Tree, id: Id, target: Release, default_runtime: Option<&str>) -> Concern {
    if is_stream_server(tree, id) {
        return Concern::StreamServer;
    }
    let path = tree.path(id);
    let name = |table: Known| path.get(table.len()).map(|name| (*name).to_owned());
    let mut places = tree.upwards(id).filter_map(|at| tree.node(at).place());
    let about = places.next().map_or(About::Daemon, |place| place.concern());
    let concern = match about {
        About::Cri => None,
        About::Cni => Some(Concern::Cni),
        About::Registry => Some(Concern::Registry),
        About::Snapshotter => Some(Concern::Snapshotter),
        About::NamedHandler => default_runtime.map(|name| Concern::Runtime(name.to_owned())),
        About::Handler => name(RUNTIMES)
            .filter(|_| !is_built_in_runtime(tree, id, target))
            .map(Concern::Runtime),
        About::HandlersImages => {
            name(RUNTIME_PLATFORMS).map(|name| match has_handler(&name, target) {
                true => Concern::Snapshotter,
                false => Concern::Runtime(name),
            })
        }
        About::Plugin => match name(PLUGINS) {
            Some(id) if plugin::OF_CRI.contains(&id.as_str()) => None,
            Some(id) => Some(Concern::Plugin(id)),
            None => Some(Concern::Daemon),
        },
        About::ProxyPlugins => Some(Concern::ProxyPlugins),
        About::StreamProcessors => Some(Concern::StreamProcessors),
        // What config version 3 has in a plugin only, containerd 2.3 would
        // prefer to the daemon's settings in the same file.
        About::Daemon => Some(match tree.written_path(id).as_slice() {
            ["plugins", id, ..] => Concern::Plugin((*id).to_owned()),
            _ => Concern::Daemon,
        }),
    };
    concern.unwrap_or(Concern::Cri)
}

/// Whether the target brings a runtime handler of this name along.
fn has_handler(name: &str, target: Release) -> bool {
    let mut built_in = RUNTIMES.place().builtin_entries(target);
    built_in.any(|entry| entry == name)
}

/// Whether a node is a runtime handler that the target brings along, or in one.
fn is_built_in_runtime(tree: &Tree, id: Id, target: Release) -> bool {
    let mut above = tree.upwards(id);
    let handler = above.find(|at| tree.is(*at, HANDLER));
    handler.is_none_or(|handler| !is_extra(tree, handler, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_never_meet() {
        let name = |runtime: &str| Concern::Runtime(runtime.to_owned()).file_name();
        assert_eq!(name("nvidia"), "23-cri-runtime-nvidia.toml");
        assert_eq!(name("NVIDIA"), "23-cri-runtime-_4e_56_49_44_49_41.toml");
        assert_ne!(name("a_62"), name("ab"));
        assert_ne!(name("a.b"), name("a-b"));
        assert_ne!(name(&"x".repeat(300)), name(&"x".repeat(301)));
        let odd = [&"é".repeat(300), "../../etc/passwd", "", "a b", "ü\n"];
        for name in odd.map(name) {
            assert_eq!(name.as_str().parse(), Ok(name.clone()));
            assert!(name.is_drop_in() && name.as_str().is_ascii());
        }
        let nested = |name: String| Concern::Nested(FileName::of_parts(name)).file_name();
        let stars = |count: usize| format!("{}.toml", "*".repeat(count));
        assert_eq!(nested(stars(2)), "nested/%2a%2a.toml");
        assert_eq!(nested(stars(250)).as_str().parse(), Ok(nested(stars(250))));
        assert_ne!(nested(stars(250)), nested(stars(249)));
        let plugin = Concern::Plugin("io.containerd.gc.v1.scheduler".to_owned());
        assert_eq!(plugin.file_name(), "30-plugin-gc.v1.scheduler.toml");
    }
}
