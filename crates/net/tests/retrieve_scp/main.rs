//! C-GET and C-MOVE as SCP, as transcripts: `get` and `moves` go through to their end, the others are ended from
//! outside, go over several associations, or have other requests come meanwhile.

#![allow(clippy::unwrap_used)]

mod get;
mod get_halted;
mod moves;
mod moves_halted;
mod moves_side_by_side;
mod put_off;
mod shelf;
