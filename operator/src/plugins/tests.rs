use serde_json::{Value, json};

use super::*;
use crate::model::builds::Builds;
use crate::model::target::Role;

fn digest() -> String {
    format!("sha256:{}", "a1".repeat(32))
}

#[test]
fn the_image_is_taken_by_digest_where_there_is_one() {
    let digest = digest();
    for (asked, id, expected) in [
        ("r/k:1", format!("r/k@{digest}"), format!("r/k@{digest}")),
        ("r/k:1", format!("docker-pullable://r/k@{digest}"), format!("r/k@{digest}")),
        ("localhost/k:lab", digest.clone(), "localhost/k:lab".to_owned()),
        ("r/k:1", String::new(), "r/k:1".to_owned()),
        ("r/k:1", "r/k@sha256:short".to_owned(), "r/k:1".to_owned()),
        (&format!("r/k@{digest}"), format!("other/k@{digest}"), format!("r/k@{digest}")),
    ] {
        let pod = serde_json::from_value(json!({
            "metadata": {},
            "spec": {"containers": [
                {"name": "sidecar", "image": "x"},
                {"name": "keylime-attestor-operator", "image": asked},
            ]},
            "status": {"containerStatuses": [
                {"name": "keylime-attestor-operator", "image": asked, "imageID": id, "ready": true, "restartCount": 0},
            ]},
        }));
        assert_eq!(image(&pod.unwrap()), Some(expected));
    }
    assert_eq!(image(&Pod::default()), None);
}

fn plugins(server: &str, agent: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keylime-attestor-server"), server).unwrap();
    std::fs::write(folder.path().join("keylime-attestor-agent"), agent).unwrap();
    folder
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn one(architecture: Option<&str>, of: &str) -> Builds<String> {
    Builds::One { architecture: architecture.map(str::to_owned), of: of.to_owned() }
}

#[test]
fn checksums_are_of_the_files() {
    let folder = plugins("abc", "");
    let agent = folder.path().join("keylime-attestor-agent");
    std::fs::remove_file(&agent).unwrap();
    let error = Checksums::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("keylime-attestor-agent"), "{error}");
    std::fs::write(agent, "").unwrap();
    let checksums = Checksums::read(folder.path()).unwrap();
    // Without a word on architectures there is one build, whatever the pods ask for.
    for architecture in [None, Some("arm64")] {
        assert_eq!(checksums.of(Role::Server, architecture), Ok(one(None, ABC)));
        assert_eq!(checksums.of(Role::Agent, architecture), Ok(one(None, EMPTY)));
    }
}

fn build(server: &str, agent: &str) -> Value {
    json!({"keylime-attestor-server": server, "keylime-attestor-agent": agent})
}

#[test]
fn each_architecture_of_the_image_has_its_own() {
    let other = "1".repeat(64);
    let read = |written: Value| {
        let folder = plugins("abc", "");
        std::fs::write(folder.path().join("checksums.json"), written.to_string()).unwrap();
        Checksums::read(folder.path())
    };
    let alone = read(json!({"arm64": build(ABC, EMPTY)})).unwrap();
    assert_eq!(alone.of(Role::Server, None), Ok(one(Some("arm64"), ABC)));
    let nothing = NoBuild { asked: "amd64".to_owned(), known: "arm64".to_owned() };
    assert_eq!(alone.of(Role::Server, Some("amd64")), Err(nothing));

    let both = read(json!({"arm64": build(ABC, EMPTY), "amd64": build(&other, &other)})).unwrap();
    assert_eq!(both.of(Role::Agent, Some("arm64")), Ok(one(Some("arm64"), EMPTY)));
    assert_eq!(both.of(Role::Agent, Some("amd64")), Ok(one(Some("amd64"), &other)));
    let each = [("amd64".to_owned(), other.clone()), ("arm64".to_owned(), EMPTY.to_owned())];
    assert_eq!(both.of(Role::Agent, None), Ok(Builds::Each(each.into())));
    assert!(both.of(Role::Agent, Some("s390x")).is_err());
}

#[test]
fn what_is_written_down_of_builds_is_complete_and_fits_the_plugins() {
    for (written, told) in [
        (json!({"amd64": build(ABC, ABC)}), "the image is of two builds"),
        (json!({}), "found none"),
        (json!({"amd64": {"keylime-attestor-server": ABC}}), "keylime-attestor-agent"),
        (json!({"AMD64": build(ABC, EMPTY)}), "such as amd64"),
        (json!({"../x": build(ABC, EMPTY)}), "such as amd64"),
        (json!({"amd64": build(ABC, EMPTY), "arm64": build(ABC, "1")}), "64 digits"),
        (json!({"amd64": " ".repeat(70_000)}), "at most"),
        (json!("x"), "checksums.json"),
    ] {
        let folder = plugins("abc", "");
        std::fs::write(folder.path().join("checksums.json"), written.to_string()).unwrap();
        let error = Checksums::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(told), "{told} is not in {error}");
    }
}
