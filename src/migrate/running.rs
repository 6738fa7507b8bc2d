//! What the node runs with now: the k0s release, and what is in effect with the
//! input as it is.

use super::checks::DEEPEST;
use super::split;
use super::tree::Tree;
use super::{Options, Target};
use crate::Document;
use crate::containerd::load::Effective;
use crate::k0s::{self, DropInSet, FileName, Match, Regime};
use crate::value::cut;

/// The node before the migration.
#[derive(Debug)]
pub(super) struct Running {
    /// The release that it runs.
    pub(super) target: Target,
    /// What is in effect; `None` where k0s or containerd does not start on the
    /// input.
    pub(super) effective: Option<Effective>,
    /// Whether k0s puts its own settings beside the input.
    pub(super) managed: bool,
}

impl Running {
    /// A node with a legacy file, and the files that it imports, in the order in
    /// which containerd loads them. Of a main file that the release takes for
    /// its own, only the drop-ins count.
    pub(super) fn with_files(files: &[&Document], target: &Target, options: &Options) -> Self {
        let target = release_of(files, target, options);
        let main = files.first().filter(|main| has_own(main, &target));
        if main.is_none() {
            return Running::unmanaged(files, target);
        }
        let drop_ins = files.iter();
        let drop_ins =
            drop_ins.filter_map(|file| Some((k0s::drop_in_at(file.name())?.into(), *file)));
        let drop_ins: Vec<(FileName, &Document)> = drop_ins.collect();
        Running::managed(&drop_ins, target)
    }

    /// A node with drop-ins, given by name and document, and a main file that k0s
    /// takes for its own; or with one that it takes for the user's, which then
    /// alone counts.
    pub(super) fn with_drop_ins(
        main: Option<&Document>,
        drop_ins: &[(FileName, &Document)],
        target: &Target,
        options: &Options,
    ) -> Self {
        let files: Vec<&Document> = drop_ins.iter().map(|(_, file)| *file).collect();
        let target = release_of(&files, target, options);
        let reads_drop_ins = target.release.regime != Regime::Monolith;
        match main {
            // What it imports is not known here.
            Some(main) if !has_own(main, &target) && !main.imports().is_empty() => Running {
                target,
                effective: None,
                managed: false,
            },
            Some(main) if !has_own(main, &target) => Running::unmanaged(&[main], target),
            main if !reads_drop_ins => Running::unmanaged(main.as_slice(), target),
            _ => Running::managed(drop_ins, target),
        }
    }

    fn unmanaged(files: &[&Document], target: Target) -> Self {
        Running {
            effective: load(files, &target),
            target,
            managed: false,
        }
    }

    fn managed(drop_ins: &[(FileName, &Document)], target: Target) -> Self {
        let files: Vec<&Document> = drop_ins.iter().map(|(_, file)| *file).collect();
        let texts = drop_ins.iter().map(|(name, file)| (name, file.text()));
        let set = DropInSet::default().importing(texts);
        let effective = set.ok().and_then(|set| assemble(&set, &target));
        let effective = effective.filter(|_| reads(&files, &target));
        Running {
            effective,
            target,
            managed: true,
        }
    }

    /// What the release has with nothing of the user's: what k0s and containerd
    /// bring along.
    pub(super) fn pristine(&self) -> Effective {
        // k0s up to 1.26 adds nothing.
        let alone = || Effective::load(self.target.containerd(), []);
        pristine(&self.target).unwrap_or_else(alone)
    }
}

/// What a release has without a single drop-in. `None` where k0s reads none.
pub(super) fn pristine(target: &Target) -> Option<Effective> {
    let assembled = k0s::assemble(&target.release, target.pause_image(), &DropInSet::default());
    assembled.ok().map(|assembled| assembled.effective())
}

/// What will be in effect with all that is kept, beside what the target has by
/// itself.
pub(super) fn expected(tree: &Tree, target: &Target, pristine: &Effective) -> Effective {
    let mut expected = pristine.clone();
    for id in split::kept(tree, target.containerd()) {
        expected.set(&tree.path(id), tree.value(id));
    }
    expected
}

/// The release that the caller names; else the target, where it can have loaded
/// the input; else the newest that has containerd 1.x.
fn release_of(files: &[&Document], target: &Target, options: &Options) -> Target {
    let is_of_2 = files
        .iter()
        .any(|file| file.version().is_some_and(|version| version >= 3));
    let newest = || {
        let mut old = k0s::Release::all().filter(|release| release.regime == Regime::CriMerge);
        match target.release.regime {
            Regime::ImportsV3 if !is_of_2 => old.next_back(),
            _ => None,
        }
    };
    let Some(mut release) = options.running.clone().or_else(newest) else {
        return target.clone();
    };
    // A pause image that is stated for a known release is that of the k0s
    // configuration, which stays with the cluster.
    let is_of_cluster = target.stated.pause_image && target.fit == Match::Exact;
    if is_of_cluster && release.pause_image_is_configurable() {
        release.pause_image = target.release.pause_image.clone();
    }
    Target::of(release)
}

/// Whether a main file is k0s's own, so that k0s reads the drop-ins.
fn has_own(main: &Document, target: &Target) -> bool {
    let reads_drop_ins = target.release.regime != Regime::Monolith;
    reads_drop_ins && main.marker().is_managed_for(&target.release)
}

/// What k0s and containerd make of drop-ins.
fn assemble(set: &DropInSet<'_>, target: &Target) -> Option<Effective> {
    let parsed = k0s::parse_all(set).map(|parsed| {
        let (name, mut parsed) = parsed?;
        cut(&mut parsed.table, DEEPEST);
        Ok((name, parsed))
    });
    let image = target.pause_image();
    k0s::effective(&target.release, image, parsed).ok()
}

/// Whether containerd reads files of their config versions; it exits on one that
/// it does not know.
fn reads(files: &[&Document], target: &Target) -> bool {
    let highest = files.iter().filter_map(|file| file.version()).max();
    highest.is_none_or(|version| version <= target.containerd().config_version())
}

/// What containerd makes of files that k0s leaves alone.
fn load(files: &[&Document], target: &Target) -> Option<Effective> {
    let release = target.containerd();
    let reads = reads(files, target);
    let tables = files.iter().map(|file| {
        let mut table = file.to_table();
        cut(&mut table, DEEPEST);
        table
    });
    reads.then(|| Effective::load(release, tables))
}
