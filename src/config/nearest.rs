//! What a key that no release reads may have been meant for: the nearest key of
//! its table, or the table that has a key of its name. Only declared settings are
//! ever named, and of two that are as near none is.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use super::Config;
use super::address;
use crate::containerd::Release;
use crate::containerd::place::Place;
use crate::containerd::setting::Kind;
use crate::document::MAX_CONFIG_VERSION;

/// A longer key is not compared with any: the longest declared one has 51 bytes.
const LONGEST: usize = 80;

/// What stands for any name in the path of a table.
const ANY: &str = "*";

/// Where a key may belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meant<'k> {
    /// This key of the same table.
    Key(&'static str),
    /// The key of this name in the table with this path, in which `*` stands for a
    /// name.
    In(Vec<&'k str>, &'static str),
}

/// Names keys, one after the other.
pub(crate) type Keys<'a> = &'a dyn Fn(&mut dyn FnMut(&str));

/// A key, and what is around it in its file.
#[derive(Clone, Copy)]
pub(crate) struct Stray<'a, 'k> {
    /// The config version of the file.
    pub(crate) version: i64,
    /// The table that the key stands in, as the file has it.
    pub(crate) table: &'a [&'k str],
    /// The key.
    pub(crate) key: &'a str,
    /// Whether it is a table, and not a value.
    pub(crate) is_table: bool,
    /// The other keys in the table that no release reads.
    pub(crate) others: Keys<'a>,
    /// The containerd that is to read it.
    pub(crate) release: Release,
}

/// A declared setting by its path in a config version.
#[derive(Debug)]
struct Known {
    table: Vec<&'static str>,
    key: &'static str,
    place: Place,
}

impl Known {
    fn is_for(&self, stray: &Stray<'_, '_>) -> bool {
        let is_table = matches!(self.place.kind(), Kind::Section(_) | Kind::Map(_));
        is_table == stray.is_table
            && !self.place.is_gone(stray.release)
            && !self.place.is_too_new(stray.release)
    }
}

/// The settings of a config version.
#[derive(Debug, Default)]
struct Settings {
    all: Vec<Known>,
    /// Those of a table, by its path.
    tables: Table,
    /// Those with a name, by its plain form.
    names: HashMap<String, Vec<usize>>,
}

/// A table of a config version.
#[derive(Debug, Default)]
struct Table {
    keys: Vec<usize>,
    below: BTreeMap<&'static str, Table>,
}

impl Settings {
    fn of(version: i64) -> Option<&'static Settings> {
        static ALL: OnceLock<BTreeMap<i64, Settings>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let versions = 1..=MAX_CONFIG_VERSION;
            versions
                .map(|version| (version, Settings::collect(version)))
                .collect()
        });
        all.get(&version)
    }

    fn collect(version: i64) -> Settings {
        let mut settings = Settings::default();
        let mut pending = vec![(Vec::new(), Config::place())];
        while let Some((path, place)) = pending.pop() {
            let keys: Vec<&'static str> = match place.kind() {
                Kind::Section(section) => section.settings.iter().map(|s| s.key).collect(),
                Kind::Map(_) => vec![ANY],
                _ => continue,
            };
            for key in keys {
                let Some(child) = place.child(key) else {
                    continue;
                };
                let path: Vec<&'static str> = path.iter().copied().chain([key]).collect();
                if key != ANY && address::exists_in(version, &path) {
                    settings.add(&address::of(version, &path), child);
                }
                pending.push((path, child));
            }
        }
        settings
    }

    fn add(&mut self, address: &[&'static str], place: Place) {
        let Some((key, table)) = address.split_last() else {
            return;
        };
        let number = self.all.len();
        let below = table
            .iter()
            .fold(&mut self.tables, |at, key| at.below.entry(key).or_default());
        below.keys.push(number);
        self.names.entry(plain(key)).or_default().push(number);
        self.all.push(Known {
            table: table.to_vec(),
            key,
            place,
        });
    }

    fn get(&self, numbers: &[usize]) -> impl Iterator<Item = &Known> {
        numbers.iter().filter_map(|number| self.all.get(*number))
    }

    fn table(&self, path: &[&str]) -> Option<&Table> {
        path.iter().try_fold(&self.tables, |at, key| {
            at.below.get(*key).or_else(|| at.below.get(ANY))
        })
    }
}

