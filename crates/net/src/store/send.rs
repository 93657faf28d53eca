//! Sending: associations that work off a queue of files by C-STORE, with as many outstanding on each as the
//! asynchronous operations window allows.
//!
//! Several workers may share the queue, each with an association of its own and the same contexts. An
//! association that is cut is opened again; what was outstanding goes back to the end of the queue, and is then
//! sent with nothing else outstanding: a file that the peer falls over takes no other with it. Cut a second
//! time, it has failed; or, where all of it was sent and only the answer did not come, nobody knows.

use std::fs::File;
use std::io::{self, Chain};
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::{Context, Negotiated, Proposal};
use dicomet_proto::dataset::dictionary::{uid_name, uids};
use dicomet_proto::message::{CStoreRsp, Command, Refusal, Status, StatusKind};
use dicomet_proto::pdu::AsyncOperationsWindow;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::files::FileInstance;
use super::plan::MAX_CONTEXTS;
use super::quirk;
use super::report::{Event, Remark, Report, Sent};
use super::work::{Item, Work};
use crate::association::{ReaderSource, Received, Source};
use crate::retrieve::{Caller, Stop, is_final, reached};
use crate::service::c_store::{self, WINDOW, outstanding::Outstanding};
use crate::service::respond_refusal;
use crate::transcode::{self, Converter, Pieces};
use crate::{Association, Error, Node, connect};

/// Associations that may end early, one after the other, without anything being settled, before we give up.
const MAX_BARREN: u32 = 3;

/// How often an association may be cut while a file is outstanding.
const MAX_CUTS: u8 = 2;

/// Bytes after which a big instance says how far it is.
const BYTES_PER_EVENT: u64 = 4 * 1024 * 1024;

/// What all workers of a store share.
pub(super) struct Shared {
    pub(super) node: Node,
    pub(super) caller: Caller,
    pub(super) window: u16,
    pub(super) report: Mutex<Report>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) stop: watch::Receiver<Stop>,
}

/// Whether a worker is the one that keeps trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// Tries again when it is refused an association.
    First,
    /// Leaves the work to the others when it is refused one: the peer may have a limit.
    Further,
}

/// What is outstanding on an association.
struct Flight {
    outstanding: Outstanding<(Item, Uid)>,
    /// What was begun last was cut before: it is outstanding alone.
    alone: bool,
    /// It takes no more, though files are left.
    is_retired: bool,
    /// Instances that were confirmed, or have failed for good.
    settled: u64,
    rank: Rank,
}

impl Flight {
    fn has_room(&self) -> bool {
        self.outstanding.is_empty() || (self.outstanding.has_room() && !self.alone)
    }

    /// The next file that may go beside what is outstanding.
    fn next(&mut self, work: &Work) -> Option<Item> {
        if !self.has_room() {
            return None;
        }
        self.is_retired |= self.rank == Rank::Further && work.is_retired();
        if self.is_retired {
            return None;
        }
        let mut queue = work.queue();
        let first = queue.front()?;
        if first.cuts == 0 || self.outstanding.is_empty() { queue.pop_front() } else { None }
    }
}

