//! Where a setting stands in a file of a given config version.
//!
//! Inside of the crate a setting has one path, that of config version 2. Its
//! declaration says where later versions have it ([`Move`]); version 1 has
//! short names in place of plugin URIs. From these the two directions follow:
//! [`of`] gives the path in a version, and a [`Cursor`], walking down a file,
//! tells of every key which setting it is.

mod cursor;
mod dialect;
mod places;
mod rewrite;

pub(crate) use cursor::{Cursor, OWN, Step};
pub(crate) use dialect::Dialect;
pub(crate) use rewrite::{
    enter, id_in_file, leave, read, setting_at, version_at, with_ids, with_ids_of_2_x,
    without_short_names, write,
};

use super::Config;
use super::declare::Declared;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::releases::{V1_7, V2_0};
use crate::containerd::setting::{Kind, Move, MovedTo, Setting};

/// The declarations of the plugins.
pub(crate) fn plugins() -> &'static [Setting] {
    match Config::SECTION.get("plugins").map(|setting| setting.kind) {
        Some(Kind::Section(section)) => section.settings,
        _ => &[],
    }
}

/// The declared plugin of containerd 1.x with this short name.
pub(crate) fn by_short_name(name: &str) -> Option<&'static str> {
    let known = plugins().iter().filter(|setting| is_of_1_x(setting));
    let mut uris = known.map(|setting| setting.key);
    uris.find(|uri| plugin::short_name(uri) == Some(name))
}

/// The plugin that containerd 2.x takes a short name of version 1 for; `None`
/// where it is an id already. It knows those of 1.6, and takes the rest for
/// services of its own and of gRPC.
fn by_short_name_on_2(name: &str) -> Option<String> {
    if name.contains('.') {
        return None;
    }
    let is_old = |uri: &&str| {
        let place = Config::place_of(&["plugins", uri]);
        place.and_then(|place| place.since()) < Some(V1_7)
    };
    let known = by_short_name(name).filter(is_old).map(str::to_owned);
    Some(known.unwrap_or_else(|| match name.ends_with("-service") {
        true => format!("io.containerd.service.v1.{name}"),
        false => format!("io.containerd.grpc.v1.{name}"),
    }))
}

fn is_of_1_x(setting: &Setting) -> bool {
    setting
        .history
        .first()
        .is_some_and(|(from, _)| *from < V2_0)
}

/// Whether a table has a setting of this key in a later config version than 2,
/// where it has another.
pub(crate) fn is_later_key(table: &Place, key: &str) -> bool {
    let is = |moved: &Move| matches!(moved.to, MovedTo::Key(new) if new == key);
    let mut settings = table.settings();
    settings.any(|setting| setting.moves.iter().flatten().any(is))
}

/// The path of a setting in a dialect. What no declaration knows keeps its key
/// below its table's.
pub(crate) fn of<'k>(dialect: impl Into<Dialect>, path: &[&'k str]) -> Vec<&'k str> {
    let dialect = dialect.into();
    let mut place = Some(Config::place());
    let mut address: Vec<&'k str> = Vec::new();
    for key in path {
        let child = place.and_then(|place| place.child(key));
        let moved = child.and_then(|child| dialect.place_of(&child));
        let in_plugins = address == ["plugins"];
        match moved {
            Some(moved) => match moved.to {
                MovedTo::Path(path) => address = path.to_vec(),
                MovedTo::Into(table) => {
                    address = table.to_vec();
                    address.push(key);
                }
                MovedTo::Key(key) => address.push(key),
            },
            None if dialect.version == 1 && in_plugins => address.push(short(key)),
            None => address.push(key),
        }
        place = child;
    }
    address
}

/// The name of a plugin in a version 1 file.
fn short(uri: &str) -> &str {
    match plugin::short_name(uri) {
        Some(name) if by_short_name(name) == Some(uri) || plugin::known(uri).is_some() => name,
        _ => uri,
    }
}

/// Whether files in a dialect have a place for a setting.
pub(crate) fn exists_in(dialect: impl Into<Dialect>, path: &[&str]) -> bool {
    let dialect = dialect.into();
    // Short names are those of containerd 1.x.
    if let (1, ["plugins", plugin, ..]) = (dialect.version, path)
        && is_new_in_3(plugin)
    {
        return false;
    }
    let mut place = Config::place();
    for key in path {
        let Some(child) = place.child(key) else {
            return true;
        };
        if dialect.is_before(&child) {
            return false;
        }
        place = child;
    }
    true
}

/// The id of a plugin in a dialect, as `disabled_plugins` has it.
pub(crate) fn plugin_id(dialect: impl Into<Dialect>, uri: &str) -> &str {
    match of(dialect, &["plugins", uri]).as_slice() {
        // What is a whole plugin in version 2, and only that, has one id.
        ["plugins", id] if uri != plugin::CRI => id,
        _ => uri,
    }
}

/// The plugin that an id in `disabled_plugins` means in a dialect.
pub(crate) fn plugin_of(dialect: impl Into<Dialect>, id: &str) -> &str {
    if matches!(id, plugin::CRI_IMAGES | plugin::CRI_RUNTIME) {
        return id;
    }
    let root = Cursor::root(dialect, false).child("plugins");
    match root.and_then(|plugins| plugins.child(id)) {
        Step::Moved(["plugins", uri], _) => uri,
        _ => id,
    }
}

