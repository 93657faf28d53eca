//! C-STORE, as SCU and as SCP.

pub mod scp;
pub mod scu;
