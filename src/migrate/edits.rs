//! Which settings are the user's: the three-way comparison of the file, the
//! defaults it was written from, and what the target has without it.

use std::collections::BTreeSet;

use super::origin::Origin;
use super::sandbox::{self, Stale};
use super::tree::{Dropped, Files, Id, ROOT, Tree, Verdict, Why};
use super::unknown::{UNKNOWN_KEY, Unknown};
use super::{Options, SandboxImage, Target};
use crate::config::{Config, address, known};
use crate::containerd::place::Place;
use crate::containerd::setting::Kind;
use crate::containerd::{Release, behaviour, plugin};
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use crate::shown;
use crate::value::Value;

/// Why containerd does not read a value, by its type. Which options of a runtime
/// handler count is up to its shim, and so whether their types matter: that is a
/// refusal of the result.
pub(super) fn mismatch(tree: &Tree, id: Id, release: Release) -> Option<(Code, String)> {
    let value = tree.value(id)?;
    let Some(place) = tree.node(id).place() else {
        let is_plugin = matches!(tree.path(id).as_slice(), ["plugins", _]);
        let why = "a plugin's settings are a table".to_owned();
        return is_plugin.then_some((Code::WrongType, why));
    };
    let message = place.mismatch(value, release)?;
    (!place.free()).then_some((Code::WrongType, message))
}

/// Judges every leaf of files that stay as they are: what is wrong is said, and
/// nothing is taken out. `merged` says which of the files k0s merges.
pub(super) fn judge_in_place(
    tree: &mut Tree,
    files: Files<'_>,
    target: &Target,
    options: &Options,
    merged: &[bool],
) -> Vec<Finding> {
    let mut judge = Judge {
        files,
        origin: &Origin::Sparse,
        target,
        options,
        in_place: Some(merged),
        unknown: Unknown::default(),
        findings: Vec::new(),
    };
    for id in tree.leaves(ROOT) {
        let wrong = judge.verdict(tree, id);
        let verdict = match wrong {
            Verdict::Drop(Dropped::NotExpressible, _) => wrong,
            _ => Verdict::Keep(Why::Edit("stays as it is".to_owned())),
        };
        tree.judge(id, verdict);
    }
    judge.findings
}

/// Judges every leaf.
pub(super) fn judge(
    tree: &mut Tree,
    files: Files<'_>,
    origin: &Origin,
    target: &Target,
    options: &Options,
) -> Vec<Finding> {
    let mut judge = Judge {
        files,
        origin,
        target,
        options,
        in_place: None,
        unknown: Unknown::default(),
        findings: Vec::new(),
    };
    for id in tree.leaves(ROOT) {
        judge.leaf(tree, id);
    }
    for map in [known::PROXY_PLUGINS, known::STREAM_PROCESSORS] {
        if let Some(map) = tree.find(&map) {
            for entry in tree.children(map).collect::<Vec<_>>() {
                judge.whole_entry(tree, entry);
            }
        }
    }
    judge.docker_io(tree);
    judge.findings
}

