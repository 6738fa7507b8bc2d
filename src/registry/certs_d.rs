//! A tree of `hosts.toml` files, as `registry.config_path` names one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::convert::Conversion;
use super::endpoint::{Capability, ClientCertificate, Endpoint, upstream};
use super::hosts_toml::{self, HostSettings, HostsTomlError, Read};
use crate::containerd::Release;
use crate::containerd::releases::V1_6;
use crate::containerd::url::{Url, clean, is_localhost, split_port};
use crate::{Limits, Size};

/// The directory for registry hosts that have none of their own.
pub(super) const DEFAULT: &str = "_default";

/// The file in the directory of a registry host.
pub(super) const FILE: &str = "hosts.toml";

/// The first releases that try HTTPS first where plain HTTP is asked for and
/// TLS configured.
const HTTPS_FIRST: [Release; 2] = [Release::new(1, 6, 25), Release::new(1, 7, 7)];

/// A directory with a folder for each registry host.
///
/// ```
/// use containerd_dropins::registry::CertsD;
///
/// let docker = r#"
/// server = "https://registry-1.docker.io"
/// [host."https://mirror.example"]
///   capabilities = ["pull", "resolve"]
/// "#;
/// let certs_d = CertsD::new("/etc/containerd/certs.d", [("docker.io/hosts.toml", docker)]);
/// let endpoints = certs_d.endpoints("docker.io", "2.1.9".parse()?);
/// let urls: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
/// assert_eq!(urls, ["https://mirror.example/v2", "https://registry-1.docker.io/v2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct CertsD {
    /// The path of the directory, without a slash at its end.
    root: String,
    folders: BTreeMap<String, Folder>,
}

/// What is told of one registry host.
#[derive(Clone, Default)]
struct Folder {
    /// The file; none where it is empty or missing.
    hosts: Option<Result<Read, HostsTomlError>>,
    /// Other files, by name.
    others: BTreeSet<String>,
}

impl fmt::Debug for CertsD {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertsD")
            .field("root", &self.root)
            .field("folders", &self.folders.keys())
            .finish_non_exhaustive()
    }
}

