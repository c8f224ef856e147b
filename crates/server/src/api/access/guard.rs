//! In front of every route: who is it?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use rollout::machine::Actor;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::session::{COOKIE, SessionKey, Sessions, key};
use super::token::random_hex;
use super::{login, origin};
use crate::api::app::App;
use crate::api::errors::ApiError;
use crate::engine::Clock;

/// The name the one token belongs to.
const ADMIN: &str = "admin";
/// What the command line calls itself; everything else that shows the token is a program.
const CLI_AGENT: &str = "sluice/";

/// Who may ask. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    token: Arc<SecretString>,
    sessions: Arc<Mutex<Sessions>>,
    clock: Clock,
}

/// Who asked, once it is proven.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who, and through what.
    pub(crate) actor: Actor,
    /// The session it came with; `None` with the token.
    session: Option<SessionKey>,
}

impl Auth {
    /// Lets in whoever shows `token`, and opens sessions for them, which end by `clock`.
    pub fn new(token: SecretString, clock: Clock) -> Self {
        Self { token: Arc::new(token), sessions: Arc::default(), clock }
    }

    /// Whether this is the token, found out in the same time however much of it is right.
    pub(super) fn is_token(&self, offered: &str) -> bool {
        self.token.expose_secret().as_bytes().ct_eq(offered.as_bytes()).into()
    }

    /// Opens a session and answers its cookie.
    pub(super) fn open_session(&self) -> Result<String, ApiError> {
        let cookie = random_hex::<32>().map_err(|error| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "random", error.to_string())
        })?;
        self.sessions().open(&cookie, self.clock.now());
        Ok(cookie)
    }

    /// Ends the session a caller came with.
    pub(super) fn close_session(&self, caller: &Caller) {
        if let Some(session) = &caller.session {
            self.sessions().close(session);
        }
    }

    /// Whether who asked earlier may still be answered; a stream asks again and again.
    pub(crate) fn holds(&self, caller: &Caller) -> bool {
        caller.session.is_none_or(|session| self.sessions().holds(&session, self.clock.now()))
    }

    /// Who sends this request.
    fn identify(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, ApiError> {
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            return self.bearer(shown.to_str().unwrap_or_default(), headers);
        }
        let session = cookie(headers)
            .map(key)
            .filter(|session| self.sessions().holds(session, self.clock.now()));
        let Some(session) = session else {
            return Err(ApiError::unauthenticated(
                "no token and no session; show the token with `authorization: Bearer slc_...`",
            ));
        };
        if !method.is_safe() {
            origin::same(headers)
                .and_then(|()| origin::marked(headers))
                .map_err(ApiError::cross_site)?;
        }
        Ok(Caller { actor: actor("dashboard"), session: Some(session) })
    }

    fn bearer(&self, shown: &str, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let (scheme, token) = shown.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::unauthenticated(
                "the way to show the token is `authorization: Bearer slc_...`",
            ));
        }
        if !self.is_token(token.trim()) {
            return Err(ApiError::unauthenticated(
                "this is not the token; it is in the file `token` of the state folder",
            ));
        }
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let cli = agent.is_some_and(|agent| agent.starts_with(CLI_AGENT));
        Ok(Caller { actor: actor(if cli { "cli" } else { "api" }), session: None })
    }

    /// A panic while the lock was held leaves a map that is still whole.
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn actor(via: &str) -> Actor {
    Actor { who: ADMIN.to_owned(), via: via.to_owned() }
}

