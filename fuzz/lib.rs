//! What the fuzz targets assert. The laws are those of the property tests.

pub mod checks;

#[allow(dead_code, reason = "the tests beside the laws are not built here")]
#[path = "../tests/it/laws.rs"]
mod laws;

#[allow(dead_code, reason = "so are those that need more helpers")]
#[path = "../tests/it/support.rs"]
mod support;