impl CertsD {
    /// The directory at `root` that holds these files, by their paths below it
    /// (`docker.io/hosts.toml`). Of Docker's certificate files (`*.crt`,
    /// `*.cert`, `*.key`) only the names matter. A folder without files, which
    /// hides others all the same, has a path that ends in `/`.
    ///
    /// A file with which all of them are more than the default [`Limits`] let pass
    /// is not read; [`CertsD::errors`] tells it.
    pub fn new<'f>(root: &str, files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        Self::within(root, files, Limits::default())
    }

    /// The same with other limits.
    pub fn within<'f>(
        root: &str,
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        limits: Limits,
    ) -> Self {
        let mut size = Size::default();
        let read = |text: &str| {
            let fits = limits.admit_more(&mut size, text);
            fits.map_err(HostsTomlError::TooLarge)?;
            hosts_toml::read(text)
        };
        Self::by(root, files, read)
    }

    /// The same for files of whatever size: what they were made of has been let in.
    pub(crate) fn of_all<'f>(
        root: &str,
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Self {
        Self::by(root, files, hosts_toml::read)
    }

    fn by<'f>(
        root: &str,
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        mut read: impl FnMut(&str) -> Result<Read, HostsTomlError>,
    ) -> Self {
        let mut certs_d = CertsD {
            root: root.trim_end_matches('/').to_owned(),
            ..CertsD::default()
        };
        for (path, text) in files {
            let Some((folder, name)) = path.split_once('/') else {
                continue;
            };
            let folder = certs_d.folders.entry(folder.to_owned()).or_default();
            match name {
                FILE => folder.hosts = (!text.is_empty()).then(|| read(text)),
                name => drop(folder.others.insert(name.to_owned())),
            }
        }
        certs_d
    }

    /// The tree at `root` that a conversion makes, as its files are written for a
    /// release. [`Conversion::check`] takes it.
    ///
    /// ```
    /// use containerd_dropins::config::{Mirror, Registry};
    /// use containerd_dropins::registry::{CertsD, convert};
    ///
    /// let mut mirror = Mirror::default();
    /// mirror.endpoint = Some(vec!["https://mirror.example".to_owned()]);
    /// let mut settings = Registry::default();
    /// settings.mirrors.insert("docker.io".to_owned(), mirror);
    ///
    /// let (from, to) = ("1.7.24".parse()?, "2.3.3".parse()?);
    /// let conversion = convert(&settings, from, to)?;
    /// let tree = CertsD::of_conversion("/etc/certs.d", &conversion, to);
    /// conversion.check(&tree, to)?;
    /// assert_eq!(tree.endpoints("docker.io", to)[0].to_string(), "https://mirror.example/v2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_conversion(root: &str, conversion: &Conversion, release: Release) -> Self {
        let files = conversion.files.iter();
        let texts: Vec<(&str, String)> = files
            .map(|file| (file.path.as_str(), file.file.to_toml(release)))
            .collect();
        let texts = texts.iter();
        Self::of_all(root, texts.map(|(path, text)| (*path, text.as_str())))
    }

    /// The files that containerd ignores, and why.
    pub fn errors(&self) -> impl Iterator<Item = (String, &HostsTomlError)> {
        self.folders
            .iter()
            .filter_map(|(name, folder)| match &folder.hosts {
                Some(Err(error)) => Some((format!("{name}/{FILE}"), error)),
                _ => None,
            })
    }

    /// The endpoints that containerd tries for images of a registry host, in
    /// this order.
    ///
    /// - Of `HOST_PORT_`, `HOST:PORT` and `_default` the first folder that is
    ///   there counts, and it alone.
    /// - The hosts of its `hosts.toml` come first, in the order of the file,
    ///   then `server`, or what the name of the registry host leads to.
    /// - A file that a release cannot read is ignored as a whole.
    ///
    /// By containerd 1.5 to 2.3 (`remotes/docker/config`).
    pub fn endpoints(&self, host: &str, release: Release) -> Vec<Endpoint> {
        let Some((name, folder)) = self.folder(host) else {
            return vec![by_default(host, release)];
        };
        let base = format!("{}/{name}", self.root);
        let read = folder.hosts.as_ref().and_then(|read| read.as_ref().ok());
        let read = read.and_then(|read| by_hosts_toml(read, &base, host, release));
        read.unwrap_or_else(|| vec![by_certificates(&folder.others, &base, host, release)])
    }

    /// The folder that counts for a registry host.
    fn folder(&self, host: &str) -> Option<(&String, &Folder)> {
        folders_of(host).find_map(|name| self.folders.get_key_value(&name))
    }

    /// What the file in `_default` says about all registry hosts that lead to it:
    /// the endpoints in front of the last.
    pub(super) fn for_all(&self, release: Release) -> Option<Vec<Endpoint>> {
        let (base, read) = self.default_file()?;
        hosts_of(read, &base, release)
    }

    /// The last endpoint for a registry host that leads to the file in `_default`.
    pub(super) fn last_for_all(&self, host: &str, release: Release) -> Option<Endpoint> {
        self.folder(host).filter(|(name, _)| *name == DEFAULT)?;
        let (base, read) = self.default_file()?;
        last_of(read, &base, host, release)
    }

    fn default_file(&self) -> Option<(String, &Read)> {
        let read = self.folders.get(DEFAULT)?.hosts.as_ref()?.as_ref().ok()?;
        Some((format!("{}/{DEFAULT}", self.root), read))
    }

    /// The hosts for which there are folders, whether images can be of them or not.
    pub(super) fn hosts(&self) -> impl Iterator<Item = String> {
        self.folders.keys().map(|folder| host_of(folder))
    }

    /// Whether a registry host has a folder, `_default` included.
    fn has(&self, host: &str) -> bool {
        folders_of(host).any(|name| self.folders.contains_key(&name))
    }
}

/// The endpoints by all directories of a `config_path`: the first that has a
/// folder for the host, even if that is `_default`, decides alone.
///
/// From containerd 2.1 on this is so only where CRI pulls by itself: the transfer
/// service takes several directories for one, which is not there.
pub fn endpoints_in(roots: &[CertsD], host: &str, release: Release) -> Vec<Endpoint> {
    match roots.iter().find(|root| root.has(host)) {
        Some(root) => root.endpoints(host, release),
        None => vec![by_default(host, release)],
    }
}

/// Without any folder.
fn by_default(host: &str, release: Release) -> Endpoint {
    Asked::by_name(host, &HostSettings::default(), release).endpoint("", release)
}

/// The folder to write for a registry host: the one that containerd looks for
/// first. Part of a path, it must not be taken from what is no host.
pub(super) fn folder_of(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() => format!("{name}_{port}_"),
        _ => host.to_owned(),
    }
}

/// The host that a folder is for.
fn host_of(folder: &str) -> String {
    let parts = folder.strip_suffix('_');
    match parts.and_then(|parts| parts.rsplit_once('_')) {
        Some((name, port)) if !name.is_empty() => format!("{name}:{port}"),
        _ => folder.to_owned(),
    }
}

/// The folders in which containerd looks, in this order.
fn folders_of(host: &str) -> impl Iterator<Item = String> {
    let first = Some(folder_of(host)).filter(|folder| folder != host);
    first
        .into_iter()
        .chain([host.to_owned(), DEFAULT.to_owned()])
}

/// The endpoints of a file, and the last of them for a registry host. `None`
/// where the release cannot read the file.
fn by_hosts_toml(read: &Read, base: &str, host: &str, release: Release) -> Option<Vec<Endpoint>> {
    let mut list = hosts_of(read, base, release)?;
    list.push(last_of(read, base, host, release)?);
    Some(list)
}

