use k8s_openapi::ByteString;
use lab::damage::{forms, trace_of};
use lab::fake_keylime::pki::Ca;
use serde_json::json;

use std::collections::BTreeMap;

use super::*;

/// The condition and the Events about a Secret repeat these texts.
#[test]
fn a_damaged_key_in_the_secret_is_in_no_message() {
    let keylime: Keylime = serde_json::from_value(
        json!({"verifiers": [{"host": "keylime_verifier"}], "tls": {"secretName": "keylime-client"}}),
    )
    .unwrap();
    let ca = Ca::new().unwrap();
    let leaf = ca.client().unwrap();
    let good: BTreeMap<String, ByteString> = [
        (secret_key::CA, ca.pem()),
        (secret_key::CERTIFICATE, &leaf.cert_pem),
        (secret_key::PRIVATE_KEY, &leaf.key_pem),
    ]
    .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
    .into();
    let with = |key: &str, content: &[u8]| {
        let mut data = good.clone();
        data.insert(key.to_owned(), ByteString(content.to_vec()));
        KeylimeClient::new(&keylime, &Secret { data: Some(data), ..Secret::default() }, None, String::new())
    };
    let mut refused = 0;
    for form in forms(&leaf.key_pem) {
        for key in [secret_key::CA, secret_key::CERTIFICATE, secret_key::PRIVATE_KEY] {
            let Err(details) = with(key, &form.content) else { continue };
            refused += 1;
            let said = details.join("; ");
            assert!(said.contains(key), "{said}");
            assert_eq!(trace_of(&leaf.key_pem, &said), None, "{key}, {}: {said}", form.how);
        }
    }
    assert!(refused > 50, "only {refused} were refused");
}
