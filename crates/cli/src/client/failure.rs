//! What goes wrong between here and the controller, in words that say what to do.

use std::error::Error;
use std::fmt::Write;
use std::io;

use reqwest::{Response, StatusCode};
use server::api::{ErrorBody, ErrorView};

use super::Client;
use crate::exit::{Exit, Failure};

impl Client {
    /// The controller cannot be reached, or broke off.
    pub(super) fn lost(&self, error: &reqwest::Error) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        let cause = cause(error);
        let message = if error.is_connect() {
            format!("no controller answers at {base} ({cause}); start one with `sluice up`")
        } else if error.is_timeout() {
            format!("the controller at {base} did not answer in time")
        } else {
            format!("the controller at {base} broke off: {cause}")
        };
        Failure::Because(Exit::Unreachable, message)
    }

    /// The controller answered, and said no.
    pub(super) async fn refused(&self, response: Response) -> Failure {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        let said = serde_json::from_str::<ErrorBody>(&text).ok().map(|body| body.error);
        if status == StatusCode::UNAUTHORIZED {
            return Failure::Because(Exit::Refused, self.unauthorised());
        }
        let message = match said {
            Some(said) => sentence(&said),
            None => format!("{} answered {status}", self.base),
        };
        Failure::Because(exit_for(status), message)
    }

    fn unauthorised(&self) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        match self.token {
            Some(_) => format!("the controller at {base} does not know this token"),
            None => format!(
                "the controller at {base} wants a token, and there is none in {}",
                self.sought
            ),
        }
    }
}

/// Which code an answer means. Codes outside the API's own are taken by their class.
fn exit_for(status: StatusCode) -> Exit {
    match status {
        StatusCode::FORBIDDEN | StatusCode::CONFLICT => Exit::Refused,
        status if status.is_client_error() => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn sentence(said: &ErrorView) -> String {
    let mut text = said.message.clone();
    for found in &said.findings {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}:{}: {}", found.line, found.column, found.message);
    }
    text
}

/// The innermost cause: `connection refused` rather than three wrappers around it.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    match inner.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        Some(io::ErrorKind::TimedOut) => "no answer".to_owned(),
        _ => inner.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_exit_codes() {
        let code = |status| exit_for(StatusCode::from_u16(status).unwrap());
        assert_eq!([400, 404, 422].map(code), [Exit::Usage; 3]);
        assert_eq!([403, 409].map(code), [Exit::Refused; 2]);
        assert_eq!([500, 503].map(code), [Exit::Failed; 2]);
    }

    #[test]
    fn findings_are_told_with_their_place() {
        let text = r#"{"error":{"code":"plan","message":"the plan has errors","findings":[
            {"line":3,"column":9,"offset":20,"length":1,"code":"x","severity":"error","path":"a",
             "message":"read 5","help":null}]}}"#;
        let body: ErrorBody = serde_json::from_str(text).unwrap();
        assert_eq!(sentence(&body.error), "the plan has errors\n  3:9: read 5");
    }
}
