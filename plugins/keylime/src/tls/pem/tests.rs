use super::*;

const KEY: &str = include_str!("../../../tests/clients/keys/ec-pkcs8.pem");

fn told(bytes: impl AsRef<[u8]>) -> &'static str {
    private_key(bytes.as_ref()).unwrap_err()
}

#[test]
fn a_key_that_only_looks_odd_is_taken() {
    for text in [
        KEY.replace('\n', "\r\n"),
        KEY.replace('\n', "\r"),
        format!("Bag Attributes\n{KEY}\ntrailing words"),
        KEY.trim_end().to_owned(),
    ] {
        private_key(text.as_bytes()).unwrap();
    }
}

#[test]
fn what_became_of_a_key_is_told() {
    let body = KEY.lines().nth(1).unwrap();
    for (text, part) in [
        (KEY.replace('\n', ""), "run together"),
        (KEY.replace('\n', " "), "run together"),
        (KEY.replace('\n', r"\n"), r"written as \n"),
        (KEY.replace("-----END PRIVATE KEY-----\n", ""), "no matching -----END"),
        (KEY.replace(body, &body.replace('M', "?")), "not base64"),
        (KEY.replace("PRIVATE KEY", "PUBLIC KEY"), "a public key"),
        (KEY.replace("PRIVATE KEY", "CERTIFICATE"), "a certificate"),
        (KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "an encrypted key"),
        (KEY.replace("KEY-----\nM", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nM"), "an encrypted key"),
        (KEY.replace("PRIVATE KEY", "SECRET OF MINE"), "another label"),
        (format!("\u{feff}{KEY}"), "byte order mark"),
        (KEY.replace('\n', "\n  ").replacen("-----", "  -----", 1), "within a line"),
        (String::new(), "empty"),
        ("nonsense".to_owned(), "not PEM"),
    ] {
        assert!(told(&text).contains(part), "{text}: {}", told(&text));
    }
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(KEY.bytes().flat_map(|byte| [byte, 0])).collect();
    assert!(told(utf16).contains("UTF-16"));
    assert!(told([0x30, 0x81, 0x87, 0x02]).contains("DER"));
    assert!(told("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1J").contains("decode it once more"));
}
