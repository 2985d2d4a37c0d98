//! Plans in a TO2: each kind of step, what is chosen for whom, and what the dry run says of it beforehand.

use fdo_owner::config::DownloadSetting;
use fdo_owner::files;
use fdo_owner::onboarding::Outcome;
use fdo_owner::plans::{self, CommandStep, CsrStep, DownloadStep, Plan, PlanScope, Step, WifiLayout, WifiStep};
use fdo_owner::serviceinfo::{self, Preview};
use fdo_protocol::service_info::{command, csr, download, wifi};

use crate::device::{Manner, Talk, onboard};
use crate::world::{Born, SERIAL, World, config};

fn manner(world: &World) -> Manner {
    let all = ["devmod", wifi::MODULE, csr::MODULE, download::MODULE, command::MODULE];
    Manner { modules: all.map(str::to_owned).to_vec(), ..Manner::new(world) }
}

pub async fn add(world: &World, name: &str, content: &[u8]) {
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(content.to_vec())]);
    files::add(&world.app, "test", name, None, body).await.unwrap();
}

pub async fn set(world: &World, scope: &str, steps: Vec<Step>) {
    let scope = PlanScope::parse(scope).unwrap();
    let mut plan = Plan { scope, description: None, steps, created: 0, updated: 0 };
    plans::put(&world.app, "test", &mut plan).await.unwrap();
}

pub async fn dry_run(world: &World, born: &Born) -> Preview {
    let subject = serviceinfo::subject(&world.app, &world.known(&born.guid()).await).await.unwrap();
    serviceinfo::preview(&world.app, &subject, None).await.unwrap()
}

fn file(name: &str, target: &str, required: bool) -> Step {
    Step::Download(DownloadStep { file: name.into(), name: target.into(), required, path: None })
}

fn run(program: &str, required: bool) -> Step {
    let args = vec!["-v".to_owned()];
    Step::Command(CommandStep {
        command: program.into(),
        args,
        required,
        may_fail: None,
        output: true,
        timeout: None,
    })
}

fn csr_step() -> Step {
    Step::Csr(CsrStep::default())
}

#[tokio::test]
async fn a_device_gets_the_steps_of_its_plan_in_their_order() {
    for world in World::all().await {
        world.open_network("plant").await;
        add(&world, "fw", &[7; 100_000]).await;
        add(&world, "empty", b"").await;
        let steps = vec![
            file("fw", "firmware.bin", true),
            run("install", true),
            Step::Wifi(WifiStep { required: true, layout: WifiLayout::Schema, ..WifiStep::default() }),
            file("empty", "empty.txt", true),
            csr_step(),
        ];
        set(&world, "model:gateway", steps).await;
        for size in [Some(256), None, Some(65_535)] {
            let born = world.device().await;
            let before = dry_run(&world, &born).await;
            assert_eq!(before.plan, "model:gateway");
            assert!(before.steps.iter().all(|step| step.sent && step.note.is_none()));
            let manner = Manner { size, ..manner(&world) };
            let (next, received) = onboard(&world, &born, &manner).await.unwrap();
            assert_eq!(received.files[0], ("firmware.bin".to_owned(), vec![7; 100_000]));
            assert_eq!(received.files[1], ("empty.txt".to_owned(), vec![]));
            assert_eq!(received.commands, [("install".to_owned(), vec!["-v".to_owned()])]);
            assert_eq!((received.networks.len(), received.certificates.len()), (1, 1));

            let run = &world.runs(&next.guid()).await[0];
            assert_eq!(run.outcome, Some(Outcome::Onboarded), "{:?}", run.reason);
            assert_eq!(run.facts.plan.as_deref(), Some("model:gateway"));
            let given: Vec<_> = run.facts.provisioned.iter().map(|module| module.name.as_str()).collect();
            let planned: Vec<_> = before.steps.iter().map(|step| step.module.as_str()).collect();
            assert_eq!(given, planned, "the dry run says what comes");
            assert_eq!(run.facts.provisioned[1].stdout.as_deref(), Some("it ran\\u{1b}[31m\n"), "escaped");
            assert_eq!((run.transfers[0].done, run.transfers[0].total), (100_000, Some(100_000)));
        }
    }
}

#[tokio::test]
async fn the_narrowest_plan_is_followed_and_no_other() {
    let world = World::new().await;
    world.open_network("plant").await;
    set(&world, "all", vec![csr_step(), run("everybody", true)]).await;
    set(&world, "model:gateway", vec![csr_step(), run("model", true)]).await;
    let born = world.device().await;
    let (next, received) = onboard(&world, &born, &manner(&world)).await.unwrap();
    assert_eq!((received.commands[0].0.as_str(), received.commands.len()), ("model", 1));
    assert!(received.networks.is_empty(), "the plan has no networks");
    // The plan by its serial counts for its next TO2, and names an earlier GUID as well as the present one.
    set(&world, &format!("device:{SERIAL}"), vec![run("device", true)]).await;
    let preview = dry_run(&world, &next).await;
    assert_eq!((preview.plan.as_str(), preview.outranked.len()), ("device:SN-0001", 2));
    let (last, received) = onboard(&world, &next, &manner(&world)).await.unwrap();
    assert_eq!(received.commands[0].0, "device");
    let known = &world.runs(&last.guid()).await[0];
    assert_eq!(known.outcome, Some(Outcome::OnboardedWithoutCertificate));
    assert!(known.reason.as_deref().unwrap().contains("no certificate"), "{:?}", known.reason);
    plans::delete(&world.app, "test", &PlanScope::parse("device:SN-0001").unwrap()).await.unwrap();
    set(&world, &format!("device:{}", born.guid()), vec![run("guid", true)]).await;
    assert_eq!(dry_run(&world, &last).await.plan, format!("device:{}", born.guid()));
}

