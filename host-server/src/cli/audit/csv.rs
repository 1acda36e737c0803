//! Lines of CSV (RFC 4180) that no spreadsheet takes for formulas.

use std::io::{self, Write};

use crate::cli::printable;

/// Writes one line. Every field is quoted; a field that a spreadsheet would compute begins with an apostrophe.
pub(super) fn line<S: AsRef<str>>(out: &mut impl Write, fields: &[S]) -> io::Result<()> {
    let fields = fields.iter().map(|field| quoted(field.as_ref()));
    write!(out, "{}\r\n", fields.collect::<Vec<_>>().join(","))
}

fn quoted(field: &str) -> String {
    let text = printable(field).replace('"', "\"\"");
    let is_formula = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '|', '%', '＝', '＋', '－', '＠',
    ]);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{text}\"")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_field_neither_ends_early_nor_computes() {
        let mut out = Vec::new();
        let fields = [
            "plain",
            "a \"b\", c",
            "=1+2",
            "@x",
            "-1",
            "\t=1",
            "a\nb",
            "",
        ];
        line(&mut out, &fields).expect("written");
        let expected =
            "\"plain\",\"a \"\"b\"\", c\",\"'=1+2\",\"'@x\",\"'-1\",\"\\t=1\",\"a\\nb\",\"\"\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
