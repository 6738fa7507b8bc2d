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
use crate::containerd::setting::{History, State};
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
    /// How many keys each prints.
    printed: Tally,
    /// How many keys each prints of a plugin; those of the daemon have no name.
    sections: HashMap<&'static str, Tally>,
}

/// Counts for 64 releases at once: bits of the same place in the numbers are one
/// number each, the least first.
#[derive(Clone, Copy, Debug, Default)]
struct Tally([u64; 16]);

impl Tally {
    /// Counts one more for releases, given as bits.
    fn add(&mut self, releases: u64) {
        let mut carry = releases;
        for bits in &mut self.0 {
            if carry == 0 {
                break;
            }
            (*bits, carry) = (*bits ^ carry, *bits & carry);
        }
    }

    fn of(&self, release: usize) -> usize {
        let digits = self.0.iter().enumerate();
        digits.fold(0, |count, (digit, bits)| {
            count + (((bits >> release & 1) as usize) << digit)
        })
    }
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
            let mut keys = Vec::new();
            collect_keys(&Config::place(), &mut keys);
            let states = keys.iter().flat_map(|key| {
                let declared = key.printed_states().iter();
                declared.chain(key.packaged_states())
            });
            let mut starts: Vec<Release> = states.map(|(from, _)| *from).collect();
            starts.sort_unstable();
            starts.dedup();
            starts.retain(|start| !NOT_TOLD.contains(start));
            starts.truncate(64);
            let mut known = Releases {
                starts,
                printed: Tally::default(),
                sections: HashMap::new(),
            };
            for key in keys {
                let naming = known.naming(&key);
                known.printed.add(naming);
                known.sections.entry(key.plugin()).or_default().add(naming);
            }
            known
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

/// The declared keys that are no tables, those of built-in entries among them.
fn collect_keys(place: &Place, keys: &mut Vec<Place>) {
    place.each_declared(&mut |_, child| match child.is_table() {
        true => collect_keys(&child, keys),
        false => keys.push(child),
    });
}

/// The origin that the caller states, or the one that is found.
pub(super) fn of(tree: &Tree, stated: Option<Release>) -> Origin {
    stated.map_or_else(|| find(tree), |release| Origin::Forced { release })
}

/// Finds the release whose defaults the tree carries, if it carries most of
/// them. One pass over the keys counts for all releases at once.
fn find(tree: &Tree) -> Origin {
    let known = Releases::known();
    let [mut all, mut of_cri] = [Keys::default(), Keys::default()];
    let files = tree.files_read_as().iter();
    let writing: Vec<u64> = files.map(|file| known.writing(*file)).collect();
    let mut telling: Vec<(usize, u64)> = Vec::new();
    for id in tree.leaves(ROOT) {
        let (Some(place), Some(value)) = (tree.node(id).place(), tree.value(id)) else {
            continue;
        };
        let plugin = place.plugin();
        let file = tree.file_of(id).and_then(|file| writing.get(file));
        let writing = file.copied().unwrap_or(0);
        let (named, printed) = (known.naming(&place), known.printing(&place, value));
        let (named, printed) = (named & writing, printed & writing);
        all.add(plugin, named, printed);
        if plugin == plugin::CRI {
            of_cri.add(plugin, named, printed);
        }
        if printed != 0 {
            telling.push((id, printed));
        }
    }
    let cri = known.sections.get(plugin::CRI);
    let cri = cri.copied().unwrap_or_default();
    for (keys, printed, cri_only) in [(all, known.printed, false), (of_cri, cri, true)] {
        if let Some(dump) = best(known, &keys, &printed, cri_only) {
            return Origin::Dump(decided(known, dump, tree, &telling));
        }
    }
    Origin::Sparse
}

/// The keys of a file, by the releases that have them.
#[derive(Default)]
struct Keys {
    /// Those that releases print.
    named: Tally,
    /// The same, with the value that is printed.
    matching: Tally,
    /// The plugins of which there is one of the latter.
    present: BTreeSet<&'static str>,
}

impl Keys {
    fn add(&mut self, plugin: &'static str, named: u64, matching: u64) {
        self.named.add(named);
        self.matching.add(matching);
        if matching != 0 {
            self.present.insert(plugin);
        }
    }
}

/// Of the releases that write the files' config version, the one with most
/// matches that are not outweighed by keys it prints and
/// the file lacks, in sections that the file has; among equals the one that
/// prints least beside the file's keys, then most of them, then the newest.
/// `None` where less than half of it is there.
fn best(known: &Releases, keys: &Keys, printed: &Tally, cri_only: bool) -> Option<(usize, Dump)> {
    let matching = |at: usize| keys.matching.of(at);
    let printed = |at: usize| printed.of(at);
    let named = |at: usize| keys.named.of(at);
    let lacking = |at: usize| -> usize {
        let sections = keys.present.iter();
        let sections = sections.filter_map(|plugin| known.sections.get(plugin));
        let there: usize = sections.map(|printed| printed.of(at)).sum();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_for_each_release() {
        let mut tally = Tally::default();
        let mut counts = [0_usize; 64];
        for round in 0..1000_u64 {
            let releases = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63;
            tally.add(releases);
            for (release, count) in counts.iter_mut().enumerate() {
                *count += (releases >> release & 1) as usize;
            }
        }
        assert_eq!(counts[63], 1000);
        let counted: Vec<usize> = (0..64).map(|release| tally.of(release)).collect();
        assert_eq!(counted, counts);
    }
}
