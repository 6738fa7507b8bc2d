//! Law 10 for pulls: where the same settings do something else under containerd
//! 2.x, companion keys bring back what they did. The answers are those of
//! running daemons (2.1.9, 2.2.7, 2.3.3, 2.3.4).

use containerd_dropins::Document;
use containerd_dropins::containerd::pull::ImagePull;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::k0s::assemble;
use containerd_dropins::migrate::{
    Options, Plan, RegistryPolicy, Step, Target, plan, plan_drop_ins,
};

use crate::support;
use crate::version_3::{NEW, OLD, long};

const LOCAL: &str = "use_local_image_pull";
const CONFIG_PATH: &str = "config_path";

fn migrate(text: &str, k0s: &str) -> Plan {
    support::migrate(&long(text), k0s)
}

/// The last names of the companions, and what each is owed to.
fn companions(plan: &Plan) -> Vec<(&str, &str)> {
    fn last(key: &str) -> &str {
        key.rsplit('.').next().unwrap()
    }
    let companions = plan.companions.iter();
    companions
        .map(|companion| (last(&companion.key), last(&companion.owed_to)))
        .collect()
}

/// Whether images are pulled, from the directories that the text gives, if any.
#[track_caller]
fn pulls(plan: &Plan, directories: &[&str]) {
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let set = plan.drop_in_set().unwrap();
    let effective = assemble(&plan.target.release, "reg.example/pause:1", &set)
        .unwrap()
        .effective();
    assert_eq!(effective.refusals(), []);
    assert_eq!(effective.image_pull(), ImagePull::Local);
    assert_eq!(effective.hosts_directories(), directories);
}

const OWN: &str = "/etc/k0s/containerd.d/certs.d";

#[test]
fn a_snapshotter_that_the_transfer_service_does_not_unpack_with() {
    let text = "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n";
    let plan = migrate(text, NEW);
    assert_eq!(
        companions(&plan),
        [(LOCAL, "snapshotter"), (CONFIG_PATH, "snapshotter")]
    );
    let [companion, _] = plan.companions.as_slice() else {
        panic!("{:?}", plan.companions)
    };
    assert_eq!(companion.drop_in, "22-cri-registry.toml");
    assert_eq!(companion.span.as_ref().unwrap().line, 3);
    assert_eq!(
        companion.reason,
        "the transfer service unpacks nothing with the snapshotter \"native\"; with this key CRI pulls by itself, as containerd 1.x does"
    );
    pulls(&plan, &[OWN]);
    assert!(
        plan.to_string()
            .contains("ADDED: 2 keys that yours need on the target\n")
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["companions"][0]["value"], true);
    // No fate of any key of the input.
    assert_eq!(plan.ledger.len(), 2);
    // containerd 1.7 always pulls so.
    assert_eq!(migrate(text, OLD).companions, []);
    // What the transfer service has by itself.
    let overlayfs = text.replace("native", "overlayfs");
    assert_eq!(migrate(&overlayfs, NEW).companions, []);
}

#[test]
fn a_handlers_own_snapshotter() {
    let text = "version = 2\n[CRI.containerd.runtimes.x]\nruntime_type = \"io.containerd.runc.v2\"\nsnapshotter = \"native\"\n";
    let plan = migrate(text, NEW);
    let expected = [
        (LOCAL, "snapshotter"),
        (CONFIG_PATH, "snapshotter"),
        // Needed twice.
        ("snapshotter", "snapshotter"),
    ];
    let mut found = companions(&plan);
    found.sort_by_key(|(key, _)| expected.iter().position(|(known, _)| known == key));
    assert_eq!(found, expected);
    pulls(&plan, &[OWN]);
}

#[test]
fn another_unpack_config() {
    let unpack = "version = 2\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\nsnapshotter = \"native\"\n";
    let plan = migrate(unpack, NEW);
    assert_eq!(
        companions(&plan),
        [(LOCAL, "unpack_config"), (CONFIG_PATH, "unpack_config")]
    );
    pulls(&plan, &[OWN]);
    // It names what CRI asks for.
    let both = format!("{unpack}[CRI.containerd]\nsnapshotter = \"native\"\n");
    assert_eq!(migrate(&both, NEW).companions, []);
}

#[test]
fn directories_of_hosts_files() {
    let text = "version = 2\n[CRI.registry]\nconfig_path = \"/a:/b\"\n";
    let plan = migrate(text, NEW);
    assert_eq!(companions(&plan), [(LOCAL, CONFIG_PATH)]);
    pulls(&plan, &["/a", "/b"]);
    assert_eq!(migrate(&text.replace(":/b", ""), NEW).companions, []);
}

