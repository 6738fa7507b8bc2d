//! The cases of [`refusals`](crate::refusals).

/// A configuration, and what containerd 1.6, 1.7 and 2.1 refuse about it: what
/// becomes of it, then the rules.
pub struct Case {
    pub name: &'static str,
    /// `[IMAGES]`, `[RUNTIME]` and `[STREAMS]` are the three sections of CRI,
    /// `[SNAPSHOTS]` the one that names the snapshotter, `[SANDBOX]` is the
    /// setting that names the sandbox image; behind `#IMPORTED` there is another
    /// file.
    pub text: &'static str,
    pub answers: [&'static str; 3],
}

const fn case(name: &'static str, answers: [&'static str; 3], text: &'static str) -> Case {
    Case {
        name,
        text,
        answers,
    }
}

const fn all(answer: &'static str) -> [&'static str; 3] {
    [answer; 3]
}

const fn from_1_7(answer: &'static str) -> [&'static str; 3] {
    ["", answer, answer]
}

const fn up_to_1_7(answer: &'static str) -> [&'static str; 3] {
    [answer, answer, ""]
}

const fn on_2(answer: &'static str) -> [&'static str; 3] {
    ["", "", answer]
}

/// Refused by one daemon at least.
pub const CASES: &[Case] = &[
    // Pulls; the daemons start all the same, and fail when asked (`pulls`).
    case(
        "snapshotter that the transfer service does not unpack with",
        on_2("pull no-unpack-platform"),
        "[SNAPSHOTS]\nsnapshotter = \"native\"\n",
    ),
    case(
        "list of directories for the transfer service",
        on_2("pull config-path-list"),
        "[SNAPSHOTS]\n[IMAGES.registry]\nconfig_path = \"/a:/b\"\n",
    ),
    // Runtime handlers.
    case(
        "no default handler",
        all("cri default-runtime"),
        "[RUNTIME.containerd]\ndefault_runtime_name = \"\"\n",
    ),
    case(
        "default handler that nobody defines",
        all("cri default-runtime"),
        "[RUNTIME.containerd]\ndefault_runtime_name = \"nvidia\"\n",
    ),
    case(
        "handlers without runc",
        up_to_1_7("cri default-runtime"),
        "[RUNTIME.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n",
    ),
    case(
        "empty map of handlers",
        up_to_1_7("cri default-runtime"),
        "[RUNTIME.containerd.runtimes]\n",
    ),
    case(
        "all devices without the switch",
        from_1_7("cri all-devices"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nprivileged_without_host_devices_all_devices_allowed = true\n",
    ),
    case(
        "io_type of the error's wording",
        on_2("cri io-type"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nio_type = \"named_pipe\"\n",
    ),
    case(
        "systemd_cgroup",
        up_to_1_7("cri only-linux-v1"),
        "[RUNTIME]\nsystemd_cgroup = true\n",
    ),
    case(
        "no_pivot",
        up_to_1_7("cri only-linux-v1"),
        "[RUNTIME.containerd]\nno_pivot = true\n",
    ),
    case(
        "runtime_engine",
        up_to_1_7("cri only-linux-v1"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_engine = \"crun\"\n",
    ),
    case(
        "runtime_root of another handler",
        up_to_1_7("cri only-linux-v1"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.other]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_root = \"/run/other\"\n",
    ),
    case(
        "runtime_engine of the old default",
        up_to_1_7("cri only-linux-v1"),
        "[RUNTIME.containerd.default_runtime]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_engine = \"crun\"\n",
    ),
    case(
        "untrusted twice",
        up_to_1_7("cri untrusted-runtime"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.untrusted]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.untrusted_workload_runtime]\nruntime_type = \"io.containerd.runc.v2\"\n",
    ),
    case(
        "untrusted with all devices",
        ["", "cri all-devices", ""],
        "[RUNTIME.containerd.untrusted_workload_runtime]\nruntime_type = \"io.containerd.runc.v2\"\nprivileged_without_host_devices_all_devices_allowed = true\n",
    ),
    case(
        "handler without type",
        all("sandbox runtime-type"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.other]\npod_annotations = [\"a\"]\n",
    ),
    case(
        "handler with an empty type",
        all("sandbox runtime-type"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.other]\nruntime_type = \"\"\n",
    ),
    case(
        "handlers of the old shims",
        on_2("sandbox runtime-type"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.a]\nruntime_type = \"io.containerd.runc.v1\"\n[RUNTIME.containerd.runtimes.b]\nruntime_type = \"io.containerd.runtime.v1.linux\"\n",
    ),
    case(
        "option of runc in a string",
        all("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.runc.options]\nSystemdCgroup = \"true\"\n",
    ),
    case(
        "option of runc in lower case",
        all("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.runc.options]\nbinaryname = 1\n",
    ),
    case(
        "negative option of runc",
        all("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.runc.options]\nIoUid = -1\n",
    ),
    case(
        "option of runc that 2.x does not have",
        up_to_1_7("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.runc.options]\nCriuPath = 1\n",
    ),
    case(
        "option of another shim",
        all("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n[RUNTIME.containerd.runtimes.kata.options]\nConfigPath = 1\n",
    ),
    case(
        "option of another shim since 1.7",
        from_1_7("sandbox runtime-options"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n[RUNTIME.containerd.runtimes.kata.options]\nConfigBody = \"a\"\n",
    ),
    case(
        "option of the first shim",
        [
            "sandbox runtime-options",
            "sandbox runtime-options",
            "sandbox runtime-type",
        ],
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.old]\nruntime_type = \"io.containerd.runtime.v1.linux\"\n[RUNTIME.containerd.runtimes.old.options]\nRuntime = 1\n",
    ),
    case(
        "sandboxer that is none",
        on_2("sandbox sandboxer"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsandboxer = \"nope\"\n",
    ),
    case(
        "sandboxer of a shim that makes none",
        on_2("sandbox sandboxer"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsandboxer = \"shim\"\n",
    ),
    case(
        "streams that runc's shim does not have",
        on_2("sandbox io-type"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nio_type = \"streaming\"\n",
    ),
    case(
        "handler with a snapshotter that is none",
        from_1_7("sandbox runtime-snapshotter"),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"nope\"\n",
    ),
    // The stream server, durations, networks.
    case(
        "certificate without streaming over TLS",
        all("cri stream-key-pair"),
        "[STREAMS.x509_key_pair_streaming]\ntls_cert_file = \"/nope\"\n",
    ),
    case(
        "key pair without streaming over TLS",
        all("cri stream-key-pair"),
        "[STREAMS.x509_key_pair_streaming]\ntls_cert_file = \"/nope\"\ntls_key_file = \"/nope\"\n",
    ),
    case(
        "stream key without certificate",
        all("cri stream-key-pair"),
        "[STREAMS]\nenable_tls_streaming = true\n[STREAMS.x509_key_pair_streaming]\ntls_key_file = \"/nope\"\n",
    ),
    case(
        "port beyond all ports",
        all("daemon stream-port"),
        "[STREAMS]\nstream_server_port = \"99999\"\n",
    ),
    case(
        "stream_idle_timeout",
        all("cri cri-duration"),
        "[STREAMS]\nstream_idle_timeout = \"4 hours\"\n",
    ),
    case(
        "stream_idle_timeout without unit",
        all("cri cri-duration"),
        "[STREAMS]\nstream_idle_timeout = \"5\"\n",
    ),
    case(
        "image_pull_progress_timeout",
        from_1_7("cri cri-duration"),
        "[IMAGES]\nimage_pull_progress_timeout = \"soon\"\n",
    ),
    case(
        "empty image_pull_progress_timeout",
        from_1_7("pull pull-timeout"),
        "[IMAGES]\nimage_pull_progress_timeout = \"\"\n",
    ),
    case(
        "drain_exec_sync_io_timeout",
        from_1_7("cri cri-duration"),
        "[RUNTIME]\ndrain_exec_sync_io_timeout = \"5\"\n",
    ),
    case(
        "bin_dir and bin_dirs",
        on_2("cri bin-dirs"),
        "[RUNTIME.cni]\nbin_dir = \"/a\"\nbin_dirs = [\"/b\"]\n",
    ),
    case(
        "no stats period",
        all("daemon stats-period"),
        "[IMAGES]\nstats_collect_period = 0\n",
    ),
    case(
        "negative stats period",
        all("daemon stats-period"),
        "[IMAGES]\nstats_collect_period = -1\n",
    ),
    case(
        "no sandbox image",
        up_to_1_7("sandbox sandbox-image"),
        "[IMAGES]\nsandbox_image = \"\"\n",
    ),
    case(
        "sandbox image of a template",
        all("sandbox image-reference"),
        "[SANDBOX] = \"{{ repo }}:{{ tag }}\"\n",
    ),
    case(
        "sandbox image of a shell",
        all("sandbox image-reference"),
        "[SANDBOX] = \"${REGISTRY}/pause:3.9\"\n",
    ),
    // Registries.
    case(
        "mirrors and config_path",
        all("cri mirrors-and-config-path"),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n",
    ),
    case(
        "mirror without endpoint and config_path",
        all("cri mirrors-and-config-path"),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.mirrors.\"docker.io\"]\n",
    ),
    case(
        "TLS and config_path",
        up_to_1_7("cri tls-and-config-path"),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.configs.\"m.example\".tls]\nca_file = \"/ca\"\n",
    ),
    case(
        "empty TLS and config_path",
        up_to_1_7("cri tls-and-config-path"),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.configs.\"m.example\".tls]\n",
    ),
    case(
        "client certificate without key",
        up_to_1_7("pull registry-key-pair"),
        "[IMAGES.registry.configs.\"m.example\".tls]\ncert_file = \"/cert\"\n",
    ),
    case(
        "auths with a bad port",
        all("cri auths-url"),
        "[IMAGES.registry.auths.\"http://m.example:port\"]\nusername = \"a\"\n",
    ),
    case(
        "auths with a user that has a blank",
        all("cri auths-url"),
        "[IMAGES.registry.auths.\"http://a:hunter2 b@m.example\"]\nusername = \"a\"\n",
    ),
    case(
        "auths with a bad escape",
        all("cri auths-url"),
        "[IMAGES.registry.auths.\"http://m.example/%zz\"]\nusername = \"a\"\n",
    ),
    // Snapshotters.
    case(
        "snapshotter that is none",
        all("cri snapshotter"),
        "[SNAPSHOTS]\nsnapshotter = \"nope\"\n",
    ),
    case(
        "empty snapshotter",
        on_2("cri snapshotter"),
        "[SNAPSHOTS]\nsnapshotter = \"\"\n",
    ),
    case(
        "empty snapshotter, and the default one disabled",
        [
            "cri snapshotter",
            "cri snapshotter unpack",
            "cri snapshotter unpack",
        ],
        "disabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n[SNAPSHOTS]\nsnapshotter = \"\"\n",
    ),
    case(
        "snapshotter of a later release",
        [
            "cri snapshotter",
            "cri snapshotter",
            "pull no-unpack-platform",
        ],
        "[SNAPSHOTS]\nsnapshotter = \"erofs\"\n",
    ),
    case(
        "devmapper without pool",
        all("cri snapshotter"),
        "[SNAPSHOTS]\nsnapshotter = \"devmapper\"\n",
    ),
    case(
        "blockfile without scratch file",
        all("cri snapshotter"),
        "[SNAPSHOTS]\nsnapshotter = \"blockfile\"\n",
    ),
    case(
        "snapshotter that is a content store",
        [
            "cri snapshotter",
            "cri snapshotter",
            "cri content-stores snapshotter",
        ],
        "[SNAPSHOTS]\nsnapshotter = \"stargz\"\n[proxy_plugins.stargz]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "built-in snapshotter that is disabled",
        all("cri snapshotter"),
        "disabled_plugins = [\"io.containerd.snapshotter.v1.native\"]\n",
    ),
    case(
        "proxy snapshotter that is disabled",
        all("cri snapshotter"),
        "disabled_plugins = [\"io.containerd.snapshotter.v1.stargz\"]\n[SNAPSHOTS]\nsnapshotter = \"stargz\"\n[proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "pool without size",
        ["plugin devmapper", "plugin devmapper", "cri devmapper"],
        "[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"nope\"\n",
    ),
    case(
        "pool with a size that is none",
        ["plugin devmapper", "plugin devmapper", "cri devmapper"],
        "[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"nope\"\nbase_image_size = \"big\"\n",
    ),
    case(
        "pool with an unknown file system",
        ["plugin devmapper", "plugin devmapper", "cri devmapper"],
        "[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"nope\"\nbase_image_size = \"10GB\"\nfs_type = \"zfs\"\n",
    ),
    case(
        "platform of a runtime",
        on_2("cri runtime-platform"),
        "[IMAGES.runtime_platforms.kata]\nplatform = \"linux/\"\nsnapshotter = \"native\"\n",
    ),
    case(
        "platform of tasks",
        all("cri task-platform"),
        "[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = [\"linux/amd64\", \"x!\"]\n",
    ),
    case(
        "platform to unpack",
        ["", "plugin unpack", "cri unpack"],
        "[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"a/b/c/d\"\nsnapshotter = \"native\"\n",
    ),
    case(
        "snapshotter to unpack",
        ["", "plugin unpack", "cri unpack"],
        "[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\nsnapshotter = \"nope\"\n",
    ),
    case(
        "no snapshotter to unpack",
        ["", "plugin unpack", "cri unpack"],
        "[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\n",
    ),
    case(
        "differ to unpack",
        ["", "plugin unpack", "cri unpack"],
        "[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\nsnapshotter = \"native\"\ndiffer = \"nope\"\n",
    ),
    case(
        "what is unpacked with is disabled",
        ["", "plugin unpack", "cri unpack"],
        "disabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n",
    ),
    // Other plugins.
    case(
        "sharing policy",
        all("cri sharing-policy"),
        "[plugins.\"io.containerd.metadata.v1.bolt\"]\ncontent_sharing_policy = \"none\"\n",
    ),
    case(
        "differ that is none",
        all("cri differ"),
        "[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = [\"walking\", \"nope\"]\n",
    ),
    case(
        "differ that is disabled",
        ["cri differ", "cri differ", "cri differ unpack"],
        "disabled_plugins = [\"io.containerd.differ.v1.walking\"]\n",
    ),
    case(
        "differ to unpack with is disabled",
        ["daemon differ proxy-plugin-type", "", "cri unpack"],
        "disabled_plugins = [\"io.containerd.differ.v1.walking\"]\n[proxy_plugins.foo]\ntype = \"diff\"\naddress = \"/nope.sock\"\n[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = [\"foo\"]\n",
    ),
    case(
        "two content stores",
        on_2("cri content-stores"),
        "[proxy_plugins.other]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "no content store",
        all("cri disabled-plugin"),
        "disabled_plugins = [\"io.containerd.content.v1.content\", \"io.containerd.content.v1.foo\"]\n[proxy_plugins.foo]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "CRI disabled",
        all("cri disabled-plugin"),
        "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
    ),
    case(
        "no metadata",
        all("cri disabled-plugin"),
        "disabled_plugins = [\"io.containerd.metadata.v1.bolt\"]\n",
    ),
    case(
        "no first shim",
        up_to_1_7("cri disabled-plugin"),
        "disabled_plugins = [\"io.containerd.runtime.v1.linux\"]\n",
    ),
    case(
        "no image verifiers",
        on_2("cri disabled-plugin"),
        "disabled_plugins = [\"io.containerd.image-verifier.v1.bindir\"]\n",
    ),
    case(
        "no streaming manager",
        from_1_7("plugin disabled-plugin"),
        "disabled_plugins = [\"io.containerd.streaming.v1.manager\"]\n",
    ),
    case(
        "required service of a plugin that is disabled",
        [
            "daemon required-plugin",
            "daemon disabled-plugin required-plugin",
            "daemon disabled-plugin required-plugin",
        ],
        "disabled_plugins = [\"io.containerd.streaming.v1.manager\"]\nrequired_plugins = [\"io.containerd.grpc.v1.streaming\"]\n",
    ),
    case(
        "no transfer service",
        ["", "plugin disabled-plugin", "cri disabled-plugin"],
        "disabled_plugins = [\"io.containerd.transfer.v1.local\"]\n",
    ),
    case(
        "short name among disabled plugins",
        all("daemon plugin-id"),
        "disabled_plugins = [\"cri\"]\n",
    ),
    case(
        "two parts of an id",
        up_to_1_7("daemon plugin-id"),
        "disabled_plugins = [\"a.b\"]\n",
    ),
    case(
        "four parts of an id",
        ["", "daemon plugin-id", ""],
        "disabled_plugins = [\"a.b.c.d\"]\n",
    ),
    case(
        "section under a short name",
        up_to_1_7("daemon plugin-id"),
        "[plugins.scheduler]\npause_threshold = 0.03\n",
    ),
    case(
        "section under two parts of an id",
        up_to_1_7("daemon plugin-id"),
        "[plugins.\"a.b\"]\nkey = 1\n",
    ),
    case(
        "section under four parts of an id",
        ["", "daemon plugin-id", ""],
        "[plugins.\"a.b.c.d\"]\nkey = 1\n",
    ),
    case(
        "short name among required plugins",
        all("daemon plugin-id required-plugin"),
        "required_plugins = [\"cri\"]\n",
    ),
    case(
        "required and disabled",
        all("daemon disabled-plugin required-plugin"),
        "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nrequired_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
    ),
    case(
        "required plugin that CRI does without, disabled",
        all("daemon required-plugin"),
        "disabled_plugins = [\"io.containerd.grpc.v1.version\"]\nrequired_plugins = [\"io.containerd.grpc.v1.version\"]\n",
    ),
    case(
        "required plugin that is none",
        all("daemon required-plugin"),
        "required_plugins = [\"io.containerd.grpc.v1.nope\"]\n",
    ),
    case(
        "required plugin of a later release",
        up_to_1_7("daemon required-plugin"),
        "required_plugins = [\"io.containerd.shim.v1.manager\"]\n",
    ),
    case(
        "required plugin of an earlier release",
        on_2("daemon required-plugin"),
        "required_plugins = [\"io.containerd.runtime.v1.linux\"]\n",
    ),
    case(
        "required plugin without settings",
        all("daemon required-plugin"),
        "required_plugins = [\"io.containerd.snapshotter.v1.devmapper\"]\n",
    ),
    case(
        "required plugin that fails",
        all("daemon cri-duration required-plugin"),
        "required_plugins = [\"io.containerd.grpc.v1.cri\"]\n[STREAMS]\nstream_idle_timeout = \"5\"\n",
    ),
    case(
        "required images that fail",
        [
            "daemon required-plugin",
            "daemon cri-duration required-plugin",
            "daemon cri-duration required-plugin",
        ],
        "required_plugins = [\"io.containerd.cri.v1.images\"]\n[IMAGES]\nimage_pull_progress_timeout = \"5\"\n",
    ),
    case(
        "proxy plugin without type",
        all("daemon proxy-plugin-type"),
        "[proxy_plugins.x]\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin of an unknown type",
        all("daemon proxy-plugin-type"),
        "[proxy_plugins.x]\ntype = \"streaming\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy differ",
        ["daemon proxy-plugin-type", "", ""],
        "[proxy_plugins.x]\ntype = \"diff\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy sandbox controller",
        up_to_1_7("daemon proxy-plugin-type"),
        "[proxy_plugins.x]\ntype = \"sandbox\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin called like a snapshotter",
        all("daemon proxy-plugin-name"),
        "[proxy_plugins.native]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin called like a snapshotter that is disabled",
        [
            "daemon proxy-plugin-name",
            "daemon proxy-plugin-name unpack",
            "daemon proxy-plugin-name unpack",
        ],
        "disabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n[proxy_plugins.overlayfs]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin called like a later snapshotter",
        on_2("daemon proxy-plugin-name"),
        "[proxy_plugins.erofs]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin called like the content store that is disabled",
        all("daemon disabled-plugin proxy-plugin-name"),
        "disabled_plugins = [\"io.containerd.content.v1.content\"]\n[proxy_plugins.content]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin called like the sandbox controller",
        [
            "daemon proxy-plugin-type",
            "daemon proxy-plugin-type",
            "daemon proxy-plugin-name",
        ],
        "[proxy_plugins.shim]\ntype = \"sandbox\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy plugin without name",
        all("daemon proxy-plugin-name"),
        "[proxy_plugins.\"\"]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    // The daemon.
    case(
        "certificate without key",
        all("daemon server-key-pair"),
        "[grpc]\ntcp_tls_cert = \"/nope\"\n",
    ),
    case(
        "metrics without port",
        all("daemon server-address"),
        "[metrics]\naddress = \"localhost\"\n",
    ),
    case(
        "TCP port beyond all ports",
        all("daemon server-address"),
        "[grpc]\ntcp_address = \"127.0.0.1:99999\"\n",
    ),
    case(
        "debug socket without directory",
        all("daemon server-address"),
        "[debug]\naddress = \"debug.sock\"\n",
    ),
    case(
        "debug port beyond all ports",
        all("daemon server-address"),
        "[debug]\naddress = \"127.0.0.1:99999\"\n",
    ),
    case(
        "imported file of an unknown version",
        from_1_7("daemon config-version"),
        "#IMPORTED\nversion = 4\n",
    ),
    case(
        "bare IPv6 address",
        all("daemon server-address"),
        "[metrics]\naddress = \"::1:0\"\n",
    ),
    case(
        "log format",
        all("daemon log-format"),
        "[debug]\nformat = \"JSON\"\n",
    ),
    case(
        "timeout",
        all("daemon timeout"),
        "[timeouts]\n\"io.containerd.timeout.shim.load\" = \"5\"\n",
    ),
    case(
        "empty timeout",
        all("daemon timeout"),
        "[timeouts]\n\"io.containerd.timeout.shim.load\" = \"\"\n",
    ),
];

/// Near misses of the rules.
pub const ACCEPTED: &[Case] = &[
    case("nothing", all(""), ""),
    case(
        "own default handler",
        all(""),
        "[RUNTIME.containerd]\ndefault_runtime_name = \"nvidia\"\n[RUNTIME.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n",
    ),
    case(
        "all devices with the switch",
        all(""),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nprivileged_without_host_devices = true\nprivileged_without_host_devices_all_devices_allowed = true\n",
    ),
    case(
        "io_type",
        all(""),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nio_type = \"fifo\"\n",
    ),
    case(
        "systemd_cgroup with the first shim",
        on_2("sandbox runtime-type"),
        "[RUNTIME]\nsystemd_cgroup = true\n[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runtime.v1.linux\"\nruntime_engine = \"crun\"\n",
    ),
    case(
        "old default that overrides",
        up_to_1_7(""),
        "[RUNTIME.containerd.default_runtime]\nruntime_type = \"io.containerd.runc.v2\"\n",
    ),
    case(
        "old default without type",
        all(""),
        "[RUNTIME.containerd.default_runtime]\nruntime_engine = \"crun\"\n",
    ),
    case(
        "old untrusted handler",
        all(""),
        "[RUNTIME.containerd.untrusted_workload_runtime]\nruntime_type = \"io.containerd.runc.v2\"\n",
    ),
    case(
        "handler with a snapshotter",
        all(""),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"native\"\n",
    ),
    case(
        "self-signed streams",
        all(""),
        "[STREAMS]\nenable_tls_streaming = true\n",
    ),
    case(
        "empty durations",
        all(""),
        "[STREAMS]\nstream_idle_timeout = \"\"\n",
    ),
    case(
        "negative duration",
        all(""),
        "[STREAMS]\nstream_idle_timeout = \"-1s\"\n",
    ),
    case(
        "bin_dir and no bin_dirs",
        all(""),
        "[RUNTIME.cni]\nbin_dir = \"/a\"\nbin_dirs = []\n",
    ),
    case(
        "config_path and empty mirrors",
        all(""),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.mirrors]\n",
    ),
    case(
        "config_path and credentials",
        all(""),
        "[IMAGES.registry]\nconfig_path = \"/etc/certs.d\"\n[IMAGES.registry.configs.\"m.example\".auth]\nusername = \"a\"\n",
    ),
    case(
        "mirrors",
        all(""),
        "[IMAGES.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n",
    ),
    case(
        "auths by host",
        all(""),
        "[IMAGES.registry.auths.\"m.example:5000/v2\"]\nusername = \"a\"\n",
    ),
    case(
        "auths by URL",
        all(""),
        "[IMAGES.registry.auths.\"https://m.example\"]\nusername = \"a\"\n",
    ),
    case(
        "proxy snapshotter",
        on_2("pull no-unpack-platform"),
        "[SNAPSHOTS]\nsnapshotter = \"stargz\"\n[proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy snapshotter by the long type",
        on_2("pull no-unpack-platform"),
        "[SNAPSHOTS]\nsnapshotter = \"a.b\"\n[proxy_plugins.\"a.b\"]\ntype = \"io.containerd.snapshotter.v1\"\n",
    ),
    case(
        "settings of devmapper without pool",
        all(""),
        "[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\nroot_path = \"/nope\"\nbase_image_size = \"big\"\n",
    ),
    case(
        "devmapper disabled",
        all(""),
        "disabled_plugins = [\"io.containerd.snapshotter.v1.devmapper\"]\n[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"nope\"\n",
    ),
    case(
        "platforms",
        all(""),
        "[IMAGES.runtime_platforms.kata]\nplatform = \"linux/arm/v7\"\nsnapshotter = \"nope\"\n[IMAGES.runtime_platforms.wasm]\n[plugins.\"io.containerd.runtime.v2.task\"]\nplatforms = []\n",
    ),
    case(
        "own unpacking",
        all(""),
        "disabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\nsnapshotter = \"native\"\ndiffer = \"walking\"\n",
    ),
    case(
        "isolated content",
        all(""),
        "[plugins.\"io.containerd.metadata.v1.bolt\"]\ncontent_sharing_policy = \"isolated\"\n",
    ),
    case(
        "no differ at all",
        all(""),
        "[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = []\n",
    ),
    case(
        "another content store",
        all(""),
        "disabled_plugins = [\"io.containerd.content.v1.content\"]\n[proxy_plugins.foo]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "proxy content store that is disabled",
        all(""),
        "disabled_plugins = [\"io.containerd.content.v1.foo\"]\n[proxy_plugins.foo]\ntype = \"content\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "disabled plugin that is none",
        all(""),
        "disabled_plugins = [\"io.containerd.snapshotter.v1.nope\", \"io.containerd.grpc.v1\"]\n",
    ),
    case(
        "disabled plugins that nobody misses",
        all(""),
        "disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.grpc.v1.version\", \"io.containerd.snapshotter.v1.zfs\"]\n",
    ),
    case(
        "required plugins",
        all(""),
        "required_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.foo\"]\n[proxy_plugins.foo]\ntype = \"snapshot\"\naddress = \"/nope.sock\"\n",
    ),
    case(
        "two proxy plugins",
        all(""),
        "[proxy_plugins.a]\ntype = \"snapshot\"\n[proxy_plugins.b]\ntype = \"io.containerd.snapshotter.v1\"\n",
    ),
    case(
        "key without certificate",
        all(""),
        "[grpc]\ntcp_tls_key = \"/nope\"\n",
    ),
    case(
        "TCP addresses",
        all(""),
        "[grpc]\ntcp_address = \"[::1]:0\"\n[metrics]\naddress = \":0\"\n",
    ),
    case(
        "debug address",
        all(""),
        "[debug]\naddress = \"127.0.0.1:0\"\n",
    ),
    case(
        "imported file of an earlier version",
        all(""),
        "#IMPORTED\nversion = 2\n",
    ),
    case(
        "no streaming manager and none of its services",
        all(""),
        "disabled_plugins = [\"io.containerd.streaming.v1.manager\", \"io.containerd.grpc.v1.streaming\", \"io.containerd.grpc.v1.transfer\"]\n",
    ),
    case(
        "options that the shim does not have",
        all(""),
        "[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.runc.options]\nConfigPath = 1\n[RUNTIME.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\nsandboxer = \"shim\"\nio_type = \"streaming\"\n[RUNTIME.containerd.runtimes.kata.options]\nSystemdCgroup = \"x\"\n",
    ),
    case(
        "proxy sandboxer",
        up_to_1_7("daemon proxy-plugin-type"),
        "[proxy_plugins.own]\ntype = \"sandbox\"\naddress = \"/nope.sock\"\n[RUNTIME.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsandboxer = \"own\"\n",
    ),
    case(
        "sandbox image by tag and digest",
        all(""),
        "[SANDBOX] = \"r.example/pause:3.9@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n",
    ),
    case("short sandbox image", all(""), "[SANDBOX] = \"pause\"\n"),
    case("log format text", all(""), "[debug]\nformat = \"text\"\n"),
    case(
        "own timeout",
        all(""),
        "[timeouts]\n\"anything\" = \"1h\"\n",
    ),
];

/// A configuration, and what containerd 2.2.7 and 2.3.3 refuse about it.
pub struct Later {
    pub name: &'static str,
    /// As in [`Case`].
    pub text: &'static str,
    pub answers: [&'static str; 2],
}

const fn later(name: &'static str, answers: [&'static str; 2], text: &'static str) -> Later {
    Later {
        name,
        text,
        answers,
    }
}

/// What is other than in 2.1.
pub const LATER: &[Later] = &[
    later(
        "metrics without a port",
        ["daemon server-address", "daemon server-address"],
        "[metrics]\naddress = \"localhost\"\n",
    ),
    later(
        "debug socket without a directory",
        ["daemon server-address", "daemon server-address"],
        "[debug]\naddress = \"debug.sock\"\n",
    ),
    later(
        "TCP port that nobody listens on",
        ["daemon server-address", ""],
        "[grpc]\ntcp_address = \"127.0.0.1:99999\"\n",
    ),
    later(
        "TCP port for CRI",
        ["daemon server-address", "daemon server-address"],
        "[grpc]\ntcp_address = \"127.0.0.1:99999\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\ndisable_tcp_service = false\n",
    ),
    later(
        "certificate without address",
        ["daemon server-key-pair", ""],
        "[grpc]\ntcp_tls_cert = \"/nope\"\n",
    ),
    later(
        "certificate beside an address",
        ["daemon server-key-pair", "plugin server-key-pair"],
        "[grpc]\ntcp_address = \"127.0.0.1:0\"\ntcp_tls_cert = \"/nope\"\n",
    ),
    later(
        "certificate for CRI",
        ["daemon server-key-pair", "plugin server-key-pair"],
        "[grpc]\ntcp_address = \"127.0.0.1:0\"\ntcp_tls_cert = \"/nope\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\ndisable_tcp_service = false\n",
    ),
    later(
        "stats of images",
        ["daemon stats-period", ""],
        "[IMAGES]\nstats_collect_period = 0\n",
    ),
    later(
        "stats of containers, 0s",
        ["", "daemon stats-period"],
        "[RUNTIME]\nstats_collect_period = \"0s\"\n",
    ),
    later(
        "stats of containers, 0",
        ["", "daemon stats-period"],
        "[RUNTIME]\nstats_collect_period = \"0\"\n",
    ),
    later(
        "stats of containers, -1s",
        ["", "daemon stats-period"],
        "[RUNTIME]\nstats_collect_period = \"-1s\"\n",
    ),
    later(
        "stats of containers",
        ["", ""],
        "[RUNTIME]\nstats_collect_period = \"1ns\"\nstats_retention_period = \"-5s\"\n",
    ),
    later(
        "relative directory of shims' sockets",
        ["", "cri shim-sockets"],
        "[plugins.\"io.containerd.shim.v1.manager\"]\nsocket_dir = \"run/shims\"\n",
    ),
    later(
        "long directory of shims' sockets",
        ["", "cri shim-sockets"],
        "[plugins.\"io.containerd.shim.v1.manager\"]\nsocket_dir = \"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n",
    ),
    later(
        "longest directory of shims' sockets",
        ["", ""],
        "[plugins.\"io.containerd.shim.v1.manager\"]\nsocket_dir = \"/aaaaaaaaaaaaaaaaaaaa//./aaaaaaaaaaaaaaaaaaaa/\"\n",
    ),
    later(
        "no image verifier",
        ["cri disabled-plugin", ""],
        "disabled_plugins = [\"io.containerd.image-verifier.v1.bindir\"]\n",
    ),
    later(
        "no mount manager",
        ["cri disabled-plugin", "cri disabled-plugin"],
        "disabled_plugins = [\"io.containerd.mount-manager.v1.bolt\"]\n",
    ),
    later(
        "streaming manager disabled",
        ["plugin disabled-plugin", "plugin disabled-plugin"],
        "disabled_plugins = [\"io.containerd.streaming.v1.manager\"]\n",
    ),
    later(
        "imported file of a later version",
        ["daemon config-version", "daemon config-version"],
        "#IMPORTED\nversion = 4\n",
    ),
    later(
        "sandbox image with tag and digest",
        ["", "sandbox sandbox-image"],
        "[SANDBOX] = \"r.example/pause:3.9@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n",
    ),
    later(
        "sandbox image with digest",
        ["", ""],
        "[SANDBOX] = \"r.example/pause@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n",
    ),
];
