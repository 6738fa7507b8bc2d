//! Plugin ids: the URIs of config versions 2 and up and the short names of
//! version 1.

use super::Release;
use super::releases::*;

/// The URI of the CRI plugin in config version 2.
pub const CRI: &str = "io.containerd.grpc.v1.cri";

/// The plugin that pulls images for CRI, from config version 3 on.
pub const CRI_IMAGES: &str = "io.containerd.cri.v1.images";

/// The plugin that runs containers for CRI, from config version 3 on.
pub const CRI_RUNTIME: &str = "io.containerd.cri.v1.runtime";

/// The settings that list plugins.
pub(crate) const LISTS: [&str; 2] = ["disabled_plugins", "required_plugins"];

/// Whether a path is that of such a setting.
pub(crate) fn is_list(path: &[&str]) -> bool {
    matches!(path, [key] if LISTS.contains(key))
}

/// What makes up CRI: one plugin up to containerd 1.7, three from 2.0 on.
pub(crate) const OF_CRI: [&str; 3] = [CRI, CRI_IMAGES, CRI_RUNTIME];

/// The plugin that manages tasks.
pub(crate) const TASK: &str = "io.containerd.runtime.v2.task";

/// The plugin that starts shims, from containerd 2.0 on.
pub(crate) const SHIM_MANAGER: &str = "io.containerd.shim.v1.manager";

/// The metadata store.
pub(crate) const BOLT: &str = "io.containerd.metadata.v1.bolt";

/// The service that has differs at work.
pub(crate) const DIFF_SERVICE: &str = "io.containerd.service.v1.diff-service";

/// The transfer service.
pub(crate) const TRANSFER: &str = "io.containerd.transfer.v1.local";

/// The devmapper snapshotter.
pub(crate) const DEVMAPPER: &str = "io.containerd.snapshotter.v1.devmapper";

/// The blockfile snapshotter.
pub(crate) const BLOCKFILE: &str = "io.containerd.snapshotter.v1.blockfile";

/// The types of plugins that config version 4 makes of the daemon's servers.
pub(crate) const SERVERS: [&str; 2] = ["io.containerd.server.v1", "io.containerd.metrics.v1"];

/// Where traces are sent.
pub(crate) const OTLP: &str = "io.containerd.tracing.processor.v1.otlp";

/// Which traces are kept.
pub(crate) const TRACING: &str = "io.containerd.internal.v1.tracing";

/// The type of snapshotters.
pub(crate) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";

/// The type of content stores.
pub(crate) const CONTENT: &str = "io.containerd.content.v1";

/// The type of differs.
pub(crate) const DIFFER: &str = "io.containerd.differ.v1";

/// The type of sandbox controllers.
pub(crate) const SANDBOX_CONTROLLER: &str = "io.containerd.sandbox.controller.v1";

/// Whether a release makes plugins of its servers.
pub(crate) fn of_servers(release: Release) -> bool {
    release >= V2_3
}

/// A plugin that is built into containerd on Linux.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugin {
    pub(crate) uri: &'static str,
    /// The first release line that has it; 1.2 stands for that and before.
    since: Release,
    /// The release that removed it.
    until: Option<Release>,
    /// Who needs it, by the first release of which that holds.
    need: &'static [(Release, Need)],
}

/// Whether CRI loads without a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It does.
    No,
    /// It does, and these do not.
    By(&'static [&'static str]),
    /// It does not.
    Yes,
    /// It wants one of its type, which may be a proxy.
    OneOfType,
}

impl Plugin {
    const fn until(mut self, release: Release) -> Self {
        self.until = Some(release);
        self
    }

    const fn needed(self) -> Self {
        self.need(&[(V1_2, Need::Yes)])
    }

    const fn one_needed(self) -> Self {
        self.need(&[(V1_2, Need::OneOfType)])
    }

    const fn need(mut self, need: &'static [(Release, Need)]) -> Self {
        self.need = need;
        self
    }

