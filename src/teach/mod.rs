//! What makes a model's work visible: pages and maps for people.

pub mod attention;
pub mod report;
