//! From `registry.mirrors` and `registry.configs.*.tls` to a tree of
//! `hosts.toml` files that makes the same pulls.
//!
//! The list of endpoints that containerd tries for a registry host is written
//! down as it is: all but the last as hosts, the last as `server`. So the order
//! is kept, and so is whether the registry itself is asked at the end.

use std::collections::BTreeSet;
use std::fmt;

use super::adjust::adjusted;
use super::certs_d::{CertsD, DEFAULT, FILE, folder_of};
use super::compare::Comparison;
use super::endpoint::{Capability, Endpoint, is_registry_host, tried, upstream};
use super::hosts_toml::{Host, HostSettings, HostsToml};
use super::remark::{Remark, RemarkKind, mirror_of, tls_of};
use super::settings::{ANY, hosts_named, mirrored, urls};
use crate::config::Registry;
use crate::containerd::Release;
use crate::containerd::url::Url;
use crate::shown;

/// A `hosts.toml` that stands for some settings.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ConvertedFile {
    /// The registry host; `_default` for all that have no file.
    pub host: String,
    /// Its path below the directory, for instance `docker.io/hosts.toml`.
    pub path: String,
    /// What is in it.
    pub file: HostsToml,
    /// The settings that it stands for, by their paths below `registry`.
    pub sources: BTreeSet<Vec<String>>,
}

impl fmt::Debug for ConvertedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(|path| shown::names(path)).collect();
        f.debug_struct("ConvertedFile")
            .field("host", &shown::name(&self.host))
            .field("path", &shown::name(&self.path))
            .field("file", &self.file)
            .field("sources", &sources)
            .finish()
    }
}

/// A tree of `hosts.toml` files that stands for settings.
#[derive(Clone)]
#[non_exhaustive]
pub struct Conversion {
    /// The files, by path.
    pub files: Vec<ConvertedFile>,
    /// What [`diagnose`](super::diagnose()) says of the settings, and in what the
    /// files differ from them.
    pub remarks: Vec<Remark>,
    /// The settings without what the remarks say.
    settings: Registry,
    from: Release,
    /// The registry hosts that the settings name.
    hosts: Vec<String>,
}

impl fmt::Debug for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversion")
            .field("files", &self.files)
            .field("remarks", &self.remarks)
            .finish_non_exhaustive()
    }
}

/// The files do not make the pulls that the settings make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "images of {} would be pulled otherwise than before",
    shown::name(host)
)]
#[non_exhaustive]
pub struct Unsound {
    /// The registry host.
    pub host: String,
}

/// So many hosts may be written for each endpoint and name in the settings: an
/// endpoint for all hosts stands in every file that hides `_default`.
const MOST_HOSTS_EACH: usize = 20;

/// So many may be written in any case.
const FEW_HOSTS: usize = 10_000;

/// Beyond so many, the files may not be much larger than the settings.
const MANY_HOSTS: usize = 200_000;

/// So many may then still be written for each endpoint and name.
const LEAST_HOSTS_EACH: usize = 3;

/// The files would be out of proportion to the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoints for all hosts would be written more than {limit} times")]
pub struct TooLarge {
    limit: usize,
}

