//! What a conversion cannot take over as it is.

use std::collections::BTreeSet;

use super::certs_d::absolute;
use super::diagnose::{Use, is_looked_up, look};
use super::endpoint::is_dead;
use super::fault::{Fault, examine};
use super::remark::{Remark, RemarkKind, mirror_of, tls_of};
use super::settings::{is_set, is_upstream, says_anything, urls};
use crate::config::{Mirror, Registry};
use crate::containerd::Release;
use crate::containerd::releases::V1_6;
use crate::containerd::url::{Url, clean};
use crate::shown;
use crate::write;

/// Where containerd's relative paths start under k0s, which runs it in its
/// data directory.
const WORKING_DIRECTORY: &str = "/var/lib/k0s";

/// The settings that can be converted, and what is to be said of the others.
pub(super) fn adjusted(settings: &Registry, from: Release, to: Release) -> (Registry, Vec<Remark>) {
    let mut adjusted = Registry::default();
    let mut remarks = look(settings, Use::Converted);
    for (name, mirror) in settings
        .mirrors
        .iter()
        .filter(|(name, _)| is_looked_up(name))
    {
        let texts = mirror.endpoint.iter().flatten();
        let endpoint: Result<Vec<Option<String>>, Option<&str>> =
            texts.map(|text| usable(text, to)).collect();
        match endpoint {
            Ok(endpoint) => {
                let mirror = Mirror {
                    endpoint: Some(endpoint.into_iter().flatten().collect()),
                    ..Mirror::default()
                };
                adjusted.mirrors.insert(name.clone(), mirror);
            }
            Err(why) => remarks.extend(
                why.map(|why| Remark::new(mirror_of(name), RemarkKind::NotConvertible, why)),
            ),
        }
    }
    secured(settings, &mut adjusted, from, &mut remarks);
    (adjusted, remarks)
}

/// An endpoint in full; none of one that cannot be asked, which is left out. An
/// error has a reason where the diagnosis has not told it.
fn usable(text: &str, to: Release) -> Result<Option<String>, Option<&'static str>> {
    let examined = examine(text);
    let (Some(url), fault) = (examined.url, examined.fault) else {
        return Err(None);
    };
    if matches!(fault, Some(Fault::Refused(_) | Fault::NotOne(_))) {
        return Err(None);
    }
    let Url { scheme, host, path } = &url;
    if is_dead(scheme, host) {
        return Ok(None);
    }
    let cleaned = clean(path);
    if !cleaned.ends_with("/v2") && cleaned != "/" && to < V1_6 {
        return Err(Some(
            "containerd before 1.6 has no override_path, which the path of an endpoint needs",
        ));
    }
    let path = if cleaned == "/" { "" } else { cleaned.as_str() };
    let text = Url::text(scheme, host, path).filter(|text| write::is_portable_key(text));
    let text = text.ok_or("an endpoint has characters that a hosts.toml cannot have")?;
    Ok(Some(text))
}

/// Takes the TLS settings over.
fn secured(settings: &Registry, adjusted: &mut Registry, from: Release, remarks: &mut Vec<Remark>) {
    // Endpoints that cannot be asked among them.
    let looked_up = settings
        .mirrors
        .iter()
        .filter(|(name, _)| is_looked_up(name));
    let asked: BTreeSet<String> = looked_up
        .flat_map(|(_, mirror)| urls(mirror))
        .map(|url| url.host)
        .collect();
    let unused: BTreeSet<Vec<String>> = remarks
        .iter()
        .filter(|remark| remark.kind == RemarkKind::NeverLookedUp)
        .map(|remark| remark.path.clone())
        .collect();
    let configs = settings.configs.iter();
    for (host, config) in configs.filter(|(_, config)| says_anything(&config.tls)) {
        let path = tls_of(host);
        if unused.contains(&path) {
            continue;
        }
        let mut remark =
            |kind, message: String| remarks.push(Remark::new(path.clone(), kind, message));
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
                "{} starts from the directory in which k0s runs containerd, which makes it {} unless k0s has another data directory",
                shown::text(file),
                shown::text(&full)
            );
            remark(RemarkKind::RelativePath, message);
            *file = full;
        }
        adjusted.configs.entry(host.clone()).or_default().tls = tls;
    }
}
