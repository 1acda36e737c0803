//! HTTP and WebSockets in TLS.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use moorline_server::config::{Config, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::agent::{Agent, Way};
use crate::door::{request, stranger};
use crate::http::{parts, talk};
use crate::programs::{enrolled, json, moorline, stderr};
use crate::world::{World, private_folder};

/// An authority, and the folder with the pair that it made last.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = private_folder();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        let authority = Self { issuer, folder };
        authority.renew();
        authority
    }

    /// Puts another pair in the place of the one before; returns its certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.put("hub.pem", &certificate.pem());
        self.put("hub.key", &key.serialize_pem());
        certificate.der().clone()
    }

    fn put(&self, name: &str, text: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, text).expect("a file");
        std::fs::set_permissions(&next, Permissions::from_mode(0o600)).expect("a mode");
        std::fs::rename(next, self.folder.path().join(name)).expect("renamed");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            certificate: Some(self.path("hub.pem").into()),
            key: Some(self.path("hub.key").into()),
            require_tls: false,
        }
    }

    pub(crate) fn start(&self, change: impl FnOnce(&mut Config)) -> World {
        World::start_with(|config| {
            config.tls = self.settings();
            change(config);
        })
    }

    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from(self.issuer.der().to_vec());
        roots.add(own).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    /// Opens TLS, handshake and all.
    fn open(&self, world: &World, config: ClientConfig) -> std::io::Result<Tls> {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let socket = stranger(world.https.expect("it serves TLS"));
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    fn connect(&self, world: &World) -> Tls {
        let config = self.client(&[&TLS13], &[b"http/1.1"]);
        self.open(world, config).expect("TLS")
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn shown(stream: &Tls) -> CertificateDer<'static> {
    let chain = stream.conn.peer_certificates().expect("a chain");
    chain[0].clone().into_owned()
}

const JWKS: &str =
    "GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn both_versions_of_tls_are_spoken_and_nothing_but_http_in_them() {
    let authority = Authority::new();
    let world = authority.start(|_| {});
    for (version, number) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (offered, taken) in [
            (&[][..], None),
            (&[&b"http/1.1"[..]], Some(&b"http/1.1"[..])),
            (&[b"h2", b"http/1.1"], Some(b"http/1.1")),
        ] {
            let config = authority.client(&[version], offered);
            let mut stream = authority.open(&world, config).expect("TLS");
            assert_eq!(stream.conn.protocol_version(), Some(number));
            assert_eq!(stream.conn.alpn_protocol(), taken);
            stream.write_all(JWKS.as_bytes()).expect("it takes bytes");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("closed in order");
            assert_eq!(parts(&answer).0, 200, "{answer}");
        }
        let config = authority.client(&[version], &[b"h2"]);
        assert!(authority.open(&world, config).is_err(), "no HTTP/2");
    }
}

