//! Which containerd release wrote the file: the one whose `config default`
//! it carries.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use serde::Serialize;

use super::tree::{Id, ROOT, ReadAs, Tree};
use crate::config::Config;
use crate::containerd::place::Place;
use crate::containerd::plugin;
use crate::containerd::setting::{History, Kind, State};
use crate::containerd::{LAST_OF_LINES, Release};
use crate::value::Value;
use crate::write::dotted;

/// Where the text of a legacy file came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// Written by hand, key by key.
    Sparse,
    /// Most of it is what `containerd config default` of a release prints.
    Dump(Dump),
    /// The caller said so.
    Forced {
        /// The release.
        release: Release,
    },
}

/// The evidence for a dump.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dump {
    /// The first release that prints the same defaults.
    pub first: Release,
    /// The last one.
    pub last: Release,
    /// Keys of the file that hold the default of these releases.
    pub matching: usize,
    /// Keys that the releases print, in the part of the dump that the file
    /// carries.
    pub printed: usize,
    /// Whether only the CRI plugin's section is such a dump.
    pub cri_only: bool,
    /// Keys whose value rules out other release lines, the first few; none where
    /// the config version does. 1.2 writes version 1, 1.3 to 1.7 version 2, 2.0
    /// to 2.2 version 3 and 2.3 version 4, and a file of one is never a dump of
    /// a release that writes another.
    pub decided_by: Vec<String>,
}

impl Origin {
    /// The release whose defaults are nobody's choice in this file.
    pub fn release(&self) -> Option<Release> {
        match self {
            Origin::Sparse => None,
            Origin::Dump(dump) => Some(dump.last),
            Origin::Forced { release } => Some(*release),
        }
    }

    /// The release whose defaults are nobody's choice at a node. One that was
    /// found wrote no file of another config version than its own, be it
    /// imported by the dump; one that is stated is taken at its word.
    pub(super) fn of_node(&self, tree: &Tree, id: Id) -> Option<Release> {
        let release = self.release()?;
        let is_stated = matches!(self, Origin::Forced { .. });
        (is_stated || tree.is_written_by(id, release)).then_some(release)
    }
}

/// Every release at which some default changes, oldest first: between two of
/// them all releases print the same. At most 64, one bit each.
struct Releases {
    starts: Vec<Release>,
    /// How many keys each prints: in all, and of the CRI plugin.
    printed: Vec<[usize; 2]>,
    /// How many keys each prints of a plugin; those of the daemon have no name.
    sections: Vec<HashMap<&'static str, usize>>,
}

/// Releases that are not told from later ones by their dump. containerd 1.4.0
/// and 1.4.1 print just what 1.4.2 prints with the one edit that remote
/// snapshotters ask for, `disable_snapshot_annotations = false`. They were
/// current for six weeks; the edit is in many files, and must not be lost.
const NOT_TOLD: &[Release] = &[Release::new(1, 4, 0)];

