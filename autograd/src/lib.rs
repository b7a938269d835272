//! Reverse-mode automatic differentiation on a tape of op objects.
//!
//! ```
//! use autograd::{Tape, Tensor};
//!
//! let tape = Tape::eval();
//! let x = tape.input(Tensor::new([3], vec![1.0f64, 2.0, 3.0]));
//! let loss = (x * x).sum();
//! let gradients = loss.backward();
//! assert_eq!(gradients.wrt(x).unwrap().as_slice(), [2.0, 4.0, 6.0]);
//! ```
//!
//! * [`Tape`] is one forward pass; [`Var`] is a value on it, whose methods are the [`ops`].
//! * [`Op`] is what to implement for an op of one's own; [`gradcheck()`] says whether its rule is right, by
//!   finite differences, and [`duality()`] to the last digits, by [`Dual`] numbers, which also give second derivatives:
//!   [`hvp`]. [`verify`] runs every check on a [`Subject`].
//! * [`audit`] says of a whole model that every parameter learns; [`Var::first_anomaly`] says where numbers stop being
//!   finite.
//! * [`Dependence`] proves what does not depend on what; [`faults`] are bugs to plant, to see whether checks find them.
//! * [`Param`] and [`Parameters`] are what models are made of; [`Gradients`] is what a backward pass gives.

#[macro_use]
pub mod kernels;
#[macro_use]
pub mod cases;
mod anomaly;
mod audit;
mod backward;
pub mod buffer;
mod depends;
mod dual;
mod duality;
pub mod faults;
mod float;
mod gradcheck;
mod gradients;
mod ids;
mod inspect;
mod keep;
mod key;
mod op;
pub mod ops;
mod param;
mod paths;
mod profile;
mod replay;
pub mod rng;
mod shape;
mod subject;
mod tape;
mod tensor;
mod threads;

pub use anomaly::{Anomaly, When};
pub use audit::{AuditFailure, AuditReport, PathEnd, audit};
pub use backward::{Step, Steps};
pub use depends::{Dependence, depends};
pub use dual::Dual;
pub use duality::{duality, hvp, jvp};
pub use float::Float;
pub use gradcheck::{GradCheck, Law, Mismatch, Report, gradcheck, gradcheck_model};
pub use gradients::Gradients;
pub use ids::{Ids, restage, stage};
pub use inspect::{NodeInfo, Place};
pub use keep::Keep;
pub use kernels::cpu::crew::with_crew;
pub use kernels::{Device, DeviceError, Precision};
pub use key::{Key, Seed};
pub use op::{Backward, Op, Slot};
pub use param::{Param, ParamId, Parameters, Path, WeakParam};
pub use profile::{OpTime, Profile};
pub use shape::{MAX_RANK, Shape};
pub use subject::{Subject, Verdict, duality_error, verify};
pub use tape::{NodeId, Tape, Var};
pub use tensor::Tensor;
pub use threads::in_order;
