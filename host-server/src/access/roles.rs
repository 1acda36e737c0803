//! Roles: names for what commanders may do, which build on each other.

use std::collections::BTreeMap;

use moorline_core::token::Permissions;
use serde::{Deserialize, Serialize};

/// Most roles beside those that every hub has.
const MAX_ROLES: usize = 64;

/// Most roles that one role builds on, and that one commander has.
pub(crate) const MAX_INHERITED: usize = 8;

/// Most names and patterns of permissions that one role adds.
const MAX_PERMISSIONS: usize = 16;

/// Longest name of a role in bytes.
const MAX_NAME_LEN: usize = 32;

/// The roles that every hub has, each with the one that it builds on and what it adds.
const EVERY_HUB: [(&str, Option<&str>, &[&str]); 4] = [
    ("guest", None, &["hub.status"]),
    (
        "user",
        Some("guest"),
        &[
            "agent.list",
            "agent.watch",
            "agent.command.ping",
            "agent.command.echo",
            "agent.command.info",
            "agent.command.led",
            "agent.command.read",
            "chat.send",
        ],
    ),
    ("moderator", Some("user"), &["agent.*", "chat.*", "enrol"]),
    ("admin", Some("moderator"), &["*"]),
];

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleDefinition {
    /// The roles that it builds on.
    pub inherits: Vec<String>,
    /// What it adds: names and patterns of permissions.
    pub permissions: Vec<String>,
}

/// Why a role is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// It is one of those that every hub has.
    #[error("every hub has the role `{0}`, and it stays as it is")]
    OfEveryHub(String),
    /// The name is not one.
    #[error("`{0}` is no name of a role: 1 to {MAX_NAME_LEN} of a-z, 0-9, `-` and `_`")]
    Name(String),
    /// No role is called so.
    #[error("no role is called `{0}`")]
    Unknown(String),
    /// It would build on itself.
    #[error("the role `{0}` would build on itself")]
    Circular(String),
    /// It is not a permission.
    #[error("`{0}` is no permission, nor a pattern of some")]
    Permission(String),
    /// There are too many of something.
    #[error("at most {limit} {what}")]
    TooMany {
        /// The number.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// Somebody has it.
    #[error("`{by}` has the role `{role}`, or builds on it")]
    InUse {
        /// The role.
        role: String,
        /// A commander, or another role.
        by: String,
    },
}

/// All roles, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(BTreeMap<String, RoleDefinition>);

impl Roles {
    /// Iterates over all roles by name, those that every hub has first.
    pub fn iter(&self) -> impl Iterator<Item = (String, RoleDefinition)> {
        let of_every_hub = EVERY_HUB.iter().map(|(name, inherits, permissions)| {
            let definition = RoleDefinition {
                inherits: inherits.iter().copied().map(String::from).collect(),
                permissions: permissions.iter().copied().map(String::from).collect(),
            };
            ((*name).to_owned(), definition)
        });
        let own = self.0.iter();
        of_every_hub.chain(own.map(|(name, definition)| (name.clone(), definition.clone())))
    }

    /// Puts the role `name` in the place of the one that is called so, or beside the others.
    ///
    /// # Errors
    ///
    /// [`RoleError`]; nothing is changed then.
    pub fn put(&mut self, name: &str, definition: RoleDefinition) -> Result<(), RoleError> {
        if is_of_every_hub(name) {
            return Err(RoleError::OfEveryHub(name.into()));
        }
        if !is_name(name) {
            return Err(RoleError::Name(name.into()));
        }
        if !self.0.contains_key(name) && self.0.len() >= MAX_ROLES {
            return Err(too_many(MAX_ROLES, "roles beside those of every hub"));
        }
        check_permissions(&definition.permissions)?;
        let mut changed = self.clone();
        changed.0.insert(name.into(), definition.clone());
        changed.check_known(&definition.inherits)?;
        if changed.builds_on(&definition.inherits, name) {
            return Err(RoleError::Circular(name.into()));
        }
        *self = changed;
        Ok(())
    }

