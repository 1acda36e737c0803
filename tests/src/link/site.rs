//! An agent, its hub, and the datagrams between them.

use moorline_core::handshake::{Initiator, RespondAs, Responder, Succession, Ticket, Wanted};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::Form;

use crate::Failure;
use crate::channel::loss::Work;
use crate::channel::site::Side;
use crate::fixture::{Door, World};
use crate::pair::Message;

/// Returns the agent of `world`, which reaches its hub over datagrams.
pub(super) fn initiator<'k>(world: &'k World, token: UnpackedToken<'k>) -> Initiator<'k> {
    let mut initiator = world.initiator(token);
    initiator.wanted = Wanted::Hub(&world.trust, Form::Datagram);
    initiator.offer.wants_ticket = true;
    initiator
}

/// Returns the hub of `world`, which answers over datagrams.
pub(super) fn responder(world: &World) -> Responder<'_> {
    Responder {
        respond_as: RespondAs::Hub(Form::Datagram, Succession::NONE),
        ..world.responder()
    }
}

/// Both ends of a link over datagrams, for `work`.
pub(super) fn on_link(work: Work<'_>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (mut agent, m1) = Side::resuming(initiator(&world, token), None)?;
    let mut hub = Side::agent(responder(&world), "hub");
    hub.door.gives_tickets = true;
    work(&mut agent, &mut hub, m1)
}

/// Both ends of a link over datagrams whose agent has a ticket of an earlier session, for `work`.
pub(super) fn on_resumed_link(work: Work<'_>) -> Result<(), Failure> {
    let world = World::new()?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = world.agent_token(&mut buffer)?;
    let (ticket, door) = earlier(&world, token)?;
    let (mut agent, m1) = Side::resuming(initiator(&world, token), Some(ticket))?;
    let mut hub = Side::agent(responder(&world), "hub");
    hub.door = door;
    work(&mut agent, &mut hub, m1)
}

/// Runs a handshake undisturbed and returns the ticket that it left, and the hub's door with its record.
pub(super) fn earlier<'k>(
    world: &'k World,
    token: UnpackedToken<'k>,
) -> Result<(Ticket, Door), Failure> {
    let (mut agent, m1) = Side::resuming(initiator(world, token), None)?;
    let mut hub = Side::agent(responder(world), "hub, earlier");
    hub.door.gives_tickets = true;
    finish(&mut agent, &mut hub, m1);
    let ticket = agent.datagram.take_ticket().ok_or(Failure {
        condition: "a ticket is given",
        file: file!(),
        line: line!(),
        step: 0,
    })?;
    Ok((ticket, hub.door))
}

/// Carries every message of a handshake, undisturbed, at the time 0.
pub(super) fn finish(agent: &mut Side<'_>, hub: &mut Side<'_>, m1: Message) {
    let mut to_hub = Some(m1);
    while let Some(message) = to_hub.take() {
        let (answer, _) = hub.hand(&message, 0);
        if let Some(answer) = answer {
            (to_hub, _) = agent.hand(&answer, 0);
        }
    }
}
