//! One cell from birth to the compared files, and all cells a few at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cell::{By, Cell, Key, Module, Place, device_of_ours};
use super::device::Device;
use super::files::Files;
use super::guide;
use super::library::Library;
use super::management;
use super::ours::Ours;
use super::peers::Peers;
use super::report::Outcome;
use super::theirs::Theirs;

/// All services of all sides.
pub struct World {
    directory: PathBuf,
    peers: Peers,
    files: Files,
    ours: Ours,
    theirs: Theirs,
    library: Library,
}

impl World {
    pub async fn start(peers: Peers, directory: &Path) -> anyhow::Result<Self> {
        let files = Files::create(directory).await?;
        let rendezvous = Ours::start_rendezvous(directory).await?;
        let mut theirs = Theirs::start(&peers.server, directory, &files).await?;
        let ours = Ours::start(directory, rendezvous, &theirs, &files).await?;
        theirs.start_makers(&ours.rendezvous, |key| ours.owner_certificate(key, directory)).await?;
        // Without them it registers nobody.
        let their_ca = std::fs::read_to_string(&theirs.device_ca.certificate)?;
        theirs.trust(&(their_ca + &ours.device_cas(By::Go as usize).await?)).await?;
        let library = Library::start(&peers.services, directory).await?;
        Ok(Self { directory: directory.to_owned(), peers, files, ours, theirs, library })
    }

    async fn run(&self, at: usize, cell: &Cell, permits: &Semaphore) -> anyhow::Result<()> {
        let permit = permits.acquire().await?;
        let serial = format!("INTEROP-{at:03}");
        let device = Device::new(cell, &self.peers, self.directory.join(&serial))?;
        let maker = usize::from(cell.rendezvous == By::Go);
        let maker_url = match cell.maker {
            By::Us => &self.ours.makers[maker].url,
            By::Go => self.theirs.maker_url(cell)?,
            By::Library => &self.library.maker,
        };
        let guid = device.born(maker_url, &serial).await.context("DI")?;
        std::fs::write(device.files().join("report.bin"), self.files.content())?;
        self.sell(cell, maker, &serial, &guid).await.context("voucher")?;
        match cell.owner {
            By::Us => {
                // It finds the rendezvous in the voucher.
                self.ours.plan(&guid, &cell.modules, &self.files.url).await?;
                self.ours.registered(&guid).await.context("TO0")?;
                device.onboard().await.context("TO1 and TO2")?;
            }
            By::Library => {
                self.library.plan(&guid, &self.files.sent, "received.bin").await?;
                self.library.register(&guid).await.context("TO0")?;
                device.onboard().await.context("TO1 and TO2")?;
            }
            By::Go => {
                // It takes its time, in which others can go on.
                drop(permit);
                self.theirs.registered(cell, &guid).await.context("TO0")?;
                let _turn = self.theirs.turn(cell).await?;
                let _permit = permits.acquire().await?;
                device.onboard().await.context("TO1 and TO2")?;
            }
        }
        self.check(cell, &device, &guid).await.context("after TO2")
    }

    /// With which keys go-fdo-server's owner starts: the reason why tables have no cell for the others.
    pub async fn owner_keys(&self) -> Vec<(Place, Outcome)> {
        let mut seen = Vec::new();
        for key in Key::ALL {
            let place = Place::new("go-fdo-server's owner with a key of", "it starts", key.name());
            seen.push((place, Outcome::of(self.theirs.owner_starts(key).await)));
        }
        seen
    }

    /// The management API of go-fdo-server and ours.
    pub async fn management(&self) -> Vec<(Place, Outcome)> {
        let cell = device_of_ours();
        let compared = management::compare(&self.peers, &self.directory, &cell).await;
        compared.unwrap_or_else(|error| vec![(cell.place, Outcome::Red(format!("{error:#}")))])
    }

    /// The guide for devices of others.
    pub async fn guide(&self) -> Vec<(Place, Outcome)> {
        guide::walk(&self.peers, &self.directory).await
    }

    /// The voucher's way from maker to owner.
    async fn sell(&self, cell: &Cell, maker: usize, serial: &str, guid: &str) -> anyhow::Result<()> {
        match (cell.maker, cell.owner) {
            (By::Us, By::Us) => self.ours.claim(maker, serial).await,
            (By::Us, By::Go) if cell.resold => {
                self.ours.claim(maker, serial).await?;
                let voucher = self.ours.resell(guid, self.theirs.owner_key(cell)?).await?;
                self.theirs.import(cell, &voucher).await
            }
            (By::Us, By::Go) => {
                let voucher = self.ours.extend(maker, guid, self.theirs.owner_key(cell)?).await?;
                self.theirs.import(cell, &voucher).await
            }
            (By::Go, By::Us) if cell.resold => {
                let voucher = self.theirs.voucher(cell, guid).await?;
                self.theirs.import(cell, &voucher).await?;
                self.ours.import(self.theirs.resell(cell, guid, self.ours.owner_key(cell.key)?).await?).await
            }
            (By::Go, By::Us) => self.ours.import(self.theirs.voucher(cell, guid).await?).await,
            (By::Go, By::Go) => {
                let voucher = self.theirs.voucher(cell, guid).await?;
                self.theirs.import(cell, &voucher).await
            }
            (By::Library, By::Library) => {
                let voucher = self.library.extend(guid, self.library.owner_key(cell.key)?).await?;
                self.library.import(voucher).await
            }
            (maker, owner) => bail!("nobody sells from {maker:?} to {owner:?}"),
        }
    }

    /// The owner says that it has the device, and what travelled has arrived byte for byte.
    async fn check(&self, cell: &Cell, device: &Device<'_>, guid: &str) -> anyhow::Result<()> {
        let new_guid = match cell.owner {
            By::Us => {
                self.ours.onboarded(guid).await?;
                String::new()
            }
            By::Go => self.theirs.onboarded(cell, guid).await?,
            By::Library => {
                let outcome = self.library.outcome(guid).await?;
                if outcome["done"] != true || !outcome["skipped"].is_null() {
                    bail!("go-fdo's owner says {outcome}");
                }
                String::new()
            }
        };
        for module in &cell.modules {
            match module {
                Module::Download => self.files.compare(&device.files().join("received.bin"))?,
                Module::Wget => self.files.compare(&device.files().join("fetched.bin"))?,
                Module::Upload if cell.owner == By::Us => {
                    self.files.compare_bytes(&self.ours.uploaded(guid).await?).context("our owner's upload")?;
                }
                Module::Upload => self.files.compare(&self.theirs.uploaded(cell, &new_guid, "report.bin")?)?,
                Module::Command => {
                    let ran = std::fs::read_to_string(device.files().join("ran")).context("no command ran")?;
                    let heard = cell.owner == By::Us || self.theirs.said(cell)?.lines().any(|line| line == "said");
                    if ran != "done\n" || !heard {
                        bail!("the command left {ran:?}, and whether its owner heard it: {heard}");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Runs all cells, so many at a time, and tells of each.
pub async fn run(
    world: &Arc<World>,
    cells: &[Cell],
    at_a_time: usize,
    tell: impl Fn(&Cell, &Outcome),
) -> Vec<Outcome> {
    let permits = Arc::new(Semaphore::new(at_a_time.max(1)));
    let mut running = JoinSet::new();
    for (at, cell) in cells.iter().cloned().enumerate() {
        let (world, permits) = (world.clone(), permits.clone());
        running.spawn(async move { (at, Outcome::of(world.run(at, &cell, &permits).await)) });
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
