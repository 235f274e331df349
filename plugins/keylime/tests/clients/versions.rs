//! The choice of the API version.

use lab::fake_keylime::{Fault, Response, Versions};

use super::{PATIENT, World, agent};

async fn spoken(world: &World) -> String {
    world.servers().state(&agent()).await.unwrap();
    world.keylime.verifier.targets().last().unwrap().split('/').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn the_newest_common_version_is_spoken() {
    let world = World::new().await;
    for (versions, expected) in [
        (vec!["1.0", "2.0", "2.1", "2.2", "3.0"], "v2.2"),
        (vec!["2.4", "2.3"], "v2.4"),
        (vec!["2.5", "2.7", "2.10", "2.60", "3.6"], "v2.5"),
    ] {
        world.keylime.set_versions(Versions::Only(versions.into_iter().map(str::to_owned).collect()));
        assert_eq!(spoken(&world).await, expected);
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_spoken_to_in_2_2() {
    let world = World::new().await;
    world.keylime.set_versions(Versions::Untold);
    assert_eq!(spoken(&world).await, "v2.2");
    world.keylime.verifier.fault("/version", Fault::Answer(Response::html(404, "")));
    assert_eq!(spoken(&world).await, "v2.2");
}

#[tokio::test]
async fn a_server_without_a_common_version_is_not_asked() {
    let world = World::new().await;
    world.keylime.set_versions(Versions::Only(vec!["1.0".to_owned(), "3.0".to_owned()]));
    let error = world.servers().state(&agent()).await.unwrap_err();
    assert_eq!(error.reason(), "api_version");
    assert!(error.to_string().contains("it knows 1.0, 3.0"), "{error}");
    assert_eq!(world.keylime.verifier.targets(), ["/version"]);
}

#[tokio::test]
async fn a_verifier_that_cannot_verify_quotes_is_told_before_anything_is_asked_of_the_node() {
    let world = World::new().await;
    world.keylime.set_versions(Versions::Only(["1.0", "2.0", "2.1"].map(str::to_owned).to_vec()));
    let error = world.servers().state(&agent()).await.unwrap_err();
    assert_eq!((error.reason(), error.is_refusal()), ("api_version", false));
    assert!(error.to_string().contains("update it to Keylime 7.11 or later"), "{error}");
    let failures = world.servers().states().await.failures;
    assert_eq!(failures, [error]);
    // A registrar, which verifies no quotes, may be as old.
    world.servers().registration(&agent()).await.unwrap();
}

#[tokio::test]
async fn versions_that_cannot_be_read_are_no_versions() {
    let world = World::new().await;
    for (answer, reason) in [
        (Response::json(200, r#"{"code": 200, "status": "Success", "results": {}}"#), "api_version"),
        (
            Response::json(200, r#"{"code": 200, "status": "Success", "results": {"current_version": 2}}"#),
            "wrong_shape",
        ),
        (Response::html(200, "<html>"), "not_json"),
        (Response::html(502, ""), "server_error"),
        (Response::html(403, ""), "client_certificate_refused"),
    ] {
        world.keylime.verifier.heal();
        world.keylime.verifier.fault("/version", Fault::Answer(answer));
        assert_eq!(world.servers().state(&agent()).await.unwrap_err().reason(), reason);
    }
}

#[tokio::test]
async fn many_requests_at_once_ask_for_the_version_once() {
    let world = World::new().await;
    let servers = world.servers();
    let node = agent();
    let states = (0..32).map(|_| servers.state(&node));
    futures_util::future::try_join_all(states).await.unwrap();
    let asked = world.keylime.verifier.targets();
    assert_eq!(asked.iter().filter(|target| *target == "/version").count(), 1);
    assert_eq!(asked.len(), 33);
}

#[tokio::test]
async fn another_version_is_agreed_on_when_the_server_no_longer_knows_the_old_one() {
    let world = World::new().await;
    let servers = world.servers();
    servers.state(&agent()).await.unwrap();
    world.keylime.set_versions(Versions::Only(vec!["2.3".to_owned()]));
    servers.state(&agent()).await.unwrap();
    let expected = [
        "/version".to_owned(),
        format!("/v2.6/agents/{}", agent()),
        format!("/v2.6/agents/{}", agent()),
        "/version".to_owned(),
        format!("/v2.3/agents/{}", agent()),
    ];
    assert_eq!(world.keylime.verifier.targets(), expected);
}

#[tokio::test]
async fn the_version_is_asked_for_again_after_the_server_was_away() {
    let mut world = World::new().await;
    world.keylime.set_versions(Versions::Only(vec!["2.3".to_owned()]));
    let servers = world.servers();
    servers.state(&agent()).await.unwrap();
    world.keylime.verifier.take_down().await;
    assert_eq!(servers.state(&agent()).await.unwrap_err().reason(), "no_connection");
    world.keylime.set_versions(Versions::Recorded);
    world.keylime.verifier.bring_up().await.unwrap();
    servers.state(&agent()).await.unwrap();
    assert!(world.keylime.verifier.targets().last().unwrap().starts_with("/v2.6/"));
}

#[tokio::test]
async fn a_hanging_version_answer_ends_in_time_for_everyone_who_waits() {
    let world = World::new().await;
    let servers = world.hasty_servers();
    world.keylime.verifier.fault("/version", Fault::Hang);
    let node = agent();
    let states = (0..8).map(|_| servers.state(&node));
    let states = tokio::time::timeout(PATIENT, futures_util::future::join_all(states)).await.unwrap();
    for state in states {
        assert_eq!(state.unwrap_err().reason(), "answer_timeout");
    }
}
