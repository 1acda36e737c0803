//! Offline commands (PROTOCOL.md §12): sealed and signed for an agent that is not there, run at most once.
//!
//! ```text
//! agent                                hub                          commander
//!   Prekeys::rotate --bundle-->         keeps it   --bundle-->      AgentPrekey::check
//!   Inbox::handle_command <--command--  keeps it   <--command--     seal_command
//!                         --reply-->    carries it --reply-->       PendingReply::open
//! ```
//!
//! The hub may be hostile: it can drop, delay and reorder, and it learns whom a command is for and which key sends it.

mod agent;
mod carried;
mod commander;
mod counters;
mod keys;
mod layout;
mod post;
mod prekey;
mod prekeys;
mod replies;
mod tokens;

pub use agent::{CommandAnswer, Inbox, MIN_REPLY_LEN, OfflineAgent, OfflineContext, OfflineShell};
pub use carried::{CommandLabel, PrekeyLabel, answered_frame, frame_name};
pub use commander::{
    Order, PENDING_REPLY_LEN, PendingReply, ReplyOutcome, TokenForm, seal_command,
};
pub use counters::{COUNTER_ENTRY_LEN, CounterEntry, Counters, MAX_COUNTERS, StoreError};
pub use layout::{
    COMMAND_HEAD_LEN, MIN_COMMAND_LEN, PREKEY_PREFIX_LEN, REPLY_HEAD_LEN, RefusalCode,
    SIGNED_PREKEY_LEN,
};
pub use post::{Delivery, Post};
pub use prekey::{AgentPrekey, SeenPrekey};
pub use prekeys::{PREKEYS_LEN, Prekeys};
pub use replies::{MAX_CACHED_REPLY_LEN, REPLY_COUNT};
pub use tokens::TOKEN_COUNT;
