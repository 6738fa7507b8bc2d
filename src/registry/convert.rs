//! From `registry.mirrors` and `registry.configs.*.tls` to a tree of
//! `hosts.toml` files that makes the same pulls.
//!
//! The list of endpoints that containerd tries for a registry host is written
//! down as it is: all but the last as hosts, the last as `server`. So the order
//! is kept, and so is whether the registry itself is asked at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::certs_d::{CertsD, DEFAULT, FILE, absolute, folder_of};
use super::endpoint::{Capability, Endpoint, is_registry_host, same_pulls, upstream};
use super::hosts_toml::{Host, HostSettings, HostsToml};
use super::settings::{self, ANY, endpoints, hosts_named, is_set, is_upstream, says_anything};
use super::url::{Url, clean, is_localhost};
use crate::config::{Mirror, Registry};
use crate::containerd::Release;
use crate::containerd::releases::V1_6;
use crate::write;

/// A `hosts.toml` that stands for some settings.
#[derive(Clone, Debug, PartialEq)]
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

/// What a conversion changes, or cannot keep.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Remark {
    /// The setting, by its path below `registry`.
    pub path: Vec<String>,
    /// Its nature.
    pub kind: RemarkKind,
    /// One sentence.
    pub message: String,
}

/// The nature of a [`Remark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemarkKind {
    /// containerd never looks at the setting. It is left out.
    WithoutEffect,
    /// It kept pulls from working, which they do from now on.
    FirstEffect,
    /// The path of a file had to be made absolute.
    RelativePath,
    /// It cannot be converted. It is left out.
    Refused,
}

/// A tree of `hosts.toml` files that stands for settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conversion {
    /// The files, by path.
    pub files: Vec<ConvertedFile>,
    /// In what the files differ from the settings.
    pub remarks: Vec<Remark>,
    /// The settings without what the remarks say.
    settings: Registry,
    from: Release,
    /// The registry hosts that the settings name.
    hosts: Vec<String>,
}

/// The files do not make the pulls that the settings make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("images of {host} would be pulled otherwise than before")]
#[non_exhaustive]
pub struct Unsound {
    /// The registry host.
    pub host: String,
}

/// Where containerd's relative paths start under k0s, which runs it in its
/// data directory.
const WORKING_DIRECTORY: &str = "/var/lib/k0s";

/// More hosts than this, in all files together, are not written.
const MOST_HOSTS: usize = 1_000_000;

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
/// let conversion = convert(&config.plugins.cri.registry, from, to);
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
pub fn convert(settings: &Registry, from: Release, to: Release) -> Conversion {
    let hosts = hosts_named(settings);
    let (settings, mut remarks) = adjusted(settings, from, to);
    let mut names: BTreeSet<&str> = settings.mirrors.keys().map(String::as_str).collect();
    let any = names.remove(ANY);
    let any_hosts: Vec<String> = match settings.mirrors.get(ANY) {
        Some(mirror) => urls(mirror).map(|url| url.host).collect(),
        None => Vec::new(),
    };
    // An endpoint for all hosts is the last for its own images.
    names.extend(any_hosts.iter().map(String::as_str));
    for host in settings.configs.keys().filter(|_| !from.is_2()) {
        names.insert(host);
        if host == upstream("docker.io") {
            names.insert("docker.io");
        }
    }
    // With a `config_path`, HTTPS is tried first where no file says otherwise.
    names.extend(
        hosts
            .iter()
            .map(String::as_str)
            .filter(|host| is_localhost(host)),
    );
    let own = |name: &&str| settings.mirrors.contains_key(*name);
    if names
        .iter()
        .filter(|name| !own(name))
        .count()
        .saturating_mul(any_hosts.len())
        > MOST_HOSTS
    {
        names.retain(own);
        remarks.push(Remark {
            path: vec!["mirrors".to_owned(), ANY.to_owned()],
            kind: RemarkKind::Refused,
            message: "there are too many endpoints for all hosts".to_owned(),
        });
    }
    let mut files = BTreeMap::new();
    let mut add = |host: &str, folder: String, list: Vec<Endpoint>, is_named: bool| {
        let mut sources = BTreeSet::new();
        let mirror = if settings.mirrors.contains_key(host) {
            host
        } else {
            ANY
        };
        if settings.mirrors.contains_key(mirror) {
            sources.insert(vec!["mirrors".to_owned(), mirror.to_owned()]);
        }
        let secured = list.iter().filter(|endpoint| *endpoint != &bare(endpoint));
        sources.extend(secured.map(|endpoint| {
            vec![
                "configs".to_owned(),
                endpoint.host.clone(),
                "tls".to_owned(),
            ]
        }));
        let file = file(list, is_named, folder == DEFAULT, to);
        let path = format!("{folder}/{FILE}");
        files.insert(
            path.clone(),
            ConvertedFile {
                host: folder_name(host),
                path,
                file,
                sources,
            },
        );
    };
    for name in names.into_iter().filter(|name| is_registry_host(name)) {
        // Without errors, as those have been taken out.
        let Ok(list) = endpoints(&settings, name, from) else {
            continue;
        };
        let mirror = settings.mirrors.get(name).or(settings.mirrors.get(ANY));
        let is_named = mirror.is_some_and(|mirror| urls(mirror).any(|url| url.host == name));
        let differs = settings.mirrors.contains_key(name)
            || is_named
            || is_localhost(name)
            || list
                .iter()
                .any(|endpoint| endpoint.host == upstream(name) && *endpoint != bare(endpoint));
        if differs {
            add(name, folder_of(name), list, is_named);
        }
    }
    if any && let Ok(mut list) = endpoints(&settings, ANY, from) {
        // The last is what the name would lead to.
        list.pop();
        add(ANY, DEFAULT.to_owned(), list, false);
    }
    Conversion {
        files: files.into_values().collect(),
        remarks,
        settings,
        from,
        hosts,
    }
}

