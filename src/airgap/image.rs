//! Image references, as containerd's CRI plugin reads them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::grammar::{is_digest, is_hex, is_host, is_path_component, is_tag};
use crate::shown;

/// The name of an image, in full: what containerd makes of `pause:3.9` or
/// `registry.k8s.io/pause:3.9` before it looks among its images.
///
/// The rules are those of `ParseDockerRef` in github.com/distribution/reference,
/// which CRI uses: a first part without a dot, a colon or an upper-case letter
/// is no registry unless it is `localhost`; without a registry it is
/// `docker.io`, there `library/` may be left out; without a tag it is `latest`;
/// and a digest makes a tag superfluous.
///
/// ```
/// use containerd_dropins::airgap::ImageReference;
///
/// let image: ImageReference = "registry.k8s.io/pause:3.9".parse()?;
/// assert_eq!(image.registry(), "registry.k8s.io");
/// assert_eq!(image.repository(), "pause");
/// assert_eq!(image.tag(), Some("3.9"));
///
/// let image: ImageReference = "nginx".parse()?;
/// assert_eq!(image.to_string(), "docker.io/library/nginx:latest");
/// # Ok::<(), containerd_dropins::airgap::ImageReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    registry: String,
    repository: String,
    version: Version,
}

/// A reference has the one or the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Version {
    Tag(String),
    Digest(String),
}

/// A text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageReferenceError {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// Docker's form of an image ID, which no name may have.
    #[error("64 hexadecimal digits are the ID of an image, not its name")]
    Id,
    /// What stands for the registry cannot be one.
    #[error("{0:?} is not the host of a registry, with or without a port")]
    Registry(String),
    /// The repository has an upper-case letter.
    #[error("the repository {0:?} has an upper-case letter")]
    UpperCase(String),
    /// A part of the repository between slashes is not well-formed.
    #[error(
        "{0:?} in the repository is not lower-case letters and digits, with single dots, one or two underscores, or dashes between them"
    )]
    Repository(String),
    /// The repository is too long.
    #[error("the repository is longer than 255 bytes")]
    TooLong,
    /// The tag is not well-formed.
    #[error(
        "the tag {0:?} is not up to 128 letters, digits, underscores, dots and dashes that begin with neither a dot nor a dash"
    )]
    Tag(String),
    /// The digest is not well-formed.
    #[error(
        "{0:?} is not a digest: sha256, sha384 or sha512, a colon, and the lower-case hexadecimal digits of that sum"
    )]
    Digest(String),
}

const DOCKER_HUB: &str = "docker.io";
const OLD_DOCKER_HUB: &str = "index.docker.io";
const OFFICIAL: &str = "library";
const LONGEST_REPOSITORY: usize = 255;

impl ImageReference {
    /// The host of the registry, with its port if it is given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none if there is a digest, which decides alone.
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            Version::Digest(_) => None,
        }
    }

    /// The digest, such as `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(digest) => Some(digest),
        }
    }

    /// The last part of the repository: `pause` of `k0sproject/pause`.
    pub(super) fn name(&self) -> &str {
        let last = self.repository.rsplit('/').next();
        last.unwrap_or(&self.repository)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl Serialize for ImageReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    /// Reads a reference, with or without what may be left out.
    ///
    /// # Errors
    /// If containerd would not take the text for an image reference.
    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        if text.is_empty() {
            return Err(ImageReferenceError::Empty);
        }
        if is_hex(text, 64) {
            return Err(ImageReferenceError::Id);
        }
        // Of a text that may not be shown, no part may.
        let excerpt = |part: &str| match shown::harmless(text) {
            None if !part.is_empty() => shown::hidden_text(part),
            _ => excerpt(part),
        };
        let (registry, rest) = split_registry(text);
        let (named, digest) = split(rest, '@');
        let (path, tag) = split(named, ':');
        // The grammar lets a path stand where a host does not fit.
        let in_path = !is_host(registry);
        if in_path && !is_path_component(registry) {
            return Err(ImageReferenceError::Registry(excerpt(registry)));
        }
        if path.chars().any(char::is_uppercase) {
            return Err(ImageReferenceError::UpperCase(excerpt(path)));
        }
        let repository = match registry == DOCKER_HUB && !rest.contains('/') {
            true => format!("{OFFICIAL}/{path}"),
            false => path.to_owned(),
        };
        if let Some(part) = path.split('/').find(|part| !is_path_component(part)) {
            return Err(ImageReferenceError::Repository(excerpt(part)));
        }
        let before = if in_path { registry.len() + 1 } else { 0 };
        if before + repository.len() > LONGEST_REPOSITORY {
            return Err(ImageReferenceError::TooLong);
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ImageReferenceError::Tag(excerpt(tag)));
        }
        if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
            return Err(ImageReferenceError::Digest(excerpt(digest)));
        }
        Ok(ImageReference {
            registry: registry.to_owned(),
            repository,
            version: match digest {
                Some(digest) => Version::Digest(digest.to_owned()),
                None => Version::Tag(tag.unwrap_or("latest").to_owned()),
            },
        })
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((OLD_DOCKER_HUB, rest)) => (DOCKER_HUB, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, text),
    }
}

