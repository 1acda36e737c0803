//! A second derivation of a link, from the words of PROTOCOL.md §2, §3 and §5 over the primitives alone.
//!
//! It shares no line with core's handshake and session. It makes what core must make, byte for byte, and also what
//! core never makes: messages that are sealed and signed as they should be and say what they should not.

use moorline_core::crypto::{
    AeadKey, EphemeralKey, Hash, Mac, Secret, Share, SigningKey, Suite, expand, extract,
};

use crate::pair::Message;

/// Thirty-two bytes: a hash or a secret. These secrets are published; none is used anywhere else.
pub type Block = [u8; 32];

/// Returns `L(secret, label, context, N)` (PROTOCOL.md §3.1).
pub fn label<const N: usize>(secret: &Block, label: &str, context: &[u8]) -> [u8; N] {
    let count = |len: usize| [u8::try_from(len).unwrap_or(u8::MAX)];
    let mut output = [0; N];
    let length = u16::try_from(N).unwrap_or(u16::MAX).to_be_bytes();
    let info: [&[u8]; 6] = [
        &length,
        &count(4 + label.len()),
        b"ML1 ",
        label.as_bytes(),
        &count(context.len()),
        context,
    ];
    // Far fewer bytes are asked for than the construction gives.
    let _ = expand(&Secret::new(*secret), &info, &mut output);
    output
}

/// Returns HKDF-Extract of `input` under `salt`.
pub fn extracted(salt: &Block, input: &Block) -> Block {
    *extract(salt, input).expose()
}

/// Returns the hash that a signature under `label` over `hash` is made of (PROTOCOL.md §3.2).
pub fn statement(label: &str, hash: &Block) -> Hash {
    Hash::of(&[&[0x20; 64], b"ML1 ", label.as_bytes(), &[0], hash])
}

/// A key and iv.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// The AEAD's key.
    pub key: Block,
    /// What a nonce is made of with the sequence number.
    pub iv: [u8; 12],
}

impl Keys {
    /// Returns the key and iv that `secret` gives under these labels in `context`.
    pub fn of(secret: &Block, key: &str, iv: &str, context: &[u8]) -> Self {
        Self {
            key: label(secret, key, context),
            iv: label(secret, iv, context),
        }
    }

    /// Returns `clear` followed by `plaintext` sealed under `seq` with `aad`.
    pub fn sealed(&self, seq: u64, aad: &[&[u8]], clear: &[u8], plaintext: &[&[u8]]) -> Message {
        let mut whole_aad = Message::new();
        let mut message = Message::new();
        let mut body = Message::new();
        for part in aad {
            extend(&mut whole_aad, part);
        }
        for part in plaintext {
            extend(&mut body, part);
        }
        let cipher = AeadKey::new(
            Suite::Aes256Gcm,
            &Secret::new(self.key),
            Secret::new(self.iv),
        );
        let tag = cipher.seal_in_place(seq, &whole_aad, &mut body);
        extend(&mut message, clear);
        extend(&mut message, &body);
        extend(&mut message, &tag.map_or([0; 16], |tag| tag.0));
        message
    }
}

/// Adds `bytes` to `message`; what is too long for the line is cut, and refused at the other end.
pub fn extend(message: &mut Message, bytes: &[u8]) {
    for byte in bytes {
        let _ = message.push(*byte);
    }
}

/// Returns head and connection id of a message of `len` bytes in stream form.
pub fn prefix(kind: u8, len: usize) -> [u8; 8] {
    prefix_to(kind, len, [0; 4])
}

/// Returns head and connection id of a message of `len` bytes to the end that `cid` names.
pub fn prefix_to(kind: u8, len: usize, cid: [u8; 4]) -> [u8; 8] {
    let [high, low] = u16::try_from(len - 4).unwrap_or(u16::MAX).to_be_bytes();
    let [a, b, c, d] = cid;
    [kind, 1, high, low, a, b, c, d]
}

/// Returns the clear part of an M2 of 160 bytes in stream form (PROTOCOL.md §2.3).
pub fn m2_clear(suite: u8, mode: u8, share: &Share) -> [u8; 46] {
    m2_clear_to(suite, mode, 160, [[0; 4]; 2], share)
}

/// Returns the clear part of an M2 of `len` bytes with the connection ids `cids`, the initiator's and the responder's.
pub fn m2_clear_to(suite: u8, mode: u8, len: usize, cids: [[u8; 4]; 2], share: &Share) -> [u8; 46] {
    let mut clear = [0; 46];
    clear[..4].copy_from_slice(&prefix(0x02, len)[..4]);
    clear[4..6].copy_from_slice(&[suite, mode]);
    clear[6..14].copy_from_slice(cids.as_flattened());
    clear[14..].copy_from_slice(&share.0);
    clear
}

/// What a responder says of itself in M2, field by field.
#[derive(Debug, Clone, Copy)]
pub struct Announcement {
    /// Milliseconds since 1970.
    pub time: u64,
    /// How sure the clock is.
    pub quality: u8,
    /// Largest transport unit.
    pub mtu: u16,
    /// Longest payload.
    pub payload: u16,
    /// Replay window.
    pub window: u16,
    /// Longest token.
    pub token: u16,
    /// Kind of credential.
    pub kind: u8,
    /// Name of the key.
    pub key_id: [u8; 16],
}

