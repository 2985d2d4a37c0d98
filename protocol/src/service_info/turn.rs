//! Whose turn it is in the loop of 68 and 69, one struct a side (FDO 1.1, messages 68 and 69).
//!
//! Whoever sets `IsMoreServiceInfo` keeps the floor, and the other answers with nothing until it is cleared.

use crate::cbor_array;
use crate::error::Error;
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo, ServiceInfo};

/// What a peer may cost. How long a conversation may last is for the clock of the shell to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// Rounds on end in which nobody says anything.
    pub idle_rounds: u32,
    /// Bytes of keys and values that the peer may send in all.
    pub bytes: u64,
}
cbor_array!(TurnLimits { idle_rounds, bytes });

impl Default for TurnLimits {
    /// 10,000 idle rounds and 16 MiB.
    fn default() -> Self {
        Self { idle_rounds: 10_000, bytes: 16 << 20 }
    }
}

/// What becomes of the floor after a message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// `IsMoreServiceInfo`: the next message is ours too.
    Keep,
    /// The peer may speak.
    Yield,
}

/// Counts what a peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meter {
    limits: TurnLimits,
    idle_rounds: u32,
    bytes: u64,
}
cbor_array!(Meter { limits, idle_rounds, bytes });

impl Meter {
    fn new(limits: TurnLimits) -> Self {
        Self { limits, idle_rounds: 0, bytes: 0 }
    }

    fn received(&mut self, list: &ServiceInfo) -> Result<(), Error> {
        let bytes: usize = list.0.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.idle_rounds = if list.is_empty() { self.idle_rounds + 1 } else { 0 };
        if self.bytes > self.limits.bytes {
            Err(Error::Rejected("more service info than this side takes"))
        } else if self.idle_rounds > self.limits.idle_rounds {
            Err(Error::Rejected("too many rounds of service info without any"))
        } else {
            Ok(())
        }
    }

    fn sent(&mut self, list: &ServiceInfo) {
        if !list.is_empty() {
            self.idle_rounds = 0;
        }
    }
}

/// The owner's view: it receives 68 and answers 69.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerTurn {
    meter: Meter,
    device_keeps: bool,
    owner_keeps: bool,
    done: bool,
}
cbor_array!(OwnerTurn { meter, device_keeps, owner_keeps, done });

impl OwnerTurn {
    /// Before the first 68.
    pub fn new(limits: TurnLimits) -> Self {
        Self { meter: Meter::new(limits), device_keeps: false, owner_keeps: false, done: false }
    }

    /// Lets the device send so many bytes more.
    pub fn allow(&mut self, bytes: u64) {
        self.meter.limits.bytes = self.meter.limits.bytes.saturating_add(bytes);
    }

    /// Takes a 68. After `IsDone` a device may still say what it had left, but not keep the floor.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the device speaks out of turn or goes beyond a limit.
    pub fn receive(&mut self, message: &DeviceServiceInfo) -> Result<(), Error> {
        if self.done && message.is_more {
            return Err(Error::Rejected("more service info after the owner was done"));
        }
        if self.owner_keeps && (message.is_more || !message.service_info.is_empty()) {
            return Err(Error::Rejected("service info while the owner has the floor"));
        }
        self.meter.received(&message.service_info)?;
        self.device_keeps = message.is_more;
        Ok(())
    }

    /// Whether the next 69 may carry anything.
    pub fn may_speak(&self) -> bool {
        !self.device_keeps && !self.done
    }

    /// Whether `IsDone` was sent, so that 70 may come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The 69 with these pairs. Where the owner may not speak, give an empty list and [`Floor::Yield`].
    ///
    /// # Errors
    /// [`Error::Internal`] when there are pairs and it is not the owner's turn.
    pub fn reply(&mut self, service_info: ServiceInfo, floor: Floor) -> Result<OwnerServiceInfo, Error> {
        let is_more = floor == Floor::Keep;
        if !self.may_speak() && (is_more || !service_info.is_empty()) {
            return Err(Error::Internal("service info out of turn"));
        }
        self.meter.sent(&service_info);
        self.owner_keeps = is_more;
        Ok(OwnerServiceInfo { is_more, is_done: self.done, service_info })
    }

    /// The 69 that ends the owner's part: `[false, true, []]`.
    ///
    /// # Errors
    /// [`Error::Internal`] while the device has the floor.
    pub fn finish(&mut self) -> Result<OwnerServiceInfo, Error> {
        if self.device_keeps {
            return Err(Error::Internal("done while the device has the floor"));
        }
        self.done = true;
        self.owner_keeps = false;
        self.reply(ServiceInfo::empty(), Floor::Yield)
    }
}

/// The device's view: it sends 68 and receives 69.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTurn {
    meter: Meter,
    device_keeps: bool,
    owner_keeps: bool,
    done: bool,
}
cbor_array!(DeviceTurn { meter, device_keeps, owner_keeps, done });

impl DeviceTurn {
    /// Before the first 68.
    pub fn new(limits: TurnLimits) -> Self {
        Self { meter: Meter::new(limits), device_keeps: false, owner_keeps: false, done: false }
    }

    /// Whether the next 68 may carry anything.
    pub fn may_speak(&self) -> bool {
        !self.owner_keeps && !self.done
    }

