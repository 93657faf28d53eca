//! C-GET as SCP.
