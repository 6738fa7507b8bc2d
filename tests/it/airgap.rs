//! Whether the bundle of an air-gapped node holds the sandbox image.

use containerd_dropins::Document;
use containerd_dropins::airgap::{self, AirgapReport, ImageList};
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{
    DecidedBy, Options, Plan, SandboxImage, Target, plan, plan_drop_ins,
};

use crate::cli::{example, run, stderr, stdout};
use crate::support;
use crate::support::{TempDir, migrate};

/// What k0s 1.30.4 lists.
const LIST: &str = "\
quay.io/k0sproject/apiserver-network-proxy-agent:v0.30.3
quay.io/k0sproject/cni-node:1.3.0-k0s.0
quay.io/k0sproject/coredns:1.11.3
quay.io/k0sproject/kube-proxy:v1.30.4
quay.io/k0sproject/kube-router:v2.2.1-iptables1.8.9-0
quay.io/k0sproject/metrics-server:v0.7.1-0
registry.k8s.io/pause:3.9
";

const CRI: &str = "[plugins.\"io.containerd.grpc.v1.cri\"]\n";

fn pins(image: &str) -> String {
    format!("version = 2\n{CRI}sandbox_image = {image:?}\n")
}

fn existing(files: &[(&str, &str)], main: Option<&str>, k0s: &str) -> Plan {
    let directory = "/etc/k0s/containerd.d";
    let parse = |name: String, text: &str| Document::parse(name, text.as_bytes()).unwrap();
    let drop_ins: Vec<Document> = files
        .iter()
        .map(|(name, text)| parse(format!("{directory}/{name}"), text))
        .collect();
    let main = main.map(|text| parse("/etc/k0s/containerd.toml".into(), text));
    let existing = support::existing(directory, &drop_ins, &[]).with_main(main.as_ref());
    plan_drop_ins(&existing, &Target::find(k0s).unwrap(), &Options::default())
}

/// The plan's images, `-` for none.
#[track_caller]
fn images(plan: &Plan, before: (&str, DecidedBy), after: (&str, DecidedBy)) {
    let of = |image: &Option<String>, by| (image.as_deref().unwrap_or("-").to_owned(), by);
    let owned = |(image, by): (&str, DecidedBy)| (image.to_owned(), by);
    let sandbox = &plan.sandbox;
    assert_eq!(of(&sandbox.before, sandbox.before_by), owned(before));
    assert_eq!(of(&sandbox.after, sandbox.after_by), owned(after));
}

fn codes(report: &AirgapReport) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

const OWN_1_30: (&str, DecidedBy) = ("registry.k8s.io/pause:3.9", DecidedBy::K0s);
const BUILT_IN_1_7: (&str, DecidedBy) = ("registry.k8s.io/pause:3.8", DecidedBy::Containerd);
const OWN_1_36: (&str, DecidedBy) = ("quay.io/k0sproject/pause:3.10.2-0", DecidedBy::K0s);
const OWN_1_35: (&str, DecidedBy) = ("quay.io/k0sproject/pause:3.10.1", DecidedBy::K0s);
const UNKNOWN: (&str, DecidedBy) = ("-", DecidedBy::Input);

fn by_input(image: &str) -> (&str, DecidedBy) {
    (image, DecidedBy::Input)
}

#[test]
fn a_legacy_file_decides_before_and_k0s_after() {
    let none = "version = 2\noom_score = -5\n";
    images(&migrate(none, "1.30.4"), BUILT_IN_1_7, OWN_1_30);
    // The node has run k0s 1.35 so far.
    images(&migrate(none, "1.36.3"), BUILT_IN_1_7, OWN_1_36);
    let stale = "k8s.gcr.io/pause:3.6";
    images(&migrate(&pins(stale), "1.30.4"), by_input(stale), OWN_1_30);
    images(&migrate(&pins(stale), "1.36.3"), by_input(stale), OWN_1_36);
    images(&migrate(&pins(""), "1.30.4"), by_input(""), OWN_1_30);
    let own = OWN_1_30.0;
    images(&migrate(&pins(own), "1.30.4"), by_input(own), OWN_1_30);
    let custom = by_input("reg.example/pause:3");
    images(&migrate(&pins(custom.0), "1.30.4"), custom, custom);
    images(&migrate(&pins(custom.0), "1.36.3"), custom, custom);
    // Version 3, where it has another place.
    let text = format!(
        "version = 3\n[plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = {:?}\n",
        custom.0
    );
    images(&migrate(&text, "1.36.3"), custom, custom);
    // containerd 1.7 does not start on it.
    images(&migrate(&text, "1.30.4"), UNKNOWN, custom);
    // containerd ignored what version 1 calls otherwise.
    let text = pins(custom.0).replace("version = 2\n", "");
    images(&migrate(&text, "1.30.4"), BUILT_IN_1_7, custom);
    let text = format!("version = 2\n{CRI}sandbox_image = 5\n");
    images(&migrate(&text, "1.30.4"), UNKNOWN, OWN_1_30);
}

