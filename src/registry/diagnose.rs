//! Registry settings that do not do what they say, whatever becomes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoint::{default_scheme, is_registry_host, upstream};
use super::fault::{Examined, Fault, Hint, examine};
use super::remark::{Remark, RemarkKind, auth_of, mirror_of, tls_of};
use super::settings::{ANY, is_set, says_anything, urls};
use crate::config::{Auth, Mirror, Registry};
use crate::containerd::url::{Part, Url, clean, split_port};
use crate::shown;

/// What the registry host of Docker Hub is called in an image's reference.
const DOCKER_HUB: &str = "docker.io";

/// Says which settings do not do what they say.
///
/// - `mirrors` is searched by the registry host of an image, and for `*`: a URL
///   or a path is never found, and `index.docker.io` is `docker.io`.
/// - `configs` is searched by the host of the endpoint that is asked, port
///   included, which for images of `docker.io` is `registry-1.docker.io`.
/// - An endpoint is one URL. Its path is taken as it is, and its user, query
///   and fragment are left out.
///
/// These rules are the same in containerd 1.4 to 2.3; they are seen at work on
/// 1.6.20, 1.7.24 and 2.1.9.
///
/// ```
/// use containerd_dropins::{Config, Document};
/// use containerd_dropins::registry::{RemarkKind, diagnose};
///
/// let text = r#"
/// version = 2
/// [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
///   endpoint = ["https://a.example,https://b.example"]
/// [plugins."io.containerd.grpc.v1.cri".registry.configs."docker.io".auth]
///   username = "robot"
/// "#;
/// let config = Config::read(&Document::parse("containerd.toml", text.as_bytes())?);
/// let remarks = diagnose(&config.plugins.cri.registry);
/// assert_eq!(remarks[0].kind, RemarkKind::NotOneUrl);
/// assert_eq!(remarks[1].kind, RemarkKind::NeverLookedUp);
/// assert_eq!(remarks[1].cure.as_ref().unwrap()[1], "registry-1.docker.io");
/// # Ok::<(), containerd_dropins::ParseError>(())
/// ```
pub fn diagnose(settings: &Registry) -> Vec<Remark> {
    look(settings, Use::AsTheyAre)
}

/// What becomes of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// They stay settings.
    AsTheyAre,
    /// They become `hosts.toml` files.
    Converted,
}

/// Looks at every mirror and at every entry of `configs`. Of each kind there is
/// one remark for a setting at most, however many endpoints give reason for it.
pub(super) fn look(settings: &Registry, used: Use) -> Vec<Remark> {
    let mut look = Look {
        settings,
        used,
        asked: Asked::default(),
        remarks: Vec::new(),
    };
    for (name, mirror) in settings.mirrors.iter() {
        look.mirror(name, mirror);
    }
    look.asked.name_hosts();
    for (host, config) in settings.configs.iter() {
        if has_credentials(&config.auth) {
            look.config(auth_of(host), host, host, Entry::Credentials);
        }
        if says_anything(&config.tls) {
            // For half a pair containerd refuses pulls over plain HTTP too.
            let is_whole = is_set(&config.tls.cert_file) == is_set(&config.tls.key_file);
            look.config(tls_of(host), host, host, Entry::Tls { is_whole });
        }
    }
    for (url, auth) in settings.auths.iter() {
        let host = Url::parse(url).filter(|url| !url.scheme.is_empty());
        let host = host.map_or_else(|| url.clone(), |url| url.host);
        if has_credentials(auth) {
            let path = ["auths", url].map(str::to_owned).to_vec();
            look.config(path, &host, url, Entry::Credentials);
        }
    }
    look.remarks
}

/// Whether credentials are there.
fn has_credentials(auth: &Auth) -> bool {
    let secrets = [
        &auth.username,
        &auth.password,
        &auth.auth,
        &auth.identitytoken,
    ];
    let mut secrets = secrets.into_iter().flatten();
    secrets.any(|secret| !secret.expose().is_empty())
}

/// Whether an entry of `mirrors` can be found.
pub(super) fn is_looked_up(name: &str) -> bool {
    name == ANY || is_registry_host(name)
}

/// What an entry of `configs` holds.
#[derive(Clone, Copy)]
enum Entry {
    Credentials,
    Tls {
        /// No half of a pair of certificate and key.
        is_whole: bool,
    },
}

