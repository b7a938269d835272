//! The gradient microscope: one pass of a model, forward and backward, as one HTML file that shows every number.
//!
//! ```
//! use gradus::autograd::{Tape, Tensor};
//! use gradus::teach::microscope::Microscope;
//!
//! let tape = Tape::eval().explained();
//! let x = tape.input(Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]));
//! let loss = x.softmax().matmul(x).sum();
//! let page = Microscope::record(&tape, loss).verified(&tape).page();
//! assert!(page.starts_with("<!doctype html>"));
//! ```
//!
//! [`Microscope::record`] reads a tape and its reverse sweep; everything else adds to the record: names of parts of a model
//! ([`Microscope::named`]), words ([`Microscope::worded`]), verdicts by finite differences ([`Microscope::verified`]), planted
//! bugs ([`Microscope::planted`]), where the gradient of each word goes ([`Microscope::flowing`]), a film of a training
//! ([`Film`]). [`Specimen`] is a model with a sentence, of which all of that is made. The page computes in JavaScript only
//! what it explains: the arithmetic of a cell from the cells it is made of, and the pass again with a planted bug.

mod attention;
mod builtin;
mod film;
mod flow;
mod norms;
mod page;
mod planted;
mod record;
mod settings;
mod specimen;
mod store;
mod verdict;
mod words;

pub use builtin::{BUILTIN_SMOOTHING, BUILTIN_STEPS, Builtin, train_builtin};
pub use film::{FRAMES, Film, Frame};
pub use record::{Microscope, NodeRecord, Term};
pub use specimen::{LONGEST, Specimen};
pub use verdict::{Cell, Outcome, RuleCheck, Verdict};
pub use words::{Side, Words};
