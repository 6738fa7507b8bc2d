//! What a conversion cannot take over as it is.

use std::collections::BTreeSet;

use super::certs_d::absolute;
use super::endpoint::{is_dead, is_registry_host};
use super::remark::{Remark, RemarkKind, tls_of};
use super::settings::{self, ANY, is_set, is_upstream, says_anything, urls};
use crate::config::{Mirror, Registry};
use crate::containerd::Release;
use crate::containerd::releases::V1_6;
use crate::containerd::url::{Url, clean};
use crate::secret::without_user;
use crate::write;

/// Where containerd's relative paths start under k0s, which runs it in its
/// data directory.
const WORKING_DIRECTORY: &str = "/var/lib/k0s";

/// The settings that can be converted, and what is to be said of the others.
pub(super) fn adjusted(settings: &Registry, from: Release, to: Release) -> (Registry, Vec<Remark>) {
    let mut adjusted = Registry::default();
    let mut remarks = Vec::new();
    for (name, mirror) in settings.mirrors.iter() {
        let mut remark = |kind, message: String| {
            let path = vec!["mirrors".to_owned(), name.clone()];
            let remark = Remark {
                path,
                kind,
                message,
            };
            // Once, however many endpoints have the same.
            if remarks.last() != Some(&remark) {
                remarks.push(remark);
            }
        };
        if name != ANY && !is_registry_host(name) {
            let message = format!(
                "no image is of a registry host {:?}, so containerd never asks for its mirrors",
                without_user(name)
            );
            remark(RemarkKind::WithoutEffect, message);
            continue;
        }
        let mut endpoint = Vec::new();
        let mut refused = None;
        for text in mirror.endpoint.iter().flatten() {
            match usable(text, name, to) {
                Ok((url, said)) => {
                    if let Some((kind, message)) = said {
                        remark(kind, message.to_owned());
                    }
                    endpoint.extend(url);
                }
                Err(message) => refused = Some(message),
            }
        }
        match refused {
            Some(message) => remark(RemarkKind::NotConvertible, message.to_owned()),
            None => {
                let mirror = Mirror {
                    endpoint: Some(endpoint),
                    ..Mirror::default()
                };
                adjusted.mirrors.insert(name.clone(), mirror);
            }
        }
    }
    secured(settings, &mut adjusted, from, &mut remarks);
    (adjusted, remarks)
}

/// An endpoint in full, unless it is left out, with what there is to say of it.
type Usable = (Option<String>, Option<(RemarkKind, &'static str)>);

fn usable(text: &str, name: &str, to: Release) -> Result<Usable, &'static str> {
    let Some(url) = settings::read(text) else {
        return Err(
            "an endpoint is no URL, because of which containerd refuses every pull of such an image",
        );
    };
    let Url { scheme, host, path } = &url;
    if is_dead(scheme, host) {
        let said = match host == name {
            true => (
                RemarkKind::FirstEffect,
                "containerd can ask an endpoint only over http or https; one that is otherwise is left out, and the registry itself, whose name it has, is asked from now on",
            ),
            false => (
                RemarkKind::WithoutEffect,
                "containerd can ask an endpoint only over http or https, and at a host; one that is otherwise is left out",
            ),
        };
        return Ok((None, Some(said)));
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
    Ok((
        Some(text),
        is_slash.then_some((RemarkKind::FirstEffect, message)),
    ))
}

/// Takes the TLS settings over.
fn secured(settings: &Registry, adjusted: &mut Registry, from: Release, remarks: &mut Vec<Remark>) {
    let asked: BTreeSet<String> = adjusted
        .mirrors
        .values()
        .flat_map(urls)
        .map(|url| url.host)
        .collect();
    let configs = settings.configs.iter();
    for (host, config) in configs.filter(|(_, config)| says_anything(&config.tls)) {
        let mut remark = |kind, message: String| {
            let path = tls_of(host);
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
        if is_set(&tls.cert_file) != is_set(&tls.key_file) {
            (tls.cert_file, tls.key_file) = (None, None);
            // Before it looks at the scheme.
            if asked.contains(host) || is_upstream(host) {
                let message = "of a client certificate and its key only one is set, because of which containerd refused every pull that leads here; it is left out";
                remark(RemarkKind::FirstEffect, message.to_owned());
            }
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
        adjusted.configs.entry(host.clone()).or_default().tls = tls;
    }
}
