//! What containerd tries, in which order, to pull an image: the common ground
//! of `registry.*` settings and `hosts.toml` files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::airgap::ImageReference;
use crate::config::Secret;
use crate::containerd::Release;
use crate::containerd::releases::V2_2;
use crate::containerd::url::{Url, clean, is_localhost};
use crate::shown;

/// What a registry endpoint is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Fetch blobs and manifests by digest.
    Pull,
    /// Find the digest of a tag.
    Resolve,
    /// Upload; CRI never does.
    Push,
    /// List what refers to an image (containerd 2.2 and later; before, the
    /// word makes containerd ignore the whole file).
    Referrers,
}

impl Capability {
    pub(crate) const ALL: [Capability; 4] = [
        Capability::Pull,
        Capability::Resolve,
        Capability::Push,
        Capability::Referrers,
    ];

    /// The word for it in a `hosts.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Pull => "pull",
            Capability::Resolve => "resolve",
            Capability::Push => "push",
            Capability::Referrers => "referrers",
        }
    }

    /// All that a release knows.
    pub(super) fn all(release: Release) -> BTreeSet<Capability> {
        let all = Capability::ALL.into_iter();
        all.filter(|one| one.known_in(release)).collect()
    }

    /// Whether a release knows the word.
    pub(super) fn known_in(self, release: Release) -> bool {
        self != Capability::Referrers || release >= V2_2
    }

    /// Those of a mirror: CRI does not push.
    pub(super) fn of_mirrors(release: Release) -> BTreeSet<Capability> {
        let mut all = Capability::all(release);
        all.remove(&Capability::Push);
        all
    }
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The file with the certificate.
    pub certificate: String,
    /// The file with its key; none where the certificate's file holds both.
    pub key: Option<String>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("certificate", &shown::text(&self.certificate))
            .field("key", &self.key.as_deref().map(shown::text))
            .finish()
    }
}

impl ClientCertificate {
    /// A certificate and its key, if that is in a file of its own.
    pub fn new(certificate: impl Into<String>, key: Option<String>) -> Self {
        ClientCertificate {
            certificate: certificate.into(),
            key,
        }
    }
}

/// One place that containerd asks for an image.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// `https` or `http`; anything else fails at each try.
    pub scheme: String,
    /// The host, with its port if one is given.
    pub host: String,
    /// The path in front of the image's name, `/v2` as a rule, without a slash
    /// at its end.
    pub path: String,
    /// What it is asked for.
    pub capabilities: BTreeSet<Capability>,
    /// CA certificates to trust beside those of the system. Like the next two
    /// empty where TLS is not spoken.
    pub ca: Vec<String>,
    /// Client certificates.
    pub client: Vec<ClientCertificate>,
    /// Whether the server's certificate is not checked.
    pub skip_verify: bool,
    /// Whether HTTPS is tried first, although the scheme is `http`.
    pub https_first: bool,
    /// Headers that are sent along.
    pub header: BTreeMap<String, Vec<Secret>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header.iter();
        let header: BTreeMap<_, _> = header
            .map(|(name, line)| (shown::name(name), line))
            .collect();
        f.debug_struct("Endpoint")
            .field("scheme", &shown::name(&self.scheme))
            .field("host", &shown::name(&self.host))
            .field("path", &shown::name(&self.path))
            .field("capabilities", &self.capabilities)
            .field("ca", &shown::texts(&self.ca))
            .field("client", &self.client)
            .field("skip_verify", &self.skip_verify)
            .field("https_first", &self.https_first)
            .field("header", &header)
            .finish()
    }
}

impl Endpoint {
    /// An endpoint without any TLS settings. Joining the path with the image's
    /// name, containerd cleans it.
    pub(super) fn new(url: Url, capabilities: BTreeSet<Capability>) -> Self {
        let Url { scheme, host, path } = url;
        let is_clean = path == "/v2";
        Endpoint {
            scheme,
            host,
            path: if is_clean { path } else { clean(&path) },
            capabilities,
            ca: Vec::new(),
            client: Vec::new(),
            skip_verify: false,
            https_first: false,
            header: BTreeMap::new(),
        }
    }

    /// Whether TLS is spoken, be it as a first try.
    pub(super) fn speaks_tls(&self) -> bool {
        self.scheme == "https" || self.https_first
    }

    /// Whether there is more to it than the URL.
    pub(super) fn has_tls_settings(&self) -> bool {
        self.skip_verify || !self.ca.is_empty() || !self.client.is_empty()
    }

    /// Whether every try fails, whatever the network is like.
    pub(super) fn is_dead(&self) -> bool {
        is_dead(&self.scheme, &self.host)
    }