#[test]
fn the_policy_for_the_sandbox_image_counts() {
    let with = |image: &str, policy| {
        let document = Document::parse("t.toml", pins(image).as_bytes()).unwrap();
        let options = Options::default().sandbox_image(policy);
        plan(&document, &[], &Target::find("1.30.4").unwrap(), &options)
    };
    let (stale, custom) = ("registry.k8s.io/pause:3.6", "reg.example/pause:3");
    let keep = with(stale, SandboxImage::Keep);
    images(&keep, by_input(stale), by_input(stale));
    let dropped = with(custom, SandboxImage::Drop);
    images(&dropped, by_input(custom), OWN_1_30);
}

#[test]
fn what_no_drop_in_can_hold_is_not_in_effect_after() {
    let custom = "reg.example/pause:3";
    images(
        &migrate(&pins(custom), "1.27.2"),
        by_input(custom),
        ("registry.k8s.io/pause:3.8", DecidedBy::K0s),
    );
}

#[test]
fn up_to_1_26_everything_stays() {
    let built_in = ("registry.k8s.io/pause:3.6", DecidedBy::Containerd);
    images(&migrate("version = 2\n", "1.26.15"), built_in, built_in);
    let stale = by_input("k8s.gcr.io/pause:3.2");
    images(&migrate(&pins(stale.0), "1.26.15"), stale, stale);
    images(&existing(&[], None, "1.26.15"), built_in, built_in);
    let main = Some("version = 2\noom_score = -5\n");
    images(&existing(&[], main, "1.26.15"), built_in, built_in);
    let list = ImageList::parse(LIST);
    let main = Some("version = 2\nimports = [\"/etc/x.toml\"]\n");
    images(&existing(&[], main, "1.26.15"), UNKNOWN, UNKNOWN);
    let report = airgap::check(&existing(&[], main, "1.26.15"), &list);
    assert!(codes(&report).contains(&Code::AirgapImageUnknown));
    let report = airgap::check(&migrate("version = 2\n", "1.26.15"), &list);
    assert_eq!(codes(&report)[0], Code::AirgapImageMissing);
    assert!(
        report.steps[0].starts_with("First either set sandbox_image in /etc/k0s/containerd.toml to an image of the bundle, such as registry.k8s.io/pause:3.9, or put"),
        "{:?}",
        report.steps
    );
    assert_eq!(report.notes.len(), 1);
}

const PRISTINE: &str = "
# This is a placeholder configuration for k0s managed containerD.
# If you wish to customize the config replace this file with your custom configuration.
# For reference see https://github.com/containerd/containerd/blob/main/docs/man/containerd-config.toml.5.md
version = 2
";

#[test]
fn with_a_file_of_k0s_the_image_is_injected_if_the_target_knows_it() {
    let managed = format!("# k0s_managed=true\n{}", pins("x/y:1"));
    images(&migrate(&managed, "1.30.4"), OWN_1_30, OWN_1_30);
    images(&migrate(PRISTINE, "1.30.4"), OWN_1_30, OWN_1_30);
    images(&migrate(PRISTINE, "1.36.3"), OWN_1_35, OWN_1_36);
    let built_in = ("registry.k8s.io/pause:3.6", DecidedBy::Containerd);
    images(&migrate(PRISTINE, "1.26.15"), built_in, built_in);
    // What it imports from k0s's run directory was not handed in.
    let trapped =
        "\n# k0s_managed=true\nversion = 2\nimports = [\"/run/k0s/containerd-cri.toml\"]\n";
    images(&migrate(trapped, "1.36.3"), OWN_1_35, OWN_1_36);

    let report = airgap::check(&migrate(&managed, "1.30.4"), &ImageList::parse(LIST));
    assert_eq!(codes(&report), [Code::AirgapImageThere]);
    assert_eq!(report.severity(), Some(Severity::Note));
    assert_eq!(
        report.findings[0].message,
        "registry.k8s.io/pause:3.9 is the sandbox image before and after the migration, and the bundle holds it"
    );
    assert_eq!(report.steps.len(), 1);
    assert_eq!(report.symptom, None);
}

