//! What the library answers.

use std::fmt::{Display, Write as _};

use containerd_dropins::airgap::{self, ImageList};
use containerd_dropins::containerd::Release;
use containerd_dropins::containerd::load::Effective;
use containerd_dropins::k0s::{self, DROP_IN_DIR, DropInSet};
use containerd_dropins::migrate::{self, ExistingDropIns, Plan, Redacted, plan, plan_drop_ins};
use containerd_dropins::registry::{convert, endpoints, hosts_named, unneeded_mirrors};
use containerd_dropins::value::Table;
use containerd_dropins::{Config, Document, ParseError};
use serde::Serialize;

use crate::combinations::Combination;
use crate::inputs::{Front, Input};

/// Kinds of outputs, each with a digest of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// What a document is, or why it is none.
    Document,
    /// `migrate::check`.
    Check,
    /// What containerd has in effect with the files by themselves, and refuses.
    Loaded,
    /// The typed model, written again.
    Config,
    /// Registry settings converted, and the endpoints that are tried.
    Registry,
    /// `Display` of a plan.
    Text,
    /// The same of an exposed plan.
    TextExposed,
    /// A plan by serde.
    Json,
    /// The same of an exposed plan.
    JsonExposed,
    /// The texts of drop-ins.
    DropIns,
    /// The texts of `hosts.toml` files.
    HostsFiles,
    /// Both as they are shown.
    Shown,
    Findings,
    Ledger,
    /// What else changes on the node, and keys that are added.
    Changes,
    Steps,
    /// Whether the plan is verified and sound, and what it says of itself.
    Verdict,
    /// The report on an airgap bundle.
    Airgap,
    /// What k0s and containerd make of the drop-ins.
    Effective,
    /// What the example program prints and writes.
    Program,
}

impl Kind {
    pub(crate) const ALL: [Kind; 20] = [
        Kind::Document,
        Kind::Check,
        Kind::Loaded,
        Kind::Config,
        Kind::Registry,
        Kind::Text,
        Kind::TextExposed,
        Kind::Json,
        Kind::JsonExposed,
        Kind::DropIns,
        Kind::HostsFiles,
        Kind::Shown,
        Kind::Findings,
        Kind::Ledger,
        Kind::Changes,
        Kind::Steps,
        Kind::Verdict,
        Kind::Airgap,
        Kind::Effective,
        Kind::Program,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Document => "document",
            Kind::Check => "check",
            Kind::Loaded => "loaded",
            Kind::Config => "config",
            Kind::Registry => "registry",
            Kind::Text => "text",
            Kind::TextExposed => "text-exposed",
            Kind::Json => "json",
            Kind::JsonExposed => "json-exposed",
            Kind::DropIns => "drop-ins",
            Kind::HostsFiles => "hosts-files",
            Kind::Shown => "shown",
            Kind::Findings => "findings",
            Kind::Ledger => "ledger",
            Kind::Changes => "changes",
            Kind::Steps => "steps",
            Kind::Verdict => "verdict",
            Kind::Airgap => "airgap",
            Kind::Effective => "effective",
            Kind::Program => "program",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) kind: Kind,
    /// For what: releases and options, or a command.
    pub(crate) of: String,
    pub(crate) text: String,
}

impl Output {
    pub(crate) fn new(kind: Kind, of: impl Into<String>, text: String) -> Self {
        let of = of.into();
        Output { kind, of, text }
    }

    /// Below a line that says what it is.
    pub(crate) fn with_head(&self) -> String {
        format!(
            "######## {}: {}\n{}",
            self.kind.as_str(),
            self.of,
            self.text
        )
    }
}

/// The releases by which files are loaded by themselves: each line that loads
/// otherwise.
const LOADING: [&str; 6] = [
    "1.4.13",
    "1.6.20",
    "1.7.24",
    "2.1.9",
    "2.3.4",
    "2.4.0-beta.0",
];

