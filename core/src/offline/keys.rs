//! What one command and its replies are sealed with (PROTOCOL.md §12.4).

use super::layout::{COMMAND_HEAD_LEN, PREKEY_PREFIX_LEN, REPLY_HEAD_LEN, ReplyKind};
use crate::crypto::{
    AeadKey, EphemeralKey, HASH_LEN, Hash, Mac, PublicKey, Secret, Share, Suite, TAG_LEN,
    expand_label, extract,
};
use crate::reason::Reason;
use crate::wire::{Reader, Writer};

/// What t begins with.
const CONTEXT: &[u8] = b"ML1 command v1\0";

/// The secret of one command, which both ends derive; each reply to it has a key of its own.
#[derive(Debug)]
pub(super) struct CommandSecret {
    suite: Suite,
    /// t: whom the command is for, who sends it, and the prekey.
    context: Hash,
    /// k.
    secret: Secret<32>,
}

impl CommandSecret {
    /// Its length in storage in bytes.
    pub(super) const LEN: usize = 1 + HASH_LEN + 32;

    /// Writes it for storage.
    pub(super) fn emit(&self, writer: &mut Writer<'_>) {
        writer
            .u8(self.suite.number())
            .bytes(self.context.as_bytes())
            .bytes(self.secret.expose());
    }

    /// Reads it from storage.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        Ok(Self {
            suite: Suite::from_number(reader.u8()?).ok_or(Reason::Malformed)?,
            context: Hash(*reader.array()?),
            secret: Secret::new(*reader.array()?),
        })
    }

    /// Agrees on the secret with the holder of `peer`.
    pub(super) fn agree(
        suite: Suite,
        own: &EphemeralKey,
        peer: &Share,
        head: &[u8; COMMAND_HEAD_LEN],
        prefix: &[u8; PREKEY_PREFIX_LEN],
        agent: &PublicKey,
    ) -> Result<Self, Reason> {
        let shared = own.agree(peer).ok_or(Reason::ZeroSharedSecret)?;
        let context = Hash::of(&[CONTEXT, head, prefix, &agent.to_bytes()]);
        let secret = extract(context.as_bytes(), shared.expose());
        Ok(Self {
            suite,
            context,
            secret,
        })
    }

    /// Returns the key of the command. It seals one plaintext: the share in the head is of this command alone.
    pub(super) fn command_key(&self) -> AeadKey {
        AeadKey::new(
            self.suite,
            &expand_label(&self.secret, "cmd key", b""),
            expand_label(&self.secret, "cmd iv", b""),
        )
    }

    /// Returns what the commander signs: who says what to whom under which token.
    pub(super) fn command_statement(&self, token: &Hash, plaintext: &[u8]) -> Hash {
        Hash::of(&[self.context.as_bytes(), token.as_bytes(), plaintext])
    }

    /// Returns what the agent signs about `result`, the reply to `frame`.
    pub(super) fn reply_statement(&self, frame: &Hash, result: &[u8]) -> Hash {
        let head = ReplyKind::Result([0; 8]).emit(frame);
        Hash::of(&[self.context.as_bytes(), &head, result])
    }

    /// Returns what names the plaintext of a result in its head, so that one head means one plaintext.
    pub(super) fn result_code(&self, plaintext: &[u8]) -> Mac {
        let key: Secret<32> = expand_label(&self.secret, "rep arg", b"");
        Mac::of(key.expose(), &[plaintext])
    }

    /// Seals `body` but for its last bytes, which become the tag, behind `head` in reply to `frame`.
    pub(super) fn seal_reply(
        &self,
        head: &[u8; REPLY_HEAD_LEN],
        frame: &Hash,
        body: &mut [u8],
    ) -> Result<(), Reason> {
        let (plaintext, tag) = body
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Reason::Length)?;
        *tag = self
            .reply_key(head)
            .seal_in_place(0, &reply_aad(head, frame), plaintext)
            .ok_or(Reason::Length)?
            .0;
        Ok(())
    }

    /// Opens `body` where it stands behind `head` in reply to `frame`, and returns the plaintext.
    pub(super) fn open_reply<'m>(
        &self,
        head: &[u8; REPLY_HEAD_LEN],
        frame: &Hash,
        body: &'m mut [u8],
    ) -> Result<&'m [u8], Reason> {
        let (plaintext, tag) = body
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Reason::Length)?;
        if self
            .reply_key(head)
            .open_in_place(0, &reply_aad(head, frame), plaintext, tag)
        {
            Ok(plaintext)
        } else {
            Err(Reason::Unsealed)
        }
    }

    fn reply_key(&self, head: &[u8; REPLY_HEAD_LEN]) -> AeadKey {
        AeadKey::new(
            self.suite,
            &expand_label(&self.secret, "rep key", head),
            expand_label(&self.secret, "rep iv", head),
        )
    }
}

/// Returns the AAD of a reply.
fn reply_aad(head: &[u8; REPLY_HEAD_LEN], frame: &Hash) -> [u8; REPLY_HEAD_LEN + HASH_LEN] {
    let mut aad = [0; REPLY_HEAD_LEN + HASH_LEN];
    for (to, from) in aad.iter_mut().zip(head.iter().chain(frame.as_bytes())) {
        *to = *from;
    }
    aad
}
