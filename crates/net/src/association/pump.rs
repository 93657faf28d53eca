//! Moves bytes between the transport and the association core, in both directions at once.
//!
//! ```text
//!            input (whole PDUs)              inbox
//! transport ------------------> core ----------------> owner
//!           <------------------------------------------
//!            output
//! ```
//!
//! Everything waits in [`Pump::drive`]. While writing is blocked, what arrives is read and queued, so that two
//! parties that both send can never block each other; reading stops only when the inbox is full.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use dicomet_proto::association::{Association as Core, Event};
use dicomet_proto::pdu::AbortReason;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};

use super::Transport;
use super::inbox::{Fault, Inbox, Item};
use super::output::Output;
use super::stopwatch::Stopwatch;
use crate::Error;

/// Room for one read: two of our largest PDUs, or some hundred small ones, in one system call.
const READ_SIZE: usize = 512 * 1024;

/// With less room than this, more is made before reading.
const MIN_READ_SIZE: usize = 128 * 1024;

/// With so many bytes in the write buffer, a system call is worth its price.
const WRITE_SIZE: usize = 64 * 1024;

/// Messages that follow one another faster than this leave together; what is older does not wait for company.
const COALESCE_FOR: Duration = Duration::from_micros(500);

/// How often a look reads before it is content.
const READS_AT_ONCE: usize = 4;

/// How long the last bytes of an association may take to reach a peer that does not close: closing before it
/// has read them could destroy them on the way.
const LINGER: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Something is in the inbox.
    Arrived,
    /// All output has left.
    Sent,
    /// The connection is at its end.
    Closed,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    /// In the words of [`Error::TimedOut`].
    pub(crate) action: &'static str,
    /// Where the limit holds for the whole wait, and not only for a time without progress.
    pub(crate) until: Option<Instant>,
}

impl Patience {
    /// As long as something moves.
    pub(crate) fn progress(limit: Duration, action: &'static str) -> Patience {
        Patience { limit, action, until: None }
    }

    /// From now on, whatever moves.
    pub(crate) fn total(limit: Duration, action: &'static str) -> Patience {
        let until = Instant::now().checked_add(limit);
        Patience { limit, action, until }
    }
}

/// A transport with the core of an association on it.
pub(crate) struct Pump {
    transport: Box<dyn Transport>,
    pub(crate) core: Core,
    pub(crate) inbox: Inbox,
    pub(crate) output: Output,
    input: BytesMut,
    control: BytesMut,
    stopwatch: Stopwatch,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Bytes were read or written since we waited last.
    touched: bool,
    /// When bytes were written last.
    written: Instant,
    /// The transport may hold back bytes that it took.
    unflushed: bool,
    artim: Duration,
    end: End,
}

/// Whether, and why, it is over.
#[derive(Debug)]
enum End {
    NotYet,
    /// What the owner is still to be told.
    Because(Error),
    Told,
}

impl Pump {
    pub(crate) fn new(transport: Box<dyn Transport>, core: Core, artim: Duration) -> Pump {
        Pump {
            transport,
            core,
            inbox: Inbox::new(),
            output: Output::default(),
            input: BytesMut::new(),
            control: BytesMut::new(),
            stopwatch: Stopwatch::default(),
            sleep: None,
            touched: true,
            written: Instant::now(),
            unflushed: false,
            artim,
            end: End::NotYet,
        }
    }

