//! What a commander may do and whom it reaches, as it is written now, and as a token says it.

use moorline_core::token::{AgentId, AgentScope, MAX_AUDIENCE_COUNT, MAX_PAYLOAD_LEN, Permissions};

use super::roles::covered;
use crate::store::{Peer, PeerRole, Reach, Registry};

/// What a token says of a peer beside its name and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entitlement {
    /// Names and patterns, none of which covers another.
    pub(crate) permissions: Vec<String>,
    /// Which agents a commander reaches.
    pub(crate) agents: AgentScope,
    /// Where the token is good: the hub, and the groups of those agents.
    pub(crate) audience: Vec<String>,
}

/// Returns what the token of `peer`, which is called `name`, says. Returns why no token can say it, in words.
pub(crate) fn compile(
    hub: &str,
    registry: &Registry,
    name: &str,
    peer: &Peer,
) -> Result<Entitlement, String> {
    if peer.role == PeerRole::Agent {
        let group = peer.group.iter().cloned();
        return Ok(Entitlement {
            permissions: Vec::new(),
            agents: AgentScope::None,
            audience: std::iter::once(hub.to_owned()).chain(group).collect(),
        });
    }
    let (agents, groups) = reach(hub, registry, name, peer)?;
    let audience: Vec<String> = std::iter::once(hub.to_owned()).chain(groups).collect();
    if audience.len() > MAX_AUDIENCE_COUNT {
        let most = MAX_AUDIENCE_COUNT - 1;
        return Err(format!(
            "the agents of one commander are in {most} groups at most"
        ));
    }
    let mut patterns = registry.roles().patterns(&peer.roles);
    patterns.extend(peer.permissions.iter().cloned());
    let entitlement = Entitlement {
        permissions: fewest(patterns)?,
        agents,
        audience,
    };
    if entitlement.payload_len(hub, name) > MAX_PAYLOAD_LEN {
        return Err(format!(
            "the token of `{name}` would be too long; name permissions by patterns, and agents by a group"
        ));
    }
    Ok(entitlement)
}