#[tokio::test]
async fn networks_are_switched_off_for_one_device_and_named_for_another() {
    let world = World::new().await;
    world.open_network("plant").await;
    world.open_network("office").await;
    let born = world.device().await;
    let wifi =
        |enabled, networks| Step::Wifi(WifiStep { enabled, networks, required: true, ..WifiStep::default() });
    set(&world, &format!("device:{SERIAL}"), vec![wifi(false, None)]).await;
    let step = &dry_run(&world, &born).await.steps[0];
    assert!(!step.sent && step.note.as_deref().unwrap().contains("switches networks off"));
    let (next, received) = onboard(&world, &born, &manner(&world)).await.unwrap();
    assert!(received.networks.is_empty());
    set(&world, &format!("device:{SERIAL}"), vec![wifi(true, Some(vec!["office".into()]))]).await;
    let (_, received) = onboard(&world, &next, &manner(&world)).await.unwrap();
    assert_eq!(received.networks, ["office"]);
}

#[tokio::test]
async fn what_is_required_and_fails_ends_the_onboarding_with_the_reason() {
    let world = World::new().await;
    let born = world.device().await;
    set(&world, "all", vec![run("breaks", false), run("must not break", true)]).await;
    let failing = Manner { exit_code: 3, ..manner(&world) };
    assert_eq!(onboard(&world, &born, &failing).await.err(), Some(101));
    let run_before = world.runs(&born.guid()).await.remove(0);
    let reason = run_before.reason.unwrap();
    assert!(reason.contains("fdo.command is required: the command ended with code 3"), "{reason}");

    add(&world, "fw", b"firmware").await;
    set(&world, "all", vec![file("fw", "fw", true), csr_step()]).await;
    let content = files::find(&world.app.db, "fw").await.unwrap().unwrap().content;
    std::fs::remove_file(world.app.folder.path(&content)).unwrap();
    let step = &dry_run(&world, &born).await.steps[0];
    assert!(step.note.as_deref().unwrap().contains("it would fail: the file fw cannot be read here"), "{step:?}");
    assert_eq!(onboard(&world, &born, &manner(&world)).await.err(), Some(101));
    let reason = world.runs(&born.guid()).await.remove(0).reason.unwrap();
    assert!(reason.contains("fdo.download is required: the owner cannot read the file"), "{reason}");
}

#[tokio::test]
async fn without_a_plan_the_configuration_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("motd");
    std::fs::write(&path, b"welcome").unwrap();
    let mut config = config();
    config.downloads.push(DownloadSetting { name: "motd".into(), file: path, required: true });
    let world = World::with(config).await;
    let born = world.device().await;
    assert_eq!(dry_run(&world, &born).await.plan, "configuration");
    let (next, received) = onboard(&world, &born, &manner(&world)).await.unwrap();
    assert_eq!(received.files, [("motd".to_owned(), b"welcome".to_vec())]);
    assert_eq!(received.certificates.len(), 1);
    set(&world, "all", vec![csr_step()]).await;
    let (_, received) = onboard(&world, &next, &manner(&world)).await.unwrap();
    assert!(received.files.is_empty(), "a plan takes the place of the configuration as a whole");
}

#[tokio::test]
async fn the_dry_run_knows_what_the_device_listed_last() {
    let world = World::new().await;
    set(&world, "all", vec![csr_step(), run("x", true), run("y", false)]).await;
    let born = world.device().await;
    let known = world.known(&born.guid()).await;
    let subject = serviceinfo::subject(&world.app, &known).await.unwrap();
    let listed = ["devmod".to_owned(), csr::MODULE.to_owned()];
    let preview = serviceinfo::preview(&world.app, &subject, Some(&listed)).await.unwrap();
    let notes: Vec<_> = preview.steps.iter().map(|step| step.note.clone().unwrap_or_default()).collect();
    assert_eq!(notes[0], "");
    assert!(notes[1].contains("would fail") && notes[2].contains("would go on without"), "{notes:?}");
}

#[tokio::test]
async fn how_far_a_file_has_come_is_seen_while_it_goes() {
    let world = World::new().await;
    add(&world, "fw", &[7; 200_000]).await;
    set(&world, "all", vec![file("fw", "fw", true)]).await;
    let born = world.device().await;
    let mut talk = Talk::before(&world, &born, &manner(&world), 68).await;
    let mut seen = Vec::new();
    while talk.step().await.unwrap() {
        world.clock.advance(6);
        fdo_owner::onboarding::flush_progress(&world.app).await.unwrap();
        let run = world.runs(&born.guid()).await.remove(0);
        if let (Some(transfer), None) = (run.transfers.first(), run.finished) {
            seen.push(transfer.done);
            assert_eq!((transfer.total, transfer.module.as_str()), (Some(200_000), download::MODULE));
            let shown = world.known(&born.guid()).await.progress.unwrap();
            assert!(transfer.is_whole() || shown.contains("of 200000 bytes"), "{shown}");
        }
    }
    assert!(seen.len() > 5 && seen.is_sorted() && seen[0] < 200_000, "{seen:?}");
    assert_eq!(world.runs(&born.guid()).await[0].transfers[0].done, 200_000);
}
