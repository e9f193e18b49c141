//! Secrets that stand where none belongs: in no error, no warning and no description.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{EXAMPLE, Files, Settings, keys};

/// What the variable and the file hold; a name that is short enough for every key.
const SHORT: &str = "hunter-22";

struct SecretFile;

impl Files for SecretFile {
    fn read(&self, path: &Path, _: Privacy, _: u64) -> Result<String, FileError> {
        if path.ends_with("api-secret.txt") { Ok(format!("{SHORT}\n")) } else { Err(FileError::Missing) }
    }
}

fn load(text: &str) -> Result<Settings, String> {
    let long = "Aa1-".repeat(60);
    let environment = move |name: &str| match name {
        "API_SECRET" => Some(SHORT.to_owned()),
        "LONG_SECRET" => Some(long.clone()),
        "TOLLGATE_KEY_FILE" => Some("/plain/path".to_owned()),
        _ => None,
    };
    Settings::parse_with(text, Path::new("/"), &environment, &SecretFile).map_err(|errors| errors.to_string())
}

fn with_instance(value: &str) -> String {
    EXAMPLE.replace("instance = \"tollgate\"", &format!("instance = \"{value}\""))
}

#[test]
fn a_secret_in_a_plain_key_is_masked_and_told() {
    for value in ["${API_SECRET}", "file:api-secret.txt", "${NONE:-${API_SECRET}}"] {
        let settings = load(&with_instance(value)).unwrap();
        assert!(!settings.describe().contains(SHORT), "{value}");
        assert!(settings.describe().contains("instance = \"(masked)\""), "{value}");
        let told: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
        let told: Vec<&String> =
            told.iter().filter(|it| it.contains("gateway.instance = (masked)")).collect();
        assert_eq!(told.len(), 1, "{value}");
    }
    let settings = load(&with_instance("plain")).unwrap();
    assert!(settings.describe().contains("instance = \"plain\""));
}

#[test]
fn a_path_to_a_secret_is_none() {
    let settings = load(&with_instance("x\"\nkeys_file = \"${TOLLGATE_KEY_FILE}")).unwrap();
    assert!(settings.describe().contains("keys_file = \"/plain/path\""), "{}", settings.describe());
}

#[test]
fn a_secret_is_in_no_error() {
    let hex = "5ec12e70".repeat(8);
    for (value, secret) in [
        ("${API_SECRET} !".to_owned(), SHORT),
        ("${LONG_SECRET}".to_owned(), "Aa1-Aa1-"),
        (hex.clone(), hex.as_str()),
        (format!("{hex}{hex}{hex}"), hex.as_str()),
        ("q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=".to_owned(), "q83vASNFZ4mrze8BI0VniavN7wEjRWeJ"),
    ] {
        for text in [
            with_instance(&value),
            EXAMPLE.replace("accounts = [\"main\"]", &format!("accounts = [\"{value}\"]")),
            format!("{EXAMPLE}\n[[client]]\nname = \"{value}\"\naccounts = [\"main\"]\n"),
            format!("\"{value}\" = 1\n{EXAMPLE}"),
        ] {
            let told = load(&text).map(|_| ()).unwrap_err();
            assert!(!told.contains(secret), "{value}: {told}");
        }
    }
}

#[test]
fn a_secret_typed_as_the_id_of_a_key_is_in_no_error() {
    let hex = "5ec12e70".repeat(8);
    let text = format!("[[key]]\nid = \"{hex}\"\nclient = \"{hex}\"\nkind = \"hmac\"\nsecret = \"{hex}\"\n");
    let told =
        keys::parse(&text, Path::new("/"), &|_| None, &SecretFile).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("key[0].id = ") && !told.contains("5ec12e70"), "{told}");
}
