//! The library's model of k0s against files that k0s's own libraries
//! generated, and its model of containerd against `config dump`.

use std::collections::BTreeMap;
use std::path::Path;

use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::Effective;
use containerd_dropins::k0s::{self, DropInSet, Regime, assemble, preflight};
use containerd_dropins::value::{Table, Value};

use crate::support;

fn unquote(path: &str) -> Vec<String> {
    let parts = path.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
    parts.split("\".\"").map(str::to_owned).collect()
}

fn drop_ins(case: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(case.join("drop-ins"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, support::read(&path))
        })
        .collect()
}

/// Every key that containerd dumped is in effect with the same value.
fn agrees(effective: &Effective, dump: &Table, what: &str) {
    let dump = support::leaves(dump);
    assert!(dump.len() > 150, "{what}");
    for (key, expected) in dump {
        let path = unquote(&key);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path == ["imports"] || path == ["version"] {
            continue;
        }
        // containerd 2.3 leaves it where version 3 has it as long as there is
        // no address; it is without effect then.
        let debug = key.contains("debug\"") && key.ends_with("\"uid\"");
        if debug && what.contains("2.3.4") {
            continue;
        }
        // Debian's builds have one more directory.
        if path.last() == Some(&"bin_dirs") && what.contains("2.1.9") {
            continue;
        }
        let found = effective.get(&path);
        let same = found.as_ref() == Some(&expected) || found.is_none() && expected.is_zero();
        assert!(same, "{what}: {key} is {expected:?}, computed {found:?}");
    }
}

#[test]
fn assembles_and_loads_as_k0s_1_30_and_containerd_1_7_do() {
    // The release whose containerd is the one that dumped.
    let release = k0s::Release::all()
        .find(|release| release.containerd.to_string() == "1.7.27")
        .unwrap();
    for case in support::files("recorded/k0s-1.30") {
        let what = case.display().to_string();
        let drop_ins = drop_ins(&case);
        let assembled = assemble(&release, "pause:BASE", &support::set(&drop_ins)).unwrap();

        let generated = support::parse(&support::read(&case.join("containerd-cri.toml")));
        assert_eq!(
            support::parse(&assembled.cri_toml().unwrap()),
            generated,
            "{what}"
        );
        let dump = support::parse(&support::read(&case.join("dump-1.7.27.toml")));
        agrees(&assembled.effective(), &dump, &what);
    }
}

/// containerd 2.0 – 2.2 lose what stands in the place of an older version in a
/// file that does not say so; 2.3 does not.
const LOST_IN_2_1: &[&str] = &["nover_cri1", "nover_v2cri", "ver1"];

#[test]
fn assembles_and_loads_as_k0s_1_36_and_containerd_2_do() {
    let release = k0s::Release::find("v1.36.3+k0s.2").unwrap().0;
    let main = support::read(&support::path("recorded/k0s-1.36/containerd.toml"));
    for case in support::files("recorded/k0s-1.36") {
        if !case.is_dir() {
            continue;
        }
        let name = case.file_name().unwrap().to_str().unwrap();
        let drop_ins = drop_ins(&case);
        let given = support::set(&drop_ins);
        let rejected = !preflight(&given).is_empty();
        let old = ["nover_v2cri", "v2cri", "v2plain", "ver1"];
        assert_eq!(rejected, old.contains(&name), "{name}");
        match assemble(&release, "pause:BASE", &given) {
            Err(error) => assert!(rejected, "{name}: {error}"),
            Ok(assembled) => {
                let text = assembled.main_toml("/etc/k0s/containerd.d", "");
                assert_eq!(text.lines().next(), main.lines().next());
                assert_eq!(support::parse(&text), support::parse(&main));
            }
        }
        // containerd loads them whether k0s would start or not.
        for version in ["2.1.9", "2.3.4"] {
            if version == "2.1.9" && LOST_IN_2_1.contains(&name) {
                continue;
            }
            let files = std::iter::once(&main).chain(drop_ins.values());
            let files = files.map(|text| support::parse(text));
            let effective = Effective::load(version.parse::<Release>().unwrap(), files);
            let dump = support::parse(&support::read(&case.join(format!("dump-{version}.toml"))));
            agrees(&effective, &dump, &format!("{name}, containerd {version}"));
        }
    }
}

/// The recorded answers of containerd 2.1 are those of the one at hand.
/// `CONTAINERD_DIR=DIR RECORD=1` records them again; 2.3.4 is in no
/// distribution yet.
#[test]
fn the_containerd_at_hand_answers_as_recorded() {
    let all = support::containerds();
    let Some(containerd) = all.get("2.1.9") else {
        return;
    };
    let record = std::env::var_os("RECORD").is_some();
    for case in support::files("recorded/k0s-1.36") {
        if !case.is_dir() {
            continue;
        }
        let name = case.file_name().unwrap().to_str().unwrap();
        let found = support::dump_of_version_3(containerd, name, "pause:BASE", &drop_ins(&case));
        let path = case.join("dump-2.1.9.toml");
        if record {
            let text = found.replace(&support::temporary(name), "/etc/k0s");
            std::fs::write(&path, text).unwrap();
        }
        let mut found = support::leaves(&support::parse(&found));
        let mut recorded = support::leaves(&support::parse(&support::read(&path)));
        found.remove("\"imports\"");
        recorded.remove("\"imports\"");
        assert_eq!(found, recorded, "{name}");
    }
}

/// A drop-in in the way of k0s 1.27.1 – 1.27.4 keeps containerd from starting.
#[test]
fn k0s_1_27_1_pastes_drop_ins() {
    let release = k0s::Release::find("1.27.2").unwrap().0;
    assert_eq!(release.regime, Regime::CriAppend);
    let with = |text: &str| {
        let set = DropInSet::new([("a.toml", text)]).unwrap();
        let assembled = assemble(&release, "pause:BASE", &set);
        assembled.map(|assembled| assembled.effective())
    };
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    let runsc = with(&format!(
        "[{cri}.containerd.runtimes.runsc]\nruntime_type = \"io.containerd.runsc.v1\"\n"
    ));
    let path = [
        "plugins",
        support::CRI,
        "containerd",
        "runtimes",
        "runsc",
        "runtime_type",
    ];
    assert_eq!(
        runsc.unwrap().get(&path),
        Some(Value::String("io.containerd.runsc.v1".into()))
    );
    assert!(with(&format!("[{cri}]\nenable_selinux = true\n")).is_err());
    assert!(with(&format!("[{cri}.containerd]\nsnapshotter = \"native\"\n")).is_err());
    // Without CRI settings it is imported.
    assert!(
        with("version = 2\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"/x\"\n").is_ok()
    );
}
