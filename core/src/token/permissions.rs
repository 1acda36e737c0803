//! What the holder of a token may do.

use super::members::Members;
use super::reason::{Member, TokenReason};

/// The closed table of permissions. A bit is given once and never again (PROTOCOL.md §4).
const TABLE: [(&str, Permissions); 16] = [
    ("agent.command.ping", Permissions::AGENT_COMMAND_PING),
    ("agent.command.echo", Permissions::AGENT_COMMAND_ECHO),
    ("agent.command.info", Permissions::AGENT_COMMAND_INFO),
    ("agent.command.led", Permissions::AGENT_COMMAND_LED),
    ("agent.command.read", Permissions::AGENT_COMMAND_READ),
    ("agent.command.config", Permissions::AGENT_COMMAND_CONFIG),
    ("agent.command.reboot", Permissions::AGENT_COMMAND_REBOOT),
    ("agent.command.log", Permissions::AGENT_COMMAND_LOG),
    ("agent.command.rekey", Permissions::AGENT_COMMAND_REKEY),
    ("agent.list", Permissions::AGENT_LIST),
    ("agent.watch", Permissions::AGENT_WATCH),
    ("chat.send", Permissions::CHAT_SEND),
    ("chat.broadcast", Permissions::CHAT_BROADCAST),
    ("hub.status", Permissions::HUB_STATUS),
    ("hub.admin", Permissions::HUB_ADMIN),
    ("enrol", Permissions::ENROL),
];

/// What the holder of a token may do: a set of permissions of a closed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Permissions(u32);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// `agent.command.ping`: ask an agent for a sign of life.
    pub const AGENT_COMMAND_PING: Self = Self(1);
    /// `agent.command.echo`: have an agent send bytes back.
    pub const AGENT_COMMAND_ECHO: Self = Self(1 << 1);
    /// `agent.command.info`: read an agent's version and state.
    pub const AGENT_COMMAND_INFO: Self = Self(1 << 2);
    /// `agent.command.led`: switch an agent's lamp.
    pub const AGENT_COMMAND_LED: Self = Self(1 << 3);
    /// `agent.command.read`: read an agent's measurements.
    pub const AGENT_COMMAND_READ: Self = Self(1 << 4);
    /// `agent.command.config`: change an agent's settings.
    pub const AGENT_COMMAND_CONFIG: Self = Self(1 << 5);
    /// `agent.command.reboot`: start an agent anew.
    pub const AGENT_COMMAND_REBOOT: Self = Self(1 << 6);
    /// `agent.command.log`: read an agent's log.
    pub const AGENT_COMMAND_LOG: Self = Self(1 << 7);
    /// `agent.list`: see which agents there are.
    pub const AGENT_LIST: Self = Self(1 << 8);
    /// `agent.watch`: receive what agents report.
    pub const AGENT_WATCH: Self = Self(1 << 9);
    /// `chat.send`: send a message to one peer.
    pub const CHAT_SEND: Self = Self(1 << 10);
    /// `chat.broadcast`: send a message to all peers.
    pub const CHAT_BROADCAST: Self = Self(1 << 11);
    /// `hub.status`: read the hub's state.
    pub const HUB_STATUS: Self = Self(1 << 12);
    /// `hub.admin`: change the hub.
    pub const HUB_ADMIN: Self = Self(1 << 13);
    /// `enrol`: bring in new agents.
    pub const ENROL: Self = Self(1 << 14);
    /// `agent.command.rekey`: give an agent another key.
    pub const AGENT_COMMAND_REKEY: Self = Self(1 << 15);

    /// Returns the permission called `name`, or nothing when the table has none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, permission)| *permission)
    }

    /// Returns what it takes to give the command `name` to an agent (PROTOCOL.md §10.3). A command that the table has no
    /// name for is for those who may give every command.
    #[must_use]
    pub fn for_command(name: &str) -> Self {
        if name == WATCH {
            return Self::AGENT_WATCH;
        }
        TABLE
            .iter()
            .find(|(known, _)| known.strip_prefix(COMMAND_PREFIX) == Some(name))
            .map_or_else(Self::every_command, |(_, permission)| *permission)
    }

    /// Returns the permissions for all commands that the table names.
    fn every_command() -> Self {
        TABLE
            .iter()
            .filter(|(known, _)| known.starts_with(COMMAND_PREFIX))
            .fold(Self::NONE, |all, (_, permission)| all.union(*permission))
    }

    /// Returns the permissions that `pattern` covers: a name, or `*` alone or after a dot for all that begin so.
    ///
    /// Nothing is returned for a pattern that covers nothing.
    #[must_use]
    pub fn from_pattern(pattern: &str) -> Option<Self> {
        let Some(prefix) = pattern.strip_suffix('*') else {
            return Self::from_name(pattern);
        };
        if !prefix.is_empty() && !prefix.ends_with('.') {
            return None;
        }
        let covered = TABLE
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .fold(Self::NONE, |covered, (_, permission)| {
                covered.union(*permission)
            });
        (!covered.is_empty()).then_some(covered)
    }

    /// Returns the set whose bits are `bits`, as it stands on the wire; nothing when one of them is not given.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let all = TABLE
            .iter()
            .fold(0, |all, (_, permission)| all | permission.0);
        (bits & !all == 0).then_some(Self(bits))
    }

    /// Returns the bits that stand on the wire.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Iterates over the names, those of commands first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        TABLE
            .iter()
            .filter(move |(_, permission)| self.contains(*permission))
            .map(|(name, _)| *name)
    }

    /// Returns whether all of `other` is in this set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns what is in one set or the other.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Reads the value of `perm`: an array of names and patterns, of which no two cover the same permission.
    ///
    /// Patterns are there since the names of all commands alone take a third of the longest payload. One covers what
    /// the reader's table has, so that a reader with fewer permissions than the issuer still reads the token.
    pub(super) fn parse(members: &mut Members<'_>) -> Result<Self, TokenReason> {
        let member = Member::Permissions;
        members.array(member)?;
        let mut permissions = Self::NONE;
        while let Some(name) = members.next_string(member)? {
            let covered = Self::from_pattern(name).ok_or(TokenReason::PermissionUnknown)?;
            if !permissions.intersection(covered).is_empty() {
                return Err(TokenReason::Repeated(member));
            }
            permissions = permissions.union(covered);
        }
        Ok(permissions)
    }
}

