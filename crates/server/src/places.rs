//! Places for associations: how many at a time, in all and for one host.
//!
//! A connection counts from its first moment, an association has a place from its request on. So neither a host that opens
//! connections and says nothing, nor one that has to be rejected, keeps others from a place; and a host that wants all
//! of them gets a part. There may be twice as many connections as places: those beyond the places are told so (transient:
//! local limit exceeded), those beyond the connections are closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many connections beyond the places are always told that there is none.
const ALWAYS_TOLD: usize = 16;

/// Lines about connections that were closed come no faster than this.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// The places of a server. A clone is another handle of the same.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    in_all: usize,
    of_a_host: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: Count,
    hosts: HashMap<IpAddr, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    connections: usize,
    places: usize,
}

/// What there is no more of; in words for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    InAll,
    OfHost,
}

impl Full {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Full::InAll => "there are as many associations as there may be",
            Full::OfHost => "its host has as many associations as one host may have",
        }
    }
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    host: Option<IpAddr>,
    has_place: bool,
}

impl Places {
    pub(crate) fn new(in_all: usize, of_a_host: usize) -> Places {
        Places { shared: Arc::new(Shared { in_all, of_a_host, taken: Mutex::default() }) }
    }

    /// Counts a connection in, unless there are too many of them.
    pub(crate) fn connect(&self, peer: Option<IpAddr>) -> Result<Connection, Full> {
        let host = peer.map(host);
        let connections = |places: usize| places.saturating_add(places.max(ALWAYS_TOLD));
        let mut taken = self.shared.taken();
        if taken.in_all.connections >= connections(self.shared.in_all) {
            return Err(Full::InAll);
        }
        if let Some(host) = host {
            let of_host = taken.hosts.entry(host).or_default();
            if of_host.connections >= connections(self.shared.of_a_host) {
                return Err(Full::OfHost);
            }
            of_host.connections += 1;
        }
        taken.in_all.connections += 1;
        drop(taken);
        Ok(Connection { shared: Arc::clone(&self.shared), host, has_place: false })
    }
}

impl Connection {
    /// Gives the association of this connection a place, which is free again when the connection is dropped.
    pub(crate) fn take_place(&mut self) -> Result<(), Full> {
        let mut taken = self.shared.taken();
        if taken.in_all.places >= self.shared.in_all {
            return Err(Full::InAll);
        }
        if let Some(host) = self.host {
            let of_host = taken.hosts.entry(host).or_default();
            if of_host.places >= self.shared.of_a_host {
                return Err(Full::OfHost);
            }
            of_host.places += 1;
        }
        taken.in_all.places += 1;
        self.has_place = true;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let place = usize::from(self.has_place);
        let mut taken = self.shared.taken();
        taken.in_all.connections -= 1;
        taken.in_all.places -= place;
        if let Some(host) = self.host
            && let Some(of_host) = taken.hosts.get_mut(&host)
        {
            of_host.connections -= 1;
            of_host.places -= place;
            if of_host.connections == 0 {
                taken.hosts.remove(&host);
            }
        }
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one host: of IPv6 a network of 64 bits, which is what a host is given to choose its addresses from.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
    }
}

/// The connections that were closed unheard, for the log: the first at once, more together.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    not_told: u64,
    next_line: Option<Instant>,
}

impl Closed {
    pub(crate) fn count(&mut self, full: Full) {
        self.not_told += 1;
        if self.next_line.is_none() {
            tracing::warn!(connections = self.not_told, why = full.why(), "closed unheard");
            *self = Closed { not_told: 0, next_line: Some(Instant::now() + BETWEEN_LINES) };
        }
    }

    /// When [`Closed::tell`] has something to do.
    pub(crate) fn next_line(&self) -> Option<Instant> {
        self.next_line
    }

    /// Tells of those since the line before.
    pub(crate) fn tell(&mut self) {
        if self.not_told > 0 {
            tracing::warn!(connections = self.not_told, "closed unheard: too many connections");
            *self = Closed { not_told: 0, next_line: Some(Instant::now() + BETWEEN_LINES) };
        } else {
            self.next_line = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_host_cannot_have_all_places_and_gives_them_back() {
        let places = Places::new(30, 20);
        let mut greedy = Vec::new();
        for _ in 0..20 {
            let mut connection = places.connect(address("192.0.2.1")).unwrap();
            connection.take_place().unwrap();
            greedy.push(connection);
        }
        let mut beyond = places.connect(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(beyond.take_place(), Err(Full::OfHost));
        let mut other = places.connect(address("192.0.2.2")).unwrap();
        other.take_place().unwrap();
        drop(greedy.pop());
        beyond.take_place().unwrap();
    }

    #[test]
    fn connections_without_a_request_take_no_places_and_are_bounded_too() {
        let places = Places::new(30, 20);
        let silent = |address| std::iter::from_fn(|| places.connect(address).ok()).collect::<Vec<_>>();
        let first = silent(address("192.0.2.1"));
        assert_eq!(first.len(), 40);
        assert_eq!(places.connect(address("192.0.2.1")).unwrap_err(), Full::OfHost);
        places.connect(address("192.0.2.2")).unwrap().take_place().unwrap();
        let second = silent(address("192.0.2.2"));
        assert_eq!(first.len() + second.len(), 60);
        assert_eq!(places.connect(address("192.0.2.3")).unwrap_err(), Full::InAll);
        drop((first, second));
        assert!(places.shared.taken().hosts.is_empty());
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let places = Places::new(30, 1);
        let mut one = places.connect(address("2001:db8::1")).unwrap();
        one.take_place().unwrap();
        let mut other = places.connect(address("2001:db8::2")).unwrap();
        assert_eq!(other.take_place(), Err(Full::OfHost));
        places.connect(address("2001:db8:0:1::2")).unwrap().take_place().unwrap();
    }
}
