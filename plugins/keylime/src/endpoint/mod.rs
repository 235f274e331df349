//! A server's address: a host and a port that are known to be well formed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use reqwest::Url;
use rustls::pki_types::ServerName;

/// The longest host, in characters (RFC 1035).
const MAX_HOST: usize = 253;

/// Host and port of a server. The host is a DNS name, an IPv4 or an IPv6 address, without scheme,
/// user, path or port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Host,
    port: NonZeroU16,
}

/// The reason why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// An empty host, or one longer than 253 characters.
    #[error("failed to read the host: expected 1 to {MAX_HOST} characters, got {0}")]
    Length(usize),
    /// Neither a DNS name nor an address.
    #[error(
        "failed to read the host {0:?}: expected a DNS name, an IPv4 or an IPv6 address, without scheme, user, port or path"
    )]
    Host(String),
    /// Port 0.
    #[error("failed to read the port: expected 1 to 65535, got 0")]
    Port,
    /// Not a host and a port.
    #[error("failed to read {0:?}: expected host:port, an IPv6 address in brackets, a port from 1 to 65535")]
    HostPort(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Endpoint {
    /// An endpoint from a configuration's host and port. An IPv6 address may stand in brackets.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] for a host that is none, or port 0.
    pub fn new(host: &str, port: u16) -> Result<Endpoint, InvalidEndpoint> {
        if host.is_empty() || host.len() > MAX_HOST {
            return Err(InvalidEndpoint::Length(host.chars().count()));
        }
        let port = NonZeroU16::new(port).ok_or(InvalidEndpoint::Port)?;
        let host = Host::parse(host).ok_or_else(|| InvalidEndpoint::Host(host.to_owned()))?;
        Ok(Endpoint { host, port })
    }

    /// True for a host that can only be this machine: 127.0.0.0/8, ::1 or `localhost`, by its text,
    /// without a lookup.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => address.is_loopback(),
        }
    }

    /// The root of the server's URLs; [`None`] when the URL standard reads the host as another one.
    pub(crate) fn url(&self, scheme: &str) -> Option<Url> {
        let url = Url::parse(&format!("{scheme}://{self}/")).ok()?;
        match &self.host {
            Host::Name(name) if url.host_str() != Some(name) => None,
            _ => Some(url),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Some(Host::Address(inner.parse::<Ipv6Addr>().ok()?.into()));
        }
        match ServerName::try_from(text).ok()? {
            // The text, not the parsed name, which has lost a dot at the end: the dot keeps the
            // search list of resolv.conf out.
            ServerName::DnsName(_) => Some(Host::Name(text.to_ascii_lowercase())),
            ServerName::IpAddress(_) => Some(Host::Address(text.parse().ok()?)),
            _ => None,
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    /// Reads `host:port`, an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let invalid = || InvalidEndpoint::HostPort(text.chars().take(MAX_HOST).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        // Otherwise a part of an IPv6 address would be taken for its port.
        if host.contains(':') && !host.starts_with('[') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        Endpoint::new(host, port.parse().map_err(|_| invalid())?)
    }
}

impl fmt::Display for Endpoint {
    /// `host:port`, an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests;
