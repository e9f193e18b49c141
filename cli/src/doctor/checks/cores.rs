//! Cores, and whom they belong to.

use tollgate_config::Idle;

use super::super::core_list::CoreList;
use super::super::finding::{Finding, Topic, boot_parameter};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::{HotCore, online};

const CORES: Topic = Topic {
    name: "cores",
    right: "two at least: one for the hot thread, one for everything else",
    why: "Door, venues, flusher and the kernel need time too. With one core they take it from the hot thread, \
          milliseconds at a time.",
};

pub(super) fn cores(host: &Host) -> Finding {
    CORES.judge(|| {
        let online = online(host)?;
        let found = format!("{} online ({online})", online.len());
        Ok(if online.len() < 2 { CORES.could_be_better(found, Vec::new()) } else { CORES.good(found) })
    })
}

const IDLE_STRATEGY: Topic = Topic {
    name: "idle-strategy",
    right: "hot.idle = \"spin\" where the hot thread has a core of its own, else \"park\"",
    why: "A parked thread must be woken by the scheduler before it sees a command; a spinning one sees it at once, \
          but takes a whole core, and with a single core it starves the threads that it waits for.",
};

pub(super) fn idle_strategy(host: &Host, plan: &Plan) -> Finding {
    IDLE_STRATEGY.judge(|| {
        let online = online(host)?;
        let name = match plan.idle {
            Idle::Spin => "spin",
            Idle::Yield => "yield",
            Idle::Park => "park",
        };
        let found = format!("hot.idle = \"{name}\" with {} online", counted(online.len(), "core"));
        let set = |idle: &str| vec![format!("# in the settings, table [hot]\nidle = \"{idle}\"")];
        Ok(match (plan.idle, online.len()) {
            (Idle::Spin | Idle::Yield, 0..=1) => IDLE_STRATEGY.bad(found, set("park")),
            (Idle::Spin, _) | (Idle::Park, 0..=1) => IDLE_STRATEGY.good(found),
            (Idle::Park | Idle::Yield, _) => IDLE_STRATEGY.could_be_better(found, set("spin")),
        })
    })
}

const HOT_CORE: Topic = Topic {
    name: "hot-core",
    right: "hot.core names a core that is online and is not core 0",
    why: "A thread that the scheduler moves loses its caches. Core 0 does the kernel's own chores: most interrupts \
          start out there, and its timer tick cannot be switched off.",
};

pub(super) fn hot_core(host: &Host, plan: &Plan) -> Finding {
    HOT_CORE.judge(|| {
        let online = online(host)?;
        let last = online.last().unwrap_or(0);
        let set = || vec![format!("# in the settings, table [hot]\ncore = {last}")];
        Ok(match plan.core {
            None if online.len() < 2 => HOT_CORE.good("not set, and there is one core only"),
            None => HOT_CORE.could_be_better("hot.core is not set: the hot thread runs anywhere", set()),
            Some(core) if !online.contains(core) => {
                let found = format!(
                    "hot.core = {core} is not online ({online}): the gateway starts with a warning, not pinned"
                );
                HOT_CORE.bad(found, set())
            }
            Some(0) if online.len() > 1 => HOT_CORE.could_be_better("hot.core = 0", set()),
            Some(core) => HOT_CORE.good(format!("hot.core = {core}, online")),
        })
    })
}

const CORE_ISOLATION: Topic = Topic {
    name: "core-isolation",
    right: "the hot core is isolated (isolcpus=, or a cpuset partition) and runs the hot thread alone",
    why: "On a shared core the scheduler puts other work in front of a command: a few microseconds for a context \
          switch, milliseconds for a busy neighbour. This is what most often makes the tail.",
};

pub(super) fn core_isolation(host: &Host, plan: &Plan) -> Finding {
    CORE_ISOLATION.judge(|| {
        let core = HotCore::find(host, plan)?;
        if core.others.is_empty() {
            return Ok(CORE_ISOLATION.could_be_better("one core: nothing could run elsewhere", Vec::new()));
        }
        let isolated = isolated(host)?;
        if isolated.contains(core.number) {
            return Ok(CORE_ISOLATION.good(format!("{core} is isolated; isolated cores: {isolated}")));
        }
        let found = format!("{core} is not isolated; isolated cores: {isolated}");
        let parameter = format!("isolcpus=managed_irq,domain,{}", core.number);
        Ok(CORE_ISOLATION.could_be_better(found, core.unless_first(boot_parameter("isolation", &parameter))))
    })
}

/// Cores that the scheduler has left alone since the start, by `isolcpus=`.
pub(super) fn isolated_since_start(host: &Host) -> Result<CoreList, Unread> {
    host.cores("/sys/devices/system/cpu/isolated")
}

/// Those, and the ones that a cpuset isolates now, which only some kernels show.
fn isolated(host: &Host) -> Result<CoreList, Unread> {
    let by_cpuset = host.cores("/sys/fs/cgroup/cpuset.cpus.isolated").unwrap_or_default();
    Ok(isolated_since_start(host)?.with(&by_cpuset))
}