impl Releases {
    fn known() -> &'static Releases {
        static KNOWN: OnceLock<Releases> = OnceLock::new();
        KNOWN.get_or_init(|| {
            let mut starts = BTreeSet::new();
            collect_starts(&Config::place(), &mut starts);
            let told = starts.into_iter().filter(|start| !NOT_TOLD.contains(start));
            let starts: Vec<Release> = told.take(64).collect();
            let cri = Config::place_of(&["plugins", plugin::CRI]);
            let count =
                |place: Option<&Place>, release| place.map_or(0, |p| count_printed(p, release));
            let printed = starts
                .iter()
                .map(|release| {
                    [
                        count(Some(&Config::place()), *release),
                        count(cri.as_ref(), *release),
                    ]
                })
                .collect();
            let sections = starts.iter().map(|release| sections(*release)).collect();
            Releases {
                starts,
                printed,
                sections,
            }
        })
    }

    /// Releases that print `value` at `place`, as bits.
    fn printing(&self, place: &Place, value: &Value) -> u64 {
        let declared = self.spans(place.printed_states(), |from, state| {
            state.is_printed() && (place.is_default(value, from) || place.is_of_host(value))
        });
        let packaged = self.spans(place.packaged_states(), |_, state| state.is_default(value));
        (declared | packaged & self.naming(place)) & !self.since(place.removed())
    }

    /// Releases that print the key, as bits.
    fn naming(&self, place: &Place) -> u64 {
        let bits = self.spans(place.printed_states(), |_, state| state.is_printed());
        // Gone with the table that it was in.
        bits & !self.since(place.removed())
    }

    /// The releases between two entries of a history, of those entries of which
    /// `is` holds, as bits.
    fn spans(&self, history: History, is: impl Fn(Release, State) -> bool) -> u64 {
        let mut bits = 0;
        for (at, (from, state)) in history.iter().enumerate() {
            if is(*from, *state) {
                let until = history.get(at + 1).map(|(next, _)| *next);
                bits |= self.since(Some(*from)) & !self.since(until);
            }
        }
        bits
    }

    /// Releases whose `config default` is of the config version of a file.
    fn writing(&self, file: ReadAs) -> u64 {
        let releases = self.starts.iter().enumerate();
        let writes = releases.filter(|(_, release)| file.is_written_by(**release));
        writes.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// Releases from `release` on, as bits; none for `None`.
    fn since(&self, release: Option<Release>) -> u64 {
        let Some(release) = release else {
            return 0;
        };
        let before = self.starts.partition_point(|start| *start < release);
        u64::MAX.checked_shl(before as u32).unwrap_or(0)
    }

    /// The last release before the next start.
    fn last_of(&self, at: usize) -> Release {
        let start = self
            .starts
            .get(at)
            .copied()
            .unwrap_or(Release::new(1, 2, 0));
        let next = self.starts.get(at + 1).copied();
        let line_end = LAST_OF_LINES
            .iter()
            .find(|last| last.line() == start.line());
        match next.filter(|next| next.line() == start.line()) {
            Some(next) => next.before(),
            None => line_end.copied().unwrap_or(start),
        }
    }
}

/// How many keys a release prints, by plugin.
fn sections(release: Release) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    Config::place().each_declared(&mut |key, child| match key {
        "plugins" => child.each_declared(&mut |plugin, place| {
            counts.insert(plugin, count_printed(&place, release));
        }),
        _ => {
            let count = match child.kind() {
                Kind::Section(_) | Kind::Map(_) => count_printed(&child, release),
                _ => usize::from(child.state(release).printed().is_some()),
            };
            *counts.entry("").or_default() += count;
        }
    });
    counts
}

fn collect_starts(place: &Place, starts: &mut BTreeSet<Release>) {
    place.each_declared(&mut |_, child| {
        let states = child.printed_states().iter().chain(child.packaged_states());
        starts.extend(states.map(|(from, _)| *from));
        collect_starts(&child, starts);
    });
}

fn count_printed(place: &Place, release: Release) -> usize {
    let mut count = 0;
    place.each_declared(&mut |_, child| match child.kind() {
        Kind::Section(_) | Kind::Map(_) => count += count_printed(&child, release),
        _ => count += usize::from(child.state(release).printed().is_some()),
    });
    count
}

/// The origin that the caller states, or the one that is found.
pub(super) fn of(tree: &Tree, stated: Option<Release>) -> Origin {
    stated.map_or_else(|| find(tree), |release| Origin::Forced { release })
}

/// Finds the release whose defaults the tree carries, if it carries most of
/// them. One pass over the keys counts for all releases at once.
fn find(tree: &Tree) -> Origin {
    let known = Releases::known();
    let mut counts = vec![[0usize; 2]; known.starts.len()];
    let mut named = counts.clone();
    let files = tree.files_read_as().iter();
    let writing: Vec<u64> = files.map(|file| known.writing(*file)).collect();
    let mut telling: Vec<(usize, u64)> = Vec::new();
    let mut present: BTreeSet<String> = BTreeSet::new();
    for id in tree.leaves(ROOT) {
        let node = tree.node(id);
        let (Some(place), Some(value)) = (node.place(), tree.value(id)) else {
            continue;
        };
        let path = tree.path(id);
        let in_cri = path.get(1) == Some(&plugin::CRI);
        let file = tree.file_of(id).and_then(|file| writing.get(file));
        let writing = file.copied().unwrap_or(0);
        add(&mut named, known.naming(&place) & writing, in_cri);
        let bits = known.printing(&place, value) & writing;
        if bits == 0 {
            continue;
        }
        telling.push((id, bits));
        add(&mut counts, bits, in_cri);
        let section = match path.as_slice() {
            ["plugins", plugin, ..] => plugin,
            _ => "",
        };
        if !present.contains(section) {
            present.insert(section.to_owned());
        }
    }
    for (part, cri_only) in [(0, false), (1, true)] {
        let cri = BTreeSet::from([plugin::CRI.to_owned()]);
        let present = if cri_only { &cri } else { &present };
        if let Some(dump) = best(known, [&counts, &named], part, cri_only, present) {
            return Origin::Dump(decided(known, dump, tree, &telling));
        }
    }
    Origin::Sparse
}

