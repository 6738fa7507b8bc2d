//! What becomes of one key, rule by rule: which settings are the user's, and what
//! is said of them.

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::migrate::{Fate, Options, Plan, SandboxImage, Target, plan};
use containerd_dropins::{Document, Exposed};

use crate::support;
use crate::version_3::{NEW, OLD, long};

/// The fates of keys whose path ends so, in the order of the input.
fn fates<'p>(plan: &'p Plan, end: &str) -> Vec<&'p Fate> {
    let entries = plan.ledger.iter().filter(|entry| entry.key.ends_with(end));
    entries.map(|entry| &entry.fate).collect()
}

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Kept { .. } => "kept",
        Fate::Converted { .. } => "converted",
        Fate::CarriedOver { .. } => "carried over",
        Fate::EqualsTargetDefault => "target default",
        Fate::StaleDefault => "stale",
        Fate::OwnedByK0s => "owned",
        Fate::NoEffect => "no effect",
        Fate::Obsolete => "obsolete",
        Fate::NotExpressible => "not expressible",
        other => panic!("{other:?}"),
    }
}

fn names(plan: &Plan, end: &str) -> Vec<&'static str> {
    fates(plan, end).into_iter().map(name).collect()
}

/// What is said, but for what files as short as these lack: a sandbox image, and in
/// some any other setting that is read.
fn codes(plan: &Plan) -> Vec<Code> {
    let codes = plan.findings.iter().map(|finding| finding.code);
    codes
        .filter(|code| !matches!(code, Code::SandboxImageCause | Code::NothingRead))
        .collect()
}

fn migrate(text: &str, k0s: &str, options: &Options) -> Plan {
    let document = Document::parse("/etc/k0s/containerd.toml", long(text).as_bytes()).unwrap();
    plan(&document, &[], &Target::find(k0s).unwrap(), options)
}

/// A key's fate, and all that is said.
#[track_caller]
fn is(text: &str, k0s: &str, key: &str, fate: &str, said: &[Code]) {
    let plan = migrate(text, k0s, &Options::default());
    let found = names(&plan, key);
    assert!(!found.is_empty(), "{text}: {:?}", plan.ledger);
    assert!(
        found.iter().all(|name| *name == fate),
        "{k0s} {text}: {:?}",
        plan.ledger
    );
    assert_eq!(codes(&plan), said, "{k0s} {text}: {:?}", plan.findings);
}

fn image(image: &str) -> String {
    format!("version = 2\n[CRI]\nsandbox_image = \"{image}\"\n")
}

const DIGEST: &str = "sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097";

/// What k0s injects is no choice, whatever the policy; what any release had is
/// none but by policy.
#[test]
fn sandbox_images() {
    let injected = Target::find(OLD).unwrap().pause_image().to_owned();
    let custom = "registry.example/pause:1";
    let stale = "registry.k8s.io/pause:3.6";
    let (auto, keep, drop) = (SandboxImage::Auto, SandboxImage::Keep, SandboxImage::Drop);
    let said_custom = &[Code::SandboxImageCustom][..];
    let said_stale = &[Code::SandboxImageStale][..];
    for (text, policy, fate, said) in [
        (injected.as_str(), auto, "target default", &[][..]),
        (&injected, keep, "target default", &[]),
        (&injected, drop, "target default", &[]),
        (custom, auto, "kept", said_custom),
        (custom, keep, "kept", said_custom),
        (custom, drop, "stale", said_stale),
        (stale, auto, "stale", said_stale),
        (stale, keep, "kept", said_custom),
        (stale, drop, "stale", said_stale),
        ("", auto, "stale", said_stale),
        ("", drop, "stale", said_stale),
    ] {
        let options = Options::default().sandbox_image(policy);
        let plan = migrate(&image(text), OLD, &options);
        assert_eq!(names(&plan, "sandbox_image"), [fate], "{text:?} {policy:?}");
        assert_eq!(codes(&plan), said, "{text:?} {policy:?}");
    }
}

