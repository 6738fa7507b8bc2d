//! The endpoints that `registry.mirrors` and `registry.configs` lead to.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::endpoint::{Capability, ClientCertificate, Endpoint, default_scheme, upstream};
use crate::config::{Mirror, Registry, Tls};
use crate::containerd::Release;
use crate::containerd::url::Url;
use crate::shown;

/// Why every pull from a registry host fails, before anything is tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// An endpoint is no URL.
    #[error("an endpoint of {mirror:?} is no URL")]
    Url {
        /// The entry of `registry.mirrors`.
        mirror: String,
    },
    /// A client certificate without its key, or a key without its certificate.
    #[error(
        "the TLS settings of {host:?} have a certificate without a key, or a key without a certificate"
    )]
    HalfPair {
        /// The entry of `registry.configs`.
        host: String,
    },
}

/// The endpoints that containerd tries for images of a registry host, in this
/// order, by the settings under `registry` with no `config_path`.
///
/// - The endpoints are those of `mirrors.HOST`, or, only if there is no such
///   entry, of `mirrors."*"`; then the registry itself, unless an endpoint has
///   its very name.
/// - An endpoint without a scheme has `http` on the node itself and `https`
///   elsewhere; its path is taken as it is, and is `/v2` where there is none.
/// - `configs` is searched by the host of the endpoint, port included. From
///   containerd 2.0 on its `tls` is ignored.
///
/// Seen in containerd 1.4.13, 1.7.34 and 2.3.4 alike (`registryEndpoints`).
///
/// ```
/// use containerd_dropins::{Config, Document};
/// use containerd_dropins::registry;
///
/// let text = r#"
/// version = 2
/// [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
///   endpoint = ["http://10.0.0.1:5000", "mirror.example/proxy"]
/// "#;
/// let config = Config::read(&Document::parse("containerd.toml", text.as_bytes())?);
/// let settings = &config.plugins.cri.registry;
/// let endpoints = registry::endpoints(settings, "docker.io", "1.7.24".parse()?)?;
/// let urls: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
/// assert_eq!(urls, [
///     "http://10.0.0.1:5000/v2",
///     "https://mirror.example/proxy",
///     "https://registry-1.docker.io/v2",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If containerd refuses every pull from the host.
pub fn endpoints(
    settings: &Registry,
    host: &str,
    release: Release,
) -> Result<Vec<Endpoint>, PullError> {
    let entry = match settings.mirrors.contains_key(host) {
        true => host,
        false => ANY,
    };
    endpoints_by(settings, Some(entry), host, release)
}

/// The same by this entry of `mirrors`, or by none.
pub(super) fn endpoints_by(
    settings: &Registry,
    entry: Option<&str>,
    host: &str,
    release: Release,
) -> Result<Vec<Endpoint>, PullError> {
    let list = entry.map(|entry| mirrored(settings, entry, release));
    let mut list = list.transpose()?.unwrap_or_default();
    if !list.iter().any(|endpoint| endpoint.host == host) {
        list.push(registry_itself(settings, host, release)?);
    }
    Ok(list)
}

/// Where the images of a registry host come from at last.
pub(super) fn registry_itself(
    settings: &Registry,
    host: &str,
    release: Release,
) -> Result<Endpoint, PullError> {
    let upstream = upstream(host);
    let url = Url {
        scheme: default_scheme(upstream).to_owned(),
        host: upstream.to_owned(),
        path: String::new(),
    };
    endpoint(settings, url, Capability::of_mirrors(release), release)
}

/// The endpoints of an entry of `mirrors`.
pub(super) fn mirrored(
    settings: &Registry,
    name: &str,
    release: Release,
) -> Result<Vec<Endpoint>, PullError> {
    let mirror = settings.mirrors.get(name);
    let urls = mirror.and_then(|mirror| mirror.endpoint.as_deref());
    let capabilities = Capability::of_mirrors(release);
    let read = |text: &String| {
        let url = read(text).ok_or_else(|| PullError::Url {
            mirror: shown::name(name).into_owned(),
        })?;
        endpoint(settings, url, capabilities.clone(), release)
    };
    urls.unwrap_or_default().iter().map(read).collect()
}

