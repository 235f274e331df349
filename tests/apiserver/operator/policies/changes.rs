//! Requests that the operator never makes, each with a right that its account has.

use anyhow::Result;
use serde_json::{Value, json};

use crate::operator::account::IMAGE;
use crate::operator::site::Site;

pub(super) const AGENT: &str = "daemonset/spire-agent";
const SERVER: &str = "statefulset/spire-server";
pub(super) const NODE: &str = "node/other";
/// SPIRE's own ConfigMap, which the chart's value names.
const EDITED: &str = "configmap/spire-server";
/// One that it does not name.
pub(super) const THEIRS: &str = "configmap/theirs";

/// An entry of the operator's.
pub(super) const ALIAS: &str = "clusterstaticentry/keylime-attestor-x";

/// A request that changes nothing but would.
#[derive(Clone, Debug)]
pub(super) struct Change {
    verb: &'static str,
    object: &'static str,
    pub(super) patch: Value,
}

impl Change {
    pub(super) fn of(object: &'static str, patch: Value) -> Self {
        Self { verb: "patch", object, patch }
    }

    pub(super) fn run(&self, site: &Site, user: &str) -> Result<()> {
        let (user, patch) = (format!("--as={user}"), self.patch.to_string());
        let group = if user == "--as=admin" {
            "--as-group=system:masters"
        } else {
            "--as-group=system:serviceaccounts"
        };
        let mut args = vec![self.verb];
        match self.verb {
            // Kinds that are not Kubernetes' own know no strategic merge.
            "patch" if self.object == ALIAS => args.extend([self.object, "--type=merge", "--patch", &patch]),
            "patch" => args.extend([self.object, "--patch", &patch]),
            "create" => args.extend(["configmap", self.object, "--from-literal=a=b"]),
            _ => args.push(self.object),
        }
        args.extend(["--dry-run=server", &user, group]);
        site.kubectl(&args).map(drop)
    }
}

/// All of them.
pub(super) fn all() -> Vec<Change> {
    [
        of_nodes(),
        of_workloads(),
        of_pods(),
        of_containers(),
        of_init_containers(),
        of_config_maps(),
        of_entries(),
    ]
    .concat()
}

fn of_nodes() -> Vec<Change> {
    let taint = |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
    [
        json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}),
        json!({"metadata": {"labels": {"site": null}}}),
        json!({"metadata": {"annotations": {"spire.keylime.dev/agent-id": "x"}}}),
        json!({"metadata": {"finalizers": ["example.org/x"]}}),
        json!({"spec": {"unschedulable": true}}),
        taint("other", "NoSchedule"),
        // It would take every pod off the node.
        taint("spire.keylime.dev/not-attested", "NoExecute"),
        json!({"spec": {"taints": []}}),
    ]
    .map(|patch| Change::of(NODE, patch))
    .to_vec()
}

fn of_workloads() -> Vec<Change> {
    let strategy = |strategy: Value| json!({"spec": {"updateStrategy": strategy}});
    vec![
        Change::of(AGENT, json!({"metadata": {"labels": {"other": "x"}}})),
        Change::of(AGENT, json!({"metadata": {"annotations": {"other": "x"}}})),
        Change::of(
            AGENT,
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "other", "uid": "x"}]}}),
        ),
        Change::of(AGENT, json!({"spec": {"minReadySeconds": 1000}})),
        Change::of(AGENT, strategy(json!({"rollingUpdate": {"maxUnavailable": "100%"}}))),
        Change::of(SERVER, strategy(json!({"type": "OnDelete", "rollingUpdate": null}))),
        Change::of(SERVER, json!({"spec": {"replicas": 0}})),
    ]
}

