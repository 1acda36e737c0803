//! A strict pull parser for JSON (RFC 8259) that neither recurses nor allocates.
//!
//! It reads the text once, from front to back, and refuses on the way what two readers may understand differently:
//! duplicate member names in any object, escapes in member names, a byte order mark, numbers in other than the
//! standard's form, unpaired surrogates, invalid UTF-8, and bytes after the value. Depth and members are bounded.
//!
//! ```text
//! let mut parser = Parser::new(text)?;
//! parser.open_document()?;
//! while let Some(name) = parser.next_member()? {
//!     match name {
//!         "alg" => … parser.value()? …,     reads the member's value, or enters it
//!         _ => parser.skip()?,
//!     }
//! }
//! parser.finish()?;
//! ```

use heapless::Vec;

/// Deepest nesting of objects and arrays: the payload, `cnf` and `cnf.jwk` (PROTOCOL.md §4).
pub(super) const MAX_DEPTH: usize = 3;

/// Most members of one object. The profile has 12 in a payload; the rest is room for claims of others.
pub(super) const MAX_MEMBER_COUNT: usize = 32;

/// What leads a text that begins with a byte order mark (RFC 8259 §8.1).
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// How a text is not the JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum JsonReason {
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// The text is not UTF-8.
    Utf8,
    /// The text ends too early.
    Truncated,
    /// A character stands where the grammar has none like it.
    Syntax,
    /// Something follows the value.
    TrailingBytes,
    /// The text is not an object.
    NotAnObject,
    /// Objects and arrays are nested deeper than three.
    Depth,
    /// An object has more than 32 members.
    MemberCount,
    /// An object has one name twice.
    DuplicateMember,
    /// A member's name is written with a backslash.
    EscapedName,
    /// A string has a control character that is not escaped.
    ControlCharacter,
    /// A string has an escape that the grammar does not know.
    Escape,
    /// A string has half of a surrogate pair.
    Surrogate,
    /// A number is not in the standard's form.
    Number,
}

/// A value, or the entrance to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string.
    String(Text<'a>),
    /// A number, as it is written.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Literal,
    /// An object, entered: [`Parser::next_member`] reads on.
    Object,
    /// An array, entered: [`Parser::next_element`] reads on.
    Array,
}

/// A string between its quotation marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    /// The characters as they are written, their escapes checked but not resolved.
    pub(super) raw: &'a str,
    /// Whether there is a backslash among them.
    pub(super) escaped: bool,
}

/// An object or array that is entered and not yet left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Container {
    is_object: bool,
    /// Nothing of it has been read: no comma is due.
    is_fresh: bool,
    /// Where its names begin in the parser's list of names.
    names_from: usize,
}

/// The parser. An error ends its use.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    rest: &'a str,
    entered: Vec<Container, MAX_DEPTH>,
    /// The names met so far in the objects that are entered, the innermost last.
    names: Vec<&'a str, { MAX_DEPTH * MAX_MEMBER_COUNT }>,
}

impl<'a> Parser<'a> {
    /// Returns a parser before the first character of `text`.
    pub(super) fn new(text: &'a [u8]) -> Result<Self, JsonReason> {
        if text.starts_with(BYTE_ORDER_MARK) {
            return Err(JsonReason::ByteOrderMark);
        }
        let rest = core::str::from_utf8(text).map_err(|_| JsonReason::Utf8)?;
        Ok(Self {
            rest,
            entered: Vec::new(),
            names: Vec::new(),
        })
    }

    /// Enters the object that the whole text is.
    pub(super) fn open_document(&mut self) -> Result<(), JsonReason> {
        match self.value()? {
            Value::Object => Ok(()),
            _ => Err(JsonReason::NotAnObject),
        }
    }

    /// Ends the reading after the whole object.
    pub(super) fn finish(mut self) -> Result<(), JsonReason> {
        self.skip_white_space();
        match (self.entered.is_empty(), self.rest.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(JsonReason::TrailingBytes),
            (false, _) => Err(JsonReason::Truncated),
        }
    }

