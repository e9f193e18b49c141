//! Memory, and the limits of a process.

use super::super::finding::{Finding, Topic};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::bracketed;

/// What the kernel's own advice calls "avoid swapping".
const SWAPPINESS_MAX: u64 = 10;

const SWAP: Topic = Topic {
    name: "swap",
    right: "no swap, or vm.swappiness of 10 at most and none of it in use",
    why: "A page that was swapped out is read from the disk when the hot thread next touches it: milliseconds, in \
          the middle of a command. Tables that are seldom used are swapped out first.",
};

pub(super) fn swap(host: &Host) -> Finding {
    SWAP.judge(|| {
        let swaps = host.text("/proc/swaps")?;
        let used: Vec<u64> = swaps.lines().skip(1).filter_map(swap_used_kib).collect();
        if used.is_empty() {
            return Ok(SWAP.good("none"));
        }
        let swappiness = host.number("/proc/sys/vm/swappiness")?;
        let used_kib: u64 = used.iter().sum();
        let found = format!("{} MiB in use, vm.swappiness = {swappiness}", used_kib.div_ceil(1024));
        if used_kib == 0 && swappiness <= SWAPPINESS_MAX {
            return Ok(SWAP.good(found));
        }
        let commands = vec![
            "sudo sysctl -w vm.swappiness=1".to_owned(),
            "sudo swapoff -a   # needs as much free memory as is swapped out".to_owned(),
        ];
        Ok(SWAP.could_be_better(found, commands))
    })
}

fn swap_used_kib(line: &str) -> Option<u64> {
    line.split_whitespace().nth(3)?.parse().ok()
}

const HUGE_PAGES: Topic = Topic {
    name: "huge-pages",
    right: "madvise",
    why: "With \"always\" the kernel gathers and splits pages of every process, in the background and at page faults: \
          both take time at moments that nobody chose, and interrupt all cores of the process. The gateway asks for \
          huge pages for its tables, when it starts; with \"never\" it does not get them.",
};

pub(super) fn huge_pages(host: &Host) -> Finding {
    HUGE_PAGES.judge(|| {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        let text = match host.text(path) {
            Err(error) if error.missing && host.text("/proc/meminfo").is_ok() => {
                return Ok(HUGE_PAGES.good("this kernel has none"));
            }
            text => text?,
        };
        let choice = bracketed(&text).ok_or_else(|| Unread::strange(path, &text))?;
        match choice {
            "madvise" => Ok(HUGE_PAGES.good(choice)),
            "always" | "never" => {
                let set = format!("echo madvise | sudo tee {path}");
                Ok(HUGE_PAGES.could_be_better(choice, vec![set]))
            }
            _ => Err(Unread::strange(path, &text)),
        }
    })
}

