//! The block `enforcement` of the plugin's configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hcl::Fields;
use report::Mode;
use serde::de::{self, Deserialize, Deserializer};
use spire_plugin::ConfigKey;

use super::spire::endpoint;

const BLOCK: &str = "enforcement";
const SOCKET: &str = "spire_socket_path";
const INTERVAL: &str = "interval";
const MAX_PER_INTERVAL: &str = "max_per_interval";
const REPORT_ADDRESS: &str = "report_address";

const DEFAULT_SOCKET: &str = "/tmp/spire-server/private/api.sock";
const DEFAULT_INTERVAL: u64 = 10;
const DEFAULT_UNREACHABLE_GRACE: Duration = Duration::from_secs(10 * 60);
const DEFAULT_MAX_PER_INTERVAL: u32 = 10;

/// The keys in the block, for `--help` and the plugin's README.
pub(crate) const KEYS: [ConfigKey; 8] = [
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
        about: "address and port of the report for the operator, such as 0.0.0.0:9797; only holders of keylime_tls_cert_file are answered",
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
}

/// A share in percent, from 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u8);

impl Settings {
    /// Takes the block out of the configuration; [`None`] without one. Problems are noted.
    pub(crate) fn take(fields: &mut Fields) -> Option<Self> {
        let mut block = fields.block(BLOCK)?;
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
            report_address: report_address(&mut block),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Settings>, Vec<String>) {
        let mut fields = Fields::parse(text).unwrap();
        let settings = Settings::take(&mut fields);
        (settings, fields.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_the_block_there_is_no_enforcement_and_an_empty_one_only_watches() {
        assert!(read("").0.is_none());
        let (settings, problems) = read("enforcement {}");
        let settings = settings.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((settings.action, settings.max_per_interval), (Mode::Observe, 10));
        assert_eq!((settings.interval, settings.grace), (Duration::from_secs(10), Duration::ZERO));
        assert_eq!(settings.unreachable_grace, Duration::from_secs(600));
        assert_eq!(settings.socket, PathBuf::from("/tmp/spire-server/private/api.sock"));
        assert_eq!((settings.max_unhealthy, settings.report_address), (Share(50), None));
    }

    #[test]
    fn every_key_is_read_from_hcl_and_json() {
        for text in [
            r#"enforcement { action = "ban" spire_socket_path = "/s" interval = "1s" grace = "2m" unreachable_grace = "3m" max_per_interval = 1
               max_unhealthy = "100%" report_address = "[::]:9797" }"#,
            r#"{"enforcement": {"action": "ban", "spire_socket_path": "/s", "interval": "1s", "grace": "2m", "unreachable_grace": "3m",
               "max_per_interval": 1, "max_unhealthy": "100%", "report_address": "[::]:9797"}}"#,
        ] {
            let (settings, problems) = read(text);
            let settings = settings.unwrap();
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!((settings.action, settings.max_per_interval), (Mode::Ban, 1));
            assert_eq!(
                (settings.interval, settings.grace),
                (Duration::from_secs(1), Duration::from_secs(120))
            );
            assert_eq!(settings.unreachable_grace, Duration::from_secs(180));
            assert_eq!((settings.socket, settings.max_unhealthy), (PathBuf::from("/s"), Share(100)));
            assert_eq!(settings.report_address, "[::]:9797".parse().ok());
        }
    }

    #[test]
    fn observe_may_be_written_off() {
        for word in ["observe", "off"] {
            let (settings, problems) = read(&format!("enforcement {{ action = {word:?} }}"));
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(settings.unwrap().action, Mode::Observe);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_key() {
        let (_, problems) = read(
            r#"enforcement { action = "delete" spire_socket_path = "s" interval = "10ms" grace = "-1s"
               max_per_interval = 0 max_unhealthy = "150%" report_address = "localhost" actoin = "off" }"#,
        );
        let keys = [
            "enforcement.action",
            "enforcement.spire_socket_path",
            "enforcement.interval",
            "enforcement.grace",
            "enforcement.max_per_interval",
            "enforcement.max_unhealthy",
            "enforcement.report_address",
            "enforcement.actoin",
        ];
        assert_eq!(problems.len(), keys.len(), "{problems:#?}");
        for (problem, key) in problems.iter().zip(keys) {
            assert!(problem.starts_with(key), "{key}: {problem}");
        }
        for share in ["0%", "101%", "50", "%", "+5%", "5.5%", "a%"] {
            let (_, problems) = read(&format!("enforcement {{ max_unhealthy = {share:?} }}"));
            assert_eq!(problems.len(), 1, "{share}");
        }
        for address in ["0.0.0.0", "0.0.0.0:0", ":9797", "host:9797"] {
            let (_, problems) = read(&format!("enforcement {{ report_address = {address:?} }}"));
            assert_eq!(problems.len(), 1, "{address}");
        }
    }

    #[test]
    fn a_share_is_exceeded_beyond_it_and_not_at_it() {
        let half = Share(50);
        assert!(!half.is_exceeded_by(1, 2) && half.is_exceeded_by(2, 3) && half.is_exceeded_by(1, 1));
        assert!(!half.is_exceeded_by(0, 0) && !Share(100).is_exceeded_by(7, 7));
        assert!(Share(1).is_exceeded_by(usize::MAX, 1));
    }

    #[test]
    fn the_keys_are_those_that_are_read() {
        let text: String = KEYS
            .iter()
            .map(|key| format!("{} = {{}}\n", key.name.trim_start_matches("enforcement.")))
            .collect();
        let (_, problems) = read(&format!("enforcement {{\n{text}}}"));
        assert!(!problems.iter().any(|problem| problem.contains("unknown key")), "{problems:?}");
    }
}
