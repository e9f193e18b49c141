//! The machine as a whole: who else runs on it, its kernel, its time.

use super::super::finding::{Finding, Topic};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::{HotCore, kernel_version};

/// Of 10,000: from here on stolen time is worth a word.
const STEAL_NOTED: u64 = 10;
/// Of 10,000: from here on p99 cannot be good.
const STEAL_BAD: u64 = 100;

const STEAL: Topic = Topic {
    name: "steal",
    right: "no hypervisor, or cores that are not shared: less than 0.1 % stolen",
    why: "Stolen time is time in which the core had work and the hypervisor ran another machine. It comes in pieces \
          of milliseconds, and nothing inside this machine can prevent it: ask for dedicated cores.",
};

pub(super) fn steal(host: &Host, plan: &Plan) -> Finding {
    STEAL.judge(|| {
        let processors = host.text("/proc/cpuinfo")?;
        let flags = processors.lines().find(|line| line.starts_with("flags"));
        let flags = flags.ok_or_else(|| Unread::new("/proc/cpuinfo names no flags"))?;
        if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
            return Ok(STEAL.good("no hypervisor"));
        }
        let (name, row) = match plan.core {
            Some(_) => {
                let core = HotCore::find(host, plan)?;
                (core.to_string(), format!("cpu{}", core.number))
            }
            None => ("all cores".to_owned(), "cpu".to_owned()),
        };
        let (stolen, wanted) = stolen(host, &row)?;
        let share = stolen.saturating_mul(10_000) / wanted.max(1);
        let found = format!(
            "virtual machine; of the time that {name} had work since the start, {}.{:02} % was stolen ({}.{:02} s)",
            share / 100,
            share % 100,
            stolen / 100,
            stolen % 100
        );
        Ok(match share {
            0..STEAL_NOTED => STEAL.good(found),
            STEAL_NOTED..STEAL_BAD => STEAL.could_be_better(found, Vec::new()),
            _ => STEAL.bad(found, Vec::new()),
        })
    })
}

