//! The devices that tensors can lie on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Kernels;
use super::cpu::bf16;
use super::cpu::device::Cpu;
#[cfg(feature = "cuda")]
use super::cuda::Cuda;
use crate::Float;

/// A device that tensors can lie on, and that computes with those that do.
///
/// ```
/// use autograd::{Device, Tensor};
/// let x = Tensor::new([2], vec![1.0f32, 2.0]).to(&Device::Cpu);
/// assert_eq!(x.device().to_string(), "cpu");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Device {
    /// This machine's processor.
    #[default]
    Cpu,
    /// An NVIDIA card, or its emulator.
    #[cfg(feature = "cuda")]
    Cuda(Cuda),
}

/// How a device multiplies the numbers of matrix products. Sums are always taken in `f32`, and all tensors are `f32` in
/// memory. The processor leaves the products within attention as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to 10 bits of mantissa, on a card's tensor cores.
    Tf32,
    /// Rounded to 7 bits of mantissa, on a card's tensor cores or by a processor that has AVX512-BF16.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let known = [Self::F32, Self::Tf32, Self::Bf16].into_iter().find(|known| known.to_string() == name);
        known.ok_or_else(|| DeviceError(format!("{name}: no such precision; there are f32, tf32 and bf16")))
    }
}

/// Why there is no such device, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError(pub(crate) String);

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DeviceError {}

impl Device {
    pub(crate) fn kernels<T: Float>(&self) -> &dyn Kernels<T> {
        match self {
            Self::Cpu => &Cpu,
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => cuda,
        }
    }

    /// Its name, with what the maker calls it: `cuda:0 (NVIDIA H200)`.
    pub fn description(&self) -> String {
        match self {
            Self::Cpu => self.to_string(),
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) if cuda.model() == cuda.to_string() => cuda.model(),
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => format!("{cuda} ({})", cuda.model()),
        }
    }

    /// How its matrix products multiply from now on; `f32` at first. On the processor that is so for the whole process, and
    /// weights that were decoded with keep what they had: it is to be said before a model is used.
    ///
    /// # Errors
    /// Where it cannot: see [`Precision`].
    pub fn set_precision(&self, precision: Precision) -> Result<(), DeviceError> {
        match self {
            Self::Cpu => match precision {
                Precision::Tf32 => Err(DeviceError(
                    "tf32: only a card multiplies so; the processor has f32 and bf16".to_owned(),
                )),
                Precision::Bf16 if !bf16::available() => Err(DeviceError(
                    "bf16: this processor has no instructions for it (AVX512-BF16)".to_owned(),
                )),
                _ => {
                    bf16::choose(precision == Precision::Bf16);
                    Ok(())
                }
            },
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => {
                cuda.set_precision(precision);
                Ok(())
            }
        }
    }

    /// Says in one line on standard error, unless it was said before, where attention with heads of so many columns will take
    /// slower kernels than a card with more shared memory would. Without it, that is said when the first of them runs.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only a card has little"))]
    pub fn announce_attention(&self, columns: usize) {
        match self {
            Self::Cpu => {}
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => cuda.announce_attention(columns),
        }
    }

    /// The most bytes that tensors have taken on a card; `None` on the processor, which does not count them.
    pub fn peak_bytes(&self) -> Option<usize> {
        match self {
            Self::Cpu => None,
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => Some(cuda.traffic().peak),
        }
    }

    /// Whether it is this machine's processor.
    pub fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => cuda.fmt(f),
        }
    }
}

/// `cpu`, `cuda`, `cuda:1`, `emulator`, `emulator:99KiB` (with so much shared memory for a block): opens the device.
impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "cpu" => return Ok(Self::Cpu),
            #[cfg(feature = "cuda")]
            "emulator" => return Ok(Self::Cuda(Cuda::emulator()?)),
            _ => {}
        }
        #[cfg(feature = "cuda")]
        if let Some(shared) = emulated_shared(name) {
            return Ok(Self::Cuda(Cuda::emulator_of(shared)?));
        }
        let ordinal = match name.strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|ordinal| ordinal.parse::<usize>().ok()),
            None => None,
        };
        let Some(ordinal) = ordinal else {
            return Err(DeviceError(format!("{name}: no such device; there are cpu, cuda and cuda:N")));
        };
        #[cfg(feature = "cuda")]
        return Ok(Self::Cuda(Cuda::open(ordinal)?));
        #[cfg(not(feature = "cuda"))]
        Err(DeviceError(format!(
            "cuda:{ordinal}: this program was built without CUDA; build it with --features cuda"
        )))
    }
}

/// The bytes of shared memory in `emulator:99KiB`.
#[cfg(feature = "cuda")]
fn emulated_shared(name: &str) -> Option<u32> {
    let kibibytes = name.strip_prefix("emulator:")?.strip_suffix("KiB")?;
    kibibytes.parse::<u32>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_named() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        for name in ["gpu", "cuda:x", "cuda0", ""] {
            let error = name.parse::<Device>().unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("no such device"), "{error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_the_way_to_it_is_said() {
        let error = "cuda".parse::<Device>().unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