fn of_pods() -> Vec<Change> {
    let host = |name: &str| json!({"volumes": [{"name": name, "hostPath": {"path": "/"}}]});
    let mut changes = vec![
        Change::of(AGENT, json!({"spec": {"template": {"metadata": {"annotations": {"other": "x"}}}}})),
        Change::of(AGENT, json!({"spec": {"template": {"metadata": {"labels": {"other": "x"}}}}})),
    ];
    changes.extend(
        [
            json!({"serviceAccountName": "other"}),
            json!({"hostPID": true}),
            json!({"securityContext": {"runAsUser": 0}}),
            json!({"containers": [{"name": "other", "image": "x"}]}),
            json!({"containers": [{"name": "spire-agent", "$patch": "delete"}, {"name": "other", "image": "x"}]}),
            host("other"),
            host("keylime-attestor-plugin"),
            host("keylime-attestor-quoter"),
            json!({"volumes": [folder("keylime-attestor-plugin", "Directory")]}),
            json!({"volumes": [folder("keylime-attestor-quoter", "DirectoryOrCreate")]}),
            quoter(json!({})),
            quoter(json!({"readOnly": false})),
            json!({"volumes": [{"name": "keylime-attestor-configuration", "configMap": {"name": "theirs"}}]}),
            json!({"volumes": [{"name": "spire-config", "configMap": {"name": "theirs-keylime"}}]}),
        ]
        .map(|patch| Change::of(AGENT, json!({"spec": {"template": {"spec": patch}}}))),
    );
    // No server is beside a quoter.
    changes.push(Change::of(
        SERVER,
        json!({"spec": {"template": {"spec": {"volumes": [folder("keylime-attestor-quoter", "Directory")]}}}}),
    ));
    changes
}

/// A volume of the quoter's folder.
fn folder(name: &str, type_: &str) -> Value {
    json!({"name": name, "hostPath": {"path": "/run/keylime-attestor", "type": type_}})
}

/// The quoter's folder in SPIRE's agent, mounted with these settings.
fn quoter(settings: Value) -> Value {
    let mut mount = json!({"name": "keylime-attestor-quoter", "mountPath": "/run/keylime-attestor/quoter"});
    if let (Some(mount), Value::Object(settings)) = (mount.as_object_mut(), settings) {
        mount.extend(settings);
    }
    json!({
        "volumes": [folder("keylime-attestor-quoter", "Directory")],
        "containers": [{"name": "spire-agent", "volumeMounts": [mount]}],
    })
}

/// What the operator does write of it.
pub(super) fn mounts_the_quoter() -> Change {
    let pod = quoter(json!({"readOnly": true}));
    Change::of(AGENT, json!({"spec": {"template": {"spec": pod}}}))
}

fn of_containers() -> Vec<Change> {
    let container = |mut change: Value| {
        change["name"] = json!("spire-agent");
        Change::of(AGENT, json!({"spec": {"template": {"spec": {"containers": [change]}}}}))
    };
    let spire = |file: &str, flag: &str| json!({"command": ["/opt/spire/bin/spire-agent", "run", "-config", file, flag, "--"]});
    let own = "/run/keylime-attestor/configuration/agent.conf";
    let mount = json!([{"name": "keylime-attestor-plugin", "mountPath": "/opt/spire/bin"}]);
    let mut mounted = container(json!({"volumeMounts": mount}));
    mounted.patch["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "keylime-attestor-plugin", "emptyDir": {}}]);
    vec![
        container(json!({"image": "other"})),
        container(json!({"args": ["other"]})),
        container(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}})),
        container(json!({"command": ["sh", "-c", "true /run/keylime-attestor/"]})),
        container(json!({"command": ["sh", "-c", own]})),
        container(spire("/etc/other.conf", "--")),
        container(spire("/run/keylime-attestor/configuration/../other.conf", "--")),
        container(spire(own, "-insecureBootstrap")),
        container(
            json!({"command": ["sh", "--config=/run/keylime-attestor/controller-manager/x.yaml", "-c", "--"]}),
        ),
        Change::of(
            SERVER,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "spire-server", "command": null}]}}}}),
        ),
        container(json!({"env": [{"name": "LD_PRELOAD", "value": "/run/keylime-attestor/socket"}]})),
        container(json!({"env": [{"name": "TMPDIR", "value": "/other"}]})),
        container(json!({"env": [{"name": "THEIRS", "$patch": "delete"}]})),
        mounted,
        container(
            json!({"volumeMounts": [{"name": "spire-config", "mountPath": "/run/keylime-attestor/tls"}]}),
        ),
    ]
}

