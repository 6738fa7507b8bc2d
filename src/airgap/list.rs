//! The images of an airgap bundle.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::image::{ImageReference, ImageReferenceError, excerpt};
use crate::{Exceeded, Limits, Size};

/// The images of an airgap bundle: what `k0s airgap list-images` prints, and
/// `airgap-images-list.txt` holds.
///
/// ```
/// use containerd_dropins::airgap::ImageList;
///
/// let list = ImageList::parse("quay.io/k0sproject/coredns:1.11.3\nregistry.k8s.io/pause:3.9\n");
/// let asked = "registry.k8s.io/pause:3.8".parse()?;
/// assert!(!list.contains(&asked));
/// assert_eq!(list.nearest(&asked).map(ToString::to_string).as_deref(), Some("registry.k8s.io/pause:3.9"));
/// # Ok::<(), containerd_dropins::airgap::ImageReferenceError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageList {
    images: BTreeSet<ImageReference>,
    unreadable: Vec<UnreadableLine>,
}

/// A line of the list that is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadableLine {
    /// Its number, from 1.
    pub line: usize,
    /// Its text, or how it begins.
    pub text: String,
    /// What is wrong with it.
    #[serde(serialize_with = "as_text")]
    pub error: ImageReferenceError,
}

fn as_text<S: serde::Serializer>(
    error: &ImageReferenceError,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

impl fmt::Display for UnreadableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {:?}: {}", self.line, self.text, self.error)
    }
}

impl ImageList {
    /// Reads a list with an image reference on each line. Empty lines and
    /// comments, which begin with `#`, are skipped; a line that is no reference
    /// is kept apart. Text from elsewhere goes through
    /// [`parse_within`](ImageList::parse_within): time and memory grow with the
    /// number of lines.
    pub fn parse(text: &str) -> ImageList {
        let mut list = ImageList::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            let line = without_comment(line).trim();
            if line.is_empty() {
                continue;
            }
            match line.parse() {
                Ok(image) => drop(list.images.insert(image)),
                Err(error) => list.unreadable.push(UnreadableLine {
                    line: number + 1,
                    text: excerpt(line),
                    error,
                }),
            }
        }
        list
    }

    /// The same for a text that is no larger than is read: of its size, and of its
    /// lines, each of which counts as a value.
    ///
    /// # Errors
    /// The limit that does not let it pass.
    pub fn parse_within(text: &str, limits: Limits) -> Result<ImageList, Exceeded> {
        limits.check(Size::of_lines(text))?;
        Ok(ImageList::parse(text))
    }

    /// The images, each once, in alphabetical order.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &ImageReference> {
        self.images.iter()
    }

    /// The lines that are no image reference.
    pub fn unreadable(&self) -> &[UnreadableLine] {
        &self.unreadable
    }

    /// Whether the bundle holds the image under this very name, which is how
    /// containerd looks for it.
    pub fn contains(&self, image: &ImageReference) -> bool {
        self.images.contains(image)
    }

    /// The image that is most likely meant where another one is not in the
    /// list: of the same repository, with the nearest tag; or of the same name
    /// in another registry; or of a similar name.
    pub fn nearest(&self, image: &ImageReference) -> Option<&ImageReference> {
        let others = || self.images.iter().filter(|other| *other != image);
        let nearest = |of: &dyn Fn(&ImageReference) -> bool| {
            let wanted = Numbers::of(image);
            others().filter(|other| of(other)).min_by_key(|other| {
                let numbers = Numbers::of(other);
                (wanted.distance(&numbers), Reverse(numbers), *other)
            })
        };
        let same_repository = |other: &ImageReference| {
            (other.registry(), other.repository()) == (image.registry(), image.repository())
        };
        let pairs = Pairs::of(image.name());
        let similar = || {
            let alike = others().map(|other| (pairs.likeness(&Pairs::of(other.name())), other));
            let alike = alike.filter(|(likeness, _)| *likeness >= ALIKE);
            // Among equals the first in the alphabet.
            alike
                .max_by_key(|(likeness, other)| (*likeness, Reverse(*other)))
                .map(|(_, other)| other)
        };
        nearest(&same_repository)
            .or_else(|| nearest(&|other| other.name() == image.name()))
            .or_else(similar)
    }
}

fn without_comment(line: &str) -> &str {
    let before = |at: usize| line.get(..at).unwrap_or_default();
    let mut signs = line.match_indices('#').map(|(at, _)| before(at));
    let comment = signs.find(|before| before.is_empty() || before.ends_with(char::is_whitespace));
    comment.unwrap_or(line)
}

/// The numbers in a tag: 3, 10, 2 and 0 in `v3.10.2-0`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn of(image: &ImageReference) -> Numbers {
        let runs = image.tag().unwrap_or_default();
        let runs = runs.split(|c: char| !c.is_ascii_digit());
        let number = |run: &str| run.parse().unwrap_or(u64::MAX);
        Numbers(runs.filter(|run| !run.is_empty()).map(number).collect())
    }

    /// The differences, the first number first. A tag without any number, or a
    /// digest, is farther away than all others.
    fn distance(&self, other: &Numbers) -> (bool, Vec<u64>) {
        let at = |numbers: &Numbers, at: usize| numbers.0.get(at).copied().unwrap_or_default();
        let length = self.0.len().max(other.0.len());
        let differences = (0..length).map(|n| at(self, n).abs_diff(at(other, n)));
        (other.0.is_empty(), differences.collect())
    }
}

/// In percent: `pause` and `pause-amd64` are alike, `pause` and `etcd` are not.
const ALIKE: usize = 50;

