//! Instances whose bytes are counted as they are sent, so that a retrieve that does not come to its end leaves true
//! figures in the log.

use std::io;

use dicomet_net::association::Source;
use dicomet_net::service::sub_operations::{Instance, Instances, Outgoing};
use dicomet_proto::Uid;

use super::log::Progress;

/// The instances of a retrieve, counted.
pub(super) struct Counted<I> {
    instances: I,
    progress: Progress,
}

impl<I> Counted<I> {
    pub(super) fn new(instances: I, progress: &Progress) -> Counted<I> {
        Counted { instances, progress: progress.clone() }
    }
}

impl<I: Instances> Instances for Counted<I> {
    type Instance = CountedInstance<I::Instance>;

    fn total(&self) -> u64 {
        self.instances.total()
    }

    fn next(&mut self) -> Option<CountedInstance<I::Instance>> {
        let instance = self.instances.next()?;
        Some(CountedInstance { instance, progress: self.progress.clone() })
    }
}

/// One of them.
pub(super) struct CountedInstance<O> {
    instance: O,
    progress: Progress,
}

impl<O: Outgoing> Outgoing for CountedInstance<O> {
    type Source = CountedSource<O::Source>;

    fn describe(&self) -> Instance {
        self.instance.describe()
    }

    fn converts(&self, transfer_syntax: &Uid) -> bool {
        self.instance.converts(transfer_syntax)
    }

    async fn open(&self, transfer_syntax: &Uid) -> io::Result<CountedSource<O::Source>> {
        let source = self.instance.open(transfer_syntax).await?;
        self.progress.sent_one();
        Ok(CountedSource { source, progress: self.progress.clone() })
    }
}

/// An instance as it is sent, counted.
pub(super) struct CountedSource<S> {
    source: S,
    progress: Progress,
}

impl<S: Source> Source for CountedSource<S> {
    fn remaining(&self) -> u64 {
        self.source.remaining()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.progress.sent(length as u64);
        Ok(length)
    }
}
