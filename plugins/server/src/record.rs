//! What is told of an attestation when it has ended: one line of the log, and SPIRE's metrics.

use std::time::{Duration, Instant};

use evidence::AgentId;
use spire_plugin::{AgentAttributes, ServerAttestation};

use crate::failure::Failure;

const COUNTER: &[&str] = &["keylime_attestor", "attestation"];
const DURATION: &[&str] = &["keylime_attestor", "attestation", "duration_ms"];

/// A step whose time is measured.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Registrar and verifier, before the challenge.
    LookUp,
    /// From the challenge to the response: network, Keylime agent and TPM.
    Challenge,
    /// Our own check of the quote.
    Verify,
    /// The verifier, after the response.
    Confirm,
}

/// The course of one attestation.
pub(crate) struct Record {
    /// The node, once it is known.
    pub(crate) agent_id: Option<AgentId>,
    started: Instant,
    look_up: Option<Duration>,
    challenge: Option<Duration>,
    verify: Option<Duration>,
    confirm: Option<Duration>,
}

impl Record {
    pub(crate) fn start() -> Self {
        Self {
            agent_id: None,
            started: Instant::now(),
            look_up: None,
            challenge: None,
            verify: None,
            confirm: None,
        }
    }

    /// Runs a step and notes how long it took, also when it fails.
    pub(crate) async fn time<T>(&mut self, step: Step, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        let noted = match step {
            Step::LookUp => &mut self.look_up,
            Step::Challenge => &mut self.challenge,
            Step::Verify => &mut self.verify,
            Step::Confirm => &mut self.confirm,
        };
        *noted = Some(started.elapsed());
        done
    }

    /// Writes the log's line and hands the metrics to SPIRE.
    pub(crate) fn report(&self, outcome: &Result<AgentAttributes, Failure>, attestation: &ServerAttestation) {
        let (verdict, reason) = match outcome {
            Ok(_) => ("accepted", "accepted"),
            Err(failure) if failure.is_verdict() => ("refused", failure.reason()),
            Err(failure) => ("failed", failure.reason()),
        };
        let total = self.started.elapsed();
        self.log(outcome, verdict, reason, total, attestation);

        let labels = [("verdict", verdict), ("reason", reason)];
        attestation.host().incr_counter(COUNTER, &labels);
        attestation.host().add_sample(DURATION, total.as_secs_f32() * 1000.0, &[("verdict", verdict)]);
    }

    fn log(
        &self,
        outcome: &Result<AgentAttributes, Failure>,
        verdict: &str,
        reason: &str,
        total: Duration,
        attestation: &ServerAttestation,
    ) {
        let agent_id = self.agent_id.as_ref().map(AgentId::as_str);
        let client_ip = attestation.client_ip().map(tracing::field::display);
        let (look_up_ms, challenge_ms) = (milliseconds(self.look_up), milliseconds(self.challenge));
        let (verify_ms, confirm_ms) = (milliseconds(self.verify), milliseconds(self.confirm));
        let total_ms = milliseconds(Some(total));
        match outcome {
            Ok(attributes) => tracing::info!(
                agent_id,
                verdict,
                reason,
                spiffe_id = attributes.spiffe_id,
                client_ip,
                look_up_ms,
                challenge_ms,
                verify_ms,
                confirm_ms,
                total_ms,
                "node attestation ended"
            ),
            Err(failure) => tracing::warn!(
                agent_id, verdict, reason, error = %failure, client_ip,
                look_up_ms, challenge_ms, verify_ms, confirm_ms, total_ms,
                "node attestation ended"
            ),
        }
    }
}

/// Rounded to microseconds, so that the log stays readable.
fn milliseconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}
