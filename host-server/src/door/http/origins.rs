//! From which pages requests come, and which pages may read the answers.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, StatusCode};

use super::answers::{Answer, Refusal, empty};
use super::fields::single;
use crate::config::OriginPattern;

/// Seconds for which a browser may remember what a page of another origin may do.
const PREFLIGHT_SECONDS: &str = "600";

/// Returns whether a request with `headers` may come in: it comes from no page, or from one of `allowed`; when there are
/// none, from a page of its own host.
pub(super) fn may_come_in(headers: &HeaderMap, allowed: &[OriginPattern]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let origin = single(headers, &ORIGIN).unwrap_or_default();
    if allowed.is_empty() {
        return is_same_origin(origin, single(headers, &HOST));
    }
    is_allowed(origin, allowed)
}

/// Answers a browser that asks whether a page may make a request with another method than OPTIONS; nothing when `request`
/// does not ask that.
pub(super) fn preflight<B>(
    request: &Request<B>,
    allowed: &[OriginPattern],
    methods: &'static str,
) -> Option<Result<Answer, Refusal>> {
    let headers = request.headers();
    let asks = request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    if !may_come_in(headers, allowed) {
        let text = "this origin is not allowed\n";
        return Some(Err(Refusal::new(StatusCode::FORBIDDEN, text)));
    }
    let mut answer = empty(StatusCode::NO_CONTENT);
    let said = answer.headers_mut();
    said.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    let seconds = HeaderValue::from_static(PREFLIGHT_SECONDS);
    said.insert(ACCESS_CONTROL_MAX_AGE, seconds);
    share(headers, allowed, said);
    Some(Ok(answer))
}

/// Notes in the headers `said` of an answer which page may read it: the one that asks, if it is allowed. Credentials are
/// never allowed, and no answer is for all pages.
pub(super) fn share(asked: &HeaderMap, allowed: &[OriginPattern], said: &mut HeaderMap) {
    // An answer that is kept for one page is none for another.
    said.insert(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = asked.get(ORIGIN)
        && may_come_in(asked, allowed)
    {
        said.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

fn is_allowed(origin: &str, allowed: &[OriginPattern]) -> bool {
    allowed.iter().any(|pattern| pattern.matches(origin))
}

fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let authority = origin
        .strip_prefix("https://")
        .or(origin.strip_prefix("http://"));
    authority.is_some() && authority == host
}

#[cfg(test)]
mod tests {
    use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

    use super::may_come_in;
    use crate::config::OriginPattern;

    fn headers(origins: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("hub.example"));
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn without_a_list_only_pages_of_the_same_host_come_in_and_with_one_only_those_of_the_list() {
        let list = ["https://panel.example"
            .parse::<OriginPattern>()
            .expect("a pattern")];
        for (origins, without, with) in [
            (&[][..], true, true),
            (&["https://hub.example"], true, false),
            (&["https://panel.example"], false, true),
            (&["null"], false, false),
            (&[""], false, false),
            (
                &["https://panel.example", "https://evil.example"],
                false,
                false,
            ),
        ] {
            let headers = headers(origins);
            assert_eq!(may_come_in(&headers, &[]), without, "{origins:?}");
            assert_eq!(may_come_in(&headers, &list), with, "{origins:?}");
        }
    }
}
