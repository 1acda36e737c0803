//! Random schedules over a hostile carrier: it drops, repeats, reorders, replays and changes commands and replies, the
//! agent loses its power and keeps its storage, and storage fails.

use heapless::Vec;
use moorline_core::crypto::{Hash, SigningKey, Suite};
use moorline_core::message::{Command, Value};
use moorline_core::offline::{
    CounterEntry, Order, PendingReply, ReplyOutcome, TokenForm, seal_command,
};
use moorline_core::reason::Reason;
use moorline_core::time::UnixMillis;
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};

use super::site::{DAY, Ends, Failing, Host, Made, missing, with_ends};
use crate::fixture::{NOW, signing_key};
use crate::pair::{LINE_LEN, Message, copy};
use crate::{Case, Failure, ensure};

/// Schedules of one case. A device runs a few, to see that it does what a host does.
const SCHEDULES: u64 = if cfg!(target_os = "none") { 4 } else { 5_000 };

/// Events of one schedule.
const EVENTS: usize = 14;

/// Commanders of a schedule, and commands of each.
const COMMANDERS: usize = 2;
const COMMANDS: usize = 3;

/// Commands of a schedule. Each has two copies, one with the token by its hash and one with the token in full.
const ALL: usize = COMMANDERS * COMMANDS;

/// What each command says, by which it is known in the reply.
const TEXTS: [&str; ALL] = ["0", "1", "2", "3", "4", "5"];

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "over a hostile carrier no command runs twice and every result is the agent's: schedules of the first kind",
        clause: "PROTOCOL.md §12.6, §12.7",
        run: || schedules(Suite::Aes256Gcm, 0),
    },
    Case {
        name: "over a hostile carrier no command runs twice and every result is the agent's: schedules of the second kind",
        clause: "PROTOCOL.md §12.6, §12.7",
        run: || schedules(Suite::ChaCha20Poly1305, 1),
    },
    Case {
        name: "over a hostile carrier no command runs twice and every result is the agent's: schedules of the third kind",
        clause: "PROTOCOL.md §12.6, §12.7",
        run: || schedules(Suite::Aes256Gcm, 2),
    },
    Case {
        name: "over a hostile carrier no command runs twice and every result is the agent's: schedules of the fourth kind",
        clause: "PROTOCOL.md §12.6, §12.7",
        run: || schedules(Suite::ChaCha20Poly1305, 3),
    },
];

/// One copy of a command.
struct Copied {
    pending: PendingReply,
    frame: Message,
}

/// Runs the schedules of one kind. Kinds differ in their seeds alone: they are four so that a host runs them side by
/// side.
fn schedules(suite: Suite, kind: u64) -> Result<(), Failure> {
    with_ends(suite, |ends| {
        let second = signing_key("second commander")?;
        let mut says = ends.site.commander_says();
        says.subject = "bob";
        says.key = *second.public_key();
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = ends.site.token(&says, &mut buffer)?;
        let senders = [(&ends.site.commander, ends.token), (&second, token)];
        let copies = seal_all(ends, senders)?;
        let mut met = Met::default();
        for number in 0..SCHEDULES {
            let seed = kind * SCHEDULES + number;
            ends.host = Host::default();
            ends.reboot()?;
            let mut schedule = Schedule::new(&copies, seed);
            for _ in 0..EVENTS {
                schedule.event(ends)?;
            }
            met.add(&schedule.met);
        }
        // The schedules are worth nothing unless they come to all of it.
        let all = [
            met.results,
            met.repeats,
            met.lost,
            met.stale,
            met.needed,
            met.stored,
        ];
        ensure!(SCHEDULES < 100 || all.into_iter().all(|count| count > 20));
        Ok(())
    })
}

