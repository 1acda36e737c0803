//! The hub under siege: this program again, as a process of its own.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
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

/// The hub, until this is dropped.
pub(crate) struct Hub {
    folder: TempDir,
    program: Child,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// Serves in `folder` until standard input ends.
pub(crate) fn serve(folder: &Path) {
    let mut config = config(folder);
    config.listen_udp = None;
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
    pub(crate) fn start() -> Self {
        let folder = private_folder();
        let itself = std::env::current_exe().expect("a path");
        let program = Command::new(itself)
            .arg("--hub")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("the hub runs");
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Ok(AdminAnswer::Status(status)) = ask(folder.path(), &AdminRequest::Status) {
                break status;
            }
            assert!(Instant::now() < give_up, "the hub does not serve");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (tcp, http) = (address(&status, "tcp"), address(&status, "http"));
        Self {
            folder,
            program,
            tcp,
            http,
        }
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

fn address(status: &StatusReport, listener: &str) -> SocketAddr {
    let address = status.listeners.get(listener);
    address
        .and_then(|text| text.parse().ok())
        .expect("it listens")
}
