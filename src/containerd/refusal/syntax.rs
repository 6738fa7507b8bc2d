//! Texts that containerd parses.

use crate::airgap::{ImageReference, ImageReferenceError};
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

/// What a template or a program would have filled in: the first of the placeholders
/// that are left in a text which is no reference of an image.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    const MARKS: [(&str, &str); 8] = [
        ("{{", "}}"),
        ("[[", "]]"),
        ("${", "}"),
        ("$(", ")"),
        ("%(", ")s"),
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
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let variable = text.find('$').and_then(|start| {
        let rest = text.get(start..)?;
        let end = rest.char_indices().skip(1).find(|(_, c)| !is_name(*c));
        let name = rest.get(..end.map_or(rest.len(), |(at, _)| at))?;
        (name.len() > 1).then_some((start, name))
    });
    // printf's, and what is between two of the same mark, where a name begins.
    let verb = ["%s", "%v", "%d"].into_iter().filter_map(|verb| {
        let start = text.find(verb)?;
        let behind = text.get(start + verb.len()..)?;
        (!behind.starts_with(|c| is_name(c) || c == '%')).then_some((start, verb))
    });
    let enclosed = ["@@", "@", "%", "__"].into_iter().filter_map(|mark| {
        let starts = text.match_indices(mark).map(|(start, _)| start);
        let mut starts = starts.filter(|start| {
            let before = text.get(..*start).unwrap_or_default();
            before.is_empty() || before.ends_with(['/', ':'])
        });
        let start = starts.next()?;
        let inner = text.get(start + mark.len()..)?;
        let name = inner.get(..inner.find(mark)?)?;
        let end = start + 2 * mark.len() + name.len();
        let is_plain = !name.is_empty() && name.chars().all(is_name);
        is_plain.then_some((start, text.get(start..end)?))
    });
    let bracket = found(("[", "]")).filter(|(_, inner)| {
        // No IP address.
        let is_other = |c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit();
        !inner.contains(':') && inner.contains(is_other)
    });
    let all = MARKS.into_iter().filter_map(found);
    let all = all
        .chain(variable)
        .chain(verb)
        .chain(enclosed)
        .chain(bracket);
    // Of two that begin alike the longer mark comes first.
    let first = all.min_by_key(|(start, _)| *start).map(|(_, text)| text);
    first.or_else(|| capitals(text))
}

/// A word in capitals that asks to be replaced, or names what stands there: other
/// words may be meant.
fn capitals(text: &str) -> Option<&str> {
    const ASK: [&str; 7] = [
        "REPLACE",
        "CHANGE",
        "YOUR",
        "TODO",
        "FIXME",
        "PLACEHOLDER",
        "EXAMPLE",
    ];
    const NAMES: [&str; 6] = ["IMAGE", "REGISTRY", "REPO", "REPOSITORY", "TAG", "VERSION"];
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_meant = |word: &&str| {
        let mut parts = word.split('_');
        ASK.iter().any(|ask| word.contains(ask)) || parts.any(|part| NAMES.contains(&part))
    };
    text.split(|c| !is_name(c)).find(is_meant)
}

/// Why a text is no reference of an image.
pub(super) fn why_no_image(text: &str) -> Option<&'static str> {
    Some(match text.parse::<ImageReference>().err()? {
        _ if text.contains("://") => "it has a scheme, which no image has",
        _ if text.contains(char::is_whitespace) => "there is a blank in it",
        ImageReferenceError::UpperCase(_) => "its repository has an upper-case letter",
        ImageReferenceError::Repository(part) if part.is_empty() => {
            "a part of its repository is empty"
        }
        ImageReferenceError::Repository(_) => "its repository is not well-formed",
        ImageReferenceError::Registry(_) => "its registry is not a host with or without a port",
        ImageReferenceError::Tag(_) => "its tag is not well-formed",
        ImageReferenceError::Digest(_) => "its digest is not well-formed",
        ImageReferenceError::TooLong => "its repository is longer than 255 bytes",
        ImageReferenceError::Id => "it is the ID of an image",
        ImageReferenceError::Empty => "it is empty",
    })
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
            ("@repo@/pause:3.9", "@repo@"),
            ("%REPO%/pause:3.9", "%REPO%"),
            ("__repo__/pause:3.9", "__repo__"),
            ("%s/pause:%s", "%s"),
            ("r.example/pause:%v", "%v"),
            ("%(registry)s/pause:3.9", "%(registry)s"),
            ("{0}/pause:3.9", "{0}"),
            ("[[ .Image ]]", "[[ .Image ]]"),
            ("[registry]/pause:3.9", "[registry]"),
            ("<no value>/pause:3.9", "<no value>"),
            ("<%= @image %>", "<%= @image %>"),
            ("REPLACE_ME", "REPLACE_ME"),
            ("r.example/CHANGEME:3.9", "CHANGEME"),
            ("r.example/YOUR-PAUSE:3.9", "YOUR"),
            // Something else is wrong with them.
            ("r.example/PAUSE:3.9", ""),
            ("r.example/Mine/pause:3.9", ""),
            ("[::1:5000/pause:3.9", ""),
            ("[fe80::1]x/pause", ""),
            ("pause@sha256@abc", ""),
            ("user@r.example/pause:3.9", ""),
            ("r.example/pause%20:3.9", ""),
            ("r.example/a__b__/pause:3.9", ""),
            ("https://r.example/pause:3.9", ""),
            ("/pause:3.9", ""),
            ("r.example/Pause:3.9", ""),
            ("r.example/pause:$", ""),
            ("r.example/pause:}}{{", ""),
        ] {
            assert_eq!(placeholder(text).unwrap_or_default(), found, "{text}");
            assert!(is_no_image(text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_is_told() {
        for (text, why) in [
            (
                "https://r.example/pause:3.9",
                "it has a scheme, which no image has",
            ),
            ("r.example/pause: 3.9", "there is a blank in it"),
            (
                "r.example/PAUSE:3.9",
                "its repository has an upper-case letter",
            ),
            ("/pause:3.9", "a part of its repository is empty"),
            ("r.example/pause:", "its tag is not well-formed"),
            (
                "r.example:x/pause",
                "its registry is not a host with or without a port",
            ),
            ("pause@sha256:abc", "its digest is not well-formed"),
        ] {
            assert_eq!(why_no_image(text), Some(why), "{text}");
        }
        assert_eq!(why_no_image("r.example/pause:3.9"), None);
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
