//! Companion keys: what the migration owes to keys of the input, so that the
//! node goes on to do what it did with them.
//!
//! Some companions come with a conversion, which makes them where it keeps the
//! setting. Those about pulls are owed to the configuration as a whole, so they
//! are found once all is judged: from containerd 2.1 on CRI leaves pulls to the
//! transfer service, which cannot do all that CRI's own pull does
//! ([`pull`](crate::containerd::pull)).

use serde::Serialize;

use super::origin::Origin;
use super::running::Running;
use super::split::Concern;
use super::tree::{Files, Id, ROOT, Tree, Verdict, Why};
use super::{Options, Target, refusals};
use crate::config::known::{CONFIG_PATH, UNPACK_CONFIG, USE_LOCAL_IMAGE_PULL};
use crate::config::table::Known;
use crate::containerd::load::Effective;
use crate::containerd::pull::ImagePull;
use crate::containerd::refusal::{Refuses, Rule};
use crate::containerd::releases::V2_1;
use crate::diagnostic::Span;
use crate::k0s::FileName;
use crate::shown::{self, Behind, Redacted};
use crate::value::Value;

/// A key of a drop-in that stands for no key of the input: a key of the input
/// would not do without it what it did before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Companion {
    /// The key, by its path in the target's config version.
    pub key: String,
    /// The whole of the path, where that is not all of it.
    #[serde(skip)]
    whole_key: Behind,
    /// Its value.
    pub value: Redacted,
    /// The drop-in that holds it.
    pub drop_in: FileName,
    /// The key or table of the input that it is owed to, as the input spells it.
    pub owed_to: String,
    /// Where that stands.
    pub span: Option<Span>,
    /// Why it is needed.
    pub reason: String,
}

impl Companion {
    /// Shows all of it from now on.
    pub(super) fn reveal(&mut self) {
        self.value.reveal();
        self.whole_key.reveal(&mut self.key);
    }
}

/// Lists the companions among what goes into drop-ins.
pub(super) fn list(tree: &Tree, files: Files<'_>, parts: &[(Concern, Id)]) -> Vec<Companion> {
    let companion = |(concern, id): &(Concern, Id)| {
        let Some(Verdict::Keep(Why::Companion { owed_to, why })) = tree.verdict(*id) else {
            return None;
        };
        let value = tree.value(*id)?.clone();
        let source = tree.node(*owed_to).sources.first();
        Some(Companion {
            key: tree.written(*id),
            whole_key: Behind(shown::hidden_path(&tree.written_path(*id))),
            value: tree.redacted(*id, value),
            drop_in: concern.file_name(),
            owed_to: tree.shown(*owed_to),
            span: source.and_then(|source| files.span(source)),
            reason: why.clone(),
        })
    };
    parts.iter().filter_map(companion).collect()
}

/// What the companions of pulls depend on, beside the settings that are kept.
pub(super) struct Pulls<'a> {
    pub(super) target: &'a Target,
    /// What the target has by itself, if k0s has drop-ins there.
    pub(super) pristine: Option<&'a Effective>,
    pub(super) running: &'a Running,
    pub(super) origin: &'a Origin,
    pub(super) options: &'a Options,
}

