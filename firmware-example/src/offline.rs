//! Commands that were left for the device while it was away (PROTOCOL.md §12).
//!
//! The prekeys' private halves and the commanders' counters are kept in flash, a counter before its command runs and a
//! private half before its prekey is published: a command runs once at most, whatever resets there are. On a board without
//! flash both are in memory, and a reset loses them together: no command of before opens any more then.

use moorline_core::crypto::Suite;
use moorline_core::entropy::Entropy;
use moorline_core::message::{Command, Reply};
use moorline_core::offline::{
    CounterEntry, Counters, Delivery, Inbox, OfflineAgent, OfflineContext, OfflineShell, Post,
    Prekeys, StoreError,
};
use moorline_core::revocation::Revocations;
use moorline_core::time::{Instant, Now, TimeQuality, UnixMillis};
use moorline_core::token::{Claims, Permissions};

use crate::agent::MAX_PAYLOAD_LEN;
use crate::commands;
use crate::commands::{Asker, Devices, Session};
use crate::exchange::ISSUER_COUNT;
use crate::identity::to_u16;
use crate::kept::KeptOffline;

/// What the device keeps for commands of commanders that are not there, and where it works on one.
pub struct Offline {
    inbox: Inbox<COUNTER_COUNT, REPLY_COUNT, TOKEN_COUNT>,
    post: Post,
    /// Whether the first prekey's id was chosen.
    has_begun: bool,
    /// Whether the prekeys are signed by a key that is the device's no more.
    is_rekeyed: bool,
    /// No prekey is tried before.
    pause_until: Instant,
    /// What the hub said.
    message: [u8; MAX_PAYLOAD_LEN],
    message_len: usize,
    scratch: [u8; MAX_REPLY_LEN],
    out: [u8; MAX_PAYLOAD_LEN],
}

/// What a step draws on.
pub struct Place<'p> {
    /// Who the device is.
    pub agent: &'p OfflineAgent<'p>,
    /// The time, judged by the floor.
    pub now: Now,
    /// What the time is at least.
    pub floor: UnixMillis,
    /// The source of entropy.
    pub entropy: &'p mut dyn Entropy,
    /// What commands act on.
    pub devices: &'p mut Devices,
    /// The session in which the command came.
    pub session: &'p Session,
    /// What is revoked.
    pub revocations: &'p Revocations<ISSUER_COUNT>,
}

