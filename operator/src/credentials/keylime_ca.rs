//! The certificate authority of Keylime's verifier, as it keeps it in its folder `cv_ca`: the
//! certificate in `cacert.crt`, and the key in `private.yml`, encrypted by a password.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::Path;

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::aes::Aes256;
use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use serde::Deserialize;

use super::issue::Authority;

/// Many times what Keylime writes.
const MAX_FILE: u64 = 1 << 20;

/// Keylime's own parameters of the keystore: PBKDF2 with HMAC-SHA-256, AES-256-GCM with an
/// initialization vector of 16 bytes before the text.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};
const IV: usize = 16;

type Cipher = AesGcm<Aes256, U16>;

/// The keystore as it lies in the folder.
#[derive(Deserialize)]
struct Keystore {
    salt: String,
    #[serde(rename = "priv")]
    encrypted: String,
}

/// Its content, of which only the CA's key is read.
#[derive(Deserialize)]
struct Keys {
    ca: String,
}

/// Opens the CA in a folder.
///
/// # Errors
/// Files that are missing or none of Keylime's, and a wrong password. Nothing of a content is told.
pub(super) fn open(folder: &Path, password: &str) -> Result<Authority> {
    let certificate = read(&folder.join("cacert.crt"))?;
    let keystore = folder.join("private.yml");
    let text = read(&keystore)?;
    let about = || format!("{} is no keystore of Keylime's", keystore.display());
    let parsed: Keystore = serde_yaml::from_str(&text).map_err(|_| anyhow!(about()))?;
    let key = key(&parsed, password).with_context(|| format!("failed to open {}", keystore.display()))?;
    Authority::new(&certificate, &key).with_context(|| format!("the CA in {}", folder.display()))
}

/// The CA's private key, PEM.
fn key(keystore: &Keystore, password: &str) -> Result<String> {
    let plain = decrypt(keystore, password)?;
    // PyYAML writes bytes as !!binary, in lines.
    let plain = String::from_utf8(plain).map_err(|_| anyhow!("expected text in it"))?;
    let keys: Keys =
        serde_yaml::from_str(&plain.replace("!!binary", "")).map_err(|_| anyhow!("expected YAML in it"))?;
    if keys.ca.starts_with("-----BEGIN") {
        return Ok(keys.ca);
    }
    let encoded: String = keys.ca.split_whitespace().collect();
    let pem = STANDARD.decode(encoded).map_err(|_| anyhow!("expected the CA's key in it"))?;
    String::from_utf8(pem).map_err(|_| anyhow!("expected the CA's key in it, as PEM"))
}

fn decrypt(keystore: &Keystore, password: &str) -> Result<Vec<u8>> {
    let encoded: String = keystore.encrypted.split_whitespace().collect();
    let sealed = STANDARD.decode(encoded).map_err(|_| anyhow!("expected base64 in priv"))?;
    let (iv, sealed) = sealed.split_at_checked(IV).context("expected more in priv")?;
    let mut key = [0; 32];
    let (salt, password) = (keystore.salt.as_bytes(), password.as_bytes());
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password, &mut key);
    let cipher = Cipher::new(&key.into());
    let iv = <[u8; IV]>::try_from(iv).context("expected more in priv")?;
    let plain = cipher.decrypt(&iv.into(), sealed);
    plain.map_err(|_| anyhow!("the password is another: give Keylime's (`password` of its ca.conf) by --keylime-ca-password-file"))
}

/// A text file of bounded length.
pub(super) fn read(path: &Path) -> Result<String> {
    let about = || format!("failed to read {}", path.display());
    let mut text = String::new();
    File::open(path).with_context(about)?.take(MAX_FILE + 1).read_to_string(&mut text).with_context(about)?;
    ensure!(text.len() as u64 <= MAX_FILE, "{} has more than {MAX_FILE} bytes", path.display());
    Ok(text)
}
