//! Image registries: what containerd tries to pull an image, by the settings
//! under `registry` and by `hosts.toml` files, and the way from the former to
//! the latter.
//!
//! [`endpoints`] lists what `registry.mirrors` and `registry.configs` lead to,
//! [`CertsD::endpoints`] what a tree of [`HostsToml`] files does. [`convert`]
//! makes such a tree of the settings, so that both lists are the same for every
//! registry host, and [`Conversion::check`] proves it.
//!
//! Credentials have no place in a `hosts.toml`: `configs.*.auth` stays where it
//! is and counts beside `config_path` (containerd 1.5 to 2.3).

mod adjust;
mod certs_d;
mod convert;
mod endpoint;
mod hosts_toml;
mod settings;
mod url;

pub use certs_d::{CertsD, endpoints_in};
pub use convert::{Conversion, ConvertedFile, Remark, RemarkKind, Unsound, convert};
pub use endpoint::{Capability, ClientCertificate, Endpoint, is_registry_host, same_pulls};
pub use hosts_toml::{Host, HostSettings, HostsToml, HostsTomlError};
pub use settings::{PullError, endpoints, hosts_named};