/// TLS settings and mirrors force local pull where they stay, and not where the
/// migration moves them.
#[test]
fn what_a_conversion_takes_away() {
    let text = "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n[CRI.registry.mirrors.\"m.example\"]\nendpoint = [\"https://m.example:5000\"]\n";
    let kept = migrate(text, NEW);
    assert_eq!(kept.companions, []);
    pulls(&kept, &[]);
    let tls = format!(
        "{text}[CRI.registry.configs.\"m.example:5000\".tls]\ninsecure_skip_verify = true\n"
    );
    let moved = migrate(&tls, NEW);
    assert!(!moved.hosts_files.is_empty());
    let [(LOCAL, "snapshotter"), (CONFIG_PATH, _)] = companions(&moved).as_slice() else {
        panic!("{:?}", moved.companions)
    };
    pulls(&moved, &[OWN]);
    let document = Document::parse("t", long(text).as_bytes()).unwrap();
    let options = Options::default().registry(RegistryPolicy::Convert);
    let asked = plan(&document, &[], &Target::find(NEW).unwrap(), &options);
    assert!(companions(&asked).contains(&(LOCAL, "snapshotter")));
    pulls(&asked, &[OWN]);
}

/// From containerd 2.2 on, CRI's own pull reads the directories of another
/// containerd and of Docker, which 1.7 does not.
#[test]
fn directories_that_would_wake() {
    for text in [
        "version = 2\n[CRI]\nmax_concurrent_downloads = 10\n",
        "version = 2\n[CRI.registry.configs.\"r.example\".auth]\nusername = \"me\"\n",
        "version = 2\n[CRI.containerd]\ndiscard_unpacked_layers = true\n",
    ] {
        let plan = migrate(text, NEW);
        let [(CONFIG_PATH, _)] = companions(&plan).as_slice() else {
            panic!("{text}: {:?}", plan.companions)
        };
        pulls(&plan, &[OWN]);
    }
    // They are awake on a node that runs containerd 2.3 with it.
    let awake = "version = 3\n[IMAGES]\nmax_concurrent_downloads = 10\n";
    let plan = migrate(awake, NEW);
    assert_eq!(
        (companions(&plan), plan.running.to_string().as_str()),
        (vec![], "v1.36.3+k0s.2")
    );
}

#[test]
fn existing_drop_ins_and_version_3() {
    let directory = "/etc/k0s/containerd.d";
    let carry = |text: &str, options: &Options| {
        let name = format!("{directory}/own.toml");
        let drop_ins = [Document::parse(name, long(text).as_bytes()).unwrap()];
        let existing = support::existing(directory, &drop_ins, &[]);
        plan_drop_ins(&existing, &Target::find(NEW).unwrap(), options)
    };
    let options = Options::default();
    let old = "version = 2\n[CRI.containerd]\nsnapshotter = \"native\"\n";
    let new = "version = 3\n[IMAGES]\nsnapshotter = \"native\"\n";
    for text in [old, new] {
        let plan = carry(text, &options);
        assert_eq!(companions(&plan)[0], (LOCAL, "snapshotter"), "{text}");
        assert!(
            plan.companions
                .iter()
                .all(|companion| companion.drop_in == "own.toml")
        );
        assert!(!plan.steps.contains(&Step::NothingAsGood));
        let legacy = migrate(text, NEW);
        assert_eq!(companions(&legacy)[0], (LOCAL, "snapshotter"), "{text}");
        // Carried over again, nothing is left to do.
        let again = carry(plan.drop_ins[0].text(), &options);
        assert_eq!(again.drop_ins[0].text(), plan.drop_ins[0].text());
        assert_eq!((again.companions.len(), again.steps.len()), (0, 1));
    }
    // What the user says about it is the user's.
    let said = format!("{new}use_local_image_pull = false\n");
    let plan = migrate(&said, NEW);
    assert!(
        plan.drop_ins
            .iter()
            .any(|drop_in| drop_in.text().contains("pull = false"))
    );
    assert_eq!(plan.companions, []);
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.code == Code::PullsFail)
    );
    assert!(!plan.is_sound());
}

/// An empty name is the default to containerd 1.x; 2.x does not load CRI.
#[test]
fn an_empty_snapshotter() {
    let plan = migrate("version = 2\n[CRI.containerd]\nsnapshotter = \"\"\n", NEW);
    assert!(
        plan.is_sound() && plan.drop_ins.is_empty(),
        "{:?}",
        plan.drop_ins
    );
}

/// containerd 2.x unpacks with overlayfs unless it is told what with, and does not
/// load CRI where that is disabled; 1.7 does.
#[test]
fn a_snapshotter_that_is_disabled() {
    let text = "version = 2\ndisabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n[CRI.containerd]\nsnapshotter = \"native\"\n";
    let plan = migrate(text, NEW);
    let mut found = companions(&plan);
    found.sort();
    assert_eq!(
        found,
        [
            (CONFIG_PATH, "snapshotter"),
            ("unpack_config", "disabled_plugins"),
            (LOCAL, "snapshotter"),
        ]
    );
    pulls(&plan, &[OWN]);
    assert!(
        support::drop_ins(&plan)["30-plugin-transfer.v1.local.toml"]
            .contains("unpack_config = []\n")
    );
    let texts: Vec<(String, String)> = support::drop_ins(&plan).into_iter().collect();
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let again = support::carried_over(&texts, NEW);
    assert_eq!(support::drop_ins(&again), support::drop_ins(&plan));
    assert_eq!(migrate(text, OLD).companions, []);
    // Where CRI's own snapshotter is the one, nothing helps.
    let own = migrate(&text.replace("native", "overlayfs"), NEW);
    assert!(
        own.companions.is_empty() && !own.is_sound(),
        "{:?}",
        own.companions
    );
}
