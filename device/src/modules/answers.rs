//! What a module says back, and what it refused.

use fdo_protocol::cbor::Encode;
use fdo_protocol::service_info::{ModuleMessage, ServiceInfoKv};

/// Collected while a module takes one message.
pub struct Answers {
    module: &'static str,
    pub(super) pairs: Vec<ServiceInfoKv>,
    pub(super) refused: Vec<String>,
}

impl Answers {
    pub(super) fn new(module: &'static str) -> Self {
        Self { module, pairs: Vec::new(), refused: Vec::new() }
    }

    pub(super) fn say<T: Encode + ?Sized>(&mut self, message: &str, value: &T) {
        self.say_kv(ServiceInfoKv::new(self.module, message, value));
    }

    pub(super) fn tell<T: ModuleMessage>(&mut self, message: &T) {
        self.say_kv(message.to_kv());
    }

    pub(super) fn say_item(&mut self, message: &str, item: Vec<u8>) {
        self.say_kv(ServiceInfoKv::from_item(format!("{}:{message}", self.module), item));
    }

    pub(super) fn say_kv(&mut self, kv: ServiceInfoKv) {
        self.pairs.push(kv);
    }

    pub(super) fn refuse(&mut self, what: String) {
        self.refused.push(what);
    }

    pub(super) fn ignored(&self, message: &str) {
        tracing::debug!(module = self.module, message = message.escape_debug().to_string(), "unknown message");
    }

    #[cfg(test)]
    pub(super) fn pairs(&self) -> &[ServiceInfoKv] {
        &self.pairs
    }

    #[cfg(test)]
    pub(super) fn refused(&self) -> &[String] {
        &self.refused
    }
}
