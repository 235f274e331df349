//! Arbitrary input: no panic, and nothing accepted that was not made for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::message::{Challenge, Payload, Response};
use evidence::{
    AgentId, AgentPathTemplate, AttestationKey, EndorsementKey, HashAlg, Metadata, Nonce, tpm_policy_pcrs,
};
use lab::soft_ak::SoftAk;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{recorded, verify};

/// Changes at random places of something good, so that parsers are left late.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

fn change(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (at, value) in changes {
        bytes[at.index(bytes.len())] = *value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_no_quote(text in ".*", rest in "[r:A-Za-z0-9+/=]*") {
        for quote in [text, format!("r{rest}")] {
            prop_assert!(verify(&quote, &recorded::ak(), recorded::NONCE, HashAlg::Sha256).is_err());
        }
    }

    #[test]
    fn any_bytes_in_three_parts_are_no_quote(parts in vec(vec(any::<u8>(), 0..1_100), 3)) {
        let [attest, signature, pcrs] = [0, 1, 2].map(|part| STANDARD.encode(&parts[part]));
        let quote = format!("r{attest}:{signature}:{pcrs}");
        prop_assert!(verify(&quote, &recorded::ak(), recorded::NONCE, HashAlg::Sha256).is_err());
    }

    #[test]
    fn a_changed_quote_is_refused_and_harmless(changes in changes(), part in 0..3_usize) {
        let quote = recorded::quote();
        let mut parts: Vec<_> = quote[1..].split(':').map(|part| STANDARD.decode(part).unwrap()).collect();
        change(&mut parts[part], &changes);
        let [attest, signature, pcrs] = [0, 1, 2].map(|part| STANDARD.encode(&parts[part]));
        let changed = format!("r{attest}:{signature}:{pcrs}");
        let verified = verify(&changed, &recorded::ak(), recorded::NONCE, HashAlg::Sha256);
        prop_assert_eq!(verified.is_ok(), changed == quote);
    }

    #[test]
    fn any_bytes_as_a_key_are_harmless(bytes in vec(any::<u8>(), 0..700), changes in changes()) {
        let _ = AttestationKey::from_tpm2b_public(&bytes);
        let _ = EndorsementKey::from_tpm2b_public(&bytes);
        for soft in [SoftAk::p256().unwrap(), SoftAk::rsa(2048, 0x0014, 0x000b).unwrap()] {
            let mut public = soft.tpm2b_public();
            change(&mut public, &changes);
            if let Ok(ak) = AttestationKey::from_tpm2b_public(&public) {
                let _ = verify(&soft.quote(b"nonce").unwrap().to_string(), &ak, "nonce", HashAlg::Sha256);
            }
        }
    }

    #[test]
    fn any_message_is_read_or_refused(bytes in vec(any::<u8>(), 0..300), text in r#"\{("(AgentID|HashAlg|Nonce|TPMQuote)":("[A-Za-z0-9+/=]*"|null|[0-9]+),?)*\}?"#) {
        for json in [bytes.as_slice(), text.as_bytes()] {
            let _ = Payload::from_json(json);
            let _ = Challenge::from_json(json);
            let _ = Response::from_json(json);
        }
    }

    #[test]
    fn messages_come_back_as_they_went(id in "[A-Za-z0-9_.-]{3,255}", nonce in "[A-Za-z0-9]{1,64}", quote in ".{1,200}") {
        let agent_id = AgentId::new(&id).unwrap();
        let payload = Payload { agent_id, hash_alg: Some(HashAlg::Sha384), service_account_token: None };
        prop_assert_eq!(Payload::from_json(&payload.to_json()), Ok(payload));
        let challenge = Challenge { nonce: Nonce::parse(nonce.as_bytes()).unwrap() };
        prop_assert_eq!(Challenge::from_json(&challenge.to_json()), Ok(challenge));
        let response = Response { quote };
        prop_assert_eq!(Response::from_json(&response.to_json()), Ok(response));
    }

    #[test]
    fn an_id_or_its_path_never_leaves_its_place(id in ".{0,20}", template in r"[/a-z.{} ]{0,12}\{\{ ?\.AgentID ?\}\}[/a-z.{} ]{0,12}") {
        let Ok(id) = AgentId::new(&id) else { return Ok(()) };
        let Ok(template) = AgentPathTemplate::parse(&template) else { return Ok(()) };
        if let Ok(spiffe_id) = template.render("example.org", "keylime", &id) {
            let path = spiffe_id.strip_prefix("spiffe://example.org/spire/agent/").unwrap();
            prop_assert!(path.contains(id.as_str()));
            prop_assert!(path.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
        }
    }

    #[test]
    fn any_policy_and_metadata_are_read(text in ".*") {
        let _ = Metadata::from_json(&text);
        prop_assert!(tpm_policy_pcrs(&text).iter().all(|pcr| *pcr < 24));
    }
}
