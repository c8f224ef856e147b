//! The ledgers of a proxy: one a service and release, kept across snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::count::Ledger;

/// Releases that left and have nothing in flight, kept per service.
const FORMER: usize = 16;

/// The ledgers of one service by release, oldest first.
type Releases = Vec<(String, Arc<Ledger>)>;

/// See the module. Locked by control only, never on the request path.
#[derive(Debug, Default)]
pub(crate) struct Books(Mutex<BTreeMap<String, Releases>>);

impl Books {
    /// The ledger of a release, begun when there is none.
    pub(crate) fn ledger(&self, service: &str, release: &str, workers: usize) -> Arc<Ledger> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let releases = books.entry(service.to_owned()).or_default();
        if let Some((_, ledger)) = releases.iter().find(|(name, _)| name == release) {
            return Arc::clone(ledger);
        }
        let ledger = Arc::new(Ledger::new(workers));
        releases.push((release.to_owned(), Arc::clone(&ledger)));
        ledger
    }

    /// Every ledger of every service, oldest release first.
    pub(crate) fn all(&self) -> BTreeMap<String, Releases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops the oldest of the ledgers whose (service, release) neither `serves` nor has
    /// anything in flight, beyond the last [`FORMER`] of each service.
    pub(crate) fn prune(&self, serves: impl Fn(&str, &str) -> bool) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, releases) in books.iter_mut() {
            let former = |(release, ledger): &(String, Arc<Ledger>)| {
                !serves(service, release) && ledger.in_flight() == 0
            };
            let mut excess =
                releases.iter().filter(|entry| former(entry)).count().saturating_sub(FORMER);
            releases.retain(|entry| {
                let drop = excess > 0 && former(entry);
                excess = excess.saturating_sub(usize::from(drop));
                !drop
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_former_releases_are_forgotten_and_busy_ones_are_not() {
        let books = Books::default();
        let names: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
        for name in &names {
            books.ledger("shop", name, 1);
        }
        books.ledger("shop", "r0", 1).shard(0).unwrap().begin();
        books.prune(|service, release| (service, release) == ("shop", "r1"));
        let left: Vec<String> =
            books.all().remove("shop").unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(left.len(), 18);
        assert_eq!(left[..3], ["r0", "r1", "r4"]);
    }
}
