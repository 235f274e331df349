//! A release: its files, as `make release` makes them, and what a cluster gets of them by a registry.
//! What its programs are is of no matter here, and small.

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
            let programs = [checkout.programs("amd64")?, checkout.programs("arm64")?];
            let dist = checkout.release(&registry, &programs)?;
            checkout.publish(&registry, &[("SIGN", "no")])?;
            Ok(dist)
        });
        Ok(Self { registry, old: old_dist?, new: new_dist?, _checkouts: [old, new] })
    }
}