    /// Waits until the goal is reached. Cancel safe: all state is in `self`.
    pub(crate) fn drive(&mut self, goal: Goal, patience: Patience) -> Drive<'_> {
        Drive { pump: self, goal, patience }
    }

    /// Reads what has arrived, without waiting.
    pub(crate) fn read_now(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..READS_AT_ONCE {
            if !self.read(&mut cx) {
                return;
            }
        }
    }

    /// Writes what the transport takes, without waiting.
    pub(crate) fn write_now(&mut self) {
        self.write(&mut Context::from_waker(Waker::noop()));
    }

    /// Writes, without waiting, what is much or has stood in the write buffer for long: the owner may be about to
    /// do something slow.
    pub(crate) fn write_if_due(&mut self) {
        let length = self.output.len();
        if length >= WRITE_SIZE || (length > 0 && self.written.elapsed() >= COALESCE_FOR) {
            self.write_now();
        }
    }

    /// The peer broke a rule above the PDU layer: aborts, and says so.
    pub(crate) fn misbehaved(&mut self, reason: AbortReason, what: impl Into<String>) -> Error {
        let what = what.into();
        tracing::debug!(what, "aborting: the peer broke the protocol");
        self.core.abort_for(reason, "broke a rule of DIMSE", now());
        self.finish(Error::PeerMisbehaved { what })
    }

    /// Aborts for a reason of our own.
    pub(crate) fn abort(&mut self, because: Error) -> Error {
        self.core.abort(now());
        self.finish(because)
    }

    /// Sends what is left, and gives the peer a moment to read it and to close.
    pub(crate) async fn close(&mut self) {
        let patience = Patience::total(LINGER, "close the connection");
        if self.drive(Goal::Sent, patience).await.is_ok() {
            self.shut_down();
            let _ = self.drive(Goal::Closed, patience).await;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.end, End::NotYet)
    }

    /// Why it is over; the first call gets the cause.
    pub(crate) fn error(&mut self) -> Error {
        match std::mem::replace(&mut self.end, End::Told) {
            End::Because(error) => error,
            End::NotYet | End::Told => Error::ConnectionClosed,
        }
    }

    /// Lets the core tell what it has to tell, after a primitive of ours.
    pub(crate) fn take_events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Data(fragment) => match self.inbox.take_fragment(fragment) {
                    Ok(true) => self.stopwatch.reset(),
                    Ok(false) => {}
                    Err(Fault { reason, what }) => {
                        self.core.abort_for(reason, what, now());
                        self.end(Error::PeerMisbehaved { what: what.to_owned() });
                    }
                },
                Event::AssociateRequested(request) => self.inbox.push(Item::AssociateRequested(request)),
                Event::Established(negotiated) => self.inbox.push(Item::Established(negotiated)),
                Event::ReleaseRequested => self.inbox.push(Item::ReleaseRequested),
                Event::Released => self.inbox.push(Item::Released),
                Event::Rejected(rejection) => self.end(Error::Rejected(rejection)),
                Event::Aborted(abort) => self.end(Error::Aborted(abort)),
                Event::PeerMisbehaved { what, .. } => {
                    self.end(Error::PeerMisbehaved { what: what.to_owned() })
                }
                Event::ConnectionClosed => self.end(Error::ConnectionClosed),
                Event::TimedOut => {
                    self.end(Error::TimedOut { action: "do its part of the association", after: self.artim })
                }
            }
        }
    }

    /// Handles what was read before and had to wait for a primitive of ours.
    pub(crate) fn resume_input(&mut self) {
        self.core.handle_input(&mut self.input, now());
        self.take_events();
    }

    /// It is over; the first cause stays.
    fn end(&mut self, error: Error) {
        if matches!(self.end, End::NotYet) {
            self.end = End::Because(error);
        }
    }

    /// It is over, by us: what is left to say, such as an A-ABORT, leaves as far as the transport takes it.
    /// Gives the cause back.
    pub(crate) fn finish(&mut self, error: Error) -> Error {
        self.end(error);
        self.write_now();
        self.shut_down();
        self.error()
    }

    fn shut_down(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut *self.transport).poll_shutdown(&mut cx);
    }

    /// Puts what the core has to send into the write buffer, before data.
    pub(crate) fn collect_control(&mut self) {
        self.core.poll_transmit(&mut self.control);
        if !self.control.is_empty() {
            self.output.append(&self.control);
            self.control.clear();
        }
    }

    /// Writes as far as the transport takes it.
    fn write(&mut self, cx: &mut Context<'_>) {
        self.collect_control();
        if !self.output.is_empty() {
            self.written = Instant::now();
        }
        while !self.output.is_empty() {
            match Pin::new(&mut *self.transport).poll_write(cx, self.output.pending()) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.write_failed(cx, io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) => return self.write_failed(cx, error),
                Poll::Ready(Ok(written)) => {
                    self.output.advance(written);
                    self.stopwatch.moved(written);
                    (self.touched, self.unflushed) = (true, true);
                }
            }
        }
        if self.unflushed {
            match Pin::new(&mut *self.transport).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => self.write_failed(cx, error),
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.stopwatch.reset();
                }
            }
        }
    }

    /// The transport takes nothing more. What the peer said before it closed tells why, if it said anything.
    fn write_failed(&mut self, cx: &mut Context<'_>, error: io::Error) {
        self.output.clear();
        self.unflushed = false;
        while !self.has_ended() && self.read(cx) {}
        self.end(transport_error(error));
        self.core.handle_closed(now());
        self.take_events();
    }

    /// Reads once. Answers whether anything came, the end included.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.has_ended() || self.inbox.is_full() {
            return false;
        }
        if self.input.capacity() - self.input.len() < MIN_READ_SIZE {
            self.input.reserve(READ_SIZE);
        }
        let read = pin!(self.transport.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Pending => {
                if std::mem::take(&mut self.touched) {
                    self.transport.before_waiting();
                }
                return false;
            }
            Poll::Ready(Ok(0)) => {
                self.core.handle_closed(now());
                self.take_events();
                self.end(Error::ConnectionClosed);
                return true;
            }
            Poll::Ready(Err(error)) => {
                let error = transport_error(error);
                self.core.handle_closed(now());
                if matches!(error, Error::Transport(_)) {
                    self.end(error);
                }
                self.take_events();
                self.end(Error::ConnectionClosed);
                return true;
            }
            Poll::Ready(Ok(read)) => {
                self.touched = true;
                self.stopwatch.moved(read);
                self.core.handle_input(&mut self.input, now());
                self.take_events();
            }
        }
        if self.has_ended() {
            // What the core has to say about it, such as an A-ABORT, leaves as far as it goes.
            self.write(cx);
            self.shut_down();
        }
        true
    }

    fn reached(&mut self, goal: Goal) -> Option<Result<(), Error>> {
        match goal {
            Goal::Arrived if !self.inbox.is_empty() => Some(Ok(())),
            Goal::Sent if !self.has_ended() && self.output.is_empty() && !self.unflushed => Some(Ok(())),
            Goal::Closed if self.has_ended() || (self.core.wants_close() && self.output.is_empty()) => {
                Some(Ok(()))
            }
            _ if self.has_ended() => Some(Err(self.error())),
            _ => None,
        }
    }

    fn poll_goal(&mut self, cx: &mut Context<'_>, goal: Goal) -> Poll<Result<(), Error>> {
        loop {
            if !self.has_ended() {
                self.write(cx);
            }
            if goal == Goal::Closed {
                self.inbox.clear();
            }
            if let Some(result) = self.reached(goal) {
                return Poll::Ready(result);
            }
            if !self.read(cx) && !self.has_ended() {
                return Poll::Pending;
            }
        }
    }

    /// Waits for the earlier of ARTIM and the end of patience, and does what is due then.
    fn poll_timers(&mut self, cx: &mut Context<'_>, patience: &Patience) -> Poll<()> {
        self.stopwatch.start();
        loop {
            let patience_ends = patience.until.or_else(|| self.stopwatch.deadline(patience.limit));
            let core_timeout = self.core.poll_timeout().map(Instant::from_std);
            let Some(deadline) = [patience_ends, core_timeout].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            // A timer that rings too early is left as it is: most waits end long before, and setting it anew for
            // each would cost more than the one early ring.
            let sleep = match &mut self.sleep {
                Some(sleep) if sleep.deadline() <= deadline => sleep,
                Some(sleep) => {
                    sleep.as_mut().reset(deadline);
                    sleep
                }
                none => none.insert(Box::pin(tokio::time::sleep_until(deadline))),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now < deadline {
                sleep.as_mut().reset(deadline);
                continue;
            }
            self.sleep = None;
            if core_timeout.is_some_and(|timeout| timeout <= now) {
                self.core.handle_timeout(now.into_std());
                self.take_events();
            }
            if patience_ends.is_some_and(|end| end <= now) {
                self.core.abort(now.into_std());
                self.end(Error::TimedOut { action: patience.action, after: patience.limit });
                self.write_now();
                self.shut_down();
            }
            return Poll::Ready(());
        }
    }
}

/// A wait in progress.
pub(crate) struct Drive<'a> {
    pump: &'a mut Pump,
    goal: Goal,
    patience: Patience,
}

impl Future for Drive<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Drive { pump, goal, patience } = self.get_mut();
        loop {
            if let Poll::Ready(result) = pump.poll_goal(cx, *goal) {
                return Poll::Ready(result);
            }
            if pump.poll_timers(cx, patience).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Drive<'_> {
    fn drop(&mut self) {
        self.pump.stopwatch.pause();
    }
}

/// The clock of the core; under `tokio::time::pause` a test's own.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// A connection that the peer has closed is no fault of the transport.
fn transport_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotConnected => Error::ConnectionClosed,
        _ => Error::Transport(error),
    }
}