const TIMER_TICK: Topic = Topic {
    name: "timer-tick",
    right: "the hot core in nohz_full=, if measuring says so",
    why: "Without it the timer interrupts the hot thread 100 to 1000 times a second, for a microsecond or a few. \
          With it every system call costs a little more, so p50 may rise while the tail falls: measure both.",
};

pub(super) fn timer_tick(host: &Host, plan: &Plan) -> Finding {
    TIMER_TICK.judge(|| {
        let core = HotCore::find(host, plan)?;
        if core.others.is_empty() {
            return Ok(TIMER_TICK.good("one core, which must keep the time"));
        }
        let path = "/sys/devices/system/cpu/nohz_full";
        let tickless = match host.cores(path) {
            Err(error) if error.missing => {
                let look = "grep CONFIG_NO_HZ_FULL= /boot/config-$(uname -r)".to_owned();
                let found = format!("there is no {path}: this kernel is built without it");
                return Ok(TIMER_TICK.could_be_better(found, vec![look]));
            }
            tickless => tickless?,
        };
        if tickless.contains(core.number) {
            return Ok(TIMER_TICK.good(format!("{core} has no regular tick; nohz_full: {tickless}")));
        }
        let found = format!("{core} has a regular tick; nohz_full: {tickless}");
        let parameter = format!("nohz_full={}", core.number);
        Ok(TIMER_TICK.could_be_better(found, core.unless_first(boot_parameter("tick", &parameter))))
    })
}

const SMT_SIBLING: Topic = Topic {
    name: "smt-sibling",
    right: "the hot core shares its execution units with nothing: its sibling is offline, or isolated and empty",
    why: "Two hardware threads of one core share its units and first caches: work on the sibling slows the hot \
          thread whenever it runs, and no scheduler setting prevents that.",
};

