//! Dual numbers: exact directional derivatives from the code that computes the values.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::buffer::Pool;
use crate::cases::{Build, Case};
use crate::kernels::cpu::gemm::Gemm;
use crate::kernels::cpu::simd::{Kernel, dispatch_scalar};
use crate::{Float, Tensor};

/// `value + tangent·ε` with `ε² = 0`: a number and its derivative along one direction.
///
/// Arithmetic follows from `ε² = 0`: `(a + a′ε)(b + b′ε) = ab + (ab′ + a′b)ε`, and `f(a + a′ε) = f(a) + f′(a)·a′·ε`. A
/// program run on dual numbers hence gives its value and its derivative along the tangents of its inputs, exact but for
/// rounding (Griewank and Walther, "Evaluating Derivatives", 2nd ed. 2008, section 3.1).
///
/// A tangent of zero contributes zero, whatever it is multiplied by: a constant has no derivative, even where its value
/// is infinite, as the score of a masked key is.
///
/// ```
/// use autograd::{Dual, Float};
/// let x = Dual { value: 2.0, tangent: 1.0 };
/// assert_eq!(x * x * x, Dual { value: 8.0, tangent: 12.0 });
/// assert_eq!((x * x).ln().tangent, 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dual {
    /// The number.
    pub value: f64,
    /// Its derivative along the direction that is followed.
    pub tangent: f64,
}

impl Dual {
    /// `f(self)` from `f` and `f′` at the value.
    fn chain(self, value: f64, slope: f64) -> Self {
        Self { value, tangent: times(slope, self.tangent) }
    }
}

/// `slope · tangent`, where a tangent of zero is the absence of a dependence and so beats an infinite slope.
fn times(slope: f64, tangent: f64) -> f64 {
    if tangent == 0.0 { 0.0 } else { slope * tangent }
}

/// By value, so that branches are taken as `f64` takes them. Numbers that differ in nothing but their tangents are
/// neither equal nor in order.
impl PartialOrd for Dual {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.value.partial_cmp(&other.value) {
            Some(Ordering::Equal) if self.tangent != other.tangent => None,
            order => order,
        }
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, tangent: -self.tangent }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, tangent: self.tangent + other.tangent }
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, tangent: self.tangent - other.tangent }
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let tangent = times(self.value, other.tangent) + times(other.value, self.tangent);
        Self { value: self.value * other.value, tangent }
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        // (a/b)′ = (a′ − (a/b)·b′)/b
        let tangent = self.tangent - times(value, other.tangent);
        Self { value, tangent: times(1.0 / other.value, tangent) }
    }
}

impl AddAssign for Dual {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Dual {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl MulAssign for Dual {
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl DivAssign for Dual {
    fn div_assign(&mut self, other: Self) {
        *self = *self / other;
    }
}

impl Sum for Dual {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)?;
        f.write_str(" + ")?;
        fmt::Display::fmt(&self.tangent, f)?;
        f.write_str("ε")
    }
}

impl fmt::LowerExp for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerExp::fmt(&self.value, f)?;
        f.write_str(" + ")?;
        fmt::LowerExp::fmt(&self.tangent, f)?;
        f.write_str("ε")
    }
}

impl Float for Dual {
    type Wide = Self;
    const ZERO: Self = Self { value: 0.0, tangent: 0.0 };
    const ONE: Self = Self { value: 1.0, tangent: 0.0 };
    const NEG_INFINITY: Self = Self { value: f64::NEG_INFINITY, tangent: 0.0 };
    const NAME: &'static str = "dual";

