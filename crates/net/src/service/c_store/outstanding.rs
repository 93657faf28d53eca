//! The stores that are under way on one association: sent, and not answered yet.
//!
//! Three things bound them: the asynchronous operations window as negotiated (PS3.7 D.3.3.3), for which a wide one is
//! asked since that costs nothing; how many are of use on this line to this peer, and their bytes (`width`). No data set is
//! held meanwhile, only what is told of each when its response comes.

use std::collections::HashMap;

use dicomet_proto::message::MessageId;
use tokio::time::Instant;

use super::width::Width;

/// The window that is asked for, and granted. Objects of 20 KB and more then fill a line of 1 Gbit/s at 150 ms.
pub const WINDOW: u16 = 1024;

/// What is outstanding, with what is to be known of each.
#[derive(Debug)]
pub(crate) struct Outstanding<T> {
    width: Width,
    bytes: u64,
    stores: HashMap<MessageId, Store<T>>,
}

#[derive(Debug)]
struct Store<T> {
    bytes: u64,
    sent: Instant,
    what: T,
}

impl<T> Outstanding<T> {
    /// Nothing outstanding, in a window as negotiated, where 0 is no limit; and never more than `most` operations.
    pub(crate) fn new(negotiated: u16, most: u16) -> Outstanding<T> {
        let window = if negotiated == 0 { most } else { negotiated.min(most) };
        Outstanding {
            width: Width::new(usize::from(window), Instant::now()),
            bytes: 0,
            stores: HashMap::new(),
        }
    }

    /// Whether another may be begun. One always may, however long it is.
    pub(crate) fn has_room(&self) -> bool {
        self.width.has_room(self.stores.len(), self.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.stores.len()
    }

    /// One was sent from that time on, with a data set of so many bytes.
    pub(crate) fn insert(&mut self, message_id: MessageId, bytes: u64, sent: Instant, what: T) {
        if self.stores.is_empty() {
            self.width.rested(sent);
        }
        self.bytes += bytes;
        if let Some(replaced) = self.stores.insert(message_id, Store { bytes, sent, what }) {
            self.bytes -= replaced.bytes;
        }
    }

    /// One is answered now; `None` when no such one is outstanding.
    pub(crate) fn remove(&mut self, message_id: MessageId, now: Instant) -> Option<T> {
        let Store { bytes, sent, what } = self.stores.remove(&message_id)?;
        self.bytes -= bytes;
        self.width.answered(now.duration_since(sent), now);
        Some(what)
    }

    /// Gives up what is outstanding: all of it, in the order of the Message IDs.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.bytes = 0;
        let mut stores: Vec<_> = self.stores.drain().collect();
        stores.sort_by_key(|(message_id, _)| message_id.0);
        stores.into_iter().map(|(_, store)| store.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_bounds_small_objects_and_the_bytes_bound_large_ones() {
        let now = Instant::now();
        let mut outstanding = Outstanding::new(3, WINDOW);
        for id in 1..=3 {
            assert!(outstanding.has_room());
            outstanding.insert(MessageId(id), 3000, now, id);
        }
        assert!(!outstanding.has_room());
        assert_eq!(outstanding.remove(MessageId(2), now), Some(2));
        assert_eq!(outstanding.remove(MessageId(2), now), None);
        outstanding.insert(MessageId(4), u64::MAX / 2, now, 4);
        outstanding.remove(MessageId(1), now);
        assert!(!outstanding.has_room(), "two of three operations, and too many bytes");
        outstanding.remove(MessageId(4), now);
        assert!(outstanding.has_room());
    }

    #[test]
    fn one_object_may_go_however_long_it_is() {
        let now = Instant::now();
        let mut outstanding = Outstanding::new(0, WINDOW);
        outstanding.insert(MessageId(1), u64::MAX, now, ());
        assert!(!outstanding.has_room());
        outstanding.remove(MessageId(1), now);
        assert!(outstanding.has_room());
    }

    #[test]
    fn no_limit_is_ours_and_what_is_given_up_comes_in_its_order() {
        let now = Instant::now();
        let mut outstanding = Outstanding::new(0, 2);
        for id in [9, 8] {
            outstanding.insert(MessageId(id), 1, now, id);
        }
        assert!(!outstanding.has_room());
        assert_eq!(outstanding.drain().collect::<Vec<_>>(), [8, 9]);
        assert!(outstanding.has_room() && outstanding.is_empty());
    }
}