/// The session's cookie among all cookies.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// Lets nobody unknown past. Health, the login and the dashboard's files, which hold nothing of
/// anybody's, need no proof.
pub(crate) async fn require(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    match app.auth.identify(request.method(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refuse(refused, request.method(), request.uri()),
    }
}

fn is_open(path: &str) -> bool {
    path == "/healthz" || path == "/login" || path.starts_with("/assets/")
}

/// A person who opens a page is asked to log in, a program is told what is missing.
fn refuse(refused: ApiError, method: &Method, uri: &Uri) -> Response {
    let page = method.is_safe() && !uri.path().starts_with("/api/");
    if page && refused.status() == StatusCode::UNAUTHORIZED {
        return Redirect::to(&login::address(uri.path())).into_response();
    }
    refused.into_response()
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    /// Whoever has not been let in by [`require`] is nobody.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::unauthenticated("nobody has shown who they are"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const TOKEN: &str = "slc_admin_00c0ffee_5ec2e7";

    fn auth() -> Auth {
        Auth::new(TOKEN.into(), Clock)
    }

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        given.iter().map(pair).collect()
    }

    fn via(caller: Result<Caller, ApiError>) -> Result<String, u16> {
        caller.map(|caller| caller.actor.via).map_err(|refused| refused.status().as_u16())
    }

    #[test]
    fn only_the_whole_token_lets_a_program_in() {
        let auth = auth();
        for wrong in ["", "Bearer", "Bearer ", "Bearer slc_admin_00c0ffee_5ec2e", "Basic YTpi"] {
            let refused = via(auth.identify(&Method::GET, &headers(&[("authorization", wrong)])));
            assert_eq!(refused, Err(401), "{wrong:?}");
        }
        let right = format!("Bearer {TOKEN}");
        assert_eq!(
            via(auth.identify(&Method::POST, &headers(&[("authorization", &right)]))),
            Ok("api".into())
        );
        let cli = headers(&[("authorization", &right), ("user-agent", "sluice/0.1.0")]);
        assert_eq!(via(auth.identify(&Method::POST, &cli)), Ok("cli".into()));
        assert_eq!(via(auth.identify(&Method::GET, &headers(&[]))), Err(401));
    }

    #[test]
    fn a_wrong_token_is_not_made_good_by_a_session() {
        let auth = auth();
        let cookie = format!("{COOKIE}={}", auth.open_session().unwrap());
        let both = headers(&[("authorization", "Bearer slc_admin_x"), ("cookie", &cookie)]);
        assert_eq!(via(auth.identify(&Method::GET, &both)), Err(401));
    }

    #[test]
    fn a_session_reads_freely_and_changes_things_only_from_our_own_pages() {
        let auth = auth();
        let cookie = format!("theme=dark; {COOKIE}={}", auth.open_session().unwrap());
        let read = headers(&[("cookie", &cookie)]);
        assert_eq!(via(auth.identify(&Method::GET, &read)), Ok("dashboard".into()));
        assert_eq!(via(auth.identify(&Method::POST, &read)), Err(403));
        let own =
            [("cookie", &*cookie), ("host", "127.0.0.1:1"), ("sec-fetch-site", "same-origin")];
        assert_eq!(via(auth.identify(&Method::POST, &headers(&own))), Err(403), "not marked");
        let marked = [&own[..], &[("x-sluice", "1")]].concat();
        assert_eq!(via(auth.identify(&Method::POST, &headers(&marked))), Ok("dashboard".into()));
    }

    #[test]
    fn a_session_that_was_ended_or_never_opened_is_nobody() {
        let auth = auth();
        let cookie = format!("{COOKIE}={}", auth.open_session().unwrap());
        let caller = auth.identify(&Method::GET, &headers(&[("cookie", &cookie)])).unwrap();
        assert!(auth.holds(&caller));
        auth.close_session(&caller);
        assert!(!auth.holds(&caller), "a stream finds out");
        assert_eq!(via(auth.identify(&Method::GET, &headers(&[("cookie", &cookie)]))), Err(401));
        let never = format!("{COOKIE}=0");
        assert_eq!(via(auth.identify(&Method::GET, &headers(&[("cookie", &never)]))), Err(401));
    }

    #[test]
    fn only_what_holds_nothing_of_anybody_is_open() {
        let open = ["/healthz", "/login", "/assets/page.js"];
        assert!(open.into_iter().all(is_open));
        let closed = [
            "/",
            "/rollouts/a-1",
            "/api/rollouts",
            "/api/openapi.json",
            "/logout",
            "/loginx",
            "/assets",
        ];
        assert!(!closed.into_iter().any(is_open));
    }
}
