//! Every check: a pure function of the machine's files and of what the settings want.

mod cores;
mod disk;
mod interrupts;
mod memory;
mod network;
mod power;
mod system;

use std::fmt;

use super::core_list::CoreList;
use super::finding::Finding;
use super::host::{Host, Unread};
use super::plan::Plan;

/// Everything that is to be said, the worst first, and within a state what matters most first.
pub(crate) fn all(host: &Host, plan: &Plan) -> Vec<Finding> {
    let mut findings = vec![
        cores::idle_strategy(host, plan),
        cores::cores(host),
        cores::hot_core(host, plan),
        disk::journal_filesystem(host, plan),
        disk::journal_space(host, plan),
        memory::open_files(host, plan),
        system::steal(host, plan),
        cores::core_isolation(host, plan),
        interrupts::interrupts(host, plan),
        interrupts::irqbalance(host, plan),
        power::clock_source(host),
        power::frequency_governor(host, plan),
        power::idle_states(host, plan),
        cores::smt_sibling(host, plan),
        cores::timer_tick(host, plan),
        network::busy_poll(host, plan),
        network::tcp_autocorking(host, plan),
        network::tcp_idle_window(host, plan),
        memory::swap(host),
        memory::huge_pages(host),
        disk::write_cache(host, plan),
        disk::scheduler(host, plan),
        system::clock_sync(host),
        system::kernel(host),
        system::mitigations(host),
        memory::locked_memory(host),
    ];
    findings.sort_by_key(|finding| finding.state);
    findings
}

/// The core that is looked at for the hot thread, in words.
pub(crate) fn core_in_words(host: &Host, plan: &Plan) -> String {
    match HotCore::find(host, plan) {
        Ok(core) if core.chosen => core.to_string(),
        Ok(core) => format!("{core}, the last, is looked at: the settings name none"),
        Err(reason) => reason.to_string(),
    }
}

/// The core that the hot thread has, or should have.
#[derive(Clone, Debug)]
struct HotCore {
    number: usize,
    /// The settings name it, as opposed to the one that they could.
    chosen: bool,
    /// The cores that are left for everything else.
    others: CoreList,
}

impl HotCore {
    /// The core that the settings name; without one the last, which is the one to give it.
    fn find(host: &Host, plan: &Plan) -> Result<Self, Unread> {
        let online = online(host)?;
        let last = online.last().ok_or_else(|| Unread::new("no core is online, which cannot be"))?;
        let number = plan.core.unwrap_or(last);
        if !online.contains(number) {
            return Err(Unread::new(format!("hot.core is {number}, and the cores are {online}")));
        }
        Ok(Self { number, chosen: plan.core.is_some(), others: online.without(number) })
    }

    /// What is to be done to this core, unless it should be another: see `cores::hot_core`.
    fn unless_first(&self, commands: Vec<String>) -> Vec<String> {
        if self.number == 0 {
            vec!["# first give the hot thread another core: see hot-core".to_owned()]
        } else {
            commands
        }
    }

    /// A file of this core.
    fn path(&self, name: &str) -> String {
        format!("/sys/devices/system/cpu/cpu{}/{name}", self.number)
    }
}

impl fmt::Display for HotCore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "core {}", self.number)
    }
}

fn online(host: &Host) -> Result<CoreList, Unread> {
    host.cores("/sys/devices/system/cpu/online")
}

/// The choice that stands in brackets, as in `always [madvise] never`.
fn bracketed(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// The first two numbers of a kernel's release.
fn kernel_version(host: &Host) -> Result<(u32, u32), Unread> {
    let path = "/proc/sys/kernel/osrelease";
    let release = host.text(path)?;
    let mut numbers = release.split(['.', '-', '+']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(Unread::strange(path, &release)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::super::finding::State;
    use super::super::fixture::{Fixture, plan};
    use super::*;

    #[test]
    fn a_machine_that_says_nothing_is_unknown_and_never_good() {
        let findings = all(&Fixture::new(&[]).host(), &plan());
        let names: BTreeSet<&str> = findings.iter().map(|finding| finding.name).collect();
        assert_eq!(names.len(), findings.len(), "a name is there twice");
        for finding in &findings {
            // Free space is asked of the file system itself, and a missing core list makes no core.
            let expected = if finding.name == "journal-space" { finding.state } else { State::Unknown };
            assert_eq!(finding.state, expected, "{finding:?}");
            assert!(!finding.found.is_empty() && !finding.right.is_empty() && !finding.why.is_empty());
        }
    }

    #[test]
    fn the_guide_names_every_finding() {
        let guide = include_str!("../../../docs/TUNING.md");
        for finding in all(&Fixture::new(&[]).host(), &plan()) {
            assert!(guide.contains(&format!("`{}`", finding.name)), "docs/TUNING.md lacks {}", finding.name);
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let fixture = Fixture::new(&[
            ("/sys/devices/system/cpu/online", "0\n"),
            ("/proc/sys/kernel/osrelease", "6.1.0"),
        ]);
        let states: Vec<State> =
            all(&fixture.host(), &plan()).into_iter().map(|finding| finding.state).collect();
        assert!(states.is_sorted(), "{states:?}");
        assert_eq!((states.first(), states.last()), (Some(&State::Bad), Some(&State::Good)));
    }

    #[test]
    fn without_a_setting_the_last_core_is_looked_at() {
        let fixture = Fixture::new(&[("/sys/devices/system/cpu/online", "0-3\n")]);
        let core = HotCore::find(&fixture.host(), &Plan { core: None, ..plan() }).unwrap();
        assert_eq!((core.number, core.others.to_string().as_str()), (3, "0-2"));
        let words = |core| core_in_words(&fixture.host(), &Plan { core, ..plan() });
        assert_eq!(words(None), "core 3, the last, is looked at: the settings name none");
        assert_eq!(words(Some(2)), "core 2");
        assert_eq!(words(Some(9)), "hot.core is 9, and the cores are 0-3");
    }

    #[test]
    fn releases_have_two_numbers() {
        for (release, version) in [("6.18.44-fc-v445", (6, 18)), ("5.14-rc1", (5, 14)), ("6.8.0+x", (6, 8))] {
            let fixture = Fixture::new(&[("/proc/sys/kernel/osrelease", release)]);
            assert_eq!(kernel_version(&fixture.host()).unwrap(), version);
        }
        let fixture = Fixture::new(&[("/proc/sys/kernel/osrelease", "six")]);
        assert!(kernel_version(&fixture.host()).is_err());
    }
}
