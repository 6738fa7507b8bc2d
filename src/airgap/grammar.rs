//! The grammar of image references: the regular expressions of
//! github.com/distribution/reference, without regular expressions.

const LONGEST_TAG: usize = 128;

/// The digests that containerd knows, with their number of digits.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// Lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(hex)
}

/// A domain name or an IP address, that of version 6 in brackets.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let in_address = |b: u8| b.is_ascii_hexdigit() || b == b':';
                if address.is_empty() || !address.bytes().all(in_address) {
                    return false;
                }
                (None, port)
            }
            None => return false,
        },
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at_checked(end).unwrap_or((text, ""));
            (Some(host), port)
        }
    };
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && label.bytes().all(inner)
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    host.is_none_or(|host| host.split('.').all(is_label))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Runs of lower-case letters and digits, with one separator between two.
pub(super) fn is_path_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(is_separator)
}

/// Up to 128 letters, digits and underscores, and behind the first one dots and
/// dashes.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(word)
        && text.len() <= LONGEST_TAG
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

/// An algorithm that containerd knows, and a sum of its length.
pub(super) fn is_digest(text: &str) -> bool {
    let Some((algorithm, sum)) = text.split_once(':') else {
        return false;
    };
    let known = DIGESTS.iter().find(|(name, _)| *name == algorithm);
    known.is_some_and(|(_, length)| is_hex(sum, *length))
}
