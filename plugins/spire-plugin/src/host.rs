//! The services that SPIRE offers to its plugins.

use tonic::Status;

/// SPIRE's host services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {}

impl Host {
    /// Whether SPIRE's server has an attested agent of this SPIFFE ID. Only during an attestation, and only on the server.
    ///
    /// # Errors
    /// `Unavailable` when SPIRE does not answer, `Internal` when it does not offer its AgentStore.
    pub async fn agent_is_known(&self, spiffe_id: &str) -> Result<bool, Status> {
        Err(Status::unimplemented(spiffe_id))
    }

    /// Adds 1 to a counter of SPIRE's metrics. Never waits and never fails: what cannot be delivered is lost.
    pub fn incr_counter(&self, key: &[&str], labels: &[(&str, &str)]) {
        let _ = (key, labels);
    }

    /// Adds a sample to SPIRE's metrics, like [`incr_counter`](Self::incr_counter). Durations are in milliseconds there.
    pub fn add_sample(&self, key: &[&str], value: f32, labels: &[(&str, &str)]) {
        let _ = (key, value, labels);
    }
}
