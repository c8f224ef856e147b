//! Which controller, and with which token.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::Client;
use crate::exit::Failure;

/// The part of the help these options stand in.
const HEADING: &str = "Controller";
/// What the history says a command came through.
const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));
/// How long the controller may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The options of every command that asks a controller.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Connect {
    /// Where the controller answers.
    #[arg(
        long,
        env = "SLUICE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7373",
        value_name = "URL",
        value_parser = base_url,
        help_heading = HEADING
    )]
    url: Url,
    /// The token to show it; without one, it is read from the state folder.
    #[arg(
        long,
        env = "SLUICE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = HEADING
    )]
    token: Option<String>,
    /// The controller's state folder, where its token is.
    #[arg(
        long,
        env = "SLUICE_STATE",
        hide_env_values = true,
        default_value = ".sluice",
        value_name = "DIR",
        help_heading = HEADING
    )]
    state: PathBuf,
}

impl Connect {
    /// A client with what was given. Nothing is asked yet.
    ///
    /// # Errors
    /// A URL that is not HTTP, or a token file that cannot be read.
    pub(crate) fn client(self) -> Result<Client, Failure> {
        let file = self.state.join("token");
        let token = match self.token {
            Some(token) => Some(token),
            None => read_token(&file)?,
        };
        let sought = format!(
            "{}; give --token, SLUICE_TOKEN, or --state with the folder `sluice up` was started with",
            file.display()
        );
        Client::new(self.url, token, sought)
    }
}

impl Client {
    /// A client of the controller at `base`; `sought` says where a token was
    /// looked for, and what else to do.
    ///
    /// # Errors
    /// A URL that is not HTTP.
    pub(crate) fn new(base: Url, token: Option<String>, sought: String) -> Result<Self, Failure> {
        let Some(host) = base.host_str().filter(|_| matches!(base.scheme(), "http" | "https"))
        else {
            let message =
                format!("read the URL {base}; allowed: http://host:port or https://host:port");
            return Err(Failure::usage(message));
        };
        let mut http = reqwest::Client::builder().user_agent(AGENT).connect_timeout(CONNECT_WITHIN);
        if is_loopback(host) {
            // A proxy for the way out cannot reach this machine's own addresses.
            http = http.no_proxy();
        }
        let http = http.build().map_err(Failure::ours)?;
        Ok(Self { http, base, token, sought })
    }
}

/// Reads where a controller answers; one without a scheme speaks HTTP.
///
/// # Errors
/// What is no address, with what is allowed.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let allowed = "allowed: http://host:port, https://host:port, or host:port";
    match Url::parse(&whole) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(url) => Err(format!("read the scheme {:?}; {allowed}", url.scheme())),
        Err(error) => Err(format!("{error}; {allowed}")),
    }
}

/// The token in `file`; `None` when there is no such file.
///
/// # Errors
/// A file that is there and cannot be read.
pub(crate) fn read_token(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Failure::usage(format!("cannot read the token in {}: {error}", file.display())))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_told_from_others() {
        for host in ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "10.0.0.1", "[2001:db8::1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_speaks_http_and_what_is_none_is_refused() {
        for (text, means) in [
            ("127.0.0.1:7373", "http://127.0.0.1:7373/"),
            ("sluice.example", "http://sluice.example/"),
            ("[::1]:7373", "http://[::1]:7373/"),
            ("https://sluice.example:7373", "https://sluice.example:7373/"),
        ] {
            assert_eq!(base_url(text).unwrap().as_str(), means);
        }
        for bad in ["", "ftp://host", "http://", "host:port:7"] {
            let refused = base_url(bad).unwrap_err();
            assert!(refused.contains("allowed: http://host:port"), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_token_file_is_read_without_its_line_feed_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert_eq!(read_token(&file).unwrap(), None);
        fs::write(&file, "slc_abc\n").unwrap();
        assert_eq!(read_token(&file).unwrap().as_deref(), Some("slc_abc"));
        let unreadable = read_token(folder.path()).unwrap_err();
        assert!(matches!(unreadable, Failure::Because(crate::exit::Exit::Usage, _)));
    }
}
