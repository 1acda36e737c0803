//! The numbers of the protocol, each with its clause.

/// The version that this crate speaks, and the highest one that it knows (PROTOCOL.md §2.2).
pub const VERSION: u8 = 1;

/// Longest payload in bytes that travels in several frames of a datagram link (PROTOCOL.md §5.8).
pub const MAX_SPLIT_PAYLOAD_LEN: usize = 4 * 1024;

/// Longest handshake message in bytes, head included (PROTOCOL.md §2.1): M3 with the longest token and full padding
/// is under it.
pub const MAX_HANDSHAKE_LEN: usize = 1024;

/// Longest payload of a frame in bytes (PROTOCOL.md §5.1).
pub const MAX_PAYLOAD_LEN: usize = 16 * 1024;

/// Least length in bytes that a peer may announce as the longest payload that it takes (PROTOCOL.md §2.3): every
/// control message is under it.
pub const MIN_PAYLOAD_LEN: usize = 64;

/// Smallest transport unit in bytes that a peer may announce (PROTOCOL.md §2.2).
pub const MIN_MTU: u16 = 160;

/// Milliseconds that a handshake may take from its first byte (PROTOCOL.md §6.1).
pub const HANDSHAKE_MILLIS: u64 = 15_000;

/// Frames sealed under one key after which the key is replaced (PROTOCOL.md §5.3).
pub const SOFT_SEALS: u32 = 1 << 22;

/// Frames sealed under one key after which nothing more is sealed (PROTOCOL.md §5.3): RFC 8446 §5.5 allows 2^24.5.
pub const HARD_SEALS: u32 = 1 << 24;

/// Frames that fail to open under one key after which a session over datagrams ends (PROTOCOL.md §5.3): a forgery
/// succeeds with a chance under 2^-97 (AES-256-GCM) or 2^-72 (ChaCha20-Poly1305) even with the longest frames.
pub const MAX_FAILED_OPENS: u32 = 1 << 20;

/// Bytes sealed under one key after which the key is replaced (PROTOCOL.md §5.3).
pub const SOFT_BYTES: u64 = 1 << 30;

/// Milliseconds after which a key is replaced (PROTOCOL.md §5.3).
pub const EPOCH_MILLIS: u64 = 3_600_000;

/// Highest epoch of a session (PROTOCOL.md §5.1): the next one is a new handshake's.
pub const MAX_EPOCH: u32 = (1 << 16) - 1;

/// Milliseconds an end is settled before it starts a key update (PROTOCOL.md §5.4).
pub const SETTLED_MILLIS: u64 = 2_000;

/// Milliseconds between two sendings of an unanswered key update (PROTOCOL.md §5.4).
pub const UPDATE_REPEAT_MILLIS: u64 = 1_000;

/// Sendings of an unanswered key update after which the session is closed (PROTOCOL.md §5.4).
pub const MAX_UPDATE_SENDS: u8 = 5;

/// Milliseconds after a switch of keys within which a peer may not ask for the next one (PROTOCOL.md §5.4).
pub const MIN_EPOCH_MILLIS: u64 = 1_000;

/// Frames of a new epoch that are opened before the keys of the one before are wiped, over datagrams (PROTOCOL.md
/// §5.4).
pub const OLD_EPOCH_FRAMES: u8 = 64;

/// Milliseconds after the first frame of a new epoch after which the keys of the one before are wiped, over datagrams
/// (PROTOCOL.md §5.4).
pub const OLD_EPOCH_MILLIS: u64 = 5_000;

/// Fewest sequence numbers that a replay window of datagrams judges (PROTOCOL.md §5.2).
pub const MIN_WINDOW: u16 = 64;

/// Most sequence numbers that a replay window of datagrams judges (PROTOCOL.md §5.2).
pub const MAX_WINDOW: u16 = 2048;

/// Seconds for which a ticket may be used at most (PROTOCOL.md §2.8).
pub const MAX_TICKET_SECONDS: u32 = 86_400;

