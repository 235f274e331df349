//! Health and metrics over HTTP/1.1, each on a port of its own. Only GETs of fixed paths.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::Limits;
use tokio::net::{TcpListener, TcpStream};

/// Enough for a kubelet and a few Prometheuses.
const LIMITS: Limits = Limits { connections: 64, per_address: 8, lifetime: Duration::from_secs(120) };
/// The longest time of a client for its request, also for the next one of the same connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The answer on a path.
pub(crate) enum Answer {
    /// 200 with the text.
    Metrics(String),
    /// 200, all is well.
    Fine,
    /// 503 with the reason.
    NotYet(&'static str),
    /// 404.
    NoSuchPath,
}

/// The reason why a port is not served.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}: {error}")]
pub(crate) struct NotListening {
    address: SocketAddr,
    error: io::Error,
}

/// Opens a port.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, NotListening> {
    TcpListener::bind(address).await.map_err(|error| NotListening { address, error })
}

/// Serves a port until the future is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Infallible {
    let answer = Arc::new(answer);
    listener::serve(listener, LIMITS, |stream| connection(stream, Arc::clone(&answer))).await
}

async fn connection(stream: TcpStream, answer: Arc<impl Fn(&str) -> Answer>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &*answer);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 * 1024);
    // A client that goes away, or sends anything but a request, is no error.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn respond(method: &Method, path: &str, answer: &impl Fn(&str) -> Answer) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "expected GET\n");
    }
    match answer(path) {
        Answer::Metrics(text) => response(StatusCode::OK, OPEN_METRICS, text),
        Answer::Fine => response(StatusCode::OK, TEXT, "ok\n"),
        Answer::NotYet(reason) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason),
        Answer::NoSuchPath => response(StatusCode::NOT_FOUND, TEXT, "not found\n"),
    }
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
