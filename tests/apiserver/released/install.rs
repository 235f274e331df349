//! A cluster gets a release from a registry, and the next one, with its resources in place.

use std::path::Path;

use anyhow::{Result, ensure};
use lab::apiserver::ApiServer;
use lab::cluster::Helm;
use lab::documents::repository;
use lab::released::{Dist, NEXT};

use super::Published;
use crate::chart::helm::{HELMS, NAMESPACE, RELEASE, helm, text};

const CRD: &str = "keylimeattestors.spire.keylime.dev";
const DEFINITIONS: &str = "keylime-attestor-crds";
const WITHOUT_DEFINITIONS: [&str; 2] = ["--set", "crds.install=false"];

#[test]
fn helm_installs_a_release_from_a_registry_and_upgrades_it() -> Result<()> {
    let published = Published::start()?;
    for helm in HELMS {
        let site = Site::start(&published)?;
        site.helm(helm, "install", RELEASE, &published.old, &["--create-namespace"])?;
        site.shows(&published.old)?;
        let resource = site.make_a_resource()?;
        site.helm(helm, "upgrade", RELEASE, &published.new, &[])?;
        site.shows(&published.new)?;
        assert_eq!(site.resource()?, resource);
    }
    Ok(())
}

/// Those that the operator's chart brought become their own.
#[test]
fn the_definitions_can_become_a_release_of_their_own() -> Result<()> {
    let published = Published::start()?;
    for helm in HELMS {
        let site = Site::start(&published)?;
        site.helm(helm, "install", RELEASE, &published.old, &["--create-namespace"])?;
        let resource = site.make_a_resource()?;
        site.helm(helm, "upgrade", RELEASE, &published.new, &WITHOUT_DEFINITIONS)?;
        ensure!(!site.definition()?.contains("The next text."), "whose are the definitions now?");
        site.helm(helm, "install", DEFINITIONS, &published.new, &["--take-ownership"])?;
        site.shows(&published.new)?;
        assert_eq!(site.resource()?, resource);
    }
    Ok(())
}

#[test]
fn the_definitions_can_be_installed_and_upgraded_first() -> Result<()> {
    let published = Published::start()?;
    let [helm, _] = HELMS;
    let site = Site::start(&published)?;
    site.helm(helm, "install", DEFINITIONS, &published.old, &["--create-namespace"])?;
    site.helm(helm, "install", RELEASE, &published.old, &WITHOUT_DEFINITIONS)?;
    site.shows(&published.old)?;
    let resource = site.make_a_resource()?;
    site.helm(helm, "upgrade", DEFINITIONS, &published.new, &[])?;
    site.helm(helm, "upgrade", RELEASE, &published.new, &WITHOUT_DEFINITIONS)?;
    site.shows(&published.new)?;
    assert_eq!(site.resource()?, resource);
    Ok(())
}

#[test]
fn kubectl_applies_the_manifests_of_a_release_and_of_the_next() -> Result<()> {
    let published = Published::start()?;
    let site = Site::start(&published)?;
    site.apply(&published.old.file(".yaml"))?;
    site.shows(&published.old)?;
    let resource = site.make_a_resource()?;
    site.apply(&published.new.file(".yaml"))?;
    site.shows(&published.new)?;
    assert_eq!(site.resource()?, resource);
    for (namespace, secret) in
        [("spire-server", "keylime-admin-client"), ("spire-system", "keylime-node-client")]
    {
        let secret = format!("secret/{secret}");
        let operator = format!("--as=system:serviceaccount:{NAMESPACE}:{RELEASE}");
        site.server.kubectl(&["auth", "can-i", "get", &secret, "--namespace", namespace, &operator])?;
    }
    Ok(())
}

struct Site<'a> {
    server: ApiServer,
    published: &'a Published,
}

impl<'a> Site<'a> {
    fn start(published: &'a Published) -> Result<Self> {
        let server = ApiServer::start()?;
        for namespace in ["spire-server", "spire-system"] {
            server.kubectl(&["create", "namespace", namespace])?;
        }
        Ok(Self { server, published })
    }

    /// With nothing but what the registry has, and the values that are this site's.
    fn helm(&self, version: Helm, verb: &str, chart: &str, dist: &Dist, args: &[&str]) -> Result<()> {
        let address = format!("oci://{}/charts/{chart}", self.published.registry.address());
        let (config, values) = (
            self.server.kubeconfig(),
            repository().join("charts/keylime-attestor/files/quickstart-values.yaml"),
        );
        let command = [verb, chart, &address, "--version", &dist.version, "--plain-http"];
        let to = ["--namespace", NAMESPACE, "--kubeconfig", text(&config)?];
        let values: &[&str] = if chart == RELEASE { &["--values", text(&values)?] } else { &[] };
        helm(version, &[&command[..], &to, values, args].concat())?;
        Ok(())
    }

    fn apply(&self, manifests: &Path) -> Result<()> {
        self.server.kubectl(&["apply", "--server-side", "--filename", text(manifests)?])?;
        Ok(())
    }

    /// Its image is that of the release, by digest, and its definitions are those of the release.
    fn shows(&self, dist: &Dist) -> Result<()> {
        self.server.kubectl(&["wait", "--for=condition=Established", "crd", CRD])?;
        let image =
            self.get("deployment", NAMESPACE, RELEASE, "{.spec.template.spec.containers[0].image}")?;
        assert_eq!(
            image,
            format!("{}/keylime-attestor@{}", self.published.registry.address(), dist.digest()?)
        );
        let version = r"{.metadata.labels.app\.kubernetes\.io/version}";
        assert_eq!(self.get("deployment", NAMESPACE, RELEASE, version)?, dist.version);
        assert_eq!(self.definition()?.contains("The next text."), dist.version == NEXT);
        Ok(())
    }

    fn make_a_resource(&self) -> Result<String> {
        let file = repository().join("charts/keylime-attestor/files/quickstart.yaml");
        self.server.kubectl(&["create", "--filename", text(&file)?])?;
        self.resource()
    }

    /// What of the resource would tell that it was made anew, or changed.
    fn resource(&self) -> Result<String> {
        self.get("kla", "spire-server", "spire", "{.metadata.uid} {.metadata.generation} {.spec}")
    }

    fn definition(&self) -> Result<String> {
        self.server.kubectl(&["get", "crd", CRD, "--output", "yaml"])
    }

    fn get(&self, kind: &str, namespace: &str, name: &str, path: &str) -> Result<String> {
        let output = format!("jsonpath={path}");
        self.server.kubectl(&["get", kind, name, "--namespace", namespace, "--output", &output])
    }
}
