//! Registry settings, and `hosts.toml` files.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::shrink::{each, shrinking, without};
use super::values::{hosts, hosts_and, urls};
use crate::config::{Mirror, Registry, RegistryHost, Secret};
use crate::containerd::Release;
use crate::containerd::releases::V1_6;
use crate::registry::{Capability, ClientCertificate, DIAL_TIMEOUT, Host, HostSettings, HostsToml};

/// The settings under `registry` with mirrors, TLS and credentials, but without
/// `config_path`. Some CA files are relative: whoever reads them starts from another
/// directory. [`LegacyFile::of_registry`](super::LegacyFile::of_registry) makes files
/// of them, which are printed as text.
///
/// ```
/// use containerd_dropins::registry::convert;
/// use containerd_dropins::strategies::registries;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(settings in registries())| {
///     let (old, new) = ("1.7.20".parse().unwrap(), "2.3.3".parse().unwrap());
///     prop_assert!(convert(&settings, old, new).is_ok());
/// });
/// ```
pub fn registries() -> impl Strategy<Value = Registry> {
    let any_host = hosts_and("*");
    let mirrors = prop::collection::btree_map(any_host, prop::collection::vec(urls(), 0..3), 0..4);
    let asked =
        (hosts(), urls(), any::<bool>()).prop_map(|(host, url, is_endpoint)| match is_endpoint {
            true => host_of(url),
            false => host,
        });
    let configs = prop::collection::btree_map(asked, registry_hosts(), 0..4);
    let settings = (mirrors, configs).prop_map(|(mirrors, configs)| {
        let mirror = |(host, endpoint): (String, Vec<String>)| {
            let mirror = Mirror {
                endpoint: Some(endpoint),
                ..Mirror::default()
            };
            (host, mirror)
        };
        Registry {
            mirrors: mirrors.into_iter().map(mirror).collect(),
            configs: configs.into_iter().collect(),
            ..Registry::default()
        }
    });
    shrinking(settings, simpler)
}

/// Fewer hosts and settings, and plainer ones.
fn simpler(settings: &Registry) -> Vec<Registry> {
    let mirrors = listed(settings.mirrors.iter());
    let configs = listed(settings.configs.iter());
    let mirror = |(name, mirror): &(String, Mirror)| {
        let urls = mirror.endpoint.clone().unwrap_or_default();
        let mut lists = without(&urls);
        lists.extend(each(&urls, |url| plainer(url, PLAIN_URLS)));
        let named = plainer(name, PLAIN_HOSTS).into_iter();
        let mut all: Vec<_> = named.map(|name| (name, mirror.clone())).collect();
        all.extend(lists.into_iter().map(|urls| {
            let mut mirror = mirror.clone();
            mirror.endpoint = Some(urls);
            (name.clone(), mirror)
        }));
        all
    };
    let config = |(name, config): &(String, RegistryHost)| {
        let named = plainer(name, PLAIN_HOSTS).into_iter();
        let mut all: Vec<_> = named.map(|name| (name, config.clone())).collect();
        let mut add = |change: &dyn Fn(&mut RegistryHost)| {
            let mut less = config.clone();
            change(&mut less);
            all.extend(Some((name.clone(), less)).filter(|(_, less)| less != config));
        };
        add(&|host| host.tls.ca_file = None);
        add(&|host| host.tls.cert_file = None);
        add(&|host| host.tls.key_file = None);
        add(&|host| (host.tls.cert_file, host.tls.key_file) = (None, None));
        add(&|host| host.tls.insecure_skip_verify = None);
        add(&|host| host.auth.username = None);
        add(&|host| host.auth.password = None);
        add(&|host| (host.auth.username, host.auth.password) = (None, None));
        add(&|host| host.auth.identitytoken = None);
        all
    };
    let mut fewer_mirrors = without(&mirrors);
    fewer_mirrors.extend(each(&mirrors, mirror));
    let of_mirrors = fewer_mirrors.into_iter().filter_map(|list| {
        let mut less = settings.clone();
        less.mirrors = each_once(list)?.into_iter().collect();
        Some(less)
    });
    let mut fewer_configs = without(&configs);
    fewer_configs.extend(each(&configs, config));
    let of_configs = fewer_configs.into_iter().filter_map(|list| {
        let mut less = settings.clone();
        less.configs = each_once(list)?.into_iter().collect();
        Some(less)
    });
    of_mirrors.chain(of_configs).collect()
}