/// Counts a key for releases, in all and in the CRI plugin.
fn add(counts: &mut [[usize; 2]], bits: u64, in_cri: bool) {
    for (bit, count) in counts.iter_mut().enumerate() {
        if bits >> bit & 1 == 1 {
            count[0] += 1;
            count[1] += usize::from(in_cri);
        }
    }
}

/// Of the releases that write the files' config version, the one with most
/// matches that are not outweighed by keys it prints and
/// the file lacks, in sections that the file has; among equals the one that
/// prints least beside the file's keys, then most of them, then the newest.
/// `None` where less than half of it is there.
fn best(
    known: &Releases,
    [counts, named]: [&[[usize; 2]]; 2],
    part: usize,
    cri_only: bool,
    present: &BTreeSet<String>,
) -> Option<(usize, Dump)> {
    let of = |pair: &[usize; 2]| pair.get(part).copied().unwrap_or(0);
    let matching = |at: usize| counts.get(at).map_or(0, of);
    let printed = |at: usize| known.printed.get(at).map_or(0, of);
    let named = |at: usize| named.get(at).map_or(0, of);
    let lacking = |at: usize| -> usize {
        let sections = known.sections.get(at);
        let count = |section: &String| sections.and_then(|s| s.get(section.as_str())).copied();
        let there: usize = present.iter().filter_map(count).sum();
        there.saturating_sub(named(at))
    };
    let rank = |at: usize| {
        let weight = (matching(at) as i64) - (lacking(at) as i64);
        let beside = printed(at).saturating_sub(named(at));
        (weight, Reverse(beside), named(at), at)
    };
    let at = (0..known.starts.len()).max_by_key(|at| rank(*at))?;
    let (matched, printed) = (matching(at), printed(at));
    if matched * 2 <= printed || matched < 20 {
        return None;
    }
    // Neighbours that cannot be told apart are one range.
    let line = known.starts.get(at).map(|release| release.line());
    let first = (0..=at)
        .rev()
        .take_while(|i| matching(*i) == matched && known.starts.get(*i).map(|r| r.line()) == line)
        .last()
        .and_then(|i| known.starts.get(i).copied())?;
    let dump = Dump {
        first,
        last: known.last_of(at),
        matching: matched,
        printed,
        cri_only,
        decided_by: Vec::new(),
    };
    Some((at, dump))
}

fn decided(
    known: &Releases,
    (at, mut dump): (usize, Dump),
    tree: &Tree,
    telling: &[(usize, u64)],
) -> Dump {
    let Some(start) = known.starts.get(at) else {
        return dump;
    };
    // The config version rules out the rest.
    let version = start.config_version();
    let foreign = known
        .starts
        .iter()
        .enumerate()
        .filter(|(_, r)| r.line() != start.line() && r.config_version() == version);
    let others = foreign.fold(0u64, |bits, (bit, _)| bits | 1 << bit);
    let mut deciding: Vec<(u32, usize)> = telling
        .iter()
        .filter(|(_, bits)| bits >> at & 1 == 1)
        .map(|(id, bits)| ((bits & others).count_ones(), *id))
        .filter(|(left, _)| *left < others.count_ones())
        .collect();
    deciding.sort_by_key(|(left, id)| (*left, *id));
    let names = deciding
        .iter()
        .take(5)
        .map(|(_, id)| dotted(&tree.spelled_path(*id)));
    dump.decided_by = names.collect();
    dump
}