/// Whoever empties the image is told so, and whoever asks to have it dropped.
#[test]
fn why_a_sandbox_image_is_dropped() {
    let drop = Options::default().sandbox_image(SandboxImage::Drop);
    for (text, said, reason) in [
        (
            "",
            "the file empties the sandbox image",
            "no sandbox image at all",
        ),
        (
            "registry.example/pause:1",
            "is dropped as asked",
            "dropped as asked",
        ),
        (
            "k8s.gcr.io/pause:3.6",
            "a default of its time",
            "a default sandbox image",
        ),
        (
            "k8s.gcr.io/pause:3.7",
            "in a tag that is not later",
            "in a tag that is not later",
        ),
    ] {
        let plan = migrate(&image(text), OLD, &drop);
        let finding = plan
            .findings
            .iter()
            .find(|finding| finding.code == Code::SandboxImageStale);
        let message = &finding.unwrap().message;
        assert!(message.contains(said), "{text:?}: {message}");
        let entry = plan
            .ledger
            .iter()
            .find(|entry| entry.key.ends_with("sandbox_image"));
        let why = &entry.unwrap().reason;
        assert!(why.contains(reason), "{text:?}: {why}");
    }
}

/// Drop-ins that stay as they are keep all that is read in them, wrong or not.
#[test]
fn of_drop_ins_that_stay_only_what_is_not_read_is_lost() {
    let text = "version = 2\n[CRI]\nenable_selinux = \"yes\"\nsandbox_image = \"registry.k8s.io/pause:3.6\"\nx = 1\nmax_container_log_line_size = 16384\n";
    let plan = support::carried_over(&[("a.toml", text)], OLD);
    assert_eq!(names(&plan, "enable_selinux"), ["not expressible"]);
    assert_eq!(names(&plan, "sandbox_image"), ["kept"]);
    assert_eq!(names(&plan, ".x"), ["kept"]);
    assert_eq!(names(&plan, "max_container_log_line_size"), ["kept"]);
}

/// An image by digest is a choice, even of the project's own; 1.7 finds all of
/// them.
#[test]
fn sandbox_images_by_digest_on_1_x() {
    for name in [
        "registry.k8s.io/pause",
        "registry.k8s.io/pause:3.6",
        "registry.example/pause",
    ] {
        let text = image(&format!("{name}@{DIGEST}"));
        is(
            &text,
            OLD,
            "sandbox_image",
            "kept",
            &[Code::SandboxImageCustom],
        );
    }
}

const APPENDED: &str = "v1.27.5+k0s.0";

/// Settings that the target's containerd no longer has: their last default says
/// nothing; what another value did is lost, and said.
#[test]
fn settings_that_are_gone() {
    let cri = |line: &str| format!("version = 2\n[CRI]\n{line}\n");
    is(
        &cri("disable_cgroup = false"),
        NEW,
        "disable_cgroup",
        "obsolete",
        &[],
    );
    is(
        &cri("disable_cgroup = false"),
        OLD,
        "disable_cgroup",
        "target default",
        &[],
    );
    is(
        &cri("disable_cgroup = true"),
        OLD,
        "disable_cgroup",
        "kept",
        &[],
    );
    is(
        &cri("disable_cgroup = true"),
        NEW,
        "disable_cgroup",
        "not expressible",
        &[Code::CgroupLimits],
    );
    // A plugin that is gone, with what it had and what nobody knows.
    let aufs = |line: &str| {
        format!("version = 2\n[plugins.\"io.containerd.snapshotter.v1.aufs\"]\n{line}\n")
    };
    is(&aufs("root_path = \"\""), NEW, "root_path", "obsolete", &[]);
    is(
        &aufs("root_path = \"/a\""),
        NEW,
        "root_path",
        "obsolete",
        &[Code::Obsolete],
    );
    is(&aufs("root_path = \"/a\""), OLD, "root_path", "kept", &[]);
    is(
        &aufs("unknown = 1"),
        NEW,
        "unknown",
        "obsolete",
        &[Code::Obsolete],
    );
    is(
        &aufs("unknown = 1"),
        OLD,
        "unknown",
        "carried over",
        &[Code::UnknownKey],
    );
}

