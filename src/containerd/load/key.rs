//! Which setting a key of a file is, and why it counts for nothing.

use crate::config::address::{self, Cursor, Dialect, Step};
use crate::config::known::SCHED_CORE;
use crate::containerd::releases::V2_0;
use crate::containerd::setting::{Kind, Presence};
use crate::containerd::{Release, plugin};

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    dialect: Dialect,
    is_lenient: bool,
    case: Case,
    /// Every key stands for what it is called in version 2 or for nothing.
    is_at_home: bool,
}

/// In which case a key may be that is declared in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// In lower case alone. Of what containerd 2.x reads besides, [`Reading::by`]
    /// tells nothing: it migrates only what is in lower case.
    Lower,
    /// go-toml 1.9, the parser of containerd 1.5 to 1.7, looks for a key in lower
    /// case and then in upper case.
    LowerOrUpper,
    /// go-toml 2, that of containerd 2.x, does not care.
    Any,
}

/// What a key of a file is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'k> {
    /// A setting, or a table of some.
    Setting(Step<'k>),
    /// A table that is no setting; what is in it may be.
    Shell(Cursor),
    /// A key that containerd does not read, and what it would be.
    Ignored(Why, Step<'k>),
}

impl<'k> Known<'k> {
    /// Where it leads, whether or not it is read.
    pub(crate) fn step(self) -> Step<'k> {
        match self {
            Known::Setting(step) | Known::Ignored(_, step) => step,
            Known::Shell(cursor) => Step::Aside(cursor),
        }
    }
}

/// Why containerd does not read a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The id of a section means no plugin.
    NoPlugin(NoPlugin),
    /// The config version has the setting of that name elsewhere, or has none.
    Elsewhere,
    /// The same in lower case stands beside it and is read.
    Beside,
    /// It is read in lower or in upper case only.
    Case,
    /// containerd 2.0 removed the setting, and earlier releases read no file of
    /// this version.
    Removed,
}

/// Why an id means no plugin to files of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlugin {
    /// A URI without quotes: tables in tables.
    Unquoted,
    NotUri,
    /// The place of settings in a later version.
    LaterPlace,
    /// A URI in a file of version 1.
    UriInVersion1,
    NoShortName,
    /// The id that the plugin had in earlier versions.
    EarlierId,
}

impl Reading {
    /// Of what a config version says, for no release and without what any of them
    /// lets pass beside.
    pub(crate) fn plain(version: i64) -> Self {
        Reading {
            dialect: version.into(),
            is_lenient: false,
            case: Case::Lower,
            is_at_home: false,
        }
    }

    /// As the releases read a file of a version that know the version; `on_2` if
    /// containerd 2.x is among them.
    pub(crate) fn by_any(version: i64, on_2: bool) -> Self {
        Reading {
            dialect: version.into(),
            is_lenient: is_lenient(version, on_2),
            case: match version {
                3.. => Case::Any,
                _ => Case::LowerOrUpper,
            },
            is_at_home: false,
        }
    }

    /// As a release reads a file of a version.
    pub(crate) fn by(release: Release, version: i64) -> Self {
        Reading {
            dialect: Dialect::of(version, release),
            is_lenient: is_lenient(version, release.is_2()),
            case: match release.is_2() {
                true => Case::Lower,
                false => Case::LowerOrUpper,
            },
            is_at_home: version == 2 && !release.is_2(),
        }
    }

    pub(crate) fn version(self) -> i64 {
        self.dialect.version
    }

    /// Whether the places of other versions are understood.
    pub(crate) fn is_lenient(self) -> bool {
        self.is_lenient
    }

    /// Whether every key stands for what it is called in version 2 or for nothing,
    /// so that no other name is needed for what is ignored.
    pub(crate) fn is_at_home(self) -> bool {
        self.is_at_home
    }

    /// The top of the file.
    pub(crate) fn top(self) -> Cursor {
        Cursor::root(self.dialect, self.is_lenient)
    }

