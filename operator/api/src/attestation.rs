//! `spec.attestation`: what a node must show, and what it gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use crate::schema::{self, Rule};

/// What a node must show to be attested, and the identity it then gets. The fields are the server
/// plugin's settings of the same names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Attestation {
    /// Whether a node may attest again whenever its SPIRE agent asks. With false a node attests
    /// once, until its agent is evicted from SPIRE (trust on first use); an agent that loses its
    /// data, as all do that keep it in memory, is then shut out until it is evicted.
    pub can_reattest: bool,

    /// How long ago Keylime's verifier may last have found the node good. Written like 90s, 5m or
    /// 1h30m; 0 turns the check off. A node whose last success is older is refused, also when the
    /// verifier still calls it good.
    pub max_attestation_age: Duration,

    /// Path of the agents' SPIFFE IDs below spiffe://TRUST-DOMAIN/spire/agent. It may have
    /// .PluginName and .TrustDomain, and must have .AgentID, each in double braces as in the
    /// default.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^/([A-Za-z0-9._/-]|\{\{ *\.[A-Za-z]+ *\}\})+$")
    )]
    #[schemars(extend("x-kubernetes-validations" = [NAMES_THE_AGENT]))]
    pub agent_path_template: String,

    /// Keys of the agents' meta_data at Keylime that become selectors, as
    /// keylime:metadata:KEY:VALUE. Left out, none do. Whoever enrols nodes at Keylime writes this
    /// data: allow only keys whose values you would let them choose.
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_.-]+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_metadata_keys: Vec<String>,

    /// Whether each attestation has to prove the Node, by the token of the SPIRE agent's own pod,
    /// beside the quote of its TPM. Left out, it is Prefer while the agents' pods get their tokens,
    /// and Require from then on; with mode ConfigOnly, and where SPIRE's server has no right to
    /// have tokens reviewed, Off. The condition BindingRequired tells which it is. In YAML "Off"
    /// needs its quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::binding")]
    pub binding: Option<Binding>,

    /// Keys of the Nodes' labels that become selectors, as keylime:node_label:KEY:VALUE, for agents
    /// that proved their Node. Left out, none do. A kubelet writes the labels of its own Node:
    /// allow only keys that it cannot write, such as those below node-restriction.kubernetes.io/.
    #[schemars(schema_with = "schema::label_keys")]
    pub allowed_node_label_keys: Vec<String>,

    /// Longest time for a node's answer to the challenge, at least 1s; a TPM may need several
    /// seconds to quote. Written like 30s or 1m.
    #[schemars(extend("x-kubernetes-validations" = [CHALLENGE_TIMEOUT]))]
    pub challenge_timeout: Duration,
}

/// Whether an attestation has to prove the Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// No agent is accepted without a token.
    Require,
    /// An agent that sends a token has to prove its Node by it; one without is accepted and logged.
    Prefer,
    /// No token is sent or reviewed.
    Off,
}

const NAMES_THE_AGENT: Rule = Rule {
    rule: "self.matches('[{]{2} *[.]AgentID *[}]{2}')",
    message: "agentPathTemplate must have {{ .AgentID }}: without it all nodes would share one SPIFFE ID",
};

const CHALLENGE_TIMEOUT: Rule =
    Rule { rule: "duration(self) >= duration('1s')", message: "challengeTimeout must be at least 1s" };

impl Default for Attestation {
    fn default() -> Self {
        Self {
            can_reattest: true,
            max_attestation_age: Duration::from_secs(5 * 60),
            agent_path_template: "/{{ .PluginName }}/{{ .AgentID }}".to_owned(),
            allowed_metadata_keys: Vec::new(),
            binding: None,
            allowed_node_label_keys: Vec::new(),
            challenge_timeout: Duration::from_secs(30),
        }
    }
}
