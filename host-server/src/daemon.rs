//! A daemon's life: start, serve, say goodbye.

mod reload;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_lite::future;
use moorline_core::crypto::{SelfTestError, self_test};
pub use reload::{Control, Reloaded};
use rustix::fs::{FlockOperation, flock};
use smol::net::unix::UnixListener;
use smol::net::{TcpListener, UdpSocket};

use crate::accounts::Challenges;
use crate::audit::{Audit, Event, Kind};
use crate::config::{Config, Live, MetricsSettings};
use crate::door::{Budget, serve_http, serve_https, serve_tcp, serve_udp};
use crate::hub::{Hex, Hub, HubHandle, Input};
use crate::keyring::{Keyring, LockError, lock_memory};
use crate::metrics::{Doors, Running};
use crate::offline::Offline;
use crate::outside::{KeySetError, Outside};
use crate::shared::Shared;
use crate::standing::Standing;
use crate::store::{
    Accounts, Invitations, LoginLimits, Logins, Registry, Revocations, StoreError, Tickets, Vault,
    make_private_dir,
};
use crate::tls::{Certificates, TlsError};
use crate::watch::{AlertHandler, Courier, Handler, Watch};
use crate::witness::Witness;
use crate::{admin, clock, metrics};

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A primitive gives a wrong answer: the program or the machine is broken.
    #[error("self-test failed: {0:?}; nothing can be trusted on this machine")]
    SelfTest(SelfTestError),
    /// Keys or registry cannot be read or made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another daemon uses the data directory.
    #[error("{0}: another moorlined uses this data directory")]
    Locked(PathBuf),
    /// Memory is to be locked, and cannot be.
    #[error(transparent)]
    Memory(#[from] LockError),
    /// The certificate or its key is not in order.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The keys of an outside issuer are not in order.
    #[error("an outside issuer: {0}")]
    Outside(#[from] KeySetError),
    /// A listener cannot be opened.
    #[error("cannot listen on {place}: {error}")]
    Listen {
        /// Where.
        place: String,
        /// Why.
        error: std::io::Error,
    },
    /// The executor or the signals cannot be set up.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A daemon that is ready: its sockets are bound and its keys are read.
#[derive(Debug)]
pub struct Daemon {
    shared: Arc<Shared>,
    hub: Hub,
    http: TcpListener,
    https: Option<TcpListener>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    metrics: Option<TcpListener>,
    admin: UnixListener,
    courier: Courier,
    /// Held for as long as the daemon lives.
    lock: File,
}

impl Daemon {
    /// Makes everything ready. Keys are made where they are missing.
    ///
    /// # Errors
    ///
    /// [`StartError`]; what was made is left for the next start.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        self_test().map_err(StartError::SelfTest)?;
        make_private_dir(&config.data_dir)?;
        let lock = lock(&config.data_dir)?;
        lock_memory(config.keys.lock_memory)?;
        let vault = Arc::new(Vault::open(&config.data_dir, &config.keys.secret())?);
        let keyring = Keyring::open(&config.data_dir, &config.name, Arc::clone(&vault))?;
        let (audit, ended) = Audit::open(&config.data_dir, &vault, &config.audit)?;
        let (watch, alerts) = Watch::new(&config.watch);
        let witness = Witness::new(audit, watch);
        let courier = Courier {
            alerts,
            hub: config.name.clone(),
            config: config.watch.clone(),
            handler: None,
        };
        let standing = Standing::new(
            Registry::open(&config.data_dir, &config.name)?,
            Revocations::open(&config.data_dir)?,
            Logins::open(
                &config.data_dir,
                LoginLimits::of(&config.accounts),
                clock::now().unix.secs(),
            )?,
        );
        let now = clock::now().unix;
        let tickets = Tickets::open(&config.data_dir, &vault, config.limits.tickets, now)?;
        let offline = Offline::open(&config.data_dir, &config.offline)?;
        let certificates = Certificates::open(&config.tls)?;
        let outside = Live::new(Outside::open(&config.outside)?);
        let http = listen(config.listen).await?;
        let https = match config.tls.listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let tcp = match config.listen_tcp {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let udp = match config.listen_udp {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let admin = admin::bind(&config.data_dir).map_err(|error| StartError::Listen {
            place: config
                .data_dir
                .join(admin::SOCKET_NAME)
                .display()
                .to_string(),
            error,
        })?;
        let metrics = match config.metrics.listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let budget = Budget::new(config.limits.clone(), witness.clone());
        let counts = Arc::clone(budget.metrics());
        let (hub, handle) = Hub::new(standing.clone(), &config.limits, witness.clone(), counts);
        // A port that was left to the system is told as it came out.
        let mut config = Config {
            listen: http.local_addr()?,
            listen_tcp: tcp.as_ref().map(TcpListener::local_addr).transpose()?,
            listen_udp: udp.as_ref().map(UdpSocket::local_addr).transpose()?,
            metrics: MetricsSettings {
                listen: metrics.as_ref().map(TcpListener::local_addr).transpose()?,
            },
            ..config
        };
        if let Some(https) = &https {
            config.tls.listen = Some(https.local_addr()?);
        }
        let key_name = keyring.in_use().identity_key().hash().prefix::<8>();
        let started = Event::new(Kind::Started)
            .subject(&config.name)
            .text("version", env!("CARGO_PKG_VERSION"))
            .text("after", ended)
            .text("hub_key", &Hex(&key_name).to_string());
        // A hub whose acts leave no trace does not begin.
        let recorded = witness.record_durably(started).await;
        recorded.map_err(std::io::Error::other)?;
        let shared = Shared {
            invitations: Mutex::new(Invitations::open(&config.data_dir, &vault)?),
            accounts: Mutex::new(Accounts::open(&config.data_dir)?),
            challenges: Mutex::new(
                Challenges::new()
                    .map_err(|_| std::io::Error::other("the system gives no random bytes"))?,
            ),
            name: config.name.clone(),
            config: Live::new(config),
            keyring,
            standing,
            tickets: Mutex::new(tickets),
            offline,
            hub: handle,
            budget,
            witness,
            doors: Doors::default(),
            started: clock::now(),
            certificates,
            outside,
        };
        Ok(Self {
            shared: Arc::new(shared),
            hub,
            http,
            https,
            tcp,
            udp,
            metrics,
            admin,
            courier,
            lock,
        })
    }

    /// Returns what changes this daemon while it serves.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// Has `handler` take every alert of the watch, beside the log, the audit log and the webhook.
    #[must_use]
    pub fn with_alert_handler(mut self, handler: Arc<dyn AlertHandler>) -> Self {
        self.courier.handler = Some(Handler(handler));
        self
    }

    /// Returns where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.shared.config().listen
    }

    /// Returns where HTTP is served in TLS.
    #[must_use]
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.shared.config().tls.listen
    }

    /// Returns where bare TCP is served.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Returns where datagrams are taken.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp
            .as_ref()
            .and_then(|socket| socket.local_addr().ok())
    }

    /// Returns where health and metrics are said.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.shared.config().metrics.listen
    }

    /// Serves until `stop` is done, then ends every session with a sealed goodbye.
    pub async fn serve(
        self,
        executor: Arc<smol::Executor<'static>>,
        stop: impl Future<Output = ()>,
    ) {
        let handle: HubHandle = self.shared.hub.clone();
        let hub = executor.spawn(self.hub.run());
        let http = serve_http(self.http, Arc::clone(&self.shared), Arc::clone(&executor));
        let open = &self.shared.doors;
        let mut doors = vec![executor.spawn(while_running(open.open("http"), http))];
        if let Some(https) = self.https {
            let https = serve_https(https, Arc::clone(&self.shared), Arc::clone(&executor));
            doors.push(executor.spawn(while_running(open.open("https"), https)));
        }
        if let Some(tcp) = self.tcp {
            let tcp = serve_tcp(tcp, Arc::clone(&self.shared), Arc::clone(&executor));
            doors.push(executor.spawn(while_running(open.open("tcp"), tcp)));
        }
        if let Some(udp) = self.udp {
            let udp = serve_udp(udp, Arc::clone(&self.shared), Arc::clone(&executor));
            doors.push(executor.spawn(while_running(open.open("udp"), udp)));
        }
        let metrics = self.metrics.map(|listener| {
            let (shared, executor) = (Arc::clone(&self.shared), Arc::clone(&executor));
            executor.spawn(metrics::serve(listener, shared, Arc::clone(&executor)))
        });
        doors.push(executor.spawn(admin::serve(self.admin, Arc::clone(&self.shared))));
        let sweeping = Arc::clone(&self.shared);
        doors.push(executor.spawn(async move { sweeping.offline.sweep().await }));
        let keeping = Arc::clone(&self.shared);
        doors.push(executor.spawn(async move { keeping.keep_keys().await }));
        let witness = self.shared.witness.clone();
        let courier = executor.spawn(self.courier.run(witness));
        stop.await;
        self.shared.doors.drain();
        drop(doors);
        let drain = self.shared.config().drain.clone();
        let patience = drain.patience();
        let late = || async {
            smol::Timer::after(patience).await;
        };
        let said = async {
            handle.tell(Input::Drain(drain)).await;
            hub.await;
            self.shared.budget.wait_until_empty(patience).await;
        };
        // A hub that does not work any more says nothing.
        future::or(said, late()).await;
        self.shared.witness.end_alerts();
        future::or(courier, late()).await;
        let stopped = Event::new(Kind::Stopped).subject(&self.shared.name);
        self.shared.witness.stop(stopped).await;
        drop(metrics);
        // A program that this process is about to start may hold the file too: closing it would not do.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Runs `main` on as many threads as the machine has cores.
pub fn block_on<T>(main: impl FnOnce(Arc<smol::Executor<'static>>) -> T) -> T {
    let executor = Arc::new(smol::Executor::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (stop, stopped) = async_channel::bounded::<()>(1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
            scope.spawn(move || {
                future::block_on(executor.run(async {
                    let _ = stopped.recv().await;
                }));
            });
        }
        let result = main(executor);
        drop(stop);
        result
    })
}

/// Has `door` work; it counts as up until it ends.
async fn while_running(running: Running, door: impl Future<Output = ()>) {
    door.await;
    drop(running);
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| not_listening(address, error))
}

async fn bind(address: SocketAddr) -> Result<UdpSocket, StartError> {
    UdpSocket::bind(address)
        .await
        .map_err(|error| not_listening(address, error))
}

fn not_listening(address: SocketAddr, error: std::io::Error) -> StartError {
    StartError::Listen {
        place: address.to_string(),
        error,
    }
}

fn lock(data_dir: &Path) -> Result<File, StartError> {
    let path = data_dir.join("lock");
    let io = |error| StoreError::Io {
        path: path.clone(),
        error,
    };
    let file = File::create(&path).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Locked(data_dir.into())),
        Err(error) => Err(io(error.into()).into()),
    }
}
