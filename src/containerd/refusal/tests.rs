//! Fine points: what the cases that daemons judge do not say.

use super::*;
use crate::Document;
use crate::containerd::plugin;

/// The rules that a file breaks.
fn rules(release: &str, text: &str) -> Vec<Rule> {
    let document = Document::parse("t", text.as_bytes()).unwrap();
    let effective = Effective::load(release.parse().unwrap(), [document.to_table()]);
    let refusals = effective.refusals();
    refusals.iter().map(|refusal| refusal.rule).collect()
}

#[test]
fn no_release_refuses_its_defaults() {
    for release in [
        "1.2.0", "1.3.0", "1.4.13", "1.5.0", "1.6.20", "1.6.39", "1.7.0", "1.7.34", "2.0.0",
        "2.1.9", "2.2.0", "2.2.7", "2.3.0", "2.3.4",
    ] {
        for text in ["", "version = 2\n"] {
            assert_eq!(rules(release, text), [], "{release}");
        }
    }
}

const IMAGES: &str = "version = 3\n[plugins.\"io.containerd.cri.v1.images\"";

#[test]
fn lists_of_version_1_have_short_names() {
    assert_eq!(
        rules("1.6.20", "disabled_plugins = [\"cri\"]\n"),
        [Rule::DisabledPlugin]
    );
    // The name of two plugins, of which CRI needs one.
    assert_eq!(
        rules("1.6.20", "disabled_plugins = [\"content\"]\n"),
        [Rule::DisabledPlugin]
    );
    assert_eq!(rules("1.6.20", "required_plugins = [\"cri\"]\n"), []);
    assert_eq!(
        rules("1.6.20", "required_plugins = [\"nope\"]\n"),
        [Rule::RequiredPlugin]
    );
    let proxy = "required_plugins = [\"a.b\"]\n[proxy_plugins.\"a.b\"]\ntype = \"snapshot\"\n";
    assert_eq!(rules("1.6.20", proxy), []);
    let both = "disabled_plugins = [\"a.b\"]\n";
    assert_eq!(
        rules("1.6.20", &format!("{both}{proxy}")),
        [Rule::RequiredPlugin]
    );
}

#[test]
fn plugins_with_a_new_id_are_known_by_it() {
    let list = |id: &str| format!("version = 3\nrequired_plugins = [\"{id}\"]\n");
    let moved = list("io.containerd.monitor.container.v1.restart");
    assert_eq!(rules("2.1.9", &moved), []);
    assert_eq!(rules("2.1.9", &list(plugin::CRI)), []);
    // The lists of no file are migrated.
    let old = "io.containerd.internal.v1.restart";
    let on_2 = |version: i64, id: &str| {
        let text = format!("version = {version}\nrequired_plugins = [\"{id}\"]\n");
        rules("2.3.1", &text)
    };
    for version in 2..=4 {
        assert_eq!(
            on_2(version, "io.containerd.monitor.container.v1.restart"),
            []
        );
        assert_eq!(on_2(version, old), [Rule::RequiredPlugin]);
    }
    // Not all plugins of later releases are known.
    let unknown = list("io.containerd.new.v1.thing");
    assert_eq!(rules("2.1.9", &unknown), [Rule::RequiredPlugin]);
    assert_eq!(rules("2.4.0", &unknown), []);
    let gone = list("io.containerd.snapshotter.v1.aufs");
    assert_eq!(rules("2.3.3", &gone), [Rule::RequiredPlugin]);
}

/// containerd 2.2.0 and 2.2.1 have a `config_path` of their own.
#[test]
fn mirrors_alone_are_too_many_for_one_release() {
    let mirrors = format!("{IMAGES}.registry.mirrors.\"docker.io\"]\nendpoint = []\n");
    assert_eq!(rules("2.2.0", &mirrors), [Rule::MirrorsAndConfigPath]);
    assert_eq!(rules("2.2.1", &mirrors), [Rule::MirrorsAndConfigPath]);
    for release in ["2.1.9", "2.2.2", "2.3.3"] {
        assert_eq!(rules(release, &mirrors), [], "{release}");
    }
    let none = format!(
        "{mirrors}[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"\"\n"
    );
    assert_eq!(rules("2.2.0", &none), []);
}