/// A key without what people mix up: case, underscores, dashes.
fn plain(key: &str) -> String {
    let letters = key.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// What a key may have been meant for.
pub(crate) fn meant<'k>(stray: &Stray<'_, 'k>) -> Option<Meant<'k>> {
    if stray.key.len() > LONGEST || !stray.key.is_ascii() {
        return None;
    }
    let settings = Settings::of(stray.version)?;
    let table = settings.table(stray.table);
    let keys = table.map_or(&[][..], |table| &table.keys);
    let keys = settings.get(keys).filter(|known| known.is_for(stray));
    let here = keys.filter_map(|known| Some((distance(stray.key, known.key)?, known.key)));
    nearest(here)
        .map(Meant::Key)
        .or_else(|| elsewhere(settings, stray))
}

/// Of some by how far they are the nearest one; none if two are as near.
fn nearest<T>(known: impl Iterator<Item = (usize, T)>) -> Option<T> {
    let mut best: Option<(usize, T)> = None;
    let mut is_tie = false;
    for (far, known) in known {
        match &best {
            Some((best, _)) if *best < far => {}
            Some((best, _)) if *best == far => is_tie = true,
            _ => (best, is_tie) = (Some((far, known)), false),
        }
    }
    best.filter(|_| !is_tie).map(|(_, known)| known)
}

/// A word that is not written out in full, or in too full: a key's first or last
/// words, which are none of another's.
const PART: usize = 10;

/// One word of many that is another word with the same beginning.
const OTHER_WORD: usize = 9;

/// How far a key is from a known one; `None` if it is another.
fn distance(key: &str, known: &str) -> Option<usize> {
    if plain(key) == plain(known) {
        return Some(0);
    }
    let lower = key.to_ascii_lowercase().replace('-', "_");
    let words: Vec<&str> = lower.split('_').collect();
    let known = known.to_ascii_lowercase().replace('-', "_");
    let known: Vec<&str> = known.split('_').collect();
    if words.len() < known.len() {
        let is_part = known.starts_with(&words) || known.ends_with(&words);
        return is_part.then_some(PART);
    }
    if words.len() != known.len() {
        return None;
    }
    let other = |(a, b): &(&str, &str)| a != b;
    let pairs = words.iter().copied().zip(known.iter().copied());
    let others: Vec<(&str, &str)> = pairs.filter(other).collect();
    let typos = others.iter().map(|(word, known)| typos(word, known));
    let sum = typos.sum::<Option<usize>>().filter(|sum| *sum <= 3);
    let is_one_of_many = words.len() > 2 && others.len() == 1;
    let begins_alike = |(a, b): &(&str, &str)| {
        let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b);
        common.count() > 3
    };
    sum.or_else(|| (is_one_of_many && others.iter().all(begins_alike)).then_some(OTHER_WORD))
}

/// How many letters of a word are wrong, missing, too many or swapped, if that is
/// few of them.
fn typos(word: &str, known: &str) -> Option<usize> {
    let most = match word.len().max(known.len()) {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    if word.len().abs_diff(known.len()) > most {
        return None;
    }
    let edits = edits(word.as_bytes(), known.as_bytes());
    (edits <= most).then_some(edits)
}

/// Levenshtein's distance, but for two letters that are swapped, which count once
/// if nothing else is wrong. Words are short; it is no reason for a dependency.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.split_at(common).1, b.split_at(common).1);
    let ends = a.iter().rev().zip(b.iter().rev());
    let common = ends.take_while(|(a, b)| a == b).count();
    let (a, b) = (
        a.split_at(a.len() - common).0,
        b.split_at(b.len() - common).0,
    );
    if let ([a1, a2], [b1, b2]) = (a, b)
        && (a1, a2) == (b2, b1)
    {
        return 1;
    }
    // The distances of what is read of `a` from every beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (read, letter) in a.iter().enumerate() {
        let (mut corner, mut left) = (read, read + 1);
        for (cell, other) in row.iter_mut().skip(1).zip(b) {
            let here = (corner + usize::from(letter != other))
                .min(left + 1)
                .min(*cell + 1);
            corner = std::mem::replace(cell, here);
            left = here;
        }
    }
    row.last()
        .copied()
        .filter(|_| !b.is_empty())
        .unwrap_or(a.len())
}