    /// Takes the role `name` away.
    ///
    /// # Errors
    ///
    /// [`RoleError::OfEveryHub`], [`RoleError::Unknown`], or [`RoleError::InUse`] by another role; nothing is changed then.
    pub fn remove(&mut self, name: &str) -> Result<(), RoleError> {
        if is_of_every_hub(name) {
            return Err(RoleError::OfEveryHub(name.into()));
        }
        if !self.0.contains_key(name) {
            return Err(RoleError::Unknown(name.into()));
        }
        let mut others = self.0.iter();
        let by = others.find(|(_, role)| role.inherits.iter().any(|parent| parent == name));
        if let Some((by, _)) = by {
            return Err(RoleError::InUse {
                role: name.into(),
                by: by.clone(),
            });
        }
        self.0.remove(name);
        Ok(())
    }

    /// Checks that `names` are 0 to 8 roles.
    ///
    /// # Errors
    ///
    /// [`RoleError::Unknown`] or [`RoleError::TooMany`].
    pub fn check_known(&self, names: &[String]) -> Result<(), RoleError> {
        if names.len() > MAX_INHERITED {
            return Err(too_many(MAX_INHERITED, "roles together"));
        }
        match names.iter().find(|name| self.parts(name).is_none()) {
            Some(unknown) => Err(RoleError::Unknown(unknown.clone())),
            None => Ok(()),
        }
    }

    /// Returns the names and patterns of what `names` and all that they build on permit. An unknown role permits nothing.
    #[must_use]
    pub fn patterns(&self, names: &[String]) -> Vec<String> {
        let mut patterns = Vec::new();
        self.visit(names, |_, permissions| {
            patterns.extend(permissions.iter().map(|pattern| (*pattern).to_owned()));
        });
        patterns
    }

    /// Returns all that `names` and all that they build on permit.
    #[must_use]
    pub fn permitted(&self, names: &[String]) -> Permissions {
        covered(&self.patterns(names))
    }

    /// Returns whether one of `names` is the role `wanted` or builds on it.
    fn builds_on(&self, names: &[String], wanted: &str) -> bool {
        let mut is_found = false;
        self.visit(names, |name, _| is_found |= name == wanted);
        is_found
    }

    /// Goes once over each of `names` and all that they build on.
    fn visit(&self, names: &[String], mut each: impl FnMut(&str, &[&str])) {
        let mut seen: Vec<String> = Vec::new();
        let mut open: Vec<String> = names.to_vec();
        while let Some(name) = open.pop() {
            if seen.contains(&name) {
                continue;
            }
            if let Some((inherits, permissions)) = self.parts(&name) {
                each(&name, &permissions);
                open.extend(inherits.into_iter().map(String::from));
            }
            seen.push(name);
        }
    }

    /// Returns what the role `name` builds on and what it adds.
    fn parts(&self, name: &str) -> Option<(Vec<&str>, Vec<&str>)> {
        let mut of_every_hub = EVERY_HUB.iter();
        if let Some((_, inherits, permissions)) = of_every_hub.find(|(known, ..)| *known == name) {
            return Some((inherits.iter().copied().collect(), permissions.to_vec()));
        }
        let role = self.0.get(name)?;
        Some((texts(&role.inherits), texts(&role.permissions)))
    }
}

/// Checks that `patterns` are names and patterns of permissions, 16 at most.
///
/// # Errors
///
/// [`RoleError::Permission`] or [`RoleError::TooMany`].
pub fn check_permissions(patterns: &[String]) -> Result<(), RoleError> {
    if patterns.len() > MAX_PERMISSIONS {
        return Err(too_many(MAX_PERMISSIONS, "permissions together"));
    }
    let mut patterns = patterns.iter();
    match patterns.find(|pattern| Permissions::from_pattern(pattern).is_none()) {
        Some(wrong) => Err(RoleError::Permission(wrong.clone())),
        None => Ok(()),
    }
}

