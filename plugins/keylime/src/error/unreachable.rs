//! The reasons why no answer came.

use std::time::Duration;

use super::hint;

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The host's name has no address.
    #[error("its name was not resolved ({0}); check the configured host and the cluster's DNS")]
    Dns(String),
    /// No connection, such as nobody listening.
    #[error("no connection ({0}); check that it runs and that host and port are right")]
    Connect(String),
    /// No connection to the node's agent.
    #[error(
        "no connection ({0}); check that it runs and that host and port are right; where Keylime runs in push mode, its agent \
         opens no port: run keylime-attestor-quoter on the node and set keylime_agent_socket"
    )]
    Agent(String),
    /// No connection to the quoter.
    #[error(
        "no connection ({0}); check that keylime-attestor-quoter runs on this node, that the folder of its socket is mounted \
         into the pod of SPIRE's agent, and that its user may use the socket"
    )]
    Socket(String),
    /// No connection in time, TCP and TLS together.
    #[error(
        "no connection within {0:?}; check that it runs and speaks TLS there if we do, host and port, and firewalls in between"
    )]
    ConnectTimeout(Duration),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}; check its load, or raise request_timeout")]
    AnswerTimeout(Duration),
    /// The connection was closed before an answer.
    #[error("it closed the connection without an answer{}", hint(*.plain_http))]
    Closed {
        /// True where the connection was plain http.
        plain_http: bool,
    },
    /// The other side does not speak TLS.
    #[error("expected TLS, it speaks something else, perhaps plain http; turn on its TLS, or ours off")]
    NotTls,
    /// The certificate's issuer is not in the CA file.
    #[error(
        "its certificate is not signed by a CA of the configured CA file; use the CA that signed it (Keylime's own is cv_ca/cacert.crt)"
    )]
    UnknownCa,
    /// The certificate is for other names.
    #[error(
        "expected a certificate for {expected}, it is for {presented}; reissue it, or configure one of these as the host or, \
         where it can be given, the server name"
    )]
    WrongName {
        /// The name expected.
        expected: String,
        /// The names in the certificate.
        presented: String,
    },
    /// The certificate has the expected address as a DNS name, which counts for no address.
    #[error(
        "its certificate names the address {address} as a DNS name; reissue it with {address} as an IP address (IP in its \
         subjectAltName)"
    )]
    AddressAsDnsName {
        /// The address.
        address: String,
    },
    /// The certificate has no subject alternative name; a common name does not count.
    #[error("its certificate has no subjectAltName; reissue it with one that names {expected}")]
    NoName {
        /// The name expected.
        expected: String,
    },
    /// The certificate cannot be used, whatever its names.
    #[error("its certificate is {0}")]
    Certificate(&'static str),
    /// No TLS version, cipher or signature algorithm in common.
    #[error(
        "it has no TLS version, cipher or signature algorithm in common with us: expected TLS 1.2 or 1.3 and a certificate \
         with an RSA, P-256, P-384 or Ed25519 key (P-521 is not supported)"
    )]
    NothingInCommon,
    /// The certificate has expired.
    #[error("its certificate has expired; renew it, or check this machine's clock")]
    Expired,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// The agent's certificate is not the pinned one.
    #[error(
        "its certificate is not the pinned one; pin the new one if it was renewed, else find out who answers there"
    )]
    NotPinned,
    /// Any other failure of TLS.
    #[error("the TLS handshake failed ({0})")]
    Tls(String),
}

impl Unreachable {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Unreachable::Dns(_) => "name_not_resolved",
            Unreachable::Connect(_) | Unreachable::Agent(_) | Unreachable::Socket(_) => "no_connection",
            Unreachable::ConnectTimeout(_) => "connect_timeout",
            Unreachable::AnswerTimeout(_) => "answer_timeout",
            Unreachable::Closed { .. } => "connection_closed",
            Unreachable::NotTls => "not_tls",
            Unreachable::UnknownCa => "unknown_ca",
            Unreachable::WrongName { .. }
            | Unreachable::AddressAsDnsName { .. }
            | Unreachable::NoName { .. } => "wrong_server_name",
            Unreachable::Certificate(_) => "unusable_certificate",
            Unreachable::NothingInCommon => "nothing_in_common",
            Unreachable::Expired => "certificate_expired",
            Unreachable::NotYetValid => "certificate_not_yet_valid",
            Unreachable::NotPinned => "certificate_not_pinned",
            Unreachable::Tls(_) => "tls_failed",
        }
    }
}
