//! Keylime's API versions, and the choice of one.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::Deserialize;

use super::{Answer, Failure};
use crate::error::{Malformed, Role};

/// A version `2.x` of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(u8);

/// The version in use with one server, once negotiated.
#[derive(Debug, Default)]
pub(super) struct Negotiated(AtomicU8);

/// The results of `/version`. Verifier and registrar have `current_version`, agents
/// `supported_version`; the Python agent gives no list.
#[derive(Deserialize)]
struct Versions {
    current_version: Option<String>,
    supported_version: Option<String>,
    supported_versions: Option<Vec<String>>,
}

impl ApiVersion {
    /// From this version on all are alike here, but that `/agent/info` and the verifier's
    /// `/verify/identity` came with 2.2.
    const OLDEST: u8 = 1;
    const OLDEST_OF_VERIFIERS: u8 = 2;
    const NEWEST: u8 = 6;
    const RANGE: &'static str = "2.1 to 2.6";

    /// The version for a server that does not tell its versions, as a verifier in push mode.
    const UNTOLD: ApiVersion = ApiVersion(2);

    /// The first version of Keylime 7.14, whose registrar guards the ids of agents.
    const GUARDED_IDS: ApiVersion = ApiVersion(5);

    /// The version for a server that gave this answer to `/version`.
    pub(super) fn choose(answer: &Answer, role: Role) -> Result<ApiVersion, Failure> {
        if matches!(answer.status, 404 | 410) {
            return Ok(ApiVersion::UNTOLD);
        }
        let versions: Versions = answer.results("Keylime's API versions", false)?;
        let single = versions.current_version.or(versions.supported_version);
        let offered = versions.supported_versions.unwrap_or_default();
        let newest = offered.iter().chain(&single).filter_map(|text| ApiVersion::parse(text)).max();
        let theirs = || {
            let theirs: Vec<&str> = offered.iter().chain(&single).map(String::as_str).take(20).collect();
            theirs.join(", ").escape_debug().take(200).collect()
        };
        match newest {
            // At once: otherwise it would fail only after the node's quote.
            Some(newest) if role == Role::Verifier && newest.0 < ApiVersion::OLDEST_OF_VERIFIERS => {
                Err(Malformed::VerifierTooOld { theirs: theirs() }.into())
            }
            Some(newest) => Ok(newest),
            None => Err(Malformed::ApiVersion { ours: ApiVersion::RANGE, theirs: theirs() }.into()),
        }
    }

    /// True for a registrar of a version that leaves the ids of agents unguarded.
    pub(super) fn leaves_ids_unguarded(self, role: Role) -> bool {
        role == Role::Registrar && self < ApiVersion::GUARDED_IDS
    }

    fn parse(text: &str) -> Option<ApiVersion> {
        let minor: u8 = text.strip_prefix("2.")?.parse().ok()?;
        (ApiVersion::OLDEST..=ApiVersion::NEWEST).contains(&minor).then_some(ApiVersion(minor))
    }
}

impl fmt::Display for ApiVersion {
    /// As in a path: `v2.6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v2.{}", self.0)
    }
}

impl Negotiated {
    const NONE: u8 = 0;

    pub(super) fn get(&self) -> Option<ApiVersion> {
        let minor = self.0.load(Ordering::Relaxed);
        (minor != Negotiated::NONE).then_some(ApiVersion(minor))
    }

    pub(super) fn set(&self, version: ApiVersion) {
        self.0.store(version.0, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        self.0.store(Negotiated::NONE, Ordering::Relaxed);
    }
}
