//! Where a node may call from: an address, a network (CIDR), a host by name, or anywhere.
//!
//! Names are looked up at admission, so that a host may change its address; one that cannot be looked up is not there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a name may take to look up: an association waits for it.
const LOOK_UP: Duration = Duration::from_secs(5);

/// A place that a node may call from. As text: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`, `ct.example.org`, `any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere.
    Any,
    /// An address and how many of its leading bits count.
    Network(IpAddr, u8),
    /// What a name stands for.
    Host(String),
}

/// A text is no [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address, network such as 192.0.2.0/24, name of a host, or any")]
pub struct InvalidOrigin(String);

impl Origin {
    /// The origin that is this host, by address or name.
    pub fn of_host(host: &str) -> Origin {
        match host.parse::<IpAddr>() {
            Ok(address) => Origin::address(address),
            Err(_) => Origin::Host(host.to_owned()),
        }
    }

    fn address(address: IpAddr) -> Origin {
        let address = address.to_canonical();
        Origin::Network(address, bits(address))
    }
}

impl std::str::FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Origin, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        if text.eq_ignore_ascii_case("any") {
            return Ok(Origin::Any);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Origin::address(address));
        }
        if let Some((address, length)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| invalid())?;
            let length = length.parse().ok().filter(|length| *length <= bits(address)).ok_or_else(invalid)?;
            return Ok(Origin::Network(address, length));
        }
        // 10.0.0 or 300.1.1.1 is a slip, not a name: no top-level domain is a number.
        let labels: Vec<&str> = text.trim_end_matches('.').split('.').collect();
        let is_label = |label: &&str| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        };
        let is_number = labels.last().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
        if is_number || !labels.iter().all(is_label) {
            return Err(invalid());
        }
        Ok(Origin::Host(text.to_owned()))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Any => f.write_str("any"),
            Origin::Network(address, length) if *length == bits(*address) => write!(f, "{address}"),
            Origin::Network(address, length) => write!(f, "{address}/{length}"),
            Origin::Host(host) => f.write_str(host),
        }
    }
}

/// Whether a peer comes from one of these places. One without an address (not over TCP) comes from nowhere else than
/// anywhere.
pub(super) async fn comes_from(peer: Option<SocketAddr>, origins: &[Origin]) -> bool {
    let address = peer.map(|peer| peer.ip().to_canonical());
    let fits = |origin: &Origin| match origin {
        Origin::Any => true,
        Origin::Network(network, length) => address.is_some_and(|address| is_in(address, *network, *length)),
        Origin::Host(_) => false,
    };
    if origins.iter().any(fits) {
        return true;
    }
    let Some(address) = address else { return false };
    for origin in origins {
        if let Origin::Host(host) = origin
            && stands_for(host, address).await
        {
            return true;
        }
    }
    false
}

async fn stands_for(host: &str, address: IpAddr) -> bool {
    let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host, 0))).await;
    match found {
        Ok(Ok(mut found)) => found.any(|found| found.ip().to_canonical() == address),
        Ok(Err(error)) => {
            tracing::warn!(host, %error, "the host of a node cannot be looked up");
            false
        }
        Err(_) => {
            tracing::warn!(host, "the host of a node could not be looked up in time");
            false
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_in(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let ignored = u32::from(bits - length.min(bits));
    // A shift by all 128 bits would overflow: that network is everything of its family.
    ignored == 128 || (address ^ network) >> ignored == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 40_000))
    }

    async fn fits(origin: &str, address: &str) -> bool {
        comes_from(peer(address), &[origin.parse().unwrap()]).await
    }

    #[tokio::test]
    async fn addresses_fit_their_networks() {
        for (origin, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.9/31", "192.0.2.8", "192.0.2.10"),
            ("10.0.0.0/8", "::ffff:10.255.1.2", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            assert!(fits(origin, inside).await, "{inside} is in {origin}");
            assert!(!fits(origin, outside).await, "{outside} is not in {origin}");
        }
        assert!(fits("any", "192.0.2.1").await);
        assert!(!comes_from(None, &["0.0.0.0/0".parse().unwrap()]).await);
    }

    #[tokio::test]
    async fn a_host_is_looked_up() {
        assert!(fits("localhost", "127.0.0.1").await);
        assert!(!fits("localhost", "127.0.0.2").await);
        assert!(!fits("nobody.invalid", "127.0.0.1").await);
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for text in ["", "10.0.0.0/33", "10.0.0", "300.1.1.1", "a b", "::/129", "x/24", "a..b"] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        for text in ["any", "10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "ct-1.example.org"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
    }
}
