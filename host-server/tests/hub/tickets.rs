//! Coming back without a signature.

use std::sync::Arc;

use moorline_core::handshake::Ticket;
use moorline_server::admin::AdminRequest;
use moorline_server::client::{Client, ClientError};

use crate::world::{Peer, World};

/// Connects with `ticket`, and returns whether the session rests on it and the next ticket.
fn come_back(
    peer: &Peer,
    url: &str,
    ticket: Option<&Ticket>,
) -> Result<(bool, Option<Ticket>), ClientError> {
    peer.as_commander(async |commander| {
        let mut client = match ticket {
            Some(ticket) => Client::resume(url, commander, copy(ticket)).await?,
            None => Client::connect(url, commander).await?,
        };
        // The session works.
        client.agents().await?;
        let came = (client.is_resumed(), client.take_ticket());
        client.close().await;
        Ok(came)
    })
}

/// Returns a second copy of `ticket`, as a thief has it.
fn copy(ticket: &Ticket) -> Ticket {
    Ticket::from_bytes(&ticket.to_bytes()).expect("the same ticket")
}

#[test]
fn a_ticket_is_good_once_and_survives_a_restart_of_the_hub() {
    let mut world = World::start();
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let (resumed, first) = come_back(&alice, &url, None).expect("it connects");
    assert!(!resumed);
    let first = first.expect("a ticket");
    let (resumed, second) = come_back(&alice, &url, Some(&first)).expect("it connects");
    assert!(resumed);
    let second = second.expect("a ticket");
    world.stop();
    let world = World::start_in(Arc::clone(&world.folder), |_| {});
    let url = format!("ws://{}/ws", world.http);
    let (resumed, _) = come_back(&alice, &url, Some(&second)).expect("it connects");
    assert!(resumed);
    for used in [&first, &second] {
        let (resumed, _) = come_back(&alice, &url, Some(used)).expect("in full");
        assert!(!resumed);
    }
}

#[test]
fn a_peer_that_is_revoked_does_not_come_back() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let (_, ticket) = come_back(&alice, &url, None).expect("it connects");
    world.ask(&AdminRequest::Revoke {
        name: "alice".into(),
    });
    let refused = come_back(&alice, &url, ticket.as_ref());
    assert!(
        matches!(refused, Err(ClientError::CredentialRefused)),
        "{refused:?}"
    );
}

#[test]
fn a_hub_that_keeps_no_tickets_gives_none() {
    let world = World::start_with(|config| config.limits.tickets = 0);
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let (_, ticket) = come_back(&alice, &url, None).expect("it connects");
    assert!(ticket.is_none());
}

#[test]
fn tickets_that_a_reload_leaves_no_room_for_are_of_no_use() {
    let world = World::start();
    let alice = world.commander("alice", "boiler");
    let url = format!("ws://{}/ws", world.http);
    let (_, ticket) = come_back(&alice, &url, None).expect("it connects");
    assert!(ticket.is_some());
    let reloaded = world.reload(|config| config.limits.tickets = 0);
    assert!(reloaded.waiting.is_empty());
    let (resumed, next) = come_back(&alice, &url, ticket.as_ref()).expect("in full");
    assert!(!resumed && next.is_none());
}
