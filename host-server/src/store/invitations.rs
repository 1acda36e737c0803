//! The codes and keys with which newcomers enrol over the line (PROTOCOL.md §2.9, §2.12).
//!
//! What is stored of a code is its hash; an external key is stored as the hub's own keys are. Either is spent on the disk
//! before anybody is enrolled with it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Hash, Secret};
use moorline_core::handshake::ExternalKey;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Peer, PeerRole, StoreError, Vault};
use crate::entropy::random;

/// Invitations that are open at a time.
const MAX_OPEN: usize = 64;

/// Wrong codes of one address, after which it is not listened to; and of all, after which enrolment closes.
const MAX_WRONG_OF_ONE: u32 = 5;
const MAX_WRONG: u32 = 100;

/// Characters of a code, which nobody confuses with each other: 12 of them are 60 bits (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LEN: usize = 12;

/// What an invitation is taken up with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Opens {
    /// The hash of a code, in base64url.
    Code(String),
    /// An external key: its name and itself, in base64url.
    Key {
        identity: String,
        secret: Zeroizing<String>,
    },
}

impl std::fmt::Debug for Opens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Code(_) => "Code",
            Self::Key { .. } => "Key",
        })
    }
}

/// One open invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invitation {
    opens: Opens,
    name: String,
    /// What is written of the peer, but for its key.
    peer: Peer,
    /// Seconds since 1970.
    expires_at: u64,
}

