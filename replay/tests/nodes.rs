//! All cases, on nodes where they can be run, else by what was recorded.

use std::process::Command;

#[test]
fn nodes_do_what_they_did() -> Result<(), Box<dyn std::error::Error>> {
    // Its output is shown, whether or not it fails: it is the verdict.
    let status = Command::new(env!("CARGO_BIN_EXE_replay")).status()?;
    assert!(status.success(), "{status}");
    Ok(())
}
