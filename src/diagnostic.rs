//! Findings: what the crate has to say about an input, as data with stable codes.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::Document;
use crate::shown::printable;

/// How much a finding matters.
///
/// Only [`Severity::Error`] makes the example program exit with status 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Informs; nothing needs to be done.
    Note,
    /// Something was dropped or changed for a good reason, or deserves a look.
    Warning,
    /// Something the user wants cannot be kept, or the result would not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A place in one of the input files. Lines and columns count from 1; columns
/// count characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// The name under which the caller handed in the file.
    pub file: String,
    /// The line of the first character.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// Byte offset of the first character.
    pub start: usize,
    /// Byte offset behind the last character.
    pub end: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file may have any name.
        let file = printable(&self.file);
        write!(f, "{file}:{}:{}", self.line, self.column)
    }
}

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $severity:ident, $help:literal;)+) => {
        /// The stable code of a finding: it keeps its meaning and its spelling
        /// from release to release.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$meta])* $name,)+
        }

        impl Code {
            /// Every code, in the order of their declaration.
            pub const ALL: &[Code] = &[$(Code::$name),+];

            /// The code as it is printed, `kebab-case`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// The severity of findings with this code.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)+ }
            }

            /// What to do about it.
            pub fn help(self) -> &'static str {
                match self { $(Code::$name => $help,)+ }
            }
        }
    };
}

