//! Interrupts on the hot core.

use super::super::core_list::CoreList;
use super::super::finding::{Finding, Topic};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::HotCore;
use super::cores::isolated_since_start;

/// More names than this are not shown.
const NAMES_SHOWN: usize = 4;

const INTERRUPTS: Topic = Topic {
    name: "interrupts",
    right: "no device's interrupt may run on the hot core",
    why: "An interrupt stops the hot thread for some microseconds, and the network work that follows it for longer. \
          Interrupts that the kernel manages itself (queues of NVMe disks) cannot be moved by hand; \
          isolcpus=managed_irq keeps them away.",
};

/// An interrupt of a device.
struct Interrupt {
    number: String,
    device: String,
    /// Where it may run.
    allowed: CoreList,
    /// Where it is delivered now; not every kernel says so.
    delivered: Option<CoreList>,
}

pub(super) fn interrupts(host: &Host, plan: &Plan) -> Finding {
    INTERRUPTS.judge(|| {
        let core = HotCore::find(host, plan)?;
        let all = devices(host)?;
        let allowed: Vec<&Interrupt> = all.iter().filter(|one| one.allowed.contains(core.number)).collect();
        if allowed.is_empty() {
            return Ok(INTERRUPTS.good(format!("none of {} may run on {core}", all.len())));
        }
        let now = |one: &&Interrupt| one.delivered.as_ref().is_some_and(|list| list.contains(core.number));
        let (here, elsewhere): (Vec<&Interrupt>, Vec<&Interrupt>) = allowed.iter().copied().partition(now);
        let found = format!(
            "{} of {} may run on {core} (delivered there now: {}): {}",
            allowed.len(),
            all.len(),
            here.len(),
            listed(here.iter().chain(&elsewhere).copied())
        );
        if core.others.is_empty() {
            return Ok(INTERRUPTS.could_be_better(format!("{found}; there is no other core"), Vec::new()));
        }
        let others = &core.others;
        let move_all = format!(
            "for f in /proc/irq/*/smp_affinity_list; do echo {others} | sudo tee $f; done >/dev/null 2>&1"
        );
        Ok(INTERRUPTS.could_be_better(found, core.unless_first(vec![move_all])))
    })
}

/// Interrupts that a driver has taken: each has a directory with the driver's name for it.
fn devices(host: &Host) -> Result<Vec<Interrupt>, Unread> {
    let mut found = Vec::new();
    for number in host.names("/proc/irq")? {
        let place = format!("/proc/irq/{number}");
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let device =
            host.names(&place)?.into_iter().find(|name| host.is_directory(&format!("{place}/{name}")));
        let Some(device) = device else { continue };
        let allowed = host.cores(&format!("{place}/smp_affinity_list"))?;
        let delivered = host.cores(&format!("{place}/effective_affinity_list")).ok();
        found.push(Interrupt { number, device, allowed, delivered });
    }
    Ok(found)
}

fn listed<'a>(interrupts: impl Iterator<Item = &'a Interrupt>) -> String {
    let names: Vec<String> = interrupts.map(|one| format!("{} {}", one.number, one.device)).collect();
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN { format!("{shown}, …") } else { shown }
}

const IRQBALANCE: Topic = Topic {
    name: "irqbalance",
    right: "not running, or the hot core isolated by isolcpus=, which irqbalance respects",
    why: "irqbalance moves interrupts to whichever core it takes for free, the hot core included, and undoes by \
          and by what was set by hand.",
};

pub(super) fn irqbalance(host: &Host, plan: &Plan) -> Finding {
    IRQBALANCE.judge(|| {
        if host.running(&["irqbalance"])?.is_empty() {
            return Ok(IRQBALANCE.good("not running"));
        }
        let core = HotCore::find(host, plan)?;
        if isolated_since_start(host)?.contains(core.number) {
            return Ok(IRQBALANCE.good(format!("running; {core} is isolated by isolcpus=")));
        }
        let stop = "sudo systemctl disable --now irqbalance".to_owned();
        Ok(IRQBALANCE.could_be_better(format!("running; {core} is not isolated by isolcpus="), vec![stop]))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::State;
    use super::super::super::fixture::{FOUR_CORES, Fixture, plan};
    use super::*;

    /// Interrupt 24 of a disk, 25 of a card, and 3 that no driver has taken.
    fn machine(disk: &str, card: &str, card_now: &str) -> Fixture {
        Fixture::new(&[
            FOUR_CORES,
            ("/proc/irq/default_smp_affinity", "f\n"),
            ("/proc/irq/3/smp_affinity_list", "0-3\n"),
            ("/proc/irq/24/smp_affinity_list", disk),
            ("/proc/irq/24/nvme0q1/x", ""),
            ("/proc/irq/25/smp_affinity_list", card),
            ("/proc/irq/25/effective_affinity_list", card_now),
            ("/proc/irq/25/eth0-rx/x", ""),
        ])
    }

    #[test]
    fn interrupts_belong_on_other_cores() {
        let good = interrupts(&machine("0\n", "0,2-3\n", "2\n").host(), &plan());
        assert_eq!((good.state, good.found.as_str()), (State::Good, "none of 2 may run on core 1"));
        let shared = interrupts(&machine("0-3\n", "0-3\n", "1\n").host(), &plan());
        assert_eq!(shared.state, State::CouldBeBetter);
        assert_eq!(shared.found, "2 of 2 may run on core 1 (delivered there now: 1): 25 eth0-rx, 24 nvme0q1");
        assert!(shared.commands[0].contains("echo 0,2-3 | sudo tee $f"), "{shared:?}");
    }

    #[test]
    fn interrupts_that_cannot_be_read_are_unknown() {
        let fixture = machine("0\n", "0\n", "0\n");
        fixture.spoil("/proc/irq/24/smp_affinity_list");
        assert_eq!(interrupts(&fixture.host(), &plan()).state, State::Unknown);
        assert_eq!(interrupts(&Fixture::new(&[FOUR_CORES]).host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn one_core_takes_all_interrupts() {
        let fixture = machine("0\n", "0\n", "0\n");
        fixture.write("/sys/devices/system/cpu/online", "0\n");
        let finding = interrupts(&fixture.host(), &Plan { core: None, ..plan() });
        assert_eq!((finding.state, finding.commands.len()), (State::CouldBeBetter, 0));
    }

    #[test]
    fn irqbalance_is_harmless_beside_an_isolated_core() {
        let state = |process: &str, cores: &str| {
            let files = [
                FOUR_CORES,
                ("/proc/1/comm", "systemd\n"),
                ("/proc/9/comm", process),
                ("/sys/devices/system/cpu/isolated", cores),
            ];
            irqbalance(&Fixture::new(&files).host(), &plan()).state
        };
        assert_eq!(state("sshd\n", "\n"), State::Good);
        assert_eq!(state("irqbalance\n", "1\n"), State::Good);
        assert_eq!(state("irqbalance\n", "2\n"), State::CouldBeBetter);
        assert_eq!(irqbalance(&Fixture::new(&[FOUR_CORES]).host(), &plan()).state, State::Unknown);
    }
}
