//! Both protocols of the rendezvous on one page: which message is answered by which step.

use fdo_protocol::Error;
use fdo_protocol::messages::MessageType;
use fdo_service::endpoint::{Conversation, Fault, Incoming, Outgoing};

use crate::redirection::To1;
use crate::registration::To0;

/// What the rendezvous says.
pub struct Rendezvous {
    pub to0: To0,
    pub to1: To1,
}

impl Conversation for Rendezvous {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        match MessageType::from_number(incoming.message_type) {
            Some(MessageType::To0Hello) => self.to0.hello(&incoming),
            Some(MessageType::OwnerSign) => self.to0.owner_sign(&incoming).await,
            Some(MessageType::HelloRv) => self.to1.hello_rv(&incoming).await,
            Some(MessageType::ProveToRv) => self.to1.prove_to_rv(&incoming).await,
            _ => Err(Error::OutOfSequence { received: incoming.message_type }.into()),
        }
    }
}