impl Offline {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            inbox: Inbox::new(Prekeys::new(), Counters::new()),
            post: Post::new(),
            has_begun: false,
            is_rekeyed: false,
            pause_until: Instant(0),
            message: [0; MAX_PAYLOAD_LEN],
            message_len: 0,
            scratch: [0; MAX_REPLY_LEN],
            out: [0; MAX_PAYLOAD_LEN],
        }
    }

    /// Takes in what was kept through a reset.
    pub fn restore(&mut self, kept: KeptOffline) {
        self.inbox = Inbox::new(kept.prekeys, kept.counters);
        self.post.publish(kept.signed);
        self.has_begun = true;
    }

    /// Notes that a new link is open.
    pub fn begin(&mut self) {
        self.message_len = 0;
        self.post.begin();
    }

    /// Notes that the device has another key: the next prekey is due, and no command that was sealed for the key before
    /// opens any more.
    pub fn rekey(&mut self) {
        self.is_rekeyed = true;
    }

    /// Puts what the hub said aside, until [`Offline::step`].
    pub fn take(&mut self, message: &[u8]) {
        self.message_len = 0;
        if let Some(place) = self.message.get_mut(..message.len()) {
            place.copy_from_slice(message);
            self.message_len = message.len();
        }
    }

    /// Works on what the hub said, makes a prekey when one is due, and returns the length of what is to be said to the
    /// hub. It is called until there is nothing.
    #[inline(never)]
    pub fn step(&mut self, place: &mut Place<'_>) -> Option<usize> {
        let answered = match core::mem::take(&mut self.message_len) {
            0 => None,
            len => self.answer(len, place),
        };
        if answered.is_some() {
            return answered;
        }
        self.renew(place);
        let asked = self.post.next(place.now.instant, MAX_COMMAND_LEN)?;
        Some(asked.encode(&mut self.out).ok()?.len())
    }

    /// Returns what is to be said to the hub, of `len` bytes.
    pub fn said(&self, len: usize) -> &[u8] {
        self.out.get(..len).unwrap_or_default()
    }

    /// Notes that what was to be said last cannot be sent.
    pub fn give_up(&mut self) {
        self.post.give_up();
    }

    /// Makes a prekey, once a day.
    #[inline(never)]
    fn renew(&mut self, place: &mut Place<'_>) {
        let prekeys = &mut self.inbox.prekeys;
        let is_wiped =
            place.now.quality != TimeQuality::Unknown && prekeys.wipe_expired(place.now.unix);
        if let (true, Some(kept)) = (is_wiped, &mut place.devices.kept) {
            // What is over opens nothing, should it come back.
            let _said = kept.keep_prekeys(prekeys, None);
        }
        if core::mem::take(&mut self.is_rekeyed) {
            let newest = prekeys.ids().next();
            *prekeys = Prekeys::starting_after(newest.unwrap_or_default());
        }
        if !prekeys.is_due(&place.now) || place.now.instant < self.pause_until {
            return;
        }
        if !core::mem::replace(&mut self.has_begun, true) {
            // Above every id that was given before a reset.
            let seconds = u32::try_from(place.now.unix.secs()).unwrap_or(u32::MAX - 1);
            *prekeys = Prekeys::starting_after(seconds);
        }
        let agent = place.agent;
        match prekeys.rotate(SUITE, agent.id, agent.key, &place.now, place.entropy) {
            Ok(prekey) => {
                let kept = place.devices.kept.as_mut();
                if kept.is_some_and(|kept| kept.keep_prekeys(prekeys, Some(&prekey)).is_err()) {
                    // Nobody is to seal a command to what a reset would take away.
                    return;
                }
                defmt::info!("new prekey");
                self.post.publish(prekey);
            }
            Err(error) => {
                defmt::warn!("no prekey: {}", error);
                self.pause_until = place.now.instant.plus(PAUSE_MS);
            }
        }
    }

    /// Runs the command in the message of `len` bytes, and returns how long the answer is.
    #[inline(never)]
    fn answer(&mut self, len: usize, place: &mut Place<'_>) -> Option<usize> {
        let message = self.message.get_mut(..len)?;
        let mut shell = Shell {
            devices: &mut *place.devices,
            session: place.session,
            revocations: place.revocations,
        };
        let mut context = OfflineContext {
            now: place.now,
            floor: place.floor,
            entropy: &mut *place.entropy,
            shell: &mut shell,
        };
        let delivery = self.post.handle(
            message,
            &mut self.inbox,
            place.agent,
            &mut context,
            &mut self.scratch,
            &mut self.out,
        );
        match delivery {
            Delivery::Answered { message, refused } => {
                if let Some(reason) = refused {
                    defmt::warn!("offline command refused: {}", reason);
                }
                Some(message.len())
            }
            Delivery::Silent(reason) => {
                defmt::warn!("offline command dropped: {}", reason);
                None
            }
            Delivery::Other => {
                defmt::warn!("the hub says something else");
                None
            }
        }
    }
}

impl Default for Offline {
    fn default() -> Self {
        Self::new()
    }
}

/// The device's part in a command.
struct Shell<'s> {
    devices: &'s mut Devices,
    session: &'s Session,
    revocations: &'s Revocations<ISSUER_COUNT>,
}

impl OfflineShell for Shell<'_> {
    fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.names(claims)
    }

    fn store(&mut self, place: usize, entry: &CounterEntry) -> Result<(), StoreError> {
        match &mut self.devices.kept {
            Some(kept) => kept.keep_counter(place, entry).map_err(|_| StoreError),
            // It lives as long as the private half of every prekey that its commands can be sealed to: in memory.
            None => Ok(()),
        }
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>, granted: Permissions) -> Reply<'a> {
        let asker = Asker {
            granted,
            route: None,
            session: self.session,
        };
        let reply = commands::run(self.devices, command, &asker);
        defmt::info!("offline command {=str}: {}", command.name, reply.status);
        reply
    }
}

/// Milliseconds before a prekey is tried again.
const PAUSE_MS: u64 = 60_000;
/// Commanders whose counters are kept at a time.
pub const COUNTER_COUNT: usize = 8;
/// Replies that are kept for a command that comes again.
const REPLY_COUNT: usize = 4;
/// Tokens that a command can name by their hash.
const TOKEN_COUNT: usize = 2;
/// What commands and replies are sealed with: the device has no instructions for AES.
const SUITE: Suite = Suite::ChaCha20Poly1305;
/// What stands before a command or a reply in a message: version, number, and a length in two bytes.
const BEFORE_LEN: usize = 4;
/// Longest command in bytes.
const MAX_COMMAND_LEN: u16 = to_u16(MAX_PAYLOAD_LEN - BEFORE_LEN);
/// Longest reply in bytes.
const MAX_REPLY_LEN: usize = MAX_PAYLOAD_LEN - BEFORE_LEN;
