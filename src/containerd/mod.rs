//! containerd: its releases, its plugins, what it assumes when nothing is
//! set, and how it loads config files.

pub(crate) mod behaviour;
pub(crate) mod difference;
pub(crate) mod duration;
pub(crate) mod handler;
pub(crate) mod import;
pub mod load;
pub(crate) mod place;
pub mod plugin;
pub mod pull;
pub mod refusal;
mod release;
pub mod setting;
pub(crate) mod url;

pub use import::Import;
pub(crate) use release::LAST_OF_LINES;
pub use release::{Release, ReleaseError};

/// The first release of each line, for the declarations.
pub(crate) mod releases {
    use super::Release;

    pub(crate) const V1_2: Release = Release::new(1, 2, 0);
    pub(crate) const V1_3: Release = Release::new(1, 3, 0);
    pub(crate) const V1_4: Release = Release::new(1, 4, 0);
    pub(crate) const V1_5: Release = Release::new(1, 5, 0);
    pub(crate) const V1_6: Release = Release::new(1, 6, 0);
    pub(crate) const V1_7: Release = Release::new(1, 7, 0);
    /// It refuses a config version above 2, which earlier ones read as 2.
    pub(crate) const V1_7_17: Release = Release::new(1, 7, 17);
    pub(crate) const V2_0: Release = Release::new(2, 0, 0);
    pub(crate) const V2_1: Release = Release::new(2, 1, 0);
    pub(crate) const V2_2: Release = Release::new(2, 2, 0);
    pub(crate) const V2_3: Release = Release::new(2, 3, 0);
    /// The first that was looked at: a pre-release.
    pub(crate) const V2_4: Release = Release::beta(2, 4, 0, 0);
}
