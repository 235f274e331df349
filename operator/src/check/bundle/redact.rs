//! Takes out of a text whatever may be a key, a token or a quote: by its form, since nobody knows
//! what a log or a message holds. Rather too much is taken out than too little. In the place of
//! long values is a short hash, so that the same value is known again.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use ring::digest::{SHA256, digest};

/// What is taken out whole.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        // PEM, its line ends escaped or lost.
        r"-----BEGIN [^-]+-{4,5}[^-]*-----END[^-]*-{0,5}",
        // JSON web tokens, however short.
        r"eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*",
        // Bytes as a list of numbers, decimal or hexadecimal.
        r"(?:\b(?:0[xX])?[0-9a-fA-F]{1,3}\b[\s,:;]+){11,}(?:0[xX])?[0-9a-fA-F]{1,3}\b",
        // Bytes that are escaped, as far as they are not printable.
        r"(?:(?:\\x|%|\\u00)[0-9a-fA-F]{2}[ -$&-\[\]-~]{0,16}?){4,}",
        // Credentials of HTTP.
        r"(?i)\b(?:bearer|basic)\s+[^\s,;]+",
    ];
    forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
});

/// A value behind a name that tells of a secret, and a user's name and password in a URL.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = "password|passwd|passphrase|secret|token|authorization|api[-_]?key|access[-_]?key|private[-_]?key|credentials?";
    let value = r#""(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&]+"#;
    Regex::new(&format!(r#"(?i)((?:{names})\\?["']?\s*[:=]\s*\\?)({value})"#)).ok()
});
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(://)[^/\s@]+@").ok());

/// What base64 and hexadecimal are written in; a digest that says so is none.
static RUN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(sha256:[0-9a-f]{64}\b)|[A-Za-z0-9+/=_-]{24,}").ok());
static HEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9a-fA-F]{32,}").ok());

/// Letters and digits without anything between them that are no name.
const LONGEST_WORD: usize = 32;
/// Changes between small letters, capitals and digits in a stretch that are more than a name has.
const STRETCH: usize = 20;
const MOST_CHANGES: usize = 6;

/// The text without it.
pub(super) fn redact(text: &str) -> String {
    let mut text = lines(text);
    for form in FORMS.iter() {
        text = replace(Some(form), &text, |found| removed(whole(found)));
    }
    text = replace(NAMED.as_ref(), &text, |found| {
        format!("{}<removed>", found.get(1).map_or("", |name| name.as_str()))
    });
    text = replace(USER.as_ref(), &text, |_| "://<removed>@".to_owned());
    let text = replace(RUN.as_ref(), &text, |found| match (found.get(1), whole(found)) {
        (Some(_), digest) => digest.to_owned(),
        (None, run) => replace(HEX.as_ref(), run, |found| removed(whole(found))),
    });
    let text = replace(RUN.as_ref(), &text, |found| match (found.get(1), whole(found)) {
        (None, run) if is_opaque(run) => removed(run),
        (_, plain) => plain.to_owned(),
    });
    ends(&text)
}

/// A pattern that could not be read takes everything out: a test holds that all can be.
fn replace(pattern: Option<&Regex>, text: &str, with: impl Fn(&Captures<'_>) -> String) -> String {
    pattern.map_or_else(String::new, |pattern| pattern.replace_all(text, with).into_owned())
}

fn whole<'t>(found: &Captures<'t>) -> &'t str {
    found.get(0).map_or("", |whole| whole.as_str())
}

fn removed(value: &str) -> String {
    let hash = digest(&SHA256, value.as_bytes());
    let hash = hash.as_ref().get(..4).map(hex::encode).unwrap_or_default();
    format!("<removed {}: {hash}>", value.len())
}

