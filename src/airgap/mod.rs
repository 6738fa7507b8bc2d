//! Whether an airgap bundle holds the sandbox image, before and after a
//! migration.
//!
//! containerd starts every pod with the sandbox image, which Kubernetes calls
//! the pause image. Where it is neither there nor can be pulled no pod starts.
//! k0s injects the image that its airgap bundle holds; a legacy file keeps it
//! from doing so.
//!
//! ```
//! use containerd_dropins::Document;
//! use containerd_dropins::airgap::{self, ImageList};
//! use containerd_dropins::diagnostic::Severity;
//! use containerd_dropins::migrate::{Options, Target, plan};
//!
//! let legacy = Document::parse("/etc/k0s/containerd.toml", b"version = 2\n")?;
//! let plan = plan(&legacy, &[], &Target::find("v1.30.4+k0s.0")?, &Options::default());
//! // What `k0s airgap list-images` prints.
//! let list = ImageList::parse("quay.io/k0sproject/coredns:1.11.3\nregistry.k8s.io/pause:3.9\n");
//!
//! let report = airgap::check(&plan, &list);
//! let before = report.before.as_ref().ok_or("not known")?;
//! assert_eq!(before.image, "registry.k8s.io/pause:3.8");
//! assert!(!before.listed);
//! assert!(report.after.as_ref().is_some_and(|after| after.listed));
//! assert!(report.severity() < Some(Severity::Error));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advice;
mod check;
mod grammar;
mod image;
mod list;
mod report;

pub use check::check;
pub use image::{ImageReference, ImageReferenceError};
pub use list::{ImageList, UnreadableLine};
pub use report::{AirgapReport, CheckedImage};
