//! The owner's modules and the device's, in one process and without a tunnel, at every message size.

use std::fs;
use std::time::Duration;

use fdo_protocol::cbor::{ByteString, decode, encode};
use fdo_protocol::service_info::chunking::ContentHash;
use fdo_protocol::service_info::conformance::Token;
use fdo_protocol::service_info::csr::{CsrError, ServerKey};
use fdo_protocol::service_info::owner::{
    Command as OwnerCommand, Conformance as OwnerConformance, Conversation as OwnerConversation, Csr as OwnerCsr,
    Download as OwnerDownload, Est as OwnerEst, ModuleFailure, ModuleOutcome, Need, OwnerModule,
    Payload as OwnerPayload, PayloadOptions, Provision, Upload as OwnerUpload, Wget as OwnerWget,
};
use fdo_protocol::service_info::{TurnLimits, negotiated_size};
use sha2::{Digest as _, Sha384};
use tempfile::TempDir;

use super::*;
use crate::devmod::Machine;
use crate::modules::csr::tests::Authority;

/// Message sizes as peers announce them.
const SIZES: [u16; 4] = [256, 1300, 16_384, 65_535];

/// An owner with files, and a device with a directory.
struct Meeting {
    directory: TempDir,
    config: Config,
    offered: Vec<(String, Vec<u8>)>,
    uploaded: Vec<u8>,
    finished: Option<u64>,
    rounds: usize,
    largest: usize,
    patience: Option<Duration>,
    /// Signs certificates.
    authority: Authority,
    /// Whether it makes keys.
    makes_keys: bool,
    /// The LDevID that the device comes with.
    ldevid: Option<Certificate>,
}

impl Meeting {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config =
            Config { files_dir: Some(directory.path().to_path_buf()), commands: true, ..Config::default() };
        Self {
            directory,
            config,
            offered: Vec::new(),
            uploaded: Vec::new(),
            finished: None,
            rounds: 0,
            largest: 0,
            patience: None,
            authority: Authority::new(1),
            makes_keys: false,
            ldevid: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn answer(&mut self, need: Need) -> Provision {
        match need {
            Need::ReadFile { name, offset, length } => {
                let Some((_, file)) = self.offered.iter().find(|(known, _)| *known == name) else {
                    return Provision::Refused(CsrError::BadRequest);
                };
                let rest = &file[usize::try_from(offset).unwrap()..];
                Provision::FilePart(rest[..length.min(rest.len())].to_vec())
            }
            Need::StoreUpload { offset, data, .. } => {
                assert!(data.len() <= 65_535);
                self.uploaded.truncate(usize::try_from(offset).unwrap());
                self.uploaded.extend(data);
                Provision::Stored
            }
            Need::FinishUpload { length, sha384, .. } => {
                self.finished = Some(length);
                let same =
                    sha384.is_none_or(|digest| digest.as_slice() == Sha384::digest(&self.uploaded).as_slice());
                if same { Provision::Stored } else { Provision::Mismatch }
            }
            Need::Issue { csr, .. } => Provision::Certificate(self.authority.issue(&csr, None)),
            Need::CaCertificates { single: true } => Provision::CaCertificates(self.authority.certificate.clone()),
            Need::CaCertificates { single: false } => {
                let chain = fdo_pki::pkcs7::build_certs_only(&[&self.authority.certificate]).unwrap();
                Provision::CaCertificates(chain)
            }
            Need::Renewal => Provision::Renewal(Box::new(RenewalSource {
                url: "https://owner.example:8045/.well-known/est".into(),
                renew_percent: 70,
                trust: vec![ByteString(self.authority.certificate.clone()); 2],
                idevid: Vec::new(),
            })),
            Need::CsrAttributes => {
                Provision::CsrAttributes(fdo_pki::CsrAttributes::wanting(&[KeyType::P384]).to_der().unwrap())
            }
            Need::GenerateKey { .. } if !self.makes_keys => Provision::Refused(CsrError::NotSupported),
            Need::GenerateKey { .. } => {
                let (key, certificate) = self.authority.fresh(KeyType::P384);
                let answer = ServerKey { pkcs8: key.to_pkcs8_der().unwrap(), certificate };
                Provision::KeyAndCertificate(answer.to_text())
            }
        }
    }

    /// Everything, until the owner is done; the owner's state is stored between any two messages.
    async fn run(&mut self, sizes: (u16, u16), plan: Vec<OwnerModule>) -> (OwnerConversation, Outcome) {
        let settings = self.config.agent_settings(Some(self.directory.path())).unwrap();
        let mut rng = Random::seeded(1).rng();
        let device_takes = negotiated_size(Some(sizes.0));
        let owner_takes = negotiated_size(Some(sizes.1));
        let ldevid = self.ldevid.clone();
        let situation =
            Situation { key_type: KeyType::P256, serial: "SN-1", ldevid, signature: OwnerSignature::default() };
        let modules = Modules::new(&settings.modules, situation, owner_takes);
        let devmod = Machine::here("model", "SN-1", &settings).devmod(&modules.names());
        let mut device = Conversation::new(&devmod, modules, owner_takes, settings.modules.turn_limits()).unwrap();
        device.patience = self.patience.unwrap_or(device.patience);
        let mut owner = OwnerConversation::new(Some(sizes.0), plan, TurnLimits::default());
        while !device.is_done() {
            let message = device.speak().await.unwrap();
            assert!(encode(&message).len() <= owner_takes);
            owner.receive(decode(&encode(&message)).unwrap()).unwrap();
            // Each round is a second.
            owner.tick(self.rounds as u64);
            while let Some(need) = owner.need() {
                let provision = self.answer(need);
                owner.answer(provision).unwrap();
            }
            let reply = owner.reply().unwrap();
            let length = encode(&reply).len();
            assert!(length <= device_takes);
            self.largest = self.largest.max(encode(&owner).len());
            owner = decode(&encode(&owner)).unwrap();
            device.hear(decode(&encode(&reply)).unwrap(), &mut rng, &mut |_| {}).unwrap();
            self.rounds += 1;
        }
        let outcome = device.into_modules().finish(0, "SN-1", "/state", false).unwrap();
        (owner, outcome)
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number % 253).unwrap()).collect()
}

