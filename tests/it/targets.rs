//! Targets made of facts, and what follows from the containerd of a target.

use containerd_dropins::Document;
use containerd_dropins::airgap::{self, ImageList};
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{DecidedBy, Options, Plan, Target, plan, plan_drop_ins};

use crate::support;
use crate::version_3::long;

fn stated(k0s: &str, containerd: &str) -> Target {
    let target = Target::find(k0s).unwrap();
    target.with_containerd(containerd.parse().unwrap()).unwrap()
}

fn migrate(legacy: &str, target: &Target) -> Plan {
    let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes()).unwrap();
    let plan = plan(&document, &[], target, &Options::default());
    assert!(plan.verified, "{:?}", plan.findings);
    plan
}

fn carry_over(name: &str, text: &str, target: &Target) -> Plan {
    let directory = "/etc/k0s/containerd.d";
    let path = format!("{directory}/{name}");
    let drop_ins = [Document::parse(path, text.as_bytes()).unwrap()];
    let existing = support::existing(directory, &drop_ins, &[]);
    plan_drop_ins(&existing, target, &Options::default())
}

fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

/// What is said about the settings, but for the sandbox image that the file does
/// not set.
fn about_settings(plan: &Plan) -> Vec<Code> {
    let mut codes = codes(plan);
    codes.retain(|code| *code != Code::SandboxImageCause);
    codes
}

fn messages(plan: &Plan, code: Code) -> Vec<&str> {
    let findings = plan.findings.iter().filter(|f| f.code == code);
    findings.map(|f| f.message.as_str()).collect()
}

/// containerd 1.7.10 made it five minutes: which of the two is the default is the
/// stated release's to say, in what k0s generates as well.
#[test]
fn the_stated_containerd_has_the_defaults() {
    let set = |time: &str| {
        long(&format!(
            "version = 2\n[CRI]\nimage_pull_progress_timeout = \"{time}\"\n"
        ))
    };
    for (containerd, default, other) in [("1.7.9", "1m0s", "5m0s"), ("1.7.10", "5m0s", "1m0s")] {
        let target = stated("1.30.4", containerd);
        assert!(migrate(&set(default), &target).drop_ins.is_empty());
        let plan = migrate(&set(other), &target);
        assert_eq!(plan.drop_ins.len(), 1, "{containerd}");
        let before = plan.changes.iter().map(|change| &change.reason);
        let before: Vec<_> = before.filter(|reason| reason.contains("1.7.20")).collect();
        assert!(before.is_empty(), "{before:?}");
    }
    let target = stated("1.30.4", "1.7.9");
    let assembled = containerd_dropins::k0s::assemble(
        &target.release,
        target.pause_image(),
        &Default::default(),
    );
    let cri = assembled.unwrap().cri_toml().unwrap();
    assert!(
        cri.contains("image_pull_progress_timeout = \"1m0s\""),
        "{cri}"
    );
}

/// What only a later release knows is carried over as a key that the target does
/// not know; what the release removed is told.
#[test]
fn the_stated_containerd_knows_its_settings() {
    let legacy = long(
        "version = 3\n[RUNTIME]\nenable_experimental_restore_via_create = true\n[RUNTIME.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\ndisable_pause_image_pull = true\n[plugins.\"io.containerd.snapshotter.v1.erofs\"]\nlayer_content_caches = [\"/a\"]\n",
    );
    let next = migrate(&legacy, &stated("1.36.3", "2.4.0-beta.0"));
    assert_eq!(about_settings(&next), [Code::Obsolete]);
    let gone = next
        .findings
        .iter()
        .find(|finding| finding.code == Code::Obsolete);
    assert_eq!(
        gone.unwrap().key.as_deref(),
        Some("plugins.\"io.containerd.cri.v1.runtime\".enable_experimental_restore_via_create")
    );
    assert_eq!(next.kept().count(), 3);
    let present = migrate(&legacy, &stated("1.36.3", "2.3.4"));
    assert_eq!(about_settings(&present), [Code::NotInTarget; 2]);
    assert_eq!(present.kept().count(), 4);
}

/// The rows of the table in containerd's RELEASES.md that its 2.4.0-beta.0 has
/// not carried out.
const TO_BE_REMOVED: &str = r#"
version = 3
[RUNTIME]
enable_cdi = false
[IMAGES.registry.mirrors."a.example"]
endpoint = ["https://b.example"]
[IMAGES.registry.mirrors."c.example"]
endpoint = ["https://d.example"]
[IMAGES.registry.configs."b.example".auth]
username = "u"
password = "p"
[IMAGES.registry.configs."d.example".auth]
username = "u"
password = "p"
[plugins."io.containerd.internal.v1.tracing"]
service_name = "node"
sampling_ratio = 0.5
[plugins."io.containerd.tracing.processor.v1.otlp"]
endpoint = "http://127.0.0.1:4318"
protocol = "http/protobuf"
insecure = true
"#;