    /// What a key of a table is, in which `has` tells what stands beside it.
    pub(crate) fn key<'k>(
        self,
        table: Cursor,
        key: &'k str,
        is_table: bool,
        has: impl Fn(&str) -> bool,
    ) -> Known<'k> {
        let step = table.child(key);
        if table.is_plugins()
            && let Some(why) = self.no_plugin(key)
        {
            return Known::Ignored(Why::NoPlugin(why), step);
        }
        match step {
            Step::Aside(at) if is_table && at.has_places() => Known::Shell(at),
            Step::Aside(_) => Known::Ignored(Why::Elsewhere, step),
            Step::Below(..) if table.is_aside() => Known::Ignored(Why::Elsewhere, step),
            _ if step.is_known() || table.is_plugins() => self.setting(step),
            _ => self.in_other_case(table, key, step, has),
        }
    }

    /// What a key is that no declaration knows as it is spelt.
    fn in_other_case<'k>(
        self,
        table: Cursor,
        key: &'k str,
        step: Step<'k>,
        has: impl Fn(&str) -> bool,
    ) -> Known<'k> {
        let declared = table.place.is_some_and(|place| {
            matches!(place.kind(), Kind::Section(_)) && place.presence() != Presence::Free
        });
        let is_other = declared && key.chars().any(char::is_uppercase);
        if !is_other || self.case == Case::Lower {
            return self.setting(step);
        }
        let lower = key.to_lowercase();
        let lower_step = match table.child(&lower) {
            // containerd 2.x takes it for that key, which this version has elsewhere.
            Step::Aside(_) if self.version() >= 3 => return Known::Ignored(Why::Elsewhere, step),
            Step::Moved(path, at) => Step::Moved(path, at),
            Step::Below(_, at) => match at.place {
                Some(place) => Step::Below(place.key(), at),
                None => return self.setting(step),
            },
            Step::Aside(_) => return self.setting(step),
        };
        let is_read = self.case == Case::Any || !key.chars().any(char::is_lowercase);
        match (is_read, has(&lower)) {
            (true, false) => self.setting(lower_step),
            (true, true) => Known::Ignored(Why::Beside, step),
            (false, _) => Known::Ignored(Why::Case, step),
        }
    }

    fn setting(self, step: Step<'_>) -> Known<'_> {
        // Whose options are in a table is up to the handler, not to its declaration.
        let declared = step.place().filter(|place| !place.free());
        let is_removed = declared.is_some_and(|place| {
            // containerd 2.3 looks for it in files of version 3 still.
            let is_migrated = self.version() == 3 && place.is(SCHED_CORE);
            place.removed().is_some_and(|removed| removed <= V2_0) && !is_migrated
        });
        match is_removed && self.version() >= 3 {
            true => Known::Ignored(Why::Removed, step),
            false => Known::Setting(step),
        }
    }

    /// Why a key below `plugins` is none that containerd reads.
    fn no_plugin(self, id: &str) -> Option<NoPlugin> {
        let is_uri = plugin::is_uri(id);
        match self.version() {
            _ if id == "io" => Some(NoPlugin::Unquoted),
            3.. if !id.contains('.') => Some(NoPlugin::NotUri),
            2 if !is_uri => Some(NoPlugin::NotUri),
            2 if !self.is_lenient && address::is_later_place(id) => Some(NoPlugin::LaterPlace),
            1 if is_uri => Some(NoPlugin::UriInVersion1),
            1 if plugin::with_short_name(id).next().is_none() => Some(NoPlugin::NoShortName),
            _ => None,
        }
    }

    /// The plugins that a name in a list of plugins means.
    pub(crate) fn named(self, name: &str) -> Result<Vec<&str>, NoPlugin> {
        match self.version() {
            1 => {
                let known: Vec<_> = plugin::with_short_name(name).collect();
                match known.is_empty() {
                    true => Err(NoPlugin::NoShortName),
                    false => Ok(known),
                }
            }
            3.. if !name.contains('.') => Err(NoPlugin::NotUri),
            2 if !plugin::is_uri(name) => Err(NoPlugin::NotUri),
            3.. if address::plugin_id(3, name) != name => Err(NoPlugin::EarlierId),
            // containerd 2.x knows the later name in any file.
            2 if self.is_lenient => Ok(vec![address::plugin_of(3, name)]),
            version => Ok(vec![address::plugin_of(version, name)]),
        }
    }
}

