//! The emulator's monitor, for what no device lets out, the image of its RAM, and for the plug of its network.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde_json::{Value, json};

use crate::emulator::NETWORK_NAME;
use crate::error::Error;

/// Where the RAM of the agent's board begins: `firmware-example/memory/mps2-an386.x`.
pub const RAM_ADDRESS: u64 = 0x2000_0000;
/// Its length in bytes.
pub const RAM_LEN: usize = 4 * 1024 * 1024;

/// A connection to the monitor of a run (the QEMU Machine Protocol).
pub struct Monitor {
    replies: BufReader<UnixStream>,
    folder: PathBuf,
}

impl Monitor {
    /// Connects to the socket that [`crate::Qemu::monitor`] was given.
    ///
    /// # Errors
    ///
    /// Nobody listens there within ten seconds.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        let named = |source| Error::File {
            path: socket.into(),
            source,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(named(error)),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .map_err(named)?;
        let mut monitor = Self {
            replies: BufReader::new(stream),
            folder: socket.parent().unwrap_or(Path::new(".")).into(),
        };
        monitor.ask("qmp_capabilities", &json!({})).map_err(named)?;
        Ok(monitor)
    }

    /// Stops the core, takes the whole RAM and lets the core go on.
    ///
    /// # Errors
    ///
    /// The monitor refuses or is gone.
    pub fn ram_image(&mut self) -> Result<Vec<u8>, Error> {
        let path = self.folder.join("ram.bin");
        let wanted = json!({ "val": RAM_ADDRESS, "size": RAM_LEN, "filename": path });
        let image = self
            .ask("stop", &json!({}))
            .and_then(|_| self.ask("pmemsave", &wanted))
            .and_then(|_| fs::read(&path))
            .and_then(|image| self.ask("cont", &json!({})).map(|_| image));
        image.map_err(|source| Error::File { path, source })
    }

    /// Plugs the network in, or pulls the plug.
    ///
    /// # Errors
    ///
    /// The monitor refuses or is gone.
    pub fn set_link(&mut self, up: bool) -> Result<(), Error> {
        let wanted = json!({ "name": NETWORK_NAME, "up": up });
        self.ask("set_link", &wanted)
            .map(drop)
            .map_err(|source| Error::File {
                path: self.folder.clone(),
                source,
            })
    }

    /// Reads the 32-bit register at `address`.
    ///
    /// # Errors
    ///
    /// The monitor refuses or is gone.
    pub fn register(&mut self, address: u32) -> Result<u32, Error> {
        let wanted = json!({ "command-line": format!("xp /1xw {address:#010x}") });
        let value = self
            .ask("human-monitor-command", &wanted)
            .and_then(|reply| {
                let text = reply.as_str().unwrap_or_default().trim();
                let value = text.rsplit_once("0x").map(|(_, value)| value);
                let value = value.and_then(|value| u32::from_str_radix(value, 16).ok());
                value.ok_or_else(|| io::Error::other(text.to_owned()))
            });
        value.map_err(|source| Error::File {
            path: self.folder.clone(),
            source,
        })
    }

    /// Has the monitor do `command`, past the events that it reports meanwhile, and returns what it answers.
    fn ask(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments });
        writeln!(self.replies.get_mut(), "{line}")?;
        loop {
            let mut reply = String::new();
            if self.replies.read_line(&mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut reply: Value = serde_json::from_str(&reply)?;
            if let Some(answer) = reply.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(error) = reply.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
        }
    }
}
