//! The one loop that C-GET and C-MOVE share as SCP: PS3.4 C.4.2.3, C.4.3.3.
