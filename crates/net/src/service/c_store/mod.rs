//! C-STORE, as SCU and as SCP.

pub(crate) mod outstanding;
pub mod scp;
pub mod scu;
mod width;

pub use outstanding::WINDOW;
