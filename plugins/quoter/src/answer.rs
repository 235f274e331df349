//! Answers in the form of Keylime's agents.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::request::VERSIONS;

/// A good answer with these results.
pub(crate) fn good(results: &Value) -> Response<Full<Bytes>> {
    envelope(StatusCode::OK, "Success", results)
}

/// An answer with a text for people.
pub(crate) fn bad(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    envelope(status, text, &json!({}))
}

/// The results for `/version`.
pub(crate) fn versions() -> Value {
    json!({"supported_version": VERSIONS.last(), "supported_versions": VERSIONS})
}

fn envelope(status: StatusCode, text: &str, results: &Value) -> Response<Full<Bytes>> {
    let body = json!({"code": status.as_u16(), "status": text, "results": results});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
