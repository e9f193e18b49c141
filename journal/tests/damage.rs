//! The decision table over files: every cut and every flipped bit.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Kept, append, open_keeping, segment_path, settings, spawn, try_append};
use std::path::{Path, PathBuf};
use tollgate_journal::{
    Damage, DamageReason, Durability, OpenError, Reader, RepairOptions, Room, Settings, open, repair, verify,
};

const RECORDS: u64 = 5;

/// A journal of one segment with its bytes, to be damaged again and again.
struct Patient {
    settings: Settings,
    segment: PathBuf,
    healthy: Vec<u8>,
    records: Vec<Kept>,
    _directory: tempfile::TempDir,
}

impl Patient {
    /// With `durable`, the header says that all records have reached the disk.
    fn new(durability: Durability, durable: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), durability);
        let mut appender = open(&settings, |_| {}).unwrap().appender;
        for number in 0..RECORDS {
            let payload = vec![number as u8 + 1; 9 + number as usize];
            try_append(&mut appender, Room::Ordinary, &payload).unwrap();
        }
        drop(appender);
        let segment = segment_path(directory.path(), 1);
        let not_durable = std::fs::read(&segment).unwrap();
        let (_, records) = open_keeping(&settings).unwrap();
        let healthy = if durable { std::fs::read(&segment).unwrap() } else { not_durable };
        Self { settings, segment, healthy, records, _directory: directory }
    }

    fn directory(&self) -> &Path {
        &self.settings.directory
    }

    /// Without the head, which knows that the records were durable: these tests are of the segments alone.
    fn write(&self, bytes: &[u8]) {
        let _ = std::fs::remove_file(self.directory().join("HEAD"));
        std::fs::write(&self.segment, bytes).unwrap();
    }

    /// Offsets of a record, padding included.
    fn range(&self, number: usize) -> std::ops::Range<usize> {
        let start = self.records[number].offset as usize;
        start..start + (32 + self.records[number].payload.len()).next_multiple_of(16)
    }

    fn expect_damage(&self, offset: usize) -> Damage {
        match open_keeping(&self.settings) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!((damage.segment, damage.offset), (1, offset as u64));
                assert!(OpenError::Damaged(damage.clone()).to_string().contains("tollgate journal repair"));
                damage
            }
            Err(other) => panic!("{other}"),
            Ok((opened, _)) => panic!("damage at {offset} passed: {:?}", opened.recovery),
        }
    }

    /// Opens, expects a number of records and a cut tail, and that the journal goes on from there.
    fn expect_cut(&self, damaged: &[u8], kept: usize) {
        let end = self.range(kept).start;
        let (mut opened, records) = open_keeping(&self.settings).unwrap();
        assert_eq!(records, self.records[..kept]);
        let cut = opened.recovery.cut.clone().unwrap();
        assert_eq!(cut.offset, end as u64);
        let saved = std::fs::read(&cut.saved_to).unwrap();
        assert_eq!(saved, damaged[end..end + cut.bytes as usize]);
        assert!(damaged[end + cut.bytes as usize..].iter().all(|&byte| byte == 0));
        assert_eq!(try_append(&mut opened.appender, Room::Ordinary, b"after"), Ok(kept as u64 + 1));
        drop(opened);
        std::fs::remove_file(cut.saved_to).unwrap();
        let (opened, records) = open_keeping(&self.settings).unwrap();
        assert_eq!((opened.recovery.cut, records.len()), (None, kept + 1));
        assert_eq!(records[kept].payload, b"after");
        let bytes = std::fs::read(&self.segment).unwrap();
        assert_eq!(bytes.len(), self.healthy.len());
        assert!(bytes[end + 48..].iter().all(|&byte| byte == 0));
    }
}

fn flipped(bytes: &[u8], offset: usize, bit: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[offset] ^= 1 << bit;
    bytes
}

fn each_bit(range: std::ops::Range<usize>) -> impl Iterator<Item = (usize, u32)> {
    range.flat_map(|offset| (0..8).map(move |bit| (offset, bit)))
}

