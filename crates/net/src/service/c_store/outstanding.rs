//! The stores that are under way on one association: sent, and not answered yet.
//!
//! Two things bound them. The asynchronous operations window (PS3.7 D.3.3.3) counts operations, which says little: 16
//! objects of 3 KB are nothing, and 16 of 500 KB are less than a line of 1 Gbit/s holds in 150 ms. So a wide window is
//! asked for, which costs nothing, and the sender bounds the bytes. No data set is held meanwhile, only what is told
//! of each when its response comes.

use std::collections::HashMap;

use dicomet_proto::message::MessageId;

/// The window that is asked for, and granted. Objects of 20 KB and more then fill a line of 1 Gbit/s at 150 ms.
pub const WINDOW: u16 = 1024;

/// With so many bytes unanswered, nothing more is begun: what a line of 3.5 Gbit/s holds in 150 ms. It is what has to
/// be sent once more after a cut.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is outstanding, with what is to be known of each.
#[derive(Debug)]
pub(crate) struct Outstanding<T> {
    window: usize,
    bytes: u64,
    stores: HashMap<MessageId, (u64, T)>,
}

impl<T> Outstanding<T> {
    /// Nothing outstanding, in a window as negotiated, where 0 is no limit; and never more than `most` operations.
    pub(crate) fn new(negotiated: u16, most: u16) -> Outstanding<T> {
        let window = if negotiated == 0 { most } else { negotiated.min(most) };
        Outstanding { window: usize::from(window.max(1)), bytes: 0, stores: HashMap::new() }
    }

    /// Whether another may be begun. One always may, however long it is.
    pub(crate) fn has_room(&self) -> bool {
        self.stores.is_empty() || (self.stores.len() < self.window && self.bytes < MAX_BYTES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.stores.len()
    }

    /// One was sent, with a data set of so many bytes.
    pub(crate) fn insert(&mut self, message_id: MessageId, bytes: u64, what: T) {
        self.bytes += bytes;
        if let Some((replaced, _)) = self.stores.insert(message_id, (bytes, what)) {
            self.bytes -= replaced;
        }
    }

    /// One was answered; `None` when no such one is outstanding.
    pub(crate) fn remove(&mut self, message_id: MessageId) -> Option<T> {
        let (bytes, what) = self.stores.remove(&message_id)?;
        self.bytes -= bytes;
        Some(what)
    }

    /// Gives up what is outstanding: all of it, in the order of the Message IDs.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.bytes = 0;
        let mut stores: Vec<_> = self.stores.drain().collect();
        stores.sort_by_key(|(message_id, _)| message_id.0);
        stores.into_iter().map(|(_, (_, what))| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_bounds_small_objects_and_the_bytes_bound_large_ones() {
        let mut outstanding = Outstanding::new(3, WINDOW);
        for id in 1..=3 {
            assert!(outstanding.has_room());
            outstanding.insert(MessageId(id), 3000, id);
        }
        assert!(!outstanding.has_room());
        assert_eq!(outstanding.remove(MessageId(2)), Some(2));
        assert_eq!(outstanding.remove(MessageId(2)), None);
        outstanding.insert(MessageId(4), MAX_BYTES, 4);
        outstanding.remove(MessageId(1));
        assert!(!outstanding.has_room(), "two of three operations, and too many bytes");
        outstanding.remove(MessageId(4));
        assert!(outstanding.has_room());
    }

    #[test]
    fn one_object_may_go_however_long_it_is() {
        let mut outstanding = Outstanding::new(0, WINDOW);
        outstanding.insert(MessageId(1), u64::MAX, ());
        assert!(!outstanding.has_room());
        outstanding.remove(MessageId(1));
        assert!(outstanding.has_room());
    }

    #[test]
    fn no_limit_is_ours_and_what_is_given_up_comes_in_its_order() {
        let mut outstanding = Outstanding::new(0, 2);
        for id in [9, 8] {
            outstanding.insert(MessageId(id), 1, id);
        }
        assert!(!outstanding.has_room());
        assert_eq!(outstanding.drain().collect::<Vec<_>>(), [8, 9]);
        assert!(outstanding.has_room() && outstanding.is_empty());
    }
}
