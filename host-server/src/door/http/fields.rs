//! Header fields, read strictly.

use hyper::header::{HeaderMap, HeaderName};

/// Returns whether the comma-separated header `name` has the element `wanted`; letter case does not count.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let mut lines = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines.any(|line| {
        line.split(',')
            .any(|element| element.trim().eq_ignore_ascii_case(wanted))
    })
}

/// Returns the value of a header that stands there once.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
