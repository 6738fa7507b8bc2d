//! What is wrong with the text of an endpoint.

use std::borrow::Cow;

use super::endpoint::is_dead;
use super::settings;
use crate::containerd::url::{Part, Url, clean, left_out, split_port};

/// What keeps an endpoint from being asked as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Go gives an error, and with it every pull of such an image fails.
    Refused(Hint),
    /// Go reads it, but as something else than is meant.
    NotOne(Hint),
    /// Every try fails: there is no text at all.
    Empty,
    /// Every try fails: Go speaks HTTP only.
    Scheme,
    /// It is asked without `/v2`, because of a slash.
    Slash,
    /// It is asked without `/v2`, because of its path.
    Path,
}

/// What may have been meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A template that was not filled in.
    Placeholder,
    /// Several endpoints in one text.
    Several,
    /// A scheme that does not end in `://`.
    Scheme,
    /// The host is missing.
    NoHost,
    /// The port is none.
    Port,
    Other,
}

/// An endpoint as containerd reads it, and what is wrong with it.
pub(super) struct Examined {
    /// What is asked; `None` where Go gives an error.
    pub(super) url: Option<Url>,
    pub(super) fault: Option<Fault>,
    /// What is written in it and not asked.
    pub(super) left_out: Vec<Part>,
}

pub(super) fn examine(text: &str) -> Examined {
    let whole = settings::with_scheme(text);
    let url = whole.as_deref().and_then(Url::parse);
    let fault = match &url {
        None => Some(Fault::Refused(hint(text, None))),
        Some(url) => fault(text, url),
    };
    let may_leave_out = |whole: &Cow<'_, str>| whole.contains(['@', '?', '#']);
    let whole = whole.filter(|whole| url.is_some() && may_leave_out(whole));
    Examined {
        left_out: whole.map_or_else(Vec::new, |whole| left_out(&whole)),
        url,
        fault,
    }
}

fn fault(text: &str, url: &Url) -> Option<Fault> {
    if text.is_empty() {
        return Some(Fault::Empty);
    }
    let not_one = !is_one_host(&url.host)
        || url.path.contains("://")
        || url.path.contains(char::is_whitespace);
    if not_one {
        return Some(Fault::NotOne(hint(text, Some(url))));
    }
    if is_dead(&url.scheme, &url.host) {
        return Some(Fault::Scheme);
    }
    if url.path.is_empty() {
        return None;
    }
    match clean(&url.path).as_str() {
        "/" => Some(Fault::Slash),
        path if path.split('/').any(|part| part == "v2") => None,
        _ => Some(Fault::Path),
    }
}

/// Whether a host can be one: a name or an address, and a port that exists. A
/// host that is called like a scheme comes of a colon that is missing or of a
/// second scheme.
fn is_one_host(host: &str) -> bool {
    let (name, port) = parts(host);
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c) || !c.is_ascii();
    let is_address = name.starts_with('[') && name.ends_with(']');
    !name.is_empty()
        && (is_address || name.chars().all(is_name))
        && !matches!(name, "http" | "https")
        && is_port(port)
}

/// A host's name, in brackets if it is an address of IPv6, and its port.
fn parts(host: &str) -> (&str, &str) {
    match split_port(host) {
        Some((_, port)) => {
            let end = host.len().saturating_sub(port.len() + 1);
            (host.get(..end).unwrap_or(host), port)
        }
        None => (host, ""),
    }
}

fn is_port(port: &str) -> bool {
    port.is_empty() || port.parse::<u16>().is_ok()
}

/// What may have been meant by a text that is not one URL.
fn hint(text: &str, url: Option<&Url>) -> Hint {
    let schemes = text.matches("://").count();
    let lower = text.to_ascii_lowercase();
    if text.contains("${") || text.contains("{{") || text.contains(['<', '>']) {
        return Hint::Placeholder;
    }
    if let Some(("http" | "https", _)) = url.map(|url| parts(&url.host)) {
        return Hint::Scheme;
    }
    if schemes > 1 || text.trim().contains([',', ';', ' ']) {
        return Hint::Several;
    }
    if schemes == 0
        && ["http:", "http/", "https:", "https/"]
            .iter()
            .any(|start| lower.starts_with(start))
    {
        return Hint::Scheme;
    }
    match url.map(|url| parts(&url.host)) {
        Some(("", _)) => Hint::NoHost,
        Some((_, port)) if !is_port(port) => Hint::Port,
        Some(_) => Hint::Other,
        None => {
            let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
            let authority = authority.split('/').next().unwrap_or(authority);
            let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
            match port.contains(']') || is_port(port) {
                true => Hint::Other,
                false => Hint::Port,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each is asked as is recorded from containerd itself, in
    /// `tests/recorded/endpoints`.
    #[test]
    fn faults_of_endpoints() {
        use Fault::{Empty, NotOne, Path, Refused, Scheme, Slash};
        for (text, fault) in [
            ("m.example", None),
            ("m.example:5000", None),
            ("https://m.example/v2", None),
            ("https://m.example/v2/", None),
            ("https://m.example/v2/proxy", None),
            ("https://m.example/proxy/v2", None),
            ("http://[::1]:5000", None),
            ("http://m.example:", None),
            ("https://bücher.example", None),
            ("https://u:p@m.example?q#f", None),
            ("", Some(Empty)),
            ("ftp://m.example", Some(Scheme)),
            ("https://m.example/", Some(Slash)),
            ("m.example//", Some(Slash)),
            ("https://m.example/proxy", Some(Path)),
            ("https://m.example/proxy/", Some(Path)),
            ("https://m.example:port", Some(Refused(Hint::Port))),
            ("m.example:port", Some(Refused(Hint::Port))),
            ("http://${NODE}:5000", Some(Refused(Hint::Placeholder))),
            ("{{ mirror }}", Some(Refused(Hint::Placeholder))),
            (
                "https://a.example https://b.example",
                Some(Refused(Hint::Several)),
            ),
            (" https://a.example", Some(Refused(Hint::Other))),
            ("a.example, b.example", Some(Refused(Hint::Several))),
            ("https:m.example", Some(Refused(Hint::Scheme))),
            ("https://[::1", Some(Refused(Hint::Other))),
            (
                "https://a.example,https://b.example",
                Some(NotOne(Hint::Several)),
            ),
            (
                "https://a.example/v2,https://b.example/v2",
                Some(NotOne(Hint::Several)),
            ),
            ("a.example,b.example", Some(NotOne(Hint::Several))),
            ("https//m.example", Some(NotOne(Hint::Scheme))),
            ("https:/m.example", Some(NotOne(Hint::Scheme))),
            ("https://https//m.example", Some(NotOne(Hint::Scheme))),
            ("https://https://m.example", Some(NotOne(Hint::Scheme))),
            ("https://:5000", Some(NotOne(Hint::NoHost))),
            ("https:///v2", Some(NotOne(Hint::NoHost))),
            ("//m.example", Some(NotOne(Hint::NoHost))),
            ("https://m.example:70000", Some(NotOne(Hint::Port))),
            ("https://m.example/v2 ", Some(NotOne(Hint::Other))),
        ] {
            assert_eq!(examine(text).fault, fault, "{text}");
        }
    }
}