/// TLS settings of registries that no hosts.toml takes over: one finding for a
/// table.
#[test]
fn tls_settings_are_told_by_table() {
    let text = "version = 2\n[CRI.registry.configs.\"h.example\".tls]\ncert_file = \"/c\"\nkey_file = \"/k\"\n\
        [CRI.registry.configs.\"g.example\".tls]\nca_file = \"/ca\"\n";
    let options = Options::default().registry(containerd_dropins::migrate::RegistryPolicy::Keep);
    let plan = migrate(text, NEW, &options);
    assert_eq!(names(&plan, "_file"), ["not expressible"; 3]);
    let found: Vec<Option<&str>> = plan
        .findings
        .iter()
        .filter(|finding| finding.code == Code::RegistryTls)
        .map(|finding| finding.key.as_deref())
        .collect();
    let table = |host: &str| {
        format!(
            "plugins.\"{}\".registry.configs.\"{host}\".tls",
            support::CRI
        )
    };
    assert_eq!(
        found,
        [Some(&*table("h.example")), Some(&*table("g.example"))]
    );
}

/// Settings that came later than the target's containerd: what it does without
/// them anyway says nothing, another value cannot be had; in a file of 1.x they
/// did nothing either.
#[test]
fn settings_that_are_too_new() {
    let of_3 = |line: &str| format!("version = 3\n[RUNTIME]\n{line}\n");
    is(
        &of_3("stats_retention_period = \"\""),
        OLD,
        "stats_retention_period",
        "target default",
        &[],
    );
    is(
        &of_3("stats_retention_period = \"1m\""),
        OLD,
        "stats_retention_period",
        "not expressible",
        &[Code::NotExpressible],
    );
    is(
        &of_3("enable_criu = true"),
        OLD,
        "enable_criu",
        "target default",
        &[],
    );
    is(
        &of_3("enable_criu = false"),
        OLD,
        "enable_criu",
        "target default",
        &[],
    );
    let of_2 = |line: &str| format!("version = 2\n[CRI]\n{line}\n");
    is(
        &of_2("stats_retention_period = \"1m\""),
        OLD,
        "stats_retention_period",
        "carried over",
        &[Code::NotInTarget],
    );
    is(
        &of_2("stats_retention_period = \"1m\""),
        NEW,
        "stats_retention_period",
        "kept",
        &[Code::LaterPlace],
    );
    // The same release line, an earlier patch release.
    is(
        &of_2("image_pull_with_sync_fs = true"),
        APPENDED,
        "image_pull_with_sync_fs",
        "carried over",
        &[Code::NotInTarget],
    );
    is(
        &of_2("image_pull_with_sync_fs = true"),
        OLD,
        "image_pull_with_sync_fs",
        "kept",
        &[],
    );
}

