//! The chart's README on installing without Helm, command by command, on a real apiserver.

use anyhow::{Context as _, Result, ensure};
use lab::apiserver::ApiServer;
use serde_json::Value;

use super::helm::{chart, read, repository};

#[test]
fn what_the_readme_says_can_be_done_and_is_enough() -> Result<()> {
    let server = ApiServer::start()?;
    for namespace in ["spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    let readme = read(&chart().join("README.md"))?;
    let (_, section) = readme.split_once("### Without Helm").context("no such section")?;
    let commands = section.split("```").nth(1).context("no commands")?;
    for line in commands.lines().filter_map(|line| line.strip_prefix("kubectl ")) {
        let words = line.split(' ').map(|word| match word {
            "crds/" | "charts/manifests/" => repository().join(word).display().to_string(),
            word => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        server.kubectl(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }

    let deployment = ["get", "deployment", "keylime-attestor", "-n", "keylime-attestor", "-o", "json"];
    let deployment: Value = serde_json::from_str(&server.kubectl(&deployment)?)?;
    let image = deployment.pointer("/spec/template/spec/containers/0/image");
    ensure!(image == Some(&Value::from("registry.example.org/keylime-attestor:0.1.0")), "{image:?}");
    let quick_start = chart().join("files/quickstart.yaml");
    let quick_start = quick_start.to_str().context("a path that is not UTF-8")?;
    server.kubectl(&["create", "--filename", quick_start])?;
    for (namespace, secret, expected) in [
        ("spire-server", "keylime-admin-client", "yes"),
        ("spire-system", "keylime-node-client", "yes"),
        ("spire-server", "another", "no"),
    ] {
        let secret = format!("secret/{secret}");
        let as_operator = "--as=system:serviceaccount:keylime-attestor:keylime-attestor";
        // `auth can-i` answers "no" with an exit code that is not 0.
        let answer = server.kubectl(&["auth", "can-i", "get", &secret, "-n", namespace, as_operator]);
        ensure!(answer.is_ok() == (expected == "yes"), "{namespace} {secret}: {answer:?}");
    }
    Ok(())
}
