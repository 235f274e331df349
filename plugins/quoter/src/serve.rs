//! Connections, and the answer to each request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::answer::{bad, good, versions};
use crate::request::{InvalidRequest, Request};
use crate::socket::{Allowed, NotAllowed};
use crate::worker::{WorkError, Worker};

/// Connections at a time; more wait in the kernel's queue, in their order.
const CONNECTIONS: usize = 128;
/// The longest time of a client for its request, also for the next one of the same connection, and
/// of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_secs(120);
/// Largest head of a request in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The wait after a connection could not be accepted, such as for too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket until the future is dropped.
pub(crate) async fn serve(listener: UnixListener, allowed: Allowed, worker: Worker) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let accepted = listener.accept().await;
        let caller = accepted.and_then(|(stream, _)| Ok((allowed.check(&stream)?, stream)));
        match caller {
            Ok((caller, stream)) => {
                let worker = worker.clone();
                tokio::spawn(async move {
                    let _place = place;
                    // A client that goes away, is silent, or sends no request, is no error.
                    let _ = timeout(LIFETIME, connection(stream, caller, worker)).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, caller: Result<u32, NotAllowed>, worker: Worker) {
    if let Err(error) = caller {
        tracing::warn!(uid = error.0, "a program of a user that is not allowed connected");
    }
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let worker = worker.clone();
        async move { Ok::<_, Infallible>(respond(&request, caller, &worker).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    request: &hyper::Request<Incoming>,
    caller: Result<u32, NotAllowed>,
    worker: &Worker,
) -> Response<Full<Bytes>> {
    let uid = match caller {
        Ok(uid) => uid,
        Err(error) => return bad(StatusCode::FORBIDDEN, &error.to_string()),
    };
    if !request.body().is_end_stream() {
        return bad(StatusCode::BAD_REQUEST, &InvalidRequest::Method.to_string());
    }
    let uri = request.uri();
    let outcome = match Request::parse(request.method(), uri.path(), uri.query()) {
        Ok(Request::Version) => Ok(versions()),
        Ok(Request::Info) => worker
            .node()
            .await
            .map(|node| json!({"agent_uuid": node.id.as_str(), "tpm_hash_alg": node.bank.as_str()})),
        Ok(Request::Quote(nonce)) => worker.quote(nonce).await.map(|quoted| {
            tracing::info!(uid, "a nonce was quoted");
            json!({"quote": quoted.quote, "hash_alg": quoted.bank.as_str()})
        }),
        Err(error) => return bad(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match outcome {
        Ok(results) => good(&results),
        Err(error) => failed(uid, &error),
    }
}

fn failed(uid: u32, error: &WorkError) -> Response<Full<Bytes>> {
    let text = error.to_string();
    tracing::warn!(uid, error = text, "a request was not answered");
    bad(StatusCode::SERVICE_UNAVAILABLE, &text)
}
