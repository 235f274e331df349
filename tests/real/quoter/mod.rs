//! `keylime-attestor-quoter` with software TPMs, and keys made as Keylime's agents make theirs.

mod beside;
mod commands;
mod failures;
mod life;
mod load;
mod plugin;
mod unit;

use anyhow::Result;
use evidence::{AttestationKey, EndorsementKey, HashAlg, Nonce, Quote};
use lab::agent_data::{AgentKey, KeyKind};
use lab::quoter::Quoter;
use lab::swtpm::Swtpm;
use tempfile::TempDir;

/// A quoter on a software TPM, by the key of a Keylime agent.
struct Lab {
    quoter: Quoter,
    key: AgentKey,
    tpm: Swtpm,
    _dir: TempDir,
}

impl Lab {
    fn start(kind: KeyKind) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let tpm = Swtpm::start(dir.path())?;
        let key = AgentKey::make(&tpm, kind)?;
        let quoter = Quoter::start(&tpm.tcti(), &[])?;
        key.write(&quoter.agent_data())?;
        Ok(Self { quoter, key, tpm, _dir: dir })
    }

    /// Verifies as the server plugin does: the key, the nonce, the bank, and the key's parent.
    fn verify(&self, quote: &str, nonce: &str, bank: HashAlg) -> Result<()> {
        verify(&self.key, quote, nonce, bank)
    }
}

fn verify(key: &AgentKey, quote: &str, nonce: &str, bank: HashAlg) -> Result<()> {
    let ak = AttestationKey::from_tpm2b_public(&key.ak)?;
    let verified = Quote::parse(quote)?.verify(&ak, &Nonce::parse(nonce.as_bytes())?, bank)?;
    // A name by SHA-384 is not supported, as that of a P-384 key is.
    if bank == HashAlg::Sha256 {
        verified.check_signer(&ak, &EndorsementKey::from_tpm2b_public(&key.ek)?)?;
    }
    Ok(())
}

#[test]
fn quotes_by_keys_of_each_algorithm_verify() -> Result<()> {
    for (kind, bank) in
        [(KeyKind::Rsa, HashAlg::Sha256), (KeyKind::P256, HashAlg::Sha256), (KeyKind::P384, HashAlg::Sha384)]
    {
        let lab = Lab::start(kind)?;
        let info = lab.quoter.get("/v2.6/agent/info")?;
        assert_eq!(info.status, 200, "{kind:?}: {info:?}");
        assert_eq!(info.body["results"]["agent_uuid"], lab.key.id, "{kind:?}");
        assert_eq!(info.body["results"]["tpm_hash_alg"], bank.as_str(), "{kind:?}");
        for nonce in ["FIRST", "second", &"N".repeat(32)] {
            lab.verify(&lab.quoter.quote(nonce)?, nonce, bank)?;
        }
    }
    Ok(())
}

#[test]
fn versions_and_errors_have_the_form_of_keylimes_agents() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let version = lab.quoter.get("/version")?;
    assert_eq!((version.status, &version.body["results"]["supported_version"]), (200, &"2.6".into()));
    for path in ["/", "/v2.1/agent/info", "/v2.6/keys/pubkey", "/v2.6/quotes/integrity?nonce=A"] {
        let answer = lab.quoter.get(path)?;
        assert_eq!((answer.status, answer.body["code"].as_u64()), (400, Some(400)), "{path}: {answer:?}");
    }
    Ok(())
}
