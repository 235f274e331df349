//! The agent plugin sends the token of its pod, as it is at that moment, or does not attest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;
use evidence::message::Payload;
use lab::fake_keylime::{FakeAgent, FakeAgentConfig};
use lab::host::Host;
use lab::programs;
use lab::site::TRUST_DOMAIN;
use tempfile::TempDir;
use tonic::{Code, Status};

const ID: &str = "d432fbb3-d2f1-4a97-9ef7-75bd81c00042";
const FIRST: &str = "aaaa.FIRSTclaims.SIGNATURE";
const SECOND: &str = "aaaa.SECONDclaims.SIGNATURE";

/// An agent plugin whose token's file is a link, as in a projected volume.
struct Pod {
    agent: FakeAgent,
    host: Host,
    folder: TempDir,
}

#[tokio::test]
async fn the_token_of_each_moment_is_sent_and_logged_nowhere() -> Result<()> {
    let pod = Pod::with(FIRST).await?;
    assert_eq!(pod.sent().await?.as_deref(), Some(FIRST));
    pod.renew(SECOND)?;
    assert_eq!(pod.sent().await?.as_deref(), Some(SECOND));
    for line in pod.host.log().lines() {
        assert!(!line.contains("claims") && !line.contains("SIGNATURE"), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn there_is_no_attestation_without_the_token_that_is_configured() -> Result<()> {
    let pod = Pod::with(FIRST).await?;
    let asked = pod.agent.server.served();
    let large = "aaaa.".to_owned() + &"x".repeat(3000);
    for (content, said) in [
        (Some(""), "is empty"),
        (Some("SECONDclaims"), "not of the expected form"),
        (Some(large.as_str()), "expected at most 2560 bytes"),
        (None, "No such file"),
    ] {
        match content {
            Some(content) => pod.renew(content)?,
            None => fs::remove_file(pod.token())?,
        }
        let status = pod.sent().await.expect_err("it attested without the token");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains(said) && status.message().contains("/token"), "{status:?}");
        assert!(!status.message().contains("claims"), "{status:?}");
    }
    assert_eq!(pod.agent.server.served(), asked, "the Keylime agent was asked");
    Ok(())
}

#[tokio::test]
async fn a_configuration_whose_token_is_missing_is_refused_and_says_so() -> Result<()> {
    let pod = Pod::with(FIRST).await?;
    fs::remove_file(pod.token())?;
    let refused = pod.host.plugin().validate(TRUST_DOMAIN, &pod.configuration(&pod.token())).await?;
    let note = refused.notes.first().cloned().unwrap_or_default();
    assert!(note.starts_with("service_account_token_file") && note.contains("No such file"), "{note}");
    let refused = pod.host.plugin().validate(TRUST_DOMAIN, &pod.configuration(Path::new(FIRST))).await?;
    assert!(!refused.valid && !refused.notes.concat().contains("claims"), "{:?}", refused.notes);
    Ok(())
}

#[tokio::test]
async fn without_the_key_the_payload_is_that_of_the_go_plugin() -> Result<()> {
    let pod = Pod::with(FIRST).await?;
    let port = format!("keylime_agent_port = {}", pod.agent.server.port());
    pod.host.plugin().configure(TRUST_DOMAIN, &port).await?;
    let payload = pod.host.plugin().aid_attestation().await?.payload().await?;
    assert!(!String::from_utf8(payload)?.contains("ServiceAccountToken"));
    Ok(())
}

impl Pod {
    async fn with(token: &str) -> Result<Self> {
        let agent = FakeAgent::start(FakeAgentConfig::recorded(ID)).await?;
        let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
        let pod = Self { agent, host, folder: TempDir::new()? };
        pod.renew(token)?;
        pod.host.plugin().configure(TRUST_DOMAIN, &pod.configuration(&pod.token())).await?;
        Ok(pod)
    }

    fn configuration(&self, token: &Path) -> String {
        format!("keylime_agent_port = {}\nservice_account_token_file = {token:?}", self.agent.server.port())
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Puts another file behind the link.
    fn renew(&self, token: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new_in(self.folder.path())?.into_temp_path().keep()?;
        fs::write(&file, token)?;
        if self.token().symlink_metadata().is_ok() {
            fs::remove_file(self.token())?;
        }
        Ok(symlink(file, self.token())?)
    }

    /// The token in the payload of an attestation.
    async fn sent(&self) -> Result<Option<String>, Status> {
        let payload = self.host.plugin().aid_attestation().await?.payload().await?;
        let payload = Payload::from_json(&payload).map_err(|error| Status::unknown(error.to_string()))?;
        Ok(payload.service_account_token.map(|token| token.as_str().to_owned()))
    }
}
