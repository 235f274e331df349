//! The answers of Keylime's servers, asked with the Secret of SPIRE's server: the verifiers about
//! all agents, the registrar about one that it can only deny in its own form.

use std::time::Duration;

use evidence::AgentId;
use keylime::{Error, Refused, States, Unreachable};
use keylime_attestor_api::conditions::{Reason, keylime_reachable as reason};

use super::KeylimeClient;

/// The longest that a poll waits for an answer about one agent; one about all of them may take
/// longer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// An id that no node has: Keylime's are UUIDs, host names or hashes.
const NOBODY: &str = "keylime-attestor-operator.asks-whether-you-are-there";

/// The result of asking Keylime's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Each server with its answer, for the metrics.
    pub(crate) answers: Vec<(&'static str, &'static str)>,
}

impl Reach {
    /// The result where nobody was asked.
    pub(crate) fn not_checked() -> Self {
        Self {
            reason: reason::NOT_CHECKED,
            message:
                "the Secret for Keylime cannot be used, so that nobody was asked; see ConfigurationApplied"
                    .to_owned(),
            answers: Vec::new(),
        }
    }
}

/// Asks the verifiers for all their agents, and the registrar for one, side by side.
pub(crate) async fn ask(keylime_client: &KeylimeClient) -> (States, Reach) {
    let Ok(nobody) = AgentId::new(NOBODY) else { return (States::default(), Reach::not_checked()) };
    let servers = &keylime_client.servers;
    let (states, registrar) = tokio::join!(servers.states(), servers.registration(&nobody));
    // A registrar that does not know the node has answered, over TLS that both sides accept.
    let registrar = registrar.err().filter(|error| !error.is_refusal());
    let reach = assess(keylime_client.verifiers, &states.failures, registrar.as_ref());
    (states, reach)
}

/// The result of all answers: the first failure decides, the message has all.
fn assess(verifiers: usize, failures: &[Error], registrar: Option<&Error>) -> Reach {
    let mut answers = vec![("verifier", "answered"); verifiers.saturating_sub(failures.len())];
    answers.extend(failures.iter().map(|error| ("verifier", error.reason())));
    answers.push(("registrar", registrar.map_or("answered", Error::reason)));
    let errors: Vec<&Error> = failures.iter().chain(registrar).collect();
    let Some(first) = errors.first() else {
        return Reach {
            reason: reason::REACHABLE,
            message: "verifier and registrar answer".to_owned(),
            answers,
        };
    };
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Reach { reason: reason_of(first), message: messages.join("; "), answers }
}

fn reason_of(error: &Error) -> Reason {
    match error {
        Error::Unreachable { cause, .. } => match cause {
            Unreachable::Dns(_)
            | Unreachable::Connect(_)
            | Unreachable::Agent(_)
            | Unreachable::Socket(_)
            | Unreachable::ConnectTimeout(_)
            | Unreachable::AnswerTimeout(_)
            | Unreachable::Closed { .. } => reason::UNREACHABLE,
            Unreachable::NotTls
            | Unreachable::UnknownCa
            | Unreachable::WrongName { .. }
            | Unreachable::AddressAsDnsName { .. }
            | Unreachable::NoName { .. }
            | Unreachable::Certificate(_)
            | Unreachable::NothingInCommon
            | Unreachable::Expired
            | Unreachable::NotYetValid
            | Unreachable::NotPinned
            | Unreachable::Tls(_) => reason::TLS_FAILED,
        },
        Error::Refused { cause: Refused::Alert(_) | Refused::Status(_), .. } => reason::TLS_FAILED,
        Error::Unanswered { .. }
        | Error::Malformed { .. }
        | Error::UnknownAgent { .. }
        | Error::ListedYetUnknown { .. }
        | Error::NotActivated { .. }
        | Error::KnownTwice { .. }
        | Error::UnusableAk { .. }
        | Error::NoAgentInfo { .. } => reason::UNEXPECTED_ANSWER,
    }
}

#[cfg(test)]
mod tests;
