//! Everything together on the lab's cluster: kubelets, SPIRE in pods, a real Keylime, software
//! TPMs. Needs `make setup` and root. There is one cluster at a time on a machine.

mod bare;
mod node_failure;
mod operator;
mod released;
