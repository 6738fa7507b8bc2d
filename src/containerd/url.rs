//! URLs of registries as containerd reads them: Go's `net/url`, which keeps the
//! spelling of hosts and ports where other parsers normalise it.

use std::net::IpAddr;

use super::import;

/// What containerd takes from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// In lower case; empty where there is none.
    pub(crate) scheme: String,
    /// The host, with its port if there is one; no user.
    pub(crate) host: String,
    /// The path without percent signs; empty where there is none.
    pub(crate) path: String,
}

impl Url {
    /// `url.Parse`, as far as containerd looks at the result; `None` where Go
    /// gives an error.
    pub(crate) fn parse(text: &str) -> Option<Url> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let is_control = |byte: u8| byte < b' ' || byte == 0x7f;
        if text.bytes().any(is_control) || unescape(fragment, |_| true).is_none() {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
        let mut url = Url {
            scheme: scheme.to_ascii_lowercase(),
            host: String::new(),
            path: String::new(),
        };
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                // Go calls it opaque.
                return Some(url);
            }
            let first = rest.split('/').next().unwrap_or(rest);
            if first.contains(':') {
                return None;
            }
        }
        let mut path = rest;
        if let Some(authority) = rest.strip_prefix("//")
            && (!scheme.is_empty() || !authority.starts_with('/'))
        {
            let end = authority.find('/').unwrap_or(authority.len());
            let (authority, behind) = authority.split_at_checked(end)?;
            path = behind;
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            if !user.bytes().all(is_user) || unescape(user, |_| true).is_none() {
                return None;
            }
            url.host = parse_host(host)?;
        }
        url.path = unescape(path, |_| true)?;
        Some(url)
    }

    /// The text of a URL that reads as this one. `None` if there is none that
    /// a `hosts.toml` could have.
    pub(crate) fn text(scheme: &str, host: &str, path: &str) -> Option<String> {
        let mut text = format!("{scheme}://{host}");
        for byte in path.bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'~' | b'@' | b':' | b'+' => {
                    text.push(char::from(byte))
                }
                byte if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
                byte => text.push_str(&format!("%{byte:02X}")),
            }
        }
        let read = Url::parse(&text)?;
        (read.scheme == scheme && read.host == host && read.path == path).then_some(text)
    }
}

/// A part of a URL that containerd does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// In front of the host: `user:password@`.
    User,
    /// Behind `?`.
    Query,
    /// Behind `#`.
    Fragment,
}

/// The parts of a URL with a scheme and a host that [`Url`] leaves out.
pub(crate) fn left_out(text: &str) -> Vec<Part> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    let has_user = authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| !user.is_empty());
    let parts = [
        (Part::User, has_user),
        (Part::Query, !query.is_empty()),
        (Part::Fragment, !fragment.is_empty()),
    ];
    parts
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(part, _)| part)
        .collect()
}

/// The scheme and what follows its colon; `None` where Go gives an error.
fn scheme(text: &str) -> Option<(&str, &str)> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return text.split_once(':'),
            _ => break,
        }
    }
    Some(("", text))
}

fn is_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte) || byte >= 0x80
}

fn parse_host(host: &str) -> Option<String> {
    let port = match host.strip_prefix('[') {
        // No zones: an image host has none.
        Some(rest) => Some(rest.rsplit_once(']')?.1),
        None => host.rfind(':').and_then(|at| host.get(at..)),
    };
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':');
        port.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    if !port.is_none_or(is_port) {
        return None;
    }
    // Only what is no ASCII may be escaped.
    let plain = unescape(host, |byte| byte >= 0x80)?;
    host.bytes()
        .all(|byte| is_host(byte) || byte == b'%')
        .then_some(plain)
}

/// Undoes percent escapes of the bytes that may have one.
fn unescape(text: &str, may: impl Fn(u8) -> bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if !may(value) {
            return None;
        }
        bytes.push(value);
    }
    // What is no UTF-8 cannot be asked for by a config file either.
    String::from_utf8(bytes).ok()
}

/// Go's `path.Clean` of a path from the root.
pub(crate) fn clean(path: &str) -> String {
    import::clean(&format!("/{path}"))
}

