//! What containerd's own `config migrate` loses, and this crate does not: each
//! test is one loss, with what it does to the setting in containerd 2.1.

use std::collections::BTreeMap;

use containerd_dropins::value::Value;

use crate::support::{self, TempDir};
use crate::version_3::{NEW, long};

/// Drop-ins for k0s 1.36 hold the settings; `config migrate` of containerd 2.1
/// makes something else of the same file.
#[track_caller]
fn is_lost_by_config_migrate(legacy: &str, expected: &str) {
    let legacy = long(legacy);
    let expected = support::leaves(&support::parse(&long(expected)));
    let plan = support::migrate(&legacy, NEW);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let mut found = BTreeMap::new();
    for text in support::drop_ins(&plan).values() {
        found.extend(support::leaves(&support::parse(text)));
    }
    found.remove("\"version\"");
    found.remove("\"imports\"");
    assert_eq!(found, expected);
    if let Some(containerd) = support::containerd("2") {
        let dir = TempDir::new(&format!("losses-{}", line()));
        let path = dir.path().join("config.toml");
        std::fs::write(&path, &legacy).unwrap();
        let output = std::process::Command::new(containerd)
            .args(["--config", path.to_str().unwrap(), "config", "migrate"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let migrated = match output.status.success() {
            true => support::leaves(&support::parse(&text)),
            false => BTreeMap::new(),
        };
        let lost = |(key, value): (&String, &Value)| migrated.get(key) != Some(value);
        assert!(expected.iter().any(lost), "containerd loses nothing");
    }
}

/// The caller's line, for the name of a folder.
#[track_caller]
fn line() -> u32 {
    std::panic::Location::caller().line()
}

#[test]
fn cri_settings_of_a_version_1_file() {
    is_lost_by_config_migrate(
        "[plugins.cri]\nsandbox_image = \"registry.example/pause:1\"\n[plugins.cri.cni]\nconf_dir = \"/cni\"\n",
        "[IMAGES.pinned_images]\nsandbox = \"registry.example/pause:1\"\n[RUNTIME.cni]\nconf_dir = \"/cni\"\n",
    );
}

#[test]
fn plugins_with_a_new_id_in_a_version_1_file() {
    is_lost_by_config_migrate(
        "[plugins.cgroups]\nno_prometheus = true\n[plugins.restart]\ninterval = \"1m\"\n",
        "[plugins.\"io.containerd.monitor.task.v1.cgroups\"]\nno_prometheus = true\n[plugins.\"io.containerd.monitor.container.v1.restart\"]\ninterval = \"1m\"\n",
    );
}

#[test]
fn snapshotter_without_a_table_of_runtimes() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n",
        "[IMAGES]\nsnapshotter = \"native\"\nuse_local_image_pull = true\n[IMAGES.registry]\nconfig_path = \"/etc/k0s/containerd.d/certs.d\"\n",
    );
}

#[test]
fn snapshot_annotations_without_a_table_of_runtimes() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd]\ndisable_snapshot_annotations = false\ndiscard_unpacked_layers = true\n",
        "[IMAGES]\ndisable_snapshot_annotations = false\ndiscard_unpacked_layers = true\n[IMAGES.registry]\nconfig_path = \"/etc/k0s/containerd.d/certs.d\"\n",
    );
}

#[test]
fn snapshotter_of_a_runtime_handler() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsnapshotter = \"nydus\"\n",
        "[RUNTIME.containerd.runtimes.x]\nruntime_type = \"io.containerd.x.v2\"\nsnapshotter = \"nydus\"\n[IMAGES.runtime_platforms.x]\nsnapshotter = \"nydus\"\n[IMAGES]\nuse_local_image_pull = true\n[IMAGES.registry]\nconfig_path = \"/etc/k0s/containerd.d/certs.d\"\n",
    );
}

#[test]
fn systemd_cgroup() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI]\nsystemd_cgroup = true\n",
        "[RUNTIME.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
    );
}

#[test]
fn no_pivot() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd]\nno_pivot = true\n",
        "[RUNTIME.containerd.runtimes.runc.options]\nNoPivotRoot = true\n",
    );
}

#[test]
fn runtime_engine_and_runtime_root() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_engine = \"/usr/bin/crun\"\nruntime_root = \"/run/crun\"\n",
        "[RUNTIME.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\n[RUNTIME.containerd.runtimes.x.options]\nBinaryName = \"/usr/bin/crun\"\nRoot = \"/run/crun\"\n",
    );
}

#[test]
fn default_runtime() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd.default_runtime]\nruntime_type = \"io.containerd.runsc.v1\"\n",
        "[RUNTIME.containerd]\ndefault_runtime_name = \"default\"\n[RUNTIME.containerd.runtimes.default]\nruntime_type = \"io.containerd.runsc.v1\"\n",
    );
}

#[test]
fn untrusted_workload_runtime() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI.containerd.untrusted_workload_runtime]\nruntime_type = \"io.containerd.runsc.v1\"\n",
        "[RUNTIME.containerd.runtimes.untrusted]\nruntime_type = \"io.containerd.runsc.v1\"\n",
    );
}

/// The migration of `sched_core` replaces what the shim manager has.
#[test]
fn environment_of_the_shims_beside_sched_core() {
    is_lost_by_config_migrate(
        "version = 2\n[plugins.\"io.containerd.runtime.v2.task\"]\nsched_core = true\n[plugins.\"io.containerd.shim.v1.manager\"]\nenv = [\"A=1\"]\n",
        "[plugins.\"io.containerd.shim.v1.manager\"]\nenv = [\"A=1\", \"SCHED_CORE=1\"]\n",
    );
}

/// Ids in `disabled_plugins` do not follow their plugins.
#[test]
fn a_disabled_plugin_with_a_new_id() {
    is_lost_by_config_migrate(
        "version = 2\ndisabled_plugins = [\"io.containerd.internal.v1.restart\"]\n",
        "disabled_plugins = [\"io.containerd.monitor.container.v1.restart\"]\n",
    );
}

/// Matching is by exact case, whereas containerd 1.7 reads upper case too.
#[test]
fn keys_in_upper_case() {
    is_lost_by_config_migrate(
        "version = 2\n[CRI]\nSANDBOX_IMAGE = \"registry.example/pause:1\"\n",
        "[IMAGES.pinned_images]\nsandbox = \"registry.example/pause:1\"\n",
    );
}

/// containerd 2.x reads TLS settings from hosts.toml files only.
#[test]
fn tls_of_a_registry() {
    let legacy = "version = 2\n[CRI.registry.configs.\"reg.example\".tls]\nca_file = \"/ca.pem\"\n";
    let expected = "[IMAGES.registry]\nconfig_path = \"/etc/k0s/containerd.d/certs.d\"\n";
    is_lost_by_config_migrate(legacy, expected);
    let plan = support::migrate(&long(legacy), NEW);
    let [file] = plan.hosts_files.as_slice() else {
        panic!("{:?}", plan.hosts_files);
    };
    assert_eq!(file.name, "reg.example/hosts.toml");
    assert!(
        file.text()
            .ends_with("\nserver = \"https://reg.example\"\nca = \"/ca.pem\"\n")
    );
}
