//! Texts that containerd parses.

/// Whether Go's `net/url` refuses a text.
pub(super) fn is_bad_url(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if text.contains(|c: char| c.is_ascii_control()) || has_bad_escape(fragment) {
        return true;
    }
    let (scheme, rest) = match text.find(|c: char| !is_in_scheme(c)) {
        Some(0) if text.starts_with(':') => return true,
        Some(at) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            match text.split_at_checked(at) {
                Some((scheme, rest)) if rest.starts_with(':') => {
                    (scheme, rest.strip_prefix(':').unwrap_or(rest))
                }
                _ => ("", text),
            }
        }
        _ => ("", text),
    };
    let rest = rest.split('?').next().unwrap_or(rest);
    if !rest.starts_with('/') {
        // With a scheme it is opaque.
        let first = rest.split('/').next().unwrap_or(rest);
        return scheme.is_empty() && (first.contains(':') || has_bad_escape(rest));
    }
    let authority = rest
        .strip_prefix("//")
        .filter(|rest| !scheme.is_empty() || !rest.starts_with('/'));
    let Some(authority) = authority else {
        return has_bad_escape(rest);
    };
    let (authority, path) = authority.split_once('/').unwrap_or((authority, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let in_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    !user.chars().all(in_user) || has_bad_escape(user) || is_bad_host(host) || has_bad_escape(path)
}

fn is_in_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

fn is_bad_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(inside) => match inside.rsplit_once(']') {
            Some((name, port)) => (name, port),
            None => return true,
        },
        None => match host.rfind(':').and_then(|at| host.split_at_checked(at)) {
            Some((name, port)) => (name, port),
            None => (host, ""),
        },
    };
    let port = port.strip_prefix(':').map_or(port.is_empty(), |port| {
        port.bytes().all(|b| b.is_ascii_digit())
    });
    let in_name = |c: char| {
        !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    !port || !name.chars().all(in_name) || has_bad_escape(name)
}

fn has_bad_escape(text: &str) -> bool {
    text.split('%').skip(1).any(|after| {
        let mut digits = after.bytes().take(2);
        let good = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
        !(good(digits.next()) && good(digits.next()))
    })
}

/// Operating systems and architectures that stand for a whole platform.
const ALONE: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
    "macos",
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "i386",
    "x86_64",
    "x86-64",
    "aarch64",
    "armhf",
    "armel",
];

/// Whether `github.com/containerd/platforms` refuses a text; an operating
/// system with a version, `windows(10.0)`, passes from containerd 1.7 on.
pub(super) fn is_bad_platform(text: &str) -> bool {
    let is_word = |text: &str, more: &str| {
        let in_word = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.chars().all(in_word)
    };
    let parts: Vec<&str> = text.split('/').collect();
    let (os, rest) = match parts.split_first() {
        Some((os, rest)) if rest.len() < 3 => (*os, rest),
        _ => return true,
    };
    let (name, version) = match os.split_once('(') {
        Some((name, version)) => (name, version.strip_suffix(')')),
        None => (os, Some("")),
    };
    let in_version = |c: char| c.is_ascii_alphanumeric() || "_.-+%".contains(c);
    if !is_word(name, "_-") || !version.is_some_and(|version| version.chars().all(in_version)) {
        return true;
    }
    let alone = name.to_ascii_lowercase();
    rest.iter().any(|part| !is_word(part, "_-."))
        || rest.is_empty() && !ALONE.contains(&alone.as_str())
}

/// Whether Go cannot listen on a TCP address: it has no port, or one that is no
/// number of a port. What is no number may be a service's name, and the host's
/// name is the node's to know.
pub(super) fn is_bad_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return true;
    };
    let bare = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']'),
        None => Some(host).filter(|host| !host.contains(':')),
    };
    let has_bracket = |text: &str| text.contains(['[', ']']);
    bare.is_none_or(has_bracket) || has_bracket(port) || is_bad_port(port)
}

