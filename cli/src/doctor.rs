//! `tollgate doctor`: whether the machine suits the gateway.

mod checks;
mod core_list;
mod finding;
#[cfg(test)]
mod fixture;
mod host;
mod page;
mod plan;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::check::invalid;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::table::one_line;
use finding::{Finding, State};
use host::Host;
use plan::Plan;

/// Where the sources have the guide.
const GUIDE: &str = "docs/TUNING.md";

/// Options of `doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArguments {
    /// The gateway's settings. Without, the settings that every gateway starts from; no keys are read.
    #[arg(env = "TOLLGATE_CONFIG", value_name = "CONFIG")]
    config: Option<PathBuf>,
}

impl DoctorArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let settings = plan::settings(self.config.as_deref()).map_err(|errors| {
            let name = self.config.clone().unwrap_or_else(|| PathBuf::from("the embedded defaults"));
            invalid(&name, &errors)
        })?;
        let host = Host::new("/");
        let plan = Plan::of(&settings);
        let findings = checks::all(&host, &plan);
        if output.json {
            output.document(&self.document(&host, &plan, &findings))?;
        } else {
            output.text(&self.heading(&host, &plan))?;
            output.text(&page::findings(&findings, output))?;
            output.line(page::summary(&findings))?;
            output.line(format_args!(
                "Nothing was changed. What the commands cost, how to keep them and how to undo them: {GUIDE}"
            ))?;
        }
        // What is only not known, or could be better, is no failure: most machines have some of it.
        if findings.iter().any(|finding| finding.state == State::Bad) {
            return Err(Failure::silent(Exit::Operating));
        }
        Ok(())
    }

    fn heading(&self, host: &Host, plan: &Plan) -> String {
        let told = |path: &str| host.text(path).map_or_else(|_| "unknown".to_owned(), |text| one_line(&text));
        let settings = match &self.config {
            Some(path) => one_line(&path.display().to_string()),
            None => "the embedded defaults; name yours: tollgate doctor FILE".to_owned(),
        };
        let (name, kernel) = (told("/proc/sys/kernel/hostname"), told("/proc/sys/kernel/osrelease"));
        let core = checks::core_in_words(host, plan);
        format!("host      {name}, Linux {kernel}\nsettings  {settings}\nhot core  {core}\n\n")
    }

    fn document(&self, host: &Host, plan: &Plan, findings: &[Finding]) -> serde_json::Value {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        json!({
            "host": host.text("/proc/sys/kernel/hostname").ok(),
            "settings": self.config.as_ref().map(|path| path.display().to_string()),
            "hot_core": plan.core,
            "findings": findings,
            "summary": {
                "bad": count(State::Bad),
                "could_be_better": count(State::CouldBeBetter),
                "unknown": count(State::Unknown),
                "good": count(State::Good),
            },
        })
    }
}