struct Judge<'a> {
    files: Files<'a>,
    origin: &'a Origin,
    target: &'a Target,
    options: &'a Options,
    /// The files stay as they are; which of them k0s merges.
    in_place: Option<&'a [bool]>,
    /// What was said of keys without a declaration.
    unknown: Unknown,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn say(&mut self, tree: &Tree, id: Id, code: Code, message: impl Into<String>) {
        self.findings
            .push(self.files.finding(tree, id, code, message));
    }

    fn leaf(&mut self, tree: &mut Tree, id: Id) {
        let verdict = self.verdict(tree, id);
        tree.judge(id, verdict);
    }

    fn verdict(&mut self, tree: &mut Tree, id: Id) -> Verdict {
        let Some(value) = tree.value(id) else {
            return Verdict::Pending;
        };
        if let Some((code, message)) = self.mismatch(tree, id, value) {
            let finding = self.files.wrong_value(tree, id, code, &message);
            self.findings.push(finding);
            return Verdict::Drop(Dropped::NotExpressible, message);
        }
        let Some(place) = tree.node(id).place() else {
            return self.unknown(tree, id);
        };
        if place.owned().is_some() {
            return self.owned(tree, id, &place, value);
        }
        if place.is(known::SANDBOX_IMAGE) {
            let image = value.as_str().unwrap_or_default();
            return self.sandbox_image(tree, id, image);
        }
        if place.is(known::DISABLED_PLUGINS) || place.is(known::REQUIRED_PLUGINS) {
            if self.in_place.is_some() {
                // What the list brings about is a refusal.
                return Verdict::Keep(Why::Edit("differs from the default".to_owned()));
            }
            return self.plugin_list(tree, id, &place);
        }
        self.declared(tree, id, &place, value)
    }

    /// Why a value is not read. Of what k0s merges, containerd gets what the
    /// merge makes of it: `1.0` becomes `1`, a date a string.
    fn mismatch(&self, tree: &Tree, id: Id, value: &Value) -> Option<(Code, String)> {
        let release = self.target.containerd();
        let as_written = mismatch(tree, id, release);
        let file = tree.node(id).sources.last().map(|source| source.file);
        let merged = self
            .in_place
            .zip(file)
            .and_then(|(merged, file)| merged.get(file));
        let place = tree.node(id).place().filter(|place| !place.free());
        let (Some(place), Some(true)) = (place, merged) else {
            return as_written;
        };
        let passed = k0s::passed(value.clone()).ok()?;
        let why = place.mismatch(&passed, release)?;
        as_written.or_else(|| {
            let message = format!(
                "k0s's merge makes it {}, and {why}; in a drop-in without CRI settings it stays as it is",
                passed.type_name()
            );
            Some((Code::NotMergeable, message))
        })
    }

    fn unknown(&mut self, tree: &Tree, id: Id) -> Verdict {
        let path = tree.path(id);
        let plugin = match path.as_slice() {
            ["plugins", plugin, _, ..] if !address::is_declared_plugin(plugin) => Some(*plugin),
            _ => None,
        };
        let containerd = self.target.containerd();
        let is_of_1_x = |id: &str| plugin::is_uri(id) && !address::is_later_place(id);
        if plugin.is_some_and(|plugin| !is_of_1_x(plugin)) && !containerd.is_2() {
            let message = format!(
                "{UNKNOWN_KEY}, and containerd {containerd} of the target can have no plugin of this id that it could be kept in"
            );
            self.say(tree, id, Code::WithoutEffect, message.clone());
            return Verdict::Drop(Dropped::NoEffect, message);
        }
        let parent = tree.node(tree.node(id).parent).place();
        let around = tree.upwards(id).find_map(|at| tree.node(at).place());
        if around.is_some_and(|around| around.is_gone(containerd)) {
            let why = format!(
                "{UNKNOWN_KEY}, and containerd {containerd} of the target no longer has the table that it is in"
            );
            self.say(tree, id, Code::Obsolete, why.clone());
            return Verdict::Drop(Dropped::Obsolete, why);
        }
        let key = &tree.node(id).key;
        if parent.is_some_and(|parent| address::is_later_key(&parent, key)) {
            let message = format!(
                "a later config version has this key; containerd {containerd} of the target does not read it"
            );
            self.say(tree, id, Code::NotInTarget, message.clone());
            return Verdict::Keep(Why::Unknown(message));
        }
        let said = self.unknown.say(tree, self.files, id, containerd);
        self.findings.extend(said);
        let plugin = plugin.filter(|plugin| !address::is_later_place(plugin));
        Verdict::Keep(Why::Unknown(match plugin {
            None => "unknown to containerd 1.2 to 2.4; carried over as it is".to_owned(),
            Some(plugin) => format!(
                "containerd 1.2 to 2.4 have no settings for the plugin {:?}; carried over as it is",
                shown::name(plugin)
            ),
        }))
    }

    fn owned(&mut self, tree: &Tree, id: Id, place: &Place, value: &Value) -> Verdict {
        let why = place.owned().unwrap_or_default();
        let is_list = matches!(place.kind(), Kind::Strs);
        if !is_list && !k0s::is_boilerplate(&tree.path(id), value.as_str()) {
            let message = format!("{why}, so this value never took effect");
            self.say(tree, id, Code::OwnedByK0sOther, message);
        }
        Verdict::Drop(Dropped::Owned, why.to_owned())
    }

    fn sandbox_image(&mut self, tree: &Tree, id: Id, image: &str) -> Verdict {
        let injected = self.target.pause_image();
        let shown = shown::text(image);
        let release = &self.target.release;
        let stale = sandbox::stale(image, self.target);
        let keep = match self.options.sandbox_image {
            SandboxImage::Auto => stale.is_none() && !image.is_empty(),
            SandboxImage::Keep => true,
            SandboxImage::Drop => false,
        };
        if image == injected {
            return Verdict::Drop(
                Dropped::TargetDefault,
                format!("it is the image that k0s {release} injects"),
            );
        }
        if keep {
            return Verdict::Keep(Why::Edit("a sandbox image of your own".to_owned()));
        }
        let what = match stale {
            Some(stale) => format!("the file pins the sandbox image {shown}, {stale}"),
            None if image.is_empty() => "the file empties the sandbox image".to_owned(),
            None => format!("the sandbox image {shown} is dropped as asked"),
        };
        let message = format!("{what}; k0s {release} injects {injected}");
        self.say(tree, id, Code::SandboxImageStale, message);
        let what = match stale {
            _ if image.is_empty() => "no sandbox image at all",
            Some(Stale::Default) => "a default sandbox image",
            Some(Stale::Earlier) => {
                "the Kubernetes project's pause image in a tag that is not later"
            }
            None => "dropped as asked",
        };
        Verdict::Drop(
            Dropped::StaleDefault,
            format!("{what}; k0s injects {injected}"),
        )
    }

    /// Judges `disabled_plugins` and `required_plugins`, and takes out of them
    /// what must not stay.
    fn plugin_list(&mut self, tree: &mut Tree, id: Id, place: &Place) -> Verdict {
        let disabled = place.is(known::DISABLED_PLUGINS);
        let items = tree.value(id).and_then(Value::as_array).unwrap_or_default();
        let mut kept = Vec::new();
        let mut dropped = None;
        let mut seen = BTreeSet::new();
        for item in items {
            // containerd 2.x takes each name once.
            if self.target.containerd().is_2() && !seen.insert(item.as_str()) {
                continue;
            }
            let plugin = item.as_str().unwrap_or_default();
            let out = match self.misfit(plugin) {
                _ if disabled && plugin::OF_CRI.contains(&plugin) => Some((
                    Code::CriDisabled,
                    Dropped::Owned,
                    format!(
                        "the file disables {plugin}, without which k0s runs no pod; that entry is dropped"
                    ),
                )),
                Some(why) => Some((Code::PluginGone, Dropped::Obsolete, why)),
                None => None,
            };
            match out {
                Some((code, verdict, message)) => {
                    self.findings
                        .push(self.files.finding(tree, id, code, message.clone()));
                    dropped = Some((verdict, message));
                }
                None => kept.push(item.clone()),
            }
        }
        let is_empty = kept.is_empty();
        if is_empty && dropped.is_none() && tree.node(id).original.is_some() {
            let why = "containerd knows no plugin under the names in it";
            return Verdict::Drop(Dropped::NoEffect, why.to_owned());
        }
        let kept = Value::Array(kept);
        let verdict = match dropped {
            Some((dropped, why)) if is_empty => Verdict::Drop(dropped, why),
            _ => self.declared(tree, id, place, &kept),
        };
        tree.change(id, kept);
        verdict
    }

    /// Why the target's containerd has no plugin of this id.
    fn misfit(&self, plugin: &str) -> Option<String> {
        let containerd = self.target.containerd();
        let settings = Config::place_of(&["plugins", plugin]);
        let gone = settings.is_some_and(|place| place.is_gone(containerd));
        let not_yet = address::is_new_in_3(plugin) && !containerd.is_2();
        let why = match (gone, not_yet) {
            (true, _) => "no longer has",
            (_, true) => "does not have",
            _ => return None,
        };
        Some(format!(
            "containerd {containerd} of the target {why} the plugin {}; the entry is dropped",
            shown::name(plugin)
        ))
    }

    fn declared(&mut self, tree: &Tree, id: Id, place: &Place, value: &Value) -> Verdict {
        let containerd = self.target.containerd();
        let origin = self.origin.of_node(tree, id);
        // What a release does not print, somebody wrote.
        let from_origin = origin.filter(|release| place.prints(value, *release));
        if place.is_default(value, containerd) {
            return Verdict::Drop(
                Dropped::TargetDefault,
                match place.is_zero_of_entry(containerd) {
                    true => "the same as leaving it out".to_owned(),
                    false => format!("containerd {containerd} of the target has it by itself"),
                },
            );
        }
        if let Some(release) = from_origin {
            let why =
                format!("containerd {release} wrote it as its default; the target has its own");
            return Verdict::Drop(Dropped::StaleDefault, why);
        }
        if tree.is_merged_by_value(tree.node(id)) && value.is_zero() {
            let why = "containerd lets no zero value override a default here".to_owned();
            self.say(tree, id, Code::ZeroValueIgnored, why.clone());
            return Verdict::Drop(Dropped::NoEffect, why);
        }
        if place.is_gone(containerd) {
            return match place.is_last_default(value) {
                true => Verdict::Drop(
                    Dropped::Obsolete,
                    format!(
                        "a default of a setting that containerd {containerd} of the target no longer has"
                    ),
                ),
                false => Verdict::Keep(Why::Edit("differs from what was the default".to_owned())),
            };
        }
        if place.is_too_new(containerd) {
            let why = if place.is_last_default(value) {
                "the default of a setting that"
            } else if *value == Value::Boolean(false) {
                "it switches off what"
            } else {
                return Verdict::Keep(Why::Edit("differs from the default".to_owned()));
            };
            let why = format!("{why} containerd {containerd} of the target does not have yet");
            return Verdict::Drop(Dropped::TargetDefault, why);
        }
        if !place.known_in(containerd) {
            let message = format!("containerd {containerd} of the target does not know this key");
            self.say(tree, id, Code::NotInTarget, message.clone());
            return Verdict::Keep(Why::Unknown(message));
        }
        if tree.is_of_1_x() && place.since().is_some_and(Release::is_2) {
            let message = format!(
                "containerd 1.x ignored this setting, containerd {containerd} of the target reads it"
            );
            self.say(tree, id, Code::LaterPlace, message);
        }
        let changed = origin.is_some_and(|origin| {
            let (old, new) = (place.state(origin), place.state(containerd));
            old.is_printed() && old != new
        });
        if changed {
            let message =
                "the default changed between the release that wrote the file and the target";
            self.say(tree, id, Code::BothChanged, message);
        }
        Verdict::Keep(Why::Edit(match origin {
            Some(release) => {
                format!("differs from the defaults of containerd {release} and of the target")
            }
            None => "differs from the target's default".to_owned(),
        }))
    }

    /// The mirror that containerd 1.3 and 1.4 bring along for docker.io keeps
    /// `*` away from it, which counts for hosts without a mirror of their own.
    fn docker_io(&mut self, tree: &mut Tree) {
        let mirrors = tree.find(&known::MIRRORS);
        let Some(mirrors) = mirrors else {
            return;
        };
        let (any, docker) = (tree.child(mirrors, "*"), tree.child(mirrors, "docker.io"));
        let (Some(any), Some(docker)) = (any, docker) else {
            return;
        };
        if !tree.has_kept(any) {
            return;
        }
        for id in tree.leaves(docker) {
            if matches!(
                tree.verdict(id),
                Some(Verdict::Drop(Dropped::StaleDefault, _))
            ) {
                let why = "without it the mirror of all other hosts would count for docker.io too";
                tree.judge(id, Verdict::Keep(Why::Edit(why.to_owned())));
            }
        }
    }

    /// containerd 1.x replaces entries of these maps whole, so they are kept
    /// or dropped whole.
    fn whole_entry(&mut self, tree: &mut Tree, entry: Id) {
        let leaves = tree.leaves(entry);
        let pending = |verdict: Option<&Verdict>| {
            !matches!(verdict, Some(Verdict::Drop(Dropped::NotExpressible, _)))
        };
        let is_same = |release| entry_is_built_in(tree, entry, release);
        let release = self.origin.of_node(tree, entry);
        let verdict = if is_same(self.target.containerd()) {
            Some((
                Dropped::TargetDefault,
                "containerd brings this entry along".to_owned(),
            ))
        } else {
            release.filter(|release| is_same(*release)).map(|release| {
                (
                    Dropped::StaleDefault,
                    format!("containerd {release} wrote it as its default"),
                )
            })
        };
        for id in leaves {
            if !pending(tree.verdict(id)) || tree.node(id).place().is_none() {
                continue;
            }
            let zero = tree.value(id).is_some_and(Value::is_zero);
            let verdict = match &verdict {
                Some((dropped, why)) => Verdict::Drop(*dropped, why.clone()),
                None if zero => Verdict::Drop(
                    Dropped::TargetDefault,
                    "the same as leaving it out".to_owned(),
                ),
                None => Verdict::Keep(Why::Edit(
                    "the entry is replaced as a whole, so all of it is needed".to_owned(),
                )),
            };
            tree.judge(id, verdict);
        }
    }
}

