//! The keys file: what is taken, what is refused, and that it is never lost or shown.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tollgate_config::keys::{self, Entry};
use tollgate_config::{Disk, EXAMPLE, NoFiles, Scopes, Settings};
use tollgate_protocol::Text;
use tollgate_protocol::logon::{Secret, Verifier};

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn key(id: &str, rest: &str) -> String {
    format!("[[key]]\nid = \"{id}\"\nclient = \"trend\"\nkind = \"hmac\"\nscopes = [\"trade\"]\n{rest}\n")
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    keys::parse(text, Path::new("/"), &|name| (name == "KEY").then(|| SECRET.to_owned()), &NoFiles)
        .map_err(|errors| errors.to_string())
}

fn settings(directory: &Path) -> Settings {
    let directory = directory.to_str().unwrap().to_owned();
    let environment = move |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| directory.clone());
    Settings::parse(EXAMPLE, Path::new("/etc"), &environment).unwrap()
}

fn secret(entry: &Entry) -> &[u8] {
    match &entry.verifier {
        Verifier::Hmac(secret) => secret.expose(),
        Verifier::Ed25519(key) => key,
    }
}

fn entry(id: &str) -> Entry {
    let verifier = Verifier::Hmac(Secret::new(vec![7; 32]));
    let scopes = Scopes { trade: true, read: true, ..Scopes::default() };
    Entry::new(Text::new(id).unwrap(), Text::new("trend").unwrap(), verifier, scopes)
}

#[test]
fn keys_are_read() {
    let text = key("a", &format!("secret = \"{SECRET}\"\nexpires_at = \"2027-01-01T00:00:00Z\""))
        + "[[key]]\nid = \"b\"\nclient = \"carry\"\nkind = \"ed25519\"\nscopes = [\"read\", \"operate\"]\n"
        + &format!("public_key = \"{SECRET}\"\nsymbols = [\"EURUSD\"]\naccounts = [\"main\"]\n")
        + "created_at = 2026-01-01T00:00:00+02:00\nrevoked_at = \"2026-02-01T00:00:00Z\"\n";
    let entries = parse(&text).unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(secret(&entries[0])[..4], [0x00, 0x11, 0x22, 0x33]);
    assert_eq!(entries[0].expires_at_ns, Some(1_798_761_600_000_000_000));
    assert_eq!(entries[0].secret_reference, None);
    assert_eq!(entries[1].scopes.words(), ["read", "operate"]);
    assert_eq!(entries[1].created_at_ns, Some(1_767_218_400_000_000_000));
    assert!(entries[1].revoked_at_ns.is_some());
}

#[test]
fn no_keys_are_no_mistake() {
    assert_eq!(parse("").unwrap().len(), 0);
}

/// Neither an error nor debugging output has a secret in it, whatever is wrong with the file.
#[test]
fn secrets_are_never_shown() {
    let secret_line = format!("secret = \"{SECRET}\"");
    let broken = [
        key("a", &format!("{secret_line}\ncolour = 1")),
        key("a", &format!("secrt = \"{SECRET}\"")),
        key("a", &format!("secret = \"{}\"", &SECRET[..62])),
        key("a", &format!("secret = \"{}\"", &SECRET[..63])),
        key("a", &format!("secret = \"{SECRET}zz\"")),
        key("a", &format!("secret = \"{SECRET}$\"")),
        key("a", &format!("secret = [\"{SECRET}\"]")),
        key("a", &format!("secret = \"{SECRET}")),
        key("a", &format!("secret = {SECRET}")),
        key("a", &format!("secret = \"{SECRET}\" \"{SECRET}\"")),
        key("a", &format!("{secret_line}\n{secret_line}")),
        key("a", &format!("public_key = \"{SECRET}\"")),
        key("a", "").replace("hmac", "ed25519") + &format!("public_key = \"{SECRET}00\""),
        key("a", &secret_line).replace("[[key]]", "[[keys]]"),
        key("a", &secret_line).replace("[[key]]", "[key]"),
    ];
    for text in &broken {
        let told = parse(text).map(|_| ()).unwrap_err();
        assert!(!told.contains(&SECRET[..16]), "{text}\n{told}");
    }
    let entries = parse(&key("a", &secret_line)).unwrap();
    let shown = format!("{entries:?}");
    assert!(!shown.contains(&SECRET[..16]) && !shown.contains("17, 34, 51"), "{shown}");
}

