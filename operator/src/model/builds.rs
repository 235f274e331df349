//! The builds of a plugin: its checksum, and so SPIRE's configuration, is another for each
//! architecture.

use std::collections::BTreeMap;

/// Something that differs between the builds, for those that pods may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Builds<T> {
    /// All pods get the same build. Its architecture is [`None`] where the image does not tell it.
    One { architecture: Option<String>, of: T },
    /// Each pod gets the build of its node's architecture.
    Each(BTreeMap<String, T>),
}

impl<T> Builds<T> {
    /// The same builds, with something else of each.
    pub(crate) fn try_map<U, E>(&self, make: impl Fn(&T) -> Result<U, E>) -> Result<Builds<U>, E> {
        Ok(match self {
            Self::One { architecture, of } => {
                Builds::One { architecture: architecture.clone(), of: make(of)? }
            }
            Self::Each(all) => {
                let all = all.iter().map(|(architecture, of)| Ok((architecture.clone(), make(of)?)));
                Builds::Each(all.collect::<Result<_, E>>()?)
            }
        })
    }

    /// That of one build, where it does not matter of which.
    pub(crate) fn any(&self) -> Option<&T> {
        match self {
            Self::One { of, .. } => Some(of),
            Self::Each(all) => all.values().next(),
        }
    }

    /// The number of builds.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::One { .. } => 1,
            Self::Each(all) => all.len(),
        }
    }

    /// The architectures; empty where none is known.
    pub(crate) fn architectures(&self) -> Vec<&str> {
        match self {
            Self::One { architecture, .. } => architecture.iter().map(String::as_str).collect(),
            Self::Each(all) => all.keys().map(String::as_str).collect(),
        }
    }

    /// True for an architecture that none of the builds is of, as far as theirs are known.
    pub(crate) fn lacks(&self, architecture: &str) -> bool {
        let known = self.architectures();
        !known.is_empty() && !known.contains(&architecture)
    }
}
