//! The two sides of a migration as files of a node: what is there before, and
//! what the library makes of it, put together as k0s does.

use std::collections::{BTreeMap, BTreeSet};

use containerd_dropins::Document;
use containerd_dropins::containerd::{Import, Release};
use containerd_dropins::diagnostic::Severity;
use containerd_dropins::k0s::{self, DropInSet, assemble};
use containerd_dropins::migrate::{
    ExistingDropIns, Options, Plan, RegistryPolicy, Target, plan, plan_drop_ins,
};

use crate::case::{Case, Input, Policy, Wanted};

const MAIN: &str = "/etc/k0s/containerd.toml";
const CRI: &str = "/run/k0s/containerd-cri.toml";

/// A node's configuration, for the containerd that it runs.
pub(crate) struct Side {
    pub(crate) containerd: Release,
    /// Files by path; or why k0s does not start with them.
    pub(crate) files: Result<BTreeMap<String, String>, String>,
    /// The image that k0s injects, or containerd would ask for.
    pub(crate) pause: String,
    /// The codes of the plan's error-level findings.
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// The containerd of the nodes that are to be migrated, if nothing else is
/// said: the line of all k0s releases up to 1.35.
const RUNNING: &str = "1.7.24";
/// The same for those with drop-ins.
const RUNNING_K0S: &str = "v1.30.4+k0s.0";

/// The release of containerd that runs in the place of the one that is given.
pub(crate) type StandIn<'a> = &'a dyn Fn(Release) -> Result<Release, String>;

/// A k0s release, with the containerd that runs here.
fn target(k0s: &str, stand_in: StandIn<'_>) -> Result<Target, String> {
    let target = Target::find(k0s).map_err(|error| error.to_string())?;
    let containerd = stand_in(target.containerd())?;
    let target = target.with_containerd(containerd);
    target.map_err(|error| error.to_string())
}

/// The node as it is.
pub(crate) fn before(case: &Case, stand_in: StandIn<'_>) -> Result<Side, String> {
    match &case.input {
        Input::Legacy(text) => {
            let containerd = case.said.running.as_deref().unwrap_or(RUNNING);
            let containerd = containerd.parse().map_err(|_| "running: no release")?;
            Ok(Side {
                containerd: stand_in(containerd)?,
                files: Ok(BTreeMap::from([(MAIN.to_owned(), text.clone())])),
                pause: "registry.k8s.io/pause:3.8".to_owned(),
                errors: Vec::new(),
                warnings: Vec::new(),
            })
        }
        Input::DropIns(drop_ins) => {
            let k0s = case.said.running.as_deref().unwrap_or(RUNNING_K0S);
            let target = target(k0s, stand_in)?;
            Ok(Side {
                containerd: target.containerd(),
                files: put_together(&target, drop_ins),
                pause: target.pause_image().to_owned(),
                errors: Vec::new(),
                warnings: Vec::new(),
            })
        }
    }
}

/// The node with the plan's result.
pub(crate) fn after(case: &Case, wanted: &Wanted, stand_in: StandIn<'_>) -> Result<Side, String> {
    let target = target(&wanted.k0s, stand_in)?;
    let options = match wanted.registry {
        None => Options::default(),
        Some(Policy::Keep) => Options::default().registry(RegistryPolicy::Keep),
        Some(Policy::Convert) => Options::default().registry(RegistryPolicy::Convert),
    };
    let plan = match &case.input {
        Input::Legacy(text) => {
            let legacy = parse(MAIN, text)?;
            let imported = imported(case, &[&legacy])?;
            plan(&legacy, &imported, &target, &options)
        }
        Input::DropIns(drop_ins) => {
            let drop_ins = drop_ins.iter();
            let drop_ins = drop_ins
                .map(|(name, text)| parse(&format!("{}/{name}", k0s::DROP_IN_DIR), text))
                .collect::<Result<Vec<_>, _>>()?;
            let imported = imported(case, &drop_ins.iter().collect::<Vec<_>>())?;
            let existing = ExistingDropIns::new(k0s::DROP_IN_DIR, &drop_ins);
            let existing = existing.and_then(|existing| existing.importing(&imported));
            let existing = existing.map_err(|error| error.to_string())?;
            plan_drop_ins(&existing, &target, &options)
        }
    };
    let drop_ins = plan.drop_ins.iter();
    let drop_ins: BTreeMap<String, String> = drop_ins
        .map(|drop_in| (drop_in.name.to_string(), drop_in.text().to_owned()))
        .collect();
    let mut files = put_together(&target, &drop_ins);
    if let Ok(files) = &mut files {
        let hosts = plan.hosts_files.iter();
        files.extend(hosts.map(|file| (file.path.clone(), file.text().to_owned())));
    }
    Ok(Side {
        containerd: target.containerd(),
        files,
        pause: target.pause_image().to_owned(),
        errors: errors(&plan),
        warnings: codes(&plan, Severity::Warning),
    })
}

fn codes(plan: &Plan, severity: Severity) -> Vec<String> {
    let findings = plan.findings.iter();
    let meant = findings.filter(|finding| finding.severity == severity);
    let codes: BTreeSet<&str> = meant.map(|finding| finding.code.as_str()).collect();
    codes.into_iter().map(str::to_owned).collect()
}

fn errors(plan: &Plan) -> Vec<String> {
    let mut errors = codes(plan, Severity::Error);
    if !plan.verified {
        errors.push("not verified".to_owned());
    }
    errors
}

fn parse(path: &str, text: &str) -> Result<Document, String> {
    Document::parse(path, text.as_bytes()).map_err(|error| error.to_string())
}

/// What files import of the case's other files, and what that imports.
fn imported(case: &Case, files: &[&Document]) -> Result<Vec<Document>, String> {
    let mut imported: BTreeMap<&str, Document> = BTreeMap::new();
    let mut imports: Vec<Import> = files.iter().flat_map(|file| Import::of(file)).collect();
    while let Some(import) = imports.pop() {
        for (path, text) in &case.files {
            if import.matches(path) && !imported.contains_key(path.as_str()) {
                let document = parse(path, text)?;
                imports.extend(Import::of(&document));
                imported.insert(path, document);
            }
        }
    }
    Ok(imported.into_values().collect())
}

/// The files that k0s leaves for containerd, and the drop-ins.
fn put_together(
    target: &Target,
    drop_ins: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let texts = drop_ins.iter();
    let texts = texts.map(|(name, text)| (name, text.as_str()));
    let set = DropInSet::default().importing(texts);
    let set = set.map_err(|error| error.to_string())?;
    let assembled = assemble(&target.release, target.pause_image(), &set);
    let assembled = assembled.map_err(|error| format!("k0s does not start: {error}"))?;
    let mut files: BTreeMap<String, String> = drop_ins
        .iter()
        .map(|(name, text)| (format!("{}/{name}", k0s::DROP_IN_DIR), text.clone()))
        .collect();
    files.insert(MAIN.to_owned(), assembled.main_toml(k0s::DROP_IN_DIR, CRI));
    files.extend(assembled.cri_toml().map(|text| (CRI.to_owned(), text)));
    Ok(files)
}