impl Announcement {
    /// Returns P2, the plaintext of M2 before the signature.
    pub fn bytes(&self) -> [u8; 34] {
        let mut bytes = [0; 34];
        bytes[..8].copy_from_slice(&self.time.to_be_bytes());
        bytes[8] = self.quality;
        bytes[9..11].copy_from_slice(&self.mtu.to_be_bytes());
        bytes[11..13].copy_from_slice(&self.payload.to_be_bytes());
        bytes[13..15].copy_from_slice(&self.window.to_be_bytes());
        bytes[15..17].copy_from_slice(&self.token.to_be_bytes());
        bytes[17] = self.kind;
        bytes[18..].copy_from_slice(&self.key_id);
        bytes
    }
}

/// What both ends have after M1 and the clear part of M2.
#[derive(Debug, Clone, Copy)]
pub struct Agreed {
    /// The clear part of M2.
    pub clear: [u8; 46],
    /// The hash after M1.
    pub th0: Block,
    /// The hash after the clear part of M2.
    pub th1: Block,
    /// What the shares give.
    pub dh: Block,
    /// The secret before the shares.
    pub early: Block,
    /// The handshake secret.
    pub hs: Block,
}

impl Agreed {
    /// Returns what the holder of `own` has on a link; nothing when the shares give zero.
    pub fn new(m1: &[u8], clear: &[u8; 46], own: &EphemeralKey, peer: &Share) -> Option<Self> {
        Self::after(Hash::of(&[b"ML1 link v1\0", m1]).0, clear, own, peer)
    }

    /// Returns what the holder of `own` has after an M1 that gave `th0`; nothing when the shares give zero.
    pub fn after(th0: Block, clear: &[u8; 46], own: &EphemeralKey, peer: &Share) -> Option<Self> {
        let th1 = Hash::of(&[&th0, clear]).0;
        let dh = *own.agree(peer)?.expose();
        let early = extracted(&[0; 32], &[0; 32]);
        let hs = extracted(&label(&early, "derived", &th0), &dh);
        Some(Self {
            clear: *clear,
            th0,
            th1,
            dh,
            early,
            hs,
        })
    }

    /// Returns M2 that says `signed`, names `named` in the transcript and is signed by `signer`.
    pub fn m2(
        &self,
        signed: &[u8],
        named: &[u8; 65],
        signer: &SigningKey,
        hedge: &[u8],
    ) -> Answered {
        self.m2_under("responder", signed, named, signer, hedge)
    }

    /// Returns M2 as [`Agreed::m2`] does, signed under `label`.
    pub fn m2_under(
        &self,
        label: &str,
        signed: &[u8],
        named: &[u8; 65],
        signer: &SigningKey,
        hedge: &[u8],
    ) -> Answered {
        let th2 = Hash::of(&[&self.th1, signed, named]).0;
        let signature = signer.sign(&statement(label, &th2), hedge).0;
        let th3 = Hash::of(&[&th2, &signature]).0;
        let responder = Keys::of(&self.hs, "r key", "r iv", &self.th1);
        let message = responder.sealed(0, &[&self.th1], &self.clear, &[signed, &signature]);
        let mut cids = [[0; 4]; 2];
        cids.as_flattened_mut().copy_from_slice(&self.clear[6..14]);
        Answered {
            hs: self.hs,
            cids,
            th2,
            th3,
            signature,
            responder,
            initiator: Keys::of(&self.hs, "i key", "i iv", &th3),
            message,
        }
    }
}

/// What both ends have after M2.
#[derive(Debug, Clone)]
pub struct Answered {
    hs: Block,
    /// The connection ids: the initiator's, the responder's.
    cids: [[u8; 4]; 2],
    /// What the responder signs.
    pub th2: Block,
    /// The hash after M2.
    pub th3: Block,
    /// The responder's signature.
    pub signature: [u8; 64],
    /// The keys of M2 and REFUSE.
    pub responder: Keys,
    /// The keys of M3.
    pub initiator: Keys,
    /// M2.
    pub message: Message,
}

impl Answered {
    /// Returns M3 that says `signed`, with the `token_hash` and the key `named` in the transcript, signed by
    /// `signer`.
    pub fn m3(
        &self,
        signed: &[u8],
        token_hash: &Block,
        named: &[u8; 65],
        signer: &SigningKey,
        hedge: &[u8],
    ) -> Proved {
        self.m3_under("initiator", signed, token_hash, named, signer, hedge)
    }

