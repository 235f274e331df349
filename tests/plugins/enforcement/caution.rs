//! Whatever is not certain evicts nobody, and holds up no attestation.

use anyhow::Result;
use lab::fake_keylime::{Fault, Node, Response, State};
use lab::fake_spire::Call;
use serde_json::json;
use tonic::Status;

use super::{World, evicted};

const POLL_FAILED: &str = "enforcement cannot poll: nobody is acted on";

/// Two of four fail, of which one would go at a poll.
async fn world() -> Result<World> {
    World::new(&["a", "b"], &[("e", State::fail()), ("f", State::fail())]).await
}

fn nobody_went(world: &World) {
    assert!(world.spire.calls().iter().all(|call| *call == Call::List), "{:?}", world.spire.calls());
}

#[tokio::test]
async fn when_more_than_max_unhealthy_would_go_nobody_goes_and_it_is_said_once() -> Result<()> {
    let world = World::new(&["a"], &[("e", State::fail()), ("f", State::fail())]).await?;
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for_lists(4).await?;
    nobody_went(&world);
    let lines = world.logged_entries("more than max_unhealthy");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["@level"], "error");
    assert_eq!(world.gauge("held"), Some(1.0));

    world.says("f", State::pass());
    world.site.host.log().wait_for_message("no longer too many agents at fault: enforcement goes on").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("e"))).await?;
    world
        .site
        .host
        .services()
        .wait_for_measurement(|one| one.key.last().is_some_and(|name| name == "held") && one.value == 0.0)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_verifier_that_has_lost_everything_takes_nobody_with_it() -> Result<()> {
    let world = World::new(&["a", "b"], &[]).await?;
    for name in ["a", "b"] {
        world.site.keylime.remove(name);
    }
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for_lists(3).await?;
    nobody_went(&world);
    assert_eq!(world.gauge("unknown"), Some(2.0));
    Ok(())
}

#[tokio::test]
async fn a_verifier_that_is_away_saves_all_and_is_told_of_once() -> Result<()> {
    let mut world = world().await?;
    world.site.keylime.verifier.take_down().await;
    world.enforce("action = \"evict\"").await?;
    world.site.host.log().wait_for_message(POLL_FAILED).await?;
    world.spire.wait_for_lists(3).await?;
    nobody_went(&world);
    assert_eq!(world.logged(POLL_FAILED), 1);

    world.site.keylime.verifier.bring_up().await?;
    world.site.host.log().wait_for_message("enforcement sees SPIRE and Keylime again").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("e")) && calls.contains(&evicted("f"))).await?;
    Ok(())
}

#[tokio::test]
async fn a_second_verifier_that_is_away_saves_all_those_of_the_first_too() -> Result<()> {
    let world = world().await?;
    let mut second = world.site.keylime.start_another().await?;
    second.verifier.take_down().await;
    let verifiers = format!("keylime_verifiers = [\"127.0.0.1:{}\"]\n", second.verifier.port());
    world.site.configure(&(verifiers + &world.block("action = \"evict\""))).await?;
    world.spire.wait_for_lists(3).await?;
    nobody_went(&world);
    Ok(())
}

#[tokio::test]
async fn answers_that_are_none_save_all() -> Result<()> {
    for fault in [
        Fault::HangUp,
        Fault::CutShort,
        Fault::Answer(Response::json(200, "{}")),
        Fault::Answer(Response::json(200, r#"{"code": 200, "status": "Success", "results": []}"#)),
        Fault::Answer(Response::json(403, r#"{"code": 403, "status": "Forbidden", "results": {}}"#)),
        Fault::Answer(Response::json(404, r#"{"code": 404, "status": "agent id not found", "results": {}}"#)),
        Fault::Answer(Response::html(500, "")),
    ] {
        let world = world().await?;
        world.site.keylime.verifier.fault("bulk=true", fault);
        world.enforce("action = \"evict\"").await?;
        world.site.host.log().wait_for_message(POLL_FAILED).await?;
        world.spire.wait_for_lists(1).await?;
        nobody_went(&world);
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_cannot_be_read_saves_its_agent_and_no_other() -> Result<()> {
    let world = world().await?;
    world.says("e", State::fail().with("attestation_status", json!("FAILED")));
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("f"))).await?;
    world.spire.wait_for_lists(2).await?;
    assert_eq!(world.spire.names(), ["a", "b", "e"]);
    assert_eq!(world.logged("records of which nothing can be said"), 1);
    Ok(())
}

#[tokio::test]
async fn an_agent_of_which_keylime_says_otherwise_when_asked_again_is_let_be() -> Result<()> {
    let world = World::new(&["a"], &[]).await?;
    world.spire.add(lab::fake_spire::keylime_agent("b"));
    // Asked for all, then for this one, and so on.
    let states = (0..20).flat_map(|_| [State::fail(), State::pass()]);
    world.site.keylime.add(Node::passing("b", &[]).with_states(states));
    world.enforce("action = \"evict\"").await?;
    world
        .site
        .host
        .log()
        .wait_for_message("Keylime says otherwise when asked again: the agent is let be")
        .await?;
    world.spire.wait_for_lists(2).await?;
    nobody_went(&world);
    Ok(())
}

#[tokio::test]
async fn a_verifier_that_goes_away_before_it_is_asked_again_saves_all() -> Result<()> {
    let world = world().await?;
    for agent in ["/agents/e", "/agents/f"] {
        world.site.keylime.verifier.fault(agent, Fault::HangUp);
    }
    world.enforce("action = \"evict\"").await?;
    world.site.host.log().wait_for_message(POLL_FAILED).await?;
    world.spire.wait_for_lists(2).await?;
    nobody_went(&world);
    Ok(())
}

#[tokio::test]
async fn a_spire_that_cannot_be_asked_saves_all_and_admits_nobody() -> Result<()> {
    let world = world().await?;
    world.spire.take_down().await;
    world.enforce("action = \"evict\"").await?;
    let line = world.site.host.log().wait_for_message(POLL_FAILED).await?;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("No such file")), "{line}");
    // Whether the node's keys are those of before cannot be said.
    let status = world.site.attest().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");

    world.spire.bring_up()?;
    world.spire.fail_next("list", Status::internal("no database"));
    world.spire.wait_for(|calls| calls.contains(&evicted("f"))).await?;
    assert_eq!(world.logged(POLL_FAILED), 1);
    Ok(())
}

#[tokio::test]
async fn a_poll_that_hangs_holds_up_no_attestation_and_no_configuration() -> Result<()> {
    let world = world().await?;
    world.site.keylime.verifier.fault("bulk=true", Fault::Hang);
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for_lists(1).await?;
    world.site.attest().await?;
    world.site.configure("").await?;
    world.site.host.log().wait_for_message("enforcement ended").await?;
    world.site.attest().await?;
    Ok(())
}
