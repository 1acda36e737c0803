//! Issuers that are not this hub, in its configuration.

use std::path::Path;
use std::process::Output;

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::SigningKey;
use moorline_server::config::OutsideIssuer;
use moorline_server::entropy::SystemEntropy;

use crate::programs::{moorlined, stderr};
use crate::world::{World, private_folder};

/// Returns a set of one key, which has `more` members too.
fn key_set(more: &str) -> String {
    let key = SigningKey::generate(&mut SystemEntropy).expect("random bytes");
    let point = key.public_key().to_bytes();
    let [x, y] = [&point[1..33], &point[33..]].map(Base64UrlUnpadded::encode_string);
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k",{more}"x":"{x}","y":"{y}"}}]}}"#)
}

fn check(folder: &Path, name: &str) -> Output {
    let path = folder.join("moorlined.toml");
    let jwks = folder.join("keys.json");
    let text = format!(
        "[[outside]]\nname = \"{name}\"\njwks = \"{}\"\npermissions = [\"agent.*\"]\ngroup = \"north\"\n",
        jwks.display()
    );
    std::fs::write(&path, text).expect("a file");
    let path = path.display().to_string();
    let output = moorlined(&["--config", &path, "check-config"]).output();
    output.expect("the program runs")
}

#[test]
fn a_configuration_is_checked_with_the_keys_of_its_issuers() {
    let folder = private_folder();
    let keys = folder.path().join("keys.json");
    for (set, name, why) in [
        (key_set(""), "idp", None),
        (key_set(r#""d":"AAAA","#), "idp", Some("key 1 has `d`")),
        (
            key_set(r#""use":"enc","#),
            "idp",
            Some("`use` is not `sig`"),
        ),
        (
            key_set(""),
            "moorline",
            Some("outside.name: `moorline`: is this hub"),
        ),
        ("{}".into(), "idp", Some("is no JSON Web Key set")),
    ] {
        std::fs::write(&keys, set).expect("a file");
        let output = check(folder.path(), name);
        let said = stderr(&output);
        assert_eq!(output.status.success(), why.is_none(), "{said}");
        if let Some(why) = why {
            assert!(
                said.contains(why) && said.contains("moorlined.toml"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_hub_takes_up_another_issuer_while_it_serves() {
    let folder = private_folder();
    let jwks = folder.path().join("keys.json");
    std::fs::write(&jwks, key_set("")).expect("a file");
    let world = World::start();
    let issuer = OutsideIssuer {
        name: "idp".into(),
        jwks: jwks.clone(),
        permissions: vec!["agent.list".into()],
        agents: Vec::new(),
        group: None,
    };
    let with = |issuer: &OutsideIssuer| {
        let outside = vec![issuer.clone()];
        world.reload(|config| config.outside = outside)
    };
    assert!(with(&issuer).waiting.is_empty());
    // A file that has gone bad ends nothing.
    std::fs::write(&jwks, "half a fi").expect("a file");
    assert!(with(&issuer).waiting.is_empty());
    let alice = world.commander("alice", "boiler");
    assert!(alice.connected(async |_| ()).is_ok());
}