#[test]
fn settings_that_upstream_plans_to_remove_are_noted_once_each() {
    let legacy = long(TO_BE_REMOVED);
    let plan = migrate(&legacy, &Target::find("1.36.3").unwrap());
    let mut settings: Vec<&str> = messages(&plan, Code::RemovalPlanned)
        .into_iter()
        .map(|message| message.split_once(" is kept, and ").unwrap().0)
        .collect();
    settings.sort_unstable();
    assert_eq!(
        settings,
        [
            "plugins.\"io.containerd.cri.v1.images\".registry.configs",
            "plugins.\"io.containerd.cri.v1.images\".registry.mirrors",
            "plugins.\"io.containerd.cri.v1.runtime\".enable_cdi",
            "plugins.\"io.containerd.internal.v1.tracing\".sampling_ratio",
            "plugins.\"io.containerd.internal.v1.tracing\".service_name",
            "plugins.\"io.containerd.tracing.processor.v1.otlp\".endpoint",
            "plugins.\"io.containerd.tracing.processor.v1.otlp\".insecure",
            "plugins.\"io.containerd.tracing.processor.v1.otlp\".protocol",
        ]
    );
    let noted = plan.findings.iter();
    let mut noted = noted.filter(|finding| finding.code == Code::RemovalPlanned);
    assert!(noted.all(|finding| finding.severity == Severity::Note && finding.span.is_some()));

    // A drop-in that stays as it is needs no note at each run.
    let again = carry_over("50-mine.toml", &legacy, &Target::find("1.36.3").unwrap());
    assert_eq!(messages(&again, Code::RemovalPlanned), [""; 0]);
    assert_eq!(again.drop_ins[0].text(), legacy);
}

/// It gives way to `bin_dirs`, and no other `bin_dir` is meant.
#[test]
fn what_is_converted_is_not_noted() {
    let legacy = long(
        "version = 2\n[CRI.cni]\nbin_dir = \"/a\"\n[plugins.\"io.containerd.image-verifier.v1.bindir\"]\nbin_dir = \"/b\"\n",
    );
    let plan = migrate(&legacy, &Target::find("1.36.3").unwrap());
    assert_eq!(messages(&plan, Code::RemovalPlanned), [""; 0]);
    // containerd 1.7 has it for good.
    let kept = long("version = 2\n[CRI.cni]\nbin_dir = \"/a\"\n[CRI]\nenable_cdi = true\n");
    let plan = migrate(&kept, &Target::find("1.35.7").unwrap());
    assert_eq!(plan.kept().count(), 2);
    assert_eq!(messages(&plan, Code::RemovalPlanned), [""; 0]);
}

const IMAGE: &str = "registry.example.com/pause:3.10";

/// Existing drop-ins, too: what they set is what k0s is said to inject.
#[test]
fn a_stated_pause_image_is_the_targets() {
    let target = Target::find("1.36.3").unwrap();
    let target = target.with_pause_image(IMAGE).unwrap();
    let text = long(&format!(
        "version = 2\n[CRI]\nsandbox_image = \"{IMAGE}\"\nmax_concurrent_downloads = 2\n"
    ));
    let plan = carry_over("10-mine.toml", &text, &target);
    assert!(plan.verified, "{:?}", plan.findings);
    assert_eq!(codes(&plan), []);
    assert!(!plan.drop_ins[0].text().contains("sandbox"));
    assert_eq!(plan.sandbox.after.as_deref(), Some(IMAGE));
    assert_eq!(plan.sandbox.after_by, DecidedBy::K0s);
    // The one that k0s was built with is one default of many then.
    let built_in = text.replace(IMAGE, "quay.io/k0sproject/pause:3.10.2-0");
    let plan = carry_over("10-mine.toml", &built_in, &target);
    let stale = messages(&plan, Code::SandboxImageStale);
    assert_eq!(
        stale,
        [
            "the file pins the sandbox image quay.io/k0sproject/pause:3.10.2-0, a default of its time; k0s v1.36.3+k0s.2 injects registry.example.com/pause:3.10"
        ]
    );
}

