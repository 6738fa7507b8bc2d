//! Behaviour as seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    clippy::string_slice
)]

mod airgap;
mod behaviour;
mod changes;
mod cli;
mod conversions;
mod converted;
mod daemon;
mod defaults;
mod differential;
mod edits;
mod endpoints;
mod existing;
mod findings;
mod fuzzed;
mod handlers;
mod hostile;
mod in_place;
mod judgement;
mod k0s_examples;
mod laws;
mod limits;
mod loading;
mod losses;
mod odd_input;
mod outside;
mod pulls;
mod referee;
mod refusal_cases;
mod refusals;
mod refused;
mod registry;
mod secrets;
mod shapes;
mod strategies;
mod support;
mod targets;
mod version_3;
mod versions;
#[cfg(unix)]
mod writing;
