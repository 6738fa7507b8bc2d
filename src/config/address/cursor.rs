//! Walking down a file of a given config version: which setting a key is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{applies, by_short_name};
use crate::config::Config;
use crate::config::declare::Declared;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::setting::{Kind, Move, MovedTo, Section};
use crate::document::MAX_CONFIG_VERSION;

/// Moved settings by where a config version has them.
#[derive(Debug, Default)]
struct Trie {
    setting: Option<Vec<&'static str>>,
    /// The setting has its path here.
    is_home: bool,
    below: BTreeMap<&'static str, Trie>,
}

impl Trie {
    /// The moves of a config version; with `lenient` also those that later
    /// versions made, which containerd 2.x reads in files of version 2 too, and
    /// 2.3 in those of version 3.
    fn known(version: i64, lenient: bool) -> &'static Trie {
        static KNOWN: OnceLock<BTreeMap<(i64, bool), Trie>> = OnceLock::new();
        static NONE: OnceLock<Trie> = OnceLock::new();
        let known = KNOWN.get_or_init(|| {
            let each = (1..=MAX_CONFIG_VERSION).flat_map(|v| [(v, false), (v, true)]);
            each.map(|(version, lenient)| {
                let mut trie = Trie::default();
                let until = match lenient && version >= 2 {
                    true => MAX_CONFIG_VERSION,
                    false => version,
                };
                trie.collect(Config::SECTION, &mut Vec::new(), until);
                ((version, lenient), trie)
            })
            .collect()
        });
        known
            .get(&(version, lenient))
            .unwrap_or_else(|| NONE.get_or_init(Trie::default))
    }

    fn collect(&mut self, section: &'static Section, at: &mut Vec<&'static str>, version: i64) {
        for setting in section.settings {
            at.push(setting.key);
            if let Some(moved) = setting.moved.filter(|moved| applies(moved, version)) {
                let (path, last) = match moved.to {
                    MovedTo::Path(path) => (path, None),
                    MovedTo::Into(table) => (table, Some(setting.key)),
                    MovedTo::Key(_) => (&[][..], None),
                };
                if !path.is_empty() {
                    let keys = path.iter().copied().chain(last);
                    let is_home = keys.clone().eq(at.iter().copied());
                    let node =
                        keys.fold(&mut *self, |node, key| node.below.entry(key).or_default());
                    node.setting = Some(at.clone());
                    node.is_home = is_home;
                }
            }
            if let Kind::Section(section) = setting.kind {
                self.collect(section, at, version);
            }
            at.pop();
        }
    }
}

/// Whether the settings of some version 2 table or plugin moved to a plugin
/// with this id.
pub(super) fn is_new_place(id: &str) -> bool {
    let later = Trie::known(MAX_CONFIG_VERSION, false);
    let plugins = later.below.get("plugins");
    plugins.is_some_and(|plugins| plugins.below.contains_key(id))
}

/// A table of a config file, as one walks down from the top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    pub(super) version: i64,
    lenient: bool,
    trie: Option<&'static Trie>,
    /// The declaration of the setting that the table is.
    pub(crate) place: Option<Place>,
    /// The table stands where its setting has its path.
    is_at_home: bool,
    is_top: bool,
    is_plugins: bool,
    /// No setting is here, but places of some may be below.
    is_aside: bool,
    /// Where a file has a setting twice, in the places of two versions, the
    /// higher rank counts.
    pub(crate) rank: u8,
    /// The rank of what is in the table and has no place of its own.
    inside: u8,
}

/// The rank of a key in its own version's place.
pub(crate) const OWN: u8 = 1;

/// The rank of a key in another version's place. In a version 2 file it gives
/// way: containerd 1.x reads the other one only. In one of version 3 it
/// prevails, but for what containerd 2.3 migrates to the runtime plugin where
/// there is nothing yet.
fn rank(version: i64, moved: &Move) -> u8 {
    if version < 3 {
        return OWN - 1;
    }
    let in_runtime = match moved.to {
        MovedTo::Path(path) | MovedTo::Into(path) => path.get(1) == Some(&plugin::CRI_RUNTIME),
        MovedTo::Key(_) => false,
    };
    match applies(moved, version) && in_runtime {
        true => OWN - 1,
        false => OWN + 1,
    }
}

/// Which setting a key of a table is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'k> {
    /// That of this key below the setting of the table.
    Below(&'k str, Cursor),
    /// The one with this path.
    Moved(&'static [&'static str], Cursor),
    /// None: in this config version the setting of that name has its place
    /// elsewhere, or is not there yet.
    Aside(Cursor),
}

impl Step<'_> {
    /// Whether the key is a declared setting.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, Step::Aside(_)) && self.cursor().place.is_some()
    }

    /// The declaration of the setting.
    pub(crate) fn place(self) -> Option<Place> {
        self.cursor().place
    }

    /// The table that the key is.
    pub(crate) fn cursor(self) -> Cursor {
        match self {
            Step::Below(_, cursor) | Step::Moved(_, cursor) | Step::Aside(cursor) => cursor,
        }
    }

    pub(super) fn and_then<'k>(self, next: impl FnOnce(Cursor) -> Step<'k>) -> Step<'k> {
        next(self.cursor())
    }
}

