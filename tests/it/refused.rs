//! What containerd would refuse about the result is told, with its place.

use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{Plan, Step};

use crate::support;
use crate::version_3::{NEW, OLD, long};

/// The findings about refusals: code, line and file.
fn refused(plan: &Plan) -> Vec<(Code, String)> {
    let refusals = plan
        .findings
        .iter()
        .filter(|finding| support::is_refusal(finding));
    let place = |finding: &containerd_dropins::diagnostic::Finding| {
        let span = finding.span.as_ref();
        span.map_or("nowhere".to_owned(), |span| {
            format!("{}:{}", span.file, span.line)
        })
    };
    refusals
        .map(|finding| (finding.code, place(finding)))
        .collect()
}

#[track_caller]
fn legacy(text: &str, k0s: &str, expected: &[(Code, usize)]) {
    let plan = support::migrate(&long(text), k0s);
    assert!(plan.verified, "{:?}", plan.findings);
    let expected: Vec<(Code, String)> = expected
        .iter()
        .map(|(code, line)| (*code, format!("/etc/k0s/containerd.toml:{line}")))
        .collect();
    assert_eq!(refused(&plan), expected, "{:?}", plan.findings);
}

#[test]
fn a_default_runtime_that_nobody_defines() {
    let text = "version = 2\n[CRI.containerd]\ndefault_runtime_name = \"nvidia\"\n";
    for k0s in [OLD, NEW] {
        legacy(text, k0s, &[(Code::CriRefuses, 3)]);
        let plan = support::migrate(&long(text), k0s);
        assert!(!plan.is_sound());
        assert_eq!(plan.steps[0], Step::SettleRefusals);
    }
    let defined = "version = 2\n[CRI.containerd]\ndefault_runtime_name = \"nvidia\"\n[CRI.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n";
    for k0s in [OLD, NEW] {
        legacy(defined, k0s, &[]);
    }
}

#[test]
fn a_duration_that_is_none() {
    let text = "version = 2\n[CRI]\nstream_idle_timeout = \"soon\"\n";
    legacy(text, OLD, &[(Code::CriRefuses, 3)]);
    legacy(text, NEW, &[(Code::CriRefuses, 3)]);
}

/// containerd 2.3 does not find it (containerd#13529); 1.7 does.
#[test]
fn a_sandbox_image_with_tag_and_digest() {
    let text = format!(
        "version = 2\n[CRI]\nsandbox_image = \"registry.example/pause:3.9@sha256:{}\"\n",
        "0".repeat(64)
    );
    legacy(&text, OLD, &[]);
    legacy(&text, NEW, &[(Code::SandboxImageNotFound, 3)]);
}

#[test]
fn a_proxy_plugin_with_the_name_of_a_built_in_one() {
    let text =
        "version = 2\n[proxy_plugins.overlayfs]\ntype = \"snapshot\"\naddress = \"/run/x.sock\"\n";
    legacy(text, OLD, &[(Code::ContainerdRefuses, 2)]);
    legacy(text, NEW, &[(Code::ContainerdRefuses, 2)]);
}

#[test]
fn a_snapshotter_that_is_not_there() {
    let text = "version = 2\n[CRI.containerd]\nsnapshotter = \"stargz\"\n";
    legacy(text, OLD, &[(Code::CriRefuses, 3)]);
    let proxy = "[proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"/run/x.sock\"\n";
    legacy(&format!("{text}{proxy}"), OLD, &[]);
    legacy(&format!("{text}{proxy}"), NEW, &[]);
}

/// What the file says twice was refused all along, and is after the migration.
#[test]
fn mirrors_beside_config_path() {
    let text = "version = 2\n[CRI.registry]\nconfig_path = \"/etc/certs.d\"\n[CRI.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n";
    legacy(text, OLD, &[(Code::CriRefuses, 4)]);
    legacy(text, NEW, &[(Code::CriRefuses, 4)]);
}

/// Each file is well by itself.
#[test]
fn drop_ins_that_do_not_go_together() {
    let files = [
        (
            "a.toml",
            "version = 2\n[CRI.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n",
        ),
        (
            "b.toml",
            "version = 2\n[CRI.registry]\nconfig_path = \"/etc/k0s/containerd.d/certs.d\"\n",
        ),
        (
            "c.toml",
            "version = 2\n[CRI.containerd]\ndefault_runtime_name = \"nvidia\"\n",
        ),
        (
            "d.toml",
            "version = 2\n[CRI.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\nsnapshotter = \"devmapper\"\n",
        ),
    ];
    for k0s in [OLD, NEW] {
        let plan = support::carried_over(&files, k0s);
        assert!(plan.verified);
        let mut found = refused(&plan);
        found.sort_by(|a, b| a.1.cmp(&b.1));
        let at = |name: &str, line: usize| format!("/etc/k0s/containerd.d/{name}:{line}");
        assert_eq!(
            found,
            [
                (Code::CriRefuses, at("a.toml", 2)),
                (Code::CriRefuses, at("c.toml", 3)),
                (Code::PodsRefused, at("d.toml", 4)),
            ],
            "{k0s}: {:?}",
            plan.findings
        );
        assert_eq!(plan.severity(), Some(Severity::Error));
    }
    // One by one, two of them are well.
    assert_eq!(refused(&support::carried_over(&files[..1], OLD)), []);
    assert_eq!(refused(&support::carried_over(&files[1..2], OLD)), []);
}
