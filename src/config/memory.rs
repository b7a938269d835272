//! How much memory a model takes, and how much there is.
//!
//! All that is weighed is what cannot be done without, so that nothing is refused that would fit.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use nn::TransformerConfig;

/// What a model is made for, which says how often each of its numbers is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read: weights.
    Reading,
    /// To be trained: weights, gradients, and Adam's two moments; where it is `averaged`, a moving average too.
    Training {
        /// Whether there is a moving average.
        averaged: bool,
    },
    /// To compare gradients in `f32` with those in `f64`: weights and gradients of both.
    Comparing,
}

impl Purpose {
    fn bytes_per_parameter(self) -> f64 {
        match self {
            Self::Reading => 4.0,
            Self::Training { averaged: false } => 16.0,
            Self::Training { averaged: true } => 20.0,
            Self::Comparing => 24.0,
        }
    }
}

/// Whether there is as much memory as a model takes.
///
/// # Errors
/// One line naming the setting that makes it so large, what it would take and what there is.
pub(crate) fn weigh(config: &TransformerConfig, purpose: Purpose) -> Result<()> {
    match available() {
        Some(there_are) => weigh_against(there_are, config, purpose),
        None => Ok(()),
    }
}

fn weigh_against(there_are: f64, config: &TransformerConfig, purpose: Purpose) -> Result<()> {
    let bytes = |config: &TransformerConfig| {
        // Beside the weights, which are counted with the tables of positions that are not trained.
        let others = (purpose.bytes_per_parameter() - 4.0) * parameters(config);
        others + config.model_bytes().map_or(f64::INFINITY, |bytes| bytes as f64)
    };
    let whole = bytes(config);
    if whole <= there_are {
        return Ok(());
    }
    // To blame is the size without which least is left.
    let key = KEYS.into_iter().min_by(|a, b| bytes(&a.least(config)).total_cmp(&bytes(&b.least(config))));
    let Some(key) = key else { unreachable!("there are sizes") };
    bail!(
        "{} = {}: this model would take {}; there are {}",
        key.name,
        (key.size)(&mut config.clone()),
        readable(whole),
        readable(there_are)
    )
}

/// Whether there is as much memory as the gradients of so many parts of a step take, all of which wait for the last.
///
/// # Errors
/// One line naming the settings that make it so many.
pub(crate) fn weigh_parts(config: &TransformerConfig, purpose: Purpose, parts: usize) -> Result<()> {
    let more = 4.0 * parts.saturating_sub(1) as f64 * parameters(config);
    let whole = purpose.bytes_per_parameter() * parameters(config) + more;
    refuse("train.accumulate and train.shards", &format!("{parts} gradients at a time"), whole)
}

/// Whether there is as much memory as the forward pass of a batch of so many tokens leaves for the backward pass: of every layer
/// its queries, keys, values, mix and sums, and the inner layer of its feed-forward network.
///
/// # Errors
/// One line naming the setting that makes it so large.
pub(crate) fn weigh_batch(config: &TransformerConfig, source: f64, target: f64) -> Result<()> {
    let (d, f) = (config.d_model as f64, config.ffn as f64);
    let encoder = source * config.encoder_layers as f64 * (6.0 * d + f);
    let decoder = target * config.decoder_layers as f64 * (9.0 * d + f);
    refuse("train.batch_tokens", "a batch", 4.0 * (encoder + decoder))
}

fn refuse(key: &str, what: &str, bytes: f64) -> Result<()> {
    match available() {
        Some(there_are) if bytes > there_are => {
            bail!("{key}: {what} would take {}; there are {}", readable(bytes), readable(there_are))
        }
        _ => Ok(()),
    }
}

/// A size that a user has chosen.
#[derive(Clone, Copy)]
struct Key {
    name: &'static str,
    size: fn(&mut TransformerConfig) -> &mut usize,
}

impl Key {
    /// The same model with 1 of this.
    fn least(self, config: &TransformerConfig) -> TransformerConfig {
        let mut least = config.clone();
        *(self.size)(&mut least) = 1;
        least
    }
}

const KEYS: [Key; 6] = [
    Key { name: "model.d_model", size: |config| &mut config.d_model },
    Key { name: "model.ffn", size: |config| &mut config.ffn },
    Key { name: "model.encoder_layers", size: |config| &mut config.encoder_layers },
    Key { name: "model.decoder_layers", size: |config| &mut config.decoder_layers },
    Key { name: "model.max_length", size: |config| &mut config.max_length },
    Key { name: "tokenizer.vocab_size", size: |config| &mut config.target_vocab },
];

/// The number of parameters of a model, of which more than 64 bits hold are without end.
fn parameters(config: &TransformerConfig) -> f64 {
    config.parameter_count().map_or(f64::INFINITY, |count| count as f64)
}

/// `3.1 TiB`
fn readable(bytes: f64) -> String {
    if bytes.is_infinite() {
        return "more than memory has addresses".to_owned();
    }
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut number = bytes / 1024.0;
    let mut unit = units[0];
    for larger in &units[1..] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, larger);
    }
    format!("{number:.1} {unit}")
}

/// The memory that this process can still have, in bytes, where the system tells: Linux does.
pub(crate) fn available() -> Option<f64> {
    available_under(Path::new("/"))
}

