//! Keys from any text: read or refused with reasons.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tollgate_config::{DEMO, NoFiles, Settings, keys};

fuzz_target!(
    init: {
        settings();
    },
    |text: &str| {
        match keys::parse(text, Path::new("/etc/tollgate"), &|_| None, &NoFiles) {
            Ok(entries) => {
                if let Ok(keys) = settings().resolve_keys(&entries) {
                    assert_eq!(keys.len(), entries.len());
                }
            }
            Err(errors) => assert!(!errors.as_slice().is_empty() && !errors.to_string().is_empty()),
        }
    }
);

/// Settings whose clients the keys may name.
fn settings() -> &'static Settings {
    static SETTINGS: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    SETTINGS.get_or_init(|| {
        let environment = |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| "/var/lib/tollgate".to_owned());
        Settings::parse_with(DEMO, Path::new("/etc/tollgate"), &environment, &NoFiles)
            .expect("the demo's settings")
    })
}
