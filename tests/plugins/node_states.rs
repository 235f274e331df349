//! Which nodes the server plugin accepts and which it refuses, by what Keylime says of them
//! and by their quotes.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "what the tests share is test code too")]

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use evidence::message::Response;
use lab::fake_keylime::{Fault, LastSuccess, Node, State, Valid};
use lab::host::AgentStoreMode;
use lab::site::Site;
use lab::soft_ak::SoftAk;
use serde_json::json;
use tonic::{Code, Status};

const MINUTE: u64 = 60;

#[tokio::test]
async fn a_healthy_node_with_a_good_quote_gets_its_identity_and_selectors() -> Result<()> {
    let site = Site::start().await?;
    let id = site.node.id().clone();
    let states = [State::pass().with("meta_data", json!(r#"{"rack":"r7","secret":"x"}"#))];
    site.keylime.add(site.node.known().with_states(states));
    site.configure("allowed_metadata_keys = [\"rack\"]").await?;

    let attributes = site.attest().await?;

    assert_eq!(attributes.spiffe_id, format!("spiffe://example.org/spire/agent/keylime/{id}"));
    assert!(attributes.can_reattest);
    let selectors = attributes.selector_values;
    for expected in [
        &format!("agent_id:{id}"),
        "hash_alg:sha256",
        "runtime_policy:false",
        "measured_boot:false",
        "metadata:rack:r7",
    ] {
        assert!(selectors.iter().any(|selector| selector == expected), "{expected} is not in {selectors:?}");
    }
    for prefix in ["ak_sha256:", "ek_sha256:", "verifier_id:"] {
        assert!(
            selectors.iter().any(|selector| selector.starts_with(prefix)),
            "{prefix} is not in {selectors:?}"
        );
    }
    assert!(!selectors.iter().any(|selector| selector.contains("secret")), "{selectors:?}");

    let counted = site
        .host
        .services()
        .wait_for_measurement(|measured| measured.key == ["keylime_attestor", "attestation"])
        .await?;
    assert!(counted.labels.contains(&("result".to_owned(), "accepted".to_owned())), "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn the_path_and_the_plugins_name_are_configurable() -> Result<()> {
    let site = Site::start().await?;
    let id = site.node.id();
    site.configure(
        "plugin_name = \"tpm\"\nagent_path_template = \"/{{ .PluginName }}/{{ .TrustDomain }}/{{.AgentID}}\"",
    )
    .await?;
    assert_eq!(
        site.attest().await?.spiffe_id,
        format!("spiffe://example.org/spire/agent/tpm/example.org/{id}")
    );
    Ok(())
}

#[tokio::test]
async fn a_node_that_keylime_does_not_know_is_refused_without_a_challenge() -> Result<()> {
    let site = Site::start().await?;
    for (node, reason) in [
        (Node { registered: false, ..site.node.known() }, "not_registered"),
        (Node { enrolled: false, ..site.node.known() }, "not_enrolled"),
    ] {
        site.keylime.add(node);
        assert_refused_without_challenge(&site, Code::PermissionDenied, reason).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_does_not_pass_is_refused_without_a_challenge() -> Result<()> {
    let site = Site::start().await?;
    let old = |state| State { attestation_status: None, ..State::new("", state, LastSuccess::Ago(1)) };
    for (state, code, reason) in [
        (State::fail(), Code::PermissionDenied, "node_fails"),
        (State::pending(), Code::PermissionDenied, "node_pending"),
        (State::new("TIMEOUT", 3, LastSuccess::Ago(1)), Code::PermissionDenied, "node_timed_out"),
        (State::new("FAIL", 3, LastSuccess::Ago(1)), Code::PermissionDenied, "node_unreachable"),
        (State::new("FAIL", 7, LastSuccess::Ago(1)), Code::PermissionDenied, "node_unreachable"),
        (old(7), Code::PermissionDenied, "node_unreachable"),
        (State::new("SOMETHING_NEW", 3, LastSuccess::Ago(1)), Code::Unavailable, "wrong_shape"),
        (old(9), Code::PermissionDenied, "node_fails"),
        (old(2), Code::PermissionDenied, "node_pending"),
        (old(11), Code::Unavailable, "wrong_shape"),
    ] {
        site.keylime.add(site.node.known().with_states([state.clone()]));
        assert_refused_without_challenge(&site, code, reason).await?;
    }
    site.keylime.add(site.node.known().with_states([old(4)]));
    site.attest().await?;
    Ok(())
}

/// A verifier in push mode: no address, no bank, state 3 whatever happens.
#[tokio::test]
async fn a_node_in_push_mode_is_told_of_by_texts_that_fit() -> Result<()> {
    let site = Site::start().await?;
    let push = |status| {
        let state = State::new(status, 3, LastSuccess::Ago(1));
        state.with("ip", json!(null)).with("port", json!(null)).with("hash_alg", json!(""))
    };
    site.keylime.add(site.node.known().with_states([push("PASS")]));
    site.attest().await?;
    for (status, reason, text) in [
        ("FAIL", "node_fails", "enrol it anew (keylime_tenant -c update --push-model)"),
        ("TIMEOUT", "node_timed_out", "the agent has not been heard of by Keylime's verifier"),
        ("PENDING", "node_pending", "runs and reaches the verifier, and that its policy asks for something"),
    ] {
        site.keylime.add(site.node.known().with_states([push(status)]));
        assert_refused_without_challenge(&site, Code::PermissionDenied, reason).await?;
        let entry = site.host.log().wait_for(|entry| entry.to_string().contains(text)).await?;
        assert!(!entry.to_string().contains("reactivate"), "{entry}");
    }
    Ok(())
}

/// Neither the verifier nor, as an agent plugin of before does, the payload names a bank.
#[tokio::test]
async fn a_node_in_push_mode_has_to_tell_its_bank() -> Result<()> {
    let site = Site::start().await?;
    let push = State::pass().with("ip", json!(null)).with("port", json!(null)).with("hash_alg", json!(""));
    site.keylime.add(site.node.known().with_states([push]));
    let id = STANDARD.encode(site.node.id().as_str());
    for (hash_alg, code, text) in [
        (
            None,
            Code::InvalidArgument,
            "have the agent plugin ask keylime-attestor-quoter (keylime_agent_socket)",
        ),
        (Some("sha1"), Code::PermissionDenied, "sha1, which is too weak"),
    ] {
        let payload = json!({ "AgentID": id, "HashAlg": hash_alg.map(|name| STANDARD.encode(name)) });
        let status = site.attest_as(payload.to_string().into_bytes(), |_| bail!("it was challenged")).await;
        let status = status.expect_err("it was accepted");
        assert_eq!(status.code(), code, "{status}");
        site.host.log().wait_for(|entry| entry.to_string().contains(text)).await?;
    }
    // Another bank than that of the quote.
    let payload = json!({ "AgentID": id, "HashAlg": STANDARD.encode("sha384") }).to_string().into_bytes();
    let status = site.attest_as(payload, |challenge| site.node.respond(challenge)).await;
    assert_eq!(status.expect_err("it was accepted").code(), Code::PermissionDenied);
    Ok(())
}

#[tokio::test]
async fn a_silent_node_in_push_mode_is_missed_with_advice_that_fits() -> Result<()> {
    let site = Site::start().await?;
    site.configure("challenge_timeout = \"1s\"").await?;
    let push = State::pass().with("ip", json!(null)).with("port", json!(null));
    site.keylime.add(site.node.known().with_states([push]));
    let mut session = site.host.plugin().attest(site.node.payload()).await?;
    session.challenge().await?;
    let status = session.answer().await.expect_err("it was accepted without an answer");
    assert!(status.message().contains("that the agent plugin asks it (keylime_agent_socket)"), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_greatest_age_below_the_verifiers_interval_is_warned_of_once() -> Result<()> {
    const WARNING: &str = "max_attestation_age is not longer than the verifier's quote_interval";
    let site = Site::start().await?;
    let state = State::pass().with("attestation_period", json!("600s"));
    site.keylime.add(site.node.known().with_states([state.clone()]));
    site.attest().await?;
    let entry = site.host.log().wait_for(|entry| entry.to_string().contains(WARNING)).await?;
    assert_eq!((&entry["max_attestation_age_s"], &entry["quote_interval_s"]), (&json!(300), &json!(600)));
    site.keylime.add(site.node.known().with_states([state.last_success(LastSuccess::Ago(6 * MINUTE))]));
    assert_refused_without_challenge(&site, Code::PermissionDenied, "stale").await?;
    let text = "attests it every 600 s (quote_interval), so that more must be allowed";
    site.host.log().wait_for(|entry| entry.to_string().contains(text)).await?;
    let told = site.host.log().entries().iter().filter(|entry| entry.to_string().contains(WARNING)).count();
    assert_eq!(told, 1);
    Ok(())
}

#[tokio::test]
async fn a_node_whose_last_success_is_too_old_or_unknown_is_refused() -> Result<()> {
    let site = Site::start().await?;
    let stale = [
        (LastSuccess::Ago(6 * MINUTE), "stale"),
        (LastSuccess::Absent, "never_passed"),
        (LastSuccess::At(0), "never_passed"),
        (LastSuccess::At(u64::from(u32::MAX)), "last_success_in_future"),
    ];
    for (last_success, reason) in stale {
        site.keylime.add(site.node.known().with_states([State::pass().last_success(last_success)]));
        assert_refused_without_challenge(&site, Code::PermissionDenied, reason).await?;
    }
    site.configure("max_attestation_age = 0").await?;
    for (last_success, _) in stale {
        site.keylime.add(site.node.known().with_states([State::pass().last_success(last_success)]));
        site.attest().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_fails_between_challenge_and_proof_is_refused() -> Result<()> {
    let site = Site::start().await?;
    let stale = State::pass().last_success(LastSuccess::Ago(6 * MINUTE));
    for later in [State::fail(), State::pending(), stale] {
        site.keylime.add(site.node.known().with_states([State::pass(), later]));
        assert_refused(&site, site.attest().await, Code::PermissionDenied, "state_changed").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_quote_of_another_tpm_is_refused_although_the_verifier_says_yes() -> Result<()> {
    let site = Site::start().await?;
    let other = SoftAk::p256()?;
    site.keylime.add(Node::passing(site.node.id().as_str(), &other.tpm2b_public()));
    assert_refused(&site, site.attest().await, Code::PermissionDenied, "quote_signature").await
}

#[tokio::test]
async fn an_ak_that_could_sign_what_no_tpm_made_is_refused_without_a_challenge() -> Result<()> {
    const RESTRICTED: u32 = 1 << 16;
    let site = Site::start().await?;
    let mut ak = SoftAk::p256()?;
    ak.public.attributes &= !RESTRICTED;
    site.keylime.add(Node::passing(site.node.id().as_str(), &ak.tpm2b_public()));
    assert_refused_without_challenge(&site, Code::PermissionDenied, "ak_not_restricted").await
}

#[tokio::test]
async fn a_replayed_quote_is_refused() -> Result<()> {
    let site = Site::start().await?;
    let mut earlier = Vec::new();
    site.attest_with(|challenge| {
        earlier = site.node.respond(challenge)?;
        Ok(earlier.clone())
    })
    .await?;
    let outcome = site.attest_with(|_challenge| Ok(earlier)).await;
    assert_refused(&site, outcome, Code::PermissionDenied, "quote_nonce").await
}

#[tokio::test]
async fn a_tampered_quote_is_refused_whatever_was_changed() -> Result<()> {
    let site = Site::start().await?;
    for part in 0..3 {
        let outcome = site.attest_with(|challenge| tamper(&site.node.respond(challenge)?, part)).await;
        let status = outcome.expect_err("a tampered quote was accepted");
        assert!(matches!(status.code(), Code::PermissionDenied | Code::InvalidArgument), "{status:?}");
    }
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn a_good_quote_that_the_verifier_rejects_is_refused() -> Result<()> {
    let site = Site::start().await?;
    site.keylime.add(Node { valid: Valid::Nothing, ..site.node.known() });
    assert_refused(&site, site.attest().await, Code::PermissionDenied, "verifier_says_invalid").await
}

#[tokio::test]
async fn a_verifier_whose_word_does_not_depend_on_the_nonce_is_not_believed_and_raises_an_alarm() -> Result<()>
{
    let site = Site::start().await?;
    for valid in [Valid::Anything, Valid::OtherNonces] {
        site.keylime.add(Node { valid, ..site.node.known() });
        assert_refused(&site, site.attest().await, Code::Unavailable, "verifier_ignores_nonce").await?;
    }
    let alarm = |level: &str| {
        let ended = |entry: &serde_json::Value| entry["reason"] == "verifier_ignores_nonce";
        site.host.log().entries().iter().filter(|entry| ended(entry) && entry["@level"] == level).count()
    };
    assert_eq!(alarm("error"), 2);
    let is_alarm = |measured: &lab::host::Measurement| measured.key == ["keylime_attestor", "alarm"];
    let counted = site.host.services().wait_for_measurement(is_alarm).await?;
    assert_eq!(counted.labels, [("reason".to_owned(), "verifier_ignores_nonce".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn the_verifier_is_asked_about_the_quote_twice_at_once() -> Result<()> {
    let site = Site::start().await?;
    site.attest().await?;
    let before = site.keylime.verifier.targets().len();
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    site.keylime.verifier.fault("/verify/identity", Fault::Hold(std::sync::Arc::clone(&release)));
    let let_go = async {
        // The state before the challenge, and all three questions after it.
        while site.keylime.verifier.targets().len() < before + 4 {
            tokio::task::yield_now().await;
        }
        loop {
            release.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        attested = site.attest() => drop(attested?),
        () = let_go => {}
    }
    Ok(())
}

#[tokio::test]
async fn without_can_reattest_a_node_attests_once() -> Result<()> {
    let site = Site::start().await?;
    site.configure("can_reattest = false").await?;
    let attributes = site.attest().await?;
    assert!(!attributes.can_reattest);

    site.host.services().know_agent(&attributes.spiffe_id);
    assert_refused_without_challenge(&site, Code::PermissionDenied, "already_attested").await?;

    site.host.services().set_agent_store(AgentStoreMode::Fail(Status::internal("out of order")));
    let status = site
        .attest()
        .await
        .expect_err("a node was accepted although SPIRE could not tell whether it is known");
    assert_ne!(status.code(), Code::PermissionDenied, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn without_can_reattest_a_node_that_another_attested_as_meanwhile_is_refused() -> Result<()> {
    let site = Site::start().await?;
    site.configure("can_reattest = false").await?;
    let id = format!("spiffe://example.org/spire/agent/keylime/{}", site.node.id());
    let outcome = site
        .attest_with(|challenge| {
            site.host.services().know_agent(&id);
            site.node.respond(challenge)
        })
        .await;
    assert_refused(&site, outcome, Code::PermissionDenied, "already_attested").await
}

#[tokio::test]
async fn without_can_reattest_one_of_two_at_a_time_is_accepted() -> Result<()> {
    let site = Site::start().await?;
    site.configure("can_reattest = false").await?;
    let (first, second) = tokio::join!(site.attest(), site.attest());
    let refused = match (first, second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    // SPIRE has not written the first one down yet.
    assert_refused(&site, site.attest().await, Code::Unavailable, "accepted_elsewhere").await
}

#[tokio::test]
async fn neither_nonce_nor_quote_is_in_the_log_or_the_status() -> Result<()> {
    let site = Site::start().await?;
    let mut secrets = Vec::new();
    let mut told = Vec::new();
    for tampered in [false, true] {
        let outcome = site
            .attest_with(|challenge| {
                let nonce = evidence::message::Challenge::from_json(challenge)?.nonce;
                let response = site.node.respond(challenge)?;
                secrets.push(nonce.as_str().to_owned());
                secrets.extend(Response::from_json(&response)?.quote.split(':').map(ToOwned::to_owned));
                if tampered { tamper(&response, 1) } else { Ok(response) }
            })
            .await;
        told.extend(outcome.err().map(|status| status.message().to_owned()));
    }
    site.reason().await?;
    told.extend(site.host.log().lines());
    assert_eq!(secrets.len(), 8);
    for secret in secrets {
        assert!(!told.iter().any(|line| line.contains(&secret)), "{secret} is in {told:#?}");
    }
    Ok(())
}

async fn assert_refused_without_challenge(site: &Site, code: Code, reason: &str) -> Result<()> {
    let challenged = std::cell::Cell::new(false);
    let outcome = site
        .attest_with(|challenge| {
            challenged.set(true);
            site.node.respond(challenge)
        })
        .await;
    assert!(!challenged.get(), "a challenge was sent although the node is refused: {reason}");
    if code == Code::PermissionDenied {
        let told = outcome.as_ref().err().map(Status::message);
        assert_eq!(
            told,
            Some("the agent is not attested; the log of the SPIRE server tells why"),
            "{reason}"
        );
    }
    assert_refused(site, outcome, code, reason).await
}

async fn assert_refused<T: std::fmt::Debug>(
    site: &Site,
    outcome: Result<T, Status>,
    code: Code,
    reason: &str,
) -> Result<()> {
    let status = outcome.expect_err(&format!("the node was accepted, and not refused: {reason}"));
    assert_eq!(status.code(), code, "{reason}: {status:?}");
    assert_eq!(site.reason().await?, reason, "{status:?}");
    Ok(())
}

/// Changes a byte in the middle of a part of the quote.
fn tamper(response: &[u8], part: usize) -> Result<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let quote = Response::from_json(response)?.quote;
    let mut parts: Vec<String> = quote.trim_start_matches('r').split(':').map(ToOwned::to_owned).collect();
    let mut bytes = STANDARD.decode(&parts[part])?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    parts[part] = STANDARD.encode(bytes);
    Ok(Response { quote: format!("r{}", parts.join(":")) }.to_json())
}
