//! The report as text, for a tired administrator.

use std::fmt;

use serde::Serialize;

use super::image::ImageReference;
use super::list::ImageList;
use crate::diagnostic::{Finding, Severity};
use crate::k0s;
use crate::migrate::report::{findings, steps};
use crate::shown::plural;

/// What an airgap bundle means for the sandbox image of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct AirgapReport {
    /// The k0s release that the plan is for.
    pub release: k0s::Release,
    /// How many images the list names.
    pub images: usize,
    /// The target's pause image: the one that the release was built with, which
    /// the list of its own bundle names unless the k0s configuration has another
    /// one, or the one that was stated.
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
    pub(super) fn of(image: &str, because: String, list: &ImageList) -> Self {
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

impl fmt::Display for AirgapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "AIRGAP BUNDLE: {} in its list\n",
            plural(self.images, "image")
        )?;
        image(f, "k0s's own", Some(&self.own))?;
        image(f, "before", self.before.as_ref())?;
        image(f, "after", self.after.as_ref())?;
        if self.symptom.is_some() {
            writeln!(f)?;
        }
        for (title, text) in [("symptom", &self.symptom), ("cause", &self.cause)] {
            if let Some(text) = text {
                paragraph(f, title, text)?;
            }
        }
        writeln!(f, "\nAIRGAP FINDINGS")?;
        findings(&self.findings, f)?;
        if !self.steps.is_empty() {
            writeln!(f, "\nAIRGAP STEPS")?;
            steps(&self.steps, f)?;
        }
        if !self.notes.is_empty() {
            writeln!(f, "\nWHAT THE LIST DOES NOT TELL")?;
            self.notes
                .iter()
                .try_for_each(|note| writeln!(f, "  - {note}"))?;
        }
        Ok(())
    }
}

/// Of the titles.
const WIDTH: usize = 11;

fn image(f: &mut fmt::Formatter<'_>, title: &str, image: Option<&CheckedImage>) -> fmt::Result {
    let Some(image) = image else {
        return writeln!(f, "  {title:WIDTH$}not known");
    };
    let listed = if image.listed {
        "in the bundle"
    } else {
        "NOT in the bundle"
    };
    writeln!(f, "  {title:WIDTH$}{}: {listed}", image.shown())?;
    writeln!(f, "  {:WIDTH$}{}", "", image.because)?;
    match &image.nearest {
        Some(nearest) => writeln!(f, "  {:WIDTH$}nearest in the bundle: {nearest}", ""),
        None => Ok(()),
    }
}

/// A text in lines that fit on a screen.
fn paragraph(f: &mut fmt::Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    const LONGEST: usize = 66;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < LONGEST => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for (number, line) in lines.iter().enumerate() {
        let title = if number == 0 { title } else { "" };
        writeln!(f, "  {title:WIDTH$}{line}")?;
    }
    Ok(())
}