/// All open invitations.
#[derive(Debug)]
pub(crate) struct Invitations {
    path: PathBuf,
    vault: Arc<Vault>,
    open: Vec<Invitation>,
    wrong_by_address: HashMap<IpAddr, u32>,
    wrong: u32,
}

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvitationError {
    #[error("{MAX_OPEN} invitations are open; wait until some are over")]
    TooMany,
    #[error("the system gives no random bytes")]
    Entropy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Invitations {
    /// Reads the invitations in `data_dir`; without a file there are none.
    pub(crate) fn open(data_dir: &Path, vault: &Arc<Vault>) -> Result<Self, StoreError> {
        let path = data_dir.join("invitations.json");
        let open = match vault.read(&path)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| StoreError::Registry {
                    path: path.clone(),
                    error,
                })?
            }
            None => Vec::new(),
        };
        Ok(Self {
            path,
            vault: Arc::clone(vault),
            open,
            wrong_by_address: HashMap::new(),
            wrong: 0,
        })
    }

    /// Invites whoever has the code that is returned, until `expires_at`, to be `peer` under `name`. An earlier
    /// invitation for that name is over. When it returns, that is on the disk.
    pub(crate) fn invite(
        &mut self,
        name: &str,
        peer: Peer,
        now: u64,
        expires_at: u64,
    ) -> Result<String, InvitationError> {
        let mut open = self.open.clone();
        open.retain(|known| known.expires_at > now && known.name != name);
        if open.len() >= MAX_OPEN {
            return Err(InvitationError::TooMany);
        }
        if open.is_empty() {
            // The operator opens enrolment anew.
            self.wrong_by_address.clear();
            self.wrong = 0;
        }
        let code = new_code()?;
        open.push(Invitation {
            opens: Opens::Code(hash(code.as_bytes())),
            name: name.into(),
            peer,
            expires_at,
        });
        self.commit(open)?;
        Ok(code)
    }

    /// Invites the holder of a new external key, as [`Invitations::invite`] does; returns the key.
    pub(crate) fn invite_with_key(
        &mut self,
        name: &str,
        peer: Peer,
        now: u64,
        expires_at: u64,
    ) -> Result<ExternalKey, InvitationError> {
        let mut open = self.open.clone();
        open.retain(|known| known.expires_at > now && known.name != name);
        if open.len() >= MAX_OPEN {
            return Err(InvitationError::TooMany);
        }
        let no_entropy = |_| InvitationError::Entropy;
        let key = ExternalKey {
            identity: random().map_err(no_entropy)?,
            secret: Secret::new(random().map_err(no_entropy)?),
        };
        let secret = Base64UrlUnpadded::encode_string(key.secret.expose());
        open.push(Invitation {
            opens: Opens::Key {
                identity: Base64UrlUnpadded::encode_string(&key.identity),
                secret: Zeroizing::new(secret),
            },
            name: name.into(),
            peer,
            expires_at,
        });
        self.commit(open)?;
        Ok(key)
    }

    /// Returns the external key called `identity`, and the second at which it is no longer good.
    pub(crate) fn find_key(&self, identity: &[u8; 16]) -> Option<(ExternalKey, u64)> {
        let wanted = Base64UrlUnpadded::encode_string(identity);
        self.open.iter().find_map(|known| match &known.opens {
            Opens::Key {
                identity: own,
                secret,
            } if *own == wanted => {
                let mut bytes = Zeroizing::new([0; 32]);
                Base64UrlUnpadded::decode(secret.as_bytes(), &mut *bytes).ok()?;
                let key = ExternalKey {
                    identity: *identity,
                    secret: Secret::new(*bytes),
                };
                Some((key, known.expires_at))
            }
            _ => None,
        })
    }

    /// Returns for whom the external key called `identity` is.
    pub(crate) fn invited(&self, identity: &[u8; 16]) -> Option<(String, Peer)> {
        let place = self.place_of_key(identity)?;
        let known = self.open.get(place)?;
        Some((known.name.clone(), known.peer.clone()))
    }

    /// Spends the external key called `identity`, as [`Invitations::spend`] does a code.
    pub(crate) fn spend_key(
        &mut self,
        identity: &[u8; 16],
    ) -> Result<Option<(String, Peer)>, StoreError> {
        match self.place_of_key(identity) {
            Some(place) => self.take(place).map(Some),
            None => Ok(None),
        }
    }

    fn place_of_key(&self, identity: &[u8; 16]) -> Option<usize> {
        let wanted = Base64UrlUnpadded::encode_string(identity);
        let is_it = |known: &Invitation| matches!(&known.opens, Opens::Key { identity, .. } if *identity == wanted);
        self.open.iter().position(is_it)
    }

    /// Returns whether `code`, shown from `address`, opens an enrolment at `now`. Wrong ones are counted.
    pub(crate) fn knows(&mut self, code: &[u8], address: IpAddr, now: u64) -> bool {
        let wrong = self.wrong_by_address.get(&address).copied().unwrap_or(0);
        if wrong >= MAX_WRONG_OF_ONE {
            return false;
        }
        if self.place_of(code, now).is_some() {
            return true;
        }
        // Who guesses while no code is open has nothing to win.
        if !self
            .open
            .iter()
            .any(|known| matches!(known.opens, Opens::Code(_)))
        {
            return false;
        }
        *self.wrong_by_address.entry(address).or_default() += 1;
        self.wrong += 1;
        if self.wrong >= MAX_WRONG {
            tracing::warn!("enrolment is closed: {MAX_WRONG} wrong codes were shown");
            let mut open = self.open.clone();
            open.retain(|known| matches!(known.opens, Opens::Key { .. }));
            if let Err(error) = self.commit(open.clone()) {
                tracing::error!(%error, "the codes are over, and still written");
                self.open = open;
            }
        }
        false
    }

    /// Returns whom `code` invites at `now`, and as what.
    pub(crate) fn whose(&self, code: &[u8], now: u64) -> Option<(&str, PeerRole)> {
        let invitation = self.open.get(self.place_of(code, now)?)?;
        Some((&invitation.name, invitation.peer.role))
    }

    /// Spends `code`: takes its invitation away, on the disk, and returns whom it is for.
    pub(crate) fn spend(
        &mut self,
        code: &[u8],
        now: u64,
    ) -> Result<Option<(String, Peer)>, StoreError> {
        let Some(place) = self.place_of(code, now) else {
            return Ok(None);
        };
        self.take(place).map(Some)
    }

    fn take(&mut self, place: usize) -> Result<(String, Peer), StoreError> {
        let mut open = self.open.clone();
        let Invitation { name, peer, .. } = open.swap_remove(place);
        self.commit(open)?;
        Ok((name, peer))
    }

    /// Returns how many codes are open.
    pub(crate) fn codes(&self) -> u64 {
        let codes = self.open.iter();
        let codes = codes.filter(|known| matches!(known.opens, Opens::Code(_)));
        u64::try_from(codes.count()).unwrap_or(u64::MAX)
    }

    /// Returns whether there is an invitation for `name`.
    pub(crate) fn is_invited(&self, name: &str) -> bool {
        self.open.iter().any(|known| known.name == name)
    }

    /// Ends the invitation for `name`, if there is one.
    pub(crate) fn withdraw(&mut self, name: &str) -> Result<(), StoreError> {
        if self.is_invited(name) {
            let mut open = self.open.clone();
            open.retain(|known| known.name != name);
            self.commit(open)?;
        }
        Ok(())
    }

    /// Looks through all of them, whichever it is.
    fn place_of(&self, code: &[u8], now: u64) -> Option<usize> {
        let code = hash(&normal(code));
        let (mut found, mut place) = (Choice::from(0), 0u64);
        for (candidate, known) in (0u64..).zip(&self.open) {
            let own = match &known.opens {
                Opens::Code(own) => own.as_str(),
                Opens::Key { .. } => "",
            };
            let is_it = own.as_bytes().ct_eq(code.as_bytes());
            place = u64::conditional_select(&place, &candidate, is_it);
            found |= is_it;
        }
        let place = usize::try_from(place).ok()?;
        let is_open = self.open.get(place)?.expires_at > now;
        (bool::from(found) && is_open).then_some(place)
    }

    fn commit(&mut self, open: Vec<Invitation>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let bytes = serde_json::to_vec_pretty(&open)
            .map(Zeroizing::new)
            .map_err(|error| StoreError::Registry { path, error })?;
        self.vault.write(&self.path, &bytes)?;
        self.open = open;
        Ok(())
    }
}

fn hash(code: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(Hash::of(&[b"Moorline invitation\0", code]).as_bytes())
}

