//! Private keys as they are after an accident, and the search for what of them is in a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A file that should be a PEM file, with what happened to it.
pub struct Damaged {
    /// The kind of damage.
    pub how: &'static str,
    /// The file's content.
    pub content: Vec<u8>,
}

/// The forms that a key in PEM (PKCS#8) takes. Some are still good keys.
pub fn forms(pem: &str) -> Vec<Damaged> {
    let der = der(pem);
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let half = body.get(..body.len() / 2).unwrap_or_default();
    let utf16 = [0xff, 0xfe].into_iter().chain(pem.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let text = |how, content: String| Damaged { how, content: content.into_bytes() };
    vec![
        text("newlines lost", pem.replace('\n', "")),
        text("newlines made blanks", pem.replace('\n', " ")),
        text(r"newlines written as \n", pem.replace('\n', r"\n")),
        text("cut short", format!("-----BEGIN PRIVATE KEY-----\n{half}")),
        text("without its first line", pem.lines().skip(1).collect::<Vec<_>>().join("\n")),
        text("base64 twice", STANDARD.encode(pem)),
        text("only base64", body.clone()),
        text("a byte order mark", format!("\u{feff}{pem}")),
        text("another label", pem.replace("PRIVATE KEY", "CERTIFICATE")),
        text("no label that is known", pem.replace("PRIVATE KEY", &format!("{half} KEY"))),
        text("CRLF", pem.replace('\n', "\r\n")),
        text("CR only", pem.replace('\n', "\r")),
        text("garbage within", pem.replace(half, &format!("{half}\n%&\"$§!\n"))),
        text("garbage after", format!("{pem}{half} {half}\n")),
        text("encrypted", pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        text("indented", pem.replace('\n', "\n    ").replacen("-----", "    -----", 1)),
        text("a YAML value", format!("tls.key: \"{}\"\n", pem.replace('\n', r"\n"))),
        text("a dash lost", pem.replacen("-----\n", "----\n", 1)),
        Damaged { how: "DER", content: der },
        Damaged { how: "UTF-16", content: utf16 },
    ]
}

/// The first thing in `text` that comes from the key: some bytes of it, raw, in base64, hex,
/// decimal or escaped.
pub fn trace_of(pem: &str, text: &str) -> Option<String> {
    let der = der(pem);
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let joined = |bytes: &[u8], form: fn(&u8) -> String, between: &str| {
        bytes.iter().map(form).collect::<Vec<_>>().join(between)
    };
    let mut needles: Vec<String> = body
        .as_bytes()
        .windows(8)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .chain((0..3).flat_map(|skip| {
            let twice = STANDARD.encode(body.get(skip..).unwrap_or_default());
            twice
                .as_bytes()
                .windows(12)
                .map(|part| String::from_utf8_lossy(part).into_owned())
                .collect::<Vec<_>>()
        }))
        .collect();
    for part in der.windows(4).chain(body.as_bytes().windows(4)) {
        needles.push(joined(part, |byte| byte.to_string(), ","));
        needles.push(joined(part, |byte| format!("{byte:02x}"), ""));
        needles.push(joined(part, |byte| format!("{byte:02x}"), ","));
        needles.push(joined(part, |byte| format!("0x{byte:02x}"), ","));
        needles.push(joined(part, |byte| format!("%{byte:02x}"), ""));
        needles.push(joined(part, |byte| format!("\\x{byte:02x}"), ""));
    }
    // What stands between the bytes of a list, and the case of hex, say nothing.
    let squeezed: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let (lower, escaped) = (squeezed.to_ascii_lowercase(), squeezed.replace("\\\\", "\\"));
    needles
        .into_iter()
        .find(|needle| [text, &squeezed, &lower, &escaped].iter().any(|text| text.contains(needle.as_str())))
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_every_form() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let der = der(&pem);
        let body = pem.lines().nth(1).unwrap();
        for text in [
            format!("got {:?}", &der[20..30]),
            format!("got {:?}", body.as_bytes()),
            format!("got {:#?}", &body.as_bytes()[..8]),
            format!("got {:02X?}", &der[20..30]),
            format!("got {:x?}", &body.as_bytes()[..6]),
            format!("got {body}"),
            format!("got {}", STANDARD.encode(body)),
            format!("got {}", STANDARD.encode(format!("x{body}"))),
            format!("got {}", der.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()),
        ] {
            assert!(trace_of(&pem, &text).is_some(), "{text}");
        }
        assert_eq!(trace_of(&pem, "expected a PEM private key, not encrypted, got nothing"), None);
        assert_eq!(trace_of(&pem, &format!("{:?}", b"expected a private key")), None);
    }
}
