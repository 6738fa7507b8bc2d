//! The declared defaults against what real containerd prints.

use containerd_dropins::containerd::load::default_config;
use containerd_dropins::value::Value;

use crate::support;

/// Keys that a distribution's build prints otherwise than upstream's.
fn is_shifted(key: &str, value: &Value) -> bool {
    let text = |text: &str| Value::String(text.to_owned());
    let shifted = [
        ("bin_dir", text("/usr/lib/cni")),
        (
            "bin_dirs",
            Value::Array(vec![text("/usr/lib/cni"), text("/opt/cni/bin")]),
        ),
    ];
    shifted
        .iter()
        .any(|(suffix, shifted)| key.ends_with(&format!("{suffix:?}")) && value == shifted)
}

#[test]
fn declared_defaults_are_what_config_default_prints() {
    for path in support::files("recorded/default") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (version, build) = name.split_once('-').unwrap_or((name, ""));
        let printed = support::leaves(&support::parse(&support::read(&path)));
        let declared = support::leaves(&default_config(version.parse().unwrap()));
        let mut wrong = Vec::new();
        for (key, value) in &printed {
            let shifted = build == "debian" && is_shifted(key, value);
            if declared.get(key) != Some(value) && !shifted {
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
