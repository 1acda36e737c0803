//! The Moorline command line.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    moorline_server::cli::main()
}