#[test]
fn mistakes_are_told_all_at_once() {
    let text = "[[key]]\nid = \"a b\"\nkind = \"rsa\"\nscopes = [\"trad\"]\nexpires_at = \"tomorrow\"\n"
        .to_owned()
        + &key("k", "secret = \"00\"\naccounts = [\"\"]")
        + &key("k", "")
        + &key("k", &format!("secret = \"{SECRET}\""))
        + &key("k", &format!("secret = \"{SECRET}\""));
    let expected = "\
line 1: key[0].client: is missing; give it a name
line 1: key[0].secret: is missing; give at least 32 random bytes as hexadecimal digits
line 2: key[0].id = \"a b\": is not a name; give 1 to 31 letters, digits, '.', '_' or '-', the first a letter or digit
line 3: key[0].kind = \"rsa\": is not known; give one of: hmac, ed25519
line 4: key[0].scopes[0] = \"trad\": is not a scope; give some of: trade, cancel, read, operate
line 4: key[0].scopes = [\"trad\"]: allows nothing; give some of: trade, cancel, read, operate
line 5: key[0].expires_at = \"tomorrow\": is not a time; give it with its offset, as in \"2027-01-01T00:00:00Z\"
line 11: key[1].secret = (masked): has 1 bytes; give at least 32 random bytes as hexadecimal digits
line 12: key[1].accounts[0] = \"\": is empty; give 1 to 15 bytes without spaces
line 13: key[2].secret: is missing; give at least 32 random bytes as hexadecimal digits
line 26: key[4].id = \"k\": is there twice; give each key an id of its own";
    assert_eq!(parse(&text).map(|_| ()).unwrap_err(), expected);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    fs::write(&path, key("a", &format!("secret = \"{SECRET}\""))).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let told = keys::load(&path).map(|_| ()).unwrap_err().to_string();
        let expected = format!("holds secrets and its mode is {mode:04o}: others can read it; chmod 600 it");
        assert!(told.contains(&expected), "{told}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(keys::load(&path).unwrap().len(), 1);
    }
}

#[test]
fn a_secret_comes_from_a_private_file_or_a_variable_and_stays_there() {
    let directory = tempfile::tempdir().unwrap();
    let (path, secret_path) = (directory.path().join("keys.toml"), directory.path().join("a.secret"));
    fs::write(&path, key("a", "secret = \"file:a.secret\"") + &key("b", "secret = \"${KEY}\"")).unwrap();
    fs::write(&secret_path, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let environment = |name: &str| (name == "KEY").then(|| SECRET.to_owned());
    let load = || keys::load_with(&path, &environment, &Disk);
    fs::set_permissions(&secret_path, Permissions::from_mode(0o644)).unwrap();
    let told = load().map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("key[0].secret = (masked)") && told.contains("its mode is 0644"), "{told}");
    fs::set_permissions(&secret_path, Permissions::from_mode(0o600)).unwrap();
    let entries = load().unwrap();
    assert_eq!(secret(&entries[0]), secret(&entries[1]));
    keys::write(&path, &entries).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert!(!written.contains(SECRET), "{written}");
    assert!(written.contains("\"file:a.secret\"") && written.contains("\"${KEY}\""), "{written}");
    assert_eq!(load().unwrap().len(), 2);
}

#[test]
fn what_is_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    let mut full = entry("full");
    full.accounts = Some(vec![Text::new("main").unwrap()]);
    full.symbols = Some(vec![Text::new("A$B").unwrap(), Text::new("EURUSD").unwrap()]);
    full.created_at_ns = Some(1_767_218_400_000_000_000);
    full.expires_at_ns = Some(1_798_761_600_123_456_789);
    full.revoked_at_ns = Some(1_770_000_000_000_000_000);
    let public = Entry { verifier: Verifier::Ed25519([9; 32]), ..entry("public") };
    let entries = vec![entry("plain"), full, public];
    keys::write(&path, &entries).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let again = keys::load(&path).unwrap();
    assert_eq!(format!("{again:?}"), format!("{entries:?}"));
    assert_eq!(secret(&again[0]), [7; 32]);
    keys::write(&path, &entries[..1]).unwrap();
    assert_eq!(keys::load(&path).unwrap().len(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_link_stays_one_and_a_failure_leaves_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("keys.toml"), directory.path().join("link.toml"));
    keys::write(&path, &[entry("a")]).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    keys::write(&link, &[entry("a"), entry("b")]).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(keys::load(&path).unwrap().len(), 2);
    let nowhere = directory.path().join("nowhere/keys.toml");
    assert!(keys::write(&nowhere, &[entry("a")]).is_err());
}

#[test]
fn names_are_resolved() {
    let settings = settings(Path::new("/nowhere"));
    let mut restricted = entry("a");
    restricted.accounts = Some(vec![Text::new("main").unwrap()]);
    restricted.symbols = Some(vec![Text::new("ETHUSDT").unwrap()]);
    restricted.created_at_ns = Some(0);
    let revoked = Entry { client: Text::new("operator").unwrap(), revoked_at_ns: Some(1), ..entry("b") };
    let resolved = settings.resolve_keys(&[restricted, revoked]).unwrap();
    assert_eq!((resolved[0].client, resolved[1].client), (0, 2));
    assert_eq!(resolved[0].accounts, Some(vec![0]));
    assert_eq!(resolved[0].symbols, Some(vec![1]));
    assert_eq!(resolved[0].created.as_str(), "1970-01-01T00:00:00Z");
    assert_eq!((resolved[0].revoked, resolved[1].revoked), (false, true));
    assert_eq!((&resolved[1].accounts, &resolved[1].symbols), (&None, &None));
}

#[test]
fn what_the_client_may_not_use_is_refused() {
    let settings = settings(Path::new("/nowhere"));
    let unknown = Entry { client: Text::new("trent").unwrap(), ..entry("a") };
    let mut wide = entry("b");
    // The client "trend" has neither.
    wide.accounts = Some(vec![Text::new("hedge").unwrap()]);
    wide.symbols = Some(vec![Text::new("EURUSD").unwrap()]);
    let public = Entry { verifier: Verifier::Ed25519([9; 32]), ..entry("c") };
    let errors = settings.resolve_keys(&[unknown, wide, public]).map(|_| ()).unwrap_err();
    let told: Vec<String> = errors.iter().map(|it| format!("{}: {}", it.key, it.problem)).collect();
    let expected = [
        "key[0].client: there is no client of this name",
        "key[1].accounts[0]: is not among the client's",
        "key[1].symbols[0]: is not among the client's",
        "key[2].kind: an Ed25519 key needs the gateway to have an identity, and it has none",
    ];
    assert_eq!(told, expected);
    assert!(errors.iter().all(|error| error.file.as_deref() == Some("/nowhere/keys.toml")));
}

/// Mistakes of both files come together.
#[test]
fn mistakes_of_settings_and_keys_are_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let (path, keys_path) = (directory.path().join("tollgate.toml"), directory.path().join("keys.toml"));
    let text = EXAMPLE.replace("${TOLLGATE_DIRECTORY:-/var/lib/tollgate}", ".");
    fs::write(&path, text.replace("idle = \"park\"", "idle = \"sleep\"")).unwrap();
    fs::write(&keys_path, key("a", "")).unwrap();
    fs::set_permissions(&keys_path, Permissions::from_mode(0o600)).unwrap();
    let errors = Settings::load(&path).map(|_| ()).unwrap_err();
    let told: Vec<_> = errors.iter().map(|error| (error.file.is_some(), error.key.as_str())).collect();
    assert_eq!(told, [(false, "hot.idle"), (true, "key[0].secret")]);
    let told = Settings::load(&directory.path().join("none.toml")).map(|_| ()).unwrap_err().to_string();
    assert!(told.ends_with("none.toml: there is no such file; name the settings file"), "{told}");
}

