//! Logging in over HTTP: challenges, tokens with proofs, cookies and API keys.

use std::sync::Arc;

use moorline_core::crypto::SigningKey;
use moorline_server::accounts::Purpose;
use moorline_server::admin::{AccountChange, AdminAnswer, AdminRequest, NewApiKey, Tokens};
use moorline_server::audit::Kind;
use moorline_server::client::{Client, ClientError};
use moorline_server::config::Registration;
use moorline_server::store::{Particulars, Reach};
use serde_json::{Value, json};

use crate::agent::{Agent, Way};
use crate::audit::records;
use crate::http::talk;
use crate::people::{Person, Said, ask, change, credential, key, post, proof, with_alice};
use crate::revocation::claims;
use crate::routing::send;
use crate::world::{ALL, Peer, World, encode};

fn me(world: &World, peer: &Peer, jti: &str) -> Said {
    ask(world.http, "GET", "me", &proof(peer, "GET", "me", jti), "")
}

/// Connects as `peer` and lists agents.
fn lists(world: &World, peer: &Peer) -> Result<(), ClientError> {
    let url = format!("ws://{}/ws", world.http);
    let listed = peer.connected_to(&url, async |client| client.agents().await);
    listed?.map(drop)
}

fn is_refused(result: &Result<(), ClientError>) {
    assert!(
        matches!(result, Err(ClientError::CredentialRefused)),
        "{result:?}"
    );
}

#[test]
fn a_signed_challenge_gives_a_token_that_works_on_the_line_until_the_login_is_over() {
    let mut world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    let person = with_alice(&world);
    let mut alice = person.log_in(&world);
    let replied = alice.connected(async |client| send(client, "boiler", "ping", &[]).await);
    replied.expect("connected").expect("answered");

    // It is refreshed, with a proof that is good once, and inside its session.
    let lines = proof(&alice, "POST", "refresh", "one");
    let refreshed = ask(world.http, "POST", "refresh", &lines, "");
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let again = ask(world.http, "POST", "refresh", &lines, "");
    assert_eq!(again.status, 401);
    assert_eq!(again.body["detail"], "the proof was shown before");
    let before = claims(&alice);
    alice.credential = credential(&refreshed);
    assert!(claims(&alice).issued_at > before.issued_at);
    lists(&world, &alice).expect("the newer token is good");
    let renewed = alice.connected(async |client| client.ask_token(None).await);
    renewed.expect("connected").expect("another token");
    let other = key();
    let rekeyed = alice.connected(async |client| client.ask_token(Some(other.public_key())).await);
    let rekeyed = rekeyed.expect("connected");
    assert!(
        matches!(rekeyed, Err(ClientError::RenewalRefused)),
        "{rekeyed:?}"
    );

    let known = me(&world, &alice, "two");
    assert_eq!(known.status, 200, "{known:?}");
    assert_eq!(known.body["account"], "alice");
    assert_eq!(known.body["logins"][0]["is_this"], true);
    // A restart ends no login.
    world.stop();
    let world = World::start_in(Arc::clone(&world.folder), |_| {});
    lists(&world, &alice).expect("it is still logged in");

    let url = format!("ws://{}/ws", world.http);
    let ended = alice.as_commander(async |commander| {
        let mut client = Client::connect(&url, commander).await.expect("it connects");
        let lines = proof(&alice, "POST", "logout", "three");
        let out = ask(world.http, "POST", "logout", &lines, "");
        assert_eq!(out.status, 204, "{out:?}");
        client.agents().await
    });
    assert!(format!("{ended:?}").contains("Revoked"), "{ended:?}");
    is_refused(&lists(&world, &alice));
    assert_eq!(me(&world, &alice, "four").status, 401);
    let kinds = records(world.folder.path());
    let count = |kind| kinds.iter().filter(|record| record.kind == kind).count();
    assert_eq!((count(Kind::LoggedIn), count(Kind::LoggedOut)), (1, 1));
}

