//! The fuzz targets over their seeds and over what they found, on stable.

use crate::support;

#[path = "../../fuzz/checks.rs"]
mod checks;

#[test]
fn seeds_and_finds_keep_the_laws() {
    for (name, check) in checks::ALL {
        let seeds = support::files(&format!("../fuzz/seeds/{name}"));
        assert!(!seeds.is_empty(), "{name}");
        let found = support::path(&format!("../fuzz/found/{name}"));
        let found = match found.is_dir() {
            true => support::files(&format!("../fuzz/found/{name}")),
            false => Vec::new(),
        };
        for file in seeds.iter().chain(&found) {
            let bytes = std::fs::read(file).unwrap();
            let held = std::panic::catch_unwind(|| check(&bytes));
            assert!(held.is_ok(), "{}", file.display());
        }
    }
}

/// The strategies behind the numbers make something of any bytes.
#[test]
fn any_bytes_choose_something() {
    for (_, check) in checks::ALL {
        for seed in 0..8_u8 {
            let bytes: Vec<u8> = (0..200_u8)
                .map(|at| at.wrapping_mul(31).wrapping_add(seed))
                .collect();
            check(&bytes);
        }
    }
}
