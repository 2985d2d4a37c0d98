//! What is put together with what. A cell more is a line more.

use std::fmt;

/// Who wrote a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Firstlight.
    Us,
    /// go-fdo-client and go-fdo.
    Go,
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

/// One device from its birth to its owner.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Where it stands in the report: table, row, column.
    pub place: [String; 3],
    pub device: By,
    pub maker: By,
    pub rendezvous: By,
    pub owner: By,
    pub key: Key,
    pub exchange: &'static str,
    pub cipher: &'static str,
    /// Whether our owner had the device first, and sold it on.
    pub resold: bool,
    /// How the device asks for the maker's key, as go-fdo-client names it.
    pub encoding: &'static str,
    pub modules: Vec<Module>,
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.place.join(" / "))
    }
}

const THEIR_DEVICE: &str = "go-fdo-client with our three services";
const OUR_DEVICE: &str = "our device with go-fdo's three services";
const ENCODED: &str = "maker's key asked for by go-fdo-client, our three services";
const MODULES: &str = "service-info modules";
const CROSSINGS: &str = "services of both";

/// All of them, in the report's order.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    // One file in each: what a cipher gets wrong may show only with data.
    let small = [Module::Download];
    for (table, device, services) in [(THEIR_DEVICE, By::Go, By::Us), (OUR_DEVICE, By::Us, By::Go)] {
        for (key, exchange) in
            Key::ALL.into_iter().flat_map(|key| key.exchanges().iter().map(move |name| (key, *name)))
        {
            for cipher in CIPHERS {
                let place = [table.to_owned(), format!("{}, {exchange}", key.name()), cipher.to_owned()];
                cells.push(cell(place, [device, services, services, services], key, exchange, cipher, &small));
            }
        }
    }
    for (column, device, services) in
        [("go-fdo-client, our services", By::Go, By::Us), ("our device, go-fdo's services", By::Us, By::Go)]
    {
        for module in Module::ALL {
            let place = [MODULES.to_owned(), module.name().to_owned(), column.to_owned()];
            cells.push(simple(place, [device, services, services, services], Key::Ec256, &[module]));
        }
    }
    for encoding in ENCODINGS {
        for key in Key::ALL {
            let place = [ENCODED.to_owned(), encoding.to_owned(), key.name().to_owned()];
            cells.push(Cell { encoding, ..simple(place, [By::Go, By::Us, By::Us, By::Us], key, &small) });
        }
    }
    for (row, parties) in [
        ("device go-fdo, voucher go-fdo, rendezvous ours, owner ours", [By::Go, By::Go, By::Us, By::Us]),
        ("device go-fdo, voucher go-fdo, rendezvous go-fdo, owner ours", [By::Go, By::Go, By::Go, By::Us]),
        ("device go-fdo, voucher ours, rendezvous go-fdo, owner ours", [By::Go, By::Us, By::Go, By::Us]),
        ("device go-fdo, voucher go-fdo, rendezvous ours, owner go-fdo", [By::Go, By::Go, By::Us, By::Go]),
        ("device go-fdo, voucher ours, rendezvous go-fdo, owner go-fdo", [By::Go, By::Us, By::Go, By::Go]),
        ("device go-fdo, voucher ours, rendezvous ours, owner go-fdo", [By::Go, By::Us, By::Us, By::Go]),
        ("device ours, voucher go-fdo, rendezvous ours, owner ours", [By::Us, By::Go, By::Us, By::Us]),
        ("device ours, voucher go-fdo, rendezvous go-fdo, owner ours", [By::Us, By::Go, By::Go, By::Us]),
        ("device ours, voucher ours, rendezvous go-fdo, owner ours", [By::Us, By::Us, By::Go, By::Us]),
        ("device ours, voucher go-fdo, rendezvous ours, owner go-fdo", [By::Us, By::Go, By::Us, By::Go]),
        ("device ours, voucher ours, rendezvous go-fdo, owner go-fdo", [By::Us, By::Us, By::Go, By::Go]),
        ("device ours, voucher ours, rendezvous ours, owner go-fdo", [By::Us, By::Us, By::Us, By::Go]),
    ] {
        for key in Key::ALL {
            let place = [CROSSINGS.to_owned(), row.to_owned(), key.name().to_owned()];
            cells.push(simple(place, parties, key, &small));
        }
    }
    for (row, device) in [("go-fdo", By::Go), ("ours", By::Us)] {
        for key in Key::ALL {
            let row = format!("device {row}, voucher ours, resold by our owner, rendezvous ours, owner go-fdo");
            let place = [CROSSINGS.to_owned(), row, key.name().to_owned()];
            let cell = simple(place, [device, By::Us, By::Us, By::Go], key, &small);
            cells.push(Cell { resold: true, ..cell });
        }
    }
    cells
}

/// With the first key exchange of its key, and the cipher that everybody has.
fn simple(place: [String; 3], parties: [By; 4], key: Key, modules: &[Module]) -> Cell {
    cell(place, parties, key, key.exchanges()[0], CIPHERS[0], modules)
}

fn cell(
    place: [String; 3],
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
