//! The watch over the keys file: what it says takes effect while the gateway runs, and that it cannot be read is said.

use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::keys;

use super::keys::{KeyTable, Stamp};
use super::reception::Reception;

/// How often the file is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// A file that has just changed is looked at again after this, until it stands still.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);
/// It is read after so many looks, whatever it does.
const SETTLE_LOOKS_MAX: usize = 10;
/// A file system that does not answer for so long is said to be none.
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

impl Reception {
    /// Looks at the file again and again, and at once when somebody asks.
    pub(super) async fn watch_keys(self: Rc<Self>) {
        // The file may have changed between its first reading and now: no stamp yet, so it is read once more.
        let mut stamp = None;
        let mut interval = tokio::time::interval(WATCH_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = interval.tick() => false,
                () = self.keys_wanted.notified() => true,
            };
            let found = self.stamp().await;
            if asked {
                tracing::info!("the keys file is read, as somebody asked");
            }
            if found.is_none() {
                if self.state.had_keys_file() {
                    self.cannot_read("it is gone", 0);
                }
                stamp = None;
            } else if found != stamp || asked {
                // Noted before the file is read: a change meanwhile is seen at the next look.
                self.state.set_had_keys_file();
                stamp = self.settled(found).await;
                self.reload().await;
            }
        }
    }

    async fn stamp(&self) -> Option<Stamp> {
        let settings = Arc::clone(&self.settings);
        self.file(move || Stamp::of(&settings.gateway.keys_file)).await.flatten()
    }

    /// The file's stamp once it has stood still for a moment: whoever writes it in place first empties it, and an
    /// empty file would end every session.
    async fn settled(&self, mut stamp: Option<Stamp>) -> Option<Stamp> {
        for _ in 0..SETTLE_LOOKS_MAX {
            tokio::time::sleep(SETTLE_INTERVAL).await;
            let found = self.stamp().await;
            if found == stamp {
                break;
            }
            stamp = found;
        }
        stamp
    }

    /// Does what may block on a thread of its own, and waits as long as it takes; `None` when it broke off. A file
    /// system that hangs keeps one thread, not one for every look.
    async fn file<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut looking = pin!(tokio::task::spawn_blocking(look));
        loop {
            match tokio::time::timeout(FILE_TIMEOUT, &mut looking).await {
                Ok(done) => {
                    return done
                        .inspect_err(|error| tracing::error!(%error, "looking at the keys file broke off"))
                        .ok();
                }
                Err(_) => self.cannot_read("its file system does not answer", 0),
            }
        }
    }

    async fn reload(&self) {
        let settings = Arc::clone(&self.settings);
        let Some((loaded, revoked)) = self
            .file(move || {
                let path: &Path = &settings.gateway.keys_file;
                let loaded = KeyTable::load(&settings);
                // What a file says of revoked keys counts, whatever else is wrong with it.
                let revoked = if loaded.is_err() { keys::revoked_in(path) } else { Vec::new() };
                (loaded, revoked)
            })
            .await
        else {
            return self.cannot_read("reading it broke off", 0);
        };
        let next = match loaded {
            Ok(next) => Arc::new(next),
            Err(errors) => {
                let next = self.keys.borrow().with_revoked(&revoked);
                let revoked = next.map_or(0, |next| self.replace(&Arc::new(next)));
                self.metrics.door_keys_errors.add(1);
                return self.cannot_read(&errors.to_string(), revoked);
            }
        };
        let changed = next.len() != self.keys.borrow().len();
        let (count, ended) = (next.len(), self.replace(&next));
        if self.state.set_keys_problem(None) {
            tracing::info!(keys = count, "the keys file can be read again");
        }
        if changed || ended > 0 {
            self.metrics.door_keys.set(count as u64);
            self.metrics.door_keys_reloads.add(1);
            tracing::info!(keys = count, ended, "keys reloaded");
        }
    }

    /// Puts other keys in force, and ends the sessions of those that changed; how many keys these were.
    fn replace(&self, next: &Arc<KeyTable>) -> usize {
        let before = std::mem::replace(&mut *self.keys.borrow_mut(), Arc::clone(next));
        let ended = before.ended_by(next);
        self.end_keys(&ended);
        for key_id in &ended {
            tracing::info!(key = %key_id, "key changed or revoked: its sessions end");
        }
        ended.len()
    }

    /// Says that what is in the file cannot be known, once for each reason.
    fn cannot_read(&self, problem: &str, revoked: usize) {
        let words = format!("{}: {problem}", self.settings.gateway.keys_file.display());
        if self.state.set_keys_problem(Some(words)) {
            tracing::error!(
                revoked,
                "the keys file cannot be used: {problem}. The keys stay as they were, but for those that it says are \
                 revoked; keys that are revoked or changed from now on are not heard of until it can be read"
            );
        }
    }
}
