//! What becomes of a setting that two files have.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::address::Dialect;
use crate::config::known::PLUGINS;
use crate::containerd::Release;
use crate::containerd::place::Place;
use crate::containerd::setting::Merge;
use crate::value::{Table, Value};

/// By whose rules several files become one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// containerd 1.3 – 1.7: a plugin's section is replaced as a whole, and
    /// the last file that states a version decides for all.
    Containerd1,
    /// k0s 1.27.5 – 1.35: drop-ins with CRI settings are merged key by key and
    /// loaded after the others.
    K0sMerge,
    /// containerd 2.x: plugin sections are merged, each file has its version.
    Containerd2,
}

/// What becomes of a setting that an earlier file has and a later one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// Two tables are one, and what is in them meets.
    Join,
    /// The later list goes behind the earlier one.
    Append,
    /// The later one counts, the earlier one does not.
    Replace,
    /// The later one changes nothing.
    Yield,
    /// Neither counts.
    Cancel,
}

/// What is to be known of a setting of which two values meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// One that the daemon has in its own structs, where zero is as if nothing
    /// set it.
    Field,
    /// A list that files add to.
    List,
    /// An entry of a map of the daemon's.
    Entry,
    /// The section of a plugin.
    Section,
    /// All else.
    Other,
}

impl Met {
    /// What a setting is; `zero_counts` if it is in a plugin when files are merged.
    pub(crate) fn of(setting: &Place, zero_counts: bool) -> Self {
        match setting.merge() {
            Merge::Append => Met::List,
            Merge::NonZero if !zero_counts => Met::Field,
            _ => Met::Other,
        }
    }

    /// What the entries of a table of the daemon's are, if they have it of the table.
    pub(crate) fn entry_of(table: &Place) -> Option<Self> {
        match table.merge() {
            Merge::Entry if table.is(PLUGINS) => Some(Met::Section),
            Merge::Entry => Some(Met::Entry),
            _ => None,
        }
    }
}

/// One of the two that meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side<'v> {
    Table,
    /// One value, be it a table in the place of another.
    Value(&'v Value),
}

impl Rules {
    /// Those by which a release merges what it loads.
    pub(crate) fn of_release(release: Release) -> Self {
        match release.is_2() {
            true => Rules::Containerd2,
            false => Rules::Containerd1,
        }
    }

    /// What becomes of what a file has, where earlier files have this.
    pub(crate) fn meet(self, met: Met, earlier: Option<Side<'_>>, later: Side<'_>) -> Meeting {
        use Value::Array;
        match (self, met, earlier, later) {
            // It replaces in k0s's merge, and overrides nothing in containerd.
            (Rules::K0sMerge, Met::Field, Some(_), Side::Value(value)) if value.is_zero() => {
                Meeting::Cancel
            }
            (_, Met::Field, _, Side::Value(value)) if value.is_zero() => Meeting::Yield,
            (
                Rules::Containerd1 | Rules::Containerd2,
                Met::List,
                Some(Side::Value(Array(_))),
                Side::Value(Array(_)),
            ) => Meeting::Append,
            (Rules::Containerd1, Met::Section | Met::Entry, ..)
            | (Rules::Containerd2, Met::Entry, ..) => Meeting::Replace,
            (_, _, Some(Side::Table), Side::Table) => Meeting::Join,
            _ => Meeting::Replace,
        }
    }
}

/// The names in a list that more and more files append to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Option<BTreeSet<String>>);

impl Names {
    /// Appends a list of names, in containerd 2.x each once. `into` is the same list
    /// each time.
    pub(crate) fn append(&mut self, into: &mut Vec<Value>, from: Vec<Value>, rules: Rules) {
        if rules != Rules::Containerd2 {
            into.extend(from);
            return;
        }
        let name = |item: &Value| item.as_str().map(str::to_owned);
        let seen = self
            .0
            .get_or_insert_with(|| into.iter().filter_map(name).collect());
        let is_first = |item: &Value| name(item).is_none_or(|name| seen.insert(name));
        into.extend(from.into_iter().filter(is_first));
    }
}

/// What a table is to the merging of files.
#[derive(Clone, Copy)]
enum Ground {
    /// The daemon's own settings.
    Daemon {
        place: Place,
        /// They are in a plugin when files are merged, where zero is a value.
        zero_counts: bool,
    },
    /// A map, all keys of which are this.
    Map(Met),
    /// What is in an entry of a map, or in what no declaration knows.
    Inside,
}

impl Ground {
    fn top() -> Self {
        Ground::Daemon {
            place: Config::place(),
            zero_counts: false,
        }
    }

    /// What a key is, and what the table behind it is.
    fn child(self, key: &str, release: Release) -> (Met, Ground) {
        let (place, zero_counts) = match self {
            Ground::Daemon { place, zero_counts } => (place, zero_counts),
            Ground::Map(met) => return (met, Ground::Inside),
            Ground::Inside => return (Met::Other, Ground::Inside),
        };
        let Some(child) = place.child(key) else {
            return (Met::Other, Ground::Inside);
        };
        let zero_counts = zero_counts || is_of_plugin(&child, release);
        let below = match (Met::entry_of(&child), child.merge()) {
            (Some(met), _) => Ground::Map(met),
            (None, Merge::NonZero) => Ground::Daemon {
                place: child,
                zero_counts,
            },
            _ => Ground::Inside,
        };
        (Met::of(&child, zero_counts), below)
    }
}

