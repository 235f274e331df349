//! The plugins with the real SPIRE, the real Keylime and software TPMs, all of them processes; and
//! the programs of the real image. Needs `make setup`.

mod attest;
mod checksum;
mod credentials;
mod enforcement;
mod image;
mod push;
mod quote;
mod quoter;
mod reattest;
mod refusals;

use lab::keylime::{Keylime, Node, NodeOptions, Options};
use lab::shared::Shared;

/// The Keylime of the tests that do not stop its servers.
static KEYLIME: Shared<Keylime> = Shared::new(|| Keylime::start(Options::default()));
/// One of its nodes, which stays well.
static NODE: Shared<Node> = Shared::new(|| KEYLIME.get()?.add_node(NodeOptions::default()));
