//! Files that are whole or not there, whoever kills the program and when.
//!
//! * [`write_atomic`]: a file's old content, or all of the new one;
//! * [`FolderLock`]: one process owns a folder;
//! * [`Destination`]: what a person named with `--out`: a file, `-`, a pipe, a device.

mod atomic;
mod destination;
mod lock;

pub use atomic::{Pending, remove_durably, rename_durably, sync_folder, write_atomic};
pub(crate) use atomic::{is_temporary, remove_temporaries};
pub use destination::{Destination, Kind};
pub use lock::FolderLock;
