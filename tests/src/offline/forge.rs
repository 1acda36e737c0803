//! Commands of the second derivation, right in all but what a case changes.

use moorline_core::crypto::{EphemeralKey, Hash, PUBLIC_KEY_LEN, Secret, SigningKey, Suite};

use super::reference::{Agreed, Head, Prefix};
use super::site::{DAY, Ends, Site};
use crate::fixture::{NOW, ephemeral_key};
use crate::pair::Message;
use crate::reference::{Block, extend};

/// The content of the command "led on": version, name, one argument.
pub(super) const LED_ON: &[u8] = b"\x01\x03led\x01\x02on";

/// What the agent of the cases replies to it the first time: version, done, two fields.
pub(super) const LED_IS_ON: &[u8] = b"\x01\x00\x02\x04echo\x02\x02on\x03run\x01\x02";

/// Returns what the entropy of the cases gave at its draw `count`: 0 is the first prekey's scalar.
pub(super) fn drawn(count: u32) -> Block {
    Hash::of(&[b"offline", &count.to_be_bytes()]).0
}

/// Returns what the first prekey of the cases says.
pub(super) fn first_prefix(suite: Suite) -> Prefix {
    Prefix {
        kind: 0x33,
        agent: Site::id().0,
        id: 1,
        suite: suite.number(),
        exp: NOW.0 + 7 * DAY,
        share: EphemeralKey::from_scalar(&Secret::new(drawn(0))).share(),
    }
}

/// A command that is to be forged.
pub(super) struct Draft<'d> {
    pub(super) suite: Suite,
    pub(super) prefix: Prefix,
    pub(super) agent_key: [u8; PUBLIC_KEY_LEN],
    pub(super) own: EphemeralKey,
    pub(super) head: Head,
    pub(super) form: u8,
    /// The token as it is presented.
    pub(super) token: &'d [u8],
    /// The hash that is signed.
    pub(super) token_hash: Block,
    pub(super) content: &'d [u8],
    pub(super) label: &'d str,
    pub(super) signer: &'d SigningKey,
    pub(super) hedge: Block,
}

impl<'d> Draft<'d> {
    /// Returns the command "led on" with the number `counter`, the token in full.
    pub(super) fn new(ends: &Ends<'d>, counter: u64) -> Self {
        let own = ephemeral_key("command");
        let suite = ends.prekey.suite();
        let commander = &ends.site.commander;
        let head = Head {
            kind: 0x31,
            agent: Site::id().0,
            prekey: 1,
            name: commander.public_key().hash().prefix(),
            counter,
            not_after: NOW.0 + DAY,
            share: own.share(),
        };
        Self {
            suite,
            prefix: first_prefix(suite),
            agent_key: ends.site.agent.public_key().to_bytes(),
            own,
            head,
            form: 0,
            token: ends.token.as_bytes(),
            token_hash: ends.token.hash().0,
            content: LED_ON,
            label: "command",
            signer: commander,
            hedge: [5; 32],
        }
    }

    /// Returns what both ends have, and the frame.
    pub(super) fn frame(&self) -> (Agreed, Message) {
        let agreed = Agreed::new(
            self.suite,
            &self.own,
            &self.prefix.share,
            &self.head,
            &self.prefix.bytes(),
            &self.agent_key,
        );
        let mut signed = Message::new();
        for part in [&[self.form], self.token, self.content] {
            extend(&mut signed, part);
        }
        let frame = agreed.command(
            &signed,
            &self.token_hash,
            self.label,
            self.signer,
            &self.hedge,
        );
        (agreed, frame)
    }
}
