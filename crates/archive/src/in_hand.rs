//! SOP instances that are being stored: one store of each at a time.
//!
//! So whoever stores an instance for the second time sees what became of the first before a file of its own gets a place
//! among the blobs. After a crash no two files there are of one instance, unless the second is to replace the first.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dicomet_proto::Uid;

/// The SOP instances in hand.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    instances: Mutex<HashSet<Uid>>,
    /// One is in hand no more.
    freed: Condvar,
}

/// A SOP instance in hand, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    all: Arc<InHand>,
    instance: Uid,
}

impl InHand {
    /// Takes an instance in hand; waits while another does.
    pub(crate) fn take(self: &Arc<Self>, instance: &Uid) -> Held {
        let is_taken = |instances: &mut HashSet<Uid>| instances.contains(instance);
        let waited = self.freed.wait_while(self.instances(), is_taken);
        waited.unwrap_or_else(PoisonError::into_inner).insert(instance.clone());
        Held { all: Arc::clone(self), instance: instance.clone() }
    }

    fn instances(&self) -> MutexGuard<'_, HashSet<Uid>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.instances().remove(&self.instance);
        self.all.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn an_instance_in_hand_is_waited_for_and_another_is_not() {
        let all = Arc::new(InHand::default());
        let first = all.take(&Uid::from_static("1.2.3"));
        drop(all.take(&Uid::from_static("1.2.4")));
        let (told, tell) = sync_channel(2);
        let second = std::thread::spawn({
            let (all, told) = (Arc::clone(&all), told.clone());
            move || {
                let held = all.take(&Uid::from_static("1.2.3"));
                told.send("second").unwrap();
                drop(held);
            }
        });
        told.send("first").unwrap();
        drop(first);
        assert_eq!([tell.recv().unwrap(), tell.recv().unwrap()], ["first", "second"]);
        second.join().unwrap();
        assert!(all.instances().is_empty());
    }
}
