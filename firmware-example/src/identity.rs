//! Who the device is and whom it takes for its hub: what it must have before it sends a byte.

use moorline_core::crypto::{Hash, SelfTestError, SigningKey, self_test};
use moorline_core::handshake::{Initiator, Offer, OwnToken, RespondAs, Responder, Shown, Wanted};
use moorline_core::offline::OfflineAgent;
use moorline_core::provision::{Provision, ProvisionError, Road};
use moorline_core::time::UnixMillis;
use moorline_core::time_floor::TimeFloor;
use moorline_core::token::{
    AgentId, Claims, MAX_UNPACKED_LEN, Permissions, TokenReason, TrustAnchors, UnpackedToken,
    UnverifiedClaims,
};
use moorline_core::trust::{IssuerKeys, TrustMemory, TrustStore};
use moorline_core::wire::{Form, Limits, M1_LEN, M2_LEN, M3_MIN_LEN, M4_LEN, SuiteList};

use crate::board::{Entropy, EntropyError};
#[cfg(feature = "mps2-an386")]
use crate::net::NetError;
use crate::renewal::Own;

/// What the device was provisioned with, found to be of use.
pub struct Identity {
    provision: Provision<'static>,
    key: SigningKey,
    id: AgentId,
    claims: Claims,
    /// Whom it takes for its hub, once that is another than it was provisioned with.
    followed: TrustMemory,
}

impl Identity {
    /// Checks the device and what it was provisioned with. The signing key's public half is computed here, once.
    ///
    /// # Errors
    ///
    /// The first [`BootError`].
    pub fn establish(provision: &'static [u8], entropy: &mut Entropy) -> Result<Self, BootError> {
        self_test().map_err(BootError::SelfTest)?;
        entropy.check().map_err(BootError::Entropy)?;
        let provision = Provision::parse(provision).map_err(BootError::Provision)?;
        let key = SigningKey::from_scalar(provision.scalar()).ok_or(BootError::Key)?;
        let claims = UnverifiedClaims::decode(&provision.token()).map_err(BootError::Token)?;
        let claims = claims.claims_unverified().clone();
        if claims.key != *key.public_key() {
            return Err(BootError::TokenOfAnother);
        }
        defmt::info!("this is {=str}", claims.subject.as_str());
        let id = AgentId::of(&claims.issuer, &claims.subject);
        Ok(Self {
            provision,
            key,
            id,
            claims,
            followed: TrustMemory::new(),
        })
    }

