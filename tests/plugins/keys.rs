//! A node's keys, compared with each other and with those that its agent attested with before.

#![expect(clippy::expect_used, reason = "what the tests share is test code too")]

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::{AttestationKey, EndorsementKey};
use keylime_attestor_proto::api::types::Agent;
use lab::fake_keylime::{Node, recorded};
use lab::fake_spire::{FakeSpire, keylime_agent, with_selector};
use lab::site::{Site, SoftNode};
use lab::soft_ak::SoftAk;
use tonic::Code;

/// A plugin that asks a SPIRE which agents attested before.
async fn site(agents: impl IntoIterator<Item = Agent>) -> Result<(Site, FakeSpire)> {
    let (site, spire) = (Site::start().await?, FakeSpire::start(agents)?);
    let socket = spire.socket().display();
    site.configure(&format!("enforcement {{\n spire_socket_path = \"{socket}\"\n interval = \"1h\"\n}}\n"))
        .await?;
    Ok((site, spire))
}

/// The agent on a node, as SPIRE holds it after an attestation with these keys.
fn attested(node: &SoftNode, ak: &[u8], ek: &[u8]) -> Result<Agent> {
    let ak = AttestationKey::from_tpm2b_public(ak)?.sha256();
    let ek = EndorsementKey::from_tpm2b_public(ek)?.sha256();
    let agent = with_selector(keylime_agent(node.id().as_str()), "keylime", &format!("ak_sha256:{ak}"));
    Ok(with_selector(agent, "keylime", &format!("ek_sha256:{ek}")))
}

async fn assert_refused(site: &Site, code: Code, reason: &str, level: &str) -> Result<()> {
    let status = site.attest().await.expect_err(reason);
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(site.reason().await?, reason, "{status:?}");
    let entries = site.host.log().entries();
    let line = entries.iter().rev().find(|entry| entry["@message"] == "node attestation ended");
    assert_eq!(line.map(|line| line["@level"].clone()), Some(level.into()));
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_another_than_before_is_refused_until_the_agent_is_evicted() -> Result<()> {
    let other = SoftAk::p256()?.tpm2b_public();
    let (site, spire) = site([]).await?;
    let ak = STANDARD.decode(site.node.known().aik_tpm)?;
    spire.add(attested(&site.node, &ak, &recorded::ek())?);
    site.attest().await?;

    for (ak, ek) in [(&other, &recorded::ek()), (&ak, &other)] {
        spire.remove(site.node.id().as_str());
        site.attest().await?;
        spire.add(attested(&site.node, ak, ek)?);
        assert_refused(&site, Code::PermissionDenied, "key_changed", "error").await?;
    }
    // An EK that the registrar no longer tells has changed as well.
    spire.remove(site.node.id().as_str());
    spire.add(attested(&site.node, &ak, &recorded::ek())?);
    site.keylime.add(Node { ek_tpm: String::new(), ..site.node.known() });
    assert_refused(&site, Code::PermissionDenied, "key_changed", "error").await
}

#[tokio::test]
async fn an_ek_is_of_one_agent_at_a_time() -> Result<()> {
    let (site, spire) = site([]).await?;
    let other = SoftNode::new("other", SoftAk::p256()?)?;
    let agent = attested(&other, &SoftAk::p256()?.tpm2b_public(), &recorded::ek())?;
    spire.add(agent.clone());
    assert_refused(&site, Code::PermissionDenied, "ek_of_another", "error").await?;

    spire.remove("other");
    spire.add(Agent { x509svid_expires_at: 1, ..agent });
    site.attest().await?;
    // The same agent by another path, such as before agent_path_template changed.
    let mut moved = attested(&site.node, &STANDARD.decode(site.node.known().aik_tpm)?, &recorded::ek())?;
    moved.id.get_or_insert_default().path = "/spire/agent/keylime/before".to_owned();
    spire.add(moved);
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn a_spire_that_cannot_be_asked_for_the_keys_is_no_yes() -> Result<()> {
    let (site, spire) = site([]).await?;
    spire.take_down().await;
    assert_refused(&site, Code::Unavailable, "spire_socket", "warn").await?;
    spire.bring_up()?;
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn an_ak_below_another_ek_than_the_registered_one_is_refused() -> Result<()> {
    let site = Site::start().await?;
    let ek_tpm = STANDARD.encode(SoftAk::p256()?.tpm2b_public());
    site.keylime.add(Node { ek_tpm, ..site.node.known() });
    assert_refused(&site, Code::PermissionDenied, "quote_signer", "error").await
}
