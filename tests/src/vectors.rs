//! The published example of a link, `core/vectors/link-v1.json`: one run with everything in it.
//!
//! [`Run`] derives it with the second derivation of [`crate::reference`]; [`write()`] writes it as JSON. The cases
//! hold the published file, this derivation and core to each other.

mod cases;
pub(crate) mod channel;
mod enrolment;
mod json;
mod refused;
mod renewal;
mod resumption;
pub(crate) mod trust;
mod writer;

use core::fmt::Write;

pub(crate) use cases::{CASES, LABELS};
use heapless::Vec;
pub use json::write;
use moorline_core::crypto::{EphemeralKey, Share};
use moorline_core::entropy::Entropy;
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::token::MAX_UNPACKED_LEN;
pub(crate) use refused::{Refused, refused};

use crate::fixture::{FixedEntropy, LIMITS, NOW, SESSION_ID, World, ephemeral_key, secret};
use crate::pair::Message;
use crate::reference::{
    Agreed, Announcement, Answered, Block, Proved, Step, extend, frame, m2_clear, m4_facts,
};
use crate::{Failure, ensure};

/// Writes one example, or says why it cannot be derived.
pub type Example = fn(&mut dyn Write) -> Result<(), Failure>;

/// The names of the published files in `core/vectors`, and what writes each.
pub const FILES: [(&str, Example); 3] = [
    ("link-v1.json", write),
    ("trust-v1.json", trust::write),
    ("channel-v1.json", channel::write),
];

/// The published file.
pub const PUBLISHED: &str = include_str!("../../core/vectors/link-v1.json");

/// What the initiator's application says first in the run.
pub const QUESTION: &[u8] = b"hello hub";

/// What the responder's application answers.
pub const ANSWER: &[u8] = b"hello agent";

/// The context of the exported secret.
pub const EXPORT_CONTEXT: &[u8] = b"example";

/// One frame of the run; all of them are short, and a run is kept on the stack of a small board.
pub type Frame = Vec<u8, 128>;

