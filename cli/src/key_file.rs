//! A client's own file: the key's name and secret, and where its gateway is. Secrets live in such files alone,
//! never on a command line, where every user of the machine could read them.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tollgate_config::files::{Disk, Files, Privacy};
use tollgate_protocol::client::LogonRequest;
use tollgate_protocol::logon::{Credential, SECRET_BYTES_MIN, Secret};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::text::{KeyId, Text};
use zeroize::{Zeroize, Zeroizing};

/// Far more than a key file has.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What the key proves itself with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A secret that the gateway has too.
    Hmac,
    /// A private key of the client's alone; the gateway has the public one.
    Ed25519,
}

/// The MAC of the session.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mac {
    /// In every language's library.
    HmacSha256,
    /// Faster.
    #[default]
    Blake3,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    key_id: String,
    kind: Kind,
    secret: String,
    gateway_address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway_public_key: Option<String>,
    #[serde(default)]
    mac: Mac,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// A client's key and where to use it.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile {
    pub(crate) key_id: KeyId,
    pub(crate) credential: Credential,
    /// `HOST:PORT`.
    pub(crate) gateway_address: String,
    pub(crate) gateway_public_key: Option<[u8; 32]>,
    pub(crate) mac: Mac,
}

impl KeyFile {
    /// Reads the file, which nobody but its owner may be able to read.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let wrong = |problem: &dyn std::fmt::Display| format!("key file {}: {problem}", path.display());
        let text = Disk.read(path, Privacy::Private, FILE_BYTES_MAX).map_err(|error| wrong(&error))?;
        let text = Zeroizing::new(text);
        // The parser's own message would quote the line, and the line may be the secret's.
        let document: Document = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            wrong(&format_args!("line {line}: {}", error.message().lines().next().unwrap_or_default()))
        })?;
        Self::read(&document).map_err(|problem| wrong(&problem))
    }

    fn read(document: &Document) -> Result<Self, String> {
        let secret = decode_hex(&document.secret)
            .map(Secret::new)
            .ok_or("secret is not hexadecimal digits: make the key anew with `tollgate keys rotate`")?;
        let credential = match document.kind {
            Kind::Hmac if secret.expose().len() >= SECRET_BYTES_MIN => Credential::Hmac(secret),
            Kind::Ed25519 if secret.expose().len() == 32 => Credential::Ed25519(secret),
            kind => return Err(wrong_length(kind, secret.expose().len())),
        };
        let gateway_public_key = match &document.gateway_public_key {
            None => None,
            Some(text) => Some(
                decode_hex(text)
                    .and_then(|bytes| bytes.try_into().ok())
                    .ok_or("gateway_public_key must be 64 hexadecimal digits")?,
            ),
        };
        if document.kind == Kind::Ed25519 && gateway_public_key.is_none() {
            return Err(
                "an Ed25519 key needs gateway_public_key, or whoever answers at gateway_address passes for the gateway: \
                 `tollgate check` on the gateway's machine prints it for its settings"
                    .to_owned(),
            );
        }
        Ok(Self {
            key_id: Text::new(&document.key_id).map_err(|error| format!("key_id: {error}"))?,
            credential,
            gateway_address: document.gateway_address.clone(),
            gateway_public_key,
            mac: document.mac,
        })
    }

    /// Writes a file that is not there yet, mode 0600.
    pub(crate) fn create(&self, path: &Path) -> io::Result<()> {
        create_private(path, self.render()?.as_bytes())
    }

    /// Writes the file in place of one that may be there: whole or not at all.
    pub(crate) fn replace(&self, path: &Path) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let temporary = Path::new(&name);
        let _ = std::fs::remove_file(temporary);
        self.create(temporary)?;
        std::fs::rename(temporary, path)
    }

    fn render(&self) -> io::Result<Zeroizing<String>> {
        let (kind, secret) = match &self.credential {
            Credential::Hmac(secret) => (Kind::Hmac, secret),
            Credential::Ed25519(secret) => (Kind::Ed25519, secret),
        };
        let document = Document {
            key_id: self.key_id.to_string(),
            kind,
            secret: encode_hex(secret.expose()),
            gateway_address: self.gateway_address.clone(),
            gateway_public_key: self.gateway_public_key.map(|key| encode_hex(&key)),
            mac: self.mac,
        };
        let body = Zeroizing::new(toml::to_string(&document).map_err(io::Error::other)?);
        let head = "# A key of a Tollgate gateway. Holds a secret: readable by its owner alone.\n";
        Ok(Zeroizing::new([head, &body].concat()))
    }

    /// What to log on with.
    pub(crate) fn logon(&self, resume_after: Option<u64>) -> LogonRequest {
        LogonRequest {
            key_id: self.key_id,
            credential: self.credential.clone(),
            mac: match self.mac {
                Mac::HmacSha256 => MacAlgorithm::HmacSha256,
                Mac::Blake3 => MacAlgorithm::Blake3,
            },
            resume_after,
            // With an HMAC key the gateway proves itself by the secret, and signs nothing.
            gateway_public_key: match self.credential {
                Credential::Ed25519(_) => self.gateway_public_key,
                Credential::Hmac(_) => None,
            },
            software: Text::truncated(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        }
    }
}

