//! What go-fdo-server's rendezvous answers its operators' scripts, in the same shapes: device CAs and health. The list is
//! the policy's own; it counts where the policy's `device_ca` is `required`.

pub mod routes;
