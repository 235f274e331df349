//! The server plugin with a Keylime that fails, lies or is somebody else: no identity, and never a
//! refusal of the node.

#![expect(clippy::expect_used, reason = "what the tests share is test code too")]

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use lab::fake_keylime::pki::{Ca, Clients, Validity};
use lab::fake_keylime::{Fault, Node, Response, SERVER_NAMES, State};
use lab::site::Site;
use serde_json::json;
use tonic::Code;

/// The three questions that an attestation asks.
const QUESTIONS: [&str; 3] = ["registrar /agents/", "verifier /agents/", "verifier /verify/identity"];

#[tokio::test]
async fn whatever_is_no_answer_of_keylime_is_unavailable_and_never_a_refusal() -> Result<()> {
    let site = Site::start().await?;
    for (fault, reason) in [
        (Fault::Hang, "answer_timeout"),
        (Fault::HangUp, "connection_closed"),
        (Fault::Raw(b"\x15\x03\x01 no http at all\r\n\r\n".to_vec()), "not_http"),
        (Fault::Answer(Response::html(200, "<html>hello</html>")), "not_json"),
        (Fault::Answer(Response::json(200, "nonsense")), "not_json"),
        (
            Fault::Answer(Response::json(200, r#"{"code":200,"status":"Success","results":[]}"#)),
            "wrong_shape",
        ),
        (Fault::Answer(Response::json(403, "{}")), "client_certificate_refused"),
        (Fault::Answer(Response::html(404, "")), "unexpected_status"),
        (Fault::Answer(Response::html(500, "")), "server_error"),
        (Fault::Redirect("https://127.0.0.1:1/".to_owned()), "redirect"),
        (Fault::CutShort, "cut_short"),
        (Fault::Huge(10 * 1024 * 1024), "too_large"),
        (Fault::Endless, "too_large"),
        (Fault::Drip(Duration::from_millis(50)), "answer_timeout"),
    ] {
        // Short only where it is waited out, so that a busy machine brings no other fault.
        let timeout = if reason == "answer_timeout" { "1s" } else { "60s" };
        site.configure(&format!("request_timeout = {timeout:?}")).await?;
        site.attest().await?;
        for question in QUESTIONS {
            break_question(&site, question, &fault);
            let status =
                site.attest().await.expect_err(&format!("{question} {fault:?}: the node was accepted"));
            assert_eq!(status.code(), Code::Unavailable, "{question} {fault:?}: {status:?}");
            assert_eq!(site.reason().await?, reason, "{question} {fault:?}: {status:?}");
            site.keylime.registrar.heal();
            site.keylime.verifier.heal();
        }
        site.attest().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_the_next_attestation_finds_it_again() -> Result<()> {
    let mut site = Site::start().await?;
    site.attest().await?;
    site.keylime.registrar.take_down().await;
    let status = site.attest().await.expect_err("the node was accepted without the registrar");
    assert_eq!(status.code(), Code::Unavailable);
    let address = format!("registrar at 127.0.0.1:{}", site.keylime.registrar.port());
    assert!(status.message().contains(&address), "{status:?}");
    site.keylime.registrar.bring_up().await?;

    site.keylime.verifier.take_down().await;
    let status = site.attest().await.expect_err("the node was accepted without the verifier");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("verifier at 127.0.0.1"), "{status:?}");
    site.keylime.verifier.bring_up().await?;

    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn answers_about_another_node_are_not_used() -> Result<()> {
    let site = Site::start().await?;
    site.keylime.add(Node { answered_id: "somebody-else".to_owned(), ..site.node.known() });
    let status = site.attest().await.expect_err("another node's registration was used");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_registration_with_an_ak_that_is_none_refuses() -> Result<()> {
    let site = Site::start().await?;
    for aik_tpm in ["", "AAAA", "not base64"] {
        site.keylime.add(Node { aik_tpm: aik_tpm.to_owned(), ..site.node.known() });
        site.attest().await.expect_err("a node without an AK was accepted");
    }
    Ok(())
}

#[tokio::test]
async fn members_of_other_types_are_no_answer() -> Result<()> {
    let site = Site::start().await?;
    for (member, value) in [
        ("attestation_status", json!(3)),
        ("operational_state", json!("3")),
        ("last_successful_attestation", json!("yesterday")),
        ("last_successful_attestation", json!(-1)),
    ] {
        site.keylime.add(site.node.known().with_states([State::pass().with(member, value.clone())]));
        let status = site.attest().await.expect_err(&format!("{member} {value}: accepted"));
        assert_eq!(status.code(), Code::Unavailable, "{member} {value}: {status:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_with_another_ca_or_name_or_an_old_certificate_is_not_believed() -> Result<()> {
    let site = Site::start().await?;
    let ca = &site.keylime.ca;
    let other = Ca::new()?;
    for (certificate, reason) in [
        (other.server(&SERVER_NAMES, Validity::Now)?, "unknown_ca"),
        (ca.server(&["keylime.example"], Validity::Now)?, "wrong_server_name"),
        (ca.server(&SERVER_NAMES, Validity::Expired)?, "certificate_expired"),
        (ca.server(&SERVER_NAMES, Validity::NotYet)?, "certificate_not_yet_valid"),
    ] {
        site.keylime.verifier.set_tls(certificate.server_config(Clients::Optional(ca))?);
        // A fresh configuration has no open connections.
        site.configure("").await?;
        let status = site.attest().await.expect_err(&format!("{reason}: the node was accepted"));
        assert_eq!(status.code(), Code::Unavailable, "{reason}: {status:?}");
        assert_eq!(site.reason().await?, reason, "{status:?}");
    }

    let named = ca.server(&["keylime.example"], Validity::Now)?;
    site.keylime.verifier.set_tls(named.server_config(Clients::Optional(ca))?);
    site.keylime.registrar.set_tls(named.server_config(Clients::Optional(ca))?);
    site.configure("keylime_tls_server_name = \"keylime.example\"").await?;
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_of_another_ca_is_refused_by_keylime() -> Result<()> {
    let mut site = Site::start().await?;
    let folder = tempfile::tempdir()?;
    let stranger = Ca::new()?.write_client(folder.path())?;
    site.files.cert = stranger.cert;
    site.files.key = stranger.key;
    site.configure("").await?;
    let status = site.attest().await.expect_err("a stranger's certificate was accepted");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() -> Result<()> {
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    proxy.set_nonblocking(true)?;
    let address = format!("http://{}", proxy.local_addr()?);
    let site = Site::start_with_env(
        &["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"],
        &address,
    )
    .await?;
    site.attest().await?;
    assert!(proxy.accept().is_err(), "the proxy was asked");
    Ok(())
}

fn break_question(site: &Site, question: &str, fault: &Fault) {
    let (server, path) = question.split_once(' ').expect("a question is a server and a path");
    match server {
        "registrar" => site.keylime.registrar.fault(path, fault.clone()),
        _ => site.keylime.verifier.fault(path, fault.clone()),
    }
}
