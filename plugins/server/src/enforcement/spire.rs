//! The client of SPIRE's server, over its own socket. A process that can open that socket has all
//! rights there: here agents are listed, evicted and banned, and nothing else.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use evidence::AgentId;
use keylime_attestor_proto::api::server::agent::v1::agent_client::AgentClient;
use keylime_attestor_proto::api::server::agent::v1::list_agents_request::Filter;
use keylime_attestor_proto::api::server::agent::v1::{
    BanAgentRequest, DeleteAgentRequest, GetAgentRequest, ListAgentsRequest,
};
use keylime_attestor_proto::api::types::selector_match::MatchBehavior;
use keylime_attestor_proto::api::types::{self, Selector, SelectorMatch, Spiffeid};
use report::MAX_AGENTS;
use spire_plugin::{Code, Status};
use tonic::transport::{Channel, Endpoint};

/// Agents in a page.
const PAGE: i32 = 500;

/// The longest page, in bytes.
const MAX_PAGE: usize = 16 * 1024 * 1024;

/// The longest time of a call.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A client of SPIRE's server. It connects when it is used, and again when the connection breaks.
#[derive(Clone)]
pub(crate) struct Spire(AgentClient<Channel>);

/// An agent that SPIRE's server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpireAgent {
    pub(crate) spiffe_id: String,
    pub(crate) attestation_type: String,
    /// Type and value.
    selectors: Vec<(String, String)>,
    /// In Unix seconds.
    pub(crate) expires: u64,
    pub(crate) banned: bool,
}

/// The reason why SPIRE's server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to {what} at SPIRE's server: {code:?}: {message}; check spire_socket_path")]
    Call { what: &'static str, code: Code, message: String },
    #[error("failed to list SPIRE's agents: expected at most {MAX_AGENTS} that count, got more")]
    TooMany,
    #[error("failed to list SPIRE's agents: expected pages in an order, got one twice")]
    Pages,
    #[error(
        "failed to read {0:?}: expected the SPIFFE ID of an agent, spiffe://<trust domain>/spire/agent/<…>"
    )]
    SpiffeId(String),
}

