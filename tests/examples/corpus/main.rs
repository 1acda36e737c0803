//! Unpacks the inputs that are kept for the fuzzer to where it looks for them, `tests/fuzz/corpus/TARGET/`:
//! `cargo run -p moorline-conformance --example corpus`.

mod seeds;

use std::path::Path;
use std::{fs, io};

use moorline_conformance::fuzz::TARGETS;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in TARGETS {
        let folder = corpus.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, input) in seeds::kept(target.name)?.iter().enumerate() {
            fs::write(folder.join(format!("kept-{number}")), input)?;
        }
    }
    Ok(())
}