impl Entry {
    fn name(self) -> &'static str {
        match self {
            Entry::Credentials => "credentials",
            Entry::Tls { .. } => "TLS settings",
        }
    }

    /// Its path below `registry`, for a host.
    fn of(self, host: &str) -> Vec<String> {
        match self {
            Entry::Credentials => auth_of(host),
            Entry::Tls { .. } => tls_of(host),
        }
    }
}

struct Look<'s> {
    settings: &'s Registry,
    used: Use,
    asked: Asked,
    remarks: Vec<Remark>,
}

impl Look<'_> {
    fn mirror(&mut self, name: &str, mirror: &Mirror) {
        if !is_looked_up(name) {
            let cure = Some(usual(&host_meant(name))).filter(|host| is_looked_up(host));
            let mut message = format!(
                "no image is of a registry host {:?}, so containerd never looks for its mirrors",
                shown::name(name)
            );
            if name.contains('*') {
                message.push_str("; only * by itself stands for hosts without an entry");
            }
            let cure = self.cure(&mut message, cure, mirror_of);
            let remark = Remark::new(mirror_of(name), RemarkKind::NeverLookedUp, message);
            self.remarks.push(Remark { cure, ..remark });
            return;
        }
        self.spelling_of_mirror(name);
        let mut said = BTreeSet::new();
        for text in mirror.endpoint.iter().flatten() {
            let examined = examine(text);
            let remarks = self.endpoint(name, text, &examined).into_iter().flatten();
            let remarks = remarks.filter(|remark| said.insert(remark.kind));
            self.remarks.extend(remarks);
            if let Some(url) = examined.url {
                self.asked.add(name, url);
            }
        }
    }

    /// Images of a registry host that is hardly ever written like this.
    fn spelling_of_mirror(&mut self, name: &str) {
        let usual = usual(&name.to_ascii_lowercase());
        if name == ANY || usual == name || self.settings.mirrors.contains_key(&usual) {
            return;
        }
        let (shown, other) = (shown::name(name), shown::name(&usual));
        let message = format!(
            "it counts for images only that are written {shown}/…; those of {other} are of registry.mirrors.{other:?}"
        );
        let remark = Remark::new(mirror_of(name), RemarkKind::OtherSpelling, message);
        let cure = Some(mirror_of(&usual));
        self.remarks.push(Remark { cure, ..remark });
    }

    /// What there is to say of one endpoint.
    fn endpoint(&self, name: &str, text: &str, examined: &Examined) -> [Option<Remark>; 2] {
        let Examined {
            url,
            fault,
            left_out,
        } = examined;
        if fault.is_none() && left_out.is_empty() {
            return [None, None];
        }
        let remark = |kind, message| Remark::new(mirror_of(name), kind, message);
        let shown = shown::text(text);
        let asks = |url: &Url| {
            format!(
                "{}://{}{}",
                url.scheme,
                shown::text(&url.host),
                shown::text(&url.path)
            )
        };
        let converted = self.used == Use::Converted;
        let host = url.as_ref().map_or("", |url| &url.host);
        let of_fault = match (*fault, url) {
            (None, _) => None,
            (Some(Fault::Refused(hint)), _) => {
                let message = format!(
                    "the endpoint {shown:?} is no URL, because of which containerd refuses every pull of such an image, also from the registry itself{}",
                    advice(hint)
                );
                Some(remark(RemarkKind::NotOneUrl, message))
            }
            (Some(Fault::NotOne(hint)), url) => {
                let path = url.as_ref().map(|url| clean(&url.path));
                let message = format!(
                    "the endpoint {shown:?} is not one URL: containerd takes {:?} for its host and {:?} for its path{}",
                    shown::text(host),
                    shown::text(&path.unwrap_or_default()),
                    advice(hint)
                );
                Some(remark(RemarkKind::NotOneUrl, message))
            }
            (Some(Fault::Empty | Fault::Scheme), _) => Some(self.never_asked(name, &shown, host)),
            (Some(Fault::Slash), _) if converted => {
                let message = format!(
                    "because of the slash at its end, containerd asked the endpoint {shown:?} without /v2, where no registry answers; from now on it is asked as it should be"
                );
                Some(remark(RemarkKind::FirstEffect, message))
            }
            (Some(Fault::Slash), _) => {
                let message = format!(
                    "because of the slash at its end, containerd asks the endpoint {shown:?} without /v2, where no registry answers: remove the slash"
                );
                Some(remark(RemarkKind::Slash, message))
            }
            (Some(Fault::Path), url) => {
                let taken = url.as_ref().map(asks).unwrap_or_default();
                let message = format!(
                    "the path of the endpoint {shown:?} is taken as it is: images are asked for below {taken:?}, to which containerd adds no /v2"
                );
                Some(remark(RemarkKind::PathWithoutV2, message))
            }
        };
        let is_one_url = !matches!(fault, Some(Fault::Refused(_) | Fault::NotOne(_)));
        let of_parts = left_out
            .first()
            .filter(|_| is_one_url)
            .and_then(|part| self.left_out(name, *part, &shown, host));
        [of_fault, of_parts]
    }

    /// An endpoint at which every try fails.
    fn never_asked(&self, name: &str, shown: &str, host: &str) -> Remark {
        let why = match shown {
            "" => "an endpoint is empty, and containerd asks none of that".to_owned(),
            shown => format!("containerd asks over http and https only, and so not {shown:?}"),
        };
        // Of a registry whose name it has containerd asks nothing else.
        let of_any = name == ANY && !self.settings.mirrors.contains_key(host);
        let hides = host == name || of_any && is_registry_host(host);
        match (hides, self.used) {
            (true, Use::Converted) => {
                let message = format!(
                    "{why}; it is left out, and the registry itself, whose name it has, is asked from now on"
                );
                Remark::new(mirror_of(name), RemarkKind::FirstEffect, message)
            }
            (true, Use::AsTheyAre) => {
                let message =
                    format!("{why}; nor does it ask the registry itself, whose name it has");
                Remark::new(mirror_of(name), RemarkKind::NeverAsked, message)
            }
            (false, _) => Remark::new(mirror_of(name), RemarkKind::NeverAsked, why),
        }
    }

    /// A part of an endpoint that is not sent.
    fn left_out(&self, name: &str, part: Part, shown: &str, host: &str) -> Option<Remark> {
        let kind = RemarkKind::PartLeftOut;
        let what = match part {
            Part::User => {
                let config = self.settings.configs.get(host);
                if config.is_some_and(|config| has_credentials(&config.auth)) {
                    return None;
                }
                let mut message = format!(
                    "containerd does not send the user and password of the endpoint {shown:?}"
                );
                let cure = self.cure(&mut message, Some(host.to_owned()), auth_of);
                let remark = Remark::new(mirror_of(name), kind, message);
                return Some(Remark { cure, ..remark });
            }
            Part::Query => "query",
            Part::Fragment => "fragment",
        };
        let message = format!("containerd leaves the {what} of the endpoint {shown:?} out");
        Some(Remark::new(mirror_of(name), kind, message))
    }

    /// What stands at a path for a host, as containerd takes what is `written`.
    fn config(&mut self, path: Vec<String>, host: &str, written: &str, entry: Entry) {
        let (shown, what) = (shown::name(host), entry.name());
        let Some(over_tls) = self.asked.is_asked(self.settings, host) else {
            let cure = self.asked_instead(&host_meant(written));
            let mut message = format!(
                "containerd looks for {what} by the host of the endpoint that it asks, and asks none called {shown:?}: they have no effect"
            );
            let cure = self.cure(&mut message, cure, |host| entry.of(host));
            let remark = Remark::new(path, RemarkKind::NeverLookedUp, message);
            self.remarks.push(Remark { cure, ..remark });
            return;
        };
        if !over_tls && matches!(entry, Entry::Tls { is_whole: true }) {
            let message = format!(
                "containerd asks {shown:?} over plain http only, and does nothing with TLS settings but to refuse pulls where their files are missing"
            );
            self.remarks
                .push(Remark::new(path, RemarkKind::PlainHttp, message));
            return;
        }
        let other = self.asked_instead(host).filter(|other| {
            let is_meant = self.asked.endpoints.contains_key(host)
                || self.settings.mirrors.contains_key(host)
                || self.settings.configs.contains_key(other);
            other != host && !is_meant
        });
        if let Some(other) = other {
            let message = format!(
                "these {what} count for images only that are written {shown}/…; those of {:?}, which is asked too, have another entry",
                shown::name(&other)
            );
            let remark = Remark::new(path, RemarkKind::OtherSpelling, message);
            let cure = Some(entry.of(&other));
            self.remarks.push(Remark { cure, ..remark });
        }
    }

    /// The host that is asked where another was meant by that name.
    fn asked_instead(&self, meant: &str) -> Option<String> {
        let hub = hub_or(meant.to_owned());
        if hub == DOCKER_HUB {
            return Some(upstream(&hub).to_owned());
        }
        if self.asked.endpoints.contains_key(meant) {
            return Some(meant.to_owned());
        }
        let near = self.asked.by_name.get(&name_of(meant).to_ascii_lowercase());
        let is_asked = || self.asked.is_asked(self.settings, meant).is_some();
        near.cloned()
            .or_else(|| is_asked().then(|| meant.to_owned()))
    }

    /// Adds to a message where the setting belongs.
    fn cure(
        &self,
        message: &mut String,
        host: Option<String>,
        path_of: impl Fn(&str) -> Vec<String>,
    ) -> Option<Vec<String>> {
        let path = path_of(&host?);
        let [map, name, rest @ ..] = path.as_slice() else {
            return None;
        };
        let shown = shown::name(name);
        let rest: String = rest.iter().map(|key| format!(".{key}")).collect();
        message.push_str(&format!(
            "; write them under registry.{map}.{shown:?}{rest}"
        ));
        let is_there = match rest.as_str() {
            "" => self.settings.mirrors.contains_key(name),
            _ => self.settings.configs.contains_key(name),
        };
        if is_there {
            message.push_str(", which is there already");
        }
        Some(path)
    }
}

