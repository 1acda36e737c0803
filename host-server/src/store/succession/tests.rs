use std::os::unix::fs::PermissionsExt;

use moorline_core::trust::{Statement, TrustStore};

use super::*;
use crate::store::{HubKeys, ROOT_NAME, create_key, load_key};

fn opened() -> (tempfile::TempDir, HubKeys) {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    (folder, keys)
}

fn trusting(keys: &HubKeys) -> TrustStore {
    let counter = keys.succession.root_counter;
    TrustStore::new(keys.root, counter, *keys.identity_key())
}

/// Returns whether one statement of `keys` leads from the key that `store` expects to the hub's.
fn leads(keys: &HubKeys, store: &TrustStore) -> bool {
    let expected = store.current().hash();
    let earlier = keys.succession.earlier.iter();
    let mut words = earlier
        .filter(|earlier| earlier.key == expected)
        .map(|earlier| earlier.statement)
        .chain(keys.succession.by_root);
    words.any(|word| {
        let mut store = store.clone();
        let statement = Statement::parse(&word).expect("a statement");
        store.take(&statement).is_ok() && {
            store.note_proved(&keys.identity_key().hash());
            store.current() == keys.identity_key()
        }
    })
}

#[test]
fn each_of_the_last_five_keys_leads_to_the_newest_and_an_older_one_does_not() {
    let (folder, keys) = opened();
    let mut stores = vec![trusting(&keys)];
    for number in 1..=MAX_EARLIER + 2 {
        let rotated = rotate(folder.path(), &Vault::default(), None, 0).expect("it rotates");
        let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
        assert_eq!(&rotated.key, keys.identity_key());
        assert_eq!(rotated.earlier, number.min(MAX_EARLIER));
        for (age, store) in stores.iter().rev().enumerate() {
            assert_eq!(leads(&keys, store), age < MAX_EARLIER, "{number} {age}");
        }
        stores.push(trusting(&keys));
    }
}

#[test]
fn the_root_leads_from_every_key_and_ends_the_one_before() {
    let (folder, keys) = opened();
    let first = trusting(&keys);
    for _ in 0..=MAX_EARLIER {
        rotate(folder.path(), &Vault::default(), None, 0).expect("it rotates");
    }
    let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    let mut last = trusting(&keys);
    assert!(!leads(&keys, &first));
    let root = load_key(&folder.path().join(ROOT_NAME)).expect("the root key");
    let before = *keys.identity_key();
    let rotated = rotate(folder.path(), &Vault::default(), Some(&root), 0).expect("it rotates");
    assert_eq!((rotated.before, rotated.earlier), (before, 0));
    let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert_eq!(keys.succession.root_counter, 1);
    assert!(leads(&keys, &first) && leads(&keys, &last));
    let word = keys.succession.by_root.expect("the root's word");
    let word = Statement::parse(&word).expect("a statement");
    last.take(&word).expect("it is newer");
    assert!(last.keys().eq([keys.identity_key()]));
    // The next rotation is the new key's again.
    rotate(folder.path(), &Vault::default(), None, 0).expect("it rotates");
    let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert!(leads(&keys, &last) && !leads(&keys, &first));
    assert_eq!(keys.succession.root_counter, 1);
}

#[test]
fn another_root_key_changes_nothing() {
    let (folder, keys) = opened();
    let other = SigningKey::generate(&mut SystemEntropy).expect("a key");
    let refused = rotate(folder.path(), &Vault::default(), Some(&other), 0);
    assert!(matches!(refused, Err(StoreError::NotTheRoot)));
    let again = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert_eq!(again.identity_key(), keys.identity_key());
    assert!(!folder.path().join(NEXT_NAME).exists());
}

#[test]
fn the_root_key_may_be_taken_away_and_is_not_made_anew() {
    let (folder, keys) = opened();
    std::fs::remove_file(folder.path().join(ROOT_NAME)).expect("it is there");
    let again = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert_eq!(again.root, keys.root);
    assert!(!folder.path().join(ROOT_NAME).exists());
}

#[test]
fn a_rotation_that_was_interrupted_is_undone_or_finished() {
    let (folder, keys) = opened();
    let (identity, next) = (
        folder.path().join(IDENTITY_NAME),
        folder.path().join(NEXT_NAME),
    );
    // The power went before the new key was named.
    create_key(&next).expect("a key");
    let again = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert_eq!(again.identity_key(), keys.identity_key());
    assert!(!next.exists());
    // It went before the new key was in its place.
    let before = std::fs::read(&identity).expect("a file");
    let rotated = rotate(folder.path(), &Vault::default(), None, 0).expect("it rotates");
    std::fs::rename(&identity, &next).expect("renamed");
    std::fs::write(&identity, before).expect("written");
    std::fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).expect("own file");
    let again = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
    assert_eq!(again.identity_key(), &rotated.key);
    assert!(!next.exists() && leads(&again, &trusting(&keys)));
}

#[test]
fn every_file_of_keys_is_private_and_what_leads_to_another_key_is_refused() {
    let (folder, _) = opened();
    let identity = folder.path().join(IDENTITY_NAME);
    let before = std::fs::read(&identity).expect("a file");
    rotate(folder.path(), &Vault::default(), None, 0).expect("it rotates");
    for name in [IDENTITY_NAME, FILE_NAME, ROOT_NAME, "root.pub"] {
        let path = folder.path().join(name);
        let mode = std::fs::metadata(&path).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    std::fs::write(&identity, before).expect("written");
    let refused = HubKeys::open(folder.path(), "hub", &Vault::default(), 0);
    assert!(matches!(refused, Err(StoreError::Succession { .. })));
}
