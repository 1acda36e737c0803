//! Whose tokens count: the issuers that the device was provisioned with, of which the hub's own has another key from time to
//! time (PROTOCOL.md §7.5).

use defmt::Format;
use moorline_core::crypto::PublicKey;
use moorline_core::reason::Reason;
use moorline_core::token::TrustAnchors;
use moorline_core::trust::{IssuerKeys, KeyName, STATEMENT_LEN};

use crate::identity::Identity;
use crate::kept::Kept;

/// The issuers that count.
pub struct Issuers {
    /// The keys of the issuer that bears the hub's name, if there is one.
    keys: Option<IssuerKeys>,
    anchors: TrustAnchors,
    asking: Asking,
}

/// Whether the hub is to be asked what came after the keys that are known.
#[derive(Clone, Copy, PartialEq, Eq, Format)]
enum Asking {
    /// It was not, in this session.
    Idle,
    /// It is to be.
    Due,
    /// It was: an answer that leads nowhere is no reason to ask again.
    Asked,
}

impl Issuers {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            keys: None,
            anchors: TrustAnchors::new(),
            asking: Asking::Idle,
        }
    }

    /// Begins with the keys that were kept through a reset, or else with those that the device was provisioned with.
    #[inline(never)]
    pub fn begin(&mut self, identity: &Identity, kept: Option<IssuerKeys>) {
        self.keys = kept.or_else(|| identity.issuer_keys());
        self.count(identity);
    }

    /// Begins with a link that is open now.
    pub fn open(&mut self) {
        self.asking = Asking::Idle;
    }

    /// Returns whose tokens count.
    pub fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// Takes in what the hub says about its issuer's keys, of which there is `more` to ask for. The newest are kept before they
    /// count, where there is flash.
    #[inline(never)]
    pub fn take(
        &mut self,
        statements: &[u8],
        more: bool,
        identity: &Identity,
        kept: Option<&mut Kept>,
    ) {
        let Some(known) = &self.keys else {
            return;
        };
        let mut keys = known.clone();
        let root: &PublicKey = identity.trust().root();
        let (statements, _) = statements.as_chunks::<STATEMENT_LEN>();
        for statement in statements {
            match keys.take(statement, root) {
                // What is known is said each time that the link opens.
                Ok(()) | Err(Reason::RotationKey | Reason::RotationOld) => {}
                Err(Reason::RotationSigner) if self.asking == Asking::Idle => {
                    self.asking = Asking::Due;
                }
                Err(reason) => defmt::warn!("no key of the issuer: {}", reason),
            }
        }
        if keys == *known {
            return;
        }
        if more {
            self.asking = Asking::Due;
        }
        if let Some(kept) = kept {
            // A device that cannot keep them follows again after a reset.
            let _said = kept.keep_issuers(&keys);
        }
        self.keys = Some(keys);
        self.count(identity);
        defmt::info!(
            "the issuer's keys are now {=usize}",
            self.anchors.iter().count()
        );
    }

    /// Returns the name of the newest key that is known, when the hub is to be asked for those after it.
    pub fn ask(&mut self) -> Option<KeyName> {
        if self.asking != Asking::Due {
            return None;
        }
        self.asking = Asking::Asked;
        self.keys.as_ref().map(IssuerKeys::newest)
    }

    fn count(&mut self, identity: &Identity) {
        let provisioned = identity.anchors();
        self.anchors = match &self.keys {
            Some(keys) => keys.anchors(identity.audience(), provisioned),
            None => provisioned.clone(),
        };
    }
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new()
    }
}
