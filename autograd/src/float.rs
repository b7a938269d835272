//! The numbers a tape can carry: `f32` to train, `f64` to prove gradients, [`Dual`](crate::Dual) to follow a direction.

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::buffer::Pool;
use crate::cases::{Build, Case};
use crate::kernels::cpu::{gemm::Gemm, simd::Kernel};

/// A real number type that tensors are made of.
///
/// Every kernel is written once, generically over this trait, so the code that finite differences check in `f64` is the
/// code that trains in `f32`.
pub trait Float:
    Copy
    + Debug
    + Display
    + LowerExp
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + 'static
{
    /// What long sums are taken in: `f64`, or where that would lose a derivative, the type itself.
    type Wide: Float;
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// −∞, the score of a key that must not be attended to.
    const NEG_INFINITY: Self;
    /// The name users know: `f32`, `f64`, `dual`.
    const NAME: &'static str;

    /// The nearest number to `x`: a constant, which does not move with anything.
    fn of(x: f64) -> Self;
    /// The value as `f64`. For reports: what goes on to be computed with is [`widen`](Self::widen)ed instead.
    fn to_f64(self) -> f64;
    /// The number in the type of long sums.
    fn widen(self) -> Self::Wide;
    /// The nearest number to a long sum.
    fn narrow(wide: Self::Wide) -> Self;
    /// `e^self`
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The larger of the two; the other one where `self` is NaN.
    fn max(self, other: Self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// A case's computation in this type.
    #[doc(hidden)]
    fn build(case: &Case) -> Build<Self>;
    /// The free list that buffers of this type come from and return to.
    #[doc(hidden)]
    fn pool() -> &'static Pool<Self>;
    /// Runs a kernel with the widest vector unit this machine has for this type.
    #[doc(hidden)]
    fn simd<A, K: Kernel<Self, A>>(kernel: K, args: A) -> K::Output;
    /// `C = A·B` or `C += A·B`, on checked strides.
    #[doc(hidden)]
    fn gemm(product: Gemm<'_, Self>);
}

macro_rules! float {
    ($t:ident, $simd:path, $gemm:path) => {
        impl Float for $t {
            type Wide = f64;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;
            const NAME: &'static str = stringify!($t);
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn narrow(wide: f64) -> Self {
                wide as $t
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.max(other)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn build(case: &Case) -> Build<Self> {
                case.$t
            }
            fn pool() -> &'static Pool<Self> {
                static POOL: Pool<$t> = Pool::new();
                &POOL
            }
            #[inline(always)]
            fn simd<A, K: Kernel<Self, A>>(kernel: K, args: A) -> K::Output {
                $simd(kernel, args)
            }
            fn gemm(product: Gemm<'_, Self>) {
                $gemm(product);
            }
        }
    };
}

float!(f32, crate::kernels::cpu::simd::dispatch_f32, Gemm::run_single);
float!(f64, crate::kernels::cpu::simd::dispatch_scalar, Gemm::run_native);