fn listed<'m, T: Clone + 'm>(map: impl Iterator<Item = (&'m String, &'m T)>) -> Vec<(String, T)> {
    map.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A list, unless a plainer name is there already.
fn each_once<T>(list: Vec<(String, T)>) -> Option<Vec<(String, T)>> {
    let names: BTreeSet<&String> = list.iter().map(|(name, _)| name).collect();
    let is_each_once = names.len() == list.len();
    is_each_once.then_some(list)
}

/// The plainest first.
const PLAIN_HOSTS: &[&str] = &["registry.example", "docker.io", "mirror.example"];

const PLAIN_URLS: &[&str] = &["https://mirror.example", "http://10.0.0.1:5000"];

/// Those before a text, if it is among them.
fn plainer(text: &str, all: &[&str]) -> Vec<String> {
    let before = all.iter().take_while(|other| **other != text);
    before.map(|other| (*other).to_owned()).collect()
}

fn host_of(url: String) -> String {
    let (_, rest) = url.split_once("://").unwrap_or(("", &url));
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// The settings under `registry` as nobody would write them on purpose: hosts and
/// URLs in all spellings, with users, odd paths and what is no URL, TLS files that
/// are empty, relative to a directory above, or half of a pair.
///
/// ```
/// use containerd_dropins::registry::{endpoints, hosts_named};
/// use containerd_dropins::strategies::odd_registries;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(settings in odd_registries())| {
///     for host in hosts_named(&settings) {
///         let _ = endpoints(&settings, &host, "2.3.3".parse().unwrap());
///     }
/// });
/// ```
pub fn odd_registries() -> impl Strategy<Value = Registry> {
    let name = prop_oneof![
        8 => select(ODD_HOSTS).prop_map(str::to_owned),
        3 => Just("*".to_owned()),
        1 => "\\PC{0,8}",
    ];
    let mirror = prop::option::weighted(0.9, prop::collection::vec(odd_urls(), 0..4));
    let mirrors = prop::collection::btree_map(name.clone(), mirror, 0..5);
    let file = prop::option::of(select(&["/pem", "", "rel/pem", "../pem"][..]));
    let verify = prop::option::of(any::<bool>());
    let tls = (verify, file.clone(), file.clone(), file);
    let configs = prop::collection::btree_map(name, tls, 0..5);
    (mirrors, configs).prop_map(|(mirrors, configs)| {
        let mut settings = Registry::default();
        for (name, endpoint) in mirrors {
            let mirror = Mirror {
                endpoint,
                ..Mirror::default()
            };
            settings.mirrors.insert(name, mirror);
        }
        for (name, (verify, ca, cert, key)) in configs {
            let mut config = RegistryHost::default();
            config.tls.insecure_skip_verify = verify;
            config.tls.ca_file = ca.map(str::to_owned);
            config.tls.cert_file = cert.map(str::to_owned);
            config.tls.key_file = key.map(str::to_owned);
            settings.configs.insert(name, config);
        }
        settings
    })
}

const ODD_HOSTS: &[&str] = &[
    "docker.io",
    "registry-1.docker.io",
    "gcr.io",
    "gcr.io:5000",
    "quay.io",
    "localhost",
    "localhost:5000",
    "127.0.0.1:80",
    "[::1]:5000",
    "m.example",
    "M.example",
    "10.0.0.1:443",
];

fn odd_urls() -> impl Strategy<Value = String> {
    let scheme = select(&["https://", "http://", "", "HTTPS://", "ftp://"][..]);
    let paths = [
        "",
        "/",
        "/v2",
        "/v2/",
        "/p",
        "/p/",
        "/a//b/../c",
        "/p/v2",
        "/%20é",
        "?q",
        "/p#f",
    ];
    let user = prop_oneof![3 => Just(""), 1 => Just("u:p@")];
    let known = (scheme, user, select(ODD_HOSTS), select(paths.to_vec()))
        .prop_map(|(scheme, user, host, path)| format!("{scheme}{user}{host}{path}"));
    prop_oneof![20 => known, 1 => "\\PC{0,12}"]
}

/// TLS and credentials of one host.
fn registry_hosts() -> impl Strategy<Value = RegistryHost> {
    let files = select(vec![
        (None, None, None),
        (Some("/etc/ca.pem"), None, None),
        (None, Some("/etc/client.pem"), Some("/etc/client.key")),
        (
            Some("/etc/ca.pem"),
            Some("/etc/client.pem"),
            Some("/etc/client.key"),
        ),
        (Some("ca.pem"), None, None),
    ]);
    let verify = select(vec![None, Some(true), Some(false)]);
    let auth = select(vec![
        (None, None, None),
        (Some("robot"), Some("not-a-password"), None),
        (None, None, Some("not-a-token")),
    ]);
    (files, verify, auth).prop_map(|((ca, cert, key), verify, (user, password, token))| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let mut host = RegistryHost::default();
        host.tls.ca_file = owned(ca);
        host.tls.cert_file = owned(cert);
        host.tls.key_file = owned(key);
        host.tls.insecure_skip_verify = verify;
        host.auth.username = user.map(Secret::new);
        host.auth.password = password.map(Secret::new);
        host.auth.identitytoken = token.map(Secret::new);
        host
    })
}

/// `hosts.toml` files of any settings.
///
/// ```
/// use containerd_dropins::registry::HostsToml;
/// use containerd_dropins::strategies::hosts_tomls;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(file in hosts_tomls())| {
///     let release = "2.3.3".parse().unwrap();
///     let text = file.to_toml(release);
///     prop_assert_eq!(HostsToml::parse(&text, release).unwrap(), file);
/// });
/// ```
pub fn hosts_tomls() -> impl Strategy<Value = HostsToml> {
    let server = prop::option::of(urls());
    let hosts = prop::collection::btree_map(urls(), host_settings(), 0..4);
    (server, host_settings(), hosts).prop_map(|(server, settings, hosts)| {
        let host = |(url, settings): (String, HostSettings)| {
            let mut host = Host::new(url);
            host.settings = settings;
            host
        };
        HostsToml {
            server,
            settings,
            hosts: hosts.into_iter().map(host).collect(),
        }
    })
}

fn host_settings() -> impl Strategy<Value = HostSettings> {
    let capabilities = prop::sample::subsequence(Capability::ALL.to_vec(), 0..=3);
    let ca = prop::collection::vec(select(vec!["/etc/ca.pem", "ca.crt"]), 0..2);
    let client = prop::collection::vec(
        select(vec![
            ("/etc/client.pem", Some("/etc/client.key")),
            ("client.cert", None),
        ]),
        0..2,
    );
    let header = prop::collection::btree_map(
        select(vec!["Authorization", "X-Team"]),
        prop::collection::vec(select(vec!["Basic bWU6eA==", "a, b"]), 1..3),
        0..2,
    );
    let verify = select(vec![None, Some(true), Some(false)]);
    let timeout = select(vec![None, None, Some("10s"), Some("1m30s")]);
    let plain = (any::<bool>(), timeout);
    (capabilities, ca, client, header, verify, plain).prop_map(
        |(capabilities, ca, client, header, verify, (path, timeout))| {
            let certificate = |(certificate, key): (&str, Option<&str>)| {
                ClientCertificate::new(certificate, key.map(str::to_owned))
            };
            let lines = |(name, lines): (&str, Vec<&str>)| {
                let lines = lines.into_iter().map(Secret::new).collect();
                (name.to_owned(), lines)
            };
            HostSettings {
                capabilities,
                ca: ca.into_iter().map(str::to_owned).collect(),
                client: client.into_iter().map(certificate).collect(),
                header: header.into_iter().map(lines).collect(),
                skip_verify: verify,
                override_path: path,
                dial_timeout: timeout.map(str::to_owned),
                ..HostSettings::default()
            }
        },
    )
}

/// Texts of `hosts.toml` files in which each host has a notation of its own: a
/// table, keys with dots, an inline table, a table that begins anew further down.
/// containerd takes some of them for files without that host, and refuses others.
///
/// ```
/// use containerd_dropins::registry::CertsD;
/// use containerd_dropins::strategies::hosts_toml_texts;
/// use proptest::prelude::*;
///
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |(text in hosts_toml_texts())| {
///     let tree = CertsD::new("/etc/certs.d", [("registry.example/hosts.toml", text.as_str())]);
///     prop_assert!(!tree.endpoints("registry.example", "2.3.3".parse().unwrap()).is_empty());
/// });
/// ```
pub fn hosts_toml_texts() -> impl Strategy<Value = String> {
    const CAN: &str = "capabilities = [\"pull\", \"resolve\"]\n";
    let urls = [
        "https://a.example",
        "https://[fd00::1]:1",
        "https://c.example",
        "https://d.example/p",
    ];
    let notations = prop::collection::vec(0usize..7, urls.len());
    let urls = Just(urls).prop_shuffle();
    (any::<bool>(), any::<bool>(), notations, urls).prop_map(|(server, table, notations, urls)| {
        let (mut top, mut inside) = (String::new(), String::new());
        let (mut behind, mut back) = (String::new(), String::new());
        if server {
            top.push_str("server = \"https://up.example\"\n");
        }
        for (url, notation) in urls.iter().zip(notations) {
            let header = format!("[host.\"{url}\".header]\nx = \"y\"\n");
            match notation {
                1 => behind.push_str(&format!("[host.\"{url}\"]\n{CAN}{header}")),
                2 => behind.push_str(&header),
                3 => inside.push_str(&format!("\"{url}\".{CAN}")),
                4 => {
                    inside.push_str(&format!("\"{url}\".{CAN}"));
                    behind.push_str(&header);
                }
                5 => inside.push_str(&format!("\"{url}\" = {{ header = {{ x = \"y\" }} }}\n")),
                6 => {
                    behind.push_str(&format!("[host.\"{url}\"]\n"));
                    back.push_str(&header);
                }
                _ => {}
            }
        }
        if table || !inside.is_empty() {
            inside.insert_str(0, "[host]\n");
        }
        [top, inside, behind, back].concat()
    })
}

/// Trees of `hosts.toml` files for a release: their texts, by their paths below the
/// directory that `config_path` names. What the release does not read is not in
/// them: `override_path` before 1.6, `dial_timeout` before 2.0.7, `referrers` before
/// 2.2. containerd has `config_path` from 1.5 on.
///
/// ```
/// use containerd_dropins::registry::{CertsD, HostsToml};
/// use containerd_dropins::strategies::{certs_ds, containerd_releases};
/// use proptest::prelude::*;
///
/// let trees = containerd_releases().prop_flat_map(|release| (Just(release), certs_ds(release)));
/// let config = ProptestConfig { cases: 16, max_shrink_iters: 10_000, ..Default::default() };
/// proptest!(config, |((release, files) in trees)| {
///     let texts = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
///     prop_assert_eq!(CertsD::new("/etc/certs.d", texts).errors().count(), 0);
///     for text in files.values() {
///         prop_assert!(HostsToml::parse(text, release).is_ok(), "{text}");
///     }
/// });
/// ```
pub fn certs_ds(release: Release) -> impl Strategy<Value = BTreeMap<String, String>> {
    let host = hosts_and("_default");
    prop::collection::btree_map(host, hosts_tomls(), 0..4).prop_map(move |files| {
        let file = |(host, mut file): (String, HostsToml)| {
            let hosts = file.hosts.iter_mut().map(|host| &mut host.settings);
            for settings in hosts.chain([&mut file.settings]) {
                settings.override_path &= release >= V1_6;
                let timeout = settings.dial_timeout.take();
                settings.dial_timeout = timeout.filter(|_| release >= DIAL_TIMEOUT);
            }
            (format!("{host}/hosts.toml"), file.to_toml(release))
        };
        files.into_iter().map(file).collect()
    })
}
