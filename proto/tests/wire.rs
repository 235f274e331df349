//! Numbers and names as they are on the wire. Plugin and lab share this crate, so a wrong one would
//! go unseen between them.

use keylime_attestor_proto::{agent, agent_store, api, config, go_plugin, init, metrics, server};
use prost::Message;

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn go_plugin_messages() {
    let knock = go_plugin::conn_info::Knock { knock: true, ack: true, error: text("e") };
    let info =
        go_plugin::ConnInfo { service_id: 1, network: text("n"), address: text("a"), knock: Some(knock) };
    assert_eq!(info.encode_to_vec(), b"\x08\x01\x12\x01n\x1a\x01a\x22\x07\x08\x01\x10\x01\x1a\x01e");
    let mut data = go_plugin::StdioData { channel: 0, data: b"d".to_vec() };
    data.set_channel(go_plugin::stdio_data::Channel::Stderr);
    assert_eq!(data.encode_to_vec(), b"\x08\x02\x12\x01d");
}

#[test]
fn init_and_config_messages() {
    assert_eq!(init::InitRequest { host_service_names: vec![text("h")] }.encode_to_vec(), b"\x0a\x01h");
    assert_eq!(init::InitResponse { plugin_service_names: vec![text("p")] }.encode_to_vec(), b"\x0a\x01p");
    let core = config::CoreConfiguration { trust_domain: text("t") };
    let configure =
        config::ConfigureRequest { core_configuration: Some(core.clone()), hcl_configuration: text("c") };
    assert_eq!(configure.encode_to_vec(), b"\x0a\x03\x0a\x01t\x12\x01c");
    let validate = config::ValidateRequest { core_configuration: Some(core), hcl_configuration: text("c") };
    assert_eq!(validate.encode_to_vec(), b"\x0a\x03\x0a\x01t\x12\x01c");
    let answer = config::ValidateResponse { valid: true, notes: vec![text("n")] };
    assert_eq!(answer.encode_to_vec(), b"\x08\x01\x12\x01n");
}

#[test]
fn attestation_messages_of_the_agent() {
    use agent::node_attestor::{Challenge, PayloadOrChallengeResponse, payload_or_challenge_response::Data};
    assert_eq!(Challenge { challenge: b"c".to_vec() }.encode_to_vec(), b"\x0a\x01c");
    let payload = PayloadOrChallengeResponse { data: Some(Data::Payload(b"p".to_vec())) };
    assert_eq!(payload.encode_to_vec(), b"\x0a\x01p");
    let response = PayloadOrChallengeResponse { data: Some(Data::ChallengeResponse(b"r".to_vec())) };
    assert_eq!(response.encode_to_vec(), b"\x12\x01r");
}

#[test]
fn attestation_messages_of_the_server() {
    use server::node_attestor::{
        AgentAttributes, AttestRequest, AttestResponse, attest_request::Request, attest_response::Response,
    };
    let payload = AttestRequest { request: Some(Request::Payload(b"p".to_vec())) };
    assert_eq!(payload.encode_to_vec(), b"\x0a\x01p");
    let response = AttestRequest { request: Some(Request::ChallengeResponse(b"r".to_vec())) };
    assert_eq!(response.encode_to_vec(), b"\x12\x01r");
    let challenge = AttestResponse { response: Some(Response::Challenge(b"c".to_vec())) };
    assert_eq!(challenge.encode_to_vec(), b"\x0a\x01c");
    let attributes =
        AgentAttributes { spiffe_id: text("i"), selector_values: vec![text("s")], can_reattest: true };
    let attested = AttestResponse { response: Some(Response::AgentAttributes(attributes)) };
    assert_eq!(attested.encode_to_vec(), b"\x12\x08\x0a\x01i\x12\x01s\x18\x01");
}

