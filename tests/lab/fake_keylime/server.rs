//! A small HTTP/1.1 server on loopback that can misbehave in every way a network can.
//!
//! It writes its own bytes: an HTTP library would refuse to send what a broken server sends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The longest head of a request that is read.
const MAX_HEAD: usize = 64 * 1024;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Path and query, as sent.
    pub target: String,
    /// True if the client showed a certificate that the server trusts.
    pub with_certificate: bool,
    /// The bearer token in its head.
    pub token: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The content type; none for an answer without one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

/// A fault: something that a server does instead of answering.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing, for ever.
    Hang,
    /// The right answer, once the test lets it go.
    Hold(Arc<Notify>),
    /// Closes the connection.
    HangUp,
    /// Sends these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Answers this.
    Answer(Response),
    /// A redirect to this location.
    Redirect(String),
    /// The right answer, its last bytes missing; the connection is closed.
    CutShort,
    /// The right answer without a `Content-Length`, ended by closing the connection.
    NoLength,
    /// A body of this many bytes, announced.
    Huge(usize),
    /// A body in chunks that never ends.
    Endless,
    /// The right answer, one byte at a time, this far apart.
    Drip(Duration),
}

/// The handler of requests.
pub type Answers = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A server that runs until it is dropped.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    answers: Answers,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    faults: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    handshakes: AtomicUsize,
    record: AtomicBool,
    served: AtomicUsize,
}

struct Rule {
    path: String,
    fault: Fault,
    times: usize,
}

impl Response {
    /// An answer in JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, content_type: Some("application/json"), body: body.into() }
    }

    /// An answer as Keylime's servers give it for paths that they do not have.
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, content_type: Some("text/html; charset=UTF-8"), body: body.into() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(Some(self.body.len())).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn head(&self, length: Option<usize>) -> String {
        let kind = self.content_type.map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 {} Fake\r\nServer: TornadoServer/6.5.2\r\n{kind}{length}\r\n", self.status)
    }
}

impl FakeServer {
    /// Starts a server on a loopback port that the system chooses; `tls` is [`None`] for plain
    /// http.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn start(tls: Option<ServerConfig>, answers: Answers) -> Result<FakeServer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a loopback port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answers,
            tls: Mutex::new(tls.map(Arc::new)),
            faults: Mutex::default(),
            requests: Mutex::default(),
            handshakes: AtomicUsize::new(0),
            record: AtomicBool::new(true),
            served: AtomicUsize::new(0),
        });
        let task = Some(tokio::spawn(accept(listener, shared.clone())));
        Ok(FakeServer { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets requests whose target contains `path` meet `fault` from now on.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.fault_times(path, fault, usize::MAX);
    }

    /// Lets the next `times` requests whose target contains `path` meet `fault`.
    pub fn fault_times(&self, path: &str, fault: Fault, times: usize) {
        lock(&self.shared.faults).push(Rule { path: path.to_owned(), fault, times });
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The targets (path and query) of the requests so far.
    pub fn targets(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.target).collect()
    }

    /// How many requests came so far.
    pub fn served(&self) -> usize {
        self.shared.served.load(Ordering::Relaxed)
    }

    /// How many TLS handshakes were completed so far.
    pub fn handshakes(&self) -> usize {
        self.shared.handshakes.load(Ordering::Relaxed)
    }

    /// Turns the record of requests on or off; a bench turns it off, so that memory does not grow.
    pub fn remember_requests(&self, remember: bool) {
        self.shared.record.store(remember, Ordering::Relaxed);
    }

    /// Shows another certificate in new handshakes.
    pub fn set_tls(&self, tls: ServerConfig) {
        *lock(&self.shared.tls) = Some(Arc::new(tls));
    }

    /// Stops listening and closes all connections; the port is then closed.
    pub async fn take_down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // Ended by abort: an error by design. The listener and all connections are closed when
            // this returns.
            let _aborted = task.await;
        }
    }

    /// Listens again on the same port.
    pub async fn bring_up(&mut self) -> Result<()> {
        self.take_down().await;
        let listener = TcpListener::bind(self.address).await.context("bind the same port again")?;
        self.task = Some(tokio::spawn(accept(listener, self.shared.clone())));
        Ok(())
    }

    /// Closes all connections, as a server that restarts does, and listens on.
    pub async fn restart(&mut self) -> Result<()> {
        self.bring_up().await
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The connections live in the set of the accepting task and end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for the other side's delayed ACK.
    let _best_effort = stream.set_nodelay(true);
    let tls = lock(&shared.tls).clone();
    // Whatever ends a connection, a test sees it at the client.
    let _ended = match tls {
        None => serve(stream, false, &shared).await,
        Some(config) => {
            let stream = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((_, stream)) => return drain(stream).await,
            };
            shared.handshakes.fetch_add(1, Ordering::Relaxed);
            let with_certificate =
                stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
            serve(stream, with_certificate, &shared).await
        }
    };
}

