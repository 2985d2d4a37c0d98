//! Plans on both databases: the narrowest counts, steps are checked and sealed, and files and plans keep together.
#![allow(clippy::unwrap_used)]

use fdo_protocol::Guid;
use fdo_service::database::ConnectionTrait;
use futures_util::stream;

use super::*;
use crate::fixtures::Owner;

fn download(file: &str, name: &str) -> Step {
    Step::Download(DownloadStep { file: file.into(), name: name.into(), required: false, path: None })
}

fn command(program: &str, args: &[&str]) -> Step {
    Step::Command(CommandStep {
        command: program.into(),
        args: args.iter().map(|argument| (*argument).to_owned()).collect(),
        required: true,
        may_fail: None,
        output: false,
        timeout: None,
    })
}

fn plan(scope: &str, steps: Vec<Step>) -> Plan {
    Plan { scope: PlanScope::parse(scope).unwrap(), description: None, steps, created: 0, updated: 0 }
}

async fn set(app: &App, scope: &str, steps: Vec<Step>) -> Result<bool, Error> {
    put(app, "me", &mut plan(scope, steps)).await
}

fn subject() -> Subject {
    Subject {
        id: Some("ab12".into()),
        serial: Some("SN-1".into()),
        guids: vec![Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16])],
        model: Some("camera".into()),
    }
}

#[tokio::test]
async fn the_narrowest_plan_counts_and_the_next_one_follows_when_it_goes() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        let chosen = async || for_device(&app.db, &app.sealing, &subject()).await.unwrap();
        assert!(chosen().await.is_none());
        let earlier = format!("device:{}", Guid::from_bytes([2; 16]).to_string().to_uppercase());
        let order = ["device:SN-1", &earlier, "device:ab12", "model:camera", "all"];
        for scope in order.iter().rev().chain(&["device:SN-2", "model:lock"]) {
            assert!(set(app, scope, vec![command(scope, &[])]).await.unwrap(), "{scope}");
        }
        for (index, scope) in order.iter().enumerate() {
            let chosen = chosen().await.unwrap();
            assert_eq!(chosen.plan.scope, PlanScope::parse(scope).unwrap(), "{}", owner.database.name());
            assert_eq!(chosen.outranked.len(), order.len() - 1 - index);
            assert!(chosen.plan.steps == [command(scope, &[])], "never merged");
            delete(app, "me", &chosen.plan.scope).await.unwrap();
        }
        assert!(chosen().await.is_none());
        assert!(matches!(delete(app, "me", &PlanScope::ALL).await, Err(Error::NotFound(_))));
        assert_eq!(list(&app.db, &app.sealing, None, 10).await.unwrap().len(), 2);
        assert_eq!((owner.audited("plan.set").await, owner.audited("plan.delete").await), (7, 5));
    }
}

#[tokio::test]
async fn steps_are_sealed_and_bound_to_their_plan() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        set(app, "all", vec![command("login", &["--password", "xyzzy-42"])]).await.unwrap();
        set(app, "model:camera", vec![command("true", &[])]).await.unwrap();
        let row = crate::plans::store::sealed_of(&app.db, "all").await.unwrap();
        assert!(!row.windows(8).any(|part| part == b"xyzzy-42"));
        let swap = "UPDATE plan SET steps = (SELECT steps FROM plan WHERE id = 'all') WHERE id = 'model:camera'";
        app.db.execute_unprepared(swap).await.unwrap();
        assert!(find(&app.db, &app.sealing, "all").await.unwrap().is_some());
        assert!(matches!(find(&app.db, &app.sealing, "model:camera").await, Err(Error::Sealed(_))));
    }
}

