//! The API of a SPIRE server that is none: its agents, on a socket, and what was done to them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use keylime_attestor_proto::api::server::agent::v1::agent_server::{Agent as Api, AgentServer};
use keylime_attestor_proto::api::server::agent::v1::{
    BanAgentRequest, DeleteAgentRequest, GetAgentRequest, ListAgentsRequest, ListAgentsResponse,
};
use keylime_attestor_proto::api::types::{Agent, Selector, Spiffeid};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::host::PATIENCE;
use crate::site::TRUST_DOMAIN;

/// How many agents are on a page, unless changed, however many were asked for: so that pages are
/// turned.
const PAGE: usize = 2;

/// A call, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// All agents were listed, to the last page.
    List,
    /// The agent with this SPIFFE ID was evicted.
    Evict(String),
    /// The agent with this SPIFFE ID was banned.
    Ban(String),
}

/// The server. It ends when dropped.
pub struct FakeSpire {
    state: Arc<State>,
    socket: PathBuf,
    /// Set to end the server, which then drops its receiver.
    stop: watch::Sender<bool>,
    _folder: TempDir,
}

#[derive(Default)]
struct State {
    agents: Mutex<Vec<Agent>>,
    page: AtomicUsize,
    failures: Mutex<VecDeque<(&'static str, Status)>>,
    calls: watch::Sender<Vec<Call>>,
}

/// An agent that was attested as `kind`, for a long time.
pub fn agent(kind: &str, name: &str) -> Agent {
    let path = format!("/spire/agent/{kind}/{name}");
    Agent {
        id: Some(Spiffeid { trust_domain: TRUST_DOMAIN.to_owned(), path }),
        attestation_type: kind.to_owned(),
        x509svid_expires_at: i64::from(u32::MAX),
        ..Agent::default()
    }
}

/// An agent that our plugin attested.
pub fn keylime_agent(agent_id: &str) -> Agent {
    with_selector(agent("keylime", agent_id), "keylime", &format!("agent_id:{agent_id}"))
}

/// The agent with one more selector.
pub fn with_selector(mut agent: Agent, kind: &str, value: &str) -> Agent {
    agent.selectors.push(Selector { r#type: kind.to_owned(), value: value.to_owned() });
    agent
}

/// The SPIFFE ID of an agent.
pub fn spiffe_id(agent: &Agent) -> String {
    let id = agent.id.clone().unwrap_or_default();
    format!("spiffe://{}{}", id.trust_domain, id.path)
}

impl FakeSpire {
    /// Starts the server, with these agents.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(agents: impl IntoIterator<Item = Agent>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("api.sock");
        let state = Arc::<State>::default();
        lock(&state.agents).extend(agents);
        state.page.store(PAGE, Ordering::Relaxed);
        let spire = Self { state, socket, stop: watch::Sender::new(false), _folder: folder };
        spire.bring_up()?;
        Ok(spire)
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Listens again, after [`take_down`](Self::take_down).
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn bring_up(&self) -> Result<()> {
        let listener =
            UnixListener::bind(&self.socket).context("failed to listen for calls of SPIRE's API")?;
        let server = Server::builder().add_service(AgentServer::from_arc(Arc::clone(&self.state)));
        self.stop.send_replace(false);
        let mut stopped = self.stop.subscribe();
        tokio::spawn(async move {
            // Ends also when the sender is dropped.
            let stopped = async { drop(stopped.wait_for(|stopped| *stopped).await) };
            server.serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped).await
        });
        Ok(())
    }

    /// Closes the socket and every connection.
    pub async fn take_down(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
        let _gone = std::fs::remove_file(&self.socket);
    }

    /// Puts so many agents on a page.
    pub fn set_page(&self, agents: usize) {
        self.state.page.store(agents, Ordering::Relaxed);
    }

    /// Adds an agent.
    pub fn add(&self, agent: Agent) {
        lock(&self.state.agents).push(agent);
    }

    /// Removes the agent whose SPIFFE ID ends in this name.
    pub fn remove(&self, name: &str) {
        lock(&self.state.agents).retain(|agent| spiffe_id(agent).rsplit('/').next() != Some(name));
    }

    /// The last parts of the SPIFFE IDs of the agents that are there and not banned.
    pub fn names(&self) -> Vec<String> {
        let agents = lock(&self.state.agents);
        let admitted = agents.iter().filter(|agent| !agent.banned);
        admitted.map(|agent| spiffe_id(agent).rsplit('/').next().unwrap_or_default().to_owned()).collect()
    }

    /// Tells if the agent with this SPIFFE ID is there, and banned.
    pub fn is_banned(&self, id: &str) -> bool {
        lock(&self.state.agents).iter().any(|agent| spiffe_id(agent) == id && agent.banned)
    }

    /// Answers the next call of a method (`list`, `get`, `evict` or `ban`) with this status.
    pub fn fail_next(&self, method: &'static str, status: Status) {
        lock(&self.state.failures).push_back((method, status));
    }

    /// The calls so far, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.borrow().clone()
    }

    /// Waits until the calls so far are as wanted.
    ///
    /// # Errors
    /// When they do not come to be, in time.
    pub async fn wait_for(&self, wanted: impl Fn(&[Call]) -> bool) -> Result<()> {
        let mut calls = self.state.calls.subscribe();
        let found = timeout(PATIENCE, calls.wait_for(|calls| wanted(calls))).await;
        found.with_context(|| format!("the calls were only {:?}", self.calls()))??;
        Ok(())
    }

    /// Waits until the agents have been listed so many times more: what followed from the lists
    /// before the last has happened.
    ///
    /// # Errors
    /// When they are not, in time.
    pub async fn wait_for_lists(&self, number: usize) -> Result<()> {
        let lists = |calls: &[Call]| calls.iter().filter(|call| **call == Call::List).count();
        let before = lists(&self.calls());
        self.wait_for(|calls| lists(calls) >= before + number).await
    }
}

impl State {
    fn meet(&self, method: &str) -> Result<(), Status> {
        let mut failures = lock(&self.failures);
        let at = failures.iter().position(|(of, _)| *of == method);
        match at.and_then(|at| failures.remove(at)) {
            Some((_, status)) => Err(status),
            None => Ok(()),
        }
    }

