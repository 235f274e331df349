//! SPIRE's agents, with their nodes.

use evidence::AgentId;
use report::Agent;

use crate::config::Config;
use crate::enforcement::SpireAgent;

/// The node's agent at Keylime: by the selector of its attestation, otherwise by its SPIFFE ID
/// where that is the one of the template.
pub(super) fn agent_id(config: &Config, agent: &SpireAgent) -> Option<AgentId> {
    let mut ids = agent.selectors(config.plugin_name(), "agent_id");
    match (ids.next(), ids.next()) {
        (Some(id), None) => AgentId::new(id).ok(),
        (Some(_), Some(_)) => None,
        (None, _) => {
            let id = agent.last_segment()?;
            config.spiffe_id(&id).is_ok_and(|spiffe_id| spiffe_id == agent.spiffe_id).then_some(id)
        }
    }
}

pub(super) fn told(config: &Config, agent: SpireAgent) -> Agent {
    const PSAT: &str = "k8s_psat";
    let ours = agent.attestation_type == config.plugin_name();
    let of_node = |key| agent.selectors(PSAT, key).next().map(str::to_owned);
    Agent {
        agent_id: if ours { agent_id(config, &agent) } else { None },
        node_name: of_node("agent_node_name"),
        node_uid: of_node("agent_node_uid"),
        expires: agent.expires,
        banned: agent.banned,
        spiffe_id: agent.spiffe_id,
        attestation_type: agent.attestation_type,
    }
}
