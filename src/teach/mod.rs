//! Teaching: pages and maps that show people what a model does.
//!
//! [`attention`] says what a model looks at while it translates a sentence; [`report`] tells how a training went;
//! [`microscope`] shows one recorded pass: every number of its backward pass, each with the arithmetic it comes from and a
//! check beside it.

pub mod attention;
pub(crate) mod embed;
pub mod microscope;
pub mod report;
