//! SPIRE's agent plugin, by way of the quoter's socket.

use anyhow::{Context as _, Result, ensure};
use evidence::message::{Challenge, Payload, Response};
use evidence::{HashAlg, Nonce};
use lab::agent_data::KeyKind;
use lab::host::Host;
use lab::programs;
use lab::site::TRUST_DOMAIN;

use super::Lab;

async fn agent_plugin(lab: &Lab) -> Result<Host> {
    let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
    let configuration = format!("keylime_agent_socket = {:?}", lab.quoter.socket());
    host.plugin().configure(TRUST_DOMAIN, &configuration).await?;
    Ok(host)
}

/// The text by which the plugin ends an attestation.
async fn refusal(host: &Host) -> Result<String> {
    let mut session = host.plugin().aid_attestation().await?;
    let status = session.payload().await.err().context("there was a payload")?;
    ensure!(status.code() == tonic::Code::Unavailable, "{status:?}");
    Ok(status.message().to_owned())
}

#[tokio::test]
async fn the_agent_plugin_attests_by_the_quoter() -> Result<()> {
    for (kind, bank) in [(KeyKind::Rsa, HashAlg::Sha256), (KeyKind::P384, HashAlg::Sha384)] {
        let lab = Lab::start(kind)?;
        let host = agent_plugin(&lab).await?;
        let mut session = host.plugin().aid_attestation().await?;
        let payload = Payload::from_json(&session.payload().await?)?;
        // A verifier in push mode knows no bank: the payload has to name it.
        assert_eq!((payload.agent_id.as_str(), payload.hash_alg), (lab.key.id.as_str(), Some(bank)));
        for nonce in ["FIRST", "SECOND"] {
            let challenge = Challenge { nonce: Nonce::parse(nonce.as_bytes())? }.to_json();
            let response = Response::from_json(&session.challenge(challenge).await?)?;
            lab.verify(&response.quote, nonce, bank)?;
        }
        session.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_quoters_own_words_are_in_the_log_of_spires_agent() -> Result<()> {
    let mut lab = Lab::start(KeyKind::P256)?;
    let host = agent_plugin(&lab).await?;
    std::fs::remove_file(lab.quoter.agent_data())?;
    let text = refusal(&host).await?;
    ensure!(text.contains("failed to get an answer of the quoter at /"), "{text}");
    ensure!(text.contains("it does not exist; start Keylime's agent once, which makes it"), "{text}");

    lab.quoter.stop()?;
    let text = refusal(&host).await?;
    ensure!(text.contains("no connection (No such file or directory"), "{text}");
    ensure!(text.contains("check that keylime-attestor-quoter runs on this node"), "{text}");

    lab.key.write(&lab.quoter.agent_data())?;
    lab.quoter.start_again()?;
    host.plugin().aid_attestation().await?.payload().await.map(drop).map_err(Into::into)
}