/// The same from the files of a system under `root`: what is free or can be freed, swap included, within the limits of the
/// process's control groups and on its address space.
fn available_under(root: &Path) -> Option<f64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let free = {
        let text = read("proc/meminfo")?;
        let kib = |name: &str| number_after(&text, name).unwrap_or(0.0);
        Some(1024.0 * (number_after(&text, "MemAvailable:")? + kib("SwapFree:")))
    };
    let mut limits = Vec::new();
    if let (Some(text), Some(status)) = (read("proc/self/limits"), read("proc/self/status")) {
        let used = number_after(&status, "VmSize:").unwrap_or(0.0) * 1024.0;
        let left = |name: &str| number_after(&text, name).map(|limit| (limit - used).max(0.0));
        limits.extend(["Max address space", "Max data size"].map(left));
    }
    for line in read("proc/self/cgroup").unwrap_or_default().lines() {
        // `0::/path` of version 2, `5:memory:/path` of version 1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (folder, file) = match parts.next() {
            Some("") => ("sys/fs/cgroup", "memory.max"),
            Some(names) if names.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(parts.next().unwrap_or_default().trim_start_matches('/'));
        // A group has no more than those it lies in. Within a container the path may be that of the host.
        for group in group.ancestors() {
            let limit = fs::read_to_string(root.join(folder).join(group).join(file)).ok();
            limits.push(limit.and_then(|limit| limit.trim().parse().ok()));
        }
    }
    limits.into_iter().flatten().chain(free).reduce(f64::min)
}

/// The number behind `name` in a file that has a name and a number on each line.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use nn::Preset;

    use super::*;

    #[test]
    fn a_model_that_no_memory_holds_is_named_by_the_size_that_makes_it_so() {
        let said = |change: fn(&mut TransformerConfig)| {
            let mut config = Preset::Tiny.config(1000, 1000);
            change(&mut config);
            let training = Purpose::Training { averaged: false };
            weigh_against(22.0 * f64::from(1 << 30), &config, training).unwrap_err().to_string()
        };
        assert_eq!(
            said(|config| config.d_model = 200_000),
            "model.d_model = 200000: this model would take 28.0 TiB; there are 22.0 GiB"
        );
        for (change, key) in [
            (
                (|config| config.ffn = usize::MAX) as fn(&mut TransformerConfig),
                "model.ffn = 18446744073709551615",
            ),
            (|config| config.encoder_layers = 1 << 40, "model.encoder_layers = 1099511627776"),
            (|config| config.decoder_layers = usize::MAX, "model.decoder_layers = "),
            (|config| config.max_length = usize::MAX, "model.max_length = "),
            (|config| config.target_vocab = usize::MAX, "tokenizer.vocab_size = "),
            (|config| (config.d_model, config.ffn) = (1 << 62, usize::MAX), "model.d_model = "),
        ] {
            let said = said(change);
            assert!(said.starts_with(key) && said.ends_with("; there are 22.0 GiB"), "{said}");
        }
        let base = Preset::Base.config(32_000, 32_000);
        weigh_against(2e9, &base, Purpose::Training { averaged: true }).unwrap();
        weigh_against(5e8, &base, Purpose::Reading).unwrap();
        weigh_against(5e8, &base, Purpose::Comparing).unwrap_err();
    }

    #[test]
    fn the_least_of_what_is_free_and_of_all_limits_is_there() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let there_are = || available_under(root.path());
        assert_eq!(there_are(), None, "a system that tells nothing");
        write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\nSwapFree:  96 kB\n");
        assert_eq!(there_are(), Some(4096.0 * 1024.0));
        write("proc/self/status", "Name: x\nVmSize:\t 1000 kB\n");
        let limits =
            |space: &str| format!("Limit  Soft  Hard  Units\nMax address space  {space}  unlimited  bytes\n");
        write("proc/self/limits", &limits("unlimited"));
        assert_eq!(there_are(), Some(4096.0 * 1024.0));
        write("proc/self/limits", &limits("2048000"));
        assert_eq!(there_are(), Some(1_024_000.0));
        write("proc/self/cgroup", "0::/outer/inner\n");
        write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        assert_eq!(there_are(), Some(1_024_000.0));
        write("sys/fs/cgroup/outer/memory.max", "500000\n");
        assert_eq!(there_are(), Some(500_000.0));
        write("proc/self/cgroup", "7:cpu,memory:/a\n");
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "70000\n");
        assert_eq!(there_are(), Some(70_000.0), "version 1, in a container");
    }

    #[test]
    fn steps_that_no_memory_holds_are_named_by_what_makes_them_so() {
        let base = Preset::Base.config(32_000, 32_000);
        if available().is_some() {
            let training = Purpose::Training { averaged: false };
            let parts = weigh_parts(&base, training, 10_000_000).unwrap_err().to_string();
            assert!(
                parts.starts_with("train.accumulate and train.shards: 10000000 gradients at a time"),
                "{parts}"
            );
            let batch = weigh_batch(&base, 1e12, 0.0).unwrap_err().to_string();
            assert!(
                batch.starts_with("train.batch_tokens: a batch would take 109.1 PiB; there are "),
                "{batch}"
            );
        }
        let tiny = nn::TransformerConfig { d_model: 2, ffn: 1, ..Preset::Tiny.config(9, 9) };
        weigh_parts(&tiny, Purpose::Training { averaged: true }, 4).unwrap();
        weigh_batch(&tiny, 100.0, 100.0).unwrap();
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(readable(1536.0), "1.5 KiB");
        assert_eq!(readable(3.1 * 1024f64.powi(4)), "3.1 TiB");
        assert_eq!(readable(f64::INFINITY), "more than memory has addresses");
    }
}
