//! Makes the generated inputs. They are kept as they are, so that neither another
//! declaration of a setting nor another strategy makes others of them.

use std::collections::BTreeMap;

use containerd_dropins::Config;
use containerd_dropins::config::Registry;
use containerd_dropins::containerd::Release;
use containerd_dropins::k0s::{CONFIG_FILE, DROP_IN_DIR};
use containerd_dropins::strategies::{
    DropInFiles, DropInSets, LegacyFile, LegacyFiles, files_of_mixed_versions, hostile_bytes,
    odd_files, odd_registries, registries,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};
use sha2::{Digest as _, Sha256};

use crate::inputs::{Breadth, Front, Input};

/// With which all numbers begin. Each family has others, by its name.
pub(crate) const SEED: &str = "containerd-dropins freeze 1";

/// So many values of a strategy, always the same ones.
fn values<S: Strategy>(family: &str, count: usize, strategy: S) -> Result<Vec<S::Value>, String> {
    let seed = Sha256::digest(format!("{SEED} {family}"));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(RunnerConfig::default(), rng);
    let value = |_| {
        let tree = strategy.new_tree(&mut runner);
        let tree = tree.map_err(|reason| format!("{family}: {reason}"))?;
        Ok(tree.current())
    };
    (0..count).map(value).collect()
}

/// Inputs by family and number.
#[derive(Debug, Default)]
struct Made(Vec<Input>);

impl Made {
    fn add(&mut self, family: &str, front: Front, all: Vec<Vec<(String, Vec<u8>)>>) {
        let inputs = all.into_iter().enumerate().map(|(number, files)| Input {
            name: format!("generated/{family}-{number:04}"),
            front,
            files,
            breadth: Breadth::Digest,
        });
        self.0.extend(inputs);
    }

    fn legacy(&mut self, family: &str, texts: Vec<Vec<u8>>) {
        let files = texts
            .into_iter()
            .map(|text| vec![(CONFIG_FILE.to_owned(), text)]);
        self.add(family, Front::Legacy, files.collect());
    }

    /// Files that are like each other stand beside each other: they take up little
    /// room then.
    fn files(&mut self, family: &str, count: usize, files: LegacyFiles) -> Result<(), String> {
        let mut files: Vec<LegacyFile> = values(family, count, files.strategy())?;
        files.sort_by_key(|file| (file.is_dump, file.version, file.containerd));
        let texts = files.into_iter().map(|file| file.text.into_bytes());
        self.legacy(family, texts.collect());
        Ok(())
    }

    fn sets(&mut self, family: &str, count: usize, sets: DropInSets) -> Result<(), String> {
        let sets: Vec<DropInFiles> = values(family, count, sets.strategy())?;
        let on_node =
            |(name, text): (String, String)| (format!("{DROP_IN_DIR}/{name}"), text.into_bytes());
        let sets = sets
            .into_iter()
            .map(|set| set.files.into_iter().map(on_node).collect());
        self.add(family, Front::DropIns, sets.collect());
        Ok(())
    }

    fn registries(
        &mut self,
        family: &str,
        count: usize,
        strategy: impl Strategy<Value = Registry>,
    ) -> Result<(), String> {
        let text = |settings| {
            let mut config = Config::default();
            config.plugins.cri.registry = settings;
            config.version = Some(2);
            config.to_toml().into_bytes()
        };
        let all = values(family, count, strategy)?;
        self.legacy(family, all.into_iter().map(text).collect());
        Ok(())
    }
}

/// All of them.
pub(crate) fn all() -> Result<Vec<Input>, String> {
    let mut made = Made::default();
    made.files("files", 900, LegacyFiles::new())?;
    made.files("dumps", 300, LegacyFiles::new().dumps().at_most(20))?;
    made.files("sparse", 500, LegacyFiles::new().sparse().at_most(3))?;
    made.files("any-text", 250, LegacyFiles::new().any_text())?;
    made.files(
        "secret",
        200,
        LegacyFiles::new().with_secret("hunter2hunter2"),
    )?;
    made.registries("registries", 200, registries())?;
    made.registries("odd-registries", 100, odd_registries())?;
    made.sets("sets-2", 400, DropInSets::of_version(2).with_conversions())?;
    let odd = DropInSets::of_version(2).with_conversions().any_text();
    made.sets("odd-sets-2", 100, odd)?;
    made.sets("sets-3", 250, DropInSets::of_version(3).with_conversions())?;
    let odd = DropInSets::of_version(3).with_conversions().any_text();
    made.sets("odd-sets-3", 100, odd)?;
    made.legacy("hostile", values("hostile", 300, hostile_bytes())?);
    let odd = values("odd", 200, odd_files())?;
    made.legacy("odd", odd.into_iter().map(String::into_bytes).collect());
    let mixed = values("mixed", 100, files_of_mixed_versions())?;
    made.legacy("mixed", mixed.into_iter().map(String::into_bytes).collect());
    beside(&mut made)?;
    Ok(made.0)
}

/// Drop-ins with a main file beside them, a file in a folder, and one elsewhere.
fn beside(made: &mut Made) -> Result<(), String> {
    let family = "beside";
    let releases = [Release::new(1, 7, 20)];
    let mains = LegacyFiles::new().versions(&[2]).read_by(&releases);
    let sets = DropInSets::of_version(2).with_conversions();
    let strategy = (mains.strategy(), sets.strategy());
    let mut all = Vec::new();
    for (main, set) in values(family, 100, strategy)? {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut imports = Vec::new();
        let count = set.files.len();
        for (at, (name, text)) in set.files.into_iter().enumerate() {
            let path = match at {
                _ if at + 1 == count => format!("{DROP_IN_DIR}/{name}"),
                0 => format!("{DROP_IN_DIR}/nested/{name}"),
                1 => format!("/etc/containerd/conf.d/{name}"),
                _ => format!("{DROP_IN_DIR}/{name}"),
            };
            if at + 1 < count && at < 2 {
                imports.push(format!("{path:?}"));
            }
            let imports = imports.join(", ");
            let text = match at + 1 == count {
                true => format!("imports = [{imports}]\n{text}"),
                false => text,
            };
            files.insert(path, text.into_bytes());
        }
        files.insert(CONFIG_FILE.to_owned(), main.text.into_bytes());
        all.push(files.into_iter().collect());
    }
    made.add(family, Front::DropIns, all);
    Ok(())
}
