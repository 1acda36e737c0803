//! The channels of an agent: what commanders open to it, end to end, through a hub that carries what it can neither
//! read nor forge (PROTOCOL.md §10.2).
//!
//! Each channel has a route, a number of the hub's for one commander. The agent takes no meaning from it: who speaks
//! is proved inside.

mod rate;
mod shelf;

use heapless::Vec;
pub use rate::Rate;
use rate::Starts;
use shelf::{Shelf, ShelvedGate};

use crate::connection::{Context, Event, Facts, Responding, Settings};
use crate::crypto::{EphemeralKey, Hash, PublicKey};
use crate::datagram::Datagram;
use crate::handshake::Peer;
use crate::limits::CHANNEL_IDLE_MILLIS;
use crate::message::{Alert, AlertCode, ENVELOPE_HEADER_LEN, Envelope};
use crate::reason::{Error, Reason};
use crate::revocation::RevokeList;
use crate::time::Instant;
use crate::trust::NoKeeper;
use crate::wire::{M1, Reject, RejectCode, is_handshake};

/// The name of a route, the hub's own.
pub type Route = [u8; 16];

/// Up to `N` channels at a time, and as many tickets with which commanders come back without a signature.
///
/// Without a channel it is all zeros: in a static it takes no flash.
#[derive(Debug)]
pub struct Channels<const N: usize> {
    slots: Vec<Slot, N>,
    starts: Starts,
    resumptions: Starts,
    shelf: Shelf<N>,
    spare: Option<EphemeralKey>,
}

/// How an agent behaves on its channels.
#[derive(Debug, Clone, Copy)]
pub struct Answering {
    /// How its connections behave.
    pub settings: Settings,
    /// How often it answers a full handshake.
    pub starts: Rate,
}

#[derive(Debug)]
struct Slot {
    route: Route,
    datagram: Datagram<'static>,
    heard: Instant,
    /// The hash of the commander's key, once it is proved.
    commander: Option<Hash>,
    /// Why it is about to end: the same commander has opened a newer one, or is revoked.
    ending: Option<AlertCode>,
}

/// What one envelope, or a deadline, led to.
#[derive(Debug)]
#[must_use]
pub struct Carried<'m, 'o> {
    /// The channel.
    pub route: Route,
    /// What is to be sent on it, in an envelope.
    pub send: Option<&'o [u8]>,
    /// What happened on it.
    pub event: Option<ChannelEvent<'m>>,
}

/// What happened on a channel.
#[derive(Debug)]
pub enum ChannelEvent<'m> {
    /// A commander is proved; its session is open.
    Open,
    /// The commander's session rests on a newer token.
    Renewed,
    /// A token of the commander's was refused; its session goes on as it was.
    RenewalRefused(Reason),
    /// A message of the commander's.
    Message(&'m mut [u8]),
    /// The channel is over.
    Closed,
    /// Something was dropped.
    Dropped(Reason),
}

