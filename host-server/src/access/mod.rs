//! Who may do what: the one place where that is decided.
//!
//! ```text
//! roles        names for what commanders may do, which build on each other
//! entitlement  what is written of a commander, as a token says it
//! check        whether somebody may do something now
//! ```
//!
//! Two words count, and what both permit is permitted: that of the token with which the commander came, and what is
//! written of it now. What is taken away is taken away at once, and what is given comes with the next token, which agents
//! ask for as well.

mod check;
mod entitlement;
mod roles;

pub(crate) use check::{Act, Denial, Holder, check};
pub(crate) use entitlement::{compile, narrowed, patterns, permitted};
pub use roles::{RoleDefinition, RoleError, Roles, check_permissions};
