//! The door and the log, for readiness and metrics.

use std::time::Duration;

use super::Source;
use super::checks::{Check, Finding};
use super::exposition::{Exposition, Seconds};
use crate::door::{DoorState, Task};

/// The door's thread shows every second that it turns.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The checks of a door that is open.
pub(super) fn checks(source: &Source) -> Vec<Check> {
    let Some(door) = source.status.door() else { return Vec::new() };
    vec![Check::make("door", || thread(door)), Check::make("keys", || keys(door))]
}

fn thread(door: &DoorState) -> Finding {
    if door.is_over() {
        return Finding::Failed("its thread has ended: nobody can log on, no key can be revoked".to_owned());
    }
    let silence = door.silence();
    if silence > SILENCE_MAX {
        let (silent_s, allowed_s) = (silence.as_secs(), SILENCE_MAX.as_secs());
        return Finding::Failed(format!(
            "its thread has not turned for {silent_s} s, {allowed_s} s are allowed"
        ));
    }
    Finding::Good
}

fn keys(door: &DoorState) -> Finding {
    match door.keys_problem() {
        None => Finding::Good,
        Some((words, age)) => {
            let line = words.replace('\n', "; ");
            let seconds = age.as_secs();
            Finding::Failed(format!("not read for {seconds} s, so no key can be revoked: {line}"))
        }
    }
}

/// Their metrics.
pub(super) fn families(out: &mut Exposition, source: &Source) {
    if let Some(door) = source.status.door() {
        out.gauge("tollgate_door_up", "1 while the door's thread runs.").value(u8::from(!door.is_over()));
        let mut family =
            out.counter("tollgate_door_task_restarts_total", "Tasks of the door begun again after a defect.");
        for task in Task::ALL {
            family.labelled(&[("task", task.name())], door.restarts(task));
        }
        let age_ns = door.keys_problem().map_or(0, |(_, age)| age.as_nanos() as u64);
        out.gauge(
            "tollgate_door_keys_unread_seconds",
            "For how long the keys file could not be read as it is; 0 when it can.",
        )
        .value(Seconds(age_ns));
    }
    if let Some(log) = source.status.log() {
        out.counter("tollgate_log_lines_total", "Lines of the log that were written.").value(log.written());
        out.counter(
            "tollgate_log_lines_lost_total",
            "Lines of the log that were lost: nobody took them, or the file failed.",
        )
        .value(log.lost());
        out.gauge("tollgate_log_lines_waiting", "Lines of the log that wait for its file.")
            .value(log.waiting());
    }
}