fn wrong_length(kind: Kind, bytes: usize) -> String {
    let wanted = match kind {
        Kind::Hmac => format!("an HMAC key has {} at least", 2 * SECRET_BYTES_MIN),
        Kind::Ed25519 => "an Ed25519 key has 64".to_owned(),
    };
    let digits = 2 * bytes;
    format!(
        "secret has {digits} hexadecimal digits, {wanted}: copy it whole, or make the key anew with `tollgate keys \
         rotate`"
    )
}

/// Writes a file that is not there yet, mode 0600.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    // Sized at once: a text that grows would leave copies of a secret behind.
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sample() -> KeyFile {
        KeyFile {
            key_id: Text::new("trend").unwrap(),
            credential: Credential::Hmac(Secret::new((0..32).collect())),
            gateway_address: "127.0.0.1:7000".to_owned(),
            gateway_public_key: Some([0xab; 32]),
            mac: Mac::Blake3,
        }
    }

    #[test]
    fn a_file_reads_as_it_was_written_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trend.toml");
        sample().create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = KeyFile::load(&path).unwrap();
        assert_eq!(read.key_id, sample().key_id);
        assert_eq!(read.gateway_public_key, Some([0xab; 32]));
        let Credential::Hmac(secret) = &read.credential else { panic!("not an HMAC key") };
        assert_eq!(secret.expose(), (0..32).collect::<Vec<u8>>());
        assert_eq!(sample().create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        sample().replace(&path).unwrap();
        let marked = [b"\xef\xbb\xbf", std::fs::read(&path).unwrap().as_slice()].concat();
        std::fs::write(&path, marked).unwrap();
        assert_eq!(
            KeyFile::load(&path).unwrap().key_id,
            sample().key_id,
            "a byte-order mark is no part of it"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.toml");
        let secret = "5ec12e7".repeat(8);
        for (text, expected) in [
            (format!("secret = {secret}zz\n"), "line 1"),
            (format!("key_id = \"k\"\nkind = \"rsa\"\nsecret = \"{secret}\"\n"), "line 2"),
            (
                format!(
                    "key_id = \"k\"\nkind = \"hmac\"\nsecret = \"{secret}x\"\ngateway_address = \"a:1\"\n"
                ),
                "secret is not hexadecimal",
            ),
            (
                format!(
                    "key_id = \"k\"\nkind = \"hmac\"\nsecret = \"{secret}\"\ngateway_address = \"a:1\"\n"
                ),
                "secret has 56 hexadecimal digits, an HMAC key has 64 at least",
            ),
            (
                format!(
                    "key_id = \"k\"\nkind = \"ed25519\"\nsecret = \"{secret}\"\ngateway_address = \"a:1\"\n"
                ),
                "secret has 56 hexadecimal digits, an Ed25519 key has 64",
            ),
        ] {
            let _ = std::fs::remove_file(&path);
            create_private(&path, text.as_bytes()).unwrap();
            let error = KeyFile::load(&path).unwrap_err();
            assert!(error.contains(expected) && !error.contains("5ec12e7"), "{error}");
        }
    }

    #[test]
    fn an_ed25519_key_needs_the_gateways_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.toml");
        let mut key = KeyFile { credential: Credential::Ed25519(Secret::new(vec![7; 32])), ..sample() };
        key.create(&path).unwrap();
        assert!(KeyFile::load(&path).is_ok());
        key.gateway_public_key = None;
        key.replace(&path).unwrap();
        let error = KeyFile::load(&path).unwrap_err();
        assert!(error.contains("needs gateway_public_key") && error.contains("tollgate check"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.toml");
        sample().create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(KeyFile::load(&path).unwrap_err().contains("chmod 600"));
    }
}
