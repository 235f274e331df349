//! The releases of SPIRE that the lab has.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::output;
use crate::programs;

/// A release of SPIRE, of which the set-up builds server and agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The oldest that is tested.
    V1_13,
    /// The newest, with which every test runs that names none.
    V1_15,
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1_13, Self::V1_15];
    /// What tests run with that name none.
    pub const USUAL: Self = Self::V1_15;

    /// Its version, which is a folder beside this file, too.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1_13 => "1.13.3",
            Self::V1_15 => "1.15.3",
        }
    }

    /// One of its programs, `spire-server` or `spire-agent`.
    ///
    /// # Errors
    /// When the set-up has not built it.
    pub fn program(self, name: &str) -> Result<PathBuf> {
        programs::installed(&format!("spire-{}/{name}", self.version()))
    }

    /// Has SPIRE say whether it takes a configuration of its server or agent, which `program`
    /// names. From 1.15 on the server asks its plugins as well, which it starts for that.
    ///
    /// # Errors
    /// When it does not; the error holds what it wrote.
    pub fn validate(self, program: &str, configuration: &Path, flags: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program(program)?);
        output(command.arg("validate").arg("-config").arg(configuration).args(flags)).map(drop)
    }
}

impl Display for Release {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.version())
    }
}
