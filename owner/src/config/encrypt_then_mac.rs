//! Settings of the cipher suites that encrypt and then authenticate, whose forms in the field do not understand each other.

use std::collections::BTreeMap;

use fdo_protocol::crypto::EtmForm;
use serde::{Deserialize, Serialize};

/// Whether devices may ask for them, and in which form they are answered: the owner encrypts first, so it must know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptThenMacSettings {
    /// Whether a device that asks for such a suite gets it.
    pub offered: bool,
    /// The form for every device whose model is not named below.
    pub form: Form,
    /// The form for a model, by the DeviceInfo of its vouchers.
    pub models: BTreeMap<String, Form>,
}

/// A form as it is written in settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    #[default]
    Go,
    Java,
    Specification,
}

impl From<Form> for EtmForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Go => Self::Go,
            Form::Java => Self::Java,
            Form::Specification => Self::Specification,
        }
    }
}

impl EncryptThenMacSettings {
    /// The form for a device, if such suites are offered at all.
    pub fn form_for(&self, model: &str) -> Option<EtmForm> {
        let form = self.models.get(model).copied().unwrap_or(self.form);
        self.offered.then(|| form.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_have_a_form_of_its_own() {
        let mut settings = EncryptThenMacSettings::default();
        settings.models.insert("gateway".to_owned(), Form::Java);
        assert_eq!(settings.form_for("gateway"), None);
        settings.offered = true;
        assert_eq!(settings.form_for("gateway"), Some(EtmForm::Java));
        assert_eq!(settings.form_for("sensor"), Some(EtmForm::Go));
        settings.form = Form::Specification;
        assert_eq!(settings.form_for("sensor"), Some(EtmForm::Specification));
    }

    #[test]
    fn a_form_is_written_as_the_protocol_names_it() {
        for (form, meant) in
            [(Form::Go, EtmForm::Go), (Form::Java, EtmForm::Java), (Form::Specification, EtmForm::Specification)]
        {
            assert_eq!(serde_json::json!(form), meant.name());
            assert_eq!(EtmForm::from(form), meant);
        }
    }
}