impl Pulls<'_> {
    /// Adds the keys without which the node would pull from elsewhere, or not at
    /// all. `expected` is what will be in effect, without them and then with them.
    pub(super) fn add(&self, tree: &mut Tree, expected: &mut Effective) {
        if let Some((owed_to, why)) = self.unpacks_with_what_is_not_there(tree, expected) {
            let nothing = Value::Array(Vec::new());
            expected.set(&UNPACK_CONFIG, Some(&nothing));
            owe(tree, UNPACK_CONFIG, nothing, owed_to, &why);
        }
        let obstacles = expected.pull_obstacles();
        let obstacle = obstacles.iter().find_map(|obstacle| {
            let owed_to = node_at(tree, &obstacle.path)?;
            Some((owed_to, obstacle))
        });
        let obstacle = obstacle.filter(|_| self.may_pull_locally(tree));
        if let Some((owed_to, obstacle)) = obstacle {
            let why =
                format!("{obstacle}; with this key CRI pulls by itself, as containerd 1.x does");
            let value = Value::Boolean(true);
            expected.set(&USE_LOCAL_IMAGE_PULL, Some(&value));
            owe(tree, USE_LOCAL_IMAGE_PULL, value, owed_to, &why);
        }
        let Some(cause) = woken_by(expected, self.running) else {
            return;
        };
        let owed_to = match obstacle {
            Some((owed_to, _)) => Some(owed_to),
            None => node_at(tree, &cause),
        };
        let config_path = tree.find(&CONFIG_PATH);
        let is_free = config_path.is_none_or(|id| tree.value(id).is_none_or(Value::is_zero));
        if let Some(owed_to) = owed_to.filter(|_| is_free) {
            let why = format!(
                "where CRI pulls by itself, containerd {} looks for hosts.toml files in the directories of another containerd and of Docker unless it is told another; so far it looked in none",
                self.target.containerd()
            );
            let path = Value::String(self.options.config_path.clone());
            expected.set(&CONFIG_PATH, Some(&path));
            owe(tree, CONFIG_PATH, path, owed_to, &why);
        }
    }

    /// What keeps the transfer service, and CRI with it, from loading: by itself it
    /// unpacks with overlayfs, which the input may disable. CRI of containerd 1.x
    /// did without that service. An empty list has it unpack nothing (seen on 2.1.9,
    /// 2.2.7, 2.3.3, 2.3.4).
    fn unpacks_with_what_is_not_there(
        &self,
        tree: &mut Tree,
        expected: &Effective,
    ) -> Option<(Id, String)> {
        if self.target.containerd() < V2_1 || expected.set_value(&UNPACK_CONFIG).is_some() {
            return None;
        }
        let refusals = expected.refusals();
        let mut of_cri = refusals
            .iter()
            .filter(|refusal| refusal.refuses >= Refuses::Cri);
        let first = of_cri.next()?;
        let is_it = first.rule == Rule::Unpack && of_cri.all(|other| other.rule == Rule::Unpack);
        let owed_to = node_at(tree, &first.setting).filter(|_| is_it)?;
        let why = format!(
            "the transfer service does not load, and CRI with it: {}; an empty list has it unpack nothing",
            first.message
        );
        Some((owed_to, why))
    }

    /// Whether nobody has said who is to pull. A dump says it without its user; who
    /// writes `false` by hand is left to find out what containerd says to it.
    fn may_pull_locally(&self, tree: &mut Tree) -> bool {
        let said = tree.find(&USE_LOCAL_IMAGE_PULL);
        let Some(said) = said.filter(|said| !tree.is_out(*said)) else {
            return true;
        };
        if *self.origin != Origin::Sparse {
            return !tree.is_kept(said);
        }
        let why = "it is said where the node's pulls need the other value";
        tree.judge(said, Verdict::Keep(Why::Edit(why.to_owned())));
        false
    }
}

/// The setting because of which pulls look into directories that the node has
/// not looked into so far, and that no setting names.
fn woken_by(expected: &Effective, running: &Running) -> Option<Vec<String>> {
    if expected.image_pull() != ImagePull::Local {
        return None;
    }
    let stated = expected.set_value(&CONFIG_PATH);
    if stated.is_some_and(|path| !path.is_zero()) {
        return None;
    }
    let before = running.effective.as_ref();
    let before = before.map(Effective::hosts_directories).unwrap_or_default();
    let after = expected.hosts_directories();
    let wakes = after.iter().any(|directory| !before.contains(directory));
    wakes.then(|| expected.local_pull_setting()).flatten()
}

/// The node of the input at a path, or nearest above it.
fn node_at(tree: &mut Tree, path: &[String]) -> Option<Id> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let id = refusals::place(tree, &path)?;
    // The migration made it, out of a setting of the input.
    match tree.verdict(id) {
        Some(Verdict::Keep(Why::Companion { owed_to, .. })) => Some(*owed_to),
        _ => Some(id),
    }
}

/// Adds a key that is owed to a node of the input.
fn owe(tree: &mut Tree, setting: Known, value: Value, owed_to: Id, why: &str) {
    let Some((key, tables)) = setting.split_last() else {
        return;
    };
    let table = tree.make(ROOT, tables);
    tree.owe(table, key, value, owed_to, why);
}