pub(super) fn smt_sibling(host: &Host, plan: &Plan) -> Finding {
    SMT_SIBLING.judge(|| {
        let core = HotCore::find(host, plan)?;
        let siblings = host.cores(&core.path("topology/thread_siblings_list"))?.without(core.number);
        if siblings.is_empty() {
            return Ok(SMT_SIBLING.good(format!("{core} has none that is visible")));
        }
        let isolated = isolated(host)?;
        if siblings.iter().all(|sibling| isolated.contains(sibling)) {
            let found = format!("{core} shares with {siblings}, isolated: keep it empty");
            return Ok(SMT_SIBLING.good(found));
        }
        if core.others == siblings {
            // To switch it off would leave one core for everything.
            let found = format!("{core} shares with {siblings}, and there is no other core");
            return Ok(SMT_SIBLING.could_be_better(found, Vec::new()));
        }
        let off = |sibling| format!("echo 0 | sudo tee /sys/devices/system/cpu/cpu{sibling}/online");
        let found = format!("{core} shares with {siblings}");
        Ok(SMT_SIBLING.could_be_better(found, siblings.iter().map(off).collect()))
    })
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::State;
    use super::super::super::fixture::{FOUR_CORES, Fixture, plan};
    use super::*;

    const ONE_CORE: (&str, &str) = ("/sys/devices/system/cpu/online", "0\n");
    const ISOLATED: &str = "/sys/devices/system/cpu/isolated";
    const TICKLESS: &str = "/sys/devices/system/cpu/nohz_full";
    const SIBLINGS: &str = "/sys/devices/system/cpu/cpu1/topology/thread_siblings_list";

    #[test]
    fn cores_are_counted() {
        let four = cores(&Fixture::new(&[FOUR_CORES]).host());
        assert_eq!((four.state, four.found.as_str()), (State::Good, "4 online (0-3)"));
        assert_eq!(cores(&Fixture::new(&[ONE_CORE]).host()).state, State::CouldBeBetter);
        assert_eq!(cores(&Fixture::new(&[]).host()).state, State::Unknown);
    }

    #[test]
    fn spinning_needs_a_second_core() {
        let state = |files: &[(&str, &str)], idle| {
            idle_strategy(&Fixture::new(files).host(), &Plan { idle, ..plan() }).state
        };
        assert_eq!(state(&[FOUR_CORES], Idle::Spin), State::Good);
        assert_eq!(state(&[FOUR_CORES], Idle::Park), State::CouldBeBetter);
        assert_eq!(state(&[FOUR_CORES], Idle::Yield), State::CouldBeBetter);
        assert_eq!(state(&[ONE_CORE], Idle::Spin), State::Bad);
        assert_eq!(state(&[ONE_CORE], Idle::Yield), State::Bad);
        assert_eq!(state(&[ONE_CORE], Idle::Park), State::Good);
        assert_eq!(state(&[], Idle::Spin), State::Unknown);
    }

    #[test]
    fn the_hot_core_must_be_there() {
        let finding =
            |files: &[(&str, &str)], core| hot_core(&Fixture::new(files).host(), &Plan { core, ..plan() });
        assert_eq!(finding(&[FOUR_CORES], Some(1)).state, State::Good);
        let unset = finding(&[FOUR_CORES], None);
        assert_eq!(unset.state, State::CouldBeBetter);
        assert!(unset.commands[0].ends_with("core = 3"), "{unset:?}");
        assert_eq!(finding(&[FOUR_CORES], Some(0)).state, State::CouldBeBetter);
        let missing = finding(&[FOUR_CORES], Some(4));
        assert_eq!(missing.state, State::Bad);
        assert!(missing.found.contains("hot.core = 4 is not online (0-3)"), "{missing:?}");
        assert_eq!(finding(&[ONE_CORE], None).state, State::Good);
        assert_eq!(finding(&[ONE_CORE], Some(0)).state, State::Good);
        assert_eq!(finding(&[], Some(1)).state, State::Unknown);
    }

    #[test]
    fn isolation_comes_from_the_start_or_from_a_cpuset() {
        let finding = |files: &[(&str, &str)]| core_isolation(&Fixture::new(files).host(), &plan());
        assert_eq!(finding(&[FOUR_CORES, (ISOLATED, "1,3\n")]).state, State::Good);
        let cpuset = ("/sys/fs/cgroup/cpuset.cpus.isolated", "1\n");
        assert_eq!(finding(&[FOUR_CORES, (ISOLATED, "\n"), cpuset]).state, State::Good);
        let shared = finding(&[FOUR_CORES, (ISOLATED, "2\n")]);
        assert_eq!(shared.state, State::CouldBeBetter);
        assert_eq!(shared.found, "core 1 is not isolated; isolated cores: 2");
        assert!(shared.commands[0].contains("isolcpus=managed_irq,domain,1\""), "{shared:?}");
        assert_eq!(finding(&[FOUR_CORES]).state, State::Unknown);
        assert_eq!(finding(&[FOUR_CORES, (ISOLATED, "some")]).state, State::Unknown);
    }

    #[test]
    fn nothing_is_built_on_the_first_core() {
        let fixture = Fixture::new(&[FOUR_CORES, (ISOLATED, "\n"), (TICKLESS, "(null)\n")]);
        for check in [core_isolation, timer_tick] {
            let finding = check(&fixture.host(), &Plan { core: Some(0), ..plan() });
            assert_eq!(finding.state, State::CouldBeBetter);
            assert!(
                finding.commands.len() == 1 && finding.commands[0].contains("another core"),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn the_only_core_is_never_isolated() {
        let alone = Fixture::new(&[ONE_CORE, (ISOLATED, "\n")]);
        let finding = core_isolation(&alone.host(), &Plan { core: Some(0), ..plan() });
        assert_eq!((finding.state, finding.commands.len()), (State::CouldBeBetter, 0));
        assert_eq!(timer_tick(&alone.host(), &Plan { core: Some(0), ..plan() }).state, State::Good);
    }

    #[test]
    fn the_tick_is_off_where_the_kernel_says_so() {
        let finding = |files: &[(&str, &str)]| timer_tick(&Fixture::new(files).host(), &plan());
        assert_eq!(finding(&[FOUR_CORES, (TICKLESS, "1-3\n")]).state, State::Good);
        let ticking = finding(&[FOUR_CORES, (TICKLESS, "(null)\n")]);
        assert_eq!(ticking.state, State::CouldBeBetter);
        assert!(ticking.commands[0].contains(" nohz_full=1\""), "{ticking:?}");
        let without = finding(&[FOUR_CORES]);
        assert_eq!(without.state, State::CouldBeBetter);
        assert!(without.found.contains("built without it"), "{without:?}");
        let fixture = Fixture::new(&[FOUR_CORES]);
        fixture.spoil(TICKLESS);
        assert_eq!(timer_tick(&fixture.host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn a_sibling_is_harmless_when_it_is_empty() {
        let finding = |files: &[(&str, &str)]| smt_sibling(&Fixture::new(files).host(), &plan());
        assert_eq!(finding(&[FOUR_CORES, (SIBLINGS, "1\n")]).state, State::Good);
        let shared = finding(&[FOUR_CORES, (SIBLINGS, "1,3\n"), (ISOLATED, "1\n")]);
        assert_eq!((shared.state, shared.found.as_str()), (State::CouldBeBetter, "core 1 shares with 3"));
        assert_eq!(shared.commands, ["echo 0 | sudo tee /sys/devices/system/cpu/cpu3/online"]);
        assert_eq!(finding(&[FOUR_CORES, (SIBLINGS, "1,3\n"), (ISOLATED, "1,3\n")]).state, State::Good);
        let two = ("/sys/devices/system/cpu/online", "0-1\n");
        let last = finding(&[two, (SIBLINGS, "0-1\n"), (ISOLATED, "1\n")]);
        assert_eq!((last.state, last.commands.len()), (State::CouldBeBetter, 0));
        assert_eq!(finding(&[FOUR_CORES]).state, State::Unknown);
    }
}