    /// Returns M3 as [`Answered::m3`] does, signed under `name`.
    pub fn m3_under(
        &self,
        name: &str,
        signed: &[u8],
        token_hash: &Block,
        named: &[u8; 65],
        signer: &SigningKey,
        hedge: &[u8],
    ) -> Proved {
        let prefix = prefix_to(0x03, 8 + signed.len() + 64 + 16, self.cids[1]);
        let th4 = Hash::of(&[&self.th3, &prefix, signed, token_hash, named]).0;
        let signature = signer.sign(&statement(name, &th4), hedge).0;
        let th5 = Hash::of(&[&th4, &signature]).0;
        let message =
            self.initiator
                .sealed(0, &[&self.th3, &prefix], &prefix, &[signed, &signature]);
        let master = extracted(&label(&self.hs, "derived", &th5), &[0; 32]);
        Proved {
            cid: self.cids[0],
            th4,
            th5,
            signature,
            message,
            master,
        }
    }

    /// Returns a REFUSE.
    pub fn refuse(&self, code: u8, argument: u32) -> Message {
        let prefix = prefix_to(0x07, 29, self.cids[0]);
        let plaintext: [&[u8]; 2] = [&[code], &argument.to_be_bytes()];
        self.responder
            .sealed(2, &[&self.th3, &prefix], &prefix, &plaintext)
    }
}

/// What both ends have after M3.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The initiator's connection id.
    cid: [u8; 4],
    /// What the initiator signs.
    pub th4: Block,
    /// The hash of all that was said.
    pub th5: Block,
    /// The initiator's signature.
    pub signature: [u8; 64],
    /// M3.
    pub message: Message,
    /// The master secret.
    pub master: Block,
}

impl Proved {
    /// Returns a secret of the whole transcript.
    pub fn secret(&self, name: &str) -> Block {
        label(&self.master, name, &self.th5)
    }

    /// Returns the confirmation.
    pub fn fin(&self) -> Block {
        *Mac::of(&self.secret("fin"), &[&self.th5]).as_bytes()
    }

    /// Returns the keys of M4.
    pub fn m4_keys(&self) -> Keys {
        Keys::of(&self.master, "m4 key", "m4 iv", &self.th5)
    }

    /// Returns M4 that confirms with `fin` and then says `facts`.
    pub fn m4(&self, fin: &Block, facts: &[u8]) -> Message {
        let prefix = prefix_to(0x04, 8 + 32 + facts.len() + 16, self.cid);
        self.m4_keys()
            .sealed(0, &[&self.th5, &prefix], &prefix, &[fin, facts])
    }

    /// Returns 32 bytes for the application (PROTOCOL.md §3.5).
    pub fn export(&self, name: &str, context: &[u8]) -> Block {
        let purpose = label(&self.secret("exp"), name, b"");
        label(&purpose, "exporter", &Hash::of(&[context]).0)
    }
}

/// Returns what M4 says after the confirmation.
pub fn m4_facts(session_id: &[u8; 8], expires: u64, permissions: u32) -> [u8; 48] {
    let mut facts = [0; 48];
    facts[..8].copy_from_slice(session_id);
    facts[8..16].copy_from_slice(&expires.to_be_bytes());
    facts[16..20].copy_from_slice(&permissions.to_be_bytes());
    facts
}

/// Returns the keys of the frames of the epoch of `secret` (PROTOCOL.md §3.4).
pub fn frame_keys(secret: &Block) -> Keys {
    Keys::of(secret, "key", "iv", b"")
}

/// Returns the frame of type `kind` that carries `payload` (PROTOCOL.md §5.1).
pub fn frame(secret: &Block, kind: u8, epoch: u8, seq: u32, payload: &[u8]) -> Message {
    let [high, low] = u16::try_from(payload.len() + 16)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let [a, b, c, d] = seq.to_be_bytes();
    let header = [kind, epoch, high, low, a, b, c, d];
    frame_keys(secret).sealed(seq.into(), &[&header], &header, &[payload])
}

/// Returns the frame in datagram form of type `kind` that carries `payload` to the end that `cid` names (PROTOCOL.md
/// §5.1).
pub fn datagram(
    secret: &Block,
    kind: u8,
    epoch: u8,
    cid: u32,
    seq: u32,
    payload: &[u8],
) -> Message {
    let [high, low] = u16::try_from(payload.len() + 16)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut header = [0; 12];
    header[..4].copy_from_slice(&[kind, epoch, high, low]);
    header[4..8].copy_from_slice(&cid.to_be_bytes());
    header[8..].copy_from_slice(&seq.to_be_bytes());
    frame_keys(secret).sealed(seq.into(), &[&header], &header, &[payload])
}

/// The step from one epoch to the next (PROTOCOL.md §5.4).
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The hash of what both ends said about the step.
    pub t: Block,
    /// What fresh shares give, or zero.
    pub dh: Block,
}

impl Step {
    /// Returns the step to epoch `next` with the shares of who asked and who answered, and what they give.
    pub fn new(next: u32, asked: &Block, answered: &Block, dh: Block) -> Self {
        let t = Hash::of(&[b"ML1 rekey", &next.to_be_bytes(), asked, answered]).0;
        Self { t, dh }
    }

    /// Returns the secret that follows `secret`.
    pub fn next(&self, secret: &Block) -> Block {
        extracted(&label(secret, "next", &self.t), &self.dh)
    }
}
