//! The archive's doors: DIMSE services over associations. Each calls the same few methods of the archive.
//!
//! The modules, in the order to read them:
//!
//! - [`settings`]: who we are and how much we take on;
//! - [`nodes`]: the nodes that it knows: who may do what, and where instances may be moved to;
//! - [`config`]: both from a file;
//! - [`server`]: accepts connections, each association a thread (`apart`), and stops gracefully;
//! - `places`: how many associations, in all and for one host;
//! - `reports`: what storage commitment owes to requestors that have left;
//! - [`dicom`]: the services over an association: echo, store, find, retrieve (C-GET and C-MOVE),
//!   storage commitment.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apart;
pub mod config;
pub mod dicom;
pub mod nodes;
mod places;
mod reports;
pub mod server;
pub mod settings;

pub use nodes::Nodes;
pub use server::Server;
pub use settings::Settings;
