//! What each address has done lately: how many connections it opened, and how often it failed to prove who it is.
//!
//! It is pure: the time is an argument, and nothing here knows a socket. All that is kept is bounded. How often an address
//! connects and how often it fails are kept apart, so that connections, which cost nothing, push out no penalty; a penalty
//! goes only for one that lasts longer, and one that lasts takes a handshake up to its last message from each address.

mod ledger;
mod penalty;
mod rate;

use std::net::IpAddr;

use ledger::{Ledger, Worth};
use moorline_core::reason::Reason;
use moorline_core::time::Instant;
use moorline_core::token::TokenReason;
use moorline_core::wire::Form;
use penalty::Penalty;
pub(crate) use rate::{Bucket, Rate};

use crate::config::Limits;

/// Addresses, and subjects, of which something is kept.
const MAX_ENTRIES: usize = 4_096;

/// What each address has done.
#[derive(Debug)]
pub(crate) struct Guard {
    connections: Ledger<IpAddr, Bucket>,
    penalties: Ledger<IpAddr, Penalty>,
    subjects: Ledger<String, Bucket>,
}

/// What an address went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its connections came too fast.
    Rate,
    /// It has failed too often.
    Blocked,
}

/// For how long an address is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) millis: u64,
    /// Whether others have failed with the same token before, and not this address alone.
    pub(crate) for_subject: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self::with_room(MAX_ENTRIES)
    }
}

impl Guard {
    fn with_room(entries: usize) -> Self {
        Self {
            connections: Ledger::new(entries),
            penalties: Ledger::new(entries),
            subjects: Ledger::new(entries),
        }
    }

    /// Counts a connection of `network`. `has_peers` says whether others at this address are authenticated: then it is
    /// slowed where it would be blocked.
    ///
    /// # Errors
    ///
    /// [`Over`]; the connection is to be dropped then.
    pub(crate) fn connect(
        &mut self,
        network: IpAddr,
        has_peers: bool,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Over> {
        let penalty = self.penalties.find(&network);
        if let Some(penalty) = penalty.filter(|penalty| penalty.is_blocked(now))
            && !(has_peers && penalty.takes_slowly(now))
        {
            return Err(Over::Blocked);
        }
        let rate = connection_rate(limits);
        if let Some(bucket) = self.connections.find(&network) {
            return bucket.take(rate, now).then_some(()).ok_or(Over::Rate);
        }
        let mut bucket = Bucket::default();
        bucket.take(rate, now);
        self.connections.enter(network, bucket, now);
        Ok(())
    }

    /// Returns whether half of the connections that `network` may open at once are used up.
    pub(crate) fn is_busy(&mut self, network: IpAddr, limits: &Limits, now: Instant) -> bool {
        let bucket = self.connections.find(&network);
        bucket.is_some_and(|bucket| bucket.is_half_empty(connection_rate(limits), now))
    }

    /// Counts a failure of `network` to prove who it is. `subject` is whose token it has shown, if that is the issuer's.
    /// Returns for how long the address is blocked, if this is one too many.
    ///
    /// What is counted of a subject is never held against who proves the subject's key: tokens are no secrets, and whoever has
    /// seen one could shut its owner out. It takes the patience from other addresses that fail with the same token.
    pub(crate) fn fail(
        &mut self,
        network: IpAddr,
        subject: Option<&str>,
        limits: &Limits,
        now: Instant,
    ) -> Option<Blocked> {
        let for_subject = subject.is_some_and(|subject| !self.is_spared(subject, limits, now));
        if let Some(penalty) = self.penalties.find(&network) {
            let millis = penalty.fail(limits, for_subject, now)?;
            return Some(Blocked {
                millis,
                for_subject,
            });
        }
        let mut penalty = Penalty::default();
        let blocked = penalty.fail(limits, for_subject, now);
        self.penalties.enter(network, penalty, now);
        blocked.map(|millis| Blocked {
            millis,
            for_subject,
        })
    }

    /// Notes that a peer of `network` has proved itself. Its connection is not counted: peers at one address, of which each may
    /// come as often as it has to, do not keep each other out.
    pub(crate) fn succeed(&mut self, network: IpAddr, limits: &Limits) {
        if let Some(bucket) = self.connections.find(&network) {
            bucket.give_back(connection_rate(limits));
        }
        if let Some(penalty) = self.penalties.find(&network) {
            penalty.succeed(limits);
        }
    }

    /// Returns how many addresses are blocked.
    pub(crate) fn blocked(&self, now: Instant) -> usize {
        let all = self.penalties.all();
        all.filter(|penalty| penalty.is_blocked(now)).count()
    }

    fn is_spared(&mut self, subject: &str, limits: &Limits, now: Instant) -> bool {
        let millis = limits.failure_seconds.saturating_mul(1_000);
        let rate = Rate::new(1, millis, limits.failures_per_subject);
        let subject = subject.to_owned();
        if let Some(bucket) = self.subjects.find(&subject) {
            return bucket.take(rate, now);
        }
        let mut bucket = Bucket::default();
        bucket.take(rate, now);
        self.subjects.enter(subject, bucket, now);
        true
    }
}

impl Worth for Bucket {
    type Order = Self;

