//! Law 11: what changes on the node is listed once, with its reason, and nothing
//! else is.

use containerd_dropins::Document;
use containerd_dropins::k0s::Release;
use containerd_dropins::migrate::{Change, Options, Plan, Target, plan, plan_drop_ins};

use crate::support;
use crate::version_3::{NEW, OLD, long};

fn migrate(text: &str, k0s: &str) -> Plan {
    support::migrate(&long(text), k0s)
}

/// Changes by the last names of their keys.
fn shown(changes: &[Change]) -> Vec<String> {
    let side = |value: &Option<containerd_dropins::migrate::Redacted>| match value {
        Some(value) if value.expose().as_table().is_some() => "entry".to_owned(),
        Some(value) => value.to_string().replace('"', ""),
        None => "none".to_owned(),
    };
    let change = |change: &Change| {
        let key = change.key.rsplit('.').next().unwrap();
        format!("{key}: {} -> {}", side(&change.before), side(&change.after))
    };
    changes.iter().map(change).collect()
}

#[test]
fn a_file_that_changes_nothing_but_the_image() {
    let plan = migrate("version = 2\noom_score = -5\n", OLD);
    assert_eq!(
        shown(&plan.changes),
        ["sandbox_image: registry.k8s.io/pause:3.8 -> registry.k8s.io/pause:3.9"]
    );
    assert_eq!(plan.release_changes, []);
    assert_eq!(plan.running.to_string(), OLD);
}

/// containerd 1.x reads a file without a version as version 1, in which no plugin
/// has such a name: all of it acts for the first time.
#[test]
fn a_file_that_acts_for_the_first_time() {
    let text = "[CRI]\nmax_concurrent_downloads = 9\nsandbox_image = \"reg.example/p:1\"\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.gc.v1.scheduler\"]\nstartup_delay = \"1s\"\n";
    let plan = migrate(text, OLD);
    let expected = [
        "startup_delay: 100ms -> 1s",
        "x: none -> entry",
        "max_concurrent_downloads: 3 -> 9",
        "sandbox_image: registry.k8s.io/pause:3.8 -> reg.example/p:1",
    ];
    assert_eq!(shown(&plan.changes), expected);
    for change in &plan.changes {
        assert!(
            change
                .reason
                .starts_with("it takes effect for the first time"),
            "{change:?}"
        );
    }
    let stale = text.replace("reg.example/p:1", "k8s.gcr.io/pause:3.6");
    let ignored = migrate(&stale, OLD);
    let sandbox = ignored.changes.last().unwrap();
    assert_eq!(
        sandbox.before.as_ref().unwrap().to_string(),
        "\"registry.k8s.io/pause:3.8\""
    );
    assert_eq!(
        sandbox.reason,
        "the file sets none that counts, so containerd falls back to its built-in one"
    );
    // So does an entry in which nothing is.
    let bare = migrate("[CRI.containerd.runtimes.kata]\n", OLD);
    assert_eq!(shown(&bare.changes)[0], "kata: none -> entry");
    assert!(
        bare.changes[0]
            .reason
            .starts_with("it takes effect for the first time")
    );
    // With the version it was in effect all along.
    let stated = migrate(&format!("version = 2\n{text}"), OLD);
    assert_eq!(shown(&stated.changes), ["runc: none -> entry"]);
}

/// What another release of containerd does by itself stands apart; a dump that
/// pins what the node has anyway does not make it a change of the migration.
#[test]
fn what_the_release_brings_is_a_group_of_its_own() {
    let by_release = |text: &str| {
        let plan = migrate(text, NEW);
        assert_eq!(plan.running.to_string(), "v1.35.7+k0s.0");
        let changes = shown(&plan.release_changes);
        let sandbox = "sandbox: registry.k8s.io/pause:3.8 -> quay.io/k0sproject/pause:3.10.2-0";
        assert_eq!(shown(&plan.changes), [sandbox]);
        changes
    };
    let sparse = by_release("version = 2\n");
    for expected in [
        "enable_cdi: false -> true",
        "enable_unprivileged_ports: false -> true",
        "enable_unprivileged_icmp: false -> true",
        "disable: true -> false",
    ] {
        assert!(
            sparse.contains(&expected.to_owned()),
            "{expected} is not in {sparse:?}"
        );
    }
    // A dump pins what the node has anyway.
    let dump = support::read(&support::path("recorded/default/1.7.27.toml"));
    let image = "sandbox_image = \"registry.k8s.io/pause:3.8\"";
    assert!(dump.contains(image));
    assert_eq!(by_release(&dump.replace(image, "")), sparse);
    // A value of one's own stays.
    for value in [true, false] {
        let own = by_release(&format!("version = 2\n[CRI]\nenable_cdi = {value}\n"));
        assert!(!own.iter().any(|change| change.starts_with("enable_cdi")));
        assert_eq!(own.len() + 1, sparse.len());
    }
}

