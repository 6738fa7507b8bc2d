//! By what outputs are told apart.

use sha2::{Digest as _, Sha256};

/// A digest of several parts, of which none can be taken for another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    hash: Sha256,
    parts: usize,
}

impl Digest {
    pub(crate) fn add(&mut self, part: &[u8]) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.hash.update(length.to_le_bytes());
        self.hash.update(part);
        self.parts += 1;
    }

    /// So many hexadecimal digits of it; a dash if there is nothing.
    pub(crate) fn hex(&self, digits: usize) -> String {
        if self.parts == 0 {
            return "-".to_owned();
        }
        let bytes = self.hash.clone().finalize();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.chars().take(digits).collect()
    }

    /// A number that depends on all of it.
    pub(crate) fn number(&self) -> usize {
        let bytes = self.hash.clone().finalize();
        let bytes = bytes.iter().take(4);
        bytes.fold(0, |number, byte| (number << 8) | usize::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> String {
        let mut digest = Digest::default();
        parts.iter().for_each(|part| digest.add(part.as_bytes()));
        digest.hex(32)
    }

    #[test]
    fn where_a_part_ends_matters() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_eq!(of(&[]), "-");
    }
}