/// The list need not name what k0s was built with, nor is a list that does that
/// of another release.
#[test]
fn the_bundle_has_to_hold_the_stated_pause_image() {
    let target = Target::find("1.30.4").unwrap();
    let target = target.with_pause_image(IMAGE).unwrap();
    let plan = migrate("version = 2\nroot = \"/a\"\n", &target);
    let report = |list: &str| airgap::check(&plan, &ImageList::parse(list));
    let there = report(IMAGE);
    assert_eq!(there.severity(), Some(Severity::Warning));
    assert_eq!(there.own.image, IMAGE);
    assert_eq!(
        there.own.because,
        "it was stated to be the one of k0s v1.30.4+k0s.0"
    );
    assert!(there.after.as_ref().unwrap().listed);
    let notes = there.notes.join("\n");
    assert!(
        !notes.contains("The k0s configuration is not looked at"),
        "{notes}"
    );
    assert!(
        notes.contains("names the image that it was built with even if another one is injected"),
        "{notes}"
    );

    for list in ["registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.8"] {
        let missing = report(list);
        let codes: Vec<Code> = missing.findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, [Code::AirgapImageMissing], "{list}");
        assert_eq!(
            missing.cause.as_deref(),
            Some(
                "k0s v1.30.4+k0s.0 injects the image that was stated for it, and the list does not name it"
            )
        );
    }
    // What the bundle holds beside is not claimed.
    let cause = messages(&plan, Code::SandboxImageCause);
    assert!(
        !cause[0].contains("bundle") && cause[0].contains(IMAGE),
        "{cause:?}"
    );
}

/// A stand-in works like what it stands for, so that its drop-ins are proven.
#[test]
fn unknown_releases_get_the_drop_ins_of_their_regime() {
    let legacy = long("version = 2\n[CRI]\nmax_concurrent_downloads = 2\n");
    for (k0s, version) in [
        ("1.36.0-alpha.1", 3),
        ("v1.36.0", 3),
        ("1.36.1-rc.1", 3),
        ("v1.37.0-alpha.1+k0s.0", 3),
        ("1.36.9", 3),
        ("1.35.99", 2),
        ("1.27.5-rc.1", 2),
    ] {
        let plan = migrate(&legacy, &Target::find(k0s).unwrap());
        assert!(plan.is_sound(), "{k0s}: {:?}", plan.findings);
        let text = plan.drop_ins[0].text();
        assert!(
            text.contains(&format!("\nversion = {version}\n")),
            "{k0s}: {text}"
        );
        assert_eq!(plan.target.containerd().line().0, version - 1, "{k0s}");
    }
    let plan = support::migrate(&legacy, "1.27.5-rc.0");
    assert!(codes(&plan).contains(&Code::TargetAppends));
}

/// What reads the facts elsewhere than in the target would not come to the same
/// result as the proof.
#[test]
fn every_case_is_proven_for_stated_facts() {
    let targets = [
        stated("1.27.5", "1.7.0"),
        stated("1.30.4", "1.7.34"),
        stated("1.36.3", "2.0.0"),
        stated("1.36.3", "2.1.9"),
        stated("1.36.9", "2.4.0-beta.0"),
        stated("1.36.9", "2.9.0"),
    ];
    for target in targets {
        let target = target.with_pause_image(IMAGE).unwrap();
        for case in support::files("cases") {
            let path = case.join("legacy.toml");
            let legacy = support::read(&path);
            let document = Document::parse("/etc/k0s/containerd.toml", legacy.as_bytes()).unwrap();
            let plan = plan(&document, &[], &target, &Options::default());
            let shown = || format!("{} for {target:?}: {:?}", path.display(), plan.findings);
            assert!(plan.verified, "{}", shown());
            let said = codes(&plan);
            for code in [Code::ReleaseNewer, Code::ReleaseUnknown, Code::Internal] {
                assert!(!said.contains(&code), "{}", shown());
            }
            let texts = support::drop_ins(&plan);
            let set = support::set(&texts);
            let assembled =
                containerd_dropins::k0s::assemble(&target.release, target.pause_image(), &set);
            let effective = assembled.unwrap().effective();
            let path: &[&str] = match target.release.config_version() {
                2 => &["plugins", "io.containerd.grpc.v1.cri", "sandbox_image"],
                _ => &[
                    "plugins",
                    "io.containerd.cri.v1.images",
                    "pinned_images",
                    "sandbox",
                ],
            };
            let image = effective.get(path);
            let image = image.and_then(|image| image.as_str().map(str::to_owned));
            assert_eq!(image, plan.sandbox.after, "{}", shown());
            let injected = plan.sandbox.after_by == DecidedBy::K0s;
            assert_eq!(injected, image.as_deref() == Some(IMAGE), "{}", shown());
        }
    }
}
