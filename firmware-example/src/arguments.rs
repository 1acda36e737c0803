//! The arguments of commands: texts, each of a kind.

use heapless::Vec;
use moorline_core::message::MAX_ARGUMENTS;

/// One thing that a command takes.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    kind: Kind,
    is_optional: bool,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// `on` or `off`.
    Switch,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// An argument that is what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// Any text.
    Text(&'a str),
    /// On or off.
    Switch(bool),
    /// One of the parameter's words.
    Choice(&'static str),
}

/// The arguments of one command.
pub type Arguments<'a> = Vec<Argument<'a>, MAX_ARGUMENTS>;

/// Returns the parameter of `kind` that has to be there.
pub const fn required(kind: Kind) -> Parameter {
    Parameter {
        kind,
        is_optional: false,
    }
}

/// Returns the parameter of `kind` that may be left out, with those that follow it.
pub const fn optional(kind: Kind) -> Parameter {
    Parameter {
        kind,
        is_optional: true,
    }
}

/// Returns what `texts` are to a command with `parameters`; nothing when one is missing, superfluous or not of its kind.
pub fn parse<'a>(parameters: &[Parameter], texts: &[&'a str]) -> Option<Arguments<'a>> {
    let mut texts = texts.iter();
    let mut arguments = Arguments::new();
    for parameter in parameters {
        match texts.next() {
            Some(text) => arguments.push(parameter.kind.parse(text)?).ok()?,
            None if parameter.is_optional => {}
            None => return None,
        }
    }
    texts.next().is_none().then_some(arguments)
}

impl Kind {
    fn parse<'a>(self, text: &'a str) -> Option<Argument<'a>> {
        match (self, text) {
            (Self::Text, text) => Some(Argument::Text(text)),
            (Self::Switch, "on") => Some(Argument::Switch(true)),
            (Self::Switch, "off") => Some(Argument::Switch(false)),
            (Self::Switch, _) => None,
            (Self::OneOf(words), text) => {
                let word = words.iter().find(|word| **word == text)?;
                Some(Argument::Choice(word))
            }
        }
    }
}