impl Conversion {
    /// Checks that a tree makes the same pulls as the settings, but for what
    /// the remarks say: for every registry host that either names, and for one
    /// that neither does.
    ///
    /// # Errors
    /// The first registry host for which it does not.
    pub fn check(&self, certs_d: &CertsD, to: Release) -> Result<(), Unsound> {
        let mut hosts: BTreeSet<String> = self.hosts.iter().cloned().collect();
        hosts.extend(
            self.files
                .iter()
                .map(|file| file.host.clone())
                .filter(|host| is_registry_host(host)),
        );
        hosts.insert("named-nowhere.invalid".to_owned());
        for host in hosts {
            let before = endpoints(&self.settings, &host, self.from);
            let after = certs_d.endpoints(&host, to);
            if !before.is_ok_and(|before| same_pulls(&before, &after)) {
                return Err(Unsound { host });
            }
        }
        Ok(())
    }
}

/// What a file is called by the registry host.
fn folder_name(host: &str) -> String {
    match host {
        ANY => DEFAULT.to_owned(),
        host => host.to_owned(),
    }
}

/// The endpoints of a mirror that are URLs.
fn urls(mirror: &Mirror) -> impl Iterator<Item = Url> {
    let texts = mirror.endpoint.iter().flatten();
    texts.filter_map(|text| settings::read(text))
}

/// An endpoint without TLS settings.
fn bare(endpoint: &Endpoint) -> Endpoint {
    Endpoint::new(
        &endpoint.scheme,
        &endpoint.host,
        &endpoint.path,
        endpoint.capabilities.clone(),
    )
}

/// The file that leads to a list of endpoints. The last of them is the registry
/// itself, unless an endpoint has its name.
fn file(mut list: Vec<Endpoint>, is_named: bool, is_default: bool, to: Release) -> HostsToml {
    let mut file = HostsToml::default();
    let last = if is_default { None } else { list.pop() };
    let mirror: Vec<Capability> = Capability::of_mirrors(to).into_iter().collect();
    let mut seen = BTreeSet::new();
    for endpoint in list {
        let (url, settings) = written(&endpoint, mirror.clone());
        // A second try is none.
        if seen.insert(url.clone()) {
            let mut host = Host::new(url);
            host.settings = settings;
            file.hosts.push(host);
        }
    }
    if let Some(last) = last {
        let capabilities = if is_named { mirror } else { Vec::new() };
        let (server, settings) = written(&last, capabilities);
        file.server = Some(server);
        file.settings = settings;
    }
    file
}

/// How a `hosts.toml` has an endpoint.
fn written(endpoint: &Endpoint, capabilities: Vec<Capability>) -> (String, HostSettings) {
    let mut settings = HostSettings::default();
    settings.capabilities = capabilities;
    settings.ca = endpoint.ca.clone();
    settings.client = endpoint.client.clone();
    settings.skip_verify = endpoint.skip_verify.then_some(true);
    let path = match endpoint.path.as_str() {
        "/v2" => "",
        path => path,
    };
    settings.override_path = !endpoint.path.ends_with("/v2");
    let url = Url::text(&endpoint.scheme, &endpoint.host, path);
    (url.unwrap_or_default(), settings)
}

