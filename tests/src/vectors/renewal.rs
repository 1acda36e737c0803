//! The published renewal: in the session of the example, a newer token that names a new key (PROTOCOL.md §5.7).

use moorline_core::crypto::{Hash, SigningKey};
use moorline_core::token::{
    AgentScope, MAX_UNPACKED_LEN, NewClaims, Role, TokenKind, UnpackedToken, mint,
};

use super::resumption::varint;
use super::{Run, draw};
use crate::Failure;
use crate::fixture::{AGENT, FixedEntropy, HUB, ISSUER, KID, NOW, World, secret, signing_key};
use crate::pair::{Message, copy};
use crate::reference::{Block, extend, frame, statement};

/// The second after the start of the cases at which the newer token is issued.
pub(crate) const LATER: u64 = 1_800;

/// What the new key is called in the fixture.
const NEW_KEY: &str = "agent's new key";

/// Everything in one renewal.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    /// The new key.
    pub(crate) scalar: Block,
    /// The newer token.
    pub(crate) token: Message,
    /// The hash of it.
    pub(crate) token_hash: Block,
    /// What the session exports for the proof.
    pub(crate) exported: Block,
    /// What the new key signs.
    pub(crate) statement: Block,
    /// What hedges the signature.
    pub(crate) hedge: Block,
    /// The signature.
    pub(crate) proof: [u8; 64],
    /// The initiator's first frame, with TokenUpdate.
    pub(crate) update: Message,
    /// The responder's first frame, with TokenResult.
    pub(crate) result: Message,
}

impl Renewal {
    /// Derives the renewal in the session of `run`, as its first frames. The proof is made in the session of `proved_in`.
    pub(crate) fn new(
        run: &Run,
        token: &UnpackedToken<'_>,
        proved_in: &Run,
    ) -> Result<Self, Failure> {
        let key = new_key()?;
        let mut entropy = FixedEntropy::new("initiator");
        // The first draw hedged the signature of M3.
        draw(&mut entropy);
        let hedge = draw(&mut entropy);
        let token_hash = token.hash().0;
        let exported = proved_in.proved.export("token", &token_hash);
        let signed = Hash::of(&[&exported, &token_hash]).0;
        let proof = key.sign(&statement("token update", &signed), &hedge).0;
        let mut payload = Message::new();
        extend(&mut payload, &[7]);
        varint(&mut payload, as_u64(token.as_bytes().len()));
        extend(&mut payload, token.as_bytes());
        extend(&mut payload, &[1]);
        extend(&mut payload, &proof);
        let update = frame(&run.epoch_0[0], 0x21, 0, 0, &payload);
        let mut payload = Message::new();
        extend(&mut payload, &[8]);
        extend(&mut payload, &token_hash);
        extend(&mut payload, &[1]);
        varint(&mut payload, (NOW.secs() + LATER + 3600) * 1000);
        extend(&mut payload, &[0]);
        let result = frame(&run.epoch_0[1], 0x21, 0, 0, &payload);
        Ok(Self {
            scalar: *secret(NEW_KEY).expose(),
            token: copy(token.as_bytes()),
            token_hash,
            exported,
            statement: signed,
            hedge,
            proof,
            update,
            result,
        })
    }
}

/// Returns the key that the newer token names.
pub(crate) fn new_key() -> Result<SigningKey, Failure> {
    signing_key(NEW_KEY)
}

/// Returns the newer token.
pub(crate) fn newer_token<'o>(
    world: &World,
    out: &'o mut [u8; MAX_UNPACKED_LEN],
) -> Result<UnpackedToken<'o>, Failure> {
    let issued_at = NOW.secs() + LATER;
    let new = NewClaims {
        kind: TokenKind::Access,
        kid: KID,
        issuer: ISSUER,
        audience: &[HUB, "site-1"],
        subject: AGENT,
        key: *new_key()?.public_key(),
        role: Role::Agent,
        permissions: &[],
        agents: AgentScope::None,
        generation: 1,
        issued_at,
        not_before: None,
        expires_at: issued_at + 3600,
        jti: [7; 16],
    };
    mint(&new, &world.issuer, &[], out).map_err(|_| Failure {
        condition: "the token can be minted",
        file: file!(),
        line: line!(),
        step: 0,
    })
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
