//! The Moorline hub daemon.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use futures_lite::future;
use moorline_server::config::{Config, Mistakes};
use moorline_server::daemon::{Daemon, StartError, block_on, stop_signal};
use tracing_subscriber::EnvFilter;

/// Routes between agents and commanders, and lets in nobody it does not know.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; without a file, defaults serve on loopback.
    #[arg(long, short, env = "MOORLINED_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where keys and the registry are kept, in place of the configuration's.
    #[arg(long, env = "MOORLINED_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Where HTTP with the WebSocket is served, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen: Option<std::net::SocketAddr>,
    /// Where bare TCP is served, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen_tcp: Option<std::net::SocketAddr>,
    /// Where datagrams are taken, over UDP, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen_udp: Option<std::net::SocketAddr>,
    /// How logs are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// A line for people.
    Text,
    /// A line of JSON for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves; this is what happens without a command.
    Run,
    /// Reads the configuration as the daemon does, prints it in full, and ends.
    CheckConfig,
}

/// Why the daemon ended badly.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] Mistakes),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot print the configuration: {0}")]
    Print(#[from] toml::ser::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logs(arguments.log_format);
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("moorlined: {failure}");
            match failure {
                Failure::Config(_) => ExitCode::from(2),
                Failure::Start(_) | Failure::Print(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = Config::load(arguments.config.as_deref())?;
    config.data_dir = arguments.data_dir.unwrap_or(config.data_dir);
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.listen_tcp = arguments.listen_tcp.or(config.listen_tcp);
    config.listen_udp = arguments.listen_udp.or(config.listen_udp);
    match arguments.command.unwrap_or(Command::Run) {
        Command::CheckConfig => {
            print!("{}", toml::to_string(&config)?);
            Ok(())
        }
        Command::Run => block_on(|executor| {
            future::block_on(async {
                let stop = stop_signal().map_err(StartError::from)?;
                let daemon = Daemon::start(config).await?;
                let written = |address: Option<std::net::SocketAddr>| {
                    address.map_or_else(|| "off".into(), |address| address.to_string())
                };
                tracing::info!(
                    http = %daemon.http_address(),
                    tcp = written(daemon.tcp_address()),
                    udp = written(daemon.udp_address()),
                    "ready"
                );
                daemon.serve(executor, stop).await;
                tracing::info!("stopped");
                Ok(())
            })
        }),
    }
}

/// Logs go to standard error; `RUST_LOG` chooses what.
fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
