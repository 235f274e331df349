//! The values that the schema allows and the plugins would refuse, read with the plugins' own
//! types.

use evidence::{AgentPathTemplate, MetadataKey};
use keylime::Endpoint;
use keylime_attestor_api::conditions::configuration_applied::SPEC_INVALID;
use keylime_attestor_api::{AgentAddress, AgentWorkload, KeylimeAgent, KeylimeAttestorSpec};

use crate::model::problem::Problem;

/// The problems of the resource by itself.
pub(crate) fn problems(spec: &KeylimeAttestorSpec) -> Vec<Problem> {
    let keylime = &spec.keylime;
    let mut problems = Vec::new();
    let mut check = |field: &str, result: Result<(), String>| {
        if let Err(error) = result {
            problems.push(Problem::new(SPEC_INVALID, format!("spec.{field}: {error}")));
        }
    };
    let endpoint = |host: &str, port| Endpoint::new(host, port).map(drop).map_err(|error| error.to_string());
    for verifier in keylime.verifiers.iter() {
        check("keylime.verifiers", endpoint(&verifier.host, verifier.port));
    }
    if let Some(host) = &keylime.registrar.host {
        check("keylime.registrar", endpoint(host, keylime.registrar.port));
    }
    if let Some(name) = &keylime.tls.server_name {
        check("keylime.tls.serverName", endpoint(name, 1));
    }
    let agent = |agent: &KeylimeAgent| match agent.address() {
        AgentAddress::Port { host, port, tls: _ } => endpoint(host, port),
        AgentAddress::Socket(_) => Ok(()),
    };
    check("keylime.agent", agent(&keylime.agent));
    for AgentWorkload { workload, keylime_agent } in &spec.spire.agents {
        let own = keylime_agent.as_ref().map_or(Ok(()), agent);
        check(&format!("spire.agents ({}): keylimeAgent", workload.name), own);
    }
    let template = AgentPathTemplate::parse(&spec.attestation.agent_path_template);
    check("attestation.agentPathTemplate", template.map(drop).map_err(|error| error.to_string()));
    for key in &spec.attestation.allowed_metadata_keys {
        let result = key.parse::<MetadataKey>().map(drop).map_err(|error| error.to_string());
        check("attestation.allowedMetadataKeys", result);
    }
    problems
}