/// Soft and hard limit of this process; `None` for unlimited.
fn limit(host: &Host, name: &str) -> Result<(Option<u64>, Option<u64>), Unread> {
    let path = "/proc/self/limits";
    let text = host.text(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.ok_or_else(|| Unread::new(format!("{path} does not name {name:?}")))?;
    let mut values = line.split_whitespace().map(|value| match value {
        "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| Unread::strange(path, line)),
    });
    match (values.next(), values.next()) {
        (Some(soft), Some(hard)) => Ok((soft?, hard?)),
        _ => Err(Unread::strange(path, line)),
    }
}

const OPEN_FILES: Topic = Topic {
    name: "open-files",
    right: "session.sessions_max + session.unauthenticated_max + 64 at least",
    why: "Every connection is a descriptor. Without one a client is turned away, however few orders there are. A \
          service has a limit of its own: LimitNOFILE= in its unit.",
};

pub(super) fn open_files(host: &Host, plan: &Plan) -> Finding {
    OPEN_FILES.judge(|| {
        let (soft, hard) = limit(host, "Max open files")?;
        let Some(soft) = soft else { return Ok(OPEN_FILES.good("unlimited")) };
        let needed = plan.descriptors;
        let found = format!("{soft} here; the settings need {needed}");
        if soft >= needed {
            return Ok(OPEN_FILES.good(found));
        }
        let commands = if hard.is_none_or(|hard| hard >= needed) {
            vec![format!("ulimit -n {needed}   # in the shell that starts the gateway")]
        } else {
            vec![format!(
                "echo '* - nofile {needed}' | sudo tee /etc/security/limits.d/60-tollgate.conf\n\
                 # then log in again"
            )]
        };
        Ok(if soft < plan.descriptors_of_sessions {
            OPEN_FILES.bad(found, commands)
        } else {
            OPEN_FILES.could_be_better(found, commands)
        })
    })
}

const LOCKED_MEMORY: Topic = Topic {
    name: "locked-memory",
    right: "any: the gateway locks no memory",
    why: "Stated so that nobody raises it in vain. What keeps the gateway in memory is a machine that does not swap \
          (see swap).",
};

pub(super) fn locked_memory(host: &Host) -> Finding {
    LOCKED_MEMORY.judge(|| {
        let (soft, _) = limit(host, "Max locked memory")?;
        Ok(LOCKED_MEMORY.good(match soft {
            Some(bytes) => format!("{} KiB", bytes >> 10),
            None => "unlimited".to_owned(),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::State;
    use super::super::super::fixture::{Fixture, plan};
    use super::*;

    const SWAP_HEADING: &str = "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn limits(open_files: &str) -> Fixture {
        let text = format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            {open_files}                files     \n\
             Max locked memory         8388608              unlimited            bytes     \n"
        );
        Fixture::new(&[("/proc/self/limits", &text)])
    }

    #[test]
    fn swap_is_absent_idle_or_in_the_way() {
        let finding = |entry: &str, swappiness: &str| {
            let swaps = format!("{SWAP_HEADING}{entry}");
            let files = [("/proc/swaps", swaps.as_str()), ("/proc/sys/vm/swappiness", swappiness)];
            super::swap(&Fixture::new(&files).host())
        };
        assert_eq!(finding("", "60").state, State::Good);
        assert_eq!(finding("/swapfile file 2097148 0 -2\n", "10").state, State::Good);
        assert_eq!(finding("/swapfile file 2097148 0 -2\n", "60").state, State::CouldBeBetter);
        let used = finding("/swapfile file 2097148 1025 -2\n/dev/zram0 partition 5 0 5\n", "1");
        assert_eq!(
            (used.state, used.found.as_str()),
            (State::CouldBeBetter, "2 MiB in use, vm.swappiness = 1")
        );
        assert_eq!(finding("/swapfile file 2097148 0 -2\n", "low").state, State::Unknown);
        assert_eq!(super::swap(&Fixture::new(&[]).host()).state, State::Unknown);
    }

    #[test]
    fn huge_pages_are_asked_for_or_forced() {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        let state = |text: &str| huge_pages(&Fixture::new(&[(path, text)]).host()).state;
        assert_eq!(state("always [madvise] never\n"), State::Good);
        assert_eq!(state("always madvise [never]\n"), State::CouldBeBetter);
        assert_eq!(state("[always] madvise never\n"), State::CouldBeBetter);
        assert_eq!(state("always\n"), State::Unknown);
        assert_eq!(huge_pages(&Fixture::new(&[]).host()).state, State::Unknown);
        assert_eq!(huge_pages(&Fixture::new(&[("/proc/meminfo", "x")]).host()).state, State::Good);
    }

    #[test]
    fn descriptors_suffice_for_every_session() {
        let finding = |text: &str| open_files(&limits(text).host(), &plan());
        assert_eq!(finding("448                  448  ").state, State::Good);
        assert_eq!(finding("unlimited            unlimited").state, State::Good);
        let few = finding("447                  4096 ");
        assert_eq!(
            (few.state, few.commands[0].as_str()),
            (State::CouldBeBetter, "ulimit -n 448   # in the shell that starts the gateway")
        );
        let too_few = finding("191                  191  ");
        assert_eq!(too_few.state, State::Bad);
        assert!(too_few.commands[0].contains("nofile 448"), "{too_few:?}");
        assert_eq!(finding("many                 191  ").state, State::Unknown);
        assert_eq!(open_files(&Fixture::new(&[]).host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn the_limit_of_locked_memory_is_told() {
        let finding = locked_memory(&limits("1 1").host());
        assert_eq!((finding.state, finding.found.as_str()), (State::Good, "8192 KiB"));
        let without = Fixture::new(&[("/proc/self/limits", "Max open files 1 1 files")]);
        assert_eq!(locked_memory(&without.host()).state, State::Unknown);
    }
}
