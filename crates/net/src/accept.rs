//! Accepting an association: the request is read, looked at, and answered.

use std::net::SocketAddr;

use dicomet_proto::association::negotiation::Support;
use dicomet_proto::pdu::{AssociateRj, AssociateRq};

use crate::association::{Timeouts, Transport};
use crate::{Association, Error};

/// A connection on which nothing was read yet.
pub struct Incoming {
    _private: (),
}

impl Incoming {
    /// Over a transport that is open already.
    pub fn new(
        transport: Box<dyn Transport>,
        peer_address: Option<SocketAddr>,
        timeouts: Timeouts,
    ) -> Incoming {
        let _ = (transport, peer_address, timeouts);
        todo!()
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        todo!()
    }

    /// Waits for the A-ASSOCIATE-RQ, as long as ARTIM lets it.
    ///
    /// # Errors
    /// [`Error`]; the connection is then closed.
    pub async fn request(self) -> Result<Requested, Error> {
        todo!()
    }
}

/// An association request that waits for its answer.
pub struct Requested {
    _private: (),
}

impl Requested {
    /// The request.
    pub fn associate_rq(&self) -> &AssociateRq {
        todo!()
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        todo!()
    }

    /// Accepts what is supported; rejects what cannot be ([`dicomet_proto::association::negotiation::answer`]).
    ///
    /// # Errors
    /// [`Error::Rejected`] with our own rejection when it could not be accepted.
    pub async fn accept(self, support: &dyn Support) -> Result<Association, Error> {
        let _ = support;
        todo!()
    }

    /// Rejects, and waits (ARTIM) for the peer to close.
    pub async fn reject(self, rejection: AssociateRj) {
        let _ = rejection;
        todo!()
    }
}
