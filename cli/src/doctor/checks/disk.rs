//! Where the journal lies.

use std::path::{Path, PathBuf};

use tollgate_protocol::event::Durability;

use super::super::finding::{Finding, Topic};
use super::super::host::{Host, Unread};
use super::super::plan::Plan;
use super::bracketed;

/// The journal lies in memory, whatever the disk is.
const NO_FILES: &str = "journal.durability = \"none\" keeps the journal in memory";

const JOURNAL_FILESYSTEM: Topic = Topic {
    name: "journal-filesystem",
    right: "ext4 or XFS on a local disk",
    why: "Durability is the file system's: tmpfs forgets all with the power, an overlay goes with its container, a \
          network file system waits for the network. Where space is taken only at the write (Btrfs, ZFS), a full \
          disk ends the process.",
};

pub(super) fn journal_filesystem(host: &Host, plan: &Plan) -> Finding {
    JOURNAL_FILESYSTEM.judge(|| {
        if plan.durability == Durability::None {
            let found = format!("{NO_FILES}: nothing survives the process");
            return Ok(JOURNAL_FILESYSTEM.could_be_better(found, set_class("process")));
        }
        let (place, mount) = journal_mount(host, plan)?;
        let elsewhere = if place == plan.journal_directory {
            String::new()
        } else {
            format!(
                " ({} is not there, or may not be looked at: judged by {})",
                plan.journal_directory.display(),
                place.display()
            )
        };
        let found = format!("{} mounted on {}{elsewhere}", mount.kind, mount.point.display());
        let move_away = || {
            vec![
                "findmnt -t ext4,xfs   # where there is one".to_owned(),
                "# stop the gateway, copy the journal there, and set journal.directory".to_owned(),
            ]
        };
        Ok(match mount.kind.as_str() {
            "ext4" | "xfs" => JOURNAL_FILESYSTEM.good(found),
            "tmpfs" | "ramfs" | "devtmpfs" | "rootfs" => {
                JOURNAL_FILESYSTEM.bad(format!("{found}: lost with the power"), move_away())
            }
            _ => JOURNAL_FILESYSTEM.could_be_better(found, move_away()),
        })
    })
}

fn set_class(class: &str) -> Vec<String> {
    vec![format!("# in the settings, table [journal]\ndurability = \"{class}\"")]
}

/// A line of `mountinfo`.
#[derive(Debug)]
struct Mount {
    /// Major and minor number, as in `8:1`.
    device: String,
    point: PathBuf,
    kind: String,
    source: String,
}

/// The nearest directory of the journal that can be looked at, and the file system that it is on.
fn journal_mount(host: &Host, plan: &Plan) -> Result<(PathBuf, Mount), Unread> {
    let place = host.resolve(&plan.journal_directory)?;
    let path = "/proc/self/mountinfo";
    let text = host.text(path)?;
    let mounts = text.lines().filter_map(mount).filter(|mount| place.starts_with(&mount.point));
    // The longest mount point holds the path; of equal ones the last, which hides those before it.
    let found = mounts.max_by_key(|mount| mount.point.components().count());
    let mount = found.ok_or_else(|| Unread::new(format!("{path} has no mount for {}", place.display())))?;
    Ok((place, mount))
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, _root, point) = (left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?, right.next()?);
    Some(Mount {
        device: device.to_owned(),
        point: Path::new(&unescaped(point)).to_owned(),
        kind: kind.to_owned(),
        source: unescaped(source),
    })
}

/// The kernel writes blanks and backslashes of a path as octal numbers.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

const JOURNAL_SPACE: Topic = Topic {
    name: "journal-space",
    right: "room for 16 segments at least",
    why: "A segment is written in full before it is used. When there is no room for the next one, new orders are \
          refused; cancels and closes go on from reserved space.",
};

pub(super) fn journal_space(host: &Host, plan: &Plan) -> Finding {
    JOURNAL_SPACE.judge(|| {
        if plan.durability == Durability::None {
            return Ok(JOURNAL_SPACE.good(NO_FILES));
        }
        let place = host.resolve(&plan.journal_directory)?;
        Ok(space(host.free_bytes(&place)?, &place, plan))
    })
}

fn space(free_bytes: u64, place: &Path, plan: &Plan) -> Finding {
    let segments = free_bytes / plan.segment_bytes.max(1);
    let found = format!(
        "{} MiB free at {}: {segments} segments of {} MiB",
        free_bytes >> 20,
        place.display(),
        plan.segment_bytes >> 20
    );
    let look = || vec![format!("sudo du -xhd1 {} | sort -h", place.display())];
    match segments {
        0..2 => JOURNAL_SPACE.bad(found, look()),
        2..16 => JOURNAL_SPACE.could_be_better(found, look()),
        _ => JOURNAL_SPACE.good(found),
    }
}

/// A block device as the kernel shows it.
struct Device {
    name: String,
    /// The directory of its queue.
    queue: String,
}

