//! The Moorline hub daemon.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    moorline_server::service::main()
}
