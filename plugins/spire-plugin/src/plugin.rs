//! The traits that a plugin implements.

use std::sync::Arc;

use tonic::Status;

use crate::{AgentAttestation, Host, ServerAttestation, TrustDomain};

/// The reader of a plugin's configuration (`plugin_data` in SPIRE's configuration).
pub trait Configure: Send + Sync + 'static {
    /// A configuration that is complete and valid. An attestation works with the one that was in
    /// force when it began, to its end, whatever is configured meanwhile.
    type Config: Send + Sync + 'static;

    /// Reads `text`, as SPIRE hands it over: HCL 1 or JSON. The one function behind SPIRE's
    /// Configure and Validate, so it changes nothing outside of the value it returns.
    ///
    /// # Errors
    /// Every problem there is, one line each.
    fn configure(
        &self,
        trust_domain: &TrustDomain,
        text: &str,
    ) -> impl Future<Output = Result<Self::Config, Vec<String>>> + Send;

    /// Told that a configuration is in force from now on: after each Configure that succeeds, never
    /// after Validate. For what a plugin does by itself, beside attestations. Runs inside the
    /// runtime and must not wait.
    fn in_force(&self, _config: &Arc<Self::Config>, _host: &Host) {}
}

/// A node attestor of SPIRE's server.
pub trait ServerNodeAttestor: Configure {
    /// Attests one node. Dropped when SPIRE gives the attestation up.
    ///
    /// # Errors
    /// The status goes to the SPIRE agent, code and message. `PermissionDenied` ends the agent; it
    /// retries on all others.
    fn attest(
        &self,
        config: Arc<Self::Config>,
        attestation: &mut ServerAttestation,
    ) -> impl Future<Output = Result<AgentAttributes, Status>> + Send;
}

/// A node attestor of SPIRE's agent.
pub trait AgentNodeAttestor: Configure {
    /// Gives SPIRE's server what it needs to attest this node. Dropped when SPIRE gives the
    /// attestation up.
    ///
    /// # Errors
    /// The status goes to the SPIRE agent's log.
    fn aid_attestation(
        &self,
        config: Arc<Self::Config>,
        attestation: &mut AgentAttestation,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

/// The attested node: its SPIFFE ID, its selectors, and how it renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAttributes {
    /// The agent's SPIFFE ID, below `spiffe://<trust domain>/spire/agent/<name of the plugin in
    /// SPIRE's configuration>/`.
    pub spiffe_id: String,
    /// Selectors without the type, which SPIRE puts before them. They replace those of an earlier
    /// attestation.
    pub selector_values: Vec<String>,
    /// True where the agent renews by attesting again. When false, the plugin itself must refuse a
    /// second attestation: [`Host::agent_is_known`](crate::Host::agent_is_known).
    pub can_reattest: bool,
}
