//! The verifier's word after the quote.

use evidence::message::Response;
use evidence::{HashAlg, Nonce, Refusal};
use keylime::{AgentState, Confirmation};

use crate::config::Config;
use crate::failure::Failure;

/// Asks the node's verifier, side by side, for its word on the quote and for the node's state of
/// now.
///
/// The verifier's word counts only where it depends on the nonce, so that it is also asked about a
/// nonce that is not in the quote. A yes to that is Keylime's fault, whatever its word on the right
/// one.
pub(crate) async fn confirm(
    config: &Config,
    known: &AgentState,
    response: &Response,
    [nonce, other_nonce]: [&Nonce; 2],
    bank: HashAlg,
) -> Result<AgentState, Failure> {
    let (servers, agent_id) = (&config.servers, &known.node.agent_id);
    let ask = |nonce| servers.confirm_identity(&known.verifier, agent_id, &response.quote, nonce, bank);
    let (confirmation, of_other, state) = tokio::join!(ask(nonce), ask(other_nonce), servers.state(agent_id));
    // First: the yes of a verifier that ignores the nonce means nothing.
    if of_other? == Confirmation::Valid {
        return Err(Refusal::VerifierIgnoresNonce.into());
    }
    match confirmation? {
        Confirmation::Valid => {}
        Confirmation::Invalid => return Err(Refusal::VerifierSaysInvalid.into()),
    }
    Ok(state?)
}
