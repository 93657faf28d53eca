//! The archive from outside: what it is given, what it answers, and what is on disk afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod busy;
mod check;
mod commitments;
mod delete;
mod find;
mod header;
mod import;
mod plan;
mod power;
mod quota;
mod samples;
mod store;
mod worklist;