#[test]
fn a_signature_about_anything_else_logs_nobody_in() {
    let world = World::start_with(|config| config.limits.failures_per_address = 1_000);
    let person = with_alice(&world);
    let holder = key();
    // What is signed may be of any key.
    let other: &'static SigningKey = Box::leak(Box::new(key()));
    let point = Some(holder.public_key());
    let refused = |body: &Value| {
        let said = post(world.http, "login", body);
        assert_eq!(said.status, 401, "{said:?}");
        assert!(
            said.head.contains("application/problem+json"),
            "{}",
            said.head
        );
        assert!(
            said.head.to_lowercase().contains("www-authenticate: dpop"),
            "{}",
            said.head
        );
        said.body
    };
    let reason = refused(&person.body(&world, point, |signed| signed.hub_key = other.public_key()));
    refused(&person.body(&world, point, |signed| signed.hub = "another"));
    refused(&person.body(&world, point, |signed| signed.account = "bob"));
    refused(&person.body(&world, point, |signed| signed.channel = Some(&[7; 32])));
    refused(&person.body(&world, point, |signed| signed.purpose = Purpose::Register));
    refused(&person.body(&world, point, |signed| {
        signed.holder = Some(other.public_key())
    }));
    refused(&person.body(&world, point, |signed| signed.holder = None));
    refused(&person.body(&world, point, |signed| signed.challenge = &[0; 40]));

    // Nobody learns whether there is an account, or by which key it logs in.
    let nobody = Person::new("nobody", 1);
    assert_eq!(refused(&nobody.body(&world, point, |_| {})), reason);
    let wrong_key = Person::new("alice", 2);
    assert_eq!(refused(&wrong_key.body(&world, point, |_| {})), reason);
    // A challenge is for who asked for it, and good once.
    let mut of_bob = person.body(&world, point, |_| {});
    let bob = post(world.http, "challenge", &json!({ "account": "bob" }));
    of_bob["challenge"] = bob.body["challenge"].clone();
    refused(&of_bob);
    let body = person.body(&world, point, |_| {});
    assert_eq!(post(world.http, "login", &body).status, 200);
    refused(&body);
    world.agent("pump");
    let records = records(world.folder.path());
    let count = records
        .iter()
        .filter(|record| record.kind == Kind::LoginRefused);
    assert!(count.count() >= 10);
}

#[test]
fn what_is_no_login_is_said_in_words() {
    let world = World::start();
    let person = with_alice(&world);
    let enrolled = world.commander("bob", "boiler");
    let good = person.body(&world, Some(key().public_key()), |_| {});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let cases = [
        (with("account", json!("a b")), 400, "account: 1 to 32"),
        (with("account", json!(7)), 400, "the body: invalid type"),
        (with("more", json!(7)), 400, "unknown field"),
        (with("signature", json!("AAAA")), 400, "signature: 64 bytes"),
        (with("login_key", json!("rsa:AAAA")), 400, "a login key is"),
        (
            with("holder_key", json!("AAAA")),
            400,
            "holder_key: a point",
        ),
        (with("code", json!("AAAA")), 400, "it is for registration"),
    ];
    for (body, status, detail) in cases {
        let said = post(world.http, "login", &body);
        assert_eq!(said.status, status, "{said:?}");
        let text = said.body["detail"].as_str().expect("a detail");
        assert!(text.contains(detail), "{text}");
        assert_eq!(said.body["status"], status);
    }
    // Another's key, and one that needs no login.
    let taken = person.body(&world, Some(enrolled.key.public_key()), |_| {});
    let said = post(world.http, "login", &taken);
    assert_eq!(
        (said.status, said.body["detail"].as_str()),
        (409, Some("this key is another peer's; make another one"))
    );
    let http = world.http;
    let plain = |method: &str, path: &str| ask(http, method, path, &[], "").status;
    assert_eq!(plain("GET", "login"), 405);
    assert_eq!(plain("POST", "me"), 405);
    assert_eq!(plain("GET", "nothing"), 404);
    assert_eq!(plain("GET", "me"), 401);
    assert_eq!(plain("POST", "login"), 400);
    assert_eq!(plain("GET", "me?token=x"), 400);
    let long = "x".repeat(5_000);
    assert_eq!(ask(http, "POST", "login", &[], &long).status, 413);
    let lines = ["Transfer-Encoding: chunked".to_owned()];
    let chunked = ask(http, "POST", "login", &lines, "");
    assert_eq!(chunked.status, 411);
    let own = [
        "Origin: http://hub.example".to_owned(),
        "Access-Control-Request-Method: POST".to_owned(),
    ];
    let preflight = ask(http, "OPTIONS", "login", &own, "");
    assert_eq!(preflight.status, 204);
    let allowed = "access-control-allow-headers: authorization, content-type, dpop";
    assert!(preflight.head.contains(allowed), "{}", preflight.head);
    let origin = ["Origin: https://evil.example".to_owned()];
    assert_eq!(
        ask(http, "POST", "challenge", &origin, "{\"account\":\"a\"}").status,
        403
    );
    for line in [
        "Authorization: Basic YTpi",
        "Authorization: Bearer a.b.c",
        "Authorization: DPoP a.b.c",
    ] {
        assert_eq!(
            ask(http, "GET", "me", &[line.to_owned()], "").status,
            401,
            "{line}"
        );
    }
}

