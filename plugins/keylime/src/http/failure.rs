//! The errors of reqwest, hyper and rustls, sorted by their meaning.
//!
//! Their texts are never passed on whole: reqwest's hold the URL, and with it a nonce or a quote.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;
use std::time::Duration;

use evidence::InvalidAttestationKey;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::error::{Error, Malformed, Refused, Server, Unreachable};
use crate::tls::flaw;

/// An [`Error`] that does not name its server yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Unreachable(Unreachable),
    Refused(Refused),
    Unanswered(String),
    Malformed(Malformed),
    UnusableAk(InvalidAttestationKey),
}

/// The circumstances that tell apart two failures with the same error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) via: Via,
    pub(crate) plain_http: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

/// The other side, for the advice where it is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// A server by its host and port.
    Network,
    /// The node's agent by its host and port.
    Agent,
    /// The quoter by its socket.
    Socket,
}

impl Failure {
    pub(crate) fn at(self, server: &Server) -> Error {
        let server = server.clone();
        match self {
            Failure::Unreachable(cause) => Error::Unreachable { server, cause },
            Failure::Refused(cause) => Error::Refused { server, cause },
            Failure::Unanswered(text) => Error::Unanswered { server, text },
            Failure::Malformed(cause) => Error::Malformed { server, cause },
            Failure::UnusableAk(cause) => Error::UnusableAk { server, cause },
        }
    }

    /// A failure before the head of an answer was there.
    pub(crate) fn of_request(error: &reqwest::Error, situation: Situation) -> Failure {
        if error.is_timeout() && error.is_connect() {
            return Failure::Unreachable(Unreachable::ConnectTimeout(situation.connect_timeout));
        }
        if error.is_timeout() {
            return Failure::Unreachable(Unreachable::AnswerTimeout(situation.request_timeout));
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return of_tls(tls);
        }
        if error.is_dns() {
            return Failure::Unreachable(Unreachable::Dns(innermost(error)));
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
            return Failure::Malformed(Malformed::NotHttp { plain_http: situation.plain_http });
        }
        if error.is_connect() && !ends_early(error) {
            let cause = innermost(error);
            return Failure::Unreachable(match situation.via {
                Via::Network => Unreachable::Connect(cause),
                Via::Agent => Unreachable::Agent(cause),
                Via::Socket => Unreachable::Socket(cause),
            });
        }
        Failure::Unreachable(Unreachable::Closed { plain_http: situation.plain_http })
    }

    /// A failure within the body of an answer.
    pub(super) fn of_body(error: &reqwest::Error, situation: Situation) -> Failure {
        if error.is_timeout() {
            return Failure::Unreachable(Unreachable::AnswerTimeout(situation.request_timeout));
        }
        Failure::Malformed(Malformed::CutShort)
    }

    /// True where the server closed a connection that it had kept for the next request: worth a
    /// second try.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Failure::Unreachable(Unreachable::Closed { .. }))
    }
}

impl From<Malformed> for Failure {
    fn from(cause: Malformed) -> Failure {
        Failure::Malformed(cause)
    }
}

fn of_tls(error: &rustls::Error) -> Failure {
    Failure::Unreachable(match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Unreachable::NotTls,
        rustls::Error::AlertReceived(alert) if blames_certificate(*alert) => {
            return Failure::Refused(Refused::Alert(format!("{alert:?}")));
        }
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::ProtocolVersion,
        )
        | rustls::Error::PeerIncompatible(_) => Unreachable::NothingInCommon,
        rustls::Error::AlertReceived(alert) => Unreachable::Tls(format!("it sent the alert {alert:?}")),
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::DecryptError => {
            Unreachable::Tls("what it sent is not TLS as it should be".to_owned())
        }
        other => Unreachable::Tls(other.to_string()),
    })
}

fn of_certificate(error: &CertificateError) -> Unreachable {
    match error {
        CertificateError::UnknownIssuer => Unreachable::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Unreachable::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Unreachable::NotYetValid
        }
        // Made by our own PinVerifier alone.
        CertificateError::ApplicationVerificationFailure => Unreachable::NotPinned,
        CertificateError::NotValidForNameContext { expected, presented } => wrong_name(expected, presented),
        CertificateError::BadSignature => {
            Unreachable::Tls("it does not prove to have the key of its certificate".to_owned())
        }
        other => match flaw(other) {
            Some(flaw) => Unreachable::Certificate(flaw),
            None => Unreachable::Tls("its certificate does not hold".to_owned()),
        },
    }
}

/// The failure of a certificate for other names. The advice depends on those names.
fn wrong_name(expected: &ServerName<'_>, presented: &[String]) -> Unreachable {
    let address = matches!(expected, ServerName::IpAddress(_));
    let expected = expected.to_str().into_owned();
    if presented.is_empty() {
        return Unreachable::NoName { expected };
    }
    if address && presented.iter().any(|name| name.starts_with("DnsName(") && bare(name) == expected) {
        return Unreachable::AddressAsDnsName { address: expected };
    }
    Unreachable::WrongName { expected, presented: names(presented) }
}

/// True for the alerts by which a server refuses our certificate, or that we show none.
fn blames_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            // For a certificate of another CA with the trusted one's name, as all of Keylime's
            // have.
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// The start of the first few names in a certificate: the other side chose them.
fn names(presented: &[String]) -> String {
    let shown: Vec<String> =
        presented.iter().take(5).map(|name| bare(name).chars().take(100).collect()).collect();
    shown.join(", ").escape_debug().to_string()
}

/// A name without its kind: webpki gives it as `DnsName("a")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')'));
    inner.trim_matches('"')
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(<dyn StdError>::downcast_ref::<T>)
}

/// True where the connection ended too early, also when only TLS's own end was missing.
pub(super) fn ends_early(error: &reqwest::Error) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// The text of the first cause, which says most (such as "Connection refused") and never holds the
/// URL.
fn innermost(error: &reqwest::Error) -> String {
    chain(error).skip(1).last().map_or_else(|| "unknown cause".to_owned(), ToString::to_string)
}

/// An error and its causes, outermost first. `io::Error::source` leaves out the error that it
/// wraps.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}
