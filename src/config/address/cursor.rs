//! Walking down a file of a given config version: which setting a key is.

use super::places::{Address, Places};
use super::{Dialect, by_short_name};
use crate::config::Config;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::setting::{Move, MovedTo};
use crate::document::MAX_CONFIG_VERSION;

/// Whether the settings of some version 2 table or plugin moved to a plugin
/// with this id.
pub(super) fn is_new_place(id: &str) -> bool {
    let newest = Dialect::from(MAX_CONFIG_VERSION);
    let plugin = Places::ALL.below("plugins").below(id);
    plugin.here(newest, false).is_some() || plugin.has_more(newest, false)
}

/// A table of a config file, as one walks down from the top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    dialect: Dialect,
    lenient: bool,
    /// The places of moved settings at this path and below.
    places: Places,
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
fn rank(dialect: Dialect, moved: &Move) -> u8 {
    if dialect.version < 3 {
        return OWN - 1;
    }
    let in_runtime = match moved.to {
        MovedTo::Path(path) | MovedTo::Into(path) => path.get(1) == Some(&plugin::CRI_RUNTIME),
        MovedTo::Key(_) => false,
    };
    match dialect.has(moved) && in_runtime {
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
    pub(crate) fn root(dialect: impl Into<Dialect>, lenient: bool) -> Cursor {
        Cursor {
            dialect: dialect.into(),
            lenient,
            places: Places::ALL,
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
        self.places.has_more(self.dialect, self.lenient)
    }

    /// Which setting `key` is.
    pub(crate) fn child<'k>(&self, key: &'k str) -> Step<'k> {
        let places = self.places.below(key);
        let below = Cursor {
            places,
            rank: self.inside,
            is_top: false,
            is_plugins: self.is_top && key == "plugins",
            ..*self
        };
        let here = places.here(self.dialect, self.lenient);
        let is_home = |here: &Address| here.is_home() && self.is_at_home && !self.is_aside;
        if let Some(here) = here.filter(|here| !is_home(here)) {
            let path = here.setting();
            let place = Config::place_of(path);
            let is_later = !self.dialect.has(&here.moved);
            let rank = match is_later {
                true => rank(self.dialect, &here.moved),
                false => OWN,
            };
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
        if self.is_plugins && self.dialect.version == 1 {
            return self.plugin_of_version_1(key, below);
        }
        let Some(place) = self.place else {
            return Step::Below(key, below);
        };
        let Some(child) = place.child(key) else {
            let renamed = self.renamed(place, key);
            let place = renamed.and_then(|key| place.child(key));
            let is_later = renamed.is_some() && self.dialect.version < 3
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
        let here_at = |child: Place| Cursor {
            place: Some(child),
            ..below
        };
        let aside = Cursor {
            place: None,
            is_at_home: false,
            is_aside: true,
            ..below
        };
        if here.is_some_and(is_home) {
            let own = Cursor {
                rank: OWN,
                inside: OWN,
                ..here_at(child)
            };
            return Step::Below(key, own);
        }
        if self.dialect.is_before(&child) {
            return Step::Aside(aside);
        }
        match self.dialect.place_of(&child) {
            Some(moved) => {
                // containerd 2.3 migrates a file of version 3 once more.
                let migrated = self.lenient && self.is_at_home && !moved.is_new;
                match migrated && !matches!(moved.to, MovedTo::Key(_)) {
                    true => {
                        let old = rank(self.dialect, &moved);
                        // The version has places of its own in the table.
                        let shared = places.has_more(self.dialect, self.lenient);
                        let here = Cursor {
                            rank: if shared { self.inside } else { old },
                            inside: old,
                            ..here_at(child)
                        };
                        Step::Below(key, here)
                    }
                    false => Step::Aside(aside),
                }
            }
            None => Step::Below(key, here_at(child)),
        }
    }

    /// Whether this is the table of the plugins.
    pub(crate) fn is_plugins(&self) -> bool {
        self.is_plugins
    }

    /// Whether a plugin has places of a later config version only.
    fn is_of_later_version(&self, id: &str) -> bool {
        let plugin = Places::ALL.below("plugins").below(id);
        let has = |lenient| {
            plugin.here(self.dialect, lenient).is_some() || plugin.has_more(self.dialect, lenient)
        };
        self.lenient && has(true) && !has(false)
    }

    /// The setting in a table that has this key in the config version.
    fn renamed(&self, place: Place, key: &str) -> Option<&'static str> {
        // A later version's key is one to containerd 2.x.
        let dialect = match self.lenient {
            true => self.dialect.until(MAX_CONFIG_VERSION),
            false => self.dialect,
        };
        let is = |moved: &Move| {
            dialect.has(moved) && matches!(moved.to, MovedTo::Key(new) if new == key)
        };
        let mut settings = place.settings();
        settings
            .find(|setting| setting.moves.iter().flatten().any(is))
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
