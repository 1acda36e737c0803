//! Typed reading of the members of a header or payload.

use super::json::{JsonReason, Parser, Value};
use super::reason::{Member, TokenReason};

/// Reads the members of one JSON document and names each fault by its member.
pub(super) struct Members<'a> {
    parser: Parser<'a>,
    blame: fn(JsonReason) -> TokenReason,
}

/// A value that is a string or an array of them.
pub(super) enum OneOrMany<'a> {
    /// A string.
    One(&'a str),
    /// An array, entered: [`Members::next_string`] reads on.
    Many,
}

impl<'a> Members<'a> {
    /// Enters the object that `text` is; `blame` says in which part of the token it stands.
    pub(super) fn open(
        text: &'a [u8],
        blame: fn(JsonReason) -> TokenReason,
    ) -> Result<Self, TokenReason> {
        let mut parser = Parser::new(text).map_err(blame)?;
        parser.open_document().map_err(blame)?;
        Ok(Self { parser, blame })
    }

    /// Reads the next name of the innermost object; nothing when the object ends and is left.
    pub(super) fn next_name(&mut self) -> Result<Option<&'a str>, TokenReason> {
        self.parser.next_member().map_err(self.blame)
    }

    /// Reads a value and forgets it.
    pub(super) fn skip(&mut self) -> Result<(), TokenReason> {
        self.parser.skip().map_err(self.blame)
    }

    /// Ends the reading.
    pub(super) fn finish(self) -> Result<(), TokenReason> {
        self.parser.finish().map_err(self.blame)
    }

    /// Reads a string without escapes: what is compared or copied has one spelling only.
    pub(super) fn string(&mut self, member: Member) -> Result<&'a str, TokenReason> {
        match self.string_or_array(member)? {
            OneOrMany::One(text) => Ok(text),
            OneOrMany::Many => Err(TokenReason::WrongType(member)),
        }
    }

    /// Reads a string as [`Members::string`] does, or enters an array.
    pub(super) fn string_or_array(&mut self, member: Member) -> Result<OneOrMany<'a>, TokenReason> {
        match self.parser.value().map_err(self.blame)? {
            Value::String(text) if text.escaped => Err(TokenReason::Escaped(member)),
            Value::String(text) => Ok(OneOrMany::One(text.raw)),
            Value::Array => Ok(OneOrMany::Many),
            _ => Err(TokenReason::WrongType(member)),
        }
    }

    /// Enters an array.
    pub(super) fn array(&mut self, member: Member) -> Result<(), TokenReason> {
        match self.string_or_array(member)? {
            OneOrMany::Many => Ok(()),
            OneOrMany::One(_) => Err(TokenReason::WrongType(member)),
        }
    }

    /// Reads the next string of an array; nothing when the array ends and is left.
    pub(super) fn next_string(&mut self, member: Member) -> Result<Option<&'a str>, TokenReason> {
        if self.parser.next_element().map_err(self.blame)? {
            self.string(member).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Enters an object.
    pub(super) fn object(&mut self, member: Member) -> Result<(), TokenReason> {
        match self.parser.value().map_err(self.blame)? {
            Value::Object => Ok(()),
            _ => Err(TokenReason::WrongType(member)),
        }
    }

    /// Reads an integer from 0 to `max`, written with digits only.
    pub(super) fn integer(&mut self, member: Member, max: u64) -> Result<u64, TokenReason> {
        match self.parser.value().map_err(self.blame)? {
            Value::Number(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(TokenReason::NotAnInteger(member))
            }
            // Digits alone fail to parse only when they are more than 64 bits hold.
            Value::Number(digits) => match digits.parse() {
                Ok(value) if value <= max => Ok(value),
                _ => Err(TokenReason::TooLarge(member)),
            },
            _ => Err(TokenReason::WrongType(member)),
        }
    }
}
