//! A pod's service account token, as the kubelet writes it into the pod ([`TokenFile`]).

mod token_file;

pub use token_file::{TokenFile, TokenFileError};
