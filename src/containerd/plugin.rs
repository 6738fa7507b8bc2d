//! Plugin ids: the URIs of config versions 2 and up and the short names of
//! version 1.

/// The URI of the CRI plugin in config version 2.
pub const CRI: &str = "io.containerd.grpc.v1.cri";

/// The plugin that pulls images for CRI, from config version 3 on.
pub const CRI_IMAGES: &str = "io.containerd.cri.v1.images";

/// The plugin that runs containers for CRI, from config version 3 on.
pub const CRI_RUNTIME: &str = "io.containerd.cri.v1.runtime";

/// The settings that list plugins.
pub(crate) const LISTS: [&str; 2] = ["disabled_plugins", "required_plugins"];

/// The plugin that manages tasks.
pub(crate) const TASK: &str = "io.containerd.runtime.v2.task";

/// The plugin that starts shims, from containerd 2.0 on.
pub(crate) const SHIM_MANAGER: &str = "io.containerd.shim.v1.manager";

/// Every plugin of containerd 1.3 – 1.7, built in on Linux, whether or not it
/// has settings. A version 1 file may name any of them in `disabled_plugins`.
const PLUGINS: &[&str] = &[
    "io.containerd.content.v1.content",
    "io.containerd.differ.v1.walking",
    "io.containerd.event.v1.exchange",
    "io.containerd.gc.v1.scheduler",
    "io.containerd.grpc.v1.containers",
    "io.containerd.grpc.v1.content",
    CRI,
    "io.containerd.grpc.v1.diff",
    "io.containerd.grpc.v1.events",
    "io.containerd.grpc.v1.healthcheck",
    "io.containerd.grpc.v1.images",
    "io.containerd.grpc.v1.introspection",
    "io.containerd.grpc.v1.leases",
    "io.containerd.grpc.v1.namespaces",
    "io.containerd.grpc.v1.sandbox-controllers",
    "io.containerd.grpc.v1.sandboxes",
    "io.containerd.grpc.v1.snapshots",
    "io.containerd.grpc.v1.streaming",
    "io.containerd.grpc.v1.tasks",
    "io.containerd.grpc.v1.transfer",
    "io.containerd.grpc.v1.version",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.lease.v1.manager",
    "io.containerd.metadata.v1.bolt",
    "io.containerd.monitor.v1.cgroups",
    "io.containerd.nri.v1.nri",
    "io.containerd.runtime.v1.linux",
    "io.containerd.runtime.v2.shim",
    TASK,
    "io.containerd.sandbox.controller.v1.local",
    "io.containerd.sandbox.store.v1.local",
    "io.containerd.service.v1.containers-service",
    "io.containerd.service.v1.content-service",
    "io.containerd.service.v1.diff-service",
    "io.containerd.service.v1.images-service",
    "io.containerd.service.v1.introspection-service",
    "io.containerd.service.v1.leases-service",
    "io.containerd.service.v1.namespaces-service",
    "io.containerd.service.v1.snapshots-service",
    "io.containerd.service.v1.tasks-service",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.overlayfs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.streaming.v1.manager",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.transfer.v1.local",
    "io.containerd.warning.v1.deprecations",
];

/// The plugin with this URI.
pub(crate) fn known(uri: &str) -> Option<&'static str> {
    PLUGINS.iter().copied().find(|known| *known == uri)
}

/// The name of a plugin in a version 1 file: what follows the API version in
/// its URI (containerd 1.2 – 1.7, `Registration.ID`).
///
/// ```
/// use containerd_dropins::containerd::plugin::short_name;
///
/// assert_eq!(short_name("io.containerd.tracing.processor.v1.otlp"), Some("otlp"));
/// assert_eq!(short_name("cri"), None);
/// ```
pub fn short_name(uri: &str) -> Option<&str> {
    let (kind, id) = uri.rsplit_once('.')?;
    let (_, version) = kind.rsplit_once('.')?;
    let is_version = version
        .strip_prefix('v')
        .is_some_and(|n| n.parse::<u8>().is_ok());
    (is_version && uri.starts_with("io.containerd.")).then_some(id)
}

/// The plugins that a name in `disabled_plugins` or `required_plugins` of a
/// version 1 file means: all that share it, as containerd 1.3 – 1.7 match it.
pub(crate) fn with_short_name(name: &str) -> impl Iterator<Item = &'static str> {
    let known = PLUGINS.iter().copied();
    known.filter(move |uri| short_name(uri) == Some(name))
}

/// Whether containerd 1.7 accepts the text as a plugin URI: at least four
/// parts, the first two `io.containerd`.
pub(crate) fn is_uri(id: &str) -> bool {
    id.starts_with("io.containerd.") && id.split('.').count() >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_has_a_short_name() {
        for uri in PLUGINS {
            assert!(short_name(uri).is_some(), "{uri}");
            assert!(is_uri(uri), "{uri}");
        }
    }

    #[test]
    fn names_may_be_shared() {
        let content: Vec<_> = with_short_name("content").collect();
        assert_eq!(
            content,
            [
                "io.containerd.content.v1.content",
                "io.containerd.grpc.v1.content"
            ]
        );
        assert_eq!(with_short_name("cri").collect::<Vec<_>>(), [CRI]);
        assert_eq!(with_short_name("nope").count(), 0);
    }
}