/// The settings that can be converted, and what is to be said of the others.
fn adjusted(settings: &Registry, from: Release, to: Release) -> (Registry, Vec<Remark>) {
    let mut adjusted = Registry::default();
    let mut remarks = Vec::new();
    for (name, mirror) in settings.mirrors.iter() {
        let mut remark = |kind, message: String| {
            let path = vec!["mirrors".to_owned(), name.clone()];
            remarks.push(Remark {
                path,
                kind,
                message,
            });
        };
        if name != ANY && !is_registry_host(name) {
            let message = format!(
                "no image is of a registry host {name:?}, so containerd never asks for its mirrors"
            );
            remark(RemarkKind::WithoutEffect, message);
            continue;
        }
        let mut endpoint = Vec::new();
        let mut refused = None;
        for text in mirror.endpoint.iter().flatten() {
            match usable(text, to) {
                Ok((url, None)) => endpoint.push(url),
                Ok((url, Some((kind, message)))) => {
                    remark(kind, message.to_owned());
                    endpoint.extend((kind != RemarkKind::WithoutEffect).then_some(url));
                }
                Err(message) => refused = Some(message),
            }
        }
        match refused {
            Some(message) => remark(RemarkKind::Refused, message.to_owned()),
            None => {
                let mut mirror = Mirror::default();
                mirror.endpoint = Some(endpoint);
                adjusted.mirrors.insert(name.clone(), mirror);
            }
        }
    }
    secured(settings, &mut adjusted, from, &mut remarks);
    (adjusted, remarks)
}

/// An endpoint in full, with what there is to say of it.
type Usable = (String, Option<(RemarkKind, &'static str)>);

fn usable(text: &str, to: Release) -> Result<Usable, &'static str> {
    let Some(url) = settings::read(text) else {
        return Err(
            "an endpoint is no URL, because of which containerd refuses every pull of such an image",
        );
    };
    let Url { scheme, host, path } = &url;
    if host.is_empty() || !matches!(scheme.as_str(), "http" | "https") {
        let message = "containerd can ask an endpoint only over http or https, and at a host; one that is otherwise is left out";
        return Ok((text.to_owned(), Some((RemarkKind::WithoutEffect, message))));
    }
    let cleaned = clean(path);
    let is_slash = !path.is_empty() && cleaned == "/";
    if !cleaned.ends_with("/v2") && cleaned != "/" && to < V1_6 {
        return Err(
            "containerd before 1.6 has no override_path, which the path of an endpoint needs",
        );
    }
    let path = if cleaned == "/" { "" } else { cleaned.as_str() };
    let text = Url::text(scheme, host, path).filter(|text| write::is_portable_key(text));
    let text = text.ok_or("an endpoint has characters that a hosts.toml cannot have")?;
    let message = "because of the slash at its end, containerd asked an endpoint without /v2, where no registry answers; from now on it is asked as it should be";
    Ok((text, is_slash.then_some((RemarkKind::FirstEffect, message))))
}

/// Takes the TLS settings over.
fn secured(settings: &Registry, adjusted: &mut Registry, from: Release, remarks: &mut Vec<Remark>) {
    // By host, whether it is ever asked over HTTPS.
    let mut asked: BTreeMap<String, bool> = BTreeMap::new();
    for url in adjusted.mirrors.values().flat_map(urls) {
        *asked.entry(url.host).or_default() |= url.scheme == "https";
    }
    let configs = settings.configs.iter();
    for (host, config) in configs.filter(|(_, config)| says_anything(&config.tls)) {
        let mut remark = |kind, message: String| {
            let path = ["configs", host, "tls"].map(str::to_owned).to_vec();
            remarks.push(Remark {
                path,
                kind,
                message,
            });
        };
        if from.is_2() {
            remark(
                RemarkKind::WithoutEffect,
                "containerd 2.x does not read it".to_owned(),
            );
            continue;
        }
        let mut tls = config.tls.clone();
        let is_asked = asked.contains_key(host) || is_upstream(host);
        let half = is_set(&tls.cert_file) != is_set(&tls.key_file);
        if half {
            (tls.cert_file, tls.key_file) = (None, None);
        }
        if half && is_asked {
            let message = "of a client certificate and its key only one is set, because of which containerd refused every pull that leads here; it is left out";
            remark(RemarkKind::FirstEffect, message.to_owned());
        } else if !is_upstream(host) && asked.get(host) != Some(&true) {
            let message =
                format!("containerd asks no host {host:?} over https, so it never looks at this");
            remark(RemarkKind::WithoutEffect, message);
            continue;
        }
        let files = [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file];
        for file in files
            .into_iter()
            .flatten()
            .filter(|file| !file.is_empty() && !file.starts_with('/'))
        {
            let full = absolute(WORKING_DIRECTORY, file);
            let message = format!(
                "{file} starts from the directory in which k0s runs containerd, which makes it {full} unless k0s has another data directory"
            );
            remark(RemarkKind::RelativePath, message);
            *file = full;
        }
        if says_anything(&tls) {
            adjusted.configs.entry(host.clone()).or_default().tls = tls;
        }
    }
}