impl Entitlement {
    /// Returns the length in bytes of the payload of the longest token of a commander called `name` that says this.
    fn payload_len(&self, hub: &str, name: &str) -> usize {
        // Until the year 2286.
        const TIME: u64 = 9_999_999_999;
        let [id, coordinate] = [22, 43].map(|len| "x".repeat(len));
        let mut payload = serde_json::json!({
            "iss": hub,
            "aud": self.audience,
            "sub": name,
            "iat": TIME,
            "exp": TIME,
            "jti": id,
            "cnf": { "jwk": { "kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate } },
            "role": "commander",
            "gen": u32::MAX,
        });
        if let [audience] = self.audience.as_slice() {
            payload["aud"] = audience.as_str().into();
        }
        if !self.permissions.is_empty() {
            payload["perm"] = self.permissions.as_slice().into();
        }
        match &self.agents {
            AgentScope::None => {}
            AgentScope::Agents(agents) => payload["agt"] = vec![id; agents.len()].into(),
            AgentScope::Group(group) => payload["agt"] = group.as_str().into(),
        }
        payload.to_string().len()
    }
}

/// Returns what `peer` may do, as it is written now. What is no permission permits nothing.
pub(crate) fn permitted(registry: &Registry, peer: &Peer) -> Permissions {
    let by_roles = registry.roles().permitted(&peer.roles);
    by_roles.union(covered(&peer.permissions))
}

/// Returns `peer` with what it may do as it is written now and `ceiling` permits too. Without a ceiling it is as it is.
pub(crate) fn narrowed(registry: &Registry, peer: &Peer, ceiling: Option<&[String]>) -> Peer {
    let mut peer = peer.clone();
    let Some(ceiling) = ceiling else {
        return peer;
    };
    let permitted = permitted(registry, &peer);
    let both = |pattern: &String| match Permissions::from_pattern(pattern) {
        Some(covered) if permitted.contains(covered) => vec![pattern.clone()],
        Some(covered) => permitted
            .intersection(covered)
            .names()
            .map(String::from)
            .collect(),
        None => Vec::new(),
    };
    peer.permissions = ceiling.iter().flat_map(both).collect();
    peer.roles.clear();
    peer
}

/// Returns names and patterns that cover `permissions` and nothing else.
pub(crate) fn patterns(permissions: Permissions) -> Vec<String> {
    const WIDE: [&str; 5] = ["*", "agent.*", "agent.command.*", "chat.*", "hub.*"];
    let wide = WIDE.into_iter().filter(|pattern| {
        let covered = Permissions::from_pattern(pattern);
        covered.is_some_and(|covered| permissions.contains(covered))
    });
    let all = wide.chain(permissions.names()).map(String::from).collect();
    // All of them are patterns.
    fewest(all).unwrap_or_default()
}

/// Returns those of `patterns` that cover all of them, none of which covers another.
fn fewest(patterns: Vec<String>) -> Result<Vec<String>, String> {
    let mut covering = Vec::new();
    for pattern in patterns {
        let covered = Permissions::from_pattern(&pattern)
            .ok_or_else(|| format!("`{pattern}` is no permission, nor a pattern of some"))?;
        covering.push((covered, pattern));
    }
    // Patterns are prefixes: of two that have something in common, one covers the other.
    covering.sort_by_key(|(covered, _)| std::cmp::Reverse(covered.bits().count_ones()));
    let (mut all, mut fewest) = (Permissions::NONE, Vec::new());
    for (covered, pattern) in covering {
        if !all.contains(covered) {
            all = all.union(covered);
            fewest.push(pattern);
        }
    }
    Ok(fewest)
}

/// Returns whom a commander reaches, and the groups in which they are.
fn reach(
    hub: &str,
    registry: &Registry,
    name: &str,
    peer: &Peer,
) -> Result<(AgentScope, Vec<String>), String> {
    let mut names: Vec<&str> = registry.given_to(name).collect();
    if let Reach::Group(group) = &peer.reach {
        let is_outside = |agent: &&str| registry.group_of(agent) != Some(group.as_str());
        if let Some(outside) = names.iter().copied().find(is_outside) {
            return Err(format!(
                "a token names one group, or agents one by one: `{outside}` is not in `{group}`, which `{name}` reaches"
            ));
        }
        let scope = AgentScope::of_group(group)
            .ok_or_else(|| format!("`{group}` is no name of a group"))?;
        return Ok((scope, vec![group.clone()]));
    }
    if let Reach::Agents(written) = &peer.reach {
        names.extend(written.iter().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let mut groups: Vec<String> = names
        .iter()
        .filter_map(|agent| registry.group_of(agent).map(String::from))
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let ids: Vec<AgentId> = names.iter().map(|agent| AgentId::of(hub, agent)).collect();
    let scope = if ids.is_empty() {
        AgentScope::None
    } else {
        AgentScope::of_agents(&ids).ok_or("a token names 1 to 8 agents; put more into a group")?
    };
    Ok((scope, groups))
}

#[cfg(test)]
mod tests {
    use moorline_core::crypto::SigningKey;
    use moorline_core::token::{MAX_UNPACKED_LEN, NewClaims, Role, TokenKind, mint};

    use super::*;
    use crate::access::RoleDefinition;
    use crate::entropy::SystemEntropy;
    use crate::store::Particulars;

    struct Place {
        _folder: tempfile::TempDir,
        registry: Registry,
        enrolled: u8,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let registry = Registry::open(folder.path(), "hub").expect("it is empty");
            Self {
                _folder: folder,
                registry,
                enrolled: 0,
            }
        }

        fn enrol(&mut self, name: &str, particulars: Particulars) {
            self.enrolled += 1;
            let peer = Peer::new(particulars, format!("key {}", self.enrolled));
            self.registry.enrol(name, peer).expect("enrolled");
        }

        fn compiled(&self, name: &str) -> Result<Entitlement, String> {
            let peer = self.registry.find(name).expect("it is enrolled");
            compile("hub", &self.registry, name, peer)
        }
    }

    #[test]
    fn roles_and_patterns_become_the_fewest_names_that_cover_them() {
        let mut place = Place::new();
        let definition = RoleDefinition {
            inherits: vec!["user".into()],
            permissions: vec!["agent.command.*".into(), "enrol".into()],
        };
        place
            .registry
            .put_role("chief", definition)
            .expect("a role");
        let mut alice = Particulars::commander(Reach::Nobody, &["chat.broadcast", "agent.list"]);
        alice.roles = vec!["chief".into(), "guest".into()];
        place.enrol("alice", alice);
        let mut permissions = place.compiled("alice").expect("a token").permissions;
        permissions.sort_unstable();
        let expected = [
            "agent.command.*",
            "agent.list",
            "agent.watch",
            "chat.broadcast",
            "chat.send",
            "enrol",
            "hub.status",
        ];
        assert_eq!(permissions, expected);
        let commands = Permissions::from_pattern("agent.command.*").expect("some");
        let several = commands.union(Permissions::ENROL);
        assert_eq!(patterns(several), ["agent.command.*", "enrol"]);
        assert!(patterns(Permissions::NONE).is_empty());
        assert_eq!(
            fewest(vec!["agent.list".into(), "*".into()]),
            Ok(vec!["*".into()])
        );
    }

    #[test]
    fn a_ceiling_takes_away_and_gives_nothing() {
        let mut place = Place::new();
        let mut alice = Particulars::commander(Reach::Nobody, &["chat.send"]);
        alice.roles = vec!["user".into()];
        place.enrol("alice", alice);
        let alice = place.registry.find("alice").expect("enrolled");
        let narrow = |ceiling: &[&str]| {
            let ceiling: Vec<String> = ceiling.iter().copied().map(String::from).collect();
            narrowed(&place.registry, alice, Some(&ceiling))
        };
        assert_eq!(&narrowed(&place.registry, alice, None), alice);
        assert!(narrow(&[]).permissions.is_empty());
        let narrowed = narrow(&["agent.command.ping", "chat.*", "hub.admin"]);
        assert!(narrowed.roles.is_empty());
        assert_eq!(narrowed.permissions, ["agent.command.ping", "chat.send"]);
        assert_eq!(narrow(&["hub.status"]).permissions, ["hub.status"]);
        assert!(narrow(&["enrol"]).permissions.is_empty());
    }

    #[test]
    fn agents_that_are_written_owned_and_granted_are_reached_in_their_groups() {
        let mut place = Place::new();
        let reach = Reach::Agents(vec!["pump".into()]);
        place.enrol("alice", Particulars::commander(reach, &["agent.list"]));
        let mut boiler = Particulars::agent(Some("north"));
        boiler.owner = Some("alice".into());
        place.enrol("boiler", boiler);
        place.enrol("valve", Particulars::agent(Some("south")));
        place.enrol("other", Particulars::agent(Some("west")));
        place
            .registry
            .grant("valve", "alice", true)
            .expect("granted");
        let compiled = place.compiled("alice").expect("a token");
        assert_eq!(compiled.audience, ["hub", "north", "south"]);
        let ids = ["boiler", "pump", "valve"].map(|name| AgentId::of("hub", name));
        assert_eq!(Some(compiled.agents), AgentScope::of_agents(&ids));
        place
            .registry
            .grant("valve", "alice", false)
            .expect("withdrawn");
        place.registry.own("boiler", None).expect("nobody's");
        let compiled = place.compiled("alice").expect("a token");
        assert_eq!(compiled.audience, ["hub"]);
        let ids = [AgentId::of("hub", "pump")];
        assert_eq!(Some(compiled.agents), AgentScope::of_agents(&ids));
    }

    #[test]
    fn the_length_of_a_token_is_known_before_it_is_made() {
        let mut entitlements = Vec::new();
        for (agents, audience) in [
            (AgentScope::None, vec!["hub"]),
            (
                AgentScope::of_group("north").expect("a name"),
                vec!["hub", "north"],
            ),
            (
                AgentScope::of_agents(&[AgentId([1; 16]), AgentId([2; 16])]).expect("two"),
                vec!["hub", "a", "b", "c"],
            ),
        ] {
            for permissions in [vec![], vec!["enrol"], vec!["chat.*", "agent.list"]] {
                entitlements.push(Entitlement {
                    permissions: permissions.into_iter().map(String::from).collect(),
                    agents: agents.clone(),
                    audience: audience.iter().copied().map(String::from).collect(),
                });
            }
        }
        let signer = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
        for entitlement in entitlements {
            let audience: Vec<&str> = entitlement.audience.iter().map(String::as_str).collect();
            let permissions = entitlement.permissions.iter().map(String::as_str);
            let permissions: Vec<&str> = permissions.collect();
            let new = NewClaims {
                kind: TokenKind::Access,
                kid: "kid",
                issuer: "hub",
                audience: &audience,
                subject: "alice",
                key: *signer.public_key(),
                role: Role::Commander,
                permissions: &permissions,
                agents: entitlement.agents.clone(),
                generation: u32::MAX,
                issued_at: 9_999_990_000,
                not_before: None,
                expires_at: 9_999_990_001,
                jti: [7; 16],
            };
            let mut out = [0; MAX_UNPACKED_LEN];
            let token = mint(&new, &signer, &[], &mut out).expect("a token");
            assert_eq!(
                token.payload().len(),
                entitlement.payload_len("hub", "alice")
            );
        }
    }

    #[test]
    fn what_no_token_can_say_is_not_written() {
        let mut place = Place::new();
        place.enrol(
            "alice",
            Particulars::commander(Reach::Group("north".into()), &[]),
        );
        place.enrol("bob", Particulars::commander(Reach::Nobody, &[]));
        for number in 0..9 {
            let group = format!("group-{}", number.min(4));
            place.enrol(&format!("agent-{number}"), Particulars::agent(Some(&group)));
        }
        let outside = place.registry.grant("agent-0", "alice", true);
        let why = outside.expect_err("it is in another group").to_string();
        assert!(why.contains("`agent-0` is not in `north`"), "{why}");
        for number in 0..3 {
            let granted = place
                .registry
                .grant(&format!("agent-{number}"), "bob", true);
            granted.expect("three groups");
        }
        let fourth = place.registry.grant("agent-3", "bob", true);
        let why = fourth.expect_err("four groups").to_string();
        assert!(why.contains("3 groups at most"), "{why}");
        place.enrol("carol", Particulars::commander(Reach::Nobody, &[]));
        place.enrol("dora", Particulars::agent(None));
        for number in 0..8 {
            let name = format!("plain-{number}");
            place.enrol(&name, Particulars::agent(None));
            place
                .registry
                .grant(&name, "carol", true)
                .expect("up to eight");
        }
        // Eight agents and long names of permissions.
        let long = [
            "agent.command.config",
            "agent.command.reboot",
            "agent.command.info",
        ];
        let definition = RoleDefinition {
            inherits: vec!["user".into()],
            permissions: long.map(String::from).into(),
        };
        place.registry.put_role("long", definition).expect("a role");
        let too_long = place.registry.set_roles("carol", &["long".into()]);
        let why = too_long.expect_err("it does not fit").to_string();
        assert!(
            why.contains("the token of `carol` would be too long"),
            "{why}"
        );
        let ninth = place.registry.own("dora", Some("carol"));
        let why = ninth.expect_err("nine agents").to_string();
        assert!(why.contains("1 to 8 agents"), "{why}");
        assert_eq!(place.registry.find("dora").expect("enrolled").owner, None);
    }
}
