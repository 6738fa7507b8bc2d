//! The report as text, for a tired administrator.

use std::fmt;

use super::check::{AirgapReport, CheckedImage};
use crate::migrate::report::{findings, plural, steps};

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
