//! Who a session belongs to: tokens that are given, taken up and renewed in it.

use moorline_core::message::{Enrolled, FromHub};
use moorline_core::reason::Reason;
use moorline_core::token::{AgentId, Claims, MAX_UNPACKED_LEN, Role};
use moorline_core::wire::Form;

use super::Session;
use super::again::What;
use super::answers::Answers;
use super::delivery::write;
use super::end::End;
use crate::audit::Kind;
use crate::clock;
use crate::gate::Newcomer;
use crate::hub::{Identity, Input, Output, SessionKey};
use crate::offline::Desk;
use crate::renewals::{self, FirstToken};
use crate::standing::TokenName;
use crate::transport::{Transport, max_message_len};

impl<T: Transport> Session<'_, T> {
    /// Answers a peer that asks for a newer token.
    pub(super) async fn give_token(&mut self, key: Option<&[u8]>) -> Result<(), End> {
        let made = self.renewals.give(self.shared, key);
        if let Err(why) = &made {
            self.note(self.happened(Kind::TokenRefused).text("why", why));
        }
        if let (Ok(token), Some(identity)) = (&made, self.renewals.external()) {
            let invited = self.shared.invitations().invited(&identity);
            let first = FirstToken {
                token: token.clone(),
                group: invited.and_then(|(_, peer)| peer.group),
            };
            return self.enrol(&first).await;
        }
        let answer = match &made {
            Ok(token) => FromHub::Token { token },
            Err(why) => {
                tracing::info!(peer = self.peer, why, "no newer token");
                FromHub::TokenRefused
            }
        };
        let mut message = [0; MAX_UNPACKED_LEN + 8];
        let Ok(message) = answer.encode(&mut message) else {
            return Ok(());
        };
        self.handle_output(Output::Application(message.to_vec()))
            .await
            .map(drop)
    }

    /// Makes the stranger a peer of the hub; returns whether there is still a hub.
    pub(super) async fn let_in(
        &mut self,
        session: SessionKey,
        claims: &Claims,
        token: Vec<u8>,
    ) -> Result<bool, End> {
        let token_name = TokenName::of(claims);
        let now = clock::now().unix.secs();
        self.shared.logins().touch_of(&token_name, now);
        // From here on nothing but the session itself ends it.
        if !self.place.settle() {
            return Err(End::Refused(Reason::NotAdmitted));
        }
        self.transport.widen(max_message_len(self.payload_len));
        let (identity, outbox) = (identity(claims), self.outbox_sender.clone());
        self.renewals.note(claims);
        tracing::info!(peer = self.peer, name = identity.name(), "authenticated");
        self.key = Some(session);
        self.place.entry().authenticate(&identity, outbox.clone());
        self.desk = Some(Desk::new(
            identity.clone(),
            claims.key.hash().prefix(),
            token,
        ));
        self.again.end();
        // What it must know before the first commander comes to it.
        if matches!(identity, Identity::Agent { .. }) {
            if let Some(message) = self.shared.revoked_message() {
                let _ = outbox.try_send(Box::new(Output::Application(message)));
            }
            if T::FORM == Form::Datagram {
                self.again.begin(What::Revoked, clock::instant());
            }
        } else if T::FORM == Form::Datagram {
            self.answers = Some(Answers::default());
        }
        if let Some(message) = self.shared.issuers_message(None) {
            let _ = outbox.try_send(Box::new(Output::Application(message)));
        }
        let role = match &identity {
            Identity::Agent { .. } => "agent",
            Identity::Commander { .. } => "commander",
        };
        let opened = self.happened(Kind::SessionOpened).text("role", role);
        self.note(opened.text("token", &token_name.id()));
        let input = Input::Opened {
            session,
            identity,
            token: token_name,
            outbox,
        };
        Ok(self.shared.hub.tell(input).await)
    }

    pub(super) async fn note_renewal(
        &mut self,
        claims: &Claims,
        token: Vec<u8>,
    ) -> Result<bool, End> {
        if let Some(session) = self.enrolling.take() {
            let has_hub = self.let_in(session, claims, token).await?;
            // Whoever had the name before with another key is somebody else.
            self.shared.end_revoked_sessions().await;
            return Ok(has_hub);
        }
        let Some(session) = self.key else {
            return Ok(true);
        };
        let token_name = TokenName::of(claims);
        let identity = identity(claims);
        let rekeyed = self.renewals.next_key().as_ref() == Some(&claims.key);
        if rekeyed && let Some(message) = self.shared.revoked_message() {
            self.shared.hub.tell(Input::ToAgents { message }).await;
        }
        self.renewals.note(claims);
        tracing::info!(
            peer = self.peer,
            name = identity.name(),
            rekeyed,
            "token renewed"
        );
        let renewed = self.happened(Kind::TokenRenewed).flag("rekeyed", rekeyed);
        self.note(renewed.text("token", &token_name.id()));
        if let Some(desk) = &mut self.desk {
            desk.renew(identity.clone(), claims.key.hash().prefix(), token);
        }
        let input = Input::Renewed {
            session,
            identity,
            token: token_name,
            rekeyed,
        };
        Ok(self.shared.hub.tell(input).await)
    }

    /// Gives a newcomer, or a peer that has come back by its key, its first token.
    pub(super) async fn give_first_token(
        &mut self,
        newcomer: &Newcomer,
        session: Option<SessionKey>,
    ) -> Result<(), End> {
        self.enrolling = session;
        let name = newcomer.name.as_str();
        tracing::info!(peer = self.peer, name, "a first token is given");
        let first = renewals::first_token(self.shared, newcomer).map_err(|why| {
            tracing::error!(name, why, "no token for a newcomer");
            End::Refused(Reason::NotAdmitted)
        })?;
        if T::FORM == Form::Datagram {
            let what = What::FirstToken(first.clone());
            self.again.begin(what, clock::instant());
        }
        self.enrol(&first).await
    }

    pub(super) async fn enrol(&mut self, first: &FirstToken) -> Result<(), End> {
        let known = self.shared.keys().issuers.known();
        let issuer_keys: Vec<u8> = known.iter().flat_map(|key| key.to_bytes()).collect();
        let enrolled = Enrolled {
            token: &first.token,
            issuer_keys: &issuer_keys,
            group: first.group.as_deref(),
        };
        let frame = self
            .line
            .connection_mut()
            .enrol(&enrolled, &mut self.out)
            .map_err(End::Own)?;
        Ok(write(self.transport, frame).await?)
    }
}

/// Returns who `claims` speak of.
fn identity(claims: &Claims) -> Identity {
    let name = claims.subject.as_str().to_owned();
    match claims.role {
        Role::Agent => Identity::Agent {
            id: AgentId::of(&claims.issuer, &claims.subject),
            name,
        },
        Role::Commander => Identity::Commander {
            name,
            permissions: claims.permissions,
            scope: claims.agents.clone(),
        },
    }
}
