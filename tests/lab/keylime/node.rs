//! A node under the verifier's watch, which can be made to fail and be repaired.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Admin, Agent};
use crate::process::output;
use crate::wait;

/// The PCR that the policy of every node names: the one that software may extend and reset, as a
/// boot extends and resets the others.
const PCR: &str = "23";
/// Its value after a reset.
const GOOD: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How long the verifier may take to see a change.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its id in Keylime; None is a random UUID.
    pub id: Option<String>,
    /// True if its agent answers `/agent/info`. Some agents do not.
    pub info: bool,
    /// Keylime's `meta_data` of it, a JSON object.
    pub meta_data: Value,
    /// Enrol it with `keylime_tenant`, which also checks the EK certificate. It takes some seconds
    /// more, and knows no `meta_data`.
    pub with_tenant: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { id: None, info: true, meta_data: json!({}), with_tenant: false }
    }
}

/// A verifier's word about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestations {
    /// `attestation_status`.
    pub status: String,
    /// How often it has attested the node.
    pub count: u64,
}

/// A node that Keylime attests.
#[derive(Debug)]
pub struct Node {
    agent: Agent,
    admin: Arc<Admin>,
    options: NodeOptions,
}

impl Node {
    pub(super) fn enrol(agent: Agent, admin: Arc<Admin>, options: NodeOptions) -> Result<Self> {
        let node = Self { agent, admin, options };
        if node.options.with_tenant {
            node.enrol_with_tenant()?;
        } else {
            node.enrol_by_request()?;
        }
        node.wait_for("PASS", 1)?;
        Ok(node)
    }

    /// Its software TPM and Keylime agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Its Keylime agent, to stop it.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Measures something that its policy does not allow, and waits until Keylime has failed it.
    ///
    /// # Errors
    /// When Keylime does not.
    pub fn fail(&self) -> Result<()> {
        let measured = format!("{PCR}:sha256={}", "11".repeat(32));
        output(self.agent.tpm().tool("tpm2_pcrextend").arg(measured))?;
        self.wait_for("FAIL", 0)
    }

    /// Undoes [`fail`](Self::fail) as a clean boot does, has the verifier attest it again, and
    /// waits until the node has passed.
    ///
    /// # Errors
    /// When it does not pass.
    pub fn repair(&self) -> Result<()> {
        output(self.agent.tpm().tool("tpm2_pcrreset").arg(PCR))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.admin.reactivate(self.agent.id())?;
        self.wait_for("PASS", now)
    }

    /// What the verifier says of it now.
    ///
    /// # Errors
    /// When it does not know the node.
    pub fn attestations(&self) -> Result<Attestations> {
        let record = self.admin.verifier_record(self.agent.id())?.context("the verifier does not know it")?;
        let status = record.get("attestation_status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let count = record.get("attestation_count").and_then(Value::as_u64).unwrap_or_default();
        Ok(Attestations { status, count })
    }

    /// Takes it from the verifier's watch; the registrar goes on to know it.
    ///
    /// # Errors
    /// When the verifier does not follow.
    pub fn remove_from_verifier(&self) -> Result<()> {
        self.admin.remove_from_verifier(self.agent.id())?;
        wait::until("the node gone from the verifier", TIMEOUT, || {
            ensure!(self.admin.verifier_record(self.agent.id())?.is_none(), "it is there");
            Ok(())
        })
    }

    /// Makes the registrar forget it.
    ///
    /// # Errors
    /// When the registrar does not follow.
    pub fn remove_from_registrar(&self) -> Result<()> {
        self.admin.remove_from_registrar(self.agent.id())
    }

    /// Waits for an `attestation_status`, with a success not older than `since` (seconds of Unix
    /// time).
    fn wait_for(&self, status: &str, since: u64) -> Result<()> {
        wait::until(&format!("{status} at the verifier"), TIMEOUT, || {
            let record =
                self.admin.verifier_record(self.agent.id())?.context("the verifier does not know it")?;
            let passed =
                record.get("last_successful_attestation").and_then(Value::as_u64).unwrap_or_default();
            let seen = record.get("attestation_status").and_then(Value::as_str);
            ensure!(seen == Some(status) && passed >= since, "it is {record}");
            Ok(())
        })
    }

    fn enrol_by_request(&self) -> Result<()> {
        let id = self.agent.id();
        let registered = self.admin.registrar_record(id)?.context("the registrar does not know the node")?;
        let policy = json!({ PCR: [GOOD], "mask": format!("0x{:x}", 1 << PCR.parse::<u32>()?) });
        let body = json!({
            "v": null,
            "cloudagent_ip": "127.0.0.1",
            "cloudagent_port": self.agent.port(),
            "verifier_ip": "127.0.0.1",
            "verifier_port": self.admin.verifier,
            "tpm_policy": policy.to_string(),
            "runtime_policy": "",
            "runtime_policy_name": "",
            "runtime_policy_key": "",
            "mb_policy": null,
            "mb_policy_name": "",
            "ima_sign_verification_keys": "",
            "metadata": self.options.meta_data.to_string(),
            "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"],
            "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecschnorr", "ecdsa", "rsassa", "rsapss"],
            "ak_tpm": registered.get("aik_tpm"),
            "mtls_cert": registered.get("mtls_cert"),
            // The newest that both sides of the lab speak.
            "supported_version": "2.1",
        });
        self.admin.enrol(id, &body)
    }

    fn enrol_with_tenant(&self) -> Result<()> {
        let store = self.agent.dir().join("ek-certificates");
        fs::create_dir_all(&store)?;
        for certificate in self.agent.tpm().ek_ca_certificates() {
            let name = certificate.file_name().map(Path::new).context("an EK certificate has no name")?;
            fs::copy(&certificate, store.join(name))?;
        }
        let policy = json!({ PCR: [GOOD] }).to_string();
        let store = store.display().to_string();
        let command =
            ["-c", "add", "-t", "127.0.0.1", "-v", "127.0.0.1", "-u", self.agent.id(), "--tpm_policy"];
        self.admin.tenant(&store, &[&command[..], &[&policy]].concat())?;
        Ok(())
    }
}
