//! Large fleets, and answers as large as they may be.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use keylime_attestor_proto::api::types::Agent;
use lab::fake_keylime::{Fault, Response, State};
use lab::fake_spire::{agent, keylime_agent};
use lab::host::Measurement;
use lab::ports::Port;

use super::{World, evicted};

/// The most agents that are assessed.
const MAX_AGENTS: usize = 20_000;
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn agents_that_have_expired_and_those_of_others_may_be_as_many_as_they_like() -> Result<()> {
    let world = World::new(&["a"], &[("f", State::fail())]).await?;
    world.spire.set_page(1_000);
    for number in 0..=MAX_AGENTS {
        world.spire.add(Agent { x509svid_expires_at: 1, ..keylime_agent(&format!("old-{number}")) });
        world.spire.add(agent("k8s_psat", &format!("other-{number}")));
    }
    let port = Port::free()?;
    let hash = "0".repeat(64);
    let report = format!("report_address = \"127.0.0.1:{port}\"\n report_client_key_sha256 = \"{hash}\"");
    for report in [String::new(), report] {
        world.spire.remove("f");
        world.spire.add(keylime_agent("f"));
        let evictions = world.spire.calls().iter().filter(|call| **call == evicted("f")).count();
        world.enforce(&format!("action = \"evict\"\n {report}")).await?;
        let all = |calls: &[_]| calls.iter().filter(|call| **call == evicted("f")).count() > evictions;
        world.spire.wait_for(all).await?;
    }
    Ok(())
}

#[tokio::test]
async fn large_members_that_are_not_used_take_no_memory() -> Result<()> {
    let text = "x".repeat(3_200);
    is_polled_within_48_mib(&format!(r#""meta_data":"{text}","ip":["{text}"]"#)).await
}

#[tokio::test]
async fn many_small_members_that_are_not_used_take_no_memory() -> Result<()> {
    is_polled_within_48_mib(&format!(r#""lists":[{}0]"#, "[0,{}],".repeat(1_000_000))).await
}

/// Polls a verifier whose answer is about as large as it may be, of records that end with these
/// members.
async fn is_polled_within_48_mib(members: &str) -> Result<()> {
    let world = World::new(&["a"], &[]).await?;
    let body = format!(r#"{{"code":200,"status":"Success","results":{{{}}}}}"#, records(members));
    assert!(body.len() > 55 * MIB, "{}", body.len());
    world.site.keylime.verifier.fault("bulk=true", Fault::Answer(Response::json(200, body)));
    let block = world.block("action = \"evict\"");
    world.site.configure(&format!("request_timeout = \"5m\"\n{block}")).await?;
    let done = |one: &Measurement| {
        one.key == ["keylime_attestor", "enforcement", "poll"]
            && one.labels == [("result".to_owned(), "done".to_owned())]
    };
    // Longer than tests wait for other things: the plugin is not optimized here.
    while !world.site.host.services().measurements().iter().any(done) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let peak = world.site.host.peak_kib()?;
    assert!(peak < 48 * 1024, "{peak} KiB");
    Ok(())
}

/// As many records as an answer of 64 MiB has room for.
fn records(members: &str) -> String {
    let mut records = String::with_capacity(64 * MIB);
    for number in 0..MAX_AGENTS {
        if records.len() + members.len() > 63 * MIB {
            break;
        }
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(records, r#"{comma}"node-{number}":{{"attestation_status":"PASS",{members}}}"#);
    }
    records
}
