//! Settings as commands read them, and `tollgate check`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tollgate_config::{ConfigErrors, Disk, Settings};
use tollgate_protocol::logon::public_key;

use crate::failure::{Exit, Failure};
use crate::key_file::encode_hex;
use crate::output::{Output, Tone};
use tollgate_gateway::memory_need::{self, shown_bytes};
use tollgate_gateway::venue_files::VenueFiles;

/// Which settings are meant.
#[derive(Args, Debug)]
pub(crate) struct ConfigOption {
    /// The gateway's settings.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Options of `check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// The gateway's settings.
    #[arg(env = "TOLLGATE_CONFIG", value_name = "FILE")]
    file: PathBuf,
}

impl CheckArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let settings = match read(&self.file, VenueFiles::new(Disk).with_recordings()) {
            Ok(settings) => settings,
            Err(errors) if output.json => {
                output.document(&json!({"valid": false, "errors": errors}))?;
                return Err(Failure::silent(Exit::Configuration));
            }
            Err(errors) => return Err(invalid(&self.file, &errors)),
        };
        if output.json {
            return output.document(&json!({
                "valid": true,
                "warnings": settings.warnings,
                "keys": settings.keys.len(),
                "memory_bytes": memory_need::total_bytes(&settings),
                "gateway_public_key": gateway_public_key(&settings),
                "settings": settings.describe(),
            }));
        }
        output.text(settings.describe())?;
        for warning in &settings.warnings {
            output.line(format_args!("{} {warning}", output.paint(Tone::Warning, "# warning:")))?;
        }
        let reserved = shown_bytes(memory_need::total_bytes(&settings));
        output.line(format_args!("# about {reserved} of memory are reserved at the start"))?;
        if let Some(key) = gateway_public_key(&settings) {
            output.line(format_args!("# gateway_public_key of its clients with Ed25519 keys: \"{key}\""))?;
        }
        let counts = [
            counted(settings.venues.len(), "venue"),
            counted(settings.instruments.len(), "instrument"),
            counted(settings.accounts.len(), "account"),
            counted(settings.clients.len(), "client"),
            counted(settings.keys.len(), "key"),
        ];
        let summary = format!("# {} is valid: {}.", self.file.display(), counts.join(", "));
        output.line(output.paint(Tone::Good, &summary))
    }
}

/// What clients with Ed25519 keys know the gateway by.
fn gateway_public_key(settings: &Settings) -> Option<String> {
    let key = settings.gateway.identity.as_ref().and_then(public_key)?;
    Some(encode_hex(&key))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Loads settings, or tells every mistake in them.
pub(crate) fn load(path: &Path) -> Result<Settings, Failure> {
    read(path, VenueFiles::new(Disk)).map_err(|errors| invalid(path, &errors))
}

/// [`load`], for whoever will play recorded prices: those are looked through too.
pub(crate) fn load_to_run(path: &Path) -> Result<Settings, Failure> {
    read(path, VenueFiles::new(Disk).with_recordings()).map_err(|errors| invalid(path, &errors))
}

fn read(path: &Path, files: VenueFiles<Disk>) -> Result<Settings, ConfigErrors> {
    let settings = Settings::load_with(path, &|name| std::env::var(name).ok(), &files)?;
    if files.is_to_run()
        && let Some(memory_bytes) = memory_need::of_machine()
    {
        memory_need::check(&settings, memory_bytes)?;
    }
    Ok(settings)
}

pub(crate) fn invalid(path: &Path, errors: &ConfigErrors) -> Failure {
    let count = errors.as_slice().len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let list: Vec<String> = errors.into_iter().map(|error| format!("\n  {error}")).collect();
    let list = list.concat();
    Failure::new(Exit::Configuration, format_args!("{} has {count} {noun}:{list}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn config_names_the_settings() {
        let given: ConfigOption = flags::arguments("--config a.toml").unwrap();
        assert_eq!(given.config, PathBuf::from("a.toml"));
        assert!(flags::arguments::<ConfigOption>("a.toml").is_err(), "a flag, not a place");
        let given: CheckArguments = flags::arguments("a.toml").unwrap();
        assert_eq!(given.file, PathBuf::from("a.toml"));
    }
}
