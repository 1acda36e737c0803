//! Which paths there are, and what is answered on each.

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};

use super::super::Guest;
use super::answers::{Answer, Refusal, refuse, switch};
use super::{bearer, forwarded, jwks, origins, redirect, upgrade};
use crate::clock;
use crate::config::Config;
use crate::shared::Shared;

/// Methods of what is only read.
const READ: &str = "GET, HEAD";

/// Returns the answer to `request` of `guest`, which came in TLS if `is_secure`.
pub(super) fn answer<B: Body>(
    request: &Request<B>,
    is_secure: bool,
    guest: &Guest,
    shared: &Shared,
) -> Answer {
    let config = shared.config();
    admit(request, is_secure, guest, shared, &config)
        .and_then(|is_secure| route(request, is_secure, guest, shared, &config))
        .unwrap_or_else(refuse)
}

/// Notes for whom a proxy speaks, if `request` of `guest` came by one, and returns whether it came in TLS.
///
/// # Errors
///
/// [`Refusal`] when the proxy says what nobody can read, or too many come from there.
pub(super) fn admit<B>(
    request: &Request<B>,
    is_secure: bool,
    guest: &Guest,
    shared: &Shared,
    config: &Config,
) -> Result<bool, Refusal> {
    let socket = guest.caller.socket();
    let Some(said) = forwarded::read(request.headers(), socket, &config.http)? else {
        return Ok(is_secure);
    };
    guest.caller.speaks_for(said.address);
    match guest.place.count_as(said.address) {
        Ok(()) => Ok(said.is_secure.unwrap_or(is_secure)),
        Err(why) => {
            shared.budget.note_shut(why, &guest.caller.to_string());
            Err(Refusal::too_many())
        }
    }
}

fn route<B: Body>(
    request: &Request<B>,
    is_secure: bool,
    guest: &Guest,
    shared: &Shared,
    config: &Config,
) -> Result<Answer, Refusal> {
    // Nothing here takes a body, so none is read, and no request hides in one.
    if !request.body().is_end_stream() {
        return Err(Refusal::bad("no body is expected\n"));
    }
    if let (true, false, Some(listen)) = (config.tls.require_tls, is_secure, config.tls.listen) {
        return redirect::to_tls(request, listen);
    }
    match request.uri().path() {
        "/ws" => {
            let accept = upgrade::accept_key(request, &config.http.origins)?;
            bearer::judge(request.headers(), config.http.require_bearer, guest, shared)?;
            Ok(switch(accept))
        }
        "/.well-known/jwks.json" => key_set(request, shared, config),
        _ => Err(Refusal::not_found()),
    }
}

fn key_set<B>(request: &Request<B>, shared: &Shared, config: &Config) -> Result<Answer, Refusal> {
    let allowed = &config.http.origins;
    if let Some(answer) = origins::preflight(request, allowed, READ) {
        return answer;
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Refusal::method(READ));
    }
    let (keys, now) = (shared.keys(), clock::now().unix.secs());
    let set = jwks::key_set(&shared.name, &keys.issuers, now);
    let max_age = jwks::max_age(&keys.issuers, config.keys.issuer_seconds, now);
    let mut answer = Answer::new(Full::new(Bytes::from(set)));
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/jwk-set+json");
    headers.insert(CONTENT_TYPE, json);
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    origins::share(request.headers(), allowed, headers);
    Ok(answer)
}
