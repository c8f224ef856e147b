//! The client messages leave by.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;

use super::address::Filtered;

/// How long a whole attempt may take.
const WHOLE: Duration = Duration::from_secs(10);

/// The client messages leave by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(pub(super) reqwest::Client);

/// A client that follows no redirect, takes no proxy from the environment, waits 10 s at most,
/// and dials no address of a metadata service.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> Result<Client, reqwest::Error> {
    // Another part of the process may have chosen already; the choice is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(WHOLE)
        .dns_resolver(Arc::new(Filtered))
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(Client(client))
}
