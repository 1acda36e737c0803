//! `moorline revoke`: what counts no more from now on.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::enroll::data_dir;
use super::{Failure, output};
use crate::admin::{AdminAnswer, AdminRequest, Tokens, ask};

/// Who is shut out, or which tokens are revoked.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// The peer that is shut out, or whose tokens are revoked.
    #[arg(required_unless_present_any = ["id", "key", "kid"])]
    name: Option<String>,
    /// Revokes the tokens that the peer has so far, and no more: it comes back by its key.
    #[arg(long, requires = "name")]
    tokens: bool,
    /// Revokes one token: its `jti`, as the audit log has it.
    #[arg(long = "token", value_name = "ID", conflicts_with_all = ["name", "key", "kid"])]
    id: Option<String>,
    /// Refuses a peer's public key for ever, as `moorline pubkey` prints it, and all tokens for it.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["name", "kid"])]
    key: Option<String>,
    /// Revokes all tokens that a key of the issuer has signed which signs no more: its name, as `moorline keys show` has it.
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    kid: Option<String>,
    /// The hub's data directory.
    #[arg(long, env = "MOORLINED_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl RevokeArguments {
    /// Asks the daemon.
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let (request, what, text) = match (self.name, self.id, self.key, self.kid) {
            (Some(name), ..) if self.tokens => {
                let text = format!("the tokens of {name} are revoked");
                (tokens(Tokens::OfPeer(name.clone())), name, text)
            }
            (Some(name), ..) => {
                let text = format!("{name} is shut out");
                let request = AdminRequest::Revoke { name: name.clone() };
                (request, name, text)
            }
            (None, Some(id), ..) => {
                let text = "the token is revoked".into();
                (tokens(Tokens::WithId(id.clone())), id, text)
            }
            (None, None, Some(key), _) => {
                let text = "the key is refused from now on".into();
                (tokens(Tokens::ForKey(key.clone())), key, text)
            }
            (None, None, None, Some(kid)) => {
                let text = format!("the tokens that {kid} has signed are revoked");
                (tokens(Tokens::SignedBy(kid.clone())), kid, text)
            }
            (None, None, None, None) => {
                return Err(Failure::Usage("say what is revoked".into()));
            }
        };
        match ask(&data_dir(self.data_dir), &request)? {
            AdminAnswer::Revoked => output::print(json, &json!({ "revoked": what }), &text),
            other => Err(Failure::of_answer(other)),
        }
    }
}

fn tokens(tokens: Tokens) -> AdminRequest {
    AdminRequest::RevokeTokens(tokens)
}