#[test]
fn drop_ins_may_set_what_k0s_injects_otherwise() {
    let other = [("a.toml", "version = 2\noom_score = -5\n")];
    images(&existing(&other, None, "1.30.4"), OWN_1_30, OWN_1_30);
    images(&existing(&other, None, "1.36.3"), OWN_1_35, OWN_1_36);
    let custom = by_input("reg.example/pause:3");
    let text = pins(custom.0);
    let sets = [("a.toml", text.as_str())];
    for k0s in ["1.30.4", "1.36.3"] {
        images(&existing(&sets, None, k0s), custom, custom);
    }
    let stale = pins("registry.k8s.io/pause:3.6");
    let both = [("a.toml", text.as_str()), ("b.toml", stale.as_str())];
    images(
        &existing(&both, None, "1.36.3"),
        by_input("registry.k8s.io/pause:3.6"),
        OWN_1_36,
    );
    // The user's main file decides, and is a migration of its own.
    let main = Some("version = 2\noom_score = -5\n");
    images(&existing(&sets, main, "1.36.3"), BUILT_IN_1_7, custom);
    let imports = Some("version = 2\nimports = [\"/etc/x.toml\"]\n");
    images(&existing(&sets, imports, "1.36.3"), UNKNOWN, custom);
    images(
        &existing(&other, Some(PRISTINE), "1.36.3"),
        OWN_1_35,
        OWN_1_36,
    );
    // k0s 1.30 does not read version 3.
    let later = [("a.toml", "version = 3\noom_score = -5\n")];
    images(&existing(&later, None, "1.30.4"), UNKNOWN, OWN_1_30);
}

/// The report of the outage that the crate is about, word for word.
#[test]
fn the_v1_30_4_disaster() {
    let legacy = std::fs::read(example("airgap-v1.30.4.toml")).unwrap();
    let legacy = Document::parse("/etc/k0s/containerd.toml", &legacy).unwrap();
    let target = Target::find("v1.30.4+k0s.0").unwrap();
    let plan = plan(&legacy, &[], &target, &Options::default());
    let report = airgap::check(&plan, &ImageList::parse(LIST));
    assert_eq!(codes(&report), [Code::AirgapImageWasMissing]);
    assert_eq!(report.severity(), Some(Severity::Warning));
    let expected = r#"AIRGAP BUNDLE: 7 images in its list

  k0s's own  registry.k8s.io/pause:3.9: in the bundle
             k0s v1.30.4+k0s.0 was built with it
  before     registry.k8s.io/pause:3.8: NOT in the bundle
             containerd 1.7.20 has it built in
             nearest in the bundle: registry.k8s.io/pause:3.9
  after      registry.k8s.io/pause:3.9: in the bundle
             k0s v1.30.4+k0s.0 injects it

  symptom    no pod starts where registry.k8s.io cannot be reached; pods stay
             in ContainerCreating, with the event FailedCreatePodSandBox:
             failed to get sandbox image "registry.k8s.io/pause:3.8"
  cause      k0s takes /etc/k0s/containerd.toml for yours and injects no
             sandbox image; the file sets none that counts, so containerd
             1.7.20 falls back to its built-in one

AIRGAP FINDINGS
  warning[airgap-image-was-missing]: registry.k8s.io/pause:3.8 is the sandbox image so far, and the bundle does not hold it; after the migration it is registry.k8s.io/pause:3.9, which the bundle holds
    help: This is the outage that a legacy file causes on air-gapped nodes. The migration ends it.

AIRGAP STEPS
  1. Take the next steps of the plan: with them the sandbox image is registry.k8s.io/pause:3.9, which the bundle holds.
  2. Check on the node that the bundle was imported: `k0s ctr images ls | grep -F 'registry.k8s.io/pause:3.9'` prints a line.
  3. Check after the restart what containerd is told: `grep sandbox /run/k0s/containerd-cri.toml` names registry.k8s.io/pause:3.9.
  4. Check that no new event comes up: `k0s kubectl get events -A --field-selector reason=FailedCreatePodSandBox`.

WHAT THE LIST DOES NOT TELL
  - The k0s configuration is not looked at. If spec.images.pause or spec.images.repository in it leads to another pause image, k0s injects that one, and it is what the bundle has to hold.
  - `k0s airgap list-images` of k0s v1.30.4+k0s.0 names registry.k8s.io/pause:3.9 even then; 1.29.14, 1.30.10, 1.31.6 and 1.32.2 name the image that is injected.
  - imagePullPolicy Never, and spec.images.default_pull_policy of k0s, do not cover the sandbox image: containerd pulls it by itself.
"#;
    assert_eq!(report.to_string(), expected);
}