#[test]
fn any_bit_of_the_last_record_beyond_the_durable_part_is_a_torn_tail() {
    let patient = Patient::new(Durability::Process, false);
    let last = RECORDS as usize - 1;
    for (offset, bit) in each_bit(patient.range(last)) {
        let damaged = flipped(&patient.healthy, offset, bit);
        patient.write(&damaged);
        patient.expect_cut(&damaged, last);
    }
}

#[test]
fn any_bit_of_the_last_record_in_the_durable_part_is_damage() {
    let patient = Patient::new(Durability::Disk, true);
    let last = RECORDS as usize - 1;
    for (offset, bit) in each_bit(patient.range(last)) {
        patient.write(&flipped(&patient.healthy, offset, bit));
        let damage = patient.expect_damage(patient.range(last).start);
        assert!(matches!(damage.reason, DamageReason::Durable { .. }), "{damage}");
    }
}

#[test]
fn any_bit_of_a_record_in_the_middle_is_damage() {
    for durable in [false, true] {
        let patient = Patient::new(Durability::Process, durable);
        for (offset, bit) in each_bit(patient.range(2)) {
            patient.write(&flipped(&patient.healthy, offset, bit));
            let damage = patient.expect_damage(patient.range(2).start);
            assert_eq!(damage.next_valid, Some(patient.range(3).start as u64));
        }
    }
}

#[test]
fn batch_that_never_was_durable_may_arrive_in_any_order() {
    let patient = Patient::new(Durability::Disk, false);
    for (offset, bit) in each_bit(patient.range(2)).step_by(7) {
        let damaged = flipped(&patient.healthy, offset, bit);
        patient.write(&damaged);
        patient.expect_cut(&damaged, 2);
    }
}

#[test]
fn file_cut_at_any_byte_of_the_last_record() {
    let patient = Patient::new(Durability::Process, false);
    let last = RECORDS as usize - 1;
    let range = patient.range(last);
    for end in range.clone() {
        let damaged = &patient.healthy[..end];
        patient.write(damaged);
        if end == range.start {
            let (opened, records) = open_keeping(&patient.settings).unwrap();
            assert_eq!((opened.recovery.cut, records.len()), (None, last));
        } else {
            patient.expect_cut(damaged, last);
        }
    }
}

#[test]
fn record_zeroed_from_any_byte_on() {
    let patient = Patient::new(Durability::Process, false);
    let last = RECORDS as usize - 1;
    let range = patient.range(last);
    for end in range.clone() {
        let mut damaged = patient.healthy.clone();
        damaged[end..].fill(0);
        patient.write(&damaged);
        if damaged == patient.healthy || end == range.start {
            let (opened, records) = open_keeping(&patient.settings).unwrap();
            let kept = if end == range.start { last } else { last + 1 };
            assert_eq!((opened.recovery.cut, records.len()), (None, kept));
        } else {
            patient.expect_cut(&damaged, last);
        }
    }
}

#[test]
fn durable_part_cut_off_is_damage() {
    let patient = Patient::new(Durability::Process, true);
    for end in [patient.range(4).start, patient.range(4).end - 1, patient.range(2).start + 5] {
        patient.write(&patient.healthy[..end]);
        let number = if end > patient.range(3).start { 4 } else { 2 };
        patient.expect_damage(patient.range(number).start);
    }
}

#[test]
fn any_bit_of_the_used_header_is_noticed_or_harmless() {
    let patient = Patient::new(Durability::Process, true);
    for (offset, bit) in each_bit(0..80) {
        patient.write(&flipped(&patient.healthy, offset, bit));
        match open_keeping(&patient.settings) {
            Err(OpenError::Damaged(damage)) => assert!(damage.offset < 4096),
            Err(OpenError::NewerVersion { version, .. }) => assert!((8..12).contains(&offset) && version > 1),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("bit {bit} of header byte {offset} passed"),
        }
    }
    // The durable hint has a checksum: a flipped bit makes it void, never wrong.
    for (offset, bit) in each_bit(128..256) {
        patient.write(&flipped(&patient.healthy, offset, bit));
        let (opened, records) = open_keeping(&patient.settings).unwrap();
        assert_eq!((opened.recovery.cut, records.len()), (None, RECORDS as usize));
    }
}

