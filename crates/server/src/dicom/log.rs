//! What the log says of an association and of its operations: a line each, with figures, however they end. Services write
//! the line of what they answered; what ended without an answer has its line here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dicomet_net::Error;
use dicomet_net::service::Request;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::pdu::AssociateRj;

/// The line of an association.
pub(super) struct AssociationLog {
    began: Instant,
    operations: Operations,
    /// Requests that were refused before any service had them, or by what the peer may do.
    pub(super) refused: u64,
    ended: bool,
}

/// How an association ended.
pub(super) enum End {
    /// We rejected it.
    Rejected,
    /// The peer released it.
    Released,
    /// The server was to stop, and nothing was under way.
    Stopped,
    /// The server was to stop, and what was under way had no more time.
    CutOff,
}

/// How many operations there were.
#[derive(Debug, Default)]
struct Operations {
    echo: u64,
    store: u64,
    find: u64,
    worklist: u64,
    get: u64,
    moves: u64,
    commitment: u64,
    stored_bytes: u64,
    sent_bytes: u64,
}

impl AssociationLog {
    pub(super) fn begin() -> AssociationLog {
        AssociationLog { began: Instant::now(), operations: Operations::default(), refused: 0, ended: false }
    }

    /// An operation begins.
    pub(super) fn count(&mut self, request: &Request) {
        let operations = &mut self.operations;
        *match request {
            Request::Echo(..) => &mut operations.echo,
            Request::Store(..) => &mut operations.store,
            Request::Find(context, ..) if context.abstract_syntax == uids::MODALITY_WORKLIST_FIND => {
                &mut operations.worklist
            }
            Request::Find(..) => &mut operations.find,
            Request::Get(..) => &mut operations.get,
            Request::Move(..) => &mut operations.moves,
            Request::Action(..) | Request::EventReport(..) => &mut operations.commitment,
        } += 1;
    }

    /// An operation has ended, in whatever way.
    pub(super) fn add(&mut self, progress: &Progress) {
        self.operations.stored_bytes += progress.stored_bytes();
        self.operations.sent_bytes += progress.sent_bytes();
    }

    /// Writes the line of an association that does not come to be.
    pub(super) fn reject(&mut self, rejection: &AssociateRj) {
        self.ended = true;
        tracing::info!(%rejection, "association rejected");
    }

    /// Writes the line, unless there is one.
    pub(super) fn end(mut self, end: Result<End, Error>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match end {
            Ok(End::Rejected) => {}
            Ok(End::Released) => self.write("released"),
            Ok(End::Stopped) => self.write("aborted: the archive stops"),
            Ok(End::CutOff) => self.write("cut off: the archive stops"),
            Err(Error::Rejected(rejection)) => self.reject(&rejection),
            Err(error) => self.write(&error.to_string()),
        }
    }

    fn write(&self, end: &str) {
        let operations = &self.operations;
        tracing::info!(
            seconds = self.began.elapsed().as_secs_f64(),
            echo = operations.echo,
            store = operations.store,
            find = operations.find,
            worklist = operations.worklist,
            get = operations.get,
            moves = operations.moves,
            commitment = operations.commitment,
            refused = self.refused,
            stored_bytes = operations.stored_bytes,
            sent_bytes = operations.sent_bytes,
            end,
            "association ended"
        );
    }
}

/// Also an association whose task was taken down, or has panicked, has its line.
impl Drop for AssociationLog {
    fn drop(&mut self) {
        if !self.ended {
            self.write(if std::thread::panicking() { "a fault of ours" } else { "cut off" });
        }
    }
}

/// What an operation has done so far. A clone counts into the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    received_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    sent: AtomicU64,
}

impl Progress {
    /// So many bytes of a data set came.
    pub(super) fn received(&self, bytes: u64) {
        self.counters.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All that came is durable.
    pub(super) fn stored(&self) {
        self.counters.stored_bytes.store(self.received_bytes(), Ordering::Relaxed);
    }

    /// A match was sent, or the sending of an instance begun.
    pub(super) fn sent_one(&self) {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of an instance were sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.counters.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.counters.received_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn sent_so_far(&self) -> u64 {
        self.counters.sent.load(Ordering::Relaxed)
    }

    fn stored_bytes(&self) -> u64 {
        self.counters.stored_bytes.load(Ordering::Relaxed)
    }

    fn sent_bytes(&self) -> u64 {
        self.counters.sent_bytes.load(Ordering::Relaxed)
    }
}

/// An operation under way: its line, should it end without an answer.
pub(super) struct Underway {
    service: &'static str,
    message_id: u16,
    kind: Kind,
    began: Instant,
    pub(super) progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stores,
    Finds,
    Retrieves,
    Other,
}

impl Underway {
    pub(super) fn begin(request: &Request) -> Underway {
        let (service, message_id, kind) = match request {
            Request::Echo(_, request) => ("C-ECHO", request.message_id, Kind::Other),
            Request::Store(_, request) => ("C-STORE", request.message_id, Kind::Stores),
            Request::Find(context, request, _) if context.abstract_syntax == uids::MODALITY_WORKLIST_FIND => {
                ("worklist C-FIND", request.message_id, Kind::Finds)
            }
            Request::Find(_, request, _) => ("C-FIND", request.message_id, Kind::Finds),
            Request::Get(_, request, _) => ("C-GET", request.message_id, Kind::Retrieves),
            Request::Move(_, request, _) => ("C-MOVE", request.message_id, Kind::Retrieves),
            Request::Action(_, request, _) => ("N-ACTION", request.message_id, Kind::Other),
            Request::EventReport(_, request, _) => ("N-EVENT-REPORT", request.message_id, Kind::Other),
        };
        let (began, progress) = (Instant::now(), Progress::default());
        Underway { service, message_id: message_id.0, kind, began, progress }
    }

    /// The Message ID of its request.
    pub(super) fn message_id(&self) -> u16 {
        self.message_id
    }

    /// It ended with its association.
    pub(super) fn not_answered(self, end: &str) {
        let Underway { service, message_id, kind, began, progress } = self;
        let of = |wanted, figure: u64| (kind == wanted).then_some(figure);
        tracing::warn!(
            message_id,
            received_bytes = of(Kind::Stores, progress.received_bytes()),
            // A peer that did not hear of it may send it again, and finds it there.
            is_stored = (kind == Kind::Stores).then(|| progress.stored_bytes() > 0),
            matches = of(Kind::Finds, progress.sent_so_far()),
            begun = of(Kind::Retrieves, progress.sent_so_far()),
            sent_bytes = of(Kind::Retrieves, progress.sent_bytes()),
            seconds = began.elapsed().as_secs_f64(),
            end,
            "{service} not answered to its end"
        );
    }
}