#[test]
fn k0s_1_36_has_its_own_image() {
    let list = ImageList::parse("quay.io/k0sproject/pause:3.10.2-0\n");
    let report = airgap::check(&migrate("version = 2\n", "1.36.3"), &list);
    assert_eq!(codes(&report), [Code::AirgapImageWasMissing]);
    let before = report.before.as_ref().unwrap();
    assert_eq!(before.image, "registry.k8s.io/pause:3.8");
    // Another registry, so another image to containerd.
    let nearest = before.nearest.as_ref().unwrap().to_string();
    assert_eq!(nearest, "quay.io/k0sproject/pause:3.10.2-0");
    assert!(report.steps[2].contains("`grep sandbox /etc/k0s/containerd.toml`"));
    // This release lists what it injects.
    assert_eq!(report.notes.len(), 2);
}

#[test]
fn an_image_of_the_users_own_has_to_be_in_the_bundle() {
    let legacy = pins("reg.example/pause:3");
    let report = airgap::check(&migrate(&legacy, "1.30.4"), &ImageList::parse(LIST));
    assert_eq!(codes(&report), [Code::AirgapImageMissing]);
    assert_eq!(report.severity(), Some(Severity::Error));
    assert_eq!(
        report.findings[0].message,
        "reg.example/pause:3 is the sandbox image before and after the migration, and the bundle does not hold it"
    );
    assert_eq!(
        report.steps[0],
        "First either migrate again with the sandbox image dropped, so that k0s injects registry.k8s.io/pause:3.9, which the bundle holds, or put reg.example/pause:3 into a bundle in /var/lib/k0s/images on each node."
    );
    // What k0s injects does not matter then.
    assert_eq!(report.notes.len(), 1);
    let list = ImageList::parse(&format!("{LIST}reg.example/pause:3\n"));
    let report = airgap::check(&migrate(&legacy, "1.30.4"), &list);
    assert_eq!(codes(&report), [Code::AirgapImageThere]);
    // A name is a name, whatever it leaves out.
    let list = ImageList::parse("docker.io/library/pause:latest");
    let report = airgap::check(&migrate(&pins("pause"), "1.30.4"), &list);
    assert!(report.after.as_ref().unwrap().listed);
    assert!(report.steps[0].contains("grep -F 'docker.io/library/pause:latest'"));
}

#[test]
fn a_stale_image_may_be_in_the_bundle_and_the_new_one_not() {
    let list = ImageList::parse(&LIST.replace("pause:3.9", "pause:3.6"));
    let report = airgap::check(
        &migrate(&pins("registry.k8s.io/pause:3.6"), "1.30.4"),
        &list,
    );
    assert_eq!(
        codes(&report),
        [Code::AirgapImageMissing, Code::AirgapOtherRelease]
    );
    assert_eq!(
        report.findings[0].message,
        "registry.k8s.io/pause:3.9 is the sandbox image after the migration, and the bundle does not hold it; so far it is registry.k8s.io/pause:3.6, which the bundle holds"
    );
    assert_eq!(
        report.findings[1].message,
        "the list does not name registry.k8s.io/pause:3.9, the pause image of k0s v1.30.4+k0s.0, but registry.k8s.io/pause:3.6, that of k0s v1.24.8+k0s.0 to v1.24.17+k0s.0 and v1.25.4+k0s.0 to v1.26.15+k0s.0"
    );
    assert!(report.steps[0].starts_with("First either use the bundle of k0s v1.30.4+k0s.0"));
    // No release has this one.
    let list = ImageList::parse("reg.example/pause:3");
    let report = airgap::check(&migrate("version = 2\n", "1.30.4"), &list);
    assert_eq!(codes(&report), [Code::AirgapImageMissing]);
    assert!(
        report.steps[0].contains("set spec.images.pause in the k0s configuration to an image of the bundle, such as reg.example/pause:3, or put registry.k8s.io/pause:3.9 into a bundle"),
        "{:?}",
        report.steps
    );
}

