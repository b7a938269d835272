//! The device that a command computes on.

use anyhow::{Result, anyhow};
use autograd::Device;
use clap::Args;

/// Where to compute.
#[derive(Debug, Args)]
pub(super) struct DeviceArgument {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
}

impl DeviceArgument {
    /// Opens it.
    ///
    /// # Errors
    /// Where there is no such device here, in one line.
    pub(super) fn open(&self) -> Result<Device> {
        self.device.parse().map_err(|error| anyhow!("--device {error}"))
    }
}