/// The device below the journal; a partition's is that of its whole disk.
fn journal_device(host: &Host, plan: &Plan) -> Result<Device, Unread> {
    let (_, mount) = journal_mount(host, plan)?;
    let by_number = format!("/sys/dev/block/{}", mount.device);
    let by_name = mount.source.strip_prefix("/dev/").map(|name| format!("/sys/class/block/{name}"));
    for place in std::iter::once(by_number).chain(by_name) {
        for place in [place.clone(), format!("{place}/..")] {
            let queue = format!("{place}/queue");
            if host.is_directory(&queue) {
                let about = host.text(&format!("{place}/uevent"))?;
                let name = about.lines().find_map(|line| line.strip_prefix("DEVNAME="));
                return Ok(Device { name: name.unwrap_or(&mount.source).to_owned(), queue });
            }
        }
    }
    Err(Unread::new(format!("{} on {} shows no block device", mount.kind, mount.point.display())))
}

const WRITE_CACHE: Topic = Topic {
    name: "write-cache",
    right: "a device whose cache survives a power loss, which says \"write through\", where durability is \"disk\"",
    why: "A device with a volatile cache must empty it at every sync, and in the disk class each acknowledgement \
          waits for that: milliseconds on consumer disks, tens of microseconds with power-loss protection. Never \
          write to this file: the kernel would stop asking, and a power loss would take what was promised.",
};

pub(super) fn write_cache(host: &Host, plan: &Plan) -> Finding {
    WRITE_CACHE.judge(|| {
        if plan.durability == Durability::None {
            return Ok(WRITE_CACHE.good(NO_FILES));
        }
        let device = journal_device(host, plan)?;
        let path = format!("{}/write_cache", device.queue);
        let cache = host.text(&path)?;
        let found = format!("{}: {cache}", device.name);
        match (cache.as_str(), plan.durability) {
            ("write through", _) => Ok(WRITE_CACHE.good(found)),
            ("write back", Durability::Disk) => Ok(WRITE_CACHE.could_be_better(found, Vec::new())),
            ("write back", _) => Ok(WRITE_CACHE.good(format!("{found}; no acknowledgement waits for it"))),
            _ => Err(Unread::strange(&path, &cache)),
        }
    })
}

const SCHEDULER: Topic = Topic {
    name: "disk-scheduler",
    right: "none, where durability is \"disk\"",
    why: "A scheduler may hold the journal's small writes back in favour of others. Solid-state and virtual disks \
          gain nothing from it.",
};

