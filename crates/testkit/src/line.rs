//! A line with a length: a TCP proxy that adds a round trip, limits the bandwidth, and can be cut.
//!
//! ```text
//! requestor -> [ read | departs when the line is free | arrives half a round trip later | write ] -> acceptor
//!           <- [ the same, on a line of its own: full duplex                                    ] <-
//! ```
//!
//! Bytes stay in order. All connections share the bandwidth of a direction, as they would on one line. What is on
//! its way is bounded, so that a receiver that stops reading stops the sender. A connection costs the round trip
//! of TCP's handshake before its first byte departs, and the others go on meanwhile. What TCP itself does over distance
//! (slow start, losses, Nagle's wait for acknowledgements) is not imitated.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The most bytes of one read: half a millisecond of 1 Gbit/s.
const CHUNK: usize = 64 * 1024;

/// On its way at once in one direction of one connection, on top of what the line itself holds: as much as a
/// well-tuned receive window.
const WINDOW: usize = 4 * 1024 * 1024;

/// The line's parameters.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// The time there and back.
    pub round_trip: Duration,
    /// Bits per second in each direction, shared by all connections; `None` sets no limit.
    pub bits_per_second: Option<u64>,
    /// Cuts connections.
    pub cut: Option<Cut>,
}

/// Where a line is cut, and how. What has passed before the cut still arrives.
#[derive(Debug, Clone)]
pub struct Cut {
    /// After so many bytes; with 0, when the first would have passed.
    pub after_bytes: u64,
    /// The direction in which they are counted. The cut ends both.
    pub way: Way,
    /// What the two ends see.
    pub end: End,
    /// Which connections, counted from 0 in the order in which they are opened.
    pub connections: Range<usize>,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the requestor to the acceptor.
    ToAcceptor,
    /// From the acceptor to the requestor.
    ToRequestor,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order, as when the other process has ended.
    Fin,
    /// By a reset, as when the other machine has forgotten the connection.
    Rst,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
    cuts: watch::Receiver<usize>,
}

impl Proxy {
    /// Waits until a connection has been cut.
    pub async fn cut(&self) {
        if self.cuts.clone().wait_for(|cuts| *cuts > 0).await.is_err() {
            std::future::pending().await
        }
    }

    /// How many connections have been cut.
    pub fn cuts(&self) -> usize {
        *self.cuts.borrow()
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Listens on an address (port 0 takes a free one) and carries each connection to `acceptor`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn open(self, listen: SocketAddr, acceptor: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (cut_happened, cuts) = watch::channel(0);
        let task = tokio::spawn(async move {
            let there = Arc::new(Direction::new(&self));
            let back = Arc::new(Direction::new(&self));
            let cut_happened = Arc::new(cut_happened);
            for number in 0.. {
                let Ok((requestor, _)) = listener.accept().await else { continue };
                let cut = self.cut.clone().filter(|cut| cut.connections.contains(&number));
                let (there, back) = (Arc::clone(&there), Arc::clone(&back));
                let cut_happened = Arc::clone(&cut_happened);
                tokio::spawn(async move {
                    // Either end may fail at any time; that is what the other end is to see.
                    let _ = carry_both(requestor, acceptor, there, back, cut, &cut_happened).await;
                });
            }
        });
        Ok(Proxy { address, task, cuts })
    }
}

async fn carry_both(
    requestor: TcpStream,
    acceptor: SocketAddr,
    there: Arc<Direction>,
    back: Arc<Direction>,
    cut: Option<Cut>,
    cut_happened: &watch::Sender<usize>,
) -> io::Result<()> {
    let opened = Instant::now() + there.one_way * 2;
    let acceptor = TcpStream::connect(acceptor).await?;
    requestor.set_nodelay(true)?;
    acceptor.set_nodelay(true)?;
    let (mut requestor_reads, mut requestor_writes) = requestor.into_split();
    let (mut acceptor_reads, mut acceptor_writes) = acceptor.into_split();
    let limit = |way| cut.as_ref().filter(|cut| cut.way == way).map(|cut| cut.after_bytes);
    let to_acceptor =
        carry(&mut requestor_reads, &mut acceptor_writes, there, opened, limit(Way::ToAcceptor));
    let to_requestor =
        carry(&mut acceptor_reads, &mut requestor_writes, back, opened, limit(Way::ToRequestor));
    // The first error, a cut among them, ends both ways at once.
    let carried = tokio::try_join!(to_acceptor, to_requestor);
    if carried.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionAborted)
        && let Some(cut) = cut
    {
        // Before the ends see it.
        cut_happened.send_modify(|cuts| *cuts += 1);
        // Dropped by itself, a half that writes would send its end first.
        let ends = [requestor_reads.reunite(requestor_writes), acceptor_reads.reunite(acceptor_writes)];
        for end in ends.into_iter().flatten().filter(|_| cut.end == End::Rst) {
            // Closing with this set is a reset.
            end.set_zero_linger()?;
        }
    }
    carried.map(|_| ())
}