/// Returns all that `patterns` cover. What is no permission covers nothing.
pub(crate) fn covered(patterns: &[String]) -> Permissions {
    let patterns = patterns.iter();
    let covered = patterns.filter_map(|pattern| Permissions::from_pattern(pattern));
    covered.fold(Permissions::NONE, Permissions::union)
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn too_many(limit: usize, what: &'static str) -> RoleError {
    RoleError::TooMany { limit, what }
}

fn is_of_every_hub(name: &str) -> bool {
    EVERY_HUB.iter().any(|(known, ..)| *known == name)
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(inherits: &[&str], permissions: &[&str]) -> RoleDefinition {
        RoleDefinition {
            inherits: inherits.iter().copied().map(String::from).collect(),
            permissions: permissions.iter().copied().map(String::from).collect(),
        }
    }

    fn permitted(roles: &Roles, name: &str) -> Permissions {
        roles.permitted(&[name.into()])
    }

    #[test]
    fn each_role_of_every_hub_may_all_that_the_one_below_may_and_more() {
        let roles = Roles::default();
        let ladder = ["guest", "user", "moderator", "admin"];
        for pair in ladder.windows(2) {
            let [lower, higher] = pair else { panic!("two") };
            let (lower, higher) = (permitted(&roles, lower), permitted(&roles, higher));
            assert!(higher.contains(lower) && higher != lower, "{pair:?}");
        }
        assert_eq!(permitted(&roles, "guest"), Permissions::HUB_STATUS);
        assert!(!permitted(&roles, "user").contains(Permissions::AGENT_COMMAND_REBOOT));
        assert!(!permitted(&roles, "moderator").contains(Permissions::HUB_ADMIN));
        assert_eq!(
            Some(permitted(&roles, "admin")),
            Permissions::from_pattern("*")
        );
    }

    #[test]
    fn a_role_of_ones_own_builds_on_others() {
        let mut roles = Roles::default();
        let put = roles.put("fitter", role(&["guest"], &["agent.command.config"]));
        put.expect("it is taken");
        let put = roles.put("chief", role(&["fitter", "user"], &["enrol"]));
        put.expect("it is taken");
        let chief = permitted(&roles, "chief");
        for part in ["fitter", "user", "guest"] {
            assert!(chief.contains(permitted(&roles, part)), "{part}");
        }
        assert!(chief.contains(Permissions::ENROL));
        assert!(!chief.contains(Permissions::AGENT_COMMAND_REBOOT));
        // A change of what it builds on is a change of it.
        roles
            .put("fitter", role(&[], &["agent.command.reboot"]))
            .expect("taken");
        let chief = permitted(&roles, "chief");
        assert!(chief.contains(Permissions::AGENT_COMMAND_REBOOT));
        assert!(!chief.contains(Permissions::AGENT_COMMAND_CONFIG));
    }

    #[test]
    fn what_is_no_role_is_refused_and_changes_nothing() {
        let mut roles = Roles::default();
        roles.put("fitter", role(&[], &["enrol"])).expect("taken");
        roles.put("chief", role(&["fitter"], &[])).expect("taken");
        let before = roles.clone();
        let long = "x".repeat(33);
        let many: Vec<&str> = std::iter::repeat_n("enrol", 17).collect();
        let parents: Vec<&str> = std::iter::repeat_n("guest", 9).collect();
        let cases = [
            (
                "admin",
                role(&[], &[]),
                RoleError::OfEveryHub("admin".into()),
            ),
            ("", role(&[], &[]), RoleError::Name(String::new())),
            ("Chief", role(&[], &[]), RoleError::Name("Chief".into())),
            (&long, role(&[], &[]), RoleError::Name(long.clone())),
            (
                "new",
                role(&["nobody"], &[]),
                RoleError::Unknown("nobody".into()),
            ),
            (
                "new",
                role(&[], &["age*"]),
                RoleError::Permission("age*".into()),
            ),
            (
                "new",
                role(&[], &many),
                too_many(16, "permissions together"),
            ),
            ("new", role(&parents, &[]), too_many(8, "roles together")),
            (
                "new",
                role(&["new"], &[]),
                RoleError::Circular("new".into()),
            ),
            (
                "fitter",
                role(&["chief"], &[]),
                RoleError::Circular("fitter".into()),
            ),
        ];
        for (name, definition, why) in cases {
            assert_eq!(roles.put(name, definition), Err(why));
            assert_eq!(roles, before);
        }
        let in_use = RoleError::InUse {
            role: "fitter".into(),
            by: "chief".into(),
        };
        assert_eq!(roles.remove("fitter"), Err(in_use));
        assert_eq!(
            roles.remove("nobody"),
            Err(RoleError::Unknown("nobody".into()))
        );
        assert_eq!(
            roles.remove("user"),
            Err(RoleError::OfEveryHub("user".into()))
        );
        assert_eq!(roles, before);
        for name in 0..62 {
            roles
                .put(&format!("role-{name}"), role(&[], &[]))
                .expect("taken");
        }
        let one_more = roles.put("role-62", role(&[], &[]));
        assert_eq!(
            one_more,
            Err(too_many(64, "roles beside those of every hub"))
        );
        roles
            .put("role-61", role(&[], &["enrol"]))
            .expect("it is one of them");
    }
}
