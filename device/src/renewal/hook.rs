//! The program of the configuration that is run once for each new certificate, so that services take it up.

use super::Renewer;
use crate::modules::run_program;

/// The most characters of what it wrote that are kept to say why it failed.
const MAX_SAID: usize = 200;

impl<T, E> Renewer<T, E> {
    /// Runs the hook for a certificate that it has not been run for, and writes down what came of it. A failure is
    /// told to the owner at the next renewal; it changes nothing about the certificate.
    ///
    /// # Errors
    /// Why it failed, for people.
    pub async fn settle_hook(&self) -> Result<(), String> {
        let settings = &self.agent.settings.renewal;
        let store = &self.agent.store;
        let (Some((program, arguments)), Some(ldevid)) = (settings.hook.split_first(), store.ldevid()) else {
            return Ok(());
        };
        let fingerprint = hex::encode(ldevid.fingerprint());
        if store.renewal_status().hooked.as_deref() == Some(fingerprint.as_str()) {
            return Ok(());
        }
        let (_signals, none) = tokio::sync::mpsc::channel(1);
        let ended = run_program(settings.hook_limits.clone(), program.clone(), arguments.to_vec(), none).await;
        let outcome = match ended {
            Ok(ended) if ended.code == 0 => Ok(()),
            Ok(ended) => {
                let said = String::from_utf8_lossy(&ended.stderr);
                let said: String = said.trim().chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
                Err(format!("the hook {program} ended with code {}: {said}", ended.code))
            }
            Err(error) => Err(format!("the hook {program} did not run: {error}")),
        };
        if let Err(error) = &outcome {
            tracing::warn!(error, "the certificate is in place, but the hook failed");
        }
        let mut status = store.renewal_status();
        status.hooked = Some(fingerprint);
        status.hook_failure = outcome.as_ref().err().cloned();
        status.unreported |= outcome.is_err();
        if let Err(error) = store.set_renewal_status(&status) {
            // It is run again at the next start, which a reload survives.
            tracing::warn!(%error, "that the hook was run cannot be written down");
        }
        outcome
    }
}