/// Returns `code` as it was given out: people type small letters, and `O`, `I` and `L` for digits.
fn normal(code: &[u8]) -> Vec<u8> {
    let letters = code.iter().map(u8::to_ascii_uppercase);
    letters
        .filter(|letter| !b"- ".contains(letter))
        .map(|letter| match letter {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        })
        .collect()
}

/// Returns a new code, without its dashes.
fn new_code() -> Result<String, InvitationError> {
    let bytes = random::<CODE_LEN>().map_err(|_| InvitationError::Entropy)?;
    // 32 divides 256: every character is as likely as every other.
    let letter = |byte: &u8| {
        let letter = ALPHABET.get(usize::from(byte % 32)).copied();
        char::from(letter.unwrap_or(b'0'))
    };
    Ok(bytes.iter().map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Particulars;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn peer() -> Peer {
        Peer::new(Particulars::agent(None), String::new())
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(number))
    }

    #[test]
    fn a_code_is_good_once_in_its_time_and_through_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("there are none");
        let code = invitations.invite("boiler", peer(), 100, 200).expect("one");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("it is written");
        let file = std::fs::read_to_string(folder.path().join("invitations.json"));
        assert!(!file.expect("a file").contains(&code), "its hash is stored");
        assert!(invitations.knows(code.as_bytes(), HERE, 199));
        assert!(!invitations.knows(code.as_bytes(), HERE, 200));
        let typed = format!(" {}-{} ", &code[..4].to_lowercase(), &code[4..]);
        let spent = invitations
            .spend(typed.as_bytes(), 199)
            .expect("on the disk");
        assert_eq!(spent.map(|(name, _)| name).as_deref(), Some("boiler"));
        assert!(!invitations.knows(code.as_bytes(), HERE, 199));
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("it is written");
        assert!(
            invitations
                .spend(code.as_bytes(), 199)
                .expect("read")
                .is_none()
        );
    }

    #[test]
    fn an_address_that_guesses_is_not_listened_to_and_others_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("there are none");
        let code = invitations.invite("boiler", peer(), 0, 200).expect("one");
        for _ in 0..MAX_WRONG_OF_ONE {
            assert!(invitations.knows(code.as_bytes(), HERE, 1));
            assert!(!invitations.knows(b"WRONGCODE000", HERE, 1));
        }
        assert!(!invitations.knows(code.as_bytes(), HERE, 1));
        assert!(invitations.knows(code.as_bytes(), address(7), 1));
    }

    #[test]
    fn a_hundred_wrong_codes_close_enrolment_until_the_operator_opens_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("there are none");
        let code = invitations.invite("boiler", peer(), 0, 200).expect("one");
        for number in 0..MAX_WRONG {
            assert!(
                invitations.knows(code.as_bytes(), address(1000), 1),
                "{number}"
            );
            assert!(!invitations.knows(b"WRONGCODE000", address(number), 1));
        }
        assert!(!invitations.knows(code.as_bytes(), address(1000), 1));
        let code = invitations.invite("boiler", peer(), 0, 200).expect("one");
        assert!(invitations.knows(code.as_bytes(), address(1000), 1));
    }

    #[test]
    fn a_key_is_found_by_its_name_and_spent_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("there are none");
        let key = invitations.invite_with_key("boiler", peer(), 0, 200);
        let key = key.expect("one");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("it is written");
        let (found, until) = invitations.find_key(&key.identity).expect("it is there");
        assert_eq!(found.secret.expose(), key.secret.expose());
        assert_eq!(until, 200);
        assert!(invitations.find_key(&[0; 16]).is_none());
        // It is no code, and a hundred wrong codes do not end it.
        assert!(!invitations.knows(b"", HERE, 1));
        let _ = invitations.invite("crane", peer(), 0, 200).expect("one");
        for number in 0..MAX_WRONG {
            assert!(!invitations.knows(b"WRONGCODE000", address(number), 1));
        }
        assert!(invitations.find_key(&key.identity).is_some());
        let spent = invitations.spend_key(&key.identity).expect("on the disk");
        assert_eq!(spent.map(|(name, _)| name).as_deref(), Some("boiler"));
        assert!(invitations.find_key(&key.identity).is_none());
    }

    #[test]
    fn a_newer_code_for_a_name_is_the_only_one_and_they_are_few() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut invitations =
            Invitations::open(folder.path(), &Arc::default()).expect("there are none");
        let first = invitations.invite("boiler", peer(), 0, 200).expect("one");
        let second = invitations.invite("boiler", peer(), 0, 200).expect("one");
        assert!(!invitations.knows(first.as_bytes(), HERE, 1));
        assert!(invitations.knows(second.as_bytes(), HERE, 1));
        invitations.withdraw("boiler").expect("on the disk");
        assert!(!invitations.knows(second.as_bytes(), HERE, 1));
        for number in 0..MAX_OPEN {
            let name = format!("crane-{number}");
            invitations
                .invite(&name, peer(), 0, 200)
                .expect("there is room");
        }
        let one_more = invitations.invite("crane", peer(), 0, 200);
        assert!(matches!(one_more, Err(InvitationError::TooMany)));
        assert!(invitations.invite("crane", peer(), 200, 300).is_ok());
    }
}
