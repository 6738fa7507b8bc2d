//! Registry settings, and `hosts.toml` files.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::values::{hosts, urls};
use crate::config::{Mirror, Registry, RegistryHost, Secret};
use crate::containerd::Release;
use crate::registry::{Capability, ClientCertificate, Host, HostSettings, HostsToml};

/// The settings under `registry` with mirrors, TLS and credentials, but without
/// `config_path`.
///
/// ```
/// use containerd_dropins::registry::convert;
/// use containerd_dropins::strategies::registries;
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(16), |(settings in registries())| {
///     let (old, new) = ("1.7.20".parse().unwrap(), "2.3.3".parse().unwrap());
///     prop_assert!(convert(&settings, old, new).is_ok());
/// });
/// ```
pub fn registries() -> impl Strategy<Value = Registry> {
    let any_host = prop_oneof![4 => hosts(), 1 => Just("*".to_owned())];
    let mirrors = prop::collection::btree_map(any_host, prop::collection::vec(urls(), 0..3), 0..4);
    let asked = prop_oneof![hosts(), urls().prop_map(host_of)];
    let configs = prop::collection::btree_map(asked, registry_hosts(), 0..4);
    (mirrors, configs).prop_map(|(mirrors, configs)| {
        let mirror = |(host, endpoint): (String, Vec<String>)| {
            let mut mirror = Mirror::default();
            mirror.endpoint = Some(endpoint);
            (host, mirror)
        };
        let mut registry = Registry::default();
        registry.mirrors = mirrors.into_iter().map(mirror).collect();
        registry.configs = configs.into_iter().collect();
        registry
    })
}

fn host_of(url: String) -> String {
    let (_, rest) = url.split_once("://").unwrap_or(("", &url));
    rest.split('/').next().unwrap_or(rest).to_owned()
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
/// proptest!(ProptestConfig::with_cases(16), |(file in hosts_tomls())| {
///     let text = file.to_toml("2.3.3".parse().unwrap());
///     prop_assert_eq!(HostsToml::parse(&text).unwrap(), file);
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
        let mut file = HostsToml::default();
        file.server = server;
        file.settings = settings;
        file.hosts = hosts.into_iter().map(host).collect();
        file
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
    (capabilities, ca, client, header, verify, any::<bool>()).prop_map(
        |(capabilities, ca, client, header, verify, path)| {
            let mut settings = HostSettings::default();
            settings.capabilities = capabilities;
            settings.ca = ca.into_iter().map(str::to_owned).collect();
            let certificate = |(certificate, key): (&str, Option<&str>)| {
                ClientCertificate::new(certificate, key.map(str::to_owned))
            };
            settings.client = client.into_iter().map(certificate).collect();
            let lines = |(name, lines): (&str, Vec<&str>)| {
                (
                    name.to_owned(),
                    lines.into_iter().map(Secret::new).collect(),
                )
            };
            settings.header = header.into_iter().map(lines).collect();
            settings.skip_verify = verify;
            settings.override_path = path;
            settings
        },
    )
}

/// Trees of `hosts.toml` files for a release: their texts, by their paths below the
/// directory that `config_path` names.
pub fn certs_ds(release: Release) -> impl Strategy<Value = BTreeMap<String, String>> {
    let host = prop_oneof![4 => hosts(), 1 => Just("_default".to_owned())];
    prop::collection::btree_map(host, hosts_tomls(), 0..4).prop_map(move |files| {
        let file = |(host, file): (String, HostsToml)| {
            (format!("{host}/hosts.toml"), file.to_toml(release))
        };
        files.into_iter().map(file).collect()
    })
}
