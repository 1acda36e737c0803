//! Writes the published examples: `cargo run -p moorline-conformance --example vectors`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use moorline_conformance::vectors;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/vectors");
    for (name, write) in vectors::FILES {
        let mut text = String::new();
        if let Err(failure) = write(&mut text) {
            eprintln!("{name} cannot be derived: {failure:?}");
            return ExitCode::FAILURE;
        }
        if let Err(error) = fs::write(folder.join(name), text) {
            eprintln!("{}: {error}", folder.join(name).display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
