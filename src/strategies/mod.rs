//! Strategies of [proptest] 1: what this crate reads, made up, for property tests
//! of the crate and of tools that embed it. The feature is called `proptest1`,
//! after proptest's major version.
//!
//! Everything is made of the declarations of settings, so that what a release of
//! containerd has, a strategy makes. What the strategies make shrinks towards
//! files that a person would write to show the same: one setting, with a plain
//! value, in a file without a base.
//!
//! ```toml
//! [dev-dependencies]
//! containerd-dropins = { version = "0.1", features = ["proptest1"] }
//! proptest = "1"
//! ```
//!
//! A property of a tool that embeds the crate takes a few lines. proptest stops to
//! shrink after four steps for each case, which is too early for few cases: set
//! `max_shrink_iters`, too.
//!
//!
//! ```
//! use containerd_dropins::migrate::{Options, plan};
//! use containerd_dropins::strategies::{LegacyFiles, targets};
//! use proptest::prelude::*;
//!
//! let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
//! proptest!(config, |(file in LegacyFiles::new().strategy(), target in targets())| {
//!     let document = file.document();
//!     let plan = plan(&document, &[], &target, &Options::default());
//!     prop_assert!(plan.ledger.len() >= file.edits.len(), "{}", file.text);
//!     prop_assert!(plan.ledger.iter().all(|entry| !entry.reason.is_empty()));
//! });
//! ```
//!
//! | strategy | makes |
//! |---|---|
//! | [`LegacyFiles`] | files of every config version, sparse or edits of a default dump, that containerd starts with, or of any texts, or with a secret |
//! | [`DropInSets`] | drop-ins that set the same settings, so that precedence matters |
//! | [`settings()`], [`configs`] | one setting with a value; the typed model of a whole file |
//! | [`registries`], [`odd_registries`] | mirrors, TLS and credentials of registries |
//! | [`hosts_tomls`], [`hosts_toml_texts`], [`certs_ds`] | `hosts.toml` files, their odd notations, and trees of them |
//! | [`k0s_releases`], [`containerd_releases`], [`targets`] | releases, and what plans are made for |
//! | [`options`] | options of a migration |
//! | [`odd_files`], [`files_of_mixed_versions`] | settings where they do not belong |
//! | [`hostile_texts`], [`hostile_bytes`] | documents of any kind, most of which parse |
//!
//! [`LegacyFile`], [`DropInFiles`] and [`Edit`] are printed as a person would want to
//! read them, files as text: what is printed can be put into a file and tried. Of the
//! others a message of the assertion should say it:
//!
//! | value | what to print |
//! |---|---|
//! | `String`, as of [`hostile_texts`] | `"{text}"`; `Debug` escapes it |
//! | trees of [`certs_ds`] | the texts, for the same reason |
//! | [`Registry`](crate::config::Registry) | [`LegacyFile::of_registry`]; `Debug` hides credentials |
//! | [`Config`](crate::Config) | [`Config::to_toml`](crate::Config::to_toml) |
//! | [`HostsToml`](crate::registry::HostsToml) | [`to_toml`](crate::registry::HostsToml::to_toml); `Debug` hides headers |
//! | [`Target`](crate::migrate::Target) | its `release` |
//! | [`Value`](crate::value::Value) | [`exposed`](crate::value::Value::exposed); else both sides of an assertion are `<hidden>` |
//!
//! What a plan makes of an edit [`LegacyFile::entry`] finds, what is in effect in its
//! place [`Edit::value_in`], and which of several drop-ins has the last word
//! [`DropInFiles::winners`].
//!
//! [proptest]: https://docs.rs/proptest/1

mod drop_ins;
mod dumps;
mod edits;
mod files;
mod hostile;
mod plainest;
mod registry;
mod releases;
mod secrets;
mod settings;
mod shrink;
mod values;

pub use drop_ins::{DropInFiles, DropInSets};
pub use files::{LegacyFile, LegacyFiles, configs, settings};
pub use hostile::{files_of_mixed_versions, hostile_bytes, hostile_texts, odd_files};
pub use registry::{certs_ds, hosts_toml_texts, hosts_tomls, odd_registries, registries};
pub use releases::{
    containerd_releases, k0s_releases, k0s_releases_of, options, targets, targets_of,
};
pub use settings::Edit;
