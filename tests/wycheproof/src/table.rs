//! The packed cases, as `build.rs` writes them.

/// The usable cases of one file, and what of it is not.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) bytes: &'static [u8],
    pub(crate) count: usize,
    pub(crate) left_out: &'static [(&'static str, usize)],
}

/// What a case says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Valid,
    Invalid,
    /// It is right, and some refuse it.
    Acceptable,
}

/// One case with `N` fields.
pub(crate) struct Case<const N: usize> {
    pub(crate) number: u16,
    pub(crate) expected: Expected,
    pub(crate) fields: [&'static [u8]; N],
}

/// Reads cases with `N` fields; a table that does not end with a case ends with nothing.
pub(crate) struct Cases<const N: usize>(&'static [u8]);

impl Table {
    pub(crate) fn cases<const N: usize>(&self) -> Cases<N> {
        Cases(self.bytes)
    }
}

impl<const N: usize> Cases<N> {
    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    fn field(&mut self) -> Option<&'static [u8]> {
        let len = usize::from(self.number()?);
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }
}

impl<const N: usize> Iterator for Cases<N> {
    type Item = Case<N>;

    fn next(&mut self) -> Option<Case<N>> {
        let number = self.number()?;
        let (expected, rest) = self.0.split_first()?;
        self.0 = rest;
        let expected = match expected {
            0 => Expected::Valid,
            1 => Expected::Invalid,
            2 => Expected::Acceptable,
            _ => return None,
        };
        let mut fields: [&[u8]; N] = [&[]; N];
        for field in &mut fields {
            *field = self.field()?;
        }
        Some(Case {
            number,
            expected,
            fields,
        })
    }
}