    /// Whether the owner is done, so that 70 comes next.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The 68 with these pairs. While the owner has the floor, give an empty list and [`Floor::Yield`].
    ///
    /// # Errors
    /// [`Error::Internal`] when there are pairs and it is not the device's turn.
    pub fn send(&mut self, service_info: ServiceInfo, floor: Floor) -> Result<DeviceServiceInfo, Error> {
        let is_more = floor == Floor::Keep;
        if !self.may_speak() && (is_more || !service_info.is_empty()) {
            return Err(Error::Internal("service info out of turn"));
        }
        self.meter.sent(&service_info);
        self.device_keeps = is_more;
        Ok(DeviceServiceInfo { is_more, service_info })
    }

    /// Takes a 69. What comes along with `IsDone` still counts.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the owner speaks out of turn, is done and not done at once, or goes beyond a limit.
    pub fn receive(&mut self, message: &OwnerServiceInfo) -> Result<(), Error> {
        if message.is_more && message.is_done {
            return Err(Error::Rejected("the owner is done and has more"));
        }
        let speaks = message.is_more || message.is_done || !message.service_info.is_empty();
        if self.device_keeps && speaks {
            return Err(Error::Rejected("service info while the device has the floor"));
        }
        self.meter.received(&message.service_info)?;
        self.owner_keeps = message.is_more;
        self.done |= message.is_done;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};
    use crate::error::ErrorCode;
    use crate::service_info::ServiceInfoKv;

    fn says(is_more: bool, pairs: usize) -> DeviceServiceInfo {
        DeviceServiceInfo { is_more, service_info: list(pairs) }
    }

    fn list(pairs: usize) -> ServiceInfo {
        ServiceInfo(vec![ServiceInfoKv::new("m", "k", &true); pairs])
    }

    #[test]
    fn a_device_that_keeps_the_floor_to_the_last_is_heard() {
        let mut turn = OwnerTurn::new(TurnLimits::default());
        for _ in 0..5 {
            turn.receive(&says(true, 1)).unwrap();
            assert!(!turn.may_speak());
            assert!(turn.finish().is_err());
            assert!(turn.reply(list(1), Floor::Yield).is_err());
            let answer = turn.reply(ServiceInfo::empty(), Floor::Yield).unwrap();
            assert_eq!(hex::encode(encode(&answer)), "83f4f480");
            turn = decode(&encode(&turn)).unwrap();
        }
        turn.receive(&says(false, 0)).unwrap();
        assert!(turn.may_speak());
        assert!(turn.reply(list(2), Floor::Keep).unwrap().is_more);
    }

    #[test]
    fn after_done_a_device_may_only_finish_its_sentence() {
        let mut turn = OwnerTurn::new(TurnLimits::default());
        turn.receive(&says(false, 1)).unwrap();
        turn.finish().unwrap();
        assert!(turn.is_done());
        turn.receive(&says(false, 1)).unwrap();
        let answer = turn.reply(ServiceInfo::empty(), Floor::Yield).unwrap();
        assert_eq!(hex::encode(encode(&answer)), "83f4f580");
        let error = turn.receive(&says(true, 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidMessage);
    }

    #[test]
    fn an_owner_that_keeps_the_floor_hears_nothing() {
        let mut turn = OwnerTurn::new(TurnLimits::default());
        turn.receive(&says(false, 1)).unwrap();
        turn.reply(list(1), Floor::Keep).unwrap();
        for interruption in [says(true, 0), says(false, 1)] {
            assert!(matches!(turn.receive(&interruption), Err(Error::Rejected(_))));
        }
        turn.receive(&says(false, 0)).unwrap();
    }

    #[test]
    fn idle_rounds_and_bytes_are_limited() {
        let mut turn = OwnerTurn::new(TurnLimits { idle_rounds: 2, bytes: 8 });
        for message in [says(false, 0), says(false, 1), says(false, 0), says(false, 0)] {
            turn.receive(&message).unwrap();
        }
        assert!(turn.receive(&says(false, 0)).is_err());
        let mut turn = OwnerTurn::new(TurnLimits { idle_rounds: 2, bytes: 8 });
        assert!(turn.receive(&says(false, 3)).is_err());
    }

    #[test]
    fn the_device_refuses_an_owner_out_of_turn() {
        let fresh = || DeviceTurn::new(TurnLimits::default());
        let says = |is_more, is_done, pairs| OwnerServiceInfo { is_more, is_done, service_info: list(pairs) };
        let mut turn = fresh();
        turn.send(list(1), Floor::Yield).unwrap();
        assert!(turn.receive(&says(true, true, 0)).is_err());
        let mut turn = fresh();
        turn.send(list(1), Floor::Keep).unwrap();
        assert!(turn.receive(&says(false, false, 1)).is_err());
        assert!(turn.receive(&says(false, true, 0)).is_err());
        turn.receive(&says(false, false, 0)).unwrap();
        turn.send(list(1), Floor::Yield).unwrap();
        turn.receive(&says(true, false, 1)).unwrap();
        assert!(turn.send(list(1), Floor::Yield).is_err());
        turn.send(ServiceInfo::empty(), Floor::Yield).unwrap();
        turn.receive(&says(false, true, 1)).unwrap();
        assert!(turn.is_done() && !turn.may_speak());
        assert_eq!(decode::<DeviceTurn>(&encode(&turn)).unwrap(), turn);
    }
}