#[test]
fn the_sandbox_image_has_its_full_name() {
    let image = |image: &str| format!("{IMAGES}.pinned_images]\nsandbox = \"{image}\"\n");
    let pinned = "registry.k8s.io/pause:3.10.1@sha256:278fb9dbcca9518083ad1e11276933a2e96f23de604a3a08cc3c80002767d24c";
    for name in [
        pinned,
        "rancher/mirrored-pause:3.6",
        "localhost/kubernetes/pause",
    ] {
        assert_eq!(rules("2.3.1", &image(name)), [Rule::SandboxImage], "{name}");
        assert_eq!(rules("2.3.3", &image(name)), [Rule::SandboxImage], "{name}");
        for release in ["2.2.2", "2.3.4", "2.4.0"] {
            assert_eq!(rules(release, &image(name)), [], "{name} on {release}");
        }
    }
    // Found under its digest.
    let by_digest = pinned.replace(":3.10.1", "");
    assert_eq!(rules("2.3.1", &image(&by_digest)), []);
    assert_eq!(
        rules("2.3.1", &image("localhost/kubernetes/pause:latest")),
        []
    );
    assert_eq!(rules("2.3.1", &image("")), []);
}

/// 1.7.24 runs pods of a handler whose option has a spelling that it does not read,
/// 2.1.9 does not.
#[test]
fn options_in_other_spellings() {
    let text = |key: &str| {
        format!(
            "version = 2\n[plugins.\"{}\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.\"{}\".containerd.runtimes.runc.options]\n{key} = \"true\"\n",
            plugin::CRI,
            plugin::CRI
        )
    };
    for key in [
        "SystemdCgroup",
        "systemdcgroup",
        "SYSTEMDCGROUP",
        "systemdCgroup",
    ] {
        assert_eq!(rules("1.7.24", &text(key)), [Rule::RuntimeOptions], "{key}");
        assert_eq!(rules("2.1.9", &text(key)), [Rule::RuntimeOptions], "{key}");
    }
    assert_eq!(rules("1.7.24", &text("SystemDCgroup")), []);
    assert_eq!(
        rules("2.1.9", &text("SystemDCgroup")),
        [Rule::RuntimeOptions]
    );
}

/// Each file by itself is well.
#[test]
fn an_imported_file_is_of_no_later_version_than_the_main_file() {
    let rules = |release: &str, versions: &[Option<i64>]| -> Vec<Rule> {
        let text = |version: &Option<i64>| match version {
            Some(version) => format!("version = {version}\n"),
            None => String::new(),
        };
        let files = versions.iter().map(|version| {
            let text = text(version);
            Document::parse("t", text.as_bytes()).unwrap().to_table()
        });
        let refusals = Effective::load(release.parse().unwrap(), files).refusals();
        refusals.iter().map(|refusal| refusal.rule).collect()
    };
    for release in ["2.3.0", "2.3.4", "2.4.0-beta.0"] {
        assert_eq!(rules(release, &[Some(3), Some(4)]), [Rule::ConfigVersion]);
        assert_eq!(rules(release, &[Some(4), Some(3)]), []);
        assert_eq!(rules(release, &[Some(3), None]), []);
    }
    // A file without one counts as nothing, so that the next one binds.
    assert_eq!(
        rules("2.3.3", &[None, Some(3), Some(4)]),
        [Rule::ConfigVersion]
    );
    for release in ["2.3.5", "2.4.0-beta.1", "2.4.0"] {
        assert_eq!(rules(release, &[Some(3), Some(4)]), [], "{release}");
    }
    assert_eq!(rules("2.2.7", &[Some(2), Some(3)]), []);
    // The last that states one counts, as with 2.1.9.
    assert_eq!(rules("2.2.7", &[Some(3), Some(4), Some(3)]), []);
    // A file of version 1 is brought to the version before it, and containerd panics
    // where it knows no way.
    for release in ["2.1.9", "2.2.7"] {
        for versions in [&[Some(4), Some(1)][..], &[Some(2), Some(4), Some(1)]] {
            assert_eq!(rules(release, versions), [Rule::ConfigVersion]);
        }
        assert_eq!(rules(release, &[Some(4), Some(2), Some(1)]), []);
    }
    assert_eq!(rules("2.3.3", &[Some(4), Some(1)]), []);
    // As 1.7.24 does; up to 1.7.16 it did not look.
    assert_eq!(rules("1.7.24", &[Some(2), Some(3)]), [Rule::ConfigVersion]);
    assert_eq!(rules("1.7.24", &[Some(2), Some(3), Some(2)]), []);
    assert_eq!(rules("1.7.16", &[Some(2), Some(3)]), []);
    assert_eq!(rules("2.2.7", &[Some(3), Some(4)]), [Rule::ConfigVersion]);
}

#[test]
fn stats_of_two_plugins_share_a_name() {
    let runtime = "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\"]\n";
    let stats = format!("{runtime}stats_collect_period = \"5\"\nstats_retention_period = \"-\"\n");
    assert_eq!(rules("2.3.3", &stats), [Rule::CriDuration; 2]);
    assert_eq!(rules("2.2.2", &stats), []);
}

