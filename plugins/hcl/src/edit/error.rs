//! The reasons why a configuration is not edited.

use crate::error::short;
use crate::{MAX_TEXT, Position};

/// The reason why a configuration is not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be parsed.
    #[error("failed to edit SPIRE's configuration: {0}")]
    Syntax(#[from] crate::Error),
    /// `plugins` has a shape that SPIRE does not read, or does not read as it looks.
    #[error("failed to edit SPIRE's configuration at {0}: {1}")]
    Shape(Position, String),
    /// The element to be written is not one that SPIRE can read.
    #[error("failed to write the NodeAttestor '{name}': {problem}")]
    Element {
        /// Its name, shortened.
        name: String,
        /// The reason.
        problem: String,
    },
    /// The edited text would be longer than [`MAX_TEXT`].
    #[error(
        "failed to write the NodeAttestor at {at} of SPIRE's configuration: with it the text would have {bytes} bytes, \
         more than the {MAX_TEXT} allowed; make the configuration smaller"
    )]
    TooLarge {
        /// The element's place in the text.
        at: Position,
        /// Length of the edited text.
        bytes: usize,
    },
    /// The edited text does not mean what it should. The input has a form that this crate does not
    /// know.
    #[error(
        "failed to edit SPIRE's configuration at {0}: the result would not be right ({1}); edit the file by hand"
    )]
    Unverified(Position, &'static str),
}

pub(super) fn wrong_element(name: &str, problem: impl Into<String>) -> Error {
    Error::Element { name: short(name), problem: problem.into() }
}