impl<const N: usize> Channels<N> {
    /// Returns the channels of an agent; none is open.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            starts: Starts::new(),
            resumptions: Starts::new(),
            shelf: Shelf::new(),
            spare: None,
        }
    }

    /// Returns whether the next handshake's ephemeral key is still to be made.
    #[must_use]
    pub fn wants_ephemeral(&self) -> bool {
        self.spare.is_none()
    }

    /// Takes in the ephemeral key of the next handshake, made in idle time.
    pub fn prepare(&mut self, ephemeral: EphemeralKey) {
        self.spare = Some(ephemeral);
    }

    /// Returns how many channels are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        let slots = self.slots.iter();
        slots
            .filter(|slot| slot.datagram.connection().is_open())
            .count()
    }

    /// Returns what the commander on `route` may do, once it is proved.
    #[must_use]
    pub fn facts(&self, route: &Route) -> Option<&Facts> {
        let mut slots = self.slots.iter();
        slots
            .find(|slot| slot.route == *route)?
            .datagram
            .connection()
            .facts()
    }

    /// Takes in the envelope `payload`; what it carries is decrypted where it stands. An answer is written to `out`,
    /// which takes [`crate::limits::MAX_HANDSHAKE_LEN`] bytes.
    ///
    /// `context` says who the agent is. The time in it is the hub's (PROTOCOL.md §7.2): a token is judged by it.
    ///
    /// # Errors
    ///
    /// [`Reason`] when the envelope is none.
    pub fn handle_envelope<'m, 'o>(
        &mut self,
        payload: &'m mut [u8],
        answering: &Answering,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Result<Carried<'m, 'o>, Reason> {
        let route = Envelope::parse(payload)?.route;
        let inner = payload
            .get_mut(ENVELOPE_HEADER_LEN..)
            .ok_or(Reason::Length)?;
        let dropped = |reason| {
            Ok(Carried {
                route,
                send: None,
                event: Some(ChannelEvent::Dropped(reason)),
            })
        };
        let place = match self.place_of(&route) {
            Some(place) => place,
            None => match self.start(route, inner, answering, context) {
                Ok(place) => place,
                // Who has no luck is told that it may come back; nobody vouches for that.
                Err(reason @ Reason::NotAdmitted) => {
                    return Ok(Carried {
                        route,
                        send: turn_away(inner, answering, context, out),
                        event: Some(ChannelEvent::Dropped(reason)),
                    });
                }
                Err(reason) => return dropped(reason),
            },
        };
        let Some(slot) = self.slots.get_mut(place) else {
            return dropped(Reason::OutOfPlace);
        };
        let outcome = with_shelf(&mut self.shelf, context, |context| {
            slot.datagram.handle_message(inner, context, out)
        });
        let event = match outcome.event {
            None | Some(Event::RoundTrip(_) | Event::Enrolled(_)) => None,
            Some(Event::Open(peer)) => {
                slot.commander = peer.as_ref().and_then(Peer::key).map(PublicKey::hash);
                Some(ChannelEvent::Open)
            }
            Some(Event::Renewed(claims)) => {
                slot.commander = claims.map(|claims| claims.claims().key.hash());
                Some(ChannelEvent::Renewed)
            }
            Some(Event::RenewalRefused(reason)) => Some(ChannelEvent::RenewalRefused(reason)),
            Some(Event::Application(message)) => Some(ChannelEvent::Message(message)),
            // Nothing is carried through an agent.
            Some(Event::Envelope(_)) => Some(ChannelEvent::Dropped(Reason::OutOfPlace)),
            Some(Event::Dropped(reason)) => Some(ChannelEvent::Dropped(reason)),
            Some(Event::Closed(_)) => Some(ChannelEvent::Closed),
        };
        if !matches!(event, Some(ChannelEvent::Dropped(_))) {
            slot.heard = context.now.instant;
        }
        // A channel that is over keeps its place until that is needed: a refusal may have to be said again.
        if matches!(event, Some(ChannelEvent::Open)) {
            self.newest_wins(place);
        }
        Ok(Carried {
            route,
            send: outcome.send,
            event,
        })
    }

    /// Returns when [`Channels::handle_deadline`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let slots = self.slots.iter();
        slots.filter_map(Slot::deadline).min()
    }

    /// Does what is due on one channel; nothing when nothing is. It is called until nothing is due.
    pub fn handle_deadline<'o>(
        &mut self,
        context: &mut Context<'_>,
        out: &'o mut [u8],
    ) -> Option<Carried<'static, 'o>> {
        let now = context.now.instant;
        let due = |slot: &&mut Slot| slot.deadline().is_some_and(|due| now >= due);
        let slot = self.slots.iter_mut().find(due)?;
        if let Some(code) = slot.ending {
            let alert = Alert::new(code);
            return Some(Carried {
                route: slot.route,
                send: slot.datagram.close(alert, out),
                event: Some(ChannelEvent::Closed),
            });
        }
        let outcome = with_shelf(&mut self.shelf, context, |context| {
            slot.datagram.handle_deadline(context, out)
        });
        let event = match outcome.event {
            Some(Event::Closed(_)) => Some(ChannelEvent::Closed),
            _ => None,
        };
        Some(Carried {
            route: slot.route,
            send: outcome.send,
            event,
        })
    }

    /// Seals `message` for the commander on `route` into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], and as [`Datagram::send_application`].
    pub fn send<'o>(
        &mut self,
        route: &Route,
        message: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let mut slots = self.slots.iter_mut();
        let slot = slots
            .find(|slot| slot.route == *route)
            .ok_or(Error::NotOpen)?;
        slot.datagram.send_application(message, out)
    }

    /// Marks the channels of those whom `list` names; [`Channels::handle_deadline`] ends them. Their tickets go when they
    /// are shown: the gate is asked again then.
    pub fn revoke(&mut self, list: &RevokeList) {
        for slot in &mut self.slots {
            let holder = slot.datagram.connection().holder();
            if holder.is_some_and(|holder| list.names(holder)) {
                slot.ending = Some(AlertCode::Revoked);
            }
        }
    }

    /// Ends all channels and wipes their keys: the hub that carried them is gone.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    fn place_of(&self, route: &Route) -> Option<usize> {
        self.slots.iter().position(|slot| slot.route == *route)
    }

    /// Makes a place for a channel that a commander wants to open.
    fn start(
        &mut self,
        route: Route,
        inner: &[u8],
        answering: &Answering,
        context: &mut Context<'_>,
    ) -> Result<usize, Reason> {
        if !is_handshake(inner) {
            return Err(Reason::OutOfPlace);
        }
        let responding = context.responding.as_ref().ok_or(Reason::NotAdmitted)?;
        let m1 = M1::parse(inner, responding.responder.respond_as.line())?;
        let now = context.now.instant;
        if !self.has_place(now) {
            return Err(Reason::NotAdmitted);
        }
        let ticket = m1
            .preshared
            .and_then(|preshared| self.shelf.find(&preshared.id));
        let may_start = match ticket {
            Some(_) => self.resumptions.take(now, &Rate::RESUMPTIONS),
            None => self.starts.take(now, &answering.starts),
        };
        if !may_start {
            return Err(Reason::NotAdmitted);
        }
        self.make_place(now);
        let ephemeral = self.spare.take();
        let slot = Slot {
            route,
            datagram: Datagram::respond(ephemeral, answering.settings, now),
            heard: now,
            commander: None,
            ending: None,
        };
        self.slots.push(slot).map_err(|_| Reason::NotAdmitted)?;
        Ok(self.slots.len() - 1)
    }

    fn has_place(&self, now: Instant) -> bool {
        !self.slots.is_full() || self.silent_place(now).is_some()
    }

    fn make_place(&mut self, now: Instant) {
        if self.slots.is_full()
            && let Some(place) = self.silent_place(now)
        {
            self.slots.swap_remove(place);
        }
    }

    /// Returns the place of a channel that is over, or else of the one that has been silent for the longest, if it is
    /// for long enough.
    fn silent_place(&self, now: Instant) -> Option<usize> {
        let is_over = |slot: &Slot| slot.datagram.connection().deadline().is_none();
        if let Some(place) = self.slots.iter().position(is_over) {
            return Some(place);
        }
        let silent = self.slots.iter().enumerate().filter_map(|(place, slot)| {
            let silence = now.since(slot.heard);
            (silence >= CHANNEL_IDLE_MILLIS).then_some((silence, place))
        });
        silent.max().map(|(_, place)| place)
    }

    /// A commander's key has one channel: the one that it opened last.
    fn newest_wins(&mut self, newest: usize) {
        let commander = self.slots.get(newest).and_then(|slot| slot.commander);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if place != newest && slot.commander.is_some() && slot.commander == commander {
                slot.ending = Some(AlertCode::Superseded);
            }
        }
    }
}

