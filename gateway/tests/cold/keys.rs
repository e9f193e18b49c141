//! Keys that change while the gateway runs.

use std::path::PathBuf;

use tollgate_config::keys::{self, Entry};
use tollgate_config::{Scopes, Settings};
use tollgate_core::link::ToHot;
use tollgate_protocol::logon::Credential;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::KeyId;

use crate::support::*;

fn entry(settings: &Settings, name: &str, credential: &Credential) -> Entry {
    let scopes = Scopes { trade: true, ..Scopes::default() };
    let client = settings.clients[1].name;
    Entry::new(KeyId::new(name).unwrap(), client, credential.verifier().unwrap(), scopes)
}

/// A house whose keys are those in its file, the file's path, and the keys.
fn house(names: &[&str]) -> (House, PathBuf, Vec<Entry>) {
    let (mut path, mut entries) = (PathBuf::new(), Vec::new());
    let house = House::new(|settings| {
        entries = names.iter().map(|name| entry(settings, name, &hmac_credential(1))).collect();
        path.clone_from(&settings.gateway.keys_file);
        keys::write(&path, &entries).unwrap();
        settings.keys = settings.resolve_keys(&entries).unwrap();
    });
    (house, path, entries)
}

fn ended_keys(house: &mut House, count: usize) -> Vec<String> {
    let mut ended: Vec<String> = (0..count)
        .map(|_| match house.heard() {
            ToHot::EndKey(key_id) => key_id.as_str().to_owned(),
            _ => panic!("something else than the end of a key"),
        })
        .collect();
    ended.sort();
    ended
}

#[test]
fn keys_that_are_gone_revoked_rotated_or_restricted_end_and_others_stay() {
    let (mut house, path, mut entries) = house(&["gone", "revoked", "rotated", "restricted", "same"]);
    assert!(house.client().log_on(request("same", hmac_credential(1))).is_ok());
    house.session();
    entries[1].revoked_at_ns = Some(1);
    entries[2].verifier = hmac_credential(2).verifier().unwrap();
    entries[3].scopes = Scopes { read: true, ..Scopes::default() };
    entries.remove(0);
    keys::write(&path, &entries).unwrap();
    assert_eq!(ended_keys(&mut house, 4), ["gone", "restricted", "revoked", "rotated"]);

    let log_on = |name: &str, number| house.client().log_on(request(name, hmac_credential(number)));
    assert_eq!(code(log_on("gone", 1)), Code::LogonFailed);
    assert_eq!(code(log_on("revoked", 1)), Code::LogonFailed);
    assert_eq!(code(log_on("rotated", 1)), Code::LogonFailed);
    assert!(log_on("rotated", 2).is_ok());
    assert!(log_on("same", 1).is_ok());
    assert_eq!(house.metrics.door_keys_reloads.get(), 1);
}

#[test]
fn an_invalid_file_changes_nothing_and_is_counted() {
    let (mut house, path, mut entries) = house(&["first"]);
    std::fs::write(&path, "[[key]]\nid = 7\n").unwrap();
    eventually("the complaint", || (house.metrics.door_keys_errors.get() == 1).then_some(()));
    assert!(house.client().log_on(request("first", hmac_credential(1))).is_ok());
    house.session();
    let state = std::sync::Arc::clone(house.door.as_ref().unwrap().state());
    let (words, _) = state.keys_problem().unwrap();
    assert!(words.contains(path.to_str().unwrap()) && words.contains("line 2"), "{words}");

    entries[0].id = KeyId::new("second").unwrap();
    keys::write(&path, &entries).unwrap();
    assert_eq!(ended_keys(&mut house, 1), ["first"]);
    assert!(house.client().log_on(request("second", hmac_credential(1))).is_ok());
    assert!(state.keys_problem().is_none());
}

#[test]
fn what_an_invalid_file_says_of_revoked_keys_counts() {
    let (mut house, path, mut entries) = house(&["same", "revoked"]);
    entries[1].revoked_at_ns = Some(1);
    keys::write(&path, &entries).unwrap();
    // In place, as an editor does it; the first reading may see either.
    let text = std::fs::read_to_string(&path).unwrap() + "\n[[key]]\nid = 7\n";
    std::fs::write(&path, text).unwrap();
    assert_eq!(ended_keys(&mut house, 1), ["revoked"]);
    eventually("the complaint", || (house.metrics.door_keys_errors.get() > 0).then_some(()));
    let log_on = |name: &str| house.client().log_on(request(name, hmac_credential(1)));
    assert_eq!(code(log_on("revoked")), Code::LogonFailed);
    assert!(log_on("same").is_ok());
}

#[test]
fn a_file_that_is_gone_or_open_to_others_is_said_and_the_keys_stay() {
    use std::os::unix::fs::PermissionsExt;
    let (mut house, path, entries) = house(&["same"]);
    let state = std::sync::Arc::clone(house.door.as_ref().unwrap().state());
    let told = |part: &str| {
        eventually(part, || state.keys_problem().filter(|(words, _)| words.contains(part)));
        assert!(house.client().log_on(request("same", hmac_credential(1))).is_ok());
    };
    std::fs::remove_file(&path).unwrap();
    told("it is gone");
    keys::write(&path, &entries).unwrap();
    eventually("the recovery", || state.keys_problem().is_none().then_some(()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    told("chmod 600 it");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let folder = path.parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    house.door.as_ref().unwrap().read_keys();
    told("chmod go-w that folder");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    house.door.as_ref().unwrap().read_keys();
    eventually("the recovery", || state.keys_problem().is_none().then_some(()));
    for _ in 0..3 {
        house.session();
    }
}

#[test]
fn a_key_that_expires_ends() {
    let mut house = House::new(|settings| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        settings.keys[0].expires_at_ns = Some(now.as_nanos() as u64 + 4_000_000_000);
    });
    assert!(house.client().log_on(good()).is_ok());
    house.session();
    assert_eq!(ended_keys(&mut house, 1), ["good"]);
    assert_eq!(code(house.client().log_on(good())), Code::LogonFailed);
}

#[test]
fn a_grant_is_the_keys_and_the_clients_together() {
    let mut house = House::new(|settings| {
        settings.clients[1].accounts = vec![1];
        settings.clients[1].symbols = Some(vec![0, 1]);
        settings.keys[0].accounts = Some(vec![0, 1]);
        settings.keys[0].symbols = Some(vec![1, 2]);
    });
    assert!(house.client().log_on(good()).is_ok());
    let grant = house.session().grant;
    assert_eq!((grant.accounts, grant.symbols_restricted), (0b10, true));
    assert_eq!([0, 1, 2].map(|symbol| grant.symbols.contains(symbol)), [false, true, false]);
}
