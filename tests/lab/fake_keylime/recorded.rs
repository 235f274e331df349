//! The recorded answers of a real Keylime that the fakes speak.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

macro_rules! recorded {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = include_str!(concat!("../../testdata/keylime/", $file));)*
    };
}

recorded! {
    /// Verifier and registrar: their API versions.
    VERSION = "verifier-version.json";
    /// Verifier in push mode: no API versions.
    PUSH_VERSION = "verifier-push-version.json";
    /// Verifier: the agent is not known.
    UNKNOWN_AGENT = "verifier-agent-unknown.json";
    /// Verifier: no client certificate.
    VERIFIER_FORBIDDEN = "verifier-agent-no-client-cert.json";
    /// Verifier: the quote is good.
    VALID = "verifier-identity-valid.json";
    /// Verifier: the quote is not good.
    INVALID = "verifier-identity-wrong-nonce.json";
    /// Registrar: no client certificate.
    REGISTRAR_FORBIDDEN = "registrar-agent-no-client-cert.json";
    /// Agent: its API versions.
    AGENT_VERSION = "agent-version.json";
    /// Agent: a quote.
    QUOTE = "agent-identity-quote.json";
    /// Agent: an API version that it does not know.
    AGENT_WRONG_VERSION = "agent-wrong-api-version.json";
    /// Agent: a path that it does not know.
    AGENT_WRONG_PATH = "agent-unknown-path.json";
}

const REGISTRATION: &str = include_str!("../../testdata/keylime/registrar-agent.json");
const STATE: &str = include_str!("../../testdata/keylime/verifier-agent-pass.json");
const INFO: &str = include_str!("../../testdata/keylime/agent-info.json");

/// The EK of the recorded agent: a `TPM2B_PUBLIC`.
pub fn ek() -> Vec<u8> {
    let registration = registration();
    let ek = registration.pointer("/results/ek_tpm").and_then(Value::as_str);
    STANDARD.decode(ek.unwrap_or_default()).unwrap_or_default()
}

/// Registrar: an agent.
pub(super) fn registration() -> Value {
    parse(REGISTRATION)
}

/// Verifier: a passing agent.
pub(super) fn state() -> Value {
    parse(STATE)
}

/// Agent: who it is.
pub(super) fn info() -> Value {
    parse(INFO)
}

/// Agent: a quote.
pub(super) fn quote() -> Value {
    parse(QUOTE)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
