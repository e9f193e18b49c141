//! A gateway under paced load for a long time: does it stay as fast and as small as it began?

use std::fs;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::peer::{GatewayClient, Process};
use crate::report::Part;
use crate::report::{Plot, Section, Series, State, Verdict};
use crate::scrape::Page;

use crate::statistics::{Round, Spread};
use crate::{Class, Mac, cores, machine};

/// Memory beside the mapped journal that the gateway may have.
const MEMORY_KIB_MAX: u64 = 64 * 1024;
/// A rate below this share of the one asked for is missed.
const RATE_SHARE_MIN: f64 = 0.99;
/// From here on the client sleeps until the next command; before, it looks at the clock.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// Points of a plot on the page, about.
const PAGE_LINES: f64 = 60.0;

/// How to soak.
#[derive(Args)]
pub(crate) struct Options {
    /// How long, in minutes; parts of one are allowed.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Commands a second, 1 to 15000. The journal keeps about 300 bytes of each.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    rate: u32,
    /// Seconds that a line stands for, 1 to 3600.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    line_seconds: u64,
    /// The session's MAC.
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    /// The journal's durability class.
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    /// Print JSON, at the end.
    #[arg(long)]
    json: bool,
}

/// What one line says.
#[derive(Clone, Copy, Default)]
struct Line {
    commands: usize,
    commands_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    anonymous_kib: u64,
    open_files: u64,
    segment: u64,
}

/// How the end differs from the beginning: medians over the first and the last tenth of the lines.
struct Drift {
    first_p50_us: f64,
    last_p50_us: f64,
    first_anonymous_kib: u64,
    last_anonymous_kib: u64,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let lines = options.lines()?;
    let (measured, failure) = measure(options, lines)?;
    conclude(options, &measured, failure)
}

impl Options {
    fn lines(&self) -> Result<usize, String> {
        let lines = (self.minutes * 60.0 / self.line_seconds as f64).round();
        if (1.0..=1e6).contains(&lines) {
            return Ok(lines as usize);
        }
        let Self { minutes, line_seconds, .. } = self;
        Err(format!(
            "--minutes {minutes} of {line_seconds} s a line are {lines} lines, give one to a million"
        ))
    }
}

fn measure(options: &Options, lines: usize) -> Result<(Vec<Line>, Option<String>), String> {
    cores::take_client()?;
    let gateway = Process::start(&[
        "gateway",
        "--durability",
        options.durability.argument(),
        "--mac",
        options.mac.argument(),
    ])?;
    let mut client = GatewayClient::connect(gateway.address, options.mac.algorithm())?;
    client.round(1000)?;
    if !options.json {
        head(options);
    }
    let soaked = soak(options, lines, &gateway, &mut client);
    gateway.stop();
    Ok(soaked)
}

/// The same for the page: how latency and memory went.
pub(crate) fn part(minutes: f64, mac: Mac, durability: Class) -> Result<Part, String> {
    let line_seconds = ((minutes * 60.0 / PAGE_LINES).round() as u64).max(1);
    let options = Options { minutes, rate: 1000, line_seconds, mac, durability, json: true };
    let lines = options.lines()?;
    let (measured, failure) = measure(&options, lines)?;
    let Some(drift) = drift(&measured) else {
        return Err(failure.unwrap_or_else(|| "no line was completed".to_owned()));
    };
    let over = |figure: fn(&Line) -> f64| -> Vec<(f64, f64)> {
        let at = |number: usize| (number as u64 + 1) * line_seconds;
        measured.iter().enumerate().map(|(number, line)| (at(number) as f64, figure(line))).collect()
    };
    let lines = |title: &str, upward: &str, series: Vec<Series>| Plot::Lines {
        title: title.to_owned(),
        across: "seconds".to_owned(),
        upward: upward.to_owned(),
        logarithmic: (false, false),
        series,
    };
    let memory = |line: &Line| line.anonymous_kib as f64 / 1024.0;
    let is_small = drift.last_anonymous_kib <= MEMORY_KIB_MAX;
    let verdicts = vec![
        Verdict {
            state: if is_small { State::Met } else { State::NotMet },
            text: format!(
                "{} KiB beside the mapped journal; goal {MEMORY_KIB_MAX}",
                drift.last_anonymous_kib
            ),
        },
        Verdict {
            state: if failure.is_none() { State::Met } else { State::NotMet },
            text: failure.unwrap_or_else(|| format!("the rate of {} a second was kept", options.rate)),
        },
    ];
    let section = Section {
        title: format!("Over time, {}", mac.argument()),
        explanation: format!(
            "{} commands a second for {minutes} minutes, a point for every {line_seconds} s; latency from the time at \
             which a command was due.",
            options.rate
        ),
        verdicts,
        plots: vec![
            lines(
                "Latency",
                "µs",
                vec![
                    ("p50".to_owned(), over(|line| line.p50_us)),
                    ("p99".to_owned(), over(|line| line.p99_us)),
                ],
            ),
            lines("Memory beside the mapped journal", "MiB", vec![("gateway".to_owned(), over(memory))]),
        ],
        table: Vec::new(),
    };
    Ok(Part { section, distributions: Vec::new() })
}

