//! What the holder of a token is.

/// What the holder of a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// A device that runs commands.
    Agent,
    /// A person's tool or a service that gives commands.
    Commander,
}

impl Role {
    /// Returns the value of `role` in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Commander => "commander",
        }
    }

    /// Returns the role that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "agent" => Some(Self::Agent),
            "commander" => Some(Self::Commander),
            _ => None,
        }
    }
}

/// The roles accepted somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RoleSet {
    /// One role and no other.
    Only(Role),
    /// Agents and commanders.
    Any,
}

impl RoleSet {
    /// Returns whether `role` is accepted.
    #[must_use]
    pub fn contains(self, role: Role) -> bool {
        match self {
            Self::Only(only) => only == role,
            Self::Any => true,
        }
    }
}