#[test]
fn stale_and_reordered_records_do_not_pass() {
    let patient = Patient::new(Durability::Process, false);
    // The third record where the fifth should be: intact, but not the one expected.
    let mut damaged = patient.healthy.clone();
    damaged[patient.range(4).start..].fill(0);
    let (from, to) = (patient.range(2), patient.range(4).start);
    damaged.copy_within(from, to);
    patient.write(&damaged);
    patient.expect_cut(&damaged, 4);
    // The same journal's records in a journal with another identity.
    let other = Patient::new(Durability::Process, false);
    let mut foreign = other.healthy.clone();
    foreign[4096..].copy_from_slice(&patient.healthy[4096..]);
    other.write(&foreign);
    other.expect_cut(&foreign, 0);
}

#[test]
fn half_prepared_segments_are_recreated() {
    let patient = Patient::new(Durability::Process, true);
    let next = segment_path(patient.directory(), 2);
    let mut no_magic = vec![0; 64 * 1024];
    no_magic[100] = 1;
    for content in [&[][..], &[0; 100], &[0; 5_000], &no_magic, &patient.healthy[..64]] {
        patient.write(&patient.healthy);
        std::fs::write(&next, content).unwrap();
        let unfinished = patient.directory().join("journal-00000002.tgj.preparing");
        std::fs::write(&unfinished, b"half").unwrap();
        let (opened, records) = open_keeping(&patient.settings).unwrap();
        assert_eq!(records, patient.records);
        assert_eq!(opened.recovery.discarded, [unfinished.clone(), next.clone()]);
        assert!(!next.exists() && !unfinished.exists());
    }
}

/// A journal of several segments.
fn several_segments(directory: &Path) -> Settings {
    let settings = settings(directory, Durability::Process);
    let (mut appender, handle) = spawn(&settings);
    while appender.status().segment_index < 4 {
        append(&mut appender, &[5; 200]);
    }
    append(&mut appender, &[5; 200]);
    handle.stop().unwrap();
    settings
}

#[test]
fn damage_in_an_earlier_segment_stops_and_repair_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let settings = several_segments(directory.path());
    let total = verify(directory.path(), |_| {}).unwrap();
    assert!(total.is_intact() && total.torn_tail.is_none());
    let path = segment_path(directory.path(), 2);
    let mut bytes = std::fs::read(&path).unwrap();
    let offset = 4096 + 240 * 3;
    bytes[offset + 40] ^= 4;
    std::fs::write(&path, &bytes).unwrap();

    let Err(OpenError::Damaged(damage)) = open_keeping(&settings) else { panic!("damage passed") };
    assert_eq!((damage.segment, damage.offset), (2, offset as u64));
    assert_eq!(damage.next_valid, Some(offset as u64 + 240));
    let verification = verify(directory.path(), |_| {}).unwrap();
    assert_eq!(verification.damages, std::slice::from_ref(&damage));
    assert_eq!(verification.records, total.records - 1);

    let planned =
        repair(directory.path(), &RepairOptions { dry_run: true, ..RepairOptions::default() }).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let report =
        repair(directory.path(), &RepairOptions { dry_run: false, ..RepairOptions::default() }).unwrap();
    assert_eq!(report.damage, Some(damage));
    assert_eq!((&report.set_aside, report.kept_records), (&planned.set_aside, planned.kept_records));
    assert_eq!(report.kept_records + report.dropped_records + 1, total.records);
    let aside = &report.set_aside.iter().find(|(from, _)| *from == path).unwrap().1;
    assert_eq!(std::fs::read(aside).unwrap(), bytes, "the damaged segment is kept whole");

    let (opened, records) = open_keeping(&settings).unwrap();
    assert_eq!(records.len() as u64, report.kept_records);
    assert_eq!(opened.appender.next_sequence(), report.kept_last_sequence + 1);
    drop(opened);
    let again = repair(directory.path(), &RepairOptions::default()).unwrap();
    assert_eq!((again.damage, again.set_aside.len()), (None, 0));
}

