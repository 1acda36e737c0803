//! What a request carries.

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::super::super::Guest;
use super::super::fields::single;
use super::Problem;

/// Most bytes of a body.
const MAX_BODY_LEN: usize = 4 * 1024;

/// Reads the body of `request`, which says how long it is. One that is too long is not read at all.
pub(super) async fn read<B>(request: &mut Request<B>, guest: &Guest) -> Result<Vec<u8>, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    if request.body().is_end_stream() {
        return Ok(Vec::new());
    }
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        let text = "the length of the body is to be said";
        return Err(Problem::new(StatusCode::LENGTH_REQUIRED, text));
    }
    let len = single(headers, &CONTENT_LENGTH).and_then(|len| len.parse::<usize>().ok());
    if len.is_none_or(|len| len > MAX_BODY_LEN) {
        let text = format!("a body has {MAX_BODY_LEN} bytes at most");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    if single(headers, &CONTENT_TYPE) != Some("application/json") {
        let text = "a body is application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    guest.place.meter().allow(MAX_BODY_LEN);
    let mut bytes = Vec::new();
    while let Some(frame) = request.body_mut().frame().await {
        let frame = frame.map_err(|_| Problem::bad("the body is cut off"))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > MAX_BODY_LEN {
            return Err(Problem::bad("the body is longer than it says"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads what `body` says.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body: {error}")))
}

/// Checks that there is no body.
pub(super) fn none(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        Ok(())
    } else {
        Err(Problem::bad("no body is expected"))
    }
}
