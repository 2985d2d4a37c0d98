//! One cell from birth to the compared files, and all cells a few at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cell::{By, COMMAND, Cell, Module};
use super::device::Device;
use super::files::Files;
use super::ours::Ours;
use super::peers::Peers;
use super::report::Outcome;
use super::theirs::Theirs;

/// All services of both sides.
pub struct World {
    directory: PathBuf,
    peers: Peers,
    files: Files,
    ours: Ours,
    theirs: Theirs,
}

impl World {
    pub async fn start(peers: Peers, directory: &Path) -> anyhow::Result<Self> {
        let files = Files::create(directory).await?;
        let rendezvous = Ours::start_rendezvous(directory).await?;
        let theirs = Theirs::start(&peers.services, directory, &rendezvous.0).await?;
        let ours = Ours::start(directory, rendezvous, &theirs, &files).await?;
        Ok(Self { directory: directory.to_owned(), peers, files, ours, theirs })
    }

    async fn run(&self, at: usize, cell: &Cell) -> anyhow::Result<()> {
        let serial = format!("INTEROP-{at:03}");
        let device = Device::new(cell, &self.peers, self.directory.join(&serial))?;
        let maker = usize::from(cell.rendezvous == By::Go);
        let maker_url = match cell.maker {
            By::Us => &self.ours.makers[maker].url,
            By::Go => &self.theirs.makers[maker],
        };
        let guid = device.born(maker_url, &serial).await.context("DI")?;
        std::fs::write(device.files().join("report.bin"), self.files.content())?;
        self.sell(cell, maker, &serial, &guid).await.context("voucher")?;
        self.register(cell, &guid).await.context("TO0")?;
        device.onboard().await.context("TO1 and TO2")?;
        self.check(cell, &device, &guid).await.context("after TO2")
    }

    /// The voucher's way from maker to owner.
    async fn sell(&self, cell: &Cell, maker: usize, serial: &str, guid: &str) -> anyhow::Result<()> {
        match (cell.maker, cell.owner) {
            (By::Us, By::Us) => self.ours.claim(maker, serial).await,
            (By::Us, By::Go) if cell.resold => {
                self.ours.claim(maker, serial).await?;
                let voucher = self.ours.resell(guid, self.theirs.owner_key(cell.key)?).await?;
                self.theirs.import(voucher).await
            }
            (By::Us, By::Go) => {
                let voucher = self.ours.extend(maker, guid, self.theirs.owner_key(cell.key)?).await?;
                self.theirs.import(voucher).await
            }
            (By::Go, owner) => {
                let key = match owner {
                    By::Us => self.ours.owner_key(cell.key)?,
                    By::Go => self.theirs.owner_key(cell.key)?,
                };
                let voucher = self.theirs.extend(&self.theirs.makers[maker], guid, key).await?;
                match owner {
                    By::Us => self.ours.import(voucher).await,
                    By::Go => self.theirs.import(voucher).await,
                }
            }
        }
    }

    async fn register(&self, cell: &Cell, guid: &str) -> anyhow::Result<()> {
        let rendezvous = match cell.rendezvous {
            By::Us => &self.ours.rendezvous,
            By::Go => &self.theirs.rendezvous,
        };
        match cell.owner {
            // It finds the rendezvous in the voucher.
            By::Us => {
                self.ours.plan(guid, &cell.modules, &self.files.url).await?;
                self.ours.registered(guid).await
            }
            By::Go => {
                let steps: Vec<Value> = cell.modules.iter().map(|module| self.step(*module)).collect();
                self.theirs.plan(guid, &steps).await?;
                self.theirs.register(guid, rendezvous).await
            }
        }
    }

    /// A module as go-fdo's owner is told of it.
    fn step(&self, module: Module) -> Value {
        let name = module.name();
        match module {
            Module::Download => json!({ "module": name, "name": "received.bin", "file": self.files.sent }),
            Module::Upload => json!({ "module": name, "name": "report.bin" }),
            Module::Wget => {
                json!({ "module": name, "name": "fetched.bin", "url": self.files.url, "file": self.files.sent })
            }
            Module::Command => json!({ "module": name, "command": "sh", "args": ["-c", COMMAND] }),
        }
    }

    /// The owner says that it has the device, and what travelled has arrived byte for byte.
    async fn check(&self, cell: &Cell, device: &Device<'_>, guid: &str) -> anyhow::Result<()> {
        let outcome = match cell.owner {
            By::Us => {
                self.ours.onboarded(guid).await?;
                Value::Null
            }
            By::Go => self.theirs.outcome(guid).await?,
        };
        if cell.owner == By::Go && (outcome["done"] != true || !outcome["skipped"].is_null()) {
            bail!("go-fdo's owner says {outcome}");
        }
        for module in &cell.modules {
            match module {
                Module::Download => self.files.compare(&device.files().join("received.bin"))?,
                Module::Wget => self.files.compare(&device.files().join("fetched.bin"))?,
                Module::Upload if cell.owner == By::Us => {
                    self.files.compare_bytes(&self.ours.uploaded(guid).await?).context("our owner's upload")?;
                }
                Module::Upload => self.files.compare(&self.theirs.uploaded(guid, "report.bin"))?,
                Module::Command => {
                    let ran = std::fs::read_to_string(device.files().join("ran")).context("no command ran")?;
                    let said = outcome["output"].as_str().is_none_or(|output| output.contains("said"));
                    if ran != "done\n" || !said {
                        bail!("the command left {ran:?}, and its owner heard {outcome}");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Runs all cells, so many at a time, and tells of each.
pub async fn run(world: World, cells: &[Cell], at_a_time: usize, tell: impl Fn(&Cell, &Outcome)) -> Vec<Outcome> {
    let (world, permits) = (Arc::new(world), Arc::new(Semaphore::new(at_a_time.max(1))));
    let mut running = JoinSet::new();
    for (at, cell) in cells.iter().cloned().enumerate() {
        let (world, permits) = (world.clone(), permits.clone());
        running.spawn(async move {
            let _permit = permits.acquire().await;
            let outcome = match world.run(at, &cell).await {
                Ok(()) => Outcome::Green,
                Err(error) => Outcome::Red(format!("{error:#}")),
            };
            (at, outcome)
        });
    }
    let mut outcomes = vec![Outcome::Red("it did not run".to_owned()); cells.len()];
    while let Some(ended) = running.join_next().await {
        // A panic within a cell leaves it red.
        if let Ok((at, outcome)) = ended {
            tell(&cells[at], &outcome);
            outcomes[at] = outcome;
        }
    }
    outcomes
}
