//! Who may look at a journal, who writes it, and what is no segment.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, open_keeping, segment_path, settings, spawn, wait_until};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use tollgate_journal::{
    Durability, OpenError, Reader, RepairOptions, Warning, open, repair, statistics, verify,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn directory_and_files_are_the_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("deep").join("journal");
    let settings = settings(&directory, Durability::Process);
    let (mut appender, handle) = spawn(&settings);
    append(&mut appender, b"secret");
    wait_until("the next segment is ready", || appender.status().next_ready);
    handle.stop().unwrap();
    drop(appender);
    assert_eq!(mode(&directory), 0o700);
    let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(open_keeping(&settings).unwrap().0.recovery.warnings, []);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    let (opened, _) = open_keeping(&settings).unwrap();
    assert_eq!(
        opened.recovery.warnings,
        [Warning::OpenToOthers { directory: directory.clone(), mode: 0o750 }]
    );
    let text = opened.recovery.warnings[0].to_string();
    assert!(text.contains("mode 0750") && text.contains("chmod 0700"), "{text}");
}

#[test]
fn without_the_lock_file_there_is_still_one_writer() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let opened = open(&settings, |_| {}).unwrap();
    fs::remove_file(directory.path().join("LOCK")).unwrap();
    assert!(matches!(open(&settings, |_| {}), Err(OpenError::Locked { .. })));
    let repaired = repair(directory.path(), &RepairOptions::default());
    assert!(repaired.unwrap_err().to_string().contains("in use"));
    drop(opened);
    assert!(open(&settings, |_| {}).is_ok());
}

#[test]
fn lock_that_is_a_link_is_refused_and_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = directory.path().join("elsewhere");
    symlink(&elsewhere, directory.path().join("LOCK")).unwrap();
    let error = open(&settings(directory.path(), Durability::Process), |_| {}).err().unwrap().to_string();
    assert!(error.contains("LOCK") && error.contains("a symbolic link"), "{error}");
    assert!(!elsewhere.exists());
}

/// Puts something at a path.
type Put = fn(&Path);

/// What is no file, by the name that an error gives it.
const IMPOSTORS: [(&str, Put); 4] = [
    ("a pipe", |path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("a symbolic link", |path| symlink("/dev/zero", path).unwrap()),
    ("a directory", |path| fs::create_dir(path).unwrap()),
];

#[test]
fn what_is_no_file_is_refused_at_once_by_whoever_looks() {
    for ((what, put), index) in IMPOSTORS.into_iter().flat_map(|impostor| [(impostor, 1), (impostor, 2)]) {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), Durability::Process);
        let mut opened = open(&settings, |_| {}).unwrap();
        append(&mut opened.appender, b"one");
        drop(opened);
        let path = segment_path(directory.path(), index);
        let _ = fs::remove_file(&path);
        put(&path);
        let mut errors = vec![
            open(&settings, |_| {}).err().unwrap().to_string(),
            verify(directory.path(), |_| {}).unwrap_err().to_string(),
            repair(directory.path(), &RepairOptions::default()).unwrap_err().to_string(),
        ];
        if index == 1 {
            errors.push(Reader::open(directory.path()).unwrap_err().to_string());
            errors.push(statistics(directory.path()).unwrap_err().to_string());
        } else {
            let mut reader = Reader::open(directory.path()).unwrap();
            errors.push(reader.seek(2).unwrap_err().to_string());
        }
        for error in errors {
            assert!(error.contains(what) && error.contains(".tgj"), "{error}");
        }
    }
}
