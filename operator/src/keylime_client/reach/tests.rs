use keylime::{Endpoint, Malformed, Role, Server};

use super::*;

fn server(role: Role) -> Server {
    Server { role, endpoint: Endpoint::new("keylime.example", 8881).unwrap(), socket: None }
}

#[test]
fn who_refuses_nothing_is_there() {
    let reach = assess(2, &[], None);
    assert_eq!(reach.reason, reason::REACHABLE);
    assert_eq!(
        reach.answers,
        [("verifier", "answered"), ("verifier", "answered"), ("registrar", "answered")]
    );
}

#[test]
fn all_failures_are_told() {
    let failed = |role| Error::Unreachable { server: server(role), cause: Unreachable::NotTls };
    let reach = assess(2, &[failed(Role::Verifier)], Some(&failed(Role::Registrar)));
    assert_eq!(reach.reason, reason::TLS_FAILED);
    assert!(reach.message.contains("verifier") && reach.message.contains("registrar"), "{}", reach.message);
    assert_eq!(reach.answers.iter().filter(|(_, outcome)| *outcome == "answered").count(), 1);
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
        let reach = assess(1, &[error], None);
        assert_eq!((reach.reason, reach.message), (expected, text));
    }
}
