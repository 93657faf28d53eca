//! The seal of a blob: length and digest of its data set, in its own file meta information. By it a file proves that
//! it is whole, without the index: after a power failure, one may lie in its place without all of its bytes.
//!
//! ```text
//! (0002,0100)  Private Information Creator UID: CREATOR
//! (0002,0102)  Private Information: bytes 0-7 length, little endian; bytes 8-39 BLAKE3 digest; zeros
//! ```
//!
//! It is the last element before the data set, and filled in when that has come to its end. The zeros, if any, put that end
//! at the end of a block of the disk.

use dicomet_proto::Uid;
use dicomet_proto::dataset::{FileMeta, PrivateInformation};

const CREATOR: Uid = Uid::from_static("2.25.319016792774932876465129451028316624181");

/// Bytes of a seal, without zeros.
const LENGTH: usize = 40;

/// Length and digest of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) length: u64,
    pub(crate) digest: [u8; 32],
}

/// What a seal fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// This data set, and no other.
    Whole,
    /// A longer one: not all of it came to be written.
    Cut,
    /// Another one.
    Altered,
}

impl Seal {
    /// The place for a seal.
    pub(crate) fn blank() -> PrivateInformation {
        PrivateInformation { creator: CREATOR, value: vec![0; LENGTH] }
    }

    /// As it is written, with an even number of zeros after it.
    pub(crate) fn with_zeros(self, zeros: usize) -> PrivateInformation {
        let mut value = Vec::with_capacity(LENGTH + zeros);
        value.extend_from_slice(&self.length.to_le_bytes());
        value.extend_from_slice(&self.digest);
        value.resize(LENGTH + zeros, 0);
        PrivateInformation { creator: CREATOR, value }
    }

    /// The seal of a file; none in those of before there were seals.
    pub(crate) fn of(meta: &FileMeta) -> Option<Seal> {
        let private = meta.private_information.as_ref().filter(|private| private.creator == CREATOR)?;
        let (length, rest) = private.value.split_first_chunk::<8>()?;
        let (digest, _) = rest.split_first_chunk::<32>()?;
        Some(Seal { length: u64::from_le_bytes(*length), digest: *digest })
    }

    /// Whether private information is this seal, and zeros.
    pub(crate) fn is_all_of(self, private: &PrivateInformation) -> bool {
        let zeros = private.value.len().checked_sub(LENGTH);
        zeros.is_some_and(|zeros| *private == self.with_zeros(zeros))
    }

    /// Holds the seal of a file against what is in it.
    pub(crate) fn fit(self, found: Seal) -> Fit {
        match self {
            _ if self == found => Fit::Whole,
            _ if found.length < self.length => Fit::Cut,
            _ => Fit::Altered,
        }
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::dictionary::uids;

    use super::*;

    #[test]
    fn a_seal_is_read_from_the_file_and_fits_nothing_else() {
        let seal = Seal { length: 1 << 33, digest: [7; 32] };
        let meta =
            FileMeta::new(uids::CT_IMAGE_STORAGE, Uid::from_static("1.2"), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let bytes = |private| FileMeta { private_information: Some(private), ..meta.clone() }.to_bytes();
        for zeros in [0, 2, 4094] {
            let sealed = bytes(seal.with_zeros(zeros));
            assert_eq!(sealed.len(), bytes(Seal::blank()).len() + zeros);
            let (read, data_set) = FileMeta::read(&mut &sealed[..]).unwrap();
            assert_eq!((Seal::of(&read), data_set), (Some(seal), sealed.len() as u64));
        }
        assert_eq!(seal.fit(seal), Fit::Whole);
        assert_eq!(seal.fit(Seal { length: 3, ..seal }), Fit::Cut);
        assert_eq!(seal.fit(Seal { digest: [8; 32], ..seal }), Fit::Altered);
    }

    #[test]
    fn private_information_of_others_is_no_seal() {
        let meta =
            FileMeta::new(uids::CT_IMAGE_STORAGE, Uid::from_static("1.2"), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        for (creator, value) in [(Uid::from_static("1.3"), vec![0; LENGTH]), (CREATOR, vec![0; LENGTH - 1])] {
            let private_information = Some(PrivateInformation { creator, value });
            assert_eq!(Seal::of(&FileMeta { private_information, ..meta.clone() }), None);
        }
    }
}