impl Spire {
    /// The client for a socket, without a connection. [`None`] for a path that no URI can hold.
    pub(crate) fn at(socket: &Path) -> Option<Self> {
        let endpoint = endpoint(socket)?.timeout(TIME_LIMIT).connect_timeout(TIME_LIMIT);
        Some(Self(AgentClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_PAGE)))
    }

    /// Hands all agents of an attestation type, or of every one, to `take`, page by page. Agents
    /// that come or go meanwhile may be missed.
    pub(crate) async fn each(
        &self,
        attestation_type: Option<&str>,
        take: impl FnMut(SpireAgent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let filter = attestation_type
            .map(|kind| Filter { by_attestation_type: kind.to_owned(), by_selector_match: None });
        self.pages(filter, take).await
    }

    /// The agents of an attestation type that have a selector.
    pub(crate) async fn with_selector(
        &self,
        attestation_type: &str,
        selector: Selector,
    ) -> Result<Vec<SpireAgent>, Error> {
        let has_it =
            SelectorMatch { selectors: vec![selector], r#match: MatchBehavior::MatchSuperset.into() };
        let by_attestation_type = attestation_type.to_owned();
        let mut agents = Vec::new();
        let take = |agent| {
            agents.push(agent);
            if agents.len() > MAX_AGENTS { Err(Error::TooMany) } else { Ok(()) }
        };
        self.pages(Some(Filter { by_attestation_type, by_selector_match: Some(has_it) }), take).await?;
        Ok(agents)
    }

    async fn pages(
        &self,
        filter: Option<Filter>,
        mut take: impl FnMut(SpireAgent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut tokens = HashSet::from([String::new()]);
        let mut page_token = String::new();
        loop {
            let request = ListAgentsRequest { filter: filter.clone(), page_size: PAGE, page_token };
            let answer =
                self.0.clone().list_agents(request).await.map_err(|status| call("list agents", &status))?;
            let page = answer.into_inner();
            page.agents.into_iter().filter_map(SpireAgent::of).try_for_each(&mut take)?;
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            if !tokens.insert(page.next_page_token.clone()) {
                return Err(Error::Pages);
            }
            page_token = page.next_page_token;
        }
    }

    /// An agent; [`None`] when there is none.
    pub(crate) async fn get(&self, spiffe_id: &str) -> Result<Option<SpireAgent>, Error> {
        let request = GetAgentRequest { id: Some(parts(spiffe_id)?) };
        match self.0.clone().get_agent(request).await {
            Ok(agent) => Ok(SpireAgent::of(agent.into_inner())),
            Err(status) => found("get an agent", &status).map(|_gone| None),
        }
    }

    /// Evicts an agent; false when there is none.
    pub(crate) async fn evict(&self, spiffe_id: &str) -> Result<bool, Error> {
        let request = DeleteAgentRequest { id: Some(parts(spiffe_id)?) };
        match self.0.clone().delete_agent(request).await {
            Ok(_) => Ok(true),
            Err(status) => found("evict an agent", &status),
        }
    }

    /// Bans an agent; false when there is none.
    pub(crate) async fn ban(&self, spiffe_id: &str) -> Result<bool, Error> {
        let request = BanAgentRequest { id: Some(parts(spiffe_id)?) };
        match self.0.clone().ban_agent(request).await {
            Ok(_) => Ok(true),
            Err(status) => found("ban an agent", &status),
        }
    }
}

impl SpireAgent {
    /// An agent from its message; [`None`] for one without an id.
    fn of(agent: types::Agent) -> Option<Self> {
        let Spiffeid { trust_domain, path } = agent.id?;
        Some(Self {
            spiffe_id: format!("spiffe://{trust_domain}{path}"),
            attestation_type: agent.attestation_type,
            selectors: agent
                .selectors
                .into_iter()
                .map(|selector| (selector.r#type, selector.value))
                .collect(),
            expires: u64::try_from(agent.x509svid_expires_at).unwrap_or_default(),
            banned: agent.banned,
        })
    }

    /// The values behind `key:` in the selectors of this type.
    pub(crate) fn selectors<'a>(&'a self, kind: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.selectors.iter().filter(move |(of, _)| of == kind).map(|(_, value)| value.as_str());
        values.filter_map(move |value| value.strip_prefix(key)?.strip_prefix(':'))
    }

    /// The last segment of its path, as an agent id.
    pub(crate) fn last_segment(&self) -> Option<AgentId> {
        AgentId::new(self.spiffe_id.rsplit('/').next()?).ok()
    }
}

/// The endpoint by which tonic dials the socket; [`None`] for a path that no URI can hold.
pub(crate) fn endpoint(socket: &Path) -> Option<Endpoint> {
    Endpoint::from_shared(format!("unix://{}", socket.display())).ok()
}

/// The two parts of an agent's SPIFFE ID. Another SPIFFE ID is an error.
fn parts(spiffe_id: &str) -> Result<Spiffeid, Error> {
    let invalid = || Error::SpiffeId(spiffe_id.chars().take(200).collect());
    let rest = spiffe_id.strip_prefix("spiffe://").ok_or_else(invalid)?;
    let (trust_domain, path) = rest.split_once('/').ok_or_else(invalid)?;
    if trust_domain.is_empty() || !path.starts_with("spire/agent/") {
        return Err(invalid());
    }
    Ok(Spiffeid { trust_domain: trust_domain.to_owned(), path: format!("/{path}") })
}

fn found(what: &'static str, status: &Status) -> Result<bool, Error> {
    if status.code() == Code::NotFound { Ok(false) } else { Err(call(what, status)) }
}

fn call(what: &'static str, status: &Status) -> Error {
    // The innermost cause: the only one to tell of a socket that is missing.
    let outermost: &dyn std::error::Error = status;
    let innermost = std::iter::successors(outermost.source(), |error| error.source()).last();
    let message = innermost.map_or_else(|| status.message().to_owned(), ToString::to_string);
    Error::Call { what, code: status.code(), message: message.chars().take(300).collect() }
}
