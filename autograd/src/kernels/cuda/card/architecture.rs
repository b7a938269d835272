//! What kernels count on in a card, and the name by which it is compiled for.

use std::fmt;

use crate::kernels::cuda::driver::{CudaError, Result};

/// The oldest compute capability whose instructions the kernels are made of: Volta's.
const OLDEST: i32 = 70;

/// A kind of cards, by its compute capability: 90 for 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture(i32);

impl Architecture {
    /// That of a card of compute capability `major.minor` with warps of so many lanes.
    ///
    /// # Errors
    /// Where the kernels cannot run on it, in one line.
    pub(super) fn of(major: i32, minor: i32, warp: i32) -> Result<Self> {
        let version = 10 * major + minor;
        if version < OLDEST {
            return Err(CudaError::new(format!(
                "its compute capability is {major}.{minor}, and {}.{} or newer is needed",
                OLDEST / 10,
                OLDEST % 10
            )));
        }
        if warp != 32 {
            return Err(CudaError::new(format!(
                "its warps have {warp} lanes, and the kernels are written for 32"
            )));
        }
        Ok(Self(version))
    }

    /// Refuses what is not in the list of those that a compiler knows; an empty list says nothing.
    ///
    /// # Errors
    /// Where it is not, in one line.
    pub(super) fn check_known(self, compiler: &str, known: &[i32]) -> Result<()> {
        let (Some(oldest), Some(newest)) = (known.iter().min(), known.iter().max()) else { return Ok(()) };
        if known.contains(&self.0) {
            return Ok(());
        }
        let other = if self.0 > *newest { "a newer" } else { "an older" };
        Err(CudaError::new(format!(
            "{compiler} compiles for sm_{oldest} to sm_{newest}, and this card is {self}: install {other} CUDA toolkit, or the \
             nvidia-cuda-nvrtc package of one"
        )))
    }
}

/// `sm_90a`: with what only that kind has, where there is such.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}{}", self.0, if self.0 == 90 { "a" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(major: i32, minor: i32) -> Architecture {
        Architecture::of(major, minor, 32).unwrap()
    }

    #[test]
    fn cards_have_the_names_that_the_compiler_knows() {
        let names = [(7, 0), (7, 5), (8, 6), (8, 9), (9, 0), (12, 0)]
            .map(|(major, minor)| of(major, minor).to_string());
        assert_eq!(names, ["sm_70", "sm_75", "sm_86", "sm_89", "sm_90a", "sm_120"]);
    }

    #[test]
    fn a_card_that_kernels_cannot_run_on_is_refused_in_one_line() {
        let said = |major, minor, warp| Architecture::of(major, minor, warp).unwrap_err().to_string();
        assert_eq!(said(6, 1, 32), "its compute capability is 6.1, and 7.0 or newer is needed");
        assert_eq!(said(9, 0, 64), "its warps have 64 lanes, and the kernels are written for 32");
    }

    #[test]
    fn a_card_that_the_compiler_does_not_know_is_refused_in_one_line() {
        let known = [75, 80, 86, 87, 89, 90];
        assert_eq!(of(8, 9).check_known("NVRTC 12.4", &known), Ok(()));
        assert_eq!(of(12, 0).check_known("NVRTC 12.4", &[]), Ok(()));
        assert_eq!(
            of(12, 0).check_known("NVRTC 12.4", &known).unwrap_err().to_string(),
            "NVRTC 12.4 compiles for sm_75 to sm_90, and this card is sm_120: install a newer CUDA toolkit, or the \
             nvidia-cuda-nvrtc package of one"
        );
        let older = of(7, 0).check_known("NVRTC 13.0", &known).unwrap_err().to_string();
        assert!(older.contains("sm_70: install an older CUDA toolkit"), "{older}");
    }
}
