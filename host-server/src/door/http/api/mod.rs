//! The HTTP API: `/api/v1/…`. Bodies are JSON both ways; what is wrong is said as RFC 9457 has it.
//!
//! ```text
//! problem   what is answered to a request that gets nothing
//! body      what a request carries
//! who       by what somebody asks: a token and its proof, an API key, or a cookie
//! login     challenges, registration, login, refresh, logout
//! ```

mod body;
mod login;
mod problem;
mod who;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use hyper::{Method, Request, StatusCode};
use problem::Problem;
use serde::Serialize;

use super::super::Guest;
use super::answers::{Answer, empty};
use super::{origins, routes};
use crate::audit::{Event, Kind};
use crate::config::Config;
use crate::shared::Shared;

/// What all paths of the API begin with.
const PREFIX: &str = "/api/v1/";

/// Methods that pages of other origins may ask for.
const METHODS: &str = "GET, POST, DELETE";

/// Headers that such pages may send. Their browsers send no cookie for them.
const HEADERS: &str = "authorization, content-type, dpop";

/// Over what a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// Whether it came in TLS, at the hub or at its proxy.
    pub(super) is_secure: bool,
    /// What names the TLS connection at the hub (RFC 9266), where it is TLS 1.3.
    pub(super) channel: Option<&'a [u8; 32]>,
}

/// A request that is being answered.
struct Asked<'a> {
    shared: &'a Shared,
    guest: &'a Guest,
    config: &'a Config,
    way: Way<'a>,
}

impl Asked<'_> {
    /// Checks that a secret may be sent so: in TLS, or on this machine.
    fn check_private(&self) -> Result<(), Problem> {
        let is_here = self.guest.caller.is_local();
        if self.way.is_secure || is_here {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a secret is sent in TLS alone",
        ))
    }

    /// Has it on record, and counted against the address, that somebody is not who it would have to be.
    fn note_refused(&self, account: Option<&str>, why: &str) {
        let peer = format!("http {}", self.guest.caller);
        let event = Event::new(Kind::LoginRefused).peer(&peer).text("why", why);
        self.shared.witness.note(match account {
            // Nobody vouches for the name: what is on record of its owner is not crowded out by it.
            Some(account) => event.text("account", account),
            None => event,
        });
        self.shared
            .budget
            .count_failure(&self.guest.place, None, &peer);
    }
}

/// Returns whether `headers` have the cookie of somebody who is logged in.
pub(super) fn has_cookie(headers: &HeaderMap, shared: &Shared) -> bool {
    who::is_logged_in(headers, shared)
}

/// Returns whether the path `path` is the API's.
pub(super) fn is_for(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers `request` of `guest`.
pub(super) async fn answer<B>(
    request: &mut Request<B>,
    way: Way<'_>,
    guest: &Guest,
    shared: &Shared,
) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let config = shared.config();
    let is_secure = match routes::admit(request, way.is_secure, guest, shared, &config) {
        Ok(is_secure) => is_secure,
        Err(refusal) => return Problem::of(&refusal).answer(),
    };
    let asked = Asked {
        shared,
        guest,
        config: &config,
        way: Way { is_secure, ..way },
    };
    let allowed = &config.http.origins;
    if let Some(preflight) = origins::preflight(request, allowed, METHODS) {
        let mut answer = preflight.unwrap_or_else(|refusal| Problem::of(&refusal).answer());
        let headers = HeaderValue::from_static(HEADERS);
        answer
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        return answer;
    }
    let answered = match checked(request, &asked) {
        Ok(()) => route(request, &asked).await,
        Err(problem) => Err(problem),
    };
    let mut answer = answered.unwrap_or_else(|problem| problem.answer());
    origins::share(request.headers(), allowed, answer.headers_mut());
    answer
}

/// Checks what every request has to be.
fn checked<B>(request: &Request<B>, asked: &Asked<'_>) -> Result<(), Problem> {
    if asked.config.tls.require_tls && !asked.way.is_secure {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this hub wants TLS"));
    }
    if !origins::may_come_in(request.headers(), &asked.config.http.origins) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this origin is not allowed",
        ));
    }
    if request.uri().query().is_some() {
        return Err(Problem::bad(
            "no query is expected: what is secret would end in logs",
        ));
    }
    Ok(())
}

async fn route<B>(request: &mut Request<B>, asked: &Asked<'_>) -> Result<Answer, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix(PREFIX).unwrap_or_default();
    let body = body::read(request, asked.guest).await?;
    let (method, body) = (request.method().clone(), body.as_slice());
    let post = |allowed: &'static str| match method {
        Method::POST => Ok(()),
        _ => Err(Problem::method(allowed)),
    };
    match path {
        "challenge" => post("POST").and_then(|()| login::challenge(body, asked)),
        "register" => {
            post("POST")?;
            login::register(body, asked).await
        }
        "login" => {
            post("POST")?;
            login::login(request, body, asked).await
        }
        "refresh" => {
            post("POST")?;
            login::refresh(request, body, asked)
        }
        "logout" => {
            post("POST")?;
            login::logout(request, body, asked).await
        }
        "me" if method == Method::GET => login::me(request, body, asked),
        "me" => Err(Problem::method("GET")),
        _ => match path.strip_prefix("logins/") {
            Some(id) if method == Method::DELETE => login::end(request, id, body, asked).await,
            Some(_) => Err(Problem::method("DELETE")),
            None => Err(Problem::new(StatusCode::NOT_FOUND, "there is nothing here")),
        },
    }
}

/// Returns the answer that says `value`. Nobody keeps it for others.
fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer, Problem> {
    let text = serde_json::to_vec(value).map_err(|_| Problem::unavailable())?;
    let mut answer = Answer::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Returns the answer that it is done.
fn done() -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
