//! What the device of the tests does with what the owner sends.

use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::chunking::{Ack, Outcome};
use fdo_protocol::service_info::csr::{self, EstBody};
use fdo_protocol::service_info::{
    ModuleMessage, ServiceInfoKv, command, conformance, download, payload, upload, wget, wifi,
};

use crate::device::Talk;

/// The longest piece of a file.
const PIECE: usize = 1014;

impl Talk<'_> {
    pub fn react(&mut self, kv: &ServiceInfoKv) {
        let (message, item) = (kv.message(), kv.value.as_slice());
        match kv.module() {
            wifi::MODULE => match wifi::ToDevice::decode(message, item).unwrap() {
                Some(wifi::ToDevice::NetworkAdd(add)) => self.received.networks.push(add.network().unwrap().id),
                _ => self.tell(&wifi::ToOwner::Active(true)),
            },
            csr::MODULE => self.enrol(csr::ToDevice::decode(message, item).unwrap()),
            download::MODULE => self.download(download::ToDevice::decode(message, item).unwrap().unwrap()),
            command::MODULE => self.command(command::ToDevice::decode(message, item).unwrap().unwrap()),
            upload::MODULE => {
                if let Some(upload::ToDevice::Name(_)) = upload::ToDevice::decode(message, item).unwrap() {
                    self.upload();
                }
            }
            wget::MODULE => {
                if let Some(wget::ToDevice::Url(url)) = wget::ToDevice::decode(message, item).unwrap() {
                    self.received.urls.push(url);
                    self.tell(&wget::ToOwner::Done(Some(5)));
                }
            }
            payload::MODULE => self.payload(payload::ToDevice::decode(message, item).unwrap().unwrap()),
            conformance::MODULE => {
                let message = conformance::ToDevice::decode(message, item).unwrap();
                if let Some(conformance::ToDevice::DevConformance(token)) = message {
                    self.received.tokens.push(token.expose().to_owned());
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, message: &impl ModuleMessage) {
        self.outbox.push_split(message.to_kv());
    }

    fn enrol(&mut self, message: Option<csr::ToDevice>) {
        match message {
            Some(csr::ToDevice::Active(true)) => {
                if let Some(request) = self.manner.csr.clone() {
                    let body = EstBody::from_der(&request);
                    self.tell(&csr::ToOwner::CaCertsReq(csr::FORMAT_PKCS7));
                    match self.manner.wants_key {
                        true => self.tell(&csr::ToOwner::ServerKeygenReq(body)),
                        false => self.tell(&csr::ToOwner::SimpleEnrollReq(body)),
                    }
                }
            }
            Some(csr::ToDevice::SimpleEnrollRes(body)) => {
                self.received.certificates.push(body.der().unwrap().to_vec());
            }
            Some(csr::ToDevice::ServerKeygenRes(body)) => {
                let answer = csr::ServerKey::parse(body.text()).unwrap();
                self.received.keys.push(SigningKey::from_der(&answer.pkcs8).unwrap());
                self.received.certificates.push(answer.certificate);
            }
            Some(csr::ToDevice::CaCertsRes(body)) => {
                self.received.ca_certificates = fdo_pki::pkcs7::parse_certs_only(&body.der().unwrap()).unwrap();
            }
            Some(csr::ToDevice::Error(error)) => self.received.errors.push(error.number()),
            _ => {}
        }
    }

    fn command(&mut self, message: command::ToDevice) {
        match message {
            command::ToDevice::Command(program) => self.received.commands.push((program, Vec::new())),
            command::ToDevice::Args(_, args) => self.received.commands.last_mut().unwrap().1 = args,
            command::ToDevice::Execute(_) => {
                self.tell(&command::ToOwner::Stdout(b"it ran\x1b[31m\n".to_vec().into()));
                self.tell(&command::ToOwner::ExitCode(self.manner.exit_code));
            }
            _ => {}
        }
    }

    fn download(&mut self, message: download::ToDevice) {
        match message {
            download::ToDevice::Name(name) => self.received.files.push((name, Vec::new())),
            download::ToDevice::Length(length) => self.awaited = length,
            download::ToDevice::Data(data) => {
                let file = &mut self.received.files.last_mut().unwrap().1;
                file.extend_from_slice(&data);
                if file.len() as u64 == self.awaited {
                    self.tell(&download::ToOwner::Done(Some(self.awaited)));
                }
            }
            download::ToDevice::Active(_) | download::ToDevice::Sha384(_) => {}
        }
    }

    fn upload(&mut self) {
        let Some((content, digest)) = self.manner.upload.clone() else {
            return self.tell(&upload::ToOwner::Active(false));
        };
        self.tell(&upload::ToOwner::Active(true));
        self.tell(&upload::ToOwner::Length(content.len() as u64));
        for piece in content.chunks(PIECE) {
            self.tell(&upload::ToOwner::Data(piece.to_vec().into()));
        }
        self.tell(&upload::ToOwner::Sha384(digest));
    }

    fn payload(&mut self, message: payload::ToDevice) {
        match message {
            payload::ToDevice::Begin(payload::Beginning::Bare(announcement)) => {
                self.received.payloads.push((announcement.mime_type.clone(), Vec::new()));
                self.tell(&payload::ToOwner::Ack(Ack::ACCEPTED));
            }
            payload::ToDevice::Data(_, piece) => {
                self.received.payloads.last_mut().unwrap().1.extend_from_slice(&piece);
            }
            payload::ToDevice::End(_) => {
                let message = Some("applied\u{7}".to_owned());
                self.tell(&payload::ToOwner::Result(Outcome { status: 0, message }));
            }
            _ => {}
        }
    }
}