codes! {
    /// The file is k0s-managed or pristine: k0s writes it anew at each start.
    K0sManaged = "k0s-managed", Note,
        "Nothing to migrate. Put settings into a drop-in in /etc/k0s/containerd.d.";
    /// A k0s-managed file holds settings, which k0s overwrites at each start.
    SettingsInManagedFile = "settings-in-managed-file", Warning,
        "k0s rewrites a file with its marker at every start, so these keys are not in effect. To keep one, put it into a drop-in in /etc/k0s/containerd.d.";
    /// The legacy file leads to another sandbox image than the one k0s injects.
    SandboxImageCause = "sandbox-image-cause", Warning,
        "Where that image cannot be pulled, as behind an air gap, no pod starts. With the file gone k0s injects its own again.";
    /// A default sandbox image of some release is pinned in the file, or one of
    /// the Kubernetes project in a tag that is not later than the target's.
    SandboxImageStale = "sandbox-image-stale", Warning,
        "It is a default or no later than one, nobody's choice; k0s injects the image that fits its release.";
    /// A sandbox image of the user's own.
    SandboxImageCustom = "sandbox-image-custom", Warning,
        "Prefer spec.images.pause in the k0s configuration: it is kept up to date and reaches `k0s airgap list-images`. A drop-in that pins an image goes stale when k0s is upgraded.";
    /// A key that k0s decides, with a value that differs from k0s's.
    OwnedByK0sOther = "owned-by-k0s-other-value", Warning,
        "k0s's own value wins over the file, so this one never took effect and is not carried over.";
    /// `disabled_plugins` names the CRI plugin.
    CriDisabled = "cri-disabled", Warning,
        "Without the CRI plugin the kubelet has no runtime and the node runs no pod. Docker's packaged configuration does this; k0s must not. The entry is left out.";
    /// A plugin id that containerd cannot read in this config version.
    PluginIdIgnored = "plugin-id-ignored", Warning,
        "Files of version 2 and later name plugins by URI (io.containerd.grpc.v1.cri), version 1 files by short name (cri). containerd ignored or refused this one, so it is not carried over. If it is wanted, write it in the right spelling and migrate again.";
    /// The file has no version, but speaks version 2.
    VersionMissing = "version-missing", Warning,
        "Without `version` containerd 1.x reads a file as version 1 and ignores plugin URIs. The file is read as it was meant: settings that were ignored so far take effect once the drop-ins are in place. Review them.";
    /// A key that has another place in the config version of the file.
    Misplaced = "misplaced-key", Warning,
        "containerd does not look for the setting here in this config version, so the line had no effect and is not carried over. If it is wanted, move it and migrate again.";
    /// A plugin of a later config version in a file of version 2.
    LaterPlace = "later-place", Warning,
        "The file serves containerd 1.x and 2.x. Settings that the node's containerd ignored so far take effect with the drop-ins. Review them.";
    /// A key in a place where not every containerd 2.x reads it.
    OtherPlace = "other-place", Warning,
        "It is carried over to where every containerd 2.x reads it. Review it.";
    /// A key in a spelling of upper and lower case that containerd does not read.
    KeyCaseIgnored = "key-case-ignored", Warning,
        "containerd 1.5 to 1.7 read a key in lower or in upper case only, so this one had no effect and is not carried over.";
    /// A zero value that cannot override a default.
    ZeroValueIgnored = "zero-value-ignored", Note,
        "containerd merges these settings by value: 0, \"\" and false never override a default, so the line had no effect.";
    /// A setting that a later loaded file replaces.
    Shadowed = "shadowed", Note,
        "Of several files that set a key, the one that is loaded last decides: imports after the file that names them, drop-ins by name, and up to k0s 1.35 those with CRI settings after all others.";
    /// A setting that containerd did not act on.
    WithoutEffect = "without-effect", Warning,
        "containerd did not act on this setting, so it is not carried over.";
    /// A key that no known containerd release reads there.
    UnknownKey = "unknown-key", Note,
        "containerd ignores unknown keys, 1.x in silence and 2.x with a line in its log. It is carried over as it is; check the spelling.";
    /// A plugin that no known containerd release has.
    UnknownPlugin = "unknown-plugin", Note,
        "The section of a plugin that is not built in has no effect. It is carried over as it is.";
    /// A file of whose settings no known containerd release reads any.
    NothingRead = "nothing-read", Warning,
        "The file does nothing on this node: it may be meant for another program, or its tables are misspelled. If it is containerd's, compare its tables with the first lines of `containerd config default`; if it is not, leave it out.";
    /// The text of a `hosts.toml` in a config file.
    HostsTomlText = "hosts-toml-text", Warning,
        "containerd reads hosts.toml files from the directory that config_path names, one for each registry host: /etc/k0s/containerd.d/certs.d/docker.io/hosts.toml, for instance. Move these lines there, and set config_path in the registry settings.";
    /// A key that the target's containerd does not know yet.
    NotInTarget = "not-in-target", Note,
        "The containerd of the target release ignores it. It is carried over and takes effect after an upgrade.";
    /// A setting that the target's containerd no longer has.
    Obsolete = "obsolete", Warning,
        "The target's containerd ignores it, with or without a drop-in, so it is not carried over.";
    /// A plugin id in `disabled_plugins` or `required_plugins` that the target's containerd does not have.
    PluginGone = "plugin-gone", Warning,
        "A plugin that is not there need not be disabled, and containerd does not start if one is required.";
    /// TLS settings of a registry, which containerd 2.0 removed.
    RegistryTls = "registry-tls", Error,
        "Have the registry settings converted to hosts.toml files, which is done unless they are to be kept or config_path is set already. In that case write a hosts.toml for the host (ca, client, skip_verify) into the directory of config_path, remove the table and migrate again.";
    /// Registry settings went to `hosts.toml` files.
    RegistryConverted = "registry-converted", Note,
        "For every registry host that the settings name, and for others, the same endpoints are asked in the same order. One thing differs as soon as there is a config_path: hosts on the node itself that no setting names, such as localhost:5000, are asked over HTTPS first, and a bare localhost over HTTPS only.";
    /// Registry settings that are not converted although they should be.
    RegistryStays = "registry-stays", Warning,
        "The registry settings stay where they are. Where containerd 2.x does not read TLS settings, write hosts.toml files for them by hand, into the directory that config_path names.";
    /// A registry setting that no `hosts.toml` can stand for.
    RegistryNotConvertible = "registry-not-convertible", Error,
        "Correct the setting and migrate again, or remove it.";
    /// A relative path of a certificate, which means another file in a `hosts.toml`.
    RegistryRelativePath = "registry-relative-path", Warning,
        "A hosts.toml has the absolute path. Check that the file is there.";
    /// An entry of a registry's settings under a name that containerd never looks for.
    RegistryKey = "registry-key", Warning,
        "containerd looks mirrors up by the registry host of an image, and credentials and TLS settings by the host of the endpoint that it asks, port included: without scheme and path, and registry-1.docker.io for Docker Hub. If the setting is wanted, write it under that name; pulls change then.";
    /// An entry of a registry's settings under an unusual spelling of a host.
    RegistryKeySpelling = "registry-key-spelling", Note,
        "containerd compares hosts letter by letter, port included.";
    /// An endpoint of a mirror that is not one URL.
    RegistryEndpoint = "registry-endpoint", Error,
        "An endpoint is one URL, such as https://mirror.example:5000. Correct the list of endpoints and migrate again, or remove what is no endpoint.";
    /// An endpoint of a mirror at which every try fails.
    RegistryEndpointNotAsked = "registry-endpoint-not-asked", Warning,
        "Remove the endpoint, or correct it and migrate again.";
    /// An endpoint of a mirror that ends in a slash.
    RegistryEndpointSlash = "registry-endpoint-slash", Warning,
        "With an endpoint without a path containerd asks below /v2, with one that is only a slash it does not. Remove the slash and migrate again.";
    /// An endpoint of a mirror with a path in which there is no `v2`.
    RegistryEndpointPath = "registry-endpoint-path", Note,
        "The registry's API is below /v2. Unless something in between adds that, write the path with it, for instance https://mirror.example/v2/proxy.";
    /// A part of an endpoint of a mirror that containerd does not send.
    RegistryEndpointPart = "registry-endpoint-part", Warning,
        "Of an endpoint containerd takes scheme, host, port and path. Credentials belong under registry.configs.";
    /// TLS settings of a registry that is asked over plain HTTP only.
    RegistryTlsUnused = "registry-tls-unused", Note,
        "Nothing needs to be done, unless the endpoint was to be asked over https.";
    /// A setting that the target's containerd has no place for.
    NotExpressible = "not-expressible", Error,
        "No drop-in for this target can hold it. Choose another target, or do without it.";
    /// A value of the wrong type.
    WrongType = "wrong-type", Error,
        "containerd refuses to start on it. Correct the value and migrate again.";
    /// A runtime option of the wrong type.
    OptionType = "option-type", Warning,
        "containerd loads it, but the runtime cannot read its options and pods of this runtime handler fail. It is carried over unchanged.";
    /// A setting that the target's containerd needs in two places.
    NeededTwice = "needed-twice", Note,
        "Both places say the same; change both if you change one.";
    /// A setting that went to its successor.
    Converted = "converted", Note,
        "The setting is deprecated, or has another form in the target's containerd; what it becomes does the same.";
    /// A runtime type that changed with its setting.
    RuntimeTypeConverted = "runtime-type-converted", Warning,
        "The old runtime shims are deprecated in containerd 1.4 and gone in 2.0. Running containers keep their shim; new ones use io.containerd.runc.v2.";
    /// A deprecated setting that containerd refused so far.
    FirstEffect = "first-effect", Warning,
        "So far it had no effect, or kept something from working. Review it before the restart.";
    /// Two settings that contradict each other.
    Contradiction = "contradiction", Warning,
        "Both were set. Check that the one that is kept is the one you want.";
    /// The legacy file removed the `runc` runtime handler.
    RuncAppears = "runc-appears", Note,
        "containerd 1.5 to 1.7 replace the whole runtimes map when a file names any runtime. k0s merges, so runc is there again beside the others; no pod uses it unless it is the default or a RuntimeClass names it.";
    /// A default differs between origin and target, and the user changed it too.
    BothChanged = "both-changed", Note,
        "The default changed between the two releases as well; your value wins.";
    /// A proxy plugin without a type that containerd knows.
    ProxyPluginType = "proxy-plugin-type", Error,
        "containerd panics at start on a proxy plugin without a known type: \"snapshot\", \"content\", \"diff\", from 2.0 on also \"sandbox\". Add it and migrate again.";
    /// A value that cannot pass through k0s's merge of CRI drop-ins.
    NotMergeable = "not-mergeable", Error,
        "k0s 1.27.5 to 1.35 pass CRI drop-ins through JSON and YAML, which would change this value or stop k0s.";
    /// A name that go-toml 1.9 cannot read in any spelling.
    NotPortable = "not-portable", Error,
        "There is no TOML spelling of this name that all parsers in play read alike. Rename it; a registry may have a host name in place of an address.";
    /// A file named in `imports` is missing.
    ImportMissing = "import-missing", Error,
        "Its settings would be lost. Put the file where it is imported from, or remove it from imports if it is gone for good (containerd 1.5 and later do not start without it).";
    /// A file named in the `imports` of a dump, of which it is part.
    ImportOfDump = "import-of-dump", Note,
        "Nothing is lost: a dump has the settings of all files that it was made of. k0s writes the list of imports itself.";
    /// A pattern in `imports` that no handed-in file matches.
    ImportEmpty = "import-empty", Note,
        "containerd takes no notice of a pattern without a match. If there are such files on the node, hand them in.";
    /// A legacy file imports drop-ins, as k0s's own file does.
    ImportsDropIns = "imports-drop-ins", Warning,
        "Their settings are in the new drop-ins, merged as containerd merged them. Remove the old ones when you put the new ones in place, or both count.";
    /// A handed-in file that nothing imports.
    ImportUnused = "import-unused", Note,
        "No imports entry reaches this file, so it took no part.";
    /// The file was written for another containerd.
    ForeignContainerd = "foreign-containerd", Warning,
        "It looks like the configuration of another containerd on the machine. Check that its settings are meant for k0s.";
    /// The file is that of a Windows node.
    WindowsNode = "windows-node", Error,
        "Linux nodes only: what k0s and containerd make of the settings of a Windows node is not known here, so nothing of them is judged or kept. Without such a node, remove the setting and migrate again.";
    /// A snapshotter that is kept, and what the node has to have for it.
    SnapshotterNeeds = "snapshotter-needs", Note,
        "k0s has containerd keep its data in /var/lib/k0s/containerd, or below its own --data-dir. What was set up for another containerd, below /var/lib/containerd, does not count.";
    /// The k0s release asked for is newer than any known one.
    ReleaseNewer = "release-newer", Warning,
        "The newest known release stands in for it. Check for a newer version of containerd-dropins, or state which containerd it carries and which pause image it injects.";
    /// The k0s release asked for is not a known one.
    ReleaseUnknown = "release-unknown", Note,
        "The nearest release that works in the same way stands in for it. To be exact, state which containerd it carries and which pause image it injects.";
    /// The containerd that was stated is not a known one.
    ContainerdUnknown = "containerd-unknown", Warning,
        "What it does with the settings is not known to differ, but may. Check for a newer version of containerd-dropins, and the release notes of containerd.";
    /// A setting in the drop-ins that upstream plans to remove.
    RemovalPlanned = "removal-planned", Note,
        "The target's containerd still reads it. RELEASES.md of containerd names 2.4 for its removal, of which 2.4.0-beta.0 still has it: plan to do without it before an upgrade.";
    /// The target reads no drop-ins.
    TargetUnsupported = "target-unsupported", Error,
        "Choose a target release from 1.27.5 on.";
    /// The target pastes drop-ins behind generated text.
    TargetAppends = "target-appends", Warning,
        "Prefer a target release from 1.27.5 on: it can hold every setting.";
    /// A setting that cannot be pasted behind the target's generated text.
    NotAppendable = "not-appendable", Error,
        "k0s 1.27.1 to 1.27.4 can add tables to the CRI settings, not change those that are there. Migrate for 1.27.5 or later.";
    /// Settings that k0s keeps out of drop-ins went to a file that a drop-in imports.
    NestedImport = "nested-import", Note,
        "k0s 1.36 and later exit at start on a drop-in with a section io.containerd.grpc.v1.cri, which is where containerd 2.x has the stream server; they do not look at what a drop-in imports. And containerd 2.3 loses the section of the shim manager in a file that has one of the task manager. Keep the file in its folder.";
    /// k0s wrote the file, and the target does not notice.
    MarkerNotRecognised = "marker-not-recognised", Warning,
        "k0s 1.36 and later look for `# k0s_managed=true` on the first line only, where 1.27 to 1.29 did not write it, and do not know the file that 1.22 to 1.26 wrote. They take such a file for yours, inject no sandbox image and ignore drop-ins. Remove it; k0s writes it anew.";
    /// A main file that is the user's made k0s ignore the drop-ins.
    DropInsIgnored = "drop-ins-ignored", Warning,
        "As long as a containerd.toml without k0s's marker is there, k0s reads no drop-in. Migrate that file first: its settings are those that are in effect, and go when it goes.";
    /// A drop-in whose config version kept others from taking effect.
    DropInVersion = "drop-in-version", Warning,
        "The settings of all drop-ins with CRI settings take effect for the first time. Review them.";
    /// A config version because of which containerd ignores all CRI settings.
    CriIgnored = "cri-ignored", Error,
        "Delete the line: k0s 1.27 to 1.35 state version 2 for all drop-ins by themselves.";
    /// k0s itself does not get along with a drop-in.
    K0sRefuses = "k0s-refuses", Error,
        "Correct the drop-in. k0s reads drop-ins with a parser of TOML 1.0 before it starts containerd, and fails at start on what it cannot put together.";
    /// Drop-ins that the target reads as they are.
    DropInsStay = "drop-ins-stay", Note,
        "Nothing is rewritten for this target. They need to be carried over for k0s 1.36 and later.";
    /// Drop-ins of a config version that the target does not read.
    NoWayBack = "no-way-back", Error,
        "Drop-ins are carried to k0s 1.36 and later, not back. Choose such a target.";
    /// An existing drop-in that nothing is left of.
    DropInEmpty = "drop-in-empty", Note,
        "The target has all of it by itself, does not know it any more, cannot hold it, or another drop-in decides it. Remove the file: k0s 1.36 and later exit at start on one of version 2.";
    /// A drop-in imports a file from elsewhere.
    ImportOutside = "import-outside", Note,
        "The file takes part in all that is said here, and is not rewritten: it is another tool's, which may write it anew. k0s does not check it.";
    /// On containerd 1.x an imported file takes settings out of effect.
    ImportReplaces = "import-replaces", Error,
        "containerd 1.x replaces the section of a plugin as a whole by that of a file that is loaded later, and imports come last. Have the tool write its settings into a drop-in of its own in /etc/k0s/containerd.d, where k0s merges them key by key, and remove the import.";
    /// containerd loses a setting of an imported file as it migrates the file.
    LostInMigration = "lost-in-migration", Error,
        "containerd 2.x migrates a file of config version 1 or 2 at every start, and this does not come through. Have the tool that writes the file write it in version 3, or put the setting into a drop-in.";
    /// A file of the NVIDIA container toolkit.
    NvidiaToolkit = "nvidia-toolkit", Warning,
        "After each run of the toolkit, check its files: config version 2 up to k0s 1.35 and 3 from 1.36 on, a `runtime_type` in each handler, and up to 1.35 no import of a file elsewhere. RUNTIME_CONFIG_SOURCE=file keeps it from going by the dump of another containerd.";
    /// The file begins with a UTF-8 byte order mark.
    ByteOrderMark = "byte-order-mark", Note,
        "containerd 1.5 to 1.7 skip it, 1.4 and 2.x refuse the file. The drop-ins have none.";
    /// A TOML feature beyond what the target's parsers read.
    NotReadByContainerd = "not-read-by-containerd", Warning,
        "containerd 1.5 to 1.7 refuse the whole file because of it. Its settings take effect for the first time.";
    /// After the migration the sandbox image is not in the airgap bundle.
    AirgapImageMissing = "airgap-image-missing", Error,
        "Where the image cannot be pulled no pod starts: imagePullPolicy Never does not cover the sandbox image, containerd pulls it by itself. Put it into the bundle, or have the node use one that the bundle holds.";
    /// So far the sandbox image is not in the airgap bundle; after the migration it is.
    AirgapImageWasMissing = "airgap-image-was-missing", Warning,
        "This is the outage that a legacy file causes on air-gapped nodes. The migration ends it.";
    /// After the migration the sandbox image is in the airgap bundle.
    AirgapImageThere = "airgap-image-there", Note,
        "Nothing to do about the sandbox image. The other images that pods need are not looked at.";
    /// Which sandbox image the node will use cannot be told.
    AirgapImageUnknown = "airgap-image-unknown", Warning,
        "Settle what the plan reports, and check again.";
    /// The list of the airgap bundle has lines that are no image reference.
    AirgapListUnreadable = "airgap-list-unreadable", Warning,
        "The list is what `k0s airgap list-images` prints, or airgap-images-list.txt: one image reference a line. The other lines count.";
    /// The list of the airgap bundle looks like that of another k0s release.
    AirgapOtherRelease = "airgap-other-release", Warning,
        "Use the bundle and the list of the very release that the node runs or will run. If spec.images of the k0s configuration names the other image on purpose, the list is right, and this check cannot know.";
    /// With the result containerd would exit at start.
    ContainerdRefuses = "containerd-refuses", Error,
        "Correct the setting and migrate again. Under k0s containerd would be started over and over.";
    /// With the result the CRI plugin would not be loaded.
    CriRefuses = "cri-refuses", Error,
        "Correct the setting and migrate again. Without the CRI plugin the kubelet has no runtime, and the node does not become ready.";
    /// containerd 2.x does not pin the sandbox image.
    SandboxImageUnpinned = "sandbox-image-unpinned", Warning,
        "The kubelet may remove such an image when disk space runs short, and on an air-gapped node no pod starts then. Name the image in full by its tag or by its digest, or better use spec.images.pause of the k0s configuration.";
    /// The sandbox image is no reference of an image.
    SandboxImageNoReference = "sandbox-image-no-reference", Error,
        "No pod starts with it. A template that was not filled in is a common cause. Name an image, or remove the setting: k0s injects the image that fits its release.";
    /// cgroup limits, which a setting kept from being applied, are applied.
    CgroupLimits = "cgroup-limits", Error,
        "The setting is for nodes on which containerd may not make cgroups, as in a user namespace. Give it that right before the upgrade, or stay with k0s 1.35.";
    /// Containers would have writable cgroups, for which cgroup 2 is needed.
    CgroupWritable = "cgroup-writable", Warning,
        "See what `stat -fc %T /sys/fs/cgroup` prints: with cgroup2fs all is well, else remove the setting before the upgrade.";
    /// The main IP address of a pod becomes another.
    IpPreference = "ip-preference", Warning,
        "Remove the setting, or write \"cni\", if the first address shall stay the one that CNI names first.";
    /// The devmapper snapshotter takes everything down if it does not come up.
    DevmapperPool = "devmapper-pool", Warning,
        "Check the thin pool before the upgrade, with `dmsetup status`, and remove the section if devmapper is not used.";
    /// Settings of traces that containerd 2.x looks for in its environment.
    TracingEnvironment = "tracing-environment", Warning,
        "containerd has the environment of k0s: set OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and the like for the k0s service.";
    /// The first line of the main file is more than k0s reads.
    FirstLineTooLong = "first-line-too-long", Warning,
        "Move the file away before k0s is upgraded, or break the line.";
    /// With the result no pod would start, for want of the sandbox image.
    SandboxImageNotFound = "sandbox-image-not-found", Error,
        "containerd 2.3.0 to 2.3.3 look the sandbox image up by the very text of the setting. Name it in full: registry, repository, and either a tag or a digest. Better drop the setting and use spec.images.pause of the k0s configuration.";
    /// Pods of a runtime handler would not start.
    PodsRefused = "pods-refused", Warning,
        "Pods of the other runtime handlers are not affected.";
    /// Pods of a runtime handler that ran so far would not start.
    PodsLost = "pods-lost", Error,
        "The node's containerd took no notice of it, the target's does. Remove the setting or correct it, and migrate again. Pods of the other runtime handlers are not affected.";
    /// Images of a registry would not be pulled.
    PullsRefused = "pulls-refused", Warning,
        "containerd starts all the same. Correct the setting.";
    /// No image would be pulled, by the node or for the pods of a runtime handler,
    /// or all from elsewhere.
    PullsFail = "pulls-fail", Error,
        "containerd starts all the same, and no new image reaches the node. Set use_local_image_pull = true in the images plugin, or an unpack_config for the snapshotter in the transfer service.";
    /// A plugin that CRI can do without would not be loaded.
    PluginRefused = "plugin-refused", Warning,
        "CRI does without it. Correct the setting if the plugin is wanted.";
    /// The files are together more than is read.
    InputTooLarge = "input-too-large", Error,
        "Nothing was looked at, and nothing is to be done by this plan. If the files are meant, raise the limit.";
    /// The computed result is not what was wanted.
    Internal = "internal-error", Error,
        "This is a defect of containerd-dropins: nothing was written. Please report it with the input.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing to say about the input, with its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence about this very case.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
    /// The key in question, as the input spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
}