#[test]
fn host_service_messages() {
    let request = agent_store::GetAgentInfoRequest { agent_id: text("i") };
    assert_eq!(request.encode_to_vec(), b"\x0a\x01i");
    let info = agent_store::AgentInfo { agent_id: text("i") };
    assert_eq!(agent_store::GetAgentInfoResponse { info: Some(info) }.encode_to_vec(), b"\x0a\x03\x0a\x01i");

    let labels = vec![metrics::Label { name: text("n"), value: text("v") }];
    let with_value = b"\x0a\x01k\x15\x00\x00\x80\x3f\x1a\x06\x0a\x01n\x12\x01v";
    let counter = metrics::IncrCounterRequest { key: vec![text("k")], val: 1.0, labels: labels.clone() };
    assert_eq!(counter.encode_to_vec(), with_value);
    let sample = metrics::AddSampleRequest { key: vec![text("k")], val: 1.0, labels: labels.clone() };
    assert_eq!(sample.encode_to_vec(), with_value);
    let gauge = metrics::SetGaugeRequest { key: vec![text("k")], val: 1.0, labels: labels.clone() };
    assert_eq!(gauge.encode_to_vec(), with_value);
    let key = metrics::EmitKeyRequest { key: vec![text("k")], val: 1.0 };
    assert_eq!(key.encode_to_vec(), b"\x0a\x01k\x15\x00\x00\x80\x3f");
    let since = metrics::MeasureSinceRequest { key: vec![text("k")], time: 1, labels };
    assert_eq!(since.encode_to_vec(), b"\x0a\x01k\x10\x01\x1a\x06\x0a\x01n\x12\x01v");
}

#[test]
fn messages_of_the_server_api() {
    use api::server::agent::v1::{
        BanAgentRequest, DeleteAgentRequest, GetAgentRequest, ListAgentsRequest, ListAgentsResponse,
        list_agents_request::Filter,
    };
    use api::types::selector_match::MatchBehavior;
    use api::types::{Agent, Selector, SelectorMatch, Spiffeid};
    let id = Some(Spiffeid { trust_domain: text("t"), path: text("p") });
    let of_agent = b"\x0a\x06\x0a\x01t\x12\x01p";
    assert_eq!(GetAgentRequest { id: id.clone() }.encode_to_vec(), of_agent);
    assert_eq!(DeleteAgentRequest { id: id.clone() }.encode_to_vec(), of_agent);
    assert_eq!(BanAgentRequest { id: id.clone() }.encode_to_vec(), of_agent);
    let agent = Agent {
        id,
        attestation_type: text("a"),
        x509svid_serial_number: text("n"),
        x509svid_expires_at: 1,
        selectors: vec![Selector { r#type: text("s"), value: text("v") }],
        banned: true,
        can_reattest: true,
    };
    let listed = ListAgentsResponse { agents: vec![agent], next_page_token: text("k") };
    let expected: &[u8] = b"\x0a\x1c\x0a\x06\x0a\x01t\x12\x01p\x12\x01a\x1a\x01n\x20\x01\x2a\x06\x0a\x01s\x12\x01v\x30\x01\x38\x01\x12\x01k";
    assert_eq!(listed.encode_to_vec(), expected);
    let filter = Some(Filter { by_attestation_type: text("a"), by_selector_match: None });
    let list = ListAgentsRequest { filter, page_size: 5, page_token: text("k") };
    assert_eq!(list.encode_to_vec(), b"\x0a\x03\x0a\x01a\x18\x05\x22\x01k");
    let selectors = vec![Selector { r#type: text("s"), value: text("v") }];
    let by_selectors = SelectorMatch { selectors, r#match: MatchBehavior::MatchSuperset.into() };
    assert_eq!(by_selectors.encode_to_vec(), b"\x0a\x06\x0a\x01s\x12\x01v\x10\x02");
    let filter =
        Filter { by_attestation_type: String::new(), by_selector_match: Some(SelectorMatch::default()) };
    assert_eq!(filter.encode_to_vec(), b"\x12\x00");
}

#[test]
fn service_names() {
    assert_eq!(go_plugin::grpc_broker_server::SERVICE_NAME, "plugin.GRPCBroker");
    assert_eq!(go_plugin::grpc_controller_server::SERVICE_NAME, "plugin.GRPCController");
    assert_eq!(go_plugin::grpc_stdio_server::SERVICE_NAME, "plugin.GRPCStdio");
    assert_eq!(init::init_server::SERVICE_NAME, "spire.service.private.init.v1.Init");
    assert_eq!(config::config_server::SERVICE_NAME, "spire.service.common.config.v1.Config");
    assert_eq!(
        agent::node_attestor::node_attestor_server::SERVICE_NAME,
        "spire.plugin.agent.nodeattestor.v1.NodeAttestor"
    );
    assert_eq!(
        server::node_attestor::node_attestor_server::SERVICE_NAME,
        "spire.plugin.server.nodeattestor.v1.NodeAttestor"
    );
    assert_eq!(
        agent_store::agent_store_server::SERVICE_NAME,
        "spire.hostservice.server.agentstore.v1.AgentStore"
    );
    assert_eq!(api::server::agent::v1::agent_server::SERVICE_NAME, "spire.api.server.agent.v1.Agent");
    assert_eq!(metrics::metrics_server::SERVICE_NAME, "spire.hostservice.common.metrics.v1.Metrics");
}
