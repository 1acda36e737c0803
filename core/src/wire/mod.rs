//! Bytes to values and back.
//!
//! Every file of a message has one order: layout constants, the value, `parse`, `emit`. `parse` takes bytes of any
//! kind and returns a value that cannot be nonsense; `emit` writes it back to the same bytes. Neither knows keys or
//! states. Integers are big-endian (PROTOCOL.md §2.1).

mod datagrams;
mod enrolment;
mod form;
mod fragment;
mod frame;
mod head;
mod m0;
mod m1;
mod m2;
mod m3;
mod m4;
mod part;
mod reader;
mod refusal;
mod writer;

pub use datagrams::datagrams;
pub use enrolment::{Enrolment, EnrolmentCode, MAX_CODE_LEN, MIN_CODE_LEN};
pub use form::{ConnectionIds, Form, Line};
pub use fragment::{CELL_LEN, FRAGMENT_HEAD_LEN, Fragment};
pub(crate) use fragment::{is_fragment, split_in_place};
pub use frame::{
    DATAGRAM_HEADER_LEN, DATAGRAM_OVERHEAD, FRAME_HEADER_LEN, FRAME_OVERHEAD, FrameHeader,
    FrameType,
};
pub use head::{HEAD_LEN, MessageType, parse_head};
pub(crate) use head::{emit_head, is_handshake};
pub(crate) use m0::is_m0;
pub use m0::{M0, M0_LEN};
pub use m1::{
    COOKIE_LEN, Flags, M1, M1_LEN, M1_PRESHARED_LEN, MAX_M1_LEN, Mode, Preshared, Starred,
    SuiteList, TICKET_ID_LEN,
};
pub use m2::{
    Announcement, Limits, M2_CLEAR_LEN, M2_LEN, M2_PRESHARED_LEN, M2_ROTATED_LEN, M2Clear,
    M2Confirmed, M2Signed, ResponderCredential,
};
pub use m3::{
    Credential, M3_MIN_LEN, M3_PREFIX_LEN, M3_PRESHARED_LEN, M3Confirmed, M3Sealed, MAX_PAD_LEN,
};
pub use m4::{M4_LEN, M4_PREFIX_LEN, M4Sealed, NewTicket, TICKET_NONCE_LEN, Terms};
pub use part::{PART_HEADER_LEN, PartHeader};
pub use reader::{Reader, Truncated};
pub use refusal::{REFUSE_LEN, REJECT_LEN, Refuse, RefuseCode, Reject, RejectCode};
pub use writer::{TooSmall, Writer};
