//! A journal of which something is gone does not open as if nothing were.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Kept, append, open_keeping, segment_path, settings, spawn, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use tollgate_journal::{
    DamageReason, Durability, OpenError, RepairOptions, Settings, repair, verify, verify_with_head,
};

/// A journal with a head outside of its directory.
struct House {
    settings: Settings,
    head: PathBuf,
    root: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let head = root.path().join("journal.head");
        let settings = Settings {
            head_file: Some(head.clone()),
            ..settings(&root.path().join("journal"), Durability::Process)
        };
        Self { settings, head, root }
    }

    /// With records in segments up to `segments`, stopped in order, the next segment prepared.
    fn filled(segments: u64) -> Self {
        let house = Self::new();
        house.fill(segments);
        house
    }

    fn fill(&self, segments: u64) {
        let (mut appender, handle) = spawn(&self.settings);
        append(&mut appender, &[5; 200]);
        while appender.status().segment_index < segments {
            append(&mut appender, &[5; 200]);
        }
        append(&mut appender, &[5; 200]);
        wait_until("the next segment is ready", || appender.status().next_ready);
        handle.stop().unwrap();
        assert!(self.segment(segments + 1).exists());
    }

    fn directory(&self) -> &Path {
        &self.settings.directory
    }

    fn segment(&self, index: u64) -> PathBuf {
        segment_path(self.directory(), index)
    }

    fn options(&self, accept_loss: bool) -> RepairOptions {
        RepairOptions { dry_run: false, accept_loss, head_file: Some(self.head.clone()) }
    }

    /// Neither opens nor verifies, changes nothing, and says what to do.
    fn refused(&self) -> DamageReason {
        let before = contents(self.directory());
        let error = open_keeping(&self.settings).err().unwrap();
        assert_eq!(contents(self.directory()), before);
        let text = error.to_string();
        assert!(text.contains("tollgate journal repair"), "{text}");
        let OpenError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!(damage.reason.is_loss(), text.contains("--accept-loss"), "{text}");
        if self.directory().exists() {
            let verification = verify_with_head(self.directory(), Some(&self.head), |_| {}).unwrap();
            assert_eq!(verification.damages, std::slice::from_ref(&damage));
        }
        damage.reason
    }

    /// Accepts the loss: the journal opens, says so until a record states it, and goes on.
    fn accept(&self) -> Vec<Kept> {
        let report = repair(self.directory(), &self.options(true)).unwrap();
        assert!(!report.needs_acceptance && report.damage.is_some());
        for _ in 0..2 {
            let (opened, kept) = open_keeping(&self.settings).unwrap();
            let loss = opened.recovery.accepted_loss.unwrap();
            assert_eq!(loss.kept_sequence, kept.len() as u64);
        }
        let (mut appender, handle) = spawn(&self.settings);
        let sequence = append(&mut appender, b"the loss was accepted");
        handle.stop().unwrap();
        drop(appender);
        let (opened, kept) = open_keeping(&self.settings).unwrap();
        assert_eq!(opened.recovery.accepted_loss, None, "a record states it");
        assert_eq!(kept.len() as u64, sequence);
        kept
    }
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("LOCK"));
    let mut contents: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    contents.sort();
    contents
}

fn empty(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
}

#[test]
fn last_used_segment_emptied_beside_its_prepared_successor() {
    for segments in [1, 3] {
        let house = House::filled(segments);
        empty(&house.segment(segments));
        assert!(matches!(house.refused(), DamageReason::Header(_)));
        let kept = house.accept();
        assert_eq!(kept.len() > 1, segments > 1);
    }
}

#[test]
fn last_used_segment_emptied_in_a_journal_without_a_head() {
    for segments in [1, 3] {
        let house = House::filled(segments);
        fs::remove_file(&house.head).unwrap();
        fs::remove_file(house.directory().join("HEAD")).unwrap();
        empty(&house.segment(segments));
        let error = open_keeping(&house.settings).err().unwrap();
        assert!(matches!(&error, OpenError::Damaged(damage) if damage.segment == segments), "{error}");
        assert!(!verify(house.directory(), |_| {}).unwrap().is_intact());
    }
}

#[test]
fn last_segments_missing() {
    let house = House::filled(4);
    for index in 3..=5 {
        fs::remove_file(house.segment(index)).unwrap();
    }
    assert_eq!(house.refused(), DamageReason::Missing);
    house.accept();

    // Without its prepared successor the last used segment is missed by the one before it, closed to go on there.
    let house = House::filled(2);
    fs::remove_file(house.segment(3)).unwrap();
    assert!(open_keeping(&house.settings).is_ok(), "nothing was in the prepared one");
    house.fill(3);
    fs::remove_file(house.segment(4)).unwrap();
    fs::remove_file(house.segment(3)).unwrap();
    assert_eq!(house.refused(), DamageReason::Missing);
}

