//! plugins/spire-plugin