/// Converts the settings under `registry`, as containerd `from` understands
/// them, to files for containerd `to`, 1.6 or later.
///
/// `configs.*.auth`, `auths` and `headers` are not looked at: they stay.
///
/// ```
/// use containerd_dropins::{Config, Document};
/// use containerd_dropins::registry::{CertsD, convert};
///
/// let text = r#"
/// version = 2
/// [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
///   endpoint = ["https://mirror.example:5000"]
/// [plugins."io.containerd.grpc.v1.cri".registry.configs."mirror.example:5000".tls]
///   ca_file = "/etc/ssl/mirror.pem"
/// "#;
/// let config = Config::read(&Document::parse("containerd.toml", text.as_bytes())?);
/// let (from, to) = ("1.7.24".parse()?, "2.3.3".parse()?);
/// let conversion = convert(&config.plugins.cri.registry, from, to)?;
///
/// let paths: Vec<&str> = conversion.files.iter().map(|file| file.path.as_str()).collect();
/// assert_eq!(paths, ["docker.io/hosts.toml", "mirror.example_5000_/hosts.toml"]);
/// assert_eq!(conversion.files[0].file.to_toml(to), r#"server = "https://registry-1.docker.io"
///
/// [host."https://mirror.example:5000"]
/// ca = "/etc/ssl/mirror.pem"
/// capabilities = ["pull", "resolve", "referrers"]
/// "#);
///
/// let texts: Vec<_> = conversion.files.iter().map(|file| file.file.to_toml(to)).collect();
/// let files = conversion.files.iter().map(|file| file.path.as_str());
/// let certs_d = CertsD::new("/etc/k0s/containerd.d/certs.d", files.zip(texts.iter().map(String::as_str)));
/// conversion.check(&certs_d, to)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What the files differ in: a registry host on the node itself
/// (`localhost:5000`) that the settings do not name is tried with HTTPS first
/// as soon as there is a `config_path`, where mirrors mean plain HTTP only.
///
/// # Errors
/// If the files would be out of proportion to the settings.
pub fn convert(settings: &Registry, from: Release, to: Release) -> Result<Conversion, TooLarge> {
    let hosts = hosts_named(settings);
    let (settings, remarks) = adjusted(settings, from, to);
    let mut conversion = Conversion {
        files: Vec::new(),
        remarks,
        settings,
        from,
        hosts,
    };
    conversion.write(to)?;
    conversion.mark_unused();
    conversion.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(conversion)
}

impl Conversion {
    /// Writes the file for all hosts, and those of the hosts that need another.
    fn write(&mut self, to: Release) -> Result<(), TooLarge> {
        let any = self.settings.mirrors.get(ANY);
        if any.is_some()
            && let Ok(list) = mirrored(&self.settings, ANY, self.from)
            && !list.is_empty()
        {
            let tried = tried(&list);
            let file = file(&tried, None, to);
            let converted = self.converted(DEFAULT, &tried, file);
            self.files.push(converted);
        }
        let texts: Vec<String> = self
            .files
            .iter()
            .map(|file| file.file.to_toml(to))
            .collect();
        let files = self.files.iter().map(|file| file.path.as_str());
        let for_all = CertsD::of_all("", files.zip(texts.iter().map(String::as_str)));
        let comparison = Comparison::new(&self.settings, self.from, &for_all, to);
        let mirrors = self.settings.mirrors.values();
        let stated = self.hosts.len() + mirrors.map(|mirror| urls(mirror).count()).sum::<usize>();
        let in_proportion = stated.saturating_mul(MOST_HOSTS_EACH);
        let limit = in_proportion.clamp(FEW_HOSTS, MANY_HOSTS);
        let limit = limit.max(stated.saturating_mul(LEAST_HOSTS_EACH));
        let mut written = 0;
        let mut others = Vec::new();
        for name in &self.hosts {
            // Without errors, as those have been taken out.
            let Ok(before) = comparison.before(name) else {
                continue;
            };
            if comparison.is_same_after(name, &before) {
                continue;
            }
            written += before.len();
            if written > limit {
                return Err(TooLarge { limit });
            }
            others.push(name);
        }
        let file = |name: &String| {
            let before = comparison.before(name).ok()?;
            let list: Vec<&Endpoint> = before.iter().collect();
            let (last, hosts) = list.split_last()?;
            let file = file(hosts, Some((last, name)), to);
            Some(self.converted(name, &list, file))
        };
        let mut others = others.into_iter().filter_map(file).collect();
        self.files.append(&mut others);
        Ok(())
    }

    /// The file for a registry host that makes these tries, and what it stands for.
    fn converted(&self, host: &str, list: &[&Endpoint], file: HostsToml) -> ConvertedFile {
        let mut sources = BTreeSet::new();
        let mirrors = &self.settings.mirrors;
        let mirror = [host, ANY]
            .into_iter()
            .find(|name| mirrors.contains_key(*name));
        sources.extend(mirror.map(mirror_of));
        let secured = list.iter().filter(|endpoint| endpoint.has_tls_settings());
        sources.extend(secured.map(|endpoint| tls_of(&endpoint.host)));
        ConvertedFile {
            host: host.to_owned(),
            path: format!("{}/{FILE}", folder_of(host)),
            file,
            sources,
        }
    }

