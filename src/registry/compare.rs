//! Whether files make the pulls that settings make, host by host.
//!
//! What is said about all registry hosts may be long, and many hosts may lead to
//! it: on either side it is worked out once.

use std::collections::BTreeSet;

use super::certs_d::CertsD;
use super::endpoint::{Endpoint, tried_by_url};
use super::settings::{ANY, PullError, endpoints, mirrored, registry_itself};
use crate::config::Registry;
use crate::containerd::Release;

/// The endpoints of a list that make a difference.
#[derive(Debug, Default)]
struct Tries {
    list: Vec<Endpoint>,
    /// Their places, by URL.
    by_url: Vec<usize>,
}

impl Tries {
    fn of(mut list: Vec<Endpoint>) -> Self {
        let tried = tried_by_url(&list);
        let mut by_url: Vec<usize> = tried.into_iter().map(|(at, _)| at).collect();
        if by_url.len() < list.len() {
            let mut kept = by_url.clone();
            kept.sort_unstable();
            let mut places = 0..;
            list.retain(|_| {
                places
                    .next()
                    .is_some_and(|at| kept.binary_search(&at).is_ok())
            });
            for at in &mut by_url {
                *at = kept.partition_point(|kept| kept < at);
            }
        }
        Tries { list, by_url }
    }

    /// Whether an endpoint behind them makes a difference.
    fn gains(&self, endpoint: &Endpoint) -> bool {
        let url = |at: &usize| self.list.get(*at).map(Endpoint::url);
        let from = self
            .by_url
            .partition_point(|at| url(at) < Some(endpoint.url()));
        let same = self.by_url.get(from..).unwrap_or_default().iter();
        let mut same = same.take_while(|at| url(at) == Some(endpoint.url()));
        let is_like = |at: &usize| {
            self.list
                .get(*at)
                .is_some_and(|one| one.pulls_like(endpoint))
        };
        !endpoint.is_dead() && !same.any(is_like)
    }
}

/// A list for one registry host: what is said about it, or about all of them,
/// and what comes behind that for this one.
pub(super) struct List<'c> {
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

    pub(super) fn len(&self) -> usize {
        self.tries().list.len() + usize::from(self.last.is_some())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
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
    ///
    /// # Errors
    /// If it refuses every pull from the host.
    pub(super) fn before(&self, host: &str) -> Result<List<'_>, PullError> {
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
        let before = self.before(host)?;
        Ok(self.is_same_after(host, &before))
    }

    /// Whether the files make the same pulls for a registry host as the settings,
    /// by which it makes these.
    pub(super) fn is_same_after(&self, host: &str, before: &List<'_>) -> bool {
        let after = self.after(host);
        if before.len() != after.len() {
            return false;
        }
        let (compared, alike) = match before.shared.is_some() && after.shared.is_some() {
            true => self.common,
            false => (0, true),
        };
        let mut rest = before.iter().zip(after.iter()).skip(compared);
        alike && rest.all(|(a, b)| a.pulls_like(b))
    }
}
