//! The command line of `moorlined`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use toml::Value;

use crate::config::{LogFormat, Sources};
use crate::manual::{CompletionsArguments, ManArguments};

/// Routes between agents and commanders, and lets in nobody it does not know.
///
/// Every key of the configuration can be set by an environment variable, such as MOORLINED_LIMITS__CONNECTIONS.
#[derive(Debug, Parser)]
#[command(name = "moorlined", version)]
pub struct Arguments {
    /// The configuration; without a file, defaults serve on loopback.
    #[arg(
        long,
        short,
        env = "MOORLINED_CONFIG",
        global = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// What the surroundings are called: `NAME` reads `moorlined.NAME.toml` beside the configuration.
    #[arg(
        long,
        env = "MOORLINED_ENVIRONMENT",
        global = true,
        value_name = "NAME"
    )]
    environment: Option<String>,
    /// A file over the configuration; the last one wins.
    #[arg(long, global = true, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Where keys and the registry are kept, in place of the configuration's.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Where HTTP with the WebSocket is served, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen: Option<SocketAddr>,
    /// Where bare TCP is served, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen_tcp: Option<SocketAddr>,
    /// Where datagrams are taken, over UDP, in place of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen_udp: Option<SocketAddr>,
    /// How lines of the log are written, in place of the configuration's.
    #[arg(long, value_enum, global = true)]
    log_format: Option<LogFormat>,
    /// The file that the log is added to, in place of the configuration's.
    #[arg(long, value_name = "FILE", global = true)]
    log_file: Option<String>,
    /// The file that says which process serves, in place of the configuration's.
    #[arg(long, value_name = "FILE", global = true)]
    pid_file: Option<String>,
    /// Returns when the daemon serves, and leaves it in the background; it needs a log file.
    #[arg(long, global = true)]
    background: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Serves; this is what happens without a command.
    Run,
    /// Reads the configuration as the daemon does, and says whether it is valid and what is wrong.
    CheckConfig,
    /// Prints the whole configuration as the daemon has it, without its secrets.
    PrintConfig,
    /// Prints what completes the command line in a shell.
    Completions(CompletionsArguments),
    /// Writes the manual pages into a folder.
    Man(ManArguments),
}

impl Arguments {
    pub(super) fn wanted(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }

    pub(super) fn background(&self) -> bool {
        self.background
    }

    /// Returns where the configuration comes from: these arguments, and the environment of this process.
    pub(super) fn sources(&self) -> Sources {
        let address = |address: Option<SocketAddr>| Some(address?.to_string());
        let format = self
            .log_format
            .and_then(|format| format.to_possible_value());
        let format = format.map(|format| format.get_name().to_owned());
        let options = [
            ("--data-dir", "data_dir", self.data_dir.clone()),
            ("--listen", "listen", address(self.listen)),
            ("--listen-tcp", "listen_tcp", address(self.listen_tcp)),
            ("--listen-udp", "listen_udp", address(self.listen_udp)),
            ("--log-file", "log_file", self.log_file.clone()),
            ("--log-format", "log_format", format),
            ("--pid-file", "pid_file", self.pid_file.clone()),
        ];
        let options = options.into_iter();
        let options = options
            .filter_map(|(option, key, value)| Some((option, key, Value::String(value?))))
            .collect();
        Sources {
            file: self.config.clone(),
            environment: self.environment.clone(),
            overlays: self.overlay.clone(),
            variables: variables(),
            options,
        }
    }
}

/// Returns the environment variables that set a key: all of the daemon's but those that stand for an option.
fn variables() -> Vec<(OsString, OsString)> {
    let command = Arguments::command();
    let options: Vec<OsString> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env().map(Into::into))
        .collect();
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| {
            let is_own = name
                .to_str()
                .is_some_and(|name| name.starts_with(Sources::PREFIX));
            is_own && !options.contains(name)
        })
        .collect();
    variables.sort();
    variables
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Arguments;

    #[test]
    fn the_command_line_is_in_order_and_its_options_are_the_last_layer() {
        Arguments::command().debug_assert();
        let arguments = [
            "moorlined",
            "--listen-udp",
            "127.0.0.1:5",
            "--data-dir",
            "/d",
            "--log-format",
            "json",
        ];
        let sources = Arguments::parse_from(arguments).sources();
        let config = sources.load().expect("valid");
        assert_eq!(config.listen_udp, "127.0.0.1:5".parse().ok());
        assert_eq!(config.data_dir.to_str(), Some("/d"));
        assert_eq!(sources.options.len(), 3);
    }
}
