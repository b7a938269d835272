//! Teaching: pages and maps that show people what a model does.
//!
//! [`attention`] says what a model looks at while it translates a sentence; [`report`] tells how a training went.

pub mod attention;
pub mod report;
