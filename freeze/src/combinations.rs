//! For which releases and with which options plans are made.

use containerd_dropins::Limits;
use containerd_dropins::k0s::{Regime, Release};
use containerd_dropins::migrate::{Options, RegistryPolicy, SandboxImage, Target};

use crate::inputs::Breadth;

/// One way to ask for a plan.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    /// The release and the option in words.
    pub(crate) label: String,
    pub(crate) target: Target,
    pub(crate) options: Options,
    /// Whether no option is given.
    pub(crate) is_plain: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Combinations {
    /// The two releases that everything is asked for.
    main: Vec<Combination>,
    /// The other releases.
    others: Vec<Combination>,
    /// With an option each.
    varied: Vec<Combination>,
}

/// Those of which there are readable files: drop-ins merged by k0s for containerd
/// 1.7, and imported by containerd 2.x.
pub(crate) const MAIN: [&str; 2] = ["v1.30.4+k0s.0", "v1.36.3+k0s.2"];

/// The other ways in which k0s treats drop-ins, none and pasted ones; the other
/// releases of containerd; releases that are not known.
const OTHERS: [&str; 7] = [
    "v1.26.15+k0s.0",
    "v1.27.2+k0s.0",
    "v1.28.4+k0s.0",
    "v1.35.7+k0s.0",
    "v1.36.1+k0s.0",
    "v1.36.0",
    "v1.41.2+k0s.0",
];

/// An option by its name, and what is asked for with it.
type Varied<'a> = (&'a str, Result<(Target, Options), String>);

fn options<'a>(target: &Target) -> Result<Vec<Varied<'a>>, String> {
    let usual = Options::default;
    let with = |options: Options| Ok((target.clone(), options));
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let running = |release: &str| {
        let (release, _) = Release::find(release).map_err(|error| said(&error))?;
        with(usual().running(release))
    };
    let (known, unknown) = match target.release.regime {
        Regime::ImportsV3 => ("2.3.4", "2.9.1"),
        _ => ("1.7.28", "1.7.999"),
    };
    let containerd = known.parse().map_err(|error| said(&error))?;
    let unknown = unknown.parse().map_err(|error| said(&error))?;
    let origin = "1.6.20".parse().map_err(|error| said(&error))?;
    let state = |target: Result<Target, containerd_dropins::migrate::TargetError>| {
        Ok((target.map_err(|error| said(&error))?, usual()))
    };
    let config_path = usual().config_path("/etc/containerd/certs.d");
    Ok(vec![
        (
            "registry keep",
            with(usual().registry(RegistryPolicy::Keep)),
        ),
        (
            "registry convert",
            with(usual().registry(RegistryPolicy::Convert)),
        ),
        (
            "sandbox keep",
            with(usual().sandbox_image(SandboxImage::Keep)),
        ),
        (
            "sandbox drop",
            with(usual().sandbox_image(SandboxImage::Drop)),
        ),
        (
            "registry convert, config path",
            config_path
                .map_err(|error| said(&error))
                .and_then(|options| with(options.registry(RegistryPolicy::Convert))),
        ),
        ("origin 1.6.20", with(usual().origin(origin))),
        ("running 1.26.0", running("v1.26.0+k0s.0")),
        ("running 1.29.1", running("v1.29.1+k0s.0")),
        (
            "pause image",
            state(
                target
                    .clone()
                    .with_pause_image("registry.example/pause:3.99"),
            ),
        ),
        (
            "containerd",
            state(target.clone().with_containerd(containerd)),
        ),
        (
            "unknown containerd",
            state(target.clone().with_containerd(unknown)),
        ),
        ("without verification", with(usual().without_verification())),
        (
            "limits",
            with(usual().limits(Limits::default().with_bytes(100))),
        ),
    ])
}

impl Combinations {
    pub(crate) fn new() -> Result<Self, String> {
        let find = |release: &str| Target::find(release).map_err(|error| error.to_string());
        let plain = |release: &&str| {
            Ok(Combination {
                label: (*release).to_owned(),
                target: find(release)?,
                options: Options::default(),
                is_plain: true,
            })
        };
        let mut varied = Vec::new();
        for release in MAIN.iter().chain(["v1.27.2+k0s.0"].iter()) {
            for (option, asked) in options(&find(release)?)? {
                let (target, options) = asked?;
                varied.push(Combination {
                    label: format!("{release}, {option}"),
                    target,
                    options,
                    is_plain: false,
                });
            }
        }
        Ok(Combinations {
            main: MAIN.iter().map(plain).collect::<Result<_, String>>()?,
            others: OTHERS.iter().map(plain).collect::<Result<_, String>>()?,
            varied,
        })
    }

    /// What is asked of an input. Of those beside the main releases each input gets
    /// a few, chosen by a number of its own.
    pub(crate) fn of(&self, breadth: Breadth, number: usize) -> Vec<&Combination> {
        let main = self.main.iter();
        match breadth {
            Breadth::All => main.chain(&self.others).chain(&self.varied).collect(),
            Breadth::Some | Breadth::Digest => {
                let others = self.others.len();
                let varied = self.varied.len();
                let other = self.others.get(number % others.max(1));
                let first = number / others.max(1) % varied.max(1);
                // One of another release than the first.
                let second = (first + varied / 2 + 1) % varied.max(1);
                let options = [first, second].map(|at| self.varied.get(at));
                let options = options.into_iter().flatten();
                main.chain(other).chain(options).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_combination_is_asked_of_some_input() {
        let all = Combinations::new().unwrap();
        let labels = |of: Vec<&Combination>| -> BTreeSet<String> {
            of.into_iter().map(|one| one.label.clone()).collect()
        };
        let every = labels(all.of(Breadth::All, 0));
        assert_eq!(every.len(), 2 + 7 + 3 * 13);
        let few: BTreeSet<String> = (0..7 * 39)
            .flat_map(|number| labels(all.of(Breadth::Digest, number)))
            .collect();
        assert_eq!(few, every);
        assert_eq!(all.of(Breadth::Digest, 5).len(), 5);
    }

    #[test]
    fn all_regimes_are_there() {
        let all = Combinations::new().unwrap();
        let regimes: BTreeSet<Regime> = all
            .of(Breadth::All, 0)
            .into_iter()
            .map(|one| one.target.release.regime)
            .collect();
        assert_eq!(regimes.len(), 4);
    }
}
