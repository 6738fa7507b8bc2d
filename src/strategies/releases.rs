//! Releases, targets and options.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use crate::containerd;
use crate::containerd::releases::V1_2;
use crate::k0s::{self, Regime};
use crate::migrate::{Options, RegistryPolicy, SandboxImage, Target};

/// Releases of containerd whose settings are known: those that k0s carries, and
/// the first and the last of each line.
pub fn containerd_releases() -> impl Strategy<Value = containerd::Release> {
    let mut all: BTreeSet<containerd::Release> = k0s::Release::all()
        .map(|release| release.containerd)
        .collect();
    all.insert(V1_2);
    for last in containerd::LAST_OF_LINES
        .iter()
        .filter(|last| last.is_known())
    {
        let (major, minor) = last.line();
        all.insert(*last);
        let first = containerd::Release::new(major, minor, 0);
        all.extend(Some(first).filter(|first| first.is_known()));
    }
    select(all.into_iter().collect::<Vec<_>>())
}

/// All known releases of k0s.
pub fn k0s_releases() -> impl Strategy<Value = k0s::Release> {
    select(k0s::Release::all().collect::<Vec<_>>())
}

/// The known releases of k0s that treat drop-ins in one way.
pub fn k0s_releases_of(regime: Regime) -> impl Strategy<Value = k0s::Release> {
    let of_it = |release: &k0s::Release| release.regime == regime;
    select(k0s::Release::all().filter(of_it).collect::<Vec<_>>())
}

/// Targets: each way of treating drop-ins is as likely as the others. Those up to k0s
/// 1.26 ([`Regime::Monolith`]) have no drop-ins, so that
/// [`assemble`](k0s::assemble()) has nothing for them: a property of what is in effect
/// assumes another, or takes [`targets_of`].
pub fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        targets_of(Regime::CriMerge),
        targets_of(Regime::ImportsV3),
        targets_of(Regime::CriAppend),
        targets_of(Regime::Monolith),
    ]
}

/// Targets that treat drop-ins in one way.
pub fn targets_of(regime: Regime) -> impl Strategy<Value = Target> {
    k0s_releases_of(regime).prop_map(Target::of)
}

/// Options of a migration.
pub fn options() -> impl Strategy<Value = Options> {
    let registry = select(vec![
        RegistryPolicy::Auto,
        RegistryPolicy::Keep,
        RegistryPolicy::Convert,
    ]);
    let image = select(vec![
        SandboxImage::Auto,
        SandboxImage::Keep,
        SandboxImage::Drop,
    ]);
    (registry, image)
        .prop_map(|(registry, image)| Options::default().registry(registry).sandbox_image(image))
}
