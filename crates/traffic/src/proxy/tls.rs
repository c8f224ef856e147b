//! TLS in front of a door: a certificate and its key, read again when they change.
//!
//! A pair that cannot be used never replaces one that can: what was shown before is shown on,
//! and the fault is told ([`super::observe::ObservedService::tls_fault`]) until the files are
//! right again. Where nothing was shown before, new connections are closed until then: what is
//! to be said inside TLS is never said without. Open connections are not touched by a change;
//! new ones see it. Which of the services behind a door shows its own is found by the host the
//! client asks for ([`super::behind::Certificates`]).

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use rollout::route::TlsRoute;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// HTTP/2 in the negotiation of the protocol (RFC 7301).
pub(crate) const H2: &[u8] = b"h2";
const HTTP_11: &[u8] = b"http/1.1";

/// See the module.
#[derive(Debug)]
pub(crate) struct Tls {
    pub route: TlsRoute,
    /// What a new connection is shown; `None` until there is a pair that can be used.
    config: ArcSwapOption<ServerConfig>,
    hash: RandomState,
    last: Mutex<Last>,
}

/// The last look at the files.
#[derive(Debug)]
struct Last {
    /// A keyed hash of what they held; keys are not kept.
    seen: u64,
    fault: Option<String>,
}

impl Tls {
    /// Reads the pair of `route`. While that cannot be used, what `before` shows is shown.
    pub(crate) fn open(route: &TlsRoute, before: Option<&Self>) -> Self {
        let (hash, pair) = (RandomState::new(), Pair::read(route));
        let seen = hash.hash_one(&pair);
        let (config, fault) = match pair.and_then(|pair| pair.config(route)) {
            Ok(config) => (Some(config), None),
            Err(fault) => (before.and_then(Self::config), Some(fault)),
        };
        let last = Mutex::new(Last { seen, fault });
        Self { route: route.clone(), config: ArcSwapOption::new(config), hash, last }
    }

    /// What a new connection is shown; `None` while there is nothing to show.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.config.load_full()
    }

    /// Why the files are not what is shown; `None` when they are.
    pub(crate) fn fault(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    /// Reads the files again and takes over what is new in them. Blocks while it reads.
    pub(crate) fn look(&self) {
        let pair = Pair::read(&self.route);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.hash.hash_one(&pair);
        if seen == last.seen {
            return;
        }
        last.seen = seen;
        last.fault = match pair.and_then(|pair| pair.config(&self.route)) {
            Ok(config) => {
                self.config.store(Some(config));
                tracing::info!(certificate = self.route.certificate, "certificate read again");
                None
            }
            Err(fault) => {
                tracing::warn!(fault, "the certificate cannot be used");
                Some(fault)
            }
        };
    }
}

/// What the two files hold.
#[derive(Hash)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(route: &TlsRoute) -> Result<Self, String> {
        let read = |path: &str| {
            fs::read(Path::new(path)).map_err(|error| format!("{path} cannot be read: {error}"))
        };
        Ok(Self { certificate: read(&route.certificate)?, key: read(&route.key)? })
    }

    /// TLS 1.2 and 1.3 with this pair. Fails when the key is another certificate's.
    fn config(&self, route: &TlsRoute) -> Result<Arc<ServerConfig>, String> {
        let TlsRoute { certificate, key } = route;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{certificate} is no PEM: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{certificate} holds no certificate"));
        }
        let private = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| format!("{key} holds no private key: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| format!("{certificate} and {key} cannot be used: {error}"))?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP_11.to_vec()];
        config.ticketer =
            ring::Ticketer::new().map_err(|error| format!("no randomness: {error}"))?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_have_not_changed_are_not_taken_over_again() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data");
        let (certificate, key) = (format!("{data}/one.pem"), format!("{data}/one.key"));
        let tls = Tls::open(&TlsRoute { certificate, key }, None);
        let shown = tls.config().unwrap();
        tls.look();
        assert!(Arc::ptr_eq(&shown, &tls.config().unwrap()));
    }
}
