//! Mirrors that change nothing.

use super::certs_d::CertsD;
use super::diagnose::is_looked_up;
use super::endpoint::{is_registry_host, same_pulls};
use super::settings::{ANY, endpoints, endpoints_by, urls};
use crate::config::{Mirror, Registry};
use crate::containerd::Release;

/// A registry host that no settings name.
const NOWHERE: &str = "named-nowhere.invalid";

/// So many endpoints more than an entry has may `*` have for the two to be
/// compared: those of `*` are as many as they like, and so are entries.
const MORE_OF_ANY: usize = 16;

/// The mirrors without which containerd asks the same endpoints in the same
/// order, by the release that it was and by the one that it will be, for every
/// registry host. All of them can go at once.
///
/// A mirror keeps `*` away from its host, so it may be needed although it names
/// only the registry itself. The last mirror to go may leave pulls to containerd
/// 2.1's transfer service, which asks as if there were an empty `config_path`:
/// the same must be asked by that too.
///
/// ```
/// use containerd_dropins::config::{Mirror, Registry};
/// use containerd_dropins::registry::unneeded_mirrors;
///
/// let mut settings = Registry::default();
/// let mut mirror = Mirror::default();
/// mirror.endpoint = Some(vec!["https://registry-1.docker.io".to_owned()]);
/// settings.mirrors.insert("docker.io".to_owned(), mirror.clone());
/// let (from, to) = ("1.7.24".parse()?, "2.3.3".parse()?);
/// assert_eq!(unneeded_mirrors(&settings, from, to), ["docker.io"]);
///
/// mirror.endpoint = Some(vec!["https://mirror.example".to_owned()]);
/// settings.mirrors.insert("*".to_owned(), mirror);
/// assert!(unneeded_mirrors(&settings, from, to).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn unneeded_mirrors(settings: &Registry, from: Release, to: Release) -> Vec<String> {
    // `*` first: what keeps it away from a host is needed as long as it is there.
    let mut any = settings.mirrors.contains_key(ANY).then_some(ANY);
    let names = settings.mirrors.keys().map(String::as_str);
    let others = names.filter(|name| *name != ANY);
    let mut unneeded: Vec<&str> = Vec::new();
    for name in any.into_iter().chain(others) {
        let is_same = !is_out_of_proportion(settings, any, name)
            && (!is_looked_up(name) || is_same_without(settings, any, name, [from, to]));
        if is_same {
            any = any.filter(|any| *any != name);
            unneeded.push(name);
        }
    }
    if unneeded.len() == settings.mirrors.len() {
        let no_files = CertsD::new("", []);
        let is_same = |name: &str| {
            let host = if name == ANY { NOWHERE } else { name };
            let asked = endpoints(settings, host, to);
            asked.is_ok_and(|asked| same_pulls(&asked, &no_files.endpoints(host, to)))
        };
        unneeded.retain(|name| !is_looked_up(name) || is_same(name));
    }
    unneeded.into_iter().map(str::to_owned).collect()
}

/// Whether an entry is taken to be needed without a look, as that would cost
/// too much or tell too little.
fn is_out_of_proportion(settings: &Registry, any: Option<&str>, name: &str) -> bool {
    let any = any.and_then(|any| settings.mirrors.get(any));
    if name == ANY {
        // An endpoint with the name of a registry host keeps that from being
        // asked, so that a host named nowhere does not stand for all.
        return any.is_some_and(|any| urls(any).any(|url| is_registry_host(&url.host)));
    }
    let length = |mirror: Option<&Mirror>| {
        let endpoints = mirror.and_then(|mirror| mirror.endpoint.as_ref());
        endpoints.map_or(0, Vec::len)
    };
    length(any) > length(settings.mirrors.get(name)).saturating_add(MORE_OF_ANY)
}

/// Whether the same endpoints are asked by both releases without an entry, for which
/// `any` is there instead, and are at all.
fn is_same_without(
    settings: &Registry,
    any: Option<&str>,
    name: &str,
    releases: [Release; 2],
) -> bool {
    let (host, instead) = match name {
        ANY => (NOWHERE, None),
        name => (name, any),
    };
    releases.into_iter().all(|release| {
        let asked = |entry| endpoints_by(settings, entry, host, release);
        match (asked(Some(name)), asked(instead)) {
            (Ok(before), Ok(after)) => same_pulls(&before, &after),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::releases::{V1_7, V2_1};

    #[track_caller]
    fn check(mirrors: &[(&str, &[&str])], expected: &[&str]) {
        let mut settings = Registry::default();
        for (name, endpoints) in mirrors {
            let endpoint = endpoints.iter().map(|text| (*text).to_owned()).collect();
            let mirror = Mirror {
                endpoint: Some(endpoint),
                ..Mirror::default()
            };
            settings.mirrors.insert((*name).to_owned(), mirror);
        }
        assert_eq!(unneeded_mirrors(&settings, V1_7, V2_1), expected);
    }

    #[test]
    fn mirrors_that_change_nothing() {
        let hub: &[&str] = &["https://registry-1.docker.io"];
        check(&[("docker.io", hub)], &["docker.io"]);
        check(
            &[("docker.io", &["registry-1.docker.io/v2"])],
            &["docker.io"],
        );
        check(&[("docker.io", &["https://docker.io"])], &[]);
        check(&[("docker.io", &["http://registry-1.docker.io"])], &[]);
        check(
            &[("quay.io", &["https://quay.io"]), ("gcr.io", &[])],
            &["gcr.io", "quay.io"],
        );
        check(&[("quay.io", &["https://quay.io/"])], &[]);
        check(
            &[("quay.io", &["https://quay.io", "https://m.example"])],
            &[],
        );
        // No such image, no such request, no pull at all.
        check(
            &[("https://quay.io", &["https://m.example"])],
            &["https://quay.io"],
        );
        check(&[("quay.io", &["ftp://m.example", ""])], &["quay.io"]);
        check(&[("quay.io", &["ftp://quay.io"])], &[]);
        check(&[("quay.io", &["https://m.example:port"])], &[]);
    }

    #[test]
    fn a_mirror_keeps_the_one_of_all_others_away() {
        let any: &[&str] = &["https://m.example"];
        let hub: &[&str] = &["https://registry-1.docker.io"];
        check(&[("*", any), ("docker.io", hub), ("gcr.io", &[])], &[]);
        check(&[("*", any), ("docker.io", any)], &["docker.io"]);
        check(&[("*", &[]), ("docker.io", hub)], &["*", "docker.io"]);
        // It keeps gcr.io from being asked.
        check(&[("*", &["ftp://gcr.io"])], &[]);
    }

    /// The transfer service tries HTTPS first on the node itself.
    #[test]
    fn the_node_itself_is_asked_otherwise_by_the_transfer_service() {
        let local: &[&str] = &["http://localhost:5000"];
        check(&[("localhost:5000", local)], &[]);
        check(&[("localhost:5000", local), ("gcr.io", &[])], &["gcr.io"]);
        let mirror: (&str, &[&str]) = ("gcr.io", &["https://m.example"]);
        check(&[("localhost:5000", local), mirror], &["localhost:5000"]);
    }
}
