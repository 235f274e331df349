//! Several verifiers: each agent belongs to the one that knows it.

use evidence::{AgentId, Attestation};
use keylime::{Confirmation, Doubt, Error, Known, Role, Servers, ServersConfig, Setting};
use lab::fake_keylime::recorded::UNKNOWN_AGENT;
use lab::fake_keylime::{FakeKeylime, Fault, Node, Response, State, Valid};

use super::{AGENT, SHORT, World, agent, at, nonce, settings};

/// The world's Keylime, which knows the recorded agent, with two more verifiers.
struct Several {
    world: World,
    second: FakeKeylime,
    third: FakeKeylime,
    servers: Servers,
}

impl Several {
    async fn new() -> Several {
        let world = World::new().await;
        let second = world.keylime.start_another().await.unwrap();
        let third = world.keylime.start_another().await.unwrap();
        let verifiers = [&world.keylime, &second, &third].map(|keylime| at(&keylime.verifier)).to_vec();
        let config = ServersConfig { verifiers, request_timeout: SHORT, ..world.config() };
        Several { servers: Servers::new(config).unwrap(), world, second, third }
    }

    fn config(&self) -> ServersConfig {
        let verifiers = [&self.world.keylime, &self.second, &self.third].map(|keylime| at(&keylime.verifier));
        ServersConfig { verifiers: verifiers.to_vec(), request_timeout: SHORT, ..self.world.config() }
    }
}

#[tokio::test]
async fn the_verifier_that_knows_the_agent_decides_and_is_asked_about_the_quote() {
    let several = Several::new().await;
    several.third.add(Node { valid: Valid::Nothing, ..Node::passing("z", &[]) }.with_states([State::fail()]));
    let z = AgentId::new("z").unwrap();
    let state = several.servers.state(&z).await.unwrap();
    assert_eq!((state.node.attestation, &state.verifier), (Attestation::Fail, &at(&several.third.verifier)));
    let hash = evidence::HashAlg::Sha256;
    let said = several.servers.confirm_identity(&state.verifier, &z, "r", &nonce(), hash).await.unwrap();
    assert_eq!(said, Confirmation::Invalid);
    for other in [&several.world.keylime, &several.second] {
        assert!(!other.verifier.targets().iter().any(|target| target.contains("/verify/")));
    }

    let state = several.servers.state(&agent()).await.unwrap();
    assert_eq!(state.verifier, at(&several.world.keylime.verifier));
}

#[tokio::test]
async fn an_agent_is_unknown_by_the_word_of_all_verifiers_only() {
    let mut several = Several::new().await;
    let nobody = AgentId::new("nobody").unwrap();
    let error = several.servers.state(&nobody).await.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownAgent { server, .. } if server.endpoint == at(&several.world.keylime.verifier)),
        "{error}"
    );

    several.second.verifier.take_down().await;
    let error = several.servers.state(&nobody).await.unwrap_err();
    assert_eq!((error.reason(), error.is_refusal()), ("no_connection", false));
    assert_eq!(error.server().endpoint, at(&several.second.verifier));
    // An agent that one verifier knows needs no word of the others.
    several.servers.state(&agent()).await.unwrap();

    several.second.verifier.bring_up().await.unwrap();
    several.world.keylime.verifier.take_down().await;
    assert_eq!(several.servers.state(&agent()).await.unwrap_err().reason(), "no_connection");
}

#[tokio::test]
async fn a_verifier_that_is_cut_off_keeps_its_agents_whatever_another_says_of_them() {
    let mut several = Several::new().await;
    let z = AgentId::new("z").unwrap();
    several.second.add(Node::passing("z", &[]).with_states([State::fail()]));
    for bulk in [false, true] {
        // Seen at the second one.
        let servers = Servers::new(several.config()).unwrap();
        let seen =
            if bulk { servers.states().await.agents[&z].clone() } else { servers.state(&z).await.unwrap() };
        assert_eq!(seen.node.attestation, Attestation::Fail);

        several.second.verifier.take_down().await;
        several.third.add(Node::passing("z", &[]));
        assert_eq!(servers.state(&z).await.unwrap_err().reason(), "no_connection");
        let states = servers.states().await;
        assert!(
            matches!(states.of_agent(&z), Known::Unclear) && !states.agents.contains_key(&z),
            "{states:?}"
        );

        several.second.verifier.bring_up().await.unwrap();
        assert_eq!(servers.state(&z).await.unwrap_err().reason(), "known_twice");
        // Neither is it believed that it has gone there while the second one lists it.
        let unknown = Response::json(404, UNKNOWN_AGENT);
        several.second.verifier.fault("/agents/z", Fault::Answer(unknown));
        assert_eq!(servers.state(&z).await.unwrap_err().reason(), "listed_yet_unknown");
        several.second.verifier.heal();
        several.third.remove("z");
    }
    // The agent moves to another verifier.
    several.second.remove("z");
    several.third.add(Node::passing("z", &[]));
    assert_eq!(several.servers.state(&z).await.unwrap().verifier, at(&several.third.verifier));
}

