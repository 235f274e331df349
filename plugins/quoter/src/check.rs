//! The probe: asks a running quoter as the agent plugin would, up to the TPM.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::request::VERSIONS;

/// The longest time for an answer. A TPM of hardware makes an RSA key within.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer in bytes.
const MAX_ANSWER: u64 = 16 * 1024;

/// Succeeds where the quoter at this socket could quote a nonce.
///
/// # Errors
/// Where it could not, with its own text.
pub(crate) fn check(socket: &Path) -> anyhow::Result<()> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("no quoter answers at {socket:?}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let version = VERSIONS.last().context("no version is served")?;
    let request = format!("GET /v{version}/agent/info HTTP/1.1\r\nhost: quoter\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).context("no answer came")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("expected an answer by HTTP")?;
    if head.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body: Value = serde_json::from_str(body).context("expected an answer of JSON")?;
    bail!("{}", body.get("status").and_then(Value::as_str).unwrap_or("it gives no reason"))
}
