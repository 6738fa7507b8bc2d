//! The library's model of k0s 1.27.5 – 1.35 against files that k0s's own
//! libraries generated, and its model of containerd 1.7 against `config dump`.

use std::collections::BTreeMap;

use containerd_dropins::containerd::load::Effective;
use containerd_dropins::k0s::{self, assemble};

use crate::support;

fn unquote(path: &str) -> Vec<String> {
    let parts = path.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
    parts.split("\".\"").map(str::to_owned).collect()
}

#[test]
fn assembles_and_loads_as_the_real_ones_do() {
    // The release whose containerd is the one that dumped.
    let release = k0s::Release::all()
        .find(|release| release.containerd.to_string() == "1.7.27")
        .unwrap();
    for case in support::files("recorded/k0s-1.30") {
        let drop_ins: BTreeMap<String, String> = std::fs::read_dir(case.join("drop-ins"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, support::read(&path))
            })
            .collect();
        let given = drop_ins
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let assembled = assemble(&release, "pause:BASE", given).unwrap();

        let generated = support::parse(&support::read(&case.join("containerd-cri.toml")));
        assert_eq!(
            support::parse(&assembled.cri_toml().unwrap()),
            generated,
            "{}",
            case.display()
        );

        let effective: Effective = assembled.effective();
        let dump = support::leaves(&support::parse(&support::read(
            &case.join("dump-1.7.27.toml"),
        )));
        assert!(dump.len() > 150);
        for (key, expected) in dump {
            let path = unquote(&key);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if path == ["imports"] || path == ["version"] {
                continue;
            }
            let found = effective.get(&path);
            let same = found.as_ref() == Some(&expected) || found.is_none() && expected.is_zero();
            assert!(
                same,
                "{}: {key} is {expected:?}, computed {found:?}",
                case.display()
            );
        }
    }
}
