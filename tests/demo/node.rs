//! The node of `make demo-local`, in Keylime's pull or push mode.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::agent_data::KeyKind;
use lab::keylime::{Keylime, Node, NodeOptions, Options, PushNode};
use lab::plugins;
use lab::process::output;
use lab::quoter::Quoter;
use lab::spire::Attestor;

use crate::narrator::{heading, quote, say, timed};

/// A node under the watch of a Keylime. What is first ends first.
pub(crate) struct Watched {
    node: Kind,
    keylime: Keylime,
}

enum Kind {
    Pull(Box<Node>),
    Push(Box<PushNode>, Box<Quoter>),
}

impl Watched {
    /// Starts a Keylime and a node whose agent listens for its verifier.
    pub(crate) fn pull() -> Result<Self> {
        heading(1, "Keylime watches a node");
        let keylime = start(Options::default())?;
        let enrolled = NodeOptions { with_tenant: true, ..NodeOptions::default() };
        let node = timed("a node (TPM, Keylime agent) was enrolled with keylime_tenant, and passes", || {
            keylime.add_node(enrolled)
        })?;
        say(&format!("   The node's id in Keylime is {}.", node.agent().id()));
        Ok(Self { node: Kind::Pull(node.into()), keylime })
    }

    /// Starts a Keylime and a node whose agent listens nowhere and pushes quotes to the verifier.
    pub(crate) fn push() -> Result<Self> {
        heading(1, "Keylime watches a node in push mode: no Keylime port is open on it");
        let keylime = start(Options::push())?;
        let node =
            timed("a node (TPM, an agent of the lab that pushes quotes) was enrolled, and passes", || {
                keylime.add_push_node(KeyKind::Rsa)
            })?;
        let mut quoter = timed("keylime-attestor-quoter runs beside it, on a unix socket", || {
            Quoter::start_beside(&node.agent_data(), &node.tpm().tcti())
        })?;
        say(&format!("   The node's id in Keylime is {}.", node.id()));
        show_listeners(&keylime, node.agent()?.id(), quoter.process()?.id())?;
        Ok(Self { node: Kind::Push(node.into(), quoter.into()), keylime })
    }

    pub(crate) const fn keylime(&self) -> &Keylime {
        &self.keylime
    }

    /// The agent plugin of the node.
    pub(crate) fn attestor(&self) -> Result<Attestor> {
        match &self.node {
            Kind::Pull(node) => plugins::agent(&self.keylime, node.agent()),
            Kind::Push(_, quoter) => plugins::agent_by_quoter(&quoter.socket()),
        }
    }

    pub(crate) fn spiffe_id(&self) -> String {
        match &self.node {
            Kind::Pull(node) => plugins::spiffe_id(node.agent()),
            Kind::Push(node, _) => plugins::spiffe_id_of(node.id()),
        }
    }

    pub(crate) fn fail(&self) -> Result<()> {
        match &self.node {
            Kind::Pull(node) => node.fail(),
            Kind::Push(node, _) => node.fail(),
        }
    }

    pub(crate) fn repair(&self) -> Result<()> {
        match &self.node {
            Kind::Pull(node) => node.repair(),
            Kind::Push(node, _) => node.repair(),
        }
    }

    /// What Keylime needs to pass the node again.
    pub(crate) const fn repaired(&self) -> &'static str {
        match &self.node {
            Kind::Pull(_) => "PCR 23 is as it should be; Keylime attested again, and passes the node",
            Kind::Push(..) => "PCR 23 is as it should be; the node was enrolled anew, and passes",
        }
    }
}

fn start(options: Options) -> Result<Keylime> {
    timed("Keylime's verifier and registrar are up", || Keylime::start(options))
}

/// Shows who of Keylime listens, and that neither the node's agent nor the quoter is among them.
fn show_listeners(keylime: &Keylime, agent: u32, quoter: u32) -> Result<()> {
    let all = output(Command::new("ss").args(["--listening", "--tcp", "--numeric", "--processes"]))?;
    let of = |what: &str| all.lines().filter(|line| line.contains(what)).collect::<Vec<_>>();
    let servers = [keylime.verifier_port(), keylime.registrar_port()].map(|port| of(&format!(":{port} ")));
    let shown: Vec<&str> = servers.iter().flatten().copied().collect();
    ensure!(shown.len() == 2, "ss does not show Keylime's servers:\n{all}");
    for (name, id) in [("the agent", agent), ("the quoter", quoter)] {
        let open = of(&format!("pid={id},"));
        ensure!(open.is_empty(), "{name} listens:\n{}", open.join("\n"));
    }
    let heading = all.lines().next().context("ss says nothing")?;
    quote(
        &format!(
            "ss -ltnp: Keylime's servers; nothing of the node's agent ({agent}) and the quoter ({quoter})"
        ),
        &[&[heading], shown.as_slice()].concat().join("\n"),
    );
    Ok(())
}
