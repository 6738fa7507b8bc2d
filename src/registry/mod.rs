//! Image registries: what containerd tries to pull an image, by the settings
//! under `registry` and by `hosts.toml` files, and the way from the former to
//! the latter.
//!
//! [`endpoints`] lists what `registry.mirrors` and `registry.configs` lead to,
//! [`CertsD::endpoints`] what a tree of [`HostsToml`] files does. [`convert()`]
//! makes such a tree of the settings, so that both lists are the same for every
//! registry host, and [`Conversion::check`] proves it.
//!
//! [`diagnose()`] tells of settings that do not do what they say, and
//! [`unneeded_mirrors`] of mirrors without which the same is asked.
//!
//! Credentials have no place in a `hosts.toml`: `configs.*.auth` stays where it
//! is and counts beside `config_path` (containerd 1.5 to 2.3).
//!
//! A migration keeps these settings where the target honours them in full, and
//! converts them where it does not, or where it is
//! [asked](crate::migrate::Options::registry) to:
//!
//! ```
//! use containerd_dropins::Document;
//! use containerd_dropins::migrate::{Options, RegistryPolicy, Target, plan};
//!
//! let legacy = r#"
//! version = 2
//! [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
//!   endpoint = ["https://mirror.example.com"]
//! [plugins."io.containerd.grpc.v1.cri".registry.configs."registry.example.com".auth]
//!   username = "robot"
//!   password = "not-a-real-password"
//! "#;
//! let legacy = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes())?;
//! let convert = Options::default().registry(RegistryPolicy::Convert);
//!
//! // Both releases honour mirrors and credentials in a drop-in.
//! for (release, section) in [
//!     ("v1.30.4+k0s.0", "io.containerd.grpc.v1.cri"),
//!     ("v1.36.3+k0s.2", "io.containerd.cri.v1.images"),
//! ] {
//!     let target = Target::find(release)?;
//!     let kept = plan(&legacy, &[], &target, &Options::default());
//!     assert!(kept.is_sound() && kept.hosts_files.is_empty());
//!     assert!(kept.drop_ins[0].sensitive);
//!     assert_eq!(kept.drop_ins[0].redacted_text(), format!(r#"# Written by containerd-dropins: what /etc/k0s/containerd.toml held about registries.
//! version = {}
//!
//! [plugins."{section}".registry.configs."registry.example.com".auth]
//! username = "<hidden> (string, 5 characters)"
//! password = "<hidden> (string, 19 characters)"
//!
//! [plugins."{section}".registry.mirrors."docker.io"]
//! endpoint = ["https://mirror.example.com"]
//! "#, if release.starts_with("v1.36") { 3 } else { 2 }));
//!
//!     // Asked to convert, the mirror goes; the credentials stay.
//!     let converted = plan(&legacy, &[], &target, &convert);
//!     assert!(converted.is_sound());
//!     assert!(converted.drop_ins[0].text().contains("config_path = \"/etc/k0s/containerd.d/certs.d\""));
//!     assert!(converted.drop_ins[0].text().contains("not-a-real-password"));
//!     assert!(!converted.drop_ins[0].text().contains("mirrors"));
//!     assert_eq!(converted.hosts_files[0].path, "/etc/k0s/containerd.d/certs.d/docker.io/hosts.toml");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adjust;
mod certs_d;
mod compare;
mod convert;
mod diagnose;
mod endpoint;
mod fault;
mod hosts_toml;
mod remark;
mod settings;
mod unneeded;

pub use certs_d::{CertsD, endpoints_in};
pub use convert::{Conversion, ConvertedFile, TooLarge, Unsound, convert};
pub use diagnose::diagnose;
pub use endpoint::{Capability, ClientCertificate, Endpoint, is_registry_host, same_pulls};
#[cfg(feature = "proptest1")]
pub(crate) use hosts_toml::DIAL_TIMEOUT;
pub(crate) use hosts_toml::is_host_setting;
pub use hosts_toml::{Host, HostSettings, HostsToml, HostsTomlError};
pub use remark::{Remark, RemarkKind};
pub use settings::{PullError, endpoints, hosts_named};
pub use unneeded::unneeded_mirrors;