/// What may cure an endpoint.
fn advice(hint: Hint) -> &'static str {
    match hint {
        Hint::Placeholder => "; it looks like a placeholder that nobody filled in",
        Hint::Several => "; each endpoint needs a string of its own",
        Hint::Scheme => "; what follows http or https is ://, once",
        Hint::NoHost => "; its host is missing",
        Hint::Port => "; a port is a number up to 65535",
        Hint::Other => "",
    }
}

/// The host that was meant by a URL, or by a host with a path.
fn host_meant(key: &str) -> String {
    let url = match key.contains("://") {
        true => Url::parse(key),
        false => Url::parse(&format!("dummy://{key}")),
    };
    url.map_or_else(|| key.to_owned(), |url| url.host)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    split_port(host).map_or(host, |(name, _)| name)
}

/// `docker.io`, if that is what is meant by a host; else the host.
fn hub_or(host: String) -> String {
    let name = name_of(&host);
    let same = |other: &str| name.eq_ignore_ascii_case(other);
    match same(DOCKER_HUB) || same("index.docker.io") {
        true => DOCKER_HUB.to_owned(),
        false => host,
    }
}

/// How images are written that are of a host.
fn usual(host: &str) -> String {
    match host == upstream(DOCKER_HUB) {
        true => DOCKER_HUB.to_owned(),
        false => hub_or(host.to_owned()),
    }
}

