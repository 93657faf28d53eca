//! DICOM instances on disk and what is known of them: blobs and an index. Knows no network.
//!
//! ```text
//! DIR/dicomet-archive    the marker: says that this is an archive, holds the lock of who stores
//! DIR/removal.lock       the lock of who removes or repairs
//! DIR/index.sqlite       what C-FIND matches and where each instance lies
//! DIR/worklist.sqlite    the items of the modality worklist; on its own, for it cannot be rebuilt from blobs
//! DIR/commitment.sqlite  what others asked us to answer for, until the report is delivered; for the same reason
//! DIR/blobs/             the instances, byte for byte as they came, a DICOM file each
//! DIR/incoming/          instances on their way in
//! DIR/reserve            room that is set apart for a full disk
//! DIR/quarantine/        what a repair has set aside, and why
//! ```
//!
//! What was answered with success is durable: the file renamed into its place, synced, its folder synced, the index
//! committed, in this order; a commit that only adds is found again from the files, and so is not synced. What was not answered is wholly there or wholly absent. All calls block; an
//! [`Archive`] is cheap to clone and may be used from any number of threads.
//!
//! In the order to read them: [`store`](Archive::receive), [`find`](Archive::find), [`plan`](Archive::plan),
//! [`import`](Archive::import), [`worklist`], [`commitments`]; [`check`] and [`Removal`] work on the folder, beside an archive that
//! runs; below them `index` and `blob`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod folder;
mod reserve;
mod settings;

mod store;

mod in_hand;

mod reread;

mod find;

mod stop;

mod plan;

mod import;

pub mod worklist;

pub mod commitments;

pub mod check;

mod delete;

mod blob;
mod index;

pub use blob::read::Blob;
pub use commitments::Commitments;
pub use delete::{Removal, RemovedStudy};
pub use error::{Error, status};
pub use find::Matches;
pub use index::write::Conflicts;
pub use index::writer::{Outcome, Stored};
pub use plan::Instance;
pub use settings::{Absent, Duplicates, Settings};
pub use stop::{Stop, StopAtEnd};
pub use store::{Archive, Incoming, Provenance};
pub use worklist::Worklist;