/// Host and port, as Go's `net.SplitHostPort` parts them; `None` where it gives
/// an error.
pub(crate) fn split_port(host: &str) -> Option<(&str, &str)> {
    let (name, port) = host.rsplit_once(':')?;
    let inner = match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if name.contains(':') => return None,
        None => name,
    };
    (!inner.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((inner, port))
}

/// Whether containerd takes a host for the node itself and speaks plain HTTP
/// with it (`docker.IsLocalhost`).
pub(crate) fn is_localhost(host: &str) -> bool {
    let name = split_port(host).map_or(host, |(name, _)| name);
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    name == "localhost" || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<[&str; 3]>) {
        let found = Url::parse(text);
        let found = found
            .as_ref()
            .map(|url| [url.scheme.as_str(), &url.host, &url.path]);
        assert_eq!(found, expected, "{text}");
    }

    /// The cases are those of Go's own documentation and tests of `net/url`.
    #[test]
    fn reads_urls_as_go_does() {
        check("https://m.example", Some(["https", "m.example", ""]));
        check(
            "HTTPS://M.example:5000/a%20b/?q#f",
            Some(["https", "M.example:5000", "/a b/"]),
        );
        check(
            "http://u:p@m.example/v2",
            Some(["http", "m.example", "/v2"]),
        );
        check("http://[::1]:5000", Some(["http", "[::1]:5000", ""]));
        check("http://m:", Some(["http", "m:", ""]));
        check("m.example/x", Some(["", "", "m.example/x"]));
        check("//m.example/x", Some(["", "m.example", "/x"]));
        check("https:m.example", Some(["https", "", ""]));
        check("https:///x", Some(["https", "", "/x"]));
        check("", Some(["", "", ""]));
        for text in [
            "m.example:5000",
            "http://m:port",
            "http://[::1",
            "http://a b/",
            "http://%zz/",
            "http://m/%zz",
            "http://m/%2",
            ":x",
            "http://m/\u{1}",
            "http://%41/",
            "http://u[@m/",
        ] {
            match text {
                // A scheme of its own to Go.
                "m.example:5000" => check(text, Some(["m.example", "", ""])),
                text => check(text, None),
            }
        }
    }

    /// As containerd 1.6.20, 1.7.24 and 2.1.9 take them for keys of `auths`.
    #[test]
    fn urls_as_go_takes_them() {
        for bad in [
            "https://a b",
            "http://[::1",
            "%zz",
            "http://h:port",
            "::",
            "http://a%zz",
            "1http://x",
            ":x",
            "http://h/%zz",
            "http://us er@h",
            "http://h\\x",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
        for good in [
            "",
            "https://ok",
            "a:b",
            "a b",
            "ok:5000",
            "h:5000/x",
            "%41",
            "http://h?%zz",
            "http://[::1]:5000/v2",
            "https://user:pass@h:5000/x?y#z",
            "h.example",
        ] {
            assert!(Url::parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn parts_that_are_left_out() {
        assert_eq!(left_out("https://m.example/a@b"), []);
        assert_eq!(left_out("https://@m.example/?#"), []);
        assert_eq!(
            left_out("https://u:p@m.example/x?y#z@"),
            [Part::User, Part::Query, Part::Fragment]
        );
        assert_eq!(left_out("https://m.example#?u@"), [Part::Fragment]);
    }

    #[test]
    fn writes_urls_that_read_the_same() {
        let text = |path| Url::text("https", "m.example:5000", path);
        assert_eq!(text(""), Some("https://m.example:5000".to_owned()));
        assert_eq!(
            text("/a b/é%"),
            Some("https://m.example:5000/a%20b/%C3%A9%25".to_owned())
        );
        assert_eq!(Url::text("https", "a b", ""), None);
    }

    #[test]
    fn cleans_paths_as_go_does() {
        for (path, cleaned) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b/", "/a/b"),
            ("/a/../..//b/.", "/b"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn knows_the_node_itself() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:5000",
            "::1",
            "[::ffff:127.0.0.1]:5",
        ] {
            assert!(is_localhost(host), "{host}");
        }
        // Go's net.ParseIP takes no brackets.
        for host in [
            "[::1]",
            "localhost.example",
            "128.0.0.1",
            "",
            "localhost:5:5",
        ] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
