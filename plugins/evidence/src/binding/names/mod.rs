//! Names in Kubernetes, safe in a URL's path and in a selector.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::excerpt;

/// The prefix of a service account's user name.
const USER: &str = "system:serviceaccount:";

/// The longest name of a namespace or part of a label's key, in bytes.
const MAX_LABEL: usize = 63;

/// The longest name of an object, in bytes (RFC 1123, subdomain).
const MAX_NAME: usize = 253;

/// The name of a namespace, node, pod or service account: 1 to 253 characters of `a-z 0-9 . -`,
/// with a letter or digit at both ends. So it can stand in a URL's path as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName(Box<str>);

/// The UID of an object: 1 to 128 characters of `A-Z a-z 0-9 -`. Another object of the same name
/// has another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(Box<str>);

/// A service account, written `namespace:name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: ObjectName,
    /// Its name.
    pub name: ObjectName,
}

/// The key of a node's label that may become a selector: a name, before which a domain and a slash
/// may stand. Without a colon, so that its end in `node_label:<key>:<value>` is never in doubt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelKey(Box<str>);

/// A text that is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {came}")]
pub struct InvalidName {
    expected: &'static str,
    came: String,
}

impl ServiceAccount {
    /// The account of a user name, `system:serviceaccount:<namespace>:<name>`.
    ///
    /// # Errors
    /// For the name of another user.
    pub fn of_user(name: &str) -> Result<Self, InvalidName> {
        let expected = "the user name of a service account, system:serviceaccount:<namespace>:<name>";
        let account = name.strip_prefix(USER).and_then(|account| account.parse().ok());
        account.ok_or_else(|| invalid(expected, name))
    }
}

impl ObjectName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Uid {
    /// The UID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            "a name of Kubernetes, 1 to 253 characters of a-z 0-9 . - with a letter or digit at both ends";
        if is_subdomain(text) { Ok(Self(text.into())) } else { Err(invalid(expected, text)) }
    }
}

impl FromStr for Uid {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(invalid("a UID, 1 to 128 characters of A-Z a-z 0-9 -", text));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for ServiceAccount {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').and_then(|(namespace, name)| {
            Some(Self { namespace: namespace.parse().ok()?, name: name.parse().ok()? })
        });
        parts.ok_or_else(|| invalid("a service account, namespace:name", text))
    }
}

impl FromStr for LabelKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if domain.is_none_or(is_subdomain)
            && !name.is_empty()
            && name.len() <= MAX_LABEL
            && name.bytes().all(allowed)
        {
            return Ok(Self(text.into()));
        }
        Err(invalid("the key of a label, such as node-restriction.kubernetes.io/zone", text))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.namespace, self.name)
    }
}

impl fmt::Display for LabelKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_subdomain(text: &str) -> bool {
    let end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME
        && bytes.first().is_some_and(end)
        && bytes.last().is_some_and(end)
        && bytes.iter().all(|byte| end(byte) || matches!(byte, b'.' | b'-'))
}

fn invalid(expected: &'static str, came: &str) -> InvalidName {
    InvalidName { expected, came: excerpt(came) }
}

#[cfg(test)]
mod tests;
