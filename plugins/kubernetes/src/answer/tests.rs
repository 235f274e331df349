use serde_json::Value;

use super::*;

fn answer(status: u16, body: Value) -> HttpsAnswer {
    HttpsAnswer { status, body: body.to_string().into_bytes() }
}

fn name(name: &str) -> ObjectName {
    name.parse().unwrap()
}

/// As kube-apiserver 1.34 writes it.
fn recorded() -> Value {
    json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": {"token": "a.b.c", "audiences": ["keylime-attestor"]},
        "status": {
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:spire:agent", "uid": "u",
                "groups": ["system:serviceaccounts"],
                "extra": {
                    "authentication.kubernetes.io/credential-id": ["JTI=1"],
                    "authentication.kubernetes.io/node-name": ["node"],
                    "authentication.kubernetes.io/node-uid": ["node-1"],
                    "authentication.kubernetes.io/pod-name": ["agent"],
                    "authentication.kubernetes.io/pod-uid": ["pod-1"],
                },
            },
            "audiences": ["keylime-attestor"],
        },
    })
}

fn good<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Good(good) => good,
        _ => panic!("it is not good"),
    }
}

#[test]
fn a_review_is_read() {
    let review = good(review(&answer(201, recorded())));
    assert!(review.authenticated && review.error.is_empty());
    assert_eq!(review.username, "system:serviceaccount:spire:agent");
    assert_eq!(review.audiences, ["keylime-attestor"]);
    assert_eq!(review.pod, Some(ObjectRef { name: name("agent"), uid: "pod-1".parse().unwrap() }));
    assert_eq!(review.node, Some(ObjectRef { name: name("node"), uid: "node-1".parse().unwrap() }));
}

#[test]
fn what_a_review_does_not_tell_is_told_by_nobody() {
    let empty = json!({"kind": "TokenReview", "status": {"user": {}}});
    assert_eq!(good(review(&answer(201, empty))), Review::default());
    for (extra, value) in
        [("node-name", json!(["a", "b"])), ("node-name", json!([])), ("node-uid", json!(["../x"]))]
    {
        let mut odd = recorded();
        odd["status"]["user"]["extra"][format!("{EXTRA}{extra}")] = value;
        let review = good(review(&answer(201, odd)));
        assert!(review.node.is_none() && review.pod.is_some(), "{extra}");
    }
}

#[test]
fn objects_are_those_asked_for() {
    let metadata = json!({"name": "x", "uid": "1", "labels": {"zone": "a"}});
    let of_pod = json!({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "node"}});
    let read = good(pod(&answer(200, of_pod.clone()), &name("x")));
    assert_eq!((read.uid.as_str(), read.node_name.as_deref()), ("1", Some("node")));
    let of_node = json!({"kind": "Node", "metadata": metadata});
    assert_eq!(good(node(&answer(200, of_node.clone()), &name("x"))).labels["zone"], "a");
    for outcome in [node(&answer(200, of_node), &name("y")), node(&answer(200, of_pod), &name("x"))] {
        assert!(matches!(outcome, Outcome::Malformed));
    }
}

#[test]
fn each_status_has_its_meaning() {
    let status = |reason: &str| json!({"kind": "Status", "reason": reason});
    let read = |code, body| node(&answer(code, body), &name("x"));
    assert!(matches!(read(404, status("NotFound")), Outcome::NotFound));
    assert!(matches!(read(404, status("")), Outcome::Malformed));
    assert!(matches!(read(404, json!("404 page not found")), Outcome::Malformed));
    assert!(matches!(read(200, status("NotFound")), Outcome::Malformed));
    assert!(matches!(read(401, json!({})), Outcome::Unauthorized));
    assert!(matches!(read(403, status("Forbidden")), Outcome::Forbidden));
    for code in [302, 429, 500, 503] {
        assert!(matches!(read(code, status("NotFound")), Outcome::Malformed), "{code}");
    }
}