    fn is_in(&self, release: Release) -> bool {
        self.since <= release && self.until.is_none_or(|until| release < until)
    }

    /// Whether CRI loads without it in a release.
    pub(crate) fn need_in(&self, release: Release) -> Need {
        let mut so_far = self.need.iter().rev();
        let last = so_far.find(|(since, _)| *since <= release);
        last.map_or(Need::No, |(_, need)| *need)
    }
}

const fn since(since: Release, uri: &'static str) -> Plugin {
    Plugin {
        uri,
        since,
        until: None,
        need: &[],
    }
}

/// The services that the streaming manager and the transfer service are behind.
const STREAMING_GRPC: &str = "io.containerd.grpc.v1.streaming";
const TRANSFER_GRPC: &str = "io.containerd.grpc.v1.transfer";

/// Every plugin of containerd 1.2 – 2.3, built in on Linux, whether or not it
/// has settings. Which of them CRI needs is what containerd 1.4.13, 1.6.20,
/// 1.7.24, 2.1.9, 2.2.7 and 2.3.3 do when one is disabled; snapshotters and
/// differs are needed by the settings that name them.
const PLUGINS: &[Plugin] = &[
    since(V1_2, "io.containerd.content.v1.content").one_needed(),
    since(V2_0, CRI_IMAGES).needed(),
    since(V2_0, CRI_RUNTIME).needed(),
    since(V2_1, "io.containerd.differ.v1.erofs"),
    since(V1_2, "io.containerd.differ.v1.walking"),
    since(V1_6, "io.containerd.event.v1.exchange").needed(),
    since(V1_2, "io.containerd.gc.v1.scheduler").needed(),
    since(V1_2, "io.containerd.grpc.v1.containers"),
    since(V1_2, "io.containerd.grpc.v1.content"),
    since(V1_2, CRI).needed(),
    since(V1_2, "io.containerd.grpc.v1.diff"),
    since(V1_2, "io.containerd.grpc.v1.events"),
    since(V1_2, "io.containerd.grpc.v1.healthcheck"),
    since(V1_2, "io.containerd.grpc.v1.images"),
    since(V1_2, "io.containerd.grpc.v1.introspection"),
    since(V1_2, "io.containerd.grpc.v1.leases"),
    since(V1_2, "io.containerd.grpc.v1.namespaces"),
    since(V1_7, "io.containerd.grpc.v1.sandbox-controllers"),
    since(V1_7, "io.containerd.grpc.v1.sandboxes"),
    since(V1_2, "io.containerd.grpc.v1.snapshots"),
    since(V2_2, "io.containerd.grpc.v1.mounts"),
    since(V1_7, STREAMING_GRPC),
    since(V1_2, "io.containerd.grpc.v1.tasks"),
    since(V1_7, TRANSFER_GRPC),
    since(V1_2, "io.containerd.grpc.v1.version"),
    since(V2_3, "io.containerd.http.v1.pprof"),
    since(V2_0, "io.containerd.image-verifier.v1.bindir")
        .need(&[(V2_1, Need::Yes), (V2_3, Need::No)]),
    since(V1_2, "io.containerd.internal.v1.opt"),
    since(V1_2, "io.containerd.internal.v1.restart").until(V2_0),
    since(V1_6, "io.containerd.internal.v1.tracing"),
    since(V1_7, "io.containerd.lease.v1.manager").needed(),
    since(V1_2, BOLT).needed(),
    since(V2_3, "io.containerd.metrics.v1.grpc-otel"),
    since(V2_3, "io.containerd.metrics.v1.grpc-prometheus"),
    since(V2_0, "io.containerd.monitor.container.v1.restart"),
    since(V2_0, "io.containerd.monitor.task.v1.cgroups"),
    since(V1_2, "io.containerd.monitor.v1.cgroups").until(V2_0),
    since(V2_2, "io.containerd.mount-handler.v1.erofs"),
    since(V2_2, "io.containerd.mount-manager.v1.bolt").needed(),
    since(V1_7, "io.containerd.nri.v1.nri"),
    since(V2_0, "io.containerd.podsandbox.controller.v1.podsandbox").needed(),
    since(V1_2, "io.containerd.runtime.v1.linux")
        .until(V2_0)
        .needed(),
    since(V1_7, "io.containerd.runtime.v2.shim")
        .until(V2_0)
        .needed(),
    since(V1_2, TASK).needed(),
    since(V1_7, "io.containerd.sandbox.controller.v1.local")
        .until(V2_0)
        .needed(),
    since(V2_0, "io.containerd.sandbox.controller.v1.shim").one_needed(),
    since(V1_7, "io.containerd.sandbox.store.v1.local").needed(),
    since(V2_3, "io.containerd.server.v1.debug"),
    since(V2_3, "io.containerd.server.v1.grpc"),
    since(V2_3, "io.containerd.server.v1.grpc-tcp"),
    since(V2_3, "io.containerd.server.v1.metrics"),
    since(V2_3, "io.containerd.server.v1.ttrpc"),
    since(V1_2, "io.containerd.service.v1.containers-service").needed(),
    since(V1_2, "io.containerd.service.v1.content-service").needed(),
    since(V1_2, DIFF_SERVICE).needed(),
    since(V1_2, "io.containerd.service.v1.images-service").needed(),
    since(V1_2, "io.containerd.service.v1.introspection-service").needed(),
    since(V1_2, "io.containerd.service.v1.leases-service")
        .until(V1_7)
        .needed(),
    since(V1_2, "io.containerd.service.v1.namespaces-service").needed(),
    since(V1_2, "io.containerd.service.v1.snapshots-service").needed(),
    since(V1_2, "io.containerd.service.v1.tasks-service").needed(),
    since(V2_0, SHIM_MANAGER).needed(),
    since(V1_2, "io.containerd.snapshotter.v1.aufs").until(V2_0),
    since(V1_7, BLOCKFILE),
    since(V1_2, "io.containerd.snapshotter.v1.btrfs"),
    since(V1_3, DEVMAPPER),
    since(V2_1, "io.containerd.snapshotter.v1.erofs"),
    since(V1_2, "io.containerd.snapshotter.v1.native"),
    since(V1_2, "io.containerd.snapshotter.v1.overlayfs"),
    since(V1_2, "io.containerd.snapshotter.v1.zfs"),
    since(V1_7, "io.containerd.streaming.v1.manager")
        .need(&[(V1_7, Need::By(&[STREAMING_GRPC, TRANSFER_GRPC]))]),
    since(V1_6, "io.containerd.tracing.processor.v1.otlp"),
    since(V1_7, TRANSFER).need(&[(V1_7, Need::By(&[TRANSFER_GRPC])), (V2_1, Need::Yes)]),
    since(V2_0, "io.containerd.ttrpc.v1.otelttrpc"),
    since(V1_7, "io.containerd.warning.v1.deprecations").needed(),
];