/// The endpoints that a file has for whatever registry host leads to it.
fn hosts_of(read: &Read, base: &str, release: Release) -> Option<Vec<Endpoint>> {
    read.is_readable(release).ok()?;
    let mut list = Vec::new();
    for entry in read.hosts(release) {
        list.push(Asked::at(&entry.url, &entry.settings, release)?.endpoint(base, release));
    }
    // Even if it is not looked at, the last must be readable.
    last_of(read, base, "", release)?;
    Some(list)
}

/// What comes behind the hosts of a file. `None` where the release cannot read
/// it.
fn last_of(read: &Read, base: &str, host: &str, release: Release) -> Option<Endpoint> {
    let settings = read.settings();
    let stated = match read.server().filter(|server| !server.is_empty()) {
        Some(server) => Some(Asked::at(server, settings, release)?),
        None => None,
    };
    let last = stated.filter(|asked| !asked.url.host.is_empty());
    let last = last.unwrap_or_else(|| Asked::by_name(host, settings, release));
    Some(last.endpoint(base, release))
}

/// A host as a file, or the name of a registry host, has it.
struct Asked<'a> {
    url: Url,
    capabilities: BTreeSet<Capability>,
    settings: &'a HostSettings,
    skip_verify: Option<bool>,
}

impl<'a> Asked<'a> {
    /// `None` where the release cannot read the file because of it.
    fn at(text: &str, settings: &'a HostSettings, release: Release) -> Option<Self> {
        let mut url = match text.starts_with("http") {
            true => Url::parse(text)?,
            false => Url::parse(&format!("https://{text}"))?,
        };
        let as_it_is = settings.override_path && release >= V1_6;
        if !url.path.is_empty() {
            url.path = clean(&url.path);
        }
        if !as_it_is && !url.path.ends_with("/v2") {
            url.path.push_str("/v2");
        }
        let all = match settings.capabilities.as_slice() {
            [] => Capability::all(release),
            some => some.iter().copied().collect(),
        };
        Some(Asked {
            url,
            capabilities: all,
            settings,
            skip_verify: settings.skip_verify,
        })
    }

    /// What the name of a registry host leads to.
    fn by_name(host: &str, settings: &'a HostSettings, release: Release) -> Self {
        let name = upstream(host);
        let port = split_port(name).map_or("", |(_, port)| port);
        let (mut scheme, mut skip_verify) = ("https", settings.skip_verify);
        if is_localhost(name) {
            let tries_both = tries_https_first(release);
            if !tries_both || !matches!(port, "" | "443") {
                scheme = "http";
            }
            if !tries_both || port != "80" {
                skip_verify = Some(true);
            }
        }
        let url = Url {
            scheme: scheme.to_owned(),
            host: name.to_owned(),
            path: "/v2".to_owned(),
        };
        Asked {
            url,
            capabilities: Capability::all(release),
            settings,
            skip_verify,
        }
    }

    fn endpoint(self, base: &str, release: Release) -> Endpoint {
        let Asked {
            url,
            capabilities,
            settings,
            skip_verify,
        } = self;
        let mut endpoint = Endpoint::new(url, capabilities);
        let has_tls =
            skip_verify.is_some() || !settings.ca.is_empty() || !settings.client.is_empty();
        let port = split_port(&endpoint.host).map_or("", |(_, port)| port);
        endpoint.https_first =
            has_tls && endpoint.scheme == "http" && port != "80" && tries_https_first(release);
        if endpoint.speaks_tls() {
            let absolute = |file: &String| absolute(base, file);
            endpoint.ca = settings.ca.iter().map(absolute).collect();
            let client = |client: &ClientCertificate| {
                ClientCertificate::new(
                    absolute(&client.certificate),
                    client.key.as_ref().map(absolute),
                )
            };
            endpoint.client = settings.client.iter().map(client).collect();
            endpoint.skip_verify = skip_verify == Some(true);
        }
        endpoint.header = settings.header.clone();
        endpoint
    }
}

fn tries_https_first(release: Release) -> bool {
    let since = HTTPS_FIRST
        .iter()
        .find(|since| since.line() == release.line());
    since.map_or(release.is_2(), |since| release >= *since)
}

/// Docker's way of laying out certificates.
fn by_certificates(files: &BTreeSet<String>, base: &str, host: &str, release: Release) -> Endpoint {
    let path = |name: &str| format!("{base}/{name}");
    let ending = |end: &'static str| {
        files
            .iter()
            .filter_map(move |name| Some((name, name.strip_suffix(end)?)))
    };
    let client = ending(".cert").map(|(name, stem)| {
        let key = format!("{stem}.key");
        let key = files.contains(&key).then(|| path(&key));
        ClientCertificate::new(path(name), key)
    });
    let settings = HostSettings {
        ca: ending(".crt").map(|(name, _)| path(name)).collect(),
        client: client.collect(),
        ..HostSettings::default()
    };
    Asked::by_name(host, &settings, release).endpoint(base, release)
}

/// A file as it is found from a directory.
pub(super) fn absolute(directory: &str, file: &str) -> String {
    match file.starts_with('/') {
        true => file.to_owned(),
        false => clean(&format!("{directory}/{file}")),
    }
}
