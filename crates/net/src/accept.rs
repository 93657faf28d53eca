//! Accepting an association: the request is read, looked at, and answered.

use std::net::SocketAddr;

use dicomet_proto::association::negotiation::{self, Acceptance, Support};
use dicomet_proto::association::{Association as Core, Limits};
use dicomet_proto::pdu::{AssociateRj, AssociateRq};

use crate::association::{Goal, Item, Patience, Pump, Timeouts, Transport, now};
use crate::{Association, Error};

/// A connection on which nothing was read yet.
pub struct Incoming {
    pump: Pump,
    peer_address: Option<SocketAddr>,
    timeouts: Timeouts,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("peer_address", &self.peer_address).finish_non_exhaustive()
    }
}

impl Incoming {
    /// Over a transport that is open already. ARTIM runs from now on.
    pub fn new(
        transport: Box<dyn Transport>,
        peer_address: Option<SocketAddr>,
        timeouts: Timeouts,
    ) -> Incoming {
        let limits = timeouts.limits();
        Incoming::with_limits(transport, peer_address, timeouts, limits)
    }

    /// As [`Incoming::new`], with other bounds than usual.
    pub fn with_limits(
        transport: Box<dyn Transport>,
        peer_address: Option<SocketAddr>,
        timeouts: Timeouts,
        limits: Limits,
    ) -> Incoming {
        let artim = limits.artim;
        let pump = Pump::new(transport, Core::acceptor(limits, now()), artim);
        Incoming { pump, peer_address, timeouts }
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Waits for the A-ASSOCIATE-RQ, as long as ARTIM lets it.
    ///
    /// # Errors
    /// [`Error`]; the connection is then closed.
    pub async fn request(mut self) -> Result<Requested, Error> {
        // ARTIM ends it: this limit is only there for a core without one.
        let patience = Patience::total(self.timeouts.association * 2, "send an association request");
        loop {
            self.pump.drive(Goal::Arrived, patience).await?;
            if let Some(Item::AssociateRequested(request)) = self.pump.inbox.pop() {
                let Incoming { pump, peer_address, timeouts } = self;
                return Ok(Requested { pump, request, peer_address, timeouts });
            }
        }
    }
}

/// An association request that waits for its answer.
pub struct Requested {
    pump: Pump,
    request: Box<AssociateRq>,
    peer_address: Option<SocketAddr>,
    timeouts: Timeouts,
}

impl std::fmt::Debug for Requested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requested").field("peer_address", &self.peer_address).finish_non_exhaustive()
    }
}

impl Requested {
    /// The request.
    pub fn associate_rq(&self) -> &AssociateRq {
        &self.request
    }

    /// The peer's address, where the transport has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Accepts what is supported; rejects what cannot be ([`dicomet_proto::association::negotiation::answer`]).
    ///
    /// # Errors
    /// [`Error::Rejected`] with our own rejection when it could not be accepted.
    pub fn accept(
        self,
        support: &dyn Support,
    ) -> impl Future<Output = Result<Association, Error>> + Send + use<> {
        // Asked before anything waits: what is supported need not be shared between threads.
        let answer = negotiation::answer(&self.request, support);
        self.respond(answer)
    }

    async fn respond(mut self, answer: Result<Acceptance, AssociateRj>) -> Result<Association, Error> {
        let acceptance = match answer {
            Ok(acceptance) => acceptance,
            Err(rejection) => {
                self.reject(rejection).await;
                return Err(Error::Rejected(rejection));
            }
        };
        self.pump.core.accept(acceptance)?;
        self.pump.resume_input();
        let patience =
            Patience::total(self.timeouts.association, "take our answer to its association request");
        self.pump.drive(Goal::Sent, patience).await?;
        loop {
            self.pump.drive(Goal::Arrived, patience).await?;
            if let Some(Item::Established(negotiated)) = self.pump.inbox.pop() {
                return Ok(Association::new(self.pump, negotiated, self.peer_address, self.timeouts));
            }
        }
    }

    /// Rejects, and waits (ARTIM) for the peer to close.
    pub async fn reject(mut self, rejection: AssociateRj) {
        if self.pump.core.reject(rejection, now()).is_ok() {
            let patience = Patience::total(self.timeouts.association, "close the connection");
            let _ = self.pump.drive(Goal::Sent, patience).await;
            let _ = self.pump.drive(Goal::Closed, patience).await;
        }
    }
}
