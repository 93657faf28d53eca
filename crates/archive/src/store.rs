//! The archive, and how an instance gets into it: received in pieces, checked, made durable (PS3.4 Annex B).

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use dicomet_proto::association::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dicomet_proto::dataset::FileMeta;
use dicomet_proto::dataset::scan::{Header, ScanError, Walk};
use dicomet_proto::dataset::{DataSet, Tag, dictionary};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::uid::InvalidUid;
use dicomet_proto::{AeTitle, Uid};

use crate::blob::Fault;
use crate::blob::buffers::Buffers;
use crate::blob::numbers::Numbers;
use crate::blob::placed::Replaces;
use crate::blob::proof::Proofs;
use crate::blob::write::TemporaryBlob;
use crate::error::status;
use crate::folder::{Folder, Layout};
use crate::in_hand::InHand;
use crate::index::attributes::{has_column_for_value, tags};
use crate::index::commit::other_bytes;
use crate::index::read::Readers;
use crate::index::record::{FileFacts, Identity, Record};
use crate::index::schema::{open_for_writing, sync_log};
use crate::index::settle;
use crate::index::write::{self, Conflicts};
use crate::index::writer::{Outcome, Stored, Writer};
use crate::reread::{Unreadable, reread};
use crate::reserve::{Reserve, Share};
use crate::{Commitments, Duplicates, Error, Settings, Worklist};

/// An archive: stores, finds and gives back instances. A clone is another handle of the same archive.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles of an archive have in common. In this order it is taken down: the readers first, so that the writer
/// is the last to close the index and leaves no log behind; the lock of the folder last.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    numbers: Arc<Numbers>,
    in_hand: Arc<InHand>,
    buffers: Arc<Buffers>,
    pub(crate) proofs: Arc<Proofs>,
    pub(crate) worklist: Worklist,
    pub(crate) commitments: Commitments,
    pub(crate) folder: Folder,
    duplicates: Duplicates,
    next_incoming: AtomicU64,
}

/// Where an instance comes from and what is said of it before its first byte: the parameters of C-STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Affected SOP Class UID.
    pub sop_class: Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: Uid,
    /// The transfer syntax of the data set.
    pub transfer_syntax: Uid,
    /// The AE title that sent it, if it came over an association.
    pub calling_ae_title: Option<AeTitle>,
}

impl Archive {
    /// Opens the archive in a folder, creating it when the folder is empty or absent.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`], [`Error::NoArchive`], [`Error::InUse`], [`Error::NotWritable`],
    /// [`Error::IndexLost`], [`Error::IndexBehind`], [`Error::BesideIndex`], [`Error::NewerSchema`], [`Error::Busy`], or a
    /// fault of the system.
    pub fn open(folder: &Path, settings: Settings) -> Result<Archive, Error> {
        let reserve = Reserve::of(folder);
        let archive = reserve.with_room(Share::ToOpen, || {
            Archive::open_folder(Folder::open(folder, settings.absent)?, &settings)
        })?;
        let settled = reserve.with_room(Share::ToSettle, || archive.shared.writer.settle());
        reserve.fill();
        match settled {
            // Whoever was told that these are stored would not find them.
            Err(Error::IndexBehind) => return Err(Error::IndexBehind),
            Err(error) => {
                tracing::error!(%error, "instances that were being stored when the archive stopped are not indexed yet");
            }
            Ok(()) => {}
        }
        Ok(archive)
    }

    fn open_folder(folder: Folder, settings: &Settings) -> Result<Archive, Error> {
        let Layout { blobs, index: path, root, .. } = &folder.layout;
        let highest = blobs.highest().map_err(|error| Error::io("looking through the blobs", error))?;
        if highest.is_some() && !path.exists() {
            return Err(Error::IndexLost(root.clone()));
        }
        // What an earlier process has left in the log is durable from here on, whatever it had come to.
        sync_log(path).map_err(|error| Error::io("syncing the index", error))?;
        let index = open_for_writing(path, settings)?;
        let readers = Readers::new(path.clone(), settings);
        let worklist = Worklist::of_folder(&folder, settings)?;
        // Before anything is buried: no number is used again while it is noted as doomed.
        let numbers = Arc::new(Numbers::from(settle::next_blob(&index, highest)?, blobs.clone()));
        let commitments = Commitments::open(&folder.layout.commitments, settings)?;
        let writer = Writer::start(index, blobs.clone(), settings, highest)?;
        let next_incoming = AtomicU64::new(0);
        Ok(Archive {
            shared: Arc::new(Shared {
                writer,
                numbers,
                in_hand: Arc::default(),
                buffers: Arc::default(),
                proofs: Arc::default(),
                readers,
                worklist,
                commitments,
                folder,
                duplicates: settings.duplicates,
                next_incoming,
            }),
        })
    }