/// Another form of a setting is no change, nor is the key that brings it about.
#[test]
fn conversions_and_companions_are_no_change() {
    let text = "version = 2\n[CRI]\nsandbox_image = \"reg.example/p:1\"\n[CRI.containerd]\nsnapshotter = \"native\"\n[CRI.cni]\nbin_dir = \"/cni\"\n[CRI.registry.configs.\"r.example\".tls]\nca_file = \"/ca\"\n[CRI.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://r.example\"]\n[CRI.containerd.default_runtime]\nruntime_type = \"io.containerd.runsc.v1\"\n";
    let plan = migrate(text, NEW);
    assert!(plan.companions.len() > 2);
    assert_eq!(shown(&plan.changes), [""; 0]);
}

#[test]
fn lists_of_plugins_by_what_they_name() {
    let old = "disabled_plugins = [\"cri\", \"zfs\"]\n";
    let new = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.zfs\"]\n";
    for text in [old, new] {
        let plan = migrate(text, OLD);
        let [list, sandbox] = plan.changes.as_slice() else {
            panic!("{:?}", plan.changes)
        };
        assert_eq!(list.key, "disabled_plugins");
        assert_eq!(
            list.after.as_ref().unwrap().to_string(),
            "[\"io.containerd.snapshotter.v1.zfs\"]"
        );
        assert!(sandbox.key.ends_with("sandbox_image"));
    }
    let kept = migrate("disabled_plugins = [\"zfs\"]\n", OLD);
    assert_eq!(kept.changes.len(), 1);
}

#[test]
fn the_release_that_the_node_runs() {
    let document = Document::parse(
        "t",
        long("version = 2\n[CRI]\nenable_cdi = true\n").as_bytes(),
    )
    .unwrap();
    let with = |running: &str, target: &str| {
        let (running, _) = Release::find(running).unwrap();
        let options = Options::default().running(running);
        plan(&document, &[], &Target::find(target).unwrap(), &options)
    };
    // containerd 1.6 does not know the setting.
    let from_1_6 = with("v1.26.15+k0s.0", OLD);
    assert_eq!(from_1_6.running.to_string(), "v1.26.15+k0s.0");
    let cdi = from_1_6
        .changes
        .iter()
        .find(|change| change.key.ends_with("enable_cdi"))
        .unwrap();
    assert!(cdi.reason.contains("1.6."), "{cdi:?}");
    assert_eq!(
        shown(std::slice::from_ref(cdi)),
        ["enable_cdi: none -> true"]
    );
    let from_1_7 = with(OLD, OLD);
    assert_eq!(from_1_7.changes.len(), 1);
    let text = from_1_6.to_string();
    assert!(
        text.contains("WHAT CHANGES WITH THE RELEASE, FROM k0s v1.26.15+k0s.0\n"),
        "{text}"
    );
}

/// A pause image of the k0s configuration is injected by both releases; one that
/// is stated of a release which is not known is that release's.
#[test]
fn a_stated_pause_image() {
    let directory = "/etc/k0s/containerd.d";
    let carry = |k0s: &str| {
        let file = Document::parse(
            format!("{directory}/a.toml"),
            b"version = 2\noom_score = -5\n",
        );
        let drop_ins = [file.unwrap()];
        let existing = support::existing(directory, &drop_ins, &[]);
        let target = Target::find(k0s)
            .unwrap()
            .with_containerd("2.3.4".parse().unwrap())
            .unwrap();
        let target = target.with_pause_image("reg.example/pause:1").unwrap();
        let plan = plan_drop_ins(&existing, &target, &Options::default());
        plan.release_changes
            .iter()
            .any(|change| change.key.ends_with("sandbox"))
    };
    assert!(!carry(NEW));
    assert!(carry("v1.36.9+k0s.0"));
}

/// Drop-ins that a main file of the user's kept from taking effect.
#[test]
fn drop_ins_beside_a_main_file_of_the_users() {
    let directory = "/etc/k0s/containerd.d";
    let main =
        Document::parse("/etc/k0s/containerd.toml", b"version = 2\noom_score = -7\n").unwrap();
    let drop_in = Document::parse(
        format!("{directory}/a.toml"),
        b"version = 2\noom_score = -5\n",
    )
    .unwrap();
    let drop_ins = [drop_in];
    let changes = |main| {
        let existing = support::existing(directory, &drop_ins, &[]).with_main(main);
        let plan = plan_drop_ins(&existing, &Target::find(NEW).unwrap(), &Options::default());
        shown(&plan.changes)
    };
    assert_eq!(changes(None), [""; 0]);
    let with_main = changes(Some(&main));
    assert!(
        with_main.contains(&"oom_score: -7 -> -5".to_owned()),
        "{with_main:?}"
    );
}