pub(super) fn scheduler(host: &Host, plan: &Plan) -> Finding {
    SCHEDULER.judge(|| {
        if plan.durability == Durability::None {
            return Ok(SCHEDULER.good(NO_FILES));
        }
        let device = journal_device(host, plan)?;
        let path = format!("{}/scheduler", device.queue);
        let text = host.text(&path)?;
        // A device that has no choice names its only one without brackets.
        let current = bracketed(&text).unwrap_or(&text);
        let found = format!("{}: {current}", device.name);
        if current == "none" {
            return Ok(SCHEDULER.good(found));
        }
        if plan.durability != Durability::Disk {
            return Ok(SCHEDULER.good(format!("{found}; no acknowledgement waits for it")));
        }
        let set = format!("echo none | sudo tee /sys/block/{}/queue/scheduler", device.name);
        Ok(SCHEDULER.could_be_better(found, vec![set]))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::finding::State;
    use super::super::super::fixture::{Fixture, plan};
    use super::*;

    const MOUNTS: &str = "/proc/self/mountinfo";

    /// A machine with the journal's directory on a file system of this kind, on the second partition of a disk.
    fn machine(kind: &str) -> Fixture {
        let mounts = format!(
            "22 27 0:21 / /proc rw - proc proc rw\n27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
             30 27 0:9 / /var/lib/tollgate rw - tmpfs hidden rw\n\
             31 27 8:2 / /var/lib/tollgate rw,noatime shared:1 - {kind} /dev/sda2 rw\n\
             32 27 8:3 / /var/lib/toll rw - vfat /dev/sda3 rw\n"
        );
        let fixture = Fixture::new(&[
            (MOUNTS, &mounts),
            ("/var/lib/tollgate/journal/LOCK", ""),
            ("/sys/devices/disk/sda/queue/write_cache", "write back\n"),
            ("/sys/devices/disk/sda/queue/scheduler", "none [mq-deadline] bfq\n"),
            ("/sys/devices/disk/sda/uevent", "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n"),
            ("/sys/devices/disk/sda/sda2/uevent", "DEVNAME=sda2\n"),
        ]);
        fixture.link("/sys/dev/block/8:2", "../../devices/disk/sda/sda2");
        fixture
    }

    fn of_class(durability: Durability) -> Plan {
        Plan { durability, ..plan() }
    }

    #[test]
    fn file_systems_are_told_apart() {
        for (kind, state) in [
            ("ext4", State::Good),
            ("xfs", State::Good),
            ("tmpfs", State::Bad),
            ("ramfs", State::Bad),
            ("overlay", State::CouldBeBetter),
            ("nfs4", State::CouldBeBetter),
            ("btrfs", State::CouldBeBetter),
        ] {
            let finding = journal_filesystem(&machine(kind).host(), &plan());
            assert_eq!(finding.state, state, "{kind}");
            assert!(
                finding.found.starts_with(&format!("{kind} mounted on /var/lib/tollgate")),
                "{finding:?}"
            );
        }
        let none = journal_filesystem(&machine("ext4").host(), &of_class(Durability::None));
        assert_eq!(none.state, State::CouldBeBetter);
    }

    #[test]
    fn a_journal_that_is_not_there_yet_is_judged_by_its_parent() {
        let directory = "/var/lib/elsewhere/journal".into();
        let finding =
            journal_filesystem(&machine("tmpfs").host(), &Plan { journal_directory: directory, ..plan() });
        assert_eq!(finding.state, State::Good);
        assert!(finding.found.ends_with("judged by /var/lib)"), "{finding:?}");
    }

    #[test]
    fn mounts_that_cannot_be_read_are_unknown() {
        let fixture = machine("ext4");
        fixture.write(MOUNTS, "nonsense\n");
        for check in [journal_filesystem, write_cache, scheduler] {
            assert_eq!(check(&fixture.host(), &plan()).state, State::Unknown);
        }
        fixture.spoil(MOUNTS);
        assert_eq!(journal_filesystem(&fixture.host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn blanks_in_mount_points_are_read() {
        let found = mount("31 27 8:2 / /mnt/a\\040b rw shared:1 master:2 - ext4 /dev/sda2 rw").unwrap();
        assert_eq!((found.point.as_path(), found.device.as_str()), (Path::new("/mnt/a b"), "8:2"));
        assert!(mount("31 27 8:2 / /mnt").is_none());
    }

    #[test]
    fn space_is_counted_in_segments() {
        let state = |free_bytes| space(free_bytes, Path::new("/x"), &plan()).state;
        assert_eq!(state((64 << 20) * 16), State::Good);
        assert_eq!(state((64 << 20) * 16 - 1), State::CouldBeBetter);
        assert_eq!(state((64 << 20) * 2 - 1), State::Bad);
        let finding = space(200 << 20, Path::new("/x"), &plan());
        assert_eq!(finding.found, "200 MiB free at /x: 3 segments of 64 MiB");
        let nowhere = Host::new("/nonexistent-root");
        assert_eq!(journal_space(&nowhere, &plan()).state, State::Unknown);
        assert_eq!(journal_space(&nowhere, &of_class(Durability::None)).state, State::Good);
    }

    #[test]
    fn the_write_cache_matters_to_the_disk_class() {
        let fixture = machine("ext4");
        let disk = write_cache(&fixture.host(), &plan());
        assert_eq!((disk.state, disk.found.as_str()), (State::CouldBeBetter, "sda: write back"));
        assert!(disk.commands.is_empty(), "nobody is to switch flushes off: {disk:?}");
        assert_eq!(write_cache(&fixture.host(), &of_class(Durability::Process)).state, State::Good);
        assert_eq!(write_cache(&fixture.host(), &of_class(Durability::None)).state, State::Good);
        fixture.write("/sys/devices/disk/sda/queue/write_cache", "write through\n");
        assert_eq!(write_cache(&fixture.host(), &plan()).state, State::Good);
        fixture.spoil("/sys/devices/disk/sda/queue/write_cache");
        assert_eq!(write_cache(&fixture.host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn the_scheduler_matters_to_the_disk_class() {
        let fixture = machine("ext4");
        let disk = scheduler(&fixture.host(), &plan());
        assert_eq!((disk.state, disk.found.as_str()), (State::CouldBeBetter, "sda: mq-deadline"));
        assert_eq!(disk.commands, ["echo none | sudo tee /sys/block/sda/queue/scheduler"]);
        assert_eq!(scheduler(&fixture.host(), &of_class(Durability::Process)).state, State::Good);
        for text in ["[none] mq-deadline\n", "none\n"] {
            fixture.write("/sys/devices/disk/sda/queue/scheduler", text);
            assert_eq!(scheduler(&fixture.host(), &plan()).state, State::Good);
        }
        fixture.spoil("/sys/devices/disk/sda/queue/scheduler");
        assert_eq!(scheduler(&fixture.host(), &plan()).state, State::Unknown);
    }

    #[test]
    fn a_file_system_of_many_devices_is_found_by_its_source() {
        let fixture = machine("btrfs");
        let mounts = "31 27 0:44 / /var rw - btrfs /dev/sda2 rw\n";
        fixture.write(MOUNTS, mounts);
        assert_eq!(scheduler(&fixture.host(), &plan()).state, State::Unknown);
        fixture.link("/sys/class/block/sda2", "../../devices/disk/sda/sda2");
        assert_eq!(scheduler(&fixture.host(), &plan()).found, "sda: mq-deadline");
    }
}
