//! Steps by which files come from devices, are fetched by them, or are applied: fdo.upload, fdo.wget, fdo.payload; and the
//! token of the FIDO Alliance.

use fdo_owner::onboarding::Outcome;
use fdo_owner::plans::{ConformanceStep, PayloadStep, Secret, Step, UploadStep, WgetStep};
use fdo_owner::uploads::{self, Upload};
use fdo_protocol::service_info::{conformance, csr, payload, upload, wget};
use sha2::{Digest, Sha384};

use crate::device::{Manner, Talk, onboard};
use crate::plans::{add, dry_run, set};
use crate::world::{Born, World};

fn manner(world: &World, content: &[u8]) -> Manner {
    let all = ["devmod", csr::MODULE, upload::MODULE, wget::MODULE, payload::MODULE, conformance::MODULE];
    let upload = Some((content.to_vec(), Sha384::digest(content).into()));
    Manner { modules: all.map(str::to_owned).to_vec(), upload, ..Manner::new(world) }
}

fn log_file(limit: Option<u64>, required: bool) -> Step {
    Step::Upload(UploadStep { name: "/var/log/boot.log".into(), limit, need_sha: true, required })
}

async fn uploads_of(world: &World, born: &Born) -> Vec<Upload> {
    let id = world.known(&born.guid()).await.id;
    uploads::list(&world.app.db, Some(&id), None, 100).await.unwrap()
}

fn content_of(world: &World, upload: &Upload) -> Vec<u8> {
    std::fs::read(world.app.uploads.path(&upload.device_id, &upload.id).unwrap()).unwrap()
}

/// Files below the folder of uploads, finished or not.
fn stored(world: &World) -> usize {
    let folder = world.app.settings.uploads.folder(&world.app.data_dir);
    std::fs::read_dir(folder)
        .unwrap()
        .map(|device| std::fs::read_dir(device.unwrap().path()).unwrap().count())
        .sum()
}

#[tokio::test]
async fn a_file_of_a_device_arrives_whole_whatever_its_size_and_never_over_another() {
    for world in World::all().await {
        set(&world, "all", vec![log_file(None, true)]).await;
        let mut born = world.device().await;
        for length in [200_000, 1, 1014, 0] {
            let content: Vec<u8> = (0..length).map(|index: u32| index.to_le_bytes()[1]).collect();
            let (next, _) = onboard(&world, &born, &manner(&world, &content)).await.unwrap();
            let newest = uploads_of(&world, &next).await.remove(0);
            assert_eq!((newest.name.as_str(), newest.guid), ("/var/log/boot.log", born.guid()));
            assert_eq!(newest.sha384.as_slice(), Sha384::digest(&content).as_slice());
            assert_eq!(content_of(&world, &newest), content);
            let run = &world.runs(&next.guid()).await[0];
            assert_eq!(run.facts.provisioned[0].outcome.as_deref(), Some("done"));
            if length > 0 {
                assert_eq!((run.transfers[0].done, run.transfers[0].total), (length.into(), Some(length.into())));
            }
            assert!(run.id == newest.onboarding);
            born = next;
            world.clock.advance(1);
        }
        assert_eq!((uploads_of(&world, &born).await.len(), stored(&world)), (4, 4));
    }
}

#[tokio::test]
async fn what_is_too_large_or_not_as_announced_leaves_nothing_behind() {
    let world = World::new().await;
    let born = world.device().await;
    let honest = manner(&world, &[7; 50_000]);
    let liar = Manner { upload: Some((vec![7; 50_000], [1; 48])), ..honest.clone() };
    let unwilling = Manner { upload: None, ..honest.clone() };
    for (manner, limit, reason) in [
        (&honest, Some(49_999), "larger than"),
        (&liar, None, "length or the hash"),
        (&unwilling, None, "does not give"),
    ] {
        set(&world, "all", vec![log_file(limit, true)]).await;
        assert_eq!(onboard(&world, &born, manner).await.err(), Some(101));
        let told = world.runs(&born.guid()).await.remove(0).reason.unwrap();
        assert!(told.contains("fdo.upload is required") && told.contains(reason), "{told}");
        assert_eq!(stored(&world), 0, "{told}");
        world.clock.advance(1);
    }
    set(&world, "all", vec![log_file(None, false)]).await;
    let (next, _) = onboard(&world, &born, &liar).await.unwrap();
    assert!(uploads_of(&world, &next).await.is_empty());
    assert_eq!(stored(&world), 0);
}

