//! Runtime handlers of the CRI plugin and their options.

use super::declare::sections;
use crate::containerd::Release;
use crate::containerd::releases::*;
use crate::containerd::setting::{Builtin, History, State::*, SucceededBy, version};

/// The handler that containerd brings along, from 1.3 on.
pub(super) const RUNC: Builtin = Builtin {
    key: "runc",
    history: &[(V1_3, Hidden)],
    inside: &[
        Builtin {
            key: "runtime_type",
            history: &[
                (V1_3, Str("io.containerd.runc.v1")),
                (V1_4, Str("io.containerd.runc.v2")),
            ],
            inside: &[],
        },
        Builtin {
            key: "sandbox_mode",
            history: &[(V1_7, Str("podsandbox"))],
            inside: &[],
        },
        Builtin {
            key: "options",
            history: &[],
            inside: &[
                printed("BinaryName", &[(V1_5, Str(""))]),
                printed("CriuImagePath", &[(V1_5, Str(""))]),
                printed("CriuPath", &[(V1_5, Str("")), (V2_0, Absent)]),
                printed("CriuWorkPath", &[(V1_5, Str(""))]),
                printed("IoGid", &[(V1_5, Int(0))]),
                printed("IoUid", &[(V1_5, Int(0))]),
                printed("NoNewKeyring", &[(V1_5, Bool(false))]),
                printed("NoPivotRoot", &[(V1_5, Bool(false)), (V2_0, Absent)]),
                printed("Root", &[(V1_5, Str(""))]),
                printed("ShimCgroup", &[(V1_5, Str(""))]),
                printed(
                    "SystemdCgroup",
                    &[
                        (V1_5, Bool(false)),
                        (V2_0, Absent),
                        (Release::new(2, 0, 7), Bool(false)),
                        (V2_1, Absent),
                        (Release::new(2, 1, 5), Bool(false)),
                    ],
                ),
            ],
        },
    ],
};

const fn printed(key: &'static str, history: History) -> Builtin {
    Builtin {
        key,
        history,
        inside: &[],
    }
}