/// A bundle of k0s 1.30 with a line that is no image.
const BUNDLE: &str = "registry.k8s.io/pause:3.9
quay.io/k0sproject/coredns:1.11.3
registry.example/team/pause:3.9
not an image
";

/// Everything that is asked of an input.
pub(crate) fn of(input: &Input, combinations: &[&Combination]) -> Result<Vec<Output>, String> {
    let mut outputs = Vec::new();
    let mut documents = Vec::new();
    for (path, text) in &input.files {
        let parsed = Document::parse(path.as_str(), text);
        let about = about(parsed.as_ref())?;
        outputs.push(Output::new(Kind::Document, path.as_str(), about));
        documents.extend(parsed.ok());
    }
    if documents.len() < input.files.len() {
        // Nothing is planned of files that cannot be read.
        return Ok(outputs);
    }
    for document in &documents {
        let found = migrate::check(document);
        outputs.push(Output::new(Kind::Check, document.name(), lines(&found)?));
        let config = Config::read(document);
        outputs.push(Output::new(Kind::Config, document.name(), config.to_toml()));
        outputs.push(Output::new(
            Kind::Registry,
            document.name(),
            registry(&config)?,
        ));
    }
    for release in LOADING {
        let tables = documents.iter().map(Document::to_table);
        let text = loaded(release, tables.collect())?;
        outputs.push(Output::new(Kind::Loaded, release, text));
    }
    for combination in combinations {
        of_plan(input.front, &documents, combination, &mut outputs)?;
    }
    Ok(outputs)
}

fn about(parsed: Result<&Document, &ParseError>) -> Result<String, String> {
    let mut text = String::new();
    match parsed {
        Err(error) => {
            line(&mut text, error);
            line(&mut text, error.kind().as_str());
            line(&mut text, error.help());
            line(&mut text, json(error.span())?);
        }
        Ok(document) => {
            line(&mut text, format!("{:?}", document.version()));
            line(&mut text, format!("{:?}", document.marker()));
            line(&mut text, format!("{:?}", document.size()));
            line(&mut text, format!("{:?}", document.imports()));
            line(&mut text, format!("{:?}", document.toml_1_1()));
            line(&mut text, document.has_byte_order_mark());
        }
    }
    Ok(text)
}

/// The same settings for containerd 1.7 and 2.3.
fn registry(config: &Config) -> Result<String, String> {
    let settings = &config.plugins.cri.registry;
    let (old, new) = (release("1.7.24")?, release("2.3.4")?);
    let mut text = String::new();
    for host in hosts_named(settings) {
        line(&mut text, format!("== {host}"));
        match endpoints(settings, &host, old) {
            Err(error) => line(&mut text, error),
            Ok(endpoints) => endpoints
                .iter()
                .for_each(|endpoint| line(&mut text, format!("{endpoint:?}"))),
        }
    }
    match convert(settings, old, new) {
        Err(error) => line(&mut text, error),
        Ok(conversion) => {
            for file in &conversion.files {
                line(&mut text, format!("== {} {:?}", file.path, file.sources));
                text.push_str(&file.file.to_toml(new));
            }
            for remark in &conversion.remarks {
                line(&mut text, format!("{remark:?}"));
            }
        }
    }
    let unneeded = unneeded_mirrors(settings, old, new);
    line(&mut text, format!("unneeded: {unneeded:?}"));
    Ok(text)
}

fn loaded(version: &str, tables: Vec<Table>) -> Result<String, String> {
    let release = release(version)?;
    let mut text = String::new();
    let before = Effective::load(release, []);
    in_effect(&mut text, &before, &Effective::load(release, tables))?;
    Ok(text)
}

