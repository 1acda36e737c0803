//! The hub under siege: this program again, as a process of its own.

use std::fs::Permissions;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_lite::future;
use moorline_core::crypto::SigningKey;
use moorline_server::admin::{AdminAnswer, AdminRequest, StatusReport, ask};
use moorline_server::daemon::{Daemon, block_on};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{Particulars, PeerRole, Reach};
use tempfile::TempDir;

use crate::world::{ALL, Peer, config, encode, private_folder};

/// How long the hub may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ticks of the processor's clock in a second, as Linux tells them to programs.
const TICKS: f64 = 100.0;

/// The file with the hub's certificate, and that with its private key.
const CERTIFICATE: &str = "hub.pem";
const KEY: &str = "hub.key";

/// The hub, until this is dropped.
pub(crate) struct Hub {
    folder: TempDir,
    program: Child,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
}

/// Serves in `folder` until standard input ends, with a door for TLS where the folder has a certificate.
pub(crate) fn serve(folder: &Path, holds_many: bool) {
    let mut config = config(folder);
    config.listen_udp = None;
    if holds_many {
        config.limits.handshakes = 512;
        config.limits.handshakes_per_address = 512;
        config.limits.handshake_millis = 60_000;
        config.tls.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.tls.certificate = Some(folder.join(CERTIFICATE));
        config.tls.key = Some(folder.join(KEY));
    }
    block_on(|executor| {
        future::block_on(async {
            let daemon = Daemon::start(config).await.expect("the hub starts");
            let stop = smol::unblock(|| {
                let _ = std::io::stdin().read(&mut [0]);
            });
            daemon.serve(executor, stop).await;
        });
    });
}

impl Hub {
    /// Starts a hub with the limits that are the default.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], private_folder())
    }

    /// Starts a hub that holds hundreds of strangers at once, in TLS too.
    pub(crate) fn start_for_many() -> Self {
        let folder = private_folder();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        put(&folder, CERTIFICATE, &made.cert.pem());
        put(&folder, KEY, &made.signing_key.serialize_pem());
        Self::start_with(&["--holds-many"], folder)
    }

    fn start_with(arguments: &[&str], folder: TempDir) -> Self {
        let itself = std::env::current_exe().expect("a path");
        let program = Command::new(itself)
            .arg("--hub")
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the hub runs");
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = status(folder.path()) {
                break status;
            }
            assert!(Instant::now() < give_up, "the hub does not serve");
            std::thread::sleep(Duration::from_millis(20));
        };
        let address = |listener| address(&status, listener);
        let (tcp, http) = (address("tcp"), address("http"));
        let (tcp, http) = (tcp.expect("it listens"), http.expect("it listens"));
        let https = address("https");
        Self {
            folder,
            program,
            tcp,
            http,
            https,
        }
    }

    /// Returns how many connections the hub has.
    pub(crate) fn connections(&self) -> usize {
        let status = status(self.folder.path()).expect("the hub answers");
        status.states.values().sum()
    }

    /// Returns the file with the hub's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// Enrols a peer with a new key.
    pub(crate) fn enrol(&self, name: &str, role: PeerRole, reach: Reach) -> Peer {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let permissions = match role {
            PeerRole::Agent => &[],
            PeerRole::Commander => ALL,
        };
        let request = AdminRequest::Enrol {
            name: name.into(),
            key: encode(&key),
            particulars: Particulars {
                role,
                ..Particulars::commander(reach, permissions)
            },
        };
        match ask(self.folder.path(), &request) {
            Ok(AdminAnswer::Enrolled(credential)) => Peer { key, credential },
            other => panic!("not enrolled: {other:?}"),
        }
    }

    /// Returns the hub's resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u32 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Returns the seconds of a processor that the hub has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = self.read("stat");
        // After the name in parentheses, user and system time are the 12th and 13th.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let times = rest.split_whitespace().skip(11).take(2);
        times
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum::<f64>()
            / TICKS
    }

    fn read(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.program.id());
        std::fs::read_to_string(path).expect("the hub runs, on Linux")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn status(folder: &Path) -> Option<StatusReport> {
    match ask(folder, &AdminRequest::Status) {
        Ok(AdminAnswer::Status(status)) => Some(*status),
        _ => None,
    }
}

fn address(status: &StatusReport, listener: &str) -> Option<SocketAddr> {
    let address = status.listeners.get(listener);
    address.and_then(|text| text.parse().ok())
}

/// Writes a file that nobody else may read.
fn put(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
}