fn download(name: &str, content: &[u8]) -> OwnerModule {
    OwnerModule::Download(OwnerDownload::new(name.into(), content.len() as u64, Sha384::digest(content).into()))
}

fn payload(name: &str, content: &[u8], require_ack: bool) -> OwnerModule {
    OwnerModule::Payload(Box::new(OwnerPayload::new(PayloadOptions {
        source: name.into(),
        mime_type: "Application/X-SH; charset=utf-8".into(),
        name: Some(name.into()),
        version: None,
        length: content.len() as u64,
        hash: ContentHash::of(content),
        estimated_duration: Some(5),
        require_ack,
    })))
}

#[tokio::test]
async fn files_go_both_ways_at_every_message_size() {
    for device_takes in SIZES.into_iter().chain([0]) {
        for (owner_takes, length) in [(256, 0), (1300, 1), (0, 1014), (16_384, 40_000), (65_535, 40_000)] {
            let mut meeting = Meeting::new();
            let file = content(length);
            meeting.offered = vec![("a/b".into(), file.clone()), ("stream".into(), file.clone())];
            let plan = vec![
                download("a/b", &file),
                OwnerModule::Download(OwnerDownload::stream("stream".into(), None)),
                OwnerModule::Upload(OwnerUpload::new("a/b".into(), 100_000, true)),
            ];
            let (owner, outcome) = meeting.run((device_takes, owner_takes), plan).await;
            let ends: Vec<_> = owner.modules().map(|module| module.outcome().copied()).collect();
            assert_eq!(ends, [Some(ModuleOutcome::Done); 3], "{device_takes} {owner_takes} {length}");
            assert!(
                fs::read(meeting.path("a/b")).unwrap() == file
                    && fs::read(meeting.path("stream")).unwrap() == file
            );
            assert!(meeting.uploaded == file);
            assert_eq!(meeting.finished, Some(length as u64));
            assert_eq!(
                (outcome.files, outcome.refused),
                (vec!["a/b".to_owned(), "stream".to_owned()], Vec::new())
            );
        }
    }
}

#[tokio::test]
async fn large_files_take_no_more_memory_than_small_ones() {
    let mut meeting = Meeting::new();
    let file = content(3 << 20);
    meeting.offered = vec![("large".into(), file.clone())];
    let plan =
        vec![download("large", &file), OwnerModule::Upload(OwnerUpload::new("large".into(), 3 << 20, true))];
    let (owner, _) = meeting.run((65_535, 65_535), plan).await;
    assert_eq!(owner.shortfalls().count(), 0);
    assert!(meeting.uploaded == file && fs::read(meeting.path("large")).unwrap() == file);
    assert!(meeting.largest < 300_000, "{}", meeting.largest);
}

