//! An attestation key in software: keys and quotes as a TPM makes them, and as none would.
//!
//! Structures are marshalled by hand, from the TPM 2.0 Library, Part 2, apart from the parser that
//! they test. The RSA keys beside this file (`rsa-*.pk8`) were made for it and guard
//! nothing.

use std::fmt;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use ring::{digest, signature};

use crate::fake_keylime::recorded;

/// `TPM_ALG_SHA1`, which nothing here signs with.
pub const SHA1: u16 = 0x0004;
/// `TPM_ALG_SHA256`
pub const SHA256: u16 = 0x000b;
/// `TPM_ALG_SHA384`
pub const SHA384: u16 = 0x000c;
/// `TPM_ALG_SHA512`
pub const SHA512: u16 = 0x000d;
/// `TPM_ALG_RSASSA`
pub const RSASSA: u16 = 0x0014;
/// `TPM_ALG_RSAPSS`
pub const RSAPSS: u16 = 0x0016;
/// `TPM_ALG_ECDSA`
pub const ECDSA: u16 = 0x0018;
/// The attributes of every AK that Keylime makes: fixedTPM, fixedParent, sensitiveDataOrigin,
/// userWithAuth, restricted, sign.
pub const AK_ATTRIBUTES: u32 = 0x0005_0072;

const NULL: u16 = 0x0010;
/// Where `pcrSelect` ends up in `TPMS_PCR_SELECTION`: three bytes stand for 24 PCRs.
const PCR_SELECT_SIZE: u8 = 3;

/// A key pair that signs quotes.
pub struct SoftAk {
    key: Key,
    /// Its public area. Change it for an AK that no Keylime agent would make.
    pub public: Public,
    /// The EK that it sits below, a `TPM2B_PUBLIC` named by SHA-256. That of the recorded agent
    /// unless changed.
    pub ek: Vec<u8>,
}

/// The public area of an AK (`TPMT_PUBLIC`).
#[derive(Clone, Debug)]
pub struct Public {
    /// `objectAttributes`
    pub attributes: u32,
    /// The signing scheme: [`RSASSA`], [`RSAPSS`] or [`ECDSA`].
    pub scheme: u16,
    /// The scheme's hash.
    pub hash: u16,
    unique: Unique,
}

#[derive(Clone, Debug)]
enum Unique {
    Rsa { modulus: Vec<u8> },
    Ecc { curve: u16, x: Vec<u8>, y: Vec<u8> },
}

enum Key {
    Rsa(RsaKeyPair),
    Ecc(EcdsaKeyPair),
}

/// What a quote is over (`TPMS_ATTEST`). [`marshal`](Self::marshal) writes what the fields say,
/// sense or not.
#[derive(Clone, Debug)]
pub struct Attest {
    /// `TPM_GENERATED_VALUE` in a real one.
    pub magic: u32,
    /// `TPM_ST_ATTEST_QUOTE`, 0x8018, in a quote.
    pub kind: u16,
    /// The qualified name of the AK.
    pub qualified_signer: Vec<u8>,
    /// The nonce.
    pub extra_data: Vec<u8>,
    /// The selected PCRs: of each bank its algorithm and numbers.
    pub banks: Vec<(u16, Vec<u8>)>,
    /// The digest over the values.
    pub pcr_digest: Vec<u8>,
}

/// The three parts of a quote. `Display` is Keylime's form.
#[derive(Clone, Debug)]
pub struct SoftQuote {
    /// `TPMS_ATTEST`
    pub attest: Vec<u8>,
    /// `TPMT_SIGNATURE`
    pub signature: Vec<u8>,
    /// The PCR values, as tpm2-tools writes them.
    pub pcrs: Vec<u8>,
}