fn in_effect(text: &mut String, before: &Effective, after: &Effective) -> Result<(), String> {
    let value = |value: &Option<Redacted>| match value {
        Some(value) => value.expose().exposed().to_string(),
        None => "none".to_owned(),
    };
    for difference in before.differences(after) {
        let path = json(&difference.path)?;
        let (before, after) = (value(&difference.before), value(&difference.after));
        line(text, format!("{path}: {before} -> {after}"));
    }
    for refusal in after.refusals() {
        line(text, &refusal);
        line(text, refusal.rule.help());
        line(text, format!("{:?}", refusal.path));
    }
    Ok(())
}

fn of_plan(
    front: Front,
    documents: &[Document],
    asked: &Combination,
    outputs: &mut Vec<Output>,
) -> Result<(), String> {
    let Combination {
        label,
        target,
        options,
        is_plain,
    } = asked;
    let plan = match front {
        Front::Legacy => match documents.split_first() {
            None => return Err("an input without files".to_owned()),
            Some((legacy, imported)) => plan(legacy, imported, target, options),
        },
        Front::DropIns => match existing(documents) {
            Ok(existing) => plan_drop_ins(&existing, target, options),
            Err(error) => {
                outputs.push(Output::new(Kind::Document, label, error));
                return Ok(());
            }
        },
    };
    let mut add = |kind, text| outputs.push(Output::new(kind, label, text));
    add(Kind::Text, plan.to_string());
    add(Kind::Json, json(&plan)?);
    let (mut drop_ins, mut hosts, mut shown) = (String::new(), String::new(), String::new());
    for file in &plan.drop_ins {
        let head = format!("== {} ({}) {}", file.name, file.about, mode(file.sensitive));
        line(&mut drop_ins, &head);
        drop_ins.push_str(file.text());
        line(&mut shown, &head);
        shown.push_str(file.redacted_text());
    }
    for file in &plan.hosts_files {
        let mode = mode(file.sensitive);
        let head = format!("== {} {} ({}) {mode}", file.name, file.path, file.host);
        line(&mut hosts, &head);
        hosts.push_str(file.text());
        line(&mut shown, &head);
        shown.push_str(file.redacted_text());
    }
    add(Kind::DropIns, drop_ins);
    add(Kind::HostsFiles, hosts);
    add(Kind::Shown, shown);
    add(Kind::Findings, lines(&plan.findings)?);
    add(Kind::Ledger, lines(&plan.ledger)?);
    let mut changes = lines(&plan.changes)?;
    changes.push_str("== with the release\n");
    changes.push_str(&lines(&plan.release_changes)?);
    changes.push_str("== added\n");
    changes.push_str(&lines(&plan.companions)?);
    add(Kind::Changes, changes);
    add(Kind::Steps, lines(&plan.steps)?);
    add(Kind::Verdict, verdict(&plan)?);
    if *is_plain {
        let report = airgap::check(&plan, &ImageList::parse(BUNDLE));
        add(Kind::Airgap, format!("{report}{}\n", json(&report)?));
        add(Kind::Effective, effective(front, documents, &plan)?);
    }
    let exposed = plan.exposed();
    add(Kind::TextExposed, exposed.to_string());
    add(Kind::JsonExposed, json(&exposed)?);
    Ok(())
}

fn mode(sensitive: bool) -> &'static str {
    if sensitive { "0600" } else { "0644" }
}

/// Drop-ins and what they import, with the main file if it is there.
fn existing(documents: &[Document]) -> Result<ExistingDropIns<'_>, String> {
    let main = documents.iter().find(|document| is_main(document));
    let (drop_ins, imported) = parts(documents);
    ExistingDropIns::new(DROP_IN_DIR, drop_ins)
        .and_then(|existing| existing.importing(imported))
        .map(|existing| existing.with_main(main))
        .map_err(|error| format!("{error}\n"))
}

fn is_main(document: &Document) -> bool {
    document.name() == k0s::CONFIG_FILE
}

