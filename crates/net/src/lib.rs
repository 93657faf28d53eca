//! DICOM associations on tokio, the service classes, and the engines that retrieve and store.
//!
//! The modules, in the order to read them:
//!
//! - [`node`]: where a peer is: `AET@host:port`;
//! - [`association`]: the driver that moves a [`dicomet_proto::association`] over a transport;
//! - [`connect`], [`listen`], [`accept`]: how an association begins, from either end;
//! - [`service`]: the DIMSE services, each with its SCU and SCP;
//! - [`transcode`]: a stored data set in another transfer syntax;
//! - [`retrieve`]: find, plan, get, verify; [`retrieve::bulk`]: that for a list of queries;
//! - [`store`]: files and folders to a peer: look, plan, send;
//! - [`commit`]: ask a peer to answer for instances;
//! - [`error`]: what can go wrong, and whose fault it is.
//!
//! What holds for all of it:
//!
//! - It runs on a tokio runtime with network and time. Files are read and written where a future runs, without a pool of
//!   threads: who has other tasks that must not wait for a disk gives [`retrieve`] and [`store`] a runtime of their own.
//! - Futures may be dropped, which closes their associations; those that can be dropped and asked again say that they are
//!   cancel safe. To end in good order there are [`retrieve::Retrieve::stop_by`] and its like, and `cancel`.
//! - Errors are not exhaustive. Settings are written with `..Default::default()`: they get further fields.
//!
//! Find studies, and bring them home:
//!
//! ```no_run
//! use dicomet_net::Node;
//! use dicomet_net::retrieve::{Caller, Retrieve, find};
//! use dicomet_proto::query::{Level, Model, Query};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node: Node = "ORTHANC@127.0.0.1:4242".parse()?;
//! let query = Query::new(Model::StudyRoot, Level::Study).key("PatientName=Bowen*")?.key("StudyInstanceUID")?;
//! for study in find(&node, &query, &Caller::default(), None).await? {
//!     println!("{}", study.to_json());
//! }
//! let report = Retrieve::new(node, query, "retrieved").run(|event| println!("{event:?}")).await?;
//! for failure in &report.failures {
//!     eprintln!("{}: {}", failure.sop_instance, failure.reason);
//! }
//! assert!(report.complete);
//! # Ok(())
//! # }
//! ```

pub mod accept;
pub mod association;
pub mod commit;
pub mod connect;
pub mod error;
pub mod listen;
mod moment;
pub mod node;
pub mod retrieve;
pub mod service;
pub mod store;
pub mod transcode;
mod uid;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use association::Association;
pub use error::Error;
pub use node::Node;
