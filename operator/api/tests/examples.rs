//! The examples below `testdata/` and the types agree. What the apiserver makes of them is tested
//! with a real one in the lab.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use keylime_attestor_api::{
    AgentAddress, Attestation, ControllerManager, ControllerManagerMode, Duration, Enforcement, KeylimeAgent,
    KeylimeAttestor, Mode, Nodes, ServerKind, Share,
};
use serde_json::Value;

#[test]
fn accepted_examples_are_read_and_nothing_is_lost() {
    for file in examples("accepted").unwrap() {
        let text = fs::read_to_string(&file).unwrap();
        let written: Value = serde_yaml::from_str(&text).unwrap();
        let read: KeylimeAttestor = serde_yaml::from_str(&text).unwrap();
        assert_within(&written, &serde_json::to_value(&read).unwrap(), &file.display().to_string());
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let KeylimeAttestor { spec, status, .. } = accepted("minimal").unwrap();
    assert_eq!(spec.keylime.verifiers.first().port, 8881);
    assert_eq!((spec.keylime.registrar.host, spec.keylime.registrar.port), (None, 8891));
    let agent = AgentAddress::Port { host: "127.0.0.1", port: 9002, tls: None };
    assert_eq!(spec.keylime.agent.address(), agent);
    assert_eq!(spec.keylime.request_timeout, Duration::from_secs(10));
    assert_eq!((spec.spire.plugin_name.as_str(), spec.spire.mode), ("keylime", Mode::Overlay));
    assert_eq!(spec.spire.server.kind, ServerKind::StatefulSet);
    assert_eq!(spec.attestation, Attestation::default());
    assert_eq!(spec.nodes, Nodes::default());
    assert!(spec.keylime.verifiers.others().is_empty());
    assert_eq!(spec.spire.controller_manager, ControllerManager::default());
    assert!(spec.rollout.is_none() && spec.enforcement.is_none() && status.is_none());
}

#[test]
fn what_is_only_turned_on_has_its_defaults() {
    let spec = accepted("observed").unwrap().spec;
    assert_eq!(spec.enforcement, Some(Enforcement::default()));
    assert_eq!(spec.spire.controller_manager.mode, ControllerManagerMode::Ignore);
    assert_eq!(spec.rollout.and_then(|rollout| rollout.batch_size), Some(Share::Nodes(2)));
    assert_eq!(
        spec.keylime.verifiers.iter().map(|verifier| verifier.port).collect::<Vec<_>>(),
        [8881, 8881, 8882]
    );
}

#[test]
fn a_part_given_keeps_the_defaults_of_the_rest() {
    let spec = accepted("manual").unwrap().spec;
    assert_eq!(spec.spire.mode, Mode::InPlace);
    assert_eq!(spec.spire.server.kind, ServerKind::Deployment);
    assert_eq!(spec.keylime.registrar.port, 8891);
    assert!(matches!(spec.keylime.agent.address(), AgentAddress::Port { port: 9002, .. }));
    let expected = Attestation {
        can_reattest: false,
        max_attestation_age: Duration::from_secs(0),
        ..Attestation::default()
    };
    assert_eq!(spec.attestation, expected);
}

#[test]
fn the_keylime_agents_of_some_nodes_may_open_no_port() {
    let spec = accepted("push").unwrap().spec;
    let [listening, push] = &spec.spire.agents[..] else { panic!("{:?}", spec.spire.agents) };
    assert_eq!(listening.keylime_agent, None);
    let address = push.keylime_agent.as_ref().map(KeylimeAgent::address);
    assert_eq!(address, Some(AgentAddress::Socket("/run/keylime-attestor/quoter.sock")));
    // The workload's own fields lie beside it.
    assert_eq!(push.workload.name, "spire-agent-push");
}

#[test]
fn each_refused_example_says_what_is_expected() {
    let files = examples("refused").unwrap();
    assert!(files.len() > 20);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().next().unwrap().starts_with("# refused: "), "{}", file.display());
        serde_yaml::from_str::<Value>(&text).unwrap();
    }
}

fn accepted(name: &str) -> Result<KeylimeAttestor> {
    let text = fs::read_to_string(testdata().join(format!("accepted/{name}.yaml")))?;
    Ok(serde_yaml::from_str(&text)?)
}

fn examples(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = testdata().join(folder);
    let entries = folder.read_dir().with_context(|| format!("failed to read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Checks that `whole` has everything that `part` has; it may have more, defaults.
fn assert_within(part: &Value, whole: &Value, place: &str) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (name, value) in part {
                assert_within(value, whole.get(name).unwrap_or(&Value::Null), &format!("{place}.{name}"));
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{place}");
            part.iter().zip(whole).for_each(|(part, whole)| assert_within(part, whole, place));
        }
        _ => assert_eq!(part, whole, "{place}"),
    }
}