sections! {
    /// A runtime handler: an entry of `containerd.runtimes`, or one of the two
    /// old tables `default_runtime` and `untrusted_workload_runtime`.
    pub struct Runtime: Plain {
        /// The shim, for instance `io.containerd.runc.v2`.
        pub runtime_type: Option<String> = [V1_2 => Str("")];
        /// Deprecated: the runtime's binary. Successor: `options.BinaryName`.
        pub runtime_engine: Option<String> = [V1_2 => Str(""), V2_0 => Absent], .succeeded(V1_3, SucceededBy::Path(&["options", "BinaryName"]));
        /// Deprecated: the runtime's state directory. Successor: `options.Root`.
        pub runtime_root: Option<String> = [V1_2 => Str(""), V2_0 => Absent], .succeeded(V1_3, SucceededBy::Path(&["options", "Root"]));
        /// What the shim is told.
        pub options: RuntimeOptions = [V1_2 => Hidden];
        /// Pod annotations that are passed to the runtime.
        pub pod_annotations: Option<Vec<String>> = [V1_3 => Hidden, V1_5 => Strs(&[])];
        /// Keep the host's devices from privileged containers.
        pub privileged_without_host_devices: Option<bool> = [V1_3 => Bool(false)];
        /// Container annotations that are passed to the runtime.
        pub container_annotations: Option<Vec<String>> = [V1_4 => Hidden, V1_5 => Strs(&[])];
        /// A file with the OCI spec to start from.
        pub base_runtime_spec: Option<String> = [V1_4 => Str("")];
        /// The shim's binary, in place of the one `runtime_type` leads to.
        pub runtime_path: Option<String> = [V1_6 => Str("")];
        /// This handler's own CNI configuration directory.
        pub cni_conf_dir: Option<String> = [V1_6 => Str("")];
        /// This handler's own limit of CNI configuration files.
        pub cni_max_conf_num: Option<i64> = [V1_6 => Int(0)];
        /// Allow access to all devices where the host's are kept away.
        pub privileged_without_host_devices_all_devices_allowed: Option<bool> = [V1_7 => Bool(false)];
        /// This handler's own snapshotter.
        pub snapshotter: Option<String> = [V1_7 => Str("")];
        /// What makes the sandbox: `podsandbox` or `shim`.
        pub sandbox_mode: Option<String> = [V1_7 => Str("")], .renamed(version(3), "sandboxer");
        /// How streams reach the shim: `fifo`, `streaming`, or nothing.
        pub io_type: Option<String> = [V2_0 => Str("")];
        /// Mount the cgroup file system writable.
        pub cgroup_writable: Option<bool> = [V2_1 => Bool(false)];
        /// Do not pull the sandbox image: the shim does without it.
        pub disable_pause_image_pull: Option<bool> = [V2_4 => Bool(false)];
    }

    /// The options of a runtime handler, handed to its shim as they are. Which
    /// keys count depends on `runtime_type`.
    pub struct RuntimeOptions: Free {
        /// runc: do not use `pivot_root`.
        pub no_pivot_root ["NoPivotRoot"]: Option<bool> = [V1_2 => Hidden];
        /// runc: do not make a new session keyring.
        pub no_new_keyring ["NoNewKeyring"]: Option<bool> = [V1_2 => Hidden];
        /// runc: the cgroup of the shim.
        pub shim_cgroup ["ShimCgroup"]: Option<String> = [V1_2 => Hidden];
        /// runc: owner of the container's streams.
        pub io_uid ["IoUid"]: Option<i64> = [V1_2 => Hidden];
        /// runc: group of the container's streams.
        pub io_gid ["IoGid"]: Option<i64> = [V1_2 => Hidden];
        /// runc: the binary.
        pub binary_name ["BinaryName"]: Option<String> = [V1_2 => Hidden];
        /// runc: the state directory.
        pub root ["Root"]: Option<String> = [V1_2 => Hidden];
        /// runc: the CRIU binary.
        pub criu_path ["CriuPath"]: Option<String> = [V1_2 => Hidden, V2_0 => Absent];
        /// runc: use systemd to manage cgroups.
        pub systemd_cgroup ["SystemdCgroup"]: Option<bool> = [V1_2 => Hidden];
        /// runc: where CRIU keeps images.
        pub criu_image_path ["CriuImagePath"]: Option<String> = [V1_3 => Hidden];
        /// runc: CRIU's work directory.
        pub criu_work_path ["CriuWorkPath"]: Option<String> = [V1_3 => Hidden];
        /// Deprecated: the binary that `io.containerd.runtime.v1.linux` runs.
        /// Successor: `BinaryName`.
        pub runtime ["Runtime"]: Option<String> = [V1_2 => Hidden], .succeeded(V1_3, SucceededBy::Path(&["BinaryName"]));
        /// Deprecated: its state directory. Successor: `Root`.
        pub runtime_root ["RuntimeRoot"]: Option<String> = [V1_2 => Hidden], .succeeded(V1_3, SucceededBy::Path(&["Root"]));
        /// Other shims: the protobuf type of their options.
        pub type_url ["TypeUrl"]: Option<String> = [V1_2 => Hidden];
        /// Other shims: their configuration file.
        pub config_path ["ConfigPath"]: Option<String> = [V1_2 => Hidden];
        /// Other shims: their configuration itself.
        pub config_body ["ConfigBody"]: Option<Vec<u8>> = [V1_7 => Hidden], .hidden(true);
        /// Filled in by containerd itself.
        pub task_api_address ["TaskApiAddress"]: Option<String> = [V2_0 => Hidden];
        /// Filled in by containerd itself.
        pub task_api_version ["TaskApiVersion"]: Option<i64> = [V2_0 => Hidden];
    }
}