/// A key of a single short word, such as `path`, tells little by itself.
fn is_common(key: &str) -> bool {
    key.len() < 8 && !key.contains('_')
}

/// The table that has a key of this name: of several the one that is fewest steps
/// away.
fn elsewhere<'k>(settings: &'static Settings, stray: &Stray<'_, 'k>) -> Option<Meant<'k>> {
    let numbers = settings.names.get(&plain(stray.key))?;
    let known = settings.get(numbers).filter(|known| known.is_for(stray));
    let known = nearest(known.map(|known| {
        let same = common(stray.table, &known.table);
        let steps = stray.table.len() + known.table.len() - 2 * same;
        (steps, known)
    }))?;
    if is_common(stray.key) {
        let keys = &settings.table(&known.table)?.keys;
        let mut has_company = false;
        (stray.others)(&mut |other| {
            let is_there = settings.get(keys).any(|known| known.key == other);
            has_company |= is_there && other != stray.key;
        });
        if !has_company {
            return None;
        }
    }
    let same = common(stray.table, &known.table);
    let names = stray.table.iter().take(same).copied();
    let table = names.chain(known.table.iter().skip(same).copied());
    Some(Meant::In(table.collect(), known.key))
}

/// How many names two paths have in common from the top.
fn common(path: &[&str], known: &[&'static str]) -> usize {
    let pairs = path.iter().zip(known);
    let same = |(name, known): &(&&str, &&str)| name == known || **known == ANY;
    pairs.take_while(same).count()
}

/// The id of a plugin with settings, in the spelling of a config version, that is
/// nearest to one that no release has.
pub(crate) fn plugin(version: i64, id: &str) -> Option<&'static str> {
    if id.len() > LONGEST || !id.is_ascii() {
        return None;
    }
    let plugins = Settings::of(version)?.tables.below.get("plugins")?;
    let known = plugins.below.keys().copied();
    nearest(known.filter_map(|known| Some((distance_of_ids(id, known)?, known))))
}