/// Keys without a declaration are carried over, and said: each key of a plugin
/// that is known, a plugin that is not once.
#[test]
fn unknown_keys() {
    is(
        "version = 2\n[CRI]\nx = 1\n",
        OLD,
        "x",
        "carried over",
        &[Code::UnknownKey],
    );
    is(
        "version = 2\nx = 1\n[grpc]\nx = 2\n",
        OLD,
        "x",
        "carried over",
        &[Code::UnknownKey; 2],
    );
    let plugins = "version = 2\n[plugins.\"io.containerd.mine.v1.a\"]\nx = 1\ny.x = 2\n[plugins.\"io.containerd.mine.v1.b\"]\nx = 3\n";
    is(plugins, OLD, "x", "carried over", &[Code::UnknownPlugin; 2]);
    is(plugins, NEW, "x", "carried over", &[Code::UnknownPlugin; 2]);
    // 1.x exits on a plugin of no URI, and has none of a later version's.
    let odd = "version = 3\n[plugins.\"x.y\"]\nx = 1\n";
    is(odd, OLD, "x", "no effect", &[Code::WithoutEffect]);
    is(odd, NEW, "x", "carried over", &[Code::UnknownPlugin]);
    let later = "version = 3\n[IMAGES]\nx = 1\n";
    is(later, OLD, "x", "no effect", &[Code::WithoutEffect]);
    is(later, NEW, "x", "carried over", &[Code::UnknownKey]);
    // It is the key that is unknown, or the plugin.
    let known = "version = 2\n[CRI]\nx = 1\n";
    for (text, is_plugin) in [(later, false), (known, false), (plugins, true)] {
        let plan = migrate(text, NEW, &Options::default());
        let entry = plan.ledger.iter().find(|entry| entry.key.ends_with(".x"));
        let reason = &entry.unwrap().reason;
        assert_eq!(reason.contains("plugin"), is_plugin, "{reason}");
    }
    // What a later release has under this name is nothing to the target.
    let later = "version = 2\n[CRI.cni]\nbin_dirs = [\"/a\"]\n";
    is(later, OLD, "bin_dirs", "carried over", &[Code::NotInTarget]);
    let later = "version = 2\n[CRI.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsandboxer = \"podsandbox\"\n";
    is(
        later,
        OLD,
        "sandboxer",
        "carried over",
        &[Code::NotInTarget],
    );
}

/// A value of a wrong type is never read, and containerd may exit on it; what is
/// in the options of a handler is up to its shim.
#[test]
fn values_of_wrong_types() {
    for (line, key) in [
        ("[CRI]\nenable_selinux = \"yes\"", "enable_selinux"),
        (
            "[CRI]\nmax_container_log_line_size = 1.5",
            "max_container_log_line_size",
        ),
        ("[CRI]\nregistry = \"x\"", "registry"),
        ("oom_score = \"5\"", "oom_score"),
        (
            "[plugins]\n\"io.containerd.gc.v1.scheduler\" = 5",
            "scheduler\"",
        ),
        ("[plugins]\n\"io.containerd.mine.v1.a\" = 5", "a\""),
        ("[stream_processors.a]\npath = 5", "path"),
    ] {
        for k0s in [OLD, NEW] {
            let text = format!("version = 2\n{line}\n");
            is(&text, k0s, key, "not expressible", &[Code::WrongType]);
        }
    }
    // Integers are floats to 2.x.
    let pause = "version = 2\n[plugins.\"io.containerd.gc.v1.scheduler\"]\npause_threshold = 1\n";
    is(
        pause,
        OLD,
        "pause_threshold",
        "not expressible",
        &[Code::WrongType],
    );
    is(pause, NEW, "pause_threshold", "kept", &[]);
    for (handler, runtime_type, said) in [
        ("x", "io.containerd.runc.v2", &[Code::OptionType][..]),
        ("y", "io.containerd.mine.v1", &[]),
    ] {
        let text = format!(
            "version = 2\n[CRI.containerd.runtimes.{handler}]\nruntime_type = \"{runtime_type}\"\n\
             [CRI.containerd.runtimes.{handler}.options]\nSystemdCgroup = \"true\"\n"
        );
        let plan = migrate(&text, NEW, &Options::default());
        assert_eq!(names(&plan, "SystemdCgroup"), ["kept"], "{handler}");
        let codes: Vec<Code> = codes(&plan)
            .into_iter()
            .filter(|code| {
                matches!(
                    code,
                    Code::WrongType | Code::OptionType | Code::PodsLost | Code::PodsRefused
                )
            })
            .collect();
        assert_eq!(codes, said, "{handler}: {:?}", plan.findings);
    }
}

