//! Enforcement in the server plugin's process, with a SPIRE and a Keylime that are played.

#![expect(clippy::unwrap_used, reason = "what the tests share is test code too")]

mod caution;
mod large;
mod report;
mod work;

use anyhow::Result;
use lab::fake_keylime::{Node, State};
use lab::fake_spire::{FakeSpire, keylime_agent};
use lab::site::Site;
use serde_json::Value;

/// A plugin whose SPIRE holds agents of nodes that its Keylime knows.
struct World {
    site: Site,
    spire: FakeSpire,
}

impl World {
    /// Nodes that pass, and those that do not yet: by name. They are named in the order of the
    /// alphabet.
    async fn new(passing: &[&str], others: &[(&str, State)]) -> Result<Self> {
        let site = Site::start().await?;
        for name in passing {
            site.keylime.add(Node::passing(name, &[]));
        }
        for (name, state) in others {
            site.keylime.add(Node::passing(name, &[]).with_states([state.clone()]));
        }
        let names = passing.iter().chain(others.iter().map(|(name, _)| name));
        let spire = FakeSpire::start(names.map(|name| keylime_agent(name)))?;
        Ok(Self { site, spire })
    }

    /// Configures the plugin with an enforcement block, which has the socket and an interval of 1s.
    async fn enforce(&self, keys: &str) -> Result<()> {
        self.site.configure(&self.block(keys)).await?;
        Ok(())
    }

    fn block(&self, keys: &str) -> String {
        let socket = self.spire.socket().display();
        format!("enforcement {{\n spire_socket_path = \"{socket}\"\n interval = \"1s\"\n {keys}\n}}\n")
    }

    /// Sets what Keylime says of a node from now on.
    fn says(&self, name: &str, state: State) {
        self.site.keylime.add(Node::passing(name, &[]).with_states([state]));
    }

    /// How often the plugin has logged this.
    fn logged(&self, message: &str) -> usize {
        self.logged_entries(message).len()
    }

    fn logged_entries(&self, message: &str) -> Vec<Value> {
        let entries = self.site.host.log().entries();
        entries
            .into_iter()
            .filter(|entry| entry["@message"].as_str().is_some_and(|said| said.contains(message)))
            .collect()
    }

    /// The last value of a gauge.
    fn gauge(&self, name: &str) -> Option<f32> {
        let key = ["keylime_attestor", "enforcement", name];
        let measurements = self.site.host.services().measurements();
        measurements.iter().rev().find(|one| one.method == "SetGauge" && one.key == key).map(|one| one.value)
    }
}

fn evicted(name: &str) -> lab::fake_spire::Call {
    lab::fake_spire::Call::Evict(format!("spiffe://example.org/spire/agent/keylime/{name}"))
}