/// Waits until the client, too, has closed: a connection closed with unread data is reset, and the
/// alert in it may be lost.
async fn drain(mut stream: TcpStream) {
    let _client_closed = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Serves requests until one ends the connection. TLS is never closed properly, as Keylime's
/// servers do not.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    with_certificate: bool,
    shared: &Shared,
) -> Result<()> {
    let mut pending = Vec::new();
    while let Some(read) = read_request(&mut stream, &mut pending).await? {
        let request = Request { with_certificate, ..read };
        shared.served.fetch_add(1, Ordering::Relaxed);
        if shared.record.load(Ordering::Relaxed) {
            lock(&shared.requests).push(request.clone());
        }
        let fault = shared.next_fault(&request.target);
        let response = (shared.answers)(&request);
        let keep = match fault {
            None => write(&mut stream, &response.bytes()).await.map(|()| true)?,
            Some(fault) => misbehave(&mut stream, fault, &response).await?,
        };
        if !keep {
            break;
        }
    }
    Ok(())
}

/// The next request, or [`None`] at the end of the connection.
async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    pending: &mut Vec<u8>,
) -> Result<Option<Request>> {
    loop {
        if let Some(end) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(pending.drain(..end + 4).collect())?;
            let target = head.split(' ').nth(1).context("a request line")?.to_owned();
            let length = header(&head, "content-length").map_or(Ok(0), str::parse)?;
            while pending.len() < length {
                anyhow::ensure!(stream.read_buf(pending).await? > 0, "the body was cut short");
            }
            let token = header(&head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
            let (token, body) = (token.map(str::to_owned), pending.drain(..length).collect());
            return Ok(Some(Request { target, with_certificate: false, token, body }));
        }
        anyhow::ensure!(pending.len() < MAX_HEAD, "the head of the request is too long");
        if stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// Does what the fault says; whether the connection goes on.
async fn misbehave(
    stream: &mut (impl AsyncWrite + Unpin),
    fault: Fault,
    response: &Response,
) -> Result<bool> {
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Hold(release) => {
            release.notified().await;
            write(stream, &response.bytes()).await.map(|()| true)
        }
        Fault::HangUp => Ok(false),
        Fault::Raw(bytes) => write(stream, &bytes).await.map(|()| false),
        Fault::Answer(other) => write(stream, &other.bytes()).await.map(|()| true),
        Fault::Redirect(location) => {
            let head = format!("HTTP/1.1 307 Fake\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            write(stream, head.as_bytes()).await.map(|()| true)
        }
        Fault::CutShort => {
            let bytes = response.bytes();
            write(stream, bytes.get(..bytes.len().saturating_sub(5)).unwrap_or_default())
                .await
                .map(|()| false)
        }
        Fault::NoLength => {
            write(stream, &[response.head(None).as_bytes(), &response.body].concat()).await.map(|()| false)
        }
        Fault::Huge(length) => {
            let huge = Response { body: vec![b' '; length], ..response.clone() };
            write(stream, &huge.bytes()).await.map(|()| false)
        }
        Fault::Endless => endless(stream, response).await,
        Fault::Drip(interval) => {
            for byte in response.bytes() {
                write(stream, &[byte]).await?;
                tokio::time::sleep(interval).await;
            }
            Ok(true)
        }
    }
}

async fn endless(stream: &mut (impl AsyncWrite + Unpin), response: &Response) -> Result<bool> {
    let head = response.head(None).replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n");
    write(stream, head.as_bytes()).await?;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    loop {
        write(stream, chunk.as_bytes()).await?;
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    Ok(())
}

impl Shared {
    fn next_fault(&self, target: &str) -> Option<Fault> {
        let mut rules = lock(&self.faults);
        let rule = rules.iter_mut().find(|rule| rule.times > 0 && target.contains(&rule.path))?;
        rule.times = if rule.times == usize::MAX { rule.times } else { rule.times - 1 };
        Some(rule.fault.clone())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