/// k0s decides them: what it wrote itself, or told people to write, is not worth
/// a word, and neither is a list of imports.
#[test]
fn owned_settings() {
    for (line, key, said) in [
        ("root = \"/x\"", "root", &[Code::OwnedByK0sOther][..]),
        ("root = \"/var/lib/k0s/containerd\"", "root", &[]),
        (
            "[grpc]\naddress = \"/x.sock\"",
            "address",
            &[Code::OwnedByK0sOther],
        ),
        (
            "[grpc]\naddress = \"/run/k0s/containerd.sock\"",
            "address",
            &[],
        ),
        (
            "[debug]\nlevel = \"trace\"",
            "level",
            &[Code::OwnedByK0sOther],
        ),
    ] {
        is(&format!("version = 2\n{line}\n"), OLD, key, "owned", said);
    }
    let imports = migrate(
        "version = 2\nimports = [\"/etc/mine.toml\"]\n",
        OLD,
        &Options::default(),
    );
    assert_eq!(names(&imports, "imports"), ["owned"]);
    assert!(!codes(&imports).contains(&Code::OwnedByK0sOther));
}

/// Outside of plugins no zero value overrides a default.
#[test]
fn zero_values() {
    let size = "version = 2\n[grpc]\nmax_recv_message_size = 0\n";
    for k0s in [OLD, NEW] {
        is(
            size,
            k0s,
            "max_recv_message_size",
            "no effect",
            &[Code::ZeroValueIgnored],
        );
    }
    is(
        "version = 2\noom_score = 0\n",
        OLD,
        "oom_score",
        "target default",
        &[],
    );
    let selinux = "version = 2\n[CRI]\nmax_container_log_line_size = 0\n";
    is(selinux, OLD, "max_container_log_line_size", "kept", &[]);
}

