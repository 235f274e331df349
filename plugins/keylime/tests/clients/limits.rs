//! Limits: whatever a server does, an answer or an error comes in time.

use std::time::Duration;

use keylime::{Endpoint, Servers, ServersConfig};
use lab::fake_keylime::{Fault, Response};
use tokio::net::TcpListener;

use super::{PATIENT, SHORT, World, agent, at};

/// The client's result of a fault at the verifier.
async fn meets(fault: Fault, timeout: Duration) -> (&'static str, bool) {
    let world = World::new().await;
    let servers = Servers::new(ServersConfig { request_timeout: timeout, ..world.config() }).unwrap();
    servers.state(&agent()).await.unwrap();
    world.keylime.verifier.fault("/agents/", fault);
    let error = tokio::time::timeout(PATIENT * 2, servers.state(&agent())).await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&at(&world.keylime.verifier).to_string()), "{error}");
    (error.reason(), error.is_refusal())
}

#[tokio::test]
async fn every_way_to_misbehave_is_told_apart_and_is_no_refusal() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(1000));
    for (fault, reason) in [
        (Fault::HangUp, "connection_closed"),
        (Fault::Raw(b"\x00\x01\x02 garbage\r\n\r\n".to_vec()), "not_http"),
        (Fault::Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()), "not_http"),
        (Fault::Raw(many_headers.into_bytes()), "not_http"),
        (Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Len".to_vec()), "connection_closed"),
        (Fault::Redirect("/version".to_owned()), "redirect"),
        (Fault::Answer(Response::html(500, "")), "server_error"),
        (Fault::Answer(Response::json(503, "{}")), "server_error"),
        (Fault::Answer(Response::html(200, "<html></html>")), "not_json"),
        (Fault::Answer(Response::html(200, r#"{"code": 200, "status": "", "results": {}}"#)), "not_json"),
        (Fault::Answer(Response { status: 200, content_type: None, body: b"{}".to_vec() }), "not_json"),
        (Fault::Answer(Response::json(200, "nonsense")), "not_json"),
        (Fault::Answer(Response::json(200, "[".repeat(10_000))), "wrong_shape"),
        (Fault::Answer(Response::json(200, "{}")), "wrong_shape"),
        (Fault::Answer(Response::json(200, r#"{"code":"#.repeat(5_000))), "wrong_shape"),
        (Fault::Answer(Response::json(200, r#"{"a":"#.repeat(5_000))), "cut_short"),
        (Fault::Answer(Response::json(204, "")), "unexpected_status"),
        (Fault::Answer(Response::json(429, "{}")), "unexpected_status"),
        (Fault::CutShort, "cut_short"),
        (Fault::Raw(format!("{head}\r\n{{\"code\": 200, \"status\"").into_bytes()), "cut_short"),
        (Fault::Raw(format!("{head}Content-Length: 9\r\n\r\n{{\"code\":").into_bytes()), "cut_short"),
        (
            Fault::Raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n").into_bytes()),
            "cut_short",
        ),
        (Fault::Huge(10_000_000), "too_large"),
        (Fault::Huge(64 * 1024 + 1), "too_large"),
        (Fault::Endless, "too_large"),
    ] {
        let shown: String = format!("{fault:?}").chars().take(200).collect();
        assert_eq!(meets(fault, PATIENT).await, (reason, false), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_given_up() {
    for fault in [Fault::Hang, Fault::Drip(Duration::from_millis(20))] {
        assert_eq!(meets(fault.clone(), SHORT).await, ("answer_timeout", false), "{fault:?}");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let world = World::new().await;
    let body = r#"{"code": 200, "status": "Success", "results": {"attestation_status": "PASS"}}"#;
    let body = format!("{body}{}", " ".repeat(64 * 1024 - body.len()));
    world.keylime.verifier.fault("/agents/", Fault::Answer(Response::json(200, body)));
    world.servers().state(&agent()).await.unwrap();
}

/// As the Python agent answers, and without a proper end of TLS.
#[tokio::test]
async fn an_answer_without_a_length_is_whole_when_its_json_is() {
    let world = World::new().await;
    world.keylime.verifier.fault("", Fault::NoLength);
    world.servers().state(&agent()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_begins_tls_is_given_up() {
    let world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let verifiers = vec![Endpoint::new("127.0.0.1", silent.local_addr().unwrap().port()).unwrap()];
    let config = ServersConfig { verifiers, request_timeout: SHORT, ..world.config() };
    let error = Servers::new(config).unwrap().state(&agent()).await.unwrap_err();
    assert_eq!(error.reason(), "connect_timeout");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let mut world = World::new().await;
    world.keylime.verifier.take_down().await;
    assert_eq!(world.servers().state(&agent()).await.unwrap_err().reason(), "no_connection");
    let verifiers = vec![Endpoint::new("keylime.invalid", 8881).unwrap()];
    let error = Servers::new(ServersConfig { verifiers, ..world.config() }).unwrap().state(&agent()).await;
    assert_eq!(error.unwrap_err().reason(), "name_not_resolved");
}

#[tokio::test]
async fn no_request_is_made_where_a_redirect_points_to() {
    let world = World::new().await;
    let target = format!("https://127.0.0.1:{}/v2.6/agents/{}", world.keylime.registrar.port(), agent());
    world.keylime.verifier.fault("/agents/", Fault::Redirect(target));
    assert_eq!(world.servers().state(&agent()).await.unwrap_err().reason(), "redirect");
    assert_eq!(world.keylime.registrar.served(), 0);
    assert_eq!(world.keylime.verifier.served(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_no_failure() {
    let mut world = World::new().await;
    let servers = world.servers();
    servers.state(&agent()).await.unwrap();
    world.keylime.verifier.fault_times("/agents/", Fault::HangUp, 1);
    servers.state(&agent()).await.unwrap();
    assert_eq!(world.keylime.verifier.handshakes(), 2);
    world.keylime.verifier.restart().await.unwrap();
    servers.state(&agent()).await.unwrap();
    assert_eq!(world.keylime.verifier.handshakes(), 3);
}
