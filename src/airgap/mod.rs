//! Whether an airgap bundle holds the sandbox image.
mod image;
mod list;

pub use image::{ImageReference, ImageReferenceError};
pub use list::{ImageList, UnreadableLine};
