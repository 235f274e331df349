//! The verifier's record of a node, and what its policy asks of the node's TPM.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Admin;
use crate::process::output;
use crate::swtpm::Swtpm;
use crate::wait;

/// The PCR that the policy of every node names: the one that software may extend and reset, as a
/// boot extends and resets the others.
const PCR: &str = "23";
/// Its value after a reset.
const GOOD: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How long the verifier may take to see a change.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A verifier's word about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestations {
    /// `attestation_status`.
    pub status: String,
    /// How often it has attested the node.
    pub count: u64,
}

/// A node's place under the verifier's watch.
#[derive(Debug)]
pub(super) struct Record {
    id: String,
    admin: Arc<Admin>,
}

impl Record {
    pub(super) fn new(id: &str, admin: Arc<Admin>) -> Self {
        Self { id: id.to_owned(), admin }
    }

    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Enrols the node, which has to be registered. A verifier in push mode ignores its port.
    pub(super) fn enrol(&self, port: u16, meta_data: &Value) -> Result<()> {
        let registered =
            self.admin.registrar_record(&self.id)?.context("the registrar does not know the node")?;
        let policy = json!({ PCR: [GOOD], "mask": format!("0x{:x}", 1 << PCR.parse::<u32>()?) });
        let body = json!({
            "v": null,
            "cloudagent_ip": "127.0.0.1",
            "cloudagent_port": port,
            "verifier_ip": "127.0.0.1",
            "verifier_port": self.admin.verifier,
            "tpm_policy": policy.to_string(),
            "runtime_policy": "",
            "runtime_policy_name": "",
            "runtime_policy_key": "",
            "mb_policy": null,
            "mb_policy_name": "",
            "ima_sign_verification_keys": "",
            "metadata": meta_data.to_string(),
            "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"],
            "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecschnorr", "ecdsa", "rsassa", "rsapss"],
            "ak_tpm": registered.get("aik_tpm"),
            "mtls_cert": registered.get("mtls_cert"),
            // The newest that both sides of the lab speak.
            "supported_version": "2.1",
        });
        self.admin.enrol(&self.id, &body)
    }

    /// Takes the node from the verifier's watch.
    pub(super) fn remove(&self) -> Result<()> {
        self.admin.remove_from_verifier(&self.id)?;
        wait::until("the node gone from the verifier", TIMEOUT, || {
            ensure!(self.admin.verifier_record(&self.id)?.is_none(), "it is there");
            Ok(())
        })
    }

    /// What the verifier says of the node now.
    pub(super) fn attestations(&self) -> Result<Attestations> {
        let record = self.read()?;
        let status = record.get("attestation_status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let count = record.get("attestation_count").and_then(Value::as_u64).unwrap_or_default();
        Ok(Attestations { status, count })
    }

    /// Waits for an `attestation_status`, with a success not older than `since` (seconds of Unix
    /// time).
    pub(super) fn wait_for(&self, status: &str, since: u64) -> Result<()> {
        wait::until(&format!("{status} at the verifier"), TIMEOUT, || {
            let record = self.read()?;
            let passed =
                record.get("last_successful_attestation").and_then(Value::as_u64).unwrap_or_default();
            let seen = record.get("attestation_status").and_then(Value::as_str);
            ensure!(seen == Some(status) && passed >= since, "it is {record}");
            Ok(())
        })
    }

    fn read(&self) -> Result<Value> {
        self.admin.verifier_record(&self.id)?.context("the verifier does not know the node")
    }
}

/// The TPM policy of every node, as `keylime_tenant` takes it.
pub(super) fn policy() -> Value {
    json!({ PCR: [GOOD] })
}

/// Measures something that the policy does not allow.
pub(super) fn measure(tpm: &Swtpm) -> Result<()> {
    let measured = format!("{PCR}:sha256={}", "11".repeat(32));
    output(tpm.tool("tpm2_pcrextend").arg(measured)).map(drop)
}

/// Undoes [`measure`] as a clean boot does.
pub(super) fn forget(tpm: &Swtpm) -> Result<()> {
    output(tpm.tool("tpm2_pcrreset").arg(PCR)).map(drop)
}

/// Now, in seconds of Unix time.
pub(super) fn unix_time() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
