//! What is put together with what. A cell more is a line more.

use std::fmt;

/// Who wrote a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Firstlight.
    Us,
    /// go-fdo-client and go-fdo-server.
    Go,
    /// Services of ours on the library go-fdo, `go/peer`.
    Library,
}

impl By {
    fn device(self) -> &'static str {
        if self == Self::Us { "ours" } else { "go-fdo-client" }
    }

    fn server(self) -> &'static str {
        match self {
            Self::Us => "ours",
            Self::Go => "go-fdo-server",
            Self::Library => "go-fdo",
        }
    }
}

/// The device's key, whose type maker's and owner's keys share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ec256,
    Ec384,
    Rsa2048,
    Rsa3072,
}

impl Key {
    pub const ALL: [Self; 4] = [Self::Ec256, Self::Ec384, Self::Rsa2048, Self::Rsa3072];

    /// As go-fdo-client names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec256 => "ec256",
            Self::Ec384 => "ec384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
        }
    }

    /// Those that go-fdo-server takes as its owner's key.
    pub const OF_GO_OWNER: [Self; 3] = [Self::Ec256, Self::Ec384, Self::Rsa2048];

    /// As Firstlight names it.
    pub fn our_name(self) -> &'static str {
        match self {
            Self::Ec256 => "P-256",
            Self::Ec384 => "P-384",
            Self::Rsa2048 => "RSA2048",
            Self::Rsa3072 => "RSA3072",
        }
    }

    /// What an owner with such a key allows.
    pub fn exchanges(self) -> &'static [&'static str] {
        match self {
            Self::Ec256 => &["ECDH256"],
            Self::Ec384 => &["ECDH384"],
            Self::Rsa2048 => &["DHKEXid14", "ASYMKEX2048"],
            Self::Rsa3072 => &["DHKEXid15", "ASYMKEX3072"],
        }
    }
}

/// All ciphers that go-fdo has; it has no AES-CCM.
const CIPHERS: [&str; 7] =
    ["A128GCM", "A192GCM", "A256GCM", "COSEAES128CBC", "COSEAES128CTR", "COSEAES256CBC", "COSEAES256CTR"];

/// What a maker's key may be encoded as: a SubjectPublicKeyInfo, a chain of certificates, a COSE key.
const ENCODINGS: [&str; 3] = ["x509", "x5chain", "cose"];

/// What `fdo.command` has a shell do: it leaves a file, and says something.
pub const COMMAND: &str = "echo done >ran; echo said";

/// What the owner does with the device in TO2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Download,
    Upload,
    Wget,
    Command,
}

impl Module {
    pub const ALL: [Self; 4] = [Self::Download, Self::Upload, Self::Wget, Self::Command];

    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "fdo.download",
            Self::Upload => "fdo.upload",
            Self::Wget => "fdo.wget",
            Self::Command => "fdo.command",
        }
    }
}

/// Where an outcome stands in the report: table, row, column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub [String; 3]);

impl Place {
    pub fn new(table: &str, row: &str, column: &str) -> Self {
        Self([table, row, column].map(str::to_owned))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.join(" / "))
    }
}

/// One device from its birth to its owner.
#[derive(Clone, Debug)]
pub struct Cell {
    pub place: Place,
    pub device: By,
    pub maker: By,
    pub rendezvous: By,
    pub owner: By,
    pub key: Key,
    pub exchange: &'static str,
    pub cipher: &'static str,
    /// Whether an owner by the other side had the device first, and sold it on.
    pub resold: bool,
    /// How the device asks for the maker's key, as go-fdo-client names it.
    pub encoding: &'static str,
    pub modules: Vec<Module>,
}

const THEIR_DEVICE: &str = "go-fdo-client with our three services";
const OUR_DEVICE: &str = "our device with go-fdo-server's three services";
const OUR_DEVICE_LIBRARY: &str = "our device with three services on the library go-fdo";
const ENCODED: &str = "maker's key asked for by go-fdo-client, our three services";
const MODULES: &str = "service-info modules";
/// The table of management calls.
pub const MANAGEMENT: &str = "go-fdo-server's management API, its answers and ours";
const CROSSINGS: &str = "services of both";

