//! The operator, the CRDs and the chart with a real kube-apiserver and nothing that runs what is
//! written to it. Needs `make setup`.

mod binding;
mod chart;
mod crd;
mod documents;
mod operator;
mod released;
