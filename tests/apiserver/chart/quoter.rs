//! The DaemonSet with the quoter.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::apiserver::ApiServer;
use lab::process::output;
use lab::programs::built;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helm::{HELMS, at, objects, template, text, value_set};

/// Its namespace among the values.
const NAMESPACE: &str = "spire-system";

fn daemon_set(args: &[&str]) -> Result<Value> {
    let values = value_set("quoter");
    let args = [&["--values", text(&values)?], args].concat();
    let all = objects(&template(HELMS[0], &args)?)?;
    all.into_iter().find(|object| at(object, "/kind") == "DaemonSet").context("no DaemonSet")
}

fn words(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_quoter_knows_its_arguments() -> Result<()> {
    let pod = daemon_set(&[])?.pointer("/spec/template/spec").cloned().context("no pod")?;
    let (init, main) = (&pod["initContainers"][0], &pod["containers"][0]);
    let quoting = words(main.pointer("/command"));
    assert_eq!(
        quoting,
        [
            "/keylime-attestor-quoter",
            "--socket=/run/keylime-attestor/quoter.sock",
            "--tpm=device:/dev/tpmrm1",
            "--agent-data=/srv/keylime/agent_data.json",
            "--agent-conf=/srv/keylime.conf/agent.conf",
            "--allow-uid=1000",
        ]
    );
    let (folder, probe) =
        (words(init.pointer("/command")), words(main.pointer("/readinessProbe/exec/command")));
    for command in [&quoting, &folder, &probe] {
        assert_eq!(command[0], "/keylime-attestor-quoter");
        output(Command::new(built("keylime-attestor-quoter")?).args(&command[1..]).arg("--help"))?;
    }
    assert_eq!(folder[1..], ["own-folder", "--uid=985", "--gid=1001", "/run/keylime-attestor"]);
    Ok(())
}

/// Only one container is privileged, and it is nobody's who could make use of that.
#[test]
fn it_has_of_the_node_what_it_needs() -> Result<()> {
    let pod = daemon_set(&[])?.pointer("/spec/template/spec").cloned().context("no pod")?;
    let (init, main) = (&pod["initContainers"][0], &pod["containers"][0]);
    let context = json!({"runAsUser": 985, "runAsGroup": 1001, "supplementalGroups": [59], "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(pod["securityContext"], context);
    assert_eq!(main["securityContext"], json!({"privileged": true, "readOnlyRootFilesystem": true}));
    let init_context = json!({"runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}});
    assert_eq!(init["securityContext"], init_context);
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
    for absent in ["hostPID", "hostNetwork", "hostIPC"] {
        assert_eq!(pod.get(absent), None);
    }
    let folders: Vec<Value> = pod["volumes"]
        .as_array()
        .context("no volumes")?
        .iter()
        .map(|volume| json!([volume["hostPath"]["path"], volume["hostPath"]["type"]]))
        .collect();
    let expected = [
        json!(["/dev/tpmrm1", "CharDevice"]),
        json!(["/srv/keylime", "Directory"]),
        json!(["/srv/keylime.conf", "Directory"]),
        json!(["/run/keylime-attestor", "DirectoryOrCreate"]),
    ];
    assert_eq!(folders, expected);
    for mount in main["volumeMounts"].as_array().context("no mounts")? {
        let writable = ["tpm", "socket"].map(Value::from).contains(&mount["name"]);
        assert_eq!(mount.get("readOnly").is_none(), writable, "{mount}");
    }
    let tolerations = json!([
        {"key": "spire.keylime.dev/not-attested", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "example.org/secure", "operator": "Exists"},
    ]);
    assert_eq!(pod["tolerations"], tolerations);
    Ok(())
}

#[test]
fn without_a_folder_of_its_configuration_none_is_mounted() -> Result<()> {
    let set = daemon_set(&["--set", "quoter.keylimeConfiguration="])?.to_string();
    ensure!(!set.contains("agent-conf") && !set.contains("keylime-configuration"), "{set}");
    Ok(())
}

/// As the values' comments say.
#[test]
fn only_a_namespace_for_privileged_pods_takes_its_pods() -> Result<()> {
    let server = ApiServer::start()?;
    server.kubectl(&["create", "namespace", NAMESPACE])?;
    let set = daemon_set(&[])?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "quoter", "namespace": NAMESPACE},
        "spec": set.pointer("/spec/template/spec")});
    let folder = TempDir::new()?;
    let file = folder.path().join("pod.json");
    fs::write(&file, pod.to_string())?;
    server.kubectl(&["create", "serviceaccount", "keylime-attestor-quoter", "--namespace", NAMESPACE])?;
    let create =
        || server.kubectl(&["create", "--dry-run=server", "--validate=strict", "--filename", text(&file)?]);
    let enforce = |level: &str| {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        server.kubectl(&["label", "--overwrite", "namespace", NAMESPACE, &label])
    };
    for level in ["restricted", "baseline"] {
        enforce(level)?;
        let answer = create().map_err(|error| format!("{error:#}"));
        let refused = format!("violates PodSecurity \"{level}:latest\"");
        ensure!(answer.as_ref().is_err_and(|answer| answer.contains(&refused)), "{answer:?}");
    }
    enforce("privileged")?;
    create().map(drop)
}
