//! The `agent_data.json` of a Keylime agent, made with tpm2-tools on a software TPM: an EK, an AK
//! below it, and the file that Keylime's Rust agents keep.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::process::output;
use crate::swtpm::Swtpm;

/// The algorithm of EK and AK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA 2048, RSASSA with SHA-256.
    Rsa,
    /// P-256, ECDSA with SHA-256.
    P256,
    /// P-384, ECDSA with SHA-384.
    P384,
}

/// The attributes of an AK.
const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";

/// An AK of a Keylime agent.
#[derive(Debug, Clone)]
pub struct AgentKey {
    /// The file's text, as Keylime's agent writes it.
    pub json: String,
    /// The AK's `TPM2B_PUBLIC`.
    pub ak: Vec<u8>,
    /// The EK's `TPM2B_PUBLIC`.
    pub ek: Vec<u8>,
    /// The agent's id under `hash_ek`.
    pub id: String,
}

impl AgentKey {
    /// Makes the keys. Nothing of them stays loaded.
    ///
    /// # Errors
    /// When tpm2-tools fail.
    pub fn make(tpm: &Swtpm, kind: KeyKind) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let tool = |line: &str| -> Result<()> {
            let mut words = line.split(' ');
            let name = words.next().context("no tool")?;
            output(tpm.tool(name).args(words).current_dir(dir.path()))?;
            output(tpm.tool("tpm2_flushcontext").arg("--transient-object")).map(drop)
        };
        let (ek, hash) = match kind {
            KeyKind::Rsa => ("rsa", "Sha256"),
            KeyKind::P256 => ("ecc256", "Sha256"),
            KeyKind::P384 => ("ecc384", "Sha384"),
        };
        tool(&format!("tpm2_createek -c ek.ctx -G {ek} -u ek.pub -f tss"))?;
        let made = "-C ek.ctx -u ak.tss -r ak.priv";
        match kind {
            KeyKind::Rsa => {
                tool(&format!("tpm2_createak -c ak.ctx -G rsa2048 -g sha256 -s rsassa -f tss {made}"))?
            }
            KeyKind::P256 => {
                tool(&format!("tpm2_createak -c ak.ctx -G ecc256 -g sha256 -s ecdsa -f tss {made}"))?
            }
            // The EK's policy is another one here; its password is empty.
            KeyKind::P384 => {
                tool(&format!("tpm2_create -g sha256 -G ecc384:ecdsa-sha384:null -a {ATTRIBUTES} {made}"))?;
            }
        }
        let pem = output(
            tpm.tool("tpm2_print")
                .args(["-t", "TPM2B_PUBLIC", "-f", "pem", "ek.pub"])
                .current_dir(dir.path()),
        )?;
        let id: String = ring::digest::digest(&ring::digest::SHA256, pem.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (ak, ek) = (fs::read(dir.path().join("ak.tss"))?, fs::read(dir.path().join("ek.pub"))?);
        let private = fs::read(dir.path().join("ak.priv"))?;
        let data = json!({
            "ak_hash_alg": hash,
            "ak_sign_alg": if kind == KeyKind::Rsa { "RsaSsa" } else { "EcDsa" },
            "ak_public": without_size(&ak)?,
            "ak_private": without_size(&private)?,
            "ek_hash": id.as_bytes(),
        });
        Ok(Self { json: serde_json::to_string_pretty(&data)?, ak, ek, id })
    }

    /// Writes the file as Keylime's agent does: emptied first, then from its start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.json).with_context(|| format!("failed to write {}", path.display()))
    }
}

/// The content of a TPM2B.
fn without_size(tpm2b: &[u8]) -> Result<&[u8]> {
    match tpm2b.split_first_chunk::<2>() {
        Some((size, rest)) if usize::from(u16::from_be_bytes(*size)) == rest.len() => Ok(rest),
        _ => bail!("expected a TPM2B, got {} bytes", tpm2b.len()),
    }
}