    /// Reads the next member's name and stops before its value; nothing when the object ends here and is left.
    pub(super) fn next_member(&mut self) -> Result<Option<&'a str>, JsonReason> {
        if !self.step_in('}')? {
            return Ok(None);
        }
        if self.peek()? != b'"' {
            return Err(JsonReason::Syntax);
        }
        let name = self.string()?;
        if name.escaped {
            return Err(JsonReason::EscapedName);
        }
        let names_from = self
            .entered
            .last()
            .map_or(0, |container| container.names_from);
        let names = self.names.get(names_from..).unwrap_or(&[]);
        if names.contains(&name.raw) {
            return Err(JsonReason::DuplicateMember);
        }
        if names.len() >= MAX_MEMBER_COUNT {
            return Err(JsonReason::MemberCount);
        }
        self.names
            .push(name.raw)
            .map_err(|_| JsonReason::MemberCount)?;
        self.skip_white_space();
        self.expect(':')?;
        Ok(Some(name.raw))
    }

    /// Stops before the next element; `false` when the array ends here and is left.
    pub(super) fn next_element(&mut self) -> Result<bool, JsonReason> {
        self.step_in(']')
    }

    /// Reads a value; an object or array is entered.
    pub(super) fn value(&mut self) -> Result<Value<'a>, JsonReason> {
        self.skip_white_space();
        match self.peek()? {
            b'"' => self.string().map(Value::String),
            b'{' => self.enter(true).map(|()| Value::Object),
            b'[' => self.enter(false).map(|()| Value::Array),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            _ => self.literal(),
        }
    }

    /// Reads a value and all that is in it, and forgets it.
    pub(super) fn skip(&mut self) -> Result<(), JsonReason> {
        let depth = self.entered.len();
        self.value()?;
        while self.entered.len() > depth {
            let is_object = self
                .entered
                .last()
                .is_some_and(|container| container.is_object);
            let goes_on = if is_object {
                self.next_member()?.is_some()
            } else {
                self.next_element()?
            };
            if goes_on {
                self.value()?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, is_object: bool) -> Result<(), JsonReason> {
        let container = Container {
            is_object,
            is_fresh: true,
            names_from: self.names.len(),
        };
        self.entered
            .push(container)
            .map_err(|_| JsonReason::Depth)?;
        self.take(1).map(|_| ())
    }

    /// Reads up to the next member or element of the innermost container; `false` when `end` ends it.
    fn step_in(&mut self, end: char) -> Result<bool, JsonReason> {
        self.skip_white_space();
        let container = self.entered.last_mut().ok_or(JsonReason::Syntax)?;
        let is_fresh = core::mem::replace(&mut container.is_fresh, false);
        let names_from = container.names_from;
        if let Some(rest) = self.rest.strip_prefix(end) {
            self.rest = rest;
            self.names.truncate(names_from);
            self.entered.pop();
            return Ok(false);
        }
        if !is_fresh {
            self.expect(',')?;
            self.skip_white_space();
        }
        Ok(true)
    }

    fn string(&mut self) -> Result<Text<'a>, JsonReason> {
        self.expect('"')?;
        let mut bytes = self.rest.bytes();
        let mut escaped = false;
        let len = loop {
            let at = self.rest.len() - bytes.len();
            match bytes.next().ok_or(JsonReason::Truncated)? {
                b'"' => break at,
                b'\\' => {
                    escaped = true;
                    check_escape(&mut bytes)?;
                }
                0..0x20 => return Err(JsonReason::ControlCharacter),
                _ => {}
            }
        };
        let raw = self.take(len)?;
        self.expect('"')?;
        Ok(Text { raw, escaped })
    }

    fn number(&mut self) -> Result<&'a str, JsonReason> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = self.rest.bytes().take_while(is_part).count();
        let number = self.take(len)?;
        if is_number(number) {
            Ok(number)
        } else {
            Err(JsonReason::Number)
        }
    }

    fn literal(&mut self) -> Result<Value<'a>, JsonReason> {
        for literal in ["true", "false", "null"] {
            if let Some(rest) = self.rest.strip_prefix(literal) {
                self.rest = rest;
                return Ok(Value::Literal);
            }
            if literal.starts_with(self.rest) {
                return Err(JsonReason::Truncated);
            }
        }
        Err(JsonReason::Syntax)
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn peek(&self) -> Result<u8, JsonReason> {
        self.rest.bytes().next().ok_or(JsonReason::Truncated)
    }

    fn expect(&mut self, character: char) -> Result<(), JsonReason> {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None if self.rest.is_empty() => Err(JsonReason::Truncated),
            None => Err(JsonReason::Syntax),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a str, JsonReason> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(JsonReason::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Reads what follows a backslash (RFC 8259 §7).
fn check_escape(bytes: &mut core::str::Bytes<'_>) -> Result<(), JsonReason> {
    match bytes.next().ok_or(JsonReason::Truncated)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
        b'u' => match hex4(bytes)? {
            0xd800..0xdc00 => {
                if bytes.next() != Some(b'\\') || bytes.next() != Some(b'u') {
                    return Err(JsonReason::Surrogate);
                }
                match hex4(bytes)? {
                    0xdc00..0xe000 => Ok(()),
                    _ => Err(JsonReason::Surrogate),
                }
            }
            0xdc00..0xe000 => Err(JsonReason::Surrogate),
            _ => Ok(()),
        },
        _ => Err(JsonReason::Escape),
    }
}

/// Reads four hexadecimal digits.
fn hex4(bytes: &mut core::str::Bytes<'_>) -> Result<u32, JsonReason> {
    let mut value = 0;
    for _ in 0..4 {
        let byte = bytes.next().ok_or(JsonReason::Truncated)?;
        let digit = char::from(byte).to_digit(16).ok_or(JsonReason::Escape)?;
        value = (value << 4) | digit;
    }
    Ok(value)
}

/// Returns whether `text` is a number (RFC 8259 §6).
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
    is_digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(is_digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
