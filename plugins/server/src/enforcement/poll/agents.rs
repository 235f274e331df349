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
    let ours = agent.attestation_type == config.plugin_name();
    let (kind, name, uid) = match ours {
        true => (config.plugin_name(), "node_name", "node_uid"),
        false => ("k8s_psat", "agent_node_name", "agent_node_uid"),
    };
    let key = |key| agent.selectors(config.plugin_name(), key).next().filter(|_| ours).map(str::to_owned);
    let of_node = |key| agent.selectors(kind, key).next().map(str::to_owned);
    Agent {
        agent_id: if ours { agent_id(config, &agent) } else { None },
        node_name: of_node(name),
        node_uid: of_node(uid),
        ak_sha256: key("ak_sha256"),
        ek_sha256: key("ek_sha256"),
        expires: agent.expires,
        banned: agent.banned,
        spiffe_id: agent.spiffe_id,
        attestation_type: agent.attestation_type,
    }
}
