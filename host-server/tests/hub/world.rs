//! A hub of its own for every test, and peers that are enrolled with it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_lite::future;
use moorline_core::crypto::SigningKey;
use moorline_core::handshake::{Initiator, Offer, Shown, Wanted};
use moorline_core::token::{MAX_UNPACKED_LEN, TrustAnchors, UnpackedToken};
use moorline_core::trust::TrustStore;
use moorline_core::wire::{Form, SuiteList};
use moorline_server::admin::{AdminAnswer, AdminRequest, Credential, ask};
use moorline_server::client::{Client, ClientError, Commander};
use moorline_server::config::Config;
use moorline_server::daemon::{Control, Daemon, Reloaded, block_on};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};
use tempfile::TempDir;

/// What a commander may do unless a test says otherwise.
pub(crate) const ALL: &[&str] = &["agent.command.*", "agent.list"];

/// A hub that serves until it is dropped.
pub(crate) struct World {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) tcp: SocketAddr,
    pub(crate) udp: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) control: Control,
    stop: Option<async_channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    /// Starts a hub in a folder of its own.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts a hub with a changed configuration.
    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(Arc::new(private_folder()), change)
    }

    /// Starts a hub in the folder of an earlier one.
    pub(crate) fn start_in(folder: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(folder, change, |daemon| daemon)
    }

    /// Starts a hub that is changed once more before it serves.
    pub(crate) fn start_as(
        folder: Arc<TempDir>,
        change: impl FnOnce(&mut Config),
        finish: impl FnOnce(Daemon) -> Daemon + Send + 'static,
    ) -> Self {
        let mut config = config(folder.path());
        change(&mut config);
        let (stop, stopped) = async_channel::bounded(1);
        let (ready, addresses) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            block_on(|executor| {
                future::block_on(async {
                    let daemon = Daemon::start(config).await.expect("the hub starts");
                    let daemon = finish(daemon);
                    let tcp = daemon.tcp_address().expect("it serves TCP");
                    let udp = daemon.udp_address().expect("it takes datagrams");
                    let metrics = daemon.metrics_address();
                    ready
                        .send((
                            (daemon.http_address(), daemon.https_address()),
                            (tcp, udp, metrics),
                            daemon.control(),
                        ))
                        .expect("the test waits");
                    let stop = async {
                        let _ = stopped.recv().await;
                    };
                    daemon.serve(executor, stop).await;
                });
            });
        });
        let ((http, https), (tcp, udp, metrics), control) =
            addresses.recv().expect("the hub starts");
        Self {
            folder,
            http,
            https,
            tcp,
            udp,
            metrics,
            control,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns the hub's address for a commander that speaks in datagrams.
    pub(crate) fn udp_url(&self) -> String {
        format!("udp://{}", self.udp)
    }

    /// Has the hub go on with a changed configuration, as SIGHUP does.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Config)) -> Reloaded {
        let mut config = config(self.folder.path());
        change(&mut config);
        future::block_on(self.control.reload(config))
    }

    /// Stops the hub as SIGTERM does, and waits until it has said goodbye.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the hub ends well");
        }
    }

    /// Asks as an operator.
    pub(crate) fn ask(&self, request: &AdminRequest) -> AdminAnswer {
        ask(self.folder.path(), request).expect("the hub answers")
    }

    /// Enrols an agent in no group.
    pub(crate) fn agent(&self, name: &str) -> Peer {
        self.enrol(name, PeerRole::Agent, None, Reach::Nobody, &[])
    }

    /// Enrols a commander that reaches the agent `agent` and may do everything with it.
    pub(crate) fn commander(&self, name: &str, agent: &str) -> Peer {
        self.commander_with(name, Reach::Agents(vec![agent.into()]), ALL)
    }

    /// Enrols a commander.
    pub(crate) fn commander_with(&self, name: &str, reach: Reach, permissions: &[&str]) -> Peer {
        self.enrol(name, PeerRole::Commander, None, reach, permissions)
    }

    /// Enrols a peer with a new key.
    pub(crate) fn enrol(
        &self,
        name: &str,
        role: PeerRole,
        group: Option<&str>,
        reach: Reach,
        permissions: &[&str],
    ) -> Peer {
        let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        let request = AdminRequest::Enrol {
            name: name.into(),
            role,
            key: encode(&key),
            group: group.map(String::from),
            reach,
            permissions: permissions.iter().copied().map(String::from).collect(),
        };
        match self.ask(&request) {
            AdminAnswer::Enrolled(credential) => Peer { key, credential },
            other => panic!("not enrolled: {other:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A failed test must say its own reason.
            let _ = thread.join();
        }
    }
}