/// The entry of `mirrors` for all hosts without one of their own (containerd
/// 1.3 and later).
pub(super) const ANY: &str = "*";

/// An endpoint's text with the scheme that containerd gives it.
pub(super) fn with_scheme(text: &str) -> Option<Cow<'_, str>> {
    if text.contains("://") {
        return Some(Cow::Borrowed(text));
    }
    let host = Url::parse(&format!("dummy://{text}"))?.host;
    Some(Cow::Owned(format!("{}://{text}", default_scheme(&host))))
}

/// The endpoints of a mirror that are URLs.
pub(super) fn urls(mirror: &Mirror) -> impl Iterator<Item = Url> {
    let texts = mirror.endpoint.iter().flatten();
    texts.filter_map(|text| read(text))
}

/// How containerd reads an endpoint.
pub(super) fn read(text: &str) -> Option<Url> {
    with_scheme(text).and_then(|text| Url::parse(&text))
}

fn endpoint(
    settings: &Registry,
    mut url: Url,
    capabilities: BTreeSet<Capability>,
    release: Release,
) -> Result<Endpoint, PullError> {
    if url.path.is_empty() {
        url.path.push_str("/v2");
    }
    let mut endpoint = Endpoint::new(url, capabilities);
    let tls = settings.configs.get(&endpoint.host);
    let tls = tls.map(|config| &config.tls);
    let Some(tls) = tls.filter(|_| !release.is_2()) else {
        return Ok(endpoint);
    };
    let (ca, client) = files(tls).ok_or_else(|| PullError::HalfPair {
        host: endpoint.host.clone(),
    })?;
    // Plain HTTP stays plain.
    if endpoint.speaks_tls() {
        endpoint.ca = ca;
        endpoint.client = client;
        endpoint.skip_verify = tls.insecure_skip_verify == Some(true);
    }
    Ok(endpoint)
}

/// The files of TLS settings; `None` for one half of a pair.
fn files(tls: &Tls) -> Option<(Vec<String>, Vec<ClientCertificate>)> {
    let set = |file: &Option<String>| file.clone().filter(|file| !file.is_empty());
    let client = match (set(&tls.cert_file), set(&tls.key_file)) {
        (Some(certificate), Some(key)) => vec![ClientCertificate::new(certificate, Some(key))],
        (None, None) => Vec::new(),
        _ => return None,
    };
    Some((set(&tls.ca_file).into_iter().collect(), client))
}

/// Whether TLS settings ask for anything.
pub(super) fn says_anything(tls: &Tls) -> bool {
    tls.insecure_skip_verify == Some(true)
        || is_set(&tls.ca_file)
        || is_set(&tls.cert_file)
        || is_set(&tls.key_file)
}

/// Whether there is a file.
pub(super) fn is_set(file: &Option<String>) -> bool {
    file.as_ref().is_some_and(|file| !file.is_empty())
}

/// The registry hosts that images can be of and that settings name anywhere.
pub fn hosts_named(settings: &Registry) -> Vec<String> {
    let mut hosts: Vec<String> = settings.mirrors.keys().cloned().collect();
    hosts.extend(settings.mirrors.values().flat_map(urls).map(|url| url.host));
    hosts.extend(settings.configs.keys().cloned());
    // What leads to it is the name that counts.
    let docker = hosts.iter().any(|host| host == upstream("docker.io"));
    hosts.extend(docker.then(|| "docker.io".to_owned()));
    hosts.retain(|host| super::is_registry_host(host));
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Whether containerd asks a host for the images of some registry host by its
/// name.
pub(super) fn is_upstream(host: &str) -> bool {
    host == upstream("docker.io") || super::is_registry_host(host) && upstream(host) == host
}
