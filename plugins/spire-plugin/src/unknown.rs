//! The answer to a call of a service or a method that is not there. tonic gives the code alone, and
//! SPIRE then logs an empty text.

use tonic::codegen::http::{HeaderValue, Response};
use tonic::{Code, Status};

const TEXT: &str = "this plugin has no such service or method; check that the plugin is of the type and version that SPIRE expects";

/// Gives the answer a text, where it has none.
pub(crate) fn explain<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let unimplemented = Status::from_header_map(headers)
        .is_some_and(|status| status.code() == Code::Unimplemented && status.message().is_empty());
    if unimplemented {
        headers.insert("grpc-message", HeaderValue::from_static(TEXT));
    }
    response
}
