//! Texts that containerd parses.

use crate::airgap::ImageReference;
use crate::containerd::url::split_port;

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
    split_port(address).is_none_or(|(_, port)| is_bad_port(port))
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

/// What a template would have filled in: the first of the placeholders that are
/// left in a text.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    const MARKS: [(&str, &str); 6] = [
        ("{{", "}}"),
        ("${", "}"),
        ("$(", ")"),
        ("{%", "%}"),
        ("<", ">"),
        ("{", "}"),
    ];
    let found = |(open, close): (&str, &str)| {
        let start = text.find(open)?;
        let inner = text.get(start + open.len()..)?;
        let end = start + open.len() + inner.find(close)? + close.len();
        Some((start, text.get(start..end)?))
    };
    let variable = text.find('$').and_then(|start| {
        let rest = text.get(start..)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.char_indices().skip(1).find(|(_, c)| !is_name(*c));
        let name = rest.get(..end.map_or(rest.len(), |(at, _)| at))?;
        (name.len() > 1).then_some((start, name))
    });
    let all = MARKS.into_iter().filter_map(found).chain(variable);
    // Of two that begin alike the longer mark comes first.
    let first = all.min_by_key(|(start, _)| *start).map(|(_, text)| text);
    // Or a word that a program was to replace, in capitals.
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_@".contains(c);
    let is_long = |word: &&str| word.chars().filter(char::is_ascii_uppercase).count() > 2;
    first.or_else(|| text.split(|c| !is_name(c)).find(is_long))
}

/// Whether a text is no reference of an image.
pub(crate) fn is_no_image(text: &str) -> bool {
    text.parse::<ImageReference>().is_err()
}

/// Whether an image's name is its full one, by which the store has it: with the
/// registry's host, and either a tag or a digest.
pub(crate) fn is_full_name(image: &str) -> bool {
    let read = image.parse::<ImageReference>();
    read.is_ok_and(|full| full.to_string() == image)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn placeholders_are_found() {
        for (text, found) in [
            ("{{ repo }}:{{ tag }}", "{{ repo }}"),
            ("${REGISTRY}/pause:3.9", "${REGISTRY}"),
            ("r.example/$(IMAGE):3.9", "$(IMAGE)"),
            ("$REGISTRY/pause:3.9", "$REGISTRY"),
            ("<registry>/pause:3.9", "<registry>"),
            ("{registry}/pause:{{ tag }}", "{registry}"),
            ("{% if a %}b{% endif %}", "{% if a %}"),
            ("SANDBOX_IMAGE", "SANDBOX_IMAGE"),
            ("@@REPO@@/pause:3.9", "@@REPO@@"),
            ("r.example/Pause:3.9", ""),
            ("r.example/pause:$", ""),
            ("r.example/pause:}}{{", ""),
        ] {
            assert_eq!(placeholder(text).unwrap_or_default(), found, "{text}");
        }
    }

    #[test]
    fn full_names_of_images() {
        for full in [
            "registry.k8s.io/pause:3.10",
            "localhost/kubernetes/pause:latest",
            "h:5000/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "docker.io/rancher/pause:3.6",
        ] {
            assert!(is_full_name(full), "{full}");
        }
        for short in [
            "pause:3.10",
            "rancher/mirrored-pause:3.6",
            "localhost/kubernetes/pause",
            "registry.k8s.io/pause:3.10.1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "docker.io/pause:1",
            "h:5000/a",
        ] {
            assert!(!is_full_name(short), "{short}");
        }
    }
}
