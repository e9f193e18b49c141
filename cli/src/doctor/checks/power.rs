//! Frequency, sleep, and the clock.

use tollgate_config::Idle;

use super::super::finding::{Finding, Topic};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::HotCore;

const GOVERNOR: Topic = Topic {
    name: "frequency-governor",
    right: "performance",
    why: "Other governors lower the frequency while there is little to do, and the first command after a pause runs \
          on the slow clock until the governor has noticed.",
};

pub(super) fn frequency_governor(host: &Host, plan: &Plan) -> Finding {
    GOVERNOR.judge(|| {
        let core = HotCore::find(host, plan)?;
        let path = core.path("cpufreq/scaling_governor");
        let governor = match host.text(&path) {
            Err(error) if error.missing => {
                return Err(Unread::new(format!(
                    "{error}: the hypervisor or the firmware decides about the frequency of {core}"
                )));
            }
            governor => governor?,
        };
        if governor == "performance" {
            return Ok(GOVERNOR.good(format!("performance on {core}")));
        }
        let set = format!("echo performance | sudo tee {path}");
        Ok(GOVERNOR.could_be_better(format!("{governor} on {core}"), vec![set]))
    })
}

/// Waking from a state that takes longer than this is worth a word: the light states need 1 or 2 µs.
const WAKE_US_MAX: u64 = 2;

const IDLE_STATES: Topic = Topic {
    name: "idle-states",
    right: "states of the hot core that take longer than 2 µs to leave are disabled, or it never idles (spin)",
    why: "Leaving a deep sleep takes tens to hundreds of microseconds, and a thread that parks pays it with the \
          first command after every pause.",
};

/// A sleep that the core may take.
struct IdleState {
    number: String,
    name: String,
    wake_us: u64,
}

pub(super) fn idle_states(host: &Host, plan: &Plan) -> Finding {
    IDLE_STATES.judge(|| {
        let core = HotCore::find(host, plan)?;
        let spins = plan.idle == Idle::Spin && core.chosen && !core.others.is_empty();
        if spins {
            return Ok(IDLE_STATES.good(format!("the hot thread spins on {core}, which never sleeps")));
        }
        let command_line = host.text("/proc/cmdline")?;
        if command_line.split_whitespace().any(|word| word == "idle=poll") {
            return Ok(IDLE_STATES.good("idle=poll: no core ever sleeps"));
        }
        let enabled = match enabled_states(host, &core) {
            Err(error) if error.missing => {
                return Err(Unread::new(format!("{error}: the hypervisor decides how {core} sleeps")));
            }
            enabled => enabled?,
        };
        let Some(deepest) = enabled.iter().max_by_key(|state| state.wake_us) else {
            return Ok(IDLE_STATES.good(format!("{core} has no sleep enabled")));
        };
        let found = format!("deepest on {core}: {}, {} µs to leave", deepest.name, deepest.wake_us);
        if deepest.wake_us <= WAKE_US_MAX {
            return Ok(IDLE_STATES.good(found));
        }
        let deep = enabled.iter().filter(|state| state.wake_us > WAKE_US_MAX);
        let disable = |state: &IdleState| {
            let place = core.path(&format!("cpuidle/{}/disable", state.number));
            format!("echo 1 | sudo tee {place}")
        };
        Ok(IDLE_STATES.could_be_better(found, deep.map(disable).collect()))
    })
}

fn enabled_states(host: &Host, core: &HotCore) -> Result<Vec<IdleState>, Unread> {
    let place = core.path("cpuidle");
    let mut states = Vec::new();
    for number in host.names(&place)?.into_iter().filter(|name| name.starts_with("state")) {
        if host.number(&format!("{place}/{number}/disable"))? == 0 {
            let name = host.text(&format!("{place}/{number}/name"))?;
            let wake_us = host.number(&format!("{place}/{number}/latency"))?;
            states.push(IdleState { number, name, wake_us });
        }
    }
    Ok(states)
}

const CLOCK_SOURCE: Topic = Topic {
    name: "clock-source",
    right: "tsc",
    why: "The gateway reads the clock in every turn. tsc is read in some tens of nanoseconds without a system call; \
          kvm-clock and Hyper-V's page take a little longer; hpet and acpi_pm take a system call and a microsecond \
          or more.",
};

