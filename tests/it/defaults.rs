//! The declared defaults against what real containerd prints.

use std::collections::BTreeMap;

use containerd_dropins::Config;
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::default_config;
use containerd_dropins::containerd::setting::Shift;
use containerd_dropins::value::Value;

use crate::support;
use crate::versions;

/// What a distribution's packages print otherwise than upstream, as declared, by
/// the path that `release` has it at.
fn packaged(release: Release) -> BTreeMap<String, Value> {
    let mut packaged = BTreeMap::new();
    for leaf in versions::leaves() {
        let Some(Shift::Packaged(history)) = leaf.setting.shift else {
            continue;
        };
        let past = history.iter().take_while(|(from, _)| *from <= release);
        let value = past.last().and_then(|(_, state)| state.printed());
        let address = Config::address(release.config_version(), &leaf.path);
        if let (Some(value), Some(address)) = (value, address) {
            let path: Vec<_> = address.iter().map(|key| format!("{key:?}")).collect();
            packaged.insert(path.join("."), value);
        }
    }
    packaged
}

#[test]
fn declared_defaults_are_what_config_default_prints() {
    for path in support::files("recorded/default") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (version, build) = name.split_once('-').unwrap_or((name, ""));
        let printed = support::leaves(&support::parse(&support::read(&path)));
        let release = version.parse().unwrap();
        let mut declared = support::leaves(&default_config(release));
        if build == "debian" {
            declared.extend(packaged(release));
        }
        let mut wrong = Vec::new();
        for (key, value) in &printed {
            if declared.get(key) != Some(value) {
                wrong.push(format!(
                    "{key} = {value:?}, declared {:?}",
                    declared.get(key)
                ));
            }
        }
        for (key, value) in &declared {
            // Builds differ in the plugins that are compiled in.
            let section = key.split("\".\"").take(2).collect::<Vec<_>>().join("\".\"");
            let built =
                !key.starts_with("\"plugins\"") || printed.keys().any(|k| k.starts_with(&section));
            let empty = matches!(value, Value::Array(items) if items.is_empty());
            // BurntSushi's encoder (1.3, 1.4) leaves nil slices out.
            if built && !printed.contains_key(key) && !empty {
                wrong.push(format!("{key} = {value:?} is declared, not printed"));
            }
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        assert!(printed.len() > 60, "{name}: {} keys", printed.len());
    }
}
