//! System calls of the hot thread for one command, when it sleeps between two: counted by strace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tollgate_protocol::mac::MacAlgorithm;

use crate::load::Load;
use crate::peer::Process;
use crate::workload::Kind;

/// What to count.
#[derive(Args)]
pub(crate) struct Options {
    /// Commands of each kind, one at a time.
    #[arg(long, default_value_t = 500)]
    commands: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Kinds of commands with the most system calls that one may take. A heartbeat: wait, read, write. A new order wakes
/// its venue beside, and each of the venue's two reports may be a turn of its own: woken, wait, write. A twentieth more
/// is for timers.
const CEILINGS: [(Kind, f64); 3] = [(Kind::Heartbeat, 3.15), (Kind::Refused, 3.15), (Kind::New, 8.4)];

/// Calls by name.
type Counts = BTreeMap<String, u64>;

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.commands < 100 {
        return Err(format!("--commands {}: give 100 at least", options.commands));
    }
    let mut rows = Vec::new();
    for (kind, ceiling) in CEILINGS {
        rows.push((kind, ceiling, count(kind, options.commands)?));
    }
    let each = |counts: &Counts| counts.values().sum::<u64>() as f64 / options.commands as f64;
    let is_over = |row: &&(Kind, f64, Counts)| each(&row.2) > row.1;
    if options.json {
        let rows: serde_json::Map<_, _> = rows
            .iter()
            .map(|(kind, ceiling, counts)| {
                let row = json!({ "per_command": each(counts), "ceiling": ceiling, "calls": counts });
                (kind.name().to_owned(), row)
            })
            .collect();
        println!("{}", json!({ "commands": options.commands, "system_calls": rows }));
    } else {
        println!("{:<11}{:>14}{:>10}   calls of {} commands", "", "per command", "ceiling", options.commands);
        for row in &rows {
            let (kind, ceiling, counts) = row;
            let calls: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let verdict = if is_over(&row) { "  OVER" } else { "" };
            println!(
                "{:<11}{:>14.2}{ceiling:>10}   {}{verdict}",
                kind.name(),
                each(counts),
                calls.join(", ")
            );
        }
    }
    let over = rows.iter().filter(is_over).count();
    if over > 0 {
        eprintln!(
            "error: {over} kinds of commands take more system calls than their ceilings in bench/src/syscalls.rs. Make \
             the turn as short as it was; or, when the change is worth it, say so in CHANGELOG.md and raise them"
        );
    }
    Ok(over == 0)
}

fn count(kind: Kind, commands: usize) -> Result<Counts, String> {
    let process = Process::start(&["gateway", "--idle", "park"])?;
    let mut load = Load::gateway(process.address, 1, MacAlgorithm::Blake3, kind)?;
    load.prepare(200, 0)?;
    load.run(1)?;
    let thread = hot_thread(process.id())?;
    let mut strace = attach(thread)?;
    load.prepare(commands, 0)?;
    load.run(1)?;
    detach(&mut strace)
}

/// The number of the thread that is called `tollgate-hot`.
fn hot_thread(process: u32) -> Result<String, String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).map_err(|error| error.to_string())?;
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.trim() == "tollgate-hot" {
            return Ok(task.file_name().to_string_lossy().into_owned());
        }
    }
    Err("the gateway has no thread called tollgate-hot".to_owned())
}

fn attach(thread: String) -> Result<Child, String> {
    let mut strace = Command::new("strace")
        .args(["-c", "-U", "name,calls", "-p"])
        .arg(thread)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("strace: {error}; run: sudo apt-get install strace"))?;
    // It says when it is attached.
    let mut line = Vec::new();
    let output = strace.stderr.as_mut().ok_or("strace has no output")?;
    let mut byte = [0];
    while output.read(&mut byte).map_err(|error| error.to_string())? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    if line.contains("attached") { Ok(strace) } else { Err(format!("strace: {line}")) }
}

fn detach(strace: &mut Child) -> Result<Counts, String> {
    if let Some(pid) = i32::try_from(strace.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT).map_err(|error| error.to_string())?;
    }
    let output = strace.stderr.take().ok_or("strace has no output")?;
    let mut counts = Counts::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let mut fields = line.split_whitespace();
        if let (Some(name), Some(Ok(calls)), None) =
            (fields.next(), fields.next().map(str::parse), fields.next())
            && name != "total"
        {
            counts.insert(name.to_owned(), calls);
        }
    }
    strace.wait().map_err(|error| error.to_string())?;
    if counts.is_empty() { Err("strace counted nothing".to_owned()) } else { Ok(counts) }
}