    /// Whether a pull by way of the two is the same: CRI does not push, and
    /// asks nobody for referrers.
    pub(super) fn pulls_like(&self, other: &Endpoint) -> bool {
        let pull = |endpoint: &Endpoint| {
            [Capability::Pull, Capability::Resolve].map(|one| endpoint.capabilities.contains(&one))
        };
        let Endpoint {
            scheme: _,
            host: _,
            path: _,
            capabilities: _,
            ca,
            client,
            skip_verify,
            https_first,
            header,
        } = self;
        self.url() == other.url()
            && pull(self) == pull(other)
            && *ca == other.ca
            && *client == other.client
            && *skip_verify == other.skip_verify
            && *https_first == other.https_first
            && *header == other.header
    }

    /// The parts of its URL.
    pub(super) fn url(&self) -> [&str; 3] {
        [&self.scheme, &self.host, &self.path]
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.host, self.path)
    }
}

/// Whether two lists of endpoints make the same pulls: the same tries in the
/// same order. Trying one again that has failed changes nothing, and nor does
/// one at which every try fails.
pub fn same_pulls(a: &[Endpoint], b: &[Endpoint]) -> bool {
    let (a, b) = (tried(a), tried(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.pulls_like(b))
}

/// Whether no request can go out by such a URL: Go speaks HTTP only, and only
/// with a host.
pub(super) fn is_dead(scheme: &str, host: &str) -> bool {
    host.is_empty() || !matches!(scheme, "http" | "https")
}

/// The endpoints that make a difference.
pub(super) fn tried(list: &[Endpoint]) -> Vec<&Endpoint> {
    let mut tried = tried_by_url(list);
    tried.sort_unstable_by_key(|(at, _)| *at);
    tried.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// The same with their places in the list, by URL.
pub(super) fn tried_by_url(list: &[Endpoint]) -> Vec<(usize, &Endpoint)> {
    let places = list.iter().enumerate();
    let mut all: Vec<_> = places.filter(|(_, one)| !one.is_dead()).collect();
    // Of the same the first comes first.
    all.sort_by_key(|(_, endpoint)| endpoint.url());
    let mut tried: Vec<(usize, &Endpoint)> = Vec::with_capacity(all.len());
    for (at, endpoint) in all {
        let earlier = tried.iter().rev().map(|(_, earlier)| *earlier);
        let mut same = earlier.take_while(|earlier| earlier.url() == endpoint.url());
        if !same.any(|earlier| earlier.pulls_like(endpoint)) {
            tried.push((at, endpoint));
        }
    }
    tried
}

/// Where the images of a registry host are, if nothing else is said:
/// `registry-1.docker.io` for `docker.io`, else the host itself.
pub(super) fn upstream(host: &str) -> &str {
    match host {
        "docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// Plain HTTP for the node itself.
pub(super) fn default_scheme(host: &str) -> &'static str {
    match is_localhost(host) {
        true => "http",
        false => "https",
    }
}

/// Whether images can be of a registry host of this name, as the reference of
/// an image has it (distribution's grammar): `mirrors` and `certs.d` are
/// searched by it. `index.docker.io` is `docker.io` to containerd.
pub fn is_registry_host(name: &str) -> bool {
    let image = format!("{name}/x").parse::<ImageReference>();
    image.is_ok_and(|image| image.registry() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_images_can_be_of() {
        for name in [
            "docker.io",
            "gcr.io:443",
            "localhost",
            "localhost:5000",
            "[::1]:5000",
            "[fe80::1]",
            "HOST",
            "a-b.c",
            // No domain, but containerd takes the first part of a name for the host.
            "a_b.c",
        ] {
            assert!(is_registry_host(name), "{name}");
        }
        for name in [
            "",
            "*",
            "registry",
            "https://docker.io",
            "docker.io/library",
            "docker.io.",
            "-a.b",
            "h:port",
            "h:",
            "index.docker.io",
            "[::1",
            "[x]:1",
            "::1",
        ] {
            assert!(!is_registry_host(name), "{name}");
        }
    }

    #[test]
    fn trying_again_changes_nothing() {
        let endpoint = |host: &str| {
            let [scheme, host, path] = ["https", host, "/v2"].map(str::to_owned);
            Endpoint::new(Url { scheme, host, path }, Capability::all(V2_2))
        };
        let (a, b) = (endpoint("a"), endpoint("b"));
        let dead = endpoint("");
        assert!(same_pulls(
            &[a.clone(), b.clone(), a.clone()],
            &[dead, a.clone(), b.clone()]
        ));
        assert!(!same_pulls(
            &[a.clone(), b.clone()],
            &[b.clone(), a.clone()]
        ));
        let skips = Endpoint {
            skip_verify: true,
            ..a.clone()
        };
        assert!(!same_pulls(&[a], &[skips]));
    }
}