/// Whether a number is none of a port.
pub(super) fn is_bad_port(port: &str) -> bool {
    let digits = port.strip_prefix(['+', '-']).unwrap_or(port);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number && (port.starts_with('-') || port.parse::<u16>().is_err())
}

/// Whether `github.com/docker/go-units` refuses the text as a size: `10GB`,
/// `1.5 gib`, `512`.
pub(super) fn is_bad_size(size: &str) -> bool {
    let size = size.strip_prefix('+').unwrap_or(size);
    let at = size.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = size
        .split_at_checked(at.unwrap_or(size.len()))
        .unwrap_or((size, ""));
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = match unit.strip_suffix('i') {
        Some("") => return true,
        Some(prefix) => prefix,
        None => unit,
    };
    !matches!(unit, "" | "k" | "m" | "g" | "t" | "p") || number.parse::<f64>().is_err()
}

/// Whether an image's name is its full one, by which the store has it: with the
/// registry's host, and either a tag or a digest.
pub(super) fn is_full_name(image: &str) -> bool {
    let Some((host, name)) = image.split_once('/') else {
        return false;
    };
    let is_host = host == "localhost" || host.contains(['.', ':']);
    let library = host != "docker.io" || name.contains('/');
    let (name, digest) = name
        .split_once('@')
        .map_or((name, false), |(n, _)| (n, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    is_host && library && last.contains(':') != digest
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_bad_url(bad), "{bad}");
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
            assert!(!is_bad_url(good), "{good}");
        }
    }

    /// As containerd 2.1.9 takes them for `runtime_platforms`.
    #[test]
    fn platforms_as_containerd_takes_them() {
        for bad in [
            "l!nux",
            "a/b/c/d",
            "linux/",
            "/amd64",
            "bogus",
            "linux/amd64/",
            "",
        ] {
            assert!(is_bad_platform(bad), "{bad}");
        }
        for good in [
            "linux/amd64",
            "linux",
            "amd64",
            "a/b/c",
            "windows(10.0)/amd64",
            "linux/arm/v7",
        ] {
            assert!(!is_bad_platform(good), "{good}");
        }
    }

    /// As the three daemons take them for `metrics.address`.
    #[test]
    fn addresses_as_go_takes_them() {
        for bad in [
            "nohost",
            "127.0.0.1:99999",
            "::1:0",
            "127.0.0.1:-1",
            "[::1]",
            ":80]",
            "",
        ] {
            assert!(is_bad_address(bad), "{bad}");
        }
        for good in [
            ":0",
            "127.0.0.1:0",
            ":http",
            "[::1]:0",
            "h:",
            "0.0.0.0:1338",
        ] {
            assert!(!is_bad_address(good), "{good}");
        }
        assert!(is_bad_port("99999") && !is_bad_port("") && !is_bad_port("0"));
    }

    #[test]
    fn sizes_as_go_units_takes_them() {
        for bad in ["", "x", "GB", "10QB", "10 x", "1ib"] {
            assert!(is_bad_size(bad), "{bad}");
        }
        for good in ["10GB", "10g", "1.5 GiB", "512", "8b", "+5"] {
            assert!(!is_bad_size(good), "{good}");
        }
    }

    #[test]
    fn full_names_of_images() {
        for full in [
            "registry.k8s.io/pause:3.10",
            "localhost/kubernetes/pause:latest",
            "h:5000/a@sha256:0",
            "docker.io/rancher/pause:3.6",
        ] {
            assert!(is_full_name(full), "{full}");
        }
        for short in [
            "pause:3.10",
            "rancher/mirrored-pause:3.6",
            "localhost/kubernetes/pause",
            "registry.k8s.io/pause:3.10.1@sha256:0",
            "docker.io/pause:1",
            "h:5000/a",
        ] {
            assert!(!is_full_name(short), "{short}");
        }
    }
}
