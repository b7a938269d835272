//! The memory of this process.

use serde::Serialize;

/// Memory of the process in MiB; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Held now.
    pub now_mib: Option<f64>,
    /// The most it has held so far.
    pub peak_mib: Option<f64>,
}

impl Memory {
    /// What Linux says in `/proc/self/status`; nothing elsewhere.
    pub fn read() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib / 1024.0)
        };
        Self { now_mib: field("VmRSS"), peak_mib: field("VmHWM") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_status() {
        let memory = Memory::parse("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    3072 kB\nVmRSS:\t    1536 kB\n");
        assert_eq!(memory, Memory { now_mib: Some(1.5), peak_mib: Some(3.0) });
        assert_eq!(Memory::parse(""), Memory { now_mib: None, peak_mib: None });
    }
}