/// Whether the places of other versions are understood in files of a version:
/// containerd 2.3 migrates each.
fn is_lenient(version: i64, on_2: bool) -> bool {
    match version {
        1 | 2 => on_2,
        version => version == 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a key is, in a table by its path in the file.
    fn key(reading: Reading, path: &[&str], key: &str, beside: &[&str]) -> String {
        let mut table = reading.top();
        for key in path {
            table = table.child(key).cursor();
        }
        match reading.key(table, key, false, |key| beside.contains(&key)) {
            Known::Setting(Step::Below(name, _)) => name.to_owned(),
            Known::Setting(Step::Moved(path, _)) => path.join("|"),
            Known::Ignored(why, _) => format!("{why:?}"),
            other => format!("{other:?}"),
        }
    }

    /// go-toml 1.9 and 2, by what `config dump` of 1.6.20, 1.7.24 and 2.1.9 printed.
    #[test]
    fn keys_in_other_case() {
        let top = |reading, name| key(reading, &[], name, &[]);
        let on_1_7 = Reading::by("1.7.24".parse().unwrap(), 2);
        let legacy = Reading::by_any(2, false);
        for reading in [on_1_7, legacy] {
            assert_eq!(top(reading, "OOM_SCORE"), "oom_score");
            assert_eq!(top(reading, "Oom_Score"), "Case");
            assert_eq!(key(reading, &[], "OOM_SCORE", &["oom_score"]), "Beside");
            assert_eq!(top(reading, "Nobody's"), "Nobody's");
            // Names of entries are names.
            assert_eq!(key(reading, &["timeouts"], "A", &[]), "A");
        }
        assert_eq!(top(Reading::by_any(3, true), "Oom_Score"), "oom_score");
        assert_eq!(top(Reading::plain(2), "OOM_SCORE"), "OOM_SCORE");
    }

    #[test]
    fn ids_and_places_are_those_of_the_version() {
        let plugins =
            |version, on_2, id| key(Reading::by_any(version, on_2), &["plugins"], id, &[]);
        assert_eq!(plugins(1, false, "cri"), plugin::CRI);
        assert_eq!(plugins(1, false, plugin::CRI), "NoPlugin(UriInVersion1)");
        assert_eq!(plugins(1, false, "nobody's"), "NoPlugin(NoShortName)");
        assert_eq!(plugins(2, false, "cri"), "NoPlugin(NotUri)");
        assert_eq!(plugins(3, true, "cri"), "NoPlugin(NotUri)");
        assert_eq!(plugins(2, false, "io"), "NoPlugin(Unquoted)");
        let images = plugin::CRI_IMAGES;
        assert_eq!(plugins(2, false, images), "NoPlugin(LaterPlace)");
        // containerd 2.x understands the places of later versions.
        assert!(!plugins(2, true, images).contains("NoPlugin"));

        let old = ["plugins", plugin::CRI];
        let image = "sandbox_image";
        assert_eq!(key(Reading::plain(3), &old, image, &[]), "Elsewhere");
        assert_eq!(key(Reading::by_any(3, true), &old, image, &[]), image);
        let new = ["plugins", images, "pinned_images"];
        let home = format!("plugins|{}|{image}", plugin::CRI);
        assert_eq!(key(Reading::by_any(3, true), &new, "sandbox", &[]), home);
        let runtime = ["plugins", plugin::CRI_RUNTIME];
        let removed = key(Reading::by_any(3, true), &runtime, "systemd_cgroup", &[]);
        assert_eq!(removed, "Removed");
    }

    #[test]
    fn names_in_lists_of_plugins() {
        let restart = "io.containerd.internal.v1.restart";
        let later = "io.containerd.monitor.container.v1.restart";
        let named = |version, on_2, name| Reading::by_any(version, on_2).named(name);
        assert_eq!(named(1, false, "restart"), Ok(vec![restart]));
        assert_eq!(named(1, false, restart), Err(NoPlugin::NoShortName));
        assert_eq!(named(2, false, "restart"), Err(NoPlugin::NotUri));
        assert_eq!(named(2, false, later), Ok(vec![later]));
        assert_eq!(named(2, true, later), Ok(vec![restart]));
        assert_eq!(named(3, true, later), Ok(vec![restart]));
        assert_eq!(named(3, true, restart), Err(NoPlugin::EarlierId));
    }
}
