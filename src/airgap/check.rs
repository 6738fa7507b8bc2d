//! The sandbox images of a plan against the list of a bundle.

use std::collections::BTreeMap;

use super::advice;
use super::image::ImageReference;
use super::list::ImageList;
use super::report::{AirgapReport, CheckedImage};
use crate::diagnostic::{Code, Finding};
use crate::k0s;
use crate::migrate::{DecidedBy, Plan};
use crate::shown::{plural, printable};

/// Checks whether the bundle with this list holds the sandbox image that is in
/// effect before the migration, and the one after it.
pub fn check(plan: &Plan, list: &ImageList) -> AirgapReport {
    let release = &plan.target.release;
    let of = |image: &str, because: String| CheckedImage::of(image, because, list);
    let is_stated = plan.target.stated.pause_image;
    let own = of(
        plan.target.pause_image(),
        match is_stated {
            true => format!("it was stated to be the one of k0s {release}"),
            false => format!("k0s {release} was built with it"),
        },
    );
    let sandbox = &plan.sandbox;
    let file = printable(&plan.file);
    let why = |by: DecidedBy, release: &k0s::Release, input: String| match by {
        DecidedBy::Input => input,
        DecidedBy::K0s => format!("k0s {release} injects it"),
        DecidedBy::Containerd => format!("containerd {} has it built in", release.containerd),
    };
    let kept = match sandbox.before_by {
        DecidedBy::Input if sandbox.before == sandbox.after => format!("{file} sets it"),
        _ => "a drop-in of the plan sets it".to_owned(),
    };
    let before = why(sandbox.before_by, &plan.running, format!("{file} sets it"));
    let after = why(sandbox.after_by, release, kept);
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
    // A list need not name an image that the k0s configuration asks for to be
    // that of the release.
    let others = match report.own.listed || is_stated {
        true => Vec::new(),
        false => other_releases(list),
    };
    report.findings = findings(&report, sandbox.before_by, list, &others);
    advice::give(&mut report, plan, !others.is_empty());
    report
}

fn findings(
    report: &AirgapReport,
    before_by: DecidedBy,
    list: &ImageList,
    others: &[String],
) -> Vec<Finding> {
    let mut findings = vec![about_images(report, before_by)];
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
/// What k0s injects so far is in the bundle of its own release.
fn about_images(report: &AirgapReport, before_by: DecidedBy) -> Finding {
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
        Some(before) if !before.listed && before_by != DecidedBy::K0s => {
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
    let mut by_image: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (first, last) in runs {
        let named = |image: ImageReference| list.contains(&image);
        if first.pause_image.parse().is_ok_and(named) {
            let range = format!("{first} to {last}");
            let image = first.pause_image.into_owned();
            by_image.entry(image).or_default().push(range);
        }
    }
    let text = |(image, ranges): (String, Vec<String>)| {
        format!("{image}, that of k0s {}", ranges.join(" and "))
    };
    by_image.into_iter().map(text).collect()
}