/// One direction of the line, shared by all connections.
#[derive(Debug)]
struct Direction {
    one_way: Duration,
    bits_per_second: Option<u64>,
    busy_until: Mutex<Option<Instant>>,
}

impl Direction {
    fn new(line: &Line) -> Direction {
        Direction {
            one_way: line.round_trip / 2,
            bits_per_second: line.bits_per_second,
            busy_until: Mutex::new(None),
        }
    }

    /// Takes the line for so many bytes that are to depart now, and says when the last of them arrives.
    fn arrival(&self, bytes: usize, now: Instant) -> Instant {
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = busy_until.map_or(now, |busy| busy.max(now));
        let takes = self.bits_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / rate.max(1))
        });
        let departed = begins + takes;
        *busy_until = Some(departed);
        departed + self.one_way
    }

    /// Bytes that may be on their way at once: what the line holds, and a window.
    fn capacity(&self) -> usize {
        let holds = self.bits_per_second.map_or(0, |rate| {
            u64::try_from(u128::from(rate) / 8 * self.one_way.as_nanos() / 1_000_000_000).unwrap_or(0)
        });
        WINDOW + usize::try_from(holds).unwrap_or(0)
    }
}

/// Carries bytes one way from when the connection is opened until they end, then passes the end on.
async fn carry<R, W>(
    reader: &mut R,
    writer: &mut W,
    direction: Arc<Direction>,
    opened: Instant,
    cut_after_bytes: Option<u64>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let room = Arc::new(Semaphore::new(direction.capacity()));
    let (on_its_way, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async {
        // Before that there is nothing to be sent: the line is free for the other connections.
        if opened > Instant::now() {
            sleep_until(opened).await;
        }
        loop {
            let mut chunk = vec![0; CHUNK];
            let length = reader.read(&mut chunk).await?;
            if length == 0 {
                drop(on_its_way);
                return Ok(());
            }
            chunk.truncate(length);
            if let Ok(permit) = room.acquire_many(u32::try_from(length).unwrap_or(u32::MAX)).await {
                permit.forget();
            }
            let arrives = direction.arrival(length, Instant::now());
            if on_its_way.send((arrives, chunk)).is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        let mut passed = 0;
        while let Some((arrives, chunk)) = arriving.recv().await {
            if arrives > Instant::now() {
                sleep_until(arrives).await;
            }
            let left = cut_after_bytes.map_or(chunk.len() as u64, |cut| cut - passed);
            let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            writer.write_all(&chunk[..length]).await?;
            passed += length as u64;
            if cut_after_bytes == Some(passed) {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            room.add_permits(chunk.len());
        }
        writer.shutdown().await
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(round_trip_ms: u64, bits_per_second: Option<u64>) -> Line {
        Line { round_trip: Duration::from_millis(round_trip_ms), bits_per_second, ..Line::default() }
    }

    /// Carries `length` bytes over a line and answers how long the last of them took, in the test's own time.
    async fn time_for(line: &Line, length: usize) -> Duration {
        time_in(&Arc::new(Direction::new(line)), Duration::ZERO, length).await
    }

    /// The same in a direction that others may share, by a connection that takes so long to be opened.
    async fn time_in(direction: &Arc<Direction>, opens_in: Duration, length: usize) -> Duration {
        let (mut near, mut near_end) = tokio::io::duplex(CHUNK);
        let (mut far_end, mut far) = tokio::io::duplex(CHUNK);
        let begun = Instant::now();
        let carrying = carry(&mut near_end, &mut far_end, Arc::clone(direction), begun + opens_in, None);
        let sent: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let sending = async {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
            drop(near);
        };
        let receiving = async {
            let mut received = Vec::new();
            far.read_to_end(&mut received).await.unwrap();
            received
        };
        let (carried, (), received) = tokio::join!(carrying, sending, receiving);
        carried.unwrap();
        assert!(received == sent, "the bytes arrive as they were sent, in order");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_takes_half_a_round_trip_one_way() {
        let took = time_for(&line(50, None), 1).await;
        assert!((25..=27).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_bounds_the_rate_and_distance_does_not() {
        // 10 MB at 80 Mbit/s take a second, whatever the distance.
        for round_trip_ms in [0, 50, 150] {
            let took = time_for(&line(round_trip_ms, Some(80_000_000)), 10_000_000).await;
            let expected = 1000 + u128::from(round_trip_ms / 2);
            assert!((expected..=expected + 3).contains(&took.as_millis()), "{round_trip_ms} ms: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_connections_share_one_line() {
        let direction = Direction::new(&line(0, Some(8_000_000)));
        let now = Instant::now();
        assert_eq!(direction.arrival(500_000, now) - now, Duration::from_millis(500));
        assert_eq!(direction.arrival(500_000, now) - now, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_being_opened_holds_up_no_other() {
        let direction = Arc::new(Direction::new(&line(20, Some(80_000_000))));
        // 10 MB take a second; in the midst of them another connection is asked for, which takes nearly as long to be
        // opened.
        let (standing, opened) = tokio::join!(time_in(&direction, Duration::ZERO, 10_000_000), async {
            sleep_until(Instant::now() + Duration::from_millis(300)).await;
            time_in(&direction, Duration::from_millis(900), 1).await
        });
        assert!((1010..=1015).contains(&standing.as_millis()), "{standing:?}");
        assert!((910..=912).contains(&opened.as_millis()), "{opened:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn both_directions_have_the_whole_bandwidth_at_a_distance() {
        let line = line(50, Some(80_000_000));
        let [there, back] = [(); 2].map(|()| Arc::new(Direction::new(&line)));
        let took = tokio::join!(
            time_in(&there, line.round_trip, 10_000_000),
            time_in(&back, line.round_trip, 10_000_000)
        );
        // A second for the bytes, 50 ms to be opened, 25 ms one way.
        for took in [took.0, took.1] {
            assert!((1075..=1080).contains(&took.as_millis()), "{took:?}");
        }
    }

    /// A line to somebody who sends back twice what it gets, cut in its first connection.
    async fn cut_line(after_bytes: u64, way: Way, end: End) -> Proxy {
        let acceptor = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = acceptor.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = acceptor.accept().await {
                tokio::spawn(async move {
                    let mut byte = [0];
                    while matches!(peer.read(&mut byte).await, Ok(1)) {
                        let _ = peer.write_all(&[byte[0], byte[0]]).await;
                    }
                });
            }
        });
        let line = Line { cut: Some(Cut { after_bytes, way, end, connections: 0..1 }), ..Line::default() };
        line.open(([127, 0, 0, 1], 0).into(), to).await.unwrap()
    }

    /// Sends 100 bytes over a connection; how many come back, and how it ends.
    async fn ask(proxy: &Proxy) -> (usize, io::Result<()>) {
        let mut requestor = TcpStream::connect(proxy.address()).await.unwrap();
        let _ = requestor.write_all(&[7; 100]).await;
        let mut received = 0;
        let mut byte = [0];
        while received < 200 {
            match requestor.read(&mut byte).await {
                Ok(0) => return (received, Ok(())),
                Ok(length) => received += length,
                Err(error) => return (received, Err(error)),
            }
        }
        (received, Ok(()))
    }

    #[tokio::test]
    async fn a_cut_connection_ends_after_so_many_bytes_and_the_next_is_whole() {
        for after_bytes in [0, 1, 30, 199] {
            let proxy = cut_line(after_bytes, Way::ToRequestor, End::Fin).await;
            assert_eq!(ask(&proxy).await.0 as u64, after_bytes);
            proxy.cut().await;
            assert_eq!((ask(&proxy).await.0, proxy.cuts()), (200, 1));
        }
    }

    #[tokio::test]
    async fn a_cut_on_the_way_to_the_acceptor_lets_no_more_answers_come_than_were_asked_for() {
        for after_bytes in [0, 1, 30, 99] {
            let proxy = cut_line(after_bytes, Way::ToAcceptor, End::Fin).await;
            assert!(ask(&proxy).await.0 as u64 <= 2 * after_bytes);
            proxy.cut().await;
        }
    }

    #[tokio::test]
    async fn a_reset_is_seen_as_one() {
        let proxy = cut_line(30, Way::ToRequestor, End::Rst).await;
        let (_, ended) = ask(&proxy).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
