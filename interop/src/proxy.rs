//! A TCP proxy that stops in the middle: it passes so many bytes of what the acceptor says, and then either
//! closes everything for good, holds it or lets it trickle, so that a test can do something just then.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::process::DEADLINE;

/// What happens when the bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The connections are closed, and so is every later one at once.
    CloseThisAndAllLater,
    /// Nothing is passed any more, in this direction.
    Hold,
    /// The rest is passed slowly, some 800 KB a second.
    Trickle,
}

/// A running proxy; it serves until the process ends.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    reached: Receiver<()>,
}

impl Proxy {
    /// A proxy before this port of 127.0.0.1. Each connection has as many bytes as the first.
    ///
    /// # Panics
    /// When no port is free.
    pub fn before(port: u16, bytes: u64, then: Then) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let our_port = listener.local_addr().expect("a bound socket has an address").port();
        let (reach, reached) = channel();
        let closed = Arc::<AtomicBool>::default();
        std::thread::spawn(move || {
            for requestor in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(acceptor) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                connect(requestor, acceptor, bytes, then, reach.clone(), Arc::clone(&closed));
            }
        });
        Proxy { port: our_port, reached }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until a connection has used up its bytes.
    ///
    /// # Panics
    /// When that does not happen.
    pub fn wait_until_reached(&self) {
        self.reached.recv_timeout(DEADLINE).expect("the transfer reaches the limit");
    }
}

/// Copies both directions, each in a thread.
fn connect(
    requestor: TcpStream,
    acceptor: TcpStream,
    bytes: u64,
    then: Then,
    reach: Sender<()>,
    closed: Arc<AtomicBool>,
) {
    let _ = (requestor.set_nodelay(true), acceptor.set_nodelay(true));
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
    let (mut from_requestor, mut to_acceptor) = (clone(&requestor), clone(&acceptor));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_requestor, &mut to_acceptor);
        let _ = to_acceptor.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let (mut from, mut to) = (acceptor, requestor);
        let passed = copy_at_most(&mut from, &mut to, bytes);
        if passed < bytes {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        closed.store(then == Then::CloseThisAndAllLater, Ordering::SeqCst);
        let _ = reach.send(());
        let _ = match then {
            Then::CloseThisAndAllLater => Ok(0),
            // Ends when one of the two goes away.
            Then::Hold => std::io::copy(&mut from, &mut std::io::sink()),
            Then::Trickle => std::io::copy(&mut from, &mut Trickle(&to)),
        };
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

/// Takes 8 KiB at most at a time, and 10 ms for them.
struct Trickle<'a>(&'a TcpStream);

impl Write for Trickle<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::thread::sleep(std::time::Duration::from_millis(10));
        self.0.write(&bytes[..bytes.len().min(8 * 1024)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn copy_at_most(from: &mut impl Read, to: &mut impl Write, bytes: u64) -> u64 {
    let mut buffer = [0; 16 * 1024];
    let mut passed = 0;
    while passed < bytes {
        let room = usize::try_from(bytes - passed).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..room]) {
            Ok(0) | Err(_) => break,
            Ok(read) if to.write_all(&buffer[..read]).is_ok() => passed += read as u64,
            Ok(_) => break,
        }
    }
    passed
}
