//! The sandbox images of a plan against the list of a bundle.

use std::collections::BTreeMap;

use serde::Serialize;

use super::advice;
use super::image::ImageReference;
use super::list::ImageList;
use crate::diagnostic::{Code, Finding, Severity};
use crate::k0s;
use crate::migrate::report::plural;
use crate::migrate::{DecidedBy, Plan};

/// What an airgap bundle means for the sandbox image of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct AirgapReport {
    /// The k0s release that the plan is for.
    pub release: k0s::Release,
    /// How many images the list names.
    pub images: usize,
    /// The pause image that the release was built with. The list of its own
    /// bundle names it, unless the k0s configuration has another one.
    pub own: CheckedImage,
    /// The sandbox image before the migration; none where it cannot be known,
    /// as [`SandboxImages`](crate::migrate::SandboxImages) tells.
    pub before: Option<CheckedImage>,
    /// The sandbox image after the migration; none where it cannot be known.
    pub after: Option<CheckedImage>,
    /// What is seen on the node if an image is not there.
    pub symptom: Option<String>,
    /// Why that image is asked for.
    pub cause: Option<String>,
    /// What there is to say, the gravest first.
    pub findings: Vec<Finding>,
    /// What to do and to check, in order.
    pub steps: Vec<String>,
    /// What the list does not tell.
    pub notes: Vec<String>,
}

/// A sandbox image, looked up in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckedImage {
    /// The image, as it is written.
    pub image: String,
    /// What containerd makes of it; none if it is no image reference.
    pub reference: Option<ImageReference>,
    /// Whether the list names it.
    pub listed: bool,
    /// What comes nearest in the list, if it does not.
    pub nearest: Option<ImageReference>,
    /// Where the image comes from, in words.
    pub because: String,
}

impl CheckedImage {
    fn of(image: &str, because: String, list: &ImageList) -> Self {
        let reference: Option<ImageReference> = image.parse().ok();
        let listed = reference.as_ref().is_some_and(|image| list.contains(image));
        let nearest = reference.as_ref().filter(|_| !listed);
        CheckedImage {
            image: image.to_owned(),
            listed,
            nearest: nearest.and_then(|image| list.nearest(image)).cloned(),
            reference,
            because,
        }
    }

    /// The image, fit to be shown: a file may set any text.
    pub(super) fn shown(&self) -> String {
        match &self.reference {
            Some(_) => self.image.clone(),
            None => format!("{:?}", self.image),
        }
    }
}

impl AirgapReport {
    /// The gravest severity among the findings.
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// Checks whether the bundle with this list holds the sandbox image that is in
/// effect before the migration, and the one after it.
pub fn check(plan: &Plan, list: &ImageList) -> AirgapReport {
    let release = &plan.target.release;
    let of = |image: &str, because: String| CheckedImage::of(image, because, list);
    let own = of(
        release.pause_image,
        format!("k0s {release} was built with it"),
    );
    let sandbox = &plan.sandbox;
    let file = plan.file.replace(char::is_control, "\u{fffd}");
    let why = |by: DecidedBy, input: String| match by {
        DecidedBy::Input => input,
        DecidedBy::K0s => format!("k0s {release} injects it"),
        DecidedBy::Containerd => format!("containerd {} has it built in", release.containerd),
    };
    let kept = match sandbox.before_by {
        DecidedBy::Input if sandbox.before == sandbox.after => format!("{file} sets it"),
        _ => "a drop-in of the plan sets it".to_owned(),
    };
    let before = why(sandbox.before_by, format!("{file} sets it"));
    let after = why(sandbox.after_by, kept);
    let mut report = AirgapReport {
        images: list.images().len(),
        before: sandbox.before.as_ref().map(|image| of(image, before)),
        after: sandbox.after.as_ref().map(|image| of(image, after)),
        symptom: None,
        cause: None,
        findings: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
        release: release.clone(),
        own,
    };
    let others = match report.own.listed {
        true => Vec::new(),
        false => other_releases(list),
    };
    report.findings = findings(&report, list, &others);
    advice::give(&mut report, plan, !others.is_empty());
    report
}

fn findings(report: &AirgapReport, list: &ImageList, others: &[String]) -> Vec<Finding> {
    let mut findings = vec![about_images(report)];
    if !others.is_empty() {
        let message = format!(
            "the list does not name {}, the pause image of k0s {}, but {}",
            report.own.image,
            report.release,
            others.join("; and ")
        );
        findings.push(Finding::new(Code::AirgapOtherRelease, message));
    }
    let unreadable = match list.unreadable() {
        [] if report.images == 0 => Some("the list names no image at all".to_owned()),
        [] => None,
        [only] => Some(format!("a line of the list is no image reference: {only}")),
        [first, rest @ ..] => Some(format!(
            "{} of the list are no image references: {first}; … and {} more",
            plural(rest.len() + 1, "line"),
            rest.len()
        )),
    };
    findings.extend(unreadable.map(|message| Finding::new(Code::AirgapListUnreadable, message)));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What there is to say about the images before and after.
fn about_images(report: &AirgapReport) -> Finding {
    let Some(after) = &report.after else {
        let message = "which sandbox image the node uses cannot be told: either containerd does not start on the input, or a file that was not read decides";
        return Finding::new(Code::AirgapImageUnknown, message);
    };
    let image = after.shown();
    let before = report.before.as_ref();
    let stays = before.is_some_and(|before| before.image == after.image);
    let before = before.filter(|_| !stays);
    let when = match stays {
        true => "before and after the migration",
        false => "after the migration",
    };
    match before {
        _ if !after.listed => {
            let was = match before {
                Some(before) if before.listed => {
                    format!("; so far it is {}, which the bundle holds", before.shown())
                }
                _ => String::new(),
            };
            let message = format!(
                "{image} is the sandbox image {when}, and the bundle does not hold it{was}"
            );
            Finding::new(Code::AirgapImageMissing, message)
        }
        Some(before) if !before.listed => {
            let message = format!(
                "{} is the sandbox image so far, and the bundle does not hold it; {when} it is {image}, which the bundle holds",
                before.shown()
            );
            Finding::new(Code::AirgapImageWasMissing, message)
        }
        _ => {
            let message = format!("{image} is the sandbox image {when}, and the bundle holds it");
            Finding::new(Code::AirgapImageThere, message)
        }
    }
}

/// The pause images in the list, each with the k0s releases that were built
/// with it.
fn other_releases(list: &ImageList) -> Vec<String> {
    let mut runs: Vec<(k0s::Release, k0s::Release)> = Vec::new();
    for release in k0s::Release::all() {
        match runs.last_mut() {
            Some((first, last)) if first.pause_image == release.pause_image => *last = release,
            _ => runs.push((release.clone(), release)),
        }
    }
    let mut by_image: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (first, last) in runs {
        let named = |image: ImageReference| list.contains(&image);
        if first.pause_image.parse().is_ok_and(named) {
            let range = format!("{first} to {last}");
            by_image.entry(first.pause_image).or_default().push(range);
        }
    }
    let text = |(image, ranges): (&str, Vec<String>)| {
        format!("{image}, that of k0s {}", ranges.join(" and "))
    };
    by_image.into_iter().map(text).collect()
}
