//! An administrator's requests to verifier and registrar, with Keylime's own client certificate.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::server::python;
use crate::fake_keylime::pki::Files;
use crate::process;

const API: &str = "v2.6";

/// Access to a Keylime's servers.
#[derive(Debug)]
pub struct Admin {
    pub(super) client: Files,
    pub(super) verifier: u16,
    pub(super) registrar: u16,
    pub(super) mutual_tls: bool,
    pub(super) dir: PathBuf,
}

impl Admin {
    /// The verifier's record of a node, or None.
    ///
    /// # Errors
    /// When it does not answer, or with another status than 200 and 404.
    pub fn verifier_record(&self, id: &str) -> Result<Option<Value>> {
        self.get(self.verifier, id)
    }

    /// The registrar's record of a node, or None.
    ///
    /// # Errors
    /// When it does not answer, or with another status than 200 and 404.
    pub fn registrar_record(&self, id: &str) -> Result<Option<Value>> {
        self.get(self.registrar, id)
    }

    /// Puts a node under the verifier's watch.
    pub(super) fn enrol(&self, id: &str, body: &Value) -> Result<()> {
        self.change("POST", self.verifier, id, Some(body))
    }

    /// Has a node that failed attested again.
    pub(super) fn reactivate(&self, id: &str) -> Result<()> {
        self.change("PUT", self.verifier, &format!("{id}/reactivate"), None)
    }

    /// Takes a node from the verifier's watch.
    pub(super) fn remove_from_verifier(&self, id: &str) -> Result<()> {
        self.change("DELETE", self.verifier, id, None)
    }

    /// Makes the registrar forget a node.
    pub(super) fn remove_from_registrar(&self, id: &str) -> Result<()> {
        self.change("DELETE", self.registrar, id, None)
    }

    /// Runs `keylime_tenant`, Keylime's own tool.
    pub(super) fn tenant(&self, ek_certificates: &str, arguments: &[&str]) -> Result<String> {
        let mut command = python("keylime", &self.dir)?;
        command
            .args(["-m", "keylime.cmd.tenant"])
            .args(arguments)
            .env("KEYLIME_TENANT_VERIFIER_PORT", self.verifier.to_string())
            .env("KEYLIME_TENANT_REGISTRAR_PORT", self.registrar.to_string())
            .env("KEYLIME_TENANT_ENABLE_AGENT_MTLS", self.mutual_tls.to_string())
            .env("KEYLIME_TENANT_TPM_CERT_STORE", ek_certificates);
        process::output(&mut command)
    }

    fn get(&self, port: u16, id: &str) -> Result<Option<Value>> {
        match self.request("GET", port, id, None)? {
            (200, mut answer) => Ok(answer.get_mut("results").map(Value::take)),
            (404, _) => Ok(None),
            (status, answer) => bail!("port {port} answers {status}: {answer}"),
        }
    }

    fn change(&self, method: &str, port: u16, path: &str, body: Option<&Value>) -> Result<()> {
        let (status, answer) = self.request(method, port, path, body)?;
        ensure!(matches!(status, 200 | 202), "{method} {path} on port {port} is answered {status}: {answer}");
        Ok(())
    }

    fn request(&self, method: &str, port: u16, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let url = format!("https://127.0.0.1:{port}/{API}/agents/{path}");
        let answer = curl(&self.client, &["--request", method, "--write-out", "\n%{http_code}", &url], body)?;
        let (answer, status) = answer.rsplit_once('\n').context("curl writes no status")?;
        let status = status.parse().context("curl writes no status")?;
        let answer =
            serde_json::from_str(answer).with_context(|| format!("{url} answers {status}: {answer}"))?;
        Ok((status, answer))
    }
}

/// A request with the client certificate given; gives what curl writes.
///
/// # Errors
/// When there is no answer: a refused certificate among the reasons.
pub fn curl(client: &Files, arguments: &[&str], body: Option<&Value>) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
    command.arg("--cacert").arg(&client.ca).arg("--cert").arg(&client.cert).arg("--key").arg(&client.key);
    if body.is_some() {
        command.args(["--header", "Content-Type: application/json", "--data-binary", "@-"]);
    }
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("failed to run curl")?;
    if let (Some(body), Some(mut stdin)) = (body, child.stdin.take()) {
        write!(stdin, "{body}").context("failed to write to curl")?;
    }
    let output = child.wait_with_output().context("failed to run curl")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}
