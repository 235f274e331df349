//! The server plugin with agents that send what no agent should.

use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::message::{Payload, Response};
use keylime_attestor_proto::server::node_attestor::attest_request::Request;
use lab::site::Site;
use serde_json::json;
use tonic::Code;

/// Ids that would lead a request elsewhere, if one were made with them.
const TRICKS: [&str; 12] = [
    "..",
    ".",
    "../version",
    "a/../b",
    "a?agents=b",
    "a#b",
    "a%2f..%2fb",
    "a b",
    "a\r\nHost: x",
    "a\0",
    "ä",
    "",
];

#[tokio::test]
async fn ids_with_path_or_query_tricks_are_refused_and_no_request_is_made() -> Result<()> {
    let site = Site::start().await?;
    let long = "a".repeat(256);
    for id in TRICKS.into_iter().chain([long.as_str()]) {
        let payload =
            json!({"AgentID": STANDARD.encode(id), "HashAlg": STANDARD.encode("sha256")}).to_string();
        let mut session = site.host.plugin().attest(payload).await?;
        let status = session.answer().await.expect_err(&format!("{id:?} was taken for an id"));
        assert_eq!(status.code(), Code::InvalidArgument, "{id:?}: {status:?}");
    }
    assert_eq!(site.keylime.registrar.served() + site.keylime.verifier.served(), 0, "a request was made");
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn payloads_that_are_none_are_invalid_arguments() -> Result<()> {
    let site = Site::start().await?;
    let id = STANDARD.encode(site.node.id().as_str());
    let large =
        json!({"AgentID": id, "HashAlg": STANDARD.encode("sha256"), "More": "x".repeat(Payload::MAX_LEN)});
    for payload in [
        "x".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"AgentID": "%%%"}).to_string(),
        json!({"AgentID": id, "HashAlg": STANDARD.encode("md5")}).to_string(),
        json!({"AgentID": 7}).to_string(),
        json!({"AgentID": id, "ServiceAccountToken": STANDARD.encode("no token")}).to_string(),
        large.to_string(),
    ] {
        let mut session = site.host.plugin().attest(payload.clone()).await?;
        let status = session.answer().await.expect_err("the payload was accepted");
        assert_eq!(status.code(), Code::InvalidArgument, "{payload:.80}: {status:?}");
    }
    assert_eq!(site.keylime.registrar.served() + site.keylime.verifier.served(), 0, "a request was made");
    Ok(())
}

#[tokio::test]
async fn weak_hash_algorithms_are_refused() -> Result<()> {
    let site = Site::start().await?;
    let id = STANDARD.encode(site.node.id().as_str());
    let payload = json!({"AgentID": id, "HashAlg": STANDARD.encode("sha1")}).to_string();
    let status = site.host.plugin().attest(payload).await?.answer().await.expect_err("sha1 was accepted");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_member_an_absent_bank_and_a_token_that_nobody_asks_for_do_no_harm() -> Result<()> {
    let site = Site::start().await?;
    let id = STANDARD.encode(site.node.id().as_str());
    for payload in [
        json!({"AgentID": id, "HashAlg": STANDARD.encode("sha256"), "Later": "%"}),
        json!({"AgentID": id, "HashAlg": ""}),
        json!({"AgentID": id, "ServiceAccountToken": STANDARD.encode("header.claims.signature")}),
    ] {
        let mut session = site.host.plugin().attest(payload.to_string()).await?;
        let challenge = session.challenge().await?;
        session.respond(site.node.respond(&challenge)?);
        session.attributes().await?;
    }
    Ok(())
}

#[tokio::test]
async fn responses_that_are_none_are_refused() -> Result<()> {
    let site = Site::start().await?;
    let quote = |quote: &str| Response { quote: quote.to_owned() }.to_json();
    for response in [
        b"x".to_vec(),
        b"{}".to_vec(),
        json!({"TPMQuote": ""}).to_string().into_bytes(),
        json!({"TPMQuote": "%"}).to_string().into_bytes(),
        quote("r"),
        quote("rAAAA:AAAA:AAAA"),
        quote("AAAA:AAAA:AAAA"),
        quote(&"r".repeat(30_000)),
        vec![b' '; Response::MAX_LEN + 1],
    ] {
        let shown: String = String::from_utf8_lossy(&response).chars().take(60).collect();
        let status = site.attest_with(|_| Ok(response)).await.expect_err(&format!("{shown}: accepted"));
        assert!(
            matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied),
            "{shown}: {status:?}"
        );
    }
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn messages_out_of_order_are_invalid_arguments() -> Result<()> {
    let site = Site::start().await?;
    let payload = Request::Payload(site.node.payload());
    let response = Request::ChallengeResponse(b"{}".to_vec());

    for first in [Some(response), None, Some(Request::Payload(Vec::new()))] {
        let mut session = site.host.plugin().open_attest(&[]).await?;
        session.send(first);
        let status = session.answer().await.expect_err("a first message that is no payload was accepted");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }

    let mut session = site.host.plugin().attest(site.node.payload()).await?;
    session.challenge().await?;
    session.send(Some(payload));
    let status = session.answer().await.expect_err("a second payload was accepted for a response");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");

    let mut session = site.host.plugin().attest(site.node.payload()).await?;
    session.challenge().await?;
    session.close();
    session.answer().await.expect_err("a missing response was accepted");
    Ok(())
}

#[tokio::test]
async fn an_attestation_that_spire_gives_up_is_logged_too() -> Result<()> {
    let site = Site::start().await?;
    let mut session = site.host.plugin().attest(site.node.payload()).await?;
    session.challenge().await?;
    drop(session);
    let id = site.node.id().as_str();
    site.host.log().wait_for(|entry| entry["reason"] == "given_up" && entry["agent_id"] == id).await?;
    Ok(())
}

#[tokio::test]
async fn a_node_that_never_answers_does_not_hold_its_attestation_open() -> Result<()> {
    let site = Site::start().await?;
    site.configure("challenge_timeout = \"200ms\"").await?;
    let mut session = site.host.plugin().attest(site.node.payload()).await?;
    session.challenge().await?;
    let status = tokio::time::timeout(Duration::from_secs(30), session.answer()).await?;
    let status = status.expect_err("silence was accepted");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    Ok(())
}
