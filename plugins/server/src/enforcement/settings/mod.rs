//! The block `enforcement` of the plugin's configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hcl::Fields;
use keylime::{InvalidKeyHash, KeyHash};
use report::Mode;
use serde::de::{self, Deserialize, Deserializer};
use spire_plugin::ConfigKey;

use super::spire::endpoint;

const BLOCK: &str = "enforcement";
const SOCKET: &str = "spire_socket_path";
const INTERVAL: &str = "interval";
const MAX_PER_INTERVAL: &str = "max_per_interval";
const REPORT_ADDRESS: &str = "report_address";
const REPORT_CLIENT: &str = "report_client_key_sha256";

const DEFAULT_SOCKET: &str = "/tmp/spire-server/private/api.sock";
const DEFAULT_INTERVAL: u64 = 10;
const DEFAULT_UNREACHABLE_GRACE: Duration = Duration::from_secs(10 * 60);
const DEFAULT_MAX_PER_INTERVAL: u32 = 10;

/// The keys in the block, for `--help` and the plugin's README.
pub(crate) const KEYS: [ConfigKey; 9] = [
    ConfigKey {
        name: "enforcement.action",
        default: "observe",
        about: "what happens to agents that Keylime fails or no longer knows: observe (they are only watched; also written off), evict or ban; without the block nothing is watched",
    },
    ConfigKey {
        name: "enforcement.spire_socket_path",
        default: DEFAULT_SOCKET,
        about: "socket of the SPIRE server's own API",
    },
    ConfigKey { name: "enforcement.interval", default: "10s", about: "time between two polls, at least 1s" },
    ConfigKey {
        name: "enforcement.grace",
        default: "0s",
        about: "how long Keylime must go on failing an agent, poll by poll, before it is acted on",
    },
    ConfigKey {
        name: "enforcement.unreachable_grace",
        default: "10m",
        about: "the same for an agent that Keylime's verifier does not hear of (TIMEOUT) or does not reach (FAIL, state 7)",
    },
    ConfigKey {
        name: "enforcement.max_per_interval",
        default: "10",
        about: "the most agents that are acted on at one poll",
    },
    ConfigKey {
        name: "enforcement.max_unhealthy",
        default: "50%",
        about: "when Keylime fails a larger share of the agents than this, nobody is acted on: a human has to decide",
    },
    ConfigKey {
        name: "enforcement.report_address",
        default: "none",
        about: "address and port of the report for the operator, such as 0.0.0.0:9797",
    },
    ConfigKey {
        name: "enforcement.report_client_key_sha256",
        default: "none; required with report_address",
        about: "whom alone the report answers: SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the client's certificate, in hexadecimal",
    },
];

/// The settings of enforcement, complete and valid.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) action: Mode,
    pub(crate) socket: PathBuf,
    pub(crate) interval: Duration,
    pub(crate) grace: Duration,
    pub(crate) unreachable_grace: Duration,
    pub(crate) max_per_interval: usize,
    pub(crate) max_unhealthy: Share,
    pub(crate) report_address: Option<SocketAddr>,
    pub(crate) report_client: Option<KeyHash>,
}

/// A share in percent, from 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u8);

impl Settings {
    /// Takes the block out of the configuration; [`None`] without one. Problems are noted.
    pub(crate) fn take(fields: &mut Fields) -> Option<Self> {
        let mut block = fields.block(BLOCK)?;
        let report_address = report_address(&mut block);
        let settings = Self {
            action: block.take("action").unwrap_or_default(),
            socket: socket(&mut block),
            interval: interval(&mut block),
            grace: block.take("grace").map_or(Duration::ZERO, hcl::Duration::get),
            unreachable_grace: block
                .take("unreachable_grace")
                .map_or(DEFAULT_UNREACHABLE_GRACE, hcl::Duration::get),
            max_per_interval: max_per_interval(&mut block),
            max_unhealthy: block.take("max_unhealthy").unwrap_or(Share(50)),
            report_address,
            report_client: report_client(&mut block, report_address.is_some()),
        };
        fields.absorb(block);
        Some(settings)
    }
}

impl Share {
    pub(crate) const fn percent(self) -> u8 {
        self.0
    }

    /// True where `part` is a larger share of `whole` than this.
    pub(crate) fn is_exceeded_by(self, part: usize, whole: usize) -> bool {
        part.saturating_mul(100) > whole.saturating_mul(usize::from(self.0))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let percent =
            digits.and_then(|digits| digits.parse().ok()).filter(|percent| (1..=100).contains(percent));
        percent.map(Self).ok_or_else(|| de::Error::custom("expected a percentage from 1% to 100%"))
    }
}

/// The path of SPIRE's socket, which need not be there yet: SPIRE makes it after its plugins have
/// started.
fn socket(block: &mut Fields) -> PathBuf {
    let path: String = block.take(SOCKET).filter(|path: &String| !path.is_empty()).unwrap_or_default();
    if path.is_empty() {
        return DEFAULT_SOCKET.into();
    }
    if !path.starts_with('/') || endpoint(Path::new(&path)).is_none() {
        block.problem(
            SOCKET,
            "expected an absolute path, without blanks and other characters that no URI has",
        );
    }
    path.into()
}

fn interval(block: &mut Fields) -> Duration {
    let interval = block.take(INTERVAL).map_or(Duration::from_secs(DEFAULT_INTERVAL), hcl::Duration::get);
    if interval < Duration::from_secs(1) {
        block.problem(INTERVAL, "expected at least 1s");
    }
    interval
}

fn max_per_interval(block: &mut Fields) -> usize {
    let number: u32 = block.take(MAX_PER_INTERVAL).unwrap_or(DEFAULT_MAX_PER_INTERVAL);
    if number == 0 {
        block.problem(MAX_PER_INTERVAL, "expected at least 1; action = \"observe\" acts on nobody");
    }
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn report_address(block: &mut Fields) -> Option<SocketAddr> {
    let text: String = block.take(REPORT_ADDRESS).filter(|text: &String| !text.is_empty())?;
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        block.problem(
            REPORT_ADDRESS,
            "expected an IP address with a port from 1 to 65535, such as 0.0.0.0:9797",
        );
    }
    address
}

fn report_client(block: &mut Fields, reported: bool) -> Option<KeyHash> {
    // Without one nobody could be let in: the address alone asks for a report that is never given.
    let text = block.take(REPORT_CLIENT).or_else(|| reported.then(String::new))?;
    text.parse().map_err(|error: InvalidKeyHash| block.problem(REPORT_CLIENT, error)).ok()
}

#[cfg(test)]
mod tests;
