//! The agents that lose their identity, and how.

use anyhow::Result;
use keylime_attestor_proto::api::types::Agent;
use lab::fake_keylime::{Node, State};
use lab::fake_spire::{Call, agent, keylime_agent, with_selector};
use lab::host::Host;
use lab::programs;
use lab::site::{SERVER_PLUGIN, TRUST_DOMAIN};

use super::{World, evicted};

#[tokio::test]
async fn agents_that_keylime_fails_or_does_not_know_are_evicted_and_no_others() -> Result<()> {
    let timeout = State::new("TIMEOUT", 3, lab::fake_keylime::LastSuccess::Ago(1));
    let stale = State::pass().last_success(lab::fake_keylime::LastSuccess::Ago(1_000_000));
    let others =
        [("fails", State::fail()), ("pending", State::pending()), ("stale", stale), ("timeout", timeout)];
    let world = World::new(&["a", "b", "c", "d"], &others).await?;
    world.spire.add(keylime_agent("unknown"));
    // Another id in the path than in the selector, which counts.
    world.spire.add(with_selector(agent("keylime", "nobody"), "keylime", "agent_id:a"));
    // Without the selector the path tells.
    world.spire.add(agent("keylime", "old"));
    world.spire.add(Agent { banned: true, ..keylime_agent("banned") });
    world.spire.add(Agent { x509svid_expires_at: 1, ..keylime_agent("expired") });
    world.spire.add(agent("k8s_psat", "other"));
    // Nothing says which of its two nodes it is of.
    world.spire.add(with_selector(keylime_agent("ambiguous"), "keylime", "agent_id:fails"));
    world.enforce("action = \"evict\"\n unreachable_grace = \"0s\"").await?;

    world.spire.wait_for(|calls| calls.len() >= 5).await?;
    world.spire.wait_for_lists(2).await?;
    let mut done: Vec<_> = world.spire.calls().into_iter().filter(|call| *call != Call::List).collect();
    done.sort_by_key(|call| format!("{call:?}"));
    assert_eq!(done, [evicted("fails"), evicted("old"), evicted("timeout"), evicted("unknown")]);
    let rest = ["a", "b", "c", "d", "pending", "stale", "nobody", "expired", "other"];
    assert!(
        rest.iter().all(|name| world.spire.names().iter().any(|there| there == name)),
        "{:?}",
        world.spire.names()
    );

    let lines = world.logged_entries("agent lost its identity");
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .any(|line| line["agent_id"] == "fails" && line["action"] == "evict" && line["@level"] == "warn")
    );
    let counter = |one: &lab::host::Measurement| {
        one.key == ["keylime_attestor", "enforcement", "action"]
            && one.labels
                == [("action".to_owned(), "evict".to_owned()), ("result".to_owned(), "done".to_owned())]
    };
    world.site.host.services().wait_for_measurement(counter).await?;
    Ok(())
}

#[tokio::test]
async fn who_is_not_heard_of_keeps_its_identity_for_a_grace_of_its_own() -> Result<()> {
    let ago = lab::fake_keylime::LastSuccess::Ago(1);
    let silent = [("timeout", State::new("TIMEOUT", 3, ago)), ("unreached", State::new("FAIL", 7, ago))];
    let world = World::new(&["a", "b", "c"], &silent).await?;
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for_lists(3).await?;
    assert_eq!(world.gauge("failing"), Some(2.0));
    world.says("unreached", State::fail());
    world.spire.wait_for(|calls| calls.contains(&evicted("unreached"))).await?;
    world.spire.wait_for_lists(1).await?;
    assert!(!world.spire.calls().contains(&evicted("timeout")), "{:?}", world.spire.calls());
    Ok(())
}

#[tokio::test]
async fn an_agent_whose_node_is_repaired_comes_back_and_stays() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("b"))).await?;
    world.says("b", State::pass());
    world.spire.add(keylime_agent("b"));
    world.spire.wait_for_lists(3).await?;
    assert_eq!(world.spire.names(), ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn with_ban_they_are_banned_and_stay_so() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    world.enforce("action = \"ban\"").await?;
    let id = "spiffe://example.org/spire/agent/keylime/b";
    world.spire.wait_for(|calls| calls.contains(&Call::Ban(id.to_owned()))).await?;
    world.says("b", State::pass());
    world.spire.wait_for_lists(3).await?;
    assert!(world.spire.is_banned(id));
    assert_eq!(world.spire.calls().iter().filter(|call| **call != Call::List).count(), 1);
    Ok(())
}

#[tokio::test]
async fn with_observe_they_are_only_watched() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail()), ("c", State::fail())]).await?;
    world.enforce("").await?;
    world.spire.wait_for_lists(3).await?;
    assert_eq!(world.spire.names(), ["a", "b", "c"]);
    assert_eq!(
        (world.gauge("listed"), world.gauge("failing"), world.gauge("held")),
        (Some(3.0), Some(2.0), Some(0.0))
    );
    Ok(())
}

