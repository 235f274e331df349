use serde_json::json;

use super::*;

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

#[test]
fn checksums_are_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keylime-attestor-server"), "abc").unwrap();
    let error = Checksums::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("keylime-attestor-agent"), "{error}");
    std::fs::write(folder.path().join("keylime-attestor-agent"), "").unwrap();
    let checksums = Checksums::read(folder.path()).unwrap();
    assert_eq!(
        checksums.of(Role::Server),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(checksums.of(Role::Agent), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
