//! The faults of an answer.

use super::hint;

/// The fault of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not HTTP/1.1.
    #[error("expected HTTP/1.1, got something else{}", hint(*.plain_http))]
    NotHttp {
        /// True where the connection was plain http.
        plain_http: bool,
    },
    /// Another content type than JSON, or no JSON in the body.
    #[error("expected application/json with status {status}, got {came}; check that Keylime answers there")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// The content type or the start of the body.
        came: String,
    },
    /// JSON of another shape.
    #[error("expected {expected}, got something else ({detail}); check Keylime's version")]
    Shape {
        /// The expected shape.
        expected: &'static str,
        /// The difference.
        detail: String,
    },
    /// A body that ends early.
    #[error("it ended too early; check the network and proxies in between")]
    CutShort,
    /// A body longer than any answer of Keylime.
    #[error("expected at most {limit} bytes, got more; check that Keylime answers there")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More agents than any verifier has.
    #[error("expected at most {limit} agents, got more; check that Keylime answers there")]
    TooManyAgents {
        /// The limit.
        limit: usize,
    },
    /// A redirect, which is never followed.
    #[error("expected no redirect, got status {0}; configure the final host and port")]
    Redirect(u16),
    /// A failure of the server (5xx).
    #[error("it failed with status {0}; see its log")]
    ServerError(u16),
    /// A status that Keylime does not give here.
    #[error("expected status 200, got {status}{}; check that Keylime answers there, and see its log", quoted(.text))]
    Status {
        /// The HTTP status.
        status: u16,
        /// Keylime's own text, where it may be shown.
        text: Option<String>,
    },
    /// An answer about another agent.
    #[error("it answered about another agent ({0:?}) than asked for")]
    WrongAgent(String),
    /// No API version in common.
    #[error("expected a Keylime API version {ours}, it knows {theirs}; update the older side")]
    ApiVersion {
        /// The versions of this client.
        ours: &'static str,
        /// The versions of the server.
        theirs: String,
    },
    /// A verifier too old to verify an identity quote.
    #[error(
        "expected a verifier with API version 2.2 or later, which can verify an identity quote, it knows {theirs}; update it to \
         Keylime 7.11 or later"
    )]
    VerifierTooOld {
        /// The versions of the server.
        theirs: String,
    },
}

impl Malformed {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Malformed::NotHttp { .. } => "not_http",
            Malformed::NotJson { .. } => "not_json",
            Malformed::Shape { .. } => "wrong_shape",
            Malformed::CutShort => "cut_short",
            Malformed::TooLarge { .. } | Malformed::TooManyAgents { .. } => "too_large",
            Malformed::Redirect(_) => "redirect",
            Malformed::ServerError(_) => "server_error",
            Malformed::Status { .. } => "unexpected_status",
            Malformed::WrongAgent(_) => "another_agent",
            Malformed::ApiVersion { .. } | Malformed::VerifierTooOld { .. } => "api_version",
        }
    }
}

fn quoted(text: &Option<String>) -> String {
    text.as_deref().map(|text| format!(" ({text:?})")).unwrap_or_default()
}
