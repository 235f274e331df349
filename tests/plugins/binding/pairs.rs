//! A pair of node and agent that was proven stands while its node is there: by what SPIRE holds,
//! and by what the plugin itself accepted.

use anyhow::{Context as _, Result};
use keylime_attestor_proto::api::types::Agent;
use lab::fake_apiserver::{FakeApiserver, State, TOKEN};
use lab::fake_spire::{FakeSpire, keylime_agent, with_selector};
use lab::site::Site;
use tonic::{Code, Status};

const ELSEWHERE: &str = "bound_elsewhere";
const OF_ANOTHER: &str = "node_of_another";

/// A server plugin with an apiserver, and with SPIRE's socket where it has one.
struct World {
    site: Site,
    apiserver: FakeApiserver,
    spire: FakeSpire,
}

#[tokio::test]
async fn an_agent_is_attested_from_its_own_node_while_that_is_there() -> Result<()> {
    for by_spire in [true, false] {
        let world = World::start(by_spire, "require").await?;
        world.bind(by_spire).await?;
        world.apiserver.change(State::move_pod);
        world.refused(Some(TOKEN), ELSEWHERE).await?;
        // What was refused changed nothing.
        world.apiserver.reset();
        world.attest(Some(TOKEN)).await?;
        world.apiserver.change(State::move_pod);
        world.apiserver.change(|state| state.node = None);
        world.attest(Some(TOKEN)).await.context("its node is gone")?;
        if !by_spire {
            // It is bound to the new one by that.
            world.apiserver.reset();
            world.apiserver.change(|state| state.other_node = second_node());
            world.refused(Some(TOKEN), ELSEWHERE).await?;
        }
    }
    Ok(())
}

/// Another SPIRE server may have accepted it since, from a node that is gone by now as well.
#[tokio::test]
async fn each_node_of_before_has_to_be_gone() -> Result<()> {
    let world = World::start(true, "require").await?;
    world.attest(Some(TOKEN)).await?;
    world.spire.add(on_node(world.site.node.id().as_str(), "node-2", "node-uid-3"));
    world.apiserver.change(State::move_pod);
    world.refused(Some(TOKEN), ELSEWHERE).await?;
    world.apiserver.change(|state| state.node = None);
    world.attest(Some(TOKEN)).await.context("both are gone")
}

#[tokio::test]
async fn an_eviction_unbinds_nobody() -> Result<()> {
    let world = World::start(true, "require").await?;
    world.attest(Some(TOKEN)).await?;
    // SPIRE does not hold it.
    world.apiserver.change(State::move_pod);
    world.refused(Some(TOKEN), ELSEWHERE).await
}

#[tokio::test]
async fn an_agent_that_is_bound_needs_its_token_where_others_do_not() -> Result<()> {
    for by_spire in [true, false] {
        let world = World::start(by_spire, "prefer").await?;
        world.attest(None).await?;
        world.bind(by_spire).await?;
        world.refused(None, ELSEWHERE).await?;
        world.attest(Some(TOKEN)).await?;
        world.apiserver.change(|state| state.node = None);
        world.attest(None).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_is_attested_as_its_own_agent() -> Result<()> {
    let world = World::start(true, "require").await?;
    let other = on_node("another", "node-1", "node-uid-1");
    world.spire.add(other.clone());
    world.refused(Some(TOKEN), OF_ANOTHER).await?;
    world.spire.remove("another");
    world.spire.add(Agent { x509svid_expires_at: 1, ..other });
    world.attest(Some(TOKEN)).await.context("the other one's SVID has ended")?;
    Ok(())
}

#[tokio::test]
async fn nobody_is_let_in_while_it_is_not_known_whether_the_node_is_there() -> Result<()> {
    let world = World::start(true, "prefer").await?;
    world.bind(true).await?;
    world.apiserver.change(|state| {
        state.forbidden.insert("nodes");
    });
    let status = world.attest(None).await.err().context("it was let in")?;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("nodes"), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_block_no_pair_is_looked_for() -> Result<()> {
    let world = World::start(true, "require").await?;
    world.bind(true).await?;
    let socket = world.enforcement();
    world.site.configure(&socket).await?;
    world.attest(None).await?;
    Ok(())
}

/// The agent as SPIRE holds it after an attestation from this node.
fn on_node(agent_id: &str, name: &str, uid: &str) -> Agent {
    let agent = with_selector(keylime_agent(agent_id), "keylime", &format!("node_name:{name}"));
    with_selector(agent, "keylime", &format!("node_uid:{uid}"))
}

fn second_node() -> Option<serde_json::Value> {
    let metadata = serde_json::json!({"name": "node-2", "uid": "node-uid-2"});
    Some(serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}))
}

impl World {
    async fn start(by_spire: bool, mode: &str) -> Result<Self> {
        let (site, apiserver) = (Site::start().await?, FakeApiserver::start().await?);
        let world = Self { site, apiserver, spire: FakeSpire::start([])? };
        let socket = if by_spire { world.enforcement() } else { String::new() };
        let block = world.apiserver.block(&format!("binding = {mode:?}"));
        world.site.configure(&format!("{socket}{block}")).await?;
        Ok(world)
    }

    fn enforcement(&self) -> String {
        let socket = self.spire.socket().display();
        format!("enforcement {{\n spire_socket_path = \"{socket}\"\n interval = \"1h\"\n}}\n")
    }

    /// Binds the agent to the first node: by what SPIRE holds, or by an attestation.
    async fn bind(&self, by_spire: bool) -> Result<()> {
        if by_spire {
            self.spire.add(on_node(self.site.node.id().as_str(), "node-1", "node-uid-1"));
            return Ok(());
        }
        Ok(self.attest(Some(TOKEN)).await?)
    }

    async fn attest(&self, token: Option<&str>) -> Result<(), Status> {
        let token = token.map(str::parse).transpose().map_err(|_| Status::unknown("no token"))?;
        let payload = self.site.node.payload_with(token);
        self.site.attest_as(payload, |challenge| self.site.node.respond(challenge)).await.map(drop)
    }

    /// Expects a refusal after the quote, as an alarm.
    async fn refused(&self, token: Option<&str>, reason: &str) -> Result<()> {
        let status = self.attest(token).await.err().with_context(|| format!("{reason}: it was let in"))?;
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(status.message().contains("kubectl delete node node-"), "{status:?}");
        assert_eq!(self.site.reason().await?, reason);
        let entries = self.site.host.log().entries();
        let line = entries.iter().rev().find(|entry| entry["reason"] == reason);
        assert_eq!(line.context("no line")?["@level"], "error");
        Ok(())
    }
}
