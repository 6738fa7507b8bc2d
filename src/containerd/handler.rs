//! Runtime handlers and the shims behind them.

/// The handler that containerd brings along.
pub(crate) const BUILT_IN: &str = "runc";

/// The first shim.
pub(crate) const LINUX_V1: &str = "io.containerd.runtime.v1.linux";

/// The shim that outlived the others (containerd 1.4 deprecates them, 2.0
/// removed them).
pub(crate) const RUNC_V2: &str = "io.containerd.runc.v2";

/// The second shim.
const RUNC_V1: &str = "io.containerd.runc.v1";

/// Types that [`RUNC_V2`] succeeds.
pub(crate) const OLD_TYPES: [&str; 2] = [LINUX_V1, RUNC_V1];

/// What handlers of type [`LINUX_V1`] read of their `options`
/// (`runtime/linux/runctypes/runc.proto`). They read nothing else there.
pub(crate) const RUNC_OPTIONS: [&str; 4] = ["Runtime", "RuntimeRoot", "CriuPath", "SystemdCgroup"];

/// The spellings in which containerd 1.5 – 1.7 read an option, in the order in
/// which they look for them (go-toml 1.9, `valueFromTree`).
pub(crate) fn spellings(option: &str) -> [String; 4] {
    let mut chars = option.chars();
    let first: String = chars
        .next()
        .map(|c| c.to_ascii_lowercase())
        .into_iter()
        .collect();
    [
        option.to_owned(),
        option.to_ascii_lowercase(),
        option.to_ascii_uppercase(),
        first + chars.as_str(),
    ]
}

/// Options that containerd hands to shims it does not know.
const OPTIONS_OF_OTHERS: [&str; 3] = ["ConfigBody", "ConfigPath", "TypeUrl"];

/// Whether the options of a shim of this type have one of this name. What they
/// do not have is left out, whatever it is (seen on 1.6.20 – 2.3.4).
pub(crate) fn has_option(runtime_type: &str, name: &str) -> bool {
    let of_linux = RUNC_OPTIONS.contains(&name);
    let of_others = OPTIONS_OF_OTHERS.contains(&name);
    match runtime_type {
        LINUX_V1 => of_linux,
        RUNC_V2 | RUNC_V1 => !of_others && !matches!(name, "Runtime" | "RuntimeRoot"),
        _ => of_others,
    }
}
