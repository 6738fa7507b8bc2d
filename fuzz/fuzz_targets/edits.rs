#![no_main]

use containerd_dropins_fuzz::checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::edits(bytes));
