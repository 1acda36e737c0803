//! The program `moorlined`: what stands between a daemon and the system that runs it.
//!
//! Exit codes: 0 done; 1 the daemon cannot serve, or was told twice to end; 2 the command line or the configuration is
//! not valid.

mod arguments;
mod background;
mod logs;
mod notify;
mod pid_file;
mod signals;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

pub use arguments::Arguments;
use arguments::Command;
use clap::{CommandFactory, Parser};
use futures_lite::future;
use logs::Logs;
use pid_file::PidFile;
use sd_notify::NotifyState;
use signals::Attendant;

use crate::config::{Config, Mistakes, Sources};
use crate::daemon::{Daemon, StartError, block_on};
use crate::store::StoreError;

/// Why the program ended badly.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] Mistakes),
    #[error("{0}")]
    Usage(&'static str),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the pid file: {0}")]
    PidFile(StoreError),
    #[error("cannot open the log: {0}")]
    Log(std::io::Error),
    #[error("cannot go into the background: {0}")]
    Background(std::io::Error),
    /// The daemon in the background said this and ended with this code.
    #[error("{said}")]
    InBackground { said: String, code: u8 },
    #[error("told twice to end; not every peer was told")]
    CutShort,
    #[error("cannot print the configuration: {0}")]
    Print(#[from] toml::ser::Error),
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::InBackground { code, .. } => *code,
            _ => 1,
        }
    }
}

/// Runs the program of this process.
#[must_use]
pub fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may listen any more.
            let _ = writeln!(std::io::stderr(), "{}", complaint(&failure));
            ExitCode::from(failure.code())
        }
    }
}

/// Returns what is said of `failure`: each mistake on a line of its own.
fn complaint(failure: &Failure) -> String {
    let said = failure.to_string();
    let lines = said.lines().map(|line| match failure {
        Failure::InBackground { .. } => line.to_owned(),
        _ => format!("moorlined: {line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.wanted() {
        Command::Run => {
            let sources = arguments.sources();
            let config = sources.load()?;
            if arguments.background() {
                background::start(&config)
            } else {
                let logs = Logs::start(&config).map_err(Failure::Log)?;
                block_on(|executor| future::block_on(serve(executor, sources, config, logs)))
            }
        }
        Command::CheckConfig => {
            arguments.sources().load()?;
            Ok(writeln!(std::io::stdout(), "the configuration is valid")?)
        }
        Command::PrintConfig => {
            let text = toml::to_string(&arguments.sources().load()?)?;
            Ok(write!(std::io::stdout(), "{text}")?)
        }
        Command::Completions(completions) => Ok(completions.run(Arguments::command())?),
        Command::Man(man) => Ok(man.run(Arguments::command())?),
    }
}

/// Serves until the system asks the daemon to stop.
async fn serve(
    executor: Arc<smol::Executor<'static>>,
    sources: Sources,
    config: Config,
    logs: Logs,
) -> Result<(), Failure> {
    let attendant = Attendant::new().map_err(StartError::from)?;
    let pid_path = config.pid_file.clone();
    let daemon = Daemon::start(config).await?;
    let pid_file = pid_path.map(PidFile::write).transpose();
    let _pid_file = pid_file.map_err(Failure::PidFile)?;
    let written = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(|| "off".into(), |address| address.to_string())
    };
    tracing::info!(
        http = %daemon.http_address(),
        tcp = written(daemon.tcp_address()),
        udp = written(daemon.udp_address()),
        "ready"
    );
    notify::tell(&[NotifyState::Ready]);
    let control = daemon.control();
    let beating = notify::watchdog_period().map(|period| {
        let control = control.clone();
        executor.spawn(async move {
            let beat = || notify::tell(&[NotifyState::Watchdog]);
            notify::beat(&control, period, beat).await;
        })
    });
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let (reload, reloads) = async_channel::bounded(1);
    let reloading = executor.spawn(signals::reload_for_ever(reloads, sources, control, logs));
    let served = async {
        let stop = async {
            let _ = stopped.recv().await;
        };
        daemon.serve(Arc::clone(&executor), stop).await;
        Ok(())
    };
    let attended = async {
        attendant.attend(stop, reload).await;
        Err(Failure::CutShort)
    };
    let ended = future::or(served, attended).await;
    drop((beating, reloading));
    tracing::info!("stopped");
    ended
}
