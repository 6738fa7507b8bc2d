//! Whether files make the pulls that settings make, host by host.
//!
//! What is said about all registry hosts may be long, and many hosts may lead to
//! it: on either side it is worked out once.

use std::collections::{BTreeMap, BTreeSet};

use super::certs_d::CertsD;
use super::endpoint::Endpoint;
use super::settings::{ANY, PullError, endpoints, mirrored, registry_itself};
use crate::config::Registry;
use crate::containerd::Release;

/// The endpoints of a list that make a difference.
#[derive(Debug, Default)]
struct Tries {
    list: Vec<Endpoint>,
    /// Their places, by URL.
    by_url: BTreeMap<String, Vec<usize>>,
}

impl Tries {
    fn of(list: Vec<Endpoint>) -> Self {
        let mut tries = Tries::default();
        for endpoint in list {
            if tries.gains(&endpoint) {
                let places = tries.by_url.entry(endpoint.to_string()).or_default();
                places.push(tries.list.len());
                tries.list.push(endpoint);
            }
        }
        tries
    }

    /// Whether an endpoint behind them makes a difference.
    fn gains(&self, endpoint: &Endpoint) -> bool {
        let earlier = || {
            let places = self.by_url.get(&endpoint.to_string());
            places.into_iter().flatten()
        };
        let is_like = |at: &usize| {
            self.list
                .get(*at)
                .is_some_and(|one| one.pulls_like(endpoint))
        };
        !endpoint.is_dead() && !earlier().any(is_like)
    }
}

/// A list for one registry host: what is said about it, or about all of them,
/// and what comes behind that for this one.
struct List<'c> {
    shared: Option<&'c Tries>,
    own: Tries,
    last: Option<Endpoint>,
}

impl<'c> List<'c> {
    fn own(list: Vec<Endpoint>) -> Self {
        List {
            shared: None,
            own: Tries::of(list),
            last: None,
        }
    }

    fn behind(shared: &'c Tries, last: Option<Endpoint>) -> Self {
        List {
            shared: Some(shared),
            own: Tries::default(),
            last: last.filter(|last| shared.gains(last)),
        }
    }

    fn tries(&self) -> &Tries {
        self.shared.unwrap_or(&self.own)
    }

    fn len(&self) -> usize {
        self.tries().list.len() + usize::from(self.last.is_some())
    }

    fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.tries().list.iter().chain(&self.last)
    }
}

/// Settings and files, side by side.
pub(super) struct Comparison<'c> {
    settings: &'c Registry,
    from: Release,
    certs_d: &'c CertsD,
    to: Release,
    /// What the settings say about all registry hosts, if containerd can read
    /// it, and the hosts that are asked then.
    any: Option<(Tries, BTreeSet<String>)>,
    /// What the files say about all of them.
    for_all: Option<Tries>,
    /// So many endpoints both of these have, and whether those are the same in
    /// both.
    common: (usize, bool),
}

impl<'c> Comparison<'c> {
    pub(super) fn new(
        settings: &'c Registry,
        from: Release,
        certs_d: &'c CertsD,
        to: Release,
    ) -> Self {
        let any = mirrored(settings, ANY, from).ok().map(|list| {
            let hosts = list.iter().map(|endpoint| endpoint.host.clone()).collect();
            (Tries::of(list), hosts)
        });
        let for_all = certs_d.for_all(to).map(Tries::of);
        let common = match (&any, &for_all) {
            (Some((a, _)), Some(b)) => {
                let mut pairs = a.list.iter().zip(&b.list);
                (pairs.len(), pairs.all(|(a, b)| a.pulls_like(b)))
            }
            _ => (0, true),
        };
        Comparison {
            settings,
            from,
            certs_d,
            to,
            any,
            for_all,
            common,
        }
    }

    /// What containerd tries for a registry host by the settings.
    fn before(&self, host: &str) -> Result<List<'_>, PullError> {
        match &self.any {
            Some((any, hosts)) if !self.settings.mirrors.contains_key(host) => {
                let last = match hosts.contains(host) {
                    true => None,
                    false => Some(registry_itself(self.settings, host, self.from)?),
                };
                Ok(List::behind(any, last))
            }
            _ => endpoints(self.settings, host, self.from).map(List::own),
        }
    }

    /// What it tries by the files.
    fn after(&self, host: &str) -> List<'_> {
        let last = || self.certs_d.last_for_all(host, self.to);
        match self
            .for_all
            .as_ref()
            .and_then(|for_all| Some((for_all, last()?)))
        {
            Some((for_all, last)) => List::behind(for_all, Some(last)),
            None => List::own(self.certs_d.endpoints(host, self.to)),
        }
    }

    /// Whether both make the same pulls for a registry host.
    ///
    /// # Errors
    /// If containerd refuses every pull from the host by the settings.
    pub(super) fn is_same(&self, host: &str) -> Result<bool, PullError> {
        let (before, after) = (self.before(host)?, self.after(host));
        if before.len() != after.len() {
            return Ok(false);
        }
        let (compared, alike) = match before.shared.is_some() && after.shared.is_some() {
            true => self.common,
            false => (0, true),
        };
        let mut rest = before.iter().zip(after.iter()).skip(compared);
        Ok(alike && rest.all(|(a, b)| a.pulls_like(b)))
    }

    /// How many endpoints the settings have for a registry host.
    pub(super) fn count(&self, host: &str) -> Result<usize, PullError> {
        self.before(host).map(|before| before.len())
    }
}
