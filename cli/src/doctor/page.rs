//! The findings as a page of text.

use super::super::output::{Output, Tone};
use super::super::table::one_line;
use super::finding::{Finding, State};

/// Lines are no longer than this, where the terminal is wider or there is none.
const WIDTH_MAX: usize = 100;
/// Where what was found stands.
const FOUND_INDENT: usize = 22;
/// Where the parts of a finding stand.
const PART_INDENT: usize = 12;

/// All findings, in their order: those that are well on a line, the others with what to do.
pub(super) fn findings(findings: &[Finding], output: &Output) -> String {
    let width = output.width.map_or(WIDTH_MAX, |width| width.clamp(60, WIDTH_MAX));
    let mut text = String::new();
    for state in State::ALL {
        let group: Vec<&Finding> = findings.iter().filter(|finding| finding.state == state).collect();
        if group.is_empty() {
            continue;
        }
        let heading = format!("{} ({})", state.words(), group.len());
        text.push_str(&output.paint(state.tone(), &heading));
        text.push('\n');
        for finding in group {
            one(finding, width, output, &mut text);
            if state != State::Good {
                text.push('\n');
            }
        }
        if state == State::Good {
            text.push('\n');
        }
    }
    text
}

fn one(finding: &Finding, width: usize, output: &Output, text: &mut String) {
    let name = output.paint(Tone::Heading, finding.name);
    let gap = FOUND_INDENT.saturating_sub(2 + finding.name.len()).max(1);
    text.extend(["  ", &name, &" ".repeat(gap)]);
    let found = one_line(&finding.found);
    text.push_str(&wrapped(&found, FOUND_INDENT, width));
    if finding.state == State::Good {
        return;
    }
    part("right", &wrapped(finding.right, PART_INDENT, width), output, text);
    part("why", &wrapped(finding.why, PART_INDENT, width), output, text);
    let lines = finding.commands.iter().flat_map(|command| command.lines());
    let indent = format!("\n{}", " ".repeat(PART_INDENT));
    let commands: Vec<String> = lines.map(one_line).collect();
    if !commands.is_empty() {
        part("change", &format!("{}\n", commands.join(&indent)), output, text);
    }
}

fn part(name: &str, content: &str, output: &Output, text: &mut String) {
    let gap = PART_INDENT - 4 - name.len();
    text.extend(["    ", &output.paint(Tone::Faint, name), &" ".repeat(gap), content]);
}

/// Text in lines of at most `width` columns, the first of which begins at `indent` already.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines.push('\n');
    lines
}

/// How many findings there are of each state.
pub(super) fn summary(findings: &[Finding]) -> String {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let counts = State::ALL.map(|state| format!("{} {}", count(state), state.words()));
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::super::fixture::{Fixture, plan};
    use super::*;

    #[test]
    fn text_is_wrapped_at_words() {
        assert_eq!(wrapped("one two three", 4, 12), "one two\n    three\n");
        assert_eq!(wrapped("", 4, 12), "\n");
        assert_eq!(wrapped("indivisible word", 4, 8), "indivisible\n    word\n");
    }

    /// A machine where nearly everything is to be done.
    fn neglected() -> Fixture {
        let fixture = Fixture::new(&[
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/sys/devices/system/cpu/isolated", "\n"),
            ("/sys/devices/system/cpu/nohz_full", "(null)\n"),
            ("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3\n"),
            ("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave\n"),
            ("/sys/devices/system/cpu/vulnerabilities/meltdown", "Vulnerable\n"),
            ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
            ("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet\n"),
            ("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
            ("/proc/irq/24/smp_affinity_list", "0-3\n"),
            ("/proc/irq/24/virtio0-input.0/x", ""),
            ("/proc/1/comm", "init\n"),
            ("/proc/2/comm", "irqbalance\n"),
            ("/proc/swaps", "Filename Type Size Used Priority\n/swapfile file 9 9 -2\n"),
            ("/proc/sys/vm/swappiness", "60\n"),
            ("/proc/sys/net/core/busy_poll", "0\n"),
            ("/proc/sys/net/core/busy_read", "0\n"),
            ("/proc/sys/net/ipv4/tcp_autocorking", "1\n"),
            ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n"),
            ("/proc/sys/kernel/osrelease", "5.4.0-1-generic\n"),
            ("/proc/self/limits", "Max open files 10 10 files\nMax locked memory 65536 65536 bytes\n"),
            ("/proc/self/mountinfo", "1 0 0:1 / / rw - tmpfs none rw\n"),
        ]);
        for (file, text) in [("name", "C6\n"), ("latency", "133\n"), ("disable", "0\n")] {
            fixture.write(&format!("/sys/devices/system/cpu/cpu3/cpuidle/state2/{file}"), text);
        }
        fixture.write("/proc/cmdline", "quiet\n");
        fixture
    }

    #[test]
    fn a_page_fits_a_hundred_columns_and_names_every_command() {
        let fixture = neglected();
        let all = checks::all(&fixture.host(), &super::super::plan::Plan { core: None, ..plan() });
        let page = findings(&all, &Output::plain());
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH_MAX && line == line.trim_end(), "{line:?}");
        }
        for finding in &all {
            assert!(page.contains(&format!("  {} ", finding.name)), "{}\n{page}", finding.name);
            for line in finding.commands.iter().flat_map(|command| command.lines()) {
                assert!(page.contains(&format!("{line}\n")), "{line:?} is not whole in\n{page}");
            }
        }
        let order = ["bad (", "could be better (", "unknown (", "good ("].map(|heading| page.find(heading));
        assert!(order.is_sorted() && order[0].is_some(), "{order:?}\n{page}");
        assert!(summary(&all).ends_with(" good"), "{}", summary(&all));
    }
}