/// Seals both copies of all commands, those with the token by its hash first.
fn seal_all(
    ends: &mut Ends<'_>,
    senders: [(&SigningKey, UnpackedToken<'_>); COMMANDERS],
) -> Result<Vec<Copied, { 2 * ALL }>, Failure> {
    let mut copies = Vec::new();
    for token_form in [TokenForm::Hash, TokenForm::Full] {
        for (number, text) in TEXTS.into_iter().enumerate() {
            let (key, token) = senders[number / COMMANDS];
            let command = Command {
                name: "led",
                arguments: Vec::from_slice(&[text]).unwrap_or_default(),
            };
            let order = Order {
                key,
                token,
                token_form,
                command: &command,
                // Both copies have one counter.
                counter: counter_of(number),
                not_after: UnixMillis(NOW.0 + DAY),
                wants_signature: number == 1,
            };
            let mut out = [0; LINE_LEN];
            let (prekey, now) = (&ends.prekey, ends.now.unix);
            let sealed = seal_command(&order, prekey, now, &mut ends.entropy, &mut out);
            let (pending, frame) = sealed.map_err(|_| missing("a command can be sealed"))?;
            let frame = copy(frame);
            ensure!(copies.push(Copied { pending, frame }).is_ok());
        }
    }
    Ok(copies)
}

fn counter_of(number: usize) -> u64 {
    u64::try_from(number % COMMANDS).unwrap_or(0) + 1
}

/// How often the schedules came to what they are about.
#[derive(Default)]
struct Met {
    results: usize,
    repeats: usize,
    lost: usize,
    stale: usize,
    needed: usize,
    stored: usize,
}

impl Met {
    fn add(&mut self, other: &Self) {
        self.results += other.results;
        self.repeats += other.repeats;
        self.lost += other.lost;
        self.stale += other.stale;
        self.needed += other.needed;
        self.stored += other.stored;
    }
}

/// One schedule: what the carrier has seen, and what must hold.
struct Schedule<'c> {
    copies: &'c [Copied],
    random: u64,
    seed: usize,
    /// Commands that each commander has given.
    given: [usize; COMMANDERS],
    /// The copies that the carrier has.
    sent: Vec<usize, { 2 * ALL }>,
    /// The replies that the carrier has, with the copy that each answers.
    replies: Vec<(usize, Message), EVENTS>,
    /// Which run each command was, if it ran.
    ran: [Option<i64>; ALL],
    /// The heads of replies and all that was sealed behind them.
    heads: Vec<([u8; 26], Hash), EVENTS>,
    met: Met,
}

impl<'c> Schedule<'c> {
    fn new(copies: &'c [Copied], seed: u64) -> Self {
        Self {
            copies,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            seed: usize::try_from(seed).unwrap_or(0),
            given: [0; COMMANDERS],
            sent: Vec::new(),
            replies: Vec::new(),
            ran: [None; ALL],
            heads: Vec::new(),
            met: Met::default(),
        }
    }

    /// Returns a number under `count` (xorshift64).
    fn pick(&mut self, count: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let bound = u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from((self.random >> 16) % bound).unwrap_or(0)
    }

    /// Lets one thing happen.
    fn event(&mut self, ends: &mut Ends<'_>) -> Result<(), Failure> {
        match self.pick(12) {
            0..3 => self.give(),
            3..8 => self.deliver(ends),
            8..10 => self.answer(),
            10 => ends.reboot(),
            _ => self.tamper(ends),
        }
    }

    /// A commander gives its next command.
    fn give(&mut self) -> Result<(), Failure> {
        let commander = self.pick(COMMANDERS);
        let next = self.given[commander];
        if next < COMMANDS {
            self.given[commander] += 1;
            let in_full = if self.pick(3) == 0 { ALL } else { 0 };
            self.send(commander * COMMANDS + next + in_full);
        }
        Ok(())
    }

    fn send(&mut self, copy: usize) {
        if !self.sent.contains(&copy) {
            let full = self.sent.push(copy).is_err();
            debug_assert!(!full, "there are no more copies");
        }
    }

    /// The carrier delivers a command that it has, once more or for the first time.
    fn deliver(&mut self, ends: &mut Ends<'_>) -> Result<(), Failure> {
        let place = self.pick(self.sent.len());
        let Some(number) = self.sent.get(place).copied() else {
            return Ok(());
        };
        ends.host.fails = match self.pick(12) {
            0 => Some(Failing::Before),
            1 => Some(Failing::After),
            _ => None,
        };
        let before = ends.host.stored;
        let runs = ends.host.runs;
        let answered = ends.hand(&self.copies[number].frame);
        self.counters_do_not_go_back(&before, ends)?;
        // Every command is in order: there is always an answer.
        ensure!(answered.is_ok(), self.seed);
        let Ok((made, reply)) = answered else {
            return Ok(());
        };
        ensure!((made == Made::Ran) == (ends.host.runs > runs), self.seed);
        if made == Made::Ran {
            let ran = &mut self.ran[number % ALL];
            ensure!(ran.is_none(), self.seed);
            *ran = Some(ends.host.runs);
            ensure!(
                ends.host.last == TEXTS[number % ALL].bytes().last(),
                self.seed
            );
            ensure!(ends.host.fails.is_none(), self.seed);
        }
        self.met.repeats += usize::from(made == Made::Repeated);
        self.met.stored += usize::from(made == Made::Refused(Reason::Storage));
        self.one_head_is_one_plaintext(&reply)?;
        if self.replies.push((number, reply)).is_err() {
            self.replies.clear();
        }
        Ok(())
    }

    fn counters_do_not_go_back(
        &self,
        before: &[Option<CounterEntry>],
        ends: &Ends<'_>,
    ) -> Result<(), Failure> {
        for (before, after) in before.iter().zip(&ends.host.stored) {
            if let Some(before) = before {
                let holds = after.is_some_and(|after| {
                    after.key() == before.key() && after.counter() >= before.counter()
                });
                ensure!(holds, self.seed);
            }
        }
        Ok(())
    }

    /// The key and the nonce of a reply are those of its head: two replies of one head are the same bytes.
    fn one_head_is_one_plaintext(&mut self, reply: &Message) -> Result<(), Failure> {
        let Some(head) = reply.first_chunk::<26>() else {
            return Err(missing("a reply has a head"));
        };
        let whole = Hash::of(&[reply]);
        match self.heads.iter().find(|(known, _)| known == head) {
            Some((_, known)) => ensure!(*known == whole, self.seed),
            None => ensure!(self.heads.push((*head, whole)).is_ok(), self.seed),
        }
        Ok(())
    }

    /// The carrier delivers a reply that it has, to the commander that waits for it and to another.
    fn answer(&mut self) -> Result<(), Failure> {
        let place = self.pick(self.replies.len());
        let other = self.pick(2 * ALL);
        let Some((number, reply)) = self.replies.get(place).cloned() else {
            return Ok(());
        };
        if other != number {
            let refused = self.copies[other].pending.open(&mut reply.clone()).err();
            ensure!(refused == Some(Reason::OtherCommand), self.seed);
        }
        let mut reply = reply;
        match self.copies[number].pending.open(&mut reply) {
            Ok(ReplyOutcome::Result(result)) => {
                let run = self.ran[number % ALL].map(Value::Int);
                let [echo, counted] = &result.fields[..] else {
                    return Err(missing("a result has two fields"));
                };
                ensure!(echo.value == Value::Text(TEXTS[number % ALL]), self.seed);
                ensure!(Some(counted.value) == run, self.seed);
                self.met.results += 1;
            }
            Ok(ReplyOutcome::Lost) => self.met.lost += 1,
            Ok(ReplyOutcome::Stale { counter }) => {
                ensure!(counter >= counter_of(number), self.seed);
                self.met.stale += 1;
            }
            Ok(ReplyOutcome::TokenNeeded) => {
                ensure!(number < ALL, self.seed);
                // Whatever came of it in the meantime: the commander gives it again, with the same counter.
                self.send(number + ALL);
                self.met.needed += 1;
            }
            // Of all refusals the agents of the schedules know one.
            outcome => ensure!(matches!(outcome, Ok(ReplyOutcome::Refused(_))), self.seed),
        }
        Ok(())
    }

    /// The carrier changes a bit of a command or of a reply.
    fn tamper(&mut self, ends: &mut Ends<'_>) -> Result<(), Failure> {
        let (one, two) = (self.pick(self.sent.len()), self.pick(self.replies.len()));
        if let Some(number) = self.sent.get(one).copied() {
            let mut frame = self.copies[number].frame.clone();
            let bit = self.pick(frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            ensure!(ends.hand(&frame).is_err(), self.seed);
        }
        if let Some((number, reply)) = self.replies.get(two).cloned() {
            let mut reply = reply;
            let bit = self.pick(reply.len() * 8);
            reply[bit / 8] ^= 1 << (bit % 8);
            ensure!(
                self.copies[number].pending.open(&mut reply).is_err(),
                self.seed
            );
        }
        Ok(())
    }
}