impl SoftAk {
    /// An RSA key of 2048, 3072 or 4096 bits, always the same one, with its scheme and hash.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn rsa(bits: u16, scheme: u16, hash: u16) -> anyhow::Result<Self> {
        let pkcs8: &[u8] = match bits {
            2048 => include_bytes!("rsa-2048.pk8"),
            3072 => include_bytes!("rsa-3072.pk8"),
            4096 => include_bytes!("rsa-4096.pk8"),
            _ => bail!("there is no RSA key of {bits} bits"),
        };
        let key = RsaKeyPair::from_pkcs8(pkcs8).ok().context("failed to read an RSA key")?;
        let components: ring::rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
        let modulus = components.n;
        let public = Public { attributes: AK_ATTRIBUTES, scheme, hash, unique: Unique::Rsa { modulus } };
        Ok(Self { key: Key::Rsa(key), public, ek: recorded::ek() })
    }

    /// A fresh key on P-256, which signs by ECDSA with SHA-256.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn p256() -> anyhow::Result<Self> {
        Self::ecc(&ECDSA_P256_SHA256_FIXED_SIGNING, 0x0003, SHA256)
    }

    /// A fresh key on P-384, which signs by ECDSA with SHA-384.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn p384() -> anyhow::Result<Self> {
        Self::ecc(&ECDSA_P384_SHA384_FIXED_SIGNING, 0x0004, SHA384)
    }

    fn ecc(algorithm: &'static EcdsaSigningAlgorithm, curve: u16, hash: u16) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).and_then(|pkcs8| {
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
                .map_err(|_rejected| ring::error::Unspecified)
        });
        let key = made.ok().context("failed to make an ECC key")?;
        // An uncompressed point: 4, x, y.
        let point = key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        let unique = Unique::Ecc { curve, x: x.to_vec(), y: y.to_vec() };
        let public = Public { attributes: AK_ATTRIBUTES, scheme: ECDSA, hash, unique };
        Ok(Self { key: Key::Ecc(key), public, ek: recorded::ek() })
    }

    /// The public area as the registrar holds it (`aik_tpm`, before base64): `TPM2B_PUBLIC`.
    pub fn tpm2b_public(&self) -> Vec<u8> {
        sized(&self.public.marshal())
    }

    /// A quote like that of a Keylime agent's `/quotes/identity`: PCR 16 of the bank sha256, signed
    /// by the key's own scheme.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn quote(&self, nonce: &[u8]) -> anyhow::Result<SoftQuote> {
        self.quote_pcrs(nonce, SHA256, &[16])
    }

    /// A quote over PCRs of a bank; the value of PCR n is n in every byte.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn quote_pcrs(&self, nonce: &[u8], bank: u16, pcrs: &[u8]) -> anyhow::Result<SoftQuote> {
        let values = pcr_values(bank, pcrs)?;
        let attest = Attest::new(nonce, bank, pcrs, hash(self.public.hash, &values.concat())?);
        let attest = Attest { qualified_signer: self.qualified_name()?, ..attest };
        self.sign(attest.marshal(), pcrs_part(bank, pcrs, &values))
    }

    /// Its qualified name, made of the endorsement hierarchy's, its EK's name and its own.
    fn qualified_name(&self) -> anyhow::Result<Vec<u8>> {
        const ENDORSEMENT: [u8; 4] = 0x4000_000b_u32.to_be_bytes();
        let named = |bytes: &[u8]| anyhow::Ok([be16(SHA256), hash(SHA256, bytes)?].concat());
        let ek = named(self.ek.get(2..).context("the EK is no TPM2B_PUBLIC")?)?;
        let parent = named(&[&ENDORSEMENT[..], &ek].concat())?;
        named(&[parent, named(&self.public.marshal())?].concat())
    }

    /// Signs an attest, whatever it holds. A restricted key in a TPM would not.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, attest: Vec<u8>, pcrs: Vec<u8>) -> anyhow::Result<SoftQuote> {
        let random = SystemRandom::new();
        let mut signature = be16(self.public.scheme);
        signature.extend(be16(self.public.hash));
        match &self.key {
            Key::Rsa(key) => {
                let mut bytes = vec![0; key.public().modulus_len()];
                let encoding = rsa_encoding(self.public.scheme, self.public.hash)?;
                key.sign(encoding, &random, &attest, &mut bytes).ok().context("failed to sign with RSA")?;
                signature.extend(sized(&bytes));
            }
            Key::Ecc(key) => {
                let fixed: signature::Signature =
                    key.sign(&random, &attest).ok().context("failed to sign by ECDSA")?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                signature.extend(sized(r));
                signature.extend(sized(s));
            }
        }
        Ok(SoftQuote { attest, signature, pcrs })
    }
}

impl Public {
    /// `TPMT_PUBLIC`, big endian: type, nameAlg, attributes, no policy, no symmetric, scheme, key.
    fn marshal(&self) -> Vec<u8> {
        let kind = match self.unique {
            Unique::Rsa { .. } => 0x0001,
            Unique::Ecc { .. } => 0x0023,
        };
        let mut bytes = [be16(kind), be16(SHA256), self.attributes.to_be_bytes().to_vec(), be16(0)].concat();
        bytes.extend([be16(NULL), be16(self.scheme), be16(self.hash)].concat());
        match &self.unique {
            Unique::Rsa { modulus } => {
                let bits = u16::try_from(8 * modulus.len()).unwrap_or(u16::MAX);
                let default_exponent = 0_u32.to_be_bytes();
                bytes.extend([be16(bits), default_exponent.to_vec(), sized(modulus)].concat());
            }
            Unique::Ecc { curve, x, y } => {
                bytes.extend([be16(*curve), be16(NULL), sized(x), sized(y)].concat());
            }
        }
        bytes
    }
}

