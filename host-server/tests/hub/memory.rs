//! What an idle, authenticated peer costs the daemon.

use futures_lite::future;
use moorline_core::crypto::SigningKey;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_server::admin::{AdminAnswer, AdminRequest, ask};
use moorline_server::client::{Client, Commander};
use moorline_server::entropy::SystemEntropy;
use moorline_server::store::{PeerRole, Reach};

use crate::programs::start_program;
use crate::world::{ALL, Peer, encode, private_folder};

/// Peers that are counted: enough that a page here or there does not show.
const PEERS: usize = 400;

/// Most KiB of resident memory that one of them may cost. With the WebSocket library's own settings it is over 130.
const MAX_KIB: usize = 24;

/// Returns the resident memory of the process `pid` in KiB.
fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("it is Linux");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

#[test]
fn an_idle_peer_costs_no_more_than_its_share() {
    let folder = private_folder();
    let data_dir = folder.path().join("hub");
    let (program, _) = start_program(&data_dir);
    let peers: Vec<Peer> = (0..PEERS / 4)
        .map(|count| {
            let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
            let request = AdminRequest::Enrol {
                name: format!("commander-{count}"),
                role: PeerRole::Commander,
                key: encode(&key),
                group: None,
                reach: Reach::Agents(vec!["boiler".into()]),
                permissions: ALL.iter().copied().map(String::from).collect(),
            };
            match ask(&data_dir, &request).expect("an answer") {
                AdminAnswer::Enrolled(credential) => Peer { key, credential },
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let (trust, anchors) = (peers[0].trust(), peers[0].anchors());
    let mut buffers = vec![[0; MAX_UNPACKED_LEN]; peers.len()];
    let tokens: Vec<_> = peers
        .iter()
        .zip(&mut buffers)
        .map(|(peer, buffer)| peer.token(buffer))
        .collect();
    future::block_on(async {
        let mut clients = Vec::new();
        let mut connect = async |range: std::ops::Range<usize>| {
            for count in range {
                // A commander may have four sessions.
                let (peer, token) = (&peers[count / 4], tokens[count / 4]);
                let url = &peer.credential.url;
                let commander = Commander {
                    key: &peer.key,
                    token,
                    trust: &trust,
                    keeper: None,
                    anchors: &anchors,
                    audience: &peer.credential.hub,
                };
                let client = Client::connect(url, commander).await;
                clients.push(client.expect("connected"));
            }
        };
        // The first ones pay for what all share.
        connect(0..PEERS / 4).await;
        let before = resident_kib(program.0.id());
        connect(PEERS / 4..PEERS).await;
        let each = resident_kib(program.0.id()).saturating_sub(before) / (PEERS - PEERS / 4);
        println!("{each} KiB a peer");
        assert!(each <= MAX_KIB, "{each} KiB a peer");
    });
}
