//! Writes the published example of a link: `cargo run -p moorline-conformance --example vectors`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use moorline_conformance::vectors;

fn main() -> ExitCode {
    let mut text = String::new();
    if let Err(failure) = vectors::write(&mut text) {
        eprintln!("the example cannot be derived: {failure:?}");
        return ExitCode::FAILURE;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/vectors/link-v1.json");
    match fs::write(&path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