#[tokio::test]
async fn what_does_not_hold_is_refused_by_step_and_field_and_changes_nothing() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        set(app, "all", vec![command("before", &[])]).await.unwrap();
        let wifi = |networks: Option<Vec<String>>| Step::Wifi(WifiStep { networks, ..WifiStep::default() });
        let hasty = match command("a", &[]) {
            Step::Command(step) => Step::Command(CommandStep { timeout: Some(0), ..step }),
            other => other,
        };
        let refusals = [
            (vec![command("", &[])], "step 1 (fdo.command): command"),
            (vec![command("a", &["x\0"])], "step 1 (fdo.command): args"),
            (vec![hasty], "step 1 (fdo.command): timeout"),
            (vec![command("a", &vec!["x"; 256])], "at most 255 arguments"),
            (vec![command("ok", &[]), download("../etc", "a")], "step 2 (fdo.download): file"),
            (vec![download("none", "a")], "there is no file none; add it with `fdo-owner file add none PATH`"),
            (vec![download("a", "../a")], "step 1 (fdo.download): name"),
            (vec![download("a", "x"), download("b", "x")], "step 2 (fdo.download): name"),
            (vec![wifi(None), wifi(None)], "step 2 (fdo.wifi): module: an earlier step"),
            (vec![wifi(Some(vec![]))], "step 1 (fdo.wifi): networks"),
            (vec![wifi(Some(vec!["none".into()]))], "there is no network none"),
            (vec![command("a", &[]); 101], "at most 100 steps"),
        ];
        for (steps, expected) in refusals {
            let error = set(app, "all", steps).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}: {expected}");
        }
        let kept = find(&app.db, &app.sealing, "all").await.unwrap().unwrap();
        assert!(kept.steps == [command("before", &[])]);
        assert_eq!(owner.audited("plan.set").await, 1);
    }
}

#[tokio::test]
async fn a_file_that_a_plan_names_stays() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        let body = stream::iter([Ok::<_, std::io::Error>(b"x".to_vec())]);
        files::add(app, "me", "fw", None, body).await.unwrap();
        assert!(set(app, "model:camera", vec![download("fw", "firmware.bin")]).await.unwrap());
        assert!(!set(app, "model:camera", vec![download("fw", "fw.bin")]).await.unwrap(), "in its place");
        let error = remove_file(app, "me", "fw").await.unwrap_err();
        assert!(matches!(error, Error::FileInUse(..)), "{error}");
        delete(app, "me", &PlanScope::parse("model:camera").unwrap()).await.unwrap();
        remove_file(app, "me", "fw").await.unwrap();
        assert!(matches!(remove_file(app, "me", "fw").await, Err(Error::File(files::Error::NotFound(_)))));
    }
}

#[test]
fn the_examples_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/plans");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let gateway: routes::PlanFile = toml::from_str(&read("gateway.toml")).unwrap();
    let device: routes::PlanFile = serde_json::from_str(&read("one-device.json")).unwrap();
    for (file, id) in [(&gateway, "model:demo-gateway"), (&device, "device:FL-0001")] {
        assert_eq!(file.scope().unwrap().to_string(), id);
        check::check(&file.steps).unwrap();
    }
    // What is written comes back the same in either form.
    let again: routes::PlanFile = toml::from_str(&toml::to_string(&gateway).unwrap()).unwrap();
    assert!(again.steps == gateway.steps);
    let again: routes::PlanFile = serde_json::from_value(serde_json::to_value(&gateway).unwrap()).unwrap();
    assert!(again.steps == gateway.steps);
}

#[test]
fn scopes_are_read_as_they_are_written() {
    for id in ["all", "model:a:b", "device:SN-1"] {
        assert_eq!(PlanScope::parse(id).unwrap().to_string(), id);
    }
    let guid = Guid::from_bytes([0xab; 16]).to_string();
    let device = PlanScope::parse(&format!("device:{}", guid.to_uppercase())).unwrap();
    assert_eq!(device.to_string(), format!("device:{guid}"));
    for wrong in
        ["", "every", "all:x", "model", "model:", "device:", "device:a\nb", &format!("model:{}", "x".repeat(256))]
    {
        assert!(PlanScope::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn unknown_modules_and_parameters_are_named() {
    let read = |json: &str| serde_json::from_str::<Step>(json).map_err(|error| error.to_string());
    assert!(read(r#"{"module": "fdo.csr"}"#).is_ok());
    assert!(read(r#"{"module": "fdo.nothing"}"#).err().unwrap().contains("fdo.nothing"));
    assert!(read(r#"{"module": "fdo.csr", "requird": true}"#).err().unwrap().contains("requird"));
    assert!(read(r#"{"module": "fdo.download", "name": "x"}"#).err().unwrap().contains("file"));
    assert!(read(r#"{"module": "fdo.wifi", "layout": "java"}"#).err().unwrap().contains("java"));
}
