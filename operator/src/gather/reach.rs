//! Whether Keylime's servers answer: a request that they can only refuse in their own form, made with the Secret that SPIRE's server gets.

use std::time::Duration;

use evidence::AgentId;
use keylime::{Error, Refused, Role, Unreachable};
use keylime_attestor_api::conditions::{Reason, keylime_reachable as reason};

use super::credentials::Credentials;

/// The longest that a reconcile waits for both answers.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// No node has this id: Keylime's are UUIDs, host names or hashes.
const NOBODY: &str = "keylime-attestor-operator.asks-whether-you-are-there";

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// For the metrics: each server with what it gave.
    pub(crate) answers: Vec<(&'static str, &'static str)>,
}

impl Reach {
    /// Nobody was asked.
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

/// Asks verifier and registrar, side by side.
pub(crate) async fn reach(credentials: &Credentials) -> Reach {
    let Ok(nobody) = AgentId::new(NOBODY) else { return Reach::not_checked() };
    let servers = &credentials.servers;
    let (verifier, registrar) = tokio::join!(servers.state(&nobody), servers.registration(&nobody));
    judge([(Role::Verifier, verifier.err()), (Role::Registrar, registrar.err())])
}

/// A server that does not know the node has answered, over TLS that both sides accept.
fn judge(asked: [(Role, Option<Error>); 2]) -> Reach {
    let mut worst: Option<(Reason, String)> = None;
    let mut answers = Vec::new();
    for (role, error) in asked {
        let name = match role {
            Role::Verifier => "verifier",
            Role::Registrar => "registrar",
            Role::Agent => "agent",
        };
        let error = error.filter(|error| !error.is_verdict());
        answers.push((name, error.as_ref().map_or("answered", Error::reason)));
        if let Some(error) = error {
            let (reason, message) = (reason_of(&error), error.to_string());
            worst = Some(match worst {
                Some((first, text)) => (first, format!("{text}; {message}")),
                None => (reason, message),
            });
        }
    }
    let (reason, message) =
        worst.unwrap_or_else(|| (reason::REACHABLE, "verifier and registrar answer".to_owned()));
    Reach { reason, message, answers }
}

fn reason_of(error: &Error) -> Reason {
    match error {
        Error::Unreachable { cause, .. } => match cause {
            Unreachable::Dns(_)
            | Unreachable::Connect(_)
            | Unreachable::ConnectTimeout(_)
            | Unreachable::AnswerTimeout(_)
            | Unreachable::Closed { .. } => reason::UNREACHABLE,
            Unreachable::NotTls
            | Unreachable::UnknownCa
            | Unreachable::WrongName { .. }
            | Unreachable::Expired
            | Unreachable::NotYetValid
            | Unreachable::NotPinned
            | Unreachable::Tls(_) => reason::TLS_FAILED,
        },
        Error::Refused { cause: Refused::Alert(_) | Refused::Status(_), .. } => reason::TLS_FAILED,
        Error::Malformed { .. }
        | Error::UnknownAgent { .. }
        | Error::KnownTwice { .. }
        | Error::UnusableAk { .. }
        | Error::NoAgentInfo { .. } => reason::UNEXPECTED_ANSWER,
    }
}

#[cfg(test)]
mod tests {
    use keylime::{Endpoint, Malformed, Server};

    use super::*;

    fn server(role: Role) -> Server {
        Server { role, endpoint: Endpoint::new("keylime.example", 8881).unwrap() }
    }

    fn unknown(role: Role) -> Option<Error> {
        Some(Error::UnknownAgent { server: server(role), agent: AgentId::new(NOBODY).unwrap() })
    }

    #[test]
    fn who_does_not_know_nobody_is_there() {
        let reach =
            judge([(Role::Verifier, unknown(Role::Verifier)), (Role::Registrar, unknown(Role::Registrar))]);
        assert_eq!(reach.reason, reason::REACHABLE);
        assert_eq!(reach.answers, [("verifier", "answered"), ("registrar", "answered")]);
    }

    #[test]
    fn each_failure_has_its_reason() {
        let unreachable = |cause| Error::Unreachable { server: server(Role::Verifier), cause };
        let refused = |cause| Error::Refused { server: server(Role::Verifier), cause };
        for (error, expected) in [
            (unreachable(Unreachable::Dns("x".into())), reason::UNREACHABLE),
            (unreachable(Unreachable::Connect("x".into())), reason::UNREACHABLE),
            (unreachable(Unreachable::AnswerTimeout(TIMEOUT)), reason::UNREACHABLE),
            (unreachable(Unreachable::UnknownCa), reason::TLS_FAILED),
            (unreachable(Unreachable::NotTls), reason::TLS_FAILED),
            (refused(Refused::Status(403)), reason::TLS_FAILED),
            (refused(Refused::Alert("x".into())), reason::TLS_FAILED),
            (
                Error::Malformed { server: server(Role::Verifier), cause: Malformed::CutShort },
                reason::UNEXPECTED_ANSWER,
            ),
        ] {
            let text = error.to_string();
            let reach = judge([(Role::Verifier, Some(error)), (Role::Registrar, unknown(Role::Registrar))]);
            assert_eq!((reach.reason, reach.message), (expected, text));
        }
    }
}