impl Attest {
    /// One as a TPM makes it.
    pub fn new(nonce: &[u8], bank: u16, pcrs: &[u8], pcr_digest: Vec<u8>) -> Self {
        Self {
            magic: 0xff54_4347,
            kind: 0x8018,
            qualified_signer: [be16(SHA256), vec![7; 32]].concat(),
            extra_data: nonce.to_vec(),
            banks: vec![(bank, pcrs.to_vec())],
            pcr_digest,
        }
    }

    /// `TPMS_ATTEST`, big endian. The clock is safe; clock, counters and firmware are made up.
    pub fn marshal(&self) -> Vec<u8> {
        let mut bytes = [self.magic.to_be_bytes().to_vec(), be16(self.kind)].concat();
        bytes.extend([sized(&self.qualified_signer), sized(&self.extra_data)].concat());
        bytes.extend(
            [&123_456_u64.to_be_bytes()[..], &2_u32.to_be_bytes(), &1_u32.to_be_bytes(), &[1]].concat(),
        );
        bytes.extend(0x2019_1023_0016_3636_u64.to_be_bytes());
        bytes.extend(u32::try_from(self.banks.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (bank, pcrs) in &self.banks {
            bytes.extend(be16(*bank));
            bytes.push(PCR_SELECT_SIZE);
            bytes.extend(select(pcrs).to_le_bytes().into_iter().take(usize::from(PCR_SELECT_SIZE)));
        }
        bytes.extend(sized(&self.pcr_digest));
        bytes
    }
}

impl fmt::Display for SoftQuote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [attest, signature, pcrs] =
            [&self.attest, &self.signature, &self.pcrs].map(|part| STANDARD.encode(part));
        write!(formatter, "r{attest}:{signature}:{pcrs}")
    }
}

/// The third part of a quote: C structures as tpm2-tools has them in memory, little endian.
pub fn pcrs_part(bank: u16, pcrs: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = 1_u32.to_le_bytes().to_vec();
    bytes.extend(bank.to_le_bytes());
    bytes.push(PCR_SELECT_SIZE);
    bytes.extend(select(pcrs).to_le_bytes());
    bytes.resize(4 + 16 * 8, 0);
    let lists: Vec<&[Vec<u8>]> = values.chunks(8).collect();
    bytes.extend(u32::try_from(lists.len()).unwrap_or(u32::MAX).to_le_bytes());
    for list in lists {
        let end = bytes.len() + 4 + 8 * 66;
        bytes.extend(u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes());
        for value in list {
            let next = bytes.len() + 66;
            bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(value);
            bytes.resize(next, 0);
        }
        bytes.resize(end, 0);
    }
    bytes
}

/// The values of some PCRs: that of PCR n is n in every byte.
///
/// # Errors
/// When the bank is of no algorithm that is known here.
pub fn pcr_values(bank: u16, pcrs: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let length = algorithm(bank)?.output_len();
    Ok(pcrs.iter().map(|pcr| vec![*pcr; length]).collect())
}

/// A digest by a TPM's algorithm.
///
/// # Errors
/// When the algorithm is not known here.
pub fn hash(algorithm_id: u16, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(digest::digest(algorithm(algorithm_id)?, bytes).as_ref().to_vec())
}

fn algorithm(id: u16) -> anyhow::Result<&'static digest::Algorithm> {
    match id {
        SHA1 => Ok(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => Ok(&digest::SHA256),
        SHA384 => Ok(&digest::SHA384),
        SHA512 => Ok(&digest::SHA512),
        _ => bail!("the hash algorithm {id:#06x} is not known"),
    }
}

fn rsa_encoding(scheme: u16, hash: u16) -> anyhow::Result<&'static dyn RsaEncoding> {
    match (scheme, hash) {
        (RSASSA, SHA256) => Ok(&RSA_PKCS1_SHA256),
        (RSASSA, SHA384) => Ok(&RSA_PKCS1_SHA384),
        (RSASSA, SHA512) => Ok(&RSA_PKCS1_SHA512),
        (RSAPSS, SHA256) => Ok(&RSA_PSS_SHA256),
        (RSAPSS, SHA384) => Ok(&RSA_PSS_SHA384),
        (RSAPSS, SHA512) => Ok(&RSA_PSS_SHA512),
        _ => bail!("ring does not sign by the scheme {scheme:#06x} with the hash {hash:#06x}"),
    }
}

fn select(pcrs: &[u8]) -> u32 {
    pcrs.iter().fold(0, |bits, pcr| bits | 1_u32.checked_shl(u32::from(*pcr)).unwrap_or(0))
}

fn be16(number: u16) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A `TPM2B`: the size in two bytes, then the bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [be16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)), bytes.to_vec()].concat()
}
