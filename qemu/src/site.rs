//! A hub and its people on this machine: the daemon, and the command line beside it.

use std::ffi::OsStr;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64ct::Base64UrlUnpadded;
use base64ct::Encoding;
use moorline_core::crypto::PublicKey;
use moorline_core::crypto::Secret;
use moorline_core::handshake::Pins;
use moorline_core::provision::MAX_PROVISION_LEN;
use moorline_core::provision::Provision;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::token::UnpackedToken;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;

/// A hub daemon that runs. Dropping it ends it.
pub struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Starts `program` on free ports of this machine, with its keys in `data_dir`, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It does not start, or is not ready in time; the error has its last line.
    pub fn start(program: &Path, data_dir: &Path) -> Result<Self, Error> {
        let mut child = Command::new(program)
            .args(["--listen", FREE_PORT, "--listen-tcp", FREE_PORT])
            .args(["--log-format", "json", "--data-dir"])
            .arg(data_dir)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start {
                program: program.display().to_string(),
                source,
            })?;
        let lines = child.stderr.take().map(watch);
        let mut daemon = Self {
            child,
            address: String::new(),
        };
        let mut said = String::new();
        while let Some(Ok(line)) = lines.as_ref().map(|lines| lines.recv_timeout(START)) {
            if let Some(address) = ready(&line) {
                daemon.address = address;
                return Ok(daemon);
            }
            said = line;
        }
        Err(Error::Program {
            program: program.display().to_string(),
            said,
        })
    }

    /// Returns where it serves WebSockets, `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Reads the log to its end, so that the daemon never waits for a reader.
fn watch(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _unheard = sender.send(line);
        }
    });
    lines
}

/// Returns the address in the line that says that the daemon is ready.
fn ready(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    let is_ready = fields.get("message")?.as_str()? == "ready";
    let address = fields.get("http")?.as_str()?;
    is_ready.then(|| address.to_owned())
}

/// Somebody with a folder for a key and a credential: a commander, or who provisions a device.
pub struct Person {
    program: PathBuf,
    home: PathBuf,
}

impl Person {
    /// Returns who keeps a key in `home` and types `program`, the command line.
    pub fn new(program: &Path, home: PathBuf) -> Self {
        Self {
            program: program.into(),
            home,
        }
    }

    /// Types a command and returns what it prints for programs.
    ///
    /// # Errors
    ///
    /// It cannot be started, fails, or prints something else than JSON; the error has its words.
    pub fn types(&self, arguments: &[&OsStr]) -> Result<Value, Error> {
        let output = Command::new(&self.program)
            .arg("--home")
            .arg(&self.home)
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Start {
                program: self.program.display().to_string(),
                source,
            })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if let (true, Ok(value)) = (output.status.success(), serde_json::from_str(&printed)) {
            return Ok(value);
        }
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        Err(Error::Program {
            program: format!("moorline {}", words.join(" ")),
            said: format!("{printed}{}", String::from_utf8_lossy(&output.stderr)),
        })
    }

    /// Makes a key, and enrols it with the daemon whose data directory is `data_dir`: `who` is what follows `enroll`.
    ///
    /// # Errors
    ///
    /// As [`Person::types`].
    pub fn enrolls(&self, who: &[&str], data_dir: &Path) -> Result<(), Error> {
        self.types(&["keygen".as_ref()])?;
        let mut words: Vec<&OsStr> = vec!["enroll".as_ref()];
        words.extend(who.iter().map(OsStr::new));
        words.extend(["--data-dir".as_ref(), data_dir.as_os_str()]);
        self.types(&words).map(drop)
    }

    /// Returns what a device with this key and this credential is provisioned with.
    ///
    /// # Errors
    ///
    /// The folder has no key or no credential, or they are damaged.
    pub fn provision(&self) -> Result<Vec<u8>, Error> {
        let credential: Credential = serde_json::from_str(&self.file("credential.json")?)
            .map_err(|error| damaged("credential.json", &error.to_string()))?;
        let scalar = decode("key", self.file("key")?.trim_end())?;
        let hub_key = decode("hub_key", &credential.hub_key)?;
        let hub_key = PublicKey::from_bytes(&hub_key)
            .ok_or_else(|| damaged("hub_key", "it is not a point on P-256"))?;
        let host = credential
            .url
            .strip_prefix("ws://")
            .and_then(|rest| rest.strip_suffix("/ws"))
            .ok_or_else(|| damaged("url", "ws://HOST:PORT/ws is expected"))?;
        let mut token = [0; MAX_UNPACKED_LEN];
        let token = UnpackedToken::from_compact(credential.token.as_bytes(), &mut token)
            .map_err(|reason| damaged("token", &format!("{reason:?}")))?;
        let provision = Provision::new(host, Pins::new(hub_key), Secret::new(scalar), token)
            .map_err(|error| damaged("url", &format!("{error:?}")))?;
        let mut image = [0; MAX_PROVISION_LEN];
        let image = provision.emit(&mut image);
        image
            .map(|image| image.to_vec())
            .map_err(|error| damaged("credential.json", &format!("{error:?}")))
    }

    fn file(&self, name: &str) -> Result<String, Error> {
        let path = self.home.join(name);
        fs::read_to_string(&path).map_err(|source| Error::File { path, source })
    }
}

/// What is needed of a credential.
#[derive(Deserialize)]
struct Credential {
    hub_key: String,
    url: String,
    token: String,
}

fn decode<const LEN: usize>(what: &str, text: &str) -> Result<[u8; LEN], Error> {
    let mut bytes = [0; LEN];
    match Base64UrlUnpadded::decode(text, &mut bytes) {
        Ok(decoded) if decoded.len() == LEN => Ok(bytes),
        _ => Err(damaged(what, "it is not base64url of the right length")),
    }
}

fn damaged(what: &str, reason: &str) -> Error {
    Error::Credential {
        what: what.into(),
        reason: reason.into(),
    }
}

/// A port that the system chooses; the daemon says which.
const FREE_PORT: &str = "127.0.0.1:0";
/// The daemon makes two keys and binds three sockets; it is ready in a fraction of a second.
const START: Duration = Duration::from_secs(20);
