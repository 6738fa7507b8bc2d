//! Runtime handlers and the shims behind them.

use super::plugin;

/// Where the handlers stand in config version 2.
pub(crate) const RUNTIMES: [&str; 4] = ["plugins", plugin::CRI, "containerd", "runtimes"];

/// The handler that containerd brings along.
pub(crate) const BUILT_IN: &str = "runc";

/// The first shim.
pub(crate) const LINUX_V1: &str = "io.containerd.runtime.v1.linux";

/// The shim that outlived the others (containerd 1.4 deprecates them, 2.0
/// removed them).
pub(crate) const RUNC_V2: &str = "io.containerd.runc.v2";

/// Types that [`RUNC_V2`] succeeds.
pub(crate) const OLD_TYPES: [&str; 2] = [LINUX_V1, "io.containerd.runc.v1"];
