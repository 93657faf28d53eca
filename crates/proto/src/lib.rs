//! The language of DICOM networking, as values: no socket, no clock, no file, no task.
//!
//! Bytes and time go in, bytes and events come out. Everything a peer says passes through here first, so
//! everything here is bounded: a length is checked before it is believed, nothing is allocated because a peer
//! declared it, and no input makes a function panic.
//!
//! The modules, in the order to read them:
//!
//! - [`uid`] and [`ae_title`]: the two names everything else is built of;
//! - [`pdu`]: the seven protocol data units of PS3.8 9.3 and the user information of PS3.7 Annex D;
//! - [`association`]: the PS3.8 9.2 state machine, negotiation, and messages as fragments;
//! - [`message`]: the DIMSE commands of PS3.7 9.3 and 10.3, statuses and sub-operation counters;
//! - [`charset`]: Specific Character Set, PS3.3 C.12.1.1.2;
//! - [`dataset`]: data sets on dicom-rs, the only module that names that library;
//! - [`query`]: what to look for, PS3.4 C.2 and K;
//! - [`commitment`]: what somebody is to answer for, PS3.4 J.

pub mod ae_title;
pub mod association;
pub mod charset;
pub mod commitment;
pub mod dataset;
pub mod message;
pub mod pdu;
pub mod query;
pub mod uid;

pub use ae_title::AeTitle;
pub use uid::Uid;