/// The beginning of a text of any length, for a message: of what may be shown.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    shown::shortened(shown::text(text), LONGEST)
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "proptest1")]
    use proptest::prelude::*;

    use super::*;
    #[cfg(feature = "proptest1")]
    use crate::airgap::ImageList;

    const SUM: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";

    #[track_caller]
    fn full(text: &str, expected: &str) {
        let found: Result<ImageReference, _> = text.parse();
        assert_eq!(
            found.map(|image| image.to_string()),
            Ok(expected.to_owned())
        );
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        let found: Result<ImageReference, _> = text.parse();
        let error = found.map_err(|error| error.to_string()).unwrap_err();
        assert!(error.contains(message), "{text:?}: {error}");
    }

    #[test]
    fn what_is_left_out_is_docker_hub_and_latest() {
        full("nginx", "docker.io/library/nginx:latest");
        full("nginx:1", "docker.io/library/nginx:1");
        full("docker.io/x", "docker.io/library/x:latest");
        full("docker.io/library/x", "docker.io/library/x:latest");
        full("index.docker.io/x", "docker.io/library/x:latest");
        full("index.docker.io/a/x:1", "docker.io/a/x:1");
        full("a/x", "docker.io/a/x:latest");
        full("a/b/c/d", "docker.io/a/b/c/d:latest");
        // Without a slash nothing is a registry.
        full("localhost", "docker.io/library/localhost:latest");
        full("localhost:5000", "docker.io/library/localhost:5000");
        full("docker.io", "docker.io/library/docker.io:latest");
        full(
            &format!("docker.io/x@sha256:{SUM}"),
            &format!("docker.io/library/x@sha256:{SUM}"),
        );
    }

    #[test]
    fn the_first_part_may_be_a_registry() {
        full("localhost/x", "localhost/x:latest");
        full("localhost:5000/x", "localhost:5000/x:latest");
        full("a.b/c", "a.b/c:latest");
        full("a.b/c:d", "a.b/c:d");
        full("host:5000/a/b:c", "host:5000/a/b:c");
        full("docker.io:443/x", "docker.io:443/x:latest");
        full("[::1]:5000/x", "[::1]:5000/x:latest");
        full("[fd00:1:2::3]/x", "[fd00:1:2::3]/x:latest");
        full("192.168.1.1:80/x", "192.168.1.1:80/x:latest");
        full("xn--n3h.com/x", "xn--n3h.com/x:latest");
        // No user of Docker Hub has an upper-case letter, so it is a host.
        full("UPPER/x", "UPPER/x:latest");
        full("Docker.io/x", "Docker.io/x:latest");
        // No host, but the grammar makes a path of it.
        full("a_b.c/x", "a_b.c/x:latest");
    }

    #[test]
    fn a_digest_makes_a_tag_superfluous() {
        let digested = format!("docker.io/library/x@sha256:{SUM}");
        full(&format!("x@sha256:{SUM}"), &digested);
        full(&format!("x:1@sha256:{SUM}"), &digested);
        full(
            &format!("x:1@sha512:{SUM}{SUM}"),
            &format!("docker.io/library/x@sha512:{SUM}{SUM}"),
        );
        let image: ImageReference = digested.parse().unwrap();
        assert_eq!(image.tag(), None);
        assert_eq!(image.digest(), Some(format!("sha256:{SUM}").as_str()));
        refused(&format!("x:-@sha256:{SUM}"), "the tag \"-\"");
        refused(&format!("x@sha256:{}", SUM.to_uppercase()), "not a digest");
        refused("x@sha256:abc", "not a digest");
        refused(&format!("x@md5:{SUM}"), "not a digest");
        refused(&format!("x@{SUM}"), "not a digest");
        refused("x@", "\"\" is not a digest");
    }

    #[test]
    fn what_is_no_reference_is_told() {
        refused("", "it is empty");
        refused(SUM, "the ID of an image");
        full(&format!("{SUM}:1"), &format!("docker.io/library/{SUM}:1"));
        let shorter = SUM.split_at(1).1;
        full(shorter, &format!("docker.io/library/{shorter}:latest"));
        refused("Nginx", "the repository \"Nginx\" has an upper-case letter");
        refused("a.b/C", "has an upper-case letter");
        refused("a/B/c", "has an upper-case letter");
        refused("x:", "the tag \"\"");
        refused("x:.1", "the tag \".1\"");
        refused("x:1:2", "the tag \"1:2\"");
        refused(&format!("x:{}", "a".repeat(129)), "the tag");
        full(
            &format!("x:{}", "a".repeat(128)),
            &format!("docker.io/library/x:{}", "a".repeat(128)),
        );
        refused("/x", "\"\" in the repository");
        refused("x/", "\"\" in the repository");
        refused("a//x", "\"\" in the repository");
        refused("a.b/", "\"\" in the repository");
        refused("-x", "\"-x\" in the repository");
        refused("x_", "\"x_\" in the repository");
        refused("a..b", "\"a..b\" in the repository");
        refused("a___b", "\"a___b\" in the repository");
        refused("a._b", "\"a._b\" in the repository");
        refused(
            "a b",
            "\"<hidden> (string, 3 characters)\" in the repository",
        );
        refused(
            " x",
            "\"<hidden> (string, 2 characters)\" in the repository",
        );
        refused("ä", "\"ä\" in the repository");
        full("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest");
        refused("https://a.b/c", "\"https:\" is not the host");
        refused("-a.b/c", "\"-a.b\" is not the host");
        refused("a.b:/c", "\"a.b:\" is not the host");
        refused("a.b:x/c", "\"a.b:x\" is not the host");
        refused("A_B/c", "\"A_B\" is not the host");
        refused("::1/c", "\"::1\" is not the host");
        refused("[::1/c", "\"[::1\" is not the host");
        refused("[]:1/c", "\"[]:1\" is not the host");
        refused("[::1]x:1/c", "\"[::1]x:1\" is not the host");
        refused("[fe80::1%eth0]/c", "\"[fe80::1%eth0]\" is not the host");
    }

    /// The registry does not count; `library/` does.
    #[test]
    fn a_repository_has_up_to_255_bytes() {
        let fits = format!("host.example/{}", "a".repeat(255));
        full(&fits, &format!("{fits}:latest"));
        refused(&format!("{fits}a"), "longer than 255 bytes");
        refused(&"a".repeat(248), "longer than 255 bytes");
        refused(&format!("a_b.c/{}", "a".repeat(250)), "longer than 255");
        full(
            &format!("a_b.c/{}:1", "a".repeat(249)),
            &format!("a_b.c/{}:1", "a".repeat(249)),
        );
        assert!("a".repeat(247).parse::<ImageReference>().is_ok());
        let long = format!("{}!", "x".repeat(1 << 20)).parse::<ImageReference>();
        assert!(long.unwrap_err().to_string().len() < 300);
    }

    #[cfg(feature = "proptest1")]
    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<ImageReference>();
            let _ = ImageList::parse(&text);
        }

        #[test]
        fn what_is_printed_is_read_as_the_same(
            text in "([a-cA-C.:_\\[\\]-]{1,4}/)?([a-c0-1._-]{1,3}/){0,2}[a-c0-1._-]{1,4}(:[a-zA-Z0-1._-]{1,3})?(@sha256:[0-9a-f]{64})?"
        ) {
            if let Ok(image) = text.parse::<ImageReference>() {
                prop_assert_eq!(image.to_string().parse::<ImageReference>(), Ok(image));
            }
        }
    }
}
