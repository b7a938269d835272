//! The device that a command computes on.

use anyhow::{Result, anyhow};
use autograd::{Device, Precision};
use clap::Args;

/// Where to compute.
#[derive(Debug, Args)]
pub(super) struct DeviceArgument {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// How products multiply: f32, bf16, or on a card tf32 [default: f32]
    #[arg(long, value_name = "NAME")]
    precision: Option<Precision>,
}

impl DeviceArgument {
    /// Opens it.
    ///
    /// # Errors
    /// Where there is no such device here, or it does not multiply so, in one line.
    pub(super) fn open(&self) -> Result<Device> {
        let device: Device = self.device.parse().map_err(|error| anyhow!("--device {error}"))?;
        device
            .set_precision(self.precision.unwrap_or_default())
            .map_err(|error| anyhow!("--precision {error}"))?;
        Ok(device)
    }

    /// How products are to multiply, where that was said.
    pub(super) fn precision(&self) -> Option<Precision> {
        self.precision
    }
}
