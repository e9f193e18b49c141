//! The built program, run as its users run it.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program, without anything from this process's environment that it would heed.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    for name in
        ["TOLLGATE_CONFIG", "TOLLGATE_KEY_FILE", "TOLLGATE_LOG", "TOLLGATE_DIRECTORY", "NO_COLOR", "COLUMNS"]
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What a run printed and how it ended.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Ran {
    fn new(output: &Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Runs it to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::new(&command.output().unwrap())
    }

    /// Checks the exit code; shows everything when it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Checks that stdout has this in it.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} in stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Checks that stderr has this in it.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in stderr:\n{}\nstdout:\n{}", self.err, self.out);
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Stdout as JSON Lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs the program with arguments that stand in one line, separated by blanks.
pub(crate) fn tollgate(line: &str) -> Ran {
    Ran::new(&program().args(line.split_whitespace()).output().unwrap())
}

/// A directory that `tollgate init` filled, with ports that the system chooses.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap() };
        let line =
            format!("init {} --listen 127.0.0.1:0 --side-listen 127.0.0.1:0", home.path("gate").display());
        tollgate(&line).exits(0);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.path("gate/tollgate.toml").display().to_string()
    }

    pub(crate) fn key(&self, id: &str) -> PathBuf {
        self.path(&format!("gate/clients/{id}.toml"))
    }
}

/// A gateway that `tollgate run` started.
pub(crate) struct Running {
    child: Child,
    /// Kept open, and read at the end.
    log: BufReader<ChildStderr>,
    pub(crate) clients: String,
    pub(crate) side: String,
}

impl Running {
    /// Starts it, and waits until it says where it listens.
    // A gateway that does not become ready has ended, and the test fails.
    #[allow(clippy::zombie_processes)]
    pub(crate) fn start(home: &Home) -> Self {
        let mut child =
            program().args(["run", "--config", &home.config()]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was ready:\n{seen}");
            seen.push_str(&line);
            if let Some((_, addresses)) = line.split_once("ready clients=") {
                let (clients, side) = addresses.trim().split_once(" side=").unwrap();
                return Self { child, log, clients: clients.to_owned(), side: side.to_owned() };
            }
        }
    }

    /// Its process.
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// A command line that logs on with a key of the home.
    pub(crate) fn with_key(&self, home: &Home, key: &str, line: &str) -> Ran {
        let mut command = program();
        command.args(line.split_whitespace()).args(["--address", &self.clients]);
        command.env("TOLLGATE_KEY_FILE", home.key(key));
        Ran::new(&command.output().unwrap())
    }

    /// The same, without waiting for its end; it is killed when what this gives is dropped.
    pub(crate) fn spawn_with_key(&self, home: &Home, key: &str, line: &str) -> Killed {
        let mut command = program();
        command.args(line.split_whitespace()).args(["--address", &self.clients]);
        command.env("TOLLGATE_KEY_FILE", home.key(key)).stdout(Stdio::null()).stderr(Stdio::null());
        Killed(command.spawn().unwrap())
    }

    /// Ends it with a signal; with its exit code and the rest of its log.
    pub(crate) fn stop(mut self, signal: &str) -> (i32, String) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), rest)
    }
}

/// A process that does not outlive its test.
pub(crate) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone when the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, which must be soon.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
