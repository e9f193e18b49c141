//! The settings that come with the product load.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tollgate_config::{DEMO, EXAMPLE, NoFiles, Settings};

fn load(text: &str) -> Settings {
    let environment = |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| "/tmp/tollgate".to_owned());
    match Settings::parse_with(text, Path::new("/etc/tollgate"), &environment, &NoFiles) {
        Ok(settings) => settings,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn the_example_loads() {
    let settings = load(EXAMPLE);
    assert_eq!(settings.instruments.len(), 3);
    println!("{}", settings.describe());
}

#[test]
fn the_demonstration_loads() {
    let settings = load(DEMO);
    assert_eq!(settings.clients.len(), 9);
}

/// What is described is the settings themselves: read again, it says the same.
#[test]
fn the_description_loads_to_itself() {
    for text in [EXAMPLE, DEMO] {
        let settings = load(text);
        let again = load(settings.describe());
        assert_eq!(settings.describe().replace(" # default", ""), again.describe().replace(" # default", ""));
    }
}
