//! The driver of a real card, through cudarc.
