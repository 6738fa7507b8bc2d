//! x
#![forbid(unsafe_code)]

pub mod config;
pub mod containerd;
pub mod diagnostic;
mod document;
pub mod k0s;
pub mod migrate;
pub mod value;
mod verify;
mod write;

pub use config::Config;
pub use document::{Document, MAX_CONFIG_VERSION, ParseError, ParseErrorKind};