#[tokio::test]
async fn an_agent_that_two_verifiers_know_belongs_to_none() {
    let several = Several::new().await;
    several.third.add(Node::recorded().with_states([State::fail()]));
    let error = several.servers.state(&agent()).await.unwrap_err();
    let (first, third) = (at(&several.world.keylime.verifier), at(&several.third.verifier));
    assert!(
        matches!(&error, Error::KnownTwice { server, other, agent: known }
            if server.endpoint == first && other.endpoint == third && *known == agent()),
        "{error}"
    );
    assert_eq!(
        (error.reason(), error.is_refusal(), error.server().role),
        ("known_twice", true, Role::Verifier)
    );

    // A third one changes nothing, whoever it is.
    several.second.add(Node::recorded());
    assert_eq!(several.servers.state(&agent()).await.unwrap_err().reason(), "known_twice");
    several.third.remove(AGENT);
    several.second.remove(AGENT);
    several.servers.state(&agent()).await.unwrap();
}

#[tokio::test]
async fn all_agents_are_those_of_all_verifiers() {
    let mut several = Several::new().await;
    let id = |text: &str| AgentId::new(text).unwrap();
    several.second.add(Node::passing("b", &[]));
    several.second.add(Node::passing("twice", &[]));
    several.third.add(Node::passing("twice", &[]));
    let states = several.servers.states().await;
    assert_eq!(states.agents.keys().map(AgentId::as_str).collect::<Vec<_>>(), ["b", AGENT]);
    assert_eq!(states.agents[&id("b")].verifier, at(&several.second.verifier));
    let verifiers = [at(&several.second.verifier), at(&several.third.verifier)];
    assert_eq!(states.doubts, [Doubt::KnownTwice { agent: id("twice"), verifiers }]);
    assert!(matches!(states.of_agent(&id("twice")), Known::Unclear));
    assert!(matches!(states.of_agent(&id("nobody")), Known::Nowhere));

    // One that fails takes nothing from the others, and nobody is unknown then.
    several.third.verifier.take_down().await;
    let states = several.servers.states().await;
    assert_eq!(states.agents.len(), 3);
    assert_eq!(states.failures.iter().map(Error::reason).collect::<Vec<_>>(), ["no_connection"]);
    assert!(matches!(states.of_agent(&id("nobody")), Known::Unclear));
    assert!(matches!(states.of_agent(&id("b")), Known::At(_)));
}

#[tokio::test]
async fn a_record_that_one_verifier_spoils_is_in_doubt_whatever_another_says() {
    let several = Several::new().await;
    let spoilt = State::pass().with("attestation_status", serde_json::json!("REVOKED"));
    several.second.add(Node::recorded().with_states([spoilt]));
    let states = several.servers.states().await;
    assert!(states.agents.is_empty() && states.doubts.len() == 1, "{states:?}");
    assert!(matches!(states.of_agent(&agent()), Known::Unclear));
}

#[tokio::test]
async fn verifiers_are_asked_side_by_side() {
    let several = Several::new().await;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    several.world.keylime.verifier.fault("/agents/", Fault::Hold(release.clone()));
    let asked = async {
        while several.third.verifier.served() < 2 {
            tokio::task::yield_now().await;
        }
        release.notify_one();
    };
    let agent = agent();
    let (state, ()) = tokio::join!(several.servers.state(&agent), asked);
    assert_eq!(state.unwrap().node.attestation, Attestation::Pass);
}

#[tokio::test]
async fn no_verifier_and_one_given_twice_are_problems() {
    let world = World::new().await;
    let verifier = at(&world.keylime.verifier);
    for verifiers in [vec![], vec![verifier.clone(), verifier]] {
        let problems = Servers::new(ServersConfig { verifiers, ..world.config() }).unwrap_err();
        assert_eq!(settings(&problems), [Setting::Endpoint], "{problems:?}");
    }
}
