//! How many sessions stand, in all and by client.

use std::collections::HashMap;

/// The sessions that hold a place: from the proof until the hot thread says that they ended.
pub(super) struct Sessions<K> {
    limit: usize,
    per_client_limit: usize,
    /// Each session's client, and the key it logged on with.
    standing: HashMap<u64, (u16, K)>,
    per_client: HashMap<u16, usize>,
    next: u64,
}

/// Which limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Full {
    /// The gateway's.
    Gateway,
    /// The client's.
    Client,
}

impl<K> Sessions<K> {
    /// No session; the first gets the number `first`.
    pub(super) fn new(limit: usize, per_client_limit: usize, first: u64) -> Self {
        Self { limit, per_client_limit, standing: HashMap::new(), per_client: HashMap::new(), next: first }
    }

    /// Gives the client a place and the session its number.
    pub(super) fn begin(&mut self, client: u16, key: K) -> Result<u64, Full> {
        let own = self.per_client.get(&client).copied().unwrap_or(0);
        if own >= self.per_client_limit {
            return Err(Full::Client);
        }
        if self.standing.len() >= self.limit {
            return Err(Full::Gateway);
        }
        let number = self.next;
        self.next += 1;
        self.standing.insert(number, (client, key));
        self.per_client.insert(client, own + 1);
        Ok(number)
    }

    /// The session's place is free again. Nothing happens when it was free already.
    pub(super) fn end(&mut self, number: u64) {
        let Some((client, _)) = self.standing.remove(&number) else { return };
        if let Some(own) = self.per_client.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                self.per_client.remove(&client);
            }
        }
    }

    /// The key that the session logged on with; `None` when it holds no place.
    pub(super) fn key(&self, number: u64) -> Option<&K> {
        self.standing.get(&number).map(|(_, key)| key)
    }

    /// Sessions that hold a place.
    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back_once() {
        let mut sessions = Sessions::new(3, 2, 100);
        assert_eq!((sessions.begin(7, ()), sessions.begin(7, ())), (Ok(100), Ok(101)));
        assert_eq!(sessions.begin(7, ()), Err(Full::Client));
        assert_eq!(sessions.begin(8, ()), Ok(102));
        assert_eq!(sessions.begin(9, ()), Err(Full::Gateway));
        sessions.end(100);
        sessions.end(100);
        assert_eq!((sessions.key(100), sessions.key(101)), (None, Some(&())));
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions.begin(7, ()), Ok(103));
        assert_eq!(sessions.begin(7, ()), Err(Full::Client));
    }
}