#[test]
fn odd_images_and_lists_are_told_and_harm_nothing() {
    let list = ImageList::parse("- nginx\nA\n\u{1b}[31m\nregistry.k8s.io/pause:3.9");
    let report = airgap::check(&migrate(&pins(""), "1.30.4"), &list);
    assert_eq!(
        codes(&report),
        [Code::AirgapImageWasMissing, Code::AirgapListUnreadable]
    );
    assert!(report.findings[1].message.starts_with(
        "3 lines of the list are no image references: line 1, \"<hidden> (string, 7 characters)\": "
    ));
    assert!(
        report
            .to_string()
            .contains("  before     \"\": NOT in the bundle\n")
    );

    let empty = airgap::check(&migrate("", "1.30.4"), &ImageList::default());
    assert_eq!(empty.findings[1].message, "the list names no image at all");

    let legacy = pins("a b$'; rm -rf /\n").replace('$', "\\u001b[31m");
    let report = airgap::check(&migrate(&legacy, "1.30.4"), &list);
    assert_eq!(report.severity(), Some(Severity::Error));
    let text = report.to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(!text.contains("grep"), "{text}");
}

fn list_file(name: &str, bytes: &[u8]) -> (TempDir, String) {
    let dir = TempDir::new(name);
    let path = dir.path().join("list.txt");
    std::fs::write(&path, bytes).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn the_program_prints_the_report_behind_the_plan() {
    let (_dir, list) = list_file("airgap-text", LIST.as_bytes());
    let legacy = example("airgap-v1.30.4.toml");
    let plain = run(&[&legacy, "--k0s", "1.30.4"]);
    let output = run(&[&legacy, "--k0s", "1.30.4", "--airgap-images", &list]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let report = text.strip_prefix(&stdout(&plain)).unwrap();
    assert!(report.starts_with("\nAIRGAP BUNDLE: 7 images"), "{report}");
    let output = run(&[
        &legacy,
        "--k0s",
        "1.30.4",
        "--airgap-images",
        &list,
        "--json",
    ]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["sandbox"]["before"], "registry.k8s.io/pause:3.8");
    assert_eq!(json["sandbox"]["before_by"], "containerd");
    assert_eq!(json["airgap"]["before"]["listed"], false);
    assert_eq!(
        json["airgap"]["before"]["nearest"],
        "registry.k8s.io/pause:3.9"
    );
    assert_eq!(json["airgap"]["after"]["listed"], true);
    assert_eq!(
        json["airgap"]["findings"][0]["code"],
        "airgap-image-was-missing"
    );
    let plain = run(&[&legacy, "--k0s", "1.30.4", "--json"]);
    let plain: serde_json::Value = serde_json::from_str(&stdout(&plain)).unwrap();
    assert!(plain.get("airgap").is_none());
}

#[test]
fn an_image_that_is_not_in_the_bundle_keeps_files_from_being_written() {
    let (dir, list) = list_file("airgap-out", LIST.replace("3.9", "3.8").as_bytes());
    let out = dir.path().join("out");
    let legacy = example("airgap-v1.30.4.toml");
    let arguments = [
        legacy.as_str(),
        "--k0s",
        "1.30.4",
        "--airgap-images",
        &list,
        "--out",
        out.to_str().unwrap(),
    ];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("error[airgap-image-missing]"));
    assert!(stderr(&output).contains("nothing was written"));
    assert!(!out.exists());
    let output = run(&[&arguments[..], &["--allow-loss"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(out.exists());
}

#[test]
fn a_list_that_is_no_text_is_refused() {
    let (dir, list) = list_file("airgap-odd", b"nginx\xff\n");
    let legacy = example("airgap-v1.30.4.toml");
    let refused = |list: &str, message: &str| {
        let output = run(&[&legacy, "--k0s", "1.30.4", "--airgap-images", list]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    };
    refused(&list, "list.txt: not UTF-8");
    refused(dir.path().to_str().unwrap(), "airgap-odd: ");
    refused("/no/such/list", "/no/such/list: ");
}
