//! `fido_alliance` on the device, only where its configuration names an event logger: the token for that logger.

use fdo_protocol::Error;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::conformance::{MODULE, ToDevice, ToOwner, Token};

use super::Answers;

/// The module's state.
#[derive(Default)]
pub struct Conformance {
    token: Option<Token>,
}

impl Conformance {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The token that the owner gave.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        match ToDevice::decode(message, item)? {
            Some(ToDevice::Active(true)) => answers.tell(&ToOwner::Active(true)),
            Some(ToDevice::Active(false)) => {}
            Some(ToDevice::DevConformance(token)) => self.token = Some(token),
            None => answers.ignored(message),
        }
        Ok(())
    }
}
