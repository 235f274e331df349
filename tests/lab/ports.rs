//! Free ports on loopback that nobody else gets, be it another thread, test program or user.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::{fmt, process};

use anyhow::{Context as _, Result, ensure};

/// Below Linux's ephemeral ports, where the kernel could give one to a connection meanwhile.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port that is ours as long as this lives. Nobody listens on it yet.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The claim: a name in the kernel's abstract namespace, which only one can hold and which goes
    /// away with its holder.
    _claim: UnixListener,
}

impl Port {
    /// Claims a free port.
    ///
    /// # Errors
    /// When none is free.
    pub fn free() -> Result<Self> {
        numbers().find_map(Self::claim).context("failed to find a free port")
    }

    /// Claims two free ports, the second one above the first.
    ///
    /// # Errors
    /// When there are none.
    pub fn neighbours() -> Result<(Self, Self)> {
        let pair = |number| Self::claim(number).zip(Self::claim(number + 1));
        numbers().find_map(pair).context("failed to find two free ports")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Tells if somebody listens on it now.
    ///
    /// # Errors
    /// When nobody does.
    pub fn is_open(&self) -> Result<()> {
        let open = TcpStream::connect((Ipv4Addr::LOCALHOST, self.number)).is_ok();
        ensure!(open, "nobody listens on port {}", self.number);
        Ok(())
    }

    fn claim(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("keylime-attestor-lab-port-{number}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}

/// Each process begins at another one.
fn numbers() -> impl Iterator<Item = u16> {
    let offset = u16::try_from(process::id() % u32::from(COUNT / 16)).unwrap_or_default() * 16;
    (offset..COUNT).chain(0..offset).map(|index| FIRST + index)
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_given_once() {
        let (port, next) = Port::neighbours().unwrap();
        assert_eq!(next.number(), port.number() + 1);
        assert!(Port::claim(port.number()).is_none());
        assert!(Port::claim(next.number()).is_none());
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(Port::claim(listener.local_addr().unwrap().port()).is_none());
    }
}
