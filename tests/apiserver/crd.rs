//! The CRD and the examples in `operator/api/testdata` at a real apiserver: it takes
//! the CRD, explains it, fills in what is left out, and refuses what is wrong with a text that
//! helps.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::apiserver::ApiServer;
use lab::wait;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn the_apiserver_enforces_the_resource() -> Result<()> {
    let server = ApiServer::start()?;
    installs(&server)?;
    explains(&server)?;
    accepts_examples(&server)?;
    fills_in_defaults(&server)?;
    refuses_examples(&server)?;
    shows_the_state(&server)
}

/// Without a warning, and for good: a rule over its budget or a schema that is not structural is an
/// error here.
fn installs(server: &ApiServer) -> Result<()> {
    let crds = repository().join("crds");
    server.kubectl(&["create", "--warnings-as-errors", "--filename", text(&crds)?])?;
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
    let conditions = server.kubectl(&["get", "crd", "--output", "jsonpath={.items[*].status.conditions}"])?;
    ensure!(!conditions.contains("NonStructuralSchema"), "{conditions}");
    Ok(())
}

fn explains(server: &ApiServer) -> Result<()> {
    for (field, expected) in [
        ("kla", "A KeylimeAttestor makes the nodes of one SPIRE prove their identity"),
        ("kla.spec.keylime.verifiers.port", "The verifier's https port."),
        ("kla.spec.spire.mode", "How the operator changes SPIRE. Overlay leaves alone"),
        ("kla.spec.spire.agents.configMap.key", "Key of the configuration in the ConfigMap."),
        ("kla.status.conditions", "Each has a reason that stays"),
        ("kla.spec.spire.agents.keylimeAgent.socket", "Unix socket of the keylime-attestor-quoter"),
        ("kla.spec.enforcement.action", "What is done to the SPIRE agent of a node"),
        ("an", "An AttestedNode tells what Keylime, Kubernetes and SPIRE say"),
        ("an.status.agentId", "Id of the node's agent at Keylime."),
    ] {
        // The apiserver serves a kind some moments before it tells of it.
        let explanation = wait::until(field, TIMEOUT, || server.kubectl(&["explain", field]))?;
        // Wherever kubectl breaks its lines.
        let words = explanation.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(words.contains(expected), "{field}:\n{explanation}");
    }
    Ok(())
}

fn accepts_examples(server: &ApiServer) -> Result<()> {
    for file in examples("accepted")? {
        server.kubectl(&["apply", "--server-side", "--warnings-as-errors", "--filename", text(&file)?])?;
        let again =
            server.kubectl(&["apply", "--server-side", "--filename", text(&file)?, "--output", "json"])?;
        let resource: Value = serde_json::from_str(&again)?;
        assert_eq!(
            resource.pointer("/metadata/generation"),
            Some(&json!(1)),
            "{} changes nothing when applied again",
            file.display()
        );
    }
    Ok(())
}

fn fills_in_defaults(server: &ApiServer) -> Result<()> {
    let resource: Value =
        serde_json::from_str(&server.kubectl(&["get", "kla", "minimal", "--output", "json"])?)?;
    let expected = json!({
        "keylime": {
            "verifiers": [{"host": "keylime.example.org", "port": 8881}],
            "registrar": {"port": 8891},
            "tls": {"secretName": "keylime-client"},
            "agent": {},
            "requestTimeout": "10s",
        },
        "spire": {
            "pluginName": "keylime",
            "mode": "Overlay",
            "attestors": "Coexist",
            "server": {"kind": "StatefulSet", "name": "spire-server"},
            "agents": [{"kind": "DaemonSet", "name": "spire-agent"}],
            "controllerManager": {"mode": "Auto", "program": "/spire-controller-manager"},
        },
        "attestation": {
            "canReattest": true,
            "maxAttestationAge": "5m",
            "agentPathTemplate": "/{{ .PluginName }}/{{ .AgentID }}",
            "allowedMetadataKeys": [], "allowedNodeLabelKeys": [],
            "challengeTimeout": "30s",
        },
        "nodes": {"interval": "30s", "grace": "2m", "taint": false, "metricsByNode": false},
        "suspend": false,
    });
    assert_eq!(resource.get("spec"), Some(&expected));

    let observed: Value =
        serde_json::from_str(&server.kubectl(&["get", "kla", "observed", "--output", "json"])?)?;
    let expected = json!({
        "action": "Observe", "interval": "10s", "grace": "0", "maxPerInterval": 10, "maxUnhealthy": "50%",
        "reportPort": 9797, "unreachableGrace": "10m",
    });
    assert_eq!(observed.pointer("/spec/enforcement"), Some(&expected));
    Ok(())
}

