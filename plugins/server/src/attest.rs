//! The attestation of one node: look up, challenge, verify, confirm. Any doubt refuses.

use std::sync::Arc;
use std::time::Instant;

use evidence::binding::ProvenNode;
use evidence::message::{Challenge, Payload, Response};
use evidence::{AgentId, HashAlg, InvalidQuote, Mode, Nonce, Purpose, Quote, Refusal, Registration};
use evidence::{judge_state, judge_state_again, selector};
use keylime::AgentState;
use ring::rand::SystemRandom;
use spire_plugin::{
    AgentAttributes, Configure, Host, ServerAttestation, ServerNodeAttestor, Status, TrustDomain,
};

use crate::binding::{self, Gone, Pairs};
use crate::claims::Claims;
use crate::clock::unix_time;
use crate::config::{self, Config};
use crate::confirm::confirm;
use crate::enforcement::Enforcement;
use crate::failure::Failure;
use crate::keys;
use crate::record::{Record, Step};

/// The node attestor. Holds the source of nonces and the work beside attestations; all else that an
/// attestation needs is in its [`Config`].
pub(crate) struct KeylimeAttestor {
    random: SystemRandom,
    claims: Claims,
    enforcement: Enforcement,
    pairs: Pairs,
}

/// A node that may be challenged, with its records.
struct Admitted {
    registration: Registration,
    state: AgentState,
    bank: HashAlg,
    /// [`None`] where no token is asked for, or none came that need not come.
    node: Option<ProvenNode>,
}

impl KeylimeAttestor {
    pub(crate) fn new() -> Self {
        let (random, claims) = (SystemRandom::new(), Claims::default());
        Self { random, claims, enforcement: Enforcement::new(), pairs: Pairs::default() }
    }

    async fn run(
        &self,
        config: &Config,
        attestation: &mut ServerAttestation,
        record: &mut Record,
    ) -> Result<AgentAttributes, Failure> {
        let sent = attestation.payload().await?;
        let payload = Payload::from_json(&sent).map_err(Refusal::from)?;
        record.agent_id = Some(payload.agent_id.clone());
        let spiffe_id = config.spiffe_id(&payload.agent_id)?;
        let admitted = self.admit(config, attestation, &payload, &spiffe_id, record).await;
        let Admitted { registration, state, bank, node } = admitted.map_err(Failure::before_proof)?;

        let purpose = Purpose { trust_domain: config.trust_domain(), payload: &sent };
        let nonce = Nonce::generate(&self.random, purpose).map_err(Refusal::from)?;
        let response =
            record.time(Step::Challenge, challenge(config, attestation, &nonce, state.node.mode)).await?;
        let verify = async { verify(&response, &registration, &nonce, bank) };
        record.time(Step::Verify, verify).await.map_err(Refusal::from)?;

        // Keylime after our own check, so that a made-up quote costs it nothing. The other nonce is
        // random as well, hence not the one in the quote.
        let other_nonce = Nonce::generate(&self.random, purpose).map_err(Refusal::from)?;
        let confirm = async {
            let confirm = confirm(config, &state, &response, [&nonce, &other_nonce], bank);
            let before = self.before(config, &spiffe_id, &registration, node.as_ref());
            let (gone, state) = tokio::join!(before, confirm);
            Ok::<_, Failure>((gone?, state?))
        };
        let (gone, state) = record.time(Step::Confirm, confirm).await?;
        let state = state.node;
        judge_state_again(&state, unix_time(), config.max_attestation_age)?;
        if !config.can_reattest {
            self.accept_once(attestation, &payload.agent_id, &spiffe_id).await?;
        }
        self.pairs.bind(&payload.agent_id, node.as_ref(), gone)?;

        let mut selector_values =
            selector::selectors(&registration, &state, bank, &config.allowed_metadata_keys);
        selector_values.extend(binding::selectors(config, &payload, node.as_ref()));
        Ok(AgentAttributes { spiffe_id, selector_values, can_reattest: config.can_reattest })
    }

    /// Has the operator know of an attempt against a proven pair.
    fn tell(&self, config: &Config, record: &Record, failure: &Failure) {
        let Some(agent_id) = &record.agent_id else { return };
        let spiffe_id = config.spiffe_id(agent_id).unwrap_or_default();
        let node = record.node.as_ref().map(|node| node.uid.to_string());
        self.enforcement.refused(agent_id, &spiffe_id, node, failure.to_string());
    }

