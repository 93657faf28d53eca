//! C-GET as SCU.
