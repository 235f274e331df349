//! The whole body of an answer, and the limits of its size.

use reqwest::Response;
use reqwest::header::TRANSFER_ENCODING;

use super::Failure;
use super::failure::{Situation, ends_early};
use crate::error::Malformed;

/// The longest answer about one agent that is read, in bytes. Keylime's longest has about 4 KiB.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The longest list of agents' ids that is read, in bytes. That of 20,000 UUIDs has 0.9 MB.
pub(super) const MAX_IDS_BODY: usize = 8 * 1024 * 1024;

/// The longest answer about all agents that is read, in bytes. 5,000 agents without metadata take 4
/// MiB.
pub(super) const MAX_BULK_BODY: usize = 64 * 1024 * 1024;

/// The whole body, of at most `limit` bytes.
pub(crate) async fn read_body(
    mut response: Response,
    limit: usize,
    situation: Situation,
) -> Result<Vec<u8>, Failure> {
    let too_large = || Failure::from(Malformed::TooLarge { limit });
    let length = response.content_length().map_or(Ok(0), usize::try_from);
    let Some(length) = length.ok().filter(|length| *length <= limit) else {
        return Err(too_large());
    };
    // The Python agent announces no length: it closes the connection, and TLS not properly. That
    // such an answer is complete, its JSON tells, which has an end of its own.
    let announced = response.content_length().is_some() || response.headers().contains_key(TRANSFER_ENCODING);
    let mut body = Vec::with_capacity(length);
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) if !announced && ends_early(&error) => break,
            Err(error) => return Err(Failure::of_body(&error, situation)),
        };
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