#[tokio::test]
async fn without_the_block_spire_and_keylime_are_not_asked() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    world.enforce("action = \"evict\"\n grace = \"1h\"").await?;
    world.spire.wait_for_lists(2).await?;
    world.site.configure("").await?;
    // The work for the configuration before may be within its last poll.
    let validated = world.site.configuration(&world.block("action = \"evict\""));
    assert!(world.site.host.plugin().validate(TRUST_DOMAIN, &validated).await?.valid);
    world.site.host.log().wait_for_message("enforcement ended").await?;
    let asked = || {
        let targets = world.site.keylime.verifier.targets();
        (world.spire.calls().len(), targets.iter().filter(|target| target.contains("bulk")).count())
    };
    let before = asked();
    world.site.attest().await?;
    assert_eq!(asked(), before);
    assert_eq!(world.spire.names(), ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn an_agent_is_let_be_until_its_grace_is_over() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    world.enforce("action = \"evict\"\n grace = \"3s\"").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("b"))).await?;
    // Polls are at least a second apart: the first one, and those of three seconds.
    let before = world.spire.calls().iter().take_while(|call| **call == Call::List).count();
    assert!(before >= 3, "{:?}", world.spire.calls());
    Ok(())
}

#[tokio::test]
async fn no_more_than_max_per_interval_go_at_one_poll() -> Result<()> {
    let fails = ["f1", "f2", "f3"].map(|name| (name, State::fail()));
    let world = World::new(&["a", "b", "c"], &fails).await?;
    world.enforce("action = \"evict\"\n max_per_interval = 1").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("f3"))).await?;
    let calls = world.spire.calls();
    assert!(calls.windows(2).all(|pair| pair.contains(&Call::List)), "{calls:?}");
    Ok(())
}

#[tokio::test]
async fn several_plugins_do_it_side_by_side() -> Result<()> {
    let fails = ["f1", "f2", "f3", "f4"].map(|name| (name, State::fail()));
    let world = World::new(&["a", "b", "c", "d"], &fails).await?;
    let second = Host::start(programs::built(SERVER_PLUGIN)?).start().await?;
    let block = world.block("action = \"evict\"");
    second.plugin().configure(TRUST_DOMAIN, &world.site.configuration(&block)).await?;
    world.enforce("action = \"evict\"").await?;
    world.spire.wait_for(|calls| calls.iter().filter(|call| **call != Call::List).count() == 4).await?;
    world.spire.wait_for_lists(4).await?;
    assert_eq!(world.spire.names(), ["a", "b", "c", "d"]);
    let said = |host: &Host, text: &str| {
        host.log().entries().iter().filter(|entry| entry["@message"] == text).count()
    };
    let done = said(&world.site.host, "agent lost its identity") + said(&second, "agent lost its identity");
    assert_eq!(done, 4);
    for host in [&world.site.host, &second] {
        assert_eq!(
            said(host, "agent keeps its identity")
                + said(host, "enforcement cannot poll: nobody is acted on"),
            0
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_spire_does_not_let_go_is_tried_again() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    world.spire.fail_next("evict", tonic::Status::internal("failed to remove agent"));
    world.enforce("action = \"evict\"").await?;
    world.site.host.log().wait_for_message("agent keeps its identity").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("b"))).await?;
    Ok(())
}

#[tokio::test]
async fn one_that_spire_does_not_let_go_keeps_no_other_from_going_and_begins_no_grace_anew() -> Result<()> {
    let fails = ["f1", "f2"].map(|name| (name, State::fail()));
    let world = World::new(&["a", "b", "c"], &fails).await?;
    world.spire.fail_next("evict", tonic::Status::internal("failed to remove agent"));
    world.enforce("action = \"evict\"\n grace = \"3s\"").await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("f1"))).await?;
    let calls = world.spire.calls();
    let place = |name: &str| calls.iter().position(|call| *call == evicted(name));
    let (second, first) = (place("f2").unwrap(), place("f1").unwrap());
    // The other one went at the same poll, this one at the next.
    let polls = calls[second..first].iter().filter(|call| **call == Call::List).count();
    assert_eq!(polls, 1, "{calls:?}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_two_verifiers_have_is_refused_and_its_agent_let_be() -> Result<()> {
    let world = World::new(&["a"], &[("b", State::fail())]).await?;
    let second = world.site.keylime.start_another().await?;
    second.add(Node::passing("b", &[]));
    second.add(world.site.node.known());
    let verifiers = format!("keylime_verifiers = [\"127.0.0.1:{}\"]\n", second.verifier.port());
    world.site.configure(&(verifiers + &world.block("action = \"evict\""))).await?;
    world.spire.wait_for_lists(3).await?;
    assert_eq!(world.spire.names(), ["a", "b"]);
    world.site.attest().await.expect_err("a node that two verifiers have was accepted");
    assert_eq!(world.site.reason().await?, "enrolled_twice");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_the_second_verifier_fails_is_evicted() -> Result<()> {
    let world = World::new(&["a"], &[]).await?;
    let second = world.site.keylime.start_another().await?;
    second.add(Node::passing("b", &[]).with_states([State::fail()]));
    second.add(Node::passing("c", &[]));
    world.spire.add(keylime_agent("b"));
    world.spire.add(keylime_agent("c"));
    let verifiers = format!("keylime_verifiers = [\"127.0.0.1:{}\"]\n", second.verifier.port());
    world.site.configure(&(verifiers + &world.block("action = \"evict\""))).await?;
    world.spire.wait_for(|calls| calls.contains(&evicted("b"))).await?;
    world.spire.wait_for_lists(2).await?;
    assert_eq!(world.spire.names(), ["a", "c"]);
    Ok(())
}
