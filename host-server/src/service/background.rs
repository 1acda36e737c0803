//! A daemon in the background: the program starts itself again, and waits until that one serves.

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::Failure;
use crate::config::Config;
use crate::daemon::StartError;
use crate::store::make_private_dir;

/// Longest message of the daemon to who waits for it, in bytes.
const MAX_LEN: usize = 256;

/// What is waited for.
enum Event {
    /// The daemon serves.
    Ready,
    /// The daemon has ended, and said this before.
    Ended(String),
}

/// Starts the daemon in a process of its own, and returns when it serves.
///
/// # Errors
///
/// [`Failure`]: what the daemon said when it did not, with its exit code.
pub(super) fn start(config: &Config) -> Result<(), Failure> {
    if config.log_file.is_none() {
        return Err(Failure::Usage("--background needs a log_file"));
    }
    // The folder is the owner's alone, and so is what is said there.
    make_private_dir(&config.data_dir).map_err(StartError::from)?;
    let name = format!("start-{}.sock", std::process::id());
    let path = std::path::absolute(config.data_dir.join(name)).map_err(Failure::Background)?;
    let started = start_and_wait(&path);
    let _ = std::fs::remove_file(&path);
    started
}

fn start_and_wait(path: &PathBuf) -> Result<(), Failure> {
    let _ = std::fs::remove_file(path);
    let socket = UnixDatagram::bind(path).map_err(Failure::Background)?;
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.filter(|argument| argument != "--background");
    let mut child = std::env::current_exe()
        .and_then(|program| {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .process_group(0)
                .env("NOTIFY_SOCKET", path)
                .env_remove("WATCHDOG_USEC")
                .env_remove("WATCHDOG_PID")
                .spawn()
        })
        .map_err(Failure::Background)?;
    let (sender, events) = mpsc::channel();
    if let Some(mut said) = child.stderr.take() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = said.read_to_string(&mut text);
            let _ = sender.send(Event::Ended(text));
        });
    }
    std::thread::spawn(move || {
        let mut message = [0; MAX_LEN];
        while let Ok(len) = socket.recv(&mut message) {
            let lines = message.get(..len).unwrap_or_default();
            if lines
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                let _ = sender.send(Event::Ready);
                return;
            }
        }
    });
    match events.recv() {
        Ok(Event::Ready) => Ok(()),
        Ok(Event::Ended(said)) => {
            let status = child.wait().map_err(Failure::Background)?;
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            let said = said.trim_end().to_owned();
            match code {
                Some(code @ 1..) => Err(Failure::InBackground { said, code }),
                _ => Err(unheard("the daemon ended before it served")),
            }
        }
        Err(_) => Err(unheard("nothing is heard of the daemon")),
    }
}

fn unheard(what: &'static str) -> Failure {
    Failure::Background(std::io::Error::other(what))
}
