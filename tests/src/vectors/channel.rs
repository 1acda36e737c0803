//! The published example of a channel, `core/vectors/channel-v1.json`: a commander and an agent from M1 to the sealed close,
//! and the envelopes in which a hub carries what they say (PROTOCOL.md §2, §3, §5 and §10.2).

mod json;

use heapless::Vec;
pub(super) use json::write;
use moorline_core::crypto::Hash;
use moorline_core::handshake::{Initiator, Offer};
use moorline_core::message::{Alert, AlertCode, Envelope};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::SuiteList;

use super::writer::is_published;
use super::{UNREACHED, draw, ephemeral, m3_signed};
use crate::channel::site::{Side, Site};
use crate::fixture::{FixedEntropy, LIMITS, NOW, SESSION_ID, ephemeral_key, secret};
use crate::pair::{LINE_LEN, Message, Seen, copy};
use crate::reference::{
    Agreed, Announcement, Answered, Block, Proved, datagram, extend, m2_clear_to, m4_facts,
};
use crate::{Case, Failure, ensure};

/// The published file.
const PUBLISHED: &str = include_str!("../../../core/vectors/channel-v1.json");

/// The request of the commander: number 1, the command `led` with the argument `on`.
const REQUEST: &[u8] = b"\x01\x01\x03led\x01\x02on";

/// The response of the agent to request 1: done, with no field.
const RESPONSE: &[u8] = &[1, 0, 1, 0, 0];

/// The number that the commander has given to the channel.
const CHANNEL: u32 = 7;

/// The permissions of the commander's token: agent.command.ping and agent.command.led.
const PERMISSIONS: u32 = 0b1001;

/// Who says what, in the order in which it is said: 0 is the commander.
const COURSE: [(usize, &str); 7] = [
    (0, "M1"),
    (1, "M2"),
    (0, "M3"),
    (1, "M4"),
    (0, "application, request"),
    (1, "application, response"),
    (0, "alert, close"),
];

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the published example of a channel is what the second derivation gives",
        clause: "PROTOCOL.md §3.3",
        run: || is_published(PUBLISHED, json::write),
    },
    Case {
        name: "core sends every message and frame of the published channel, byte for byte",
        clause: "PROTOCOL.md §3.3",
        run: course,
    },
    Case {
        name: "core writes and reads the published envelopes, byte for byte",
        clause: "PROTOCOL.md §10.2",
        run: envelopes,
    },
];

/// Everything in one channel.
struct Channel {
    /// What both ends drew for the connection ids, the shares and the signatures: the commander's, the agent's.
    cids: [[u8; 4]; 2],
    ephemeral_scalars: [Block; 2],
    hedges: [Block; 2],
    tokens: [Message; 2],
    token_hash: Block,
    agreed: Agreed,
    /// The plaintext of M2 before the signature.
    m2_signed: Message,
    answered: Answered,
    /// The plaintext of M3 before the signature.
    m3_signed: Message,
    proved: Proved,
    /// The secrets of epoch 0: the commander's, the agent's.
    secrets: [Block; 2],
    /// What [`COURSE`] names.
    messages: Vec<Message, { COURSE.len() }>,
}

