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
mod tests {
    use serde::Deserialize;

    use super::Port;
    use crate::from_str;

    #[derive(Debug, Deserialize)]
    struct One {
        port: Port,
    }

    #[test]
    fn ports_are_numbers_or_strings_of_digits() {
        for (text, port) in [("8881", 8881), ("\"8881\"", 8881), ("1", 1), ("\"65535\"", 65535)] {
            let one: One = from_str(&format!("port = {text}")).unwrap();
            assert_eq!(one.port.get(), port);
        }
        for text in [
            "0",
            "-1",
            "65536",
            "\"\"",
            "\"0\"",
            "\"65536\"",
            "\"+1\"",
            "\" 1\"",
            "8.5",
            "true",
            "[1]",
            "\"a\"",
        ] {
            let error = from_str::<One>(&format!("port = {text}")).unwrap_err();
            assert!(error.to_string().contains("expected a port from 1 to 65535"), "{text}: {error}");
            assert_eq!((error.line(), error.column(), error.key()), (1, 8, "port"), "{text}");
        }
    }
}