    /// The worklist that lies in the same folder.
    pub fn worklist(&self) -> &Worklist {
        &self.shared.worklist
    }

    /// Begins to receive an instance.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Degraded`], or a fault of the system.
    pub fn receive(&self, provenance: Provenance) -> Result<Incoming, Error> {
        if self.shared.writer.is_degraded() {
            return Err(Error::Degraded);
        }
        let walk = Walk::keeping(has_column_for_value, &provenance.transfer_syntax)
            .map_err(|error| unreadable(&error))?;
        let number = self.shared.next_incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.folder.layout.incoming.join(format!("{number}.tmp"));
        let file = TemporaryBlob::begin(path, file_meta(&provenance), &self.shared.buffers);
        Ok(Incoming { shared: Arc::clone(&self.shared), provenance, file, walk: Ok(walk) })
    }
}

/// Our own file meta information; nothing of a file's preamble or a peer's claims is kept.
fn file_meta(provenance: &Provenance) -> FileMeta {
    FileMeta {
        implementation_class_uid: Some(IMPLEMENTATION_CLASS_UID),
        implementation_version_name: Some(IMPLEMENTATION_VERSION_NAME.to_owned()),
        source_ae_title: provenance.calling_ae_title.clone(),
        ..FileMeta::new(
            provenance.sop_class.clone(),
            provenance.sop_instance.clone(),
            provenance.transfer_syntax.clone(),
        )
    }
}

/// An instance while it is being received. Dropped, it leaves nothing behind.
///
/// Holds the header of the data set and at most 1 MiB of it besides, however long it is.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    provenance: Provenance,
    file: TemporaryBlob,
    /// The walk over the data set, or what it stumbled over.
    walk: Result<Walk, Refusal>,
}

impl Incoming {
    /// Takes the next bytes of the data set. A data set that turns out to be malformed is still taken to its
    /// end, and refused then.
    ///
    /// # Errors
    /// [`Error::NoRoom`] or a fault of the system.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Ok(walk) = &mut self.walk else { return Ok(()) };
        if let Err(error) = walk.push(bytes) {
            self.walk = Err(malformed(&error));
            return Ok(());
        }
        self.file.write(bytes).map_err(|error| Error::io("writing an instance", error))
    }

    /// Checks what was received and makes it durable; on success it survives any crash. Blocks until then.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status of C-STORE (PS3.4 B.2.3) when the instance is at fault;
    /// [`Error::refusal`] has the answer in every case.
    pub fn commit(self) -> Result<Stored, Error> {
        let Incoming { shared, provenance, file, walk } = self;
        let header =
            walk.map_err(Error::Refused)?.finish().map_err(|error| Error::Refused(malformed(&error)))?;
        let identity = identify(&provenance, &header).map_err(Error::Refused)?;
        fits_columns(&header).map_err(Error::Refused)?;
        check_padding(&header).map_err(Error::Refused)?;
        let sealed = file.seal().map_err(|error| Error::io("writing an instance", error))?;
        let facts = FileFacts {
            data_set_offset: sealed.data_set_offset(),
            data_set_length: sealed.data_set_length(),
            data_set_digest: sealed.data_set_digest(),
            received_at: seconds_since_1970(),
            calling_ae_title: provenance.calling_ae_title,
        };
        let record = Record::new(identity, &header, facts);
        let _held = shared.in_hand.take(&record.sop_instance);
        let Some(replaces) = shared.replaced_by(&record)? else {
            return Ok(Stored::new(&record, Outcome::AlreadyThere, Conflicts::default()));
        };
        let blob = sealed
            .place(&shared.folder.layout.blobs, &shared.numbers, replaces)
            .map_err(|fault| shared.fault("writing an instance", fault))?;
        shared.writer.store(record, blob)
    }
}