#[test]
fn missing_segment_is_damage_and_repair_keeps_what_precedes_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = several_segments(directory.path());
    std::fs::remove_file(segment_path(directory.path(), 3)).unwrap();
    let Err(OpenError::Damaged(damage)) = open_keeping(&settings) else { panic!("a gap passed") };
    assert_eq!((damage.segment, damage.reason), (3, DamageReason::Missing));
    assert!(!verify(directory.path(), |_| {}).unwrap().is_intact());
    let report = repair(directory.path(), &RepairOptions::default()).unwrap();
    assert!(report.dropped_records > 0);
    let (mut opened, records) = open_keeping(&settings).unwrap();
    assert_eq!(records.last().unwrap().segment, 2);
    let sequence = try_append(&mut opened.appender, Room::Ordinary, b"on").unwrap();
    assert_eq!(sequence, report.kept_last_sequence + 1);
}

#[test]
fn damaged_header_of_a_later_segment_is_set_aside_whole() {
    let directory = tempfile::tempdir().unwrap();
    let settings = several_segments(directory.path());
    for offset in [20_u64, 70] {
        let path = segment_path(directory.path(), 3);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[offset as usize] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let Err(OpenError::Damaged(damage)) = open_keeping(&settings) else { panic!("damage passed") };
        assert_eq!(damage.segment, 3);
        let report = repair(directory.path(), &RepairOptions::default()).unwrap();
        assert!(report.set_aside.iter().any(|(from, _)| *from == path));
        let (mut appender, handle) = spawn(&settings);
        while appender.status().segment_index < 4 {
            append(&mut appender, &[6; 200]);
        }
        handle.stop().unwrap();
    }
    assert!(verify(directory.path(), |_| {}).unwrap().is_intact());
}

/// Everything that reads agrees on a last segment whose opening never came to the disk whole.
#[test]
fn half_entered_last_segment_is_entered_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = several_segments(directory.path());
    let path = segment_path(directory.path(), 4);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    bytes[128..256].fill(0);
    bytes[4096..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    std::fs::remove_file(directory.path().join("HEAD")).unwrap();
    let verification = verify(directory.path(), |_| {}).unwrap();
    assert!(verification.is_intact(), "{verification:?}");
    let mut reader = Reader::open(directory.path()).unwrap();
    let mut read = 0;
    while reader.next().unwrap().is_some() {
        read += 1;
    }
    let (mut opened, records) = open_keeping(&settings).unwrap();
    assert_eq!((verification.records, read), (records.len() as u64, records.len() as u64));
    let sequence = try_append(&mut opened.appender, Room::Ordinary, b"on").unwrap();
    assert_eq!(sequence, read + 1);
    assert_eq!(reader.next().unwrap().map(|record| record.sequence), Some(sequence));
}

#[test]
fn repair_is_refused_while_a_writer_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let opened = open(&settings, |_| {}).unwrap();
    let error = repair(directory.path(), &RepairOptions::default()).unwrap_err();
    assert!(error.to_string().contains("in use"));
    drop(opened);
}

#[test]
fn newer_version_says_so() {
    let patient = Patient::new(Durability::Process, true);
    let mut bytes = patient.healthy.clone();
    bytes[8] = 2;
    patient.write(&bytes);
    let error = open_keeping(&patient.settings).err().unwrap();
    assert!(matches!(error, OpenError::NewerVersion { version: 2, supported: 1, .. }));
    assert!(error.to_string().contains("use a newer release"));
}
