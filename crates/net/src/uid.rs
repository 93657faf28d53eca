//! UIDs of our own making.

use std::io;

use dicomet_proto::Uid;

/// A UID of a random UUID, PS3.5 B.2.
pub(crate) fn random() -> io::Result<Uid> {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled != bytes.len() {
        return Err(io::Error::other("no random numbers"));
    }
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    Uid::new(format!("2.25.{}", u128::from_be_bytes(bytes))).map_err(io::Error::other)
}
