//! An answer with its whole body, and the meaning of its status.

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::Failure;
use super::body::{MAX_BODY, MAX_BULK_BODY, MAX_IDS_BODY, read_body};
use super::envelope::{Envelope, Object};
use super::failure::Situation;
use super::peer::Scope;
use super::stream::{MAX_TEXT, parse_body};
use crate::error::{Malformed, Refused};
use crate::records::Records;

/// The results of an answer about all agents, as errors name them.
const RECORDS: &str = "the verifier's records of all agents";

/// Longest part of a server's own text in an error, in characters.
const MAX_WORDS: usize = 200;

/// An answer that is complete.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    content_type: String,
    body: Vec<u8>,
    /// The results of a good answer about all agents, which has no body any more.
    records: Option<Result<Records, Failure>>,
}

impl Answer {
    /// Reads the body, up to the scope's limit.
    pub(super) async fn read(
        response: Response,
        scope: Scope,
        situation: Situation,
    ) -> Result<Answer, Failure> {
        let (status, content_type) = (response.status().as_u16(), content_type(response.headers()));
        let mut answer = Answer { status, content_type, body: Vec::new(), records: None };
        match scope {
            Scope::All if status == 200 && answer.is_json() => {
                let parse = |reader| {
                    let mut json = serde_json::Deserializer::from_reader(reader);
                    let envelope = Object::deserialize(&mut json)?;
                    json.end().map(|()| envelope)
                };
                let (length, parsed) = parse_body(response, MAX_BULK_BODY, situation, parse).await?;
                answer.records = Some(answer.good(RECORDS, false, length, parsed));
            }
            Scope::One | Scope::All => answer.body = read_body(response, MAX_BODY, situation).await?,
            Scope::Ids => answer.body = read_body(response, MAX_IDS_BODY, situation).await?,
        }
        Ok(answer)
    }

    /// The records in a good answer about all agents.
    pub(crate) fn records(self) -> Result<Records, Failure> {
        self.check_status(false)?;
        let not_json = self.not_json(format!("content type {:?}", excerpt(&self.content_type)));
        self.records.unwrap_or(Err(not_json))
    }

    /// The `results` of a good answer. `expected` names them in errors; `secret` keeps the answer's
    /// own words out of errors.
    pub(crate) fn results<T: DeserializeOwned>(
        &self,
        expected: &'static str,
        secret: bool,
    ) -> Result<T, Failure> {
        self.check_status(secret)?;
        if !self.is_json() {
            return Err(self.not_json(format!("content type {:?}", excerpt(&self.content_type))));
        }
        self.good(expected, secret, self.body.len(), serde_json::from_slice(&self.body))
    }

    /// The `results` of an envelope that was read from a body of this length.
    fn good<T>(
        &self,
        expected: &'static str,
        secret: bool,
        length: usize,
        read: Result<Object<Envelope<Object<T>>>, serde_json::Error>,
    ) -> Result<T, Failure> {
        let Object(envelope) = read.map_err(|error| match error.classify() {
            Category::Data => Malformed::Shape { expected, detail: detail(&error, secret) }.into(),
            Category::Io => Malformed::TooLarge { limit: MAX_TEXT }.into(),
            _ if length == 0 => self.not_json("an empty body".to_owned()),
            Category::Eof => Malformed::CutShort.into(),
            Category::Syntax => {
                self.not_json(format!("something else at line {} column {}", error.line(), error.column()))
            }
        })?;
        if envelope.code != self.status {
            let detail = format!("code {} in the body, status {}", envelope.code, self.status);
            return Err(Malformed::Shape { expected, detail }.into());
        }
        Ok(envelope.results.0)
    }

    fn not_json(&self, came: String) -> Failure {
        Malformed::NotJson { status: self.status, came }.into()
    }

    /// The text of an answer other than a good one; that of the quoter says what to do, and repeats
    /// nothing that it was asked.
    pub(super) fn reason_of_failure(&self) -> Option<String> {
        const MAX_REASON: usize = 600;
        let envelope = || -> Option<Object<Envelope<IgnoredAny>>> { serde_json::from_slice(&self.body).ok() };
        (self.status != 200).then(|| match envelope().filter(|_| self.is_json()) {
            Some(Object(envelope)) => {
                let start: String = envelope.status.chars().take(MAX_REASON).collect();
                start.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
            }
            None => format!("it answered {}; see its log", self.status),
        })
    }

    /// True for Keylime's "not found". A 404 of another form (such as a proxy's page, or Keylime's
    /// own for a path that it does not have) says nothing about an agent.
    pub(crate) fn is_not_found(&self) -> bool {
        self.is_keylimes(404)
    }

    /// True for the registrar's "not found" of an agent that it knows, but whose TPM has not been
    /// proven to it yet.
    pub(crate) fn is_not_activated(&self) -> bool {
        self.is_not_found() && self.words(false).is_some_and(|words| words.contains("has not been activated"))
    }

    /// True for an agent without this path: the answer of the Python agent, and of the Rust agent's
    /// API 2.1, to `/agent/info`.
    pub(crate) fn is_bad_request(&self) -> bool {
        self.is_keylimes(400)
    }

    /// True for an answer that a server may give to a path of an API version that it does not know
    /// (measured: verifier and registrar 404 without a body, agents 400 in JSON).
    pub(super) fn may_mean_unknown_version(&self) -> bool {
        self.status == 400 || (self.status == 404 && !self.is_not_found())
    }

    fn is_keylimes(&self, status: u16) -> bool {
        let envelope = || serde_json::from_slice::<Object<Envelope<IgnoredAny>>>(&self.body);
        self.status == status && self.is_json() && envelope().is_ok_and(|envelope| envelope.0.code == status)
    }

    fn check_status(&self, secret: bool) -> Result<(), Failure> {
        Err(match self.status {
            200 => return Ok(()),
            401 | 403 => Failure::Refused(Refused::Status(self.status)),
            300..=399 => Malformed::Redirect(self.status).into(),
            500.. => Malformed::ServerError(self.status).into(),
            status => Malformed::Status { status, text: self.words(secret) }.into(),
        })
    }

    fn is_json(&self) -> bool {
        self.content_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }

    /// The text in Keylime's `status` member. [`None`] where the request is secret, which it may
    /// repeat.
    fn words(&self, secret: bool) -> Option<String> {
        if secret || !self.is_json() {
            return None;
        }
        let envelope: Object<Envelope<IgnoredAny>> = serde_json::from_slice(&self.body).ok()?;
        Some(excerpt(&envelope.0.status))
    }
}

/// The place of an error alone where the answer is secret: serde's text repeats the value.
fn detail(error: &serde_json::Error, secret: bool) -> String {
    if secret {
        return format!("at line {} column {}", error.line(), error.column());
    }
    excerpt(&error.to_string())
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}
