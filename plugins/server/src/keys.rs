//! The keys of a node's TPM, compared with those of its earlier attestation, by the agents that
//! SPIRE's server holds.

use evidence::{Refusal, Registration};
use keylime_attestor_proto::api::types::Selector;

use crate::clock::unix_time;
use crate::config::Config;
use crate::enforcement::{Spire, SpireAgent};
use crate::failure::Failure;

/// Refuses a node whose registered AK or EK is another than before, until an administrator evicts
/// its agent, and a second agent with one TPM. Nothing is compared where the configuration does not
/// name SPIRE's socket. `known` is the agent as SPIRE holds it.
pub(crate) async fn compare(
    config: &Config,
    known: Option<&SpireAgent>,
    registration: &Registration,
) -> Result<(), Failure> {
    let Some(spire) = config.spire() else { return Ok(()) };
    same_as_before(config, known, registration)?;
    alone_with_its_ek(config, spire, registration).await
}

fn same_as_before(
    config: &Config,
    known: Option<&SpireAgent>,
    registration: &Registration,
) -> Result<(), Failure> {
    let Some(agent) = known else { return Ok(()) };
    let ak = registration.ak.sha256();
    let ek = registration.ek.as_ref().map(evidence::EndorsementKey::sha256);
    for (key, selector, now) in [("AK", "ak_sha256", Some(ak)), ("EK", "ek_sha256", ek)] {
        let mut before = agent.selectors(config.plugin_name(), selector);
        if before.any(|before| Some(before) != now.as_deref()) {
            return Err(Refusal::KeyChanged { key }.into());
        }
    }
    Ok(())
}

/// Refuses a second agent with the EK of a TPM. One whose SVID has expired does not count, such as
/// one from before its node was installed anew.
async fn alone_with_its_ek(
    config: &Config,
    spire: &Spire,
    registration: &Registration,
) -> Result<(), Failure> {
    let Some(ek) = &registration.ek else { return Ok(()) };
    let selector =
        Selector { r#type: config.plugin_name().to_owned(), value: format!("ek_sha256:{}", ek.sha256()) };
    let now = unix_time();
    let agents = spire.with_selector(config.plugin_name(), selector).await?;
    let of_another = |agent: &SpireAgent| {
        agent.selectors(config.plugin_name(), "agent_id").any(|id| id != registration.agent_id.as_str())
    };
    match agents.into_iter().find(|agent| agent.expires > now && of_another(agent)) {
        Some(other) => Err(Refusal::EkOfAnother { other: other.spiffe_id }.into()),
        None => Ok(()),
    }
}