/// The first line of each says what the apiserver must answer.
fn refuses_examples(server: &ApiServer) -> Result<()> {
    for file in examples("refused")? {
        let example = fs::read_to_string(&file)?;
        let expected = example.lines().next().and_then(|line| line.strip_prefix("# refused: "));
        let expected =
            expected.with_context(|| format!("{} does not say what is expected", file.display()))?;
        match server.kubectl(&["create", "--filename", text(&file)?]) {
            Ok(_) => bail!("{} was accepted", file.display()),
            Err(error) => {
                let answer = format!("{error:#}");
                ensure!(answer.contains(expected), "{}: expected {expected:?}, got {answer}", file.display());
            }
        }
    }
    Ok(())
}

/// Conditions are merged by type, the columns show what they say, and kubectl can wait for Ready.
fn shows_the_state(server: &ApiServer) -> Result<()> {
    let status = json!({"status": {
        "observedGeneration": 1,
        "nodes": {"total": 5, "attested": 3, "failing": 2},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "it-answers", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    }});
    let patch = [
        "patch",
        "kla",
        "minimal",
        "--subresource",
        "status",
        "--type",
        "merge",
        "--patch",
        &status.to_string(),
    ];
    server.kubectl(&patch)?;
    server.kubectl(&["wait", "--for=condition=Ready", "kla/minimal"])?;

    let table = server.kubectl(&["get", "kla"])?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        lines.next().context("no table")?,
        ["NAME", "READY", "REASON", "MODE", "NODES", "ATTESTED", "FAILING", "AGE", "MESSAGE"]
    );
    let row = lines.find(|row| row.first() == Some(&"minimal")).context("no row for minimal")?;
    assert_eq!(row.get(1..7), Some(["True", "Ready", "Overlay", "5", "3", "2"].as_slice()));
    assert_eq!(row.last(), Some(&"it-answers"), "why it is ready or not stands last");
    shows_a_node(server)
}

fn shows_a_node(server: &ApiServer) -> Result<()> {
    let time = "2026-01-01T00:00:00Z";
    let node = json!({
        "apiVersion": "spire.keylime.dev/v1alpha1", "kind": "AttestedNode", "metadata": {"name": "worker-1"},
        "status": {
            "agentId": "a-1", "state": "Failing", "reason": "Stale", "message": "", "since": time, "lastSuccess": time,
            "conditions": [{"type": "Attested", "status": "False", "reason": "Stale", "message": "", "lastTransitionTime": time}],
        },
    });
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("node.json");
    fs::write(&file, node.to_string())?;
    for subresource in [&[][..], &["--subresource=status"]] {
        server.kubectl(&[&["apply", "--server-side", "--filename", text(&file)?], subresource].concat())?;
    }
    let table = server.kubectl(&["get", "attestednodes"])?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().context("no table")?, ["NAME", "ATTESTED", "REASON", "AGENT", "SINCE", "AGE"]);
    assert_eq!(
        lines.next().context("no row")?.get(..4),
        Some(["worker-1", "False", "Stale", "a-1"].as_slice())
    );
    server.kubectl(&["get", "an", "worker-1"])?;

    // Both categories have both kinds.
    for category in ["spire", "keylime"] {
        let names = server.kubectl(&["get", category, "--output", "name"])?;
        for name in ["keylimeattestor.spire.keylime.dev/minimal", "attestednode.spire.keylime.dev/worker-1"] {
            ensure!(names.contains(name), "{category}: {names}");
        }
    }
    Ok(())
}

fn examples(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = repository().join("operator/api/testdata").join(folder);
    let entries = folder.read_dir().with_context(|| format!("failed to read {}", folder.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    Ok(files)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
