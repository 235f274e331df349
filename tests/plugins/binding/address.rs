//! The address of SPIRE's client, compared with the one that Keylime's verifier has for the node.

use anyhow::{Context as _, Result};
use keylime_attestor_proto::server::node_attestor::attest_request::Request;
use lab::fake_keylime::State;
use lab::site::Site;
use serde_json::{Value, json};
use tonic::{Code, Status};

const CLIENT_IP: &str = "x-forwarded-client-ip";

#[tokio::test]
async fn only_the_nodes_own_address_is_let_in() -> Result<()> {
    let site = Site::start().await?;
    site.configure("client_address = \"verifier\"").await?;
    at(&site, json!("192.0.2.7"));
    attest(&site, Some("192.0.2.7")).await?;
    attest(&site, Some("::ffff:192.0.2.7")).await?;
    for (client, ip, code, reason) in [
        (Some("192.0.2.8"), json!("192.0.2.7"), Code::PermissionDenied, "other_client_address"),
        (Some("192.0.2.7"), json!("node.example"), Code::PermissionDenied, "no_node_address"),
        (Some("192.0.2.7"), Value::Null, Code::PermissionDenied, "no_node_address"),
        (None, json!("192.0.2.7"), Code::Unavailable, "no_client_address"),
        (Some("nonsense"), json!("192.0.2.7"), Code::Unavailable, "no_client_address"),
    ] {
        at(&site, ip);
        let status = attest(&site, client).await.err().with_context(|| format!("{reason}: let in"))?;
        assert_eq!(status.code(), code, "{reason}: {status:?}");
        site.host.log().wait_for(|entry| entry["reason"] == reason).await?;
    }
    Ok(())
}

#[tokio::test]
async fn by_default_the_address_does_not_count() -> Result<()> {
    let site = Site::start().await?;
    at(&site, json!("192.0.2.7"));
    attest(&site, Some("192.0.2.8")).await?;
    attest(&site, None).await?;
    Ok(())
}

fn at(site: &Site, ip: Value) {
    site.keylime.add(site.node.known().with_states([State::pass().with("ip", ip)]));
}

async fn attest(site: &Site, client: Option<&'static str>) -> Result<(), Status> {
    let metadata: Vec<(&'static str, &'static str)> =
        client.map(|client| (CLIENT_IP, client)).into_iter().collect();
    let mut session = site.host.plugin().open_attest(&metadata).await?;
    session.send(Some(Request::Payload(site.node.payload())));
    let challenge = session.challenge().await?;
    let response = site.node.respond(&challenge).map_err(|error| Status::unknown(error.to_string()))?;
    session.respond(response);
    session.attributes().await.map(drop)
}
