//! Real peers as processes on 127.0.0.1, for the tests beside this folder: DCMTK's tools and `dcmqrscp`,
//! Orthanc, pynetdicom's applications, and the binary `dicomet` itself.
//!
//! Every peer stands on a free port with a temporary folder of its own and ends when its value is dropped.
//! Nothing waits blindly: readiness is a line of output or an open port, each with a deadline. A peer that is
//! not installed fails the test with the package's name; nothing is skipped.

pub mod asker;
pub mod dcmtk;
pub mod dicomet;
pub mod files;
pub mod orthanc;
pub mod process;
pub mod proxy;
pub mod pynetdicom;