    fn of(x: f64) -> Self {
        Self { value: x, tangent: 0.0 }
    }
    fn to_f64(self) -> f64 {
        self.value
    }
    fn widen(self) -> Self {
        self
    }
    fn narrow(wide: Self) -> Self {
        wide
    }
    fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), 1.0 / self.value)
    }
    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        self.chain(value, 0.5 / value)
    }
    fn max(self, other: Self) -> Self {
        // Of two equal values the first is taken, so that max(0, x) is flat at 0, as the rule of the rectifier has it.
        if other.value > self.value || self.value.is_nan() { other } else { self }
    }
    fn abs(self) -> Self {
        if self.value < 0.0 { -self } else { self }
    }
    fn is_finite(self) -> bool {
        self.value.is_finite() && self.tangent.is_finite()
    }

    fn build(case: &Case) -> Build<Self> {
        case.dual
    }
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Dual> = Pool::new();
        &POOL
    }
    fn simd<A, K: Kernel<Self, A>>(kernel: K, args: A) -> K::Output {
        dispatch_scalar(kernel, args)
    }
    fn gemm(product: Gemm<'_, Self>) {
        product.run_plain();
    }
}

impl Tensor<Dual> {
    /// The entries of `value`, on their way along those of `tangent`. Back: [`cast`](Tensor::cast) for the values,
    /// [`tangents`](Self::tangents).
    ///
    /// # Panics
    /// Where the shapes differ.
    #[track_caller]
    pub fn dual(value: &Tensor<f64>, tangent: &Tensor<f64>) -> Self {
        let (shape, other) = (value.shape(), tangent.shape());
        assert!(shape == other, "dual: a tangent of {other} for a value of {shape}");
        let (value, tangent) = (value.as_slice(), tangent.as_slice());
        Self::from_fn(shape, |i| Dual { value: value[i], tangent: tangent[i] })
    }

    /// The derivatives of all entries.
    pub fn tangents(&self) -> Tensor<f64> {
        Tensor::from_fn(self.shape(), |i| self.as_slice()[i].tangent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each function with its derivative, at a point where it has one.
    #[test]
    fn tangents_are_derivatives() {
        let x = Dual { value: 0.7, tangent: 3.0 };
        let y = Dual::of(2.0);
        for (got, value, slope) in [
            (x + y, 2.7, 1.0),
            (y - x, 1.3, -1.0),
            (x * x, 0.49, 1.4),
            (y / x, 2.0 / 0.7, -2.0 / 0.49),
            (-x, -0.7, -1.0),
            (x.exp(), 0.7f64.exp(), 0.7f64.exp()),
            (x.ln(), 0.7f64.ln(), 1.0 / 0.7),
            (x.sqrt(), 0.7f64.sqrt(), 0.5 / 0.7f64.sqrt()),
            ((-x).abs(), 0.7, 1.0),
            (x.max(y), 2.0, 0.0),
            ([x, y, x].into_iter().sum(), 3.4, 2.0),
        ] {
            assert!((got.value - value).abs() < 1e-15, "{got} is not {value}");
            assert!((got.tangent - 3.0 * slope).abs() < 1e-14, "{got} does not rise by 3·{slope}");
        }
    }

    #[test]
    fn constants_have_no_derivative_where_functions_have_none() {
        let zero = Dual::ZERO;
        assert_eq!((zero.sqrt().tangent, zero.ln().tangent), (0.0, 0.0));
        assert_eq!((Dual::NEG_INFINITY * Dual::of(0.5)).tangent, 0.0);
        assert_eq!((Dual::NEG_INFINITY - Dual { value: 1.0, tangent: 2.0 }).exp(), zero);
    }

    #[test]
    fn branches_are_taken_by_value() {
        let (still, moving) = (Dual::ZERO, Dual { value: 0.0, tangent: 1.0 });
        assert!(still != moving && still.partial_cmp(&moving).is_none());
        assert_eq!(still.max(moving), still);
        assert!(Dual { value: -1.0, tangent: 9.0 } < still);
        assert!(Dual::of(f64::NAN).max(moving) == moving && moving.max(Dual::of(f64::NAN)) == moving);
    }

    #[test]
    fn both_parts_are_shown_and_both_must_be_finite() {
        let x = Dual { value: 1.5, tangent: -0.25 };
        assert_eq!(format!("{x} {x:.1} {x:e}"), "1.5 + -0.25ε 1.5 + -0.2ε 1.5e0 + -2.5e-1ε");
        assert!(x.is_finite() && !Dual { value: 0.0, tangent: f64::NAN }.is_finite());
    }
}