/// The first release whose plugins [`PLUGINS`] does not tell in full.
pub(crate) const NOT_LISTED: Release = V2_4;

/// The plugins of containerd 1.x, which have names in version 1 files.
fn of_1_x() -> impl Iterator<Item = &'static str> {
    let known = PLUGINS.iter().filter(|plugin| plugin.since < V2_0);
    known.map(|plugin| plugin.uri)
}

/// The plugins that are built into a release.
pub(crate) fn built_in(release: Release) -> impl Iterator<Item = &'static Plugin> {
    PLUGINS.iter().filter(move |plugin| plugin.is_in(release))
}

/// Whether a plugin is built into a release.
pub(crate) fn is_built_in(uri: &str, release: Release) -> bool {
    built_in(release).any(|plugin| plugin.uri == uri)
}

/// The plugins without which a plugin that CRI does without is not loaded.
pub(crate) fn needed_by(uri: &str, release: Release) -> impl Iterator<Item = &'static str> {
    let needs = move |plugin: &&Plugin| match plugin.need_in(release) {
        Need::By(others) => others.contains(&uri),
        _ => false,
    };
    built_in(release).filter(needs).map(|plugin| plugin.uri)
}

/// Whether a plugin was, is or will be built in.
pub(crate) fn is_listed(uri: &str) -> bool {
    PLUGINS.iter().any(|plugin| plugin.uri == uri)
}

