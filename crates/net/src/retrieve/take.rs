//! Taking an instance that the peer sends: into the folder as it comes, under its name when it is whole and one that
//! was asked for.

use std::future::Future;
use std::io;

use bytes::Bytes;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::message::{CStoreRq, Refusal, Status};
use tokio::sync::watch;

use super::Stop;
use super::folder::Part;
use super::head::{self, Head};
use super::report::{Arrival, Event};
use super::shared::{Shared, reached};
use super::verify::Place;
use crate::Error;
use crate::service::c_get::scu::Get;

/// Bytes after which a big instance says how far it is.
const BYTES_PER_EVENT: u64 = 4 * 1024 * 1024;
/// The instance is here with other bytes; the archive says the same.
const OTHER_BYTES: Status = Status::new(0xC001);

/// What an instance is taken from as it comes.
pub(super) trait Carrier: Send {
    /// The next piece of its data set; `None` at its end. Cancel safe.
    fn data(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Asks the peer to stop, where that is done on this association.
    fn cancel(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Carrier for Get<'_> {
    async fn data(&mut self) -> Result<Option<Bytes>, Error> {
        Get::data(self).await
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        Get::cancel(self).await
    }
}

/// An instance as it comes.
struct Coming {
    /// Where it was found to belong, if it was found.
    place: Option<Place>,
    head: Head,
    /// Its file; none once it is refused.
    part: Option<Part>,
    refused: Option<Refused>,
    /// Study and series, once its UIDs are read.
    belongs_to: Option<(Uid, Uid)>,
    bytes: u64,
    /// Of these, how many were told.
    told: u64,
}

impl Coming {
    fn refuse(&mut self, refused: Refused) {
        (self.part, self.refused) = (None, Some(refused));
    }
}

/// The user's wish to end, which the peer is told once; what it had begun still comes.
struct Cancelling {
    stop: watch::Receiver<Stop>,
    is_done: bool,
}

impl Cancelling {
    /// The next piece; on the way the peer is asked to stop, when that is wanted.
    async fn piece(&mut self, carrier: &mut impl Carrier) -> Result<Option<Bytes>, Error> {
        loop {
            tokio::select! {
                biased;
                () = reached(&mut self.stop, Stop::Cancel), if !self.is_done => {
                    self.is_done = true;
                    carrier.cancel().await?;
                }
                piece = carrier.data() => return piece,
            }
        }
    }

    /// Waits until the peer is to be asked to stop; for ever when it was.
    async fn wanted(&mut self) {
        match self.is_done {
            true => std::future::pending().await,
            false => reached(&mut self.stop, Stop::Cancel).await,
        }
    }
}

impl Shared {
    /// Takes one instance: to the folder as it comes, under its name when it is whole. `None` is success.
    pub(super) async fn take(
        &self,
        carrier: &mut impl Carrier,
        context: &Context,
        rq: &CStoreRq,
    ) -> Result<Option<Refused>, Error> {
        let meta = head::file_meta(rq, context, &self.node.ae_title);
        let part = match self.folder.begin(meta) {
            Ok(part) => part,
            Err(error) => return Ok(Some(out_of_resources(&error))),
        };
        let mut coming = Coming {
            place: self.ledger().place(&rq.affected_sop_instance_uid),
            head: Head::new(self.folder.layout(), context),
            part: Some(part),
            refused: None,
            belongs_to: None,
            bytes: 0,
            told: 0,
        };
        let mut cancelling = Cancelling { stop: self.stop.clone(), is_done: self.stop() != Stop::No };
        while let Some(piece) = cancelling.piece(carrier).await? {
            coming.bytes += piece.len() as u64;
            if coming.bytes - coming.told >= BYTES_PER_EVENT {
                self.tell_bytes(&mut coming);
            }
            self.take_piece(&mut coming, rq, &piece);
            if let Some(limit) = &self.rate_limit {
                tokio::select! {
                    () = limit.took(piece.len()) => {}
                    // What is paid for already is not waited for by who wants to end.
                    () = cancelling.wanted() => {}
                }
            }
        }
        self.tell_bytes(&mut coming);
        Ok(self.settle(coming, context, rq))
    }

    /// Says how much came since it was said last.
    fn tell_bytes(&self, coming: &mut Coming) {
        let more = coming.bytes - coming.told;
        coming.told = coming.bytes;
        self.note_bytes(more);
        self.tell(Event::Bytes(more));
    }

    /// Writes a piece, as long as the instance is one to keep and the disk takes it. What is left of one that is not is read
    /// and dropped; its file goes at once, to free what it holds.
    fn take_piece(&self, coming: &mut Coming, rq: &CStoreRq, piece: &[u8]) {
        coming.head.feed(piece);
        if coming.part.is_some() && coming.belongs_to.is_none() && coming.head.is_read() {
            match self.belonging(&coming.head, coming.place.as_ref(), rq) {
                Belonging::To(study, series) => coming.belongs_to = Some((study, series)),
                Belonging::No(refused) => coming.refuse(refused),
            }
        }
        if let Some(file) = &mut coming.part
            && let Err(error) = file.write(piece)
        {
            coming.refuse(out_of_resources(&error));
        }
    }

    /// What becomes of an instance that is at its end.
    fn settle(&self, coming: Coming, context: &Context, rq: &CStoreRq) -> Option<Refused> {
        let Coming { place, mut head, part, refused, belongs_to, bytes, .. } = coming;
        let Some(part) = part else { return refused };
        if bytes == 0 {
            let status = Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS;
            return Some(Refused::by_rule(status, "the data set is empty"));
        }
        if let Some(refusal) = head.end() {
            return Some(refusal.into());
        }
        let belongs_to = match belongs_to {
            Some(above) => above,
            // It ends before its UIDs could be told to be absent.
            None => match self.belonging(&head, place.as_ref(), rq) {
                Belonging::To(study, series) => (study, series),
                Belonging::No(refused) => return Some(refused),
            },
        };
        self.keep(part, belongs_to, head, context, rq, bytes)
    }

    /// Whether an instance is one to keep, if it is not here, as soon as its UIDs are read: what is not wanted takes no room.
    fn belonging(&self, head: &Head, place: Option<&Place>, rq: &CStoreRq) -> Belonging {
        let told = match head.identify(rq) {
            Ok(told) => told,
            Err(refusal) => return Belonging::No(refusal.into()),
        };
        let (study, series) = match (told, place) {
            (Some(told), _) => told,
            (None, Some(place)) => (place.study.clone(), place.series.clone()),
            // Some archives, ours too, have it in a study and a series that are named as its class is.
            (None, None) => (rq.affected_sop_class_uid.clone(), rq.affected_sop_class_uid.clone()),
        };
        let ledger = self.ledger();
        match place {
            Some(place) if place.study == study && place.series == series => Belonging::To(study, series),
            Some(_) => Belonging::No(Refused::by_rule(
                Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                "the data set is of another study or series than was found",
            )),
            None if ledger.belongs(&study, &series) => Belonging::To(study, series),
            None => Belonging::No(Refused::by_rule(Status::NOT_AUTHORIZED, "it is not what was asked for")),
        }
    }

    /// Gives a whole instance its name, if it is not here. What is here stays.
    fn keep(
        &self,
        mut part: Part,
        (study, series): (Uid, Uid),
        head: Head,
        context: &Context,
        rq: &CStoreRq,
        bytes: u64,
    ) -> Option<Refused> {
        let instance = &rq.affected_sop_instance_uid;
        // Another association may be bringing the same instance.
        let placing = self.placing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.ledger().is_here(&study, instance) {
            drop(placing);
            return self.come_again(&mut part, (&study, &series, instance));
        }
        let path = match self.folder.finish(part, (&study, &series, instance), &|tag| head.value(tag)) {
            Ok(path) => path,
            Err(error) => return Some(out_of_resources(&error)),
        };
        self.ledger().retrieved(&study, &series, instance, bytes);
        drop(placing);
        self.note_instance();
        self.tell(Event::Arrived(Box::new(Arrival {
            study,
            sop_instance: instance.clone(),
            sop_class: rq.affected_sop_class_uid.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            ae_title: self.node.ae_title.clone(),
            path,
            bytes,
        })));
        None
    }

    /// An instance that is here has come once more, whole. The peer sends what it was not asked for, or says two things
    /// under one name.
    fn come_again(&self, part: &mut Part, names: (&Uid, &Uid, &Uid)) -> Option<Refused> {
        match self.folder.has_same(part, names) {
            Ok(true) => None,
            Ok(false) => {
                self.ledger().came_with_other_bytes(names.2);
                Some(Refused::by_rule(OTHER_BYTES, "it came before with other bytes, and the first stays"))
            }
            Err(error) => Some(out_of_resources(&error)),
        }
    }
}

/// See [`Shared::belonging`].
enum Belonging {
    /// It is, to this study and series.
    To(Uid, Uid),
    No(Refused),
}

/// An instance that we do not take, and whether there is any use in going on.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) fatal: bool,
}

impl Refused {
    fn by_rule(status: Status, comment: &str) -> Refused {
        Refusal::new(status, comment).into()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused { refusal, fatal: false }
    }
}

fn out_of_resources(error: &io::Error) -> Refused {
    let fatal = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    );
    Refused { refusal: Refusal::new(Status::OUT_OF_RESOURCES, &format!("cannot write: {error}")), fatal }
}
