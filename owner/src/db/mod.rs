//! The database that this service alone owns: entities, seen by stores only, and migrations.

pub mod entity;
pub mod migration;

use fdo_service::database::Narrow;
pub use migration::Migrator;

/// Which columns hold 32 bits.
pub(crate) fn narrow() -> Narrow {
    use entity::{
        ca_revision, certificate, claim, crl, device, device_guid, network, onboarding, plan, probe_sighting,
    };
    use entity::{redirect, registration, resale, stored_file, upload, voucher};
    Narrow::default()
        .with::<ca_revision::Entity>()
        .with::<certificate::Entity>()
        .with::<claim::Entity>()
        .with::<crl::Entity>()
        .with::<device::Entity>()
        .with::<device_guid::Entity>()
        .with::<network::Entity>()
        .with::<onboarding::Entity>()
        .with::<plan::Entity>()
        .with::<probe_sighting::Entity>()
        .with::<redirect::Entity>()
        .with::<registration::Entity>()
        .with::<resale::Entity>()
        .with::<stored_file::Entity>()
        .with::<upload::Entity>()
        .with::<voucher::Entity>()
}

/// Times and counts as the databases keep them.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse; what a database cannot have been given becomes 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_columns_name_says_how_wide_it_is() {
        assert_eq!(super::narrow().clash(), None);
    }

    /// Their columns of 64 bits are named as others' of 32 bits: these are read on the ordinary connection only.
    const ORDINARY: [&str; 4] = ["admission_rule", "alert_delivery", "enrollment_request", "probe"];

    #[test]
    fn columns_of_64_bits_have_names_of_their_own() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/entity");
        let columns = |text: &str, kind: &str| -> Vec<String> {
            let lines =
                text.lines().filter(|line| line.contains(kind)).filter_map(|line| line.trim().split_once(':'));
            lines.filter_map(|(name, _)| name.strip_prefix("pub ").map(str::to_owned)).collect()
        };
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let narrow: Vec<_> = texts.iter().flat_map(|text| columns(text, "i32")).collect();
        for (file, text) in files.iter().zip(&texts) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let clash = columns(text, "i64").iter().any(|column| narrow.contains(column));
            assert_eq!(clash, ORDINARY.contains(&name), "{name}");
        }
    }

    #[test]
    fn every_entity_with_32_bits_is_among_them() {
        let this = include_str!("mod.rs");
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/entity")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let narrow = std::fs::read_to_string(&path).unwrap().contains("i32");
            assert!(!narrow || this.contains(&format!("with::<{name}::Entity>()")), "{name}");
        }
    }
}
