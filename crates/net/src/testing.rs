//! Two associations over a pipe in memory, for the tests of this crate.

use bytes::Bytes;
use dicomet_proto::AeTitle;
use dicomet_proto::association::Limits;
use dicomet_proto::association::negotiation::{Proposal, Willing, first_proposed};
use dicomet_proto::dataset::dictionary::uids;
use tokio::io::DuplexStream;

use crate::Association;
use crate::accept::Incoming;
use crate::association::{Message, Received, Timeouts};

/// Verification, Study Root FIND and CT Image Storage, each in Explicit VR Little Endian: contexts 1, 3 and 5.
pub(crate) fn proposal() -> Proposal {
    let contexts = [uids::VERIFICATION, uids::STUDY_ROOT_FIND, uids::CT_IMAGE_STORAGE];
    Proposal::new(
        AeTitle::new("REQUESTOR").unwrap(),
        AeTitle::new("ACCEPTOR").unwrap(),
        contexts.map(|class| (class, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN])).to_vec(),
    )
}

/// A requestor and an acceptor with a pipe of so many bytes between them.
pub(crate) async fn pair(pipe: usize) -> (Association, Association) {
    pair_with_limits(pipe, Limits::default()).await
}

/// As [`pair`], the acceptor with its own limits.
pub(crate) async fn pair_with_limits(pipe: usize, limits: Limits) -> (Association, Association) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let accept = async {
        let incoming = Incoming::with_limits(Box::new(theirs), None, Timeouts::default(), limits);
        incoming.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap()
    };
    let (requestor, acceptor) = tokio::join!(request(ours), accept);
    (requestor, acceptor)
}

/// A requestor over one end of a pipe.
pub(crate) async fn request(pipe: DuplexStream) -> Association {
    crate::connect::request(Box::new(pipe), proposal(), &Timeouts::default()).await.unwrap()
}

/// A requestor whose peer is then only the other end of a pipe, with nobody reading or writing there.
pub(crate) async fn requestor_alone(pipe: usize) -> (Association, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let (middle, acceptors) = tokio::io::duplex(64 * 1024);
    let (mut theirs, mut middle) = (theirs, middle);
    let accept = async {
        let incoming = Incoming::new(Box::new(acceptors), None, Timeouts::default());
        incoming.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap()
    };
    let negotiate = async { tokio::join!(request(ours), accept) };
    tokio::select! {
        (requestor, _acceptor) = negotiate => (requestor, theirs),
        _ = async { tokio::io::copy_bidirectional(&mut theirs, &mut middle).await } => unreachable!(),
    }
}

/// The next message; it must be one.
pub(crate) async fn message(association: &mut Association) -> Message {
    match association.receive().await.unwrap() {
        Received::Message(message) => message,
        Received::ReleaseRequested => panic!("a release request instead of a message"),
    }
}

/// The whole data set of the message received last.
pub(crate) async fn data(association: &mut Association) -> Bytes {
    association.receive_data_whole(usize::MAX).await.unwrap().unwrap().into()
}
