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
        let patience =
            Patience::total(self.timeouts.association.saturating_mul(2), "send an association request");
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use dicomet_proto::association::negotiation::{Willing, first_proposed};
    use dicomet_proto::pdu::{RejectReason, RejectResult};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::service::next_request;
    use crate::testing::proposal;

    fn incoming() -> (Incoming, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        (Incoming::new(Box::new(ours), None, Timeouts::default()), theirs)
    }

    #[tokio::test]
    async fn a_rejection_reaches_the_requestor_in_words() {
        let (incoming, theirs) = incoming();
        let rejection =
            AssociateRj { result: RejectResult::Permanent, reason: RejectReason::CalledAeTitleNotRecognized };
        let accept = async {
            let requested = incoming.request().await.unwrap();
            assert_eq!(&requested.associate_rq().called_ae_title, b"ACCEPTOR        ");
            requested.reject(rejection).await;
        };
        let timeouts = Timeouts::default();
        let request = crate::connect::request(Box::new(theirs), proposal(), &timeouts);
        let request = async { request.await.unwrap_err() };
        let (error, ()) = tokio::join!(request, accept);
        let words = "the association was rejected: called AE title not recognized (permanent)";
        assert_eq!(error.to_string(), words);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_drips_in_is_not_waited_for_beyond_artim() {
        let (incoming, mut theirs) = incoming();
        let begun = tokio::time::Instant::now();
        let drip = async {
            let _ = theirs.write_all(&[1, 0, 0, 0, 1, 0]).await;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = theirs.write_all(&[0]).await;
            }
        };
        tokio::select! {
            requested = incoming.request() => assert!(matches!(requested, Err(Error::TimedOut { .. }))),
            () = drip => {}
        }
        assert_eq!(begun.elapsed().as_secs(), Timeouts::default().association.as_secs());
    }

    #[tokio::test]
    async fn who_does_not_speak_dicom_is_turned_away_at_once() {
        for hello in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"\xff\xff\xff\xff\xff\xff"] {
            let (incoming, mut theirs) = incoming();
            theirs.write_all(hello).await.unwrap();
            assert!(matches!(incoming.request().await, Err(Error::PeerMisbehaved { .. })));
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer.first(), Some(&7), "an A-ABORT");
        }
    }

    #[tokio::test]
    async fn without_limits_of_time_an_association_begins_all_the_same() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let without = Duration::MAX;
        let timeouts = Timeouts { connect: without, association: without, progress: without, idle: without };
        let accept = async {
            let requested = Incoming::new(Box::new(ours), None, timeouts.clone()).request().await.unwrap();
            let mut association = requested.accept(&Willing(first_proposed)).await.unwrap();
            assert!(next_request(&mut association).await.unwrap().is_none());
            association.respond_release().await.unwrap();
        };
        let request = async {
            crate::connect::request(Box::new(theirs), proposal(), &timeouts)
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
        };
        tokio::join!(accept, request);
    }

    #[tokio::test]
    async fn a_peer_that_closes_at_once_is_no_surprise() {
        let (incoming, theirs) = incoming();
        drop(theirs);
        assert!(matches!(incoming.request().await, Err(Error::ConnectionClosed)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_acceptor_that_never_answers_is_given_up() {
        let (_silent, theirs) = incoming();
        let timeouts = Timeouts::default();
        let error = crate::connect::request(Box::new(theirs), proposal(), &timeouts).await.unwrap_err();
        assert_eq!(error.to_string(), "the peer did not answer the association request within 30 s");
    }
}