impl Cursor {
    /// The top of a file of a config version. With `lenient`, the places of
    /// other versions are understood in files of version 2 and 3, as containerd
    /// 2.3 does, which migrates each file.
    pub(crate) fn root(version: i64, lenient: bool) -> Cursor {
        Cursor {
            version,
            lenient,
            trie: Some(Trie::known(version, lenient)),
            place: Some(Config::place()),
            is_at_home: true,
            is_top: true,
            is_plugins: false,
            is_aside: false,
            rank: OWN,
            inside: OWN,
        }
    }

    /// Whether no setting is in this table but those that moved here.
    pub(crate) fn is_aside(&self) -> bool {
        self.is_aside
    }

    /// Whether a setting may have its place below.
    pub(crate) fn has_places(&self) -> bool {
        self.trie.is_some_and(|trie| !trie.below.is_empty())
    }

    /// Which setting `key` is.
    pub(crate) fn child<'k>(&self, key: &'k str) -> Step<'k> {
        let trie = self.trie.and_then(|trie| trie.below.get(key));
        let below = Cursor {
            trie,
            rank: self.inside,
            is_top: false,
            is_plugins: self.is_top && key == "plugins",
            ..*self
        };
        let is_home = |trie: &Trie| trie.is_home && self.is_at_home && !self.is_aside;
        if let Some(path) = trie
            .filter(|trie| !is_home(trie))
            .and_then(|trie| trie.setting.as_deref())
        {
            let place = Config::place_of(path);
            let moved = place.and_then(|place| place.moved);
            let later = moved.filter(|moved| !applies(moved, self.version));
            let rank = later.map_or(OWN, |moved| rank(self.version, &moved));
            let cursor = Cursor {
                place,
                is_at_home: false,
                is_aside: false,
                rank,
                inside: rank,
                ..below
            };
            return Step::Moved(path, cursor);
        }
        if self.is_plugins && self.version == 1 {
            return self.plugin_of_version_1(key, below);
        }
        let Some(place) = self.place else {
            return Step::Below(key, below);
        };
        let Some(child) = place.child(key) else {
            let renamed = self.renamed(place, key);
            let place = renamed.and_then(|key| place.child(key));
            let is_later = renamed.is_some() && self.version < 3
                || self.is_plugins && self.is_of_later_version(key);
            let rank = if is_later { OWN - 1 } else { self.inside };
            let below = Cursor {
                place,
                rank,
                inside: rank,
                ..below
            };
            return Step::Below(renamed.unwrap_or(key), below);
        };
        let here = Cursor {
            place: Some(child),
            ..below
        };
        let aside = Cursor {
            place: None,
            is_at_home: false,
            is_aside: true,
            ..below
        };
        if trie.is_some_and(is_home) {
            let own = Cursor {
                rank: OWN,
                inside: OWN,
                ..here
            };
            return Step::Below(key, own);
        }
        match child.moved {
            Some(moved) if !applies(&moved, self.version) && moved.is_new => Step::Aside(aside),
            Some(moved) if applies(&moved, self.version) => {
                // containerd 2.3 migrates a file of version 3 once more.
                let migrated = self.lenient && self.is_at_home && !moved.is_new;
                match migrated && !matches!(moved.to, MovedTo::Key(_)) {
                    true => {
                        let old = rank(self.version, &moved);
                        // The version has places of its own in the table.
                        let shared = trie.is_some_and(|trie| !trie.below.is_empty());
                        let here = Cursor {
                            rank: if shared { self.inside } else { old },
                            inside: old,
                            ..here
                        };
                        Step::Below(key, here)
                    }
                    false => Step::Aside(aside),
                }
            }
            _ => Step::Below(key, here),
        }
    }

    /// Whether this is the table of the plugins.
    pub(crate) fn is_plugins(&self) -> bool {
        self.is_plugins
    }

    /// Whether a plugin has places of a later config version only.
    fn is_of_later_version(&self, id: &str) -> bool {
        let has = |lenient| {
            let plugins = Trie::known(self.version, lenient).below.get("plugins");
            plugins.is_some_and(|plugins| plugins.below.contains_key(id))
        };
        self.lenient && has(true) && !has(false)
    }

    /// The setting in a table that has this key in the config version.
    fn renamed(&self, place: Place, key: &str) -> Option<&'static str> {
        let Kind::Section(section) = place.kind else {
            return None;
        };
        // A later version's key is one to containerd 2.x.
        let version = match self.lenient {
            true => MAX_CONFIG_VERSION,
            false => self.version,
        };
        let is = |moved: &Move| {
            applies(moved, version) && matches!(moved.to, MovedTo::Key(new) if new == key)
        };
        let mut settings = section.settings.iter();
        settings
            .find(|setting| setting.moved.as_ref().is_some_and(is))
            .map(|setting| setting.key)
    }

    fn plugin_of_version_1<'k>(&self, name: &'k str, below: Cursor) -> Step<'k> {
        let place = |uri: &str| self.place.and_then(|place| place.child(uri));
        let at = |place: Option<Place>| Cursor { place, ..below };
        match by_short_name(name) {
            Some(uri) => Step::Below(uri, at(place(uri))),
            None if plugin::short_name(name).is_some() => Step::Aside(at(None)),
            None => match plugin::with_short_name(name).next() {
                Some(uri) => Step::Below(uri, at(None)),
                None => Step::Below(name, at(None)),
            },
        }
    }
}