#[test]
fn settings_load_with_keys_and_identity() {
    let directory = tempfile::tempdir().unwrap();
    let (path, identity) = (directory.path().join("tollgate.toml"), directory.path().join("identity.key"));
    let text = EXAMPLE.replace("${TOLLGATE_DIRECTORY:-/var/lib/tollgate}", ".");
    fs::write(&path, text).unwrap();
    let settings = Settings::load(&path).unwrap();
    assert!(settings.keys.is_empty() && settings.gateway.identity.is_none());
    let warned: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(warned, ["gateway.keys_file"]);

    let public = Entry { verifier: Verifier::Ed25519([9; 32]), ..entry("c") };
    keys::write(&settings.gateway.keys_file, &[entry("a"), public]).unwrap();
    assert!(Settings::load(&path).is_err(), "an Ed25519 key without an identity");
    fs::write(&identity, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&identity, Permissions::from_mode(0o644)).unwrap();
    let told = Settings::load(&path).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("gateway.identity_file") && told.contains("its mode is 0644"), "{told}");
    fs::set_permissions(&identity, Permissions::from_mode(0o600)).unwrap();
    let settings = Settings::load(&path).unwrap();
    assert_eq!(settings.keys.len(), 2);
    assert_eq!(settings.gateway.identity.as_ref().unwrap().expose().len(), 32);
    assert!(!format!("{settings:?}").contains("17, 34, 51"));
    assert!(!settings.describe().contains(&SECRET[..16]));

    fs::write(&identity, &SECRET[..62]).unwrap();
    let told = Settings::load(&path).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("the seed is 31 bytes"), "{told}");
    assert!(!told.contains(&SECRET[..16]), "{told}");
}
