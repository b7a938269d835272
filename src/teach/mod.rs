//! Teaching: what shows people what a model does.
//!
//! [`attention`] says what a model looks at while it translates a sentence.

pub mod attention;
