//! A second derivation of offline commands, from the words of PROTOCOL.md §12 over the primitives alone.
//!
//! It makes what core must make, byte for byte, and also what core never makes: prekeys, commands and replies that are
//! signed and sealed as they should be and say what they should not.

use moorline_core::crypto::{AeadKey, EphemeralKey, Hash, Mac, Secret, Share, SigningKey, Suite};

use crate::pair::Message;
use crate::reference::{Block, extend, extracted, label, statement};

/// What a prekey says, field by field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix {
    pub(super) kind: u8,
    pub(super) agent: [u8; 16],
    pub(super) id: u32,
    pub(super) suite: u8,
    pub(super) exp: u64,
    pub(super) share: Share,
}

impl Prefix {
    pub(super) fn bytes(&self) -> [u8; 62] {
        let mut bytes = [0; 62];
        bytes[0] = self.kind;
        bytes[1..17].copy_from_slice(&self.agent);
        bytes[17..21].copy_from_slice(&self.id.to_be_bytes());
        bytes[21] = self.suite;
        bytes[22..30].copy_from_slice(&self.exp.to_be_bytes());
        bytes[30..].copy_from_slice(&self.share.0);
        bytes
    }

    /// Returns the prekey, signed under `name`, and `token` behind it.
    pub(super) fn bundle(
        &self,
        name: &str,
        signer: &SigningKey,
        hedge: &[u8],
        token: &[u8],
    ) -> Message {
        let prefix = self.bytes();
        let signature = signer.sign(&statement(name, &Hash::of(&[&prefix]).0), hedge);
        let mut bundle = Message::new();
        for part in [&prefix[..], &signature.0, token] {
            extend(&mut bundle, part);
        }
        bundle
    }
}

/// What stands clear in a command, field by field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) agent: [u8; 16],
    pub(super) prekey: u32,
    pub(super) name: [u8; 8],
    pub(super) counter: u64,
    pub(super) not_after: u64,
    pub(super) share: Share,
}

impl Head {
    pub(super) fn bytes(&self) -> [u8; 77] {
        let mut bytes = [0; 77];
        bytes[0] = self.kind;
        bytes[1..17].copy_from_slice(&self.agent);
        bytes[17..21].copy_from_slice(&self.prekey.to_be_bytes());
        bytes[21..29].copy_from_slice(&self.name);
        bytes[29..37].copy_from_slice(&self.counter.to_be_bytes());
        bytes[37..45].copy_from_slice(&self.not_after.to_be_bytes());
        bytes[45..].copy_from_slice(&self.share.0);
        bytes
    }
}

/// What both ends have of one command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    suite: Suite,
    head: [u8; 77],
    /// t.
    pub(super) t: Block,
    k: Block,
}

impl Agreed {
    /// Returns what the holder of `own` has with the holder of `peer`; a secret of zeros when they agree on nothing.
    pub(super) fn new(
        suite: Suite,
        own: &EphemeralKey,
        peer: &Share,
        head: &Head,
        prefix: &[u8; 62],
        agent: &[u8; 65],
    ) -> Self {
        let head = head.bytes();
        let z = own.agree(peer).map_or([0; 32], |z| *z.expose());
        let t = Hash::of(&[b"ML1 command v1", &[0], &head, prefix, agent]).0;
        let k = extracted(&t, &z);
        Self { suite, head, t, k }
    }

    /// Returns the command that says `signed`, signed under `name`.
    pub(super) fn command(
        &self,
        signed: &[u8],
        token: &Block,
        name: &str,
        signer: &SigningKey,
        hedge: &[u8],
    ) -> Message {
        let hash = Hash::of(&[&self.t, token, signed]).0;
        let signature = signer.sign(&statement(name, &hash), hedge);
        let key = label(&self.k, "cmd key", b"");
        let iv = label(&self.k, "cmd iv", b"");
        self.sealed(key, iv, &self.head, &self.head, &[signed, &signature.0])
    }

    /// Returns the arg of a result.
    pub(super) fn argument(&self, r: &[u8]) -> u64 {
        let key: Block = label(&self.k, "rep arg", b"");
        let mac = Mac::of(&key, &[r]);
        let mut argument = [0; 8];
        argument.copy_from_slice(&mac.as_bytes()[..8]);
        u64::from_be_bytes(argument)
    }

    /// Returns the head of a reply.
    pub(super) fn reply_head(index: u8, argument: u64, frame: &[u8]) -> [u8; 26] {
        let mut head = [0; 26];
        head[0] = 0x32;
        head[1] = index;
        head[2..10].copy_from_slice(&argument.to_be_bytes());
        head[10..].copy_from_slice(&Hash::of(&[frame]).0[..16]);
        head
    }

    /// Returns the reply to `frame` that says `r` behind `head`.
    pub(super) fn reply(&self, head: &[u8; 26], frame: &[u8], r: &[u8]) -> Message {
        let key = label(&self.k, "rep key", head);
        let iv = label(&self.k, "rep iv", head);
        let mut aad = [0; 58];
        aad[..26].copy_from_slice(head);
        aad[26..].copy_from_slice(&Hash::of(&[frame]).0);
        self.sealed(key, iv, &aad, head, &[r])
    }

    /// Returns the result `r`, with its arg.
    pub(super) fn result(&self, frame: &[u8], r: &[u8]) -> Message {
        self.reply(&Self::reply_head(0, self.argument(r), frame), frame, r)
    }

    /// Returns what an agent signs about `result`.
    pub(super) fn reply_statement(&self, frame: &[u8], result: &[u8]) -> Hash {
        let head = Self::reply_head(0, 0, frame);
        statement("reply", &Hash::of(&[&self.t, &head, result]).0)
    }

    fn sealed(
        &self,
        key: Block,
        iv: [u8; 12],
        aad: &[u8],
        clear: &[u8],
        plaintext: &[&[u8]],
    ) -> Message {
        let mut body = Message::new();
        for part in plaintext {
            extend(&mut body, part);
        }
        let cipher = AeadKey::new(self.suite, &Secret::new(key), Secret::new(iv));
        let tag = cipher.seal_in_place(0, aad, &mut body);
        let mut message = Message::new();
        for part in [clear, &body, &tag.map_or([0; 16], |tag| tag.0)] {
            extend(&mut message, part);
        }
        message
    }
}