#[test]
fn a_commander_commands_in_tls_and_takes_no_certificate_but_that_of_its_authority() {
    let authority = Authority::new();
    let world = authority.start(|_| {});
    let _agent = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let home = enrolled(&world, &[]);
    let port = world.https.expect("it serves TLS").port();
    let run = |host: &str, ca: &str| {
        let url = format!("wss://{host}:{port}/ws");
        let arguments = [
            "--hub", &url, "--ca", ca, "--json", "send", "boiler", "ping",
        ];
        moorline(home.path(), world.folder.path(), &arguments)
    };
    let ca = authority.path("ca.pem");
    assert_eq!(json(&run("localhost", &ca))["fields"]["text"], "pong");
    let other = Authority::new();
    for (host, ca, code, why) in [
        ("localhost", &other.path("ca.pem"), 3, "certificate"),
        ("127.0.0.1", &ca, 3, "certificate"),
        ("localhost", &authority.path("hub.key"), 2, "no certificate"),
        ("localhost", &"/nowhere/ca.pem".into(), 2, "/nowhere/ca.pem"),
    ] {
        let output = run(host, ca);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn another_certificate_is_shown_from_the_next_connection_on_and_a_bad_one_never() {
    let authority = Authority::new();
    let first = authority.renew();
    let world = authority.start(|_| {});
    let before = authority.connect(&world);
    assert_eq!(shown(&before), first);
    let second = authority.renew();
    assert_eq!(shown(&authority.connect(&world)), second);
    authority.put("hub.key", "no key");
    assert_eq!(shown(&authority.connect(&world)), second);
    let other = Authority::new();
    let third = authority.renew();
    let reloaded = world.reload(|config| config.tls = other.settings());
    assert!(reloaded.waiting.is_empty(), "{reloaded:?}");
    assert_ne!(
        other
            .connect(&world)
            .conn
            .peer_certificates()
            .map(<[_]>::len),
        None,
        "other files are another pair"
    );
    let reloaded = world.reload(|config| config.tls = authority.settings());
    assert!(reloaded.waiting.is_empty(), "{reloaded:?}");
    assert_eq!(shown(&authority.connect(&world)), third);
    let mut before = before;
    before.write_all(JWKS.as_bytes()).expect("it takes bytes");
    let mut answer = String::new();
    before.read_to_string(&mut answer).expect("closed in order");
    assert_eq!(parts(&answer).0, 200, "who is here stays");
}

#[test]
fn where_tls_is_required_http_without_it_says_where_it_is_and_nothing_more() {
    let authority = Authority::new();
    let world = authority.start(|config| config.tls.require_tls = true);
    let port = world.https.expect("it serves TLS").port();
    let ask = |method: &str, host: &str, path: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        talk(world.http, &request)
    };
    for (host, path, place) in [
        (
            "Hub.Example:80",
            "/a?b=c",
            format!("https://hub.example:{port}/a?b=c"),
        ),
        ("[::1]", "/ws", format!("https://[::1]:{port}/ws")),
        (
            "hub.example",
            "//evil.example",
            format!("https://hub.example:{port}//evil.example"),
        ),
        (
            "hub.example",
            "http://evil.example/x",
            format!("https://hub.example:{port}/x"),
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(method, host, path);
            let (status, head, body) = parts(&answer);
            assert_eq!((status, body), (308, ""), "{answer}");
            let location = format!("location: {place}");
            assert!(head.lines().any(|line| line == location), "{head}");
        }
    }
    for host in ["user@evil.example", "evil.example/", "", "evil.example:x"] {
        let answer = ask("GET", host, "/");
        assert_eq!(parts(&answer).0, 400, "{answer}");
        assert!(!answer.contains("evil"), "{answer}");
    }
    assert_eq!(parts(&ask("POST", "hub.example", "/")).0, 403);
    assert_eq!(parts(&talk(world.http, &request(&[]))).0, 403);
    let mut stream = authority.connect(&world);
    stream.write_all(JWKS.as_bytes()).expect("it takes bytes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("closed in order");
    assert_eq!(parts(&answer).0, 200, "{answer}");
}

#[test]
fn a_stranger_in_tls_has_the_time_and_the_bytes_of_every_other() {
    let authority = Authority::new();
    let world = authority.start(|config| config.limits.handshake_millis = 1_000);
    let mut silent = stranger(world.https.expect("it serves TLS"));
    assert_eq!(silent.read(&mut [0; 16]).expect("closed in order"), 0);
    // Half of a handshake is no more.
    let mut half = stranger(world.https.expect("it serves TLS"));
    half.write_all(&[0x16, 3, 1, 0]).expect("it takes bytes");
    assert_eq!(half.read(&mut [0; 16]).expect("closed in order"), 0);
    drop(world);

    let world = authority.start(|config| config.limits.handshake_millis = 60_000);
    let mut stream = authority.connect(&world);
    // As many headers as there may be, and a WebSocket is opened.
    let padding = format!("\r\nPadding: {}\r\n\r\n", "x".repeat(7_500));
    let request = request(&[("\r\n\r\n", &padding)]);
    stream
        .write_all(request.as_bytes())
        .expect("it takes bytes");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");
    // A masked ping of 100 bytes; each is answered until what a stranger has is used up.
    let mut ping = vec![0x89, 0x80 | 100, 0, 0, 0, 0];
    ping.extend([0x55; 100]);
    let rounds = (0..400).take_while(|_| {
        stream.write_all(&ping).is_ok() && matches!(stream.read(&mut [0; 512]), Ok(len) if len > 0)
    });
    let rounds = rounds.count();
    assert!((20..30).contains(&rounds), "{rounds}");
}

#[test]
fn a_hub_does_not_start_with_a_key_that_others_read() {
    let authority = Authority::new();
    let folder = private_folder();
    let key = authority.path("hub.key");
    std::fs::set_permissions(Path::new(&key), Permissions::from_mode(0o640)).expect("a mode");
    let mut config = crate::world::config(folder.path());
    config.tls = authority.settings();
    let started = futures_lite::future::block_on(moorline_server::daemon::Daemon::start(config));
    let error = started.expect_err("others read it").to_string();
    assert!(
        error.contains("others can read this private key"),
        "{error}"
    );
}
