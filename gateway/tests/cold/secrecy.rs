//! Nothing secret is ever logged, and what is logged names what an operator needs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tollgate_config::keys::{self, Entry};
use tollgate_config::{Scopes, Settings};
use tollgate_protocol::logon::{Credential, Secret};
use tollgate_protocol::text::KeyId;

use crate::support::*;

/// A log kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, part: &str) {
        eventually(part, || self.text().contains(part).then_some(()));
    }
}

#[test]
fn logs_name_clients_and_keys_and_no_secrets() {
    let log = Log::default();
    let writer = log.clone();
    // The door has its own thread, so the log is the whole process's; other tests write into it too.
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let secret = b"swordfish-swordfish-swordfish-32".to_vec();
    let hex = "73776f7264666973682d".repeat(2) + "73776f7264666973682d3332";
    let credential = Credential::Hmac(Secret::new(secret));
    let mut path = std::path::PathBuf::new();
    let mut entries = Vec::new();
    let change = |settings: &mut Settings| {
        let scopes = Scopes { trade: true, ..Scopes::default() };
        let id = KeyId::new("secretive").unwrap();
        entries = vec![Entry::new(id, settings.clients[1].name, credential.verifier().unwrap(), scopes)];
        path.clone_from(&settings.gateway.keys_file);
        keys::write(&path, &entries).unwrap();
        settings.keys = settings.resolve_keys(&entries).unwrap();
    };
    let mut house = House::new(change);
    let session_id =
        house.client().log_on(request("secretive", credential.clone())).ok().unwrap().welcome.session_id;
    log.wait_for(&format!("logged on session_id={session_id} client=\"client-2\" key=secretive"));
    house.session();
    let _ = house.client().log_on(request("secretive", hmac_credential(0x5a)));
    log.wait_for("logon failed key=\"secretive\"");

    // A key's name is the client's to choose: it must not forge lines.
    let forger = "x\nERROR all is lost";
    let _ = house.client().log_on(request(forger, hmac_credential(0x5a)));
    log.wait_for("x\\nERROR all is lost");

    std::fs::write(&path, format!("[[key]]\nid = 1\nsecret = \"{hex}zz\"\n")).unwrap();
    log.wait_for("the keys file cannot be used");
    let text = log.text();
    assert!(!text.contains(&hex) && !text.contains("swordfish"), "{text}");
    assert!(!text.contains("5a5a5a5a") && !text.contains("90, 90, 90"), "{text}");
    assert!(!text.contains("\nERROR all is lost"), "{text}");
}