impl Shared {
    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more: the store goes on all the same.
        let _ = self.events.send(event);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow() != Stop::No
    }

    /// Notes a file whose instance was not stored.
    pub(super) fn failed(&self, path: PathBuf, reason: String) {
        let remark = Remark { path, reason };
        self.tell(Event::Failed(remark.clone()));
        let mut report = self.report();
        report.failed += 1;
        report.failures.push(remark);
    }

    /// Notes a file whose instance the peer may have, or not.
    pub(super) fn unknown(&self, path: PathBuf, reason: String) {
        let remark = Remark { path, reason };
        self.tell(Event::Unknown(remark.clone()));
        let mut report = self.report();
        report.unknown += 1;
        report.unknowns.push(remark);
    }

    /// Instances that were settled so far, and the bytes of those that the peer confirmed.
    pub(super) fn progress(&self) -> (u64, u64) {
        let report = self.report();
        (report.sent + report.already + report.failed + report.unknown, report.bytes)
    }

    /// Works off the queue, over one association after the other when they are cut. Answers why it gave up, if it
    /// did. Counted among those that are being opened already.
    pub(super) async fn work(
        self: Arc<Self>,
        work: Arc<Work>,
        rank: Rank,
        mut give_up: watch::Receiver<()>,
    ) -> Option<Error> {
        let mut stop = self.stop.clone();
        let (mut barren, mut had_one) = (0, false);
        loop {
            let begin = Instant::now();
            let opened = tokio::select! {
                opened = connect::connect(&self.node, self.proposal(&work, rank), &self.caller.timeouts) => Some(opened),
                () = reached(&mut stop, Stop::Cancel) => None,
                _ = give_up.changed(), if rank == Rank::Further => None,
            };
            work.opening.fetch_sub(1, SeqCst);
            let (error, settled) = match opened? {
                Ok(association) => {
                    had_one = true;
                    // A round trip for the connection, and one for the association.
                    work.answered_in(begin.elapsed() / 2);
                    self.use_association(association, &work, rank).await
                }
                Err(error @ Error::Connect { .. }) if !had_one => return Some(error),
                Err(error) if rank == Rank::Further => {
                    tracing::debug!("an association side by side was not to be had: {error}");
                    return Some(error);
                }
                Err(error) => (Some(error), 0),
            };
            let error = error?;
            barren = if settled > 0 { 0 } else { barren + 1 };
            if is_final(&error) || barren >= MAX_BARREN {
                return Some(error);
            }
            if work.left() == 0 || self.is_stopped() {
                return None;
            }
            // A peer that has just fallen over needs a moment.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200) * (1 << barren)) => {}
                () = reached(&mut stop, Stop::Cancel) => return None,
            }
            if work.left() == 0 || self.is_stopped() {
                return None;
            }
            give_up.mark_unchanged();
            work.opening.fetch_add(1, SeqCst);
        }
    }

    fn proposal(&self, work: &Work, rank: Rank) -> Proposal {
        let window = AsyncOperationsWindow { invoked: self.window, performed: 1 };
        let contexts = work.contexts.iter().map(|(class, syntax)| (class.clone(), vec![syntax.clone()]));
        let asks = rank == Rank::First && work.contexts.len() < MAX_CONTEXTS;
        let quirk = asks.then(|| (quirk::PATIENT_STUDY_ONLY_FIND, vec![uids::IMPLICIT_VR_LITTLE_ENDIAN]));
        Proposal {
            async_operations_window: (self.window != 1).then_some(window),
            ..Proposal::new(
                self.caller.ae_title.clone(),
                self.node.ae_title.clone(),
                contexts.chain(quirk).collect(),
            )
        }
    }

    /// Sends over one association as long as it stands. Answers why it ended early, if it did, and how many
    /// instances were settled.
    async fn use_association(
        &self,
        mut association: Association,
        work: &Work,
        rank: Rank,
    ) -> (Option<Error>, u64) {
        let negotiated = association.negotiated();
        if rank == Rank::First {
            work.overwrites.store(quirk::overwrites(negotiated), SeqCst);
            work.stands.notify_one();
        }
        let window = negotiated.async_operations_window.invoked;
        self.report().associations += 1;
        self.tell(Event::Associated {
            accepted: storage_contexts(negotiated).count(),
            proposed: work.contexts.len(),
            window,
        });
        work.window.store(window, SeqCst);
        work.serving.fetch_add(1, SeqCst);
        let outstanding = Outstanding::new(window, WINDOW);
        let mut flight = Flight { outstanding, alone: false, is_retired: false, settled: 0, rank };
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = self.work_off(&mut association, work, &mut flight) => Some(ended),
            () = reached(&mut stop, Stop::Abort) => None,
        };
        work.serving.fetch_sub(1, SeqCst);
        let error = match ended {
            Some(Ok(())) => {
                // What was answered is stored, whatever becomes of the release.
                if let Err(error) = association.release().await {
                    tracing::debug!("releasing after C-STORE: {error}");
                }
                None
            }
            Some(Err(error)) => {
                self.tell(Event::Lost { reason: error.to_string() });
                association.abort().await;
                Some(error)
            }
            None => {
                association.abort().await;
                None
            }
        };
        self.put_back(&mut flight, work, error.as_ref());
        (error, flight.settled)
    }

    async fn work_off(
        &self,
        association: &mut Association,
        work: &Work,
        flight: &mut Flight,
    ) -> Result<(), Error> {
        loop {
            while let Some(received) = association.try_receive()? {
                self.take(association, received, flight).await?;
            }
            let next = if self.is_stopped() { None } else { flight.next(work) };
            match next {
                Some(item) => self.begin(association, item, flight).await?,
                None if flight.outstanding.is_empty() => return Ok(()),
                None => {
                    let waited = Instant::now();
                    let received = association.receive().await?;
                    if flight.outstanding.len() == 1 {
                        work.answered_in(waited.elapsed());
                    }
                    self.take(association, received, flight).await?;
                }
            }
        }
    }

    /// Sends one instance, or notes why it cannot be sent.
    async fn begin(
        &self,
        association: &mut Association,
        mut item: Item,
        flight: &mut Flight,
    ) -> Result<(), Error> {
        let file = &item.file;
        let Some(context) = context_for(association, file) else {
            let reason = refused_context(file);
            self.settle_failed(item, reason, flight);
            return Ok(());
        };
        let source = match open(file, &context.transfer_syntax).await {
            Ok(source) => source,
            Err(error) => {
                let reason = format!("the file cannot be read: {error}");
                self.settle_failed(item, reason, flight);
                return Ok(());
            }
        };
        flight.alone = item.cuts > 0;
        let begin = Instant::now();
        let mut source = Told { source, events: &self.events, untold: 0 };
        let sending =
            c_store::scu::send(association, context.id, &file.sop_class, &file.sop_instance, &mut source);
        let sent = sending.await;
        let (is_whole, length) = (source.remaining() == 0, file.length);
        match sent {
            Ok(message_id) => {
                item.may_be_stored = true;
                flight.outstanding.insert(message_id, length, begin, (item, context.transfer_syntax));
                Ok(())
            }
            Err(error @ Error::Source(_)) => {
                let reason = error.to_string();
                self.settle_failed(item, reason, flight);
                Err(error)
            }
            Err(error) => {
                let message_id = association.next_message_id();
                // The last bytes may have got there.
                item.may_be_stored |= is_whole;
                flight.outstanding.insert(message_id, length, begin, (item, context.transfer_syntax));
                Err(error)
            }
        }
    }

    async fn take(
        &self,
        association: &mut Association,
        received: Received,
        flight: &mut Flight,
    ) -> Result<(), Error> {
        let message = match received {
            Received::Message(message) => message,
            Received::ReleaseRequested => return Err(association.released_by_peer()),
        };
        match message.command {
            Command::CStoreRsp(response) => {
                match flight.outstanding.remove(response.message_id, Instant::now()) {
                    Some((item, transfer_syntax)) => {
                        self.answered(item, transfer_syntax, response, flight);
                        Ok(())
                    }
                    None => Err(association.misbehaved("answered a C-STORE that is not outstanding")),
                }
            }
            command => {
                let refusal = Refusal::new(Status::UNRECOGNIZED_OPERATION, "");
                respond_refusal(association, message.context_id, &command, &refusal).await
            }
        }
    }

    fn answered(&self, mut item: Item, transfer_syntax: Uid, response: CStoreRsp, flight: &mut Flight) {
        let file = &item.file;
        let other = c_store::other_than_asked(&response, &file.sop_class, &file.sop_instance).cloned();
        let CStoreRsp { status, error_comment: comment, .. } = response;
        let said = match &comment {
            Some(comment) => format!("{status}: {comment}"),
            None => status.to_string(),
        };
        let was_there = status == Status::DUPLICATE_SOP_INSTANCE;
        let has_warning = status.kind() == StatusKind::Warning;
        if !(was_there || has_warning || status.kind() == StatusKind::Success) {
            item.may_be_stored = false;
            self.settle_failed(item, format!("the peer answered {said}"), flight);
            return;
        }
        if let Some(other) = other {
            self.settle_failed(item, format!("the peer answered {said} of another: {other}"), flight);
            return;
        }
        flight.settled += 1;
        let FileInstance { path, sop_class, sop_instance, length, .. } = item.file;
        let mut report = self.report();
        if was_there {
            report.already += 1;
        } else {
            report.sent += 1;
            report.bytes += length;
        }
        if has_warning {
            report.warnings += 1;
            report.notes.push(Remark { path: path.clone(), reason: format!("stored, with {said}") });
        }
        drop(report);
        let sent = Sent { path, sop_class, sop_instance, transfer_syntax, status, comment };
        self.tell(Event::Sent(Box::new(sent)));
    }

    /// Settles what was not confirmed: it has failed, unless the peer may have it all the same.
    fn settle_failed(&self, item: Item, reason: String, flight: &mut Flight) {
        flight.settled += 1;
        if item.may_be_stored {
            self.unknown(item.file.path, reason);
        } else {
            self.failed(item.file.path, reason);
        }
    }

    /// What is outstanding when an association ends goes back, unless it was cut too often.
    fn put_back(&self, flight: &mut Flight, work: &Work, error: Option<&Error>) {
        let cut = match error {
            // The fault is ours, and of another file.
            None | Some(Error::Source(_)) => 0,
            Some(_) => 1,
        };
        let outstanding = flight.outstanding.drain();
        for (mut item, _) in outstanding {
            item.cuts += cut;
            match error {
                Some(error) if item.cuts >= MAX_CUTS => {
                    let what = if item.may_be_stored {
                        "all of it was sent, and no answer came"
                    } else {
                        "twice cut in the middle"
                    };
                    let reason = format!("{what}, the last time because {error}");
                    self.settle_failed(item, reason, flight);
                }
                _ => work.queue().push_back(item),
            }
        }
    }
}

