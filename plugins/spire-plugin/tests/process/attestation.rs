//! Attestations, good and bad ones.

use anyhow::Result;
use keylime_attestor_proto::server::node_attestor::AttestRequest;
use keylime_attestor_proto::server::node_attestor::attest_request::Request;
use keylime_attestor_proto::server::node_attestor::node_attestor_client::NodeAttestorClient;
use lab::host::{Host, ServerSession};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::{TRUST_DOMAIN, agent_plugin, configured, ends_well};

#[tokio::test]
async fn server_challenges_and_attests() -> Result<()> {
    let host = configured().await?;
    let mut session = host.plugin().attest("greet").await?;
    assert_eq!(session.challenge().await?, b"hello");
    session.respond("hi");
    let attributes = session.attributes().await?;
    assert_eq!(attributes.spiffe_id, "spiffe://example.org/spire/agent/test/1");
    assert_eq!(attributes.selector_values, ["trust_domain:example.org", "greeting:hello", "response:hi"]);
    assert!(attributes.can_reattest);
    ends_well(host).await
}

#[tokio::test]
async fn agent_sends_payload_and_responses() -> Result<()> {
    let host = agent_plugin().start().await?;
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    let mut session = host.plugin().aid_attestation().await?;
    assert_eq!(session.payload().await?, b"hello");
    assert_eq!(session.challenge("one").await?, b"response to one");
    assert_eq!(session.challenge("two").await?, b"response to two");
    session.finish().await?;
    host.services().wait_for_measurement(|one| one.key == ["challenges"]).await?;

    for (challenge, code) in
        [("panic", Code::Internal), ("refuse", Code::PermissionDenied), ("", Code::InvalidArgument)]
    {
        let mut session = host.plugin().aid_attestation().await?;
        session.payload().await?;
        assert_eq!(session.challenge(challenge).await.unwrap_err().code(), code, "{challenge}");
    }
    let mut session = host.plugin().aid_attestation().await?;
    session.payload().await?;
    let too_large = session.challenge(vec![b'x'; 2 * 1024 * 1024]).await.unwrap_err();
    assert_eq!(too_large.code(), Code::InvalidArgument);
    ends_well(host).await
}

#[tokio::test]
async fn the_plugins_status_goes_out_as_it_is() -> Result<()> {
    let host = configured().await?;
    let refused = host.plugin().attest("refuse").await?.answer().await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "refused as asked"));
    ends_well(host).await
}

#[tokio::test]
async fn messages_that_spire_would_not_send_are_invalid() -> Result<()> {
    let host = configured().await?;
    let payload = |bytes: &str| Some(Request::Payload(bytes.into()));
    let response = |bytes: &str| Some(Request::ChallengeResponse(bytes.into()));

    for (first, text) in [
        (response("greet"), "expected a payload, got a challenge response"),
        (payload(""), "expected a payload, got an empty one"),
        (None, "expected a payload, got a message without content"),
    ] {
        let mut session = host.plugin().open_attest(&[]).await?;
        session.send(first);
        is_invalid(session.answer().await.unwrap_err(), text);
    }
    for (second, text) in [
        (payload("greet"), "expected a challenge response, got a second payload"),
        (response(""), "expected a challenge response, got an empty one"),
        (None, "expected a challenge response, got a message without content"),
    ] {
        let mut session = challenged(&host).await?;
        session.send(second);
        is_invalid(session.answer().await.unwrap_err(), text);
    }
    ends_well(host).await
}

#[tokio::test]
async fn streams_that_end_too_early_are_invalid() -> Result<()> {
    let host = configured().await?;
    let mut session = host.plugin().open_attest(&[]).await?;
    session.close();
    is_invalid(session.answer().await.unwrap_err(), "expected a payload, got the end of the stream");
    let mut session = challenged(&host).await?;
    session.close();
    is_invalid(
        session.answer().await.unwrap_err(),
        "expected a challenge response, got the end of the stream",
    );
    ends_well(host).await
}

#[tokio::test]
async fn messages_that_are_too_large_are_invalid() -> Result<()> {
    let host = configured().await?;
    let large = vec![b'x'; 2 * 1024 * 1024];
    let too_large = "message is too large: at most 1048576 bytes are read";
    let mut session = host.plugin().attest(large.clone()).await?;
    is_invalid(session.answer().await.unwrap_err(), too_large);
    let mut session = challenged(&host).await?;
    session.respond(large);
    is_invalid(session.answer().await.unwrap_err(), too_large);
    ends_well(host).await
}

