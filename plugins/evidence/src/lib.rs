//! plugins/evidence
