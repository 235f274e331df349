//! The rules that Keylime's `agent_data.json` can break.

use std::io;

use evidence::{InvalidAttestationKey, InvalidHashAlg};

/// The reason why there is no AK in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// There is no file.
    #[error(
        "it does not exist; start Keylime's agent once, which makes it, or name the file in its keylime_dir (--agent-data)"
    )]
    Missing,
    /// The file may not be read.
    #[error("this user may not read it; run as the user of Keylime's agent (keylime), whose folder it is in")]
    Permission,
    /// The file cannot be read.
    #[error("it cannot be read ({0}); check the file and its disk")]
    Unreadable(io::ErrorKind),
    /// Only the file's start was there, however often it was read.
    #[error(
        "it is half-written, and stays so; see whether its disk is full, and start Keylime's agent again, which writes it anew"
    )]
    HalfWritten,
    /// More than there should be.
    #[error("expected at most {limit} bytes, it has more; name the agent_data.json of Keylime's agent")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not the JSON of Keylime's agent.
    #[error(
        "expected the JSON of Keylime's agent, got something else at line {line} column {column}; name its agent_data.json"
    )]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A part of the key that is none.
    #[error("its {part} is no part of a TPM's key; move the file away and start Keylime's agent again")]
    Part {
        /// The JSON's member.
        part: &'static str,
    },
    /// A key whose quotes are not accepted.
    #[error("its key cannot be used: {0}")]
    Key(#[from] InvalidAttestationKey),
    /// A bank that is not accepted.
    #[error("its bank cannot be used: {0}")]
    Bank(#[from] InvalidHashAlg),
}

impl From<io::Error> for DataError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Permission,
            kind => Self::Unreadable(kind),
        }
    }
}
