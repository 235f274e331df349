//! The binding of an agent to its node of Kubernetes: the token of the SPIRE agent's own pod, as a
//! second factor beside the quote. Nothing of it where the configuration has no block for it.

mod pairs;
mod settings;

use evidence::binding::ProvenNode;
use evidence::message::Payload;
use evidence::{BindingRefusal, Refusal, ServiceAccountToken, selector};
use kubernetes::Apiserver;

pub(crate) use pairs::{Gone, Pairs};
pub(crate) use settings::{KEYS, take};
use settings::{Mode, Settings};

use crate::config::Config;
use crate::failure::Failure;

/// The binding that attestations need.
pub(crate) struct Binding {
    settings: Settings,
    apiserver: Apiserver,
}

/// The token of a payload, to be proven. [`None`] where there is none and it is not required.
pub(crate) fn token<'a>(
    config: &Config,
    payload: &'a Payload,
) -> Result<Option<&'a ServiceAccountToken>, Refusal> {
    let mode = config.binding.as_ref().map(|binding| binding.settings.mode);
    match (mode, &payload.service_account_token) {
        (None, _) | (Some(Mode::Prefer), None) => Ok(None),
        (Some(Mode::Require), None) => Err(BindingRefusal::NoToken.into()),
        (Some(Mode::Require | Mode::Prefer), Some(token)) => Ok(Some(token)),
    }
}

/// The node that a token proves.
pub(crate) async fn prove(
    config: &Config,
    token: Option<&ServiceAccountToken>,
) -> Result<Option<ProvenNode>, Failure> {
    match (&config.binding, token) {
        (Some(Binding { settings, apiserver }), Some(token)) => {
            Ok(Some(apiserver.prove(token, &settings.rules).await?))
        }
        _ => Ok(None),
    }
}

/// The selectors of the proven node. An agent that is let in without one is a case for the log.
pub(crate) fn selectors(config: &Config, payload: &Payload, node: Option<&ProvenNode>) -> Vec<String> {
    match (&config.binding, node) {
        (Some(binding), Some(node)) => {
            selector::node_selectors(node, &binding.settings.allowed_node_label_keys)
        }
        (Some(_), None) => {
            let agent_id = payload.agent_id.as_str();
            tracing::warn!(
                agent_id,
                "an agent without a service account token is let in, because binding is prefer"
            );
            Vec::new()
        }
        (None, _) => Vec::new(),
    }
}