/// The pairs of neighbouring letters in a name, in order.
struct Pairs(Vec<[u8; 2]>);

impl Pairs {
    fn of(name: &str) -> Pairs {
        let windows = name.as_bytes().windows(2);
        let mut pairs: Vec<[u8; 2]> = windows.filter_map(|pair| pair.try_into().ok()).collect();
        pairs.sort_unstable();
        Pairs(pairs)
    }

    /// How many pairs two names share, in percent (Dice's coefficient).
    fn likeness(&self, other: &Pairs) -> usize {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0_usize;
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            match a.cmp(b) {
                std::cmp::Ordering::Less => drop(left.next()),
                std::cmp::Ordering::Greater => drop(right.next()),
                std::cmp::Ordering::Equal => {
                    shared += 1;
                    left.next();
                    right.next();
                }
            }
        }
        let all = self.0.len() + other.0.len();
        (200 * shared).checked_div(all).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn image(text: &str) -> ImageReference {
        text.parse().unwrap()
    }

    #[track_caller]
    fn nearest(list: &[&str], to: &str, expected: Option<&str>) {
        for turned in [false, true] {
            let mut list = list.to_vec();
            if turned {
                list.reverse();
            }
            let list = ImageList::parse(&list.join("\n"));
            let found = list.nearest(&image(to)).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{to}");
        }
    }

    #[test]
    fn lists_of_all_makes_are_read() {
        let list = ImageList::parse(
            "\u{feff}registry.k8s.io/pause:3.9\r\n\r\n# the team's\r\n  nginx \t# web\r\nnginx:latest\r\nnot an image\r\nA\nx#y",
        );
        let images: Vec<String> = list.images().map(ToString::to_string).collect();
        assert_eq!(
            images,
            [
                "docker.io/library/nginx:latest",
                "registry.k8s.io/pause:3.9"
            ]
        );
        assert!(list.contains(&image("docker.io/nginx")));
        let said: Vec<String> = list.unreadable().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3);
        assert!(
            said[0].starts_with("line 6, \"<hidden> (string, 12 characters)\": \""),
            "{said:?}"
        );
        assert_eq!(
            said[1],
            "line 7, \"A\": the repository \"A\" has an upper-case letter"
        );
        assert_eq!(ImageList::parse(""), ImageList::default());
    }

    #[test]
    fn the_same_repository_comes_first_with_the_nearest_tag() {
        let pauses = [
            "r.io/pause:3.1",
            "r.io/pause:3.6",
            "r.io/pause:3.10",
            "r.io/pause:latest",
        ];
        nearest(&pauses, "r.io/pause:3.9", Some("r.io/pause:3.10"));
        nearest(&pauses, "r.io/pause:3.5", Some("r.io/pause:3.6"));
        nearest(&pauses, "r.io/pause:2", Some("r.io/pause:3.1"));
        nearest(&pauses, "r.io/pause:v3.10.2-0", Some("r.io/pause:3.10"));
        // As near in both directions: the newer one.
        nearest(
            &["r.io/pause:3.8", "r.io/pause:3.10"],
            "r.io/pause:3.9",
            Some("r.io/pause:3.10"),
        );
        nearest(
            &["r.io/pause:latest", "s.io/pause:3.9"],
            "r.io/pause:3.9",
            Some("r.io/pause:latest"),
        );
        nearest(
            &["r.io/pause:99999999999999999999999"],
            "r.io/pause:1",
            Some("r.io/pause:99999999999999999999999"),
        );
    }

    #[test]
    fn then_the_same_name_elsewhere_and_then_a_similar_one() {
        let list = [
            "quay.io/k0sproject/pause:3.10.1",
            "r.io/pause-amd64:3.9",
            "r.io/etcd:3.9",
        ];
        nearest(
            &list,
            "registry.k8s.io/pause:3.9",
            Some("quay.io/k0sproject/pause:3.10.1"),
        );
        nearest(
            &list[1..],
            "registry.k8s.io/pause:3.9",
            Some("r.io/pause-amd64:3.9"),
        );
        nearest(&list[2..], "registry.k8s.io/pause:3.9", None);
        nearest(
            &["r.io/kube-proxy:1"],
            "r.io/kube-router:1",
            Some("r.io/kube-proxy:1"),
        );
        nearest(&["r.io/b:1"], "r.io/a:1", None);
        nearest(&[], "r.io/a:1", None);
        nearest(&["r.io/a:1"], "r.io/a:1", None);
        nearest(
            &["s.io/pause:1", "t.io/pause:1"],
            "r.io/pause:1",
            Some("s.io/pause:1"),
        );
    }

    #[test]
    fn large_lists_and_long_lines_take_bounded_time() {
        let start = Instant::now();
        let long = "ab".repeat(120);
        let short = (0..100_000).map(|n| format!("host-{n}.example:5000/pose:{n}.{n}\n"));
        let wide = (0..5_000).map(|n| format!("host-{n}.example:5000/{long}:{n}\n"));
        let mut text: String = short.chain(wide).collect();
        text.push_str(&"x".repeat(10 << 20));
        text.push('\n');
        text.push_str(&"#".repeat(10 << 20));
        let list = ImageList::parse(&text);
        assert_eq!((list.images().len(), list.unreadable().len()), (105_000, 1));
        assert!(list.unreadable()[0].to_string().len() < 200);
        assert_eq!(list.nearest(&image("etcd:3.9")), None);
        for name in ["r.io/pose:7", "pose-amd64:1", &format!("{long}c:1")] {
            assert!(list.nearest(&image(name)).is_some(), "{name}");
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
