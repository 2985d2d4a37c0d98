//! TO0, 20 to 23: an owner tells the rendezvous where its devices find it. One file a role.

pub mod owner;
pub mod rendezvous;
