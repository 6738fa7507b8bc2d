//! How a config version spells the plugins: short names in version 1, URIs
//! from version 2 on. The typed model knows URIs only.

use super::Config;
use super::declare::Declared;
use crate::containerd::plugin;
use crate::containerd::setting::{Kind, Section, Setting};
use crate::value::{Table, Value};

/// The declarations of the plugins.
pub(crate) fn plugins() -> &'static [Setting] {
    match Config::SECTION.get("plugins").map(|setting| setting.kind) {
        Some(Kind::Section(section)) => section.settings,
        _ => &[],
    }
}

/// The declared plugin with this short name.
pub(crate) fn by_short_name(name: &str) -> Option<&'static str> {
    let mut uris = plugins().iter().map(|setting| setting.key);
    uris.find(|uri| plugin::short_name(uri) == Some(name))
}

/// Whether plugin ids mean version 2: there are some, and all are URIs.
pub(crate) fn means_version_2<'a>(ids: impl Iterator<Item = &'a str>) -> bool {
    let mut some = false;
    for id in ids {
        if !id.contains('.') {
            return false;
        }
        some = true;
    }
    some
}

fn is_config(section: &'static Section) -> bool {
    section.get("plugins").is_some()
}

/// Brings a config file of any version into URI spelling.
///
/// Sections that containerd does not find under their name in a version 1
/// file go to `other`. A file without a version that speaks version 2 becomes
/// what it was meant to be.
pub(crate) fn read(section: &'static Section, table: &mut Table) {
    if !is_config(section) || !is_version_1(table) {
        return;
    }
    let stated = table.get("version") == Some(&Value::Integer(1));
    let Some(Value::Table(sections)) = table.get_mut("plugins") else {
        return;
    };
    if !stated && means_version_2(sections.keys().map(String::as_str)) {
        table.insert("version".to_owned(), Value::Integer(2));
        return;
    }
    let mut renamed = Table::new();
    for (name, section) in std::mem::take(sections) {
        match by_short_name(&name) {
            Some(uri) => renamed.insert(uri.to_owned(), section),
            None => renamed.insert(aside(&name), section),
        };
    }
    *sections = renamed;
}

/// Brings a table in URI spelling into that of its version.
pub(crate) fn write(section: &'static Section, table: &mut Table) {
    if !is_config(section) || !is_version_1(table) {
        return;
    }
    if let Some(Value::Table(sections)) = table.get_mut("plugins") {
        *sections = std::mem::take(sections)
            .into_iter()
            .map(|(id, section)| match plugin::short_name(&id) {
                Some(name) => (name.to_owned(), section),
                None => (
                    id.strip_prefix(ASIDE).map(str::to_owned).unwrap_or(id),
                    section,
                ),
            })
            .collect();
    }
}

/// Marks a section of a version 1 file whose name is a URI, which containerd
/// ignores there: it must not be taken for the plugin's.
const ASIDE: &str = "ignored: ";

fn aside(name: &str) -> String {
    if plugin::short_name(name).is_some() {
        format!("{ASIDE}{name}")
    } else {
        name.to_owned()
    }
}

fn is_version_1(table: &Table) -> bool {
    matches!(table.get("version"), None | Some(Value::Integer(0 | 1)))
}
