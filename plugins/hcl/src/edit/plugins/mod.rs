//! Finds the plugins in a SPIRE configuration, in every form that SPIRE reads.

mod forms;

use super::{Error, Placement};
use crate::tree::{Document, Item, Key, Language, Node};
use forms::{in_hcl, in_json, of_type, reject_repeated};

pub(super) const NODE_ATTESTOR: &str = "NodeAttestor";

/// The plugins of a configuration and where they stand.
#[derive(Debug)]
pub(super) struct Plugins<'t> {
    /// The objects of plugins. Several only in JSON; none where there is no `plugins`, or (HCL)
    /// only `plugins "NodeAttestor" "name" { … }` items at the top.
    pub(super) blocks: Vec<Block<'t>>,
    pub(super) all: Vec<Plugin<'t>>,
}

/// An object of plugins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'t> {
    pub(super) object: &'t Node,
    /// The `plugins` item with it.
    pub(super) item: &'t Item,
    /// True for an element of a list.
    pub(super) listed: bool,
}

/// One plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plugin<'t> {
    pub(super) kind: &'t str,
    pub(super) name: &'t str,
    /// The key that is its name.
    pub(super) name_key: &'t Key,
    /// Keys after the name, as in `NodeAttestor "x" plugin_data { … }`.
    pub(super) rest: &'t [Key],
    pub(super) body: &'t Node,
    /// The item that is this plugin and no other one.
    pub(super) item: &'t Item,
    /// The item of its type: the same one, or the one around it.
    pub(super) outer: &'t Item,
    /// The object that the item is a member of, where it is not a member of `plugins`.
    pub(super) parent: Option<&'t Node>,
    /// The object that `outer` is a member of.
    pub(super) home: &'t Node,
}

impl<'t> Plugins<'t> {
    pub(super) fn find(document: &'t Document) -> Result<Self, Error> {
        let root = &document.root;
        let ours: Vec<&Item> = root.items().iter().filter(|item| is_plugins(item)).collect();
        let mut all = Vec::new();
        let blocks = match (document.language, ours.as_slice()) {
            (Language::Json, _) => in_json(&ours)?,
            (Language::Hcl, items) if items.iter().all(|item| item.keys.len() > 1) => {
                for item in ours {
                    of_type(root, item, item.keys.get(1..).unwrap_or_default(), document.language, &mut all)?;
                }
                Vec::new()
            }
            (Language::Hcl, items) => vec![in_hcl(items)?],
        };
        for Block { object, .. } in &blocks {
            for item in object.items() {
                of_type(object, item, &item.keys, document.language, &mut all)?;
            }
        }
        reject_repeated(&all)?;
        Ok(Self { blocks, all })
    }

    pub(super) fn node_attestors(&self) -> impl Iterator<Item = &Plugin<'t>> {
        self.all.iter().filter(|plugin| plugin.kind == NODE_ATTESTOR)
    }

    /// The NodeAttestor of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Plugin<'t>> {
        self.node_attestors().find(|plugin| plugin.name == name)
    }

    /// The same, where it stands as it is placed, so that no more than its content can differ.
    pub(super) fn to_replace(&self, name: &str, placement: Placement) -> Option<&Plugin<'t>> {
        let placed = placement == Placement::Beside || self.node_attestors().nth(1).is_none();
        self.named(name).filter(|_| placed)
    }
}

/// SPIRE compares `plugins` without regard to case, and the types of plugins exactly.
pub(super) fn is_plugins(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text.eq_ignore_ascii_case("plugins"))
}

pub(super) fn is_attestor(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text == NODE_ATTESTOR)
}
