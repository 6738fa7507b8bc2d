//! Where settings stand that have moved, in one list that the compiler makes of
//! the declarations and sorts.

use super::Dialect;
use crate::config::table::{LENGTH, Row, precedes, same};
use crate::containerd::setting::{Move, MovedTo, version};
use crate::document::MAX_CONFIG_VERSION;

/// No path is longer that a moved setting has or had.
const LONGEST: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Path {
    keys: [&'static str; LONGEST],
    length: usize,
}

#[expect(
    clippy::indexing_slicing,
    reason = "a longer path does not compile; no other length is ever made"
)]
impl Path {
    const EMPTY: Path = Path {
        keys: [""; LONGEST],
        length: 0,
    };

    const fn of(keys: &[&'static str]) -> Path {
        let mut path = Path::EMPTY;
        while path.length < keys.len() {
            path = path.with(keys[path.length]);
        }
        path
    }

    const fn with(mut self, key: &'static str) -> Path {
        self.keys[self.length] = key;
        self.length += 1;
        self
    }

    const fn of_row(row: Row) -> Path {
        if row.is_top() {
            return Path::EMPTY;
        }
        Path::of_row(row.parent()).with(row.entry().key)
    }

    const fn is(&self, other: &Path) -> bool {
        let mut at = 0;
        while at < LONGEST {
            if !same(self.keys[at], other.keys[at]) {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The order of the keys, one after the other.
    const fn precedes(&self, other: &Path) -> bool {
        let mut at = 0;
        while at < LONGEST {
            if !same(self.keys[at], other.keys[at]) {
                return precedes(self.keys[at], other.keys[at]);
            }
            at += 1;
        }
        false
    }

    /// The key of the table so many levels down.
    fn key(&self, depth: usize) -> Option<&'static str> {
        let keys = self.keys.get(..self.length)?;
        keys.get(depth).copied()
    }

    fn keys(&'static self) -> &'static [&'static str] {
        &self.keys[..self.length]
    }
}

/// A place of a setting that has moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// Where it is.
    at: Path,
    /// The setting, by its path in version 2.
    home: Path,
    pub(super) moved: Move,
    /// The setting's next move, by which the place is one no more.
    next: Option<Move>,
}

impl Address {
    /// The setting's path in version 2.
    pub(super) fn setting(&'static self) -> &'static [&'static str] {
        self.home.keys()
    }

    /// Whether the setting has its path in version 2 here.
    pub(super) fn is_home(&self) -> bool {
        self.at.is(&self.home)
    }

    /// Whether it is a place of the setting in a dialect; with `lenient` also if it
    /// is one in a later version, which containerd 2.x reads in files of version 2
    /// too, and 2.3 in those of version 3.
    fn is_in(&self, dialect: Dialect, lenient: bool) -> bool {
        let until = match lenient && dialect.version >= 2 {
            true => dialect.until(MAX_CONFIG_VERSION),
            false => dialect,
        };
        let is_over = |next: &Move| !dialect.is_any() && !lenient && dialect.has(next);
        until.has(&self.moved) && !self.next.as_ref().is_some_and(is_over)
    }
}

/// Places whose paths begin alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    first: usize,
    end: usize,
    /// How many keys they have in common.
    depth: usize,
}

impl Places {
    /// All.
    pub(super) const ALL: Places = Places {
        first: 0,
        end: PLACES.len(),
        depth: 0,
    };

    const NONE: Places = Places {
        first: 0,
        end: 0,
        depth: 0,
    };

    fn list(self) -> &'static [Address] {
        PLACES.get(self.first..self.end).unwrap_or_default()
    }

    /// Those of which the next key is this one.
    pub(super) fn below(self, key: &str) -> Places {
        let next = |address: &Address| address.at.key(self.depth);
        let list = self.list();
        let first = list.partition_point(|address| next(address) < Some(key));
        let rest = list.get(first..).unwrap_or_default();
        match rest.partition_point(|address| next(address) == Some(key)) {
            0 => Places::NONE,
            length => Places {
                first: self.first + first,
                end: self.first + first + length,
                depth: self.depth + 1,
            },
        }
    }

    fn live(self, dialect: Dialect, lenient: bool) -> impl Iterator<Item = &'static Address> {
        let list = self.list().iter();
        list.filter(move |address| address.is_in(dialect, lenient))
    }

    /// The setting that a dialect has just here.
    pub(super) fn here(self, dialect: Dialect, lenient: bool) -> Option<&'static Address> {
        let mut live = self.live(dialect, lenient);
        live.find(|address| address.at.length == self.depth)
    }

    /// Whether a dialect has a setting further down.
    pub(super) fn has_more(self, dialect: Dialect, lenient: bool) -> bool {
        let mut live = self.live(dialect, lenient);
        live.any(|address| address.at.length > self.depth)
    }
}

const ROOM: usize = 128;

const COUNT: usize = made::<ROOM>().1;

static PLACES: [Address; COUNT] = sorted(made::<COUNT>().0);

#[expect(clippy::indexing_slicing, reason = "it runs at compile time only")]
const fn made<const N: usize>() -> ([Address; N], usize) {
    const NOWHERE: Address = Address {
        at: Path::EMPTY,
        home: Path::EMPTY,
        moved: Move {
            since: version(0),
            to: MovedTo::Key(""),
            is_new: false,
        },
        next: None,
    };
    let (mut places, mut length) = ([NOWHERE; N], 0);
    let mut at = 0;
    while at < LENGTH {
        let row = Row::number(at);
        at += 1;
        let Some(setting) = row.entry().setting else {
            continue;
        };
        let mut nth = 0;
        while nth < setting.moves.len() {
            let Some(moved) = setting.moves[nth] else {
                break;
            };
            nth += 1;
            let path = match moved.to {
                MovedTo::Path(path) => Path::of(path),
                MovedTo::Into(table) => Path::of(table).with(setting.key),
                MovedTo::Key(_) => continue,
            };
            places[length] = Address {
                at: path,
                home: Path::of_row(row),
                moved,
                next: if nth < setting.moves.len() {
                    setting.moves[nth]
                } else {
                    None
                },
            };
            length += 1;
        }
    }
    (places, length)
}

#[expect(clippy::indexing_slicing, reason = "it runs at compile time only")]
const fn sorted<const N: usize>(mut places: [Address; N]) -> [Address; N] {
    let mut done = 1;
    while done < N {
        let mut at = done;
        while at > 0 && places[at].at.precedes(&places[at - 1].at) {
            (places[at], places[at - 1]) = (places[at - 1], places[at]);
            at -= 1;
        }
        done += 1;
    }
    places
}
