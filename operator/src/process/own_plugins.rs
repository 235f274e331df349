//! The plugins that SPIRE's pods install: the operator's own image, and the files in it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tracing::{info, warn};

use crate::plugins;
use crate::process::cli::Args;

pub(crate) fn plugins_dir(args: &Args) -> Result<PathBuf> {
    if let Some(folder) = &args.plugins_dir {
        return Ok(folder.clone());
    }
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    program.parent().map(PathBuf::from).context("failed to find this program's folder")
}

/// The image of the plugins: the one given, otherwise that of the operator's own pod. Without
/// either, no resource can be applied.
///
/// # Errors
/// When the apiserver refuses to tell, or is away.
pub(super) async fn plugin_image(args: &Args, client: &Client) -> Result<Option<String>> {
    if args.plugin_image.is_some() {
        return Ok(args.plugin_image.clone());
    }
    let Some((name, namespace)) = args.pod_name.as_ref().zip(args.pod_namespace.as_ref()) else {
        return Ok(None);
    };
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pod = pods.get_opt(name).await.with_context(|| {
        format!("failed to get the operator's own pod {namespace}/{name}, for its image: let it, or give --plugin-image")
    })?;
    let image = pod.as_ref().and_then(plugins::image);
    match &image {
        Some(image) => info!(image, "plugins are installed from the operator's own image"),
        None => warn!(pod = name, "the image of the operator's own pod was not found"),
    }
    Ok(image)
}
