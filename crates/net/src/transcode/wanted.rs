//! Whether anybody still waits for a conversion: it goes on in a thread of its own, which nothing else can end.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a conversion looks at between two of its steps.
#[derive(Debug, Clone)]
pub(super) struct Wanted(Arc<AtomicBool>);

/// Held by who waits; says when it is dropped that nobody does any more.
pub(super) struct Waiting(Wanted);

impl Waiting {
    pub(super) fn new() -> Waiting {
        Waiting(Wanted(Arc::new(AtomicBool::new(true))))
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.0.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

impl Wanted {
    /// Goes on, or not.
    ///
    /// # Errors
    /// When nobody waits any more. Not `Interrupted`, which `io::copy` would try again.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(io::Error::other("nobody waits for it any more")),
        }
    }

    /// A reader that is read as long as somebody waits.
    pub(super) fn reading<R: Read>(&self, reader: R) -> impl Read {
        Reading { reader, wanted: self.clone() }
    }
}

struct Reading<R> {
    reader: R,
    wanted: Wanted,
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wanted.check()?;
        self.reader.read(buffer)
    }
}
