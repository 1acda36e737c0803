//! Cookies: what a hub asks of strangers on datagrams while it is under load (PROTOCOL.md §2.10).
//!
//! Anyone can write any address into a datagram. Before a hub under load spends a key operation, or a byte of memory, on
//! an M1 it asks for a cookie, which it sends to the address that M1 names as its sender. What it keeps are two keys.

use subtle::ConstantTimeEq;

use crate::crypto::{Mac, Secret};
use crate::entropy::{Entropy, draw};
use crate::limits::COOKIE_MILLIS;
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::{COOKIE_LEN, Line, M0, M1, Starred};

/// Length of the number of a key's minute in a cookie, in bytes.
const BUCKET_LEN: usize = 4;

/// The keys of a hub's cookies: that of this minute, and that of the one before.
#[derive(Debug)]
pub struct Cookies {
    current: Minute,
    before: Option<Minute>,
}

/// The key of one minute.
#[derive(Debug)]
struct Minute {
    bucket: u32,
    key: Secret<32>,
}

/// What is to be done with an M1.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Screened<'o> {
    /// It may be answered with M2.
    Pass,
    /// This M0 is the answer; nothing of M1 is kept.
    Challenge(&'o [u8]),
}

impl Minute {
    fn draw(now: Instant, entropy: &mut dyn Entropy) -> Result<Self, Reason> {
        Ok(Self {
            bucket: bucket_of(now),
            key: Secret::new(*draw(entropy)?),
        })
    }

    /// Returns the cookie of `m1`, which came from `address`.
    fn cookie(&self, address: &[u8], m1: &Starred<'_>) -> [u8; COOKIE_LEN] {
        let bucket = self.bucket.to_be_bytes();
        let mac = Mac::of(
            self.key.expose(),
            &[address, &bucket, m1.hash(&[]).as_bytes()],
        );
        let mut cookie = [0; COOKIE_LEN];
        let bytes = bucket.iter().chain(mac.as_bytes());
        for (to, from) in cookie.iter_mut().zip(bytes) {
            *to = *from;
        }
        cookie
    }
}

impl Cookies {
    /// Returns the cookies of a hub that begins to listen.
    ///
    /// # Errors
    ///
    /// [`Reason::Entropy`].
    pub fn new(now: Instant, entropy: &mut dyn Entropy) -> Result<Self, Reason> {
        Ok(Self {
            current: Minute::draw(now, entropy)?,
            before: None,
        })
    }

    /// Looks at an M1 that came from `address` on a datagram link. Under load one without a right cookie is answered
    /// with M0, which is written to `out`; otherwise every M1 passes, whatever cookie it has. The cost is that of two
    /// hashes and a code.
    ///
    /// `address` is all that an answer is sent to, such as 16 bytes of address and 2 of port; the same sender has the
    /// same bytes.
    ///
    /// # Errors
    ///
    /// [`Reason`] when `message` is no M1, which has no answer; [`Reason::Entropy`].
    pub fn screen<'o>(
        &mut self,
        message: &[u8],
        address: &[u8],
        is_under_load: bool,
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<Screened<'o>, Reason> {
        let m1 = M1::parse(message, Line::Datagram)?;
        self.turn(now, entropy)?;
        if !is_under_load {
            return Ok(Screened::Pass);
        }
        let starred = Starred::of(message);
        if let Some(cookie) = &m1.cookie
            && self.is_right(cookie, address, &starred)
        {
            return Ok(Screened::Pass);
        }
        let cookie = self.current.cookie(address, &starred);
        let m0 = M0 { cookie }.emit(m1.id, out);
        Ok(Screened::Challenge(m0.map_err(|_| Reason::Length)?))
    }

    /// Replaces the key when its minute is over.
    fn turn(&mut self, now: Instant, entropy: &mut dyn Entropy) -> Result<(), Reason> {
        let bucket = bucket_of(now);
        if self.current.bucket != bucket {
            let next = Minute::draw(now, entropy)?;
            let left = core::mem::replace(&mut self.current, next);
            self.before = (left.bucket.wrapping_add(1) == bucket).then_some(left);
        }
        Ok(())
    }

    fn is_right(&self, cookie: &[u8; COOKIE_LEN], address: &[u8], m1: &Starred<'_>) -> bool {
        let bucket = cookie.first_chunk::<BUCKET_LEN>();
        let bucket = bucket.map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let mut minutes = [Some(&self.current), self.before.as_ref()]
            .into_iter()
            .flatten();
        minutes
            .find(|minute| minute.bucket == bucket)
            .is_some_and(|minute| minute.cookie(address, m1).ct_eq(cookie).into())
    }
}

/// Returns the number of the minute of `now`.
fn bucket_of(now: Instant) -> u32 {
    let [.., a, b, c, d] = (now.0 / COOKIE_MILLIS).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
