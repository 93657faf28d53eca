//! Waiting for associations: sockets and limits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::accept::Incoming;
use crate::association::{TcpTransport, Timeouts};

/// Connections that the system holds until we take them: a burst of associations does not meet refusals.
const BACKLOG: i32 = 1024;

/// The first pause after a failure to take a connection, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    local_address: SocketAddr,
    timeouts: Timeouts,
}

impl Listener {
    /// Binds to an address; port 0 takes a free one. The IPv6 wildcard address takes IPv4 too.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr, timeouts: Timeouts) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted server must not wait for the connections of the one before to time out.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into())?;
        let local_address = listener.local_addr()?;
        Ok(Listener { listener, local_address, timeouts })
    }

    /// The address with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Waits for the next connection. Out of file descriptors and the like: waits and goes on, never ends.
    /// Nothing is read here: the peer is waited for in [`Incoming::request`], in a task of its own.
    ///
    /// Cancel safe.
    pub async fn accept(&self) -> Incoming {
        let (stream, peer_address) = self.next().await;
        incoming(stream, peer_address, self.timeouts.clone())
    }

    /// As [`Listener::accept`], for an association that is to have a runtime of its own.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// When the connection cannot be taken out of this runtime.
    pub async fn accept_apart(&self) -> io::Result<Apart> {
        let (stream, peer_address) = self.next().await;
        Ok(Apart { stream: stream.into_std()?, peer_address, timeouts: self.timeouts.clone() })
    }

    async fn next(&self) -> (TcpStream, SocketAddr) {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.listener.accept().await {
                Ok(taken) => return taken,
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was taken");
                }
                Err(error) => {
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot take connections for a while");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }
}

/// A connection that belongs to no runtime: that of the listener need not look after it.
#[derive(Debug)]
pub struct Apart {
    stream: std::net::TcpStream,
    peer_address: SocketAddr,
    timeouts: Timeouts,
}

impl Apart {
    /// The peer's address.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Gives the connection to the runtime in which this is called. ARTIM runs from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn incoming(self) -> io::Result<Incoming> {
        let stream = TcpStream::from_std(self.stream)?;
        Ok(incoming(stream, self.peer_address, self.timeouts))
    }
}

fn incoming(stream: TcpStream, peer_address: SocketAddr, timeouts: Timeouts) -> Incoming {
    Incoming::new(Box::new(TcpTransport::new(stream)), Some(peer_address), timeouts)
}

/// Whether only the connection that was to be taken is at its end.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::association::negotiation::{Willing, first_proposed};
    use dicomet_proto::message::Status;

    use super::*;
    use crate::service::{self, Request, c_echo};
    use crate::testing::proposal;

    #[tokio::test]
    async fn an_echo_goes_over_tcp_and_each_side_knows_the_other_by_address() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
        let port = listener.local_address().port();
        let serve = async {
            let requested = listener.accept().await.request().await.unwrap();
            let mut association = requested.accept(&Willing(first_proposed)).await.unwrap();
            assert!(association.peer_address().unwrap().ip().is_loopback());
            while let Some(request) = service::next_request(&mut association).await.unwrap() {
                let Request::Echo(context, request) = request else { panic!("no C-ECHO-RQ") };
                c_echo::answer(&mut association, &context, &request).await.unwrap();
            }
            association.respond_release().await.unwrap();
        };
        let ask = async {
            let node = format!("ACCEPTOR@127.0.0.1:{port}").parse().unwrap();
            let timeouts = Timeouts::default();
            let mut association = crate::connect::connect(&node, proposal(), &timeouts).await.unwrap();
            assert_eq!(association.peer_address().unwrap().port(), port);
            assert_eq!(c_echo::echo(&mut association).await.unwrap(), Status::SUCCESS);
            association.release().await.unwrap();
        };
        tokio::join!(serve, ask);
    }

    #[test]
    fn only_what_concerns_one_connection_is_passed_over_without_a_pause() {
        const EMFILE: i32 = 24;
        assert!(!concerns_one_connection(&io::Error::from_raw_os_error(EMFILE)));
        assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }
}
