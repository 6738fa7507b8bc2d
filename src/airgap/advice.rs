//! Symptom, cause, cure, and how to check it.

use super::report::{AirgapReport, CheckedImage};
use crate::k0s::{self, Regime};
use crate::migrate::{DecidedBy, Plan};
use crate::shown::printable;

/// Where k0s looks for bundles, by default.
const BUNDLES: &str = "/var/lib/k0s/images";

/// Completes a report that has its images and findings. `of_another` says that
/// the list looks like that of another release.
pub(super) fn give(report: &mut AirgapReport, plan: &Plan, of_another: bool) {
    let by = (plan.sandbox.before_by, plan.sandbox.after_by);
    let missing = |image: &Option<CheckedImage>| image.clone().filter(|image| !image.listed);
    if let Some(image) = missing(&report.after) {
        let as_before = |before: &CheckedImage| before.image == image.image;
        let when = match report.before.as_ref().is_some_and(as_before) {
            true => "no pod starts, before the migration and after it,",
            false => "after the migration no pod starts",
        };
        report.symptom = Some(symptom(when, &image));
        report.cause = Some(cause(&report.release, plan, by.1));
        report.steps = vec![cure(report, &image, by.1, of_another)];
    } else if let (Some(image), Some(after)) = (missing(&report.before), &report.after)
        && by.0 != DecidedBy::K0s
    {
        let step = format!(
            "Take the next steps of the plan: with them the sandbox image is {}, which the bundle holds.",
            after.image
        );
        report.symptom = Some(symptom("no pod starts", &image));
        report.cause = Some(cause(&plan.running, plan, by.0));
        report.steps = vec![step];
    }
    let checks = checks(report, by.1);
    report.steps.extend(checks);
    report.notes = notes(report, plan, by.1);
}

fn symptom(what: &str, image: &CheckedImage) -> String {
    let place = match &image.reference {
        Some(reference) => format!(" where {} cannot be reached", reference.registry()),
        None => String::new(),
    };
    format!(
        "{what}{place}; pods stay in ContainerCreating, with the event FailedCreatePodSandBox: failed to get sandbox image {:?}",
        image.image
    )
}

/// Why an image is asked for that is not there.
fn cause(release: &k0s::Release, plan: &Plan, by: DecidedBy) -> String {
    let containerd = release.containerd;
    match by {
        DecidedBy::Containerd if release.regime == Regime::Monolith => format!(
            "k0s {release} injects no sandbox image and {} sets none, so containerd {containerd} falls back to its built-in one",
            k0s::CONFIG_FILE
        ),
        DecidedBy::Containerd => format!(
            "k0s takes {} for yours and injects no sandbox image; the file sets none that counts, so containerd {containerd} falls back to its built-in one",
            k0s::CONFIG_FILE
        ),
        DecidedBy::Input => {
            let file = printable(&plan.file);
            format!("{file} sets the image, and what is set is what containerd asks for")
        }
        DecidedBy::K0s => {
            let which = match plan.target.stated.pause_image {
                true => "that was stated for it",
                false => "that it was built with",
            };
            format!("k0s {release} injects the image {which}, and the list does not name it")
        }
    }
}

/// How the sandbox image after the migration and the bundle come together.
fn cure(report: &AirgapReport, image: &CheckedImage, by: DecidedBy, of_another: bool) -> String {
    let (release, own) = (&report.release, &report.own);
    let such_as = match &image.nearest {
        Some(nearest) => format!(", such as {nearest}"),
        None => String::new(),
    };
    let mut ways = Vec::new();
    match by {
        _ if release.regime == Regime::Monolith => ways.push(format!(
            "set sandbox_image in {} to an image of the bundle{such_as}",
            k0s::CONFIG_FILE
        )),
        DecidedBy::Input if own.listed => ways.push(format!(
            "migrate again with the sandbox image dropped, so that k0s injects {}, which the bundle holds",
            own.image
        )),
        DecidedBy::K0s if of_another => ways.push(format!(
            "use the bundle of k0s {release}, whose list `k0s airgap list-images` of that release prints"
        )),
        DecidedBy::K0s if release.pause_image_is_configurable() => ways.push(format!(
            "set spec.images.pause in the k0s configuration to an image of the bundle{such_as}"
        )),
        _ => {}
    }
    if image.reference.is_some() {
        ways.push(format!(
            "put {} into a bundle in {BUNDLES} on each node",
            image.image
        ));
    }
    match ways.as_slice() {
        [way] => format!("First {way}."),
        _ => format!("First either {}.", ways.join(", or ")),
    }
}

/// How to see on the node that it is so.
fn checks(report: &AirgapReport, by: DecidedBy) -> Vec<String> {
    let after = report.after.as_ref();
    // What is no reference may be no argument of a command either.
    let Some((after, reference)) = after.zip(after.and_then(|after| after.reference.as_ref()))
    else {
        return Vec::new();
    };
    let image = &after.image;
    let mut steps = vec![format!(
        "Check on the node that the bundle was imported: `k0s ctr images ls | grep -F '{reference}'` prints a line."
    )];
    let before = report.before.as_ref();
    if before.is_some_and(|before| before.image == *image) {
        return steps;
    }
    let merged = format!("{}/{}", k0s::RUN_DIR, k0s::CRI_FILE);
    let file = match (report.release.regime, by) {
        (Regime::CriAppend | Regime::CriMerge, _) => Some(merged.as_str()),
        (Regime::ImportsV3, DecidedBy::K0s) => Some(k0s::CONFIG_FILE),
        _ => None,
    };
    steps.extend(file.map(|file| {
        format!(
            "Check after the restart what containerd is told: `grep sandbox {file}` names {image}."
        )
    }));
    steps.push("Check that no new event comes up: `k0s kubectl get events -A --field-selector reason=FailedCreatePodSandBox`.".to_owned());
    steps
}

/// What the list does not tell.
fn notes(report: &AirgapReport, plan: &Plan, by: DecidedBy) -> Vec<String> {
    let (release, own) = (&report.release, &report.own.image);
    let is_stated = plan.target.stated.pause_image;
    let mut notes = Vec::new();
    if by == DecidedBy::K0s && release.pause_image_is_configurable() {
        if !is_stated {
            notes.push(
                "The k0s configuration is not looked at. If spec.images.pause or spec.images.repository in it leads to another pause image, k0s injects that one, and it is what the bundle has to hold.".to_owned(),
            );
        }
        if release.lists_built_in_pause_image() {
            let listed = match is_stated {
                true => "the image that it was built with even if another one is injected",
                false => &format!("{own} even then"),
            };
            notes.push(format!(
                "`k0s airgap list-images` of k0s {release} names {listed}; 1.29.14, 1.30.10, 1.31.6 and 1.32.2 name the image that is injected."
            ));
        }
    }
    if report.symptom.is_some() {
        notes.push(
            "imagePullPolicy Never, and spec.images.default_pull_policy of k0s, do not cover the sandbox image: containerd pulls it by itself.".to_owned(),
        );
    }
    notes
}
