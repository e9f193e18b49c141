//! Settings from any text: read or refused with reasons, and what is read describes itself in text that reads again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tollgate_config::{ConfigErrors, NoFiles, Settings};

fn read(text: &str) -> Result<Settings, ConfigErrors> {
    let environment = |name: &str| match name {
        "A" => Some("1".to_owned()),
        "TOLLGATE_DIRECTORY" => Some("/var/lib/tollgate".to_owned()),
        _ => None,
    };
    Settings::parse_with(text, Path::new("/etc/tollgate"), &environment, &NoFiles)
}

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(settings) => {
            let again = read(settings.describe()).expect("what was read describes itself");
            // What was left to its default is given the second time.
            assert_eq!(again.describe(), settings.describe().replace(" # default", ""));
        }
        Err(errors) => assert!(!errors.as_slice().is_empty() && !errors.to_string().is_empty()),
    }
});