/// The plugin of containerd 1.x with this URI.
pub(crate) fn known(uri: &str) -> Option<&'static str> {
    of_1_x().find(|known| *known == uri)
}

/// What proxy plugins may have as their type, the type of plugin that they are
/// then, and the first release that knows it.
const PROXY_TYPES: &[(&str, &str, Release)] = &[
    ("snapshot", SNAPSHOTTER, V1_2),
    (SNAPSHOTTER, SNAPSHOTTER, V1_2),
    ("content", CONTENT, V1_2),
    (CONTENT, CONTENT, V1_2),
    ("diff", DIFFER, V1_7),
    (DIFFER, DIFFER, V1_7),
    ("sandbox", SANDBOX_CONTROLLER, V2_0),
    (SANDBOX_CONTROLLER, SANDBOX_CONTROLLER, V2_0),
];

/// The type of plugin that a proxy plugin is; `None` for types that a release
/// does not know, which make containerd panic.
pub(crate) fn proxy_type(name: &str, release: Release) -> Option<&'static str> {
    let known = PROXY_TYPES.iter().find(|(known, ..)| *known == name);
    let (_, kind, since) = known?;
    (*since <= release).then_some(*kind)
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

/// The type and the name of a plugin, of which a proxy's may have dots.
pub(crate) fn split(uri: &str) -> Option<(&str, &str)> {
    let mut dots = uri.match_indices('.');
    dots.find_map(|(at, _)| {
        let (kind, name) = uri.split_at_checked(at)?;
        let (_, version) = kind.rsplit_once('.')?;
        let number = version.strip_prefix('v')?;
        number.parse::<u8>().ok()?;
        Some((kind, name.strip_prefix('.')?))
    })
}

/// The plugins that a name in `disabled_plugins` or `required_plugins` of a
/// version 1 file means: all that share it, as containerd 1.3 – 1.7 match it.
pub(crate) fn with_short_name(name: &str) -> impl Iterator<Item = &'static str> {
    of_1_x().filter(move |uri| short_name(uri) == Some(name))
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
        for Plugin { uri, .. } in PLUGINS {
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
        assert_eq!(with_short_name("podsandbox").count(), 0);
    }

    #[test]
    fn names_of_proxies_may_have_dots() {
        let otlp = split("io.containerd.tracing.processor.v1.otlp");
        assert_eq!(otlp, Some(("io.containerd.tracing.processor.v1", "otlp")));
        let proxy = split("io.containerd.snapshotter.v1.a.v2.b");
        assert_eq!(proxy, Some((SNAPSHOTTER, "a.v2.b")));
        assert_eq!(split("io.containerd.grpc.v1"), None);
    }

    #[test]
    fn plugins_come_and_go() {
        let release = |text: &str| text.parse().unwrap();
        let leases = "io.containerd.service.v1.leases-service";
        assert!(is_built_in(leases, release("1.6.20")));
        assert!(!is_built_in(leases, release("1.7.24")));
        assert!(!is_built_in(
            "io.containerd.snapshotter.v1.aufs",
            release("2.1.9")
        ));
        assert!(is_built_in(CRI_IMAGES, release("2.1.9")));
        assert_eq!(known(CRI_IMAGES), None);
        // What the daemons load, snapshotters that Debian's build lacks included.
        let count = |text: &str| built_in(release(text)).count();
        assert_eq!(count("1.4.13"), 37);
        assert_eq!(count("1.6.20"), 38 + 2);
        assert_eq!(count("1.7.24"), 52);
        assert_eq!(count("2.1.9"), 56 + 1);
        assert_eq!(count("2.2.7"), 60);
        assert_eq!(count("2.3.3"), 68);
    }
}
