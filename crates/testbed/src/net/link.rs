//! One wire between two hosts.

use std::process::Command;
use std::time::Duration;

use super::host::Host;
use crate::TestbedError;
use crate::cache::run;

/// What a wire does to packets, in each of its directions alike. The default does nothing. Packets keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkQuality {
    /// How long a packet takes one way; a round trip takes twice as long.
    pub delay: Duration,
    /// By how much that varies, up and down. What would overtake another packet arrives right behind it.
    pub jitter: Duration,
    /// How many packets of a hundred get lost.
    pub loss_percent: f64,
    /// Kilobits that pass in a second. What has to wait for longer than a second gets lost.
    pub rate_kbit: Option<u32>,
}

/// A wire between two hosts. Its clones are the same wire, which is there until the network is dropped.
#[derive(Debug, Clone)]
pub struct Link {
    a: Host,
    b: Host,
    device: String,
}

impl Link {
    pub(super) fn between(a: &Host, b: &Host, device: String) -> Link {
        let (a, b) = (a.clone(), b.clone());
        Link { a, b, device }
    }

    /// The network device, which has one name at both ends.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Both ends.
    pub fn hosts(&self) -> [&Host; 2] {
        [&self.a, &self.b]
    }

    /// From now on packets vanish, both ways, and neither end learns of it.
    ///
    /// # Errors
    /// When nftables refuses.
    pub fn cut(&self) -> Result<(), TestbedError> {
        self.cut_towards(&self.a)?;
        self.cut_towards(&self.b)
    }

    /// From now on packets to one of the ends vanish, and those from it arrive.
    ///
    /// # Errors
    /// When nftables refuses.
    pub fn cut_towards(&self, end: &Host) -> Result<(), TestbedError> {
        end.nft(&format!("add element inet testbed cut {{ \"{}\" }}", self.device))
    }

    /// Takes the devices down, as a cable that is pulled out does: both ends see it, and have no route any more.
    ///
    /// # Errors
    /// When a device cannot be changed.
    pub fn unplug(&self) -> Result<(), TestbedError> {
        for host in self.hosts() {
            run(Command::new("ip").args(["-n", host.namespace(), "link", "set", &self.device, "down"]))?;
        }
        Ok(())
    }

    /// The wire is whole again, however it was cut.
    ///
    /// # Errors
    /// When the rules or the devices cannot be changed.
    pub fn mend(&self) -> Result<(), TestbedError> {
        let element = format!("element inet testbed cut {{ \"{}\" }}", self.device);
        for host in self.hosts() {
            // What is not there cannot be deleted, so it is added before, in one transaction.
            host.nft(&format!("add {element}; delete {element}"))?;
        }
        self.plug()
    }

    pub(super) fn plug(&self) -> Result<(), TestbedError> {
        for (host, peer) in [(&self.a, &self.b), (&self.b, &self.a)] {
            let (peer, own) = (format!("{}/32", peer.address()), host.address().to_string());
            run(Command::new("ip").args(["-n", host.namespace(), "link", "set", &self.device, "up"]))?;
            run(Command::new("ip")
                .args(["-n", host.namespace(), "route", "replace", &peer])
                .args(["dev", &self.device, "src", &own]))?;
        }
        Ok(())
    }
}