#[test]
fn last_segment_replaced_by_one_never_written() {
    for segments in [1, 3] {
        let house = House::filled(segments);
        let path = house.segment(segments);
        let mut bytes = fs::read(&path).unwrap();
        bytes[64..].fill(0);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(house.refused(), DamageReason::Lost { .. }));
        house.accept();
    }
}

#[test]
fn last_segment_replaced_by_an_older_copy_of_itself() {
    let house = House::filled(1);
    let older = fs::read(house.segment(1)).unwrap();
    house.fill(1);
    fs::write(house.segment(1), older).unwrap();
    assert!(matches!(house.refused(), DamageReason::Lost { kept: 2, durable: 4, .. }));
    assert_eq!(house.accept().len(), 3);
}

#[test]
fn directory_deleted_or_emptied() {
    for delete in [true, false] {
        let house = House::filled(2);
        fs::remove_dir_all(house.directory()).unwrap();
        if !delete {
            fs::create_dir(house.directory()).unwrap();
        }
        let DamageReason::Gone { durable, head } = house.refused() else { panic!("another reason") };
        assert!(durable > 200 && head == house.head);
        assert_eq!(house.accept().len(), 1);
    }
}

#[test]
fn segments_deleted_show_by_the_head_among_them() {
    let house = House::filled(2);
    fs::remove_file(&house.head).unwrap();
    for index in 1..=3 {
        fs::remove_file(house.segment(index)).unwrap();
    }
    assert!(matches!(house.refused(), DamageReason::Gone { .. }));
}

#[test]
fn another_journal_in_its_place() {
    let house = House::filled(2);
    let other = House::filled(2);
    let aside = house.root.path().join("aside");
    fs::rename(house.directory(), &aside).unwrap();
    fs::rename(other.directory(), house.directory()).unwrap();
    let DamageReason::OtherJournal { found, expected, .. } = house.refused() else {
        panic!("another reason")
    };
    assert_ne!(found, expected);
    // The right one back, and all is well.
    fs::rename(house.directory(), other.directory()).unwrap();
    fs::rename(&aside, house.directory()).unwrap();
    assert!(open_keeping(&house.settings).is_ok());

    // Only the segments: the head among them tells.
    fs::remove_file(&house.head).unwrap();
    for index in 1..=3 {
        fs::copy(other.segment(index), house.segment(index)).unwrap();
    }
    assert!(matches!(house.refused(), DamageReason::OtherJournal { .. }));
    house.accept();
}

#[test]
fn repair_accepts_nothing_that_it_was_not_told_to() {
    let house = House::filled(2);
    for index in 1..=3 {
        fs::remove_file(house.segment(index)).unwrap();
    }
    let before = contents(house.directory());
    let report = repair(house.directory(), &house.options(false)).unwrap();
    assert!(report.needs_acceptance && matches!(report.damage.unwrap().reason, DamageReason::Gone { .. }));
    let report = repair(house.directory(), &RepairOptions { dry_run: true, ..house.options(true) }).unwrap();
    assert!(report.dry_run && !report.needs_acceptance);
    assert_eq!(contents(house.directory()), before);
    house.refused();
}

#[test]
fn journals_without_a_head_open_and_get_one() {
    let house = House::filled(3);
    let inside = house.directory().join("HEAD");
    fs::remove_file(&house.head).unwrap();
    fs::remove_file(&inside).unwrap();
    let (opened, kept) = open_keeping(&house.settings).unwrap();
    assert_eq!((opened.recovery.accepted_loss, &opened.recovery.warnings[..]), (None, &[][..]));
    assert!(kept.len() > 400);
    assert!(house.head.exists() && inside.exists());
}

#[test]
fn nothing_ever_durable_is_no_loss() {
    // The power failed before the first sync: segments are there, nothing in them.
    let house = House::new();
    drop(open_keeping(&house.settings).unwrap());
    let mut bytes = fs::read(house.segment(1)).unwrap();
    bytes[64..].fill(0);
    fs::write(house.segment(1), bytes).unwrap();
    let (opened, kept) = open_keeping(&house.settings).unwrap();
    assert_eq!((opened.appender.next_sequence(), kept.len()), (1, 0));
}

#[test]
fn heads_that_cannot_be_written_are_told_and_damaged_ones_refused() {
    let mut house = House::new();
    house.settings.head_file = Some(house.root.path().join("nowhere/journal.head"));
    let (opened, _) = open_keeping(&house.settings).unwrap();
    let text = opened.recovery.warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("nowhere/journal.head") && text.contains("No such file"), "{text}");
    drop(opened);
    let inside = house.directory().join("HEAD");
    fs::write(&inside, [0; 1024]).unwrap();
    let error = open_keeping(&house.settings).err().unwrap();
    assert!(error.to_string().contains("neither of its two copies is intact"), "{error}");
    fs::remove_file(&inside).unwrap();
    assert!(open_keeping(&house.settings).is_ok());
}
