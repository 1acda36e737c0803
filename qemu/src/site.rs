//! A hub with its peers, set up by the programs that a user runs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::emulator::{GATEWAY, Qemu};
use crate::error::Error;
use crate::image::build_program;

/// A folder with a hub's data and its peers' homes, and the programs that work on it.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    moorlined: PathBuf,
    moorline: PathBuf,
}

/// The road of a device to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// The emulated Ethernet, to the hub's HTTP port.
    Network,
    /// The serial line, to the hub's port for bare frames.
    SerialLine,
}

impl Road {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Network, Self::SerialLine];

    /// Returns what `moorline provision` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::SerialLine => "serial",
        }
    }

    /// Lays the road from the device of `qemu` to `hub`.
    pub fn lay(self, qemu: Qemu, hub: &Hub) -> Qemu {
        match self {
            Self::Network => qemu.network(),
            Self::SerialLine => qemu.serial(hub.tcp().to_string()),
        }
    }
}

/// A daemon that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    places: Places,
}

/// Where a daemon serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    http: SocketAddr,
    tcp: SocketAddr,
}

impl Site {
    /// Builds the daemon and the command line, and makes an empty folder for them.
    ///
    /// # Errors
    ///
    /// As [`build_program`]; [`Error::File`].
    pub fn build() -> Result<Self, Error> {
        let moorlined = build_program("moorline-server", "moorlined")?;
        let moorline = build_program("moorline-server", "moorline")?;
        let folder = TempDir::new().map_err(|source| Error::File {
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Self {
            folder,
            moorlined,
            moorline,
        })
    }

    /// Returns the command line program.
    #[must_use]
    pub fn moorline(&self) -> &Path {
        &self.moorline
    }

    /// Returns the hub's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// Returns the home of the peer `name`.
    #[must_use]
    pub fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon on loopback, at the ports of `before` or at some that the system chooses, and waits until it is
    /// ready. What it logs is in `hub.log`.
    ///
    /// # Errors
    ///
    /// [`Error::Start`]; [`Error::Program`] when it ends before it is ready.
    pub fn start_hub(&self, before: Option<Places>) -> Result<Hub, Error> {
        let started = |source| Error::Start {
            program: "moorlined".into(),
            source,
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let Places { http, tcp } = before.unwrap_or(Places {
            http: any,
            tcp: any,
        });
        let mut child = Command::new(&self.moorlined)
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", &http.to_string()])
            .args(["--listen-tcp", &tcp.to_string(), "--log-format", "json"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(started)?;
        let log = child
            .stderr
            .take()
            .ok_or_else(|| started(std::io::ErrorKind::Other.into()))?;
        let path = self.folder.path().join("hub.log");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|source| Error::File { path, source })?;
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = String::new();
        let ready = lines.by_ref().find_map(|line| {
            said.push_str(&line);
            said.push('\n');
            ready_places(&line)
        });
        let Some(places) = ready else {
            let _ = child.wait();
            return Err(Error::Program {
                program: "moorlined".into(),
                output: said,
            });
        };
        // The rest is read on, so that the daemon is never kept waiting.
        std::thread::spawn(move || {
            use std::io::Write;
            for line in lines {
                let _ = writeln!(file, "{line}");
            }
        });
        Ok(Hub { child, places })
    }

    /// Runs `moorline` as the peer `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Start`].
    pub fn run<A: AsRef<OsStr>>(&self, name: &str, arguments: &[A]) -> Result<Output, Error> {
        Command::new(&self.moorline)
            .arg("--home")
            .arg(self.home(name))
            .args(arguments)
            .env("MOORLINED_DATA_DIR", self.data_dir())
            .output()
            .map_err(|source| Error::Start {
                program: "moorline".into(),
                source,
            })
    }

    /// Runs `moorline --json` as the peer `name` and returns what it prints.
    ///
    /// # Errors
    ///
    /// [`Error::Start`]; [`Error::Program`] with what it says when it fails.
    pub fn json<A: AsRef<OsStr>>(&self, name: &str, arguments: &[A]) -> Result<Value, Error> {
        let mut all = vec![OsStr::new("--json")];
        all.extend(arguments.iter().map(AsRef::as_ref));
        let output = self.run(name, &all)?;
        let failed = || Error::Program {
            program: format!("moorline, as {name},"),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if !output.status.success() {
            return Err(failed());
        }
        serde_json::from_slice(&output.stdout).map_err(|_| failed())
    }

    /// Enrols the agent `name` with a key of its own, and returns the image for its flash, with the road to `hub` in it.
    ///
    /// # Errors
    ///
    /// As [`Site::json`]; [`Error::File`].
    pub fn provision_agent(&self, name: &str, hub: &Hub, road: Road) -> Result<Vec<u8>, Error> {
        self.provision_agent_at(name, hub.http().port(), road)
    }

    /// As [`Site::provision_agent`], for a device that reaches the hub at `port` of this machine, whoever listens there.
    ///
    /// # Errors
    ///
    /// As [`Site::provision_agent`].
    pub fn provision_agent_at(&self, name: &str, port: u16, road: Road) -> Result<Vec<u8>, Error> {
        self.json(name, &["keygen"])?;
        self.json(name, &["enroll", "agent", name])?;
        let path = self.home(name).join("flash.img");
        let host = format!("{GATEWAY}:{port}");
        let arguments = ["provision", "--road", road.name(), "--host", &host, "--out"];
        let mut arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        arguments.push(path.as_os_str());
        self.json(name, &arguments)?;
        std::fs::read(&path).map_err(|source| Error::File { path, source })
    }

    /// Enrols the commander `name`, which reaches the agent `agent`.
    ///
    /// # Errors
    ///
    /// As [`Site::json`].
    pub fn enrol_commander(&self, name: &str, agent: &str) -> Result<(), Error> {
        self.json(name, &["keygen"])?;
        self.json(name, &["enroll", "commander", name, "--agent", agent])?;
        Ok(())
    }
}

impl Hub {
    /// Returns where it serves, for the one that follows it.
    #[must_use]
    pub fn places(&self) -> Places {
        self.places
    }

    /// Returns where HTTP is served.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.places.http
    }

    /// Returns where bare frames are served.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        self.places.tcp
    }

    /// Ends the daemon as a service manager does, and waits until it has said goodbye.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] when it cannot be told; [`Error::Program`] when it ends badly.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// As [`Hub::stop`], of a daemon whose places are needed on.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        let failed = |source| Error::Start {
            program: "moorlined".into(),
            source,
        };
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| failed(error.into()))?;
        let status = self.child.wait().map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Program {
                program: "moorlined".into(),
                output: status.to_string(),
            })
        }
    }

    /// Kills the daemon where it stands, as a power cut would.
    pub fn kill(mut self) {
        self.cut();
    }

    /// As [`Hub::kill`], of a daemon whose places are needed on.
    pub(crate) fn cut(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Returns where the daemon serves HTTP and bare frames, when this line says that it is ready.
fn ready_places(line: &str) -> Option<Places> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    if fields.get("message")?.as_str()? != "ready" {
        return None;
    }
    let address = |name| fields.get(name)?.as_str()?.parse().ok();
    Some(Places {
        http: address("http")?,
        tcp: address("tcp")?,
    })
}
