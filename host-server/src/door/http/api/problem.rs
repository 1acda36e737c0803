//! What is answered to a request that gets nothing (RFC 9457).

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use serde_json::json;

use super::super::answers::{Answer, Refusal};
use crate::accounts::LoginError;

/// Why a request gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// The header that belongs to the status.
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let by_what = "DPoP algs=\"ES256\", Bearer";
        Self {
            status,
            detail: detail.into(),
            header: (status == StatusCode::UNAUTHORIZED).then_some((WWW_AUTHENTICATE, by_what)),
        }
    }

    /// Says that a request is not as it has to be.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Says that nobody is logged in who asks so.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Says that the hub could not do its part.
    pub(super) fn unavailable() -> Self {
        let detail = LoginError::Unavailable.to_string();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Refuses a method; `allowed` are those that the path takes.
    pub(super) fn method(allowed: &'static str) -> Self {
        let detail = format!("this path takes {allowed}");
        Self {
            header: Some((ALLOW, allowed)),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        }
    }

    /// Says what is said elsewhere in a line of text.
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self::new(refusal.status(), refusal.text().trim_end())
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the answer.
    pub(super) fn answer(&self) -> Answer {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let text = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut answer = Answer::new(Full::new(Bytes::from(text.to_string())));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = &self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let status = match error {
            LoginError::Refused => StatusCode::UNAUTHORIZED,
            LoginError::Impossible(_) => StatusCode::CONFLICT,
            LoginError::Closed => StatusCode::FORBIDDEN,
            LoginError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
