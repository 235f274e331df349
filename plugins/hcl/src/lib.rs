//! plugins/hcl