impl Slot {
    fn deadline(&self) -> Option<Instant> {
        let deadline = self.datagram.deadline()?;
        Some(if self.ending.is_some() {
            Instant(0)
        } else {
            deadline
        })
    }
}

/// Writes the REJECT that answers `m1` to `out`.
fn turn_away<'o>(
    m1: &[u8],
    answering: &Answering,
    context: &Context<'_>,
    out: &'o mut [u8],
) -> Option<&'o [u8]> {
    let responding = context.responding.as_ref()?;
    let m1 = M1::parse(m1, responding.responder.respond_as.line()).ok()?;
    let seconds = u8::try_from(answering.starts.every / 1000).unwrap_or(u8::MAX);
    let reject = Reject {
        code: RejectCode::Overload,
        argument: seconds.max(1),
    };
    reject.emit(m1.id, out).ok().map(|bytes| &*bytes)
}

/// Calls `work` with a context whose gate has the shelf beside it.
fn with_shelf<R, const N: usize>(
    shelf: &mut Shelf<N>,
    context: &mut Context<'_>,
    work: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    let (now, entropy) = (context.now, &mut *context.entropy);
    let Some(Responding { responder, gate }) = &mut context.responding else {
        return work(&mut Context {
            now,
            entropy,
            responding: None,
            keeper: &mut NoKeeper,
        });
    };
    let mut shelved = ShelvedGate {
        gate: &mut **gate,
        shelf,
    };
    work(&mut Context {
        now,
        entropy,
        responding: Some(Responding {
            responder,
            gate: &mut shelved,
        }),
        keeper: &mut NoKeeper,
    })
}

impl<const N: usize> Default for Channels<N> {
    fn default() -> Self {
        Self::new()
    }
}