/// Drop-ins, and what they import.
fn parts(documents: &[Document]) -> (Vec<&Document>, Vec<&Document>) {
    let is_drop_in = |document: &&Document| {
        let below = below_directory(document);
        below.is_some_and(|below| !below.contains('/'))
    };
    let others = documents.iter().filter(|document| !is_main(document));
    others.partition(is_drop_in)
}

/// The path of a document below the directory of drop-ins.
fn below_directory(document: &Document) -> Option<&str> {
    document.name().strip_prefix(DROP_IN_DIR)?.strip_prefix('/')
}

fn verdict(plan: &Plan) -> Result<String, String> {
    let mut text = String::new();
    line(&mut text, format!("verified: {}", plan.verified));
    line(&mut text, format!("sound: {}", plan.is_sound()));
    line(&mut text, format!("severity: {:?}", plan.severity()));
    line(&mut text, format!("file: {}", plan.file));
    line(&mut text, format!("version: {}", plan.config_version));
    line(&mut text, format!("managed: {}", plan.k0s_managed));
    line(&mut text, format!("kept: {}", plan.kept().count()));
    line(&mut text, format!("target: {}", json(&plan.target)?));
    line(&mut text, format!("running: {}", json(&plan.running)?));
    line(&mut text, format!("origin: {}", json(&plan.origin)?));
    line(&mut text, format!("removed: {}", json(&plan.removed)?));
    line(&mut text, format!("sandbox: {}", json(&plan.sandbox)?));
    Ok(text)
}

/// What is in effect beside the target's own, with the drop-ins there are and with
/// those of the plan.
fn effective(front: Front, documents: &[Document], plan: &Plan) -> Result<String, String> {
    let mut text = String::new();
    if front == Front::DropIns {
        line(&mut text, "== before");
        let set = given(documents);
        match set {
            Err(error) => line(&mut text, error),
            Ok(set) => {
                for rejection in k0s::preflight(&set) {
                    line(&mut text, rejection);
                }
                assembled(&mut text, &set, plan)?;
            }
        }
    }
    line(&mut text, "== after");
    match plan.drop_in_set() {
        Err(error) => line(&mut text, error),
        Ok(set) => assembled(&mut text, &set, plan)?,
    }
    Ok(text)
}

fn given(documents: &[Document]) -> Result<DropInSet<'_>, String> {
    let (drop_ins, imported) = parts(documents);
    // By path on the node, or below the directory.
    let named = |document| (named(document), document.text());
    DropInSet::new(drop_ins.into_iter().map(named))
        .and_then(|set| set.importing(imported.into_iter().map(named)))
        .map_err(|error| error.to_string())
}

fn named(document: &Document) -> &str {
    below_directory(document).unwrap_or(document.name())
}

fn assembled(text: &mut String, set: &DropInSet<'_>, plan: &Plan) -> Result<(), String> {
    let release = &plan.target.release;
    let pause = plan.target.pause_image();
    let assembled = match k0s::assemble(release, pause, set) {
        Err(error) => {
            line(text, error);
            return Ok(());
        }
        Ok(assembled) => assembled,
    };
    text.push_str(&assembled.main_toml(DROP_IN_DIR, "/run/k0s/containerd-cri.toml"));
    text.push_str(&assembled.cri_toml().unwrap_or_default());
    line(text, format!("unused: {}", json(&assembled.unused())?));
    let none = DropInSet::default();
    let before = k0s::assemble(release, pause, &none).map_err(|error| error.to_string())?;
    in_effect(text, &before.effective(), &assembled.effective())
}

fn release(version: &str) -> Result<Release, String> {
    version
        .parse()
        .map_err(|error| format!("{version}: {error}"))
}

fn line(text: &mut String, line: impl Display) {
    let _ = writeln!(text, "{line}");
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

/// A line for each.
fn lines(values: &[impl Serialize]) -> Result<String, String> {
    let mut text = String::new();
    for value in values {
        line(&mut text, json(value)?);
    }
    Ok(text)
}
