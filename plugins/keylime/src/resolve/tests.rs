use super::*;
use crate::Endpoint;

#[test]
fn whatever_is_accepted_as_a_host_is_a_name_to_the_resolver() {
    for host in [
        "keylime_verifier",
        "keylime_verifier.default.svc.cluster.local",
        "verifier_",
        "_verifier._tcp.example.",
        "xn--bcher-kva.example",
        "a-b.c--d",
        &format!("{}.example", "a".repeat(63)),
    ] {
        assert!(Endpoint::new(host, 1).is_ok(), "{host}");
        assert_eq!(name(host).unwrap().to_ascii(), host);
    }
}
