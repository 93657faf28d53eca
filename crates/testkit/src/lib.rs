//! What the tests of the workspace are made with: instances and studies built from scratch, and peers that
//! do just what a script says. Nothing here uses our own encoders: data sets are written by `dicom-object`
//! or byte by byte, PDUs byte by byte, so that a mistake cannot agree with itself.
//!
//! Helpers panic with a sentence when a script does not hold; they are meant for tests alone.

pub mod hospital;
pub mod instance;
pub mod line;
pub mod peer;
pub mod sop_classes;
pub mod study;