/// Makes a folder that its owner alone can read, which is gone when dropped.
pub(crate) fn private_folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder
        .permissions(PermissionsExt::from_mode(0o700))
        .tempdir()
        .expect("a folder")
}

/// Returns a configuration with ports that the system chooses.
pub(crate) fn config(folder: &Path) -> Config {
    Config {
        data_dir: folder.join("."),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        listen_tcp: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        listen_udp: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Config::default()
    }
}

/// A peer with its key and its credential.
pub(crate) struct Peer {
    pub(crate) key: SigningKey,
    pub(crate) credential: Credential,
}

impl Peer {
    /// Returns the peer's part in a handshake with its hub over a stream, whom it trusts by `trust`.
    pub(crate) fn initiator<'k>(
        &'k self,
        trust: &'k TrustStore,
        buffer: &'k mut [u8; MAX_UNPACKED_LEN],
    ) -> Initiator<'k> {
        Initiator {
            key: &self.key,
            shows: Shown::Token(self.token(buffer)),
            wanted: Wanted::Hub(trust, Form::Stream),
            offer: Offer {
                suites: SuiteList::AES_FIRST,
                wants_ticket: false,
                mtu: 1500,
                max_payload_len: 1024,
                no_clock: true,
            },
        }
    }

    /// Returns the same peer once more.
    pub(crate) fn again(&self) -> Self {
        Self {
            key: SigningKey::from_scalar(&self.key.to_scalar()).expect("the same key"),
            credential: self.credential.clone(),
        }
    }

    pub(crate) fn trust(&self) -> TrustStore {
        self.credential.trust().expect("the hub's key is one")
    }

    pub(crate) fn token<'o>(&self, out: &'o mut [u8; MAX_UNPACKED_LEN]) -> UnpackedToken<'o> {
        self.credential.token(out).expect("the token is one")
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        self.credential.anchors().expect("the issuer's key is one")
    }

    /// Has `work` do what it wants as this commander.
    pub(crate) fn as_commander<R>(&self, work: impl AsyncFnOnce(Commander<'_>) -> R) -> R {
        let (trust, anchors) = (self.trust(), self.anchors());
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let commander = Commander {
            key: &self.key,
            token: self.token(&mut buffer),
            trust: &trust,
            keeper: None,
            anchors: &anchors,
            audience: &self.credential.hub,
        };
        future::block_on(work(commander))
    }

    /// Connects, and has `work` do what it wants with the connection.
    pub(crate) fn connected<R>(
        &self,
        work: impl AsyncFnOnce(&mut Client<'_>) -> R,
    ) -> Result<R, ClientError> {
        self.connected_to(&self.credential.url, work)
    }

    /// Connects to the hub at `url`.
    pub(crate) fn connected_to<R>(
        &self,
        url: &str,
        work: impl AsyncFnOnce(&mut Client<'_>) -> R,
    ) -> Result<R, ClientError> {
        self.as_commander(async |commander| {
            let mut client = Client::connect(url, commander).await?;
            let result = work(&mut client).await;
            client.close().await;
            Ok(result)
        })
    }
}

/// Returns the public half of `key` as operators write it.
pub(crate) fn encode(key: &SigningKey) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(&key.public_key().to_bytes())
}