#[tokio::test]
async fn files_that_a_device_does_not_give_or_an_owner_does_not_take_are_said_so() {
    let mut meeting = Meeting::new();
    fs::write(meeting.path("big"), content(5000)).unwrap();
    fs::create_dir(meeting.path("directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", meeting.path("link")).unwrap();
    let upload = |name: &str| OwnerModule::Upload(OwnerUpload::new(name.into(), 4999, true));
    let names = ["none", "../x", "/etc/passwd", "link", "directory", "", ".fdo-download.part", "big"];
    let (owner, outcome) = meeting.run((1300, 1300), names.map(upload).to_vec()).await;
    let ends: Vec<_> = owner.shortfalls().map(|(_, outcome)| outcome).collect();
    let mut expected = vec![ModuleOutcome::Failed(ModuleFailure::UploadDeclined); 7];
    expected.push(ModuleOutcome::Failed(ModuleFailure::UploadTooLarge));
    assert_eq!(ends, expected);
    assert_eq!((outcome.refused.len(), meeting.uploaded.len()), (8, 0));
}

#[tokio::test]
async fn payloads_become_files_or_are_applied_at_every_message_size() {
    for size in SIZES {
        for (require_ack, log) in [(true, true), (false, false)] {
            let mut meeting = Meeting::new();
            meeting.config.payload_types = vec!["application/x-sh".into()];
            let file = content(30_000);
            meeting.offered = vec![("p".into(), file.clone())];
            let (owner, outcome) = meeting.run((size, size), vec![payload("p", &file, require_ack)]).await;
            assert_eq!(owner.shortfalls().count(), 0, "{size}");
            assert!(fs::read(meeting.path("p")).unwrap() == file && outcome.files == ["p"]);

            meeting.config.payload_program = vec!["sh".into(), "-c".into(), "echo $0 $1; cat $2".into()];
            meeting.config.payload_log = log;
            meeting.offered = vec![("q".into(), b"hello".to_vec())];
            let (owner, _) = meeting.run((size, size), vec![payload("q", b"hello", require_ack)]).await;
            let module = owner.modules().next().unwrap();
            assert_eq!(module.outcome(), Some(&ModuleOutcome::Done));
            let OwnerModule::Payload(told) = module else { panic!() };
            let expected: &[u8] = if log { b"Application/X-SH; charset=utf-8 q\nhello" } else { b"" };
            assert_eq!(told.log(), expected);
            assert!(!meeting.path("q").exists());
            // Nothing of it is left.
            assert_eq!(fs::read_dir(meeting.directory.path()).unwrap().count(), 1);
        }
    }
}

#[tokio::test]
async fn a_payload_that_is_not_allowed_or_fails_is_told_why() {
    for (require_ack, expected) in [
        (true, ModuleFailure::PayloadRefused(1)),
        (false, ModuleFailure::Payload(fdo_protocol::service_info::payload::PayloadError::UnknownMimeType)),
    ] {
        let mut meeting = Meeting::new();
        meeting.config.payload_types = vec!["text/plain".into()];
        meeting.offered = vec![("p".into(), content(5000))];
        let (owner, outcome) = meeting.run((1300, 1300), vec![payload("p", &content(5000), require_ack)]).await;
        assert_eq!(owner.modules().next().unwrap().outcome(), Some(&ModuleOutcome::Failed(expected)));
        assert!(outcome.files.is_empty() && outcome.refused[0].contains("not allowed"));
    }
    let mut meeting = Meeting::new();
    meeting.config.payload_types = vec!["application/x-sh".into()];
    meeting.config.payload_program = vec!["false".into()];
    meeting.offered = vec![("p".into(), content(10))];
    let (owner, _) = meeting.run((1300, 1300), vec![payload("p", &content(10), true)]).await;
    assert_eq!(owner.modules().next().unwrap().remark(), Some("its program ended with code 1"));
    assert_eq!(owner.shortfalls().count(), 1);
    // Off unless types are named.
    let mut meeting = Meeting::new();
    let (owner, _) = meeting.run((1300, 1300), vec![payload("p", b"", true)]).await;
    assert_eq!(owner.modules().next().unwrap().outcome(), Some(&ModuleOutcome::NotOffered));
}

#[tokio::test]
async fn the_other_modules_end_well_together() {
    let mut meeting = Meeting::new();
    meeting.config.conformance_logger = Some("https://logger.example".into());
    let plan = vec![
        OwnerModule::Conformance(OwnerConformance::new(Token::new("token".into()).unwrap())),
        OwnerModule::Command(OwnerCommand::new("echo".into(), vec!["hi".into()], false, true)),
        OwnerModule::Wget(OwnerWget::new("http://127.0.0.1:1/x".into(), None, Some([0; 48]), None)),
    ];
    let (owner, outcome) = meeting.run((1300, 1300), plan).await;
    let ends: Vec<_> = owner.modules().map(|module| module.outcome().copied()).collect();
    let refused = ModuleOutcome::Failed(ModuleFailure::Wget);
    assert_eq!(ends, [Some(ModuleOutcome::Done), Some(ModuleOutcome::Done), Some(refused)]);
    assert_eq!(outcome.conformance.unwrap().expose(), "token");
    assert!(owner.modules().nth(2).unwrap().remark().unwrap().contains("127.0.0.1"));
}

#[tokio::test]
async fn an_owner_hears_a_device_that_works_for_long() {
    let command =
        || vec![OwnerModule::Command(OwnerCommand::new("sleep".into(), vec!["0.05".into()], false, false))];
    let (mut patient, mut restless) = (Meeting::new(), Meeting::new());
    restless.patience = Some(Duration::ZERO);
    for meeting in [&mut patient, &mut restless] {
        assert_eq!(meeting.run((1300, 1300), command()).await.0.shortfalls().count(), 0);
    }
    assert!(restless.rounds > patient.rounds, "{} {}", restless.rounds, patient.rounds);
}

#[tokio::test]
async fn a_command_that_runs_too_long_is_ended_by_its_owner() {
    let mut meeting = Meeting::new();
    meeting.patience = Some(Duration::from_millis(50));
    let arguments = vec!["-c".to_owned(), "sleep 30; touch late".to_owned()];
    let command = OwnerCommand::new("sh".into(), arguments, true, false).with_limit(Some(2));
    let (owner, _) = meeting.run((1300, 1300), vec![OwnerModule::Command(command)]).await;
    assert_eq!(owner.modules().next().unwrap().outcome(), Some(&ModuleOutcome::Done));
    assert!(!meeting.path("late").exists());
}

#[tokio::test]
async fn every_way_to_a_certificate_works_at_every_message_size() {
    for size in SIZES {
        for (server_key, makes_keys, renews) in
            [(false, false, false), (true, true, false), (true, false, false), (false, false, true)]
        {
            let mut meeting = Meeting::new();
            meeting.makes_keys = makes_keys;
            meeting.config.enrolment_server_key = server_key;
            meeting.config.enrolment_attributes = true;
            if renews {
                let (_, earlier) = meeting.authority.fresh(KeyType::P256);
                meeting.ldevid = Some(Certificate::parse(&earlier).unwrap());
            }
            let (owner, outcome) = meeting.run((size, size), vec![OwnerModule::Csr(OwnerCsr::new())]).await;
            assert_eq!(owner.shortfalls().count(), 0, "{size} {server_key} {makes_keys} {renews}");
            let ldevid = outcome.ldevid.unwrap().unwrap_or_else(|why| panic!("{why}"));
            let pem = String::from_utf8(ldevid.files[1].content.to_vec()).unwrap();
            let certificate = Certificate::parse(&fdo_pki::pem::decode_certificates(&pem).unwrap()[0]).unwrap();
            assert_eq!(certificate.public_key().unwrap().key_type(), KeyType::P384);
        }
    }
}

#[tokio::test]
async fn where_to_renew_arrives_whole_at_every_size_and_holds_nobody_up() {
    for size in SIZES {
        let mut meeting = Meeting::new();
        let plan = || vec![OwnerModule::Est(OwnerEst::new()), OwnerModule::Csr(OwnerCsr::new())];
        let (owner, outcome) = meeting.run((size, size), plan()).await;
        assert!(owner.shortfalls().next().is_none(), "{size}: {:?}", owner.shortfalls().collect::<Vec<_>>());
        let source = outcome.renewal.unwrap();
        assert_eq!(source.url, "https://owner.example:8045/.well-known/est");
        assert_eq!((source.renew_percent, source.trust.len()), (70, 2));
        assert_eq!(source.trust[0].0, meeting.authority.certificate);
        assert!(outcome.ldevid.unwrap().is_ok());
        let rounds = meeting.rounds;
        let mut without = Meeting::new();
        without.config.renewal = false;
        let (owner, outcome) = without.run((size, size), plan()).await;
        assert!(outcome.renewal.is_none());
        assert_eq!(owner.shortfalls().collect::<Vec<_>>(), [("firstlight.est", ModuleOutcome::NotOffered)]);
        if size >= 16_384 {
            assert_eq!(rounds, without.rounds, "it takes no message of its own");
        }
    }
}
