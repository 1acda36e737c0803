//! The inputs of the fuzzer that were worth keeping: `tests/fuzz/seeds/TARGET.hex`, one in each line.

use std::path::Path;
use std::{fs, io};

/// Returns the inputs that are kept for the target called `name`.
pub(crate) fn kept(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let text = fs::read_to_string(folder.join(name).with_extension("hex"))?;
    text.lines().map(unhex).collect()
}

fn unhex(line: &str) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a line that is not hexadecimal");
    let digits: Vec<u8> = line
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err(wrong());
    };
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
