//! Quotes that a software TPM makes, with every kind of AK, verify; each only against its own AK
//! and nonce.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::{AttestationKey, EndorsementKey, HashAlg, InvalidAttestationKey, InvalidQuote, Nonce, Quote};
use lab::process::output;
use lab::swtpm::Swtpm;

const NONCE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456";

/// A kind of key in the terms of tpm2-tools: `-G`, `-s`, `-g`.
#[derive(Clone, Copy, Debug)]
struct Kind {
    key: &'static str,
    scheme: &'static str,
    hash: &'static str,
}

const fn kind(key: &'static str, scheme: &'static str, hash: &'static str) -> Kind {
    Kind { key, scheme, hash }
}

/// Each AK that both a software TPM makes and the plugin takes. libtpms makes no RSA keys of 4096
/// bits.
const KINDS: [Kind; 12] = [
    kind("rsa2048", "rsassa", "sha256"),
    kind("rsa2048", "rsassa", "sha384"),
    kind("rsa2048", "rsassa", "sha512"),
    kind("rsa2048", "rsapss", "sha256"),
    kind("rsa2048", "rsapss", "sha384"),
    kind("rsa2048", "rsapss", "sha512"),
    kind("rsa3072", "rsassa", "sha256"),
    kind("rsa3072", "rsapss", "sha384"),
    kind("ecc256", "ecdsa", "sha256"),
    kind("ecc256", "ecdsa", "sha384"),
    kind("ecc384", "ecdsa", "sha256"),
    kind("ecc384", "ecdsa", "sha384"),
];

