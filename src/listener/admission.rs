//! Places for connections: so many in all, so many for one address, and a few that are kept for health checks.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are accepted when all places are taken, so that health checks are answered.
const RESERVE: usize = 32;

/// The places of a listener.
pub(super) struct Admission {
    general: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

/// A connection's place. Dropping it makes room for another connection.
pub(super) struct Place {
    /// The place is of the reserve: only health checks are answered on this connection.
    pub is_reserved: bool,
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// The address has as many connections as one may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Admission {
    /// `connections` places, of which one address outside of `exempt` may have `per_address`.
    pub fn new(connections: usize, per_address: usize, exempt: Vec<IpNet>) -> Self {
        let addresses = Addresses { per_address, exempt, open: Mutex::default() };
        Self {
            general: Arc::new(Semaphore::new(connections)),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            addresses: Arc::new(addresses),
        }
    }

    /// A place for a connection from `peer`, or nothing while all places are taken, the reserve's as well.
    pub fn admit(&self, peer: IpAddr) -> Result<Option<Place>, Refused> {
        let Some(share) = self.addresses.share(peer)? else { return Ok(self.place(None)) };
        Ok(self.place(Some(share)))
    }

    /// Returns when there is a place to be had.
    pub async fn vacancy(&self) {
        // A permit that is dropped at once: whoever calls `admit` next takes it.
        tokio::select! {
            _ = self.general.acquire() => {}
            _ = self.reserve.acquire() => {}
        }
    }

    fn place(&self, share: Option<Share>) -> Option<Place> {
        let take = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_owned().ok();
        let (permit, is_reserved) = match take(&self.general) {
            Some(permit) => (permit, false),
            None => (take(&self.reserve)?, true),
        };
        Some(Place { is_reserved, _permit: permit, _share: share })
    }
}

/// The open connections of each address.
struct Addresses {
    per_address: usize,
    /// Trusted proxies: behind them are many clients.
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One of an address's connections, until it is dropped.
struct Share {
    address: IpAddr,
    of: Arc<Addresses>,
}

impl Addresses {
    fn share(self: &Arc<Self>, peer: IpAddr) -> Result<Option<Share>, Refused> {
        let peer = peer.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&peer)) {
            return Ok(None);
        }
        let address = subscriber(peer);
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(address).or_default();
        if *open >= self.per_address {
            return Err(Refused);
        }
        *open += 1;
        Ok(Some(Share { address, of: Arc::clone(self) }))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// The address itself, or of IPv6 the network of 64 bits that a subscriber is given as a whole (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_no_more_until_a_connection_ends() {
        let places = Admission::new(10, 2, Vec::new());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = places.admit(one).unwrap();
        let _second = places.admit(one).unwrap();
        assert_eq!(places.admit(one).err(), Some(Refused));
        assert!(places.admit(other).unwrap().is_some());
        drop(first);
        assert!(places.admit(one).unwrap().is_some());
    }

    #[test]
    fn one_subscriber_of_ipv6_is_one_address_and_a_mapped_address_is_that_of_ipv4() {
        let places = Admission::new(10, 1, Vec::new());
        let _open = [places.admit(address("2001:db8::1")), places.admit(address("::ffff:192.0.2.1"))];
        assert!(places.admit(address("2001:db8::2")).is_err());
        assert!(places.admit(address("192.0.2.1")).is_err());
        assert!(places.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_trusted_proxy_may_have_all_places() {
        let places = Admission::new(10, 1, vec!["10.0.0.0/8".parse().unwrap()]);
        let open: Vec<_> = (0..5).map(|_| places.admit(address("10.0.0.1")).unwrap()).collect();
        assert!(open.iter().all(|place| place.as_ref().is_some_and(|place| !place.is_reserved)));
    }

    #[test]
    fn a_reserve_is_kept_beyond_all_places() {
        let places = Admission::new(1, 1000, Vec::new());
        let peer = address("192.0.2.1");
        let usual = places.admit(peer).unwrap().unwrap();
        assert!(!usual.is_reserved);
        let reserve: Vec<_> = (0..RESERVE).map(|_| places.admit(peer).unwrap().unwrap()).collect();
        assert!(reserve.iter().all(|place| place.is_reserved));
        assert!(places.admit(peer).unwrap().is_none());
        assert_eq!(places.addresses.open.lock().unwrap()[&peer], 1 + RESERVE);
        drop(usual);
        assert!(places.admit(peer).unwrap().is_some_and(|place| !place.is_reserved));
    }
}