/// What is left of settings that the target's containerd has no place for,
/// once their successors have taken what they can.
pub(super) fn without_place(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let containerd = target.containerd();
    let mut findings = Vec::new();
    let mut tls_said = BTreeSet::new();
    for id in tree.leaves(ROOT) {
        let Some(place) = tree.node(id).place().filter(|_| tree.is_kept(id)) else {
            continue;
        };
        let gone = place.removed().filter(|gone| *gone <= containerd);
        let later = place.since().filter(|_| place.is_too_new(containerd));
        let parent = tree.node(id).parent;
        let is_tls = place.is_in(known::HOSTS_TLS);
        let value = tree.value(id);
        let other = value.and_then(|value| behaviour::of(place, value, containerd));
        let (code, dropped, message) = match (gone.and(other), gone, later) {
            (Some(other), ..) => (
                other.code,
                Dropped::NotExpressible,
                other.message(containerd),
            ),
            (None, None, Some(since)) if tree.is_in_file_of_1_x(id) => {
                let message = format!(
                    "containerd {since} and later read this key; {containerd} of the target ignores it, as 1.x did"
                );
                findings.push(files.finding(tree, id, Code::NotInTarget, message.clone()));
                tree.judge(id, Verdict::Keep(Why::Unknown(message)));
                continue;
            }
            (None, Some(gone), _) if is_tls => (
                Code::RegistryTls,
                Dropped::NotExpressible,
                format!(
                    "containerd {gone} removed TLS settings of registries from its configuration"
                ),
            ),
            (None, Some(gone), _) => (
                Code::Obsolete,
                Dropped::Obsolete,
                format!(
                    "containerd {gone} removed this setting; containerd {containerd} of the target ignores it"
                ),
            ),
            (None, None, Some(since)) => (
                Code::NotExpressible,
                Dropped::NotExpressible,
                format!(
                    "the setting exists from containerd {since} on, and the target runs {containerd}"
                ),
            ),
            (None, None, None) if !plugin::of_servers(containerd) && tree.is_zero_of_server(id) => {
                (
                    Code::NotExpressible,
                    Dropped::NotExpressible,
                    format!(
                        "containerd {containerd} of the target takes a zero value of this setting for none"
                    ),
                )
            }
            (None, None, None) => continue,
        };
        // A table at a time.
        let about = if code == Code::RegistryTls {
            parent
        } else {
            id
        };
        if code != Code::RegistryTls || tls_said.insert(parent) {
            findings.push(files.finding(tree, about, code, message.clone()));
        }
        tree.judge(id, Verdict::Drop(dropped, message));
    }
    findings
}

/// Whether an entry of the file is, key by key, one that containerd has of
/// itself. A key that is missing is zero in the file's entry.
pub(super) fn entry_is_built_in(tree: &Tree, entry: Id, release: Release) -> bool {
    let Some(place) = tree.node(entry).place() else {
        return false;
    };
    let parent = tree.node(tree.node(entry).parent);
    let alive = parent.place().is_some_and(|map| {
        map.builtin_entries(release)
            .any(|key| key == tree.node(entry).key)
    });
    let mut same = alive;
    place.each_declared(&mut |key, child| {
        let id = tree.children(entry).find(|id| tree.node(*id).key == key);
        let value = id.and_then(|id| tree.value(id));
        same &= match value {
            Some(value) => child.state(release).is_default(value),
            None => child
                .state(release)
                .printed()
                .is_none_or(|default| default.is_zero()),
        };
    });
    same && tree
        .leaves(entry)
        .iter()
        .all(|id| tree.node(*id).place().is_some())
}
