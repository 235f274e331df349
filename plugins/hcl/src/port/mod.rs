//! Port numbers.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A port from 1 to 65535, written as a number or as a string of decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

impl Port {
    /// A port; nothing for 0.
    pub const fn new(port: u16) -> Option<Self> {
        if port == 0 { None } else { Some(Self(port)) }
    }

    /// The number, never 0.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.0
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor)
    }
}

struct PortVisitor;

impl PortVisitor {
    fn port<E: de::Error>(port: Option<u16>) -> Result<Port, E> {
        port.and_then(Port::new).ok_or_else(|| E::custom("expected a port from 1 to 65535"))
    }
}

impl Visitor<'_> for PortVisitor {
    type Value = Port;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port from 1 to 65535")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Port, E> {
        Self::port(u16::try_from(value).ok())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Port, E> {
        Self::port(u16::try_from(value).ok())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Port, E> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        Self::port(if digits { value.parse().ok() } else { None })
    }
}

#[cfg(test)]
mod tests;