/// What the names of permissions for commands begin with.
const COMMAND_PREFIX: &str = "agent.command.";
/// The command by which a commander subscribes to what an agent notices.
const WATCH: &str = "watch";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_bit_of_its_own() {
        let mut seen = Permissions::NONE;
        for (name, permission) in TABLE {
            assert_eq!(permission.bits().count_ones(), 1, "{name}");
            assert!(seen.intersection(permission).is_empty(), "{name}");
            assert_eq!(Permissions::from_name(name), Some(permission));
            seen = seen.union(permission);
        }
        assert_eq!(Permissions::from_pattern("*"), Some(seen));
        assert_eq!(Permissions::from_bits(seen.bits()), Some(seen));
        assert_eq!(Permissions::from_bits(1 << 31), None);
    }

    #[test]
    fn a_pattern_covers_whole_labels_only() {
        let commands = Permissions::from_pattern("agent.command.*").unwrap();
        assert_eq!(commands.names().count(), 9);
        assert!(
            Permissions::from_pattern("agent.*")
                .unwrap()
                .contains(Permissions::AGENT_LIST)
        );
        assert_eq!(
            Permissions::from_pattern("agent.command.led"),
            Some(Permissions::AGENT_COMMAND_LED)
        );
        for pattern in [
            "",
            ".",
            "agent",
            "agent.command.l*",
            "age*",
            "*.led",
            "**",
            "nobody.*",
            "agent.*.led",
        ] {
            assert_eq!(Permissions::from_pattern(pattern), None, "{pattern}");
        }
    }
}
