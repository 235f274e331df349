//! A release: its files, as `make release` makes them, and what a cluster gets of them by a registry.
//! What is in its images is of no matter here, and small.

mod files;
mod install;
mod signatures;

use anyhow::Result;
use lab::released::{Checkout, Dist, NEXT, Registry};

/// This version and a next one, both in a registry.
struct Published {
    registry: Registry,
    old: Dist,
    new: Dist,
    // Their files.
    _checkouts: [Checkout; 2],
}

impl Published {
    fn start() -> Result<Self> {
        let registry = Registry::start()?;
        let old = Checkout::of(env!("CARGO_PKG_VERSION"))?;
        let new = Checkout::of(NEXT)?;
        let [old_dist, new_dist] = [&old, &new].map(|checkout| -> Result<Dist> {
            let images = [checkout.image("amd64")?, checkout.image("arm64")?];
            let dist = checkout.release(&registry, &images)?;
            checkout.publish(&registry, &[("SIGN", "no")])?;
            Ok(dist)
        });
        Ok(Self { registry, old: old_dist?, new: new_dist?, _checkouts: [old, new] })
    }
}