/// All of them, in the report's order.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    // One file in each: what a cipher gets wrong may show only with data.
    let small = [Module::Download];
    for (table, keys, device, services) in [
        (THEIR_DEVICE, &Key::ALL[..], By::Go, By::Us),
        (OUR_DEVICE, &Key::OF_GO_OWNER, By::Us, By::Go),
        (OUR_DEVICE_LIBRARY, &[Key::Rsa3072], By::Us, By::Library),
    ] {
        for (key, exchange) in keys.iter().flat_map(|key| key.exchanges().iter().map(move |name| (*key, *name))) {
            for cipher in CIPHERS {
                let place = Place::new(table, &format!("{}, {exchange}", key.name()), cipher);
                cells.push(cell(place, [device, services, services, services], key, exchange, cipher, &small));
            }
        }
    }
    for (column, device, services) in
        [("go-fdo-client, our services", By::Go, By::Us), ("our device, go-fdo-server", By::Us, By::Go)]
    {
        for module in Module::ALL {
            let place = Place::new(MODULES, module.name(), column);
            cells.push(simple(place, [device, services, services, services], Key::Ec256, &[module]));
        }
    }
    for encoding in ENCODINGS {
        for key in Key::ALL {
            let place = Place::new(ENCODED, encoding, key.name());
            cells.push(Cell { encoding, ..simple(place, [By::Go, By::Us, By::Us, By::Us], key, &small) });
        }
    }
    for device in [By::Go, By::Us] {
        for (maker, rendezvous, owner) in [
            (By::Go, By::Us, By::Us),
            (By::Go, By::Go, By::Us),
            (By::Us, By::Go, By::Us),
            (By::Go, By::Us, By::Go),
            (By::Us, By::Go, By::Go),
            (By::Us, By::Us, By::Go),
        ] {
            let [voucher, at, to] = [maker, rendezvous, owner].map(By::server);
            let row = format!("device {}, voucher {voucher}, rendezvous {at}, owner {to}", device.device());
            for key in if owner == By::Go { &Key::OF_GO_OWNER[..] } else { &Key::ALL } {
                let place = Place::new(CROSSINGS, &row, key.name());
                cells.push(simple(place, [device, maker, rendezvous, owner], *key, &small));
            }
        }
    }
    for device in [By::Go, By::Us] {
        let of = device.device();
        let row = format!("device {of}, voucher ours, resold by our owner, rendezvous ours, owner go-fdo-server");
        for key in Key::OF_GO_OWNER {
            let cell =
                simple(Place::new(CROSSINGS, &row, key.name()), [device, By::Us, By::Us, By::Go], key, &small);
            cells.push(Cell { resold: true, ..cell });
        }
        let row = format!("device {of}, voucher go-fdo-server, resold by its owner, rendezvous ours, owner ours");
        for key in Key::OF_GO_OWNER {
            let cell =
                simple(Place::new(CROSSINGS, &row, key.name()), [device, By::Go, By::Us, By::Us], key, &small);
            cells.push(Cell { resold: true, ..cell });
        }
    }
    cells
}

/// The device that is managed on both sides.
pub fn device_of_ours() -> Cell {
    simple(Place::new(MANAGEMENT, "all calls", "they came to an end"), [By::Us; 4], Key::Ec256, &[])
}

/// With the first key exchange of its key, and the cipher that everybody has.
fn simple(place: Place, parties: [By; 4], key: Key, modules: &[Module]) -> Cell {
    cell(place, parties, key, key.exchanges()[0], CIPHERS[0], modules)
}

fn cell(
    place: Place,
    [device, maker, rendezvous, owner]: [By; 4],
    key: Key,
    exchange: &'static str,
    cipher: &'static str,
    modules: &[Module],
) -> Cell {
    let encoding = ENCODINGS[0];
    let modules = modules.to_vec();
    Cell { place, device, maker, rendezvous, owner, key, exchange, cipher, resold: false, encoding, modules }
}