#[tokio::test]
async fn a_device_that_breaks_off_leaves_nothing_and_one_beyond_its_share_is_refused() {
    let mut config = crate::world::config();
    config.uploads.device_bytes = 60_000;
    let world = World::with(config).await;
    set(&world, "all", vec![log_file(None, true)]).await;
    let born = world.device().await;
    let manner = manner(&world, &[7; 50_000]);
    let mut talk = Talk::before(&world, &born, &manner, 68).await;
    while stored(&world) == 0 {
        talk.step().await.unwrap();
    }
    assert_eq!(talk.send(70, Vec::new()).await, Err(101), "out of order");
    assert_eq!(stored(&world), 0);
    let (next, _) = onboard(&world, &born, &manner).await.unwrap();
    assert_eq!(onboard(&world, &next, &manner).await.err(), Some(101), "its share is full");
    let reason = world.runs(&next.guid()).await.remove(0).reason.unwrap();
    assert!(reason.contains("fdo.upload is required"), "{reason}");
    assert_eq!(stored(&world), 1);
}

#[tokio::test]
async fn a_repeated_part_is_stored_once() {
    let world = World::new().await;
    set(&world, "all", vec![log_file(None, true)]).await;
    let born = world.device().await;
    let content: Vec<u8> = (0..100_000_u32).map(|index| index.to_le_bytes()[1]).collect();
    let mut talk = Talk::before(&world, &born, &manner(&world, &content), 68).await;
    loop {
        let again = talk.next.clone();
        let more = talk.step().await.unwrap();
        let reply = talk.last_reply.clone();
        assert_eq!(talk.send(again.message_type.number(), again.body).await, Ok(reply));
        if !more {
            break;
        }
    }
    let upload = uploads_of(&world, &born).await.remove(0);
    assert_eq!(content_of(&world, &upload), content);
}

#[tokio::test]
async fn a_fetch_a_payload_and_a_token_are_steps_like_others() {
    let world = World::new().await;
    add(&world, "setup", &[7; 30_000]).await;
    let steps = vec![
        Step::Wget(WgetStep {
            url: "https://me:secret@files.example/fw.bin?key=secret".into(),
            name: Some("fw.bin".into()),
            sha384: Some("ab".repeat(48)),
            length: Some(5),
            required: true,
        }),
        Step::Payload(PayloadStep {
            file: "setup".into(),
            mime: "application/x-sh".into(),
            name: None,
            version: None,
            seconds: None,
            ack: true,
            required: true,
        }),
        Step::Conformance(ConformanceStep { token: Some(Secret::new("tok-secret-1")), required: true }),
    ];
    set(&world, "all", steps).await;
    // Written again as it is shown, without the token, it keeps it.
    let shown = fdo_owner::plans::find(&world.app.db, &world.app.sealing, "all").await.unwrap().unwrap();
    set(&world, "all", shown.steps.into_iter().map(Step::without_secrets).collect()).await;
    let born = world.device().await;
    let preview = serde_json::to_string(&dry_run(&world, &born).await).unwrap();
    assert!(!preview.contains("secret") && preview.contains("files.example/fw.bin"), "{preview}");

    let (next, received) = onboard(&world, &born, &manner(&world, b"")).await.unwrap();
    assert_eq!(received.urls, ["https://me:secret@files.example/fw.bin?key=secret"]);
    assert_eq!(received.payloads, [("application/x-sh".to_owned(), vec![7; 30_000])]);
    assert_eq!(received.tokens, ["tok-secret-1"]);
    let run = &world.runs(&next.guid()).await[0];
    assert_eq!(run.outcome, Some(Outcome::OnboardedWithoutCertificate));
    let facts = serde_json::to_string(&run.facts).unwrap();
    assert!(!facts.contains("secret"), "{facts}");
    assert_eq!(run.facts.provisioned[1].remark.as_deref(), Some("applied\\u{7}"), "escaped");
    assert_eq!(run.transfers[0].done, 30_000);
}