/// Which hosts are asked.
#[derive(Default)]
struct Asked {
    /// Those of endpoints, and whether one of them is over TLS.
    endpoints: BTreeMap<String, bool>,
    /// A host of an endpoint by its name in lower case, without its port.
    by_name: BTreeMap<String, String>,
    /// The hosts that `*` leads to.
    any: BTreeSet<String>,
}

impl Asked {
    /// Adds an endpoint of an entry of `mirrors` that is looked up.
    fn add(&mut self, entry: &str, url: Url) {
        if entry == ANY {
            self.any.insert(url.host.clone());
        }
        *self.endpoints.entry(url.host).or_default() |= url.scheme == "https";
    }

    /// Finds hosts by their names from now on, of which all are there.
    fn name_hosts(&mut self) {
        let hosts = self.endpoints.keys();
        let by_name = hosts.map(|host| (name_of(host).to_ascii_lowercase(), host.clone()));
        self.by_name = by_name.collect();
    }

    /// Whether a host is asked for any image, and if so, whether over TLS. The
    /// registry itself is asked unless an endpoint has its name.
    fn is_asked(&self, settings: &Registry, host: &str) -> Option<bool> {
        let as_endpoint = self.endpoints.get(host).copied();
        if as_endpoint == Some(true) {
            return as_endpoint;
        }
        let own = is_registry_host(host) && upstream(host) == host;
        let hub = (host == upstream(DOCKER_HUB)).then_some(DOCKER_HUB);
        let mut names = own.then_some(host).into_iter().chain(hub);
        let as_upstream = names.any(|name| match settings.mirrors.get(name) {
            Some(mirror) => !urls(mirror).any(|url| url.host == name),
            None => !self.any.contains(name),
        });
        let over_tls = default_scheme(host) == "https";
        match (as_endpoint, as_upstream) {
            (None, false) => None,
            (_, upstream) => Some(upstream && over_tls),
        }
    }
}