/// Brings findings into their order, whoever found them first: the gravest first;
/// then those about no place, and the others as they stand in the files, which are
/// given as they are loaded.
pub(crate) fn in_order<'f>(findings: &mut [Finding], files: impl Iterator<Item = &'f str>) {
    let mut ranks: HashMap<&str, usize> = HashMap::new();
    for file in files {
        let rank = ranks.len();
        ranks.entry(file).or_insert(rank);
    }
    let place = |finding: &Finding| {
        let span = finding.span.as_ref()?;
        let rank = ranks.get(span.file.as_str()).copied();
        Some((rank.unwrap_or(usize::MAX), span.start))
    };
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| place(a).cmp(&place(b)))
            .then_with(|| a.code.cmp(&b.code))
            .then_with(|| a.key.cmp(&b.key))
            .then_with(|| a.message.cmp(&b.message))
    });
}

impl Code {
    /// What to do about it in a file that is not rewritten.
    fn help_in_place(self) -> &'static str {
        match self {
            Code::PluginIdIgnored
            | Code::Misplaced
            | Code::KeyCaseIgnored
            | Code::WithoutEffect
            | Code::OwnedByK0sOther
            | Code::ZeroValueIgnored => {
                "It has no effect where and as it stands. Correct it, or delete it."
            }
            Code::LaterPlace | Code::OtherPlace => {
                "Not every containerd reads it there. Move it to its place in the config version of the file."
            }
            Code::UnknownKey | Code::UnknownPlugin => {
                "containerd ignores it, 1.x in silence and 2.x with a line in its log. Check the spelling."
            }
            Code::NotInTarget => {
                "The containerd of the target release ignores it. It takes effect after an upgrade."
            }
            Code::OptionType => {
                "containerd loads it, but the runtime cannot read its options and pods of this runtime handler fail. Correct the value."
            }
            Code::SandboxImageStale => {
                "It is a default, nobody's choice, and prevails over the image that fits the k0s release. Delete it."
            }
            Code::ContainerdRefuses => {
                "Correct the setting where it stands. Under k0s containerd would be started over and over."
            }
            other => other.help(),
        }
    }
}

impl Finding {
    /// Whether it is of error level.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same about a file that is not rewritten.
    pub(crate) fn in_place(mut self) -> Self {
        self.help = self.code.help_in_place();
        self
    }

    /// A finding with the severity and help of its code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Finding {
            code,
            severity: code.severity(),
            message: message.into(),
            help: code.help(),
            key: None,
            span: None,
        }
    }

    pub(crate) fn at(mut self, key: impl Into<String>, span: Option<Span>) -> Self {
        self.key = Some(key.into());
        self.span = span;
        self
    }

    /// About a file as a whole.
    pub(crate) fn about(mut self, file: &Document) -> Self {
        self.span = Some(file.span(0..0));
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        if let Some(span) = &self.span {
            write!(f, " ({span})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_kebab_case() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert!(code.help().ends_with('.'), "{code}");
        }
    }
}
