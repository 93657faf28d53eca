//! What an association runs over: TCP, TLS, or a pipe in memory.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream of bytes in both directions.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Called before we wait for more, when something was read or written since the last call: re-arms
    /// TCP_QUICKACK where there is such a thing.
    fn before_waiting(&self) {}
}

impl Transport for tokio::io::DuplexStream {}

/// TCP, with the socket options that the speed of small messages depends on.
///
/// TCP_NODELAY: what we write leaves at once. TCP_QUICKACK: what the peer wrote is acknowledged at once, which
/// frees a peer that leaves Nagle's algorithm on and writes a PDU in two pieces from waiting 40 ms for our
/// delayed acknowledgement. Linux takes it back by itself, so it is set again before each wait.
#[derive(Debug)]
pub struct TcpTransport {
    stream: TcpStream,
}

/// When keep-alive probes begin on an idle connection: a peer whose cable was pulled is noticed.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

impl TcpTransport {
    /// Takes a connected stream and sets its options. One that the system refuses is done without.
    pub fn new(stream: TcpStream) -> TcpTransport {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER);
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive) {
            tracing::debug!(%error, "cannot set SO_KEEPALIVE");
        }
        TcpTransport { stream }
    }

    /// The peer's address.
    ///
    /// # Errors
    /// What the system says, for a connection that has ended already.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl Transport for TcpTransport {
    fn before_waiting(&self) {
        // A closed connection refuses it: the next read tells.
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
    }
}

impl AsyncRead for TcpTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpTransport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
