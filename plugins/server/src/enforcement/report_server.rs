//! The report's server: HTTP/1.1 over TLS, for a client with a certain key. Two fixed paths, and
//! limits for everything that comes in.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::Limits;
use report::{Act, MAX_REQUEST, REATTEST_PATH, REPORT_PATH, Reattest, Rejection};
use serde::Serialize;
use spire_plugin::Host;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::Stop;
use super::report_state::{Done, ReportState};
use super::spire::{self, Spire};
use crate::config::Config;

const ACTIONS: &[&str] = &["keylime_attestor", "enforcement", "action"];

/// One operator asks, of which two replicas may run for a while.
const LIMITS: Limits = Limits { connections: 32, per_address: 8, lifetime: Duration::from_secs(60) };
/// The longest time of a client's handshake, of the head and of the body of a request.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait before the next try to listen.
const RETRY: Duration = Duration::from_secs(5);

/// The sources of the answers.
pub(crate) struct ReportServer {
    pub(crate) config: Arc<Config>,
    pub(crate) spire: Spire,
    pub(crate) report: Arc<ReportState>,
    pub(crate) host: Host,
}

/// The answer to a request that is not carried out.
struct Refused(StatusCode, String);

/// Serves the report until it is to stop. A port that is taken is tried again and again.
pub(crate) async fn serve(server: ReportServer, address: SocketAddr, mut stop: Stop) {
    let Some(listener) = listen(address, &mut stop).await else { return };
    info!(%address, "report is served");
    let server = Arc::new(server);
    let served = listener::serve(listener, LIMITS, |stream| connection(stream, Arc::clone(&server)));
    tokio::select! {
        () = stop.wait() => {}
        never = served => match never {},
    }
}

async fn listen(address: SocketAddr, stop: &mut Stop) -> Option<TcpListener> {
    let mut told = false;
    loop {
        match bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) if !told => {
                warn!(%address, %error, "report is not served: failed to listen; trying again");
                told = true;
            }
            Err(_) => {}
        }
        if !stop.sleep(RETRY).await {
            return None;
        }
    }
}

/// The listener. `[::]` accepts IPv4 as well; where there is no IPv6 at all, IPv4 is left.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}

/// Serves a connection. A client that is refused, goes away or sends anything else than a request
/// is no error.
async fn connection(stream: TcpStream, server: Arc<ReportServer>) {
    let Some(tls) = &server.config.report_tls else { return };
    let acceptor = TlsAcceptor::from(tls.current().await);
    let stream = match tokio::time::timeout(CLIENT_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "a client was refused"),
        Err(_too_late) => return,
    };
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.respond(request).await) }
    });
    let mut http = http1::Builder::new();
    // Each request proves anew that its client has the certificate of now.
    http.keep_alive(false);
    http.timer(TokioTimer::new()).header_read_timeout(CLIENT_TIMEOUT).max_buf_size(16 * 1024);
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

impl ReportServer {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = match (request.uri().path(), request.method()) {
            (REPORT_PATH, &Method::GET) => {
                let report = self.report.report(self.config.trust_domain(), self.config.plugin_name());
                return json(StatusCode::OK, &report);
            }
            (REATTEST_PATH, &Method::POST) => self.reattest(request.into_body()).await,
            (REPORT_PATH, _) => Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected GET".to_owned())),
            (REATTEST_PATH, _) => Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected POST".to_owned())),
            _ => Err(Refused(StatusCode::NOT_FOUND, format!("expected {REPORT_PATH} or {REATTEST_PATH}"))),
        };
        match answer {
            Ok(()) => json(StatusCode::OK, &serde_json::Map::new()),
            Err(Refused(status, error)) => json(status, &Rejection { error }),
        }
    }

    /// Evicts an agent of another attestation type. One of our own is left to enforcement, and its
    /// eviction would lift a ban.
    async fn reattest(&self, body: Incoming) -> Result<(), Refused> {
        let spiffe_id = read(body).await?.spiffe_id;
        let agents = format!("spiffe://{}/spire/agent/", self.config.trust_domain());
        if !spiffe_id.starts_with(&agents) {
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                format!("expected a SPIFFE ID that begins with {agents}"),
            ));
        }
        let Some(agent) = self.spire.get(&spiffe_id).await? else { return Ok(()) };
        if agent.attestation_type == self.config.plugin_name() {
            let text = "expected an agent of another attestation type; those of this plugin are assessed by Keylime alone";
            return Err(Refused(StatusCode::CONFLICT, text.to_owned()));
        }
        if agent.banned {
            let text = "expected an agent that is not banned: to evict it would lift the ban";
            return Err(Refused(StatusCode::CONFLICT, text.to_owned()));
        }
        let evicted = self.spire.evict(&spiffe_id).await;
        let error = evicted.as_ref().err().map(ToString::to_string);
        let attestation_type = agent.attestation_type;
        info!(spiffe_id, attestation_type, error, "agent evicted on request, to attest anew");
        let result = if error.is_none() { "done" } else { "failed" };
        self.host.incr_counter(ACTIONS, &[("action", "reattest"), ("result", result)]);
        let reason = format!("it attested by {attestation_type}, which it no longer has");
        let done =
            Done { agent_id: None, spiffe_id: &spiffe_id, node_uid: None, act: Act::Reattest, reason, error };
        self.report.record(done);
        Ok(evicted.map(drop)?)
    }
}

impl From<spire::Error> for Refused {
    fn from(error: spire::Error) -> Self {
        let status = match error {
            spire::Error::SpiffeId(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self(status, error.to_string())
    }
}

async fn read(body: Incoming) -> Result<Reattest, Refused> {
    let refused = |text: String| Refused(StatusCode::BAD_REQUEST, text);
    let whole = tokio::time::timeout(CLIENT_TIMEOUT, Limited::new(body, MAX_REQUEST).collect()).await;
    let whole = whole.map_err(|_| refused(format!("expected the whole body within {CLIENT_TIMEOUT:?}")))?;
    let whole = whole.map_err(|_| refused(format!("expected a body of at most {MAX_REQUEST} bytes")))?;
    serde_json::from_slice(&whole.to_bytes())
        .map_err(|error| refused(format!("expected {{\"spiffe_id\": …}}: {error}")))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    // All bodies are of types that always serialize.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
