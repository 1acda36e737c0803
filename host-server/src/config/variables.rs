//! Environment variables that set a key: `MOORLINED_LIMITS__CONNECTIONS` sets `connections` of `[limits]`.

use std::ffi::OsStr;

use serde::Deserialize;
use toml::{Table, Value};

use super::load::{Sources, table_of};
use super::{Config, ConfigError};

/// What joins a section and a key.
const JOINT: &str = "__";

/// Returns what the variable `name` sets to `value`: text where the key takes text, and TOML where it does not.
///
/// # Errors
///
/// [`ConfigError::Variable`] when there is no such key or it takes no such value.
pub(super) fn read(name: &OsStr, value: &OsStr) -> Result<Table, ConfigError> {
    let wrong = |reason: &str| ConfigError::Variable {
        name: name.to_string_lossy().into_owned(),
        reason: reason.into(),
    };
    let key = name
        .to_str()
        .and_then(|name| name.strip_prefix(Sources::PREFIX))
        .ok_or_else(|| wrong("is not the name of a key"))?
        .replace(JOINT, ".")
        .to_lowercase();
    let text = value.to_str().ok_or_else(|| wrong("is not text"))?;
    let fits = |value: Value| {
        let table = table_of(&key, value);
        match Config::deserialize(Value::Table(table.clone())) {
            Ok(_) => Ok(table),
            Err(error) => Err(wrong(error.message())),
        }
    };
    fits(Value::String(text.into())).or_else(|as_text| match expression(text) {
        Some(value) => fits(value),
        None => Err(as_text),
    })
}

/// Returns what `text` is in TOML, if it is anything.
fn expression(text: &str) -> Option<Value> {
    let table: Table = toml::from_str(&format!("value = {text}")).ok()?;
    // A line break in it would begin another key.
    let mut values = table.into_iter();
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::read;

    fn set(name: &str, value: &str) -> Result<String, String> {
        let table = read(OsStr::new(name), OsStr::new(value));
        match table {
            Ok(table) => Ok(table.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_variable_sets_the_key_that_it_names() {
        assert_eq!(
            set("MOORLINED_LIMITS__CONNECTIONS", "10").expect("a key"),
            "[limits]\nconnections = 10\n"
        );
        assert_eq!(
            set("MOORLINED_LISTEN_TCP", "off").expect("a key"),
            "listen_tcp = \"off\"\n"
        );
        // A name is text, whatever it looks like.
        assert_eq!(set("MOORLINED_NAME", "7").expect("a key"), "name = \"7\"\n");
    }

    #[test]
    fn an_unknown_variable_and_a_value_of_the_wrong_kind_are_named() {
        for (name, value, why) in [
            ("MOORLINED_LIMITS__CONNECTION", "10", "unknown field"),
            ("MOORLINED_LIMITS_CONNECTIONS", "10", "unknown field"),
            ("MOORLINED_LIMITS__CONNECTIONS", "ten", "expected usize"),
            ("MOORLINED_LIMITS__CONNECTIONS", "1\nvalue2 = 2", "usize"),
            ("MOORLINED_", "1", "unknown field"),
        ] {
            let error = set(name, value).expect_err(name);
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
        let error = read(OsStr::new("MOORLINED_NAME"), OsStr::from_bytes(b"\xff"));
        assert!(
            error
                .expect_err("no text")
                .to_string()
                .contains("is not text")
        );
    }
}
