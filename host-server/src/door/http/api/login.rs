//! Challenges, registration, login, refresh and logout.

use base64ct::{Base64UrlUnpadded, Encoding};
use hyper::header::{HOST, HeaderValue, SET_COOKIE};
use hyper::{Request, StatusCode};
use moorline_core::crypto::{PublicKey, SIGNATURE_LEN};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::answers::Answer;
use super::super::fields::single;
use super::who::{Opener, Who, opener, who};
use super::{Asked, Problem, body, done, json as say};
use crate::access::permitted;
use crate::accounts::{LoginError, LoginKey, LoginRequest, Opened, RegisterRequest, Wants, cookie};
use crate::clock;
use crate::store::{decode_key, encode_key};

/// Who wants a challenge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChallengeBody {
    account: String,
}

/// A challenge that was signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedBody {
    account: String,
    challenge: String,
    login_key: LoginKey,
    /// 64 bytes in base64url.
    signature: String,
    /// The key that the token is to name: the uncompressed point in base64url. Without one a cookie is given.
    holder_key: Option<String>,
    /// The code of an invitation, to register.
    code: Option<Zeroizing<String>>,
}

/// What a program with an API key wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramBody {
    holder_key: String,
}

impl SignedBody {
    fn signature(&self) -> Result<[u8; SIGNATURE_LEN], Problem> {
        let bytes = Base64UrlUnpadded::decode_vec(&self.signature).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| Problem::bad("signature: 64 bytes in base64url are expected"))
    }

    fn wants(&self, asked: &Asked<'_>) -> Result<Wants, Problem> {
        match &self.holder_key {
            Some(key) => holder_key(key).map(Wants::Token),
            // Browsers take such a cookie over TLS alone, and on their own machine.
            None => asked.check_private().map(|()| Wants::Cookie),
        }
    }

    fn request<'a>(
        &'a self,
        signature: &'a [u8; SIGNATURE_LEN],
        wants: Wants,
        asked: &'a Asked<'_>,
    ) -> LoginRequest<'a> {
        LoginRequest {
            account: &self.account,
            challenge: &self.challenge,
            login_key: &self.login_key,
            signature,
            channel: asked.way.channel,
            wants,
        }
    }
}

fn holder_key(text: &str) -> Result<PublicKey, Problem> {
    decode_key(text)
        .ok_or_else(|| Problem::bad("holder_key: a point on P-256 in base64url is expected"))
}

/// Checks that `account` can be somebody's name (PROTOCOL.md §4).
fn check_name(account: &str) -> Result<(), Problem> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=32).contains(&account.len()) && account.bytes().all(is_allowed) {
        return Ok(());
    }
    let text = "account: 1 to 32 letters, digits, `-`, `.` or `_` are expected";
    Err(Problem::bad(text))
}

pub(super) fn challenge(bytes: &[u8], asked: &Asked<'_>) -> Result<Answer, Problem> {
    let wanted: ChallengeBody = body::parse(bytes)?;
    check_name(&wanted.account)?;
    let (challenge, expires_at) = asked.shared.challenge(&wanted.account)?;
    let value = json!({
        "challenge": challenge,
        "expires_at": expires_at,
        "hub": asked.shared.name,
        "hub_key": encode_key(asked.shared.keys().identity_key()),
        "binds_channel": asked.way.channel.is_some(),
    });
    say(StatusCode::OK, &value)
}

pub(super) async fn register(bytes: &[u8], asked: &Asked<'_>) -> Result<Answer, Problem> {
    let wanted: SignedBody = body::parse(bytes)?;
    check_name(&wanted.account)?;
    if wanted.code.is_some() {
        asked.check_private()?;
    }
    let (signature, wants) = (wanted.signature()?, wanted.wants(asked)?);
    let code = wanted.code.as_ref().map(|code| code.as_str());
    let request = RegisterRequest {
        signed: wanted.request(&signature, wants, asked),
        code,
        network: asked.guest.place.network(),
    };
    let opened = asked.shared.register(&request).await;
    let opened = opened.inspect_err(|error| note(error, &wanted.account, asked))?;
    answer(StatusCode::CREATED, opened)
}

