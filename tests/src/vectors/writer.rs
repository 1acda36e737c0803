//! How the published examples are written, and held to what is published.

use core::fmt::{self, Write};

use super::Example;
use crate::reference::Keys;
use crate::{Failure, ensure};

/// Checks that `example` is what `published` says.
pub(super) fn is_published(published: &'static str, example: Example) -> Result<(), Failure> {
    let mut sink = Compare(published);
    let written = example(&mut sink);
    ensure!(written.is_ok(), published.len() - sink.0.len());
    ensure!(sink.0.is_empty());
    Ok(())
}

/// A sink that only takes what is left of the published file.
struct Compare(&'static str);

impl Write for Compare {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Writes the object called `name`, with what `members` writes in it, to `out`.
pub(super) fn document(
    out: &mut dyn Write,
    name: &str,
    members: impl FnOnce(&mut Json<'_>) -> fmt::Result,
) -> Result<(), Failure> {
    let json = &mut Json::new(out);
    let written = json
        .open("", '{')
        .and_then(|()| json.text("name", name))
        .and_then(|()| members(json))
        .and_then(|()| json.close('}'))
        .and_then(|()| json.out.write_char('\n'));
    written.map_err(|_| Failure {
        condition: "the output takes the example",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

/// Writes JSON with two blanks of indentation for each level.
pub(super) struct Json<'o> {
    out: &'o mut dyn Write,
    depth: usize,
    fresh: bool,
}

impl<'o> Json<'o> {
    fn new(out: &'o mut dyn Write) -> Self {
        Self {
            out,
            depth: 0,
            fresh: true,
        }
    }

    /// Begins a member; one without a name is an element.
    fn begin(&mut self, name: &str) -> fmt::Result {
        if !self.fresh {
            self.out.write_char(',')?;
        }
        self.fresh = false;
        self.line()?;
        if name.is_empty() {
            Ok(())
        } else {
            write!(self.out, "\"{name}\": ")
        }
    }

    fn line(&mut self) -> fmt::Result {
        if self.depth == 0 {
            return Ok(());
        }
        self.out.write_char('\n')?;
        (0..self.depth).try_for_each(|_| self.out.write_str("  "))
    }

    pub(super) fn open(&mut self, name: &str, bracket: char) -> fmt::Result {
        self.begin(name)?;
        self.out.write_char(bracket)?;
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    pub(super) fn close(&mut self, bracket: char) -> fmt::Result {
        self.depth -= 1;
        self.fresh = false;
        if self.depth == 0 {
            self.out.write_char('\n')?;
        }
        self.line()?;
        self.out.write_char(bracket)
    }

    pub(super) fn text(&mut self, name: &str, text: &str) -> fmt::Result {
        self.begin(name)?;
        self.out.write_char('"')?;
        for character in text.chars() {
            if character == '"' {
                self.out.write_char('\\')?;
            }
            self.out.write_char(character)?;
        }
        self.out.write_char('"')
    }

    pub(super) fn debug(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        self.begin(name)?;
        write!(self.out, "\"{value:?}\"")
    }

    pub(super) fn number(&mut self, name: &str, number: u64) -> fmt::Result {
        self.begin(name)?;
        write!(self.out, "{number}")
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> fmt::Result {
        self.begin(name)?;
        self.out.write_char('"')?;
        for byte in bytes {
            write!(self.out, "{byte:02x}")?;
        }
        self.out.write_char('"')
    }

    pub(super) fn keys(&mut self, of: &str, keys: &Keys) -> fmt::Result {
        for (what, bytes) in [("key", &keys.key[..]), ("iv", &keys.iv[..])] {
            self.begin("")?;
            write!(self.out, "\"{of}_{what}\": \"")?;
            for byte in bytes {
                write!(self.out, "{byte:02x}")?;
            }
            self.out.write_char('"')?;
        }
        Ok(())
    }
}
