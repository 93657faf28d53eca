//! Waiting for associations: sockets and limits.

use std::net::SocketAddr;

use crate::accept::Incoming;
use crate::association::Timeouts;

/// A listening socket.
pub struct Listener {
    _private: (),
}

impl Listener {
    /// Binds to an address; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr, timeouts: Timeouts) -> std::io::Result<Listener> {
        let _ = (address, timeouts);
        todo!()
    }

    /// The address with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        todo!()
    }

    /// Waits for the next connection. Out of file descriptors and the like: waits and goes on, never ends.
    /// Nothing is read here: the peer is waited for in [`Incoming::request`], in a task of its own.
    pub async fn accept(&self) -> Incoming {
        todo!()
    }
}