impl Channel {
    /// Derives the channel between the ends of `site`, with the tokens of the commander and of the agent.
    fn new(site: &Site, tokens: [&UnpackedToken<'_>; 2]) -> Result<Self, Failure> {
        let (mut commander, mut agent) =
            (FixedEntropy::new("commander"), FixedEntropy::new("agent"));
        let cid_i = id(&mut commander);
        let responder_scalar = draw(&mut agent);
        let cids = [cid_i, id(&mut agent)];
        let hedges = [draw(&mut commander), draw(&mut agent)];
        let own = ephemeral_key("commander ephemeral");
        let peer = ephemeral(&responder_scalar);
        let m1 = m1(cid_i, &own.share().0);

        let len = 46 + 18 + tokens[1].as_bytes().len() + 64 + 16;
        let clear = m2_clear_to(1, 0, len, cids, &peer.share());
        let th0 = Hash::of(&[b"ML1 channel v1\0", &Site::id().0, &m1]).0;
        let agreed = Agreed::after(th0, &clear, &own, &peer.share()).ok_or(UNREACHED)?;
        // The token stands in the place of the key's name.
        let mut m2_signed = copy(&announced().bytes()[..18]);
        extend(&mut m2_signed, tokens[1].as_bytes());
        let key = &site.agent[0];
        let agent_key = key.public_key().to_bytes();
        let answered = agreed.m2(&m2_signed, &agent_key, key, &hedges[1]);

        let m3_signed = m3_signed(1024, 0, tokens[0].as_bytes());
        let token_hash = tokens[0].hash().0;
        let commander_key = site.commander.public_key().to_bytes();
        let proved = answered.m3(
            &m3_signed,
            &token_hash,
            &commander_key,
            &site.commander,
            &hedges[0],
        );
        let facts = m4_facts(&SESSION_ID, (NOW.secs() + 3600) * 1000, PERMISSIONS);
        let m4 = proved.m4(&proved.fin(), &facts);
        let secrets = ["i2r", "r2i"].map(|name| proved.secret(name));
        let [to_commander, to_agent] = cids.map(u32::from_be_bytes);
        let request = datagram(&secrets[0], 0x20, 0, to_agent, 0, REQUEST);
        let response = datagram(&secrets[1], 0x20, 0, to_commander, 0, RESPONSE);
        let close = datagram(&secrets[0], 0x22, 0, to_agent, 1, &[0; 5]);
        let (m2, m3) = (answered.message.clone(), proved.message.clone());
        let messages = Vec::from_array([m1, m2, m3, m4, request, response, close]);
        Ok(Self {
            cids,
            ephemeral_scalars: [*secret("commander ephemeral").expose(), responder_scalar],
            hedges,
            tokens: tokens.map(|token| copy(token.as_bytes())),
            token_hash,
            agreed,
            m2_signed,
            answered,
            m3_signed,
            proved,
            secrets,
            messages,
        })
    }
}

/// Returns the connection id that is drawn next.
fn id(entropy: &mut FixedEntropy) -> [u8; 4] {
    let [a, b, c, d, ..] = draw(entropy);
    [a, b, c, d]
}

/// Returns the M1 of the commander.
fn m1(cid: [u8; 4], share: &Block) -> Message {
    let mut m1 = copy(&[0x01, 1, 0, 50, 1, 1, 0, 0, 0, 0]);
    // Datagram form; the highest version spoken is 1.
    extend(&mut m1, &[0x11]);
    extend(&mut m1, &1500u16.to_be_bytes());
    extend(&mut m1, &cid);
    extend(&mut m1, &[0; 4]);
    extend(&mut m1, share);
    extend(&mut m1, &[0]);
    m1
}

/// Returns what the agent says of itself; no key is named.
fn announced() -> Announcement {
    Announcement {
        time: NOW.0,
        quality: 2,
        mtu: LIMITS.mtu,
        payload: LIMITS.max_payload_len,
        window: 64,
        token: LIMITS.max_token_len,
        kind: 2,
        key_id: [0; 16],
    }
}

/// Returns the route that the hub has drawn for the commander's channel.
fn route() -> [u8; 16] {
    Hash(draw(&mut FixedEntropy::new("hub"))).prefix()
}

/// Returns the envelope that carries `inner`, by hand.
fn envelope(route: &[u8; 16], channel: u32, inner: &[u8]) -> Message {
    let mut payload = copy(route);
    extend(&mut payload, &channel.to_be_bytes());
    extend(&mut payload, inner);
    payload
}

/// Returns the commander of the example, which offers one suite and wants no ticket.
fn commander<'k>(site: &'k Site, token: UnpackedToken<'k>) -> Initiator<'k> {
    let all = site.initiator(token);
    Initiator {
        offer: Offer {
            suites: SuiteList::DEFAULT,
            wants_ticket: false,
            ..all.offer
        },
        ..all
    }
}

/// Hands `play` the site of the example, the tokens of the commander and of the agent, and the example.
fn with_channel(
    play: fn(&Site, [UnpackedToken<'_>; 2], &Channel) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agents = site.token(&site.agent_says(), &mut one)?;
    let commanders = site.token(&site.commander_says(), &mut two)?;
    let channel = Channel::new(&site, [&commanders, &agents])?;
    play(&site, [commanders, agents], &channel)
}

fn course() -> Result<(), Failure> {
    with_channel(|site, [commanders, agents], channel| {
        let (mut initiator, sent) = Side::commander(commander(site, commanders))?;
        let mut responder = Side::agent(site.responder(agents), "agent");
        let [m1, m2, m3, m4, request, response, close] =
            [0, 1, 2, 3, 4, 5, 6].map(|at| &channel.messages[at]);
        ensure!(&sent == m1);
        let (sent, _) = responder.hand(m1, 0);
        ensure!(sent.as_ref() == Some(m2));
        let (sent, _) = initiator.hand(m2, 0);
        ensure!(sent.as_ref() == Some(m3));
        let (sent, seen) = responder.hand(m3, 0);
        ensure!(sent.as_ref() == Some(m4) && seen == Seen::Open);
        let (_, seen) = initiator.hand(m4, 0);
        ensure!(seen == Seen::Open);
        ensure!(&initiator.say(REQUEST)? == request);
        let (_, seen) = responder.hand(request, 0);
        ensure!(seen == Seen::Application(copy(REQUEST)));
        ensure!(&responder.say(RESPONSE)? == response);
        let (_, seen) = initiator.hand(response, 0);
        ensure!(seen == Seen::Application(copy(RESPONSE)));
        let alert = Alert {
            code: AlertCode::Close,
            argument: 0,
        };
        let mut out = [0; LINE_LEN];
        let sent = initiator.datagram.close(alert, &mut out);
        ensure!(sent.is_some_and(|sent| *sent == **close));
        let (_, seen) = responder.hand(close, 0);
        ensure!(matches!(seen, Seen::Closed(_)));
        Ok(())
    })
}

fn envelopes() -> Result<(), Failure> {
    with_channel(|_, _, channel| {
        for (step, inner) in channel.messages.iter().enumerate() {
            for (route, channel) in [(Site::id().0, CHANNEL), (route(), 0)] {
                let carries = Envelope {
                    route,
                    channel,
                    inner,
                };
                let by_hand = envelope(&route, channel, inner);
                ensure!(by_hand[..20] == carries.header(), step);
                ensure!(Envelope::parse(&by_hand) == Ok(carries), step);
            }
        }
        Ok(())
    })
}