/// Whether a plugin has settings of its own under this id.
pub(crate) fn is_declared_plugin(id: &str) -> bool {
    plugins().iter().any(|setting| setting.key == id)
}

/// Whether a plugin id first occurs in config version 3, or 4.
pub(crate) fn is_new_in_3(id: &str) -> bool {
    match plugins().iter().find(|setting| setting.key == id) {
        Some(declared) => !is_of_1_x(declared),
        None => cursor::is_new_place(id),
    }
}

/// Whether an id is that of a place of config version 3 or 4 only, so that no
/// containerd 1.x has a plugin of that id.
pub(crate) fn is_later_place(id: &str) -> bool {
    is_new_in_3(id) && !is_declared_plugin(id)
}

/// The config version that plugin ids speak, where a file states none:
/// containerd 1.x takes it for version 1.
pub(crate) fn meant<'a>(ids: impl Iterator<Item = &'a str>) -> Option<i64> {
    let mut meant = None;
    for id in ids {
        match (id.contains('.'), is_new_in_3(id)) {
            (false, _) => return None,
            (true, true) => meant = Some(3),
            (true, false) => meant = meant.or(Some(2)),
        }
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::load::Reading;
    use crate::value::{Table, Value};

    #[test]
    fn settings_have_an_address_in_every_version() {
        let image = ["plugins", plugin::CRI, "sandbox_image"];
        assert_eq!(of(1, &image), ["plugins", "cri", "sandbox_image"]);
        assert_eq!(of(2, &image), image);
        assert_eq!(
            of(3, &image),
            ["plugins", plugin::CRI_IMAGES, "pinned_images", "sandbox"]
        );
        let mode = [
            "plugins",
            plugin::CRI,
            "containerd",
            "runtimes",
            "x",
            "sandbox_mode",
        ];
        assert_eq!(
            of(3, &mode),
            [
                "plugins",
                plugin::CRI_RUNTIME,
                "containerd",
                "runtimes",
                "x",
                "sandboxer"
            ]
        );
        let tls = ["grpc", "tcp_tls_ca"];
        assert_eq!(of(3, &tls), tls);
        assert_eq!(
            of(4, &tls),
            ["plugins", "io.containerd.server.v1.grpc-tcp", "tls_ca"]
        );
        assert_eq!(
            of(4, &["grpc", "uid"]),
            ["plugins", "io.containerd.server.v1.grpc", "uid"]
        );
        assert_eq!(
            of(3, &["plugins", plugin::CRI, "nobody's"]),
            ["plugins", plugin::CRI_RUNTIME, "nobody's"]
        );
    }

    #[test]
    fn what_moved_is_not_found_where_it_was() {
        let sandbox = |section: &str, key: &str| {
            let inner = Table::from([(key.to_owned(), Value::Boolean(true))]);
            let plugins = Table::from([(section.to_owned(), Value::Table(inner))]);
            Table::from([("plugins".to_owned(), Value::Table(plugins))])
        };
        let found = |table: Table| {
            let mut at = table.get("plugins").and_then(Value::as_table);
            at = at
                .and_then(|plugins| plugins.get(plugin::CRI))
                .and_then(Value::as_table);
            at.is_some_and(|cri| cri.contains_key("sandbox_image"))
        };
        let old = sandbox(plugin::CRI, "sandbox_image");
        assert!(found(read(old.clone(), Reading::plain(2))));
        assert!(!found(read(old.clone(), Reading::plain(3))));
        assert!(found(read(old.clone(), Reading::by_any(3, true))));
        // k0s's own tests have it there.
        let wrong = sandbox(plugin::CRI_RUNTIME, "sandbox_image");
        for reading in [Reading::plain(3), Reading::by_any(3, true)] {
            assert!(!found(read(wrong.clone(), reading)));
            assert_eq!(write(read(wrong.clone(), reading), 3), wrong);
        }
        assert_eq!(write(read(old.clone(), Reading::plain(3)), 3), old);
        // It does not come alive in another version.
        assert_eq!(write(read(old, Reading::plain(3)), 2), Table::new());
    }

    #[test]
    fn ids_of_plugins_follow_their_sections() {
        let restart = "io.containerd.internal.v1.restart";
        let moved = "io.containerd.monitor.container.v1.restart";
        assert_eq!(plugin_id(2, restart), restart);
        assert_eq!(plugin_id(3, restart), moved);
        assert_eq!(plugin_of(3, moved), restart);
        assert_eq!(plugin_of(2, moved), moved);
        assert_eq!(plugin_id(3, plugin::CRI), plugin::CRI);
    }

    #[test]
    fn the_version_that_is_meant() {
        let of = |ids: &[&str]| meant(ids.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["cri", plugin::CRI]), None);
        assert_eq!(of(&[plugin::CRI]), Some(2));
        assert_eq!(of(&[plugin::CRI, plugin::CRI_IMAGES]), Some(3));
        assert_eq!(of(&["io.containerd.server.v1.grpc"]), Some(3));
        assert_eq!(of(&["io.containerd.image-verifier.v1.bindir"]), Some(3));
    }
}
