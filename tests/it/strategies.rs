//! What the strategies promise: valid files are valid, and what fails shrinks to a
//! file that a person would have written to show it.

use std::time::Duration;

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::k0s::Regime;
use containerd_dropins::migrate::{Options, plan};
use containerd_dropins::strategies::{
    DropInFiles, DropInSets, LegacyFile, LegacyFiles, configs, files_of_mixed_versions,
    hostile_texts, registries, settings, targets_of,
};
use containerd_dropins::value::{Exposed, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::daemon::{Run, in_parallel};
use crate::laws::many;
use crate::support;

/// What the inputs that make a property fail shrink to, each once.
fn minimal<S: Strategy>(strategy: S, fails: impl Fn(&S::Value) -> bool) -> Vec<S::Value> {
    let mut found = Vec::new();
    for seed in 0..4 {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let config = Config {
            cases: 2000,
            max_shrink_iters: 1500,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(&strategy, |input| {
            prop_assert!(!fails(&input));
            Ok(())
        });
        if let Err(TestError::Fail(_, input)) = result {
            found.push(input);
        }
    }
    assert!(found.len() >= 3, "{} of 4 fail", found.len());
    found
}

const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";

#[test]
fn legacy_files_shrink_to_one_key() {
    let all = || LegacyFiles::new().strategy();
    let texts = |fails: &dyn Fn(&str) -> bool| {
        let found = minimal(all(), |file| fails(&file.text));
        let mut texts: Vec<String> = found.into_iter().map(|file| file.text).collect();
        texts.sort();
        texts.dedup();
        texts
    };
    let endpoint = format!(
        "version = 2\n\n[{CRI}.registry.mirrors.\"registry.example\"]\nendpoint = [\"https://mirror.example\"]\n"
    );
    assert_eq!(
        texts(&|text| text.contains("mirrors.\"registry") && text.contains("https://mirror")),
        [endpoint]
    );
    let one = format!("version = 2\n\n[{CRI}]\nmax_container_log_line_size = 1\n");
    assert_eq!(
        texts(&|text| text.contains("max_container_log_line_size") && text.len() < 900),
        [one]
    );
    let handler = format!(
        "version = 2\n\n[{CRI}.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n\n[{CRI}.containerd.runtimes.nvidia.options]\nSystemdCgroup = true\n"
    );
    let handlers = LegacyFiles::new().only(|path| path.contains(&"runtimes"));
    let sets_option = |file: &LegacyFile| {
        let mut paths = file.edits.iter().map(|edit| edit.path.join("."));
        paths.any(|path| path.ends_with("nvidia.options.SystemdCgroup"))
    };
    for file in minimal(handlers.strategy(), sets_option) {
        assert_eq!(file.text, handler);
    }
    assert_eq!(texts(&|_| true), ["version = 2\n"]);
    for text in texts(&|text| text.contains("ticket 12\n")) {
        assert!(text.lines().count() <= 7, "{text}");
    }
    // Among dumps nothing but the dump is left.
    let dumps = minimal(LegacyFiles::new().dumps().strategy(), |file| {
        file.version == 3
    });
    assert!(
        dumps
            .iter()
            .all(|file| file.edits.is_empty() && !file.text.contains('#'))
    );
}

#[test]
fn any_setting_shrinks_to_a_file_with_it() {
    let found = minimal(LegacyFiles::new().strategy(), |file| !file.edits.is_empty());
    for file in found {
        let keys = file
            .text
            .lines()
            .filter(|line| line.contains(" = "))
            .count();
        assert_eq!((keys, file.edits.len()), (2, 1), "{file:?}");
        assert!(file.text.starts_with("version = 2\n"), "{file:?}");
    }
}

/// The texts that make a property fail, each once.
fn minimal_texts<S: Strategy>(
    strategy: S,
    fails: impl Fn(&S::Value) -> bool,
    text: impl Fn(S::Value) -> String,
) -> Vec<String> {
    let found = minimal(strategy, fails).into_iter();
    let mut texts: Vec<String> = found.map(text).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn mirror() -> String {
    format!(
        "version = 2\n\n[{CRI}.registry.mirrors.\"registry.example\"]\nendpoint = [\"https://mirror.example\"]\n"
    )
}

#[test]
fn dumps_give_way_to_few_keys() {
    let text = |file: LegacyFile| file.text;
    let all = || LegacyFiles::new().strategy();
    let has_mirrors = |file: &LegacyFile| file.text.contains("mirrors");
    assert_eq!(minimal_texts(all(), has_mirrors, text), [mirror()]);
    // So does the typed model, whose dumps have mirrors and handlers.
    let has_mirrors =
        |config: &containerd_dropins::Config| !config.plugins.cri.registry.mirrors.is_empty();
    let text = |config: containerd_dropins::Config| config.to_toml();
    assert_eq!(minimal_texts(configs(), has_mirrors, text), [mirror()]);
    let has_handlers =
        |config: &containerd_dropins::Config| !config.plugins.cri.containerd.runtimes.is_empty();
    for text in minimal_texts(configs(), has_handlers, text) {
        assert_eq!(text.lines().count(), 4, "{text}");
    }
    // Those who asked for dumps keep them, whole.
    let dumps = LegacyFiles::new().versions(&[2]).dumps().strategy();
    for file in minimal(dumps, |file| file.text.contains("mirrors")) {
        let mut printed = default_config(file.containerd);
        printed.insert("version".to_owned(), Value::Integer(2));
        assert!(file.is_dump);
        assert_eq!(file.text, Exposed::table(&printed).to_toml());
    }
}

#[test]
fn a_part_of_a_dump_says_what_it_sets() {
    // Nothing else than a dump has such a key and that value.
    let fails = |file: &LegacyFile| file.text.contains("mutation_threshold = 100\n");
    for file in minimal(LegacyFiles::new().strategy(), fails) {
        let edits: Vec<String> = file.edits.iter().map(|edit| format!("{edit:?}")).collect();
        let edit = "plugins.\"io.containerd.gc.v1.scheduler\".mutation_threshold = 100";
        assert_eq!(
            (file.is_dump, edits),
            (false, vec![edit.to_owned()]),
            "{file:?}"
        );
        assert!(file.text.lines().count() <= 4, "{file:?}");
    }
}

#[test]
fn numbers_and_texts_shrink_to_the_plainest() {
    let is_large = |file: &LegacyFile| {
        let mut edits = file.edits.iter();
        edits.any(|edit| matches!(edit.value, Value::Integer(number) if number > 100))
    };
    for file in minimal(LegacyFiles::new().strategy(), is_large) {
        let values: Vec<&Value> = file.edits.iter().map(|edit| &edit.value).collect();
        assert_eq!(values, [&Value::Integer(101)], "{file:?}");
    }
    let odd = || LegacyFiles::new().any_text();
    let sets_text = |file: &LegacyFile| {
        let mut edits = file.edits.iter();
        edits.any(|edit| edit.value.as_str().is_some_and(|text| !text.is_empty()))
    };
    let text = |file: LegacyFile| file.text;
    let one = "version = 2\ntemp = \"a\"\n";
    assert_eq!(minimal_texts(odd().strategy(), sets_text, text), [one]);
    let is_list = |edit: &containerd_dropins::strategies::Edit| {
        edit.value.as_array().is_some_and(|list| !list.is_empty())
    };
    let text = |edit: containerd_dropins::strategies::Edit| edit.to_toml(2).unwrap();
    let one = "disabled_plugins = [\"a\"]\nversion = 2\n";
    assert_eq!(minimal_texts(settings(), is_list, text), [one]);
    let is_text = |text: &String| text.contains(" = \"");
    for text in minimal(files_of_mixed_versions(), is_text) {
        assert!(
            text.contains(" = \"a\"\n") && text.lines().count() <= 3,
            "{text}"
        );
    }
}

#[test]
fn what_a_setting_brings_along_goes_where_the_file_starts_without() {
    let sets_handler = |file: &LegacyFile| {
        let mut edits = file.edits.iter();
        edits.any(|edit| edit.path.contains(&"runtimes".to_owned()))
    };
    for file in minimal(LegacyFiles::new().strategy(), sets_handler) {
        assert_eq!((file.version, file.edits.len()), (2, 1), "{file:?}");
    }
    // Nothing has to start of these.
    let sets_option = |file: &LegacyFile| {
        let mut edits = file.edits.iter();
        edits.any(|edit| {
            edit.path
                .ends_with(&["nvidia".into(), "options".into(), "BinaryName".into()])
        })
    };
    let odd = LegacyFiles::new().any_text();
    for file in minimal(
        odd.only(|path| path.contains(&"runtimes")).strategy(),
        sets_option,
    ) {
        assert_eq!(file.edits.len(), 1, "{file:?}");
    }
    // Half of a pair starts where the release does not ask for the other.
    let sets_key = |file: &LegacyFile| file.text.contains("\nkey_file = \"/path");
    let table = format!("version = 2\n\n[{CRI}.registry.configs.\"registry.example\".tls]\n");
    let key = "key_file = \"/path/0\"\n";
    let pulls = || LegacyFiles::new().only(|path| path.contains(&"registry"));
    let text = |file: LegacyFile| file.text;
    let texts = minimal_texts(pulls().strategy(), sets_key, text);
    let (half, pair) = (
        format!("{table}{key}"),
        format!("{table}cert_file = \"/path/0\"\n{key}"),
    );
    assert!(texts.contains(&half), "{texts:?}");
    assert!(
        texts.iter().all(|text| [&half, &pair].contains(&text)),
        "{texts:?}"
    );
}

#[test]
fn versions_shrink_to_the_first_that_does() {
    let has_three = |file: &LegacyFile| file.edits.len() >= 3;
    for file in minimal(LegacyFiles::new().strategy(), has_three) {
        assert_eq!(
            (file.version, file.edits.len(), file.is_dump),
            (2, 3, false),
            "{file:?}"
        );
    }
}

/// Enough of the files for containerd 2 need `hosts.toml` files in place of what they
/// say of registries.
#[test]
fn conversions_are_met() {
    let mut runner = TestRunner::deterministic();
    let strategy = (LegacyFiles::new().strategy(), targets_of(Regime::ImportsV3));
    let mut made = || strategy.new_tree(&mut runner).unwrap().current();
    let converts = |(file, target): &(LegacyFile, _)| {
        let plan = plan(&file.document(), &[], target, &Options::default());
        !plan.hosts_files.is_empty()
    };
    let count = (0..100).filter(|_| converts(&made())).count();
    assert!(count >= 8, "{count} of 100");
}

#[test]
fn sets_shrink_to_the_files_that_meet() {
    let meet = |set: &DropInFiles| {
        let mut seen = std::collections::BTreeMap::new();
        let all = set.edits.values().flatten();
        all.into_iter().any(|edit| {
            let before = seen.insert(edit.path.clone(), edit.value.clone());
            before.is_some_and(|before| before != edit.value)
        })
    };
    for set in minimal(DropInSets::of_version(2).strategy(), meet) {
        let texts: Vec<&str> = set.files.values().map(String::as_str).collect();
        let mut values = [
            "temp = \"/path/0\"\nversion = 2\n",
            "temp = \"/path/1\"\nversion = 2\n",
        ];
        if texts.first() != values.first() {
            values.reverse();
        }
        assert_eq!(texts, values, "{set:?}");
        // The last file has the last word.
        let (last, edits) = set.edits.last_key_value().unwrap();
        assert_eq!(set.winners(), [(last.as_str(), &edits[0])]);
    }
}

#[test]
fn registries_and_texts_shrink_to_little() {
    for settings in minimal(registries(), |settings| !settings.mirrors.is_empty()) {
        assert_eq!(settings.mirrors.len(), 1);
        assert!(settings.configs.is_empty());
    }
    for settings in minimal(registries(), |settings| {
        let mut configs = settings.configs.values();
        configs.any(|config| config.auth.password.is_some())
    }) {
        assert_eq!(
            LegacyFile::of_registry(&settings).text,
            format!(
                "version = 2\n\n[{CRI}.registry.configs.\"registry.example\".auth]\npassword = \"not-a-password\"\n"
            )
        );
    }
    for text in minimal(hostile_texts(), |text| text.contains('[')) {
        assert!(text.lines().count() <= 5, "{text}");
    }
}

/// Whether it depends on the machine what a setting does: on file systems, addresses,
/// files that it names.
pub fn depends_on_machine(path: &[&str]) -> bool {
    const OF_MACHINE: &[&str] = &[
        "temp",
        "debug",
        "metrics",
        "grpc",
        "ttrpc",
        "cgroup",
        "oom_score",
        "io.containerd.internal.v1.opt",
        "io.containerd.nri.v1.nri",
        "io.containerd.tracing.processor.v1.otlp",
        "io.containerd.internal.v1.tracing",
        "enable_tls_streaming",
        "x509_key_pair_streaming",
        "stream_server_address",
        "stream_server_port",
        "enable_selinux",
        "rdt_config_file",
        "blockio_config_file",
        "required_plugins",
        "disabled_plugins",
        "plugin_dir",
        "conf_dir",
        "cni_conf_dir",
        "conf_template",
        "base_runtime_spec",
        "cgroup_writable",
        "path",
    ];
    let mut id = path.get(1).into_iter();
    let is_snapshotter = id.any(|id| id.contains(".snapshotter.v1."));
    is_snapshotter || path.iter().any(|key| OF_MACHINE.contains(key))
}

/// containerd starts with valid files, CRI and all: as many of each kind as
/// `LAW_CASES` says, or a few. Without what depends on the machine: file systems,
/// addresses, files that a setting names.
#[test]
fn containerd_starts_with_valid_files() {
    let count = many().map_or(8, |cases| cases as usize);
    for (line, versions, release) in [
        ("1.7", &[2, 1][..], Release::new(1, 7, 20)),
        ("2", &[3], Release::new(2, 1, 9)),
    ] {
        let Some(binary) = support::containerd(line) else {
            return;
        };
        let files = LegacyFiles::new().versions(versions).sparse();
        let files = files.only(|path| !depends_on_machine(path));
        let strategy = files.strategy();
        let mut runner = TestRunner::deterministic();
        let is_for_it =
            |file: &LegacyFile| file.containerd == release && !file.text.contains("/var/lib/k0s");
        let mut made = std::iter::repeat_with(|| strategy.new_tree(&mut runner).unwrap().current())
            .filter(is_for_it);
        let files: Vec<LegacyFile> = made.by_ref().take(count).collect();
        let runs = in_parallel(files.len(), |at| {
            let name = format!("valid-{line}-{at}");
            let patience = Duration::from_millis(300);
            let run = Run::new(&binary, &name, &files[at].text, patience);
            let is_well = !run.exited && run.loads_cri();
            let told = || {
                let bad = |line: &&str| {
                    line.contains("level=fatal")
                        || line.contains("failed to load")
                        || line.starts_with("containerd:")
                };
                run.log.lines().filter(bad).collect::<Vec<_>>().join("\n")
            };
            (!is_well).then(told)
        });
        let wrong: Vec<String> = files
            .iter()
            .zip(runs)
            .filter_map(|(file, told)| Some(format!("{file:?}\n{}", told?)))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {count}: {}",
            wrong.len(),
            wrong.join("\n\n")
        );
    }
}
