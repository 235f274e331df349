//! plugins/keylime
