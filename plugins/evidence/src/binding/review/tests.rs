use super::*;

fn object(name: &str, uid: &str) -> ObjectRef {
    ObjectRef { name: name.parse().unwrap(), uid: uid.parse().unwrap() }
}

fn rules() -> TokenRules {
    let service_accounts = vec!["spire:agent".parse().unwrap(), "other:agent".parse().unwrap()];
    TokenRules { service_accounts, audience: "us".to_owned() }
}

fn review() -> Review {
    Review {
        authenticated: true,
        username: "system:serviceaccount:spire:agent".to_owned(),
        audiences: vec!["others".to_owned(), "us".to_owned()],
        pod: Some(object("agent-x", "pod-1")),
        node: Some(object("node", "node-1")),
        ..Review::default()
    }
}

fn pod() -> Pod {
    Pod { uid: "pod-1".parse().unwrap(), node_name: Some("node".to_owned()) }
}

fn node() -> Node {
    let labels = [("zone", "a"), ("secret", "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Node { uid: "node-1".parse().unwrap(), labels: labels.into() }
}

fn reason_of(review: Review) -> &'static str {
    review.check(&rules()).unwrap_err().reason()
}

#[test]
fn a_good_token_proves_its_node() {
    let bound = review().check(&rules()).unwrap();
    assert_eq!(
        (bound.account.to_string().as_str(), &bound.pod),
        ("spire:agent", &object("agent-x", "pod-1"))
    );
    let proven = bound.check(Some(pod()), Some(node())).unwrap();
    assert_eq!((proven.name.as_str(), proven.uid.as_str()), ("node", "node-1"));
    assert_eq!(proven.label(&"zone".parse().unwrap()), Some("a"));
    assert_eq!(proven.label(&"rack".parse().unwrap()), None);
}

#[test]
fn each_rule_refuses_by_itself() {
    assert_eq!(reason_of(Review { authenticated: false, ..review() }), "token_rejected");
    for audiences in [vec![], vec!["US".to_owned()]] {
        assert_eq!(reason_of(Review { audiences, ..review() }), "wrong_audience");
    }
    for username in
        ["system:serviceaccount:spire:other", "system:serviceaccount:kube-system:agent", "admin", ""]
    {
        let username = username.to_owned();
        assert_eq!(reason_of(Review { username, ..review() }), "wrong_service_account");
    }
    assert_eq!(reason_of(Review { pod: None, ..review() }), "token_not_bound");
    assert_eq!(reason_of(Review { node: None, ..review() }), "token_not_bound");
}

#[test]
fn the_apiservers_reason_is_told_in_our_words() {
    for (error, reason) in [
        ("[invalid bearer token, service account token has expired]", "token_expired"),
        ("token audiences [\"x\"] is invalid for the target audiences [\"us\"]", "wrong_audience"),
        ("service account token has been invalidated", "token_invalidated"),
        ("square/go-jose: error in cryptographic primitive", "token_rejected"),
        ("", "token_rejected"),
    ] {
        let error = error.to_owned();
        assert_eq!(reason_of(Review { authenticated: false, error, ..review() }), reason);
    }
}

#[test]
fn pod_and_node_have_to_be_those_of_the_token_still() {
    let other_pod = Pod { uid: "pod-2".parse().unwrap(), ..pod() };
    let moved = Pod { node_name: Some("elsewhere".to_owned()), ..pod() };
    let nowhere = Pod { node_name: None, ..pod() };
    let other_node = Node { uid: "node-2".parse().unwrap(), ..node() };
    for (pod, node, reason) in [
        (None, Some(node()), "pod_gone"),
        (Some(other_pod), Some(node()), "pod_gone"),
        (Some(moved), Some(node()), "pod_elsewhere"),
        (Some(nowhere), Some(node()), "pod_elsewhere"),
        (Some(pod()), None, "node_gone"),
        (Some(pod()), Some(other_node), "node_replaced"),
    ] {
        let refusal = review().check(&rules()).unwrap().check(pod, node).unwrap_err();
        assert_eq!(refusal.reason(), reason);
    }
}