/// Lists of plugins: what is gone, not there yet, or CRI itself is taken out.
#[test]
fn lists_of_plugins() {
    let text = |key: &str, ids: &[&str]| format!("version = 2\n{key} = {ids:?}\n");
    let aufs = "io.containerd.snapshotter.v1.aufs";
    let zfs = "io.containerd.snapshotter.v1.zfs";
    let shims = "io.containerd.shim.v1.manager";
    let cri = support::CRI;
    for (key, ids, k0s, fate, said, left) in [
        (
            "disabled_plugins",
            vec![zfs],
            OLD,
            "kept",
            &[][..],
            vec![zfs],
        ),
        ("disabled_plugins", vec![aufs], OLD, "kept", &[], vec![aufs]),
        (
            "disabled_plugins",
            vec![aufs],
            NEW,
            "obsolete",
            &[Code::PluginGone],
            vec![],
        ),
        (
            "disabled_plugins",
            vec![aufs, zfs],
            NEW,
            "kept",
            &[Code::PluginGone],
            vec![zfs],
        ),
        (
            "disabled_plugins",
            vec![shims],
            OLD,
            "obsolete",
            &[Code::PluginGone],
            vec![],
        ),
        (
            "disabled_plugins",
            vec![cri],
            OLD,
            "owned",
            &[Code::CriDisabled],
            vec![],
        ),
        (
            "disabled_plugins",
            vec![zfs, cri],
            OLD,
            "kept",
            &[Code::CriDisabled],
            vec![zfs],
        ),
        (
            "disabled_plugins",
            vec![],
            OLD,
            "target default",
            &[],
            vec![],
        ),
        ("required_plugins", vec![cri], OLD, "kept", &[], vec![cri]),
        (
            "required_plugins",
            vec![aufs],
            NEW,
            "obsolete",
            &[Code::PluginGone],
            vec![],
        ),
        // Each name once on 2.x.
        (
            "disabled_plugins",
            vec![zfs, zfs],
            NEW,
            "kept",
            &[],
            vec![zfs],
        ),
        (
            "disabled_plugins",
            vec![zfs, zfs],
            OLD,
            "kept",
            &[],
            vec![zfs, zfs],
        ),
    ] {
        let text = text(key, &ids);
        let plan = migrate(&text, k0s, &Options::default());
        assert_eq!(names(&plan, key), [fate], "{k0s} {text}");
        assert_eq!(codes(&plan), said, "{k0s} {text}: {:?}", plan.findings);
        let written = plan.drop_ins.iter().find_map(|drop_in| {
            let table = support::parse(drop_in.text());
            let list = support::at(&table, &[key])?.as_array()?;
            Some(
                list.iter()
                    .map(|item| item.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>(),
            )
        });
        assert_eq!(written.unwrap_or_default(), left, "{k0s} {text}");
    }
}

fn dump(release: &str) -> String {
    support::read(&support::path(&format!("recorded/default/{release}.toml")))
}

#[track_caller]
fn edited(release: &str, from: &str, to: &str) -> String {
    let text = dump(release);
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

/// A dump's own values are nobody's, those of the target neither; where both sides
/// changed, the user's counts, and it is said.
#[test]
fn edits_of_a_dump() {
    // 1.6 prints false, 1.7 too, 2.x true.
    let ports = |value: bool| {
        edited(
            "1.6.20-debian",
            "enable_unprivileged_ports = false",
            &format!("enable_unprivileged_ports = {value}"),
        )
    };
    for (k0s, value, fate, both) in [
        (OLD, true, "kept", false),
        (NEW, true, "target default", false),
        (NEW, false, "stale", false),
        (OLD, false, "target default", false),
    ] {
        let plan = migrate(&ports(value), k0s, &Options::default());
        assert_eq!(
            names(&plan, "enable_unprivileged_ports"),
            [fate],
            "{k0s} {value}"
        );
        assert_eq!(
            codes(&plan).contains(&Code::BothChanged),
            both,
            "{k0s} {value}"
        );
    }
    // 1m0s up to 1.7.9, 5m0s from 1.7.10 on.
    let written = Exposed::table(&default_config(Release::new(1, 7, 4))).to_toml();
    let timeout = |value: &str| {
        let from = "image_pull_progress_timeout = \"1m0s\"";
        assert_eq!(written.matches(from).count(), 1, "{written}");
        written.replace(from, &format!("image_pull_progress_timeout = \"{value}\""))
    };
    for (value, fate, both) in [
        ("1m0s", "stale", false),
        ("5m0s", "target default", false),
        ("7m", "kept", true),
    ] {
        let origin = Options::default().origin(Release::new(1, 7, 4));
        let plan = migrate(&timeout(value), OLD, &origin);
        let found = names(&plan, "image_pull_progress_timeout");
        assert_eq!(found, [fate], "{value}");
        assert_eq!(codes(&plan).contains(&Code::BothChanged), both, "{value}");
    }
    // Without an answer to which release it was, it may have been a later one.
    let plan = migrate(&timeout("7m"), OLD, &Options::default());
    assert!(!codes(&plan).contains(&Code::BothChanged));
    // In a file by hand nobody's default changed.
    let text = "version = 2\n[CRI]\nimage_pull_progress_timeout = \"7m\"\n";
    is(text, OLD, "image_pull_progress_timeout", "kept", &[]);
    let text = "version = 2\n[CRI]\nimage_pull_progress_timeout = \"1m0s\"\n";
    is(text, OLD, "image_pull_progress_timeout", "kept", &[]);
}

/// containerd 1.3 and 1.4 bring a mirror along that keeps `*` away from docker.io.
#[test]
fn the_mirror_of_docker_io_stays_beside_one_for_all_hosts() {
    let mirrors = "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n";
    let any = |endpoint: &str| {
        let any = format!(
            "{mirrors}        [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"*\"]\n          {endpoint}\n"
        );
        edited("1.4.13-debian", mirrors, &any)
    };
    let keep = Options::default().registry(containerd_dropins::migrate::RegistryPolicy::Keep);
    let fate = |text: &str| names(&migrate(text, OLD, &keep), "\"docker.io\".endpoint");
    assert_eq!(fate(&dump("1.4.13-debian")), ["stale"]);
    assert_eq!(fate(&any("endpoint = [\"https://m.example\"]")), ["kept"]);
    // One that leads nowhere else: each host is asked itself.
    assert_eq!(fate(&any("endpoint = []")), ["stale"]);
    // Somebody's own is a choice in any case.
    let own = edited(
        "1.4.13-debian",
        "https://registry-1.docker.io",
        "https://m.example",
    );
    assert_eq!(fate(&own), ["kept"]);
    // Another host's does not matter.
    let other = any("endpoint = [\"https://m.example\"]").replace("\"*\"", "\"gcr.io\"");
    assert_eq!(fate(&other), ["stale"]);
}

/// An import replaces these entries whole: of one with an edit all is kept, but
/// for zero values; of one without, nothing.
#[test]
fn entries_of_daemon_maps_are_whole() {
    let tar = "[stream_processors.\"io.containerd.ocicrypt.decoder.v1.tar\"]";
    let text = dump("1.7.27");
    for k0s in [OLD, NEW] {
        let plan = migrate(&text, k0s, &Options::default());
        let leaves = names(&plan, "decoder.v1.tar\".path");
        assert_eq!(leaves, ["target default"], "{k0s}");
    }
    let (before, after) = text.split_once(tar).unwrap();
    let after = after.replacen(
        "path = \"ctd-decoder\"",
        "path = \"/own\"\n    unknown = 1",
        1,
    );
    let edited = format!("{before}{tar}{after}");
    for k0s in [OLD, NEW] {
        let plan = migrate(&edited, k0s, &Options::default());
        for key in ["accepts", "args", "env", "path", "returns"] {
            let found = names(&plan, &format!("decoder.v1.tar\".{key}"));
            assert_eq!(found, ["kept"], "{k0s} {key}");
            let found = names(&plan, &format!("decoder.v1.tar.gzip\".{key}"));
            assert_eq!(found, ["target default"], "{k0s} {key}");
        }
        assert_eq!(
            names(&plan, "decoder.v1.tar\".unknown"),
            ["carried over"],
            "{k0s}"
        );
    }
    // In a file by hand.
    let text = "version = 2\n[proxy_plugins.p]\ntype = \"snapshot\"\naddress = \"/p\"\nplatform = \"\"\n\
        [stream_processors.s]\npath = \"/s\"\nargs = []\nreturns = 5\n";
    for k0s in [OLD, NEW] {
        let plan = migrate(text, k0s, &Options::default());
        for (key, fate) in [
            ("proxy_plugins.p.type", "kept"),
            ("proxy_plugins.p.address", "kept"),
            ("stream_processors.s.path", "kept"),
            ("stream_processors.s.args", "target default"),
            ("stream_processors.s.returns", "not expressible"),
        ] {
            assert_eq!(names(&plan, key), [fate], "{k0s} {key}");
        }
    }
    // A built-in one with a key less is another: what it lacks is zero.
    let one =
        "[stream_processors.\"io.containerd.ocicrypt.decoder.v1.tar\"]\npath = \"ctd-decoder\"\n";
    let plan = migrate(&format!("version = 2\n{one}"), OLD, &Options::default());
    assert_eq!(names(&plan, "path"), ["kept"]);
    // An empty one that is not built in is not brought along.
    let empty = "version = 2\n[stream_processors.s]\nargs = []\n";
    let plan = migrate(empty, OLD, &Options::default());
    let entry = plan.ledger.iter().find(|entry| entry.key.ends_with("args"));
    assert_eq!(entry.unwrap().reason, "the same as leaving it out");
    // The whole of a built-in one is no edit.
    let whole: String = text_of(&dump("1.7.27"), tar);
    let plan = migrate(&format!("version = 2\n{whole}"), OLD, &Options::default());
    assert!(plan.kept().next().is_none(), "{:?}", plan.ledger);
}

/// A table's text in a dump, up to the next table.
fn text_of(dump: &str, header: &str) -> String {
    let (_, rest) = dump.split_once(header).unwrap();
    let body = rest.split("\n\n").next().unwrap();
    format!("{header}{body}\n")
}