#[test]
fn quotes_of_every_kind_of_ak_verify_against_their_own_key_and_nonce_only() -> anyhow::Result<()> {
    let lab = Lab::start()?;
    let nonce = Nonce::parse(NONCE.as_bytes())?;
    let other_nonce = Nonce::parse(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123457")?;
    let mut others = None;
    for kind in KINDS {
        lab.make_ak(kind)?;
        let ak =
            AttestationKey::from_tpm2b_public(&lab.read("ak.pub")?).with_context(|| format!("{kind:?}"))?;
        let quote = Quote::parse(&lab.quote(kind, "sha256:16")?).with_context(|| format!("{kind:?}"))?;

        let verified = quote.verify(&ak, &nonce, HashAlg::Sha256).with_context(|| format!("{kind:?}"))?;
        assert_eq!(verified.hash_alg(), HashAlg::Sha256);
        assert_eq!(quote.verify(&ak, &other_nonce, HashAlg::Sha256), Err(InvalidQuote::Nonce), "{kind:?}");
        if let Some(other) = others.replace(ak) {
            assert!(quote.verify(&other, &nonce, HashAlg::Sha256).is_err(), "{kind:?}");
        }
    }
    Ok(())
}

/// Keylime's agents make their AK below the EK, of the same algorithm or of the other.
#[test]
fn the_signer_of_a_quote_is_its_ak_below_its_ek_and_below_no_other() -> anyhow::Result<()> {
    let nonce = Nonce::parse(NONCE.as_bytes())?;
    let mut others = None;
    for (algorithm, kind) in [("rsa", KINDS[0]), ("rsa", KINDS[10]), ("ecc", KINDS[8]), ("ecc", KINDS[6])] {
        let lab = Lab::with_ek(algorithm)?;
        lab.make_ak(kind)?;
        let ak = AttestationKey::from_tpm2b_public(&lab.read("ak.pub")?)?;
        let ek = EndorsementKey::from_tpm2b_public(&lab.read("ek.pub")?)?;
        let quote = Quote::parse(&lab.quote(kind, "sha256:16")?)?;
        let verified = quote.verify(&ak, &nonce, HashAlg::Sha256)?;
        verified.check_signer(&ak, &ek).with_context(|| format!("{algorithm} {kind:?}"))?;
        if let Some(other) = others.replace(ek) {
            assert_eq!(verified.check_signer(&ak, &other), Err(InvalidQuote::Signer), "{algorithm} {kind:?}");
        }
    }
    Ok(())
}

#[test]
fn another_ak_of_the_same_kind_is_another_ak() -> anyhow::Result<()> {
    let lab = Lab::start()?;
    for kind in [KINDS[0], KINDS[8]] {
        lab.make_ak(kind)?;
        let first = AttestationKey::from_tpm2b_public(&lab.read("ak.pub")?)?;
        lab.make_ak(kind)?;
        let quote = Quote::parse(&lab.quote(kind, "sha256:16")?)?;
        let nonce = Nonce::parse(NONCE.as_bytes())?;
        assert_eq!(quote.verify(&first, &nonce, HashAlg::Sha256), Err(InvalidQuote::Signature), "{kind:?}");
    }
    Ok(())
}

#[test]
fn every_number_of_pcrs_of_every_bank_verifies() -> anyhow::Result<()> {
    let lab = Lab::start()?;
    let nonce = Nonce::parse(NONCE.as_bytes())?;
    let kind = KINDS[8];
    lab.make_ak(kind)?;
    let ak = AttestationKey::from_tpm2b_public(&lab.read("ak.pub")?)?;
    let all: Vec<String> = (0..24).map(|pcr| pcr.to_string()).collect();
    for bank in [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512] {
        for number in [1, 8, 9, 16, 17, 24] {
            let quote = lab.quote(kind, &format!("{bank}:{}", all[..number].join(",")))?;
            Quote::parse(&quote)
                .and_then(|quote| quote.verify(&ak, &nonce, bank))
                .with_context(|| format!("{number} PCRs of {bank}"))?;
        }
    }
    let sha1 = Quote::parse(&lab.quote(kind, "sha1:16")?);
    assert_eq!(sha1.map(drop), Err(InvalidQuote::WeakBank));
    let two = Quote::parse(&lab.quote(kind, "sha1:16+sha256:16")?);
    assert_eq!(two.map(drop), Err(InvalidQuote::Banks { came: 2 }));
    Ok(())
}

#[test]
fn aks_that_do_not_do_are_refused_by_their_reason() -> anyhow::Result<()> {
    let lab = Lab::start()?;
    for (kind, expected) in [
        (kind("rsa2048", "rsassa", "sha1"), InvalidAttestationKey::WeakHash),
        (kind("ecc256", "ecdsa", "sha512"), InvalidAttestationKey::EcdsaSha512),
        (
            kind("ecc256", "ecschnorr", "sha256"),
            InvalidAttestationKey::UnsupportedScheme { came: "ECSCHNORR" },
        ),
    ] {
        lab.make_ak(kind)?;
        let ak = AttestationKey::from_tpm2b_public(&lab.read("ak.pub")?);
        assert_eq!(ak, Err(expected), "{kind:?}");
    }
    // The EK: restricted, and for decryption.
    let ek = AttestationKey::from_tpm2b_public(&lab.read("ek.pub")?);
    assert_eq!(ek, Err(InvalidAttestationKey::NotSigning));
    Ok(())
}

/// A software TPM with an EK, and a folder for what tpm2-tools write.
struct Lab {
    tpm: Swtpm,
    dir: tempfile::TempDir,
}

impl Lab {
    fn start() -> anyhow::Result<Self> {
        Self::with_ek("rsa")
    }

    fn with_ek(algorithm: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let lab = Self { tpm: Swtpm::start(dir.path())?, dir };
        lab.tool("tpm2_createek", &["-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub", "-f", "tss"])?;
        lab.flush()?;
        Ok(lab)
    }

    /// Makes an AK below the EK, as Keylime's agents do: `ak.ctx`, `ak.pub`.
    fn make_ak(&self, kind: Kind) -> anyhow::Result<()> {
        let Kind { key, scheme, hash } = kind;
        let made = ["-C", "ek.ctx", "-c", "ak.ctx", "-u", "ak.pub", "-f", "tss", "-n", "ak.name"];
        self.tool("tpm2_createak", &[&made[..], &["-G", key, "-s", scheme, "-g", hash]].concat())?;
        self.flush()
    }

    /// Has the AK quote the nonce, and puts the three parts together as Keylime's agents do.
    fn quote(&self, kind: Kind, pcrs: &str) -> anyhow::Result<String> {
        let written = ["-c", "ak.ctx", "-m", "attest", "-s", "signature", "-o", "pcrs"];
        let qualification = NONCE.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let asked = ["-l", pcrs, "-q", &qualification, "-g", kind.hash, "--scheme", kind.scheme];
        self.tool("tpm2_quote", &[&written[..], &asked].concat())?;
        self.flush()?;
        let parts =
            ["attest", "signature", "pcrs"].map(|name| self.read(name).map(|part| STANDARD.encode(part)));
        let [attest, signature, pcrs] = parts;
        Ok(format!("r{}:{}:{}", attest?, signature?, pcrs?))
    }

    /// A software TPM holds three transient objects at most, and tpm2-tools leave theirs behind.
    fn flush(&self) -> anyhow::Result<()> {
        self.tool("tpm2_flushcontext", &["--transient-object"])
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        output(self.tpm.tool(name).args(arguments).current_dir(self.dir.path())).map(drop)
    }

    fn read(&self, name: impl AsRef<Path>) -> anyhow::Result<Vec<u8>> {
        let path = self.dir.path().join(name);
        fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    }
}