    /// Does something to an agent, which is told by its place.
    fn with<T>(
        &self,
        id: Option<Spiffeid>,
        change: impl FnOnce(&mut Vec<Agent>, usize) -> T,
    ) -> Result<(String, T), Status> {
        let mut agents = lock(&self.agents);
        let at = agents.iter().position(|agent| agent.id == id);
        let at = at.ok_or_else(|| Status::not_found("agent not found"))?;
        let name = agents.get(at).map(spiffe_id).unwrap_or_default();
        Ok((name, change(&mut agents, at)))
    }

    fn called(&self, call: Call) {
        self.calls.send_modify(|calls| calls.push(call));
    }
}

#[tonic::async_trait]
impl Api for State {
    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        self.meet("list")?;
        let ListAgentsRequest { filter, page_token, .. } = request.into_inner();
        let filter = filter.unwrap_or_default();
        let kind = filter.by_attestation_type;
        // Asked for in one way only: an agent has to have all of them.
        let selectors = filter.by_selector_match.unwrap_or_default().selectors;
        let start = if page_token.is_empty() { 0 } else { page_token.parse().unwrap_or(usize::MAX) };
        let all = lock(&self.agents).clone();
        let fits = |agent: &Agent| {
            (kind.is_empty() || agent.attestation_type == kind)
                && selectors.iter().all(|selector| agent.selectors.contains(selector))
        };
        let rest: Vec<Agent> = all.into_iter().filter(fits).skip(start).collect();
        let page = self.page.load(Ordering::Relaxed);
        let next_page_token = if rest.len() > page { (start + page).to_string() } else { String::new() };
        if next_page_token.is_empty() && selectors.is_empty() {
            self.called(Call::List);
        }
        Ok(Response::new(ListAgentsResponse {
            agents: rest.into_iter().take(page).collect(),
            next_page_token,
        }))
    }

    async fn get_agent(&self, request: Request<GetAgentRequest>) -> Result<Response<Agent>, Status> {
        self.meet("get")?;
        let (_, agent) = self.with(request.into_inner().id, |agents, at| agents.get(at).cloned())?;
        Ok(Response::new(agent.unwrap_or_default()))
    }

    async fn delete_agent(&self, request: Request<DeleteAgentRequest>) -> Result<Response<()>, Status> {
        self.meet("evict")?;
        let (name, _) = self.with(request.into_inner().id, |agents, at| agents.remove(at))?;
        self.called(Call::Evict(name));
        Ok(Response::new(()))
    }

    async fn ban_agent(&self, request: Request<BanAgentRequest>) -> Result<Response<()>, Status> {
        self.meet("ban")?;
        let (name, ()) = self.with(request.into_inner().id, |agents, at| {
            if let Some(agent) = agents.get_mut(at) {
                agent.banned = true;
            }
        })?;
        self.called(Call::Ban(name));
        Ok(Response::new(()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