/// How far an id is from a known one: one of their parts may be wrong, or missing.
fn distance_of_ids(id: &str, known: &str) -> Option<usize> {
    let lower = id.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('.').collect();
    let known: Vec<&str> = known.split('.').collect();
    if parts == known {
        return Some(0);
    }
    if parts.len() == known.len() {
        let pairs = parts.iter().zip(&known);
        let mut others = pairs.filter(|(part, known)| part != known);
        let (part, known) = others.next().filter(|_| others.next().is_none())?;
        let is_version = |part: &str| {
            let number = part.strip_prefix('v');
            number.is_some_and(|number| number.parse::<u8>().is_ok())
        };
        // A short name may be a part of another, in a URI that is a plugin of its own.
        let is_short = parts.len() == 1;
        return match is_version(part) && is_version(known) {
            true => Some(1),
            false => distance(part, known).filter(|far| is_short || *far < PART),
        };
    }
    let (more, fewer) = match parts.len() > known.len() {
        true => (&parts, &known),
        false => (&known, &parts),
    };
    let is_without = |at: usize| {
        let rest = more.iter().enumerate().filter(|(other, _)| *other != at);
        rest.map(|(_, part)| part).eq(fewer.iter())
    };
    let is_one = more.len() == fewer.len() + 1 && fewer.len() > 2;
    (is_one && (0..more.len()).any(is_without)).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::plugin::{CRI, CRI_IMAGES, CRI_RUNTIME};
    use crate::containerd::releases::{V1_7, V2_2};

    const NRI: &str = "io.containerd.nri.v1.nri";

    fn find<'k>(
        version: i64,
        table: &[&'k str],
        key: &str,
        is_table: bool,
        others: &[&str],
    ) -> Option<Meant<'k>> {
        let release = if version < 3 { V1_7 } else { V2_2 };
        meant(&Stray {
            version,
            table,
            key,
            is_table,
            others: &|see| others.iter().for_each(|other| see(other)),
            release,
        })
    }

    #[track_caller]
    fn key(table: &[&str], stray: &str, near: &'static str) {
        assert_eq!(find(2, table, stray, false, &[]), Some(Meant::Key(near)));
    }

    #[track_caller]
    fn none(version: i64, table: &[&str], stray: &str) {
        assert_eq!(find(version, table, stray, false, &[]), None, "{stray}");
    }

    #[test]
    fn a_misspelled_key_is_told_by_its_table() {
        let cri = ["plugins", CRI];
        let mirror = ["plugins", CRI, "registry", "mirrors", "docker.io"];
        let tls = ["plugins", CRI, "registry", "configs", "h:5000", "tls"];
        key(&mirror, "endpoints", "endpoint");
        key(&mirror, "edpoint", "endpoint");
        key(&mirror, "endpiont", "endpoint");
        key(&cri, "sandbox_imge", "sandbox_image");
        key(&cri, "sandbox-image", "sandbox_image");
        key(&cri, "sandboxImage", "sandbox_image");
        key(&cri, "sandbox", "sandbox_image");
        // kind's and others', of a time before the key had its name.
        key(
            &cri,
            "tolerate_missing_hugepages_controller",
            "tolerate_missing_hugetlb_controller",
        );
        key(&cri, "max_concurrent_download", "max_concurrent_downloads");
        // Those of a hosts.toml.
        key(&tls, "ca", "ca_file");
        key(&tls, "skip_verify", "insecure_skip_verify");
        key(&["plugins", CRI, "cni"], "conf_dirs", "conf_dir");
        key(&[], "oom_scores", "oom_score");
    }

    #[test]
    fn another_key_is_no_misspelled_one() {
        let cri = ["plugins", CRI];
        for stray in [
            "enable_unprivileged_udp",
            "max_concurrent_uploads",
            "disable_http2_client",
            "disabled",
            "stream_server_key",
            "disable_http_proxy",
            "registry_config",
            "x",
            "",
            "ünknown",
        ] {
            none(2, &cri, stray);
        }
        // Two are as near.
        none(
            2,
            &["plugins", CRI, "containerd", "runtimes", "kata"],
            "runtime",
        );
        none(
            2,
            &["plugins", CRI, "registry", "configs", "h", "tls"],
            "file",
        );
        none(2, &["grpc"], "tid");
        // It is too new for the release, or gone.
        none(2, &cri, "cgroup_writables");
        none(3, &["plugins", CRI_RUNTIME], "disable_cgroups");
        none(2, &cri, &format!("sandbox_{}", "i".repeat(1 << 20)));
    }

    /// A key of a release that is not known yet must not be taken for one that
    /// was misspelled: none of the declared ones would be, but for parts of others
    /// and the one that became a list.
    #[test]
    fn no_declared_key_would_be_taken_for_another() {
        let mut found = BTreeMap::new();
        for version in [1, 2, 3, 4] {
            let settings = Settings::of(version).unwrap();
            let mut tables = vec![&settings.tables];
            while let Some(table) = tables.pop() {
                tables.extend(table.below.values());
                // Ids have rules of their own, and options are read whatever they are.
                let is_read = |known: &&Known| !known.place.free() && !known.key.contains('.');
                for known in settings.get(&table.keys).filter(is_read) {
                    let rest = settings.get(&table.keys).filter(is_read);
                    let rest = rest.filter(|k| k.key != known.key);
                    let rest = rest.filter_map(|k| Some((distance(known.key, k.key)?, k.key)));
                    found.extend(nearest(rest).map(|near| (known.key, near)));
                }
            }
        }
        let found: Vec<_> = found.into_iter().collect();
        let all = "privileged_without_host_devices_all_devices_allowed";
        assert_eq!(
            found,
            [
                ("address", "tcp_address"),
                ("bin_dir", "bin_dirs"),
                ("bin_dirs", "bin_dir"),
                ("default_runtime", "default_runtime_name"),
                ("disable", "disable_connections"),
                ("privileged_without_host_devices", all),
                ("runtime", "runtime_root"),
            ]
        );
    }

    #[track_caller]
    fn elsewhere(version: i64, table: &[&str], key: &'static str, others: &[&str], at: &[&str]) {
        let found = find(version, table, key, false, others);
        assert_eq!(found, Some(Meant::In(at.to_vec(), key)));
    }

    #[test]
    fn a_key_in_another_table_is_told_by_that() {
        let cri = ["plugins", CRI];
        let nri = ["plugins", NRI];
        elsewhere(2, &[], "plugin_path", &[], &nri);
        elsewhere(2, &[], "disable_connections", &[], &nri);
        elsewhere(2, &[], "disable", &["plugin_path", "x"], &nri);
        elsewhere(2, &cri, "plugin_config_path", &[], &nri);
        elsewhere(2, &cri, "snapshotter", &[], &["plugins", CRI, "containerd"]);
        let runc = ["plugins", CRI, "containerd", "runtimes", "runc"];
        let options = [&runc[..], &["options"]].concat();
        elsewhere(2, &runc, "SystemdCgroup", &[], &options);
        elsewhere(2, &runc, "BinaryName", &[], &options);
        elsewhere(
            2,
            &runc,
            "discard_unpacked_layers",
            &[],
            &["plugins", CRI, "containerd"],
        );
        let streaming = ["plugins", CRI, "x509_key_pair_streaming"];
        elsewhere(2, &streaming, "enable_cdi", &[], &cri);
        elsewhere(
            3,
            &["plugins", CRI_IMAGES],
            "enable_selinux",
            &[],
            &["plugins", CRI_RUNTIME],
        );
        // As a table is.
        let found = find(2, &["plugins"], "registry", true, &[]);
        assert_eq!(found, Some(Meant::In(cri.to_vec(), "registry")));
        assert_eq!(
            find(2, &[], "plugin", true, &[]),
            Some(Meant::Key("plugins"))
        );
        assert_eq!(find(2, &[], "registry", false, &[]), None);
    }

    #[test]
    fn a_common_name_tells_nothing() {
        for stray in ["path", "enable", "disable", "type", "uid", "level"] {
            none(2, &["plugins", CRI], stray);
            none(2, &[], stray);
        }
        // Of the registry and of the transfer service; from the root they are not alike.
        none(2, &["plugins"], "root_path");
        let cri = ["plugins", CRI];
        assert_eq!(find(2, &cri, "disable", false, &["sandbox"]), None);
    }

    #[test]
    fn ids_of_plugins() {
        for (version, id, near) in [
            (2, "io.containerd.grpc.v1.crii", CRI),
            (2, "io.containerd.grpc.v1.CRI", CRI),
            (2, "io.containerd.grpc.v2.cri", CRI),
            (2, "io.containerd.grpc.cri", CRI),
            (2, "containerd.grpc.v1.cri", CRI),
            (
                2,
                "io.containerd.snapshotter.v1.devmaper",
                "io.containerd.snapshotter.v1.devmapper",
            ),
            (
                2,
                "io.containerd.runtime.v1.task",
                "io.containerd.runtime.v2.task",
            ),
            (3, "io.containerd.cri.v1.image", CRI_IMAGES),
            (3, "io.containerd.cri.v1.runtimes", CRI_RUNTIME),
            (1, "devmaper", "devmapper"),
            (1, "diff", "diff-service"),
        ] {
            assert_eq!(plugin(version, id), Some(near), "{id}");
        }
        for (version, id) in [
            // Plugins of others, and names that are nobody's.
            (2, "io.containerd.snapshotter.v1.stargz"),
            (2, "io.containerd.snapshotter.v1.nydus"),
            (2, "io.containerd.snapshotter.v1.soci"),
            (2, "io.containerd.snapshotter.v1.nfs"),
            (2, "io.containerd.snapshotter"),
            (1, "stargz"),
            (2, "a.b.c.d"),
            (3, "cri"),
        ] {
            assert_eq!(plugin(version, id), None, "{id}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, far) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("endpiont", "endpoint", 1),
            ("abcd", "badc", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), far, "{a} {b}");
            assert_eq!(edits(b.as_bytes(), a.as_bytes()), far, "{b} {a}");
        }
    }
}
