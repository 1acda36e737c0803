//! All that a newcomer needs in one line: for a QR code, and to be pasted.
//!
//! ```text
//! moorline:join?hub-key=KEY&root-key=KEY&root-counter=NUMBER&code=CODE&url=URL
//! ```
//!
//! Values are base64url, digits, and an address without `&`, `#` and blanks, so nothing has to be escaped. The address is last.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::Failure;
use crate::admin::Invitation;

/// What all of these begin with.
const SCHEME: &str = "moorline:join?";

/// An invitation as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvitationLink {
    pub(super) url: String,
    pub(super) hub_key: String,
    pub(super) root_key: String,
    pub(super) root_counter: u32,
    pub(super) code: String,
}

impl InvitationLink {
    /// Returns that of `invitation`.
    pub(super) fn of(invitation: &Invitation) -> Self {
        Self {
            url: invitation.url.clone(),
            hub_key: invitation.hub_key.clone(),
            root_key: invitation.root_key.clone(),
            root_counter: invitation.root_counter,
            code: invitation.code.clone(),
        }
    }

    /// Reads `text`; nothing when it is no invitation in one line, but an address.
    pub(super) fn parse(text: &str) -> Option<Result<Self, Failure>> {
        let rest = text.strip_prefix(SCHEME)?;
        let wrong = || Failure::Usage("this is no whole invitation: copy all of its line".into());
        Some(Self::parse_values(rest).ok_or_else(wrong))
    }

    fn parse_values(rest: &str) -> Option<Self> {
        let rest = rest.strip_prefix("hub-key=")?;
        let (hub_key, rest) = rest.split_once("&root-key=")?;
        let (root_key, rest) = rest.split_once("&root-counter=")?;
        let (root_counter, rest) = rest.split_once("&code=")?;
        let (code, url) = rest.split_once("&url=")?;
        let is_whole = [hub_key, root_key, code, url]
            .iter()
            .all(|value| !value.is_empty() && !value.contains(['&', '#', ' ']));
        is_whole.then_some(())?;
        Some(Self {
            url: url.into(),
            hub_key: hub_key.into(),
            root_key: root_key.into(),
            root_counter: root_counter.parse().ok()?,
            code: code.into(),
        })
    }

    /// Returns it as a QR code for a terminal, dark on light, with the quiet zone around it.
    pub(super) fn to_qr(&self) -> Result<String, Failure> {
        let code = QrCode::with_error_correction_level(self.to_string(), EcLevel::L);
        let code = code.map_err(|error| Failure::Usage(format!("no QR code: {error}")))?;
        Ok(code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Dark)
            .light_color(Dense1x2::Light)
            .build())
    }
}

impl std::fmt::Display for InvitationLink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            url,
            hub_key,
            root_key,
            root_counter,
            code,
        } = self;
        write!(
            formatter,
            "{SCHEME}hub-key={hub_key}&root-key={root_key}&root-counter={root_counter}&code={code}&url={url}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> InvitationLink {
        InvitationLink {
            url: "wss://hub.example:7443/ws".into(),
            hub_key: "BA".repeat(43),
            root_key: "BB".repeat(43),
            root_counter: 7,
            code: "0123456789AB".into(),
        }
    }

    #[test]
    fn an_invitation_is_one_line_and_back() {
        let text = link().to_string();
        let read = InvitationLink::parse(&text)
            .expect("it is one")
            .expect("whole");
        assert_eq!(read, link());
        assert!(InvitationLink::parse("ws://hub:1/ws").is_none());
        for at in 0..text.len() {
            let cut = &text[..at];
            if let Some(Ok(read)) = InvitationLink::parse(cut) {
                // An address that was cut is another address, and nothing else is missing.
                assert!(text.starts_with(&read.to_string()), "{cut}");
            }
        }
        for wrong in [
            text.replace("root-counter=7", "root-counter=x"),
            text.replace("&code=", "&kode="),
            text.replace("wss://", "wss:// "),
        ] {
            assert!(
                matches!(InvitationLink::parse(&wrong), Some(Err(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_qr_code_is_a_square_with_a_quiet_zone() {
        let code = link().to_qr().expect("it fits");
        let lines: Vec<Vec<char>> = code.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(lines.iter().all(|line| line.len() == width));
        // Two rows of modules are one line of text.
        assert_eq!(lines.len(), width.div_ceil(2));
        let quiet = lines[0][0];
        for line in &lines[..2] {
            assert!(line.iter().all(|module| *module == quiet));
        }
    }
}