#[test]
fn what_is_optional_may_be_missing() {
    let unpack = "version = 3\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux/amd64\"\nsnapshotter = \"nope\"\n";
    let optional = format!("{unpack}optional = true\n");
    assert_eq!(rules("2.3.3", unpack), [Rule::Unpack]);
    // CRI loads, and its own snapshotter is not in the list.
    assert_eq!(rules("2.3.3", &optional), [Rule::NoUnpackPlatform]);
    assert_eq!(rules("2.1.9", &optional), [Rule::Unpack]);
}

/// As the daemon of 1.4.13 does.
#[test]
fn built_in_handlers_stay_in_1_4() {
    let kata = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n";
    assert_eq!(rules("1.4.13", kata), []);
    assert_eq!(rules("1.5.0", kata), [Rule::DefaultRuntime]);
}

#[test]
fn messages_have_no_credentials() {
    let text = format!("{IMAGES}.registry.auths.\"https://me:hunter2@m.example:port\"]\n");
    let document = Document::parse("t", text.as_bytes()).unwrap();
    let release = "2.1.9".parse().unwrap();
    let refusals = Effective::load(release, [document.to_table()]).refusals();
    let messages: Vec<_> = refusals.iter().map(|refusal| &refusal.message).collect();
    assert_eq!(
        messages,
        ["\"<hidden> (name, 33 characters)\" is not a URL"]
    );
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
}

/// What no file sets is not at fault.
#[test]
fn the_path_is_one_that_the_file_has() {
    let path = |text: &str| {
        let document = Document::parse("t", text.as_bytes()).unwrap();
        let release = "1.7.24".parse().unwrap();
        let refusals = Effective::load(release, [document.to_table()]).refusals();
        let last = refusals.last().unwrap();
        (last.rule, last.path.last().unwrap().clone())
    };
    let disabled = "version = 2\ndisabled_plugins = [\"io.containerd.snapshotter.v1.overlayfs\"]\n";
    let list = "disabled_plugins".to_owned();
    assert_eq!(path(disabled), (Rule::Snapshotter, list));
    let kata = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n";
    assert_eq!(path(kata), (Rule::DefaultRuntime, "runtimes".to_owned()));
}

#[test]
fn the_path_is_that_of_the_release() {
    let text = "version = 3\n[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"nope\"\n";
    let document = Document::parse("t", text.as_bytes()).unwrap();
    let release = "2.1.9".parse().unwrap();
    let refusals = Effective::load(release, [document.to_table()]).refusals();
    let [refusal] = refusals.as_slice() else {
        panic!("{refusals:?}")
    };
    assert_eq!(refusal.path, ["plugins", plugin::CRI_IMAGES, "snapshotter"]);
    let setting = ["plugins", plugin::CRI, "containerd", "snapshotter"];
    assert_eq!(refusal.setting, setting);
    assert_eq!(
        refusal.to_string(),
        "snapshotter: the snapshotter \"nope\" is not loaded: no plugin of that name (the CRI plugin is not loaded)"
    );
}

#[test]
fn every_rule_has_a_cure() {
    for rule in Rule::ALL {
        let help = rule.help();
        assert!(help.ends_with('.') && help.len() < 260, "{rule}: {help}");
        // What to write, and not that something is to be written.
        assert!(!help.starts_with("Correct"), "{rule}");
    }
}

/// As `config dump` of 1.4.13, 1.6.20 and 1.7.24 has it, of one file and of two: up
/// to 1.4 ids are looked at in version 2 only.
#[test]
fn sections_have_the_ids_of_plugins() {
    let rules = |release: &str, files: &[&str]| -> Vec<Rule> {
        let tables = files
            .iter()
            .map(|text| Document::parse("t", text.as_bytes()).unwrap().to_table());
        let refusals = Effective::load(release.parse().unwrap(), tables).refusals();
        refusals.iter().map(|refusal| refusal.rule).collect()
    };
    let short = "[plugins.scheduler]\npause_threshold = 0.03\n";
    let of = |version: i64| format!("version = {version}\n{short}");
    for release in ["1.4.13", "1.6.20", "1.7.24"] {
        assert_eq!(rules(release, &[short]), []);
        assert_eq!(rules(release, &[&of(2)]), [Rule::PluginId]);
        assert_eq!(rules(release, &[short, "version = 2\n"]), [Rule::PluginId]);
        assert_eq!(rules(release, &[&of(2), "version = 1\n"]), []);
    }
    assert_eq!(rules("1.4.13", &[&of(3)]), []);
    assert_eq!(rules("1.6.20", &[&of(3)]), [Rule::PluginId]);
    assert_eq!(rules("2.1.9", &[&of(2)]), []);
}