    /// The checks before the challenge.
    async fn admit(
        &self,
        config: &Config,
        attestation: &ServerAttestation,
        payload: &Payload,
        spiffe_id: &str,
        record: &mut Record,
    ) -> Result<Admitted, Failure> {
        if !config.can_reattest {
            self.refuse_known(attestation, &payload.agent_id, spiffe_id).await?;
        }
        let token = binding::token(config, payload)?;
        let look_up = async {
            // Side by side, and both to their end, so that their connections can be used again.
            let keylime = config.servers.node(&payload.agent_id);
            let (keylime, node) = tokio::join!(keylime, binding::prove(config, token));
            Ok::<_, Failure>((keylime?, node?))
        };
        let ((registration, state), node) = record.time(Step::LookUp, look_up).await?;
        record.node = node.clone();
        config.warn_of_interval(&state.node);
        judge_state(&state.node, unix_time(), config.max_attestation_age)?;
        config.client_address.check(attestation.client_ip(), state.contact.as_ref())?;
        let bank = state.node.bank(payload.hash_alg)?;
        Ok(Admitted { registration, state, bank, node })
    }

    /// Compares the node with its attestations of before: its keys, and the node that it proved.
    async fn before(
        &self,
        config: &Config,
        spiffe_id: &str,
        registration: &Registration,
        node: Option<&ProvenNode>,
    ) -> Result<Gone, Failure> {
        let known = match config.spire() {
            Some(spire) => spire.get(spiffe_id).await?,
            None => None,
        };
        let (agent_id, known) = (&registration.agent_id, known.as_ref());
        let pair = self.pairs.compare(config, agent_id, node, known);
        let (keys, gone) = tokio::join!(keys::compare(config, known, registration), pair);
        keys.and(gone)
    }

    /// Trust on first use: with `can_reattest = false` a node attests once, until SPIRE evicts it.
    async fn refuse_known(
        &self,
        attestation: &ServerAttestation,
        agent_id: &AgentId,
        spiffe_id: &str,
    ) -> Result<(), Failure> {
        if !attestation.host().agent_is_known(spiffe_id).await? {
            return Ok(());
        }
        self.claims.settle(agent_id);
        Err(Refusal::AlreadyAttested.into())
    }

    /// Trust on first use, once more: another may have attested under the id while this node made
    /// its quote, or be accepted right now.
    async fn accept_once(
        &self,
        attestation: &ServerAttestation,
        agent_id: &AgentId,
        spiffe_id: &str,
    ) -> Result<(), Failure> {
        // Claimed before SPIRE is asked: another attestation could be accepted between its answer
        // and a later claim.
        let claim = self.claims.claim(agent_id, Instant::now())?;
        self.refuse_known(attestation, agent_id, spiffe_id).await?;
        claim.keep();
        Ok(())
    }
}

impl Configure for KeylimeAttestor {
    type Config = Config;

    async fn configure(&self, trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
        config::read(trust_domain, text)
    }

    fn in_force(&self, config: &Arc<Config>, host: &Host) {
        self.enforcement.replace(config, host);
    }
}

impl ServerNodeAttestor for KeylimeAttestor {
    async fn attest(
        &self,
        config: Arc<Config>,
        attestation: &mut ServerAttestation,
    ) -> Result<AgentAttributes, Status> {
        let mut record = Record::start(attestation);
        let outcome = self.run(&config, attestation, &mut record).await;
        if let Err(failure) = &outcome
            && failure.is_against_a_pair()
        {
            self.tell(&config, &record, failure);
        }
        record.end(&outcome);
        outcome.map_err(Status::from)
    }
}

/// The node's quote, within `challenge_timeout`: a silent peer must not hold an attestation open
/// for ever.
async fn challenge(
    config: &Config,
    attestation: &mut ServerAttestation,
    nonce: &Nonce,
    mode: Mode,
) -> Result<Response, Failure> {
    let challenge = Challenge { nonce: nonce.clone() }.to_json();
    let timeout = config.challenge_timeout;
    let response = tokio::time::timeout(timeout, attestation.challenge(challenge))
        .await
        .map_err(|_elapsed| Refusal::ChallengeTimedOut { timeout, mode })??;
    Ok(Response::from_json(&response).map_err(Refusal::from)?)
}

/// Verifies the quote by the registered AK, and that the AK sits below the registered EK.
fn verify(
    response: &Response,
    registration: &Registration,
    nonce: &Nonce,
    bank: HashAlg,
) -> Result<(), InvalidQuote> {
    let verified = Quote::parse(&response.quote)?.verify(&registration.ak, nonce, bank)?;
    match &registration.ek {
        Some(ek) => verified.check_signer(&registration.ak, ek),
        None => Ok(()),
    }
}
