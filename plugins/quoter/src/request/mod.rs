//! What can be asked, as Keylime's agents can be: GETs of three paths.

use evidence::{InvalidNonce, Nonce};
use hyper::Method;

/// The API versions served: those with `/agent/info`.
pub(crate) const VERSIONS: [&str; 5] = ["2.2", "2.3", "2.4", "2.5", "2.6"];

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// `/version`
    Version,
    /// `/v2.x/agent/info`
    Info,
    /// `/v2.x/quotes/identity?nonce=`
    Quote(Nonce),
}

/// The reason why a request is none. Never repeats any of it: it may hold a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRequest {
    #[error("expected GET without a body")]
    Method,
    #[error("expected /version, /v2.x/agent/info or /v2.x/quotes/identity, x from 2 to 6")]
    Path,
    #[error("expected one nonce, as ?nonce=, and nothing else")]
    Query,
    #[error("{0}")]
    Nonce(#[from] InvalidNonce),
}

impl Request {
    /// Parses what came. The nonce stands for itself: none of its characters is ever escaped.
    pub(crate) fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, InvalidRequest> {
        if method != Method::GET {
            return Err(InvalidRequest::Method);
        }
        if path == "/version" {
            return Ok(Self::Version);
        }
        let (version, path) =
            path.strip_prefix("/v").and_then(|path| path.split_once('/')).ok_or(InvalidRequest::Path)?;
        match path {
            _ if !VERSIONS.contains(&version) => Err(InvalidRequest::Path),
            "agent/info" => Ok(Self::Info),
            "quotes/identity" => {
                let nonce =
                    query.and_then(|query| query.strip_prefix("nonce=")).ok_or(InvalidRequest::Query)?;
                if nonce.contains('&') {
                    return Err(InvalidRequest::Query);
                }
                Ok(Self::Quote(Nonce::parse(nonce.as_bytes())?))
            }
            _ => Err(InvalidRequest::Path),
        }
    }
}

#[cfg(test)]
mod tests;
