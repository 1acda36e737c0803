//! `moorline provision`: the image that a device's flash is given.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moorline_core::provision::{MAX_PROVISION_LEN, Provision, ProvisionError, Road, Site};
use moorline_core::token::MAX_UNPACKED_LEN;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Failure, output};
use crate::client::Profile;
use crate::store::{PeerRole, replace};

/// What goes into the image beside the profile.
#[derive(Debug, Args)]
pub struct ProvisionArguments {
    /// Where the image is written; it holds the private key.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// How the device reaches the hub.
    #[arg(long, value_enum, value_name = "ROAD", default_value = "network")]
    road: RoadName,
    /// Where the device reaches the hub; without it, where the agent was enrolled at.
    #[arg(long, value_name = "HOST:PORT")]
    host: Option<String>,
}

/// A road, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoadName {
    /// TCP to HOST:PORT, the hub's `listen`, and a WebSocket on it.
    Network,
    /// A serial line that somebody leads to the hub's `listen_tcp`.
    Serial,
}

impl From<RoadName> for Road {
    fn from(name: RoadName) -> Self {
        match name {
            RoadName::Network => Self::Network,
            RoadName::Serial => Self::SerialLine,
        }
    }
}

impl ProvisionArguments {
    /// Writes the image of the agent in `profile`.
    pub(super) fn run(self, profile: &Profile, json: bool) -> Result<(), Failure> {
        let key = profile.key()?;
        let credential = profile.credential()?;
        if credential.role != PeerRole::Agent {
            let why = format!(
                "{} is a commander; an image is for an agent",
                credential.name
            );
            return Err(Failure::Usage(why));
        }
        let enrolled_at = credential.url.strip_prefix("ws://");
        let enrolled_at = enrolled_at.map(|place| place.trim_end_matches("/ws"));
        let host = self.host.as_deref().or(enrolled_at).ok_or_else(|| {
            let why = format!("{}: an image needs --host HOST:PORT", credential.url);
            Failure::Usage(why)
        })?;
        let mut token = [0; MAX_UNPACKED_LEN];
        let token = credential.token(&mut token)?;
        let site = Site {
            audience: &credential.hub,
            group: credential.group.as_deref(),
            anchors: credential.anchors()?,
        };
        let trust = profile.trust(&credential)?;
        let provision = Provision::new(self.road.into(), host, trust, site, key.to_scalar(), token)
            .map_err(|error| match error {
                ProvisionError::Host => Failure::Usage(format!("{host}: not HOST:PORT")),
                other => Failure::Usage(format!("no image can say this: {other:?}")),
            })?;
        let mut image = Zeroizing::new([0; MAX_PROVISION_LEN]);
        let image = provision
            .emit(&mut *image)
            .map_err(|_| Failure::Usage("the image is too long".into()))?;
        replace(&self.out, image).map_err(crate::client::ProfileError::from)?;
        let path = self.out.display().to_string();
        let (name, len) = (&credential.name, image.len());
        let (road, reaches) = match self.road {
            RoadName::Network if is_own(provision.place().0) => {
                let hint = "which is the device itself: --host says where the hub is";
                ("network", format!("the hub at {host}, {hint}"))
            }
            RoadName::Network => ("network", format!("the hub at {host}")),
            RoadName::Serial => ("serial", "the hub by its serial line".into()),
        };
        let value =
            json!({ "image": path, "bytes": len, "agent": name, "road": road, "host": host });
        let text = format!("{path}: {len} bytes for {name}, which reaches {reaches}");
        output::print(json, &value, &text)
    }
}

/// Says whether a machine that connects to `host` connects to itself.
fn is_own(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
