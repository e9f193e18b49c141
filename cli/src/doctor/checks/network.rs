//! The way of a command through the kernel's network. What has no effect any more (`tcp_low_latency`) is left out.

use tollgate_config::Idle;

use super::super::finding::{Finding, Topic};
use super::super::host::Host;
use super::super::plan::Plan;
use super::kernel_version;

const BUSY_POLL: Topic = Topic {
    name: "busy-poll",
    right: "net.core.busy_poll of 50 where the hot thread parks and clients come by a network card",
    why: "A thread that waits then asks the card's queue itself for that many microseconds before it sleeps. It makes \
          no difference on loopback, which has no queue to ask, nor to a thread that spins: the kernel answers a poll \
          that does not wait without asking the card.",
};

pub(super) fn busy_poll(host: &Host, plan: &Plan) -> Finding {
    BUSY_POLL.judge(|| {
        let poll = host.number("/proc/sys/net/core/busy_poll")?;
        let read = host.number("/proc/sys/net/core/busy_read")?;
        let found = format!("busy_poll = {poll}, busy_read = {read}");
        if let Some(on_loopback) = on_loopback(&found, plan) {
            return Ok(BUSY_POLL.good(on_loopback));
        }
        if plan.idle != Idle::Park {
            return Ok(BUSY_POLL.good(format!("{found}; no matter to a hot thread that never waits")));
        }
        if poll > 0 {
            return Ok(BUSY_POLL.good(found));
        }
        let set = "sudo sysctl -w net.core.busy_poll=50".to_owned();
        Ok(BUSY_POLL.could_be_better(found, vec![set]))
    })
}

/// What is to be said where no command comes from outside.
fn on_loopback(found: &str, plan: &Plan) -> Option<String> {
    let listen = plan.listen;
    listen.ip().is_loopback().then(|| format!("{found}; no matter on loopback (gateway.listen = {listen})"))
}

/// From here on the kernel corks no socket with TCP_NODELAY, which all of the gateway's are.
const NO_CORKING_SINCE: (u32, u32) = (6, 8);

const AUTOCORKING: Topic = Topic {
    name: "tcp-autocorking",
    right: "0, or a kernel from 6.8 on, which corks no socket with TCP_NODELAY",
    why: "Older kernels may hold a small answer back until the packet before it has left the card, in spite of \
          TCP_NODELAY.",
};

pub(super) fn tcp_autocorking(host: &Host, plan: &Plan) -> Finding {
    AUTOCORKING.judge(|| {
        let corking = host.number("/proc/sys/net/ipv4/tcp_autocorking")?;
        let found = format!("tcp_autocorking = {corking}");
        if let Some(on_loopback) = on_loopback(&found, plan) {
            return Ok(AUTOCORKING.good(on_loopback));
        }
        if corking == 0 {
            return Ok(AUTOCORKING.good(found));
        }
        let (major, minor) = kernel_version(host)?;
        if (major, minor) >= NO_CORKING_SINCE {
            return Ok(AUTOCORKING.good(format!("{found}; without effect here on kernel {major}.{minor}")));
        }
        let set = "sudo sysctl -w net.ipv4.tcp_autocorking=0".to_owned();
        Ok(AUTOCORKING.could_be_better(format!("{found} on kernel {major}.{minor}"), vec![set]))
    })
}

const IDLE_WINDOW: Topic = Topic {
    name: "tcp-idle-window",
    right: "net.ipv4.tcp_slow_start_after_idle = 0",
    why: "After a pause the kernel forgets how much the way to a client can take, and sends ten packets at first: \
          a longer burst of answers waits for a round trip.",
};

pub(super) fn tcp_idle_window(host: &Host, plan: &Plan) -> Finding {
    IDLE_WINDOW.judge(|| {
        let slow_start = host.number("/proc/sys/net/ipv4/tcp_slow_start_after_idle")?;
        let found = format!("tcp_slow_start_after_idle = {slow_start}");
        if let Some(on_loopback) = on_loopback(&found, plan) {
            return Ok(IDLE_WINDOW.good(on_loopback));
        }
        if slow_start == 0 {
            return Ok(IDLE_WINDOW.good(found));
        }
        let set = "sudo sysctl -w net.ipv4.tcp_slow_start_after_idle=0".to_owned();
        Ok(IDLE_WINDOW.could_be_better(found, vec![set]))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::finding::State;
    use super::super::super::fixture::{Fixture, plan};
    use super::*;

    fn local() -> Plan {
        Plan { listen: "127.0.0.1:7000".parse().unwrap(), ..plan() }
    }

    fn everywhere() -> Plan {
        Plan { listen: "0.0.0.0:7000".parse().unwrap(), ..plan() }
    }

    #[test]
    fn busy_polling_is_for_cards() {
        let machine = |poll: &str, read: &str| {
            Fixture::new(&[("/proc/sys/net/core/busy_poll", poll), ("/proc/sys/net/core/busy_read", read)])
        };
        let parked = |plan: Plan| Plan { idle: Idle::Park, ..plan };
        assert_eq!(busy_poll(&machine("50\n", "0\n").host(), &parked(plan())).state, State::Good);
        assert_eq!(busy_poll(&machine("0", "50").host(), &parked(plan())).state, State::CouldBeBetter);
        assert_eq!(busy_poll(&machine("0", "0").host(), &parked(everywhere())).state, State::CouldBeBetter);
        let spinning = busy_poll(&machine("0", "0").host(), &plan());
        assert_eq!(spinning.state, State::Good);
        assert!(spinning.found.contains("never waits"), "{spinning:?}");
        let on_loopback = busy_poll(&machine("0", "0").host(), &parked(local()));
        assert_eq!(on_loopback.state, State::Good);
        assert!(on_loopback.found.contains("no matter on loopback"), "{on_loopback:?}");
        assert_eq!(busy_poll(&Fixture::new(&[]).host(), &plan()).state, State::Unknown);
        assert_eq!(busy_poll(&machine("x", "0").host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn corking_depends_on_the_kernel() {
        let machine = |corking: &str, release: &str| {
            Fixture::new(&[
                ("/proc/sys/net/ipv4/tcp_autocorking", corking),
                ("/proc/sys/kernel/osrelease", release),
            ])
        };
        let state =
            |corking, release, plan: &Plan| tcp_autocorking(&machine(corking, release).host(), plan).state;
        assert_eq!(state("0", "5.15.0-91-generic", &plan()), State::Good);
        assert_eq!(state("1", "6.8.0-31-generic", &plan()), State::Good);
        assert_eq!(state("1", "6.1.0-18-amd64", &plan()), State::CouldBeBetter);
        assert_eq!(state("1", "6.1.0-18-amd64", &local()), State::Good);
        assert_eq!(state("1", "unnamed", &plan()), State::Unknown);
        assert_eq!(tcp_autocorking(&Fixture::new(&[]).host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn the_window_should_survive_a_pause() {
        let path = "/proc/sys/net/ipv4/tcp_slow_start_after_idle";
        let state =
            |text: &str, plan: &Plan| tcp_idle_window(&Fixture::new(&[(path, text)]).host(), plan).state;
        assert_eq!(state("0", &plan()), State::Good);
        assert_eq!(state("1", &plan()), State::CouldBeBetter);
        assert_eq!(state("1", &local()), State::Good);
        assert_eq!(state("yes", &plan()), State::Unknown);
        assert_eq!(tcp_idle_window(&Fixture::new(&[]).host(), &plan()).state, State::Unknown);
    }
}
