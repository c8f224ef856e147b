//! `GET /login` and `POST /login`: the token is traded for a session.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{DOCTYPE, html};
use serde::Deserialize;

use super::origin;
use super::session::{COOKIE, LIFETIME};
use crate::api::app::App;
use crate::api::errors::ApiError;

/// The address of the login that leads to `page` afterwards.
pub(super) fn address(page: &str) -> String {
    if page == "/" {
        return "/login".to_owned();
    }
    // A path holds no `&` or `#` that is not meant as such, and no other character that a
    // query could not hold.
    format!("/login?next={}", page.replace('%', "%25").replace('&', "%26").replace('+', "%2B"))
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn page(next: Result<Query<Next>, QueryRejection>) -> Html<String> {
    render(&next.map(|Query(next)| next.next).unwrap_or_default(), None)
}

/// Opens a session for whoever shows the token. A form of another site is refused: nobody
/// shall be logged in without knowing.
pub(super) async fn submit(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Form<Login>, FormRejection>,
) -> Result<Response, ApiError> {
    origin::same(&headers).map_err(ApiError::cross_site)?;
    let Form(login) =
        form.map_err(|error| ApiError::invalid(format!("the form cannot be read: {error}")))?;
    if !app.auth.is_token(login.token.trim()) {
        let again = render(&login.next, Some("This is not the token."));
        return Ok((StatusCode::UNAUTHORIZED, again).into_response());
    }
    let cookie = app.auth.open_session()?;
    let age = LIFETIME.to_std().as_secs();
    let set = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}");
    Ok(([(header::SET_COOKIE, set)], Redirect::to(own_page(&login.next))).into_response())
}

/// A path of ours, or the first page: a link to the login must not lead elsewhere.
fn own_page(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { next } else { "/" }
}

fn render(next: &str, wrong: Option<&str>) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Log in · Sluice" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body.login {
                main {
                    h1 { "Sluice" }
                    form method="post" action="/login" {
                        @if let Some(wrong) = wrong { p #wrong role="alert" { (wrong) } }
                        label for="token" { "Token" }
                        input #token name="token" type="password" autocomplete="current-password"
                            required autofocus aria-describedby="hint";
                        p #hint { "It is in the file " code { "token" } " of the state folder." }
                        input type="hidden" name="next" value=(own_page(next));
                        button type="submit" { "Log in" }
                    }
                }
            }
        }
    };
    Html(page.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_leads_back_and_nowhere_else() {
        for own in ["/", "/rollouts/shop-3"] {
            assert_eq!(own_page(own), own);
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/\r\nx: y", "x"]
        {
            assert_eq!(own_page(foreign), "/", "{foreign:?}");
        }
    }

    #[test]
    fn a_page_is_escaped_in_the_address_of_its_login() {
        assert_eq!(address("/"), "/login");
        assert_eq!(address("/rollouts/shop-3"), "/login?next=/rollouts/shop-3");
        assert_eq!(address("/a&b%2Fc"), "/login?next=/a%26b%252Fc");
    }

    #[test]
    fn what_the_form_shows_is_escaped() {
        let Html(page) = render("/\"><script>", Some("This is not the token."));
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("This is not the token."));
    }
}
