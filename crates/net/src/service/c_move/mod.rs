//! C-MOVE, as SCU and as SCP.

pub mod plan;
pub mod scp;
pub mod scu;
mod side_by_side;
