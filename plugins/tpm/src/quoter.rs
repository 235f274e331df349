//! Quotes by the AK, which is loaded once and kept.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::{HashAlg, InvalidQuote, Nonce, Quote};
use tss_esapi::Context;
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Data, PcrSelectionList, PcrSlot, SignatureScheme};
use tss_esapi::traits::Marshall as _;

use crate::agent_data::DataFile;
use crate::command::{Failure, send, shown};
use crate::{Address, AgentData, Error, key, pcrs};

/// The readings of PCR 0, each with a quote, until both are of one value.
const READINGS: usize = 5;
/// The times that the AK is loaded for one quote. More than once only where the TPM forgot it.
const LOADS: usize = 3;

/// Quotes nonces by the AK of Keylime's agent.
#[derive(Debug)]
pub struct Quoter {
    address: Address,
    file: DataFile,
    loaded: Option<Loaded>,
}

/// The AK in the TPM. Flushed when this is dropped.
#[derive(Debug)]
struct Loaded {
    context: Context,
    handle: KeyHandle,
    data: AgentData,
}

impl Quoter {
    /// A quoter of the TPM at `address`, by the AK in the file `agent_data`. Touches neither yet.
    pub fn new(address: Address, agent_data: PathBuf) -> Self {
        Self { address, file: DataFile::at(agent_data), loaded: None }
    }

    /// Loads the AK where that is still to be done, or the file has changed. Returns what the file
    /// says.
    ///
    /// # Errors
    /// The reason why there would be no quote.
    pub fn prepare(&mut self) -> Result<&AgentData, Error> {
        self.load().map(|loaded| &loaded.data)
    }

    /// Quotes PCR 0 with the nonce, in the bank of the file: Keylime's three-part text, verified,
    /// and the bank.
    ///
    /// # Errors
    /// The reason why there is no quote.
    pub fn quote(&mut self, nonce: &Nonce) -> Result<(String, HashAlg), Error> {
        let mut loads = 1;
        loop {
            let loaded = self.load()?;
            match loaded.quote(nonce) {
                Ok(quote) => return Ok((quote, loaded.data.bank())),
                // Another program may sit on the same slots, or the TPM was reset: from the start.
                Err(Failure::Gone | Failure::Error(Error::Wrong(_))) if loads < LOADS => loads += 1,
                Err(failure) => {
                    self.unload();
                    return Err(failure.into_error());
                }
            }
            self.unload();
        }
    }

    fn load(&mut self) -> Result<&mut Loaded, Error> {
        let changed =
            self.file.changed().map_err(|cause| Error::Data { path: self.file.path().into(), cause })?;
        if let Some(data) = changed {
            // The old key goes first: there may be room for one only.
            self.loaded = None;
            match self.load_new(&data) {
                Ok(loaded) => return Ok(self.loaded.insert(loaded)),
                Err(failure) => {
                    self.unload();
                    return Err(failure.into_error());
                }
            }
        }
        match &mut self.loaded {
            Some(loaded) => Ok(loaded),
            None => {
                self.file.forget();
                Err(Error::Refused { command: "TPM2_Load", code: "no key is loaded".to_owned() })
            }
        }
    }

    /// Loads the key. Another program may throw the EK out of the TPM meanwhile.
    fn load_new(&self, data: &AgentData) -> Result<Loaded, Failure> {
        let mut loads = 1;
        loop {
            match Loaded::load(&self.address, data.clone()) {
                Err(Failure::Gone) if loads < LOADS => loads += 1,
                loaded => return loaded,
            }
        }
    }

    /// Has the next call begin anew, connection and all.
    fn unload(&mut self) {
        self.loaded = None;
        self.file.forget();
    }
}

impl Loaded {
    fn load(address: &Address, data: AgentData) -> Result<Self, Failure> {
        address.check()?;
        let unreachable = |error| Error::Unreachable { address: address.to_string(), code: shown(error) };
        let mut context = Context::new(address.tcti()).map_err(unreachable)?;
        let handle = key::load(&mut context, &data)?;
        Ok(Self { context, handle, data })
    }

    fn quote(&mut self, nonce: &Nonce) -> Result<String, Failure> {
        for _ in 0..READINGS {
            let text = self.quote_once(nonce)?;
            let verified =
                Quote::parse(&text).and_then(|quote| quote.verify(self.data.ak(), nonce, self.data.bank()));
            match verified {
                Ok(_) => return Ok(text),
                // The PCR changed between its reading and its quote.
                Err(InvalidQuote::PcrDigest) => {}
                Err(error) => return Err(Error::Wrong(error).into()),
            }
        }
        Err(Error::Restless.into())
    }

    fn quote_once(&mut self, nonce: &Nonce) -> Result<String, Failure> {
        let bank = self.data.bank();
        let algorithm = match bank {
            HashAlg::Sha256 => HashingAlgorithm::Sha256,
            HashAlg::Sha384 => HashingAlgorithm::Sha384,
            HashAlg::Sha512 => HashingAlgorithm::Sha512,
        };
        // PCR 0: Keylime's pull agents reset PCR 16 at each identity quote.
        let selection = PcrSelectionList::builder()
            .with_selection(algorithm, &[PcrSlot::Slot0])
            .build()
            .map_err(|error| refused("the PCR selection", error))?;
        let value = self.read(bank, &selection)?;
        let (context, handle) = (&mut self.context, self.handle);
        let data = Data::try_from(nonce.as_str().as_bytes().to_vec())
            .map_err(|error| refused("the nonce", error))?;
        let (attest, signature) = send("TPM2_Quote", || {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.quote(handle, data.clone(), SignatureScheme::Null, selection.clone())
            })
        })?;
        let attest = attest.marshall().map_err(|error| refused("TPM2_Quote", error))?;
        let signature = signature.marshall().map_err(|error| refused("TPM2_Quote", error))?;
        let parts = [attest, signature, pcrs::layout_of_pcr_0(bank, &value)];
        Ok(format!("r{}", parts.map(|part| STANDARD.encode(part)).join(":")))
    }

    fn read(&mut self, bank: HashAlg, selection: &PcrSelectionList) -> Result<Vec<u8>, Failure> {
        let context = &mut self.context;
        let (_, _, digests) = send("TPM2_PCR_Read", || {
            context.execute_without_session(|context| context.pcr_read(selection.clone()))
        })?;
        // A bank that is not active is left out of the answer.
        match digests.value() {
            [value] if value.len() == bank.digest_len() => Ok(value.to_vec()),
            _ => Err(Error::BankNotActive { bank }.into()),
        }
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Gone => {
                let code = "the key was gone from it, time after time".to_owned();
                Error::Refused { command: "TPM2_Quote", code }
            }
        }
    }
}

fn refused(command: &'static str, error: tss_esapi::Error) -> Failure {
    Error::Refused { command, code: shown(error) }.into()
}