fn of_init_containers() -> Vec<Change> {
    let theirs = |change: Value| {
        Change::of(AGENT, json!({"spec": {"template": {"spec": {"initContainers": [change]}}}}))
    };
    vec![
        theirs(json!({"name": "other", "image": IMAGE})),
        theirs(json!({"name": "theirs", "image": IMAGE})),
        install(json!({"image": "registry.example/other:1"})),
        install(json!({"image": "registry.example/keylime-attestor-other:1"})),
        install(json!({"image": "registry.example/keylime-attestor:2"})),
        install(json!({"command": ["/keylime-attestor-agent", "install", "--to", "/opt"]})),
        install(
            json!({"command": ["/keylime-attestor-agent", "install", "--to", "/run/keylime-attestor/plugin",
            "--configurations", "/opt"]}),
        ),
        install(
            json!({"volumeMounts": [{"name": "keylime-attestor-configuration", "mountPath": "/run/keylime-attestor/configuration"}]}),
        ),
        install(json!({"args": ["x"]})),
        install(json!({"env": [{"name": "a", "value": "b"}]})),
        install(
            json!({"securityContext": {"allowPrivilegeEscalation": true, "capabilities": {"drop": ["ALL"]}}}),
        ),
        install(
            json!({"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}}),
        ),
        install(
            json!({"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "seLinuxOptions": {"type": "spc_t"}}}),
        ),
        install(
            json!({"volumeMounts": [{"name": "spire-config", "mountPath": "/run/keylime-attestor/plugin"}]}),
        ),
    ]
}

fn of_config_maps() -> Vec<Change> {
    let say = |object, patch| Change::of(object, patch);
    let bare = |verb, object| Change { verb, object, patch: Value::Null };
    vec![
        say(THEIRS, json!({"data": {"a": "c"}})),
        say(THEIRS, json!({"metadata": {"labels": {"spire.keylime.dev/attestor-name": "spire"}}})),
        // By name alone one is not the operator's.
        say("configmap/theirs-keylime", json!({"data": {"a": "c"}})),
        say(EDITED, json!({"data": {"other.conf": "x"}})),
        say(EDITED, json!({"data": {"server.conf": null}})),
        say(EDITED, json!({"metadata": {"labels": {"other": "x"}}})),
        say(EDITED, json!({"metadata": {"annotations": {"other": "x"}}})),
        say(EDITED, json!({"metadata": {"finalizers": ["example.org/x"]}})),
        say(EDITED, json!({"immutable": true})),
        bare("delete", EDITED),
        bare("delete", THEIRS),
        bare("delete", "configmap/theirs-keylime"),
        bare("create", "new"),
    ]
}

/// The alias of a Node, changed to something else.
fn of_entries() -> Vec<Change> {
    let spec = |spec: Value| Change::of(ALIAS, json!({"spec": spec}));
    vec![
        spec(json!({"spiffeID": "spiffe://example.org/spire/server"})),
        spec(json!({"spiffeID": "spiffe://example.org/database"})),
        spec(json!({"parentID": "spiffe://example.org/keylime-attestor/node/lab/u"})),
        spec(json!({"parentID": "spiffe://other.org/spire/server"})),
        spec(json!({"selectors": ["k8s:ns:default"]})),
        spec(json!({"selectors": ["k8s_psat:cluster:lab"]})),
        spec(json!({"selectors": []})),
        spec(json!({"admin": true})),
        spec(json!({"downstream": true})),
        spec(json!({"federatesWith": ["other.org"]})),
        Change::of(ALIAS, json!({"metadata": {"finalizers": ["example.org/x"]}})),
        Change::of(
            ALIAS,
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}]}}),
        ),
        Change { verb: "delete", object: "clusterstaticentry/theirs", patch: Value::Null },
    ]
}

/// The operator's init container, changed.
pub(super) fn install(changes: Value) -> Change {
    let mut container = json!({"name": "keylime-attestor-install", "image": IMAGE,
        "command": ["/keylime-attestor-agent", "install", "--to", "/run/keylime-attestor/plugin"],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "keylime-attestor-plugin", "mountPath": "/run/keylime-attestor/plugin"}]});
    if let (Some(container), Value::Object(changes)) = (container.as_object_mut(), changes) {
        container.extend(changes);
    }
    let volumes = json!([{"name": "keylime-attestor-plugin", "emptyDir": {}},
        {"name": "keylime-attestor-configuration", "configMap": {"name": "spire-agent-keylime"}}]);
    Change::of(
        AGENT,
        json!({"spec": {"template": {"spec": {"initContainers": [container], "volumes": volumes}}}}),
    )
}