#[test]
fn a_browser_has_a_cookie_and_changes_nothing_without_the_word_that_came_with_it() {
    let world = World::start();
    let person = with_alice(&world);
    let said = post(world.http, "login", &person.body(&world, None, |_| {}));
    assert_eq!(said.status, 200, "{said:?}");
    let cookie = said
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.expect("a cookie");
    for part in [
        "__Host-moorline=",
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let csrf = said.body["csrf"].as_str().expect("a word");
    let shown = vec![format!("Cookie: theme=dark; {pair}")];
    let with = |line: String| [shown.clone(), vec![line]].concat();
    let http = world.http;
    let known = ask(http, "GET", "me", &shown, "");
    assert_eq!(
        (known.status, known.body["account"].as_str()),
        (200, Some("alice"))
    );
    for lines in [
        shown.clone(),
        with("X-CSRF-Token: AAAA".into()),
        with("X-CSRF-Token: ".into()),
    ] {
        assert_eq!(
            ask(http, "POST", "logout", &lines, "").status,
            403,
            "{lines:?}"
        );
    }
    let both = with("Authorization: DPoP a.b.c".into());
    assert_eq!(ask(http, "GET", "me", &both, "").status, 400);
    let twice = with(format!("Cookie: {pair}"));
    assert_eq!(ask(http, "GET", "me", &twice, "").status, 400);
    let out = ask(
        http,
        "POST",
        "logout",
        &with(format!("X-CSRF-Token: {csrf}")),
        "",
    );
    assert_eq!(out.status, 204, "{out:?}");
    assert!(out.head.contains("Max-Age=0"), "{}", out.head);
    assert_eq!(ask(http, "GET", "me", &shown, "").status, 401);
}

fn api_key(world: &World, permissions: &[&str]) -> NewApiKey {
    let made = change(
        world,
        "alice",
        AccountChange::MakeApiKey {
            label: "a dashboard".into(),
            permissions: permissions.iter().copied().map(String::from).collect(),
            seconds: 3_600,
        },
    );
    match made {
        AdminAnswer::ApiKey(made) => made,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_logs_in_by_an_api_key_and_may_what_the_key_permits() {
    let world = World::start();
    let _boiler = Agent::start(world.agent("boiler"), Way::WebSocket(world.http));
    with_alice(&world);
    let made = api_key(&world, &["agent.command.ping", "hub.admin"]);
    let shows = |made: &NewApiKey| vec![format!("Authorization: Bearer {}", *made.key)];
    let known = ask(world.http, "GET", "me", &shows(&made), "");
    assert_eq!(known.status, 200, "{known:?}");
    let key = key();
    let body = json!({ "holder_key": encode(&key) }).to_string();
    let said = ask(world.http, "POST", "login", &shows(&made), &body);
    assert_eq!(said.status, 200, "{said:?}");
    let credential = credential(&said);
    let program = Peer { key, credential };
    let session = program.connected(async |client| {
        send(client, "boiler", "ping", &[]).await.expect("answered");
        let list = client.agents().await;
        assert!(matches!(list, Err(ClientError::NotPermitted)), "{list:?}");
        // What it is given later permits no more.
        let token = client.ask_token(None).await.expect("another token");
        let token = moorline_core::token::UnpackedToken::parse_exact(&token).expect("a token");
        let claims = moorline_core::token::UnverifiedClaims::decode(&token).expect("claims");
        let names: Vec<&str> = claims.claims_unverified().permissions.names().collect();
        assert_eq!(names, ["agent.command.ping"]);
        let removed = change(
            &world,
            "alice",
            AccountChange::RemoveApiKey(made.id.clone()),
        );
        assert!(matches!(removed, AdminAnswer::Changed), "{removed:?}");
        let ended = client.agents().await;
        assert!(format!("{ended:?}").contains("Revoked"), "{ended:?}");
    });
    session.expect("connected");
    assert_eq!(ask(world.http, "GET", "me", &shows(&made), "").status, 401);
    // The hash alone is on the disk.
    let other = api_key(&world, &[]);
    let text = std::fs::read_to_string(world.folder.path().join("accounts.json")).expect("a file");
    assert!(text.contains(&other.id));
    assert!(!text.contains(other.key.split_once('.').expect("a dot").1));
    let wrong = format!("Authorization: Bearer mlk_{}.{}", other.id, "A".repeat(43));
    assert_eq!(ask(world.http, "GET", "me", &[wrong], "").status, 401);
}

#[test]
fn one_login_too_many_ends_the_one_that_was_used_longest_ago() {
    let world = World::start_with(|config| config.accounts.logins = 2);
    let person = with_alice(&world);
    let first = person.log_in(&world);
    let second = person.log_in(&world);
    lists(&world, &first).expect("it is used");
    let third = person.log_in(&world);
    // They may all be of one second, in which the names of the logins decide.
    let live = [&first, &second, &third].map(|peer| lists(&world, peer).is_ok());
    assert_eq!(live.iter().filter(|live| **live).count(), 2, "{live:?}");
    assert!(live[2]);
    let answer = world.ask(&AdminRequest::RevokeTokens(Tokens::OfPeer("alice".into())));
    assert!(matches!(answer, AdminAnswer::Revoked), "{answer:?}");
    is_refused(&lists(&world, &third));
    let fourth = person.log_in(&world);
    lists(&world, &fourth).expect("a login after that is good");
    let name = "alice".to_owned();
    world.ask(&AdminRequest::Revoke { name });
    is_refused(&lists(&world, &fourth));
    let body = person.body(&world, Some(key().public_key()), |_| {});
    assert_eq!(post(world.http, "login", &body).status, 401);
}

#[test]
fn who_is_invited_registers_and_a_guest_where_the_hub_is_open() {
    let world = World::start();
    let register = |world: &World, person: &Person, code: Option<&str>| {
        let holder = key();
        let mut body = person.body(world, Some(holder.public_key()), |signed| {
            signed.purpose = Purpose::Register;
        });
        if let Some(code) = code {
            body["code"] = code.into();
        }
        (post(world.http, "register", &body), holder)
    };
    let invited = world.ask(&AdminRequest::Invite {
        name: "dora".into(),
        particulars: Particulars::commander(Reach::Agents(vec!["boiler".into()]), ALL),
        seconds: 900,
        with_key: false,
    });
    let AdminAnswer::Invited(invitation) = invited else {
        panic!("{invited:?}");
    };
    let (dora, eve) = (Person::new("dora", 3), Person::new("eve", 4));
    assert_eq!(register(&world, &dora, None).0.status, 403);
    assert_eq!(register(&world, &dora, Some("WRONGWRONG12")).0.status, 403);
    assert_eq!(register(&world, &eve, Some(&invitation.code)).0.status, 403);
    let (said, key) = register(&world, &dora, Some(&invitation.code));
    assert_eq!(said.status, 201, "{said:?}");
    let credential = credential(&said);
    lists(&world, &Peer { key, credential }).expect("she is in");
    assert_eq!(
        register(&world, &dora, Some(&invitation.code)).0.status,
        403
    );
    // Another who is invited under the name is somebody else: what she had is over.
    let logged_in = dora.log_in(&world);
    let invited = world.ask(&AdminRequest::Invite {
        name: "dora".into(),
        particulars: Particulars::commander(Reach::Agents(vec!["boiler".into()]), ALL),
        seconds: 900,
        with_key: false,
    });
    let AdminAnswer::Invited(invitation) = invited else {
        panic!("{invited:?}");
    };
    let ended = logged_in.connected(async |client| {
        let other = Person::new("dora", 8);
        let (said, _) = register(&world, &other, Some(&invitation.code));
        assert_eq!(said.status, 201, "{said:?}");
        client.agents().await
    });
    let ended = ended.expect("connected");
    assert!(format!("{ended:?}").contains("Revoked"), "{ended:?}");
    is_refused(&lists(&world, &logged_in));

    let reloaded = world.reload(|config| config.accounts.registration = Registration::Open);
    assert!(reloaded.waiting.is_empty());
    let (said, _) = register(&world, &eve, None);
    assert_eq!(said.status, 201, "{said:?}");
    let (said, _) = register(&world, &Person::new("dora", 5), None);
    assert_eq!(
        (said.status, said.body["detail"].as_str()),
        (409, Some("the name is taken"))
    );
    let guest = eve.log_in(&world);
    let known = me(&world, &guest, "one");
    assert_eq!(known.body["roles"], json!(["guest"]));
    assert_eq!(known.body["permits"], json!(["hub.status"]));
    let reloaded = world.reload(|config| {
        config.accounts.registration = Registration::Open;
        config.accounts.guests = 1;
    });
    assert!(reloaded.waiting.is_empty());
    let (said, _) = register(&world, &Person::new("one-more", 7), None);
    assert_eq!(said.status, 403, "{said:?}");
    let reloaded = world.reload(|config| config.accounts.registration = Registration::Off);
    assert!(reloaded.waiting.is_empty());
    assert_eq!(register(&world, &Person::new("fay", 6), None).0.status, 403);
}

#[test]
fn who_takes_a_name_first_keeps_nothing_of_it_when_the_operator_gives_it_away() {
    let world = World::start_with(|config| config.accounts.registration = Registration::Open);
    let register = |person: &Person| {
        let holder = key();
        let body = person.body(&world, Some(holder.public_key()), |signed| {
            signed.purpose = Purpose::Register;
        });
        post(world.http, "register", &body).status
    };
    // A name that somebody is invited under is nobody else's.
    let invite = || {
        let invited = world.ask(&AdminRequest::Invite {
            name: "dora".into(),
            particulars: Particulars::commander(Reach::Agents(vec!["boiler".into()]), ALL),
            seconds: 900,
            with_key: false,
        });
        match invited {
            AdminAnswer::Invited(invitation) => invitation,
            other => panic!("{other:?}"),
        }
    };
    let squatter = Person::new("dora", 9);
    invite();
    assert_eq!(register(&squatter), 409);
    // One who was there before is out when the name is given to another key: by the operator, and by a code.
    let eve = Person::new("eve", 4);
    assert_eq!(register(&eve), 201);
    let guest = eve.log_in(&world);
    world.commander("eve", "boiler");
    is_refused(&lists(&world, &guest));
    let body = eve.body(&world, Some(key().public_key()), |_| {});
    assert_eq!(post(world.http, "login", &body).status, 401);
}

#[test]
fn guesses_are_counted_against_their_address() {
    let world = World::start_with(|config| config.limits.failures_per_address = 3);
    let person = Person::new("alice", 1);
    world.commander("alice", "boiler");
    let body = person.body(&world, Some(key().public_key()), |_| {});
    for _ in 0..4 {
        assert_eq!(post(world.http, "login", &body).status, 401);
    }
    let mut refused = String::new();
    let _ = std::io::Read::read_to_string(&mut crate::door::stranger(world.http), &mut refused);
    assert_eq!(refused, "", "the door is shut");
    world.agent("pump");
    let records = records(world.folder.path());
    assert!(
        records
            .iter()
            .any(|record| record.kind == Kind::AddressBlocked)
    );
}

#[test]
fn a_connection_carries_requests_with_bodies_and_others_in_turn() {
    let world = World::start();
    let body = "{\"account\":\"alice\"}";
    let len = body.len();
    let post = format!(
        "POST /api/v1/challenge HTTP/1.1\r\nHost: hub.example\r\nContent-Type: application/json\r\n\
         Content-Length: {len}\r\n\r\n{body}"
    );
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: hub.example\r\n";
    let last = format!("{keys}Connection: close\r\n\r\n");
    let count = |answers: &str| answers.matches("HTTP/1.1 200").count();
    assert_eq!(count(&talk(world.http, &format!("{post}{post}{last}"))), 3);
    assert_eq!(
        count(&talk(world.http, &format!("{keys}\r\n{post}{last}"))),
        3
    );
    // A body that comes in pieces, and after the head.
    let mut stream = crate::door::stranger(world.http);
    let (head, rest) = post.split_at(post.len() - 7);
    for piece in [head, rest, &last] {
        std::io::Write::write_all(&mut stream, piece.as_bytes()).expect("it takes bytes");
    }
    let mut answers = String::new();
    let _ = std::io::Read::read_to_string(&mut stream, &mut answers);
    assert_eq!(count(&answers), 2, "{answers}");
    // Who announces a body and leaves is in nobody's way.
    let short = format!("{}\r\n\r\n", post.split_once("\r\n\r\n").expect("a head").0);
    let mut stream = crate::door::stranger(world.http);
    std::io::Write::write_all(&mut stream, short.as_bytes()).expect("it takes bytes");
    drop(stream);
    assert_eq!(count(&talk(world.http, &last)), 1);
}
