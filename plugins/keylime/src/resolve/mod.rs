//! The addresses of a host's name, by resolv.conf and the hosts file.
//!
//! reqwest's own use of hickory-dns reads a name by the rules of IDNA, which know no underscore;
//! the names of services in container networks have some, and glibc resolves them. It also asks
//! Google's servers where resolv.conf cannot be read.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::Name;
use reqwest::dns::{Addrs, Name as Host, Resolve, Resolving};
use tokio::sync::OnceCell;

/// Resolves every name that an [`Endpoint`](crate::Endpoint) can have. Reads the configuration at
/// the first name.
#[derive(Clone, Default)]
pub(crate) struct Resolver(Arc<OnceCell<TokioResolver>>);

impl Resolve for Resolver {
    fn resolve(&self, host: Host) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let resolver = resolver.0.get_or_try_init(|| async { system() }).await?;
            let found = resolver.lookup_ip(name(host.as_str())?).await?;
            let addresses: Vec<SocketAddr> =
                found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build()
}

/// The name without IDNA: it is ASCII, by [`Endpoint`](crate::Endpoint), and stands for itself.
fn name(host: &str) -> Result<Name, ProtoError> {
    Name::from_ascii(host)
}

#[cfg(test)]
mod tests;