    /// Returns the host that the request for the WebSocket names.
    pub fn host(&self) -> &'static str {
        self.provision.host()
    }

    /// Returns where the hub is on a network: a name or an address, and a port.
    pub fn place(&self) -> (&'static str, u16) {
        self.provision.place()
    }

    /// Returns the road to the hub.
    pub fn road(&self) -> Road {
        self.provision.road()
    }

    /// Returns the token that the device was provisioned with.
    pub fn token(&self) -> UnpackedToken<'static> {
        self.provision.token()
    }

    /// Returns the device's key: the provisioned one, or the newest that has taken its place.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Puts `key`, which the hub has taken up, in the place of the device's own.
    pub fn adopt(&mut self, key: SigningKey) {
        self.key = key;
    }

    /// Returns whom the device takes for its hub.
    pub fn trust(&self) -> &TrustStore {
        self.followed.get().unwrap_or(self.provision.trust())
    }

    /// Follows the hub to whom `followed` says, if anyone; [`Identity::trust`] has led there.
    pub fn follow(&mut self, followed: &mut TrustMemory) {
        self.followed.take_from(followed);
    }

    /// Returns the issuers that the device was provisioned with.
    pub fn anchors(&self) -> &TrustAnchors {
        &self.provision.site().anchors
    }

    /// Returns the audience that tokens of the site name: the hub's name.
    pub fn audience(&self) -> &str {
        self.provision.site().audience
    }

    /// Returns the keys of the issuer that bears the hub's name, as the device was provisioned with them.
    pub fn issuer_keys(&self) -> Option<IssuerKeys> {
        let root_counter = self.provision.trust().root_counter();
        IssuerKeys::of(self.audience(), self.anchors(), root_counter)
    }

    /// Returns what a token that follows must say; `anchors` are the issuers that count.
    pub fn own<'i>(&'i self, anchors: &'i TrustAnchors) -> Own<'i> {
        Own {
            claims: &self.claims,
            anchors,
            audience: self.audience(),
        }
    }

    /// Returns the device's side of a channel that takes payloads of `max_payload_len` bytes. It shows `token`, and proves
    /// `key`, which that names; `anchors` are the issuers that count.
    pub fn responder<'i>(
        &'i self,
        key: &'i SigningKey,
        token: UnpackedToken<'i>,
        anchors: &'i TrustAnchors,
        max_payload_len: u16,
    ) -> Responder<'i> {
        let site = self.provision.site();
        Responder {
            keys: core::slice::from_ref(key),
            anchors,
            audience: site.audience,
            suites: SuiteList::CHACHA_FIRST,
            limits: Limits {
                mtu: MTU,
                max_payload_len,
                max_token_len: to_u16(MAX_UNPACKED_LEN),
            },
            respond_as: RespondAs::Agent(OwnToken {
                id: self.id,
                token,
                group: site.group,
            }),
        }
    }

    /// Returns the device, with `key`, as commanders see it that leave commands for it while it is away. Their tokens, of the
    /// issuers among `anchors`, say what they may do.
    pub fn offline_agent<'i>(
        &'i self,
        key: &'i SigningKey,
        anchors: &'i TrustAnchors,
    ) -> OfflineAgent<'i> {
        let site = self.provision.site();
        OfflineAgent {
            id: self.id,
            key,
            anchors,
            audience: site.audience,
            group: site.group,
            allows: Permissions::from_pattern("agent.command.*").unwrap_or(Permissions::NONE),
        }
    }

    /// Returns what the time is at least: the device's token was issued when it was provisioned, and it was `kept` later.
    pub fn floor(&self, kept: Option<UnixMillis>) -> TimeFloor {
        TimeFloor::new(UnixMillis::from_secs(self.claims.issued_at), kept)
    }

    /// Returns the name of what the device was provisioned with: each image has a token of its own.
    pub fn name(&self) -> Hash {
        Hash::of(&[self.provision.token().as_bytes()])
    }

    /// Returns the device's side of a handshake with the hub that takes payloads of `max_payload_len` bytes. It proves
    /// `key`, and shows what `shows` says.
    pub fn initiator<'i>(
        &'i self,
        key: &'i SigningKey,
        shows: Shown<'i>,
        max_payload_len: u16,
    ) -> Initiator<'i> {
        Initiator {
            key,
            shows,
            wanted: Wanted::Hub(self.trust(), Form::Stream),
            offer: Offer {
                suites: SuiteList::CHACHA_FIRST,
                wants_ticket: true,
                mtu: MTU,
                max_payload_len,
                no_clock: true,
            },
        }
    }
}

/// Why the device does not start. Each text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootError {
    /// A primitive gives a wrong answer.
    SelfTest(SelfTestError),
    /// There are no random bytes.
    Entropy(EntropyError),
    /// The provisioning image is not there, or not right.
    Provision(ProvisionError),
    /// The private key is not one of the curve.
    Key,
    /// The token is not within the profile.
    Token(TokenReason),
    /// The token names another key than the device's.
    TokenOfAnother,
    /// There is no network, which the device is to reach its hub by.
    #[cfg(feature = "mps2-an386")]
    Network(NetError),
}

impl defmt::Format for BootError {
    fn format(&self, to: defmt::Formatter<'_>) {
        match self {
            Self::SelfTest(error) => {
                defmt::write!(
                    to,
                    "the self-test of {} failed; flash the image again",
                    error
                );
            }
            Self::Entropy(error) => {
                defmt::write!(to, "there is no entropy ({}), so there are no keys", error);
            }
            Self::Provision(ProvisionError::Blank) => {
                defmt::write!(
                    to,
                    "the device is not provisioned; write its image to flash"
                );
            }
            Self::Provision(error) => defmt::write!(
                to,
                "the provisioning image is refused ({}); write it again",
                error
            ),
            Self::Key => defmt::write!(to, "the provisioned key is not one of the curve"),
            Self::Token(reason) => {
                defmt::write!(to, "the provisioned token is refused ({})", reason);
            }
            Self::TokenOfAnother => defmt::write!(
                to,
                "the provisioned token names another key; enroll the device's own"
            ),
            #[cfg(feature = "mps2-an386")]
            Self::Network(error) => defmt::write!(
                to,
                "there is no network ({}); mend the board or provision the other road",
                error
            ),
        }
    }
}

/// Returns how many bytes the four messages of a full handshake have that shows `token`.
pub fn handshake_len(token: &UnpackedToken<'_>) -> usize {
    M1_LEN + M2_LEN + M3_MIN_LEN + token.as_bytes().len() + M4_LEN
}

#[expect(
    clippy::as_conversions,
    reason = "checked here; `try_from` is not const"
)]
/// Returns `len`, which is known to fit.
pub const fn to_u16(len: usize) -> u16 {
    assert!(len <= 0xFFFF);
    len as u16
}

/// A stream has no transport unit of its own; this one is announced for paths that have one (PROTOCOL.md §2.2).
const MTU: u16 = 1500;
