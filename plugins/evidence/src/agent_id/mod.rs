//! The identifier under which Keylime knows a node.

use std::fmt;
use std::str::FromStr;

/// Keylime's name of a node: usually a UUID, or the hash of its EK, or what the administrator
/// chose.
///
/// Holds 1 to 255 characters of `A-Z a-z 0-9 _ . -` and is neither `.` nor `..`, as Keylime itself
/// rules. So it can stand in a URL path and in the path of a SPIFFE ID without being escaped, and
/// can neither leave its segment nor add a query. Case matters, as it does to Keylime.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(Box<str>);

/// The rule of [`AgentId`] that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAgentId {
    /// An empty text.
    #[error("the agent id is empty; 1 to 255 characters of A-Z a-z 0-9 _ . - are expected")]
    Empty,
    /// More than [`AgentId::MAX_LEN`] bytes.
    #[error("the agent id has {length} bytes; at most 255 are allowed")]
    TooLong {
        /// The text's length in bytes.
        length: usize,
    },
    /// A character that has no place in an id.
    #[error("the agent id has {character:?} at byte {position}; only A-Z a-z 0-9 _ . - are allowed")]
    Character {
        /// The first wrong character.
        character: char,
        /// The byte at which it starts, counted from 0.
        position: usize,
    },
    /// `.` or `..`, which a URL path would swallow.
    #[error("the agent id is only a dot or two; . and .. are not allowed")]
    Dots,
}

impl AgentId {
    /// Longest id in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks `id` and takes a copy.
    ///
    /// # Errors
    /// The rule of [`AgentId`] that the text breaks.
    pub fn new(id: &str) -> Result<Self, InvalidAgentId> {
        if id.is_empty() {
            return Err(InvalidAgentId::Empty);
        }
        if id.len() > Self::MAX_LEN {
            return Err(InvalidAgentId::TooLong { length: id.len() });
        }
        if let Some((position, character)) = id.char_indices().find(|(_, character)| !is_allowed(*character))
        {
            return Err(InvalidAgentId::Character { character, position });
        }
        if id == "." || id == ".." {
            return Err(InvalidAgentId::Dots);
        }
        Ok(Self(id.into()))
    }

    /// An id of the greatest length.
    pub(crate) fn longest() -> Self {
        Self("x".repeat(Self::MAX_LEN).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for AgentId {
    type Err = InvalidAgentId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id)
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

#[cfg(test)]
mod tests;
