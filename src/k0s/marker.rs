//! Whether k0s may rewrite `/etc/k0s/containerd.toml`.

use serde::Serialize;

use super::{Regime, Release};

pub(crate) const MARKER: &str = "# k0s_managed=true";

/// What k0s 1.22 – 1.26 wrote where there was no file; later releases know it
/// by its MD5 sum.
const PRISTINE: &str = "
# This is a placeholder configuration for k0s managed containerD.
# If you wish to customize the config replace this file with your custom configuration.
# For reference see https://github.com/containerd/containerd/blob/main/docs/man/containerd-config.toml.5.md
version = 2
";

/// Go's `bufio.Scanner` gives up on a line of this length.
const LONGEST_LINE: usize = 64 * 1024;

/// What k0s sees in a `containerd.toml` when it asks whether the file is its
/// own to rewrite. The rule changed twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Marker {
    /// A line contains the marker.
    pub in_a_line: bool,
    /// A line is the marker.
    pub is_a_line: bool,
    /// The first line is the marker.
    pub is_first_line: bool,
    /// The file is, to the byte, what k0s 1.22 – 1.26 wrote.
    pub is_pristine: bool,
}

impl Marker {
    /// Looks for the marker in the text of a file.
    pub fn of(text: &str) -> Marker {
        let mut marker = Marker {
            is_pristine: text == PRISTINE,
            ..Marker::default()
        };
        for (number, line) in text.split('\n').enumerate() {
            if line.len() >= LONGEST_LINE {
                break;
            }
            let line = line.strip_suffix('\r').unwrap_or(line);
            marker.in_a_line |= line.contains(MARKER);
            marker.is_a_line |= line == MARKER;
            marker.is_first_line |= number == 0 && line == MARKER;
        }
        marker
    }

    /// The rule of k0s 1.27 – 1.29.
    pub fn is_managed_for_k0s_1_27(self) -> bool {
        self.in_a_line || self.is_pristine
    }

    /// The rule of k0s 1.30 – 1.35.
    pub fn is_managed_for_k0s_1_30(self) -> bool {
        self.is_a_line || self.is_pristine
    }

    /// The rule of k0s 1.36 and later.
    pub fn is_managed_for_k0s_1_36(self) -> bool {
        self.is_first_line
    }

    /// The rule of a release. Up to 1.26 every file is the user's.
    pub fn is_managed_for(self, release: &Release) -> bool {
        match release.regime {
            Regime::Monolith => false,
            Regime::ImportsV3 => self.is_managed_for_k0s_1_36(),
            _ if release.version.minor >= 30 => self.is_managed_for_k0s_1_30(),
            _ => self.is_managed_for_k0s_1_27(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, managed: [bool; 3]) {
        let marker = Marker::of(text);
        let found = [
            marker.is_managed_for_k0s_1_27(),
            marker.is_managed_for_k0s_1_30(),
            marker.is_managed_for_k0s_1_36(),
        ];
        assert_eq!(found, managed, "{text:?}");
    }

    #[test]
    fn the_three_rules() {
        check("# k0s_managed=true\nversion = 2\n", [true, true, true]);
        check("# k0s_managed=true\r\nversion = 2\r\n", [true, true, true]);
        check("\n# k0s_managed=true\nversion = 2\n", [true, true, false]);
        check("version = 2\n# k0s_managed=true", [true, true, false]);
        check(" # k0s_managed=true\n", [true, false, false]);
        check("# k0s_managed=true # really\n", [true, false, false]);
        check("\u{feff}# k0s_managed=true\n", [true, false, false]);
        check("# k0s_managed=false\n", [false, false, false]);
        check("", [false, false, false]);
        check(PRISTINE, [true, true, false]);
        check(&PRISTINE.replace("2\n", "2"), [false, false, false]);
    }

    #[test]
    fn the_pristine_file_has_its_275_bytes() {
        assert_eq!(PRISTINE.len(), 275);
    }

    #[test]
    fn an_overlong_line_ends_the_search() {
        let long = format!("# {}\n# k0s_managed=true\n", "x".repeat(LONGEST_LINE));
        check(&long, [false, false, false]);
    }
}