/// The lines, up to the first failure.
fn soak(
    options: &Options,
    lines: usize,
    gateway: &Process,
    client: &mut GatewayClient,
) -> (Vec<Line>, Option<String>) {
    let mut measured = Vec::with_capacity(lines);
    for number in 0..lines {
        match line(options, gateway, client) {
            Ok(line) => {
                if !options.json {
                    print(number, options, &line);
                }
                measured.push(line);
            }
            Err(error) => return (measured, Some(error)),
        }
    }
    let wanted = f64::from(options.rate) * RATE_SHARE_MIN;
    let slow = measured.iter().filter(|line| line.commands_per_second < wanted).count();
    let failure = (slow > 0).then(|| format!("the rate of {} was missed in {slow} lines", options.rate));
    (measured, failure)
}

fn line(options: &Options, gateway: &Process, client: &mut GatewayClient) -> Result<Line, String> {
    let commands = u64::from(options.rate) * options.line_seconds;
    let mut latencies = Vec::with_capacity(commands as usize);
    let began = Instant::now();
    for number in 0..commands {
        let due = began + Duration::from_nanos(number * 1_000_000_000 / u64::from(options.rate));
        wait_until(due);
        // A command that is sent late has waited: that belongs to its latency.
        let late_ns = due.elapsed().as_nanos() as u64;
        latencies.extend(client.round(1)?.iter().map(|taken_ns| late_ns + taken_ns));
    }
    wait_until(began + Duration::from_secs(options.line_seconds));
    let elapsed = began.elapsed().as_secs_f64();
    let round = Round::new(latencies);
    Ok(Line {
        commands: commands as usize,
        commands_per_second: commands as f64 / elapsed,
        p50_us: round.percentile(0.5),
        p99_us: round.percentile(0.99),
        p999_us: round.percentile(0.999),
        anonymous_kib: anonymous_kib(gateway.id())?,
        open_files: open_files(gateway.id())?,
        segment: Page::of(gateway)?.value("tollgate_journal_segment")? as u64,
    })
}

/// Sleeps while there is time, then lets others have the core until it is time.
fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match left {
            Duration::ZERO => return,
            left if left > 2 * SLEEP_MIN => std::thread::sleep(left.saturating_sub(SLEEP_MIN)),
            _ => std::thread::yield_now(),
        }
    }
}

/// Memory of a process that no file stands behind: what it has beside the mapped journal and its own program.
fn anonymous_kib(id: u32) -> Result<u64, String> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    anonymous_in(&status).ok_or_else(|| format!("{path} has no RssAnon in kB"))
}

fn anonymous_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn open_files(id: u32) -> Result<u64, String> {
    let path = format!("/proc/{id}/fd");
    Ok(fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?.count() as u64)
}

fn drift(lines: &[Line]) -> Option<Drift> {
    let (earliest, latest) = (lines.first()?, lines.last()?);
    let tenth = lines.len().div_ceil(10);
    let (first, last) = (&lines[..tenth], &lines[lines.len() - tenth..]);
    let p50 = |lines: &[Line]| Spread::of(lines.iter().map(|line| line.p50_us)).median;
    Some(Drift {
        first_p50_us: p50(first),
        last_p50_us: p50(last),
        first_anonymous_kib: earliest.anonymous_kib,
        last_anonymous_kib: latest.anonymous_kib,
    })
}