/// Everything in one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The keys of both ends and of the issuer.
    pub scalars: [(&'static str, Block); 5],
    /// What hedges the signatures: the responder's, the initiator's.
    pub hedges: [Block; 2],
    /// The token that the initiator presents.
    pub token: Message,
    /// The hash of it.
    pub token_hash: Block,
    /// The shares: the initiator's, the responder's.
    pub shares: [Block; 2],
    /// M1.
    pub m1: Message,
    /// What the clear part of M2 leads to.
    pub agreed: Agreed,
    /// The plaintext of M2 before the signature.
    pub m2_signed: [u8; 34],
    /// What M2 leads to.
    pub answered: Answered,
    /// The plaintext of M3 before the signature.
    pub m3_signed: Message,
    /// What M3 leads to.
    pub proved: Proved,
    /// M4.
    pub m4: Message,
    /// A REFUSE in the place of M4.
    pub refuse: Message,
    /// The secrets of epoch 0: the initiator's, the responder's, the resumption secret.
    pub epoch_0: [Block; 3],
    /// The secrets of epoch 1, after a key update with fresh shares that the initiator starts.
    pub epoch_1: [Block; 3],
    /// The fresh scalars: the initiator's, the responder's.
    pub fresh: [Block; 2],
    /// Their shares.
    pub fresh_shares: [Block; 2],
    /// The step between the epochs.
    pub step: Step,
    /// The frames of the run, in order: who sends (0 the initiator), what it is, the frame.
    pub frames: [(usize, &'static str, Frame); 9],
}

impl Run {
    /// Derives the run of `world`.
    pub fn new(world: &World) -> Result<Self, Failure> {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = world.agent_token(&mut buffer)?;
        let mut hub = FixedEntropy::new("responder");
        let mut agent = FixedEntropy::new("initiator");
        let hub_scalar = draw(&mut hub);
        let hedges = [draw(&mut hub), draw(&mut agent)];
        let fresh = [draw(&mut agent), draw(&mut hub)];
        let agent_ephemeral = ephemeral_key("initiator ephemeral");
        let hub_ephemeral = ephemeral(&hub_scalar);
        let m1 = m1(world, &agent_ephemeral.share());

        let clear = m2_clear(1, 0, &hub_ephemeral.share());
        let agreed = Agreed::new(&m1, &clear, &agent_ephemeral, &hub_ephemeral.share());
        ensure!(agreed.is_some());
        let agreed = agreed.ok_or(UNREACHED)?;
        let m2_signed = announcement(world).bytes();
        let hub_key = world.hub[0].public_key().to_bytes();
        let answered = agreed.m2(&m2_signed, &hub_key, &world.hub[0], &hedges[0]);

        let m3_signed = m3_signed(1024, 0, token.as_bytes());
        let token_hash = token.hash().0;
        let agent_key = world.agent.public_key().to_bytes();
        let proved = answered.m3(
            &m3_signed,
            &token_hash,
            &agent_key,
            &world.agent,
            &hedges[1],
        );
        let expires = (NOW.secs() + 3600) * 1000;
        let m4 = proved.m4(&proved.fin(), &m4_facts(&SESSION_ID, expires, 0));

        let epoch_0 = ["i2r", "r2i", "res"].map(|name| proved.secret(name));
        let fresh_keys = fresh.map(|scalar| ephemeral(&scalar));
        let fresh_shares = [fresh_keys[0].share().0, fresh_keys[1].share().0];
        let dh = fresh_keys[0].agree(&Share(fresh_shares[1]));
        let dh = *dh.ok_or(UNREACHED)?.expose();
        let step = Step::new(1, &fresh_shares[0], &fresh_shares[1], dh);
        let epoch_1 = epoch_0.map(|secret| step.next(&secret));
        let frames = frames(&epoch_0, &epoch_1, &fresh_shares);
        Ok(Self {
            scalars: [
                ("issuer_scalar", *secret("issuer").expose()),
                ("responder_static_scalar", *secret("hub").expose()),
                ("initiator_static_scalar", *secret("agent").expose()),
                (
                    "initiator_ephemeral_scalar",
                    *secret("initiator ephemeral").expose(),
                ),
                ("responder_ephemeral_scalar", hub_scalar),
            ],
            hedges,
            token: bytes(token.as_bytes()),
            token_hash,
            shares: [agent_ephemeral.share().0, hub_ephemeral.share().0],
            m1,
            agreed,
            m2_signed,
            refuse: answered.refuse(7, 0),
            answered,
            m3_signed,
            proved,
            m4,
            epoch_0,
            epoch_1,
            fresh,
            fresh_shares,
            step,
            frames,
        })
    }
}

/// Returns the M1 of the agent in `world` with `share`.
pub(crate) fn m1(world: &World, share: &Share) -> Message {
    let mut m1 = Message::new();
    extend(&mut m1, &[0x01, 1, 0, 50, 1, 1, 0, 0, 0, 0]);
    // No clock; the highest version spoken is 1.
    extend(&mut m1, &[0x12]);
    extend(&mut m1, &1500u16.to_be_bytes());
    extend(&mut m1, &[0; 4]);
    extend(&mut m1, &world.hub[0].public_key().hash().prefix::<4>());
    extend(&mut m1, &share.0);
    extend(&mut m1, &[0]);
    m1
}

/// Returns what the hub in `world` says of itself at the moment of the cases.
pub(crate) fn announcement(world: &World) -> Announcement {
    Announcement {
        time: NOW.0,
        quality: 2,
        mtu: LIMITS.mtu,
        payload: LIMITS.max_payload_len,
        window: 0,
        token: LIMITS.max_token_len,
        kind: 0,
        key_id: world.hub[0].public_key().hash().prefix(),
    }
}

/// Returns the plaintext of an M3 before the signature.
pub(crate) fn m3_signed(payload: u16, kind: u8, credential: &[u8]) -> Message {
    let mut signed = Message::new();
    extend(&mut signed, &[0]);
    extend(&mut signed, &payload.to_be_bytes());
    extend(&mut signed, &[kind]);
    extend(&mut signed, credential);
    signed
}

/// Returns the ephemeral key of `scalar`.
pub(crate) fn ephemeral(scalar: &Block) -> EphemeralKey {
    EphemeralKey::from_scalar(&moorline_core::crypto::Secret::new(*scalar))
}

/// Returns a control message about a key update: `variant`, the epoch 1 and a share.
fn update(variant: u8, share: &Block) -> [u8; 35] {
    let mut payload = [0; 35];
    payload[..3].copy_from_slice(&[variant, 1, 1]);
    payload[3..].copy_from_slice(share);
    payload
}

fn frames(
    old: &[Block; 3],
    new: &[Block; 3],
    shares: &[Block; 2],
) -> [(usize, &'static str, Frame); 9] {
    let control = |who: usize, payload: &[u8]| short(&old[who], 0x21, 0, 1, payload);
    [
        (
            0,
            "application, \"hello hub\"",
            short(&old[0], 0x20, 0, 0, QUESTION),
        ),
        (
            1,
            "application, \"hello agent\"",
            short(&old[1], 0x20, 0, 0, ANSWER),
        ),
        (0, "control, KeyUpdate", control(0, &update(0, &shares[0]))),
        (1, "control, KeyAck", control(1, &update(1, &shares[1]))),
        (0, "control, KeyDone", short(&new[0], 0x21, 1, 0, &[2, 2])),
        (1, "control, KeyDone", short(&new[1], 0x21, 1, 0, &[2, 2])),
        (
            0,
            "application, \"hello hub\"",
            short(&new[0], 0x20, 1, 1, QUESTION),
        ),
        (
            1,
            "application, \"hello agent\"",
            short(&new[1], 0x20, 1, 1, ANSWER),
        ),
        (0, "alert, close", short(&new[0], 0x22, 1, 2, &[0; 5])),
    ]
}

/// Returns the frame with `payload`.
#[inline(never)]
fn short(secret: &Block, kind: u8, epoch: u8, seq: u32, payload: &[u8]) -> Frame {
    frame(secret, kind, epoch, seq, payload)
        .iter()
        .copied()
        .collect()
}

fn draw(entropy: &mut FixedEntropy) -> Block {
    let mut block = [0; 32];
    // Fixed entropy always answers.
    let _ = entropy.fill(&mut block);
    block
}

fn bytes(from: &[u8]) -> Message {
    debug_assert!(from.len() <= MAX_HANDSHAKE_LEN);
    crate::pair::copy(from)
}

const UNREACHED: Failure = Failure {
    condition: "fixed shares do not give zero",
    file: file!(),
    line: line!(),
    step: 0,
};