    fn worth(&self, now: Instant) -> Option<Self> {
        (!self.is_full(now)).then_some(*self)
    }
}

/// Returns whether a handshake that ended for `reason` was an attempt to come in with what is not one's own. What is over,
/// or shut out, is none: machines that were away try it too. Over datagrams the first message may come from anyone, in
/// anyone's name, and what is wrong with it is nobody's failure.
pub(crate) fn is_failure(reason: Reason, form: Form) -> bool {
    match reason {
        Reason::InitiatorSignature
        | Reason::EnrolmentCode
        | Reason::UnknownKey
        | Reason::Token(TokenReason::SignatureInvalid) => true,
        Reason::Binder | Reason::ExternalKey => form == Form::Stream,
        _ => false,
    }
}

fn connection_rate(limits: &Limits) -> Rate {
    let count = limits.connections_per_address_second;
    Rate::new(count, 1_000, limits.connections_per_address_burst)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use moorline_core::reason::Reason;
    use moorline_core::time::Instant;
    use moorline_core::token::TokenReason;
    use moorline_core::wire::Form;

    use super::{Blocked, Guard, Over, is_failure};
    use crate::config::Limits;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn limits() -> Limits {
        Limits {
            connections_per_address_second: 1,
            connections_per_address_burst: 2,
            failures_per_address: 2,
            failures_per_subject: 3,
            failure_seconds: 60,
            block_seconds: 10,
            block_max_seconds: 40,
            ..Limits::default()
        }
    }

    #[test]
    fn peers_that_prove_themselves_do_not_use_up_what_their_address_may() {
        let (limits, mut guard) = (limits(), Guard::default());
        let now = Instant(0);
        for _ in 0..100 {
            assert_eq!(guard.connect(address(1), false, &limits, now), Ok(()));
            guard.succeed(address(1), &limits);
        }
        let strangers = [(); 3].map(|()| guard.connect(address(1), false, &limits, now));
        assert_eq!(strangers, [Ok(()), Ok(()), Err(Over::Rate)]);
    }

    #[test]
    fn an_address_connects_as_fast_as_it_may_whatever_others_do() {
        let (limits, mut guard) = (limits(), Guard::default());
        let mut connect =
            |number, now| guard.connect(address(number), false, &limits, Instant(now));
        assert_eq!(
            [0; 3].map(|now| connect(1, now)),
            [Ok(()), Ok(()), Err(Over::Rate)]
        );
        assert_eq!(connect(2, 0), Ok(()));
        assert_eq!(
            [999, 1_000].map(|now| connect(1, now)),
            [Err(Over::Rate), Ok(())]
        );
    }

    #[test]
    fn an_address_that_fails_is_blocked_and_one_with_peers_is_slowed() {
        let (limits, mut guard) = (limits(), Guard::default());
        let failed = [(); 3].map(|()| guard.fail(address(1), None, &limits, Instant(0)));
        let blocked = Blocked {
            millis: 10_000,
            for_subject: false,
        };
        assert_eq!(failed, [None, None, Some(blocked)]);
        assert_eq!(guard.blocked(Instant(0)), 1);
        let mut connect = |number, has_peers, now| {
            guard.connect(address(number), has_peers, &limits, Instant(now))
        };
        assert_eq!(connect(1, false, 9_999), Err(Over::Blocked));
        assert_eq!(connect(2, false, 9_999), Ok(()));
        assert_eq!(connect(1, true, 5_000), Ok(()), "it is slowed");
        assert_eq!(connect(1, false, 10_000), Ok(()));
        assert_eq!(guard.blocked(Instant(10_000)), 0);
    }

    #[test]
    fn a_slowed_address_has_four_connections_and_one_a_second() {
        let mut limits = limits();
        limits.connections_per_address_burst = 100;
        limits.block_seconds = 40;
        let mut guard = Guard::default();
        for _ in 0..3 {
            guard.fail(address(1), None, &limits, Instant(0));
        }
        let mut connect = |now| {
            guard
                .connect(address(1), true, &limits, Instant(now))
                .is_ok()
        };
        assert_eq!([0; 5].map(&mut connect), [true, true, true, true, false]);
        assert_eq!([999, 1_000, 1_001].map(&mut connect), [false, true, false]);
    }

    #[test]
    fn who_tries_one_token_from_many_addresses_has_no_patience_left_and_its_owner_comes_in() {
        let (limits, mut guard) = (limits(), Guard::default());
        let mut fail = |number| guard.fail(address(number), Some("boiler"), &limits, Instant(0));
        for number in 1..=3 {
            assert_eq!(fail(number), None);
        }
        let blocked = Blocked {
            millis: 10_000,
            for_subject: true,
        };
        assert_eq!(fail(4), Some(blocked), "the first failure of this address");
        // Another subject is not concerned, and no address that did not fail.
        assert_eq!(
            guard.fail(address(5), Some("pump"), &limits, Instant(0)),
            None
        );
        assert_eq!(
            guard.connect(address(9), false, &limits, Instant(0)),
            Ok(())
        );
    }

    #[test]
    fn many_addresses_push_out_no_penalty_and_take_no_more_room() {
        let (limits, mut guard) = (limits(), Guard::with_room(8));
        for _ in 0..3 {
            guard.fail(address(1), None, &limits, Instant(0));
        }
        for number in 2..1_000 {
            // Connections that cost nothing, and failures that are too few.
            let _ = guard.connect(address(number), false, &limits, Instant(1));
            guard.fail(address(number), None, &limits, Instant(1));
        }
        assert_eq!(guard.penalties.all().count(), 8);
        assert_eq!(guard.connections.all().count(), 8);
        let blocked = guard.connect(address(1), false, &limits, Instant(2));
        assert_eq!(blocked, Err(Over::Blocked));
        // Whoever has failed as long is not pushed out by who is blocked as shortly.
        for number in 1_000..1_010 {
            for _ in 0..3 {
                guard.fail(address(number), None, &limits, Instant(0));
            }
        }
        let blocked = guard.connect(address(1), false, &limits, Instant(2));
        assert_eq!(blocked, Err(Over::Blocked));
    }

    #[test]
    fn a_wrong_proof_is_a_failure_and_what_is_over_or_shut_out_is_none() {
        for reason in [
            Reason::InitiatorSignature,
            Reason::EnrolmentCode,
            Reason::Token(TokenReason::SignatureInvalid),
        ] {
            assert!(is_failure(reason, Form::Stream) && is_failure(reason, Form::Datagram));
        }
        for reason in [
            Reason::Token(TokenReason::Expired),
            Reason::Revoked,
            Reason::HandshakeTimeout,
            Reason::Malformed,
        ] {
            assert!(!is_failure(reason, Form::Stream), "{reason:?}");
        }
        assert!(is_failure(Reason::Binder, Form::Stream));
        assert!(!is_failure(Reason::Binder, Form::Datagram));
    }
}
