//! PEM files and their faults. A file may hold a private key wherever it should hold something
//! else: no library's text about it is passed on, and ours repeat nothing of the file.

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The start of a section's first line, before its label.
const BEGIN: &[u8] = b"-----BEGIN ";

/// `-----BEGIN`, in base64.
const BEGIN_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";

/// Labels, most telling first, and the usual names of their contents.
const LABELS: [(&[u8], &str); 11] = [
    (b"-----BEGIN ENCRYPTED PRIVATE KEY", "an encrypted key: decrypt it (openssl pkey)"),
    (b"-----BEGIN OPENSSH PRIVATE KEY", "an OpenSSH key: write it as PKCS#8 (ssh-keygen -p -m PKCS8)"),
    (b"-----BEGIN PGP", "OpenPGP data"),
    (b"-----BEGIN DSA PRIVATE KEY", "a DSA key"),
    (b"PRIVATE KEY-----", "a private key"),
    (b"PUBLIC KEY-----", "a public key"),
    (b"CERTIFICATE REQUEST-----", "a certificate request: have it signed"),
    (b"-----BEGIN TRUSTED CERTIFICATE", "OpenSSL's own form of a certificate: write it anew (openssl x509)"),
    (b"-----BEGIN CERTIFICATE", "a certificate"),
    (b"-----BEGIN X509 CRL", "a revocation list"),
    (b" PARAMETERS-----", "parameters without a key"),
];

/// All certificates of a file, at least one.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(missing(bytes)),
        Ok(found) => Ok(found),
        Err(error) => Err(damage(bytes, &error)),
    }
}

/// The first private key of a file.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    if contains(bytes, b"Proc-Type: 4,ENCRYPTED") {
        return Err("an encrypted key: decrypt it (openssl pkey)");
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        Error::NoItemsFound => missing(bytes),
        error => damage(bytes, &error),
    })
}

/// True for a file that is meant as PEM, however damaged.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN")
}

/// The reason why nothing of the right kind was found.
fn missing(bytes: &[u8]) -> &'static str {
    let start = bytes.trim_ascii_start();
    match start {
        [] => "nothing: the file is empty",
        [0xef, 0xbb, 0xbf, ..] => "a byte order mark first: save the file without one",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16: save the file as ASCII",
        [0x30, length, ..] if *length >= 0x80 => "DER: write it as PEM (openssl with -inform DER)",
        _ if start.starts_with(BEGIN_IN_BASE64) => "base64 of a PEM file: decode it once more",
        _ if !is_pem(bytes) => "no line with -----BEGIN: not PEM",
        _ if lines(bytes).all(|line| !line.starts_with(BEGIN)) => {
            "-----BEGIN within a line: each line has to begin at its own start"
        }
        _ => LABELS
            .iter()
            .find(|(label, _)| contains(bytes, label))
            .map_or("a section of another label", |(_, what)| what),
    }
}

/// The reason why a section cannot be read. Of the library's error only the kind is used: its text
/// repeats parts of the file.
fn damage(bytes: &[u8], error: &Error) -> &'static str {
    match error {
        _ if contains(bytes, br"\n") => r"its line ends written as \n: write real ones",
        _ if lines(bytes).any(is_run_together) => {
            "its lines run together: put -----BEGIN …-----, each line of base64 and -----END …----- on lines of their own"
        }
        Error::IllegalSectionStart { .. } => {
            "a -----BEGIN line that does not end in five dashes: the file is damaged"
        }
        Error::MissingSectionEnd { .. } => {
            "no matching -----END line: the file is cut short, or the line was changed"
        }
        Error::Base64Decode(_) => "a section that is not base64 all through: the file is damaged",
        _ => "a section that cannot be read: the file is damaged",
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r'))
}

/// True for a -----BEGIN line with more than a label.
fn is_run_together(line: &[u8]) -> bool {
    let label = line.strip_prefix(BEGIN).map(<[u8]>::trim_ascii_end);
    label.is_some_and(|rest| contains(rest.strip_suffix(b"-----").unwrap_or(rest), b"-----"))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
