//! The connections of a port, the oldest first.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};

use tokio::task::{AbortHandle, Id};

use crate::Limits;

/// The bits of an IPv6 address that tell one network from another; a host may have all the rest.
const NETWORK: u128 = !0 << 64;

pub(crate) struct Open {
    limits: Limits,
    connections: VecDeque<(IpAddr, AbortHandle)>,
}

impl Open {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, connections: VecDeque::with_capacity(limits.connections) }
    }

    /// Ends the oldest connection where there would be one too many, one of the same address where
    /// that has its share.
    pub(crate) fn make_room(&mut self, address: IpAddr) {
        let address = network(address);
        let of_it = |(other, _): &(IpAddr, AbortHandle)| *other == address;
        let share = self.connections.iter().filter(|open| of_it(open)).count();
        let oldest = if share >= self.limits.per_address {
            self.connections.iter().position(of_it)
        } else {
            (self.connections.len() >= self.limits.connections).then_some(0)
        };
        if let Some((_, task)) = oldest.and_then(|oldest| self.connections.remove(oldest)) {
            task.abort();
        }
    }

    pub(crate) fn add(&mut self, address: IpAddr, task: AbortHandle) {
        self.connections.push_back((network(address), task));
    }

    pub(crate) fn remove(&mut self, id: Id) {
        self.connections.retain(|(_, task)| task.id() != id);
    }
}

/// The network that counts as one client.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