    /// Says which settings no file stands for, because containerd does the same
    /// without, or never looks at them.
    fn mark_unused(&mut self) {
        let used: BTreeSet<&Vec<String>> =
            self.files.iter().flat_map(|file| &file.sources).collect();
        let told = self.remarks.iter().filter(|remark| remark.kind.is_idle());
        let told: BTreeSet<&Vec<String>> = told.map(|remark| &remark.path).collect();
        let is_unused = |path: &Vec<String>| !used.contains(path) && !told.contains(path);
        let mut unused = Vec::new();
        let mirrors = self.settings.mirrors.keys().map(|name| mirror_of(name));
        for path in mirrors.filter(is_unused) {
            let message = "containerd asks the same without it";
            unused.push(Remark::new(path, RemarkKind::Redundant, message));
        }
        // What refused every pull did have an effect.
        let refusing = self
            .remarks
            .iter()
            .filter(|remark| remark.kind == RemarkKind::FirstEffect);
        let refusing: BTreeSet<&Vec<String>> = refusing.map(|remark| &remark.path).collect();
        let configs = self.settings.configs.keys().map(|host| tls_of(host));
        for path in configs.filter(|path| is_unused(path) && !refusing.contains(path)) {
            let message = "none of the endpoints that can be asked over TLS has this host";
            unused.push(Remark::new(path, RemarkKind::WithoutEffect, message));
        }
        let paths = unused.iter().map(|remark| remark.path.clone());
        let paths: BTreeSet<Vec<String>> = paths.chain(told.into_iter().cloned()).collect();
        self.remarks.retain(|remark| {
            remark.kind != RemarkKind::RelativePath || !paths.contains(&remark.path)
        });
        self.remarks.append(&mut unused);
    }

    /// Checks that a tree makes the same pulls as the settings, but for what
    /// the remarks say: for every registry host that either names, and for one
    /// that neither does.
    ///
    /// # Errors
    /// The first registry host for which it does not.
    pub fn check(&self, certs_d: &CertsD, to: Release) -> Result<(), Unsound> {
        let mut hosts: BTreeSet<String> = self.hosts.iter().cloned().collect();
        hosts.extend(certs_d.hosts().filter(|host| is_registry_host(host)));
        hosts.insert("named-nowhere.invalid".to_owned());
        let comparison = Comparison::new(&self.settings, self.from, certs_d, to);
        for host in hosts {
            if !comparison.is_same(&host).unwrap_or_default() {
                return Err(Unsound { host });
            }
        }
        Ok(())
    }
}

/// The file that leads to some hosts, and then to a last one for the images of
/// a registry host.
fn file(hosts: &[&Endpoint], last: Option<(&Endpoint, &str)>, to: Release) -> HostsToml {
    let mut file = HostsToml {
        hosts: Vec::with_capacity(hosts.len()),
        ..HostsToml::default()
    };
    let mirror: Vec<Capability> = Capability::of_mirrors(to).into_iter().collect();
    for endpoint in hosts {
        let (url, settings) = written(endpoint, mirror.clone());
        let mut host = Host::new(url);
        host.settings = settings;
        file.hosts.push(host);
    }
    if let Some((last, name)) = last {
        let is_registry_itself = last.host == upstream(name);
        let capabilities = if is_registry_itself {
            Vec::new()
        } else {
            mirror
        };
        let (server, settings) = written(last, capabilities);
        file.server = Some(server);
        file.settings = settings;
    }
    file
}

/// How a `hosts.toml` has an endpoint.
fn written(endpoint: &Endpoint, capabilities: Vec<Capability>) -> (String, HostSettings) {
    let path = match endpoint.path.as_str() {
        "/v2" => "",
        path => path,
    };
    let settings = HostSettings {
        capabilities,
        ca: endpoint.ca.clone(),
        client: endpoint.client.clone(),
        skip_verify: endpoint.skip_verify.then_some(true),
        override_path: !endpoint.path.ends_with("/v2"),
        ..HostSettings::default()
    };
    let url = Url::text(&endpoint.scheme, &endpoint.host, path);
    (url.unwrap_or_default(), settings)
}