/// Hundredths of a second that were stolen, and in which there was work, these included.
fn stolen(host: &Host, row: &str) -> Result<(u64, u64), Unread> {
    let path = "/proc/stat";
    let text = host.text(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
    let line = line.ok_or_else(|| Unread::new(format!("{path} has no line {row}")))?;
    let fields: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
    match fields.as_deref() {
        Ok([user, nice, system, _idle, _waiting, interrupts, soft_interrupts, steal, ..]) => {
            let worked = [user, nice, system, interrupts, soft_interrupts, steal];
            Ok((*steal, worked.into_iter().fold(0, |sum, part| sum.saturating_add(*part))))
        }
        _ => Err(Unread::strange(path, line)),
    }
}

const CLOCK_SYNC: Topic = Topic {
    name: "clock-sync",
    right: "chrony, ntpd or systemd-timesyncd runs",
    why: "Commands carry the time at which they were made. One from further in the future than \
          dedupe.clock_difference_ms_max is refused, so clocks that drift apart end in refusals; and records of \
          several machines can only be put in order by good clocks.",
};

/// As the kernel cuts them.
const TIME_KEEPERS: [&str; 5] = ["chronyd", "ntpd", "systemd-timesyn", "ptp4l", "phc2sys"];

pub(super) fn clock_sync(host: &Host) -> Finding {
    CLOCK_SYNC.judge(|| {
        let running = host.running(&TIME_KEEPERS)?;
        if running.is_empty() {
            let found = "none of chronyd, ntpd, systemd-timesyncd, ptp4l runs where this process can see it";
            return Ok(CLOCK_SYNC.could_be_better(found, vec!["sudo apt install chrony".to_owned()]));
        }
        Ok(CLOCK_SYNC.good(format!("{} runs", running.join(", "))))
    })
}

/// From here on a process can have pages made writable ahead of time (`MADV_POPULATE_WRITE`).
const KERNEL_MINIMUM: (u32, u32) = (5, 14);

const KERNEL: Topic = Topic {
    name: "kernel",
    right: "5.14 or later",
    why: "From 5.14 on the journal's pages are made writable ahead of the hot thread. Before, it takes a page fault \
          for every new page.",
};

pub(super) fn kernel(host: &Host) -> Finding {
    KERNEL.judge(|| {
        let release = host.text("/proc/sys/kernel/osrelease")?;
        if kernel_version(host)? >= KERNEL_MINIMUM {
            return Ok(KERNEL.good(release));
        }
        let upgrade = "sudo apt update && sudo apt full-upgrade && sudo reboot".to_owned();
        Ok(KERNEL.could_be_better(release, vec![upgrade]))
    })
}

const MITIGATIONS: Topic = Topic {
    name: "mitigations",
    right: "as your security policy says; stated for the record of a measurement",
    why: "Each makes system calls and context switches dearer, and a command takes several system calls. To switch \
          them off is a matter of who else can run code on this machine, not of speed.",
};

pub(super) fn mitigations(host: &Host) -> Finding {
    MITIGATIONS.judge(|| {
        let place = "/sys/devices/system/cpu/vulnerabilities";
        let mut active = Vec::new();
        let mut open = Vec::new();
        for name in host.names(place)? {
            let status = host.text(&format!("{place}/{name}"))?;
            // A mitigation may have a gap of its own, which the same line names behind it.
            if status.starts_with("Vulnerable") {
                open.push(name);
            } else if status.starts_with("Mitigation") {
                active.push(name);
            }
        }
        let listed = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Ok(MITIGATIONS.good(format!("active: {}; vulnerable: {}", listed(&active), listed(&open))))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::State;
    use super::super::super::fixture::{FOUR_CORES, Fixture, plan};
    use super::*;

    /// A virtual machine whose core 1 had 10,000 hundredths of work, so many of them stolen.
    fn guest(stolen: u64) -> Fixture {
        let own = 10_000 - stolen;
        let stat = format!(
            "cpu  99 0 0 5 0 0 0 1 0 0\ncpu0 0 0 0 5 0 0 0 0 0 0\ncpu1 {own} 0 0 77777 5 0 0 {stolen} 0 0\n\
             cpu10 1 0 0 0 0 0 0 0 0 0\nintr 5\n"
        );
        Fixture::new(&[
            FOUR_CORES,
            ("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor tsc\n"),
            ("/proc/stat", &stat),
        ])
    }

    #[test]
    fn stolen_time_is_a_share_of_what_there_was_work_for() {
        let finding = |stolen| steal(&guest(stolen).host(), &plan());
        assert_eq!(finding(9).state, State::Good);
        let some = finding(10);
        assert_eq!(some.state, State::CouldBeBetter);
        assert!(
            some.found.contains("core 1 had work since the start, 0.10 % was stolen (0.10 s)"),
            "{some:?}"
        );
        assert_eq!(finding(99).state, State::CouldBeBetter);
        assert_eq!(finding(100).state, State::Bad);
        let all = steal(&guest(0).host(), &Plan { core: None, ..plan() });
        assert!(all.found.contains("all cores had work since the start, 1.00 %"), "{all:?}");
    }

    #[test]
    fn bare_metal_is_good_and_a_silent_machine_unknown() {
        let bare = Fixture::new(&[("/proc/cpuinfo", "flags\t: fpu tsc\n")]);
        assert_eq!(steal(&bare.host(), &plan()).state, State::Good);
        let silent = Fixture::new(&[("/proc/cpuinfo", "processor\t: 0\n")]);
        assert_eq!(steal(&silent.host(), &plan()).state, State::Unknown);
        let fixture = guest(1);
        fixture.write("/proc/stat", "cpu1 1 2\n");
        assert_eq!(steal(&fixture.host(), &plan()).state, State::Unknown);
        fixture.spoil("/proc/stat");
        assert_eq!(steal(&fixture.host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn somebody_keeps_the_time() {
        let finding = |process: &str| {
            let files = [("/proc/1/comm", "systemd\n"), ("/proc/400/comm", process)];
            clock_sync(&Fixture::new(&files).host())
        };
        assert_eq!(finding("systemd-timesyn\n").state, State::Good);
        assert_eq!(finding("chronyd\n").found, "chronyd runs");
        assert_eq!(finding("bash\n").state, State::CouldBeBetter);
        assert_eq!(clock_sync(&Fixture::new(&[]).host()).state, State::Unknown);
    }

    #[test]
    fn old_kernels_are_named() {
        let state =
            |release: &str| kernel(&Fixture::new(&[("/proc/sys/kernel/osrelease", release)]).host()).state;
        assert_eq!(state("5.14.0\n"), State::Good);
        assert_eq!(state("5.10.0-28-amd64\n"), State::CouldBeBetter);
        assert_eq!(state("?"), State::Unknown);
    }

    #[test]
    fn mitigations_are_listed_and_not_judged() {
        let place = "/sys/devices/system/cpu/vulnerabilities";
        let fixture = Fixture::new(&[]);
        for (name, status) in [
            ("mds", "Not affected"),
            ("spectre_v2", "Mitigation: IBRS; BHI: Vulnerable"),
            ("srbds", "Vulnerable"),
        ] {
            fixture.write(&format!("{place}/{name}"), status);
        }
        let finding = mitigations(&fixture.host());
        assert_eq!(
            (finding.state, finding.found.as_str()),
            (State::Good, "active: spectre_v2; vulnerable: srbds")
        );
        fixture.spoil(&format!("{place}/mds"));
        assert_eq!(mitigations(&fixture.host()).state, State::Unknown);
    }
}