/// Whether a release has a setting of the daemon in a plugin.
fn is_of_plugin(setting: &Place, release: Release) -> bool {
    let moved = Dialect::own(release).place_of(setting);
    moved.is_some_and(|moved| moved.to.is_in_plugin())
}

fn side(value: &Value) -> Side<'_> {
    match value {
        Value::Table(_) => Side::Table,
        value => Side::Value(value),
    }
}

/// Files by the paths of version 2, one after the other, as one table.
pub(super) struct Merged {
    pub(super) table: Table,
    /// The names in the lists that files append to.
    pub(super) lists: Lists,
    release: Release,
}

/// The names in the lists of a config, by key.
pub(super) type Lists = BTreeMap<String, Names>;

impl Merged {
    pub(super) fn new(release: Release) -> Self {
        Merged {
            table: Table::new(),
            lists: Lists::new(),
            release,
        }
    }

    pub(super) fn add(&mut self, file: Table) {
        let mut table = std::mem::take(&mut self.table);
        self.join(Ground::top(), &mut table, file);
        self.table = table;
    }

    /// The recursion is as deep as the table, which no parser in use lets grow
    /// beyond 80 levels a notation.
    fn join(&mut self, ground: Ground, into: &mut Table, from: Table) {
        let rules = Rules::of_release(self.release);
        for (key, value) in from {
            let (met, below) = ground.child(&key, self.release);
            let there = into.get_mut(&key);
            let meeting = rules.meet(met, there.as_deref().map(side), side(&value));
            match (meeting, there, value) {
                (Meeting::Join, Some(Value::Table(into)), Value::Table(from)) => {
                    self.join(below, into, from);
                }
                (Meeting::Append, Some(Value::Array(into)), Value::Array(from)) => {
                    self.lists.entry(key).or_default().append(into, from, rules);
                }
                (Meeting::Yield | Meeting::Cancel, ..) => {}
                (_, _, value) => {
                    let value = self.alone(&key, met, below, value);
                    into.insert(key, value);
                }
            }
        }
    }

    /// A value to which no earlier one comes.
    fn alone(&mut self, key: &str, met: Met, below: Ground, value: Value) -> Value {
        match (below, value) {
            (Ground::Daemon { .. }, Value::Table(from)) => {
                let mut table = Table::new();
                self.join(below, &mut table, from);
                Value::Table(table)
            }
            (_, value) if met != Met::List => value,
            (_, Value::Array(from)) => {
                let (mut names, mut list) = (Names::default(), Vec::new());
                names.append(&mut list, from, Rules::of_release(self.release));
                self.lists.insert(key.to_owned(), names);
                Value::Array(list)
            }
            (_, value) => {
                self.lists.remove(key);
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::load::Effective;

    /// As 1.4.13, 1.6.20, 1.7.24 and 2.1.9 merge two files; what k0s merges before is
    /// a merge by key, of which containerd gets the result.
    #[test]
    fn two_values_meet_as_in_containerd_and_k0s() {
        let (zero, one) = (Value::Boolean(false), Value::Integer(1));
        let (none, list) = (Value::Array(Vec::new()), Value::Array(vec![one.clone()]));
        let [zero, one, none, list] = [&zero, &one, &none, &list].map(Side::Value);
        let table = Side::Table;
        use Meeting::{Append, Cancel, Join, Replace, Yield};
        for (met, earlier, later, meetings) in [
            (Met::Field, one, one, [Replace, Replace, Replace]),
            (Met::Field, one, zero, [Yield, Cancel, Yield]),
            (Met::Field, list, none, [Yield, Cancel, Yield]),
            (Met::Field, table, table, [Join, Join, Join]),
            (Met::List, list, none, [Append, Replace, Append]),
            (Met::List, one, list, [Replace, Replace, Replace]),
            (Met::Entry, table, table, [Replace, Join, Replace]),
            (Met::Entry, one, zero, [Replace, Replace, Replace]),
            (Met::Section, table, table, [Replace, Join, Join]),
            (Met::Other, one, zero, [Replace, Replace, Replace]),
            (Met::Other, list, none, [Replace, Replace, Replace]),
            (Met::Other, table, table, [Join, Join, Join]),
            (Met::Other, table, one, [Replace, Replace, Replace]),
        ] {
            let rules = [Rules::Containerd1, Rules::K0sMerge, Rules::Containerd2];
            let found = rules.map(|rules| rules.meet(met, Some(earlier), later));
            assert_eq!(found, meetings, "{met:?} {earlier:?} {later:?}");
        }
    }

    /// Only lists of plugins, and of imports, have each name once on 2.x.
    #[test]
    fn other_lists_stay_as_they_are() {
        let twice = Value::Array(vec![Value::Integer(1), Value::Integer(1)]);
        let name = || Value::String("a.b".to_owned());
        let names = Value::Array(vec![name(), name()]);
        let file = Table::from([
            ("of_nobody".to_owned(), twice.clone()),
            ("disabled_plugins".to_owned(), names.clone()),
            ("of_nobody_either".to_owned(), names.clone()),
        ]);
        let effective = Effective::load("2.1.9".parse().unwrap(), [file]);
        assert_eq!(effective.set_value(&["of_nobody"]), Some(&twice));
        assert_eq!(effective.set_value(&["of_nobody_either"]), Some(&names));
        let once = Value::Array(vec![name()]);
        assert_eq!(effective.set_value(&["disabled_plugins"]), Some(&once));
    }
}