pub(super) fn clock_source(host: &Host) -> Finding {
    CLOCK_SOURCE.judge(|| {
        let place = "/sys/devices/system/clocksource/clocksource0";
        let current = host.text(&format!("{place}/current_clocksource"))?;
        let available = host.text(&format!("{place}/available_clocksource")).unwrap_or_default();
        if current == "tsc" {
            return Ok(CLOCK_SOURCE.good("tsc"));
        }
        let has_tsc = available.split_whitespace().any(|source| source == "tsc");
        let commands = if has_tsc {
            vec![format!("echo tsc | sudo tee {place}/current_clocksource")]
        } else {
            Vec::new()
        };
        let note =
            if has_tsc { "" } else { "; the kernel does not offer tsc here (see dmesg | grep -i tsc)" };
        let found = format!("{current}{note}");
        let fast = ["kvm-clock", "hyperv_clocksource_tsc_page", "xen"].contains(&current.as_str());
        Ok(if fast {
            CLOCK_SOURCE.could_be_better(found, commands)
        } else {
            CLOCK_SOURCE.bad(found, commands)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::State;
    use super::super::super::fixture::{FOUR_CORES, Fixture, plan};
    use super::*;

    const GOVERNOR_OF_1: &str = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";

    #[test]
    fn the_governor_is_performance_or_not() {
        let finding = |files: &[(&str, &str)]| frequency_governor(&Fixture::new(files).host(), &plan());
        assert_eq!(finding(&[FOUR_CORES, (GOVERNOR_OF_1, "performance\n")]).state, State::Good);
        let slow = finding(&[FOUR_CORES, (GOVERNOR_OF_1, "schedutil\n")]);
        assert_eq!((slow.state, slow.found.as_str()), (State::CouldBeBetter, "schedutil on core 1"));
        assert_eq!(slow.commands, [format!("echo performance | sudo tee {GOVERNOR_OF_1}")]);
        let without = finding(&[FOUR_CORES]);
        assert_eq!(without.state, State::Unknown);
        assert!(without.found.contains("hypervisor"), "{without:?}");
    }

    /// A machine whose core 1 has three sleeps, the deepest disabled or not.
    fn sleeper(command_line: &str, deepest_disabled: &str) -> Fixture {
        let fixture = Fixture::new(&[FOUR_CORES, ("/proc/cmdline", command_line)]);
        for (number, name, latency, disable) in
            [(0, "POLL", "0", "0"), (1, "C1", "2", "0"), (2, "C6", "133", deepest_disabled)]
        {
            let place = format!("/sys/devices/system/cpu/cpu1/cpuidle/state{number}");
            fixture.write(&format!("{place}/name"), name);
            fixture.write(&format!("{place}/latency"), latency);
            fixture.write(&format!("{place}/disable"), disable);
        }
        fixture
    }

    #[test]
    fn deep_sleep_matters_to_a_thread_that_parks() {
        let parked = Plan { idle: Idle::Park, ..plan() };
        let deep = idle_states(&sleeper("quiet", "0").host(), &parked);
        assert_eq!(
            (deep.state, deep.found.as_str()),
            (State::CouldBeBetter, "deepest on core 1: C6, 133 µs to leave")
        );
        assert_eq!(deep.commands, ["echo 1 | sudo tee /sys/devices/system/cpu/cpu1/cpuidle/state2/disable"]);
        assert_eq!(idle_states(&sleeper("quiet", "1").host(), &parked).state, State::Good);
        assert_eq!(idle_states(&sleeper("quiet idle=poll", "0").host(), &parked).state, State::Good);
        assert_eq!(idle_states(&sleeper("quiet", "0").host(), &plan()).state, State::Good);
        let not_pinned = Plan { core: None, ..plan() };
        let fixture = sleeper("quiet", "0");
        fixture.write("/sys/devices/system/cpu/online", "0-1\n");
        assert_eq!(idle_states(&fixture.host(), &not_pinned).state, State::CouldBeBetter);
    }

    #[test]
    fn sleep_that_cannot_be_seen_is_unknown() {
        let parked = Plan { idle: Idle::Park, ..plan() };
        let without = Fixture::new(&[FOUR_CORES, ("/proc/cmdline", "quiet")]);
        let finding = idle_states(&without.host(), &parked);
        assert_eq!(finding.state, State::Unknown);
        assert!(finding.found.contains("hypervisor"), "{finding:?}");
        let fixture = sleeper("quiet", "0");
        fixture.spoil("/sys/devices/system/cpu/cpu1/cpuidle/state1/latency");
        assert_eq!(idle_states(&fixture.host(), &parked).state, State::Unknown);
    }

    #[test]
    fn clocks_are_fast_slow_or_unknown() {
        let finding = |current: &str, available: &str| {
            let place = "/sys/devices/system/clocksource/clocksource0";
            let files = [
                (format!("{place}/current_clocksource"), current),
                (format!("{place}/available_clocksource"), available),
            ];
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            clock_source(&Fixture::new(&files).host())
        };
        assert_eq!(finding("tsc\n", "tsc kvm-clock\n").state, State::Good);
        let paravirtual = finding("kvm-clock\n", "kvm-clock tsc acpi_pm\n");
        assert_eq!((paravirtual.state, paravirtual.commands.len()), (State::CouldBeBetter, 1));
        let slow = finding("hpet\n", "hpet acpi_pm\n");
        assert_eq!((slow.state, slow.commands.len()), (State::Bad, 0));
        assert!(slow.found.contains("does not offer tsc"), "{slow:?}");
        assert_eq!(clock_source(&Fixture::new(&[]).host()).state, State::Unknown);
    }
}