impl Shared {
    /// Whether an instance is to replace one that is there already; none if that one has the same bytes and stays. Its
    /// file is read for that.
    fn replaced_by(&self, record: &Record) -> Result<Option<Replaces>, Error> {
        let present = self.readers.with(|index| Ok(write::present(index, record)?))?;
        let Some(present) = present else { return Ok(Some(Replaces::Nothing)) };
        if !present.same_bytes {
            return match self.duplicates {
                Duplicates::Refuse => Err(other_bytes()),
                Duplicates::Replace => Ok(Some(Replaces::Another)),
            };
        }
        match reread(&self.folder.layout.blobs.path(present.blob)) {
            // A head of another length would make it unreadable by what the index says.
            Ok(first)
                if first.file.data_set_digest == record.file.data_set_digest
                    && first.file.data_set_offset == present.data_set_offset =>
            {
                Ok(None)
            }
            // It may be good, and is not to be given up.
            Err(Unreadable::Io(error)) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("reading an instance that is stored already", error))
            }
            _ => {
                tracing::error!(
                    blob = present.blob.0,
                    "a stored instance is damaged; it came again, and is replaced"
                );
                Ok(Some(Replaces::Another))
            }
        }
    }

    /// A sync that succeeds after one that failed says nothing about the bytes of the first.
    fn fault(&self, doing: &'static str, fault: Fault) -> Error {
        let (error, is_of_sync) = match fault {
            Fault::Sync(error) => (error, true),
            Fault::Other(error) => (error, false),
        };
        let error = Error::io(doing, error);
        if is_of_sync && !matches!(error, Error::NoRoom { .. }) {
            self.writer.degrade();
        }
        error
    }
}

fn seconds_since_1970() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Holds the data set against the command: PS3.4 B.2.3 and PS3.7 9.1.1.1.
pub(crate) fn identify(provenance: &Provenance, header: &Header) -> Result<Identity, Refusal> {
    let data_set = &header.data_set;
    if required_uid(data_set, tags::SOP_CLASS_UID)? != provenance.sop_class {
        return Err(mismatch("SOP class of data set and command differ", tags::SOP_CLASS_UID));
    }
    if required_uid(data_set, tags::SOP_INSTANCE_UID)? != provenance.sop_instance {
        return Err(mismatch("SOP instance of data set and command differ", tags::SOP_INSTANCE_UID));
    }
    // What belongs to no patient lies in a study and a series that are named as its SOP class is.
    let above =
        |tag: Tag| match data_set.contains(tag) || !dictionary::is_of_no_patient(&provenance.sop_class) {
            true => required_uid(data_set, tag),
            false => Ok(provenance.sop_class.clone()),
        };
    Ok(Identity {
        study: above(tags::STUDY_INSTANCE_UID)?,
        series: above(tags::SERIES_INSTANCE_UID)?,
        sop_class: provenance.sop_class.clone(),
        sop_instance: provenance.sop_instance.clone(),
        transfer_syntax: provenance.transfer_syntax.clone(),
    })
}

/// A value that is too long for its column would be answered as if there were none.
fn fits_columns(header: &Header) -> Result<(), Refusal> {
    match header.left_out.iter().find(|tag| has_column_for_value(**tag)) {
        Some(tag) => Err(Refusal::new(status::LIMIT, "a value is too long for the index").offending(*tag)),
        None => Ok(()),
    }
}

/// Refuses what would meet another study, series or instance by what is around its UID. Only what comes is held to this:
/// an instance that is here already is not given up for it.
fn check_padding(header: &Header) -> Result<(), Refusal> {
    let required =
        [tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID, tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID];
    match header.ill_padded_uids.iter().find(|tag| required.contains(tag)) {
        Some(tag) => Err(mismatch(ILL_FORMED, *tag)),
        None => Ok(()),
    }
}

const ILL_FORMED: &str = "a required UID breaks the rules of UIDs";

fn required_uid(data_set: &DataSet, tag: Tag) -> Result<Uid, Refusal> {
    let Some(text) = data_set.text(tag) else {
        return Err(mismatch("a required UID is missing or empty", tag));
    };
    Uid::from_bytes(text.as_bytes()).map_err(|rule| match rule {
        InvalidUid::Empty => mismatch("a required UID is missing or empty", tag),
        _ => mismatch(ILL_FORMED, tag),
    })
}

fn mismatch(comment: &str, tag: Tag) -> Refusal {
    Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment).offending(tag)
}

/// The refusal of a data set that cannot be walked over. The errors name tags, offsets and rules, no values.
pub(crate) fn malformed(error: &ScanError) -> Refusal {
    match error {
        ScanError::TransferSyntax(_) => {
            Refusal::new(status::TRANSFER_SYNTAX, "data sets of this transfer syntax are unknown")
        }
        ScanError::Limit(_) => Refusal::new(status::LIMIT, &error.to_string()),
        ScanError::Deflate(_) => Refusal::new(status::DEFLATED, &error.to_string()),
        ScanError::Structure { tag, .. } => {
            Refusal::new(status::MALFORMED, &error.to_string()).offending(*tag)
        }
        _ => Refusal::new(status::MALFORMED, &error.to_string()),
    }
}

fn unreadable(error: &ScanError) -> Error {
    Error::Refused(malformed(error))
}