#[tokio::test]
async fn a_panic_ends_one_attestation_only() -> Result<()> {
    let host = configured().await?;
    let mut other = challenged(&host).await?;
    let failed = host.plugin().attest("panic payload").await?.answer().await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert!(!failed.message().contains("secret"), "{failed}");
    other.respond("hi");
    other.attributes().await?;

    let logged = host.log().wait_for(|entry| entry["location"].is_string()).await?;
    assert_eq!(logged["@level"], "error");
    assert!(logged["location"].as_str().is_some_and(|location| location.contains("plugin/main.rs:")));
    let log = host.log().clone();
    ends_well(host).await?;
    assert!(log.lines().iter().all(|line| !line.contains("secret")), "the text of a panic was logged");
    Ok(())
}

#[tokio::test]
async fn the_agents_address_where_spire_tells_it() -> Result<()> {
    let host = configured().await?;
    for (metadata, address) in [
        (&[("x-forwarded-client-ip", "10.1.2.3")][..], "address:Some(10.1.2.3)"),
        (&[("x-forwarded-client-ip", "2001:db8::1")], "address:Some(2001:db8::1)"),
        (&[("x-forwarded-client-ip", "nonsense")], "address:None"),
        (&[], "address:None"),
    ] {
        let mut session = host.plugin().open_attest(metadata).await?;
        session.send(Some(Request::Payload("address".into())));
        assert_eq!(session.attributes().await?.selector_values, ["trust_domain:example.org", address]);
    }
    ends_well(host).await
}

#[tokio::test]
async fn an_attestation_that_spire_gives_up_is_dropped() -> Result<()> {
    let host = configured().await?;
    let session = host.plugin().attest("hang").await?;
    host.log().wait_for_message("hanging").await?;
    drop(session);
    host.log().wait_for_message("given up").await?;
    ends_well(host).await
}

#[tokio::test]
async fn attestations_of_a_connection_that_breaks_are_dropped() -> Result<()> {
    let host = configured().await?;
    let socket = host.socket()?;
    let connection = Endpoint::from_shared(format!("unix://{}", socket.display()))?.connect().await?;
    let order = AttestRequest { request: Some(Request::Payload("hang".into())) };
    let hanging = NodeAttestorClient::new(connection).attest(tokio_stream::once(order)).await?;
    host.log().wait_for_message("hanging").await?;
    drop(hanging);
    host.log().wait_for_message("given up").await?;
    challenged(&host).await?;
    ends_well(host).await
}

#[tokio::test]
async fn many_attestations_at_once() -> Result<()> {
    let host = configured().await?;
    let mut sessions = Vec::new();
    for _ in 0..500 {
        sessions.push(challenged(&host).await?);
    }
    // All of them are open now, and still the plugin answers other calls.
    host.plugin().configure(TRUST_DOMAIN, "welcome").await?;
    for (number, session) in sessions.iter_mut().enumerate() {
        session.respond(number.to_string());
        let selectors = session.attributes().await?.selector_values;
        assert!(
            selectors.contains(&format!("response:{number}"))
                && selectors.contains(&"greeting:hello".to_owned())
        );
    }
    ends_well(host).await
}

#[tokio::test]
async fn thousands_of_refusals_leave_the_connection_alone() -> Result<()> {
    let host = configured().await?;
    let mut other = challenged(&host).await?;
    let mut refused = JoinSet::new();
    for number in 0..4000 {
        let plugin = host.plugin().clone();
        refused.spawn(async move {
            let mut session = plugin.attest("refuse").await?;
            // Half of them are given up at once, which resets their streams.
            if number % 2 == 0 {
                session.answer().await.map(drop)
            } else {
                Err(Status::permission_denied(""))
            }
        });
    }
    while let Some(answer) = refused.join_next().await {
        assert_eq!(answer?.unwrap_err().code(), Code::PermissionDenied);
    }
    other.respond("hi");
    other.attributes().await?;
    ends_well(host).await
}

async fn challenged(host: &Host) -> Result<ServerSession> {
    let mut session = host.plugin().attest("greet").await?;
    session.challenge().await?;
    Ok(session)
}

fn is_invalid(status: Status, text: &str) {
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
}