pub(super) async fn login<B>(
    request: &Request<B>,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<Answer, Problem> {
    let opened = match opener(request.headers(), asked)? {
        Some(Opener::ApiKey(key)) => {
            let wanted: ProgramBody = body::parse(bytes)?;
            let wants = Wants::Token(holder_key(&wanted.holder_key)?);
            asked.shared.log_in_by_api_key(&key, wants).await
        }
        Some(Opener::Token(token, proof)) => {
            body::none(bytes)?;
            let way = (authority(request), request.uri().path());
            asked.shared.log_in_from_outside(&token, &proof, way).await
        }
        None => return login_by_challenge(bytes, asked).await,
    };
    let opened = opened.inspect_err(|error| note(error, "", asked))?;
    answer(StatusCode::OK, opened)
}

fn authority<B>(request: &Request<B>) -> &str {
    single(request.headers(), &HOST).unwrap_or_default()
}

async fn login_by_challenge(bytes: &[u8], asked: &Asked<'_>) -> Result<Answer, Problem> {
    let wanted: SignedBody = body::parse(bytes)?;
    check_name(&wanted.account)?;
    if wanted.code.is_some() {
        return Err(Problem::bad("code: it is for registration"));
    }
    let (signature, wants) = (wanted.signature()?, wanted.wants(asked)?);
    let signed = wanted.request(&signature, wants, asked);
    let opened = asked.shared.log_in(&signed).await;
    let opened = opened.inspect_err(|error| note(error, &wanted.account, asked))?;
    answer(StatusCode::OK, opened)
}

pub(super) fn refresh<B>(
    request: &Request<B>,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<Answer, Problem> {
    body::none(bytes)?;
    let who = who(request, bytes, asked)?;
    match (&who.login, &who.claims) {
        (Some(login), Some(claims)) => {
            let credential = asked.shared.refresh(login, claims.issued_at)?;
            say(StatusCode::OK, &credential)
        }
        _ => Err(Problem::bad(
            "a token is refreshed; a cookie or an API key is not",
        )),
    }
}

pub(super) async fn logout<B>(
    request: &Request<B>,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<Answer, Problem> {
    body::none(bytes)?;
    let who = who(request, bytes, asked)?;
    let login = who.login;
    let login = login.ok_or_else(|| Problem::bad("an API key is not logged in"))?;
    let is_it = |other: &crate::store::Login| other.id == login.id;
    asked.shared.log_out("logged out", is_it).await?;
    let mut answer = done();
    if who.claims.is_none() {
        answer.headers_mut().insert(SET_COOKIE, set_cookie("", 0)?);
    }
    Ok(answer)
}

pub(super) async fn end<B>(
    request: &Request<B>,
    id: &str,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<Answer, Problem> {
    body::none(bytes)?;
    let who = who(request, bytes, asked)?;
    let is_it = |login: &crate::store::Login| login.id == id && login.account == who.account;
    match asked.shared.log_out("ended by its owner", is_it).await? {
        0 => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "you have no such login",
        )),
        _ => Ok(done()),
    }
}

pub(super) fn me<B>(
    request: &Request<B>,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<Answer, Problem> {
    body::none(bytes)?;
    let Who { account, login, .. } = who(request, bytes, asked)?;
    let now = clock::now().unix.secs();
    let logins: Vec<_> = asked
        .shared
        .logins()
        .of(&account, now)
        .into_iter()
        .map(|other| {
            json!({
                "id": other.id,
                "by": other.by,
                "since": other.since,
                "used": other.used,
                "is_this": login.as_ref().is_some_and(|login| login.id == other.id),
            })
        })
        .collect();
    let registry = asked.shared.registry();
    let peer = registry.find(&account);
    let peer = peer.ok_or_else(|| Problem::unauthorized("the account is gone"))?;
    let agents: Vec<&str> = registry.given_to(&account).collect();
    let value = json!({
        "account": account,
        "roles": peer.roles,
        "permits": permitted(&registry, peer).names().collect::<Vec<_>>(),
        "agents": agents,
        "logins": logins,
    });
    say(StatusCode::OK, &value)
}

fn note(error: &LoginError, account: &str, asked: &Asked<'_>) {
    if matches!(error, LoginError::Refused | LoginError::Closed) {
        let account = (!account.is_empty()).then_some(account);
        asked.note_refused(account, &error.to_string());
    }
}

fn answer(status: StatusCode, opened: Opened) -> Result<Answer, Problem> {
    match opened {
        Opened::Token(credential) => say(status, &credential),
        Opened::Cookie { cookie, csrf } => {
            let mut answer = say(status, &json!({ "csrf": csrf }))?;
            let header = set_cookie(&cookie, 86_400)?;
            answer.headers_mut().insert(SET_COOKIE, header);
            Ok(answer)
        }
    }
}

fn set_cookie(value: &str, seconds: u32) -> Result<HeaderValue, Problem> {
    let name = cookie::NAME;
    let text = Zeroizing::new(format!(
        "{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"
    ));
    let mut header = HeaderValue::from_str(&text).map_err(|_| Problem::unavailable())?;
    header.set_sensitive(true);
    Ok(header)
}