fn head(options: &Options) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!(
        "pinned     server on core {}, client and cold threads on core {}",
        cores::server(),
        cores::client()
    );
    println!("journal    {}", options.durability.argument());
    println!("MAC        {}, both ways", options.mac.argument());
    println!("latency    from the time a command was due, signing excluded, in µs\n");
    println!(
        "{:>8}{:>12}{:>10}{:>10}{:>10}{:>14}{:>8}{:>9}",
        "s", "commands/s", "p50", "p99", "p99.9*", "RssAnon KiB", "files", "segment"
    );
}

fn print(number: usize, options: &Options, line: &Line) {
    println!(
        "{:>8}{:>12.1}{:>10.2}{:>10.2}{:>10.1}{:>14}{:>8}{:>9}",
        (number as u64 + 1) * options.line_seconds,
        line.commands_per_second,
        line.p50_us,
        line.p99_us,
        line.p999_us,
        line.anonymous_kib,
        line.open_files,
        line.segment
    );
}

/// Says how it ended; false when it failed.
fn conclude(options: &Options, lines: &[Line], failure: Option<String>) -> Result<bool, String> {
    let Some(drift) = drift(lines) else {
        return Err(format!("FAIL: {}", failure.unwrap_or_else(|| "no line was completed".to_owned())));
    };
    if options.json {
        println!("{}", document(options, lines, &drift, failure.as_deref()));
        return Ok(failure.is_none());
    }
    let commands: usize = lines.iter().map(|line| line.commands).sum();
    let change = (drift.last_p50_us / drift.first_p50_us - 1.0) * 100.0;
    let growth = drift.last_anonymous_kib as i64 - drift.first_anonymous_kib as i64;
    let verdict = if drift.last_anonymous_kib <= MEMORY_KIB_MAX { "met" } else { "NOT met" };
    println!("* printed, not claimed: a shared machine cannot defend it\n");
    println!(
        "p50        {:.2} µs in the first tenth, {:.2} in the last: {change:+.1} %",
        drift.first_p50_us, drift.last_p50_us
    );
    println!(
        "memory     {} KiB after the first line, {} at the end: {growth:+} KiB; goal {MEMORY_KIB_MAX} KiB {verdict}",
        drift.first_anonymous_kib, drift.last_anonymous_kib
    );
    match &failure {
        None => println!("{commands} commands, each acknowledged once, every MAC right"),
        Some(failure) => println!("FAIL: {failure}"),
    }
    Ok(failure.is_none())
}

fn document(options: &Options, lines: &[Line], drift: &Drift, failure: Option<&str>) -> Value {
    let machine: serde_json::Map<_, _> =
        machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let line = |line: &Line| {
        json!({
            "commands": line.commands,
            "commands_per_second": line.commands_per_second,
            "p50_us": line.p50_us,
            "p99_us": line.p99_us,
            "p99.9_us": line.p999_us,
            "anonymous_kib": line.anonymous_kib,
            "open_files": line.open_files,
            "segment": line.segment,
        })
    };
    json!({
        "machine": machine,
        "durability": options.durability.argument(),
        "mac": options.mac.argument(),
        "rate": options.rate,
        "line_seconds": options.line_seconds,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "p50_us": { "first_tenth": drift.first_p50_us, "last_tenth": drift.last_p50_us },
        "anonymous_kib": {
            "first": drift.first_anonymous_kib,
            "last": drift.last_anonymous_kib,
            "at_most": MEMORY_KIB_MAX,
            "met": drift.last_anonymous_kib <= MEMORY_KIB_MAX,
        },
        "failure": failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_found() {
        let status = "VmRSS:\t  90000 kB\nRssAnon:\t   12345 kB\nRssFile:\t   70000 kB\n";
        assert_eq!(anonymous_in(status), Some(12_345));
        assert_eq!(anonymous_in("VmRSS:\t 9 kB\n"), None);
    }

    #[test]
    fn drift_compares_the_first_tenth_with_the_last() {
        let line = |at: u64| Line { p50_us: at as f64, anonymous_kib: 100 * at, ..Line::default() };
        let lines: Vec<Line> = (1..=30).map(line).collect();
        let found = drift(&lines).map(|it| {
            (it.first_p50_us as u64, it.last_p50_us as u64, it.first_anonymous_kib, it.last_anonymous_kib)
        });
        assert_eq!(found, Some((2, 29, 100, 3000)));
        assert!(drift(&[]).is_none());
    }
}