/// Most tickets that follow each other without a full handshake (PROTOCOL.md §2.8).
pub const MAX_TICKET_CHAIN: u8 = 64;

/// Longest payload in bytes that every initiator with an external key takes: no message says it (PROTOCOL.md §2.12).
pub const EXTERNAL_PAYLOAD_LEN: u16 = 1024;

/// Milliseconds for which a session on an external key lasts at most (PROTOCOL.md §2.12).
pub const EXTERNAL_MILLIS: u64 = 3_600_000;

/// Milliseconds for which the session lasts in which a newcomer gets its token (PROTOCOL.md §2.9).
pub const ENROLMENT_MILLIS: u64 = 60_000;

/// Fewest milliseconds between two tokens that a responder judges in one session (PROTOCOL.md §5.7).
pub const RENEWAL_MILLIS: u64 = 1_000;

/// Milliseconds after which an initiator sends a datagram of the handshake again; twice as long each time
/// (PROTOCOL.md §6.3).
pub const RESEND_MILLIS: u64 = 1_000;

/// How often an initiator sends a datagram of the handshake again (PROTOCOL.md §6.3).
pub const MAX_RESENDS: u32 = 3;

/// Milliseconds for which a handshake message that comes again gets the same answer again (PROTOCOL.md §6.3).
pub const REPEAT_MILLIS: u64 = 30_000;

/// Milliseconds after which a hub makes its cookies under another key; those of the key before still hold (PROTOCOL.md
/// §2.10).
pub const COOKIE_MILLIS: u64 = 60_000;

/// How often an initiator sends one M1 again with a cookie (PROTOCOL.md §2.10).
pub const MAX_COOKIES: u8 = 3;

/// Milliseconds after which a handshake message that is not whole gives way to fragments that do not fit it: as long as
/// an initiator waits before it sends one again (PROTOCOL.md §2.11).
pub const FRAGMENT_MILLIS: u64 = RESEND_MILLIS;

/// Handshakes of channels that an agent answers at once (PROTOCOL.md §10.2).
pub const CHANNEL_STARTS: u64 = 4;

/// Milliseconds after which it answers one more: six a minute.
pub const CHANNEL_START_MILLIS: u64 = 10_000;

/// Milliseconds of silence after which a channel gives way to a new one (PROTOCOL.md §10.2).
pub const CHANNEL_IDLE_MILLIS: u64 = 30_000;

/// Milliseconds for which a prekey may be used: seven days (PROTOCOL.md §12.1).
pub const PREKEY_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Milliseconds after which an agent makes the next prekey: a day (PROTOCOL.md §12.1).
pub const PREKEY_ROTATION_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Offline commands that an agent looks at in a row (PROTOCOL.md §12.5): each can cost it three operations on curves.
pub const COMMAND_BURST: u64 = 8;

/// Milliseconds after which it looks at one more.
pub const COMMAND_MILLIS: u64 = 1_000;

/// Longest offline command that a hub keeps, in bytes (PROTOCOL.md §10.4).
pub const MAX_OFFLINE_COMMAND_LEN: usize = 2048;

/// Longest reply to an offline command that a hub keeps, in bytes (PROTOCOL.md §10.4).
pub const MAX_OFFLINE_REPLY_LEN: usize = 2048;

/// How far a command's counter may be above the last one (PROTOCOL.md §12.6): the last number of all is out of reach.
pub const MAX_COUNTER_STEP: u64 = 1 << 32;

/// Resumptions of channels that an agent answers at once: they cost it no signature (PROTOCOL.md §10.2).
pub const CHANNEL_RESUMPTIONS: u64 = 16;

/// Milliseconds after which it answers one more: sixty a minute.
pub const CHANNEL_RESUMPTION_MILLIS: u64 = 1_000;

/// Seconds by which two clocks may differ (PROTOCOL.md §4, §7.3, §13).
pub const TIME_LEEWAY_SECONDS: u64 = 60;

/// Seconds by which one token raises the floor at most (PROTOCOL.md §7.3): 31 days.
pub const MAX_FLOOR_STEP_SECONDS: u64 = 31 * 86_400;