fn storage_contexts(negotiated: &Negotiated) -> impl Iterator<Item = &Context> {
    negotiated.contexts.iter().filter(|context| context.abstract_syntax != quirk::PATIENT_STUDY_ONLY_FIND)
}

/// The context for a file: its SOP class in the transfer syntax it is in, or else in one it can be written in.
fn context_for(association: &Association, file: &FileInstance) -> Option<Context> {
    let of_class = || {
        let contexts = &association.negotiated().contexts;
        contexts.iter().filter(|context| context.abstract_syntax == file.sop_class)
    };
    of_class()
        .find(|context| context.transfer_syntax == file.transfer_syntax)
        .or_else(|| {
            of_class().find(|context| {
                transcode::reencodings(&file.transfer_syntax).any(|other| *other == context.transfer_syntax)
            })
        })
        .cloned()
}

fn refused_context(file: &FileInstance) -> String {
    let named = |uid: &Uid| match uid_name(uid) {
        Some(name) => format!("{name} ({uid})"),
        None => uid.to_string(),
    };
    format!(
        "the peer accepted no presentation context for {} in {}",
        named(&file.sop_class),
        named(&file.transfer_syntax)
    )
}

/// Opens the data set of a file, to be sent in a transfer syntax. Inline: it takes some ten microseconds, and a
/// change of threads would cost more.
async fn open(file: &FileInstance, transfer_syntax: &Uid) -> io::Result<FileSource> {
    if *transfer_syntax == file.transfer_syntax {
        return Ok(FileSource::AsIs(file.source()?));
    }
    let opened = file.open()?;
    let (offset, length, from) = (file.offset, file.length, file.transfer_syntax.clone());
    let stored = transcode::DataSet { file: opened, offset, length, transfer_syntax: from };
    Ok(FileSource::Converted(Converter::default().convert(stored, transfer_syntax).await?))
}

/// The data set of a file as it is sent.
enum FileSource {
    AsIs(ReaderSource<Chain<File, &'static [u8]>>),
    Converted(Pieces),
}

impl Source for FileSource {
    fn remaining(&self) -> u64 {
        match self {
            FileSource::AsIs(source) => source.remaining(),
            FileSource::Converted(source) => source.remaining(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            FileSource::AsIs(source) => source.read(buffer),
            FileSource::Converted(source) => Source::read(source, buffer),
        }
    }
}

/// A source that tells how far it is.
struct Told<'a> {
    source: FileSource,
    events: &'a mpsc::UnboundedSender<Event>,
    untold: u64,
}

impl Source for Told<'_> {
    fn remaining(&self) -> u64 {
        self.source.remaining()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.untold += read as u64;
        if self.untold >= BYTES_PER_EVENT || self.remaining() == 0 {
            let _ = self.events.send(Event::Bytes(self.untold));
            self.untold = 0;
        }
        Ok(read)
    }
}