/// Without the lines that are no text. Colours of a log go, too.
fn lines(text: &str) -> String {
    let is_text =
        |line: &str| !line.contains('\u{fffd}') && !line.contains(|c: char| c.is_control() && c != '\t');
    let line = |line: &str| {
        let plain = line.split('\u{1b}').enumerate().map(|(at, part)| match (at, part.split_once('m')) {
            (0, _) | (_, None) => part,
            (_, Some((_, rest))) => rest,
        });
        let plain: String = plain.collect();
        let plain = plain.trim_end_matches('\r');
        if is_text(plain) {
            plain.to_owned()
        } else {
            format!("<a line of {} bytes that is no text>", line.len())
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The last lines of a value in base64 are as short as they come: after a line that ended in one
/// that was taken out, a line of nothing but such characters goes as well.
fn ends(text: &str) -> String {
    let is_rest = |line: &str| {
        !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte))
    };
    let mut after = false;
    let mut kept = Vec::new();
    for line in text.split('\n') {
        if after && is_rest(line.trim()) {
            kept.push("<removed>");
        } else {
            after = line.ends_with('>') && line.contains("<removed");
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// True for what reads like random characters.
fn is_opaque(run: &str) -> bool {
    let long = run
        .split(['+', '/', '=', '_', '-'])
        .any(|word| word.len() >= LONGEST_WORD && word.bytes().any(|byte| byte.is_ascii_digit()));
    let kinds: Vec<u8> = run.bytes().map(kind).collect();
    long || kinds.windows(STRETCH).any(|stretch| {
        let changes = stretch.iter().zip(stretch.iter().skip(1));
        let changes = changes.filter(|(one, next)| one != next && **one != OTHER && **next != OTHER).count();
        changes > MOST_CHANGES && stretch.contains(&SMALL) && stretch.contains(&CAPITAL)
    })
}

const OTHER: u8 = 0;
const SMALL: u8 = 1;
const CAPITAL: u8 = 2;
const DIGIT: u8 = 3;

const fn kind(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => SMALL,
        b'A'..=b'Z' => CAPITAL,
        b'0'..=b'9' => DIGIT,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use lab::damage::{forms, trace_of};
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn every_pattern_can_be_read() {
        assert_eq!(FORMS.len(), 5);
        assert!([&NAMED, &USER, &HEX, &RUN].iter().all(|pattern| pattern.is_some()));
    }

    #[test]
    fn what_people_read_stays() {
        for text in [
            "2026-11-29T13:04:05.123456Z  INFO keylime_attestor_operator::reconcile: the server is rolled out namespace=\"spire-server\" name=\"spire\"",
            "spire-agent-6d5c8b7f9-x2k4z is on ip-10-0-12-34.eu-central-1.compute.internal",
            "image ghcr.io/spiffe/spire-server@sha256:2c3f85879c67e00e5792fe2a69bb915f7e2f3f4f1919907dde38d83d7ae5c29a",
            "spiffe://example.org/spire/agent/keylime/d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
            "/var/lib/kubelet/pods/d432fbb3-d2f1-4a97-9ef7-75bd81c00000/volumes/kubernetes.io~projected/kube-api-access-x2k4z",
            "ConfigurationApplied is False: expected a ConfigMap mounted where /opt/spire/conf/server/server.conf lies",
            "ParentIDsConfigured ValidatingAdmissionPolicy KeylimeAttestorOperator validatingadmissionpolicybindings",
            "listening on [fd00:1234:5678:9abc:def0:1234:5678:9abc]:8081, 10.0.0.1:8881, 10.0.0.2:8891, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ] {
            assert_eq!(redact(text), text);
        }
        let long = "0a".repeat(32);
        assert_eq!(redact(&format!("agent {long} failed")), format!("agent {} failed", removed(&long)));
        assert_eq!(redact("\u{1b}[32m INFO\u{1b}[0m it starts"), " INFO it starts");
    }

    #[test]
    fn no_form_of_a_key_stays() {
        for pem in (0..5).map(|_| KeyPair::generate().unwrap().serialize_pem()) {
            for form in forms(&pem) {
                let text = String::from_utf8_lossy(&form.content).into_owned();
                for text in [
                    text.clone(),
                    format!("got {text}"),
                    format!("{{\"msg\":\"{}\"}}", text.escape_default()),
                ] {
                    let told = redact(&text);
                    let trace = trace_of(&pem, &told);
                    assert!(trace.is_none(), "{}: {trace:?} is in {told}, of {text}", form.how);
                }
            }
        }
    }

    #[test]
    fn no_encoding_of_bytes_stays() {
        for _ in 0..5 {
            let key = KeyPair::generate().unwrap();
            let (pem, der) = (key.serialize_pem(), key.serialize_der());
            let joined = |form: fn(&u8) -> String, between: &str| {
                der.iter().map(form).collect::<Vec<_>>().join(between)
            };
            for text in [
                format!("got {der:?}"),
                format!("got {der:02x?}"),
                format!("got {der:#04x?}"),
                joined(|byte| format!("{byte:02x}"), ""),
                joined(|byte| format!("{byte:02X}"), ":"),
                joined(|byte| format!("{byte:02x}"), " "),
                joined(|byte| format!("\\x{byte:02x}"), ""),
                joined(|byte| format!("%{byte:02x}"), ""),
                STANDARD.encode(&der),
                format!("quote: r{}:{}", STANDARD.encode(&der), STANDARD.encode(b"short")),
                URL_SAFE_NO_PAD.encode(&der),
                der.escape_ascii().to_string(),
            ] {
                let told = redact(&text);
                assert!(told.contains("<removed"), "{told}");
                assert_eq!(trace_of(&pem, &told), None, "{told}, of {text}");
            }
        }
    }

    #[test]
    fn what_has_a_name_that_tells_goes() {
        for text in [
            "password=hunter2 user=x",
            r#"{"token":"hunter2 with a blank","level":"info"}"#,
            r#"msg="{\"password\": \"hunter2\"}""#,
            "Authorization: hunter2",
            "authorization: Bearer hunter2",
            "db=postgres://spire:hunter2@db.example/spire",
            "api-key 'x' api_key='hunter2'",
            "eyJhbGciOiJub25lIn0.hunter2.hunter2",
        ] {
            let told = redact(text);
            assert!(!told.contains("hunter2") && told.contains("<removed"), "{told}");
        }
    }
}
