//! The record of an attestation that has ended: one line of the log, and SPIRE's metrics.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use evidence::AgentId;
use evidence::binding::ProvenNode;
use spire_plugin::{AgentAttributes, Host, ServerAttestation};
use tracing::field::display;

use crate::failure::Failure;

const COUNTER: &[&str] = &["keylime_attestor", "attestation"];
const ALARMS: &[&str] = &["keylime_attestor", "alarm"];
const DURATION: &[&str] = &["keylime_attestor", "attestation", "duration_ms"];

/// A step of an attestation whose time is measured.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Registrar and verifier, and beside them the apiserver, before the challenge.
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
    /// Its node of Kubernetes, once it is proven.
    pub(crate) node: Option<ProvenNode>,
    host: Host,
    client_ip: Option<IpAddr>,
    started: Instant,
    look_up: Option<Duration>,
    challenge: Option<Duration>,
    verify: Option<Duration>,
    confirm: Option<Duration>,
    told: bool,
}

impl Record {
    pub(crate) fn start(attestation: &ServerAttestation) -> Self {
        Self {
            agent_id: None,
            node: None,
            host: attestation.host().clone(),
            client_ip: attestation.client_ip(),
            started: Instant::now(),
            look_up: None,
            challenge: None,
            verify: None,
            confirm: None,
            told: false,
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

    /// Ends the record with the attestation's outcome.
    pub(crate) fn end(mut self, outcome: &Result<AgentAttributes, Failure>) {
        match outcome {
            Ok(attributes) => self.tell("accepted", "accepted", Some(&attributes.spiffe_id), None),
            Err(failure) => {
                let result = if failure.is_refusal() { "refused" } else { "failed" };
                self.tell(result, failure.reason(), None, Some(failure));
            }
        }
    }

    /// Writes the log's line and hands the metrics to SPIRE, once.
    fn tell(&mut self, result: &str, reason: &str, spiffe_id: Option<&str>, failure: Option<&Failure>) {
        self.told = true;
        let total = self.started.elapsed();
        let error = failure.map(display);
        let (agent_id, client_ip) = (self.agent_id.as_ref().map(display), self.client_ip.map(display));
        let node_name = self.node.as_ref().map(|node| display(&node.name));
        let node_uid = self.node.as_ref().map(|node| display(&node.uid));
        let (look_up_ms, challenge_ms) = (milliseconds(self.look_up), milliseconds(self.challenge));
        let (verify_ms, confirm_ms) = (milliseconds(self.verify), milliseconds(self.confirm));
        let total_ms = milliseconds(Some(total));
        // The level of an event is fixed where it is written; all have the same fields.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    agent_id,
                    result,
                    reason,
                    spiffe_id,
                    error,
                    client_ip,
                    node_name,
                    node_uid,
                    look_up_ms,
                    challenge_ms,
                    verify_ms,
                    confirm_ms,
                    total_ms,
                    "node attestation ended"
                )
            };
        }
        match failure {
            _ if result == "accepted" => line!(info),
            Some(failure) if failure.is_alarm() => {
                line!(error);
                self.host.incr_counter(ALARMS, &[("reason", reason)]);
            }
            _ => line!(warn),
        }

        self.host.incr_counter(COUNTER, &[("result", result), ("reason", reason)]);
        self.host.add_sample(DURATION, total.as_secs_f32() * 1000.0, &[("result", result)]);
    }
}

impl Drop for Record {
    /// Records an attestation that SPIRE gives up, such as when its agent goes away.
    fn drop(&mut self) {
        if !self.told {
            self.tell("failed", "given_up", None, None);
        }
    }
}

/// Milliseconds, rounded to microseconds, so that the log stays readable.
fn milliseconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}
