//! Turns a legacy, user-managed k0s `containerd.toml` into the smallest set of
//! drop-ins that keeps what the user really changed, and proves it; and carries
//! drop-ins over to k0s 1.36, which wants another config version.
//!
//! k0s writes `/etc/k0s/containerd.toml` itself since 1.27.1 and reads the
//! user's part from `/etc/k0s/containerd.d/*.toml`. A legacy file left in
//! place switches all of k0s's defaults off, without a word: containerd falls
//! back to its own sandbox image, and on an air-gapped node no pod starts.
//!
//! ```
//! use containerd_dropins::Document;
//! use containerd_dropins::migrate::{Options, Target, plan};
//!
//! let legacy = r#"
//! version = 2
//! root = "/var/lib/k0s/containerd"
//! [plugins."io.containerd.grpc.v1.cri"]
//!   sandbox_image = "registry.k8s.io/pause:3.6" # from `config default`, years ago
//!   ## the registry is slow
//!   max_concurrent_downloads = 2
//! "#;
//! let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes())?;
//! let plan = plan(&document, &[], &Target::find("v1.30.4+k0s.0")?, &Options::default());
//!
//! assert!(plan.is_sound());
//! assert_eq!(plan.drop_ins[0].name, "20-cri.toml");
//! assert_eq!(plan.drop_ins[0].text(), r#"# Written by containerd-dropins: what /etc/k0s/containerd.toml held about the CRI plugin.
//! version = 2
//!
//! [plugins."io.containerd.grpc.v1.cri"]
//! ## the registry is slow
//! max_concurrent_downloads = 2
//! "#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of the data
//!
//! 1. [`Document`]: bytes become a parse tree in which every key has its
//!    place; the config version and k0s's marker are read.
//! 2. [`Config`]: the typed model, and with it the one declaration of every
//!    setting: type, default by containerd release, life span, place by config
//!    version.
//! 3. [`containerd`] and [`k0s`]: what the releases assume, inject, merge and
//!    load.
//! 4. [`migrate`]: origin, edits, conversion, split: the [`Plan`].
//! 5. [`registry`]: mirrors and TLS settings as `hosts.toml` files, where the
//!    target asks for them, and both as the list of endpoints that are tried.
//! 6. Verification: the emitted text is parsed again, put together as k0s
//!    does, loaded as containerd does, and compared with what was wanted, key
//!    by key. A plan that does not hold says so and is not
//!    [sound](migrate::Plan::is_sound).
//!
//! [`airgap`] tells whether the bundle of an air-gapped node holds the sandbox
//! image that the plan leads to.
//!
//! [`Plan`]: migrate::Plan
//!
//! # Scope
//!
//! The library reads and writes no file, environment, clock or network: texts
//! and values in, texts and values out. The example program `migrate` does the
//! rest.
//!
//! Config versions 1 to 4 are read. Drop-ins are written for k0s on Linux, of
//! config version 2 for 1.27.5 to 1.35 and of version 3 for 1.36 and later. k0s
//! 1.27.1 to 1.27.4 can hold some settings only, what they cannot is said; up to
//! 1.26 there are no drop-ins.
//!
//! # Limitations
//!
//! - `hosts.toml` files that are on the node already are not looked at: mirrors
//!   and TLS settings beside a `config_path` of the user's own are not merged
//!   into them.
//! - What containerd refuses because of the machine is not known: its kernel,
//!   files that are not there, a snapshotter whose file system is missing.
//! - The node's architecture is not known. Where `check_platform_supported` makes
//!   it matter, pulls are left to CRI itself, which does not ask.
//! - Comments travel with the key or table that they stand above or behind;
//!   those of keys that are dropped, and at the end of the file, do not.
//! - A file must be TOML 1.0 (or 1.1). go-toml 1.9, containerd's parser, reads
//!   some texts that are not, for instance a table that is defined twice in two
//!   spellings; they are refused, with a place.
//! - `spec.images` of the k0s configuration is not looked at: the sandbox image
//!   that k0s injects is taken to be the one it was built with, unless
//!   [`Target::with_pause_image`](migrate::Target::with_pause_image) says which
//!   it is.
//!
//! # Minimum supported Rust version
//!
//! 1.88.
#![forbid(unsafe_code)]

pub mod airgap;
pub mod config;
pub mod containerd;
pub mod diagnostic;
mod document;
pub mod k0s;
pub mod migrate;
pub mod registry;
mod shown;
#[cfg(feature = "proptest1")]
pub mod strategies;
pub mod value;
mod verify;
mod write;

pub use config::Config;
pub use document::{
    Document, Exceeded, Limits, MAX_CONFIG_VERSION, ParseError, ParseErrorKind, Size, Unit,
};
pub use value::{Exposed, Value};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
