//! The AK in the TPM, below the EK.

use tss_esapi::Context;
use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, DefaultKey, ek};
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Digest, Nonce, Public, SymmetricDefinition};

use crate::command::{Failure, send};
use crate::{AgentData, Error};

/// Loads the AK. Of the EK, which takes one of a software TPM's three places, nothing stays.
pub(crate) fn load(context: &mut Context, data: &AgentData) -> Result<KeyHandle, Failure> {
    let template = ek_template(data.public())?;
    let by_password = Some(AuthSession::Password);
    let ek = send("TPM2_CreatePrimary", || {
        context.execute_with_session(by_password, |context| {
            context.create_primary(Hierarchy::Endorsement, template.clone(), None, None, None, None)
        })
    })?;
    let loaded = load_below(context, ek.key_handle, &template, data);
    match send("TPM2_FlushContext", || context.flush_context(ek.key_handle.into())) {
        Ok(()) | Err(Failure::Gone) => loaded,
        Err(failure) => loaded.and(Err(failure)),
    }
}

/// The EK's template, of the AK's algorithm: Keylime's agent makes both of one.
fn ek_template(ak: &Public) -> Result<Public, Error> {
    let algorithm = match ak {
        Public::Rsa { .. } => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
        Public::Ecc { parameters, .. } if parameters.ecc_curve() == EccCurve::NistP384 => {
            AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384)
        }
        _ => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
    };
    ek::create_ek_public_from_default_template_2(algorithm, DefaultKey)
        .map_err(|error| Error::Refused { command: "the EK's template", code: error.to_string() })
}

fn load_below(
    context: &mut Context,
    ek: KeyHandle,
    template: &Public,
    data: &AgentData,
) -> Result<KeyHandle, Failure> {
    // The smaller EKs can be used by their policy alone; the larger have a password, which is empty.
    if template.object_attributes().user_with_auth() {
        return load_with(context, AuthSession::Password, ek, data);
    }
    // In a session anew at each try: one that was used for a command is over.
    let session = send("TPM2_StartAuthSession", || {
        context.execute_without_session(|context| {
            context.start_auth_session(
                None,
                None,
                None,
                SessionType::Policy,
                SymmetricDefinition::AES_128_CFB,
                HashingAlgorithm::Sha256,
            )
        })
    })?;
    let Some(session) = session else {
        let code = "no session came".to_owned();
        return Err(Error::Refused { command: "TPM2_StartAuthSession", code }.into());
    };
    let loaded = satisfy(context, session).and_then(|()| load_with(context, session, ek, data));
    // The TPM ends it itself once it is used.
    if loaded.is_err() {
        let _ = context.flush_context(SessionHandle::from(session).into());
    }
    loaded
}

/// `TPM2_PolicySecret` of the endorsement hierarchy, with its empty password: the EK's policy.
fn satisfy(context: &mut Context, session: AuthSession) -> Result<(), Failure> {
    const COMMAND: &str = "TPM2_PolicySecret";
    let policy = PolicySession::try_from(session)
        .map_err(|error| Error::Refused { command: COMMAND, code: error.to_string() })?;
    send(COMMAND, || {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            let (nonce, hash, reference) = (Nonce::default(), Digest::default(), Nonce::default());
            context.policy_secret(policy, AuthHandle::Endorsement, nonce, hash, reference, None)
        })
    })
    .map(drop)
}

fn load_with(
    context: &mut Context,
    session: AuthSession,
    ek: KeyHandle,
    data: &AgentData,
) -> Result<KeyHandle, Failure> {
    send("TPM2_Load", || {
        context.execute_with_session(Some(session), |context| {
            context.load(ek, data.private().clone(), data.public().clone())
        })
    })
}
